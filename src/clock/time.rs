//! Four time scales that must never be subtracted from one another.
//!
//! [`Wall`] is what a clock claims the date to be, and may jump; [`Mono`] only ever goes forward, stands still while
//! the machine sleeps, and measures every duration in this program; [`Boot`] is `Mono` that also counts sleep. Mixing
//! them is the oldest mistake in this field, so it does not compile:
//!
//! ```compile_fail
//! use clockwarden::clock::{Mono, Wall};
//! let _ = Wall::from_unix_nanos(5).since(Mono::from_nanos(3));
//! ```
//!
//! Only the step detector ([`super::steps`]) sees them side by side. All arithmetic saturates: a clock may really be
//! a century off, and a hostile report may claim anything.
//!
//! Source: clock_gettime(2) for what each clock counts.

use std::fmt;
use std::time::Duration;

const NANOS_PER_SECOND: f64 = 1e9;

/// A signed length of time in nanoseconds (±292 years, saturating). Positive: ahead, later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Delta(i64);

impl Delta {
    /// No difference.
    pub const ZERO: Delta = Delta(0);

    /// From signed nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Delta {
        Delta(nanos)
    }

    /// From seconds; saturates, and NaN is refused.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Delta> {
        if seconds.is_nan() {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
        Some(Delta((seconds * NANOS_PER_SECOND) as i64))
    }

    /// Signed nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Seconds, for people and for metrics; good to a microsecond over a century.
    #[must_use]
    pub fn seconds(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for display: 53 bits hold a century of microseconds")]
        {
            self.0 as f64 / NANOS_PER_SECOND
        }
    }

    /// How large, whichever way.
    #[must_use]
    pub const fn magnitude(self) -> Duration {
        Duration::from_nanos(self.0.unsigned_abs())
    }

    /// The sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Delta) -> Delta {
        Delta(self.0.saturating_add(other.0))
    }

    /// The difference, saturating.
    #[must_use]
    pub const fn minus(self, other: Delta) -> Delta {
        Delta(self.0.saturating_sub(other.0))
    }
}

impl From<Duration> for Delta {
    fn from(duration: Duration) -> Delta {
        Delta(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// `+15.000 s`, `-2.5 ms`: the unit that a person would choose, always with its sign.
impl fmt::Display for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", Human(self.magnitude()))
    }
}

/// A duration as a person would say it: `250 us`, `12.3 ms`, `15.2 s`, `3 d 4 h`.
#[derive(Debug, Clone, Copy)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let whole = self.0.as_secs();
        match seconds {
            0.0 => write!(f, "0 s"),
            s if s < 1e-3 => write!(f, "{:.0} us", s * 1e6),
            s if s < 1.0 => write!(f, "{:.1} ms", s * 1e3),
            s if s < 120.0 => write!(f, "{s:.3} s"),
            s if s < 7200.0 => write!(f, "{} min {} s", whole / 60, whole % 60),
            s if s < 172_800.0 => write!(f, "{} h {} min", whole / 3600, whole % 3600 / 60),
            _ => write!(f, "{} d {} h", whole / 86_400, whole % 86_400 / 3600),
        }
    }
}

macro_rules! forward_clock {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// From nanoseconds since this clock's own beginning, which means nothing outside this machine.
            #[must_use]
            pub const fn from_nanos(nanos: u64) -> Self {
                Self(nanos)
            }

            /// Nanoseconds since this clock's beginning.
            #[must_use]
            pub const fn nanos(self) -> u64 {
                self.0
            }

            /// Time since `earlier`; zero if that is in fact later.
            #[must_use]
            pub const fn since(self, earlier: Self) -> Duration {
                Duration::from_nanos(self.0.saturating_sub(earlier.0))
            }

            /// This instant, later by `duration`.
            #[must_use]
            pub fn after(self, duration: Duration) -> Self {
                Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
            }

            /// This instant, earlier by `duration`; not before the beginning.
            #[must_use]
            pub fn before(self, duration: Duration) -> Self {
                Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
            }
        }
    };
}

forward_clock! {
    /// `CLOCK_MONOTONIC` of this machine. Stands still during suspend; NTP slews its rate but never steps it.
    Mono
}

forward_clock! {
    /// `CLOCK_BOOTTIME` of this machine: [`Mono`] plus the time spent suspended.
    Boot
}

forward_clock! {
    /// `CLOCK_MONOTONIC_RAW` of this machine: what its oscillator counts, never slewed and never corrected, so that it
    /// may run fast or slow by up to some hundreds of ppm. Against [`Mono`] it shows a slew.
    Raw
}

/// What a clock claims the date to be: nanoseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(i64);

impl Wall {
    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: i64) -> Wall {
        Wall(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// How far this reading is ahead of `other`.
    #[must_use]
    pub const fn minus(self, other: Wall) -> Delta {
        Delta(self.0.saturating_sub(other.0))
    }

    /// This date, moved by `delta`.
    #[must_use]
    pub const fn plus(self, delta: Delta) -> Wall {
        Wall(self.0.saturating_add(delta.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_shown_with_sign_and_the_unit_a_person_would_choose() {
        for (nanos, shown) in [
            (0, "+0 s"),
            (250_000, "+250 us"),
            (-2_500_000, "-2.5 ms"),
            (15_200_000_000, "+15.200 s"),
            // Each unit to its last value, and the first of the next.
            (999_000, "+999 us"),
            (1_000_000, "+1.0 ms"),
            (999_900_000, "+999.9 ms"),
            (1_000_000_000, "+1.000 s"),
            (119_999_000_000, "+119.999 s"),
            (120_000_000_000, "+2 min 0 s"),
            (3_661_000_000_000, "+61 min 1 s"),
            (7_199_000_000_000, "+119 min 59 s"),
            (7_200_000_000_000, "+2 h 0 min"),
            (90_061_000_000_000, "+25 h 1 min"),
            (172_799_000_000_000, "+47 h 59 min"),
            (-172_800_000_000_000, "-2 d 0 h"),
            (273_600_000_000_000, "+3 d 4 h"),
        ] {
            assert_eq!(Delta::from_nanos(nanos).to_string(), shown);
        }
    }

    #[test]
    fn nothing_overflows_however_absurd_the_clock() {
        let far = Wall::from_unix_nanos(i64::MAX);
        assert_eq!(far.minus(Wall::from_unix_nanos(-1)).nanos(), i64::MAX);
        assert_eq!(Delta::from_nanos(i64::MIN).magnitude().as_nanos(), 1 << 63);
        assert_eq!(Mono::from_nanos(5).since(Mono::from_nanos(9)), Duration::ZERO);
        assert_eq!(Delta::from_seconds(f64::NAN), None);
        assert_eq!(Delta::from_seconds(1e300), Some(Delta::from_nanos(i64::MAX)));
        assert_eq!(Delta::from(Duration::MAX).nanos(), i64::MAX);
        assert_eq!(Mono::from_nanos(9).after(Duration::MAX).nanos(), u64::MAX);
        assert_eq!(Mono::from_nanos(9).before(Duration::MAX).nanos(), 0);
    }

    #[test]
    fn sums_and_differences_have_the_sign_that_their_names_say() {
        let (two, five) = (Delta::from_nanos(2), Delta::from_nanos(5));
        assert_eq!((two.plus(five).nanos(), two.minus(five).nanos()), (7, -3));
        assert_eq!(Delta::from_nanos(-3).magnitude(), Duration::from_nanos(3));
        assert_eq!(Delta::from_seconds(-1.5).map(Delta::nanos), Some(-1_500_000_000));
        assert!((Delta::from_nanos(-1_500_000_000).seconds() + 1.5).abs() < 1e-12);
        assert_eq!(Delta::from(Duration::from_micros(3)).nanos(), 3_000);
        let (early, late) = (Mono::from_nanos(4), Mono::from_nanos(9));
        assert_eq!((late.since(early), late.nanos()), (Duration::from_nanos(5), 9));
        assert_eq!((early.after(Duration::from_nanos(5)), late.before(Duration::from_nanos(5))), (late, early));
        let (before, after) = (Wall::from_unix_nanos(-2), Wall::from_unix_nanos(5));
        assert_eq!((after.minus(before).nanos(), after.unix_nanos()), (7, 5));
        assert_eq!(before.plus(Delta::from_nanos(7)), after);
    }
}
