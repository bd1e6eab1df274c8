//! The rules, and whether they are kept: looked at with every change of every object on the server.
//!
//! The judge knows the truth, what each replica can have known, and what each policy was lately; it knows nothing of
//! how decisions are made. Where two things happen at about the same time (a policy is edited while a write for the
//! old one is under way), whoever followed either is right: [`GRACE`].

use super::evidence::Known;
use super::marks::{self, CORDON, Record};
use super::scenario::{Deed, Scenario, What};
use super::server::{Change, Server};
use super::truth::Machine;
use super::world::Call;
use crate::clock::Wall;
use crate::controller::fleet::PolicyEntry;
use crate::controller::request::Kind;
use crate::policy::{Limit, Mark, Policy};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// What was so until this long ago may still be followed: the time that a watch, an errand and its retries take.
const GRACE: Duration = Duration::from_secs(30);
/// An errand that began with good evidence has ended by then.
const ERRAND_MAX: Duration = Duration::from_secs(60);
/// The key of an exemption.
const EXEMPT: &str = "clockwarden.io/exempt-until";

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Nothing that is not ours is changed.
    Foreign,
    /// Never more nodes acted on than the limit allows.
    Limit,
    /// When all is well again, nothing of ours is left.
    Leftover,
    /// No action without fresh evidence that has lasted.
    Evidence,
    /// Nobody writes without the lease.
    Lease,
    /// At rest nobody writes, and never much more than changes.
    Writes,
    /// Nothing is done to who is to be left alone.
    HandsOff,
    /// A clock that is right is not acted on.
    Healthy,
    /// A clock that is wrong, alone and for long, is acted on.
    Duty,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// When.
    pub at: Duration,
    /// Which.
    pub rule: Rule,
    /// How.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", super::script::time_text(self.at), self.rule, self.what)
    }
}

/// A policy as it was for a while.
#[derive(Debug, Clone)]
struct Version {
    until: Option<Duration>,
    policy: Option<Policy>,
    cap: usize,
}

/// A node as it is on the server.
#[derive(Debug, Clone, Default)]
struct Node {
    labels: BTreeMap<String, String>,
    labels_before: BTreeMap<String, String>,
    labels_since: Duration,
    /// Since when a person exempts it, and until when.
    exempt: Option<(Duration, Wall)>,
    record: Option<Record>,
    /// Marks that a controller of ours put there, in truth.
    ours: BTreeSet<String>,
    there: bool,
}

/// Knows everything.
#[derive(Debug)]
pub struct Judge {
    /// The rules broken so far.
    pub broken: Vec<Broken>,
    /// Writes of controllers that changed something, the lease apart.
    pub writes: u64,
    /// Reasons to write that there were.
    stirs: u64,
    stirred_at: Duration,
    /// Most clocks were moved at one time.
    is_mass_moved: bool,
    known: Vec<Vec<Known>>,
    /// When a replica lost its memory, and what it had known: its last requests are still on their way.
    before: Vec<(Duration, Vec<Known>)>,
    nodes: BTreeMap<String, Node>,
    policies: BTreeMap<String, Vec<Version>>,
    held: BTreeMap<String, BTreeSet<String>>,
    is_resting: bool,
}

impl Judge {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Judge {
        Judge {
            broken: Vec::new(),
            writes: 0,
            stirs: 0,
            stirred_at: Duration::ZERO,
            is_mass_moved: false,
            known: vec![vec![Known::default(); scenario.nodes]; scenario.controllers],
            before: vec![(Duration::ZERO, Vec::new()); scenario.controllers],
            nodes: BTreeMap::new(),
            policies: BTreeMap::new(),
            held: BTreeMap::new(),
            is_resting: false,
        }
    }

    /// The policies that are there and can be read.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let now = self.policies.values().filter_map(|versions| versions.last());
        now.filter(|version| version.until.is_none()).filter_map(|version| version.policy.as_ref())
    }

    /// Those that cannot.
    #[must_use]
    pub fn unreadable(&self) -> Vec<String> {
        let is_unreadable = |versions: &&Vec<Version>| {
            versions.last().is_some_and(|version| version.until.is_none() && version.policy.is_none())
        };
        self.policies.iter().filter(|(_, all)| is_unreadable(all)).map(|(name, _)| name.clone()).collect()
    }

    /// The marks on a node that a controller of ours put there, in truth.
    #[must_use]
    pub fn ours_on(&self, node: &str) -> BTreeSet<String> {
        self.nodes.get(node).map(|node| node.ours.clone()).unwrap_or_default()
    }

    /// A replica has lost its memory.
    pub fn forget(&mut self, replica: usize, now: Duration) {
        self.stirs += self.nodes.len() as u64;
        let (Some(known), Some(before)) = (self.known.get_mut(replica), self.before.get_mut(replica)) else { return };
        let fresh = vec![Known::default(); known.len()];
        let lost = std::mem::replace(known, fresh);
        // A process that begins forgets once more what the one that was killed has forgotten already.
        if lost.iter().any(|it| it.measured().is_some()) {
            *before = (now, lost);
        }
    }

    /// A replica has asked a node. A clock that is found elsewhere than at the look before is a reason to say so.
    pub fn saw(&mut self, replica: usize, node: usize, machine: &Machine, is_good: bool, now: Duration) {
        let Some(known) = self.known.get_mut(replica).and_then(|all| all.get_mut(node)) else { return };
        let Some(claimed) = machine.claimed(now).filter(|_| is_good) else { return };
        let own = machine.face.offset(now).minus(machine.followed);
        self.stirs += u64::from(known.saw(now, claimed, own, matches!(machine.agent, super::truth::Agent::Slow(_))));
    }

    /// Something happens, which may give reasons to write.
    pub fn stirred(&mut self, scenario: &Scenario, what: &What, now: Duration) {
        self.stirred_at = now;
        let nodes = match what {
            What::Machine(who, deed) => {
                let concerned = scenario.nodes_of(who).len();
                let moves = matches!(deed, Deed::Step(_) | Deed::Follow(_) | Deed::Right | Deed::Drift(_));
                self.is_mass_moved |= moves && concerned * 4 > scenario.nodes;
                concerned
            }
            What::Meddle(who, _) => scenario.nodes_of(who).len(),
            What::Replica(..) | What::Api(_) | What::Policy(_) | What::PolicyGone(_) => scenario.nodes,
        };
        self.stirs += nodes as u64 + 1;
    }

    /// Everything was put right.
    pub fn stirred_all(&mut self, scenario: &Scenario) {
        self.stirs += 2 * scenario.nodes as u64;
    }

    /// From now on nobody has a reason to write.
    pub fn rest(&mut self) {
        self.is_resting = true;
    }

    /// Whether many clocks were moved at one time, or will be, if so many are put right now.
    #[must_use]
    pub fn is_mass_moved(&self, off: usize) -> bool {
        self.is_mass_moved || off * 4 > self.nodes.len()
    }

    /// How long the policies may take to let go of a node that is right.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let one = |policy: &Policy| policy.action.recovered_for + policy.tolerance.stale_after + policy.interval * 2;
        self.policies().map(one).max().unwrap_or_default()
    }

    fn complain(&mut self, at: Duration, rule: Rule, what: String) {
        self.broken.push(Broken { at, rule, what });
    }

    /// Something has changed on the server; `by` is the request that did it, if a controller's did.
    pub(super) fn changed(
        &mut self,
        change: &Change,
        by: Option<&Call>,
        server: &Server,
        machines: &[Machine],
        now: Duration,
    ) {
        if let Some(call) = by.filter(|_| change.kind != Kind::Lease) {
            self.wrote(change, call, server, now);
        }
        match change.kind {
            Kind::Node => self.node(change, by, machines, now),
            Kind::Policy => self.policy(change, by, now),
            Kind::Clock | Kind::Lease | Kind::Event => {}
        }
    }

    fn wrote(&mut self, change: &Change, call: &Call, server: &Server, now: Duration) {
        self.writes += 1;
        let about = format!("c{} wrote {:?} {}", call.replica, change.kind, change.name);
        if self.is_resting {
            self.complain(now, Rule::Writes, format!("{about} at rest: {}", difference(change)));
        }
        let bound = 12 * (self.policies.len() as u64 + 1) * (self.stirs + 3 * self.nodes.len() as u64);
        if self.writes > bound {
            self.complain(
                now,
                Rule::Writes,
                format!("{about}: the {}th write for {} reasons", self.writes, self.stirs),
            );
        }
        let lease = server.get(Kind::Lease, crate::controller::ballot::LEASE_NAME);
        let holder = lease.as_ref().and_then(|it| it.pointer("/spec/holderIdentity")?.as_str()).unwrap_or_default();
        let is_own = holder == format!("c{}_{}", call.replica, call.life);
        if !call.held {
            self.complain(now, Rule::Lease, format!("{about} without the lease: {holder:?} holds it"));
        } else if !is_own && !holder.is_empty() {
            self.complain(now, Rule::Lease, format!("{about} after {holder} had taken the lease"));
        }
    }

    fn node(&mut self, change: &Change, by: Option<&Call>, machines: &[Machine], now: Duration) {
        let Some(after) = change.after.as_deref() else {
            let gone = self.nodes.remove(&change.name);
            for nodes in self.held.values_mut() {
                nodes.remove(&change.name);
            }
            self.recount(gone.map(|node| node.labels), None, now);
            return;
        };
        let empty = Value::Null;
        let before = change.before.as_deref().unwrap_or(&empty);
        let (record_before, record) = (marks::recorded(before), marks::recorded(after));
        let (on, off) = (marks::present(after), marks::present(before));
        if let Some(call) = by {
            let ours: BTreeSet<String> =
                [&record_before, &record].into_iter().flatten().flat_map(|record| record.keys().cloned()).collect();
            if marks::foreign(before, &ours) != marks::foreign(after, &ours) {
                self.complain(now, Rule::Foreign, format!("{}: {}", change.name, difference(change)));
            }
            let really_ours = self.ours_on(&change.name);
            if let Some(mark) = off.difference(&on).find(|mark| !really_ours.contains(*mark)) {
                let what = format!("{}: took off {mark}, which others had put on", change.name);
                self.complain(now, Rule::Foreign, what);
            }
            self.acts(change, call, record_before.as_ref(), record.as_ref(), machines, now);
        }
        self.take_in_node(&change.name, after, by.is_some(), &on, &off, now);
        let holders: BTreeSet<&String> = record.iter().flat_map(|record| record.values().flatten()).collect();
        for (policy, nodes) in &mut self.held {
            if !holders.contains(policy) {
                nodes.remove(&change.name);
            }
        }
        for policy in holders {
            self.held.entry(policy.clone()).or_default().insert(change.name.clone());
        }
        if let Some(node) = self.nodes.get_mut(&change.name) {
            node.record = record;
        }
    }

    fn take_in_node(
        &mut self,
        name: &str,
        after: &Value,
        by_us: bool,
        on: &BTreeSet<String>,
        off: &BTreeSet<String>,
        now: Duration,
    ) {
        let labels: BTreeMap<String, String> = after
            .pointer("/metadata/labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        let node = self.nodes.entry(name.to_owned()).or_default();
        let was_there = std::mem::replace(&mut node.there, true);
        if by_us {
            node.ours.extend(on.difference(off).cloned());
        }
        node.ours.retain(|mark| on.contains(mark));
        let until = after.pointer("/metadata/annotations").and_then(|all| all.get(EXEMPT)).map(super::rules::moment);
        node.exempt = until.map(|until| match node.exempt {
            Some((since, before)) if before == until => (since, until),
            _ => (now, until),
        });
        if node.labels != labels || !was_there {
            let before = std::mem::replace(&mut node.labels, labels.clone());
            node.labels_before.clone_from(&before);
            node.labels_since = now;
            self.recount(was_there.then_some(before), Some(labels), now);
        }
    }

    /// What was newly done to a node, and whether it might be.
    fn acts(
        &mut self,
        change: &Change,
        call: &Call,
        before: Option<&Record>,
        after: Option<&Record>,
        machines: &[Machine],
        now: Duration,
    ) {
        let had = |mark: &String, policy: &String| {
            before.and_then(|record| record.get(mark)).is_some_and(|policies| policies.contains(policy))
        };
        let fresh: Vec<(String, String)> = after
            .into_iter()
            .flatten()
            .flat_map(|(mark, policies)| policies.iter().map(|policy| (mark.clone(), policy.clone())))
            .filter(|(mark, policy)| !had(mark, policy))
            .collect();
        for (mark, policy) in fresh {
            let about = format!("c{} put {mark} on {} for policy {policy}", call.replica, change.name);
            let deleting =
                change.after.as_deref().is_some_and(|it| it.pointer("/metadata/deletionTimestamp").is_some());
            if deleting {
                self.complain(now, Rule::HandsOff, format!("{about}, which is being deleted"));
            }
            let versions: Vec<Version> = self.recent(&policy, now).cloned().collect();
            let held =
                self.held.get(&policy).map_or(0, |nodes| nodes.len() + usize::from(!nodes.contains(&change.name)));
            let held = held.max(1);
            let cap = versions.iter().map(|version| version.cap).max().unwrap_or(0);
            if held > cap {
                self.complain(now, Rule::Limit, format!("{about}: the {held}th, and {cap} are allowed"));
            }
            let mut why = (Rule::HandsOff, "there is no such policy".to_owned());
            let is_right = versions.iter().filter_map(|version| version.policy.as_ref()).any(|policy| {
                match self.wrongs(policy, &mark, &change.name, call, machines, now) {
                    None => true,
                    Some(wrong) => {
                        why = wrong;
                        false
                    }
                }
            });
            if !is_right {
                let (rule, why) = why;
                self.complain(now, rule, format!("{about}: {why}"));
            }
        }
    }

    /// What speaks against this act under this version of the policy.
    fn wrongs(
        &self,
        policy: &Policy,
        mark: &str,
        name: &str,
        call: &Call,
        machines: &[Machine],
        now: Duration,
    ) -> Option<(Rule, String)> {
        let hands_off = |why: &str| Some((Rule::HandsOff, why.to_owned()));
        let node = self.nodes.get(name)?;
        let is_recent = now.saturating_sub(node.labels_since) < GRACE;
        let wanted = policy.action.mark.as_ref().map(|mark| match mark {
            Mark::Cordon => CORDON.to_owned(),
            Mark::Taint { key, effect } => format!("{key}:{}", effect.as_str()),
        });
        if wanted.as_deref() != Some(mark) {
            return hands_off("it wants no such mark");
        }
        if policy.deleting {
            return hands_off("it is being deleted");
        }
        let was_matched = is_recent && policy.nodes.matches(&node.labels_before);
        if !policy.nodes.matches(&node.labels) && !was_matched {
            return hands_off("it does not match the node");
        }
        if super::rules::suspended(policy) {
            return hands_off("it is suspended");
        }
        let date = super::truth::Face::default().wall(now);
        if node.exempt.is_some_and(|(since, until)| now.saturating_sub(since) > GRACE && date < until) {
            return hands_off("the node is exempt");
        }
        if super::rules::spares(policy, &node.labels) && !is_recent {
            return hands_off("the node is of the control plane");
        }
        if now.saturating_sub(call.began) > ERRAND_MAX {
            return Some((Rule::Evidence, "the errand took longer than a minute".to_owned()));
        }
        self.unfounded(policy, name, call, machines)
    }

    /// What is wrong with the evidence for an act.
    fn unfounded(&self, policy: &Policy, name: &str, call: &Call, machines: &[Machine]) -> Option<(Rule, String)> {
        let number: usize = name.trim_start_matches('n').parse().ok()?;
        let (lost_at, lost) = self.before.get(call.replica)?;
        let all = if call.began < *lost_at { lost } else { self.known.get(call.replica)? };
        let known = all.get(number)?;
        // What came after it had left it could not heed.
        if known.measured().is_some_and(|at| at > call.sent) {
            return None;
        }
        known.speaks_against(policy, self.is_led(policy, machines, call.began), call.began)
    }

    /// Whether so many of a policy's nodes look wrong that nobody can tell who is right.
    fn is_led(&self, policy: &Policy, machines: &[Machine], now: Duration) -> bool {
        let limit = policy.tolerance.offset_max / 2;
        let (mut right, mut of) = (0, 0);
        for (name, node) in &self.nodes {
            let number = name.trim_start_matches('n').parse::<usize>().ok();
            let Some(machine) = number.and_then(|number| machines.get(number)) else { continue };
            if policy.nodes.matches(&node.labels) {
                of += 1;
                right += usize::from(machine.claimed(now).is_some_and(|claimed| claimed.magnitude() <= limit));
            }
        }
        right * 2 <= of
    }

    fn recent(&self, policy: &str, now: Duration) -> impl Iterator<Item = &Version> {
        let versions = self.policies.get(policy).into_iter().flatten();
        versions.filter(move |version| version.until.is_none_or(|until| now.saturating_sub(until) < GRACE))
    }

    fn policy(&mut self, change: &Change, by: Option<&Call>, now: Duration) {
        if by.is_some()
            && let (Some(before), Some(after)) = (change.before.as_deref(), change.after.as_deref())
            && before.get("spec") != after.get("spec")
        {
            self.complain(now, Rule::Foreign, format!("changed the spec of policy {}", change.name));
        }
        let read = |object: &Value| {
            let entry = serde_json::from_value(object.clone()).ok().map(PolicyEntry::read);
            entry.and_then(|entry| entry.policy.ok())
        };
        let policy = change.after.as_deref().and_then(read);
        let versions = self.policies.entry(change.name.clone()).or_default();
        let is_same = versions.last().is_some_and(|last| {
            let spec = |policy: &Option<Policy>| policy.clone().map(|it| Policy { generation: 0, ..it });
            change.after.is_some() && last.until.is_none() && spec(&last.policy) == spec(&policy)
        });
        if is_same {
            return;
        }
        versions.retain(|version| version.until.is_none_or(|until| now.saturating_sub(until) < GRACE));
        if let Some(last) = versions.last_mut() {
            last.until = last.until.or(Some(now));
        }
        if change.after.is_some() {
            versions.push(Version { until: None, policy, cap: 0 });
        }
        self.set_cap(&change.name.clone());
    }

    /// What the newest version of a policy allows.
    fn set_cap(&mut self, name: &str) {
        let nodes = &self.nodes;
        let Some(version) = self.policies.get_mut(name).and_then(|versions| versions.last_mut()) else { return };
        let Some(policy) = version.policy.as_ref().filter(|_| version.until.is_none()) else { return };
        let counts = |node: &&Node| super::rules::counts(policy, &node.labels);
        let matched = nodes.values().filter(counts).count();
        version.cap = cap(policy.action.limit, matched);
    }

    /// A node has come, gone or changed its labels: a policy may match more or fewer of them.
    fn recount(
        &mut self,
        before: Option<BTreeMap<String, String>>,
        after: Option<BTreeMap<String, String>>,
        now: Duration,
    ) {
        let mut changed = Vec::new();
        for (name, versions) in &self.policies {
            let Some(version) = versions.last().filter(|version| version.until.is_none()) else { continue };
            let Some(policy) = version.policy.as_ref() else { continue };
            let counts = |labels: &Option<BTreeMap<String, String>>| {
                labels.as_ref().is_some_and(|labels| super::rules::counts(policy, labels))
            };
            if counts(&before) != counts(&after) {
                changed.push(name.clone());
            }
        }
        for name in changed {
            if let Some(versions) = self.policies.get_mut(&name)
                && let Some(last) = versions.last_mut()
            {
                let next = last.clone();
                last.until = Some(now);
                versions.push(next);
                versions.retain(|version| version.until.is_none_or(|until| now.saturating_sub(until) < GRACE));
            }
            self.set_cap(&name);
        }
    }

    /// Before everything is put right: what should have been done long ago, and was not.
    pub(super) fn duties(&mut self, scenario: &Scenario, server: &Server, machines: &[Machine], now: Duration) {
        let found = super::duty::neglected(scenario, server, machines, &self.duty_facts(), now);
        for what in found {
            self.complain(now, Rule::Duty, what);
        }
    }

    fn duty_facts(&self) -> super::duty::Facts<'_> {
        super::duty::Facts {
            policies: self.policies().collect(),
            unreadable: !self.unreadable().is_empty(),
            held: &self.held,
            stirred_at: self.stirred_at,
            is_mass_moved: self.is_mass_moved,
        }
    }

    /// In the end: what is left of ours.
    pub(super) fn finish(&mut self, server: &Server, now: Duration) {
        let left: Vec<String> = super::duty::left_over(server, |node| self.ours_on(node));
        for what in left {
            self.complain(now, Rule::Leftover, what);
        }
    }
}

pub(super) fn cap(limit: Limit, matched: usize) -> usize {
    match limit {
        Limit::Count(count) => count,
        Limit::Percent { percent, at_least } => (matched * usize::from(percent) / 100).max(at_least),
    }
}

/// The first few fields in which the two differ.
fn difference(change: &Change) -> String {
    fn walk(path: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
        match (one, other) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let null = Value::Null;
                    let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                    if a != b && key != "resourceVersion" {
                        walk(&format!("{path}/{key}"), a, b, found);
                    }
                }
            }
            _ if one != other => found.push(format!("{path} was {one} and is {other}")),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let (null, none) = (Value::Null, Value::Null);
    walk("", change.before.as_deref().unwrap_or(&null), change.after.as_deref().unwrap_or(&none), &mut found);
    found.truncate(3);
    found.join("; ")
}
