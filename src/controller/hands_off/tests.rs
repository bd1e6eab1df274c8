//! One table: what stands on a node, and what follows for a policy.

use super::*;
use crate::api::{TimeSyncPolicy, convert};
use crate::clock::Wall;
use serde_json::{Value, json};

const MARKS: &str = "clockwarden.io/marks";
const UNTIL: &str = "clockwarden.io/exempt-until";
const TAINT: &str = r#"{"taints":[{"key":"clockwarden.io/clock-drift","effect":"NoSchedule","policies":["p"]}]}"#;
const CORDON: &str = r#"{"cordon":["p"]}"#;
/// 2026-01-01T12:00:00Z.
const NOON: i64 = 1_767_268_800_000_000_000;

fn policy(spec: &Value) -> Policy {
    let object: TimeSyncPolicy = serde_json::from_value(json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": "p"}, "spec": spec,
    }))
    .unwrap();
    convert::policy(&object).unwrap()
}

fn labelled(label: &str) -> Value {
    json!({"metadata": {"labels": {label: ""}}})
}

fn annotated(annotations: &[(&str, &str)], taints: &[&str], unschedulable: bool) -> Value {
    let annotations: serde_json::Map<_, _> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let taints: Vec<Value> = taints.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect();
    json!({"metadata": {"annotations": annotations}, "spec": {"taints": taints, "unschedulable": unschedulable}})
}

/// `expected`: whether the policy holds a mark, and the word for why the node is left alone.
#[track_caller]
fn check(spec: &Value, node: &Value, expected: (bool, Option<&str>)) {
    let read: Node = serde_json::from_value(node.clone()).unwrap();
    let found = look(&policy(spec), &read, Now::by_own_clock(Wall::from_unix_nanos(NOON)));
    assert_eq!((found.acted, found.hands_off.map(HandsOff::as_str)), expected, "{node}");
}

#[test]
fn a_node_with_nothing_on_it_is_free() {
    check(&json!({}), &json!({}), (false, None));
    check(&json!({}), &annotated(&[(MARKS, TAINT)], &["clockwarden.io/clock-drift"], false), (true, None));
}

#[test]
fn what_others_did_is_left_alone() {
    let (taint, cordon) = (json!({}), json!({"action": {"type": "Cordon"}}));
    check(&taint, &annotated(&[], &["clockwarden.io/clock-drift"], true), (false, Some("ForeignTaint")));
    check(&cordon, &annotated(&[], &["clockwarden.io/clock-drift"], true), (false, Some("ForeignCordon")));
    check(&taint, &annotated(&[], &["other"], true), (false, None));
    check(&cordon, &annotated(&[(MARKS, CORDON)], &[], true), (true, None));
    check(&cordon, &annotated(&[(MARKS, CORDON)], &[], false), (true, Some("UncordonedByOther")));
}

#[test]
fn the_first_reason_in_order_is_told() {
    let spec = json!({"action": {"type": "Cordon"}});
    let mut node = annotated(&[], &[], true);
    check(&spec, &node, (false, Some("ForeignCordon")));
    node["metadata"]["labels"] = json!({"node-role.kubernetes.io/control-plane": ""});
    check(&spec, &node, (false, Some("ControlPlane")));
    node["metadata"]["annotations"] = json!({UNTIL: "soon"});
    check(&spec, &node, (false, Some("UnreadableExemption")));
    node["metadata"]["annotations"] = json!({UNTIL: "2026-01-01T12:00:01Z"});
    check(&spec, &node, (false, Some("Exempt")));
    node["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    check(&spec, &node, (false, Some("NodeDeleting")));
    node["metadata"]["annotations"][MARKS] = json!("{");
    check(&spec, &node, (false, Some("UnreadableMarks")));
}

#[test]
fn an_exemption_holds_until_its_end_and_is_told_where_it_is_far_ahead() {
    let until = |text: &str| annotated(&[(UNTIL, text)], &[], false);
    check(&json!({}), &until("2026-01-01T12:00:00Z"), (false, Some("Exempt")));
    check(&json!({}), &until("2026-01-01T11:59:59Z"), (false, None));
    check(&json!({}), &until("2026-01-31T12:00:00Z"), (false, Some("Exempt")));
    check(&json!({}), &until("2026-01-31T12:00:01Z"), (false, Some("ExemptFarAhead")));
}

#[test]
fn control_plane_nodes_are_out_unless_the_selector_asks_for_them() {
    for label in CONTROL_PLANE_LABELS {
        let node = labelled(label);
        let select = |expression: Value| json!({"nodeSelector": {"matchExpressions": [expression]}});
        check(&json!({}), &node, (false, Some("ControlPlane")));
        check(&json!({"nodeSelector": {"matchLabels": {"zone": "a"}}}), &node, (false, Some("ControlPlane")));
        check(&select(json!({"key": label, "operator": "Exists"})), &node, (false, None));
        check(&json!({"nodeSelector": {"matchLabels": {label: ""}}}), &node, (false, None));
        check(
            &select(json!({"key": label, "operator": "NotIn", "values": ["x"]})),
            &node,
            (false, Some("ControlPlane")),
        );
        let other = json!({"key": "kubernetes.io/os", "operator": "Exists"});
        check(&select(other), &node, (false, Some("ControlPlane")));
    }
    check(&json!({}), &labelled("node-role.kubernetes.io/worker"), (false, None));
}

#[test]
fn a_suspended_policy_lets_go_of_a_mark_that_somebody_took_off_or_that_it_would_only_now_put_on() {
    let held = annotated(&[(MARKS, TAINT)], &["clockwarden.io/clock-drift"], false);
    let taken_off = annotated(&[(MARKS, TAINT)], &[], false);
    let other_key = json!({"suspend": true, "action": {"taint": {"key": "clockwarden.io/other"}}});
    check(&json!({"suspend": true}), &held, (true, None));
    check(&json!({"suspend": true}), &taken_off, (false, None));
    check(&json!({}), &taken_off, (true, None));
    check(&other_key, &held, (false, None));
}
