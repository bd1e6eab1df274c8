//! The loop of a drill: what happens next happens, to whom it happens, and what follows from it is put in the queue.
//!
//! ```text
//! script ─▶ machines, people, API server, replicas ─▶ queue ─▶ one event after the other
//! a replica: message ─▶ engine ─▶ errands ─▶ requests ─▶ (delay, loss) ─▶ server ─▶ judge, journal, every watch
//! ```
//!
//! Between events nothing moves, so quiet costs nothing. While nothing is the matter and nothing will be soon, the
//! renewals of the lease are not played one by one but taken for granted: there are 43,200 of them in a day.
//! Does not know: what is right; that is the judge's.

use super::journal::Journal;
use super::judge::{Broken, Judge};
use super::network::Conduct;
use super::plant::Plant;
use super::queue::Queue;
use super::replica::{Message, Replica, WATCHED};
use super::scenario::{Blow, Deed, Scenario, Trouble, What};
use super::server::{Change, Server};
use super::truth::{Machine, quiet_report};
use crate::agent::report::Report;
use crate::clock::Delta;
use crate::controller::engine::Seen;
use crate::controller::request::{Kind, Request};
use crate::policy::Source;
use crate::simulation::chance::Chance;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// After everything was put right, so long until nothing of ours may be left, besides what the policies take to let
/// go: leases run out, and whatever failed is tried again, with pauses of up to half a minute.
const QUIET: Duration = Duration::from_secs(3 * 60);
/// Where most clocks were moved together, nothing is believed for an hour.
const SUSPICION: Duration = Duration::from_secs(65 * 60);
/// In the last part of it nobody writes.
const REST: Duration = Duration::from_secs(2 * 60);
/// Renewals are played one by one for so long after something happened, and before.
const WATCHFUL_AFTER: Duration = Duration::from_secs(60);
const WATCHFUL_BEFORE: Duration = Duration::from_secs(20);

/// From this interval on nodes are asked in groups.
const SELDOM: Duration = Duration::from_secs(4 * 60);

/// Where every policy of a drill reads drift.
pub(super) const SOURCE: Source = Source::Agent { port: 9555 };

/// What is going to happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// An event of the scenario, by number.
    Begins(usize),
    /// And is undone.
    Ends(usize),
    /// A process gets a message, if it is still that life of it.
    To(usize, u32, Message),
    /// A request arrives at the API server; `true`: it has waited there already.
    Arrives(Box<Call>, bool),
    /// Nodes that are gone take their NodeClocks along.
    Collect,
    /// Another controller changes its taint on that node.
    Race(usize),
    /// Everything is put right.
    Heal,
    /// From now on nobody has a reason to write.
    Rest,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Hand(usize),
    Ballot,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub replica: usize,
    pub life: u32,
    pub slot: Slot,
    pub number: u64,
    /// When whoever asked gives up.
    pub given_up: Duration,
    /// When the errand or the ballot began.
    pub began: Duration,
    /// When it was sent.
    pub sent: Duration,
    /// Who held the lease on the server when it was sent.
    pub held: bool,
    pub request: Request,
}

/// What a drill came to.
#[derive(Debug)]
pub struct Ran {
    /// Rules that were broken, the first few.
    pub broken: Vec<Broken>,
    /// The timeline.
    pub journal: Journal,
    /// Simulated node-hours.
    pub node_hours: f64,
    /// Writes of the controllers that changed something, the lease apart.
    pub writes: u64,
    /// Events played.
    pub played: u64,
}

/// Everything there is.
pub struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) plant: Option<Plant>,
    pub(super) now: Duration,
    pub(super) queue: Queue<Happening>,
    pub(super) server: Server,
    pub(super) conduct: Conduct,
    pub(super) machines: Vec<Machine>,
    pub(super) names: Vec<String>,
    pub(super) racing: Vec<bool>,
    pub(super) replicas: Vec<Replica>,
    /// Every change of what is watched, by kind.
    pub(super) logs: [Vec<Arc<Change>>; 3],
    pub(super) judge: Judge,
    pub(super) journal: Journal,
    pub(super) chance: Chance,
    pub(super) numbers: u64,
    quiet: Arc<Report>,
    interval: Duration,
    /// When the run is over.
    end: Duration,
    /// When something happens to controllers or the API server, in order.
    disturbances: Vec<Duration>,
    played: u64,
}

/// Where nodes are asked seldom, many are asked at the same moment, each replica at others: what follows from their
/// answers is then looked at once, as a loop does that waits some milliseconds for more.
fn together(at: Duration, interval: Duration, replica: usize) -> Duration {
    let group =
        if interval < SELDOM { return at } else { u64::try_from((interval / 16).as_nanos()).unwrap_or(u64::MAX) };
    let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos - nanos % group).saturating_add(Duration::from_millis(replica as u64))
}

/// Lets it all happen; with a bug, if one is planted.
#[must_use]
pub fn run(scenario: &Scenario, plant: Option<Plant>) -> Ran {
    let mut world = World::new(scenario, plant);
    world.set_up();
    while let Some((at, happening)) = world.queue.take(world.end) {
        world.now = at;
        world.played += 1;
        world.happen(happening);
        if world.judge.broken.len() > 3 {
            break;
        }
    }
    if world.judge.broken.is_empty() {
        world.now = world.end;
        world.judge.finish(&world.server, world.now);
    }
    Ran {
        broken: world.judge.broken,
        journal: world.journal,
        node_hours: scenario.nodes as f64 * world.now.as_secs_f64() / 3600.0,
        writes: world.judge.writes,
        played: world.played,
    }
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, plant: Option<Plant>) -> World<'a> {
        let mut chance = Chance::new(scenario.seed);
        let ordinary =
            |chance: &mut Chance| Machine::right_to(Delta::from_nanos(chance.between(-4_000_000, 4_000_000)));
        let machines = (0..scenario.nodes).map(|_| ordinary(&mut chance)).collect();
        let mut disturbances: Vec<Duration> = Vec::new();
        for event in &scenario.events {
            if matches!(event.what, What::Replica(..) | What::Api(_)) {
                disturbances.push(event.at);
                disturbances.extend(event.lasts.map(|lasts| event.at.saturating_add(lasts)));
            }
        }
        disturbances.push(scenario.end);
        disturbances.sort_unstable();
        World {
            scenario,
            plant,
            now: Duration::ZERO,
            queue: Queue::default(),
            server: Server::default(),
            conduct: Conduct::default(),
            machines,
            names: (0..scenario.nodes).map(|number| format!("n{number}")).collect(),
            racing: vec![false; scenario.nodes],
            replicas: (0..scenario.controllers).map(|number| Replica::new(number, scenario.nodes)).collect(),
            logs: Default::default(),
            judge: Judge::new(scenario),
            journal: Journal::default(),
            chance,
            numbers: 0,
            quiet: quiet_report(),
            interval: Duration::from_secs(10),
            end: Duration::MAX,
            disturbances,
            played: 0,
        }
    }

    fn set_up(&mut self) {
        for node in 0..self.scenario.nodes {
            self.create_node(node);
        }
        for policy in &self.scenario.policies {
            self.put_policy(policy);
        }
        self.spread(None);
        for number in 0..self.replicas.len() {
            self.start(number);
        }
        for (number, event) in self.scenario.events.iter().enumerate() {
            self.queue.put(event.at, Happening::Begins(number));
            if let Some(lasts) = event.lasts {
                self.queue.put(event.at.saturating_add(lasts), Happening::Ends(number));
            }
        }
        self.queue.put(self.scenario.end, Happening::Heal);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Begins(number) => {
                let Some(event) = self.scenario.events.get(number) else { return };
                if self.now < self.scenario.end {
                    self.journal.say(self.now, format!("-- {}", event.what));
                    self.judge.stirred(self.scenario, &event.what, self.now);
                    self.begin(&event.what);
                }
            }
            Happening::Ends(number) => {
                let Some(event) = self.scenario.events.get(number) else { return };
                let Some(undone) = event.what.undone().filter(|_| self.now < self.scenario.end) else { return };
                self.journal.say(self.now, format!("-- end of {}", event.what));
                self.judge.stirred(self.scenario, &undone, self.now);
                self.begin(&undone);
            }
            Happening::To(replica, life, message) => self.message(replica, life, message),
            Happening::Arrives(call, waited) => self.arrives(call, waited),
            Happening::Collect => {
                self.server.collect();
                self.spread(None);
            }
            Happening::Race(node) => self.race(node),
            Happening::Heal => self.heal(),
            Happening::Rest => self.judge.rest(),
        }
    }

    fn begin(&mut self, what: &What) {
        match what {
            What::Machine(who, deed) => {
                for node in self.scenario.nodes_of(who) {
                    self.deed(node, *deed);
                }
            }
            What::Replica(number, blow) if *number < self.replicas.len() => self.blow(*number, *blow),
            What::Replica(..) => {}
            What::Api(trouble) => self.trouble(*trouble),
            What::Meddle(who, meddling) => {
                for node in self.scenario.nodes_of(who) {
                    self.meddle(node, meddling);
                }
            }
            What::Policy(policy) => self.put_policy(policy),
            What::PolicyGone(name) => {
                let stamp = self.stamp();
                self.server.delete(Kind::Policy, name, &stamp);
                self.spread(None);
            }
        }
    }

    fn deed(&mut self, node: usize, deed: Deed) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(node) else { return };
        let at_once = match deed {
            Deed::Step(by) => {
                machine.step(by, now);
                true
            }
            Deed::Follow(by) => {
                machine.followed = machine.followed.plus(by);
                machine.step(by, now);
                true
            }
            Deed::Right => {
                machine.followed = Delta::ZERO;
                machine.right(now);
                true
            }
            Deed::Drift(rate) => {
                machine.face.run(rate, now);
                false
            }
            Deed::Agent(agent) => {
                machine.agent = agent;
                false
            }
        };
        // The question that every replica holds open at the agent is answered.
        if at_once && machine.claimed(now).is_some() {
            for replica in 0..self.replicas.len() {
                let after = self.delay(1_000_000, 3_000_000);
                self.tell(replica, after, Message::Read(node, false));
            }
        }
    }

    fn blow(&mut self, number: usize, blow: Blow) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        match blow {
            Blow::Kill => {
                replica.kill();
                self.judge.forget(number, now);
            }
            Blow::Stop => {
                replica.stopping = replica.engine.is_some();
                replica.releasing = replica.stopping;
                self.pump(number);
            }
            Blow::Start => {
                if replica.engine.is_none() || replica.stopping {
                    self.start(number);
                }
            }
            Blow::Pause => {
                replica.paused = replica.engine.is_some();
                replica.granted_until = Duration::ZERO;
            }
            Blow::Resume => {
                replica.paused = false;
                let (life, inbox) = (replica.life, std::mem::take(&mut replica.inbox));
                for message in inbox {
                    self.message(number, life, message);
                }
                self.pump(number);
            }
            Blow::Clock(by) => replica.face.step(by, now),
            Blow::Partition => {
                replica.partitioned = true;
                replica.granted_until = Duration::ZERO;
                self.cut(number, false);
            }
            Blow::Rejoin => replica.partitioned = false,
            Blow::Cut => self.cut(number, false),
            Blow::Relist => self.cut(number, true),
            Blow::Lag(by) => replica.lag = by,
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        self.conduct.change(trouble);
        if trouble == Trouble::Down {
            for replica in 0..self.replicas.len() {
                self.cut(replica, false);
            }
        }
    }

    /// A replica begins with nothing: lists, readings of every node, the election.
    pub(super) fn start(&mut self, number: usize) {
        let Some(replica) = self.replicas.get_mut(number) else { return };
        replica.start();
        self.judge.forget(number, self.now);
        for stream in 0..WATCHED.len() {
            let after = self.delay(5_000_000, 50_000_000);
            self.tell(number, after, Message::Connect(stream, 0, true));
        }
        // The first replica is the first leader, so that a scenario can name it.
        let after = Duration::from_millis(10 * (number as u64 + 1));
        self.look_at_lease(number, after);
        self.ask_all(number);
    }

    /// Begins to ask the nodes that are there, each at its own time.
    fn ask_all(&mut self, number: usize) {
        for node in 0..self.machines.len() {
            self.ask(number, node);
        }
    }

    pub(super) fn ask(&mut self, number: usize, node: usize) {
        let there = self.names.get(node).is_some_and(|name| self.server.get(Kind::Node, name).is_some());
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let Some(asks) = replica.asks.get_mut(node) else { return };
        if replica.engine.is_none() || *asks || !there {
            return;
        }
        *asks = true;
        let after = self.delay(50_000_000, 900_000_000);
        self.tell(number, after, Message::Read(node, true));
    }

    /// One node is asked by one replica.
    pub(super) fn read(&mut self, number: usize, node: usize, is_routine: bool) {
        let (now, interval) = (self.now, self.interval);
        let (Some(machine), Some(name)) = (self.machines.get(node), self.names.get(node)) else { return };
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let there = self.server.get(Kind::Node, name).is_some();
        let clocks = replica.clocks(now);
        let Some(engine) = replica.engine.as_mut() else { return };
        if !there {
            if let Some(asks) = replica.asks.get_mut(node).filter(|asks| **asks && is_routine) {
                *asks = false;
                engine.observe(&SOURCE, name, Seen::Forgotten, &clocks);
            }
            return;
        }
        let mut seen = match machine.answer(&replica.face, clocks, now, &self.quiet) {
            Some(reading) => Seen::Good(reading),
            None => Seen::Bad(format!("agent of node {name}: no answer")),
        };
        if let Some(plant) = self.plant {
            plant.reading(&mut seen, node, &clocks);
        }
        self.judge.saw(number, node, machine, matches!(seen, Seen::Good(_)), now);
        engine.observe(&SOURCE, name, seen, &clocks);
        if is_routine {
            let jitter = self.chance.below(u64::try_from(interval.as_nanos() / 10).unwrap_or(0));
            let at = now.saturating_add(interval.saturating_sub(Duration::from_nanos(jitter)));
            let at = together(at, interval, number);
            self.tell(number, at.saturating_sub(now), Message::Read(node, true));
        }
    }

    /// Everything is put right and nothing goes wrong any more.
    fn heal(&mut self) {
        self.judge.duties(self.scenario, &self.server, &self.machines, self.now);
        let off = self.machines.iter().filter(|it| it.is_off(self.now)).count();
        let patience = self.judge.patience();
        let suspicion = if self.judge.is_mass_moved(off) { SUSPICION } else { Duration::ZERO };
        let rest = self.now.saturating_add(QUIET).saturating_add(patience).saturating_add(suspicion);
        self.queue.put(rest, Happening::Rest);
        self.end = rest.saturating_add(REST);
        self.journal.say(self.now, "-- all is put right".to_owned());
        self.judge.stirred_all(self.scenario);
        self.conduct = Conduct::default();
        self.racing.iter_mut().for_each(|racing| *racing = false);
        for number in 0..self.replicas.len() {
            for blow in [Blow::Rejoin, Blow::Lag(Duration::ZERO), Blow::Resume, Blow::Start] {
                self.blow(number, blow);
            }
            if let Some(replica) = self.replicas.get_mut(number) {
                let off = replica.face.offset(self.now);
                replica.face.step(Delta::ZERO.minus(off), self.now);
            }
        }
        for node in 0..self.machines.len() {
            let now = self.now;
            if let Some(machine) = self.machines.get_mut(node) {
                machine.heal(now);
            }
            self.deed(node, Deed::Right);
            self.mend(node);
        }
        self.mend_policies();
    }

    /// Puts a message on its way to a replica.
    pub(super) fn tell(&mut self, number: usize, after: Duration, message: Message) {
        let Some(replica) = self.replicas.get(number) else { return };
        self.queue.put(self.now.saturating_add(after), Happening::To(number, replica.life, message));
    }

    /// A delay between these nanoseconds.
    pub(super) fn delay(&mut self, least: i64, most: i64) -> Duration {
        Duration::from_nanos(self.chance.between(least, most).unsigned_abs())
    }

    /// The server's clock as text.
    pub(super) fn stamp(&self) -> String {
        crate::runtime::rfc3339(super::truth::Face::default().wall(self.now))
    }

    /// The least interval of the policies that are there.
    pub(super) fn set_interval(&mut self) {
        let least = self.judge.policies().map(|policy| policy.interval).min();
        self.interval = least.unwrap_or(Duration::from_secs(10)).max(Duration::from_millis(100));
    }

    /// Until when nothing is the matter with controllers and API server; `None` if something is or was just now.
    pub(super) fn undisturbed(&self) -> Option<Duration> {
        let is_calm = self.conduct == Conduct::default()
            && self.replicas.iter().all(|it| !it.paused && !it.partitioned && it.lag.is_zero());
        let next = self.disturbances.partition_point(|at| *at <= self.now);
        let before = next.checked_sub(1).and_then(|last| self.disturbances.get(last)).copied().unwrap_or_default();
        let until = self.disturbances.get(next).copied().unwrap_or(self.end);
        let until = until.saturating_sub(WATCHFUL_BEFORE);
        (is_calm && self.now.saturating_sub(before) > WATCHFUL_AFTER && until > self.now).then_some(until)
    }

    /// Whether the server's lease names that replica.
    pub(super) fn holds_lease(&self, number: usize) -> bool {
        let lease = self.server.get(Kind::Lease, crate::controller::ballot::LEASE_NAME);
        let holder = lease.as_ref().and_then(|it| it.pointer("/spec/holderIdentity")).and_then(Value::as_str);
        self.replicas.get(number).is_some_and(|replica| holder == Some(&replica.identity()))
    }
}
