//! Simulated daemons that discipline a clock: chronyd and systemd-timesyncd, as far as their faults matter here.
//!
//! Not how well they do it, which is their own art, but what they know and when: a daemon asks its servers about once
//! a minute and believes in between that the clock did what it was told. Whoever else sets the clock, or stops it, is
//! not noticed before the next answer. chronyd steps only while it is told that it may (`makestep`), otherwise slews by
//! at most 83,333 ppm; timesyncd hands up to 0.4 s to the kernel and steps beyond.
//!
//! Source: chrony.conf(5) (`makestep`, `maxslewrate`, `rtcsync`, `local`); chrony's sources for what it tells the kernel;
//! systemd-timesyncd.service(8) and its `manager_adjust_clock`, which tells the kernel a maximum error of 0.

use super::chance::Chance;
use super::kernel::Kernel;
use super::machine::{Machine, SECOND};
use super::server::{Path, Server};
use super::witness::ask;
use crate::clock::fuse::most_overlap;
use crate::clock::{OffsetInterval, Wall};

/// chronyd and timesyncd ask about once a minute.
const EVERY_S: i64 = 64;
/// A daemon that has just started asks at once, and again after a few seconds (`iburst`).
const EAGER_S: i64 = 4;
const EAGER_POLLS: u32 = 4;
/// The fastest slew: `maxslewrate` of 83,333 ppm.
const SLEW_MAX_PPB: i64 = 83_333_333;
/// What chronyd takes the uncertainty of its frequency to be, with its `maxclockerror` of 1 ppm: 3 ppm together.
const SKEW_PPB: i64 = 3_000;
/// chronyd notices by itself that the clock was set by more than that (`JUMP_DETECT_THRESHOLD`).
const JUMP_NOTICED_NS: i64 = 10 * SECOND;
/// Up to this timesyncd lets the kernel make the correction (`NTP_MAX_ADJUST`).
const ADJUST_MAX_NS: i64 = 400_000_000;
/// Where a correction tells of the frequency and not of a fault.
const FREQUENCY_EVIDENCE_NS: i64 = 10_000_000;
/// The kernel makes a sixteenth of its correction every second, with the time constant for polls of 64 s.
pub(super) const PLL_SHIFT: u32 = 4;

/// Whatever a daemon can ask, and when it is.
pub(super) struct Around<'a> {
    /// All servers there are.
    pub(super) servers: &'a [Server],
    /// The way to them.
    pub(super) path: Path,
    /// True time at the beginning of this second.
    pub(super) truth: Wall,
    /// The simulated second.
    pub(super) second: i64,
}

/// What disciplines a clock.
#[derive(Debug, Clone)]
pub enum Daemon {
    /// Nothing.
    Nobody,
    /// chronyd.
    Chronyd(Chronyd),
    /// systemd-timesyncd.
    Timesyncd(Timesyncd),
}

impl Daemon {
    /// Lets it do what it does in this second.
    pub(super) fn second(&mut self, machine: &mut Machine, kernel: &mut Kernel, around: &Around, chance: &mut Chance) {
        let made_by_kernel = kernel.second(PLL_SHIFT);
        machine.slew_ppb = match self {
            Daemon::Nobody | Daemon::Timesyncd(_) => made_by_kernel,
            Daemon::Chronyd(daemon) => daemon.slew(),
        };
        match self {
            Daemon::Nobody => {}
            Daemon::Chronyd(daemon) => daemon.second(machine, kernel, around, chance),
            Daemon::Timesyncd(daemon) => daemon.second(machine, kernel, around, chance),
        }
    }

    /// Something happened to the clock that it did not do.
    pub(super) fn disturbed(&mut self, set_by_ns: i64, second: i64) {
        match self {
            Daemon::Nobody => {}
            Daemon::Chronyd(daemon) => {
                daemon.deceived = true;
                if set_by_ns.abs() > JUMP_NOTICED_NS {
                    (daemon.reference, daemon.pending_ns, daemon.slew_ppb) = (None, 0, 0);
                    daemon.next = second + EAGER_S;
                }
            }
            Daemon::Timesyncd(daemon) => daemon.deceived = true,
        }
    }

    /// The same, which asks for the first time in that second or later.
    #[must_use]
    pub fn starting(mut self, second: i64) -> Daemon {
        match &mut self {
            Daemon::Nobody => {}
            Daemon::Chronyd(daemon) => daemon.next = daemon.next.max(second),
            Daemon::Timesyncd(daemon) => daemon.next = daemon.next.max(second),
        }
        self
    }

    /// The servers that it asks, by number.
    #[must_use]
    pub fn follows(&self) -> Vec<usize> {
        match self {
            Daemon::Nobody => Vec::new(),
            Daemon::Chronyd(daemon) => daemon.follows.clone(),
            Daemon::Timesyncd(daemon) => vec![daemon.follows],
        }
    }

    /// timesyncd tells the kernel that its clock cannot be wrong at all, which no clock can be sure of.
    #[must_use]
    pub fn claims_no_error(&self) -> bool {
        matches!(self, Daemon::Timesyncd(_))
    }

    /// Whether the clock is in good hands: it follows servers that are right, and nothing has happened to the clock
    /// since it last asked them.
    #[must_use]
    pub fn good(&self) -> bool {
        match self {
            Daemon::Nobody => false,
            Daemon::Chronyd(daemon) => !daemon.deceived && daemon.reference.as_ref().is_some_and(|r| r.honest),
            Daemon::Timesyncd(daemon) => !daemon.deceived && daemon.honest,
        }
    }
}

/// What chronyd was told last.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The number of the server that it goes by.
    pub server: usize,
    at: i64,
    bound_ns: i64,
    honest: bool,
}

impl Reference {
    /// How far off it holds itself to be at most, nanoseconds: it grows while nothing new is heard.
    #[must_use]
    pub fn error_ns(&self, second: i64) -> i64 {
        self.bound_ns + (second - self.at).max(0) * SKEW_PPB
    }
}

/// chronyd.
#[derive(Debug, Clone)]
pub struct Chronyd {
    /// The servers that it asks, by number.
    pub follows: Vec<usize>,
    /// Tells the kernel what it knows.
    pub rtcsync: bool,
    /// Steps for more than that, nanoseconds, at its first so many updates: `makestep 1.0 3`.
    pub makestep: (i64, u32),
    /// Serves its own time as good where it has no other: `local`.
    pub local: bool,
    updates: u32,
    next: i64,
    reference: Option<Reference>,
    /// The correction that it has yet to make, after this second; positive: the clock is slow.
    pending_ns: i64,
    /// What it makes of that in this second.
    slew_ppb: i64,
    deceived: bool,
}

impl Chronyd {
    /// With `rtcsync` and `makestep 1.0 3`, as distributions ship it; just started.
    #[must_use]
    pub fn new(follows: &[usize], starts: i64) -> Chronyd {
        Chronyd {
            follows: follows.to_vec(),
            rtcsync: true,
            makestep: (SECOND, 3),
            local: false,
            updates: 0,
            next: starts,
            reference: None,
            pending_ns: 0,
            slew_ppb: 0,
            deceived: true,
        }
    }

    /// It has been running for long.
    #[must_use]
    pub fn established(mut self) -> Chronyd {
        self.updates = 1_000;
        self
    }

    /// What it goes by.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// The correction that it has yet to make, so far into the second; positive: the clock is slow.
    #[must_use]
    pub fn correction_ns(&self, into_ns: i64) -> i64 {
        self.pending_ns + self.slew_ppb - self.slew_ppb * (into_ns / 1_000) / (SECOND / 1_000)
    }

    fn slew(&mut self) -> i64 {
        // Briskly where it matters, gently otherwise.
        let part = if self.pending_ns.abs() > 1_000_000 { self.pending_ns / 4 } else { self.pending_ns / 16 };
        self.slew_ppb = part.clamp(-SLEW_MAX_PPB, SLEW_MAX_PPB);
        self.pending_ns -= self.slew_ppb;
        self.slew_ppb
    }

    fn second(&mut self, machine: &mut Machine, kernel: &mut Kernel, around: &Around, chance: &mut Chance) {
        if around.second < self.next {
            return;
        }
        self.next = around.second + if self.updates < EAGER_POLLS { EAGER_S } else { EVERY_S };
        let mut heard: Vec<(usize, OffsetInterval)> = Vec::new();
        for number in &self.follows {
            let Some(server) = around.servers.get(*number) else { continue };
            let answer = ask(server, around.path.take(chance), machine, (around.truth, around.second, 0));
            heard.extend(answer.map(|(interval, _, _)| (*number, interval)));
        }
        let intervals: Vec<OffsetInterval> = heard.iter().map(|(_, interval)| *interval).collect();
        let Some((overlap, agreeing)) = most_overlap(&intervals) else { return };
        if agreeing * 2 <= heard.len() {
            return;
        }
        let believed = || heard.iter().filter(|(_, interval)| interval.overlaps(overlap));
        let honest = believed().all(|(number, _)| around.servers.get(*number).is_some_and(Server::honest));
        let server = believed().map(|(number, _)| *number).next().unwrap_or(0);
        self.update(overlap, machine, around.second);
        let bound_ns = i64::try_from(overlap.bound().as_nanos()).unwrap_or(i64::MAX);
        self.reference = Some(Reference { server, at: around.second, bound_ns, honest });
        self.deceived = false;
        if self.rtcsync {
            kernel.vouched((bound_ns + self.correction_ns(0).abs()) / 1_000 + 1);
        } else {
            kernel.clear();
        }
    }

    /// Acts on a measured offset.
    fn update(&mut self, measured: OffsetInterval, machine: &mut Machine, second: i64) {
        let offset_ns = measured.midpoint().nanos();
        let (limit_ns, updates_max) = self.makestep;
        let elapsed_s = self.reference.as_ref().map_or(0, |r| second - r.at);
        // What it did not know of: the part that its own pending correction does not explain.
        let unexpected_ns = offset_ns + self.correction_ns(0);
        self.updates = self.updates.saturating_add(1);
        if offset_ns.abs() > limit_ns && self.updates <= updates_max {
            machine.set(-offset_ns);
            (self.pending_ns, self.slew_ppb, machine.slew_ppb) = (0, 0, 0);
            return;
        }
        if elapsed_s >= EVERY_S / 2 && unexpected_ns.abs() < FREQUENCY_EVIDENCE_NS {
            machine.frequency_ppb -= unexpected_ns / elapsed_s / 4;
        }
        // What is being slewed in this second is on its way already.
        self.pending_ns = -offset_ns - self.slew_ppb;
    }
}

/// systemd-timesyncd.
#[derive(Debug, Clone)]
pub struct Timesyncd {
    /// The server that it asks, by number.
    pub follows: usize,
    next: i64,
    honest: bool,
    deceived: bool,
}

impl Timesyncd {
    /// Which asks that server from that second on.
    #[must_use]
    pub fn new(follows: usize, starts: i64) -> Timesyncd {
        Timesyncd { follows, next: starts, honest: false, deceived: true }
    }

    fn second(&mut self, machine: &mut Machine, kernel: &mut Kernel, around: &Around, chance: &mut Chance) {
        if around.second < self.next {
            return;
        }
        self.next = around.second + EVERY_S;
        let Some(server) = around.servers.get(self.follows) else { return };
        let path = around.path.take(chance);
        let Some((interval, _, _)) = ask(server, path, machine, (around.truth, around.second, 0)) else { return };
        let offset_ns = interval.midpoint().nanos();
        (self.honest, self.deceived) = (server.honest(), false);
        if offset_ns.abs() >= ADJUST_MAX_NS {
            machine.set(-offset_ns);
            kernel.clear();
            self.next = around.second + EVERY_S / 2;
        } else {
            kernel.correct(-offset_ns);
            if offset_ns.abs() < FREQUENCY_EVIDENCE_NS {
                machine.frequency_ppb -= offset_ns / EVERY_S / 4;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Delta;
    use crate::simulation::machine::Oscillator;
    use crate::simulation::server::Conduct;

    const START: Wall = Wall::from_unix_nanos(1_800_000_000 * SECOND);

    /// Lets a daemon work on a clock that is off by so much; the offset in nanoseconds after so many seconds, and how
    /// often the clock was set.
    fn run(daemon: &mut Daemon, servers: &[Conduct], off_ns: i64, seconds: i64) -> (i64, u32) {
        let mut chance = Chance::new(5);
        let servers: Vec<Server> =
            servers.iter().zip(0u32..).map(|(conduct, n)| Server::new(n, *conduct, &mut chance)).collect();
        let oscillator = Oscillator::ordinary(&mut chance);
        let mut machine = Machine::new(oscillator, START.plus(Delta::from_nanos(off_ns)), Chance::new(6));
        machine.learn_frequency();
        let (mut kernel, mut set) = (Kernel::new(), 0);
        for second in 0..seconds {
            let truth = START.plus(Delta::from_nanos(second * SECOND));
            let path = Path { there_ns: 200_000, back_ns: 100_000 };
            let before = machine.wall(0);
            daemon.second(&mut machine, &mut kernel, &Around { servers: &servers, path, truth, second }, &mut chance);
            set += u32::from(machine.wall(0) != before);
            machine.advance();
        }
        (machine.wall(0).minus(START).nanos() - seconds * SECOND, set)
    }

    #[track_caller]
    fn check(mut daemon: Daemon, servers: &[Conduct], off_s: i64, seconds: i64, near_ms: i64, set: u32) {
        let (off_ns, times) = run(&mut daemon, servers, off_s * SECOND, seconds);
        assert!((off_ns / 1_000_000 - near_ms).abs() <= 2, "{off_ns} ns off, wanted {near_ms} ms");
        assert_eq!(times, set, "times that the clock was set");
    }

    #[test]
    fn chronyd_steps_at_first_and_slews_ever_after() {
        let honest = [Conduct::Honest];
        check(Daemon::Chronyd(Chronyd::new(&[0], 0)), &honest, 172_800, 300, 0, 1);
        let long = || Daemon::Chronyd(Chronyd::new(&[0], 0).established());
        // It slews from the second after its first answer on.
        check(long(), &honest, 15, 60, 15_000 - 59 * 83_333 / 1_000, 0);
        check(long(), &honest, -15, 400, 0, 0);
        check(long(), &honest, 0, 3_600, 0, 0);
    }

    #[test]
    fn chronyd_goes_by_the_majority_of_its_servers() {
        let three = || Daemon::Chronyd(Chronyd::new(&[0, 1, 2], 0));
        check(three(), &[Conduct::Lies(9 * SECOND), Conduct::Honest, Conduct::Honest], 3, 600, 0, 1);
        check(three(), &[Conduct::Lies(9 * SECOND), Conduct::Honest, Conduct::Silent], 0, 600, 0, 0);
        check(Daemon::Chronyd(Chronyd::new(&[0], 0)), &[Conduct::Lies(9 * SECOND)], 0, 600, 9_000, 1);
    }

    #[test]
    fn timesyncd_lets_the_kernel_correct_a_little_and_steps_for_more() {
        let daemon = || Daemon::Timesyncd(Timesyncd::new(0, 0));
        check(daemon(), &[Conduct::Honest], 3, 600, 0, 1);
        let (off_ns, set) = run(&mut daemon(), &[Conduct::Honest], 300_000_000, 300);
        assert!(off_ns.abs() < 5_000_000 && set == 0, "{off_ns} ns, set {set} times");
    }
}
