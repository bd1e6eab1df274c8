//! What the agent's sources would say on a simulated machine, made by the agent's own code.
//!
//! The simulation supplies what the world would: the answer of adjtimex(2), chronyd's tracking, an NTP packet and when
//! it came. What follows from that is decided by the real sources: `decode`, `interval`, and which [`Outcome`] an error
//! is. All that the simulation needs to know of their types and of how often they ask stands in this file.

use super::chance::Chance;
use super::daemon::{Chronyd, Daemon};
use super::kernel::Kernel;
use super::machine::{Machine, SECOND};
use super::server::{DISPERSION_NS, Path, Server};
use crate::agent::sources::{Measured, Outcome, chrony, kernel, sntp};
use crate::clock::{Delta, Discipline, Leap, OffsetInterval, Sample, Wall};
use std::time::Duration;

/// Seconds between two polls of the kernel; see the source's `spacing`.
pub(super) const KERNEL_EVERY_S: i64 = 4;
/// The same for chronyd, while it has nothing to correct and while it has.
const CHRONY_EVERY_S: (i64, i64) = (8, 1);
/// From this correction on.
const CHRONY_CORRECTION_NS: i64 = 10_000_000;
/// How long its answer may take.
const CHRONY_TIMEOUT: Duration = Duration::from_secs(1);
/// For NTP servers: a few quick polls, then calm ones, an eighth sooner or later.
pub(super) const SNTP_QUICK: u32 = 4;
pub(super) const SNTP_QUICK_S: i64 = 2;
pub(super) const SNTP_CALM_S: (i64, i64) = (14, 18);
/// `127.127.1.1`.
const LOCAL_REFERENCE: u32 = 0x7F7F_0101;

/// What a source said, and when in this second its clocks were read.
pub(super) struct Said {
    pub(super) outcome: Outcome,
    pub(super) read_ns: i64,
}

fn measured(interval: OffsetInterval, clocks: Sample, reference: Option<String>) -> Outcome {
    Outcome::Measured(Measured { interval, clocks, reference })
}

/// A server's answer, sent when its clock showed that. It takes no time to answer, so that it cannot claim to have thought
/// for too long.
fn reply(server: &Server, shown: Wall) -> sntp::Reply {
    sntp::Reply {
        stratum: 2,
        leap: Leap::None,
        reference_id: u32::from_be_bytes([192, 0, 2, 0]) + server.number(),
        precision: -23,
        root_delay: Duration::from_millis(4),
        root_dispersion: Duration::from_nanos(DISPERSION_NS.unsigned_abs()),
        arrived: shown,
        left: shown,
    }
}

/// Asks a server for the time: this machine's clock against the server's, this machine's clocks when the answer had
/// come, and when that was. `when`: the true time at the beginning of the second, the second, and how far into it the
/// question leaves.
pub(super) fn ask(
    server: &Server,
    path: Path,
    machine: &mut Machine,
    (truth, second, into_ns): (Wall, i64, i64),
) -> Option<(OffsetInterval, Sample, i64)> {
    let shown = server.clock(truth.plus(Delta::from_nanos(into_ns + path.there_ns)), second)?;
    let sent = machine.mono(into_ns);
    let bracket = machine.bracket_ns();
    let came_ns = into_ns + path.there_ns + path.back_ns;
    let clocks = machine.sample(came_ns, bracket);
    let interval = sntp::interval(&reply(server, shown), sent, &clocks).ok()?;
    Some((interval, clocks, came_ns + bracket / 2))
}

/// The source that asks an NTP server.
pub(super) fn server(server: &Server, path: Path, machine: &mut Machine, when: (Wall, i64, i64)) -> Said {
    match ask(server, path, machine, when) {
        Some((interval, clocks, read_ns)) => {
            Said { outcome: measured(interval, clocks, Some(reply(server, when.0).reference())), read_ns }
        }
        None => Said { outcome: Outcome::Unanswered("no answer".to_owned()), read_ns: when.2 },
    }
}

/// The source that asks the kernel.
pub(super) fn kernel(kernel: &Kernel, machine: &mut Machine, into_ns: i64) -> Said {
    let bracket = machine.careless_bracket_ns();
    let clocks = machine.sample(into_ns, bracket);
    // The kernel's reading comes first; here right after the bracket begins.
    let timex = kernel.timex(machine.wall(into_ns));
    let outcome = match kernel::decode(&timex) {
        Ok(reply) => measured(reply.seen_at(&clocks), clocks, None),
        Err(error) => Outcome::Withdrawn(error.to_string()),
    };
    Said { outcome, read_ns: into_ns + bracket / 2 }
}

/// The source that asks chronyd; and when to ask again. `None`: none runs here.
pub(super) fn chrony(
    daemon: Option<&Chronyd>,
    machine: &mut Machine,
    second: i64,
    into_ns: i64,
    ever_seen: bool,
) -> (Said, i64) {
    let Some(daemon) = daemon else {
        // A daemon that was there and is gone; one that never was is no error.
        let gone = if ever_seen { Outcome::Withdrawn("chronyd does not answer".to_owned()) } else { Outcome::Absent };
        return (Said { outcome: gone, read_ns: into_ns }, CHRONY_EVERY_S.0);
    };
    let correction_ns = daemon.correction_ns(into_ns);
    let slewing = correction_ns.abs() > CHRONY_CORRECTION_NS;
    let spacing = if slewing { CHRONY_EVERY_S.1 } else { CHRONY_EVERY_S.0 };
    let bracket = machine.bracket_ns();
    let clocks = machine.sample(into_ns, bracket);
    let reply = tracking(daemon, correction_ns, second);
    let in_use = Duration::from_secs(spacing.unsigned_abs()).saturating_add(CHRONY_TIMEOUT);
    let outcome = match reply.interval(in_use) {
        Ok(interval) => measured(interval, clocks, Some(reply.reference())),
        Err(because) => Outcome::Withdrawn(because.to_string()),
    };
    (Said { outcome, read_ns: into_ns + bracket / 2 }, spacing)
}

fn tracking(daemon: &Chronyd, correction_ns: i64, second: i64) -> chrony::Reply {
    let seconds = |ns: i64| Delta::from_nanos(ns).seconds();
    let Some(reference) = daemon.reference() else {
        let (reference_id, stratum, leap) = if daemon.local { (LOCAL_REFERENCE, 10, 0) } else { (0, 0, 3) };
        return chrony::Reply {
            reference_id,
            server: None,
            stratum,
            leap,
            correction_s: seconds(correction_ns),
            root_delay_s: 1.0,
            root_dispersion_s: 1.0,
        };
    };
    let number = u8::try_from(reference.server % 256).unwrap_or(0);
    let error_ns = reference.error_ns(second);
    chrony::Reply {
        reference_id: u32::from_be_bytes([192, 0, 2, number]),
        server: Some([192, 0, 2, number].into()),
        stratum: 3,
        leap: 0,
        correction_s: seconds(correction_ns),
        root_delay_s: seconds(error_ns),
        root_dispersion_s: seconds(error_ns - error_ns / 2),
    }
}

/// What the kernel was told to make of the oscillator. chronyd slews by the tick and the frequency together; the kernel's
/// own loop, which timesyncd leaves the correction to, does not show in either.
pub(super) fn discipline(machine: &Machine, daemon: &Daemon) -> Discipline {
    let slew_ppb = if matches!(daemon, Daemon::Chronyd(_)) { machine.slew_ppb } else { 0 };
    Discipline { frequency_ppb: machine.frequency_ppb + slew_ppb, tick_us: 10_000, tai_s: machine.tai_s }
}

/// When a server is asked again, `quick` polls of the quick ones being left.
pub(super) fn server_again_s(quick: u32, chance: &mut Chance) -> i64 {
    if quick > 0 { SNTP_QUICK_S } else { chance.between(SNTP_CALM_S.0, SNTP_CALM_S.1) }
}

/// A bracket's worth of the second: sources are asked one after another, this far apart.
pub(super) const APART_NS: i64 = SECOND / 50;
