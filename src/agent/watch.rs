//! Notices the clock being set, the moment it happens.
//!
//! The kernel tells at once, through a timer on the wall clock that is armed far in the future with
//! `TFD_TIMER_CANCEL_ON_SET` (timerfd_create(2)): setting the clock, a leap second and resuming from sleep all cancel
//! it, 0.1 to 0.8 ms later as measured in a guest. It does not say by how much, so the clocks are compared
//! ([`crate::clock::StepDetector`]); and they are compared a few times a second anyway, because a falsified clock (libfaketime, an
//! injected fault) cancels no timer.
//!
//! A thread of its own sleeps in poll(2) for both: it needs no turn of a busy runtime, and costs four wake-ups a
//! second.

use crate::agent::board::Board;
use crate::agent::jumps::Evidence;
use crate::runtime::CancellationToken;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Between two comparisons.
const TICK: Duration = Duration::from_millis(250);
/// 2200-01-01: beyond any date that a clock is set to in earnest, within what the kernel's timers hold (2262).
const FAR_S: i64 = 7_258_118_400;

/// Watches until told to stop. Blocks: give it a thread.
pub fn run(board: &Arc<Board>, stop: &CancellationToken) {
    let alarm = match Alarm::new() {
        Ok(alarm) => Some(alarm),
        Err(error) => {
            tracing::warn!(%error, "no timer that notices clock settings; comparing the clocks every {TICK:?} only");
            None
        }
    };
    while !stop.is_cancelled() {
        let evidence = match &alarm {
            Some(alarm) => alarm.wait(),
            None => {
                std::thread::sleep(TICK);
                Evidence::Comparison
            }
        };
        board.with(|core, clocks| core.look(clocks, evidence));
    }
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
    fn wait(&self) -> Evidence {
        let mut ready = [PollFd::new(&self.timer, PollFlags::IN)];
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        match poll(&mut ready, Some(&tick)) {
            Ok(0) | Err(Errno::INTR) => Evidence::Comparison,
            Ok(_) => self.heard(),
            Err(error) => {
                tracing::warn!(%error, "poll on the clock-setting timer failed");
                std::thread::sleep(TICK);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_is_armed_and_silent_while_nobody_sets_the_clock() {
        let alarm = Alarm::new().unwrap();
        let before = crate::runtime::mono_now();
        assert_eq!(alarm.wait(), Evidence::Comparison);
        assert!(crate::runtime::mono_now().since(before) >= TICK - Duration::from_millis(5));
        let left = rustix::time::timerfd_gettime(&alarm.timer).unwrap().it_value;
        assert!(left.tv_sec > 0, "not armed: {left:?}");
    }
}
