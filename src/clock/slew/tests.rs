//! Clocks that are computed: rates in, slews out.

use super::*;
use crate::clock::{Boot, Mono, Raw, Wall};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;

/// The clocks of a machine whose kernel drives them so much faster than the oscillator.
struct Machine {
    mono: i64,
    raw: i64,
    slept: i64,
    /// How far apart the clocks are read.
    bracket: i64,
}

impl Machine {
    fn new(bracket: i64) -> Machine {
        Machine { mono: 100 * SECOND, raw: 90 * SECOND, slept: 0, bracket }
    }

    fn sample(&self) -> Sample {
        Sample {
            before: Mono::from_nanos(self.mono as u64),
            wall: Wall::from_unix_nanos(self.mono + self.bracket / 2),
            boot: Boot::from_nanos((self.mono + self.slept + self.bracket / 2) as u64),
            raw: Raw::from_nanos((self.raw + self.bracket / 2) as u64),
            after: Mono::from_nanos((self.mono + self.bracket) as u64),
        }
    }

    /// The oscillator counts a time, the clock runs faster by `ppm`.
    fn run(&mut self, oscillator_ns: i64, ppm: i64) {
        self.raw += oscillator_ns;
        self.mono += oscillator_ns + i64::try_from(i128::from(oscillator_ns) * i128::from(ppm) / 1_000_000).unwrap();
    }
}

/// Runs through (seconds, ppm), looking once a second; gives the slews that ended and the one that goes on.
fn play(machine: &mut Machine, told_ppb: Option<i64>, course: &[(i64, i64)]) -> (Vec<Jump>, Option<Slewing>) {
    let mut detector = SlewDetector::new(machine.sample());
    if let Some(frequency_ppb) = told_ppb {
        detector.told(&Discipline { frequency_ppb, tick_us: 10_000, tai_s: 0 });
    }
    let mut over = Vec::new();
    for (seconds, ppm) in course {
        for _ in 0..*seconds {
            machine.run(SECOND, *ppm);
            over.extend(detector.observe(&machine.sample()));
        }
    }
    (over, detector.ongoing(&machine.sample()))
}

/// The course and, in microseconds, the slews that must be found in it; the last one goes on if `goes_on`.
fn check(course: &[(i64, i64)], expected_us: &[i64], goes_on: bool) {
    for bracket in [300, 2_000, 20_000] {
        let (over, ongoing) = play(&mut Machine::new(bracket), None, course);
        let all: Vec<Jump> = over.iter().copied().chain(ongoing.map(|slewing| slewing.jump)).collect();
        assert_eq!(all.len(), expected_us.len(), "{course:?}: {all:?}");
        assert_eq!(ongoing.is_some(), goes_on, "{course:?}: {ongoing:?}");
        for (jump, us) in all.iter().zip(expected_us) {
            assert_eq!(jump.cause, Cause::Slew);
            assert!(jump.amount.contains(Delta::from_nanos(us * 1_000)), "{course:?}: {} for {us} us", jump.amount);
            let took = jump.after.after.since(jump.before.before);
            assert!(jump.amount.bound() <= Duration::from_micros(100) + part(took, 21), "{course:?}: {}", jump.amount);
        }
    }
}

#[test]
fn what_daemons_do_on_purpose_is_a_slew() {
    // adjtime(3); `tick` 10,100; chronyd's default and greatest rates; each forwards and backwards.
    for ppm in [500, 10_000, 83_333, 100_000] {
        check(&[(20, 3), (30, 3 + ppm), (20, 3)], &[30 * ppm], false);
        check(&[(20, 3), (30, 3 - ppm), (20, 3)], &[-30 * ppm], false);
        check(&[(20, -40), (30, ppm - 40)], &[30 * ppm], true);
    }
}

#[test]
fn fifteen_seconds_at_chronyds_greatest_rate() {
    check(&[(600, -12), (150, 100_000 - 12), (600, -12)], &[15_000_000], false);
}

#[test]
fn ordinary_work_on_the_frequency_is_no_slew() {
    check(&[(30, 0), (30, 26), (30, -26), (30, 5), (60, 60), (300, 90)], &[], false);
    // A crystal that warms up, 1 ppm in 10 s, for half an hour.
    let warming: Vec<(i64, i64)> = (0..180).map(|ppm| (10, ppm)).collect();
    check(&warming, &[], false);
    // 900 ppm, but for 1 s: less than 1 ms.
    check(&[(30, 0), (1, 900), (30, 0)], &[], false);
}

#[test]
fn two_slews_are_two() {
    check(&[(20, 0), (20, 500), (20, 0), (20, 700), (20, 0)], &[10_000, 14_000], false);
    // There and straight back, and slower and slower as the kernel's own loop does.
    check(&[(20, 0), (20, 5_000), (20, -5_000), (20, 0)], &[100_000, -100_000], false);
    let fading: Vec<(i64, i64)> = (0..12).map(|n| (2, 4_096 >> n)).collect();
    check(&[&[(20, 0)][..], &fading, &[(20, 0)]].concat(), &[16_380], false);
}

#[test]
fn a_preempted_look_is_no_slew_and_costs_nothing_but_time() {
    let mut machine = Machine::new(300);
    let mut detector = SlewDetector::new(machine.sample());
    for second in 0..60 {
        machine.run(SECOND, 0);
        // 14 ms between the reads have been seen; the oscillator is read at one end or the other.
        machine.bracket = if second % 4 == 3 { 14_000_000 } else { 300 };
        let mut sample = machine.sample();
        sample.raw = Raw::from_nanos((machine.raw + machine.bracket * (second % 2)) as u64);
        assert_eq!(detector.observe(&sample), None);
        assert!(detector.ongoing(&sample).is_none());
    }
    // The first look of all was such a one.
    machine.bracket = 14_000_000;
    let mut detector = SlewDetector::new(machine.sample());
    machine.bracket = 300;
    for _ in 0..30 {
        machine.run(SECOND, 10_000);
        assert_eq!(detector.observe(&machine.sample()), None);
    }
    assert!(detector.ongoing(&machine.sample()).is_some());
}

#[test]
fn a_slew_that_was_under_way_when_we_started_is_not_taken_for_the_baseline() {
    // adjtime(3) slews at 500 ppm, which is not in the kernel's frequency.
    let (over, _) = play(&mut Machine::new(300), Some(-8_000), &[(40, 492), (60, -8)]);
    assert_eq!(over.len(), 1, "{over:?}");
    assert!(over[0].amount.contains(Delta::from_nanos(20_000_000)), "{over:?}");
    // Beyond what a frequency may be it cannot be the baseline, whoever says so.
    let (over, _) = play(&mut Machine::new(300), Some(83_333_000), &[(40, 83_333), (60, 0)]);
    assert_eq!(over.len(), 1, "{over:?}");
}

#[test]
fn a_sleep_ends_a_slew_and_is_none() {
    let mut machine = Machine::new(300);
    let mut detector = SlewDetector::new(machine.sample());
    let mut over = Vec::new();
    for second in 0..60 {
        machine.run(SECOND, if (20..40).contains(&second) { 2_000 } else { 0 });
        if second == 30 {
            machine.slept += 8 * SECOND;
            machine.mono += 3_000_000;
        }
        over.extend(detector.observe(&machine.sample()));
    }
    assert_eq!(over.len(), 2, "{over:?}");
    assert!(over.iter().all(|jump| jump.amount.surely_within(Duration::from_millis(25))), "{over:?}");
}

#[test]
fn a_witness_that_stays_makes_the_new_rate_the_baseline() {
    let mut machine = Machine::new(300);
    let mut detector = SlewDetector::new(machine.sample());
    let mut run = |machine: &mut Machine, seconds: usize, ppm| {
        for _ in 0..seconds {
            machine.run(SECOND, ppm);
            assert_eq!(detector.observe(&machine.sample()), None);
        }
        detector.clone()
    };
    run(&mut machine, 20, 0);
    // After a migration the crystal is another one, and chronyd makes up for it.
    let mut moved = run(&mut machine, 200, 180);
    let slewing = moved.ongoing(&machine.sample()).unwrap();
    let ms =
        |offset: i64, bound| OffsetInterval::new(Delta::from_nanos(offset * 1_000_000), Duration::from_millis(bound));
    assert!(disproves(ms(1, 2), slewing.jump.amount));
    for undecided in [ms(0, 40), ms(30, 10), ms(36, 1)] {
        assert!(!disproves(undecided, slewing.jump.amount), "{undecided}");
    }
    moved.adopt();
    for _ in 0..60 {
        machine.run(SECOND, 181);
        assert_eq!(moved.observe(&machine.sample()), None);
        assert!(moved.ongoing(&machine.sample()).is_none());
    }
}

#[test]
fn a_rate_is_measured_over_a_whole_window_and_over_a_longer_one_where_the_looks_are_blurred() {
    // 50 ppm of 4 s are 200 us; the looks must be good for half of that, which 300 us are for no less than 12 s.
    for (bracket, seconds) in [(0, 4), (300_000, 13)] {
        let mut machine = Machine::new(bracket);
        let first = machine.sample();
        let mut detector = SlewDetector::new(first);
        let mut moved = None;
        for second in 1..=20 {
            machine.run(SECOND, 0);
            detector.observe(&machine.sample());
            moved = moved.or((detector.window != first).then_some(second));
        }
        assert_eq!(moved, Some(seconds), "{bracket} ns");
    }
}

#[test]
fn a_witness_disproves_a_slew_only_if_it_knows_well_enough() {
    let ms =
        |offset: i64, bound| OffsetInterval::new(Delta::from_nanos(offset * 1_000_000), Duration::from_millis(bound));
    for (moved, slewed, expected) in [
        (ms(0, 8), ms(36, 1), true),
        (ms(0, 9), ms(36, 1), false),
        (ms(17, 1), ms(36, 1), true),
        (ms(18, 1), ms(36, 1), false),
        (ms(-17, 1), ms(-36, 1), true),
        // Both may be true.
        (ms(0, 2), ms(36, 40), false),
    ] {
        assert_eq!(disproves(moved, slewed), expected, "{moved} against {slewed}");
    }
}

#[test]
fn the_kernels_units_are_understood() {
    let rate = |frequency_ppb, tick_us| Discipline { frequency_ppb, tick_us, tai_s: 37 }.rate_ppb();
    assert_eq!(rate(-12_345, 10_000), -12_345);
    assert_eq!(rate(0, 10_100), 10_000_000);
    assert_eq!(rate(500_000, 9_000), 500_000 - 100_000_000);
    assert_eq!(rate(i64::MAX, i64::MAX), i64::MAX);
}

proptest! {
    #[test]
    fn the_amount_is_right_whatever_the_course(
        base in -60i64..60,
        slews in prop::collection::vec((prop_oneof![-100_000i64..-300, 300i64..100_000], 8i64..60, 12i64..40), 1..5),
    ) {
        let mut course = vec![(40, base)];
        let mut expected = Vec::new();
        for (ppm, seconds, rest) in slews {
            course.extend([(seconds, base + ppm), (rest, base)]);
            expected.push(seconds * ppm);
        }
        check(&course, &expected, false);
    }

    #[test]
    fn nothing_is_found_where_nobody_slews(
        base in -450i64..450, wander in prop::collection::vec(-15i64..15, 1..60), bracket in 0i64..30_000,
    ) {
        let course: Vec<(i64, i64)> = wander.iter().map(|ppm| (5, base + ppm)).collect();
        let (over, ongoing) = play(&mut Machine::new(bracket), None, &course);
        prop_assert!(over.is_empty() && ongoing.is_none(), "{:?} {:?}", over, ongoing);
    }

    #[test]
    fn no_clock_panics(samples in prop::collection::vec(any::<(u64, i64, u64, u64, u32)>(), 1..20)) {
        let sample = |(mono, wall, boot, raw, width): (u64, i64, u64, u64, u32)| Sample {
            before: Mono::from_nanos(mono),
            wall: Wall::from_unix_nanos(wall),
            boot: Boot::from_nanos(boot),
            raw: Raw::from_nanos(raw),
            after: Mono::from_nanos(mono.saturating_add(width.into())),
        };
        let samples: Vec<Sample> = samples.into_iter().map(sample).collect();
        let mut detector = SlewDetector::new(samples[0]);
        for sample in &samples {
            let _ = detector.observe(sample);
            let _ = detector.ongoing(sample);
        }
    }
}
