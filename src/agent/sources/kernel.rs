//! What the kernel knows of its own clock: adjtimex(2), modes 0, which changes nothing.
//!
//! Some daemon (ntpd, systemd-timesyncd, chronyd with `rtcsync`) tells the kernel how far off the clock may be, and
//! the kernel lets that grow by 500 ppm until it is told again. So `maxerror` is evidence, and `STA_UNSYNC` is its
//! absence, but not drift: chronyd without `rtcsync` leaves it set on a perfect clock (eks-node-monitoring-agent
//! #198).
//!
//! `offset` is the correction that the kernel has still to make: positive when the clock is behind. It is 0 whenever
//! chronyd or ntpd-rs disciplines the clock (node_exporter #2445), so a zero says nothing; the bound does. Nor is a
//! large one proof: KVM guests have reported 2^32 ns on a good clock (node_exporter #3764), and the kernel itself holds
//! no correction beyond half a second (`MAXPHASE`, include/linux/timex.h). It is never discarded by its size, since a
//! clock may really be that far off; the interval covers both readings, and a second witness tells which is true.
//!
//! systemd-timesyncd writes an error of exactly zero at each of its updates, which nobody has measured. Such a zero
//! (no estimated error, and a maximum error that is nothing but the kernel's own 500 us a second) is widened by what an
//! SNTP client of an ordinary server may be off: an assumption, and the report says so.
//!
//! The kernel also says what its clock showed. Where this process reads another one (libfaketime, a fault injected
//! into the vDSO), the difference is part of the offset: the report is about the clock that we serve.
//!
//! Does not know: daemons, references.

use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source};
use crate::agent::clocks::width;
use crate::agent::report::SourceDetail;
use crate::clock::{Delta, Leap, OffsetInterval, Sample, Wall};
use crate::runtime::{boot_now, mono_now, raw_now, wall_now};
use crate::sys::{self, Timex};

/// What the kernel says, in our units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// What its clock showed at the call.
    pub wall: Wall,
    /// What that was rounded down to.
    pub unit: Duration,
    /// The correction that it has still to make; positive: its clock is behind.
    pub pending: Delta,
    /// How far its clock may be off.
    pub error_max: Duration,
    /// Part of that, where whoever disciplines the clock claims to be exactly right: what we assume instead.
    pub error_assumed: Duration,
    /// The leap second that it was told to make.
    pub leap: Leap,
}

/// What takes the place of a claim of no error at all. Half a round trip to an ordinary server, and its own distance from
/// a clock that is right, together are less; systemd-timesyncd itself accepts up to 5 s (timesyncd.conf(5),
/// `RootDistanceMaxSec`), so this is no bound that anybody keeps.
const ERROR_ASSUMED: Duration = Duration::from_millis(100);
/// The kernel itself holds no larger correction (MAXPHASE): one beyond it is an artefact, or was put there by something else.
const PENDING_MAX: Duration = Duration::from_millis(500);
/// By so much the kernel lets `maxerror` grow every second (MAXFREQ, 500 ppm).
const GROWTH_US: i64 = 500;

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
    let (wall, unit) = shown(timex).ok_or(DecodeError::Nonsense { field: "time", value: timex.time_s })?;
    let pending =
        timex.offset.checked_mul(unit_ns).ok_or(DecodeError::Nonsense { field: "offset", value: timex.offset })?;
    let error_max = u64::try_from(timex.max_error_us)
        .map_err(|_| DecodeError::Nonsense { field: "maxerror", value: timex.max_error_us })?;
    let claims_none = timex.est_error_us == 0 && timex.max_error_us % GROWTH_US == 0;
    let error_assumed = if claims_none { ERROR_ASSUMED } else { Duration::ZERO };
    Ok(Reply {
        wall,
        unit,
        pending: Delta::from_nanos(pending),
        error_max: Duration::from_micros(error_max).saturating_add(error_assumed),
        error_assumed,
        leap: match timex.state {
            sys::TIME_INS | sys::TIME_OOP => Leap::Insert,
            sys::TIME_DEL => Leap::Delete,
            _ => Leap::None,
        },
    })
}

impl Reply {
    /// Offset of the kernel's own clock.
    ///
    /// ntpd's `maxerror` is about the clock after the pending correction, chronyd's about the clock as it is, nobody
    /// tells us who wrote it, and the correction may be an artefact: the interval covers the clock read either way.
    #[must_use]
    pub fn interval(&self) -> OffsetInterval {
        let corrected = Delta::ZERO.minus(self.pending);
        OffsetInterval::between(corrected, Delta::ZERO).widened(self.error_max)
    }

    /// Offset of the clock that this process reads; `clocks` were read after the call, inside their bracket.
    #[must_use]
    pub fn seen_at(&self, clocks: &Sample) -> OffsetInterval {
        self.interval().shifted(falsified_by(self.wall, self.unit, clocks))
    }

    fn detail(&self) -> SourceDetail {
        SourceDetail {
            leap: Some(self.leap.as_str().to_owned()),
            assumed_seconds: (!self.error_assumed.is_zero()).then_some(self.error_assumed.as_secs_f64()),
            pending_seconds: (self.pending.magnitude() > PENDING_MAX).then(|| self.pending.seconds()),
            ..SourceDetail::default()
        }
    }
}

/// By how much the clock that this process reads is ahead of the kernel's, which showed `kernel`; `clocks` were read
/// after that, inside their bracket. `unit` is what the kernel's time was rounded down to.
fn falsified_by(kernel: Wall, unit: Duration, clocks: &Sample) -> OffsetInterval {
    // The kernel's clock was read earlier than ours, by no more than the bracket.
    let most = clocks.wall.minus(kernel);
    OffsetInterval::between(most.minus(Delta::from(width(clocks).saturating_add(unit))), most)
}

/// The kernel's answer, and our clocks, read together.
fn read() -> (std::io::Result<Timex>, Sample) {
    let before = mono_now();
    let answer = sys::adjtimex();
    let (wall, boot, raw) = (wall_now(), boot_now(), raw_now());
    (answer, Sample { before, wall, boot, raw, after: mono_now() })
}

/// Reads of a preempted process are tried again this often; the narrowest is taken.
const TRIES: usize = 3;
/// Narrow enough.
const NARROW: Duration = Duration::from_micros(20);

/// What is known of the kernel's clock now, as an offset of the clock that this process reads, and our clocks at that.
/// The same, but for a process whose wall clock is falsified.
pub(super) fn seen_by_us(interval: OffsetInterval) -> (OffsetInterval, Sample) {
    let mut best: Option<(OffsetInterval, Sample)> = None;
    for _ in 0..TRIES {
        let (answer, clocks) = read();
        let Some((kernel, unit)) = answer.ok().and_then(|timex| shown(&timex)) else { break };
        if best.is_none_or(|(_, narrowest)| width(&clocks) < width(&narrowest)) {
            best = Some((falsified_by(kernel, unit, &clocks), clocks));
        }
        if width(&clocks) <= NARROW {
            break;
        }
    }
    match best {
        Some((falsified, clocks)) => (interval.shifted(falsified), clocks),
        // The kernel may not be asked: then we read its clock as well as anybody.
        None => (interval, crate::agent::clocks::sample()),
    }
}

/// What the kernel's clock showed, and what that was rounded down to; `None` if it is beyond all dates.
fn shown(timex: &Timex) -> Option<(Wall, Duration)> {
    let unit_ns: u32 = if timex.status & sys::STA_NANO != 0 { 1 } else { 1_000 };
    let whole = timex.time_s.checked_mul(1_000_000_000)?;
    let fraction = timex.time_fraction.checked_mul(unit_ns.into())?;
    Some((Wall::from_unix_nanos(whole.checked_add(fraction)?), Duration::from_nanos(unit_ns.into())))
}

/// The kernel is always there.
#[must_use]
pub fn sources(_: &Settings) -> Vec<Box<dyn Source>> {
    vec![Box::new(Kernel { detail: None })]
}

/// The kernel of this machine.
struct Kernel {
    detail: Option<SourceDetail>,
}

impl Kernel {
    fn ask(&mut self) -> Outcome {
        let (answer, clocks) = read();
        self.detail = None;
        let timex = match answer {
            Ok(timex) => timex,
            Err(error) => {
                return Outcome::Withdrawn(format!(
                    "adjtimex was refused ({error}); a seccomp profile must allow adjtimex with modes 0"
                ));
            }
        };
        match decode(&timex) {
            Ok(reply) => {
                self.detail = Some(reply.detail());
                Outcome::Measured(Measured { interval: reply.seen_at(&clocks), clocks, reference: None })
            }
            Err(error) => Outcome::Withdrawn(error.to_string()),
        }
    }
}

impl Source for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::ready(self.ask()))
    }

    /// A question costs 2 us and a wake-up; what is asked for changes once a second at most, and by 500 us.
    fn spacing(&mut self) -> Duration {
        Duration::from_secs(4)
    }

    fn detail(&self) -> Option<SourceDetail> {
        self.detail.clone()
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

    fn reply(pending_ns: i64, error_max: Duration) -> Reply {
        let wall = Wall::from_unix_nanos(0);
        let (unit, error_assumed) = (Duration::from_nanos(1), Duration::ZERO);
        Reply { wall, unit, pending: Delta::from_nanos(pending_ns), error_max, error_assumed, leap: Leap::None }
    }

    #[test]
    fn the_interval_covers_both_readings_of_maxerror_and_zero_is_no_evidence_by_itself() {
        let behind = reply(3_000_000, Duration::from_millis(1)).interval();
        // ntpd: 3 ms behind ± 1 ms. chronyd: within 1 ms of right.
        for truth in [-4_000_000, -2_000_000, -1_000_000, 1_000_000] {
            assert!(behind.contains(Delta::from_nanos(truth)), "{behind}");
        }
        let zero = reply(0, Duration::from_secs(16)).interval();
        assert!(zero.bound() >= Duration::from_secs(16));
    }

    #[test]
    fn an_offset_of_two_to_the_32_nanoseconds_covers_a_good_clock_and_one_that_is_off_by_it() {
        for pending in [1i64 << 32, -(1i64 << 32)] {
            let it = reply(pending, Duration::from_millis(1)).interval();
            assert!(it.contains(Delta::ZERO) && it.contains(Delta::from_nanos(-pending)), "{it}");
            assert!(!it.surely_beyond(Duration::ZERO), "{it}");
            assert_eq!(reply(pending, Duration::ZERO).detail().pending_seconds, Some(pending as f64 / 1e9));
        }
        assert_eq!(reply(400_000_000, Duration::ZERO).detail().pending_seconds, None);
    }

    #[test]
    fn a_claim_of_no_error_at_all_is_not_believed() {
        let timex = |max_error_us, est_error_us| Timex {
            state: 0,
            status: 0x2001,
            offset: 0,
            frequency: 0,
            max_error_us,
            est_error_us,
            time_s: 0,
            time_fraction: 0,
            tick_us: 10_000,
            tai: 0,
        };
        for (max_us, est_us, bound_us) in [
            // systemd-timesyncd, at once and 64 s later.
            (0, 0, 100_000),
            (32_000, 0, 132_000),
            // chronyd and ntpd measure.
            (32_017, 0, 32_017),
            (32_000, 3, 32_000),
        ] {
            let reply = decode(&timex(max_us, est_us)).unwrap();
            assert_eq!(reply.interval().bound(), Duration::from_micros(bound_us), "{reply:?}");
            assert_eq!(reply.detail().assumed_seconds.is_some(), bound_us != max_us as u64, "{reply:?}");
        }
    }

    #[test]
    fn a_falsified_wall_clock_shows_in_what_the_kernel_says() {
        let clocks = clocks(15_000_000_000);
        let reply = reply(0, Duration::from_millis(1));
        let interval = reply.interval().shifted(falsified_by(reply.wall, reply.unit, &clocks));
        assert!(interval.contains(Delta::from_nanos(15_000_000_000)) && interval.bound() < Duration::from_millis(2));
        // The kernel rounds its time down to microseconds unless it says that it does not.
        let coarse = falsified_by(Wall::from_unix_nanos(0), Duration::from_micros(1), &self::clocks(900));
        assert!(coarse.contains(Delta::ZERO), "{coarse}");
    }

    #[test]
    fn an_undisturbed_process_reads_the_clock_of_the_kernel() {
        let exact = OffsetInterval::new(Delta::ZERO, Duration::ZERO);
        let (seen, clocks) = seen_by_us(exact);
        assert!(seen.contains(Delta::ZERO), "{seen}");
        assert!(seen.bound() <= width(&clocks).saturating_add(Duration::from_micros(1)), "{seen} {clocks:?}");
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
                let interval = reply.interval().shifted(falsified_by(reply.wall, reply.unit, &clocks(wall)));
                // Beyond two centuries the edges saturate, and only then may an interval be narrower than its bound.
                let saturated = interval.low().nanos() == i64::MIN || interval.high().nanos() == i64::MAX;
                prop_assert!(saturated || interval.bound() >= reply.error_max.min(Duration::from_secs(1)));
            }
        }
    }
}
