//! What is stored and what holds in, what is due out.

use super::*;
use crate::api::NodeDecision;
use crate::api::node_clock::HISTORY_MAX;
use crate::clock::{Delta, Judgement, Mono, OffsetInterval, Standing, Tolerance, Wall, Why};
use serde_json::json;
use std::time::Duration;

const NOW: Wall = Wall::from_unix_nanos(1_800_000_000_000_000_000);
const START: Mono = Mono::from_nanos(1_000_000_000_000);
const CONSENSUS: &str = "cluster consensus of 3 of 3 nodes";

mod budget;
mod drift;
mod fit;

fn summary_of(judgement: Judgement, offset_ms: Option<i64>) -> Summary<'static> {
    let bound = Duration::from_millis(1);
    Summary {
        standing: Standing::new(Mono::from_nanos(0)).observe(judgement, Mono::from_nanos(1)),
        offset: offset_ms.map(|ms| OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), bound)),
        against: CONSENSUS,
        failure: None,
        tolerance: Tolerance {
            offset_max: Duration::from_millis(500),
            error_max: Duration::from_secs(2),
            unsynchronized_max: Duration::from_secs(300),
            stale_after: Duration::from_secs(60),
        },
        decisions: vec![NodeDecision::of("p", "Leave/Synchronized", "nothing to do")],
    }
}

fn good() -> Summary<'static> {
    summary_of(Judgement::Within, Some(0))
}

fn bad(offset_ms: i64) -> Summary<'static> {
    summary_of(Judgement::Beyond, Some(offset_ms))
}

fn lost() -> Summary<'static> {
    summary_of(Judgement::Nothing(Why::Stale), None)
}

/// The clocks so many seconds after the start.
fn clocks(seconds: f64) -> Sample {
    let passed = Duration::from_secs_f64(seconds);
    let mono = START.after(passed);
    Sample {
        before: mono,
        wall: NOW.plus(Delta::from(passed)),
        boot: crate::clock::Boot::from_nanos(mono.nanos()),
        raw: crate::clock::Raw::from_nanos(mono.nanos()),
        after: mono,
    }
}

/// One NodeClock, its node, and the controller that writes it.
#[derive(Default)]
struct Desk {
    stored: Option<NodeClockStatus>,
    ledger: Ledger,
    node: Node,
    jumps: Vec<JumpReport>,
    /// Kinds of all incidents that were told.
    told: Vec<String>,
    writes: usize,
}

impl Desk {
    /// What is due that many seconds after the start.
    fn due(&mut self, summary: &Summary<'_>, seconds: f64) -> Due {
        let (stored, clocks) = (self.stored.as_ref(), clocks(seconds));
        let draft = Draft::of(stored, summary, &self.jumps, &self.node, &mut self.ledger, &clocks);
        draft.due(&self.ledger)
    }

    /// Writes it, through JSON as the API server keeps it. Returns whether there was anything to write.
    fn look(&mut self, summary: &Summary<'_>, seconds: f64) -> bool {
        let Due::Now(status, news) = self.due(summary, seconds) else { return false };
        self.told.extend(news.iter().map(|it| it.kind.clone()));
        self.stored = Some(serde_json::from_value(serde_json::to_value(&*status).unwrap()).unwrap());
        self.writes += 1;
        true
    }

    /// Another controller takes over, which has seen nothing.
    fn restart(&mut self) {
        self.ledger = Ledger::default();
    }

    fn history(&self) -> &[Incident] {
        self.stored.as_ref().map_or(&[], |status| &status.history)
    }

    fn last(&self, kind: &str) -> &Incident {
        self.history().iter().rfind(|it| it.kind == kind).unwrap()
    }
}

fn untouched() -> Node {
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
    let mut desk = Desk::default();
    assert!(desk.look(&good(), 0.0));
    assert_eq!((desk.stored.as_ref().unwrap().state.as_str(), desk.told.len()), ("Synchronized", 0));
    for second in (1..86_400).step_by(10) {
        assert!(!desk.look(&summary_of(Judgement::Within, Some(second % 7 - 3)), second as f64));
    }
}

#[test]
fn drift_mark_and_recovery_are_each_told_once_and_in_order() {
    let mut desk = Desk::default();
    desk.look(&good(), 0.0);
    let looks = [(bad(15_000), untouched()), (bad(15_000), tainted()), (good(), tainted()), (good(), untouched())];
    for (second, (summary, node)) in looks.into_iter().enumerate() {
        desk.node = node;
        assert!(desk.look(&summary, second as f64 + 1.0));
        // Nor by a controller that has just started.
        assert!(!desk.look(&summary, second as f64 + 1.0));
        desk.restart();
        assert!(!desk.look(&summary, second as f64 + 1.5));
    }
    assert_eq!(desk.told, ["Drifting", "Tainted", "Recovered", "Untainted"]);
    assert_eq!(kinds(desk.history()), ["Drifting", "Tainted", "Untainted"]);
    assert!(desk.last("Tainted").message.contains("k:NoSchedule") && desk.last("Tainted").message.contains(" p"));
}

#[test]
fn a_decision_is_a_change_and_its_words_are_not() {
    let mut desk = Desk::default();
    let decided =
        |word: &str, message: &str| Summary { decisions: vec![NodeDecision::of("p", word, message)], ..bad(15_000) };
    assert!(desk.look(&decided("Leave/HeldDown", "for 30 s more"), 0.0));
    assert!(!desk.look(&decided("Leave/HeldDown", "for 20 s more"), 10.0));
    assert!(desk.look(&decided("Act/Drifting", "beyond tolerance"), 30.0));
    let told = &desk.stored.as_ref().unwrap().decisions[0];
    assert_eq!((told.outcome.as_str(), told.reason.as_str()), ("Act", "Drifting"));
    assert_eq!((told.decision.as_str(), told.message.as_str()), ("Act/Drifting", "beyond tolerance"));
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
    let mut desk = Desk { jumps: vec![jump("2026-01-01T12:00:18Z")], ..Desk::default() };
    assert!(desk.look(&good(), 0.0));
    assert_eq!(kinds(desk.history()), ["Stepped"]);
    assert!(!desk.look(&good(), 1.0));
    desk.restart();
    assert!(!desk.look(&good(), 2.0));
    assert_eq!(desk.told, ["Stepped"]);
}

#[test]
fn each_cause_is_an_incident_of_its_own_and_is_told_once() {
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
        let mut desk = Desk::default();
        desk.look(&good(), 0.0);
        desk.jumps = vec![jump.clone()];
        assert_eq!(desk.look(&good(), 1.0), expected.is_some(), "{jump:?}: {:?}", desk.told);
        let Some((kind, says)) = expected else { continue };
        assert_eq!(desk.told, [kind]);
        assert!(desk.last(kind).message.contains(says), "{}", desk.last(kind).message);
        // Told again, grown, or with the reason known better, it is the same.
        desk.jumps = vec![JumpReport { amount_seconds: jump.amount_seconds * 2.0, detail: None, ..jump }];
        assert!(!desk.look(&good(), 2.0));
    }
}

#[test]
fn a_slew_that_is_over_is_told_with_its_total_beside_its_beginning() {
    let slew = |ongoing, amount_seconds| JumpReport {
        cause: "slew".into(),
        wall_began: Some("2026-01-01T12:00:00Z".into()),
        ongoing,
        amount_seconds,
        ..jump("2026-01-01T12:03:00Z")
    };
    let mut desk = Desk { jumps: vec![slew(true, 3.0)], ..Desk::default() };
    desk.look(&good(), 0.0);
    desk.jumps = vec![slew(false, 15.0)];
    desk.look(&good(), 1.0);
    assert_eq!(
        (&desk.told[..], desk.last("Slewed").offset_seconds),
        (&["Slewing".into(), "Slewed".into()][..], Some(15.0))
    );
    assert!(!desk.look(&good(), 2.0));
}

#[test]
fn what_an_earlier_start_of_the_machine_left_has_its_own_time_and_no_age() {
    for (wall_after, kept) in [
        ("2026-01-01T12:00:18Z", "2026-01-01T12:00:18Z"),
        // A clock that was ahead by years does not write into our future.
        ("2999-01-01T12:00:18Z", "2027-01-15T08:00:00Z"),
    ] {
        let earlier = JumpReport { age_seconds: None, ..jump(wall_after) };
        let mut desk = Desk { jumps: vec![earlier], ..Desk::default() };
        desk.look(&good(), 0.0);
        assert_eq!(desk.history()[0].time.0.to_string(), kept);
    }
}

#[test]
fn the_condition_changes_with_the_state_and_not_with_the_offset() {
    let condition_due = condition(&untouched(), &good(), NOW).unwrap();
    assert_eq!((condition_due.status.as_str(), condition_due.reason.as_deref()), ("True", Some("WithinTolerance")));
    let mut node = untouched();
    node.status = serde_json::from_value(json!({ "conditions": [condition_due] })).unwrap();
    assert_eq!(condition(&node, &summary_of(Judgement::Within, Some(7)), NOW), None);
    assert_eq!(condition(&node, &lost(), NOW).unwrap().status, "Unknown");
}
