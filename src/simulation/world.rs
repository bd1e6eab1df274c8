//! The world of a run, second by second: what happens, what everybody does about it, and how things really are.
//!
//! Within a second, in this order: what the scenario has happen; the daemons; the agents ask their sources; the
//! controller asks the agents; everything is judged. Then the clocks go on.

use super::chance::Chance;
use super::controller::{Controller, JUDGED_NS, Verdict};
use super::daemon::Daemon;
use super::machine::{Condition, Machine, Oscillator, SECOND};
use super::node::{Broken, Node};
use super::scenario::{Kind, Scenario, What, Who};
use super::server::{Conduct, Path, Server};
use crate::clock::{Delta, Wall};

/// 2026-12-31T23:45:00 UTC: a leap second, where there is one, comes after 900 seconds.
const START: Wall = Wall::from_unix_nanos(1_798_760_700 * SECOND);

/// Everything.
pub struct World {
    /// The servers, by number.
    pub servers: Vec<Server>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The controller.
    pub controller: Controller,
    /// The second that was simulated last.
    pub second: i64,
    /// What was thought of each node in it.
    pub verdicts: Vec<Verdict>,
    /// Promises of single measurements that were not kept in it.
    pub broken: Vec<Broken>,
    leapt: bool,
    next: i64,
}

impl World {
    /// The beginning of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> World {
        let chance = Chance::new(seed);
        let mut of_servers = chance.fork(1);
        let servers = scenario.servers.iter().zip(0u32..);
        let servers = servers.map(|(conduct, number)| Server::new(number, *conduct, &mut of_servers)).collect();
        let nodes = (0..scenario.nodes).map(|number| node(scenario, number, &chance)).collect();
        let (machine, to_servers, mut own) = machine(&scenario.controller, chance.fork(2));
        let controller = Controller::new(
            machine,
            scenario.controller.daemon.clone().starting(own.between(0, 6)),
            scenario.nodes,
            &scenario.policy_references,
            to_servers,
            scenario.policy(),
            own,
        );
        World {
            servers,
            nodes,
            controller,
            second: -1,
            verdicts: Vec::new(),
            broken: Vec::new(),
            leapt: false,
            next: 0,
        }
    }

    /// True time at the beginning of the present second: UTC, as POSIX counts it.
    #[must_use]
    pub fn truth(&self) -> Wall {
        let leapt_ns = if self.leapt { SECOND } else { 0 };
        START.plus(Delta::from_nanos(self.second * SECOND - leapt_ns))
    }

    /// How far ahead a node's clock really is when everything is judged.
    #[must_use]
    pub fn off(&self, node: &Node) -> Delta {
        node.machine.off(JUDGED_NS, self.truth())
    }

    /// One second. The clocks stay at its end until the next one.
    pub fn tick(&mut self, scenario: &Scenario) {
        if self.next > 0 {
            self.nodes.iter_mut().for_each(|node| node.machine.advance());
            self.controller.machine.advance();
        }
        self.second = self.next;
        self.next += 1;
        self.broken.clear();
        let second = self.second;
        for event in scenario.events.iter().filter(|event| event.at == second) {
            self.happen(&event.who, &event.what);
        }
        let truth = self.truth();
        self.controller.discipline(&self.servers, truth, second);
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.discipline(&self.servers, truth, second);
            node.measure(&self.servers, truth, second, &mut self.broken);
            self.controller.exchange(number, node, second, &mut self.broken);
        }
        self.verdicts = self.controller.evaluate();
    }

    fn happen(&mut self, who: &Who, what: &What) {
        match who {
            Who::Nodes(range) => {
                for number in range.clone() {
                    if let Some(node) = self.nodes.get_mut(number) {
                        happen_to(node, what, self.second);
                    }
                }
            }
            Who::Controller => match what {
                What::Set(by_ns) => self.controller.set(*by_ns, self.second),
                What::Daemon(daemon) => self.controller.daemon = daemon.clone().starting(self.second),
                What::Oscillator(ppb) => self.controller.machine.oscillator.constant_ppb = *ppb,
                _ => {}
            },
            Who::Server(number) => {
                if let (Some(server), What::Conduct(conduct)) = (self.servers.get_mut(*number), what) {
                    server.conduct = *conduct;
                }
            }
            Who::World => self.leap(),
        }
    }

    /// UTC repeats a second; so does everybody but those who follow a server that smears it.
    fn leap(&mut self) {
        self.leapt = true;
        let smears = |number: &usize| {
            self.servers.get(*number).is_some_and(|server| matches!(server.conduct, Conduct::Smears { .. }))
        };
        let smeared = |daemon: &Daemon| match daemon {
            Daemon::Nobody => true,
            Daemon::Chronyd(chronyd) => chronyd.follows.iter().all(smears),
            Daemon::Timesyncd(timesyncd) => smears(&timesyncd.follows),
        };
        for node in self.nodes.iter_mut().filter(|node| !smeared(&node.daemon)) {
            node.machine.repeat_second();
        }
        if !smeared(&self.controller.daemon) {
            self.controller.machine.repeat_second();
        }
    }
}

fn happen_to(node: &mut Node, what: &What, second: i64) {
    match what {
        What::Set(by_ns) => node.set(*by_ns, second),
        What::Pause => node.machine.condition = Condition::Paused,
        What::Resume => {
            node.machine.condition = Condition::Running;
            node.daemon.disturbed(0, second);
        }
        What::Sleep => node.machine.condition = Condition::Asleep(0),
        What::Wake(wrong_ns) => {
            node.machine.wake(*wrong_ns);
            // chronyd sees the leap of the wall clock, however right it is, and tells the kernel that it is at a loss.
            node.kernel.clear();
            node.daemon.disturbed(i64::MAX, second);
        }
        What::Daemon(daemon) => node.daemon = daemon.clone().starting(second),
        What::Oscillator(ppb) => node.machine.oscillator.constant_ppb = *ppb,
        What::Artefact(shown) => node.kernel.artefact = *shown,
        What::Agent(agent) => node.agent = *agent,
        What::Restart => node.restart_agent(second),
        What::Reachable(reachable) => node.reachable = *reachable,
        What::Conduct(_) | What::Leap => {}
    }
}

fn node(scenario: &Scenario, number: usize, chance: &Chance) -> Node {
    let kind = scenario.kind(number);
    let (machine, to_servers, mut own) = machine(kind, chance.fork(1_000 + number as u64));
    let path = kind.path.unwrap_or_else(|| Path::near(&mut own));
    let daemon = kind.daemon.clone().starting(own.between(0, 6));
    Node::new(number, machine, daemon, &kind.references, (path, to_servers), scenario.tolerance, own)
}

/// A machine of that kind, its way to the servers, and what is left of its chance.
fn machine(kind: &Kind, mut chance: Chance) -> (Machine, Path, Chance) {
    let mut oscillator = Oscillator::ordinary(&mut chance);
    if let Some(ppb) = kind.oscillator_ppb {
        oscillator.constant_ppb = ppb;
    }
    let off_ns = kind.off_ns + chance.between(-300_000, 300_000);
    let machine = Machine::new(oscillator, START.plus(Delta::from_nanos(off_ns)), chance.fork(1));
    (machine, Path::near(&mut chance), chance)
}
