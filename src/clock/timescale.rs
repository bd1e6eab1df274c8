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
//! Source: clock_gettime(2), `CLOCK_MONOTONIC_RAW`; adjtimex(2), `freq`.

use super::steps::{FREQUENCY_MAX_PPM, Sample};
use std::time::Duration;

/// The correction is watched for at least so long at a time, so that the width of a sample counts for little.
const WINDOW_MIN: Duration = Duration::from_secs(16);
/// So many windows are remembered; together they are no shorter than what is carried over.
const WINDOWS: usize = 4;

/// Our wall clock against the oscillator, in nanoseconds since nothing in particular; to within
/// [`Sample::width`].
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
