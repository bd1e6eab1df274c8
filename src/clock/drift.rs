//! How bad a drift was: its peak, its area, and for how long there was evidence.
//!
//! A clock that was 15 s off for a minute did more harm than one that was 20 s off for a second. So a period of drift is
//! measured by its greatest offset and by its *area*, the integral of |offset| over time: seconds of error times seconds
//! of duration, s². Area over time measured is the mean error.
//!
//! Only time with evidence counts. Between two looks the trapezoid is taken; after the last evidence its offset counts
//! on until it is stale and no longer. What nobody saw is not guessed, so peak and area err on the small side, and the
//! measured time says how much was seen.
//!
//! A process that starts in the middle of a period *raises* its sums to what another one wrote down. That is a maximum
//! and not an addition: reading the same record twice, or one's own, adds nothing.
//!
//! Does not know: tolerances, when a period begins and ends, where sums are kept.

use super::time::{Delta, Mono};
use std::time::Duration;

/// What a period of drift has come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// The offset that was furthest from zero, with its sign; positive: ahead.
    pub peak: Delta,
    /// The integral of |offset| over the measured time, s².
    pub area: f64,
    /// For how long there was evidence.
    pub measured: Duration,
}

impl Sums {
    /// The greater of each.
    fn raise(&mut self, other: Sums) {
        if other.peak.magnitude() > self.peak.magnitude() {
            self.peak = other.peak;
        }
        self.area = self.area.max(other.area);
        self.measured = self.measured.max(other.measured);
    }
}

/// One look at a clock, as far as drift goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Beyond tolerance, by this much.
    Beyond(Delta),
    /// There is no fresh evidence: the period goes on, and nothing counts.
    Blind,
    /// Inside tolerance for certain: whatever went on is over.
    Within(Delta),
}

/// A period of drift while it is looked at. Starts empty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Drift {
    is_on: bool,
    sums: Sums,
    /// The last evidence: when, what, and for how long it is good.
    last: Option<(Mono, Delta, Duration)>,
}

impl Drift {
    /// What the period has come to; the last one, if none goes on.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.sums
    }

    /// Whether a period goes on, as far as was seen.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Starts from these sums: what was summed before belongs to another period.
    pub fn reset(&mut self, sums: Sums) {
        *self = Drift { is_on: self.is_on, sums, last: None };
    }

    /// Takes over what somebody else wrote down of the same period.
    pub fn raise(&mut self, sums: Sums) {
        self.sums.raise(sums);
    }

    /// One more look, at `now`. Evidence is good for `good_for` unless a later look replaces it.
    pub fn observe(&mut self, look: Look, good_for: Duration, now: Mono) {
        let (offset, is_on) = match look {
            Look::Beyond(offset) => (Some(offset), true),
            Look::Within(offset) => (Some(offset), false),
            Look::Blind => (None, self.is_on),
        };
        if let (true, Some((then, before, good))) = (self.is_on, self.last) {
            let passed = now.since(then);
            let counted = passed.min(good);
            let began = before.magnitude().as_secs_f64();
            let ended = offset.filter(|_| passed <= good).map_or(began, |it| it.magnitude().as_secs_f64());
            self.sums.area += f64::midpoint(began, ended) * counted.as_secs_f64();
            self.sums.measured = self.sums.measured.saturating_add(counted);
        }
        if let Look::Beyond(offset) = look
            && offset.magnitude() > self.sums.peak.magnitude()
        {
            self.sums.peak = offset;
        }
        self.last = offset.map(|offset| (now, offset, good_for));
        self.is_on = is_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Mono {
        Mono::from_nanos(seconds * 1_000_000_000)
    }

    fn ms(ms: i64) -> Delta {
        Delta::from_nanos(ms * 1_000_000)
    }

    /// Looks at these seconds come to this peak (ms), area (s²) and measured time (s).
    fn check(looks: &[(u64, Look)], expected: (i64, f64, u64)) {
        let mut drift = Drift::default();
        for (when, look) in looks {
            drift.observe(*look, GOOD, at(*when));
            // The same look again at the same time adds nothing.
            drift.observe(*look, GOOD, at(*when));
        }
        let Sums { peak, area, measured } = drift.sums();
        assert_eq!((peak, measured.as_secs()), (ms(expected.0), expected.2), "{looks:?}");
        assert!((area - expected.1).abs() < 1e-9, "{looks:?}: {area}");
    }

    #[test]
    fn peak_area_and_time_are_what_a_ruler_would_find() {
        use Look::{Beyond, Blind, Within};
        let (ahead, behind, right) = (Beyond(ms(15_000)), Beyond(ms(-20_000)), Within(ms(0)));
        for (looks, expected) in [
            (vec![(0, right), (10, right)], (0, 0.0, 0)),
            (vec![(0, ahead)], (15_000, 0.0, 0)),
            (vec![(0, ahead), (10, ahead), (20, ahead)], (15_000, 300.0, 20)),
            (vec![(0, ahead), (10, right), (1000, right)], (15_000, 75.0, 10)),
            (vec![(0, ahead), (10, behind)], (-20_000, 175.0, 10)),
            // Evidence is good for a minute, whoever looks however late.
            (vec![(0, ahead), (60, Blind), (4000, Blind), (4010, right)], (15_000, 900.0, 60)),
            (vec![(0, ahead), (3600, ahead)], (15_000, 900.0, 60)),
            (vec![(0, ahead), (10, Blind), (100, ahead), (110, ahead)], (15_000, 300.0, 20)),
            // What comes before the first evidence of a drift is not drift.
            (vec![(0, right), (10, ahead), (20, ahead)], (15_000, 150.0, 10)),
        ] {
            check(&looks, expected);
        }
    }

    #[test]
    fn a_record_is_taken_over_by_the_maximum_and_never_twice() {
        let mut drift = Drift::default();
        drift.observe(Look::Beyond(ms(1_000)), GOOD, at(0));
        let written = Sums { peak: ms(-9_000), area: 500.0, measured: Duration::from_secs(100) };
        drift.raise(written);
        drift.raise(written);
        drift.observe(Look::Beyond(ms(1_000)), GOOD, at(10));
        let own = drift.sums();
        assert_eq!(own, Sums { peak: ms(-9_000), area: 510.0, measured: Duration::from_secs(110) });
        drift.raise(own);
        drift.raise(written);
        assert_eq!(drift.sums(), own);
    }

    #[test]
    fn a_period_begins_and_ends_with_evidence_and_a_reset_keeps_only_that_it_goes_on() {
        let mut drift = Drift::default();
        for (when, look, on) in [
            (0, Look::Blind, false),
            (1, Look::Beyond(ms(2_000)), true),
            (2, Look::Blind, true),
            (3, Look::Within(ms(1)), false),
            (4, Look::Beyond(ms(2_000)), true),
        ] {
            drift.observe(look, GOOD, at(when));
            assert_eq!(drift.is_on(), on, "at {when} s");
        }
        let sums = Sums { peak: ms(3_000), area: 7.0, measured: Duration::from_secs(2) };
        drift.reset(sums);
        assert!(drift.is_on());
        // The look before the reset belongs to the other period; only from here on is summed.
        drift.observe(Look::Beyond(ms(2_000)), GOOD, at(14));
        assert_eq!(drift.sums(), sums);
        drift.observe(Look::Beyond(ms(2_000)), GOOD, at(15));
        assert_eq!(drift.sums(), Sums { area: 9.0, measured: Duration::from_secs(3), ..sums });
    }

    #[test]
    fn the_first_of_two_equal_peaks_stays() {
        let mut drift = Drift::default();
        drift.observe(Look::Beyond(ms(9_000)), GOOD, at(0));
        drift.observe(Look::Beyond(ms(-9_000)), GOOD, at(0));
        drift.raise(Sums { peak: ms(-9_000), ..Sums::default() });
        assert_eq!(drift.sums().peak, ms(9_000));
    }

    proptest! {
        #[test]
        fn the_mean_never_exceeds_the_peak_and_nothing_ever_shrinks(
            looks in prop::collection::vec((0u64..200, 0u8..3, -100_000i64..100_000), 1..40)
        ) {
            let (mut drift, mut now, mut before) = (Drift::default(), 0, Sums::default());
            for (step, kind, offset) in looks {
                now += step;
                // Inside tolerance is nearer to zero than beyond it.
                let look = match kind {
                    0 => Look::Beyond(ms(if offset < 0 { offset - 500 } else { offset + 500 })),
                    1 => Look::Within(ms(offset % 500)),
                    _ => Look::Blind,
                };
                drift.observe(look, GOOD, at(now));
                let Sums { peak, area, measured } = drift.sums();
                prop_assert!(area >= before.area && measured >= before.measured);
                prop_assert!(peak.magnitude() >= before.peak.magnitude());
                prop_assert!(area <= peak.magnitude().as_secs_f64() * measured.as_secs_f64() + 1e-6);
                before = drift.sums();
            }
        }
    }
}
