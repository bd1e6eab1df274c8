//! The hypervisor's clock, where the virtual machine is given one: `/dev/ptp*` (KVM, Hyper-V, VMware, Amazon's ENA).
//!
//! It needs no network, and it is the one witness that notices at once that the machine was paused: the guest's clocks
//! stand still then, the host's does not.
//!
//! How sure: the kernel's clock is read before and after the device's (or both at one moment, where the driver can), so
//! the offset against the device lies between the two differences. How right the host's own clock is, nobody tells the
//! guest: [`HOST_ERROR`] is assumed, and the report says so.
//!
//! Only devices whose drivers are known to give UTC are used, by their `clock_name`. Clocks of network cards keep TAI, or
//! nothing in particular, and are left alone; so is `vmclock`, which may count TAI and which we have not tried.
//!
//! A container usually sees the device's name below /sys but has no /dev/ptp0: that is no error. Give it the device if
//! this witness is wanted.
//!
//! Does not know: which hypervisor this is, whether it smears leap seconds.
//!
//! Source: Documentation/driver-api/ptp.rst, include/uapi/linux/ptp_clock.h, and the drivers' `ptp_clock_info.name`.

use super::kernel::seen_by_us;
use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source, under};
use crate::agent::report::SourceDetail;
use crate::clock::{Delta, OffsetInterval};
use crate::sys::{self, PtpTime};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

/// Names of devices that keep UTC as the host does, the surest first: Amazon's network card (followed by its PCI slot),
/// KVM, Hyper-V, VMware.
const KNOWN: [&str; 4] = ["ena-ptp-", "KVM virtual PTP", "hyperv", "ptp_vmw"];
/// How far the clock of a host may be off: clouds keep theirs within 1 ms, and nobody promises that of all of them.
pub const HOST_ERROR: Duration = Duration::from_millis(10);
/// A question costs a call of the hypervisor; nothing changes quickly.
const SPACING: Duration = Duration::from_secs(16);
/// There is no such device: look for one that appears (a module that is loaded later).
const ABSENT: Duration = Duration::from_secs(60);
/// Devices that are looked at.
const DEVICES_MAX: usize = 32;

/// What a PTP device was asked, and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The device's clock and the kernel's at one moment.
    Precise {
        /// The device's.
        device: PtpTime,
        /// The kernel's.
        system: PtpTime,
    },
    /// Kernel, device, kernel, a few times.
    Extended(Vec<[PtpTime; 3]>),
    /// Kernel, device, kernel, device, …, kernel.
    Interleaved(Vec<PtpTime>),
}

/// Why a reading says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No usable sample.
    #[error("the device gave no usable sample (the clock was set meanwhile, or its driver is broken)")]
    NoSample,
}

/// Offset of the kernel's clock against the device's, positive ahead, from the narrowest sample; the host's own error is
/// not in it.
///
/// # Errors
/// If no sample can be used.
pub fn decode(reading: &Reading) -> Result<OffsetInterval, DecodeError> {
    let samples: Vec<[PtpTime; 3]> = match reading {
        Reading::Precise { device, system } => vec![[*system, *device, *system]],
        Reading::Extended(samples) => samples.clone(),
        Reading::Interleaved(times) => times.windows(3).step_by(2).filter_map(|w| w.try_into().ok()).collect(),
    };
    let intervals = samples.iter().filter_map(|[before, device, after]| {
        let (before, device, after) = (nanos(*before)?, nanos(*device)?, nanos(*after)?);
        // Else the kernel's clock was set back in between.
        (before <= after).then(|| {
            let behind = |system: i64| Delta::from_nanos(system).minus(Delta::from_nanos(device));
            OffsetInterval::between(behind(before), behind(after))
        })
    });
    intervals.min_by_key(|interval| interval.bound()).ok_or(DecodeError::NoSample)
}

/// Nanoseconds since the Unix epoch; `None` for what is no time.
fn nanos(time: PtpTime) -> Option<i64> {
    let fraction = i64::from(time.nanos);
    // A device that was never set shows the time since it was started.
    (fraction < 1_000_000_000 && time.seconds > 0).then_some(())?;
    time.seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// The hypervisor's clock, if there is one.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Box<dyn Source>> {
    vec![Box::new(Ptp { host_root: settings.host_root.clone(), spacing: SPACING, detail: None })]
}

struct Ptp {
    host_root: PathBuf,
    spacing: Duration,
    detail: Option<SourceDetail>,
}

impl Ptp {
    fn ask(&mut self) -> Outcome {
        self.detail = None;
        self.spacing = SPACING;
        let Some((device, name)) = find(&self.host_root) else {
            self.spacing = ABSENT;
            return Outcome::Absent;
        };
        let path = under(&self.host_root, &format!("/dev/{device}"));
        let opened = match std::fs::File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.spacing = ABSENT;
                return Outcome::Absent;
            }
            Err(error) => {
                let path = path.display();
                return Outcome::Withdrawn(format!(
                    "{path} ({name}) cannot be read ({error}): run as root, or let the agent's group read it"
                ));
            }
        };
        let outcome = read(opened.as_fd()).map_err(|error| error.to_string());
        match outcome.and_then(|reading| decode(&reading).map_err(|error| error.to_string())) {
            Ok(interval) => {
                let (interval, clocks) = seen_by_us(interval.widened(HOST_ERROR));
                let reference = format!("{name} (/dev/{device})");
                self.detail = Some(SourceDetail {
                    assumed_seconds: Some(HOST_ERROR.as_secs_f64()),
                    roots: vec![reference.clone()],
                    ..SourceDetail::default()
                });
                Outcome::Measured(Measured { interval, clocks, reference: Some(reference) })
            }
            Err(because) => Outcome::Withdrawn(format!("/dev/{device} ({name}): {because}")),
        }
    }
}

/// The surest way that the driver knows.
fn read(device: BorrowedFd<'_>) -> io::Result<Reading> {
    if let Ok((device, system)) = sys::ptp_precise(device) {
        return Ok(Reading::Precise { device, system });
    }
    if let Ok(samples) = sys::ptp_extended(device) {
        return Ok(Reading::Extended(samples));
    }
    sys::ptp_interleaved(device).map(Reading::Interleaved)
}

/// The device to use, as `ptp0`, and the name of its clock.
fn find(host_root: &Path) -> Option<(String, String)> {
    let folder = under(host_root, "/sys/class/ptp");
    let mut found: Vec<(usize, String, String)> = std::fs::read_dir(&folder)
        .ok()?
        .take(DEVICES_MAX)
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = std::fs::read_to_string(entry.path().join("clock_name")).ok()?;
            let name = name.trim().to_owned();
            Some((rank(&name)?, entry.file_name().into_string().ok()?, name))
        })
        .collect();
    found.sort();
    found.into_iter().next().map(|(_, device, name)| (device, name))
}

/// How sure a clock of that name is, 0 the surest; `None` for clocks that are not to be used.
fn rank(name: &str) -> Option<usize> {
    KNOWN.iter().position(|known| match known.strip_suffix('-') {
        Some(_) => name.starts_with(known),
        None => name == *known,
    })
}

impl Source for Ptp {
    fn name(&self) -> &'static str {
        "ptp"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::ready(self.ask()))
    }

    fn spacing(&mut self) -> Duration {
        self.spacing
    }

    fn detail(&self) -> Option<SourceDetail> {
        self.detail.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names of the clocks of ptp0, ptp1, … in; the device that is used out.
    fn check(clocks: &[&str], expected: Option<&str>) {
        let root = tempfile::TempDir::new().unwrap();
        for (number, name) in clocks.iter().enumerate() {
            let folder = under(root.path(), &format!("/sys/class/ptp/ptp{number}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("clock_name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(find(root.path()).map(|(device, _)| device).as_deref(), expected, "{clocks:?}");
    }

    #[test]
    fn only_clocks_that_are_known_to_keep_utc_are_used_and_the_surest_of_them() {
        check(&[], None);
        check(&["KVM virtual PTP"], Some("ptp0"));
        check(&["hyperv"], Some("ptp0"));
        check(&["ptp_vmw"], Some("ptp0"));
        check(&["mlx5_ptp", "KVM virtual PTP"], Some("ptp1"));
        check(&["KVM virtual PTP", "ena-ptp-05"], Some("ptp1"));
        // Network cards keep TAI, or anything.
        check(&["mlx5_ptp", "Intel PTP", "e1000e PTP", "i40e", "ptp virtual clock", "vmclock0", "hyperv2", ""], None);
    }

    #[test]
    fn a_device_that_a_container_was_not_given_is_no_error_and_one_that_is_none_is() {
        let root = tempfile::TempDir::new().unwrap();
        let folder = under(root.path(), "/sys/class/ptp/ptp0");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("clock_name"), "KVM virtual PTP\n").unwrap();
        let mut ptp = Ptp { host_root: root.path().to_owned(), spacing: SPACING, detail: None };
        assert_eq!((ptp.ask(), ptp.spacing()), (Outcome::Absent, ABSENT));
        std::fs::create_dir_all(under(root.path(), "/dev")).unwrap();
        std::fs::write(under(root.path(), "/dev/ptp0"), "").unwrap();
        let Outcome::Withdrawn(because) = ptp.ask() else { panic!("a plain file is no clock") };
        assert!(because.starts_with("/dev/ptp0 (KVM virtual PTP): ") && because.contains("ioctl"), "{because}");
    }

    proptest! {
        #[test]
        fn the_truth_lies_inside_and_no_reading_panics(
            offset in -(1i64 << 55)..1 << 55, device in 1u64 << 55..1 << 60,
            gaps in prop::collection::vec((0u64..1 << 30, 0u64..1 << 30), 1..5),
        ) {
            let time = |nanos: i64| {
                let nanos = u64::try_from(nanos).unwrap();
                PtpTime { seconds: (nanos / 1_000_000_000) as i64, nanos: (nanos % 1_000_000_000) as u32 }
            };
            let at = device as i64;
            let sample = |(before, after): &(u64, u64)| {
                [time(at + offset - *before as i64), time(at), time(at + offset + *after as i64)]
            };
            let interval = decode(&Reading::Extended(gaps.iter().map(sample).collect())).unwrap();
            prop_assert!(interval.contains(Delta::from_nanos(offset)));
            let narrowest = gaps.iter().map(|(a, b)| (a + b).div_ceil(2)).min().unwrap();
            prop_assert_eq!(interval.bound(), Duration::from_nanos(narrowest));
        }

        #[test]
        fn nothing_that_a_driver_says_panics(times in prop::collection::vec((any::<i64>(), any::<u32>()), 0..12)) {
            let times: Vec<PtpTime> = times.into_iter().map(|(seconds, nanos)| PtpTime { seconds, nanos }).collect();
            let _ = decode(&Reading::Interleaved(times.clone()));
            if let [device, system, ..] = times[..] {
                let _ = decode(&Reading::Precise { device, system });
            }
        }
    }
}
