//! Between the replicas and the API server: requests and answers, watches, and what becomes of them on the way.
//!
//! What is asked takes some time to arrive, is done or not, and is answered or not; a request that has not been
//! answered after five seconds is given up by whoever asked, and is not done later than that: a server drops what
//! nobody waits for any more. A watch tells in order and late; broken off, it goes on where it was, or begins with a list.

use super::people::COLLECT_AFTER;
use super::replica::{Hand, Message, WATCHED};
use super::scenario::{Over, Trouble};
use super::server::Change;
use super::world::{Call, Happening, Slot, World};
use crate::controller::ballot::Ballot;
use crate::controller::engine::Engine;
use crate::controller::errand::Step;
use crate::controller::fleet::{Change as Told_, PolicyEntry};
use crate::controller::lean::Lean;
use crate::controller::request::{Kind, Outcome, Refusal, Request, Verb};
use crate::controller::watch::Told;
use crate::controller::write::WriteError;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

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

impl World<'_> {
    /// A process gets a message: now, or when it goes on.
    pub(super) fn message(&mut self, number: usize, life: u32, message: Message) {
        let Some(replica) = self.replicas.get_mut(number).filter(|it| it.life == life && it.engine.is_some()) else {
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
            Message::Ballot(count) => self.ballot(number, count),
            Message::Voted(call, outcome) => self.voted(number, call, outcome),
            Message::Answer(hand, call, outcome) => self.answer(number, hand, call, outcome),
            Message::Wake(at) if replica.wakes == Some(at) => replica.wakes = None,
            Message::Wake(_) => return,
        }
        if !self.has_more_at_once(number) {
            self.pump(number);
        }
    }

    /// Whether the same replica reads another node at this very moment; it looks at all of them together, then.
    fn has_more_at_once(&self, number: usize) -> bool {
        let is_read = |it: &Happening| matches!(it, Happening::To(to, _, Message::Read(..)) if *to == number);
        self.queue.first().is_some_and(|(at, next)| at == self.now && is_read(next))
    }

    /// Lets the engine look, and gives every free hand something to do.
    pub(super) fn pump(&mut self, number: usize) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let (clocks, leads) = (replica.clocks(now), replica.leads(now));
        let is_idle = replica.hands.iter().all(Option::is_none);
        let Some(engine) = replica.engine.as_mut().filter(|_| !replica.paused) else { return };
        if leads && !replica.in_term && is_idle {
            engine.begin_term();
            replica.in_term = true;
        }
        engine.settle(&clocks);
        let is_outlier = engine.is_outlier();
        // An errand that ends at once frees its hand at once; not for ever.
        for _ in 0..10_000 {
            if !self.may_act(number) || self.plant.is_some_and(|plant| plant.is_idle()) {
                break;
            }
            let Some(replica) = self.replicas.get_mut(number).filter(|it| !it.stopping) else { break };
            let Some(free) = replica.hands.iter().position(Option::is_none) else { break };
            let Some(errand) = replica.engine.as_mut().and_then(|engine| engine.next(&clocks)) else { break };
            if let Some(hand) = replica.hands.get_mut(free) {
                *hand = Some(Hand { errand, began: now, waits_for: 0 });
            }
            self.step(number, free, None);
        }
        let Some(replica) = self.replicas.get_mut(number) else { return };
        // What changes whether it may begin something is a message, and every message is followed by a look.
        let may_begin = leads && replica.in_term && replica.hands.iter().any(Option::is_none);
        let least = if may_begin { Duration::from_millis(1) } else { Duration::from_millis(50) };
        let due = replica.engine.as_ref().and_then(|engine| engine.due(may_begin));
        let due = due.map(|due| now.saturating_add(due.since(clocks.after).max(least)));
        let wakes = due.filter(|due| replica.wakes.is_none_or(|wakes| *due < wakes || wakes <= now));
        replica.wakes = wakes.or(replica.wakes);
        let is_granted = replica.granted_until > now.saturating_add(RETRY);
        if let Some(due) = wakes {
            self.tell(number, due.saturating_sub(now), Message::Wake(due));
        }
        if is_granted && is_outlier {
            // It is time to step down, so nothing can be taken for granted.
            self.end_grant(number);
        }
        self.release(number);
    }

    fn may_act(&self, number: usize) -> bool {
        let leads = self.replicas.get(number).is_some_and(|replica| replica.leads(self.now) && replica.in_term);
        leads || self.plant.is_some_and(|plant| plant.acts_without_lease())
    }

    /// An errand goes on.
    fn step(&mut self, number: usize, hand: usize, last: Option<Outcome>) {
        let may_act = self.may_act(number);
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let clocks = replica.clocks(self.now);
        let Some(slot) = replica.hands.get_mut(hand) else { return };
        let (Some(mut holding), Some(engine)) = (slot.take(), replica.engine.as_mut()) else { return };
        let end = match holding.errand.step(last) {
            Step::Ask(request) if request.verb != Verb::Get && !engine.confirms(holding.errand.write(), &clocks) => {
                Err(WriteError::Superseded)
            }
            Step::Ask(request) if may_act => {
                let began = holding.began;
                holding.waits_for = self.numbers + 1;
                *slot = Some(holding);
                let request = match self.plant {
                    Some(plant) => plant.request(request),
                    None => request,
                };
                self.send(number, Slot::Hand(hand), began, request);
                return;
            }
            Step::Ask(_) => Err(WriteError::NotLeading),
            Step::Done(end) => end,
        };
        engine.answered(holding.errand, end, &clocks);
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

    /// The next look at the lease, and no other.
    pub(super) fn look_at_lease(&mut self, number: usize, after: Duration) {
        let Some(replica) = self.replicas.get_mut(number) else { return };
        replica.ballots += 1;
        let message = Message::Ballot(replica.ballots);
        self.tell(number, after, message);
    }

    /// From now on renewals are played again.
    fn end_grant(&mut self, number: usize) {
        let until = self.now.saturating_add(RETRY);
        if let Some(replica) = self.replicas.get_mut(number) {
            replica.granted_until = until;
        }
        self.look_at_lease(number, Duration::ZERO);
    }

    /// One attempt at the lease, unless its coming out is certain.
    fn ballot(&mut self, number: usize, count: u32) {
        let Some(replica) = self.replicas.get(number).filter(|it| it.ballots == count && it.ballot.is_none()) else {
            return;
        };
        let is_outlier = replica.engine.as_ref().is_some_and(Engine::is_outlier);
        if let Some(until) = self.undisturbed() {
            let holder = (0..self.replicas.len()).find(|it| self.holds_lease(*it));
            let holder = holder.filter(|it| self.replicas.get(*it).is_some_and(|it| it.leads(self.now)));
            if let Some(holder) = holder.filter(|it| *it != number || !is_outlier) {
                // The holder looks first, so that the others see its lease change. It may have to step down meanwhile;
                // the others see that when they look.
                let late = if holder == number { Duration::ZERO } else { Duration::from_secs(1) };
                let until = until.saturating_add(late);
                if let Some(replica) = self.replicas.get_mut(number).filter(|_| holder == number) {
                    replica.granted_until = until.saturating_add(RETRY);
                }
                self.look_at_lease(number, until.saturating_sub(self.now));
                return;
            }
        }
        let begun = Ballot::begin();
        self.cast(number, begun);
    }

    fn cast(&mut self, number: usize, (ballot, request): (Ballot, Request)) {
        if let Some(replica) = self.replicas.get_mut(number) {
            replica.ballot = Some((ballot, self.numbers + 1, self.now));
        }
        self.send(number, Slot::Ballot, self.now, request);
    }

    fn voted(&mut self, number: usize, call: u64, outcome: Outcome) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let Some((mut ballot, waits_for, began)) = replica.ballot.take() else { return };
        if waits_for != call {
            replica.ballot = Some((ballot, waits_for, began));
            return;
        }
        let clocks = replica.clocks(now);
        // Who leads anew after somebody else may have led begins another term.
        replica.in_term &= replica.leads(now);
        if let Ok(Some(request)) = ballot.step(&mut replica.election, outcome, &clocks) {
            replica.ballot = Some((ballot, self.numbers + 1, began));
            self.send(number, Slot::Ballot, began, request);
            return;
        }
        if matches!(ballot, Ballot::ReadingToRelease | Ballot::Releasing) {
            replica.releasing = false;
            if replica.stopping {
                replica.kill();
                self.judge.forget(number, now);
                return;
            }
        } else if replica.leads(now) && replica.engine.as_ref().is_some_and(Engine::is_outlier) {
            replica.election.abstain(clocks.after);
            replica.releasing = true;
            replica.granted_until = Duration::ZERO;
            return;
        }
        self.look_at_lease(number, RETRY);
    }

    /// Gives the lease up, once what was begun has ended.
    fn release(&mut self, number: usize) {
        let Some(replica) = self.replicas.get_mut(number) else { return };
        let is_busy = replica.hands.iter().any(Option::is_some) || replica.ballot.is_some();
        if !replica.releasing || is_busy {
            return;
        }
        let begun = Ballot::resign(&mut replica.election);
        self.cast(number, begun);
    }

    fn send(&mut self, number: usize, slot: Slot, began: Duration, request: Request) {
        self.numbers += 1;
        let held = self.holds_lease(number);
        let Some(replica) = self.replicas.get(number) else { return };
        let (life, is_cut_off) = (replica.life, replica.partitioned);
        // A hand waits so long for one answer, an attempt at the lease for both of its answers.
        let since = if slot == Slot::Ballot { began } else { self.now };
        let given_up = since.saturating_add(PATIENCE);
        let call =
            Call { replica: number, life, slot, number: self.numbers, given_up, began, sent: self.now, held, request };
        if is_cut_off {
            self.reply(&call, silent("no answer within 5s"), given_up);
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
        let given_up = call.given_up;
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
            // Made by somebody who did not know yet that the node was gone.
            if change.kind == Kind::Clock && change.after.as_ref().is_some_and(|it| self.server.is_orphan(it)) {
                self.queue.put(self.now.saturating_add(COLLECT_AFTER), Happening::Collect);
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
        let Some(engine) = replica.engine.as_mut() else { return };
        if let Some(told) = about(change.kind, &change.name, change.after.as_deref(), self.plant) {
            engine.learn(told, &clocks);
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
        let (Some(engine), Some(kind)) = (replica.engine.as_mut(), WATCHED.get(kind)) else { return };
        let say = |engine: &mut Engine, begins: bool| {
            let told = match (kind, begins) {
                (Kind::Node, true) => Told::Node(Told_::Relist),
                (Kind::Node, false) => Told::Node(Told_::Synced),
                (Kind::Policy, true) => Told::Policy(Told_::Relist),
                (Kind::Policy, false) => Told::Policy(Told_::Synced),
                (_, true) => Told::Clock(Told_::Relist),
                (_, false) => Told::Clock(Told_::Synced),
            };
            engine.learn(told, &clocks);
        };
        say(engine, true);
        for (name, object) in objects {
            if let Some(told) = about(*kind, name, Some(object), self.plant) {
                engine.learn(told, &clocks);
            }
        }
        say(engine, false);
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
            let Lean(node) = serde_json::from_value(object).ok()?;
            Some(Told::Node(Told_::Put(Box::new(node))))
        }
        Kind::Policy => {
            Some(Told::Policy(Told_::Put(Box::new(PolicyEntry::read(serde_json::from_value(object).ok()?)))))
        }
        Kind::Clock => {
            let Lean(clock) = serde_json::from_value(object).ok()?;
            Some(Told::Clock(Told_::Put(Box::new(clock))))
        }
        Kind::Lease | Kind::Event => None,
    }
}
