//! The one module with `unsafe`: system calls that no safe crate of ours wraps.
//!
//! `adjtimex` with modes 0 only reads the kernel's idea of its clock; it needs no capability. It is called through
//! the C library. A seccomp profile may still refuse it (containers have been seen doing so), which is an error value
//! here and a source without evidence one floor up, never a reason to stop.
//!
//! mallopt(3) is how glibc is told to give memory back.
//!
//! The PTP ioctls read a PTP device's clock together with the kernel's; nothing that sets one is here.
//!
//! Does not know: what any of the numbers mean; see [`crate::agent::sources::kernel`] and
//! [`crate::agent::sources::ptp`].
//!
//! Source: adjtimex(2); mallopt(3); include/uapi/linux/ptp_clock.h.
#![expect(
    unsafe_code,
    reason = "adjtimex, the PTP ioctls and mallopt are in neither rustix nor nix; structs are passed to libc"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Free memory at the end of the heap that is kept, bytes.
const KEPT: libc::c_int = 128 << 10;

/// Asks the allocator of the C library to keep what is freed in one heap for all threads, and to give what is at its end
/// back to the kernel; to be called before there are threads. After reviews of a megabyte the webhook's resident memory
/// is a third of what it is otherwise. Where the C library is not glibc nothing happens.
pub fn keep_little_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: two numbers; a setting that is not taken changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = KEPT;
}

/// What the kernel says of its own clock, as adjtimex(2) fills it in, in the kernel's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timex {
    /// The return value: `TIME_OK` 0, … `TIME_ERROR` 5.
    pub state: i32,
    /// Bits `STA_*`.
    pub status: i32,
    /// Phase adjustment still to be made; nanoseconds with `STA_NANO`, else microseconds. Positive: the clock will
    /// be advanced.
    pub offset: i64,
    /// Frequency adjustment, parts per million times 2^16.
    pub frequency: i64,
    /// Maximum error, microseconds.
    pub max_error_us: i64,
    /// Estimated error, microseconds.
    pub est_error_us: i64,
    /// The kernel's wall clock at the call, whole seconds since the Unix epoch.
    pub time_s: i64,
    /// Its fraction; nanoseconds with `STA_NANO`, else microseconds.
    pub time_fraction: i64,
    /// Microseconds of clock for each tick, a hundredth of a second of the oscillator; 10,000 unless it is slewed by it.
    pub tick_us: i64,
    /// TAI minus UTC, seconds; 0 where nobody told the kernel.
    pub tai: i32,
}

/// `STA_UNSYNC`: nothing disciplines the clock through the kernel.
pub const STA_UNSYNC: i32 = libc::STA_UNSYNC;
/// `STA_NANO`: `offset` and the fraction of `time` are nanoseconds.
pub const STA_NANO: i32 = libc::STA_NANO;
/// `TIME_INS`: a leap second will be inserted at the end of the day.
pub const TIME_INS: i32 = libc::TIME_INS;
/// `TIME_DEL`: the last second of the day will be left out.
pub const TIME_DEL: i32 = libc::TIME_DEL;
/// `TIME_OOP`: a leap second is being inserted now.
pub const TIME_OOP: i32 = libc::TIME_OOP;
/// `TIME_ERROR`: the clock is not synchronised.
pub const TIME_ERROR: i32 = libc::TIME_ERROR;

/// Reads the kernel's clock state; changes nothing (modes 0).
///
/// # Errors
/// `EPERM` or `ENOSYS` where a seccomp profile refuses the call.
pub fn adjtimex() -> io::Result<Timex> {
    // SAFETY: `timex` is plain integers, for which all zeroes is a valid value; modes 0 asks for nothing.
    let mut raw: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole, exclusively borrowed `timex` that outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut raw) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    // The fields are C longs, whose width differs between targets; every conversion here is lossless.
    #[expect(clippy::useless_conversion, reason = "c_long is i64 on the targets we build for, i32 on others")]
    Ok(Timex {
        state,
        status: raw.status,
        offset: raw.offset.into(),
        frequency: raw.freq.into(),
        max_error_us: raw.maxerror.into(),
        est_error_us: raw.esterror.into(),
        time_s: raw.time.tv_sec.into(),
        time_fraction: raw.time.tv_usec.into(),
        tick_us: raw.tick.into(),
        tai: raw.tai,
    })
}

/// One reading of a clock, as the PTP ioctls give it: the sign of the seconds applies to the whole, the nanoseconds count
/// up from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PtpTime {
    /// Whole seconds since the Unix epoch.
    pub seconds: i64,
    /// Nanoseconds, less than 10^9 unless the driver is broken.
    pub nanos: u32,
}

impl From<libc::ptp_clock_time> for PtpTime {
    fn from(raw: libc::ptp_clock_time) -> PtpTime {
        PtpTime { seconds: raw.sec, nanos: raw.nsec }
    }
}

/// Samples that one call takes.
const PTP_SAMPLES: u32 = 5;

/// The device's clock and the kernel's wall clock at one moment, as the hardware or the hypervisor relates them.
///
/// # Errors
/// `EOPNOTSUPP` where the driver cannot; else whatever ioctl(2) says.
pub fn ptp_precise(device: BorrowedFd<'_>) -> io::Result<(PtpTime, PtpTime)> {
    // SAFETY: the struct is plain integers, for which all zeroes is a valid value.
    let mut raw: libc::ptp_sys_offset_precise = unsafe { std::mem::zeroed() };
    // SAFETY: the request reads and writes exactly this struct, exclusively borrowed, which outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::PTP_SYS_OFFSET_PRECISE, &raw mut raw) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok((raw.device.into(), raw.sys_realtime.into())) }
}

/// A few times in turn: the kernel's wall clock, the device's clock, the kernel's wall clock.
///
/// # Errors
/// `EOPNOTSUPP` where the driver cannot; else whatever ioctl(2) says.
pub fn ptp_extended(device: BorrowedFd<'_>) -> io::Result<Vec<[PtpTime; 3]>> {
    // SAFETY: as above.
    let mut raw: libc::ptp_sys_offset_extended = unsafe { std::mem::zeroed() };
    raw.n_samples = PTP_SAMPLES;
    // SAFETY: as above.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::PTP_SYS_OFFSET_EXTENDED, &raw mut raw) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(raw.ts.iter().take(PTP_SAMPLES as usize).map(|sample| sample.map(PtpTime::from)).collect())
}

/// In turn: the kernel's wall clock, the device's clock, the kernel's wall clock, the device's, …; the kernel's is first
/// and last. Every driver can do this.
///
/// # Errors
/// Whatever ioctl(2) says.
pub fn ptp_interleaved(device: BorrowedFd<'_>) -> io::Result<Vec<PtpTime>> {
    // SAFETY: as above.
    let mut raw: libc::ptp_sys_offset = unsafe { std::mem::zeroed() };
    raw.n_samples = PTP_SAMPLES;
    // SAFETY: as above. The request is declared to write only, and the kernel fills the array all the same.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::PTP_SYS_OFFSET, &raw mut raw) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(raw.ts.iter().take(2 * PTP_SAMPLES as usize + 1).map(|time| (*time).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_with_its_own_date() {
        let before = crate::runtime::wall_now().unix_nanos() / 1_000_000_000;
        let timex = adjtimex().unwrap();
        let after = crate::runtime::wall_now().unix_nanos() / 1_000_000_000;
        assert!(before <= timex.time_s && timex.time_s <= after, "{before} {timex:?} {after}");
    }
}
