//! Objects as an admission review brings them: no text, no places.

use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::tree::Position;
use clockwarden::inspect::{
    Bounds, Catalogue, Inspection, Level, Levels, Limits, Severity, inspect, introduced, object_ref,
};
use std::time::Duration;

fn look(json: &str, bounds: &Bounds) -> Inspection {
    let limits = Limits::default();
    let tree = tree_from_json(json.as_bytes(), &limits).expect("valid JSON");
    let inspection = inspect(&tree, Catalogue::builtin(), bounds, &limits);
    assert!(
        inspection.findings.is_empty() || Catalogue::builtin().mentions(json.as_bytes()),
        "hidden by the prefilter: {json}"
    );
    inspection
}

fn check(json: &str, expected: &[(&str, &str)]) {
    let inspection = look(json, &Bounds::default());
    let got: Vec<_> = inspection.findings.iter().map(|f| (f.path.to_string(), f.fix.clone())).collect();
    let expected: Vec<_> = expected.iter().map(|(path, fix)| ((*path).to_owned(), (*fix).to_owned())).collect();
    assert_eq!(got, expected, "{json}");
    assert!(inspection.findings.iter().all(|f| f.at == Position::default()), "nobody has seen lines: {json}");
}

#[test]
fn a_config_map_and_a_deployment() {
    check(
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"application.yml":"auth:\n  jwt:\n    leeway: 0\n"}}"#,
        &[(r#"data["application.yml"].auth.jwt.leeway"#, "write `leeway: 30`")],
    );
    check(
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"JWT_LEEWAY":"0"}}"#,
        &[("data.JWT_LEEWAY", "write `JWT_LEEWAY: \"30\"`")],
    );
    check(
        r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[{"name":"a","env":[{"name":"X"},{"name":"JWT_LEEWAY","value":"0"}]}]}}}}"#,
        &[("spec.template.spec.containers[0].env[1].value", "write `{name: JWT_LEEWAY, value: \"30\"}`")],
    );
}

#[test]
fn every_workload_kind_is_looked_into() {
    let template = r#"{"spec":{"containers":[{"name":"a","args":["--jwt-leeway=0"]}],"initContainers":[{"name":"b","env":[{"name":"OIDC_CLOCK_SKEW","value":"0s"}]}]}}"#;
    let pod = template.strip_prefix(r#"{"spec":"#).and_then(|t| t.strip_suffix('}')).expect("a spec");
    let objects = [
        format!(r#"{{"apiVersion":"v1","kind":"Pod","spec":{pod}}}"#),
        format!(r#"{{"apiVersion":"v1","kind":"PodTemplate","template":{template}}}"#),
        format!(r#"{{"apiVersion":"v1","kind":"ReplicationController","spec":{{"template":{template}}}}}"#),
        format!(r#"{{"apiVersion":"apps/v1","kind":"ReplicaSet","spec":{{"template":{template}}}}}"#),
        format!(r#"{{"apiVersion":"apps/v1","kind":"DaemonSet","spec":{{"template":{template}}}}}"#),
        format!(r#"{{"apiVersion":"apps/v1","kind":"StatefulSet","spec":{{"template":{template}}}}}"#),
        format!(r#"{{"apiVersion":"batch/v1","kind":"Job","spec":{{"template":{template}}}}}"#),
        format!(
            r#"{{"apiVersion":"batch/v1","kind":"CronJob","spec":{{"jobTemplate":{{"spec":{{"template":{template}}}}}}}}}"#
        ),
        format!(r#"{{"apiVersion":"v1","kind":"List","items":[{{"apiVersion":"v1","kind":"Pod","spec":{pod}}}]}}"#),
    ];
    for object in objects {
        let found = look(&object, &Bounds::default()).findings;
        assert_eq!(found.iter().filter(|f| f.severity == Severity::Error).count(), 2, "{object}: {found:#?}");
    }
}

#[test]
fn letters_in_disguise_are_found_and_never_hidden() {
    check(
        r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"JWT_\u004ceeway":"0"}}"#,
        &[("data.JWT_Leeway", "write `JWT_Leeway: \"30\"`")],
    );
    check(
        r#"{"apiVersion":"v1","kind":"ConfigMap","binaryData":{"a.env":"SldUX0xFRVdBWT0wCg=="}}"#,
        &[(r#"binaryData["a.env"].JWT_LEEWAY"#, "write `JWT_LEEWAY=30`")],
    );
}

#[test]
fn bounds_are_the_policys() {
    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"JWT_LEEWAY":"10","OIDC_CLOCK_SKEW":"60s"}}"#;
    let severities = |min: u64, max: u64| {
        let bounds =
            Bounds { skew_min: Duration::from_secs(min), skew_max: Duration::from_secs(max), ..Bounds::default() };
        look(object, &bounds).findings.iter().map(|f| (f.rule, f.fix.clone())).collect::<Vec<_>>()
    };
    assert_eq!(severities(1, 300), []);
    assert_eq!(severities(10, 60), []);
    assert_eq!(severities(11, 300), [("jwt-skew-zero", "write `JWT_LEEWAY: \"30\"`".to_owned())]);
    assert_eq!(severities(45, 300), [("jwt-skew-zero", "write `JWT_LEEWAY: \"45\"`".to_owned())]);
    assert_eq!(severities(1, 59), [("jwt-skew-too-large", "write `OIDC_CLOCK_SKEW: 30s`".to_owned())]);
}

#[test]
fn messages_name_object_path_value_meaning_and_product() {
    let object = r#"{"apiVersion":"configuration.konghq.com/v1","kind":"KongPlugin","metadata":{"name":"oidc","namespace":"shop"},"plugin":"openid-connect","config":{"leeway":0}}"#;
    let found = look(object, &Bounds::default()).findings;
    let message = &found.first().expect("a finding").message;
    for part in ["KongPlugin shop/oidc", "config.leeway", "\"0\"", "Kong openid-connect", "no tolerance for clock skew"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn an_update_introduces_only_what_is_new() {
    let pod = |containers: &str| {
        look(
            &format!(r#"{{"apiVersion":"v1","kind":"Pod","spec":{{"containers":[{containers}]}}}}"#),
            &Bounds::default(),
        )
        .findings
    };
    let sinner = r#"{"name":"a","env":[{"name":"JWT_LEEWAY","value":"0"}]}"#;
    let other = r#"{"name":"b","env":[{"name":"JWT_LEEWAY","value":"0"}]}"#;
    assert!(introduced(&pod(sinner), &pod(&format!(r#"{{"name":"x"}},{sinner}"#))).is_empty());
    let (old, new) = (pod(sinner), pod(&format!("{other},{sinner}")));
    let fresh = introduced(&old, &new);
    assert_eq!(fresh.len(), 1);
    assert!(fresh.iter().all(|f| f.path.identity().contains("name=b")), "{fresh:?}");
    // Moved: to a container of another name, and beside a new one.
    assert!(introduced(&pod(sinner), &pod(other)).is_empty());
    let two = format!("{other},{}", sinner.replace("\"a\"", "\"c\""));
    assert_eq!(introduced(&pod(sinner), &pod(&two)).len(), 1);
    let worse = sinner.replace("JWT_LEEWAY", "OIDC_LEEWAY");
    assert_eq!(introduced(&pod(sinner), &pod(&worse)).len(), 1, "another setting is another sin");
}

#[test]
fn an_object_says_what_it_is_called() {
    let tree = |json: &str| tree_from_json(json.as_bytes(), &Limits::default()).expect("JSON");
    assert_eq!(object_ref(&tree(r#"{"metadata":{"generateName":"web-"}}"#)).name, "web-*");
    assert_eq!(object_ref(&tree("[]")).kind, "");
}

#[test]
fn a_rule_is_as_bad_as_its_level_says() {
    let pod = r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"a","securityContext":{"capabilities":{"add":["SYS_TIME"]}},"env":[{"name":"JWT_LEEWAY","value":"0"},{"name":"OIDC_CLOCK_SKEW","value":"1h"}]}]}}"#;
    let said = |set: &[(&str, Level)]| {
        let with = |levels: Levels, (rule, level): &(&str, Level)| levels.with(rule, *level).expect("a rule");
        let bounds = Bounds { levels: set.iter().fold(Levels::default(), with), ..Bounds::default() };
        let mut said: Vec<_> = look(pod, &bounds).findings.iter().map(|f| (f.rule, f.severity)).collect();
        said.sort_unstable();
        said
    };
    let (zero, large, clock) = ("jwt-skew-zero", "jwt-skew-too-large", "host-clock-write");
    let (error, warning) = (Severity::Error, Severity::Warning);
    assert_eq!(said(&[]), [(clock, error), (large, warning), (zero, error)]);
    assert_eq!(said(&[(zero, Level::Ignore), (clock, Level::Warning)]), [(clock, warning), (large, warning)]);
    assert_eq!(said(&[(clock, Level::Ignore), (large, Level::Error)]), [(large, error), (zero, error)]);
}
