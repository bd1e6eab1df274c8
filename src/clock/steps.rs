//! Sees a clock being set, by comparing clocks that nobody sets.
//!
//! The wall clock minus the monotonic clock stays constant while time passes and while the clock is slewed (Linux
//! slews both alike); it changes by exactly the amount of a step. Suspend moves `CLOCK_BOOTTIME` and the wall clock
//! against `CLOCK_MONOTONIC` together, so a step is looked for against the boot clock, a sleep in the boot clock against
//! the monotonic one, and both can be found at once. A slew shows only against the oscillator (`CLOCK_MONOTONIC_RAW`,
//! [`super::slew`]): [`Sample::carry`] allows for it. What nothing here can see is a hypervisor pause (every clock of the
//! guest stands still); that needs an outside witness ([`super::pause`]).
//!
//! Two clocks cannot be read at once: a preemption between the reads of 14 ms has been seen and looks like a step. So
//! the other clocks are read between two reads of the monotonic clock, and the width of that bracket is the uncertainty
//! of the sample; only what is certain in spite of it is reported.
//!
//! Source: clock_gettime(2); figures from stepping, slewing, suspending and pausing an emulated guest.

use super::interval::OffsetInterval;
use super::jump::{Cause, Jump};
use super::time::{Boot, Delta, Mono, Raw, Wall};
use std::time::Duration;

/// Smaller jumps than this are not reported: reading the clocks is not free of noise, and no token cares.
pub const JUMP_MIN: Duration = Duration::from_millis(1);

/// What the kernel may do to the rate of the clock to make up for the oscillator: 500 ppm (adjtimex(2), `freq`). By
/// more than that it is being slewed on purpose.
pub(super) const FREQUENCY_MAX_PPM: u128 = 500;
/// Differences below this are within what reading the two clocks may give.
const SLEW_MIN: Duration = Duration::from_micros(500);

/// The clocks of a machine, read as nearly at once as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Before the others.
    pub before: Mono,
    /// The wall clock.
    pub wall: Wall,
    /// The boot clock.
    pub boot: Boot,
    /// The oscillator, as it is.
    pub raw: Raw,
    /// After the others.
    pub after: Mono,
}

impl Sample {
    /// How far apart the first and the last clock were read: the others are known to within this.
    #[must_use]
    pub const fn width(&self) -> Duration {
        self.after.since(self.before)
    }

    /// By how much the wall clock was set since `earlier`, positive forward; around zero if it was not.
    ///
    /// Against the boot clock, which sleeping moves as it moves the wall clock: a suspend is no step here. Valid for
    /// two samples of one machine, in order; as wide as the brackets of both.
    #[must_use]
    pub fn stepped_since(&self, earlier: &Sample) -> OffsetInterval {
        let walked = self.wall.minus(earlier.wall);
        let passed = Delta::from(self.boot.since(earlier.boot));
        let brackets = self.after.since(self.before).saturating_add(earlier.after.since(earlier.before));
        OffsetInterval::new(walked.minus(passed), brackets)
    }

    /// By how much the clock was slewed since `earlier`, positive forward: how much further it went than the oscillator.
    /// In it is also what only makes up for an oscillator that runs fast or slow.
    #[must_use]
    pub fn slewed_since(&self, earlier: &Sample) -> OffsetInterval {
        let least = Delta::from(self.before.since(earlier.after));
        let most = Delta::from(self.after.since(earlier.before));
        let counted = Delta::from(self.raw.since(earlier.raw));
        OffsetInterval::between(least.minus(counted), most.minus(counted))
    }

    /// What `interval`, which was true at `earlier`, says of the clock now: carried over steps and slews, not aged.
    ///
    /// A step counts in full. The difference between clock and oscillator is a slew for certain where it is more than
    /// the kernel may correct, and then the oscillator is right to within that; below, nobody can tell whether the
    /// clock was slewed or the oscillator was wrong, so the result covers both.
    #[must_use]
    pub fn carry(&self, interval: OffsetInterval, earlier: &Sample) -> OffsetInterval {
        let stepped = interval.shifted(self.stepped_since(earlier));
        let slewed = self.slewed_since(earlier);
        let correction_ns = self.after.since(earlier.before).as_nanos().saturating_mul(FREQUENCY_MAX_PPM) / 1_000_000;
        let correction = Duration::from_nanos(u64::try_from(correction_ns).unwrap_or(u64::MAX)).max(SLEW_MIN);
        let moved = stepped.shifted(slewed);
        if slewed.surely_beyond(correction) {
            return moved.widened(correction);
        }
        OffsetInterval::between(stepped.low().min(moved.low()), stepped.high().max(moved.high()))
    }

    /// For how long the machine slept since `earlier`; around zero if it did not.
    #[must_use]
    pub fn slept_between(&self, earlier: &Sample) -> OffsetInterval {
        let least = Delta::from(self.before.since(earlier.after));
        let most = Delta::from(self.after.since(earlier.before));
        let booted = Delta::from(self.boot.since(earlier.boot));
        OffsetInterval::between(booted.minus(most), booted.minus(least))
    }

    /// Whether the machine certainly slept since `earlier`.
    #[must_use]
    pub fn slept_since(&self, earlier: &Sample) -> bool {
        self.slept_between(earlier).low() > Delta::from(JUMP_MIN)
    }
}

/// Remembers the last sample that was trusted.
#[derive(Debug, Clone)]
pub struct StepDetector {
    /// What is compared with: the narrowest sample since the last jump, however old. Only jumps change the differences
    /// between these clocks, so age costs nothing.
    base: Sample,
    /// The last look.
    last: Sample,
}

impl StepDetector {
    /// Starts from what the clocks say now, or said at any time since the machine was booted.
    #[must_use]
    pub fn new(first: Sample) -> StepDetector {
        StepDetector { base: first, last: first }
    }

    /// Compares with the base: what has happened since, a sleep before a step. A narrower or a jumped sample becomes
    /// the new base.
    ///
    /// A sample from before the base says nothing new and is passed over: it would look like a step backwards.
    pub fn observe(&mut self, sample: Sample) -> Vec<Jump> {
        if sample.before < self.base.before {
            return Vec::new();
        }
        let (slept, stepped) = self.compare(sample);
        if slept.is_some() || stepped.is_some() || sample.width() <= self.base.width() {
            self.base = sample;
        }
        self.last = sample;
        // Nothing is allocated where nothing happened.
        slept.into_iter().chain(stepped).collect()
    }

    /// A sleep and a step, if there were any: a daemon may set the clock right after waking.
    fn compare(&self, sample: Sample) -> (Option<Jump>, Option<Jump>) {
        let jump = |cause, amount: OffsetInterval| {
            let surely = amount.surely_beyond(JUMP_MIN);
            surely.then_some(Jump { cause, amount, before: self.last, after: sample })
        };
        let slept = jump(Cause::Suspend, sample.slept_between(&self.base));
        (slept, jump(Cause::Step, sample.stepped_since(&self.base)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// A sample at `mono` ms, with the wall clock and the boot clock ahead of it, read within a bracket.
    fn sample(mono: i64, wall_ahead: i64, boot_ahead: i64, bracket: i64) -> Sample {
        Sample {
            before: Mono::from_nanos((mono * MS) as u64),
            wall: Wall::from_unix_nanos((mono + wall_ahead) * MS + bracket / 2),
            boot: Boot::from_nanos(((mono + boot_ahead) * MS + bracket / 2) as u64),
            raw: Raw::from_nanos((mono * MS + bracket / 2) as u64),
            after: Mono::from_nanos((mono * MS + bracket) as u64),
        }
    }

    fn check(then: Sample, now: Sample, expected: &[(Cause, i64)]) {
        let jumps = StepDetector::new(then).observe(now);
        let causes: Vec<Cause> = jumps.iter().map(|j| j.cause).collect();
        assert_eq!(causes, expected.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), "{jumps:?}");
        for (jump, (_, ms)) in jumps.iter().zip(expected) {
            assert!(jump.amount.contains(Delta::from_nanos(ms * MS)), "{jump:?}");
            assert_eq!((jump.before, jump.after), (then, now));
            assert_eq!(jump.wall_after().minus(jump.wall_before()), jump.amount.midpoint());
        }
    }

    #[test]
    fn steps_and_suspends_are_told_apart_and_time_passing_is_neither() {
        let start = sample(1_000, 5_000, 0, 2_000);
        check(start, sample(61_000, 5_000, 0, 2_000), &[]);
        check(start, sample(1_250, 7_000, 0, 2_000), &[(Cause::Step, 2_000)]);
        check(start, sample(1_250, -172_800_000, 0, 2_000), &[(Cause::Step, -172_805_000)]);
        check(start, sample(1_250, 9_000, 4_000, 2_000), &[(Cause::Suspend, 4_000)]);
        // Set by hand in its sleep, or by a daemon before anybody looked.
        check(start, sample(1_250, 9_000, 1_000, 2_000), &[(Cause::Suspend, 1_000), (Cause::Step, 3_000)]);
    }

    #[test]
    fn a_preemption_between_the_reads_is_no_step() {
        let start = sample(1_000, 0, 0, 2_000);
        let mut late = sample(1_250, 0, 0, 14 * MS);
        late.wall = Wall::from_unix_nanos(1_250 * MS + 14 * MS);
        check(start, late, &[]);
    }

    #[test]
    fn what_was_known_before_a_step_is_carried_over_it_and_over_a_sleep() {
        let start = sample(1_000, 5_000, 0, 2_000);
        for (now, ms, slept) in [
            (sample(61_000, 5_000, 0, 2_000), 0, false),
            (sample(1_250, 7_000, 0, 9_000), 2_000, false),
            (sample(1_250, -172_800_000, 0, 2_000), -172_805_000, false),
            (sample(1_250, 9_000, 4_000, 2_000), 0, true),
            (sample(1_250, 9_000, 1_000, 2_000), 3_000, true),
        ] {
            let stepped = now.stepped_since(&start);
            assert!(stepped.contains(Delta::from_nanos(ms * MS)), "{stepped} for {ms} ms");
            assert!(stepped.bound() <= Duration::from_micros(11), "{stepped}");
            assert_eq!(now.slept_since(&start), slept, "{now:?}");
        }
    }

    #[test]
    fn a_slew_moves_the_offset_and_a_crooked_oscillator_only_blurs_it() {
        let start = sample(1_000, 0, 0, 2_000);
        let known = OffsetInterval::new(Delta::ZERO, Duration::from_micros(100));
        // For 16 s; the oscillator counted this many ppm less (the clock was driven faster) or more.
        for (ppm, shifts) in [(0, false), (30, false), (-400, false), (83_333, true), (-83_333, true), (600, true)] {
            let mut now = sample(17_000, 0, 0, 2_000);
            now.raw = Raw::from_nanos((17_000 * MS + 1_000 - 16 * 1_000 * ppm) as u64);
            let (carried, slew) = (now.carry(known, &start), Delta::from_nanos(16_000 * ppm));
            assert!(carried.contains(slew), "{ppm} ppm: {carried}");
            assert_eq!(carried.contains(Delta::ZERO), !shifts, "{ppm} ppm: {carried}");
            assert!(carried.bound() < Duration::from_millis(9), "{ppm} ppm: {carried}");
        }
        // A step on top of it.
        let mut now = sample(17_000, 3_000, 0, 2_000);
        now.raw = Raw::from_nanos(15_000 * MS as u64);
        assert!(now.carry(known, &start).contains(Delta::from_nanos(5_000 * MS)));
    }

    #[test]
    fn a_sample_that_comes_late_is_no_step() {
        check(sample(1_250, 0, 0, 2_000), sample(1_000, 0, 0, 2_000), &[]);
    }

    #[test]
    fn the_narrowest_look_is_what_the_next_ones_are_compared_with() {
        let mut detector = StepDetector::new(sample(1_000, 0, 0, 14 * MS));
        assert_eq!(detector.observe(sample(1_250, 0, 0, 2_000)), []);
        assert_eq!(detector.observe(sample(1_500, 0, 0, 14 * MS)), []);
        let jumps = detector.observe(sample(1_750, 3, 0, 2_000));
        assert_eq!(jumps.len(), 1, "3 ms are seen against the second look only");
        assert!(jumps[0].amount.bound() < Duration::from_micros(5), "{jumps:?}");
    }

    #[test]
    fn a_step_between_two_looks_at_one_moment_is_one_and_a_millisecond_of_sleep_is_none() {
        check(sample(1_000, 0, 0, 2_000), sample(1_000, 3_000, 0, 2_000), &[(Cause::Step, 3_000)]);
        assert!(!sample(1_250, 0, 1, 0).slept_since(&sample(1_000, 0, 0, 0)));
        assert!(sample(1_250, 0, 2, 0).slept_since(&sample(1_000, 0, 0, 0)));
    }

    #[test]
    fn a_jump_is_reported_once() {
        let mut detector = StepDetector::new(sample(1_000, 0, 0, 2_000));
        assert_eq!(detector.observe(sample(1_250, 3_000, 0, 9_000)).len(), 1);
        assert_eq!(detector.observe(sample(1_500, 3_000, 0, 2_000)), []);
        let jumps = detector.observe(sample(1_750, 0, 0, 2_000));
        assert_eq!(jumps.len(), 1);
        assert_eq!(jumps[0].before, sample(1_500, 3_000, 0, 2_000), "the last look, not the base of the comparison");
    }
}
