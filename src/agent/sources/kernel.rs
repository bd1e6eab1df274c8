//! What the kernel knows of its own clock: adjtimex(2), modes 0, which changes nothing.
//!
//! Some daemon (ntpd, systemd-timesyncd, chronyd with `rtcsync`) tells the kernel how far off the clock may be, and
//! the kernel lets that grow by 500 ppm until it is told again. So `maxerror` is evidence, and `STA_UNSYNC` is its
//! absence, but not drift: chronyd without `rtcsync` leaves it set on a perfect clock (eks-node-monitoring-agent
//! #198).
//!
//! `offset` is the correction that the kernel has still to make: positive when the clock is behind. It is 0 whenever
//! chronyd or ntpd-rs disciplines the clock (node_exporter #2445), so a zero says nothing; the bound does.
//!
//! The kernel also says what its clock showed. Where this process reads another one (libfaketime, a fault injected
//! into the vDSO), the difference is part of the offset: the report is about the clock that we serve.
//!
//! Does not know: daemons, references.

use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source};
use crate::agent::clocks::width;
use crate::clock::{Delta, OffsetInterval, Sample, Wall};
use crate::runtime::{boot_now, mono_now, raw_now, wall_now};
use crate::sys::{self, Timex};

/// What the kernel says, in our units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// What its clock showed at the call.
    pub wall: Wall,
    /// The correction that it has still to make; positive: its clock is behind.
    pub pending: Delta,
    /// How far its clock may be off.
    pub error_max: Duration,
}

/// Why that is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing disciplines the clock through the kernel.
    #[error(
        "the kernel says that nothing synchronises its clock (state {state}, status {status:#06x}, maxerror \
         {error_max_us} us); not a fault by itself under chronyd without rtcsync"
    )]
    Unsynchronised {
        /// The return value of adjtimex.
        state: i32,
        /// Its status bits.
        status: i32,
        /// Its maximum error.
        error_max_us: i64,
    },
    /// A field that cannot be.
    #[error("adjtimex: {field} is {value}, which cannot be")]
    Nonsense {
        /// Which.
        field: &'static str,
        /// Its value.
        value: i64,
    },
}

/// Reads the kernel's answer.
///
/// # Errors
/// If the kernel says that it is not synchronised, or something that cannot be.
pub fn decode(timex: &Timex) -> Result<Reply, DecodeError> {
    if timex.status & sys::STA_UNSYNC != 0 || timex.state == sys::TIME_ERROR {
        let (state, status) = (timex.state, timex.status);
        return Err(DecodeError::Unsynchronised { state, status, error_max_us: timex.max_error_us });
    }
    let unit_ns = if timex.status & sys::STA_NANO != 0 { 1 } else { 1_000 };
    let wall = timex
        .time_s
        .checked_mul(1_000_000_000)
        .zip(timex.time_fraction.checked_mul(unit_ns))
        .and_then(|(whole, fraction)| whole.checked_add(fraction))
        .ok_or(DecodeError::Nonsense { field: "time", value: timex.time_s })?;
    let pending =
        timex.offset.checked_mul(unit_ns).ok_or(DecodeError::Nonsense { field: "offset", value: timex.offset })?;
    let error_max = u64::try_from(timex.max_error_us)
        .map_err(|_| DecodeError::Nonsense { field: "maxerror", value: timex.max_error_us })?;
    Ok(Reply {
        wall: Wall::from_unix_nanos(wall),
        pending: Delta::from_nanos(pending),
        error_max: Duration::from_micros(error_max),
    })
}

impl Reply {
    /// Offset of the clock that this process reads; `clocks` were read after the call, inside their bracket.
    ///
    /// The pending correction moves the middle *and* widens the bound: ntpd's `maxerror` is about the corrected clock,
    /// chronyd's about the clock as it is, and nobody tells us who wrote it. The wider interval is true for both.
    #[must_use]
    pub fn interval(&self, clocks: &Sample) -> OffsetInterval {
        let bound = self.error_max.saturating_add(self.pending.magnitude());
        let of_kernel = OffsetInterval::new(Delta::ZERO.minus(self.pending), bound);
        // The kernel's clock was read earlier than ours, by no more than the bracket.
        let ahead_most = clocks.wall.minus(self.wall);
        of_kernel.shifted(OffsetInterval::between(ahead_most.minus(Delta::from(width(clocks))), ahead_most))
    }
}

/// The kernel is always there.
#[must_use]
pub fn sources(_: &Settings) -> Vec<Box<dyn Source>> {
    vec![Box::new(Kernel)]
}

/// The kernel of this machine.
pub struct Kernel;

impl Kernel {
    fn ask() -> Outcome {
        let before = mono_now();
        let answer = sys::adjtimex();
        let (wall, boot, raw) = (wall_now(), boot_now(), raw_now());
        let clocks = Sample { before, wall, boot, raw, after: mono_now() };
        let timex = match answer {
            Ok(timex) => timex,
            Err(error) => {
                return Outcome::Withdrawn(format!(
                    "adjtimex was refused ({error}); a seccomp profile must allow adjtimex with modes 0"
                ));
            }
        };
        match decode(&timex) {
            Ok(reply) => Outcome::Measured(Measured { interval: reply.interval(&clocks), clocks, reference: None }),
            Err(error) => Outcome::Withdrawn(error.to_string()),
        }
    }
}

impl Source for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::ready(Kernel::ask()))
    }

    fn spacing(&mut self) -> Duration {
        Duration::from_secs(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Boot, Mono, Raw};
    use proptest::prelude::*;

    fn clocks(wall_ns: i64) -> Sample {
        let wall = Wall::from_unix_nanos(wall_ns);
        let (boot, raw) = (Boot::from_nanos(1_500), Raw::from_nanos(1_500));
        Sample { before: Mono::from_nanos(1_000), wall, boot, raw, after: Mono::from_nanos(3_000) }
    }

    #[test]
    fn the_bound_covers_both_readings_of_maxerror_and_zero_is_no_evidence_by_itself() {
        let reply = |pending, error_max_us| Reply {
            wall: Wall::from_unix_nanos(0),
            pending: Delta::from_nanos(pending),
            error_max: Duration::from_micros(error_max_us),
        };
        let behind = reply(3_000_000, 1_000).interval(&clocks(0));
        // ntpd: 3 ms behind ± 1 ms. chronyd: within 1 ms of right.
        for truth in [-4_000_000, -2_000_000, -1_000_000, 1_000_000] {
            assert!(behind.contains(Delta::from_nanos(truth)), "{behind}");
        }
        let zero = reply(0, 16_000_000).interval(&clocks(0));
        assert!(zero.bound() >= Duration::from_secs(16));
    }

    #[test]
    fn a_falsified_wall_clock_shows_in_what_the_kernel_says() {
        let reply = Reply { wall: Wall::from_unix_nanos(0), pending: Delta::ZERO, error_max: Duration::from_millis(1) };
        let interval = reply.interval(&clocks(15_000_000_000));
        assert!(interval.contains(Delta::from_nanos(15_000_000_000)) && interval.bound() < Duration::from_millis(2));
    }

    proptest! {
        #[test]
        fn no_answer_of_the_kernel_panics(
            state in any::<i32>(), status in any::<i32>(), offset in any::<i64>(), max_error_us in any::<i64>(),
            time_s in any::<i64>(), time_fraction in any::<i64>(), wall in any::<i64>(),
        ) {
            let timex = Timex {
                state, status, offset, frequency: 0, max_error_us, est_error_us: 0, time_s, time_fraction, tick_us: 10_000, tai: 0,
            };
            if let Ok(reply) = decode(&timex) {
                prop_assert!(status & sys::STA_UNSYNC == 0 && state != sys::TIME_ERROR);
                let interval = reply.interval(&clocks(wall));
                // Beyond two centuries the edges saturate, and only then may an interval be narrower than its bound.
                let saturated = interval.low().nanos() == i64::MIN || interval.high().nanos() == i64::MAX;
                prop_assert!(saturated || interval.bound() >= reply.error_max.min(Duration::from_secs(1)));
            }
        }
    }
}
