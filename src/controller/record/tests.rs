//! What is stored and what holds in, what is due out.

use super::*;
use crate::clock::{Delta, Judgement, Mono, OffsetInterval, Standing, Why};
use crate::policy::decide::Because;
use crate::policy::{Decision, Outcome};
use serde_json::json;

const NOW: Wall = Wall::from_unix_nanos(1_800_000_000_000_000_000);

fn view(judgement: Judgement, offset_ms: Option<i64>) -> NodeView {
    NodeView {
        node: "n1".into(),
        standing: Standing::new(Mono::from_nanos(0)).observe(judgement, Mono::from_nanos(1)),
        offset: offset_ms.map(|ms| OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), Duration::from_millis(1))),
        decision: Decision { outcome: Outcome::Leave, because: Because::Synchronized },
        acted: false,
        failure: None,
        against: "cluster consensus of 3 of 3 nodes".into(),
        premature: false,
    }
}

fn summary_of(view: &NodeView) -> Summary<'_> {
    Summary {
        view,
        tolerance: Duration::from_millis(500),
        decisions: vec![NodeDecision { policy: "p".into(), decision: view.decision.word() }],
    }
}

fn bare() -> Node {
    serde_json::from_value(json!({"metadata": {"name": "n1"}, "spec": {}})).unwrap()
}

fn tainted() -> Node {
    serde_json::from_value(json!({
        "metadata": {"name": "n1", "annotations": {"clockwarden.io/marks":
            r#"{"taints":[{"key":"k","effect":"NoSchedule","policies":["p"]}]}"#}},
        "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
    }))
    .unwrap()
}

fn kinds(incidents: &[Incident]) -> Vec<&str> {
    incidents.iter().map(|i| i.kind.as_str()).collect()
}

#[test]
fn a_healthy_clock_is_written_once_however_its_offset_wobbles() {
    let (calm, wobbled) = (view(Judgement::Within, Some(0)), view(Judgement::Within, Some(3)));
    let (stored, incidents) = node_clock(None, &summary_of(&calm), &[], &bare(), NOW).unwrap();
    assert_eq!((stored.state.as_str(), incidents.len()), ("Synchronized", 0));
    assert_eq!(node_clock(Some(&stored), &summary_of(&wobbled), &[], &bare(), NOW), None);
}

#[test]
fn drift_mark_and_recovery_are_each_told_once_and_in_order() {
    let (good, bad) = (view(Judgement::Within, Some(0)), view(Judgement::Beyond, Some(15_000)));
    let (mut stored, _) = node_clock(None, &summary_of(&good), &[], &bare(), NOW).unwrap();
    let mut told = Vec::new();
    for (view, node) in [(&bad, bare()), (&bad, tainted()), (&good, tainted()), (&good, bare())] {
        let (status, incidents) = node_clock(Some(&stored), &summary_of(view), &[], &node, NOW).unwrap();
        told.extend(incidents.iter().map(|i| i.kind.clone()));
        stored = status;
        assert_eq!(node_clock(Some(&stored), &summary_of(view), &[], &node, NOW), None);
    }
    assert_eq!(told, ["Drifting", "Tainted", "Recovered", "Untainted"]);
    assert_eq!(kinds(&stored.history), ["Drifting", "Tainted", "Recovered", "Untainted"]);
}

fn jump(wall_after: &str) -> JumpReport {
    serde_json::from_value(json!({
        "number": 1, "cause": "step", "amountSeconds": 15.0, "errorBoundSeconds": 1e-6, "ageSeconds": 0.1,
        "wallBefore": "2026-01-01T12:00:03Z", "wallAfter": wall_after, "evidence": "timerfd",
    }))
    .unwrap()
}

#[test]
fn a_step_is_kept_once_although_the_agent_goes_on_reporting_it() {
    let view = view(Judgement::Within, Some(0));
    let jumps = [jump("2026-01-01T12:00:18Z")];
    let (stored, incidents) = node_clock(None, &summary_of(&view), &jumps, &bare(), NOW).unwrap();
    assert_eq!(kinds(&incidents), ["Stepped"]);
    assert_eq!(node_clock(Some(&stored), &summary_of(&view), &jumps, &bare(), NOW), None);
}

#[test]
fn each_cause_is_an_incident_of_its_own_and_is_told_once() {
    let view = view(Judgement::Within, Some(0));
    let slew = |ongoing: bool, amount: f64| JumpReport {
        cause: "slew".into(),
        ongoing,
        amount_seconds: amount,
        wall_began: Some("2026-01-01T12:00:00Z".into()),
        detail: ongoing.then(|| "+500.000 ppm".into()),
        ..jump("2026-01-01T12:09:00Z")
    };
    let of =
        |cause: &str| JumpReport { cause: cause.into(), detail: Some("why".into()), ..jump("2026-01-01T12:00:18Z") };
    let cases: [(JumpReport, Option<(&str, &str)>); 8] = [
        (of("step"), Some(("Stepped", "; why"))),
        (of("suspend"), Some(("Suspended", "; why"))),
        (of("pause"), Some(("Paused", "stood still; its clock showed 2026-01-01T12:00:18Z instead of"))),
        (of("unexplained"), Some(("Moved", "no clock of the machine tells why; why"))),
        (of("a word of next year"), Some(("Moved", "; why"))),
        // Within the policy's 500 ms, give or take: a daemon at its work.
        (slew(true, 0.4999), None),
        (slew(false, -0.5000005), None),
        (
            slew(true, -0.6),
            Some(("Slewing", "being slewed since 2026-01-01T12:00:00Z, by more than 500.0 ms so far; +500")),
        ),
    ];
    for (jump, expected) in cases {
        let stored = node_clock(None, &summary_of(&view), &[], &bare(), NOW).unwrap().0;
        let due = node_clock(Some(&stored), &summary_of(&view), std::slice::from_ref(&jump), &bare(), NOW);
        let told = due.as_ref().map(|(_, incidents)| (kinds(incidents), incidents[0].message.clone()));
        assert_eq!(told.is_some(), expected.is_some(), "{jump:?}: {told:?}");
        if let (Some((kinds, message)), Some((kind, says))) = (told, expected) {
            assert_eq!(kinds, [kind]);
            assert!(message.contains(says), "{message}");
            // Told again, grown, or with the reason known better, it is the same.
            let grown = JumpReport { amount_seconds: jump.amount_seconds * 2.0, detail: None, ..jump };
            assert_eq!(
                node_clock(due.as_ref().map(|(status, _)| status), &summary_of(&view), &[grown], &bare(), NOW),
                None
            );
        }
    }
}

#[test]
fn a_slew_that_is_over_is_told_with_its_total_beside_its_beginning() {
    let view = view(Judgement::Within, Some(0));
    let slew = |ongoing, amount_seconds| JumpReport {
        cause: "slew".into(),
        wall_began: Some("2026-01-01T12:00:00Z".into()),
        ongoing,
        amount_seconds,
        ..jump("2026-01-01T12:03:00Z")
    };
    let (stored, _) = node_clock(None, &summary_of(&view), &[slew(true, 3.0)], &bare(), NOW).unwrap();
    let (stored, incidents) =
        node_clock(Some(&stored), &summary_of(&view), &[slew(false, 15.0)], &bare(), NOW).unwrap();
    assert_eq!((kinds(&incidents), incidents[0].offset_seconds), (vec!["Slewed"], Some(15.0)));
    assert_eq!(kinds(&stored.history), ["Slewing", "Slewed"]);
    assert_eq!(node_clock(Some(&stored), &summary_of(&view), &[slew(false, 15.0)], &bare(), NOW), None);
}

#[test]
fn what_an_earlier_start_of_the_machine_left_has_its_own_time_and_no_age() {
    let view = view(Judgement::Within, Some(0));
    let earlier = JumpReport { age_seconds: None, ..jump("2026-01-01T12:00:18Z") };
    let (stored, _) = node_clock(None, &summary_of(&view), &[earlier], &bare(), NOW).unwrap();
    assert_eq!(stored.history[0].time.0.to_string(), "2026-01-01T12:00:18Z");
}

#[test]
fn the_history_is_bounded_and_keeps_the_newest() {
    let view = view(Judgement::Within, Some(0));
    let jumps: Vec<_> = (0..40)
        .map(|i| JumpReport {
            age_seconds: Some(f64::from(400 - i * 10)),
            ..jump(&format!("2026-01-01T12:01:{i:02}Z"))
        })
        .collect();
    let (stored, _) = node_clock(None, &summary_of(&view), &jumps, &bare(), NOW).unwrap();
    assert_eq!(stored.history.len(), HISTORY_MAX);
    assert!(stored.history.last().unwrap().message.contains("12:01:39"));
    // The agent goes on reporting all forty; the eight that were dropped must not come back.
    assert_eq!(node_clock(Some(&stored), &summary_of(&view), &jumps, &bare(), NOW), None);
}

#[test]
fn the_condition_changes_with_the_state_and_not_with_the_offset() {
    let good = view(Judgement::Within, Some(0));
    let condition_due = condition(&bare(), &summary_of(&good), NOW).unwrap();
    assert_eq!((condition_due.status.as_str(), condition_due.reason.as_deref()), ("True", Some("WithinTolerance")));
    let mut node = bare();
    node.status = serde_json::from_value(json!({ "conditions": [condition_due] })).unwrap();
    assert_eq!(condition(&node, &summary_of(&view(Judgement::Within, Some(7))), NOW), None);
    let unknown = view(Judgement::Nothing(Why::Stale), None);
    assert_eq!(condition(&node, &summary_of(&unknown), NOW).unwrap().status, "Unknown");
}
