use super::super::sheet::tests::{found, sheet, target};
use super::super::tally::ALL;
use super::*;
use std::cmp::Reverse;

fn tally(findings: &[(&str, Found)]) -> Tally {
    let mut tally = Tally::default();
    tally.add(&target(), sheet(findings.iter().map(|(ns, found)| ((*ns).to_owned(), found.clone())).collect()));
    tally
}

fn made(kind: ReportKind, tally: &Tally, unix_s: i64) -> Vec<Value> {
    let body = |write: Write| match write.act {
        Act::Make(body) => body,
        other => panic!("{other:?}"),
    };
    missing(kind, &BTreeSet::new(), tally, unix_s).map(body).collect()
}

/// As an API server keeps it.
fn stored(mut body: Value, version: &str) -> Value {
    let metadata = body["metadata"].as_object_mut().unwrap();
    metadata.insert("uid".into(), json!("uid-1"));
    metadata.insert("resourceVersion".into(), json!(version));
    metadata.insert("managedFields".into(), json!([{"manager": "clockwarden-controller"}]));
    body
}

#[test]
fn a_report_says_what_is_wrong_where_and_what_to_write_instead() {
    let warning =
        Found { severity: Reverse(Severity::Warning), rule: "jwt-skew-too-large", is_refused: false, ..found(2) };
    let expected = json!({
        "apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
        "metadata": {"name": "clockwarden", "namespace": "shop", "labels": {
            "app.kubernetes.io/managed-by": "clockwarden", "app.kubernetes.io/name": "clockwarden"}},
        "summary": {"pass": 0, "fail": 1, "warn": 1, "error": 0, "skip": 0},
    });
    let report = made(ReportKind::OfNamespace, &tally(&[("shop", warning), ("shop", found(1))]), 77).remove(0);
    let mut rest = report.clone();
    let results = rest.as_object_mut().unwrap().remove("results").unwrap();
    assert_eq!(rest, expected);
    let first = json!({
        "source": "clockwarden", "category": "Clock safety", "policy": "jwt-skew-zero", "rule": "jwt-skew-zero",
        "result": "fail", "severity": "high", "message": "leeway is \"0\": no tolerance. Fix: write `5`",
        "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "c00001", "uid": "u1"}],
        "properties": {"path": "data.leeway", "value": "0", "product": "jsonwebtoken", "policies": "production",
            "about": RULES.iter().find(|rule| rule.name == "jwt-skew-zero").unwrap().summary},
        "timestamp": {"seconds": 77, "nanos": 0},
    });
    assert_eq!(results[0], first);
    assert_eq!((&results[1]["result"], &results[1]["severity"]), (&json!("warn"), &json!("medium")));
    // Where nobody enforces, an error is told as what it does: it warns.
    let lenient = Found { is_refused: false, ..found(1) };
    let report = made(ReportKind::OfNamespace, &tally(&[("shop", lenient)]), 77).remove(0);
    assert_eq!((&report["results"][0]["result"], &report["results"][0]["severity"]), (&json!("warn"), &json!("high")));
}

#[test]
fn objects_of_no_namespace_have_a_report_of_their_own_kind() {
    let tally = tally(&[("", found(1)), ("shop", found(2))]);
    let of_cluster = made(ReportKind::OfCluster, &tally, 1);
    assert_eq!(of_cluster.len(), 1);
    assert_eq!(of_cluster[0]["kind"], "ClusterPolicyReport");
    assert!(of_cluster[0]["metadata"].get("namespace").is_none());
    assert!(of_cluster[0]["results"][0]["resources"][0].get("namespace").is_none());
    let write = missing(ReportKind::OfCluster, &BTreeSet::new(), &tally, 1).next().unwrap();
    assert_eq!(write.path(), "/apis/wgpolicyk8s.io/v1alpha2/clusterpolicyreports/clockwarden");
    let write = missing(ReportKind::OfNamespace, &BTreeSet::new(), &tally, 1).next().unwrap();
    assert_eq!(write.path(), "/apis/wgpolicyk8s.io/v1alpha2/namespaces/shop/policyreports/clockwarden");
}

/// What is done about a report that exists.
fn check(existing: &Value, tally: &Tally, expected: Option<&Act>) {
    let settled = settle(ReportKind::OfNamespace, std::slice::from_ref(existing), tally, 99);
    assert_eq!(
        settled.writes.iter().map(|write| &write.act).collect::<Vec<_>>(),
        expected.into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn a_report_is_written_only_when_it_says_something_else() {
    let kind = ReportKind::OfNamespace;
    let two = tally(&[("shop", found(1)), ("shop", found(2))]);
    let now = stored(made(kind, &two, 50).remove(0), "7");
    check(&now, &two, None);
    // What stays keeps its time, what is new has its own.
    let three = tally(&[("shop", found(0)), ("shop", found(1)), ("shop", found(2))]);
    let mut expected = made(kind, &three, 50).remove(0);
    expected["results"][0]["timestamp"]["seconds"] = json!(99);
    expected["metadata"]["resourceVersion"] = json!("7");
    check(&now, &three, Some(&Act::Change(expected)));
    // Somebody has edited it.
    let mut edited = now.clone();
    edited["results"][0]["result"] = json!("pass");
    let Some(Write { act: Act::Change(body), .. }) = settle(kind, &[edited], &two, 99).writes.pop() else {
        panic!("it is left as it is")
    };
    assert_eq!(body["results"][0]["result"], "fail");
    // Nothing to say any more.
    let gone = Act::Remove { uid: "uid-1".into(), version: "7".into() };
    check(&now, &Tally::default(), Some(&gone));
    check(&now, &tally(&[("bank", found(1))]), Some(&gone));
}

/// The worst bug that a writer of reports can have.
#[test]
fn a_report_of_somebody_else_is_never_touched() {
    let kind = ReportKind::OfNamespace;
    let ours = stored(made(kind, &tally(&[("shop", found(1))]), 50).remove(0), "7");
    let (mut unlabelled, mut anothers, mut named) = (ours.clone(), ours.clone(), ours);
    unlabelled["metadata"].as_object_mut().unwrap().remove("labels");
    anothers["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("kyverno");
    named["metadata"]["name"] = json!("polr-ns-shop");
    for foreign in [&unlabelled, &anothers, &named] {
        for tally in [tally(&[]), tally(&[("shop", found(2))])] {
            check(foreign, &tally, None);
        }
    }
    let tally = tally(&[("shop", found(2))]);
    let settled = settle(kind, &[unlabelled, named], &tally, 1);
    assert_eq!(settled.foreign, ["shop"]);
    // Nor is one of that name made in its place; one of another name is in nobody's way.
    assert_eq!(missing(kind, &settled.seen, &tally, 1).count(), 0);
}

#[test]
fn a_report_is_bounded_and_says_how_much_it_leaves_out() {
    let worst = |number: usize| Found {
        name: "n".repeat(253),
        path: "\u{1f553}".repeat(200),
        value: "\u{1f553}".repeat(100),
        product: "\u{1f553}".repeat(60),
        message: "\u{1f553}".repeat(500),
        fix: "\u{1f553}".repeat(300),
        policies: "p".repeat(5 * 65),
        ..found(number)
    };
    let all: Vec<(&str, Found)> = (0..1_000).map(|number| ("shop", worst(number))).collect();
    let report = made(ReportKind::OfNamespace, &tally(&all), 1).remove(0);
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), RESULTS);
    let last = results.last().unwrap();
    assert_eq!(last["result"], "skip");
    assert!(last["message"].as_str().unwrap().starts_with("801 more findings"), "{last}");
    assert_eq!(report["summary"], json!({"pass": 0, "fail": 1_000, "warn": 0, "error": 0, "skip": 1}));
    // What an API server takes is 3 MiB (`--max-resource-write-bytes`), what etcd takes is 1.5 MiB.
    let bytes = report.to_string().len();
    assert!(bytes < 1_400_000, "{bytes}");
    assert!(EACH < ALL && results.iter().all(|result| result.get("timestamp").is_some()));
    let exactly: Vec<(&str, Found)> = (0..EACH).map(|number| ("shop", found(number))).collect();
    let report = made(ReportKind::OfNamespace, &tally(&exactly), 1).remove(0);
    assert_eq!((report["results"].as_array().unwrap().len(), &report["summary"]["skip"]), (EACH, &json!(0)));
}
