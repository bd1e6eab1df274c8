//! What is kept when not everything fits.

use super::*;
use crate::api::NodeClock;
use crate::api::node_clock::{NodeClockSpec, OBJECT_BYTES_MAX};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use proptest::prelude::*;

fn many_jumps(count: u32, detail: &str) -> Vec<JumpReport> {
    (0..count)
        .map(|i| JumpReport {
            age_seconds: Some(f64::from((count - i) * 10)),
            detail: Some(detail.to_owned()),
            ..jump(&format!("2026-01-01T12:{:02}:{:02}Z", i / 60, i % 60))
        })
        .collect()
}

#[test]
fn the_history_is_bounded_and_keeps_the_newest() {
    let mut desk = Desk { jumps: many_jumps(40, ""), ..Desk::default() };
    desk.look(&good(), 0.0);
    assert!(desk.history().len() <= HISTORY_MAX && desk.history().len() > 8, "{}", desk.history().len());
    assert!(desk.history().last().unwrap().message.contains("12:00:39"));
    // The agent goes on reporting all forty; those that were dropped must not come back.
    for second in [1.0, 2.0] {
        for jump in &mut desk.jumps {
            jump.age_seconds = jump.age_seconds.map(|age| age + 1.0);
        }
        desk.restart();
        assert!(!desk.look(&good(), second));
    }
    assert_eq!(
        desk.stored.as_ref().unwrap().dropped_until.as_ref().map(|it| it.0 < desk.history()[0].time.0),
        Some(true)
    );
}

#[test]
fn the_newest_of_each_kind_and_the_worst_drift_outlive_a_flood() {
    let mut desk = Desk::default();
    let mut second = 0.0;
    let mut tell = |desk: &mut Desk, summary: &Summary<'_>| {
        second += 100.0;
        desk.look(summary, second)
    };
    for offset in [700, -86_400_000, 900, 800] {
        assert!(tell(&mut desk, &bad(offset)) && tell(&mut desk, &good()));
    }
    desk.node = tainted();
    tell(&mut desk, &good());
    desk.jumps = vec![JumpReport { cause: "pause".into(), ..jump("2026-01-01T11:00:00Z") }];
    tell(&mut desk, &good());
    for i in 0..60 {
        desk.jumps = vec![jump(&format!("2026-01-01T12:00:{i:02}Z"))];
        assert!(tell(&mut desk, &good()));
    }
    let peaks: Vec<f64> = desk.history().iter().filter_map(|it| it.peak_seconds).collect();
    assert_eq!(peaks, [-86_400.0, 0.8]);
    for kind in ["Tainted", "Paused", "Stepped"] {
        assert!(desk.history().iter().any(|it| it.kind == kind), "{kind} is gone");
    }
    assert!(desk.last("Stepped").message.contains("12:00:59"));
}

#[test]
fn nothing_that_an_agent_claims_makes_a_record_that_the_api_server_refuses() {
    let claims = |amount: f64| JumpReport { amount_seconds: amount, ..jump("2026-01-01T11:00:00Z") };
    for jump in [claims(1e308), claims(-1e308), JumpReport { age_seconds: Some(1e300), ..claims(1.0) }] {
        let mut desk = Desk { jumps: vec![jump], ..Desk::default() };
        desk.look(&good(), 0.0);
        let json = serde_json::to_value(desk.stored).unwrap();
        assert!(json["history"][0]["offsetSeconds"].as_f64().is_some_and(|it| it.abs() <= 9.3e9), "{json}");
    }
}

/// The object as the API server keeps it.
fn whole(name: &str, status: &NodeClockStatus) -> NodeClock {
    let mut clock = NodeClock::new(name, NodeClockSpec {});
    clock.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.into(),
        uid: "01234567-89ab-cdef-0123-456789abcdef".into(),
        ..OwnerReference::default()
    }]);
    clock.metadata.uid = Some("01234567-89ab-cdef-0123-456789abcdef".into());
    clock.metadata.resource_version = Some(u64::MAX.to_string());
    clock.metadata.generation = Some(1);
    clock.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(timestamp(NOW)));
    // What two managers of fields leave.
    clock.metadata.annotations = Some([("managed-fields-of-the-server".to_owned(), "x".repeat(1_000))].into());
    clock.status = Some(status.clone());
    clock
}

/// Texts as strangers may send them, and as JSON may make them longer.
fn text() -> impl Strategy<Value = String> {
    const PIECES: [&str; 7] = ["x", "\u{b1} ", "<&>", "\"\\", "\u{1}", "\u{1f570}", "\u{2028}"];
    (0..PIECES.len(), 0usize..400, 0usize..10)
        .prop_map(|(piece, times, plain)| format!("{}{}", "y".repeat(plain), PIECES[piece].repeat(times)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_makes_an_object_larger_than_8_kib(
        length in 1usize..254,
        steps in prop::collection::vec((0u32..200, 0u8..6, text(), any::<i64>()), 1..60),
        policies in prop::collection::vec((text(), text()), 0..40),
    ) {
        let mut desk = Desk::default();
        let mut second = 0.0;
        for (number, (step, kind, text, offset)) in steps.into_iter().enumerate() {
            second += f64::from(step);
            for jump in &mut desk.jumps {
                jump.age_seconds = jump.age_seconds.map(|age| age + f64::from(step));
            }
            let failure = text.clone();
            let mut summary = match kind {
                0 => good(),
                1 => lost(),
                _ => bad(offset / 1_000_000),
            };
            summary.failure = Some(&failure);
            summary.against = &text;
            summary.decisions = policies.iter().map(|(name, text)| NodeDecision::of(name, "Leave/HeldDown", text)).collect();
            desk.node = if kind == 4 { tainted() } else { untouched() };
            let cause = ["step", "pause", "suspend", "slew", "", "step"][usize::from(kind)];
            desk.jumps.push(JumpReport {
                cause: cause.into(),
                detail: Some(text.clone()),
                wall_before: text.clone(),
                ..jump(&format!("{number}"))
            });
            // As many as an agent reports.
            let surplus = desk.jumps.len().saturating_sub(16);
            desk.jumps.drain(..surplus);
            desk.look(&summary, second);
            if let Some(status) = &desk.stored {
                let bytes = room::size(&whole(&"n".repeat(length), status));
                prop_assert!(bytes <= OBJECT_BYTES_MAX, "{bytes} bytes");
            }
            // What was written is what holds: nothing that was cut away is a change.
            let again = desk.due(&summary, second);
            let held_back = matches!(again, Due::Later(_));
            prop_assert!(held_back || again == Due::Nothing, "{again:?}");
        }
    }
}
