use super::*;
use crate::inspect::catalogue::{Meaning, Own};
use crate::inspect::duration::Unit;
use crate::inspect::words::Pattern;
use crate::inspect::{Bounds, Level, Levels};
use crate::policy::selector::Requirement;
use crate::policy::{Admission, Selector};
use crate::webhook::known::{Labels, Mirror};
use serde_json::{Value, json};

/// The list of ConfigMaps.
pub(in super::super) fn target() -> Target {
    of("", "v1", "ConfigMap", "configmaps")
}

fn of(group: &str, version: &str, kind: &str, plural: &str) -> Target {
    let [group, version, kind, plural] = [group, version, kind, plural].map(str::to_owned);
    Target { group, version, kind, plural, is_namespaced: true }
}

/// One finding; the smaller the number, the sooner it is told.
pub(in super::super) fn found(number: usize) -> Found {
    Found {
        severity: Reverse(Severity::Error),
        rule: "jwt-skew-zero",
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: format!("c{number:05}"),
        uid: format!("u{number}"),
        path: "data.leeway".into(),
        value: "0".into(),
        product: "jsonwebtoken".into(),
        message: "leeway is \"0\": no tolerance".into(),
        fix: "write `5`".into(),
        is_refused: true,
        policies: "production".into(),
    }
}

/// A page with these findings, one in each object.
pub(in super::super) fn sheet(found: Vec<(String, Found)>) -> Sheet {
    let items = u32::try_from(found.len()).unwrap();
    Sheet { items, judged: items.into(), found, notes: 0, next: None }
}

fn admission(mode: Mode, team: Option<&str>, bounds: Bounds) -> Admission {
    let requirement = |team: &str| Requirement::In("team".into(), [team.to_owned()].into());
    Admission { mode, bounds, namespaces: Selector(team.map(requirement).into_iter().collect()), settings: Vec::new() }
}

/// Policies, and the namespaces shop and bank, whose teams are called as they are.
fn bench(policies: &[(&str, Admission)]) -> Bench {
    let labels = |team: &str| Labels::from([("team".to_owned(), team.to_owned())]);
    let policies = policies.iter().map(|(name, admission)| ((*name).to_owned(), admission.clone())).collect();
    let namespaces = ["shop", "bank"].map(|name| (name.to_owned(), labels(name))).into();
    let known = Known::new(Mirror::fixed(policies), Mirror::fixed(namespaces));
    Bench { known, spared: vec!["kube-system".into(), "clockwarden-system".into()] }
}

fn everywhere(mode: Mode) -> Bench {
    bench(&[("all", admission(mode, None, Bounds::default()))])
}

fn page(items: &[Value]) -> Vec<u8> {
    json!({"kind": "List", "metadata": {"continue": ""}, "items": items}).to_string().into_bytes()
}

fn config_map(namespace: &str, leeway: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": "c", "uid": "u"}, "data": {"jwt.leeway": leeway}})
}

/// What is found: namespace, name of the object, rule, `!` where the webhook would refuse.
fn check(items: &[Value], target: &Target, bench: &Bench, judged: u64, expected: &[&str]) {
    let sheet = judge(&page(items), target, bench).unwrap();
    let told = |(namespace, found): &(String, Found)| {
        let severity = if found.severity.0 == Severity::Error { "error" } else { "warning" };
        let refused = if found.is_refused { "!" } else { "" };
        format!("{namespace} {} {} {severity}{refused}", found.name, found.rule)
    };
    let got: Vec<String> = sheet.found.iter().map(told).collect();
    assert_eq!((sheet.judged, got.iter().map(String::as_str).collect::<Vec<_>>().as_slice()), (judged, expected));
    assert_eq!(usize::try_from(sheet.items).unwrap(), items.len());
}

#[test]
fn what_the_webhook_would_refuse_is_found_with_all_that_a_report_needs() {
    let bench = everywhere(Mode::Enforce);
    check(&[config_map("shop", "0"), config_map("bank", "30")], &target(), &bench, 2, &["shop c jwt-skew-zero error!"]);
    let sheet = judge(&page(&[config_map("shop", "0")]), &target(), &bench).unwrap();
    let (_, found) = sheet.found.first().unwrap();
    assert_eq!((found.api_version.as_str(), found.kind.as_str(), found.uid.as_str()), ("v1", "ConfigMap", "u"));
    assert_eq!((found.path.as_str(), found.value.as_str()), ("data[\"jwt.leeway\"]", "0"));
    assert!(found.message.starts_with("data[\"jwt.leeway\"] is \"0\", which"), "{}", found.message);
    assert!(found.fix.starts_with("write `"), "{}", found.fix);
    assert_eq!(found.policies, "all");
}

/// A key that only a policy knows, and without any word of the built-in catalogue.
#[test]
fn settings_that_a_policy_describes_are_found() {
    let item =
        json!({"metadata": {"namespace": "bank", "name": "c", "uid": "u"}, "data": {"shop.max-clock-diff": "0"}});
    let own = Own {
        product: "Shop".to_owned(),
        keys: vec![Pattern::new("shop.max-clock-diff").unwrap()],
        unit: Unit::Seconds,
        zero: Meaning::Zero,
        recommended: 1_000_000_000,
    };
    let describing = Admission { settings: vec![own], ..admission(Mode::Warn, Some("shop"), Bounds::default()) };
    let judging = ("judging", admission(Mode::Enforce, None, Bounds::default()));
    let both = bench(&[("describing", describing), judging.clone()]);
    check(std::slice::from_ref(&item), &target(), &both, 1, &["bank c jwt-skew-zero error!"]);
    check(&[item], &target(), &bench(&[judging]), 1, &[]);
}

#[test]
fn modes_bounds_and_levels_of_the_policies_hold_as_at_admission() {
    let sin = [config_map("shop", "0"), config_map("bank", "0")];
    check(&sin, &target(), &everywhere(Mode::Warn), 2, &["shop c jwt-skew-zero error", "bank c jwt-skew-zero error"]);
    check(&sin, &target(), &everywhere(Mode::Off), 0, &[]);
    check(&sin, &target(), &bench(&[]), 0, &[]);
    let one = bench(&[("one", admission(Mode::Enforce, Some("bank"), Bounds::default()))]);
    check(&sin, &target(), &one, 1, &["bank c jwt-skew-zero error!"]);
    // Newer than the list of namespaces: what selects by labels cannot be asked.
    check(&[config_map("new", "0")], &target(), &one, 0, &[]);
    check(&[config_map("new", "0")], &target(), &everywhere(Mode::Warn), 1, &["new c jwt-skew-zero error"]);
    let level = |level| Bounds { levels: Levels::default().with("jwt-skew-zero", level).unwrap(), ..Bounds::default() };
    let with = |bounds| bench(&[("all", admission(Mode::Enforce, None, bounds))]);
    check(&sin[..1], &target(), &with(level(Level::Ignore)), 1, &[]);
    check(&sin[..1], &target(), &with(level(Level::Warning)), 1, &["shop c jwt-skew-zero warning"]);
    let large = Bounds { skew_max: std::time::Duration::from_secs(10), ..Bounds::default() };
    let warned = ["shop c jwt-skew-too-large warning"];
    check(&[config_map("shop", "30")], &target(), &with(large), 1, &warned);
}

#[test]
fn the_namespaces_that_the_webhook_leaves_alone_are_left_alone() {
    let bench = everywhere(Mode::Enforce);
    check(&[config_map("kube-system", "0"), config_map("clockwarden-system", "0")], &target(), &bench, 0, &[]);
    // It cannot select the cluster's own objects by namespace, so they are judged.
    let mut of_cluster = config_map("", "0");
    of_cluster["metadata"].as_object_mut().unwrap().remove("namespace");
    check(&[of_cluster], &target(), &bench, 1, &[" c jwt-skew-zero error!"]);
}

fn workload(name: &str, owner: Option<(&str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .map(
            |(version, kind)| json!({"apiVersion": version, "kind": kind, "name": "o", "uid": "o", "controller": true}),
        )
        .into_iter()
        .collect();
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": name, "ownerReferences": owners},
        "spec": {"template": {"spec": {"containers": [
            {"name": "app", "env": [{"name": "JWT_LEEWAY_SECONDS", "value": "0"}]}]}}},
    })
}

/// A mended Deployment would be a sinner for as long as its history is kept.
#[test]
fn what_a_controller_made_from_an_object_that_is_judged_itself_is_not_judged() {
    let bench = everywhere(Mode::Enforce);
    let sets = of("apps", "v1", "ReplicaSet", "replicasets");
    let by = |name, version, kind| workload(name, Some((version, kind)));
    let all = [by("made", "apps/v1", "Deployment"), by("other", "argoproj.io/v1", "Rollout"), workload("own", None)];
    let expected = ["shop other jwt-skew-zero error!", "shop own jwt-skew-zero error!"];
    check(&all, &sets, &bench, 3, &expected);
    let jobs = of("batch", "v1", "Job", "jobs");
    check(
        &[by("made", "batch/v1", "CronJob"), workload("own", None)],
        &jobs,
        &bench,
        2,
        &["shop own jwt-skew-zero error!"],
    );
    // Nobody makes Deployments.
    let deployments = of("apps", "v1", "Deployment", "deployments");
    check(&[by("d", "apps/v1", "Deployment")], &deployments, &bench, 1, &["shop d jwt-skew-zero error!"]);
}

#[test]
fn what_is_going_is_let_go() {
    let mut going = config_map("shop", "0");
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    check(&[going], &target(), &everywhere(Mode::Enforce), 1, &[]);
}

/// Items of a custom resource's list say what they are, and a kind is known by its name alone where a setting is missing.
#[test]
fn a_products_object_is_known_by_the_kind_that_it_or_its_list_says() {
    let kong = of("configuration.konghq.com", "v1", "KongPlugin", "kongplugins");
    let metadata = json!({"namespace": "shop", "name": "k", "uid": "k"});
    let bare = json!({"metadata": metadata, "plugin": "openid-connect", "config": {"issuer": "https://i"}});
    let expected = ["shop k jwt-skew-unset warning"];
    check(std::slice::from_ref(&bare), &kong, &everywhere(Mode::Enforce), 1, &expected);
    let mut whole = bare;
    whole["apiVersion"] = json!("configuration.konghq.com/v1");
    whole["kind"] = json!("KongPlugin");
    check(&[whole], &kong, &everywhere(Mode::Enforce), 1, &expected);
}

#[test]
fn a_list_goes_on_where_it_says_and_what_is_no_list_is_told() {
    let read = |text: &str| judge(text.as_bytes(), &target(), &everywhere(Mode::Warn));
    let next = |text: &str| read(text).unwrap().next;
    assert_eq!(next(r#"{"metadata":{"continue":"abc"},"items":[]}"#).as_deref(), Some("abc"));
    assert_eq!(next(r#"{"metadata":{"continue":""},"items":null}"#), None);
    for no_list in ["[", "[]", "{}", r#"{"metadata":{}}"#, "<html>", "null"] {
        assert!(read(no_list).is_err(), "{no_list}");
    }
    // A tenant's object cannot stop the audit of the others.
    let odd = read(r#"{"items":[7,{"metadata":{"name":7}},{"metadata":{"name":"x"}}]}"#).unwrap();
    assert_eq!((odd.items, odd.judged, odd.notes), (3, 1, 2));
    let deep = format!(r#"{{"items":[{{"metadata":{{}},"leeway":{}0{}}}]}}"#, "[".repeat(110), "]".repeat(110));
    let deep = read(&deep).unwrap();
    assert_eq!((deep.judged, deep.notes), (1, 1));
}

/// A ConfigMap's text is a tenant's, and reports are shown on terminals and in browsers.
#[test]
fn what_is_told_is_bounded_and_moves_no_cursor() {
    use crate::inspect::tree::{Path, Step};
    let wild = format!("{}\u{1b}[2J\u{202e}\n", "x".repeat(5_000));
    let finding = |text: &str| Finding {
        rule: "jwt-skew-zero",
        severity: Severity::Error,
        path: Path(vec![Step::Key("data".into()), Step::Key(text.into())]),
        at: Position::default(),
        product: text.into(),
        value: text.into(),
        message: text.into(),
        fix: text.into(),
        entry: "p#0".into(),
        spot: None,
    };
    let bench = everywhere(Mode::Warn);
    let ruling = bench.known.ruling("shop").unwrap().unwrap();
    for text in [wild.clone(), wild.chars().rev().collect()] {
        let head = HeadMeta { namespace: "shop".into(), name: text.clone().into(), uid: text.clone().into() };
        let found = told(&finding(&text), &head, &target(), &ruling);
        for told in [&found.path, &found.value, &found.message, &found.fix, &found.product, &found.name, &found.uid] {
            assert!(told.chars().count() <= 500 && !told.contains(['\u{1b}', '\u{202e}', '\n']), "{told}");
        }
    }
}
