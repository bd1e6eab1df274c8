//! An offset is never a bare number: it is an interval in which the truth lies.
//!
//! The interval is kept as its two edges. Age only widens it (an oscillator wanders, so what was known a minute ago is
//! known less well now); only [`OffsetInterval::intersect`], which needs a second witness, narrows it. There is no
//! `Default`: nobody may start from "zero, exactly", which would look like a perfect clock.
//!
//! Sign: positive means that the measured clock is ahead of its reference.

use super::time::{Delta, Human};
use std::fmt;
use std::time::Duration;

/// By how much an undisciplined oscillator may drift: 50 ppm, which a cheap crystal keeps over temperature. It is
/// also what AWS ClockBound asks chrony's `maxclockerror` to be.
pub const DRIFT_PPM: u64 = 50;

/// Where the true offset of a clock against its reference lies, both edges included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OffsetInterval {
    low: Delta,
    high: Delta,
}

/// An interval in seconds, for people, JSON and metrics; the two numbers only ever leave together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds {
    /// Midpoint, seconds, positive ahead.
    pub offset: f64,
    /// Half the width, seconds, never negative.
    pub bound: f64,
}

impl OffsetInterval {
    /// `offset ± bound`.
    #[must_use]
    pub fn new(offset: Delta, bound: Duration) -> OffsetInterval {
        let bound = Delta::from(bound);
        OffsetInterval { low: offset.minus(bound), high: offset.plus(bound) }
    }

    /// Only where it is so by definition: a clock against itself.
    #[must_use]
    pub const fn exactly(offset: Delta) -> OffsetInterval {
        OffsetInterval { low: offset, high: offset }
    }

    /// From the edges, in either order.
    #[must_use]
    pub fn between(one: Delta, other: Delta) -> OffsetInterval {
        OffsetInterval { low: one.min(other), high: one.max(other) }
    }

    /// The lower edge.
    #[must_use]
    pub const fn low(self) -> Delta {
        self.low
    }

    /// The upper edge.
    #[must_use]
    pub const fn high(self) -> Delta {
        self.high
    }

    /// The midpoint: the best single guess, worth nothing without [`OffsetInterval::bound`].
    #[must_use]
    pub fn midpoint(self) -> Delta {
        let sum = i128::from(self.low.nanos()) + i128::from(self.high.nanos());
        Delta::from_nanos(i64::try_from(sum / 2).unwrap_or(0))
    }

    /// Half the width, rounded up so that the interval around the midpoint covers the edges.
    #[must_use]
    pub fn bound(self) -> Duration {
        let width = i128::from(self.high.nanos()) - i128::from(self.low.nanos());
        Duration::from_nanos(u64::try_from((width + 1) / 2).unwrap_or(u64::MAX))
    }

    /// Both numbers in seconds.
    #[must_use]
    pub fn seconds(self) -> Seconds {
        Seconds { offset: self.midpoint().seconds(), bound: self.bound().as_secs_f64() }
    }

    /// The same knowledge, `elapsed` later: wider on both sides by `elapsed` times [`DRIFT_PPM`], rounded up.
    #[must_use]
    pub fn aged(self, elapsed: Duration) -> OffsetInterval {
        let drift = elapsed.as_nanos().saturating_mul(u128::from(DRIFT_PPM)).div_ceil(1_000_000);
        let drift = Duration::from_nanos(u64::try_from(drift).unwrap_or(u64::MAX));
        self.widened(drift)
    }

    /// Wider by `by` on both sides: another source of error was added.
    #[must_use]
    pub fn widened(self, by: Duration) -> OffsetInterval {
        let by = Delta::from(by);
        OffsetInterval { low: self.low.minus(by), high: self.high.plus(by) }
    }

    /// What two witnesses allow together; `None` if they cannot both be true. Touching intervals overlap.
    #[must_use]
    pub fn intersect(self, other: OffsetInterval) -> Option<OffsetInterval> {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        (low <= high).then_some(OffsetInterval { low, high })
    }

    /// Whether both can be true.
    #[must_use]
    pub fn overlaps(self, other: OffsetInterval) -> bool {
        self.intersect(other).is_some()
    }

    /// The same clock after it was moved by an amount between the edges of `step`.
    #[must_use]
    pub fn shifted(self, step: OffsetInterval) -> OffsetInterval {
        OffsetInterval { low: self.low.plus(step.low), high: self.high.plus(step.high) }
    }

    /// If `self` is A against B, and `other` is C against B, this is A against C: errors add up.
    #[must_use]
    pub fn against(self, other: OffsetInterval) -> OffsetInterval {
        OffsetInterval { low: self.low.minus(other.high), high: self.high.minus(other.low) }
    }

    /// Whether `offset` may be the truth.
    #[must_use]
    pub fn contains(self, offset: Delta) -> bool {
        self.low <= offset && offset <= self.high
    }

    /// Beyond `limit` for certain: the whole interval lies outside `±limit`.
    #[must_use]
    pub fn surely_beyond(self, limit: Duration) -> bool {
        let limit = Delta::from(limit);
        self.low > limit || self.high < Delta::ZERO.minus(limit)
    }

    /// Inside `limit` for certain: the whole interval lies within `±limit`.
    #[must_use]
    pub fn surely_within(self, limit: Duration) -> bool {
        let limit = Delta::from(limit);
        self.low >= Delta::ZERO.minus(limit) && self.high <= limit
    }
}

impl fmt::Debug for OffsetInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `+15.000 s ± 1.2 ms`.
impl fmt::Display for OffsetInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} \u{b1} {}", self.midpoint(), Human(self.bound()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval() -> impl Strategy<Value = OffsetInterval> {
        (any::<i64>(), any::<i64>())
            .prop_map(|(a, b)| OffsetInterval::between(Delta::from_nanos(a / 4), Delta::from_nanos(b / 4)))
    }

    proptest! {
        #[test]
        fn a_bound_never_shrinks_with_age(it in interval(), a in 0u64..1 << 50, b in 0u64..1 << 50) {
            let (young, old) = (Duration::from_nanos(a.min(b)), Duration::from_nanos(a.max(b)));
            prop_assert!(it.aged(young).bound() <= it.aged(old).bound());
            prop_assert!(it.aged(old).low() <= it.low() && it.high() <= it.aged(old).high());
        }

        #[test]
        fn ageing_twice_is_no_better_than_ageing_once(it in interval(), a in 0u64..1 << 40, b in 0u64..1 << 40) {
            let (a, b) = (Duration::from_nanos(a), Duration::from_nanos(b));
            let (once, twice) = (it.aged(a + b), it.aged(a).aged(b));
            prop_assert!(twice.low() <= once.low() && once.high() <= twice.high());
        }

        #[test]
        fn the_midpoint_with_its_bound_covers_the_edges(it in interval()) {
            let covered = OffsetInterval::new(it.midpoint(), it.bound());
            prop_assert!(covered.low() <= it.low() && it.high() <= covered.high());
        }

        #[test]
        fn only_a_second_witness_narrows(a in interval(), b in interval()) {
            if let Some(both) = a.intersect(b) {
                prop_assert!(both.bound() <= a.bound() && both.bound() <= b.bound());
                prop_assert_eq!(a.intersect(b), b.intersect(a));
            }
            prop_assert!(a.against(b).bound() >= a.bound().max(b.bound()).saturating_sub(Duration::from_nanos(1)));
        }

        #[test]
        fn certainty_is_exclusive(it in interval(), limit in 0u64..1 << 60) {
            let limit = Duration::from_nanos(limit);
            prop_assert!(!(it.surely_beyond(limit) && it.surely_within(limit)));
        }
    }

    fn it(low: i64, high: i64) -> OffsetInterval {
        OffsetInterval::between(Delta::from_nanos(low), Delta::from_nanos(high))
    }

    #[test]
    fn edges_belong_to_an_interval_and_a_limit_to_what_is_within() {
        for (offset, inside) in [(-3, false), (-2, true), (0, true), (3, true), (4, false)] {
            assert_eq!(it(-2, 3).contains(Delta::from_nanos(offset)), inside, "{offset}");
        }
        for (one, other, both) in
            [(it(0, 3), it(3, 5), Some(it(3, 3))), (it(0, 3), it(4, 5), None), (it(0, 9), it(4, 5), Some(it(4, 5)))]
        {
            assert_eq!((one.intersect(other), one.overlaps(other)), (both, both.is_some()), "{one} {other}");
        }
        for (low, high, beyond, within) in [
            (-5, 5, false, true),
            (-6, 5, false, false),
            (-5, 6, false, false),
            (5, 9, false, false),
            (6, 9, true, false),
            (-9, -5, false, false),
            (-9, -6, true, false),
        ] {
            let limit = Duration::from_nanos(5);
            let found = (it(low, high).surely_beyond(limit), it(low, high).surely_within(limit));
            assert_eq!(found, (beyond, within), "{low}..{high}");
        }
    }

    #[test]
    fn what_cannot_be_halved_or_aged_exactly_is_rounded_so_that_the_bound_grows() {
        assert_eq!((it(0, 3).midpoint(), it(0, 3).bound()), (Delta::from_nanos(1), Duration::from_nanos(2)));
        assert_eq!(it(0, 4).bound(), Duration::from_nanos(2));
        assert_eq!(it(0, 0).aged(Duration::from_secs(1)), it(-50_000, 50_000));
        assert_eq!(it(0, 0).aged(Duration::from_nanos(1)), it(-1, 1));
        let seconds = it(-500_000_000, 3_500_000_000).seconds();
        assert_eq!(seconds, Seconds { offset: 1.5, bound: 2.0 });
    }

    #[test]
    fn a_clock_a_year_off_is_as_representable_as_a_good_one() {
        let year = Delta::from_nanos(31_536_000_000_000_000);
        let it = OffsetInterval::new(year, Duration::from_millis(1));
        assert!(it.surely_beyond(Duration::from_secs(1)) && it.contains(year));
        assert_eq!(it.to_string(), "+365 d 0 h \u{b1} 1.0 ms");
        assert_eq!(format!("{it:?}"), it.to_string());
    }
}
