//! Notices the clock being set, the moment it happens, and looks at all clocks every other second.
//!
//! The kernel tells at once, through a timer on the wall clock that is armed far in the future with
//! `TFD_TIMER_CANCEL_ON_SET` (timerfd_create(2)): setting the clock, a leap second and resuming from sleep all cancel
//! it, 0.1 to 0.8 ms later as measured in a guest. It does not say by how much, so the clocks are compared
//! ([`crate::clock::StepDetector`]). They are compared every other second anyway: a slew shows only so, and a falsified clock
//! (libfaketime, an injected fault) cancels no timer. Without that timer they are compared four times a second.
//!
//! What the kernel was told to make of the oscillator (adjtimex(2)) is read along; the machine's hardware clock, which
//! runs on while a hypervisor has the machine stand still, every few minutes, and at once when a witness says that the
//! clock moved and nobody knows why ([`crate::clock::pause`]).
//!
//! A thread of its own sleeps in poll(2) for all of it: it needs no turn of a busy runtime.

use crate::agent::board::Board;
use crate::agent::clocks;
use crate::agent::jumps::Evidence;
use crate::clock::{Delta, Discipline, Mono, OffsetInterval, Sample};
use crate::runtime::CancellationToken;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Between two comparisons while the kernel tells of settings: two of them make a window in which a slew shows, and the
/// agent stays below two wake-ups a second beside a chronyd and a reference.
const TICK: Duration = Duration::from_secs(2);
/// Between two comparisons where it cannot.
const TICK_ALONE: Duration = Duration::from_millis(250);
/// 2200-01-01: beyond any date that a clock is set to in earnest, within what the kernel's timers hold (2262).
const FAR_S: i64 = 7_258_118_400;

/// Watches until told to stop. Blocks: give it a thread.
pub fn run(board: &Arc<Board>, stop: &CancellationToken) {
    let alarm = match Alarm::new() {
        Ok(alarm) => Some(alarm),
        Err(error) => {
            tracing::warn!(%error, "no timer that notices clock settings; comparing the clocks every {TICK_ALONE:?} only");
            None
        }
    };
    let mut hardware = Hardware::default();
    let mut evidence = Evidence::Comparison;
    while !stop.is_cancelled() {
        // A profile that refuses adjtimex costs the words about a slew, not its detection; the kernel source tells.
        let discipline = sys::adjtimex().ok().map(|timex| discipline(&timex));
        let in_question = board.with(|core, clocks| {
            if let Some(discipline) = discipline {
                core.jumps_mut().told(discipline, clocks);
            }
            core.look(clocks, evidence);
            core.jumps().is_in_question()
        });
        if let Some((interval, clocks)) = hardware.due(in_question) {
            board.with(|core, now| {
                core.jumps_mut().hardware(HARDWARE, interval, &clocks);
                core.look(now, Evidence::Comparison);
            });
        }
        evidence = match &alarm {
            Some(alarm) => alarm.wait(TICK),
            None => {
                std::thread::sleep(TICK_ALONE);
                Evidence::Comparison
            }
        };
    }
}

/// In the units of the detectors.
fn discipline(timex: &sys::Timex) -> Discipline {
    // Parts per million times 2^16 (adjtimex(2), `freq`).
    let frequency_ppb = timex.frequency.saturating_mul(1_000) / 65_536;
    Discipline { frequency_ppb, tick_us: timex.tick_us, tai_s: timex.tai }
}

/// A timer that never fires, but is cancelled when the clock is set.
struct Alarm {
    timer: OwnedFd,
}

impl Alarm {
    fn new() -> rustix::io::Result<Alarm> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let alarm = Alarm { timer };
        alarm.arm()?;
        Ok(alarm)
    }

    fn arm(&self) -> rustix::io::Result<()> {
        let never = rustix::time::Timespec { tv_sec: FAR_S, tv_nsec: 0 };
        let once = Itimerspec { it_interval: rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: never };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&self.timer, flags, &once) {
            // Set again in between: it is armed all the same (timerfd_create(2)).
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sleeps until the clock was set, but no longer than a tick.
    fn wait(&self, tick: Duration) -> Evidence {
        let mut ready = [PollFd::new(&self.timer, PollFlags::IN)];
        let seconds = i64::try_from(tick.as_secs()).unwrap_or(i64::MAX);
        let limit = Timespec { tv_sec: seconds, tv_nsec: tick.subsec_nanos().into() };
        match poll(&mut ready, Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => Evidence::Comparison,
            Ok(_) => self.heard(),
            Err(error) => {
                tracing::warn!(%error, "poll on the clock-setting timer failed");
                std::thread::sleep(tick);
                Evidence::Comparison
            }
        }
    }

    fn heard(&self) -> Evidence {
        let mut expirations = [0u8; 8];
        let evidence = match rustix::io::read(self.timer.as_fd(), &mut expirations) {
            Err(Errno::CANCELED) => Evidence::Timerfd,
            // It fired: the clock is past the year 2200, and got there by being set.
            Ok(_) => Evidence::Timerfd,
            Err(_) => Evidence::Comparison,
        };
        if let Err(error) = self.arm() {
            tracing::warn!(%error, "the clock-setting timer could not be armed again");
        }
        evidence
    }
}

/// The name under which the machine's hardware clock bears witness.
const HARDWARE: &str = "rtc0";
/// Whole seconds since 1970 (rtc(4)); anybody may read it, and unlike /dev/rtc0 any number of readers at once.
const HARDWARE_FILE: &str = "/sys/class/rtc/rtc0/since_epoch";
/// It is read so rarely because a hypervisor or a firmware answers for it; between two readings an oscillator may go
/// astray by 0.15 s, less than the second to which it is read anyway.
const HARDWARE_EVERY: Duration = Duration::from_secs(300);

/// When the hardware clock was read, and whether the present question has had its word.
#[derive(Default)]
struct Hardware {
    read: Option<Mono>,
    answered: bool,
}

impl Hardware {
    /// The offset of our clock against it, if it is time; a machine without one costs a failed open.
    fn due(&mut self, in_question: bool) -> Option<(OffsetInterval, Sample)> {
        let asked = in_question && !self.answered;
        self.answered = in_question;
        let before = clocks::sample();
        if !asked && self.read.is_some_and(|read| before.after.since(read) < HARDWARE_EVERY) {
            return None;
        }
        self.read = Some(before.after);
        let seconds: i64 = std::fs::read_to_string(HARDWARE_FILE).ok()?.trim().parse().ok()?;
        let after = clocks::sample();
        Some((against(seconds, &before, &after)?, after))
    }
}

/// The offset of our clock against a hardware clock that showed this whole second at some moment between the samples.
/// `None` if our clock was set in between.
fn against(seconds: i64, before: &Sample, after: &Sample) -> Option<OffsetInterval> {
    let shown = seconds.checked_mul(1_000_000_000)?;
    let behind = |wall: i64| wall.saturating_sub(shown);
    let set = after.stepped_since(before).surely_beyond(Duration::from_millis(1));
    let (least, most) =
        (behind(before.wall.unix_nanos()).saturating_sub(1_000_000_000), behind(after.wall.unix_nanos()));
    (!set).then(|| OffsetInterval::between(Delta::from_nanos(least), Delta::from_nanos(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Boot, Raw, Wall};

    #[test]
    fn the_alarm_is_armed_and_silent_while_nobody_sets_the_clock() {
        let alarm = Alarm::new().unwrap();
        let before = crate::runtime::mono_now();
        let tick = Duration::from_millis(250);
        assert_eq!(alarm.wait(tick), Evidence::Comparison);
        assert!(crate::runtime::mono_now().since(before) >= tick - Duration::from_millis(5));
        let left = rustix::time::timerfd_gettime(&alarm.timer).unwrap().it_value;
        assert!(left.tv_sec > 0, "not armed: {left:?}");
    }

    #[test]
    fn a_hardware_clock_is_known_to_a_second_and_no_better() {
        let at = |ms: u64, wall_ms: i64| Sample {
            before: Mono::from_nanos(ms * 1_000_000),
            wall: Wall::from_unix_nanos(wall_ms * 1_000_000),
            boot: Boot::from_nanos(ms * 1_000_000),
            raw: Raw::from_nanos(ms * 1_000_000),
            after: Mono::from_nanos(ms * 1_000_000 + 300),
        };
        let offset = against(1_000, &at(10, 1_000_400), &at(12, 1_000_402)).unwrap();
        for (truth_ms, may_be) in [(402, true), (0, true), (-599, true), (-602, false), (404, false)] {
            assert_eq!(offset.contains(Delta::from_nanos(truth_ms * 1_000_000)), may_be, "{offset} {truth_ms}");
        }
        assert_eq!(against(1_000, &at(10, 1_000_400), &at(12, 900_402)), None, "set in between");
        assert_eq!(against(i64::MAX, &at(10, 0), &at(12, 2)), None);
    }

    #[test]
    fn the_kernels_frequency_is_read_in_its_unit() {
        let mut timex = sys::adjtimex().unwrap();
        (timex.frequency, timex.tick_us) = (-(500 << 16), 9_999);
        assert_eq!(discipline(&timex).rate_ppb(), -500_000 - 100_000);
    }
}
