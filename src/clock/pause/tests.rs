//! Machines that stand still, and witnesses that are set.

use super::*;
use crate::clock::{Boot, Raw, Wall};
use proptest::prelude::*;

const MS: i64 = 1_000_000;

/// The clocks at `ms` of the machine's own running, the wall clock set forward by `set_ms`, the machine having slept.
fn at(ms: i64, set_ms: i64, slept_ms: i64) -> Sample {
    Sample {
        before: Mono::from_nanos((ms * MS) as u64),
        wall: Wall::from_unix_nanos((ms + set_ms + slept_ms) * MS),
        boot: Boot::from_nanos(((ms + slept_ms) * MS) as u64),
        raw: Raw::from_nanos((ms * MS) as u64),
        after: Mono::from_nanos((ms * MS + 300) as u64),
    }
}

fn interval(offset_ms: i64, bound_ms: i64) -> OffsetInterval {
    OffsetInterval::new(Delta::from_nanos(offset_ms * MS), Duration::from_millis(bound_ms as u64))
}

fn check_moved(before: (i64, i64, Sample), after: (i64, i64, Sample), expected_ms: Option<i64>) {
    let word = |it: &(i64, i64, Sample)| (interval(it.0, it.1), it.2);
    let ((one, then), (two, now)) = (word(&before), word(&after));
    let got = moved(Word { interval: one, clocks: &then }, Word { interval: two, clocks: &now });
    assert_eq!(got.is_some(), expected_ms.is_some(), "{before:?} {after:?}: {got:?}");
    if let (Some(got), Some(ms)) = (got, expected_ms) {
        assert!(got.contains(Delta::from_nanos(ms * MS)), "{got:?} for {ms} ms");
    }
}

#[test]
fn only_what_no_local_clock_explains_is_a_move() {
    let start = at(1_000, 0, 0);
    check_moved((0, 1, start), (0, 1, at(17_000, 0, 0)), None);
    check_moved((0, 1, start), (-5_000, 1, at(17_000, 0, 0)), Some(-5_000));
    check_moved((0, 1, start), (5_000, 1, at(17_000, 0, 0)), Some(5_000));
    // Below what counts, or within what the witness may be wrong by.
    check_moved((0, 1, start), (-55, 3, at(17_000, 0, 0)), None);
    check_moved((0, 3_000, start), (-5_000, 3_000, at(17_000, 0, 0)), None);
    // The clock was set, and the machine paused besides.
    check_moved((0, 1, start), (3_000, 1, at(17_000, 3_000, 0)), None);
    check_moved((0, 1, start), (-2_000, 1, at(17_000, 3_000, 0)), Some(-5_000));
    // How long it slept, the kernel knows to about a second.
    check_moved((0, 1, start), (-700, 1, at(17_000, 0, 8_000)), None);
    // An oscillator may be 500 ppm off: an hour of silence explains 1.8 s.
    check_moved((0, 1, start), (-1_700, 1, at(3_601_000, 0, 0)), None);
    check_moved((0, 1, start), (-5_000, 1, at(3_601_000, 0, 0)), Some(-5_000));
    // One word right after the other.
    let next = Sample { before: start.after, after: Mono::from_nanos(start.after.nanos() + 300), ..start };
    check_moved((0, 1, start), (-5_000, 1, next), Some(-5_000));
    // Words out of order.
    check_moved((0, 1, at(17_000, 0, 0)), (-5_000, 1, start), None);
}

#[test]
fn a_slew_is_carried_and_is_no_move() {
    for ppm in [-100_000, -500, 500, 83_333] {
        let start = at(1_000, 0, 0);
        let mut now = at(17_000, 0, 0);
        now.raw = Raw::from_nanos((17_000 * MS - 16 * 1_000 * ppm) as u64);
        check_moved((0, 1, start), (ppm * 16 / 1_000, 1, now), None);
    }
}

/// What witnesses say, one after the other: name, role, from and to in ms of running, their offsets in ms.
type Said = (&'static str, Role, (i64, i64), (i64, i64));

fn outcome(finding: &Finding) -> String {
    match finding {
        Finding::Happened { jump, moved } => format!("{} {}", jump.cause.as_str(), moved.join("+")),
        Finding::BorneOut { jump, moved } => format!("late {} {}", jump.cause.as_str(), moved.join("+")),
        Finding::Elsewhere { moved, stayed, .. } => format!("elsewhere {} not {}", moved.join("+"), stayed.join("+")),
    }
}

/// Looks after each word and once more at the end; gives what came out, in order.
fn check(said: &[Said], expected: &[&str]) {
    let mut detector = PauseDetector::default();
    let mut found = Vec::new();
    for (name, role, (from, to), (then, now)) in said {
        let (before, after) = (at(*from, 0, 0), at(*to, 0, 0));
        found.extend(detector.look(after.after));
        found.extend(detector.hear(
            name,
            *role,
            Word { interval: interval(*then, 1), clocks: &before },
            Word { interval: interval(*now, 1), clocks: &after },
        ));
    }
    found.extend(detector.look(Mono::from_nanos(u64::MAX)));
    assert_eq!(found.iter().map(outcome).collect::<Vec<_>>(), expected, "{said:?}");
    for finding in &found {
        if let Finding::Happened { jump, moved } = finding {
            // As long as the first one outside had not been asked.
            let of_jump = |it: &&Said| it.0 == moved[0] && at(it.2.0, 0, 0) == jump.before;
            let (_, _, window, (then, now)) = said.iter().find(of_jump).unwrap();
            assert!(jump.amount.contains(Delta::from_nanos((now - then) * MS)), "{jump:?}");
            assert_eq!(jump.after, at(window.1, 0, 0));
        }
    }
}

use Role::{Daemon, Hardware, Outside};

#[test]
fn two_witnesses_that_moved_alike_are_a_pause() {
    check(&[("a", Outside, (0, 16_000), (0, -5_000)), ("b", Outside, (3_000, 17_000), (0, -5_001))], &["pause a+b"]);
    check(
        &[("a", Outside, (0, 16_000), (0, -5_000)), ("chrony", Daemon, (9_000, 17_000), (0, -5_001))],
        &["pause a+chrony"],
    );
    check(&[("a", Outside, (0, 16_000), (0, -5_000)), ("rtc0", Hardware, (0, 17_000), (0, -5_000))], &["pause a+rtc0"]);
    // The hardware clock had been read before anybody outside was asked.
    check(&[("rtc0", Hardware, (0, 9_000), (0, -5_000)), ("a", Outside, (0, 16_000), (0, -5_000))], &["pause a+rtc0"]);
}

#[test]
fn one_witness_alone_may_have_been_set() {
    check(&[("a", Outside, (0, 16_000), (0, -5_000))], &["unexplained a"]);
    check(&[("a", Outside, (0, 16_000), (0, -5_000)), ("chrony", Daemon, (9_000, 17_000), (0, 0))], &["unexplained a"]);
    check(
        &[("a", Outside, (0, 16_000), (0, -5_000)), ("b", Outside, (3_000, 17_000), (0, -9_000))],
        &["unexplained a"],
    );
    // The hardware clock had moved, but that was over before.
    check(
        &[("rtc0", Hardware, (0, 9_000), (0, -5_000)), ("a", Outside, (10_000, 16_000), (0, -5_000))],
        &["unexplained a"],
    );
    // Nor is the hardware clock anything alone: it is set by whoever likes.
    check(&[("rtc0", Hardware, (0, 9_000), (0, -5_000))], &[]);
    // Forward: no machine runs ahead by standing still.
    check(
        &[("a", Outside, (0, 16_000), (0, 5_000)), ("b", Outside, (3_000, 17_000), (0, 5_000))],
        &["unexplained a+b"],
    );
}

#[test]
fn a_witness_that_stays_tells_that_it_happened_elsewhere() {
    check(&[("a", Outside, (0, 16_000), (0, -5_000)), ("b", Outside, (3_000, 17_000), (0, 0))], &["elsewhere a not b"]);
    // Two against one: that one was set at the same time, or lies.
    check(
        &[
            ("a", Outside, (0, 16_000), (0, -5_000)),
            ("b", Outside, (3_000, 17_000), (0, 0)),
            ("c", Outside, (3_000, 18_000), (0, -5_000)),
        ],
        &["pause a+c"],
    );
    // Its earlier word is from afterwards: it says nothing about the time in question.
    check(
        &[("a", Outside, (0, 16_000), (0, -5_000)), ("b", Outside, (16_500, 17_000), (-5_000, -5_000))],
        &["unexplained a"],
    );
}

#[test]
fn a_question_is_open_until_its_time_is_over() {
    let mut detector = PauseDetector::default();
    let (before, after) = (at(0, 0, 0), at(16_000, 0, 0));
    let word = |offset, clocks| Word { interval: interval(offset, 1), clocks };
    assert!(!detector.is_open());
    assert_eq!(detector.hear("a", Outside, word(0, &before), word(-5_000, &after)), None);
    let end = after.after.after(ANSWER_WITHIN);
    assert_eq!(detector.look(end.before(Duration::from_nanos(1))), None);
    assert!(detector.is_open());
    assert!(detector.look(end).is_some() && !detector.is_open());
}

#[test]
fn a_daemon_that_learns_of_it_late_is_no_second_pause() {
    let paused = [("a", Outside, (0, 16_000), (0, -5_000)), ("b", Outside, (3_000, 17_000), (0, -5_000))];
    let late = ("chrony", Daemon, (300_000, 301_000), (0, -5_000));
    check(&[&paused[..], &[late]].concat(), &["pause a+b"]);
    check(&[paused[0], late], &["unexplained a", "late pause a+chrony"]);
    let just_in_time = ("chrony", Daemon, (2_115_000, 2_116_000), (0, -5_000));
    check(&[paused[0], just_in_time], &["unexplained a", "late pause a+chrony"]);
    // But what a witness has told already, it does not tell again: that is another pause.
    let again = ("a", Outside, (300_000, 316_000), (-5_000, -10_000));
    check(&[&paused[..], &[again]].concat(), &["pause a+b", "unexplained a"]);
    // Nor does it wait for ever.
    let much_later = ("chrony", Daemon, (2_900_000, 2_901_000), (0, -5_000));
    check(&[&paused[..], &[much_later]].concat(), &["pause a+b", "unexplained chrony"]);
}

proptest! {
    /// A true witness of a machine that is set, slewed and left alone never moves, however vague it is.
    #[test]
    fn true_witnesses_of_a_running_machine_find_nothing(
        course in prop::collection::vec((1i64..60_000, -50_000i64..50_000, -100_000i64..100_000, -200i64..200, 200i64..3_000), 1..20),
    ) {
        let (mut ms, mut set, mut raw_lag) = (1_000, 0, 0);
        let mut before: Option<(OffsetInterval, Sample)> = None;
        for (passed, by, ppm, wrong, bound) in course {
            ms += passed;
            set += by;
            raw_lag += passed * ppm; // nanoseconds
            let mut clocks = at(ms, set, 0);
            clocks.raw = Raw::from_nanos((ms * MS - raw_lag.min(ms * MS)) as u64);
            // The slew moves the offset as the step does.
            let offset = Delta::from_nanos(set * MS + raw_lag.min(ms * MS) + wrong * MS);
            let after = (OffsetInterval::new(offset, Duration::from_millis(bound as u64)), clocks);
            if let Some((interval, clocks)) = &before {
                let got = moved(Word { interval: *interval, clocks }, Word { interval: after.0, clocks: &after.1 });
                prop_assert_eq!(got, None);
            }
            before = Some(after);
        }
    }
}
