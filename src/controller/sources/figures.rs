//! What node_exporter's figures mean, whether they come from its own page or from Prometheus.
//!
//! `node_time_seconds` is the node's wall clock, read while the page was made. `node_timex_*` is adjtimex(2), as
//! node_exporter found it: `offset` is the correction that the kernel has still to make (positive: the clock is
//! behind), `maxerror` how far off the clock may be as some daemon said last, growing by 500 ppm since, and
//! `sync_status` is 0 where the kernel says `TIME_ERROR`. They are evidence about the clock against what *it* follows,
//! with traps, each of which has a test:
//!
//! - `offset` is 0 whenever chronyd or ntpd-rs disciplines the clock (node_exporter #2445): the bound is the evidence.
//! - `sync_status` 0 is no drift: chronyd without `rtcsync` leaves it so on a perfect clock.
//! - `offset` has been seen to be 2^32 ns (4.294967296 s) on KVM (node_exporter #3764), more than the half second that
//!   the kernel lets a correction be (`MAXPHASE`, include/linux/timex.h). It is neither believed nor discarded.
//!
//! Does not know: where the figures come from, how old they are.

use crate::clock::{Delta, OffsetInterval, Wall};
use std::time::Duration;

/// From here on the kernel itself says that nothing synchronises its clock (`NTP_PHASE_LIMIT`, include/linux/timex.h),
/// seconds.
const MAX_ERROR_LIMIT_S: f64 = 16.0;

/// The figures of the timex collector.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timex {
    /// `node_timex_sync_status`.
    pub sync_status: Option<f64>,
    /// `node_timex_maxerror_seconds`.
    pub max_error_s: Option<f64>,
    /// `node_timex_offset_seconds`.
    pub offset_s: Option<f64>,
}

/// What they come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Own {
    /// The clock against what it follows; positive: it is ahead.
    Against(OffsetInterval),
    /// Nothing disciplines the clock through the kernel.
    Undisciplined,
    /// They are not there, or cannot be; with the reason for people.
    Unknown(String),
}

impl Timex {
    /// Reads them.
    ///
    /// Nobody tells us whether `maxerror` is about the clock as it is (chronyd) or about the clock after the pending
    /// correction (ntpd), nor whether a correction that is larger than the kernel allows is real. The interval covers
    /// all of that: from right to corrected, and `maxerror` beyond both. So the figures alone never say that a clock is
    /// beyond tolerance; only what was measured from outside can.
    #[must_use]
    pub fn own(&self) -> Own {
        let (Some(sync_status), Some(max_error_s), Some(offset_s)) =
            (self.sync_status, self.max_error_s, self.offset_s)
        else {
            let all = [
                ("node_timex_sync_status", self.sync_status),
                ("node_timex_maxerror_seconds", self.max_error_s),
                ("node_timex_offset_seconds", self.offset_s),
            ];
            let missing: Vec<&str> = all.iter().filter(|(_, figure)| figure.is_none()).map(|(name, _)| *name).collect();
            return Own::Unknown(format!(
                "there is no {}: node_exporter gives it unless it runs with --no-collector.timex, and without it nothing \
                 vouches for the clock",
                missing.join(", ")
            ));
        };
        if sync_status == 0.0 {
            return Own::Undisciplined;
        }
        if sync_status != 1.0 {
            return Own::Unknown(format!("node_timex_sync_status is {sync_status}, and can only be 0 or 1"));
        }
        let bound = Duration::try_from_secs_f64(max_error_s);
        let (Ok(bound), Some(pending)) = (bound, Delta::from_seconds(offset_s).filter(|_| offset_s.is_finite())) else {
            return Own::Unknown(format!(
                "node_timex_maxerror_seconds is {max_error_s} and node_timex_offset_seconds {offset_s}: they say nothing"
            ));
        };
        if max_error_s >= MAX_ERROR_LIMIT_S {
            return Own::Undisciplined;
        }
        let corrected = Delta::ZERO.minus(pending);
        Own::Against(OffsetInterval::between(Delta::ZERO, corrected).widened(bound).widened(Duration::from_micros(1)))
    }
}

/// A moment that is told in seconds since the Unix epoch, and how far the number may be from what it was made of: a
/// double has a resolution of a quarter of a microsecond today. `None` for what is no moment.
#[must_use]
pub fn moment(seconds: f64) -> Option<(Wall, Duration)> {
    // Beyond two centuries on either side nanoseconds do not fit, and no clock has ever been.
    if !seconds.is_finite() || seconds.abs() > 9e9 {
        return None;
    }
    let (whole, fraction) = (seconds.trunc(), seconds.fract());
    #[expect(clippy::cast_possible_truncation, reason = "both were bounded above")]
    let nanos = (whole as i64).saturating_mul(1_000_000_000).saturating_add((fraction * 1e9).round() as i64);
    // The seconds were rounded by half a step of the double, and before that the nanoseconds from which they were
    // divided, by up to 2^30 / 10^9 = 1.08 halves of it: together less than 9/8 of a step.
    let step = Duration::try_from_secs_f64(seconds.abs().next_up() - seconds.abs()).ok()?;
    let resolution = step.saturating_mul(9) / 8;
    Some((Wall::from_unix_nanos(nanos), resolution.saturating_add(Duration::from_nanos(1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn own(sync_status: f64, max_error_s: f64, offset_s: f64) -> Own {
        Timex { sync_status: Some(sync_status), max_error_s: Some(max_error_s), offset_s: Some(offset_s) }.own()
    }

    /// `expected` is the interval in milliseconds, or what the reason must say.
    fn check(found: Own, expected: Result<(f64, f64), &str>) {
        match (found, expected) {
            (Own::Against(it), Ok((low, high))) => {
                let edges = (it.low().seconds() * 1e3, it.high().seconds() * 1e3);
                assert!((edges.0 - low).abs() < 0.01 && (edges.1 - high).abs() < 0.01, "{edges:?}");
            }
            (Own::Undisciplined, Err("undisciplined")) => {}
            (Own::Unknown(why), Err(says)) => assert!(why.contains(says), "{why}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn an_offset_of_zero_under_chronyd_is_no_evidence_and_the_bound_is() {
        check(own(1.0, 0.032, 0.0), Ok((-32.0, 32.0)));
        check(own(1.0, 1.5, 0.0), Ok((-1500.0, 1500.0)));
    }

    #[test]
    fn a_pending_correction_moves_the_clock_the_other_way_and_covers_both_readings_of_maxerror() {
        // 3 ms behind for ntpd, right to within 1 ms for chronyd.
        check(own(1.0, 0.001, 0.003), Ok((-4.0, 1.0)));
        check(own(1.0, 0.001, -0.003), Ok((-1.0, 4.0)));
    }

    #[test]
    fn two_to_the_32_nanoseconds_on_kvm_neither_condemn_a_clock_nor_are_discarded() {
        let Own::Against(it) = own(1.0, 0.032, 4.294_967_296) else { panic!() };
        assert!(!it.surely_beyond(Duration::from_millis(500)) && !it.surely_within(Duration::from_millis(500)), "{it}");
        assert!(it.contains(Delta::from_nanos(-4_294_967_296)) && it.contains(Delta::ZERO), "{it}");
    }

    #[test]
    fn sync_status_zero_is_not_drift_but_nothing_disciplines() {
        check(own(0.0, 16.0, 0.0), Err("undisciplined"));
        check(own(0.0, 0.001, 0.0), Err("undisciplined"));
        check(own(1.0, 16.0, 0.0), Err("undisciplined"));
    }

    #[test]
    fn what_is_missing_or_nonsense_is_named_with_the_flag() {
        check(Timex::default().own(), Err("--no-collector.timex"));
        check(Timex { sync_status: Some(1.0), ..Timex::default() }.own(), Err("node_timex_maxerror_seconds, "));
        check(own(2.0, 0.1, 0.0), Err("node_timex_sync_status is 2"));
        check(own(f64::NAN, 0.1, 0.0), Err("node_timex_sync_status is NaN"));
        check(own(1.0, -1.0, 0.0), Err("node_timex_maxerror_seconds is -1"));
        check(own(1.0, 0.1, f64::INFINITY), Err("node_timex_offset_seconds inf"));
    }

    #[test]
    fn a_moment_is_as_exact_as_its_number() {
        let (wall, resolution) = moment(1_795_279_172.732_186_3).unwrap();
        assert!((wall.unix_nanos() - 1_795_279_172_732_186_300).abs() < 240, "{wall:?}");
        assert!(resolution < Duration::from_nanos(300), "{resolution:?}");
        assert_eq!(moment(-0.5).unwrap().0, Wall::from_unix_nanos(-500_000_000));
        for nonsense in [f64::NAN, f64::INFINITY, 1e18, -1e300] {
            assert_eq!(moment(nonsense), None);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_the_figures_alone_never_condemn(
            sync_status in prop_oneof![Just(0.0), Just(1.0), any::<f64>()],
            max_error_s in any::<f64>(), offset_s in any::<f64>(), limit in 1u64..1 << 50,
        ) {
            if let Own::Against(it) = own(sync_status, max_error_s, offset_s) {
                prop_assert!(!it.surely_beyond(Duration::from_nanos(limit)));
            }
        }

        #[test]
        fn a_moment_contains_what_it_was_made_of(nanos in 0i64..9_000_000_000_000_000_000) {
            // As Go does it: float64(nanoseconds) / 1e9.
            let (wall, resolution) = moment(nanos as f64 / 1e9).unwrap();
            prop_assert!(wall.minus(Wall::from_unix_nanos(nanos)).magnitude() <= resolution);
        }
    }

    #[test]
    fn both_roundings_of_a_moment_count() {
        let nanos = 718_105_783_818_819_520_i64;
        let (wall, resolution) = moment(nanos as f64 / 1e9).unwrap();
        assert!(wall.minus(Wall::from_unix_nanos(nanos)).magnitude() <= resolution);
    }
}
