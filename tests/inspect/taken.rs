//! Entries of a ConfigMap or Secret under the names that containers give them: hits, and near misses beside them.

use clockwarden::inspect::Eyes;
use clockwarden::inspect::mend::mend_with;
use clockwarden::inspect::{
    Bounds, Catalogue, FileInspection, Finding, Limits, Resolved, Supplier, Supply, Uses, supplies_in, takers_in,
};
use std::collections::HashMap;

/// What is found in `store`, where what is told stands there and a fix leaves the rest as it is, with the containers of `workload`, which is `deploy.yaml`.
fn look(workload: &str, store: &str, limits: &Limits) -> FileInspection {
    let bounds = Bounds::default();
    let eyes = Eyes { catalogue: Catalogue::builtin(), bounds: &bounds, limits };
    let (suppliers, supplies): (Vec<Supplier>, Vec<Supply>) =
        supplies_in(Some("config.yaml"), store, limits).into_iter().unzip();
    let takers: Vec<Resolved> = takers_in(Some("deploy.yaml"), workload, limits)
        .into_iter()
        .map(|taker| {
            let number = |wanted: &Supplier| suppliers.iter().position(|supplier| supplier == wanted);
            let supplies = taker.variables.iter().map(|variable| variable.from().and_then(number)).collect();
            Resolved { taker, file: "deploy.yaml".to_owned(), supplies }
        })
        .collect();
    let mut of: HashMap<Supplier, Vec<(usize, usize)>> = HashMap::new();
    for (taker, resolved) in takers.iter().enumerate() {
        for (variable, supply) in resolved.supplies.iter().enumerate() {
            if let Some(supplier) = supply.and_then(|supply| suppliers.get(supply)) {
                of.entry(supplier.clone()).or_default().push((taker, variable));
            }
        }
    }
    let uses = Uses { takers: &takers, supplies: &supplies, of };
    let found = eyes.look_with(Some("config.yaml"), store, Some(&uses));
    for finding in findings(&found) {
        let cut = finding.spot.as_ref().map(|spot| spot.extent.of(store));
        assert!(
            cut.is_none_or(|cut| cut == Some(finding.value.as_str())),
            "{finding:?} is told, and {cut:?} stands there"
        );
    }
    if let Some(mended) = mend_with(Some("config.yaml"), store, &found, &eyes, Some(&uses)) {
        let left = eyes.look_with(Some("config.yaml"), &mended.text, Some(&uses));
        assert_eq!(findings(&left).count() + mended.fixed, findings(&found).count(), "{}", mended.text);
    }
    found
}

fn findings(file: &FileInspection) -> impl Iterator<Item = &Finding> {
    file.documents.iter().flat_map(|(_, found)| &found.findings)
}

/// `severity path: variables`, for each finding; the variables are those that its message names.
fn shown(file: &FileInspection) -> Vec<String> {
    let one = |finding: &Finding| {
        let named = finding.message.split("variable ").skip(1).filter_map(|rest| rest.split(' ').next());
        format!("{} {}: {}", finding.severity.as_str(), finding.path, named.collect::<Vec<_>>().join(" "))
    };
    findings(file).map(one).collect()
}

fn config_map(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: auth}}\ndata: {{{data}}}\n")
}

fn deployment(container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: api}}\nspec: {{template: {{spec: {{containers: \
         [{{name: api, {container}}}]}}}}}}\n"
    )
}

/// A container in a Deployment takes variables from ConfigMap `auth`.
#[track_caller]
fn check(container: &str, data: &str, expected: &[&str]) {
    let got = look(&deployment(container), &config_map(data), &Limits::default());
    assert_eq!(shown(&got), expected, "{container} takes {data}");
}

const ALL: &str = "envFrom: [{configMapRef: {name: auth}}]";

fn prefixed(prefix: &str) -> String {
    format!("envFrom: [{{prefix: {prefix}, configMapRef: {{name: auth}}}}]")
}

fn one(name: &str, key: &str) -> String {
    format!("{{name: {name}, valueFrom: {{configMapKeyRef: {{name: auth, key: {key}}}}}}}")
}

#[test]
fn a_name_that_a_container_gives_makes_a_setting() {
    check(&prefixed("JWT_"), "CLOCK_SKEW: '0'", &["error data.CLOCK_SKEW: JWT_CLOCK_SKEW"]);
    check(&prefixed("JWT_CLOCK_"), "SKEW: '0'", &["error data.SKEW: JWT_CLOCK_SKEW"]);
    check(&format!("env: [{}]", one("JWT_LEEWAY", "value")), "value: '0'", &["error data.value: JWT_LEEWAY"]);
    check(&prefixed("JWT_"), "CLOCK_SKEW: '30'", &[]);
    check(&format!("env: [{}]", one("JWT_LEEWAY", "value")), "value: '30', other: '0'", &[]);
}

#[test]
fn a_finding_of_its_own_stays_one_and_says_who_takes_it() {
    check(ALL, "JWT_LEEWAY: '0'", &["error data.JWT_LEEWAY: JWT_LEEWAY"]);
    // Alone it could be any clock's.
    check(ALL, "CLOCK_SKEW: '0'", &["warning data.CLOCK_SKEW: CLOCK_SKEW"]);
    let both = format!("env: [{}, {}]", one("JWT_LEEWAY", "leeway"), one("OIDC_LEEWAY", "leeway"));
    check(&both, "leeway: '0'", &["error data.leeway: JWT_LEEWAY OIDC_LEEWAY"]);
    // What nobody takes is as it is.
    check(&format!("env: [{}]", one("X", "x")), "JWT_LEEWAY: '0', x: '1'", &["error data.JWT_LEEWAY: "]);
}

#[test]
fn who_takes_it_knows_the_product() {
    check(
        &format!("image: maykinmedia/open-zaak, {ALL}"),
        "TIME_LEEWAY: '0'",
        &["error data.TIME_LEEWAY: TIME_LEEWAY"],
    );
    check(&format!("image: nginx, {ALL}"), "TIME_LEEWAY: '0'", &["warning data.TIME_LEEWAY: TIME_LEEWAY"]);
    // Vert.x and SmallRye: zero is the default there.
    check(&prefixed("MP_JWT_VERIFY_"), "CLOCK_SKEW: '0'", &[]);
}

#[test]
fn what_the_container_switches_off_is_none() {
    let off = |switch: &str| format!("{switch}, {ALL}");
    check(&off("env: [{name: JWT_ENABLED, value: 'false'}]"), "JWT_LEEWAY: '0'", &[]);
    check(
        &off("env: [{name: OIDC_ENABLED, value: 'false'}]"),
        "JWT_LEEWAY: '0'",
        &["error data.JWT_LEEWAY: JWT_LEEWAY"],
    );
    check(&off("args: [--jwt-enabled=false]"), "JWT_LEEWAY: '0'", &[]);
    check(&off("args: [--no-oidc]"), "JWT_LEEWAY: '0'", &["error data.JWT_LEEWAY: JWT_LEEWAY"]);
    // The switch is in the ConfigMap too, under a name that becomes one.
    check(&prefixed("JWT_"), "ENABLED: 'false', CLOCK_SKEW: '0'", &[]);
    check(&format!("env: [{}]", one("JWT_LEEWAY", "leeway")), "enabled: 'false', leeway: '0'", &[]);
    check(&format!("env: [{}]", one("JWT_LEEWAY", "leeway")), "JWT_ENABLED: 'false', leeway: '0'", &[]);
    let switch = one("JWT_ENABLED", "on");
    check(&format!("env: [{switch}, {}]", one("JWT_LEEWAY", "leeway")), "on: 'false', leeway: '0'", &[]);
    check(
        &format!("env: [{switch}, {}]", one("JWT_LEEWAY", "leeway")),
        "on: 'true', leeway: '0'",
        &["error data.leeway: JWT_LEEWAY"],
    );
}

#[test]
fn a_later_variable_of_the_same_name_takes_its_place() {
    check(&format!("env: [{{name: JWT_LEEWAY, value: '30'}}], {ALL}"), "JWT_LEEWAY: '0'", &[]);
    check(
        &format!("env: [{}, {{name: A, value: '1'}}], {ALL}", one("JWT_LEEWAY", "good")),
        "JWT_LEEWAY: '0', good: '30'",
        &[],
    );
    // Where another value comes from is not known, but it is another.
    check(
        &format!("env: [{{name: JWT_LEEWAY, valueFrom: {{secretKeyRef: {{name: s, key: k}}}}}}], {ALL}"),
        "JWT_LEEWAY: '0'",
        &[],
    );
    // A name that says nothing, and that is not its own in the end.
    let twice = format!("env: [{}, {{name: LW, value: '5'}}]", one("LW", "JWT_LEEWAY"));
    check(&twice, "JWT_LEEWAY: '0'", &[]);
    let two = |first: &str, second: &str| {
        let container =
            deployment("envFrom: [{configMapRef: {name: auth}}, {prefix: JWT_, configMapRef: {name: more}}]");
        let more = config_map(&format!("LEEWAY: '{second}'")).replace("auth", "more");
        let store = format!("{}---\n{more}", config_map(&format!("JWT_LEEWAY: '{first}'")));
        shown(&look(&container, &store, &Limits::default()))
    };
    assert_eq!(two("0", "30"), [""; 0]);
    assert_eq!(two("30", "0"), ["error data.LEEWAY: JWT_LEEWAY"]);
}

#[test]
fn a_prefix_can_make_it_something_else() {
    check(&prefixed("REFRESH_"), "JWT_LEEWAY: '0'", &[]);
    check(&prefixed("PRICE_"), "CLOCK_SKEW: '0'", &[]);
    // Another name takes words away, and says nothing.
    check(&format!("env: [{}]", one("LW", "JWT_LEEWAY")), "JWT_LEEWAY: '0'", &["error data.JWT_LEEWAY: LW"]);
    check(
        &format!("env: [{}]", one("jwtLeeway", "JWT_LEEWAY")),
        "JWT_LEEWAY: '0'",
        &["error data.JWT_LEEWAY: jwtLeeway"],
    );
}

/// One for whom it counts is enough.
#[test]
fn it_is_withdrawn_only_if_it_counts_for_nobody() {
    let two = |first: &str, second: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: api, namespace: default}}\nspec: {{initContainers: [{{name: a, \
             {first}}}], ephemeralContainers: [{{name: b, {second}}}]}}\n"
        )
    };
    let off = format!("env: [{{name: JWT_LEEWAY, value: '5'}}], {ALL}");
    let shown = |pod: &str| shown(&look(pod, &config_map("JWT_LEEWAY: '0'"), &Limits::default()));
    assert_eq!(shown(&two(&off, &off)), [""; 0]);
    let found = look(&two(&off, ALL), &config_map("JWT_LEEWAY: '0'"), &Limits::default());
    let message = &found.documents[0].1.findings[0].message;
    assert!(
        message.ends_with(" It is variable JWT_LEEWAY of ephemeral container b of Pod default/api (deploy.yaml:4)."),
        "{message}"
    );
    assert_eq!(shown(&two(ALL, &off)), ["error data.JWT_LEEWAY: JWT_LEEWAY"]);
}

#[test]
fn who_takes_it_is_named_up_to_three() {
    let pods = |count: usize| -> String {
        (0..count)
            .map(|number| {
                format!(
                    "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p{number}}}\nspec:\n  containers:\n  - name: c\n    {ALL}\n"
                )
            })
            .collect()
    };
    let message = |count: usize| {
        let found = look(&pods(count), &config_map("JWT_LEEWAY: '0'"), &Limits::default());
        found.documents[0].1.findings[0].message.clone()
    };
    let end = "variable JWT_LEEWAY of container c of Pod p2 (deploy.yaml:24)";
    assert!(message(3).ends_with(&format!("{end}.")), "{}", message(3));
    assert!(message(7).ends_with(&format!("{end} and 4 more.")), "{}", message(7));
    assert!(message(2_000).ends_with(&format!("{end} and 1997 more.")), "{}", message(2_000));
}

/// Not all of them are looked at, and one of the others may be one for whom it counts.
#[test]
fn what_is_taken_too_often_stays_as_it_is_by_itself() {
    let list = |form: &dyn Fn(usize) -> String| (0..20).map(form).collect::<Vec<_>>().join(", ");
    let replaced = list(&|number| format!("{{name: JWT_{number}_LEEWAY, value: '9'}}"));
    let data = list(&|number| format!("JWT_{number}_LEEWAY: '0'"));
    let count = |pods: usize| {
        let pods = format!("---\n{}", deployment(&format!("env: [{replaced}], {ALL}"))).repeat(pods);
        shown(&look(&pods, &config_map(&data), &Limits::default())).len()
    };
    assert_eq!((count(0), count(1), count(1_000), count(1_001)), (20, 0, 0, 20));
}

/// A file of a ConfigMap becomes no variable, and may be read from a volume whoever takes it.
#[test]
fn files_are_left_as_they_are() {
    let file = "jwt.properties: \"jwt.leeway=0\", CACHE: '0'";
    let path = "data[\"jwt.properties\"].jwt.leeway";
    check(ALL, file, &[&format!("error {path}: ")]);
    check(&prefixed("REFRESH_"), file, &[&format!("error {path}: ")]);
    check(
        &format!("env: [{}]", one("jwt_properties", "jwt.properties")),
        file,
        &[&format!("error {path}: jwt_properties")],
    );
}

#[test]
fn options_in_a_variable_are_looked_into_by_its_name() {
    check(&format!("env: [{}]", one("JAVA_OPTS", "x")), "x: 'a -Xmx1g --jwt.leeway=0'", &["error data.x: JAVA_OPTS"]);
    check(&format!("env: [{}]", one("GREETING", "x")), "x: 'a -Xmx1g --jwt.leeway=0'", &[]);
    check(&prefixed("LD_"), "PRELOAD: /usr/lib/libfaketime.so.1", &["error data.PRELOAD: LD_PRELOAD"]);
}

#[test]
fn every_kind_that_has_containers() {
    for (head, open, close) in [
        ("batch/v1\nkind: CronJob", "jobTemplate: {spec: {template: {spec: {containers: [", "]}}}}"),
        ("batch/v1\nkind: Job", "template: {spec: {containers: [", "]}}"),
        ("apps/v1\nkind: StatefulSet", "template: {spec: {initContainers: [", "]}}"),
        ("apps/v1\nkind: DaemonSet", "template: {spec: {containers: [", "]}}"),
        ("apps/v1\nkind: ReplicaSet", "template: {spec: {containers: [", "]}}"),
        ("v1\nkind: Pod", "containers: [", "]"),
        ("argoproj.io/v1alpha1\nkind: Rollout", "template: {spec: {containers: [", "]}}"),
        ("serving.knative.dev/v1\nkind: Service", "template: {spec: {containers: [", "]}}"),
        ("example.org/v1\nkind: App", "podTemplate: {main: ", "}"),
    ] {
        let workload =
            format!("apiVersion: {head}\nmetadata: {{name: x}}\nspec: {{{open}{{name: c, {ALL}}}{close}}}\n");
        let found = look(&workload, &config_map("JWT_LEEWAY: '0'"), &Limits::default());
        assert_eq!(shown(&found), ["error data.JWT_LEEWAY: JWT_LEEWAY"], "{head}");
        let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", workload.trim_end().replace('\n', "\n  "));
        assert_eq!(shown(&look(&list, &config_map("JWT_LEEWAY: '0'"), &Limits::default())).len(), 1, "{list}");
    }
    // What describes others takes nothing.
    let policy = format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: x}}\nspec: {{containers: [{{{}}}]}}\n",
        prefixed("JWT_")
    );
    assert_eq!(
        shown(&look(&policy, &config_map("CLOCK_SKEW: '0'"), &Limits::default())),
        ["warning data.CLOCK_SKEW: "]
    );
}

#[test]
fn an_object_in_a_list_has_its_own_path() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: auth}\n  data:\n    CLOCK_SKEW: '0'\n";
    let found = look(&deployment(&prefixed("JWT_")), list, &Limits::default());
    assert_eq!(shown(&found), ["error items[0].data.CLOCK_SKEW: JWT_CLOCK_SKEW"]);
    let finding = &found.documents[0].1.findings[0];
    assert_eq!((finding.at.line, finding.at.column), (8, 18));
    assert!(finding.message.starts_with("ConfigMap auth: items[0].data.CLOCK_SKEW is \"0\", "), "{}", finding.message);
    assert_eq!(finding.fix, "write `CLOCK_SKEW: \"30\"`");
}

#[test]
fn namespaces_are_kept_apart() {
    let workload =
        |namespace: &str| deployment(&prefixed("JWT_")).replace("name: api}", &format!("name: api{namespace}}}"));
    let store =
        |namespace: &str| config_map("CLOCK_SKEW: '0'").replace("name: auth}", &format!("name: auth{namespace}}}"));
    let is_taken =
        |workload: &str, store: &str| shown(&look(workload, store, &Limits::default()))[0].starts_with("error");
    let (shop, bank, default) = (", namespace: shop", ", namespace: bank", ", namespace: default");
    assert!(is_taken(&workload(shop), &store(shop)) && is_taken(&workload(""), &store("")));
    assert!(is_taken(&workload(default), &store("")) && is_taken(&workload(""), &store(default)));
    assert!(!is_taken(&workload(shop), &store(bank)) && !is_taken(&workload(shop), &store("")));
}

#[test]
fn of_a_secret_no_value_is_told() {
    let secrets = Limits { secrets: true, ..Limits::default() };
    let workload = deployment(
        "env: [{name: JWT_LEEWAY, valueFrom: {secretKeyRef: {name: auth, key: x}}}], envFrom: [{prefix: OIDC_, secretRef: {name: auth}}]",
    );
    for (section, zero) in [("data", "MDBtcw=="), ("stringData", "00ms")] {
        let store = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: auth}}\n{section}:\n  x: {zero}\n  CLOCK_SKEW: {zero}\n"
        );
        let found = look(&workload, &store, &secrets);
        let expected =
            [format!("error {section}.x: JWT_LEEWAY"), format!("error {section}.CLOCK_SKEW: OIDC_CLOCK_SKEW")];
        assert_eq!(shown(&found), expected);
        for finding in &found.documents[0].1.findings {
            assert!(!format!("{finding:?}").contains("00ms"), "{finding:?}");
            assert_eq!((finding.value.as_str(), &finding.spot), ("(not shown)", &None));
        }
        assert_eq!(shown(&look(&workload, &store, &Limits::default())), [""; 0]);
    }
    // What is said as text takes the place of what is said in base64.
    let store = "apiVersion: v1\nkind: Secret\nmetadata: {name: auth}\ndata: {x: MA==}\nstringData: {x: '30'}\n";
    assert_eq!(shown(&look(&workload, store, &secrets)), [""; 0]);
}

/// What a template fills in is not known; the names of two templates are not compared.
#[test]
fn names_that_are_filled_in_are_nobodys() {
    let name = "{{ .Values.name }}";
    let fill = |text: String| {
        format!("{{{{- if .x }}}}\n{}{{{{- end }}}}\n", text.replace("name: auth", &format!("name: {name}")))
    };
    let workload = fill("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    envFrom:\n    - prefix: JWT_\n      configMapRef:\n        name: auth\n".to_owned());
    let store = |name: &str| {
        fill(format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  CLOCK_SKEW: '0'\n"))
    };
    assert_eq!(shown(&look(&workload, &store("auth"), &Limits::default())), ["warning data.CLOCK_SKEW: "]);
    let workload = workload.replace(name, "plain");
    assert_eq!(shown(&look(&workload, &store("plain"), &Limits::default())), ["error data.CLOCK_SKEW: JWT_CLOCK_SKEW"]);
}

#[test]
fn an_annotation_excuses_what_is_found_through_others_too() {
    let store = config_map("CLOCK_SKEW: '0'")
        .replace("name: auth}", "name: auth, annotations: {clockwarden.io/ignore: jwt-skew-zero a test}}");
    let found = look(&deployment(&prefixed("JWT_")), &store, &Limits::default());
    assert_eq!(shown(&found), [""; 0]);
    assert_eq!(found.suppressed.len(), 1);
    assert!(found.suppressed[0].finding.message.contains("variable JWT_CLOCK_SKEW of container api"));
}
