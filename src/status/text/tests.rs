//! The text and the exit code for fixed inputs.

use super::*;
use crate::api::TimeSyncPolicy;
use crate::api::convert;
use crate::status::view::{self, Detail};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

const PLAIN: Look = Look { all: false, colour: false };

fn check(shown: &str, expected: &str) {
    let differs = shown.lines().zip(expected.trim_start().lines()).find(|(a, b)| a != b);
    assert!(shown.trim() == expected.trim(), "first difference: {differs:#?}\n{shown}");
}

fn policy(name: &str, selector: &Value, status: &Value) -> PolicyRow {
    let object: TimeSyncPolicy = serde_json::from_value(json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
        "metadata": {"name": name, "uid": "u", "generation": 2}, "spec": {"nodeSelector": selector}, "status": status,
    }))
    .unwrap();
    PolicyRow {
        name: name.to_owned(),
        policy: convert::policy(&object).map_err(|error| error.to_string()),
        status: object.status.unwrap_or_default(),
        generation: object.metadata.generation,
    }
}

fn record(state: &str, offset: Option<f64>, decision: &str) -> Value {
    json!({
        "state": state, "reason": if state == "Unknown" { "SourceUnavailable" } else { "Because" },
        "message": if offset.is_some() { "offset \u{1b}[2J against the cluster" } else { "the agent did not answer" },
        "offsetSeconds": offset, "errorBoundSeconds": offset.map(|_| 0.0012),
        "reference": offset.map(|_| "cluster consensus of 40 of 40 nodes"),
        "since": "2026-01-01T12:00:03.123456Z", "written": "2026-01-01T12:00:33.500000Z",
        "decisions": [{"policy": "production", "decision": decision, "message": "beyond tolerance for 30 s"}],
    })
}

fn row(node: &str, record: Option<Value>, policies: &[PolicyRow]) -> Row {
    let labels = [("watched".to_owned(), (!node.starts_with("spare")).to_string())].into();
    view::row(node.to_owned(), Some(&labels), record.map(|it| serde_json::from_value(it).unwrap()), policies)
}

fn leads() -> Controller {
    Controller::Leads { holder: "cp-1_7_ab".to_owned(), ahead: None }
}

fn example(right: u32) -> Fleet {
    let status = json!({
        "observedGeneration": 1, "nodes": {"matched": 15, "synchronized": 12, "drifting": 1, "unknown": 1, "acted": 1},
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Evaluated", "message": "", "lastTransitionTime": "2026-01-01T12:00:00Z"},
            {"type": "Degraded", "status": "True", "reason": "ActionLimited", "message": "1 of 1 acted on",
             "lastTransitionTime": "2026-01-01T12:00:00Z"},
        ],
    });
    let policies = vec![policy("production", &json!({"matchLabels": {"watched": "true"}}), &status)];
    let mut rows = vec![
        row("worker-9", Some(record("Unknown", None, "Leave/Stale")), &policies),
        row("worker-3", None, &policies),
        row("spare-1", Some(record("Drifting", Some(9.0), "Leave/Stale")), &policies),
        row("worker-17", Some(record("Drifting", Some(-15.0), "Act/Drifting")), &policies),
        row("worker-4", Some(record("Synchronized", Some(0.1), "Keep/Recovering")), &policies),
    ];
    rows.extend((0..right).map(|i| {
        row(&format!("ok-{i}"), Some(record("Synchronized", Some(f64::from(i) / 1e3), "Leave/Synchronized")), &policies)
    }));
    view::fleet(rows, policies, leads())
}

#[test]
fn the_worst_is_on_top_and_what_keeps_a_policy_from_its_work_is_below() {
    check(&fleet(&example(11), PLAIN), "
NODE       STATE                 OFFSET          \u{b1}  SINCE                 DECISION            POLICY
worker-17  Drifting           -15.000 s     1.2 ms  2026-01-01T12:00:03Z  Act/Drifting        production  against cluster consensus of 40 of 40 nodes
worker-9   Unknown                    -          -  2026-01-01T12:00:03Z  Leave/Stale         production  the agent did not answer
worker-3   Unmeasured                 -          -  -                     -                   production  the controller has written nothing about it yet
worker-4   Synchronized       +100.0 ms     1.2 ms  2026-01-01T12:00:03Z  Keep/Recovering     production  against cluster consensus of 40 of 40 nodes
ok-10      Synchronized        +10.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-9       Synchronized         +9.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-8       Synchronized         +8.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-7       Synchronized         +7.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-6       Synchronized         +6.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-5       Synchronized         +5.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-4       Synchronized         +4.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-3       Synchronized         +3.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
ok-2       Synchronized         +2.0 ms     1.2 ms  2026-01-01T12:00:03Z  Leave/Synchronized  production  against cluster consensus of 40 of 40 nodes
\u{2026} and 2 more synchronized (--all lists them)

POLICY       NODES  SYNCHRONIZED  DRIFTING  UNKNOWN  ACTED ON
production      15            12         1        1         1
  NotObserved: its spec is newer than what any controller has looked at
  Degraded (ActionLimited): 1 of 1 acted on

12 synchronized, 1 drifting, 1 unknown, 1 not measured yet, 1 that no policy selects. The newest record was written at 2026-01-01T12:00:33Z.
By these records clocks are at most 15.501 s apart (worker-17 is behind): JWT validation needs a leeway of 30s, and 1s when none drifts.
The controller cp-1_7_ab is at work.");
}

#[test]
fn how_far_apart_clocks_are_is_told_from_what_holds_now() {
    let of = |max: &str, offsets: &[(&str, Option<f64>)]| {
        let mut policy = policy("p", &json!({}), &json!({}));
        if let Ok(policy) = &mut policy.policy {
            policy.tolerance.offset_max = crate::duration::parse(max).unwrap();
        }
        let rows = offsets.iter().enumerate().map(|(i, (state, offset))| {
            row(&format!("n{i}"), Some(record(state, *offset, "Leave/Synchronized")), std::slice::from_ref(&policy))
        });
        let rows = rows.collect();
        view::fleet(rows, vec![policy], leads()).apart()
    };
    let told =
        |apart: Option<view::Apart>| apart.map(|it| (it.at_most.as_millis(), it.leeway.as_secs(), it.ahead, it.behind));
    let right = ("Synchronized", Some(0.001));
    // What was recorded of a right clock may be weeks old: its tolerance is what holds.
    assert_eq!(told(of("500ms", &[right, right])), Some((1_000, 1, None, None)));
    assert_eq!(told(of("600ms", &[right, right])), Some((1_200, 2, None, None)));
    // Where there are not two, there is nothing between them.
    assert_eq!(told(of("500ms", &[right, ("Unknown", None)])), None);
    let (ahead, behind) = (("Drifting", Some(3.0)), ("Drifting", Some(-4.0)));
    let (n1, n2) = (Some("n1".to_owned()), Some("n2".to_owned()));
    assert_eq!(told(of("500ms", &[right, ahead, behind])), Some((7_002, 10, n1.clone(), n2)));
    assert_eq!(told(of("500ms", &[right, ahead, ("Unknown", None)])), Some((3_501, 5, n1, None)));
    // What nobody keeps true tells nothing.
    let mut silent = example(3);
    silent.controller = Controller::Silent { holder: String::new(), renewed: None };
    assert_eq!(silent.apart(), None);
}

#[test]
fn five_thousand_nodes_fit_on_a_screen_unless_all_are_asked_for() {
    let lines = |all: bool| fleet(&example(5_000), Look { all, colour: false }).lines().count();
    assert!(lines(false) < 30 && lines(true) > 5_000, "{} {}", lines(false), lines(true));
}

#[test]
fn colours_are_for_states_only_and_no_control_character_of_a_message_is_printed() {
    let coloured = fleet(&example(1), Look { all: true, colour: true });
    assert!(coloured.contains("\u{1b}[1;31mDrifting") && !coloured.contains("[2J against the cluster, "));
    let fleet = fleet(&example(1), Look { all: true, colour: false });
    assert!(!fleet.chars().any(|c| c.is_control() && c != '\n'), "{fleet}");
}

#[test]
fn a_controller_that_is_not_at_work_is_told_and_makes_the_answer_uncertain() {
    let silent = |holder: &str| Controller::Silent {
        holder: holder.to_owned(),
        renewed: Some(Wall::from_unix_nanos(1_767_268_800_000_000_000)),
    };
    let ahead = Controller::Leads { holder: "h".to_owned(), ahead: Some(Delta::from_nanos(-3_600_000_000_000)) };
    for (leader, exit, says) in [
        (leads(), 1, "The controller cp-1_7_ab is at work."),
        (ahead, 1, "Its clock is 60 min 0 s behind this machine's: one of the two is wrong"),
        (silent("h"), 2, "No controller is at work: h renewed its lease last at 2026-01-01T12:00:00Z by its own clock"),
        (silent(""), 2, "the last one gave up its lease"),
        (Controller::Absent, 1, "There is no leader lease"),
        (Controller::Unseen("it may not".to_owned()), 1, "is not known: it may not."),
    ] {
        let mut example = example(0);
        example.controller = leader;
        let shown = fleet(&example, PLAIN);
        assert!(shown.contains(says), "{shown}");
        assert_eq!(example.exit(), exit, "{:?}", example.controller);
    }
}

#[test]
fn the_exit_code_is_the_worst_of_those_that_a_policy_selects() {
    use Standing::{Drifting, Synchronized, Unknown, Unmeasured};
    for (standings, exit) in [
        (vec![], 2),
        (vec![Synchronized, Synchronized], 0),
        (vec![Synchronized, Unknown], 2),
        (vec![Synchronized, Unmeasured], 2),
        (vec![Unknown, Drifting, Synchronized], 1),
    ] {
        assert_eq!(view::exit(standings.clone().into_iter(), &leads()), exit, "{standings:?}");
    }
    let policies = [policy("p", &json!({"matchLabels": {"watched": "true"}}), &json!({}))];
    let stale = row("spare-1", Some(record("Drifting", Some(9.0), "Act/Drifting")), &policies);
    let good = row("n", Some(record("Synchronized", Some(0.0), "Leave/Synchronized")), &policies);
    // What an earlier policy left counts for nothing.
    assert_eq!(view::fleet(vec![stale, good.clone()], policies.to_vec(), leads()).exit(), 0);
    // A policy that cannot be read may select anything, and what is recorded stands.
    let broken = PolicyRow { policy: Err("spec.interval: no".into()), ..policies[0].clone() };
    let stale = row("spare-1", Some(record("Drifting", Some(9.0), "Act/Drifting")), std::slice::from_ref(&broken));
    assert_eq!(view::fleet(vec![stale, good], vec![broken], leads()).exit(), 1);
}

fn detail(node: Value) -> Detail {
    view::detail(&serde_json::from_value::<Node>(node).unwrap())
}

#[test]
fn all_about_a_node_is_told_newest_first() {
    let policies = [policy("production", &json!({}), &json!({}))];
    let mut record = record("Drifting", Some(-15.0), "Act/Drifting");
    record["message"] = json!("offset -15.000 s against cluster consensus of 40 of 40 nodes, beyond 500.0 ms");
    record["decisions"].as_array_mut().unwrap().push(json!({"policy": "gone", "decision": "Leave/Drifting"}));
    record["droppedUntil"] = json!("2025-12-01T00:00:00.000000Z");
    record["history"] = json!([
        {"time": "2025-12-24T18:00:00.000000Z", "until": "2025-12-24T18:01:00.000000Z", "kind": "Drifting",
         "offsetSeconds": 1.0, "peakSeconds": 20.0, "areaSecondsSquared": 900.04, "measuredSeconds": 60.0,
         "message": "offset +1.000 s"},
        {"time": "2025-12-25T00:00:00.000000Z", "until": "2025-12-25T00:10:00.000000Z", "kind": "Unknown",
         "message": "the agent did not answer"},
        {"time": "2026-01-01T12:00:02.000000Z", "kind": "Stepped", "offsetSeconds": -15.0,
         "message": "wall clock jumped from A to B"},
        {"time": "2026-01-01T12:00:03.000000Z", "kind": "Drifting", "offsetSeconds": -15.0, "peakSeconds": -15.0,
         "areaSecondsSquared": 0.0, "measuredSeconds": 0.0, "message": "offset -15.000 s"},
        {"time": "2026-01-01T12:00:33.000000Z", "kind": "Tainted", "message": "taint k:NoSchedule by TimeSyncPolicy production"},
    ]);
    let on_it = detail(json!({
        "metadata": {"name": "worker-17", "annotations": {
            "clockwarden.io/marks": r#"{"taints":[{"key":"k","effect":"NoSchedule","policies":["production"]}]}"#,
            "clockwarden.io/exempt-until": "2026-02-01T00:00:00Z", "other.io/x": "y",
        }},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "ClockSynchronized", "status": "False", "reason": "BeyondTolerance",
            "lastTransitionTime": "2026-01-01T12:00:03Z"}]},
    }));
    let shown = node(&row("worker-17", Some(record), &policies), &on_it, &leads(), PLAIN);
    check(&shown, "
worker-17: Drifting since 2026-01-01T12:00:03Z
  offset -15.000 s against cluster consensus of 40 of 40 nodes, beyond 500.0 ms (Because)
  written at 2026-01-01T12:00:33Z, by the controller's clock

Decisions:
  production  Act/Drifting: beyond tolerance for 30 s
  gone (does not select it any more)  Leave/Drifting

On the node:
  taint k:NoSchedule by TimeSyncPolicy production, but somebody has removed it
  cordoned, and not by Clockwarden: it stays so
  condition ClockSynchronized=False (BeyondTolerance) since 2026-01-01T12:00:03Z
  annotation clockwarden.io/exempt-until: 2026-02-01T00:00:00Z

History, newest first:
  2026-01-01T12:00:33Z  Tainted: taint k:NoSchedule by TimeSyncPolicy production
  2026-01-01T12:00:03Z and goes on  Drifting: -15.000 s at worst, 0.0 s\u{b2} over 0 s with evidence; began with offset -15.000 s
  2026-01-01T12:00:02Z  Stepped: -15.000 s; wall clock jumped from A to B
  2025-12-25T00:00:00Z to 2025-12-25T00:10:00Z  Unknown: the agent did not answer
  2025-12-24T18:00:00Z to 2025-12-24T18:01:00Z  Drifting: +20.000 s at worst, 15.001 s on average, 900.0 s\u{b2} over 60.000 s with evidence; began with offset +1.000 s
  \u{2026} of what happened until 2025-12-01T00:00:00Z some was dropped to keep the record small

The controller cp-1_7_ab is at work.");
}

#[test]
fn a_node_of_which_nothing_is_known_says_why() {
    let watched = [policy("production", &json!({}), &json!({}))];
    let bare = detail(json!({"metadata": {"name": "n"}}));
    for (policies, says) in
        [(&watched[..], "written nothing about it yet"), (&[][..], "no policy selects it, and none ever did")]
    {
        let shown = node(&row("n", None, policies), &bare, &leads(), PLAIN);
        assert!(shown.contains(says) && shown.contains("nothing of Clockwarden"), "{shown}");
    }
}

#[test]
fn json_is_the_contract() {
    let fleet: Value = serde_json::from_str(&crate::status::report::fleet(&example(1)).unwrap()).unwrap();
    assert_eq!(
        fleet["nodes"][0],
        json!({
            "node": "worker-17", "state": "Drifting", "policies": ["production"], "reason": "Because",
            "message": "offset \u{1b}[2J against the cluster", "offsetSeconds": -15.0, "errorBoundSeconds": 0.0012,
            "reference": "cluster consensus of 40 of 40 nodes", "since": "2026-01-01T12:00:03.123456Z",
            "written": "2026-01-01T12:00:33.500000Z",
            "decisions": [{"policy": "production", "decision": "Act/Drifting", "message": "beyond tolerance for 30 s"}],
        })
    );
    assert_eq!(fleet["nodes"][2]["offsetSeconds"], Value::Null);
    let summary = json!({"synchronized": 2, "drifting": 1, "unknown": 1, "unmeasured": 1, "unwatched": 1});
    assert_eq!(fleet["summary"], summary);
    assert_eq!((&fleet["clusterSkewAtMostSeconds"], &fleet["recommendedLeewaySeconds"]), (&json!(15.5012), &json!(30)));
    assert_eq!(fleet["controller"]["state"], "Leads");
    assert_eq!(fleet["policies"][0]["troubles"][1]["reason"], "Degraded (ActionLimited)");
    let on_it = detail(json!({"metadata": {"name": "n"}, "spec": {"unschedulable": true}}));
    let node = crate::status::report::node(&example(0).rows[0], &on_it, &leads()).unwrap();
    let node: Value = serde_json::from_str(&node).unwrap();
    assert_eq!(
        (&node["node"], &node["foreignCordon"], &node["history"]),
        (&json!("worker-17"), &json!(true), &json!([]))
    );
}
