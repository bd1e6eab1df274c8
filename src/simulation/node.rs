//! A simulated node: a machine, the daemon that disciplines it, and the real agent's core asking its witnesses.
//!
//! Every reading is compared with the truth the moment it is taken. So two promises can be told apart: that what a
//! source says is turned into an interval that is true ([`Broken`] otherwise, where the source is honest), and that
//! nothing which is done to true readings afterwards makes them false.

use super::chance::Chance;
use super::daemon::{Around, Daemon};
use super::kernel::Kernel;
use super::machine::{AGEING_PPB, Machine};
use super::server::{Path, Server};
use super::witness::{self, APART_NS, KERNEL_EVERY_S, SNTP_QUICK, Said};
use crate::agent::jumps::Evidence;
use crate::agent::report::Report;
use crate::agent::sources::Outcome;
use crate::agent::state::{Core, Identity};
use crate::clock::{Cause, Delta, Mono, OffsetInterval, Sample, Tolerance, Wall};
use std::time::Duration;

/// How an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// It measures and answers.
    Well,
    /// It answers, but none of its sources is asked any more.
    Hung,
    /// It is gone.
    Dead,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub promise: &'static str,
    /// In which second.
    pub second: i64,
    /// Of which node.
    pub node: usize,
    /// What was seen.
    pub seen: String,
}

/// Who is asked.
enum Witness {
    Kernel,
    Chrony,
    Server(usize),
}

struct Asked {
    witness: Witness,
    name: String,
    next: i64,
    quick_left: u32,
    /// Whether its last reading was true when it was taken, and is from before the machine last stood still.
    last: Option<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    was_true: bool,
    second: i64,
}

/// A node.
pub struct Node {
    /// Its clocks.
    pub machine: Machine,
    /// The kernel's side of them.
    pub kernel: Kernel,
    /// Who disciplines them.
    pub daemon: Daemon,
    /// Its agent.
    pub agent: Agent,
    /// Whether the network reaches it.
    pub reachable: bool,
    /// The way to it from the controller.
    pub path: Path,
    /// The last second in which its machine stood still.
    pub stood_still: Option<i64>,
    number: usize,
    core: Core,
    asked: Vec<Asked>,
    had_chrony: bool,
    to_servers: Path,
    starts: u32,
    tolerance: Tolerance,
    chance: Chance,
}

impl Node {
    /// The node with that number; `references` are the servers that its agent asks.
    #[must_use]
    pub fn new(
        number: usize,
        machine: Machine,
        daemon: Daemon,
        references: &[usize],
        (path, to_servers): (Path, Path),
        tolerance: Tolerance,
        chance: Chance,
    ) -> Node {
        let mut asked = Vec::new();
        let mut ask = |witness: Witness, name: String| {
            asked.push(Asked { witness, name, next: 0, quick_left: SNTP_QUICK, last: None });
        };
        ask(Witness::Kernel, "kernel".to_owned());
        ask(Witness::Chrony, "chrony".to_owned());
        for server in references {
            ask(Witness::Server(*server), format!("ntp://192.0.2.{server}:123"));
        }
        let mut node = Node {
            core: core(number, 0, tolerance, &asked, &machine),
            machine,
            kernel: Kernel::new(),
            daemon,
            agent: Agent::Well,
            reachable: true,
            path,
            stood_still: None,
            number,
            asked,
            had_chrony: false,
            to_servers,
            starts: 0,
            tolerance,
            chance,
        };
        node.machine.learn_frequency();
        node
    }

    /// Whether somebody who asks its agent is answered.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.machine.running() && self.reachable && self.agent != Agent::Dead
    }

    /// Its agent is started anew and knows nothing.
    pub fn restart_agent(&mut self, second: i64) {
        self.starts += 1;
        self.agent = Agent::Well;
        for asked in &mut self.asked {
            (asked.next, asked.quick_left, asked.last) = (second, SNTP_QUICK, None);
        }
        self.core = core(self.number, self.starts, self.tolerance, &self.asked, &self.machine);
    }

    /// Its clock is set by somebody.
    pub fn set(&mut self, by_ns: i64, second: i64) {
        self.machine.set(by_ns);
        self.kernel.clear();
        self.daemon.disturbed(by_ns, second);
    }

    /// The daemon's work of this second.
    pub(super) fn discipline(&mut self, servers: &[Server], truth: Wall, second: i64) {
        if self.machine.running() {
            let around = Around { servers, path: self.to_servers, truth, second };
            self.daemon.second(&mut self.machine, &mut self.kernel, &around, &mut self.chance);
        } else {
            self.stood_still = Some(second);
        }
    }

    /// The agent's work of this second: it looks at the clocks and asks the sources whose turn it is.
    pub(super) fn measure(&mut self, servers: &[Server], truth: Wall, second: i64, broken: &mut Vec<Broken>) {
        if !self.machine.running() || self.agent != Agent::Well {
            return;
        }
        let bracket = self.machine.bracket_ns();
        let (clocks, alarms) = (self.machine.sample(0, bracket), self.core.jumps().alarms());
        self.core.jumps_mut().told(witness::discipline(&self.machine, &self.daemon), &clocks);
        self.core.look(&clocks, Evidence::Timerfd);
        let alarmed = self.core.jumps().alarms() != alarms;
        let mut into_ns = APART_NS;
        for index in 0..self.asked.len() {
            if alarmed {
                self.hurry(index, second);
            }
            let Some((said, honest, again_s)) = self.poll(index, servers, (truth, second, into_ns)) else { continue };
            let off = self.machine.off(said.read_ns, truth);
            let Some(asked) = self.asked.get_mut(index) else { continue };
            asked.next = second + again_s;
            if let Outcome::Measured(measured) = &said.outcome {
                let was_true = measured.interval.contains(off);
                asked.last = Some(Reading { was_true, second });
                if honest && !was_true {
                    let seen = format!("{} says {} where {off} is true", asked.name, measured.interval);
                    let promise = "what an honest source says is true";
                    broken.push(Broken { promise, second, node: self.number, seen });
                }
            }
            let bracket = self.machine.bracket_ns();
            into_ns += APART_NS;
            self.core.polled(index, said.outcome, &self.machine.sample(into_ns, bracket));
        }
    }

    /// Something happened to the clock: the sources are asked sooner.
    fn hurry(&mut self, index: usize, second: i64) {
        let Some(asked) = self.asked.get_mut(index) else { return };
        asked.next = match asked.witness {
            Witness::Kernel | Witness::Chrony => second,
            Witness::Server(_) => {
                asked.quick_left = SNTP_QUICK;
                asked.next.min(second + 1)
            }
        };
    }

    /// What a source says if it is its turn, whether it is honest, and when it is to be asked again.
    fn poll(&mut self, index: usize, servers: &[Server], when: (Wall, i64, i64)) -> Option<(Said, bool, i64)> {
        let (_, second, into_ns) = when;
        let asked = self.asked.get_mut(index)?;
        if second < asked.next {
            return None;
        }
        match asked.witness {
            Witness::Kernel => {
                let said = witness::kernel(&self.kernel, &mut self.machine, into_ns);
                Some((said, self.daemon.good() && !self.daemon.claims_no_error(), KERNEL_EVERY_S))
            }
            Witness::Chrony => {
                let chronyd = match &self.daemon {
                    Daemon::Chronyd(chronyd) => Some(chronyd),
                    Daemon::Nobody | Daemon::Timesyncd(_) => None,
                };
                self.had_chrony |= chronyd.is_some();
                let (said, again_s) = witness::chrony(chronyd, &mut self.machine, second, into_ns, self.had_chrony);
                Some((said, self.daemon.good(), again_s))
            }
            Witness::Server(number) => {
                let server = servers.get(number)?;
                asked.quick_left = asked.quick_left.saturating_sub(1);
                let again_s = witness::server_again_s(asked.quick_left, &mut self.chance);
                let path = self.to_servers.take(&mut self.chance);
                Some((witness::server(server, path, &mut self.machine, when), server.honest(), again_s))
            }
        }
    }

    /// Which start of its agent this is, and how far its news have come.
    #[must_use]
    pub fn news(&self) -> (u32, u64) {
        (self.starts, self.core.sequence())
    }

    /// Its agent's report at that moment.
    pub(super) fn report(&mut self, into_ns: i64) -> Report {
        let bracket = self.machine.bracket_ns();
        let clocks = self.machine.sample(into_ns, bracket);
        self.core.report(&clocks)
    }

    /// The answer to a question that had come when the node's monotonic clock showed `arrived`, as it goes over the wire.
    pub(super) fn answer(&mut self, left_ns: i64, arrived: Mono) -> Vec<u8> {
        let mut report = self.report(left_ns);
        report.sent_unix_nanos = self.machine.wall(left_ns).unix_nanos();
        let held = self.machine.mono(left_ns).since(arrived);
        report.held_nanos = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        // A report that cannot be written is an answer that cannot be read.
        serde_json::to_vec(&report).unwrap_or_default()
    }

    /// How often its agent saw something of that kind happen to the clock since it was last started.
    #[must_use]
    pub fn remembers(&self, cause: Cause) -> u64 {
        self.core.jumps().counts().of(cause)
    }

    /// Whether everything that its agent goes by was true when it was measured, and must therefore still be: nothing
    /// stopped the machine since, and its oscillator is an ordinary one.
    #[must_use]
    pub fn well_informed(&self) -> bool {
        let oscillator = &self.machine.oscillator;
        let ordinary = oscillator.constant_ppb.abs() + oscillator.swing_ppb + 3_000 <= AGEING_PPB;
        let sound = |reading: Reading| reading.was_true && self.stood_still.is_none_or(|still| still < reading.second);
        ordinary && self.asked.iter().filter_map(|asked| asked.last).all(sound)
    }

    /// The newest reading of any source.
    #[must_use]
    pub fn last_reading(&self) -> Option<i64> {
        self.asked.iter().filter_map(|asked| asked.last).map(|reading| reading.second).max()
    }

    /// Its offset as its own agent has it.
    #[must_use]
    pub fn own(report: &Report) -> Option<OffsetInterval> {
        let (offset, bound) = (Delta::from_seconds(report.offset_seconds?)?, report.error_bound_seconds?);
        // A microsecond for what a double loses.
        let bound = Duration::try_from_secs_f64(bound).ok()?.saturating_add(Duration::from_micros(1));
        Some(OffsetInterval::new(offset, bound))
    }
}

fn core(number: usize, start: u32, tolerance: Tolerance, asked: &[Asked], machine: &Machine) -> Core {
    let who = Identity { node: format!("node-{number}"), instance: format!("start-{start}") };
    let names: Vec<&str> = asked.iter().map(|asked| asked.name.as_str()).collect();
    let first: Sample = machine.sample(0, 1_000);
    Core::new(who, tolerance, &names, first)
}
