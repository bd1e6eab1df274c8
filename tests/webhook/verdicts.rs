//! Whole reviews through the router: object, old object, owners and policies in; allowed or not, and what is said.

use crate::support::{Hook, call, config_map, enforcing, hook, metric, post, review};
use axum::http::StatusCode;
use clockwarden::inspect::Bounds;
use clockwarden::inspect::catalogue::{Meaning, Own};
use clockwarden::inspect::duration::Unit;
use clockwarden::inspect::words::Pattern;
use clockwarden::policy::selector::Requirement;
use clockwarden::policy::{Admission, Mode, Selector};
use clockwarden::webhook::policies::Policies;
use clockwarden::webhook::router::Budget;
use serde_json::{Value, json};
use std::time::Duration;

/// What came back: allowed, number of warnings.
type Expected = (bool, usize);

const ADMITTED: Expected = (true, 0);
const WARNED: Expected = (true, 1);
const REFUSED: Expected = (false, 0);

async fn response(hook: &Hook, review: &Value) -> Value {
    let (code, _, answer) = call(&hook.serving, post(review.to_string())).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(code, StatusCode::OK, "{answer}");
    assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
    answer["response"].clone()
}

async fn check(hook: &Hook, case: &str, review: &Value, expected: Expected) -> Value {
    let response = response(hook, review).await;
    let warnings = response["warnings"].as_array().map_or(0, Vec::len);
    assert_eq!((response["allowed"].as_bool().unwrap(), warnings), expected, "{case}: {response}");
    assert_eq!(response.get("status").is_some(), !expected.0, "{case}: {response}");
    response
}

fn policy(mode: Mode, min: u64, max: u64, selector: &[(&str, &str)]) -> Admission {
    let bounds = Bounds { skew_min: Duration::from_secs(min), skew_max: Duration::from_secs(max), ..Bounds::default() };
    let requirement = |(key, value): &(&str, &str)| Requirement::In((*key).into(), [(*value).to_owned()].into());
    Admission { mode, bounds, namespaces: Selector(selector.iter().map(requirement).collect()), settings: Vec::new() }
}

fn with(policies: &[(&str, Admission)]) -> Hook {
    let policies = policies.iter().map(|(name, admission)| ((*name).to_owned(), admission.clone()));
    hook(Policies::fixed(policies), Budget::default())
}

fn leeway(seconds: &str) -> Value {
    config_map(json!({"application.properties": format!("server.port=80\njwt.leeway.seconds={seconds}\n")}))
}

fn create(object: Value) -> Value {
    review("CREATE", object, Value::Null)
}

fn pod_spec(leeways: &[(&str, &str)]) -> Value {
    let container = |(name, value): &(&str, &str)| {
        json!({"name": name, "image": "x",
        "env": [{"name": "JWT_LEEWAY_SECONDS", "value": value}]})
    };
    json!({"containers": leeways.iter().map(container).collect::<Vec<_>>()})
}

fn workload(version: &str, kind: &str, leeways: &[(&str, &str)], owner: Option<(&str, &str)>) -> Value {
    let pod = pod_spec(leeways);
    let spec = match kind {
        "Pod" => pod,
        "CronJob" => json!({"jobTemplate": {"spec": {"template": {"spec": pod}}}}),
        _ => json!({"template": {"spec": pod}}),
    };
    let owners: Vec<_> = owner
        .map(|(version, kind)| json!({"apiVersion": version, "kind": kind, "name": "web", "uid": "u", "controller": true}))
        .into_iter()
        .collect();
    json!({"apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": owners}})
}

/// A key without any word that the built-in catalogue looks for.
#[tokio::test]
async fn a_setting_that_a_policy_describes_is_judged_in_every_namespace_that_a_policy_judges() {
    let own = Own {
        product: "Shop gateway".to_owned(),
        keys: vec![Pattern::new("shop.auth.max-clock-diff").unwrap()],
        unit: Unit::Milliseconds,
        zero: Meaning::Zero,
        recommended: 20_000_000_000,
    };
    let object = || config_map(json!({"a.properties": "shop.auth.max-clock-diff=0\n"}));
    let describing = Admission { settings: vec![own], ..policy(Mode::Warn, 1, 300, &[("team", "other")]) };
    let judging = || policy(Mode::Enforce, 1, 300, &[]);
    let hook = with(&[("describing", describing.clone()), ("judging", judging())]);
    let response = check(&hook, "described", &create(object()), REFUSED).await;
    let said = response["status"]["message"].as_str().unwrap();
    assert!(said.contains("Shop gateway") && said.contains("20000"), "{said}");
    check(&with(&[("judging", judging())]), "described by nobody", &create(object()), ADMITTED).await;
    let off = Admission { mode: Mode::Off, ..describing };
    check(&with(&[("off", off), ("judging", judging())]), "described by one that is off", &create(object()), ADMITTED)
        .await;
}

#[tokio::test]
async fn the_mode_decides() {
    for (mode, zero, large) in
        [(Mode::Enforce, REFUSED, WARNED), (Mode::Warn, WARNED, WARNED), (Mode::Off, ADMITTED, ADMITTED)]
    {
        let hook = with(&[("p", policy(mode, 1, 300, &[]))]);
        check(&hook, "zero", &create(leeway("0")), zero).await;
        check(&hook, "too large", &create(leeway("301")), large).await;
        for fine in ["1", "30", "300"] {
            check(&hook, fine, &create(leeway(fine)), ADMITTED).await;
        }
    }
    check(&with(&[]), "no policy", &create(leeway("0")), ADMITTED).await;
}

#[tokio::test]
async fn a_refusal_says_all_that_is_needed_to_mend_it() {
    let hook = hook(enforcing(), Budget::default());
    let response = check(&hook, "zero", &create(leeway("0")), REFUSED).await;
    assert_eq!(
        (&response["status"]["code"], &response["status"]["reason"], &response["status"]["status"]),
        (&json!(403), &json!("Forbidden"), &json!("Failure"))
    );
    let message = response["status"]["message"].as_str().unwrap();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines[0], "ConfigMap shop/pay is refused by TimeSyncPolicy production:");
    assert_eq!(lines[1], "  data[\"application.properties\"].jwt.leeway.seconds [jwt-skew-zero]");
    assert!(lines[2].starts_with("    is \"0\", which ") && lines[2].contains("no tolerance"), "{message}");
    assert!(lines[3].starts_with("    Fix: write `jwt.leeway.seconds="), "{message}");
    assert_eq!(lines.len(), 4, "{message}");
    let audit = &response["auditAnnotations"];
    assert_eq!(audit, &json!({"decision": "refused", "policies": "production", "rules": "jwt-skew-zero"}));
    assert_eq!(metric(&hook, r#"clockwarden_findings_total{rule="jwt-skew-zero"}"#).await, 1.0);
    assert_eq!(metric(&hook, r#"clockwarden_admission_requests_total{verdict="refused"}"#).await, 1.0);
}

#[tokio::test]
async fn the_strictest_of_all_policies_that_match_holds() {
    let team = [("kubernetes.io/metadata.name", "shop")];
    let elsewhere = [("kubernetes.io/metadata.name", "bank")];
    let hook = with(&[
        ("enforcing", policy(Mode::Enforce, 1, 300, &team)),
        ("strict", policy(Mode::Warn, 10, 60, &[])),
        ("elsewhere", policy(Mode::Enforce, 100, 100, &elsewhere)),
        ("silent", policy(Mode::Off, 50, 50, &[])),
    ]);
    let in_namespace = |namespace: &str, seconds: &str| {
        let mut review = create(leeway(seconds));
        review["request"]["namespace"] = json!(namespace);
        review
    };
    for (namespace, seconds, expected) in [
        ("shop", "5", REFUSED),
        ("shop", "10", ADMITTED),
        ("shop", "60", ADMITTED),
        ("shop", "61", WARNED),
        ("bank", "99", REFUSED),
        ("other", "5", WARNED),
        ("other", "30", ADMITTED),
        // Of no namespace: only the policies that select them all.
        ("", "5", WARNED),
        ("", "99", WARNED),
    ] {
        check(&hook, &format!("{namespace} {seconds}"), &in_namespace(namespace, seconds), expected).await;
    }
    let refused = response(&hook, &in_namespace("shop", "5")).await;
    let message = refused["status"]["message"].as_str().unwrap();
    assert!(message.contains("refused by TimeSyncPolicies enforcing, strict:"), "{message}");
}

#[tokio::test]
async fn an_update_is_refused_only_for_what_it_introduces() {
    let hook = hook(enforcing(), Budget::default());
    let two = |first: &str, second: &str| {
        config_map(json!({"a.properties": format!("jwt.leeway.seconds={first}\n"),
            "b.properties": format!("oidc.clock-skew.seconds={second}\n")}))
    };
    let deployment = |leeways: &[(&str, &str)]| workload("apps/v1", "Deployment", leeways, None);
    let mut scaled = deployment(&[("app", "0")]);
    scaled["spec"]["replicas"] = json!(7);
    for (case, old, new, expected) in [
        ("unchanged", leeway("0"), leeway("0"), WARNED),
        ("mended", leeway("0"), leeway("30"), ADMITTED),
        ("broken", leeway("30"), leeway("0"), REFUSED),
        ("as bad, spelled anew", leeway("0"), leeway("00"), REFUSED),
        ("one more", two("0", "30"), two("0", "0"), (false, 1)),
        ("one less", two("0", "0"), two("0", "30"), WARNED),
        ("the old object had none of it", config_map(json!({"a": "b"})), leeway("0"), REFUSED),
        ("scaled by an edit", deployment(&[("app", "0")]), scaled, WARNED),
        ("a container put before", deployment(&[("app", "0")]), deployment(&[("new", "5"), ("app", "0")]), WARNED),
        (
            "a bad container put before",
            deployment(&[("app", "0")]),
            deployment(&[("new", "0"), ("app", "0")]),
            (false, 1),
        ),
    ] {
        check(&hook, case, &review("UPDATE", new, old), expected).await;
    }
    let response = response(&hook, &review("UPDATE", leeway("0"), leeway("0"))).await;
    assert!(response["warnings"][0].as_str().unwrap().contains("[jwt-skew-zero; already there]"), "{response}");
}

#[tokio::test]
async fn what_is_made_from_an_object_that_is_judged_itself_is_never_refused() {
    let hook = hook(enforcing(), Budget::default());
    let zero = &[("app", "0")];
    for (version, kind, owner, expected) in [
        ("v1", "Pod", None, REFUSED),
        ("apps/v1", "Deployment", None, REFUSED),
        ("apps/v1", "StatefulSet", None, REFUSED),
        ("apps/v1", "DaemonSet", None, REFUSED),
        ("apps/v1", "ReplicaSet", None, REFUSED),
        ("v1", "ReplicationController", None, REFUSED),
        ("batch/v1", "Job", None, REFUSED),
        ("batch/v1", "CronJob", None, REFUSED),
        ("apps/v1", "ReplicaSet", Some(("apps/v1", "Deployment")), WARNED),
        ("v1", "Pod", Some(("apps/v1", "ReplicaSet")), WARNED),
        ("v1", "Pod", Some(("apps/v1", "StatefulSet")), WARNED),
        ("v1", "Pod", Some(("apps/v1", "DaemonSet")), WARNED),
        ("v1", "Pod", Some(("v1", "ReplicationController")), WARNED),
        ("v1", "Pod", Some(("batch/v1", "Job")), WARNED),
        ("batch/v1", "Job", Some(("batch/v1", "CronJob")), WARNED),
        // Nobody judged these before.
        ("v1", "Pod", Some(("v1", "Node")), REFUSED),
        ("v1", "Pod", Some(("example.com/v1", "ReplicaSet")), REFUSED),
        ("apps/v1", "ReplicaSet", Some(("argoproj.io/v1alpha1", "Rollout")), REFUSED),
        ("apps/v1", "Deployment", Some(("apps/v1", "Deployment")), REFUSED),
    ] {
        let object = workload(version, kind, zero, owner);
        check(&hook, &format!("{kind} of {owner:?}"), &create(object), expected).await;
    }
}

#[tokio::test]
async fn subresources_and_deletions_pass_and_debug_containers_are_judged() {
    let hook = hook(enforcing(), Budget::default());
    let owned = workload("v1", "Pod", &[("app", "0")], Some(("apps/v1", "ReplicaSet")));
    let mut debugged = owned.clone();
    debugged["spec"]["ephemeralContainers"] =
        json!([{"name": "debug", "env": [{"name": "JWT_LEEWAY_SECONDS", "value": "0"}]}]);
    let sub = |name: &str, operation: &str, object: &Value, old: &Value| {
        let mut review = review(operation, object.clone(), old.clone());
        review["request"]["subResource"] = json!(name);
        review
    };
    let (bad, fine) = (leeway("0"), leeway("30"));
    for (case, review, expected) in [
        ("status", sub("status", "UPDATE", &bad, &fine), ADMITTED),
        ("scale", sub("scale", "UPDATE", &bad, &fine), ADMITTED),
        ("delete", review("DELETE", Value::Null, bad.clone()), ADMITTED),
        (
            "connect",
            sub("exec", "CONNECT", &json!({"kind": "PodExecOptions", "clockSkew": "0"}), &Value::Null),
            ADMITTED,
        ),
        ("debug", sub("ephemeralcontainers", "UPDATE", &debugged, &owned), (false, 1)),
        ("debug again", sub("ephemeralcontainers", "UPDATE", &debugged, &debugged), (true, 2)),
    ] {
        check(&hook, case, &review, expected).await;
    }
    let mut going = bad.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-11-21T12:00:00Z");
    check(&hook, "finalizer removed", &review("UPDATE", going, fine), ADMITTED).await;
}

#[tokio::test]
async fn objects_of_no_shape_at_all_are_let_in() {
    let hook = hook(enforcing(), Budget::default());
    for object in [
        json!("clockSkew"),
        json!(["clockSkew", 0]),
        json!({"clockSkew": 0}),
        json!({"kind": 7, "clockSkew": "0"}),
        json!({"kind": "ConfigMap", "metadata": "clockSkew", "data": ["clockSkew"]}),
        json!({"kind": "ConfigMap", "data": {"clockSkew": {"a": 0}}}),
        json!({"kind": "Pod", "metadata": {"ownerReferences": {"clockSkew": 1}}, "spec": {"containers": "clockSkew"}}),
    ] {
        let response = response(&hook, &create(object.clone())).await;
        assert_eq!(response["allowed"], true, "{object}: {response}");
    }
}

#[tokio::test]
async fn warnings_are_bounded_in_number_and_length() {
    let hook = with(&[("p", policy(Mode::Warn, 1, 300, &[]))]);
    let long = "x".repeat(300);
    let file = |number: usize| (format!("{long}-{number}.properties"), json!("jwt.leeway.seconds=0\n"));
    let object = config_map(Value::Object((0..40).map(file).collect()));
    let response = check(&hook, "many", &create(object), (true, 16)).await;
    let warnings: Vec<_> = response["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 256), "{warnings:#?}");
    assert!(warnings[15].starts_with("and 25 more"), "{warnings:#?}");
}
