//! The one module with `unsafe`: system calls that no safe crate of ours wraps.
//!
//! `adjtimex` with modes 0 only reads the kernel's idea of its clock; it needs no capability. It is called through
//! the C library. A seccomp profile may still refuse it (containers have been seen doing so), which is an error value
//! here and a source without evidence one floor up, never a reason to stop.
//!
//! Does not know: what any of the numbers mean; see [`crate::agent::sources::kernel`].
//!
//! Source: adjtimex(2).
#![expect(unsafe_code, reason = "adjtimex is in neither rustix nor nix; a struct is passed to the C library")]

use std::io;

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
