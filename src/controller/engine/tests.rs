//! Objects in, evaluation out: no server, no clock.

use super::*;
use crate::api::FINALIZER;
use crate::clock::{Boot, Delta, Mono, Raw, State, Wall, Why};
use crate::controller::errand::Step;
use crate::controller::fleet::PolicyEntry;
use crate::controller::request::{Refusal, Verb};
use crate::policy::Source;
use k8s_openapi::api::core::v1::Node;
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
    engine: Engine,
    version: u64,
}

impl World {
    fn new(policies: Vec<PolicyEntry>, nodes: Vec<Node>) -> World {
        let mut world = World { engine: Engine::default(), version: 1 };
        let start = clocks(0);
        for policy in policies {
            world.engine.learn(Told::Policy(Change::Put(Box::new(policy))), &start);
        }
        for node in nodes {
            world.engine.learn(Told::Node(Change::Put(Box::new(node))), &start);
        }
        for told in [Told::Node(Change::Synced), Told::Policy(Change::Synced), Told::Clock(Change::Synced)] {
            world.engine.learn(told, &start);
        }
        world
    }

    fn measure(&mut self, node: &str, offset_ms: i64, own_ms: Option<i64>, taken: u64) {
        self.measured(node, offset_ms, own_ms, taken, 0);
    }

    fn measured(&mut self, node: &str, offset_ms: i64, own_ms: Option<i64>, taken: u64, age: u64) {
        let at = |ms: i64| OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), Duration::from_millis(1));
        let reading = NodeReading {
            against_us: Some(at(offset_ms)),
            own: own_ms.map(at),
            age_then: Duration::from_secs(age),
            ..NodeReading::at(clocks(taken))
        };
        self.engine.observe(&AGENT, node, Seen::Good(reading), &clocks(taken));
    }

    /// The node as it is now.
    fn put(&mut self, mut node: Node, seconds: u64) {
        self.version += 1;
        node.metadata.resource_version = Some(self.version.to_string());
        self.engine.learn(Told::Node(Change::Put(Box::new(node))), &clocks(seconds));
    }

    fn policy(&mut self, policy: PolicyEntry, seconds: u64) {
        self.engine.learn(Told::Policy(Change::Put(Box::new(policy))), &clocks(seconds));
    }

    fn words(&mut self, seconds: u64) -> Vec<String> {
        self.engine.settle(&clocks(seconds));
        self.engine.wards.values().flat_map(|ward| ward.views().map(|view| view.decision.word())).collect()
    }

    /// The nodes that shall carry marks.
    fn desired(&mut self, seconds: u64) -> Vec<String> {
        self.engine.settle(&clocks(seconds));
        let nodes = self.engine.fleet.nodes.iter();
        nodes.filter(|(name, node)| !self.engine.desired(name, node).is_empty()).map(|(name, _)| name.clone()).collect()
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
    assert_eq!(world.desired(11), ["n3"]);
    world.put(tainted("n3"), 12);
    world.measure("n3", 0, None, 20);
    assert_eq!(world.words(20)[2], "Keep/Recovering");
    assert_eq!(world.words(30)[2], "Release/Recovered");
    assert!(world.desired(30).is_empty());
}

#[test]
fn without_its_finalizer_a_policy_puts_nothing_on_a_node() {
    let mut world = World::new(vec![policy("p", json!({"action": {"sustainedFor": "0s"}}), false)], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert!(world.desired(10).is_empty());
    assert!(matches!(world.engine.next(&clocks(10)).unwrap().write(), Write::Finalizer { present: true, .. }));
}

#[test]
fn a_restarted_controller_keeps_what_is_marked_until_it_knows_better() {
    let mut world = World::new(vec![eager()], vec![node("n1", &json!({})), tainted("n2")]);
    assert_eq!(world.desired(1), ["n2"]);
    assert!(world.engine.wards["p"].views().all(|n| n.premature));
    assert_eq!(world.desired(7), ["n2"]);
    assert!(world.engine.wards["p"].views().all(|n| !n.premature));
}

#[test]
fn a_policy_that_cannot_be_used_keeps_what_it_holds_and_a_deleted_one_lets_go() {
    for spec in [json!({"source": {"agent": {}, "lease": {}}}), json!({"interval": "soon"})] {
        let mut world = World::new(vec![policy("p", spec, true)], vec![tainted("n1")]);
        assert_eq!(world.desired(1), ["n1"]);
    }
    let mut deleted = eager();
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    deleted.policy.as_mut().unwrap().deleting = true;
    let mut world = World::new(vec![deleted], vec![tainted("n1")]);
    assert!(world.desired(1).is_empty());
    // The mark first, and the finalizer when it is gone.
    assert!(matches!(world.engine.next(&clocks(1)).unwrap().write(), Write::Marks { .. }));
    assert!(world.engine.next(&clocks(1)).is_none());
    world.put(node("n1", &json!({})), 2);
    world.engine.settle(&clocks(2));
    let last = std::iter::from_fn(|| world.engine.next(&clocks(2))).last().unwrap();
    assert!(matches!(last.write(), Write::Finalizer { present: false, .. }), "{last:?}");
}

#[test]
fn a_node_that_no_policy_matches_any_more_is_let_go_whatever_its_clock_says() {
    let zone_b = policy("p", json!({"nodeSelector": {"matchLabels": {"zone": "b"}}}), true);
    let mut world = World::new(vec![zone_b], vec![tainted("n1")]);
    assert!(world.desired(1).is_empty());
}

#[test]
fn two_policies_share_a_mark_and_the_last_one_takes_it_off() {
    let strict = policy("strict", json!({"action": {"sustainedFor": "0s"}, "tolerance": {"maxOffset": "10ms"}}), true);
    let mut world = World::new(vec![eager(), strict], three());
    [("n1", 0), ("n2", 0), ("n3", 100)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    world.engine.settle(&clocks(10));
    let node = world.engine.fleet.nodes.get("n3").unwrap();
    let desired = world.engine.desired("n3", node);
    assert_eq!(desired.held.values().flatten().collect::<Vec<_>>(), ["strict"]);
}

#[test]
fn silence_becomes_unknown_and_nothing_is_done() {
    let mut world = World::new(vec![eager()], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert_eq!(world.words(11)[2], "Act/Drifting");
    assert_eq!(world.words(71), ["Leave/Stale"; 3]);
}

#[test]
fn the_shortest_interval_of_the_policies_wins_and_deleted_policies_ask_nobody() {
    let brisk = policy("brisk", json!({"interval": "1s"}), true);
    let world = World::new(vec![eager(), brisk], three());
    let wanted = crate::controller::sources::wanted(&world.engine.fleet);
    assert_eq!(wanted[&AGENT].keys().collect::<Vec<_>>(), [&"n1", &"n2", &"n3"]);
    assert!(wanted[&AGENT].values().all(|asked| asked.interval == Duration::from_secs(1)));
}

#[test]
fn a_policy_that_changes_over_to_another_source_starts_from_nothing() {
    let mut world = World::new(vec![eager()], three());
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    assert_eq!(world.words(10)[2], "Act/Drifting");
    let elsewhere = json!({"source": {"agent": {"port": 9556}}, "action": {"sustainedFor": "0s"}});
    let mut elsewhere = policy("p", elsewhere, true);
    elsewhere.metadata.generation = Some(2);
    world.policy(elsewhere, 11);
    assert_eq!(world.words(11), ["Leave/NeverMeasured"; 3]);
}

#[test]
fn what_was_stale_when_it_arrived_is_no_evidence_and_says_so() {
    let mut world = World::new(vec![eager()], three());
    for node in ["n1", "n2", "n3"] {
        world.measured(node, 15_000, None, 10, 61);
    }
    world.engine.settle(&clocks(10));
    let views: Vec<_> = world.engine.wards["p"].views().collect();
    assert!(views.iter().all(|n| n.standing.state() == State::Unknown(Why::Stale)));
    assert!(views[0].failure.as_ref().unwrap().contains("staleAfter is 60.000 s"), "{:?}", views[0].failure);
}

#[test]
fn of_half_a_fleet_that_moves_at_once_nothing_is_acted_on() {
    let mut world = World::new(vec![eager()], three());
    for (node, own) in [("n1", 0), ("n2", 15_000), ("n3", 15_000)] {
        world.measure(node, own, Some(own), 10);
    }
    assert!(world.words(10).iter().all(|word| !word.starts_with("Act")), "{:?}", world.words(10));
}

#[test]
fn a_write_of_unknown_outcome_keeps_its_place_until_the_node_was_read() {
    let one = json!({"action": {"sustainedFor": "0s", "recoveredFor": "0s", "limit": {"maxNodes": 1}}});
    let mut world =
        World::new(vec![policy("p", one, true)], ["n1", "n2", "n3", "n4", "n5"].map(|n| node(n, &json!({}))).into());
    [("n1", 0), ("n2", 0), ("n3", 0), ("n4", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    world.engine.settle(&clocks(10));
    // What happens to others at the same moment is heard first.
    assert!(std::iter::from_fn(|| world.engine.next(&clocks(10))).all(|errand| errand.write().kind() != "marks"));
    world.engine.settle(&clocks(11));
    let mut errand = world.engine.next(&clocks(11)).unwrap();
    assert!(matches!(errand.write(), Write::Marks { node, .. } if node == "n4"));
    assert!(matches!(errand.step(None), Step::Ask(request) if request.verb == Verb::Get));
    let live = serde_json::to_value(node("n4", &json!({}))).unwrap();
    assert!(matches!(errand.step(Some(Ok(live))), Step::Ask(request) if request.verb == Verb::Merge));
    let Step::Done(result) = errand.step(Some(Err(Refusal::Silent("broken".into())))) else { panic!("not over") };
    world.engine.answered(errand, result, &clocks(11));
    // It recovers at once, and another one drifts: its place is not free, for it may carry the mark.
    world.measure("n4", 0, None, 12);
    world.measure("n5", 15_000, None, 12);
    assert_eq!(world.words(12)[4], "Leave/ActionLimited");
    let mut errand =
        std::iter::from_fn(|| world.engine.next(&clocks(13))).find(|e| e.write().kind() == "marks").unwrap();
    assert_eq!(errand.write().about(), "n4");
    errand.step(None);
    let live = serde_json::to_value(node("n4", &json!({}))).unwrap();
    let Step::Done(result) = errand.step(Some(Ok(live))) else { panic!("something is to be taken off") };
    world.engine.answered(errand, result, &clocks(13));
    assert_eq!(world.words(13)[4], "Act/Drifting");
}
