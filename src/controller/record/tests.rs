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
fn the_history_is_bounded_and_keeps_the_newest() {
    let view = view(Judgement::Within, Some(0));
    let jumps: Vec<_> = (0..40)
        .map(|i| JumpReport { age_seconds: f64::from(400 - i * 10), ..jump(&format!("2026-01-01T12:01:{i:02}Z")) })
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
