//! How far has our own clock been moved since, and how well is that known?
//!
//! Many clocks are measured against ours at different moments, and ours is set and slewed in between. To compare those
//! readings, all of them are told against a clock that nobody moves: the oscillator, plus the time slept. [`position`]
//! is our wall clock against that; the difference of two positions is what was done to it, steps and slews alike.
//!
//! An oscillator runs fast or slow by itself, which the kernel makes up for. So an interval that was carried over by
//! positions is uncertain by [`Timescale::ppm`] of the time in between: what the kernel has lately been seen to
//! correct, and all that it can correct where it has not been watched or was slewing on purpose. Whoever carries one
//! interval between two samples does better with [`Sample::carry`]; this is for many, at one rate.
//!
//! Does not see, nor does `carry`: a slew slower than what the kernel may correct, of just the oscillator's error. Such
//! a slew moves the clock by 5 ms in ten seconds at most.
//!
//! Source: clock_gettime(2), `CLOCK_MONOTONIC_RAW`; adjtimex(2), `freq`.

use super::steps::{FREQUENCY_MAX_PPM, Sample};
use std::time::Duration;

/// The correction is watched for at least so long at a time, so that the width of a sample counts for little.
const WINDOW_MIN: Duration = Duration::from_secs(16);
/// So many windows are remembered; together they are no shorter than what is carried over.
const WINDOWS: usize = 4;

/// Our wall clock against the oscillator, in nanoseconds since nothing in particular; to within [`Sample::width`], since
/// the clocks of a sample are read in the order of its fields.
#[must_use]
pub fn position(sample: &Sample) -> i128 {
    // Against the boot clock a step shows, in the monotonic against the raw clock a slew.
    let stepped = i128::from(sample.wall.unix_nanos()) - i128::from(sample.boot.nanos());
    stepped + slewed(sample)
}

fn slewed(sample: &Sample) -> i128 {
    i128::from(sample.after.nanos()) - i128::from(sample.raw.nanos())
}

/// What the kernel has lately been seen to do to the rate of our clock.
#[derive(Debug, Clone)]
pub struct Timescale {
    window: Duration,
    begun: Option<Sample>,
    seen_ppm: [Option<u64>; WINDOWS],
}

impl Timescale {
    /// For carrying over intervals that are no older than this.
    #[must_use]
    pub fn new(age_max: Duration) -> Timescale {
        Timescale { window: WINDOW_MIN.max(age_max / 4), begun: None, seen_ppm: [None; WINDOWS] }
    }

    /// Looks at the clocks now; samples in their order.
    pub fn observe(&mut self, now: &Sample) {
        let Some(begun) = &self.begun else {
            self.begun = Some(*now);
            return;
        };
        let passed = now.after.since(begun.after);
        if passed < self.window {
            return;
        }
        let corrected = (slewed(now) - slewed(begun)).unsigned_abs();
        let at_most = corrected.saturating_add(now.width().as_nanos()).saturating_add(begun.width().as_nanos());
        let ppm = at_most.saturating_mul(1_000_000).div_ceil(passed.as_nanos()).min(FREQUENCY_MAX_PPM);
        self.seen_ppm.rotate_right(1);
        if let Some(first) = self.seen_ppm.first_mut() {
            *first = u64::try_from(ppm).ok();
        }
        self.begun = Some(*now);
    }

    /// By how much the oscillator may run fast or slow, parts per million.
    #[must_use]
    pub fn ppm(&self) -> u64 {
        let most = self.seen_ppm.iter().copied().flatten().max();
        most.unwrap_or_else(|| u64::try_from(FREQUENCY_MAX_PPM).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Boot, Mono, Raw, Wall};

    /// Our clocks after so many seconds: stepped by so much in all, slewed by so much in all, ns.
    fn at(seconds: u64, stepped: i64, slewed: i64) -> Sample {
        let raw = 5_000_000_000 + seconds * 1_000_000_000;
        let mono = raw.checked_add_signed(slewed).unwrap();
        Sample {
            before: Mono::from_nanos(mono - 200),
            after: Mono::from_nanos(mono),
            boot: Boot::from_nanos(mono + 77),
            raw: Raw::from_nanos(raw),
            wall: Wall::from_unix_nanos(i64::try_from(mono).unwrap() + 1_000_000_000_000 + stepped),
        }
    }

    #[test]
    fn what_was_done_to_our_clock_is_the_difference_of_two_positions() {
        let first = at(0, 0, 0);
        for (stepped, slewed) in [(0, 0), (3_600_000_000_000, 0), (-5, 0), (0, 40_000_000), (-7, -40_000_000)] {
            let moved = position(&at(10, stepped, slewed)) - position(&first);
            assert_eq!(moved, i128::from(stepped + slewed));
        }
    }

    /// By how much the clock was slewed in each of the windows, ppm in; what may be wrong with the oscillator out.
    #[track_caller]
    fn check(slewed_ppm: &[i64], expected_ppm: u64) {
        let mut timescale = Timescale::new(Duration::from_secs(60));
        timescale.observe(&at(0, 0, 0));
        let mut slewed = 0;
        for (window, ppm) in (1..).zip(slewed_ppm) {
            slewed += ppm * 20_000;
            timescale.observe(&at(window * 20 - 10, 0, slewed));
            timescale.observe(&at(window * 20, 0, slewed));
        }
        assert_eq!(timescale.ppm(), expected_ppm, "{slewed_ppm:?}");
    }

    #[test]
    fn the_oscillator_is_as_wrong_as_the_kernel_has_lately_corrected_it() {
        // Nobody has looked yet: whatever the kernel may do.
        check(&[], 500);
        // One more for the width of the samples.
        check(&[0], 1);
        check(&[20], 21);
        check(&[-20, 3], 21);
        check(&[-20, 3, 3, 3], 21);
        check(&[-20, 3, 3, 3, 3], 4);
        // Slewed on purpose: the oscillator may be as wrong as the kernel could correct.
        check(&[3, 83_000], 500);
    }
}
