//! Intervals of different moments, kept in order, and how they read at another moment.
//!
//! An interval that was `low..high` at the time t reads, at the time T, `low - r(T - t)..high + r(T - t)`, rounded
//! outwards. So `low + rt` and `high - rt` are kept, which do not change, and whose order is that of the edges at any
//! moment. What was measured against our clock is kept against the oscillator in the same manner.
//!
//! Rounding is where both would differ by a nanosecond; so what is kept is exact, in [`FINE`] parts, and a question about
//! edges (how many are below x) is turned into one about what is kept, exactly.
//!
//! Does not know: whose intervals these are.

use crate::clock::timescale::position;
use crate::clock::{Delta, Edges, Mono, OffsetInterval, Order, Ranks, Sample};

/// Edges are kept in nanoseconds divided by this, so that parts per million of a time are whole.
const FINE: i128 = 1_000_000;

/// The edges of one interval as they would have been at the beginning of time, in [`FINE`] parts of a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    low: i128,
    high: i128,
}

/// How what is kept is to be read at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    /// How much wider than at the beginning of time, in [`FINE`] parts.
    widened: i128,
    /// What it is against was moved by this, ns.
    moved: i128,
    /// And that is known to within this, ns.
    within: i128,
}

impl Reader {
    /// At this time by the monotonic clock, at a rate in parts per million.
    pub(super) fn at(now: Mono, ppm: u64) -> Reader {
        Reader { widened: i128::from(now.nanos()) * i128::from(ppm), moved: 0, within: 0 }
    }

    /// What is against our clock, by what our clocks are.
    pub(super) fn by(clocks: &Sample, now: Mono, ppm: u64) -> Reader {
        let within = i128::try_from(clocks.width().as_nanos()).unwrap_or(i128::MAX / FINE);
        Reader { moved: position(clocks), within, ..Reader::at(now, ppm) }
    }

    /// What is kept of an interval that is so at this moment.
    pub(super) fn keep(&self, it: OffsetInterval) -> Kept {
        let low = i128::from(it.low().nanos()) + self.moved - self.within;
        let high = i128::from(it.high().nanos()) + self.moved + self.within;
        Kept { low: low * FINE + self.widened, high: high * FINE - self.widened }
    }

    /// The interval at this moment.
    pub(super) fn read(&self, kept: Kept) -> OffsetInterval {
        OffsetInterval::between(self.low(kept.low), self.high(kept.high))
    }

    /// Rounded down, as [`OffsetInterval::aged`] does.
    fn low(&self, kept: i128) -> Delta {
        clamped((kept - self.widened).div_euclid(FINE) - self.moved - self.within)
    }

    /// Rounded up.
    fn high(&self, kept: i128) -> Delta {
        clamped(-(-(kept + self.widened)).div_euclid(FINE) - self.moved + self.within)
    }

    /// The least that reads as a lower edge of so many nanoseconds.
    fn low_from(&self, nanos: i128) -> i128 {
        (nanos + self.moved + self.within) * FINE + self.widened
    }

    /// The greatest that reads as an upper edge of so many nanoseconds.
    fn high_to(&self, nanos: i128) -> i128 {
        (nanos + self.moved - self.within) * FINE - self.widened
    }
}

/// The nearest that there is.
pub(super) fn clamped(nanos: i128) -> Delta {
    let nearest = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Delta::from_nanos(i64::try_from(nearest).unwrap_or(0))
}

/// Edges of one kind, read at one moment.
pub(super) struct Side<'a> {
    kept: &'a Ranks<i128>,
    reader: Reader,
    upper: bool,
}

impl Order for Side<'_> {
    fn len(&self) -> usize {
        self.kept.len()
    }

    fn nth(&self, index: usize) -> Option<(Delta, u32)> {
        let (kept, id) = self.kept.nth(index)?;
        Some((if self.upper { self.reader.high(kept) } else { self.reader.low(kept) }, id))
    }

    fn below(&self, than: Delta) -> usize {
        let than = i128::from(than.nanos());
        self.kept.below(if self.upper { self.reader.high_to(than - 1) + 1 } else { self.reader.low_from(than) })
    }

    fn above(&self, than: Delta) -> usize {
        let than = i128::from(than.nanos());
        self.kept.above(if self.upper { self.reader.high_to(than) } else { self.reader.low_from(than + 1) - 1 })
    }
}

/// Intervals, by either edge.
#[derive(Debug, Clone, Default)]
pub(super) struct Intervals {
    lows: Ranks<i128>,
    highs: Ranks<i128>,
}

impl Intervals {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.lows.is_empty()
    }

    /// Adds an interval, if there is one.
    pub(super) fn insert(&mut self, kept: Option<Kept>, id: u32) {
        if let Some(Kept { low, high }) = kept {
            self.lows.insert(low, id);
            self.highs.insert(high, id);
        }
    }

    /// Takes it away.
    pub(super) fn remove(&mut self, kept: Option<Kept>, id: u32) {
        if let Some(Kept { low, high }) = kept {
            self.lows.remove(low, id);
            self.highs.remove(high, id);
        }
    }

    /// All of them as they are at one moment.
    pub(super) fn read(&self, reader: Reader) -> Edges<Side<'_>> {
        Edges {
            lows: Side { kept: &self.lows, reader, upper: false },
            highs: Side { kept: &self.highs, reader, upper: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Boot, Raw, Wall};
    use std::time::Duration;

    /// Our clocks at a time, set ahead by so much, and read within a bracket; all in nanoseconds.
    fn clocks(at: u64, ahead: i64, bracket: u64) -> Sample {
        Sample {
            before: Mono::from_nanos(at),
            wall: Wall::from_unix_nanos(at as i64 + ahead),
            boot: Boot::from_nanos(at),
            // So that the bracket is no slew.
            raw: Raw::from_nanos(at + bracket),
            after: Mono::from_nanos(at + bracket),
        }
    }

    fn between(low: i64, high: i64) -> OffsetInterval {
        OffsetInterval::between(Delta::from_nanos(low), Delta::from_nanos(high))
    }

    #[test]
    fn what_is_kept_reads_as_older_as_moved_and_as_wide_as_both_looks_at_our_clock() {
        const PPM: u64 = 50;
        let begun = 1_000_000_000;
        for (passed, ahead, brackets) in [
            (0, 0, (0, 0)),
            (1, 0, (0, 0)),
            (3_000_000_001, 0, (0, 0)),
            (0, 7_000, (0, 0)),
            (0, -7_000, (0, 0)),
            (0, 0, (20, 0)),
            (0, 0, (0, 300)),
            (3_000_000_001, -7_000, (20, 300)),
        ] {
            let (then, now) = (clocks(begun, 0, brackets.0), clocks(begun + passed, ahead, brackets.1));
            let mut all = Intervals::default();
            let mut expected = Vec::new();
            let reader = Reader::by(&now, now.before, PPM);
            for (id, it) in (0..).zip([between(-40, 40), between(-40, -39), between(0, 0), between(400, 9_000)]) {
                let kept = Reader::by(&then, then.before, PPM).keep(it);
                all.insert(Some(kept), id);
                // The further we were set ahead, the further behind us is every node.
                let moved = it.shifted(between(-ahead, -ahead)).aged(Duration::from_nanos(passed));
                expected.push((id, moved.widened(Duration::from_nanos(brackets.0 + brackets.1))));
                assert_eq!(reader.read(kept), expected[id as usize].1, "{passed} {ahead} {brackets:?}");
            }
            let (found, expected) = (all.read(reader), Edges::of(expected.into_iter()));
            check(&found.lows, &expected.lows);
            check(&found.highs, &expected.highs);
        }
    }

    /// The same answers to every question about these edges and their neighbours.
    fn check(found: &impl Order, expected: &impl Order) {
        assert_eq!(found.len(), expected.len());
        for index in 0..=expected.len() {
            assert_eq!(found.nth(index), expected.nth(index));
        }
        for (edge, _) in (0..expected.len()).filter_map(|index| expected.nth(index)) {
            for around in [-1, 0, 1] {
                let than = edge.plus(Delta::from_nanos(around));
                assert_eq!((found.below(than), found.above(than)), (expected.below(than), expected.above(than)));
            }
        }
    }
}
