//! What the conditions, counts and Events of a policy say, for specs and totals.

use super::*;
use crate::api::time_sync_policy::NodeCounts;
use kube::api::DynamicObject;
use serde_json::{Value, json};

fn entry(spec: &Value, status: &TimeSyncPolicyStatus) -> PolicyEntry {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
        "metadata": {"name": "p", "generation": 3}, "spec": spec, "status": status,
    }))
    .unwrap();
    PolicyEntry::read(object)
}

fn totals(acted: i32, would: &[&str]) -> Totals {
    let would_act = i32::try_from(would.len()).unwrap();
    let named = would.iter().take(5).map(|name| (*name).to_owned()).collect();
    let counts = NodeCounts { matched: 40, drifting: 9, acted, would_act, ..NodeCounts::default() };
    Totals { counts, cap: 4, would: named, ..Totals::default() }
}

fn tell(entry: &PolicyEntry, totals: &Totals) -> Option<(TimeSyncPolicyStatus, Vec<Notice>)> {
    due("p", entry, totals, &mut Shown::default(), Wall::from_unix_nanos(0))
}

/// `expected`: the condition's status and reason, and a part of its message.
#[track_caller]
fn check(spec: &Value, totals: &Totals, type_: &str, expected: (&str, &str, &str)) {
    let (status, _) = tell(&entry(spec, &TimeSyncPolicyStatus::default()), totals).unwrap();
    let found = status.conditions.iter().find(|c| c.type_ == type_).unwrap();
    assert_eq!((found.status.as_str(), found.reason.as_str()), (expected.0, expected.1), "{}", found.message);
    assert!(found.message.contains(expected.2), "{}", found.message);
}

#[test]
fn every_action_says_what_it_sets_off_in_others() {
    let taint = |taint: Value| json!({"action": {"type": "Taint", "taint": taint}});
    let none = totals(0, &[]);
    check(&json!({}), &none, "Caution", ("False", "NothingEvicted", "evicts nothing"));
    check(&taint(json!({"effect": "NoExecute"})), &none, "Caution", ("True", "NoExecuteEvicts", "running pod"));
    let cordon = json!({"action": {"type": "Cordon"}});
    check(&cordon, &none, "Caution", ("True", "CordonEvictsByDescheduler", "RemovePodsViolatingNodeTaints"));
    let other_key = taint(json!({"key": "example.com/clock"}));
    check(&other_key, &none, "Caution", ("True", "KeyNotTolerated", "toleration for example.com/clock"));
    let both = taint(json!({"key": "example.com/clock", "effect": "NoExecute"}));
    check(&both, &none, "Caution", ("True", "NoExecuteEvicts", "toleration for example.com/clock"));
    let only_seen = json!({"action": {"type": "Observe", "taint": {"effect": "NoExecute"}}});
    check(&only_seen, &none, "Caution", ("False", "NothingEvicted", ""));
    check(&json!({"interval": "soon"}), &none, "Caution", ("Unknown", "Unusable", ""));
}

#[test]
fn observing_and_being_suspended_say_what_would_be_done() {
    let (observe, suspend) = (json!({"action": {"type": "Observe"}}), json!({"suspend": true}));
    let three = totals(0, &["a", "b", "c"]);
    let words = "would taint 3 nodes with clockwarden.io/clock-drift:NoSchedule (a, b, c): spec.action.type is Observe";
    check(&observe, &three, "Degraded", ("False", "WouldAct", words));
    check(&suspend, &three, "Degraded", ("False", "WouldAct", "(a, b, c): spec.suspend is true"));
    check(&suspend, &three, "Suspended", ("True", "Suspended", "undoing goes on"));
    check(&observe, &three, "Suspended", ("False", "Active", ""));
    let many = totals(0, &["a", "b", "c", "d", "e", "f", "g"]);
    check(&observe, &many, "Degraded", ("False", "WouldAct", "(a, b, c, d, e and 2 more)"));
    let cordon = json!({"suspend": true, "action": {"type": "Cordon"}});
    check(&cordon, &totals(0, &["a"]), "Degraded", ("False", "WouldAct", "would cordon 1 node (a)"));
    check(&observe, &totals(0, &[]), "Degraded", ("False", "AsExpected", ""));
    let zone = Totals { zones: vec!["3 of 3 nodes of zone b".to_owned()], ..totals(0, &[]) };
    check(&json!({}), &zone, "Degraded", ("True", "ZoneSuspect", "zone b; nothing new is done to nodes there"));
    let both = Totals { suspicion: Some("all moved".to_owned()), ..zone };
    check(&json!({}), &both, "Degraded", ("True", "ReferenceSuspect", "all moved; nothing new is done"));
    let limited = Totals { limited: 5, ..totals(4, &[]) };
    check(&json!({}), &limited, "Degraded", ("True", "ActionLimited", "5 more nodes would be acted on"));
    check(&json!({}), &limited, "Degraded", ("True", "ActionLimited", "allows 4 (10%) at once"));
}

#[test]
fn an_event_is_told_when_there_begin_to_be_nodes_that_would_be_acted_on_and_not_again() {
    let spec = json!({"action": {"type": "Observe"}});
    let (first, events) = tell(&entry(&spec, &TimeSyncPolicyStatus::default()), &totals(0, &["a"])).unwrap();
    assert_eq!(events.iter().map(|e| (e.reason, e.warning)).collect::<Vec<_>>(), [("WouldAct", false)]);
    assert_eq!(tell(&entry(&spec, &first), &totals(0, &["a"])), None, "nothing has changed");
    let (more, events) = tell(&entry(&spec, &first), &totals(0, &["a", "b"])).unwrap();
    assert_eq!((more.nodes.as_ref().unwrap().would_act, events), (2, vec![]));
    let (none, events) = tell(&entry(&spec, &more), &totals(0, &[])).unwrap();
    assert_eq!((none.nodes.as_ref().unwrap().would_act, events.len()), (0, 0));
    let (_, events) = tell(&entry(&spec, &none), &totals(0, &["a"])).unwrap();
    assert_eq!(events.len(), 1, "it has begun again");
}

#[test]
fn other_nodes_of_the_same_number_are_news() {
    let spec = json!({"action": {"type": "Observe"}});
    let (first, _) = tell(&entry(&spec, &TimeSyncPolicyStatus::default()), &totals(0, &["a"])).unwrap();
    let (second, _) = tell(&entry(&spec, &first), &totals(0, &["b"])).unwrap();
    let message = &second.conditions.iter().find(|c| c.type_ == "Degraded").unwrap().message;
    assert!(message.contains("(b)"), "{message}");
}
