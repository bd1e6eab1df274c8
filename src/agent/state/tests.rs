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
            Some(
                "SourcesConflict: the sources cannot all be true: a says +0 us ± 1.0 ms, b says +15.000 s ± 1.0 ms; a \
                 and b differ by at least 14.998 s",
            ),
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

/// What the kernel source makes of a pending correction of so many nanoseconds.
fn kernel_pending(nanos: i64) -> Outcome {
    let timex = crate::sys::Timex {
        state: 0,
        status: crate::sys::STA_NANO,
        offset: nanos,
        frequency: 0,
        max_error_us: 901,
        est_error_us: 3,
        time_s: 0,
        time_fraction: 0,
        tick_us: 10_000,
        tai: 37,
    };
    let interval = crate::agent::sources::kernel::decode(&timex).unwrap().interval();
    Outcome::Measured(Measured { interval, clocks: at(10, 0, 0), reference: None })
}

#[test]
fn an_offset_of_two_to_the_32_nanoseconds_is_not_drift_until_a_second_witness_says_so() {
    // KVM guests report it on good clocks, hundreds of times a day (node_exporter #3764).
    const ARTEFACT: i64 = 1 << 32;
    for (case, second, state) in [
        ("alone", None, "Unknown"),
        ("a second witness agrees", Some(-4_294), "Drifting"),
        ("a second witness knows the clock to be right", Some(0), "Synchronized"),
    ] {
        let mut core = core(&["kernel", "ntp://10.0.0.1:123"]);
        core.polled(0, kernel_pending(ARTEFACT), &at(10, 0, 0));
        if let Some(offset_ms) = second {
            core.polled(1, measured(offset_ms, 1_000, at(10, 0, 0)), &at(10, 0, 0));
        }
        let (got, reason, offset_ms) = said(&mut core, at(10, 0, 0));
        assert_eq!(got, state, "{case}: {reason:?}");
        assert!(second.is_none() || offset_ms == second, "{case}: {offset_ms:?}");
        // Whoever alone says so is still heard.
        assert!(core.report(&at(10, 0, 0)).sources[0].offset_seconds.is_some_and(|s| s < -2.0), "{case}");
    }
}

/// The machine's clocks at a date, nothing ever set.
fn at_date(date: &str) -> Sample {
    let wall = date.parse::<jiff::Timestamp>().unwrap().as_nanosecond();
    Sample { wall: Wall::from_unix_nanos(i64::try_from(wall).unwrap()), ..at(10, 0, 0) }
}

#[test]
fn a_smearing_and_a_stepping_server_are_a_leap_smear_and_neither_drift_nor_broken() {
    let announced = SourceDetail { leap: Some("insert".into()), ..SourceDetail::default() };
    for (date, detail, apart_ms, why) in [
        ("2026-12-31T18:00:00Z", None, 400, "LeapSmear: a leap second may be near by the date"),
        ("2026-12-31T18:00:00Z", Some(&announced), -400, "LeapSmear: a leap second is announced"),
        ("2027-01-01T06:00:00Z", None, -900, "LeapSmear: a leap second may be near by the date"),
        ("2027-03-31T18:00:00Z", Some(&announced), 900, "LeapSmear: a leap second is announced"),
        ("2027-03-31T18:00:00Z", None, 900, "SourcesConflict: the sources cannot all be true"),
        ("2026-12-31T18:00:00Z", Some(&announced), 1_500, "SourcesConflict: the sources cannot all be true"),
        ("2026-11-21T18:00:00Z", Some(&announced), 900, "SourcesConflict: the sources cannot all be true"),
    ] {
        let now = at_date(date);
        let who = Identity { node: "n1".into(), instance: "i1".into() };
        let mut core = Core::new(who, TOLERANCE, &["stepping", "smearing"], now);
        core.described(0, detail.cloned(), &now);
        core.polled(0, measured(600, 1_000, now), &now);
        assert_eq!(said(&mut core, now).0, "Drifting");
        core.polled(1, measured(600 + apart_ms, 1_000, now), &now);
        let (state, reason, offset) = said(&mut core, now);
        assert_eq!((state.as_str(), offset), ("Unknown", None), "{date}");
        assert!(reason.as_ref().is_some_and(|reason| reason.starts_with(why)), "{date}: {reason:?}");
    }
}

#[test]
fn who_disagrees_with_whom_is_named_for_a_few_and_counted_for_the_rest() {
    let mut core = core(&["a", "b", "c", "d"]);
    for n in 0..4 {
        core.polled(n, measured(1_000 * n as i64, 1_000, at(10, 0, 0)), &at(10, 0, 0));
    }
    let reason = said(&mut core, at(10, 0, 0)).1.unwrap();
    let tail = reason.split_once("; ").unwrap().1;
    assert_eq!(
        tail,
        "a and d differ by at least 2.998 s, a and c differ by at least 1.998 s, b and d differ by at least 1.998 s, a \
         and b differ by at least 998.0 ms, and 2 more pairs"
    );
}

#[test]
fn witnesses_that_all_go_back_to_one_server_are_found_out() {
    let mut core = core(&["kernel", "chrony", "ntp://10.0.0.1:123", "ntp://10.0.0.2:123"]);
    let goes_back = |roots: &[&str]| {
        let roots = roots.iter().map(|&root| root.to_owned()).collect();
        Some(SourceDetail { roots, ..SourceDetail::default() })
    };
    let now = at(10, 0, 0);
    core.polled(0, measured(0, 900, now), &now);
    assert_eq!(core.report(&now).roots, [""; 0], "nobody knows whom the kernel goes back to");
    core.described(1, goes_back(&["10.0.0.1"]), &now);
    core.polled(1, measured(0, 900, now), &now);
    core.described(2, goes_back(&["10.0.0.1", "10.9.9.9"]), &now);
    core.polled(2, measured(0, 900, now), &now);
    assert_eq!(core.report(&now).roots, ["10.0.0.1"]);
    // Another server, but one that gives no evidence is no root.
    core.described(3, goes_back(&["10.0.0.2"]), &now);
    core.polled(3, Outcome::Unanswered("silent".into()), &now);
    assert_eq!(core.report(&now).roots, ["10.0.0.1"]);
    core.polled(3, measured(0, 900, now), &now);
    assert_eq!(core.report(&now).roots, ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn at_ease_means_right_agreed_and_undisturbed() {
    let mut core = core(&["a", "b"]);
    assert!(!core.at_ease(&at(10, 0, 0)), "nothing is known");
    core.polled(0, measured(0, 900, at(10, 0, 0)), &at(10, 0, 0));
    assert!(core.at_ease(&at(20, 0, 0)));
    core.polled(1, measured(400, 200_000, at(30, 0, 0)), &at(30, 0, 0));
    assert!(!core.at_ease(&at(30, 0, 0)), "they disagree");
    core.polled(1, measured(0, 900, at(40, 0, 0)), &at(40, 0, 0));
    assert!(core.at_ease(&at(40, 0, 0)));
    // Set by 5 ms: still right, but something happens to this clock.
    core.look(&at(50, 5, 0), Evidence::Timerfd);
    assert!(!core.at_ease(&at(60, 5, 0)));
    for ms in [60_000, 120_000, 180_000, 240_000, 300_000, 310_000] {
        core.polled(0, measured(5, 900, at(ms, 5, 0)), &at(ms, 5, 0));
    }
    assert!(core.at_ease(&at(310_000, 5, 0)), "long ago");
}

#[test]
fn the_age_of_what_a_daemon_heard_last_goes_on_growing() {
    let mut core = core(&["chrony"]);
    let detail = SourceDetail { last_update_seconds: Some(30.0), ..SourceDetail::default() };
    core.described(0, Some(detail), &at(10, 0, 0));
    core.polled(0, measured(0, 900, at(10, 0, 0)), &at(10, 0, 0));
    let told = core.report(&at(5_010, 0, 0)).sources[0].detail.clone().unwrap().last_update_seconds.unwrap();
    assert!((told - 35.0).abs() < 0.01, "{told}");
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
