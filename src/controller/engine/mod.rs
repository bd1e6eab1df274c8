//! The controller's mind: what it is told goes in, the writes that are due come out. Pure and incremental.
//!
//! ```text
//! watches ─learn─▶ fleet ─┐
//! sources ─know──▶ observed ─▶ dirty nodes ─settle─▶ wards (one per policy) ─▶ queue of names ─next─▶ Errand
//! time ───alarms──────────┘                             ▲                                           │
//!                                                        └── answered: what the API server has now ◀─┘
//! ```
//!
//! The cost of a node's change is that node's: it is looked at by each policy that matches it, and whether something is
//! due for it is put down as its name in the queue. What exactly is due is derived when its turn comes, from everything
//! that is known by then; so nothing that is queued can be out of date, and a controller that was killed derives the same
//! again. Everything that time alone can change (evidence grows stale, a hold-down runs out) has an alarm.
//!
//! A replica that does not lead does all of this too, but begins no errand; it takes over knowing since when everything
//! has been how.
//!
//! Does not know: tokio, HTTP, who leads, the current time (it is told).

pub mod digest;
mod plan;
pub mod queue;
mod subject;
pub mod ward;

use super::errand::Errand;
use super::evaluate::NodeView;
use super::fleet::{self, Change, Fleet};
use super::hands_off;
use super::policy_status::Shown;
use super::sources::{NodeReading, Observation, Observed};
use super::watch::Told;
use super::write::{Answer, Write, WriteError};
use crate::agent::sources::Measured;
use crate::api::node_marks;
use crate::clock::{Mono, OffsetInterval, Sample};
use crate::policy::{Policy, Source, Suspicion};
use queue::{About, Class, Pace, Queue};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use subject::Subject;
use ward::{Facts, Ward};

/// So many writes in a second at most, reads apart: a tenth of what one API server on two cores was seen to take.
const WRITES_PER_SECOND: u32 = 200;

/// What a source says of a node, one thing at a time.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A reading.
    Good(NodeReading),
    /// None, and why; the last good one is left to grow stale.
    Bad(String),
    /// The source is not asked about the node any more.
    Forgotten,
}

/// The controller's mind.
#[derive(Debug)]
pub struct Engine {
    fleet: Fleet,
    observed: Observed,
    references: HashMap<String, Measured>,
    wards: BTreeMap<String, Ward>,
    subjects: BTreeMap<String, Subject>,
    ids: u32,
    dirty: BTreeSet<String>,
    alarms: BTreeSet<(Mono, String)>,
    /// Policies whose frame or status is to be looked at.
    stirred: BTreeSet<String>,
    queue: Queue,
    pace: Pace,
    shown: Shown,
    asking_changed: bool,
    underway: BTreeSet<About>,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            fleet: Fleet::default(),
            observed: Observed::default(),
            references: HashMap::new(),
            wards: BTreeMap::new(),
            subjects: BTreeMap::new(),
            ids: 0,
            dirty: BTreeSet::new(),
            alarms: BTreeSet::new(),
            stirred: BTreeSet::new(),
            queue: Queue::default(),
            pace: Pace::new(WRITES_PER_SECOND),
            shown: Shown::default(),
            asking_changed: false,
            underway: BTreeSet::new(),
        }
    }
}

impl Engine {
    /// Takes in what a watch told.
    pub fn learn(&mut self, told: Told, clocks: &Sample) {
        let was_synced = self.fleet.synced();
        match told {
            Told::Node(change) => {
                let names = named(&change).into_iter().chain(self.fleet.nodes.apply(change)).collect::<BTreeSet<_>>();
                for name in names {
                    self.node_changed(&name, clocks);
                }
            }
            Told::Policy(change) => {
                let names =
                    named(&change).into_iter().chain(self.fleet.policies.apply(change)).collect::<BTreeSet<_>>();
                for name in names {
                    self.policy_changed(&name, clocks);
                }
            }
            Told::Clock(change) => {
                let names = named(&change).into_iter().chain(self.fleet.clocks.apply(change));
                self.dirty.extend(names);
            }
        }
        if self.fleet.synced() && !was_synced {
            // Before that nothing was looked at: everything is due.
            self.asking_changed = true;
            self.dirty.extend(self.fleet.nodes.iter().map(|(name, _)| name.clone()));
            self.stirred.extend(self.fleet.policies.iter().map(|(name, _)| name.clone()));
        }
    }

    /// Takes in one thing that a source says of a node.
    pub fn observe(&mut self, source: &Source, node: &str, seen: Seen, clocks: &Sample) {
        let observation = match seen {
            Seen::Good(reading) => Some(Observation { reading: Some(reading), failure: None }),
            Seen::Bad(failure) => {
                let reading = self.observed.get(source, node).and_then(|before| before.reading.clone());
                Some(Observation { reading, failure: Some(failure) })
            }
            Seen::Forgotten => None,
        };
        self.know(source, node, observation, clocks);
    }

    /// Takes in all that a source knows of a node now; `None`: nothing.
    pub fn know(&mut self, source: &Source, node: &str, observation: Option<Observation>, _clocks: &Sample) {
        match observation {
            Some(observation) => *self.observed.entry(source, node) = observation,
            None => self.observed.remove(source, node),
        }
        if self.fleet.nodes.get(node).is_some() {
            self.dirty.insert(node.to_owned());
        }
    }

    /// Takes in what one of the policies' references says of our clock; `None`: it is not asked any more.
    pub fn heard(&mut self, reference: &str, measured: Option<Measured>) {
        match measured {
            Some(measured) => drop(self.references.insert(reference.to_owned(), measured)),
            None => drop(self.references.remove(reference)),
        }
        let asks = |policy: &Policy| policy.references.iter().any(|name| name == reference);
        let policies = self.fleet.policies.iter().filter(|(_, entry)| entry.policy.as_ref().is_ok_and(asks));
        self.stirred.extend(policies.map(|(name, _)| name.clone()));
    }

    /// Looks at whatever changed or is due by time, and at nothing else.
    pub fn settle(&mut self, clocks: &Sample) {
        if !self.fleet.synced() {
            return;
        }
        self.wake(clocks);
        let mut names = std::mem::take(&mut self.dirty);
        let mut policies = std::mem::take(&mut self.stirred);
        for name in &names {
            self.gather(name, clocks);
            if let Some(subject) = self.subjects.get(name) {
                policies.extend(subject.policies.iter().cloned());
            }
        }
        let all = self.reframe(&policies, clocks);
        for name in all.difference(&names) {
            self.gather(name, clocks);
        }
        names.extend(all);
        for name in &names {
            self.judge(name, clocks);
            if let Some(subject) = self.subjects.get(name) {
                policies.extend(subject.policies.iter().cloned());
            }
        }
        for policy in &policies {
            if let (Some(ward), Some(Ok(policy))) =
                (self.wards.get_mut(policy), self.fleet.policies.get(policy).map(|entry| &entry.policy))
            {
                names.extend(ward.assign(policy));
            }
        }
        for name in &names {
            self.plan_node(name, clocks);
        }
        for policy in &policies {
            self.plan_policy(policy, clocks);
        }
    }

    /// When to settle again, if nothing else happens. To whom has no hand free, or does not lead, what is queued is no
    /// reason to hurry.
    #[must_use]
    pub fn due(&self, may_begin: bool) -> Option<Mono> {
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let pace = (may_begin && !self.queue.is_empty()).then(|| self.pace.next());
        [alarm, self.queue.due(), pace].into_iter().flatten().min()
    }

    /// What came of an errand.
    pub fn answered(&mut self, errand: Errand, result: Result<Answer, WriteError>, clocks: &Sample) {
        let now = clocks.after;
        let about = about(errand.write());
        self.underway.remove(&about);
        let kind = errand.write().kind();
        let fulfilled = result.is_ok();
        match result {
            Ok(answer) => {
                self.queue.fulfilled(&about, kind);
                self.take_in(errand.write(), answer, clocks);
            }
            Err(WriteError::NotLeading | WriteError::Superseded) => {}
            Err(error) => {
                let failures = self.queue.failed(&about, kind, now);
                let error = crate::telemetry::chain(&error);
                tracing::warn!(kind, about = errand.write().about(), failures, error, "not written");
            }
        }
        match &about {
            About::Node(name) => {
                if let Some(subject) = self.subjects.get_mut(name) {
                    subject.ended(&errand, fulfilled);
                }
                self.places(name);
                self.dirty.insert(name.clone());
            }
            About::Policy(name) => {
                if let Some(ward) = self.wards.get_mut(name) {
                    ward.ended(errand.write(), fulfilled);
                }
                self.stirred.insert(name.clone());
            }
        }
    }

    /// What the API server answered is newer than what the watch has told so far.
    fn take_in(&mut self, write: &Write, answer: Answer, clocks: &Sample) {
        match (write, answer) {
            (_, Answer::Node(node)) => {
                let name = node.metadata.name.clone().unwrap_or_default();
                self.fleet.nodes.put(*node);
                self.node_changed(&name, clocks);
            }
            (_, Answer::Policy(policy)) => {
                let name = policy.metadata.name.clone().unwrap_or_default();
                self.fleet.policies.put(*policy);
                self.policy_changed(&name, clocks);
                if let Some(ward) = self.wards.get_mut(&name) {
                    self.dirty.extend(ward.confirmed(clocks.after));
                }
            }
            (_, Answer::Clock(clock)) => self.fleet.clocks.put(*clock),
            (Write::Marks { node, .. } | Write::Condition { node, .. }, Answer::Gone) => {
                self.fleet.nodes.remove(node);
                self.node_changed(node, clocks);
            }
            (Write::Clock { node, .. }, Answer::Gone) => self.fleet.clocks.remove(node),
            (
                Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. } | Write::Confirm { policy },
                Answer::Gone,
            ) => {
                self.fleet.policies.remove(policy);
                self.policy_changed(policy, clocks);
            }
            (Write::Event(_), Answer::Gone) | (_, Answer::Done) => {}
        }
    }

    /// Alarms that ring, and what was put off.
    fn wake(&mut self, clocks: &Sample) {
        let now = clocks.after;
        while let Some((at, name)) = self.alarms.first().cloned().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, name.clone()));
            if let Some(subject) = self.subjects.get_mut(&name) {
                subject.alarm = None;
            }
            self.dirty.insert(name);
        }
        while let Some(about) = self.queue.pop_due(now) {
            match about {
                About::Node(name) => self.dirty.insert(name),
                About::Policy(name) => self.stirred.insert(name),
            };
        }
    }

    fn gather(&mut self, name: &str, clocks: &Sample) {
        let (Some(subject), Some(node)) = (self.subjects.get(name), self.fleet.nodes.get(name)) else { return };
        for policy in &subject.policies {
            let Some(Ok(policy)) = self.fleet.policies.get(policy).map(|entry| &entry.policy) else { continue };
            let Some(ward) = self.wards.get_mut(&policy.name) else { continue };
            let reading = self.observed.get(&policy.source, name).and_then(|seen| seen.reading.as_ref());
            ward.gather(name, reading, node, policy, clocks);
        }
    }

    /// The nodes of those policies whose frame has changed for everybody.
    fn reframe(&mut self, policies: &BTreeSet<String>, clocks: &Sample) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for policy in policies {
            let Some(Ok(policy)) = self.fleet.policies.get(policy).map(|entry| &entry.policy) else { continue };
            let ours = self.ours(policy, clocks);
            let Some(ward) = self.wards.get_mut(&policy.name) else { continue };
            if ward.reframe(policy, ours, clocks) {
                all.extend(ward.names().cloned());
            }
            if let Some(at) = ward.frame().due {
                self.queue.push_later(&About::Policy(policy.name.clone()), at);
            }
        }
        all
    }

    fn judge(&mut self, name: &str, clocks: &Sample) {
        let (Some(subject), Some(node)) = (self.subjects.get_mut(name), self.fleet.nodes.get(name)) else { return };
        let mut alarm: Option<Mono> = None;
        for policy in &subject.policies {
            let Some(Ok(policy)) = self.fleet.policies.get(policy).map(|entry| &entry.policy) else { continue };
            let Some(ward) = self.wards.get_mut(&policy.name) else { continue };
            let look = hands_off::look(policy, node, ward.date(clocks));
            let seen = self.observed.get(&policy.source, name);
            let facts = Facts { node, seen, acted: look.acted, hands_off: look.hands_off };
            let next = ward.judge(name, facts, policy, clocks);
            alarm = [alarm, next].into_iter().flatten().min();
        }
        // An alarm that is early only costs a look: a reading moves it to later, ten times for each time that it rings.
        if let Some(at) = alarm.filter(|at| subject.alarm.is_none_or(|before| *at < before)) {
            if let Some(before) = subject.alarm.replace(at) {
                self.alarms.remove(&(before, name.to_owned()));
            }
            self.alarms.insert((at, name.to_owned()));
        }
    }

    /// Our clock against a policy's references; `None` if it names none, none answers, or they disagree.
    fn ours(&self, policy: &Policy, clocks: &Sample) -> Option<OffsetInterval> {
        super::references::ours(policy, |name| self.references.get(name), clocks)
    }

    fn node_changed(&mut self, name: &str, clocks: &Sample) {
        let Some(node) = self.fleet.nodes.get(name) else { return self.node_gone(name) };
        if !self.subjects.contains_key(name) {
            self.ids = self.ids.saturating_add(1);
            self.subjects.insert(name.to_owned(), Subject::new(self.ids));
        }
        let Some(subject) = self.subjects.get_mut(name) else { return };
        if subject.is_other(node) {
            // Another machine under the same name: what is known is of its predecessor.
            for ward in self.wards.values_mut() {
                ward.leave(name);
            }
        }
        subject.uid.clone_from(&node.metadata.uid);
        self.asking_changed |= subject.is_asked_otherwise(node);
        subject.policies.clear();
        for (policy_name, entry) in self.fleet.policies.iter() {
            let matched = entry.policy.as_ref().is_ok_and(|policy| !policy.deleting && fleet::matches(policy, node));
            let Some(ward) = self.wards.get_mut(policy_name) else { continue };
            if matched {
                ward.enter(name, subject.id, clocks.after);
                subject.policies.push(policy_name.clone());
            } else if ward.view(name).is_some() {
                ward.leave(name);
                self.stirred.insert(policy_name.clone());
            }
        }
        self.places(name);
        self.dirty.insert(name.to_owned());
    }

    fn node_gone(&mut self, name: &str) {
        self.asking_changed = true;
        for (policy, ward) in &mut self.wards {
            ward.leave(name);
            ward.free(name);
            self.stirred.insert(policy.clone());
        }
        if let Some(at) = self.subjects.remove(name).and_then(|subject| subject.alarm) {
            self.alarms.remove(&(at, name.to_owned()));
        }
        self.queue.forget(&About::Node(name.to_owned()));
        self.dirty.remove(name);
    }

    fn policy_changed(&mut self, name: &str, clocks: &Sample) {
        self.asking_changed = true;
        self.stirred.insert(name.to_owned());
        let Some(entry) = self.fleet.policies.get(name) else {
            self.wards.remove(name);
            self.shown.forget(name);
            self.queue.forget(&About::Policy(name.to_owned()));
            self.dirty.extend(self.fleet.nodes.iter().map(|(name, _)| name.clone()));
            for subject in self.subjects.values_mut() {
                subject.policies.retain(|policy| policy != name);
            }
            return;
        };
        let version = entry.version();
        let ward = match self.wards.remove(name) {
            // Only its status was written.
            Some(ward) if ward.version() == &version => {
                self.wards.insert(name.to_owned(), ward);
                return;
            }
            Some(ward) => ward.under(entry.policy.as_ref().ok(), version, clocks),
            None => Ward::new(entry.policy.as_ref().ok(), version, clocks),
        };
        self.wards.insert(name.to_owned(), ward);
        let nodes: Vec<String> = self.fleet.nodes.iter().map(|(node, _)| node.clone()).collect();
        for node in nodes {
            self.node_changed(&node, clocks);
        }
    }

    /// Which policies hold a place for the node: it carries their mark, or may because a write is under way or its
    /// outcome is not known.
    fn places(&mut self, name: &str) {
        let (Some(subject), Some(node)) = (self.subjects.get(name), self.fleet.nodes.get(name)) else { return };
        for (policy, ward) in &mut self.wards {
            let entry = self.fleet.policies.get(policy).and_then(|entry| entry.policy.as_ref().ok());
            let mark = entry.and_then(|policy| policy.action.mark.as_ref());
            let holds = node_marks::may_hold(node, policy, mark) || subject.may_carry(policy);
            if holds != ward.room().held().contains(name) {
                // Another may have the place now; and a policy that is being deleted waits for its last.
                self.stirred.insert(policy.clone());
                if holds { ward.hold(name) } else { ward.free(name) }
            }
        }
    }

    /// Whether the nodes to ask, or what to ask about them, may have changed since this was last called.
    pub fn asking_changed(&mut self) -> bool {
        std::mem::take(&mut self.asking_changed)
    }

    /// The index of the cluster.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// What the sources say.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The policies at work.
    #[must_use]
    pub fn wards(&self) -> &BTreeMap<String, Ward> {
        &self.wards
    }

    /// How many objects wait for a write that may be due.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Every policy's view of a node.
    fn views<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Policy, &'a NodeView)> {
        let policies = self.subjects.get(name).map(|subject| subject.policies.as_slice()).unwrap_or_default();
        policies.iter().filter_map(move |policy| {
            let view = self.wards.get(policy)?.view(name)?;
            Some((self.fleet.policies.get(policy)?.policy.as_ref().ok()?, view))
        })
    }

    /// Whether our own clock may be the one that is wrong, so that another controller should lead: it is apart from the
    /// cluster's, and no reference of the policy says by how much. Where one does, nodes are judged rightly all the same.
    #[must_use]
    pub fn is_outlier(&self) -> bool {
        let apart = |ward: &Ward| matches!(ward.frame().suspicion, Some(Suspicion::ControllerApart { .. }));
        self.wards.values().any(apart)
    }

    /// The next write, if one is due and the pace allows it; to be called only by who leads.
    pub fn next(&mut self, clocks: &Sample) -> Option<Errand> {
        let now = clocks.after;
        if !self.fleet.synced() || self.pace.next() > now {
            return None;
        }
        while let Some((_, about)) = self.queue.pop() {
            // One at a time for each object; when it ends, the object is looked at again.
            if self.underway.contains(&about) {
                continue;
            }
            let write = match &about {
                About::Node(name) => self.due_for_node(name, clocks),
                About::Policy(name) => self.due_for_policy(name, clocks),
            };
            let Some(write) = write else { continue };
            self.pace.count(now);
            if let About::Node(name) = &about {
                if let Some(subject) = self.subjects.get_mut(name) {
                    subject.began(&write);
                }
                self.places(name);
            }
            self.underway.insert(about);
            return Some(Errand::new(write));
        }
        None
    }

    fn push(&mut self, about: &About, class: Class) {
        if !self.underway.contains(about) {
            self.queue.push(about, class);
        }
    }
}

/// The object that a change is about, if it is about one.
fn named<T: fleet::Indexed>(change: &Change<T>) -> Option<String> {
    match change {
        Change::Put(object) => object.metadata().name.clone(),
        Change::Gone(name) => Some(name.clone()),
        Change::Relist | Change::Synced => None,
    }
}

fn about(write: &Write) -> About {
    let of_node = |kind: Option<&str>| kind == Some("Node");
    match write {
        Write::Marks { .. } | Write::Condition { .. } | Write::Clock { .. } => About::Node(write.about().to_owned()),
        Write::Event(notice) if of_node(notice.about.kind.as_deref()) => About::Node(write.about().to_owned()),
        Write::Event(_) | Write::Finalizer { .. } | Write::PolicyStatus { .. } | Write::Confirm { .. } => {
            About::Policy(write.about().to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
