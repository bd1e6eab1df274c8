//! Between the replicas and the API server: requests and answers, watches, and what becomes of them on the way.
//!
//! What is asked takes some time to arrive, is done or not, and is answered or not; a request that has not been
//! answered after five seconds is given up by whoever asked, and is not done later than that: a server drops what
//! nobody waits for any more. A watch tells in order and late; broken off, it goes on where it was, or begins with a list.

use super::brain::{Brain, Step};
use super::replica::{Hand, Message, WATCHED};
use super::scenario::{Over, Trouble};
use super::server::Change;
use super::world::{Call, Happening, Slot, World};
use crate::controller::fleet::{Change as Told_, PolicyEntry, trim};
use crate::controller::request::{Kind, Outcome, Refusal, Request, Verb};
use crate::controller::watch::Told;
use super::old::Ballot;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Name of the leader lease.
pub(super) const LEASE: &str = "clockwarden-controller";
/// Whoever asked waits no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the lease.
const RETRY: Duration = Duration::from_secs(2);

/// How the API server behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conduct {
    down: bool,
    slow: Duration,
    errors: u8,
    lost: u8,
    mute: u8,
    conflicts: u8,
}

impl Conduct {
    /// From now on.
    pub fn change(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Down => self.down = true,
            Trouble::Slow(by) => self.slow = by,
            Trouble::Errors(percent) => self.errors = percent,
            Trouble::Lost(percent) => self.lost = percent,
            Trouble::Mute(percent) => self.mute = percent,
            Trouble::Conflicts(percent) => self.conflicts = percent,
            Trouble::Over(Over::Down) => self.down = false,
            Trouble::Over(Over::Slow) => self.slow = Duration::ZERO,
            Trouble::Over(Over::Errors) => self.errors = 0,
            Trouble::Over(Over::Lost) => self.lost = 0,
            Trouble::Over(Over::Mute) => self.mute = 0,
            Trouble::Over(Over::Conflicts) => self.conflicts = 0,
        }
    }
}

fn silent(why: &str) -> Outcome {
    Err(Refusal::Silent(why.to_owned()))
}

impl<B: Brain> World<'_, B> {
    /// A process gets a message: now, or when it goes on.
    pub(super) fn message(&mut self, number: usize, life: u32, message: Message) {
        let Some(replica) = self.replicas.get_mut(number).filter(|it| it.life == life && it.brain.is_some()) else {
            return;
        };
        if replica.paused {
            replica.inbox.push_back(message);
            return;
        }
        match message {
            Message::Told(stream, connection, change) => self.told(number, stream, connection, &change),
            Message::Listed(stream, connection, objects) => self.listed(number, stream, connection, &objects),
            Message::Connect(stream, connection, anew) => self.connect(number, stream, connection, anew),
            Message::Read(node, is_routine) => self.read(number, node, is_routine),
            Message::Ballot => self.ballot(number),
            Message::Voted(call, outcome) => self.voted(number, call, outcome),
            Message::Answer(hand, call, outcome) => self.answer(number, hand, call, outcome),
            Message::Wake => replica.wakes = None,
        }
        self.pump(number);
    }

    /// Lets the brain look, and gives every free hand something to do.
    fn pump(&mut self, number: usize) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let clocks = replica.clocks(now);
        let Some(brain) = replica.brain.as_mut() else { return };
        brain.settle(&clocks);
        // An errand that ends at once frees its hand at once; not for ever.
        for _ in 0..10_000 {
            if !self.may_act(number) || self.plant.is_some_and(|plant| plant.is_idle()) {
                break;
            }
            let Some(replica) = self.replicas.get_mut(number) else { return };
            let Some(free) = replica.hands.iter().position(Option::is_none) else { break };
            let Some(errand) = replica.brain.as_mut().and_then(|brain| brain.next(&clocks)) else { break };
            if let Some(hand) = replica.hands.get_mut(free) {
                *hand = Some(Hand { errand, began: now, waits_for: 0 });
            }
            self.step(number, free, None);
        }
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let due = replica.brain.as_ref().and_then(Brain::due);
        // At least so much later: whoever is due at once, always, would stop time.
        let due = due.map(|due| now.saturating_add(due.since(clocks.after).max(Duration::from_millis(1))));
        if let Some(due) = due.filter(|due| replica.wakes.is_none_or(|wakes| *due < wakes || wakes <= now)) {
            replica.wakes = Some(due);
            self.tell(number, due.saturating_sub(now), Message::Wake);
        }
    }

    fn may_act(&self, number: usize) -> bool {
        let leads = self.replicas.get(number).is_some_and(|replica| replica.leads(self.now));
        leads || self.plant.is_some_and(|plant| plant.acts_without_lease())
    }

    /// An errand goes on.
    fn step(&mut self, number: usize, hand: usize, last: Option<Outcome>) {
        let may_act = self.may_act(number);
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let Some(slot) = replica.hands.get_mut(hand) else { return };
        let Some(mut holding) = slot.take() else { return };
        let end = match B::step(&mut holding.errand, last) {
            Step::Ask(request) if may_act => {
                let began = holding.began;
                holding.waits_for = self.numbers + 1;
                *slot = Some(holding);
                let request = self.plant.map_or(request.clone(), |plant| plant.request(request));
                self.send(number, Slot::Hand(hand), began, request);
                return;
            }
            Step::Ask(_) => B::not_leading(),
            Step::Done(end) => end,
        };
        let clocks = replica.clocks(self.now);
        if let Some(brain) = replica.brain.as_mut() {
            brain.answered(holding.errand, end, &clocks);
        }
    }

    fn answer(&mut self, number: usize, hand: usize, call: u64, outcome: Outcome) {
        let waits = self.replicas.get(number).and_then(|it| it.hands.get(hand)?.as_ref()).map(|it| it.waits_for);
        if waits == Some(call) {
            let outcome = match self.plant {
                Some(plant) => plant.outcome(outcome),
                None => outcome,
            };
            self.step(number, hand, Some(outcome));
        }
    }

    /// One attempt at the lease, unless its coming out is certain.
    fn ballot(&mut self, number: usize) {
        if let Some(until) = self.undisturbed() {
            let holder = (0..self.replicas.len()).find(|it| self.holds_lease(*it));
            let holder = holder.filter(|it| self.replicas.get(*it).is_some_and(|it| it.leads(self.now)));
            if holder.is_some() {
                // The holder looks first, so that the others see its lease change.
                let late = if holder == Some(number) { Duration::ZERO } else { Duration::from_secs(1) };
                let until = until.saturating_add(late);
                if let Some(replica) = self.replicas.get_mut(number).filter(|_| holder == Some(number)) {
                    replica.granted_until = until.saturating_add(RETRY);
                }
                self.tell(number, until.saturating_sub(self.now), Message::Ballot);
                return;
            }
        }
        let (ballot, request) = Ballot::begin();
        if let Some(replica) = self.replicas.get_mut(number) {
            replica.ballot = Some((ballot, self.numbers + 1));
        }
        self.send(number, Slot::Ballot, self.now, request);
    }

    fn voted(&mut self, number: usize, call: u64, outcome: Outcome) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let Some((mut ballot, waits_for)) = replica.ballot.take() else { return };
        if waits_for != call {
            replica.ballot = Some((ballot, waits_for));
            return;
        }
        let clocks = replica.clocks(now);
        if let Some(request) = ballot.step(&mut replica.election, outcome, &clocks) {
            replica.ballot = Some((ballot, self.numbers + 1));
            self.send(number, Slot::Ballot, now, request);
        } else {
            self.tell(number, RETRY, Message::Ballot);
        }
    }

    fn send(&mut self, number: usize, slot: Slot, began: Duration, request: Request) {
        self.numbers += 1;
        let held = self.holds_lease(number);
        let Some(replica) = self.replicas.get(number) else { return };
        let (life, is_cut_off) = (replica.life, replica.partitioned);
        let call = Call { replica: number, life, slot, number: self.numbers, sent: self.now, began, held, request };
        if is_cut_off {
            self.reply(&call, silent("no answer within 5s"), call.sent.saturating_add(PATIENCE));
            return;
        }
        let after = self.delay(300_000, 3_000_000);
        self.queue.put(self.now.saturating_add(after), Happening::Arrives(Box::new(call), false));
    }

    fn reply(&mut self, call: &Call, outcome: Outcome, at: Duration) {
        let message = match call.slot {
            Slot::Hand(hand) => Message::Answer(hand, call.number, outcome),
            Slot::Ballot => Message::Voted(call.number, outcome),
        };
        self.queue.put(at.max(self.now), Happening::To(call.replica, call.life, message));
    }

    /// The API server has a request before it.
    pub(super) fn arrives(&mut self, call: Box<Call>, has_waited: bool) {
        let given_up = call.sent.saturating_add(PATIENCE);
        let conduct = self.conduct;
        let back = self.now.saturating_add(self.delay(300_000, 3_000_000));
        if conduct.down {
            self.reply(&call, silent("connection refused"), back);
            return;
        }
        if !has_waited && !conduct.slow.is_zero() {
            let at = self.now.saturating_add(self.delay(0, i64::try_from(conduct.slow.as_nanos()).unwrap_or(0)));
            if at >= given_up {
                self.reply(&call, silent("no answer within 5s"), given_up);
            } else {
                self.queue.put(at, Happening::Arrives(call, true));
            }
            return;
        }
        let is_write = call.request.verb != Verb::Get;
        if self.falls(conduct.lost) {
            self.reply(&call, silent("no answer within 5s"), given_up);
        } else if self.falls(conduct.errors) {
            let refused = Refusal::Refused { code: 500, message: "etcdserver: request timed out".to_owned() };
            self.reply(&call, Err(refused), back);
        } else if is_write && self.falls(conduct.conflicts) {
            self.reply(&call, Err(Refusal::Conflict), back);
        } else {
            let outcome = self.server.ask(&call.request);
            self.spread(Some(&call));
            if is_write && self.falls(conduct.mute) {
                self.reply(&call, silent("no answer within 5s"), given_up);
            } else {
                self.reply(&call, outcome, back);
            }
        }
    }

    fn falls(&mut self, percent: u8) -> bool {
        percent > 0 && self.chance.below(100) < u64::from(percent)
    }

    /// Shows what has changed on the server to everybody who is to know. `by` is the request that did it, if one did.
    pub(super) fn spread(&mut self, by: Option<&Call>) {
        for change in self.server.fresh() {
            let who = by.map(|call| format!("c{}", call.replica));
            self.journal.changed(self.now, who.as_deref(), &change);
            self.judge.changed(&change, by, &self.server, &self.machines, self.now);
            let Some(kind) = WATCHED.iter().position(|kind| *kind == change.kind) else { continue };
            if change.kind == Kind::Policy {
                self.set_interval();
            }
            if let Some(log) = self.logs.get_mut(kind) {
                log.push(Arc::new(change));
            }
            for replica in 0..self.replicas.len() {
                self.flow(replica, kind);
            }
        }
    }

    /// Puts what a watch has not told yet on its way.
    fn flow(&mut self, number: usize, kind: usize) {
        loop {
            let Some(replica) = self.replicas.get(number) else { return };
            let (life, lag) = (replica.life, replica.lag);
            let Some(stream) = replica.streams.get(kind).copied().filter(|stream| stream.live) else { return };
            let Some(change) = self.logs.get(kind).and_then(|log| log.get(stream.sent)).cloned() else { return };
            let at = self.now.saturating_add(lag).saturating_add(self.delay(1_000_000, 15_000_000)).max(stream.last);
            let message = Message::Told(kind, stream.connection, change);
            self.queue.put(at, Happening::To(number, life, message));
            if let Some(stream) = self.replicas.get_mut(number).and_then(|it| it.streams.get_mut(kind)) {
                stream.sent += 1;
                stream.last = at;
            }
        }
    }

    /// All watches of a replica break.
    pub(super) fn cut(&mut self, number: usize, anew: bool) {
        for kind in 0..WATCHED.len() {
            let after = self.delay(100_000_000, 2_000_000_000);
            let Some(stream) = self.replicas.get_mut(number).and_then(|it| it.streams.get_mut(kind)) else { return };
            let was_live = stream.live;
            stream.live = false;
            if was_live {
                stream.connection += 1;
                stream.sent = stream.got;
                let connection = stream.connection;
                self.tell(number, after, Message::Connect(kind, connection, anew));
            }
        }
    }

    fn connect(&mut self, number: usize, kind: usize, connection: u32, anew: bool) {
        let is_down = self.conduct.down;
        let after = self.delay(800_000_000, 5_000_000_000);
        let late = self.delay(2_000_000, 30_000_000);
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let (partitioned, lag, life) = (replica.partitioned, replica.lag, replica.life);
        let Some(stream) = replica.streams.get_mut(kind).filter(|it| it.connection == connection) else { return };
        if is_down || partitioned {
            self.tell(number, after, Message::Connect(kind, connection, anew));
            return;
        }
        stream.live = true;
        if anew {
            let sent = self.logs.get(kind).map_or(0, Vec::len);
            (stream.sent, stream.got) = (sent, sent);
            let at = self.now.saturating_add(late).saturating_add(lag);
            stream.last = at;
            let Some(watched) = WATCHED.get(kind) else { return };
            let objects = self.server.all(*watched).map(|(name, it)| (name.clone(), Arc::clone(it))).collect();
            self.queue.put(at, Happening::To(number, life, Message::Listed(kind, connection, objects)));
        }
        self.flow(number, kind);
    }

    fn told(&mut self, number: usize, kind: usize, connection: u32, change: &Change) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let clocks = replica.clocks(now);
        let Some(stream) = replica.streams.get_mut(kind).filter(|it| it.connection == connection) else { return };
        stream.got += 1;
        let Some(brain) = replica.brain.as_mut() else { return };
        if let Some(told) = about(change.kind, &change.name, change.after.as_deref(), self.plant) {
            brain.learn(told, &clocks);
        }
        if change.kind == Kind::Node
            && change.before.is_none()
            && let Some(node) = self.names.iter().position(|name| *name == change.name)
        {
            self.ask(number, node);
        }
    }

    fn listed(&mut self, number: usize, kind: usize, connection: u32, objects: &[(String, Arc<Value>)]) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let clocks = replica.clocks(now);
        if replica.streams.get(kind).is_none_or(|it| it.connection != connection) {
            return;
        }
        let (Some(brain), Some(kind)) = (replica.brain.as_mut(), WATCHED.get(kind)) else { return };
        let say = |brain: &mut B, begins: bool| {
            let told = match (kind, begins) {
                (Kind::Node, true) => Told::Node(Told_::Relist),
                (Kind::Node, false) => Told::Node(Told_::Synced),
                (Kind::Policy, true) => Told::Policy(Told_::Relist),
                (Kind::Policy, false) => Told::Policy(Told_::Synced),
                (_, true) => Told::Clock(Told_::Relist),
                (_, false) => Told::Clock(Told_::Synced),
            };
            brain.learn(told, &clocks);
        };
        say(brain, true);
        for (name, object) in objects {
            if let Some(told) = about(*kind, name, Some(object), self.plant) {
                brain.learn(told, &clocks);
            }
        }
        say(brain, false);
        if *kind == Kind::Node {
            for node in 0..self.names.len() {
                self.ask(number, node);
            }
        }
    }
}

/// What a watch tells of an object as it is after a change.
fn about(kind: Kind, name: &str, after: Option<&Value>, plant: Option<super::plant::Plant>) -> Option<Told> {
    let Some(object) = after else {
        return match kind {
            Kind::Node => Some(Told::Node(Told_::Gone(name.to_owned()))),
            Kind::Policy => Some(Told::Policy(Told_::Gone(name.to_owned()))),
            Kind::Clock => Some(Told::Clock(Told_::Gone(name.to_owned()))),
            Kind::Lease | Kind::Event => None,
        };
    };
    let mut object = object.clone();
    if let Some(plant) = plant {
        plant.object(kind, &mut object);
    }
    match kind {
        Kind::Node => {
            let mut node = serde_json::from_value(object).ok()?;
            trim(&mut node);
            Some(Told::Node(Told_::Put(Box::new(node))))
        }
        Kind::Policy => Some(Told::Policy(Told_::Put(Box::new(PolicyEntry::read(serde_json::from_value(object).ok()?))))),
        Kind::Clock => Some(Told::Clock(Told_::Put(Box::new(serde_json::from_value(object).ok()?)))),
        Kind::Lease | Kind::Event => None,
    }
}
