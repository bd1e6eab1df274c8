use super::*;
use crate::clock::time::{Boot, Mono, Raw};
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const S: i64 = 1_000 * MS;
/// Somewhere in 2027.
const EPOCH: i64 = 1_800_000_000 * S;
const LIMIT: Duration = Duration::from_millis(500);
const DELIVERY: Delivery = Delivery { delay_max: DELAY_MAX, steady: STEADY, round_trip: Duration::from_millis(2) };

/// Our clocks so long after the beginning, with our wall clock set ahead by so much.
fn clocks(at: i64, ahead: i64) -> Sample {
    let nanos = u64::try_from(at).unwrap() + 1_000_000_000_000;
    Sample {
        before: Mono::from_nanos(nanos),
        wall: Wall::from_unix_nanos(EPOCH + at + ahead),
        boot: Boot::from_nanos(nanos),
        raw: Raw::from_nanos(nanos),
        after: Mono::from_nanos(nanos),
    }
}

/// A beat sent at this time by a clock that is `offset` off, `delay` under way; our own clock is right.
fn beat(sent: i64, offset: i64, delay: i64) -> Beat {
    Beat { renewed: Wall::from_unix_nanos(EPOCH + sent + offset), clocks: clocks(sent + delay, 0) }
}

/// What beats of `(sent at s, offset in ms, delay in ms)`, taken in by arrival, say right after the last of them.
fn hear(beats: &[(i64, i64, i64)]) -> (Heartbeat, Sample) {
    let mut beats: Vec<Beat> = beats.iter().map(|(s, offset, delay)| beat(s * S, offset * MS, delay * MS)).collect();
    beats.sort_by_key(|it| it.clocks.after);
    let mut heartbeat = Heartbeat::new();
    for it in &beats {
        heartbeat.hear(*it, &DELIVERY);
    }
    (heartbeat, beats.last().unwrap().clocks)
}

/// The edges in ms after these beats, and whether samples agree; `None` is "do not care".
fn check(beats: &[(i64, i64, i64)], low: i64, high: i64, settled: bool) {
    let (heartbeat, now) = hear(beats);
    let found = heartbeat.estimate(&now, &DELIVERY).unwrap();
    let close = |edge: Delta, ms: i64| edge.minus(Delta::from_nanos(ms * MS)).magnitude() <= Duration::from_millis(5);
    assert!(
        close(found.interval.low(), low) && close(found.interval.high(), high) && found.settled == settled,
        "{beats:?}: [{}, {}] {found:?}, not [{low}, {high}] {settled}",
        found.interval.low(),
        found.interval.high(),
    );
}

#[test]
fn samples_that_agree_narrow_the_interval() {
    check(&[(0, 0, 4)], -4, 248, false);
    check(&[(0, 0, 4), (10, 0, 14)], -4, 58, true);
    check(&[(0, 0, 4), (10, 0, 14), (20, 0, 3)], -3, 50, true);
    check(&[(0, 0, 14), (10, 0, 34), (20, 0, 4)], -4, 58, true);
    // Two that do not agree are no better than one.
    check(&[(0, 0, 4), (10, 0, 154)], -154, 248, false);
    check(&[(0, 0, 4), (10, 0, 14), (20, 0, 3), (30, 0, 3)], -3, 50, true);
    check(&[(0, 3_000, 4), (10, 3_000, 5), (20, 3_000, 6)], 2_996, 3_050, true);
    check(&[(0, -800, 4), (10, -800, 5)], -804, -750, true);
}

#[test]
fn one_beat_proves_ahead_and_never_behind() {
    check(&[(0, 3_000, 4)], 2_996, 3_248, false);
    check(&[(0, -3_000, 4)], -3_004, 0, false);
    check(&[(0, 0, 3_000)], -3_000, 0, false);
}

#[test]
fn a_late_heartbeat_is_no_drift() {
    let good = [(0, 0, 3), (10, 0, 3), (20, 0, 3)];
    check(&[&good[..], &[(30, 0, 7_000)]].concat(), -7_000, 49, true);
    check(&[&good[..], &[(30, 0, 7_000), (40, 0, 3)]].concat(), -3, 49, true);
    // Two, late by different amounts.
    check(&[&good[..], &[(30, 0, 7_000), (40, 0, 5_000)]].concat(), -5_000, 49, true);
    // The very first ones.
    check(&[(0, 0, 9_000), (10, 0, 700)], -700, 0, false);
    check(&[(0, 0, 9_000), (10, 0, 700), (20, 0, 3), (30, 0, 4)], -3, 50, true);
}

#[test]
fn a_burst_after_a_stall_is_no_drift() {
    // Stalled from 5 s to 36 s: three beats arrive in one go.
    check(&[(0, 0, 3), (10, 0, 26_000), (20, 0, 16_000), (30, 0, 6_000)], -6_000, 249, false);
    check(&[(10, 0, 26_000), (20, 0, 16_000), (30, 0, 6_000), (40, 0, 3), (50, 0, 4)], -3, 51, true);
}

#[test]
fn a_step_forward_is_believed_at_once_and_a_step_back_when_the_next_beat_agrees() {
    let good = [(0, 0, 3), (10, 0, 4), (20, 0, 3)];
    check(&[&good[..], &[(30, 2_000, 3)]].concat(), 1_997, 2_249, false);
    check(&[&good[..], &[(30, -2_000, 3)]].concat(), -2_003, 50, true);
    check(&[&good[..], &[(30, -2_000, 3), (40, -2_000, 5)]].concat(), -2_003, -1_947, true);
    // Back and forth: the one in between was late, whatever it was.
    check(&[&good[..], &[(30, -2_000, 3), (40, 0, 3)]].concat(), -3, 49, true);
}

#[test]
fn a_small_step_back_widens_until_the_old_samples_are_forgotten() {
    let before = [(0, 0, 3), (10, 0, 3), (20, 0, 3)];
    check(&[&before[..], &[(30, -150, 3)]].concat(), -153, 49, true);
    let after: Vec<_> = (3..12).map(|n| (n * 10, -150, 3)).collect();
    check(&[&before[..], &after[..]].concat(), -153, -99, true);
}

#[test]
fn a_step_of_our_own_clock_does_not_move_the_sender() {
    let (heartbeat, _) = hear(&[(0, 0, 3), (10, 0, 3), (20, 0, 3)]);
    for ahead in [15 * S, -15 * S] {
        let mut heartbeat = heartbeat.clone();
        let found = heartbeat.estimate(&clocks(21 * S, ahead), &DELIVERY).unwrap();
        assert!(found.interval.contains(Delta::from_nanos(-ahead)) && found.settled, "{found:?}");
        // And the next beat agrees with what was carried over.
        let next = Beat { renewed: Wall::from_unix_nanos(EPOCH + 30 * S), clocks: clocks(30 * S + 4 * MS, ahead) };
        heartbeat.hear(next, &DELIVERY);
        let found = heartbeat.estimate(&next.clocks, &DELIVERY).unwrap();
        assert!(found.interval.contains(Delta::from_nanos(-ahead)) && found.samples == 4, "{found:?}");
        assert!(found.interval.bound() < Duration::from_millis(30), "{found:?}");
    }
}

#[test]
fn a_sleep_of_ours_makes_everything_older() {
    let (heartbeat, now) = hear(&[(0, 0, 3), (10, 0, 3), (20, 0, 3)]);
    let hour = 3_600 * S;
    let mut awake = now;
    awake.boot = Boot::from_nanos(now.boot.nanos() + u64::try_from(hour).unwrap());
    awake.wall = now.wall.plus(Delta::from_nanos(hour));
    let found = heartbeat.estimate(&awake, &DELIVERY).unwrap();
    assert!(found.age >= Duration::from_secs(3_600) && found.interval.contains(Delta::ZERO), "{found:?}");
    assert!(found.interval.bound() > Duration::from_millis(180), "50 ppm of an hour: {found:?}");
}

#[test]
fn a_long_silence_begins_anew() {
    // The last one of them alone: the others are older than the window when it comes.
    check(&[(0, 0, 3), (10, 0, 3), (20, 0, 3), (600, -5_000, 3)], -5_003, 0, false);
    check(&[(0, 0, 3), (600, -200, 3)], -203, 49, false);
    assert!(Heartbeat::new().estimate(&clocks(0, 0), &DELIVERY).is_none());
}

#[test]
fn nothing_overflows_however_absurd_the_heartbeat() {
    for renewed in [i64::MIN, i64::MAX] {
        let mut heartbeat = Heartbeat::new();
        for at in [0, 10 * S] {
            heartbeat.hear(Beat { renewed: Wall::from_unix_nanos(renewed), clocks: clocks(at, 0) }, &DELIVERY);
        }
        let found = heartbeat.estimate(&clocks(20 * S, 0), &DELIVERY).unwrap();
        assert!(!found.interval.surely_within(LIMIT), "{found:?}");
    }
}

#[test]
fn memory_is_bounded() {
    let beats: Vec<_> = (0..1_000).map(|n| (n * 2, 0, 3)).collect();
    let (heartbeat, _) = hear(&beats);
    assert!(heartbeat.beats.len() <= BEATS_MAX && heartbeat.beats.capacity() <= 4 * BEATS_MAX);
}

/// So many ns of an exponential distribution with this mean: the delay of a request that queues.
fn queued(unit: f64, mean_ms: f64) -> i64 {
    (-(1.0 - unit).ln() * mean_ms * 1e6) as i64
}

/// The figures of the module's documentation.
#[test]
fn the_upper_edge_is_as_sure_as_the_documentation_says() {
    let mut seed: u64 = 42;
    let mut unit = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    const ROUNDS: u32 = 200_000;
    let mut wrong = [0_u32; 2];
    for _ in 0..ROUNDS {
        let mut heartbeat = Heartbeat::new();
        for number in 0..3 {
            let it = beat(number * 10 * S, 0, 2 * MS + queued(unit(), 20.0));
            heartbeat.hear(it, &DELIVERY);
            let found = heartbeat.estimate(&it.clocks, &DELIVERY).unwrap();
            assert!(found.interval.low() <= Delta::ZERO, "the lower edge is hard: {found:?}");
            if number > 0 && found.interval.high() < Delta::ZERO {
                wrong[usize::try_from(number).unwrap() - 1] += 1;
            }
        }
    }
    let [pairs, triples] = wrong.map(|count| f64::from(count) / f64::from(ROUNDS));
    assert!(pairs < 1.0 / 350.0 && triples < 1.0 / 3_000.0, "{pairs} {triples}");
}

/// Beats every 10 s with these delays in ms, of a clock that is `offset` off, walks by `ppm`, and is stepped at a
/// beat; ours is stepped at another.
#[derive(Debug, Clone)]
struct Story {
    offset: i64,
    ppm: i64,
    delays: Vec<i64>,
    step: (usize, i64),
    own_step: (usize, i64),
}

fn story(delay: impl Strategy<Value = i64>) -> impl Strategy<Value = Story> {
    let step = || (0_usize..14, prop_oneof![Just(0), -20 * S..20 * S]);
    (-100 * S..100 * S, -40_i64..40, prop::collection::vec(delay, 1..12), step(), step())
        .prop_map(|(offset, ppm, delays, step, own_step)| Story { offset, ppm, delays, step, own_step })
}

impl Story {
    /// Plays it; `look` sees the estimate after each beat with the truth at that time, ours and theirs.
    fn play(&self, mut look: impl FnMut(usize, Estimate, Delta)) {
        let mut heartbeat = Heartbeat::new();
        let mut arrived = 0;
        for (number, delay) in self.delays.iter().enumerate() {
            let sent = number as i64 * 10 * S;
            arrived = (sent + delay).max(arrived + 1);
            let theirs =
                |at: i64| self.offset + at / 1_000_000 * self.ppm + if number >= self.step.0 { self.step.1 } else { 0 };
            let own = if number >= self.own_step.0 { self.own_step.1 } else { 0 };
            let now = clocks(arrived, own);
            heartbeat
                .hear(Beat { renewed: Wall::from_unix_nanos(EPOCH + sent + theirs(sent)), clocks: now }, &DELIVERY);
            let found = heartbeat.estimate(&now, &DELIVERY).unwrap();
            look(number, found, Delta::from_nanos(theirs(arrived) - own));
        }
    }
}

/// Drift between sending and arriving, which the sender's time on the way adds; far below what is asserted.
const DRIFT: Delta = Delta::from_nanos(5 * MS);

proptest! {
    #[test]
    fn within_the_assumption_the_truth_is_inside(mut story in story(0..40 * MS)) {
        // A step of the sender needs a second beat to be believed; the first only widens.
        story.step = (0, 0);
        story.play(|number, found, truth| {
            let it = found.interval.widened(DRIFT.magnitude());
            assert!(it.contains(truth), "{number}: {it}, but {truth}");
            if number > 1 {
                assert!(it.bound() < Duration::from_millis(75), "{number}: {it}");
            }
        });
    }

    #[test]
    fn a_step_of_the_sender_is_covered_at_once_and_known_by_the_next_beat(mut story in story(0..20 * MS)) {
        story.own_step = (0, 0);
        let stepped = story.step;
        story.play(|number, found, truth| {
            // Below what a beat may be late by, nothing is believed, only covered.
            if stepped.1.abs() > 400 * MS || stepped.1 == 0 {
                let it = found.interval.widened(DRIFT.magnitude());
                assert!(it.contains(truth), "{number}: {it}, but {truth}");
                assert!(number != stepped.0 + 1 || found.settled, "{number}: {found:?}");
            }
        });
    }

    #[test]
    fn behind_is_never_said_of_a_right_clock_unless_two_beats_were_late_alike(
        delays in prop::collection::vec(prop_oneof![0..60 * MS, 0..2 * S, 0..300 * S], 1..12),
    ) {
        let story = Story { offset: 0, ppm: 0, delays, step: (0, 0), own_step: (0, 0) };
        // As they arrive: a beat cannot overtake the one before.
        let mut late: Vec<i64> = Vec::new();
        let mut arrived = 0;
        for (number, delay) in story.delays.iter().enumerate() {
            arrived = (number as i64 * 10 * S + delay).max(arrived + 1);
            late.push(arrived - number as i64 * 10 * S);
        }
        story.play(|number, found, _| {
            assert!(found.interval.low() <= Delta::ZERO, "ahead of a right clock: {found:?}");
            if found.interval.high() < Delta::ZERO {
                let so_far = &late[..=number];
                let alike = so_far.iter().enumerate().any(|(i, a)| {
                    so_far[..i].iter().any(|b| (a - b).abs() <= 115 * MS && *a > 40 * MS)
                });
                assert!(alike, "behind after {so_far:?}: {found:?}");
            }
        });
    }
}
