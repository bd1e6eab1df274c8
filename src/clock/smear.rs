//! Tells a leap smear from drift.
//!
//! Around a leap second, servers differ on purpose: some step (repeat or leave out a second of UTC), others smear it
//! over many hours, so that for a day the two kinds are up to one second apart, and neither is broken. The usual smear is
//! linear from noon to noon UTC around the leap (developers.google.com/time/smear; AWS does the same); others begin or
//! end at the leap itself, and have taken from 1000 s (UTC-SLS) to 18 hours. So a contradiction is taken for a smear if
//! all sources lie within one second of one another, and the date is within a day of a leap: announced by any source, or
//! at the end of June or December, where all of them have been so far (ITU-R TF.460 prefers these).
//!
//! It stays a contradiction: which kind of server is right is for the user to say, and nothing is averaged. The name only
//! keeps people from looking for a broken clock.
//!
//! Does not know: which servers smear; whether a leap second really comes, unless a source says so.

use super::interval::OffsetInterval;
use super::time::{Delta, Wall};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Two sources that both tell the time differ by no more around a leap.
const APART_MAX: Delta = Delta::from_nanos(1_000_000_000);
/// A smear is over, and has not begun, this far from the leap.
const WINDOW: Delta = Delta::from_nanos(86_400_000_000_000);

/// What a source says of a coming leap second (RFC 5905, figure 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leap {
    /// None is coming.
    None,
    /// The last minute of the day has 61 seconds.
    Insert,
    /// The last minute of the day has 59 seconds.
    Delete,
    /// The source is not synchronised.
    Unsynchronised,
}

impl Leap {
    /// From the leap indicator of NTP: 0 to 3; what is beyond counts as not synchronised.
    #[must_use]
    pub const fn from_indicator(indicator: u16) -> Leap {
        match indicator {
            0 => Leap::None,
            1 => Leap::Insert,
            2 => Leap::Delete,
            _ => Leap::Unsynchronised,
        }
    }

    /// The word used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Leap::None => "none",
            Leap::Insert => "insert",
            Leap::Delete => "delete",
            Leap::Unsynchronised => "unsynchronised",
        }
    }

    /// Whether a leap second is coming.
    #[must_use]
    pub const fn announced(self) -> bool {
        match self {
            Leap::Insert | Leap::Delete => true,
            Leap::None | Leap::Unsynchronised => false,
        }
    }
}

/// A contradiction that a leap smear explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smear {
    /// Whether a source says that a leap second comes; else only the date speaks for it.
    pub announced: bool,
}

/// Whether a leap smear explains that these intervals contradict one another at `now`, by the clock that they are about.
///
/// `announced`: some source says that a leap second comes. `None` for intervals that agree, or for less than two.
#[must_use]
pub fn recognise(intervals: &[OffsetInterval], now: Wall, announced: bool) -> Option<Smear> {
    let highest_low = intervals.iter().map(|it| it.low()).max()?;
    let lowest_high = intervals.iter().map(|it| it.high()).min()?;
    let apart = highest_low.minus(lowest_high);
    let contradict = apart > Delta::ZERO;
    (contradict && apart <= APART_MAX && near_leap(now, announced)).then_some(Smear { announced })
}

/// Whether a leap may be within a day of `now`: at the end of June or December; if it is announced, of any month.
#[must_use]
pub fn near_leap(now: Wall, announced: bool) -> bool {
    // An end of a month is near if the month is another one a day earlier or later.
    let earlier = date(now.plus(Delta::ZERO.minus(WINDOW)));
    let later = date(now.plus(WINDOW));
    let ends = earlier.first_of_month() != later.first_of_month();
    ends && (announced || matches!(earlier.month(), 6 | 12))
}

/// The date in UTC, clamped to what the calendar holds.
fn date(wall: Wall) -> Date {
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(wall.unix_nanos()));
    timestamp.unwrap_or(jiff::Timestamp::MAX).to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    fn at(text: &str) -> Wall {
        Wall::from_unix_nanos(i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap())
    }

    /// Two sources, exact to a millisecond, so far apart (ms); whether that is a smear at a date.
    fn check(apart_ms: i64, date: &str, announced: bool, expected: bool) {
        let one = OffsetInterval::between(Delta::from_nanos(-MS), Delta::from_nanos(MS));
        let other =
            one.shifted(OffsetInterval::between(Delta::from_nanos(apart_ms * MS), Delta::from_nanos(apart_ms * MS)));
        let found = [recognise(&[one, other], at(date), announced), recognise(&[other, one], at(date), announced)];
        let expected = expected.then_some(Smear { announced });
        assert_eq!(found, [expected, expected], "{apart_ms} ms at {date}");
    }

    #[test]
    fn a_smear_is_recognised_by_date_and_size_on_both_sides_of_the_leap() {
        for apart_ms in [500, -500, 1_000, -1_000, 20] {
            for (date, expected) in [
                // The leap of 2016-12-31T23:59:60Z.
                ("2016-12-30T23:59:59Z", false),
                ("2016-12-31T00:00:01Z", true),
                ("2016-12-31T12:00:00Z", true),
                ("2016-12-31T23:59:59.9Z", true),
                ("2017-01-01T00:00:00Z", true),
                ("2017-01-01T12:00:00Z", true),
                ("2017-01-01T23:59:59Z", true),
                ("2017-01-02T00:00:01Z", false),
                // The leap of 2015-06-30.
                ("2015-06-30T18:00:00Z", true),
                ("2015-07-01T06:00:00Z", true),
                ("2015-06-28T18:00:00Z", false),
                ("2015-07-03T06:00:00Z", false),
                // The ends of other months only if somebody says so.
                ("2027-03-31T18:00:00Z", false),
                ("2027-08-31T18:00:00Z", false),
            ] {
                check(apart_ms, date, false, expected);
            }
        }
    }

    #[test]
    fn an_announced_leap_is_believed_at_the_end_of_any_month_but_not_weeks_before() {
        for apart_ms in [500, -500] {
            check(apart_ms, "2027-03-31T18:00:00Z", true, true);
            check(apart_ms, "2027-04-01T06:00:00Z", true, true);
            check(apart_ms, "2026-12-31T18:00:00Z", true, true);
            // ntpd announces up to a month before.
            check(apart_ms, "2026-12-10T18:00:00Z", true, false);
        }
    }

    #[test]
    fn more_than_a_second_apart_is_no_smear_and_less_than_the_bounds_is_no_conflict() {
        for date in ["2016-12-31T18:00:00Z", "2017-01-01T06:00:00Z"] {
            for announced in [false, true] {
                check(1_100, date, announced, false);
                check(-15_000, date, announced, false);
                check(1, date, announced, false);
                check(2, date, announced, false);
                check(0, date, announced, false);
            }
        }
    }

    #[test]
    fn the_leap_indicator_of_ntp_and_its_words() {
        for (indicator, leap, word, announced) in [
            (0, Leap::None, "none", false),
            (1, Leap::Insert, "insert", true),
            (2, Leap::Delete, "delete", true),
            (3, Leap::Unsynchronised, "unsynchronised", false),
            (9, Leap::Unsynchronised, "unsynchronised", false),
        ] {
            assert_eq!(Leap::from_indicator(indicator), leap);
            assert_eq!((leap.as_str(), leap.announced()), (word, announced), "{indicator}");
        }
    }

    proptest! {
        #[test]
        fn only_a_contradiction_is_ever_a_smear(
            edges in prop::collection::vec((-3_000_000_000i64..3_000_000_000, 0i64..900_000_000), 0..6),
            now in any::<i64>(), announced in any::<bool>(),
        ) {
            let it = |(low, width): &(i64, i64)| {
                OffsetInterval::between(Delta::from_nanos(*low), Delta::from_nanos(low + width))
            };
            let intervals: Vec<_> = edges.iter().map(it).collect();
            if recognise(&intervals, Wall::from_unix_nanos(now), announced).is_some() {
                let all = intervals.iter().copied().map(Some).reduce(|a, b| a?.intersect(b?)).flatten();
                prop_assert_eq!(all, None);
            }
        }
    }
}
