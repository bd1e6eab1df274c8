//! Objects in, evaluation out: no server, no clock.

use super::*;
use crate::api::FINALIZER;
use crate::clock::{Boot, Delta, Mono, Raw, State, Wall, Why};
use crate::controller::errand::Step;
use crate::controller::fleet::PolicyEntry;
use crate::controller::request::{Refusal, Verb};
use crate::policy::Outcome;
use crate::policy::Source;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use std::time::Duration;

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

    /// The kinds of all errands that are due; policies that are asked for are answered for with this one.
    fn begin(&mut self, confirmed: &PolicyEntry, seconds: u64) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        while let Some(errand) = self.engine.next(&clocks(seconds)) {
            kinds.push(errand.write().kind());
            if matches!(errand.write(), Write::Confirm { .. }) {
                let answer = Ok(Answer::Policy(Box::new(confirmed.clone())));
                self.engine.answered(errand, answer, &clocks(seconds));
                self.engine.settle(&clocks(seconds));
            }
        }
        kinds
    }

    /// The API server has answered with every policy just now.
    fn read(&mut self, seconds: u64) {
        self.engine.wards.values_mut().for_each(|ward| drop(ward.confirmed(clocks(seconds).after)));
    }

    /// The nodes that shall carry marks.
    fn desired(&mut self, seconds: u64) -> Vec<String> {
        self.engine.settle(&clocks(seconds));
        self.read(seconds);
        let nodes = self.engine.fleet.nodes.iter();
        nodes
            .filter(|(name, node)| !self.engine.desired(name, node, &clocks(seconds)).is_empty())
            .map(|(name, _)| name.clone())
            .collect()
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
    let failed = Seen::Bad("it cannot be reached".into());
    world.engine.observe(&AGENT, "n1", failed, &clocks(2));
    assert_eq!(world.desired(7), ["n2"]);
    assert_eq!(world.engine.wards["p"].views().map(|n| n.premature).collect::<Vec<_>>(), [false, true]);
    assert_eq!(world.desired(61), ["n2"]);
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
    world.read(10);
    let node = world.engine.fleet.nodes.get("n3").unwrap();
    let desired = world.engine.desired("n3", node, &clocks(10));
    assert_eq!(desired.held.values().flatten().collect::<Vec<_>>(), ["strict"]);
}

/// n1 to n5, of which the last two are 10 s and 20 s ahead.
fn two_of_five(policies: Vec<PolicyEntry>) -> World {
    let nodes = ["n1", "n2", "n3", "n4", "n5"];
    let mut world = World::new(policies, nodes.iter().map(|name| node(name, &json!({}))).collect());
    nodes.iter().zip([0, 0, 0, 10_000, 20_000]).for_each(|(n, ms)| world.measure(n, ms, None, 10));
    world
}

/// The marks that a node shall carry, each with its policies.
fn holders(world: &mut World, node: &str, seconds: u64) -> Vec<(String, Vec<String>)> {
    world.read(seconds);
    let live = world.engine.fleet.nodes.get(node).unwrap();
    let marks = world.engine.desired(node, live, &clocks(seconds)).held;
    marks.into_iter().map(|(mark, policies)| (mark.to_string(), policies.into_iter().collect())).collect()
}

#[test]
fn each_policy_counts_what_it_holds_against_its_own_limit() {
    let one = |key: &str| {
        let action = json!({"sustainedFor": "0s", "limit": {"maxNodes": 1}, "taint": {"key": key}});
        json!({ "action": action })
    };
    let shared = "clockwarden.io/clock-drift";
    let mut world = two_of_five(vec![policy("p", one(shared), true), policy("q", one(shared), true)]);
    // Both take the one that is furthest off, and hold the mark together.
    assert_eq!(world.desired(10), ["n5"]);
    assert_eq!(holders(&mut world, "n5", 10), [(format!("taint {shared}:NoSchedule"), vec!["p".into(), "q".into()])]);
    let mut world = two_of_five(vec![policy("p", one(shared), true), policy("q", one("example.com/other"), true)]);
    world.engine.settle(&clocks(10));
    assert_eq!(holders(&mut world, "n5", 10).len(), 2, "two marks of two policies on one node");
}

#[test]
fn a_policy_that_is_suspended_or_only_observes_hinders_no_other_and_holds_nothing_with_it() {
    let dry = |spec: Value| {
        let mut spec = spec;
        spec["tolerance"] = json!({"maxOffset": "10ms"});
        policy("dry", spec, true)
    };
    for spec in [
        json!({"suspend": true, "action": {"sustainedFor": "0s", "limit": {"maxNodes": 9}}}),
        json!({"action": {"type": "Observe", "sustainedFor": "0s", "limit": {"maxNodes": 9}}}),
    ] {
        let mut world = two_of_five(vec![dry(spec), eager()]);
        world.measure("n4", 100, None, 10);
        world.engine.settle(&clocks(10));
        let outcomes = |policy: &str| -> Vec<Outcome> {
            world.engine.wards[policy].views().skip(3).map(|n| n.decision.outcome).collect()
        };
        assert_eq!(outcomes("dry"), [Outcome::WouldAct, Outcome::WouldAct]);
        assert_eq!(outcomes("p"), [Outcome::Leave, Outcome::Act]);
        assert_eq!(holders(&mut world, "n5", 10).into_iter().flat_map(|(_, by)| by).collect::<Vec<_>>(), ["p"]);
        assert!(holders(&mut world, "n4", 10).is_empty());
    }
}

/// n3 drifts, and is exempt until second 100 after the epoch.
fn exempt(extra: &Value) -> World {
    let mut nodes = three();
    let mut third = node("n3", extra);
    let annotations = third.metadata.annotations.get_or_insert_default();
    annotations.insert("clockwarden.io/exempt-until".to_owned(), "1970-01-01T00:01:40Z".to_owned());
    nodes[2] = third;
    World::new(vec![eager()], nodes)
}

#[test]
fn an_exempt_node_is_let_go_and_judged_again_when_the_exemption_ends() {
    let mark = json!({
        "metadata": {"annotations": {"clockwarden.io/marks": OURS}},
        "spec": {"taints": [{"key": "clockwarden.io/clock-drift", "effect": "NoSchedule"}]},
    });
    let mut world = exempt(&mark);
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 90));
    assert_eq!(world.words(90)[2], "Release/Exempt");
    assert!(world.desired(90).is_empty());
    world = exempt(&json!({}));
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 90));
    assert_eq!(world.words(90)[2], "Leave/Exempt");
    let due = world.engine.due(true).unwrap().since(clocks(90).after);
    // The readings' own age leaves some doubt about the time, by which the end comes later.
    assert!(due < Duration::from_millis(10_100), "{due:?}");
    assert_eq!(world.words(101)[2], "Act/Drifting");
}

#[test]
fn a_controller_that_leapt_ahead_ends_no_exemption() {
    let mut world = exempt(&json!({}));
    // By our clock it is an hour later than by everybody else's; theirs says second 50.
    for (node, ms) in [("n1", 0), ("n2", 0), ("n3", 15_000)] {
        world.measure(node, ms - 3_600_000, Some(ms), 3_650);
    }
    assert_eq!(world.words(3_650)[2], "Leave/Exempt");
    for (node, ms) in [("n1", 0), ("n2", 0), ("n3", 15_000)] {
        world.measure(node, ms - 3_600_000, Some(ms), 3_702);
    }
    assert_eq!(world.words(3_702)[2], "Leave/ReferenceSuspect");
}

#[test]
fn an_exempt_node_is_let_go_of_by_a_policy_that_cannot_be_used_too() {
    let until = |name: &str, text: &str| {
        let mut node = tainted(name);
        let annotations = node.metadata.annotations.get_or_insert_default();
        annotations.insert("clockwarden.io/exempt-until".to_owned(), text.to_owned());
        node
    };
    let broken = policy("p", json!({"interval": "soon"}), true);
    let nodes = vec![until("n1", "1970-01-01T00:01:40Z"), tainted("n2"), until("n3", "when Ada is back")];
    let mut world = World::new(vec![broken], nodes);
    assert_eq!(world.desired(1), ["n2", "n3"], "what cannot be read undoes nothing");
}

#[test]
fn a_control_plane_node_is_measured_and_not_acted_on_unless_it_is_asked_for() {
    let labels = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}});
    let asking = json!({
        "nodeSelector": {"matchExpressions": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
        "action": {"sustainedFor": "0s"},
    });
    let mut world = World::new(vec![eager(), policy("q", asking, true)], three());
    world.put(node("n3", &labels), 1);
    [("n1", 0), ("n2", 0), ("n3", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, Some(*ms), 10));
    world.engine.settle(&clocks(10));
    let seen = world.engine.wards["p"].view("n3").unwrap();
    assert_eq!((seen.standing.state(), seen.decision.word().as_str()), (State::Drifting, "Leave/ControlPlane"));
    // Alone it has no consensus to be held against, but its own sources say so too.
    assert_eq!(world.engine.wards["q"].views().count(), 1);
}

#[test]
fn a_whole_zone_is_left_alone_and_a_node_elsewhere_is_not() {
    let in_zone =
        |name: &str, zone: &str| node(name, &json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}));
    let zones = ["a", "a", "a", "a", "a", "a", "b", "b", "b"];
    let nodes = (1..).zip(zones).map(|(n, zone)| in_zone(&format!("n{n}"), zone)).collect();
    let mut world = World::new(vec![eager()], nodes);
    for (n, ms) in (1..).zip([0, 0, 0, 0, 0, 15_000, 5_000, 5_000, 5_000]) {
        world.measure(&format!("n{n}"), ms, None, 10);
    }
    let words = world.words(10);
    assert_eq!(words[5..], ["Act/Drifting", "Leave/ZoneSuspect", "Leave/ZoneSuspect", "Leave/ZoneSuspect"]);
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
fn nothing_new_is_done_by_a_policy_that_was_read_long_ago() {
    let (eager, nodes) = (eager(), ["n1", "n2", "n3", "n4", "n5"].map(|n| node(n, &json!({}))));
    let mut world = World::new(vec![eager.clone()], nodes.into());
    let drift = |world: &mut World, node: &str, at: u64| {
        ["n1", "n2", "n3"].iter().for_each(|node| world.measure(node, 0, None, at));
        world.measure(node, 15_000, None, at);
        world.engine.settle(&clocks(at));
    };
    drift(&mut world, "n4", 10);
    // While what happens to others at the same moment is waited for, the policy is read.
    assert_eq!(world.begin(&eager, 10)[0], "confirm");
    world.engine.settle(&clocks(11));
    assert_eq!(world.begin(&eager, 11)[0], "marks");
    // What a watch did not tell is heard before the next.
    let suspended = PolicyEntry::read(
        serde_json::from_value(json!({
            "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
            "metadata": {"name": "p", "uid": "p", "generation": 2, "resourceVersion": "77", "finalizers": [FINALIZER]},
            "spec": {"suspend": true, "action": {"sustainedFor": "0s", "limit": {"maxNodes": 9}}},
        }))
        .unwrap(),
    );
    drift(&mut world, "n5", 60);
    world.engine.settle(&clocks(61));
    let kinds = world.begin(&suspended, 61);
    assert!(kinds.contains(&"confirm") && !kinds.contains(&"marks"), "{kinds:?}");
    world.engine.settle(&clocks(62));
    let kinds = world.begin(&suspended, 62);
    assert!(!kinds.contains(&"marks"), "{kinds:?}");
}

#[test]
fn a_policy_that_cannot_be_read_keeps_nobody_elses_mark_on() {
    let strict = json!({
        "tolerance": {"maxOffset": "50ms"},
        "action": {"sustainedFor": "0s", "taint": {"key": "q"}, "limit": {"maxNodes": 9}},
    });
    let loose = json!({"action": {"recoveredFor": "0s", "limit": {"maxNodes": 9}}});
    let nodes = vec![node("n1", &json!({})), node("n2", &json!({})), node("n3", &json!({})), tainted("n4")];
    let mut world = World::new(vec![policy("p", loose, true), policy("q", strict, true)], nodes);
    [("n1", 0), ("n2", 0), ("n3", 0), ("n4", 100)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    for seconds in [10, 11] {
        world.engine.settle(&clocks(seconds));
    }
    let errands: Vec<Errand> = std::iter::from_fn(|| world.engine.next(&clocks(11))).collect();
    let marks = errands.iter().find_map(|errand| match errand.write() {
        Write::Marks { node, desired, .. } => Some((node.as_str(), desired.is_empty())),
        _ => None,
    });
    assert_eq!(marks, Some(("n4", true)), "{errands:?}");
    assert!(errands.iter().any(|errand| errand.write().kind() == "confirm"));
}

#[test]
fn a_write_of_unknown_outcome_keeps_its_place_until_the_node_was_read() {
    let one = json!({"action": {"sustainedFor": "0s", "recoveredFor": "0s", "limit": {"maxNodes": 1}}});
    let one = policy("p", one, true);
    let mut world = World::new(vec![one.clone()], ["n1", "n2", "n3", "n4", "n5"].map(|n| node(n, &json!({}))).into());
    [("n1", 0), ("n2", 0), ("n3", 0), ("n4", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
    world.engine.settle(&clocks(10));
    // What happens to others at the same moment is heard first.
    assert!(!world.begin(&one, 10).contains(&"marks"));
    world.engine.settle(&clocks(11));
    let mut errand = world.engine.next(&clocks(11)).unwrap();
    assert!(matches!(errand.write(), Write::Marks { node, .. } if node == "n4"));
    assert!(matches!(errand.step(None), Step::Ask(request) if request.verb == Verb::Merge));
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

#[test]
fn a_write_of_unknown_outcome_gives_no_place_in_the_next_term() {
    let one = json!({"action": {"sustainedFor": "0s", "recoveredFor": "0s", "limit": {"maxNodes": 1}}});
    let one = policy("p", one, true);
    for begins_anew in [false, true] {
        let nodes = ["n1", "n2", "n3", "n4", "n5"].map(|n| node(n, &json!({})));
        let mut world = World::new(vec![one.clone()], nodes.into());
        [("n1", 0), ("n2", 0), ("n3", 0), ("n4", 15_000)].iter().for_each(|(n, ms)| world.measure(n, *ms, None, 10));
        world.engine.settle(&clocks(10));
        world.begin(&one, 10);
        world.engine.settle(&clocks(11));
        let mut errand = world.engine.next(&clocks(11)).unwrap();
        assert!(matches!(errand.step(None), Step::Ask(request) if request.verb == Verb::Merge));
        let Step::Done(result) = errand.step(Some(Err(Refusal::Silent("asleep".into())))) else { panic!("not over") };
        world.engine.answered(errand, result, &clocks(11));
        // Another one leads: it knows of no mark on n4, and gives the only place to n5.
        world.put(tainted("n5"), 12);
        world.measure("n5", 15_000, None, 12);
        world.engine.settle(&clocks(12));
        if begins_anew {
            world.engine.begin_term();
        }
        // n4 is read before anything is known of it, and gets nothing: more places are held than there are, and in a new
        // term it holds none.
        let marked = world.desired(13);
        assert!(!marked.contains(&"n4".to_owned()), "{marked:?}");
        assert_eq!(world.engine.wards["p"].room().held().len(), if begins_anew { 1 } else { 2 });
        let kinds = world.begin(&one, 13);
        assert!(!begins_anew || kinds.contains(&"marks"), "{kinds:?}");
    }
}
