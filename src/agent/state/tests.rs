use super::*;
use crate::agent::jumps::JUMPS_MAX;
use crate::clock::{Boot, Cause, Delta, Raw, Wall};
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const WALL: i64 = 1_800_000_000_000_000_000;
const TOLERANCE: Tolerance = Tolerance {
    offset_max: Duration::from_millis(500),
    error_max: Duration::from_secs(2),
    unsynchronized_max: Duration::from_secs(300),
    stale_after: Duration::from_secs(60),
};

/// The machine's clocks at `ms` of its running, the wall clock set forward by `set_ms` since the beginning, the
/// machine having slept for `slept_ms`.
fn at(ms: i64, set_ms: i64, slept_ms: i64) -> Sample {
    let mono = |extra: i64| Mono::from_nanos((ms * MS + extra) as u64);
    Sample {
        before: mono(0),
        wall: Wall::from_unix_nanos(WALL + (ms + set_ms + slept_ms) * MS),
        boot: Boot::from_nanos(((ms + slept_ms) * MS) as u64),
        raw: Raw::from_nanos((ms * MS) as u64),
        after: mono(200),
    }
}

fn core(names: &[&str]) -> Core {
    let who = Identity { node: "n1".into(), instance: "i1".into() };
    Core::new(who, TOLERANCE, names, at(0, 0, 0))
}

fn measured(offset_ms: i64, bound_us: u64, clocks: Sample) -> Outcome {
    let interval = OffsetInterval::new(Delta::from_nanos(offset_ms * MS), Duration::from_micros(bound_us));
    Outcome::Measured(Measured { interval, clocks, reference: None })
}

/// State, reason and offset in milliseconds of the report at `clocks`.
fn said(core: &mut Core, clocks: Sample) -> (String, Option<String>, Option<i64>) {
    let report = core.report(&clocks);
    let offset_ms = report.offset_seconds.map(|s| (s * 1e3).round() as i64);
    (report.state, report.reason, offset_ms)
}

#[test]
fn each_state_comes_with_its_reason() {
    let straddling = || measured(510, 20_000, at(10, 0, 0));
    type Case = (&'static str, Vec<(usize, Outcome)>, &'static str, Option<&'static str>, Option<i64>);
    let cases: Vec<Case> = vec![
        ("nothing asked", vec![], "Unknown", Some("NeverMeasured: no source has been asked yet"), None),
        ("right", vec![(0, measured(3, 100, at(10, 0, 0)))], "Synchronized", None, Some(3)),
        (
            "wrong",
            vec![(0, measured(-15_000, 1_000, at(10, 0, 0)))],
            "Drifting",
            Some("the clock is 15.000 s behind (± 1.0 ms), beyond 500.0 ms"),
            Some(-15_000),
        ),
        (
            "silent",
            vec![(0, Outcome::Unanswered("no answer".into())), (1, Outcome::Absent)],
            "Unknown",
            Some("NeverMeasured: no source has given evidence (a)"),
            None,
        ),
        (
            "vague",
            vec![(0, measured(0, 3_000_000, at(10, 0, 0)))],
            "Unknown",
            Some(
                "TooUncertain: +0 us ± 3.000 s is too uncertain to judge by; at most 2.000 s of uncertainty is evidence",
            ),
            Some(0),
        ),
        (
            "on the line",
            vec![(0, straddling())],
            "Unknown",
            Some("NeverMeasured: +510.0 ms ± 20.0 ms is neither surely within 500.0 ms nor surely beyond"),
            Some(510),
        ),
        (
            "on the line after being right",
            vec![(0, measured(3, 100, at(10, 0, 0))), (0, straddling())],
            "Synchronized",
            None,
            Some(510),
        ),
        (
            "on the line after being wrong",
            vec![(0, measured(900, 100, at(10, 0, 0))), (0, straddling())],
            "Drifting",
            Some("the clock was beyond 500.0 ms and is not surely back within: 510.0 ms ahead (± 20.0 ms)"),
            Some(510),
        ),
        (
            "in two minds",
            vec![(0, measured(0, 1_000, at(10, 0, 0))), (1, measured(15_000, 1_000, at(10, 0, 0)))],
            "Unknown",
            Some("SourcesConflict: the sources cannot all be true: a says +0 us ± 1.0 ms, b says +15.000 s ± 1.0 ms"),
            None,
        ),
    ];
    for (case, outcomes, state, reason, offset_ms) in cases {
        let mut core = core(&["a", "b"]);
        for (source, outcome) in outcomes {
            core.polled(source, outcome, &at(10, 0, 0));
        }
        let expected = (state.to_owned(), reason.map(str::to_owned), offset_ms);
        assert_eq!(said(&mut core, at(10, 0, 0)), expected, "{case}");
    }
}

#[test]
fn evidence_goes_stale_and_nothing_turns_silence_into_health() {
    let mut core = core(&["a"]);
    core.polled(0, measured(0, 100, at(10, 0, 0)), &at(10, 0, 0));
    core.polled(0, Outcome::Unanswered("gone".into()), &at(2_000, 0, 0));
    let report = core.report(&at(50_000, 0, 0));
    assert_eq!(report.state, "Synchronized");
    let source = &report.sources[0];
    assert_eq!((source.error.as_deref(), source.offset_seconds), (Some("gone"), Some(0.0)));
    // 50 ppm of 49.99 s on top of 100 us.
    assert!((source.error_bound_seconds.unwrap() - 0.0026).abs() < 1e-5, "{source:?}");
    assert!((report.undisciplined_seconds - 49.99).abs() < 0.01, "{report:?}");
    let (state, reason, offset) = said(&mut core, at(60_011, 0, 0));
    assert_eq!((state.as_str(), offset), ("Unknown", None));
    assert!(reason.unwrap().starts_with("Stale: no source has answered for "));
}

#[test]
fn a_source_that_withdraws_takes_its_last_word_with_it() {
    let mut core = core(&["kernel"]);
    core.polled(0, measured(0, 100, at(10, 0, 0)), &at(10, 0, 0));
    core.polled(0, Outcome::Withdrawn("STA_UNSYNC".into()), &at(1_010, 0, 0));
    let (state, _, offset) = said(&mut core, at(1_010, 0, 0));
    assert_eq!((state.as_str(), offset), ("Unknown", None));
}

#[test]
fn an_unsynchronised_kernel_alone_is_not_drift() {
    let mut core = core(&["kernel", "ntp://10.0.0.1:123"]);
    core.polled(0, Outcome::Withdrawn("STA_UNSYNC".into()), &at(10, 0, 0));
    core.polled(1, measured(2, 500, at(10, 0, 0)), &at(10, 0, 0));
    assert_eq!(said(&mut core, at(20, 0, 0)), ("Synchronized".into(), None, Some(2)));
    assert!(core.report(&at(20, 0, 0)).undisciplined_seconds.abs() < 1e-9);
}

#[test]
fn the_own_offset_is_right_the_moment_after_a_step() {
    for set_ms in [-172_800_000, -15_000, -2_000, 2_000, 15_000, 172_800_000] {
        let mut core = core(&["a"]);
        core.polled(0, measured(1, 100, at(10, 0, 0)), &at(10, 0, 0));
        // Before anybody noticed, and after.
        let (state, _, offset) = said(&mut core, at(260, set_ms, 0));
        assert_eq!((state.as_str(), offset), ("Drifting", Some(set_ms + 1)));
        let bound = core.report(&at(260, set_ms, 0)).error_bound_seconds.unwrap();
        assert!(bound < 0.000_115, "{bound}");
        // Put back: right again, with nothing learnt in between.
        assert_eq!(said(&mut core, at(500, 0, 0)), ("Synchronized".into(), None, Some(1)));
    }
}

#[test]
fn a_reading_that_was_under_way_while_the_clock_was_set_is_not_moved_twice() {
    // The step happens at 100 ms, a poll measures at 150 ms, the step is noticed at 250 ms.
    let mut core = core(&["a"]);
    core.polled(0, measured(2_000, 100, at(150, 2_000, 0)), &at(150, 2_000, 0));
    core.look(&at(250, 2_000, 0), Evidence::Comparison);
    assert_eq!(said(&mut core, at(250, 2_000, 0)).2, Some(2_000));
}

#[test]
fn a_slew_does_not_set_the_sources_against_one_another() {
    // 15 s behind, and chronyd lets the clock run 83,333 ppm fast; the server was asked 15 s ago, chronyd just now.
    let mut core = core(&["ntp", "chrony"]);
    core.polled(0, measured(-15_000, 1_000, at(1_000, 0, 0)), &at(1_000, 0, 0));
    let mut now = at(16_000, 0, 0);
    now.raw = Raw::from_nanos(16_000 * MS as u64 - 1_250 * MS as u64);
    core.polled(1, measured(-13_750, 10_000, now), &now);
    assert_eq!(said(&mut core, now).0, "Drifting");
}

#[test]
fn what_was_known_before_a_sleep_is_not_known_after_it() {
    let mut core = core(&["a"]);
    core.polled(0, measured(0, 100, at(10, 0, 0)), &at(10, 0, 0));
    let (state, _, offset) = said(&mut core, at(300, 0, 8_000));
    assert_eq!((state.as_str(), offset), ("Unknown", None));
    assert!(core.report(&at(300, 0, 8_000)).sources[0].error.as_ref().unwrap().contains("slept"));
    core.polled(0, measured(0, 100, at(310, 0, 8_000)), &at(310, 0, 8_000));
    assert_eq!(said(&mut core, at(320, 0, 8_000)).0, "Synchronized");
}

#[test]
fn readers_are_woken_for_news_and_only_for_news() {
    let mut core = core(&["a", "b"]);
    let mut seen = core.sequence();
    let mut news = |core: &Core| {
        let fresh = core.sequence() - seen;
        seen = core.sequence();
        fresh
    };
    core.polled(0, measured(0, 100, at(10, 0, 0)), &at(10, 0, 0));
    assert_eq!(news(&core), 1, "the first evidence");
    for second in 1..50 {
        let clocks = at(second * 1_000, 0, 0);
        core.polled(0, measured(second % 5, 100, clocks), &clocks);
    }
    assert_eq!(news(&core), 0, "the same again, give or take 5 ms");
    core.polled(0, measured(12, 100, at(51_000, 0, 0)), &at(51_000, 0, 0));
    assert_eq!(news(&core), 1, "moved by 12 ms");
    core.polled(0, measured(60, 90_000, at(52_000, 0, 0)), &at(52_000, 0, 0));
    assert_eq!(news(&core), 0, "moved by no more than the bound");
    core.polled(1, Outcome::Absent, &at(52_000, 0, 0));
    assert_eq!(news(&core), 0, "a source that is not there");
    core.polled(1, measured(12, 90_000, at(52_000, 0, 0)), &at(52_000, 0, 0));
    assert_eq!(news(&core), 1, "a source that came");
    core.polled(1, Outcome::Absent, &at(52_100, 0, 0));
    assert_eq!(news(&core), 1, "and went");
    core.look(&at(52_250, 900, 0), Evidence::Timerfd);
    assert_eq!(news(&core), 1, "a jump, with the change of state that it brought");
    assert_eq!(said(&mut core, at(52_260, 900, 0)).0, "Drifting");
    assert_eq!(news(&core), 0);
}

#[test]
fn the_newest_jumps_are_kept_and_all_are_counted() {
    let mut core = core(&["a"]);
    for number in 1..=40 {
        core.look(&at(number * 250, number * 3, 0), Evidence::Timerfd);
    }
    let asleep = at(20_000, 120, 5_000);
    let report = core.report(&asleep);
    assert_eq!(report.jumps.len(), JUMPS_MAX);
    let (first, last) = (&report.jumps[0], &report.jumps[JUMPS_MAX - 1]);
    assert_eq!((first.number, last.number), (10, 41));
    assert_eq!((first.cause.as_str(), last.cause.as_str(), first.evidence.as_str()), ("step", "suspend", "timerfd"));
    assert!((first.amount_seconds - 0.003).abs() <= first.error_bound_seconds);
    assert_eq!(
        (first.wall_before.as_str(), first.wall_after.as_str()),
        ("2027-01-15T08:00:02.527000Z", "2027-01-15T08:00:02.530000Z")
    );
    let counts = core.jumps().counts();
    assert_eq!((counts.of(Cause::Step), counts.of(Cause::Suspend), counts.of(Cause::Pause)), (40, 1, 0));
}

#[test]
fn ready_means_that_every_source_was_asked() {
    let mut core = core(&["a", "b"]);
    core.polled(0, measured(0, 100, at(10, 0, 0)), &at(10, 0, 0));
    assert!(!core.ready());
    core.polled(1, Outcome::Absent, &at(10, 0, 0));
    assert!(core.ready());
}

#[derive(Debug, Clone)]
enum Event {
    Poll(usize, Option<(i64, u64)>),
    Set(i64),
    Sleep(i64),
    Wait(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0usize..3, prop::option::of((-3_000i64..3_000, 1u64..3_000_000))).prop_map(|(n, it)| Event::Poll(n, it)),
        (-90_000i64..90_000).prop_map(Event::Set),
        (1_000i64..90_000).prop_map(Event::Sleep),
        (1i64..90_000).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn the_state_is_healthy_only_on_fresh_evidence_and_the_sequence_never_falls(
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut core = core(&["a", "b", "c"]);
        let (mut ms, mut set, mut slept) = (1, 0, 0);
        for event in events {
            let before = core.sequence();
            match event {
                Event::Poll(n, Some((offset, bound))) => {
                    core.polled(n, measured(offset, bound, at(ms, set, slept)), &at(ms, set, slept));
                }
                Event::Poll(n, None) => core.polled(n, Outcome::Unanswered("silent".into()), &at(ms, set, slept)),
                Event::Set(by) => set += by,
                Event::Sleep(by) => slept += by,
                Event::Wait(by) => ms += by,
            }
            let report = core.report(&at(ms, set, slept));
            prop_assert!(report.sequence >= before);
            if report.state != "Unknown" {
                let fresh = report.sources.iter().filter_map(|s| s.age_seconds).fold(f64::MAX, f64::min);
                prop_assert!(fresh <= 60.0, "{:?}", report);
                prop_assert!(report.offset_seconds.is_some() && report.error_bound_seconds.is_some());
            }
            prop_assert_eq!(report.state == "Synchronized", report.reason.is_none());
        }
    }
}
