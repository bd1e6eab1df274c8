//! Findings are made by hand here, so that each case is about the decision and not about the engine;
//! `tests/webhook/` goes the whole way.

use super::*;
use crate::inspect::Bounds;
use crate::inspect::tree::{Path, Position, Step};

fn finding(severity: Severity, key: &str) -> Finding {
    let rule = if severity == Severity::Error { "jwt-skew-zero" } else { "jwt-skew-too-large" };
    Finding {
        rule,
        severity,
        path: Path(vec![Step::Key(key.into())]),
        at: Position::default(),
        entry: "p#0".into(),
        product: "p".into(),
        value: "0".into(),
        message: "m".into(),
        fix: "f".into(),
        spot: None,
    }
}

fn error(key: &str) -> Finding {
    finding(Severity::Error, key)
}

fn warning(key: &str) -> Finding {
    finding(Severity::Warning, key)
}

fn found(findings: &[Finding]) -> Inspection {
    Inspection { findings: findings.to_vec(), notes: Vec::new() }
}

fn ruling(mode: Mode) -> Ruling {
    Ruling { mode, bounds: Bounds::default(), policies: vec!["production".into()] }
}

fn tree(json: &str) -> Tree {
    tree_from_json(json.as_bytes(), &Limits::default()).unwrap()
}

/// Decision and number of warnings.
fn check(mode: Mode, new: &[Finding], before: &Before, maker: Option<&str>, expected: (Decision, usize)) -> Verdict {
    let object = ObjectRef { kind: "ConfigMap".into(), name: "c".into(), ..ObjectRef::default() };
    let verdict = weigh(&object, &found(new), before, maker, &ruling(mode));
    let case = format!("{mode:?} {new:?} after {before:?} by {maker:?}");
    assert_eq!((verdict.decision, verdict.warnings.len()), expected, "{case}: {verdict:?}");
    assert_eq!(verdict.refusal.is_some(), verdict.decision == Decision::Refused, "{case}");
    assert_eq!(verdict.rules.len(), new.len(), "{case}");
    verdict
}

#[test]
fn the_mode_decides_what_becomes_of_an_error_and_never_hardens_a_warning() {
    use Decision::{Admitted, Refused, Warned};
    let new = &Before::Nothing;
    for (mode, findings, expected) in [
        (Mode::Enforce, vec![], (Admitted, 0)),
        (Mode::Enforce, vec![warning("a")], (Warned, 1)),
        (Mode::Enforce, vec![error("a")], (Refused, 0)),
        (Mode::Enforce, vec![error("a"), warning("b"), error("c")], (Refused, 1)),
        (Mode::Warn, vec![error("a"), warning("b")], (Warned, 2)),
    ] {
        check(mode, &findings, new, None, expected);
    }
}

#[test]
fn an_update_is_refused_only_for_what_it_introduces() {
    use Decision::{Admitted, Refused, Warned};
    let old = |findings: &[Finding]| Before::Known(found(findings));
    for (before, new, expected) in [
        (old(&[error("a")]), vec![error("a")], (Warned, 1)),
        (old(&[error("a")]), vec![], (Admitted, 0)),
        (old(&[]), vec![error("a")], (Refused, 0)),
        (old(&[error("a")]), vec![error("a"), error("b")], (Refused, 1)),
        // The same sin twice is one more than once.
        (old(&[error("a")]), vec![error("a"), error("a")], (Refused, 1)),
        // Another value at the same place is another sin.
        (old(&[Finding { value: "00".into(), ..error("a") }]), vec![error("a")], (Refused, 0)),
        (Before::Unreadable, vec![error("a")], (Warned, 1)),
    ] {
        check(Mode::Enforce, &new, &before, None, expected);
    }
    let verdict = check(Mode::Enforce, &[error("a")], &old(&[error("a")]), None, (Warned, 1));
    assert!(verdict.warnings[0].contains("already there"), "{verdict:?}");
}

#[test]
fn what_a_controller_made_is_warned_about() {
    let verdict =
        check(Mode::Enforce, &[error("a")], &Before::Nothing, Some("ReplicaSet web-1"), (Decision::Warned, 1));
    assert!(verdict.warnings[0].contains("made by ReplicaSet web-1"), "{verdict:?}");
}

#[test]
fn only_builtin_controllers_of_judged_kinds_are_makers() {
    let made = |version: &str, kind: &str, owner: &str| {
        maker(&tree(&format!(
            r#"{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"ownerReferences":[{owner}]}}}}"#
        )))
    };
    let replica_set = r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","controller":true}"#;
    let node = r#"{"apiVersion":"v1","kind":"Node","name":"n","controller":true}"#;
    for (version, kind, owner, expected) in [
        ("v1", "Pod", replica_set, Some("ReplicaSet web-1")),
        ("v1", "Pod", &format!(r#"{{"kind":"X","apiVersion":"x/v1"}},{replica_set}"#), Some("ReplicaSet web-1")),
        ("v1", "Pod", "", None),
        ("v1", "Pod", &replica_set.replace("true", "false"), None),
        ("v1", "Pod", r#"{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1"}"#, None),
        ("v1", "Pod", node, None),
        ("v1", "Pod", &replica_set.replace("apps/v1", "example.com/v1"), None),
        ("v1", "Pod", &replica_set.replace("apps/v1", "v1"), None),
        ("v1", "ConfigMap", replica_set, None),
        ("example.com/v1", "Pod", replica_set, None),
        (
            "v1",
            "Pod",
            r#"{"apiVersion":"v1","kind":"ReplicationController","name":"r","controller":true}"#,
            Some("ReplicationController r"),
        ),
        (
            "batch/v1",
            "Job",
            r#"{"apiVersion":"batch/v1","kind":"CronJob","name":"c","controller":true}"#,
            Some("CronJob c"),
        ),
        (
            "apps/v1",
            "ReplicaSet",
            r#"{"apiVersion":"apps/v1","kind":"Deployment","name":"d","controller":true}"#,
            Some("Deployment d"),
        ),
        (
            "apps/v1",
            "ControllerRevision",
            r#"{"apiVersion":"apps/v1","kind":"StatefulSet","name":"s","controller":true}"#,
            Some("StatefulSet s"),
        ),
        ("apps/v1", "Deployment", r#"{"apiVersion":"apps/v1","kind":"Deployment","name":"d","controller":true}"#, None),
    ] {
        assert_eq!(made(version, kind, owner).as_deref(), expected, "{version} {kind} of {owner}");
    }
}

#[test]
fn most_questions_are_answered_without_a_look_at_the_policies() {
    let skewed: &[u8] = br#"{"data":{"clockSkew":"0"}}"#;
    let plain: &[u8] = br#"{"data":{"colour":"blue"}}"#;
    for (operation, sub_resource, object, expected) in [
        (Operation::Create, "", Some(skewed), true),
        (Operation::Update, "", Some(skewed), true),
        (Operation::Update, "ephemeralcontainers", Some(skewed), true),
        (Operation::Update, "scale", Some(skewed), false),
        (Operation::Update, "status", Some(skewed), false),
        (Operation::Update, "resize", Some(skewed), false),
        (Operation::Delete, "", Some(skewed), false),
        (Operation::Connect, "exec", Some(skewed), false),
        (Operation::Create, "", Some(plain), false),
        (Operation::Create, "", None, false),
    ] {
        let question = Question { operation, sub_resource, object, old: None };
        assert_eq!(question.suspect(Catalogue::builtin()).is_some(), expected, "{question:?}");
    }
}

#[test]
fn what_cannot_be_read_is_let_in_with_a_warning() {
    let judged = |object: &str, limits: &Limits| {
        let question =
            Question { operation: Operation::Create, sub_resource: "", object: Some(object.as_bytes()), old: None };
        judge(&question, &ruling(Mode::Enforce), Catalogue::builtin(), limits)
    };
    let deep = format!(r#"{{"clockSkew":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (object, limits) in [
        (deep.as_str(), Limits::default()),
        (r#"{"clockSkew":"0"}"#, Limits { bytes: 3, ..Limits::default() }),
        (r#"{"clockSkew":"0"}"#, Limits { nodes: 1, ..Limits::default() }),
    ] {
        let verdict = judged(object, &limits);
        assert_eq!((verdict.decision, verdict.warnings.len()), (Decision::Warned, 1), "{verdict:?}");
        assert!(verdict.warnings[0].starts_with("clockwarden could not look into the object"), "{verdict:?}");
    }
}

#[test]
fn a_note_is_said_once_and_not_at_every_update() {
    let note = |message: &str| Note { path: Path::default(), at: Position::default(), message: message.into() };
    let with = |notes: Vec<Note>| Inspection { findings: Vec::new(), notes };
    let weighed = |new, before| weigh(&ObjectRef::default(), &new, &before, None, &ruling(Mode::Enforce));
    let new = weighed(with(vec![note("n")]), Before::Nothing);
    assert_eq!((new.decision, new.warnings.len(), new.audit.len()), (Decision::Warned, 1, 0));
    let same = weighed(with(vec![note("n")]), Before::Known(with(vec![note("n")])));
    assert_eq!((same.decision, same.warnings.len()), (Decision::Admitted, 0));
}

#[test]
fn the_audit_log_names_policies_and_rules() {
    let verdict =
        check(Mode::Enforce, &[warning("b"), error("a"), error("c")], &Before::Nothing, None, (Decision::Refused, 1));
    let expected = [("policies", "production".to_owned()), ("rules", "jwt-skew-too-large,jwt-skew-zero".to_owned())];
    assert_eq!(verdict.audit, expected);
}

#[test]
fn an_object_on_its_way_out_is_left_alone() {
    assert!(is_going(&tree(r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}"#)));
    assert!(!is_going(&tree(r#"{"metadata":{"deletionTimestamp":null}}"#)));
    assert!(!is_going(&tree(r#"{"metadata":{}}"#)));
}
