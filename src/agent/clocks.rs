//! Reads the machine's clocks as nearly at once as can be.
//!
//! The others are read between two reads of the monotonic clock; the width of that bracket is the
//! uncertainty of the sample. A preemption inside it (14 ms have been seen) makes it wide, so a wide one is tried
//! again, and the narrowest of a few is taken.

use crate::clock::Sample;
use crate::runtime::{boot_now, mono_now, raw_now, wall_now};
use std::time::Duration;

/// A bracket this narrow is good enough; undisturbed it takes well under a microsecond.
const NARROW: Duration = Duration::from_micros(20);
const TRIES: usize = 3;

/// The clocks, now.
#[must_use]
pub fn sample() -> Sample {
    let mut best = once();
    for _ in 1..TRIES {
        if width(&best) <= NARROW {
            break;
        }
        let again = once();
        if width(&again) < width(&best) {
            best = again;
        }
    }
    best
}

/// The width of a sample's bracket.
#[must_use]
pub fn width(sample: &Sample) -> Duration {
    sample.after.since(sample.before)
}

fn once() -> Sample {
    let before = mono_now();
    let (wall, boot, raw) = (wall_now(), boot_now(), raw_now());
    Sample { before, wall, boot, raw, after: mono_now() }
}
