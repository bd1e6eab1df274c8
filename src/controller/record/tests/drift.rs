//! Periods of drift: one incident each, with peak and area, whoever was there to write it.

use super::*;
use proptest::prelude::*;

/// Peak, area and measured time of the newest drift; and whether it is over.
fn drift(desk: &Desk) -> (f64, f64, f64, bool) {
    let it = desk.last("Drifting");
    let figure = |figure: Option<f64>| figure.unwrap();
    (figure(it.peak_seconds), figure(it.area_seconds_squared), figure(it.measured_seconds), it.until.is_some())
}

#[test]
fn a_drift_is_one_incident_with_its_peak_and_area_and_outlives_the_repair() {
    let mut desk = Desk::default();
    desk.look(&good(), 0.0);
    for (second, offset) in [(10.0, 2_000), (20.0, 4_000), (30.0, 3_000)] {
        desk.look(&bad(offset), second);
    }
    desk.look(&good(), 40.0);
    assert_eq!(kinds(desk.history()), ["Drifting"]);
    // Trapezoids: 30 + 35 + 15.
    assert_eq!(drift(&desk), (4.0, 80.0, 30.0, true));
    let it = desk.last("Drifting").clone();
    assert_eq!(
        (it.time.0.to_string(), it.until.unwrap().0.to_string()),
        ("2027-01-15T08:00:10Z".into(), "2027-01-15T08:00:40Z".into())
    );
    assert_eq!(it.offset_seconds, Some(2.0));
    // A new one is another incident, with sums of its own.
    desk.look(&bad(-700), 1000.0);
    desk.look(&good(), 1010.0);
    assert_eq!(kinds(desk.history()), ["Drifting", "Drifting"]);
    assert_eq!(drift(&desk), (-0.7, 3.5, 10.0, true));
}

#[test]
fn losing_the_evidence_neither_ends_a_drift_nor_counts_for_it() {
    let mut desk = Desk::default();
    desk.look(&bad(10_000), 0.0);
    desk.look(&bad(10_000), 10.0);
    desk.look(&lost(), 20.0);
    desk.look(&lost(), 500.0);
    desk.look(&bad(10_000), 1000.0);
    desk.look(&good(), 1010.0);
    assert_eq!(kinds(desk.history()), ["Drifting", "Unknown"]);
    assert_eq!(desk.told, ["Drifting", "Unknown", "Drifting", "Recovered"]);
    // 10 s seen, 10 s held, nothing, 10 s to zero.
    assert_eq!(drift(&desk), (10.0, 250.0, 30.0, true));
    assert!(desk.last("Unknown").until.is_some());
}

#[test]
fn a_clock_that_nothing_disciplines_but_is_right_has_recovered() {
    let mut desk = Desk::default();
    desk.look(&bad(10_000), 0.0);
    desk.look(&summary_of(Judgement::Adrift, Some(0)), 10.0);
    assert!(desk.last("Drifting").until.is_some() && desk.last("Unknown").until.is_none());
}

#[test]
fn a_controller_that_takes_over_goes_on_from_what_is_written_and_adds_nothing_twice() {
    let mut desk = Desk::default();
    let mut standby = Ledger::default();
    for second in 0..=300 {
        let summary = bad(2_000);
        desk.look(&summary, f64::from(second));
        standby.learn(desk.stored.as_ref(), &summary, clocks(f64::from(second)).after);
    }
    let written = drift(&desk);
    assert!(written.1 > 400.0 && written.1 < 600.0, "{written:?}");
    // One that has just started: what is written, and what it sees itself.
    desk.restart();
    desk.look(&bad(2_000), 300.0);
    desk.look(&good(), 310.0);
    assert_eq!(drift(&desk), (2.0, written.1 + 10.0, written.2 + 10.0, true));
    // One that stood by all the time knows it all.
    desk.stored.as_mut().unwrap().history[0].until = None;
    desk.stored.as_mut().unwrap().state = "Drifting".into();
    desk.ledger = standby;
    desk.look(&good(), 310.0);
    assert_eq!(drift(&desk), (2.0, 610.0, 310.0, true));
}

#[test]
fn a_controller_that_saw_less_of_a_drift_than_was_written_believes_what_is_written() {
    let (mut desk, mut blind) = (Desk::default(), Ledger::default());
    // It saw the beginning, and nothing more until it takes over.
    blind.learn(None, &bad(2_000), clocks(0.0).after);
    for second in 0..=300 {
        desk.look(&bad(2_000), f64::from(second));
    }
    let written = drift(&desk);
    assert!(written.1 > 400.0, "{written:?}");
    desk.ledger = blind;
    desk.look(&bad(2_000), 300.0);
    desk.look(&good(), 310.0);
    assert_eq!(drift(&desk), (2.0, written.1 + 10.0, written.2 + 10.0, true));
}

#[test]
fn what_another_controller_wrote_of_another_drift_is_not_mixed_with_ours() {
    let mut desk = Desk::default();
    desk.look(&bad(90_000), 0.0);
    desk.look(&bad(90_000), 30.0);
    let mine = std::mem::take(&mut desk.ledger);
    // It ends and another begins, all seen by somebody else.
    desk.look(&good(), 40.0);
    desk.look(&bad(1_000), 100.0);
    desk.ledger = mine;
    desk.look(&bad(1_000), 160.0);
    desk.look(&good(), 170.0);
    let (peak, area, ..) = drift(&desk);
    assert!(peak == 1.0 && area < 6_000.0, "{peak} {area}");
}

proptest! {
    #[test]
    fn sums_are_exact_without_restarts_and_never_too_large_or_shrinking_with_them(
        looks in prop::collection::vec((1u32..90, -20_000i64..20_000, 0u8..8, any::<bool>(), 0u8..10), 1..60)
    ) {
        let mut truth = crate::clock::Drift::default();
        let (mut desk, mut second, mut restarted, mut lost_a_write) = (Desk::default(), 0.0, false, false);
        let mut before = 0.0;
        desk.look(&bad(1_000), second);
        truth.observe(Look::Beyond(Delta::from_nanos(1_000_000_000)), Duration::from_secs(60), clocks(second).after);
        for (step, offset, blind, is_lost, restart) in looks {
            second += f64::from(step);
            let offset = if offset < 0 { offset - 501 } else { offset + 501 };
            let summary = if blind == 0 { lost() } else { bad(offset) };
            truth.observe(summary.look(), Duration::from_secs(60), clocks(second).after);
            if is_lost {
                // Written by nobody, or the answer was lost.
                lost_a_write = true;
                let _ = desk.due(&summary, second);
            } else {
                desk.look(&summary, second);
            }
            if restart == 0 {
                desk.restart();
                restarted = true;
            }
            let (_, area, ..) = drift(&desk);
            prop_assert!(area >= before);
            before = area;
        }
        truth.observe(good().look(), Duration::from_secs(60), clocks(second + 61.0).after);
        let mut tries = 0;
        while !desk.look(&good(), second + 61.0 + f64::from(tries)) {
            tries += 1;
            prop_assert!(tries <= 60, "held back for longer than a minute");
        }
        let (peak, area, measured, is_over) = drift(&desk);
        let (sums, _) = (truth.sums(), lost_a_write);
        prop_assert!(is_over && desk.history().iter().filter(|it| it.kind == "Drifting").count() == 1);
        prop_assert!(area <= sums.area + 1e-3 && measured <= sums.measured.as_secs_f64() + 1e-3);
        if !restarted {
            prop_assert!((area - sums.area).abs() < 1e-3, "{area} {}", sums.area);
            prop_assert_eq!(peak, round(sums.peak.seconds()));
        }
    }
}
