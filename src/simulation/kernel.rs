//! What a simulated kernel believes of its clock, as adjtimex(2) tells it.
//!
//! A daemon tells the kernel how far off the clock may be; from then on the kernel lets that grow by 500 ppm, and past
//! 16 s it calls itself unsynchronised. Setting the clock, whoever does it, makes it forget all that. In its PLL mode it
//! also carries a correction, of which it makes a part every second.
//!
//! Source: Linux, kernel/time/ntp.c (`second_overflow`, `ntp_clear`, `NTP_PHASE_LIMIT`).

use super::machine::SECOND;
use crate::clock::Wall;
use crate::sys::{STA_UNSYNC, TIME_ERROR, Timex};

/// What `maxerror` grows by in a second, microseconds: 500 ppm.
const ERROR_GROWTH_US: i64 = 500;
/// `NTP_PHASE_LIMIT`, microseconds.
const ERROR_LIMIT_US: i64 = 16_000_000;
/// `STA_PLL | STA_NANO`, as systemd-timesyncd leaves it.
const PLL_NANO: i32 = 0x2001;
/// 2^32 ns: the offset that KVM guests now and then report (node_exporter #3764).
pub(super) const ARTEFACT_NS: i64 = 1 << 32;

/// The kernel's side of timekeeping.
#[derive(Debug, Clone)]
pub struct Kernel {
    unsynchronised: bool,
    error_max_us: i64,
    /// What the daemon holds for likely; timesyncd claims that there is none.
    error_likely_us: i64,
    /// The correction that it has still to make; positive: its clock is behind.
    pending_ns: i64,
    /// Made by timesyncd's PLL, or by nobody.
    pll: bool,
    /// Reports the artefact instead of the offset.
    pub artefact: bool,
}

impl Kernel {
    /// After boot.
    #[must_use]
    pub fn new() -> Kernel {
        Kernel {
            unsynchronised: true,
            error_max_us: ERROR_LIMIT_US,
            error_likely_us: ERROR_LIMIT_US,
            pending_ns: 0,
            pll: false,
            artefact: false,
        }
    }

    /// Somebody has set the clock.
    pub fn clear(&mut self) {
        *self = Kernel { artefact: self.artefact, ..Kernel::new() };
    }

    /// A daemon says that the clock is right to within that, microseconds; it makes the corrections itself.
    pub fn vouched(&mut self, error_max_us: i64) {
        let error_likely_us = error_max_us / 8 + 1;
        *self =
            Kernel { unsynchronised: false, error_max_us, error_likely_us, artefact: self.artefact, ..Kernel::new() };
    }

    /// timesyncd hands over a correction to be made by the kernel, and says that the clock is exactly right after it.
    pub fn correct(&mut self, pending_ns: i64) {
        let artefact = self.artefact;
        *self = Kernel { unsynchronised: false, error_max_us: 0, error_likely_us: 0, pending_ns, pll: true, artefact };
    }

    /// A second goes by; returns what of the correction is made in it, nanoseconds. `shift`: a part in 2^shift.
    pub fn second(&mut self, shift: u32) -> i64 {
        self.error_max_us += ERROR_GROWTH_US;
        if self.error_max_us >= ERROR_LIMIT_US {
            self.error_max_us = ERROR_LIMIT_US;
            self.unsynchronised = true;
        }
        let made = self.pending_ns >> shift;
        self.pending_ns -= made;
        made
    }

    /// What adjtimex(2) returns while the wall clock shows `wall`.
    #[must_use]
    pub fn timex(&self, wall: Wall) -> Timex {
        let unit_ns = if self.pll { 1 } else { 1_000 };
        let pending_ns = if self.artefact { ARTEFACT_NS } else { self.pending_ns };
        let flags = if self.pll { PLL_NANO } else { 0 };
        Timex {
            state: if self.unsynchronised { TIME_ERROR } else { 0 },
            status: flags | if self.unsynchronised { STA_UNSYNC } else { 0 },
            offset: pending_ns / unit_ns,
            frequency: 0,
            max_error_us: self.error_max_us,
            est_error_us: self.error_likely_us,
            time_s: wall.unix_nanos().div_euclid(SECOND),
            time_fraction: wall.unix_nanos().rem_euclid(SECOND) / unit_ns,
            tai: 0,
            tick_us: 10_000,
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Kernel::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_hears_nothing_doubts_itself_more_and_more_and_a_set_clock_is_unsynchronised() {
        let mut kernel = Kernel::new();
        kernel.vouched(1_000);
        let at = |kernel: &Kernel| kernel.timex(Wall::from_unix_nanos(0));
        (0..100).for_each(|_| _ = kernel.second(4));
        assert_eq!((at(&kernel).state, at(&kernel).max_error_us), (0, 51_000));
        (0..32_000).for_each(|_| _ = kernel.second(4));
        assert_eq!((at(&kernel).state, at(&kernel).max_error_us), (TIME_ERROR, 16_000_000));
        kernel.correct(16 * 1_000);
        assert_eq!((kernel.second(4), at(&kernel).offset, at(&kernel).max_error_us), (1_000, 15_000, 500));
        kernel.clear();
        assert_eq!((at(&kernel).status, at(&kernel).offset), (STA_UNSYNC, 0));
    }
}
