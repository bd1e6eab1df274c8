//! Objects in, evaluation out: no server, no clock.

use super::*;
use crate::api::FINALIZER;
use crate::clock::{Boot, Delta, Mono, Raw, Wall};
use crate::controller::fleet::PolicyEntry;
use crate::policy::Source;
use serde_json::{Value, json};

/// What a policy asks unless it says otherwise.
const AGENT: Source = Source::Agent { port: 9555 };

const S: u64 = 1_000_000_000;

fn node(name: &str, extra: &Value) -> Node {
    let mut node = json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": "1", "labels": {"zone": "a"}},
        "spec": {}, "status": {"addresses": [{"type": "InternalIP", "address": format!("127.0.1.{}", &name[1..])}]},
    });
    for (key, value) in extra.as_object().unwrap() {
        for (field, value) in value.as_object().unwrap() {
            node[key][field] = value.clone();
        }
    }
    serde_json::from_value(node).unwrap()
}

fn policy(name: &str, spec: Value, finalizer: bool) -> PolicyEntry {
    let finalizers = if finalizer { vec![FINALIZER] } else { vec![] };
    PolicyEntry::read(
        serde_json::from_value(json!({
            "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
            "metadata": {"name": name, "uid": name, "generation": 1, "finalizers": finalizers}, "spec": spec,
        }))
        .unwrap(),
    )
}

/// Our clocks at a second, none of them ever set.
fn clocks(seconds: u64) -> Sample {
    let now = Mono::from_nanos(seconds * S);
    let wall = Wall::from_unix_nanos(i64::try_from(seconds * S).unwrap());
    Sample { before: now, wall, boot: Boot::from_nanos(seconds * S), raw: Raw::from_nanos(seconds * S), after: now }
}

/// A policy that acts at once, on up to nine nodes.
fn eager() -> PolicyEntry {
    let action = json!({"sustainedFor": "0s", "recoveredFor": "10s", "limit": {"maxNodes": 9}});
    policy("p", json!({ "action": action }), true)
}

/// Nodes n1, n2, … whose clocks are so many milliseconds ahead of ours, measured at `taken` seconds.
struct World {
    fleet: Fleet,
    observed: Observed,
    memory: Memory,
}

impl World {
    fn new(policies: Vec<PolicyEntry>, nodes: Vec<Node>) -> World {
        let mut fleet = Fleet::default();
        policies.into_iter().for_each(|p| fleet.policies.put(p));
        nodes.into_iter().for_each(|n| fleet.nodes.put(n));
        World { fleet, observed: Observed::default(), memory: Memory::default() }
    }

    fn measure(&mut self, node: &str, offset_ms: i64, own_ms: Option<i64>, taken: u64) {
        let at = |ms: i64| OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), Duration::from_millis(1));
        let reading =
            NodeReading { against_us: Some(at(offset_ms)), own: own_ms.map(at), ..NodeReading::at(clocks(taken)) };
        *self.observed.entry(&AGENT, node) = Observation { reading: Some(reading), failure: None };
    }

    fn at(&mut self, seconds: u64) -> Evaluation {
        evaluate(&self.fleet, &self.observed, &|_| None, &mut self.memory, &clocks(seconds))
    }

    fn words(&mut self, seconds: u64) -> Vec<String> {
        let evaluation = self.at(seconds);
        evaluation.policies.values().flat_map(|p| p.nodes.iter().map(|n| n.decision.word())).collect()
    }
}

fn three() -> Vec<Node> {
    ["n1", "n2", "n3"].iter().map(|name| node(name, &json!({}))).collect()
}

const OURS: &str = r#"{"taints":[{"key":"clockwarden.io/clock-drift","effect":"NoSchedule","policies":["p"]}]}"#;

/// A node that carries our taint.
fn tainted(name: &str) -> Node {
    let taints = json!([{"key": "clockwarden.io/clock-drift", "effect": "NoSchedule"}]);
    node(name, &json!({"metadata": {"annotations": {"clockwarden.io/marks": OURS}}, "spec": {"taints": taints}}))
}

#[test]
fn one_drifting_node_of_three_is_to_be_tainted_and_let_go_when_it_recovers() {
    let mut world = World::new(vec![eager()], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert_eq!(world.words(10), ["Leave/Synchronized", "Leave/Synchronized", "Act/Drifting"]);
    assert_eq!(world.at(11).desired.keys().collect::<Vec<_>>(), ["n3"]);
    world.fleet.nodes.put(tainted("n3"));
    world.measure("n3", 0, None, 20);
    assert_eq!(world.words(20)[2], "Keep/Recovering");
    assert_eq!(world.words(30)[2], "Release/Recovered");
    assert!(world.at(30).desired.is_empty());
}

#[test]
fn without_its_finalizer_a_policy_puts_nothing_on_a_node() {
    let mut world = World::new(vec![policy("p", json!({"action": {"sustainedFor": "0s"}}), false)], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert!(world.at(10).desired.is_empty());
}

#[test]
fn a_restarted_controller_keeps_what_is_marked_until_it_knows_better() {
    let mut world = World::new(vec![eager()], vec![node("n1", &json!({})), tainted("n2")]);
    let evaluation = world.at(1);
    assert_eq!(evaluation.desired.keys().collect::<Vec<_>>(), ["n2"]);
    assert!(evaluation.policies["p"].nodes.iter().all(|n| n.premature));
    assert!(world.at(7).policies["p"].nodes.iter().all(|n| !n.premature));
}

#[test]
fn a_policy_that_cannot_be_used_keeps_what_it_holds_and_a_deleted_one_lets_go() {
    for (spec, kept) in [(json!({"source": {"agent": {}, "lease": {}}}), true), (json!({"interval": "soon"}), true)] {
        let mut world = World::new(vec![policy("p", spec, true)], vec![tainted("n1")]);
        assert_eq!(!world.at(1).desired.is_empty(), kept);
    }
    let mut deleted = eager();
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    deleted.policy.as_mut().unwrap().deleting = true;
    let mut world = World::new(vec![deleted], vec![tainted("n1")]);
    assert!(world.at(1).desired.is_empty());
}

#[test]
fn a_node_that_no_policy_matches_any_more_is_let_go_whatever_its_clock_says() {
    let zone_b = policy("p", json!({"nodeSelector": {"matchLabels": {"zone": "b"}}}), true);
    let mut world = World::new(vec![zone_b], vec![tainted("n1")]);
    assert!(world.at(1).desired.is_empty());
}

#[test]
fn two_policies_share_a_mark_and_the_last_one_takes_it_off() {
    let strict = policy("strict", json!({"action": {"sustainedFor": "0s"}, "tolerance": {"maxOffset": "10ms"}}), true);
    let mut world = World::new(vec![eager(), strict], three());
    [("n1", 0), ("n2", 0), ("n3", 100)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    let desired = world.at(10).desired;
    let holders: Vec<_> = desired["n3"].held.values().flatten().collect();
    assert_eq!(holders, ["strict"]);
}

#[test]
fn silence_becomes_unknown_and_nothing_is_done() {
    let mut world = World::new(vec![eager()], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert_eq!(world.words(71), ["Leave/Stale"; 3]);
}

#[test]
fn the_shortest_interval_of_the_policies_wins_and_deleted_policies_ask_nobody() {
    let brisk = policy("brisk", json!({"interval": "1s"}), true);
    let world = World::new(vec![eager(), brisk], three());
    let wanted = wanted(&world.fleet);
    assert_eq!(wanted[&AGENT].keys().collect::<Vec<_>>(), [&"n1", &"n2", &"n3"]);
    assert!(wanted[&AGENT].values().all(|asked| asked.interval == Duration::from_secs(1)));
}

#[test]
fn a_policy_that_changes_over_to_another_source_starts_from_nothing() {
    let mut world = World::new(vec![eager()], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert_eq!(world.words(10)[2], "Act/Drifting");
    let elsewhere = json!({"source": {"agent": {"port": 9556}}, "action": {"sustainedFor": "0s"}});
    world.fleet.policies.put(policy("p", elsewhere, true));
    assert_eq!(world.words(11), ["Leave/NeverMeasured"; 3]);
}

#[test]
fn what_was_stale_when_it_arrived_is_no_evidence_and_says_so() {
    let mut world = World::new(vec![eager()], three());
    for node in ["n1", "n2", "n3"] {
        world.measure(node, 15_000, None, 10);
        world.observed.entry(&AGENT, node).reading.as_mut().unwrap().age_then = Duration::from_secs(61);
    }
    let evaluation = world.at(10);
    let nodes = &evaluation.policies["p"].nodes;
    assert!(nodes.iter().all(|n| n.standing.state() == State::Unknown(Why::Stale)));
    assert!(nodes[0].failure.as_ref().unwrap().contains("staleAfter is 60.000 s"), "{:?}", nodes[0].failure);
    assert_eq!(evaluation.skew, None);
}
