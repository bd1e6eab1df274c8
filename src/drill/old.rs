//! Stand-ins until the engine is there: the rules of today behind the interface of tomorrow.

use super::brain::{Brain, Seen, Step};
use crate::api::node_clock::NodeClockSpec;
use crate::api::{self, NodeClock, node_marks};
use crate::clock::{Mono, Sample};
use crate::controller::apply::Write;
use crate::controller::evaluate::{Memory, evaluate};
use crate::controller::fleet::{Fleet, PolicyEntry, trim};
use crate::controller::lease::{Election, Record, Step as Vote};
use crate::controller::plan::plan;
use crate::controller::policy_status::Shown;
use crate::controller::request::{Kind, Outcome, Refusal, Request, Verb};
use crate::controller::sources::Observed;
use crate::controller::watch::Told;
use crate::policy::Source;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const LEASE: &str = "clockwarden-controller";

#[derive(Debug)]
pub struct Ballot {
    asked: Option<Mono>,
}

impl Ballot {
    #[must_use]
    pub fn begin() -> (Ballot, Request) {
        let request = Request { verb: Verb::Get, kind: Kind::Lease, name: LEASE.into(), status: false, body: Value::Null };
        (Ballot { asked: None }, request)
    }

    pub fn step(&mut self, election: &mut Election, last: Outcome, clocks: &Sample) -> Option<Request> {
        if let Some(sent) = self.asked {
            if let Ok(lease) = last {
                election.renewed(record(&lease), sent);
            }
            return None;
        }
        let live = match last {
            Ok(live) => Some(live),
            Err(Refusal::NotFound) => None,
            Err(_) => return None,
        };
        let vote = election.observe(live.as_ref().map(record), clocks.after);
        let spec = json!({"holderIdentity": election.identity(), "leaseDurationSeconds": 15, "renewTime": clocks.wall.unix_nanos()});
        self.asked = Some(clocks.after);
        let (verb, body) = match (vote, live) {
            (Vote::StandBy, _) => return None,
            (Vote::Create, _) | (_, None) => (Verb::Create, json!({"metadata": {"name": LEASE}, "spec": spec})),
            (Vote::Take | Vote::Renew, Some(mut live)) => {
                live["spec"] = spec;
                (Verb::Replace, live)
            }
        };
        Some(Request { verb, kind: Kind::Lease, name: LEASE.into(), status: false, body })
    }
}

fn record(lease: &Value) -> Record {
    let text = |path: &str| lease.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Record {
        holder: text("/spec/holderIdentity"),
        duration: Duration::from_secs(15),
        version: text("/metadata/resourceVersion"),
    }
}

pub enum End {
    Node(Value),
    Policy(Value),
    Clock(Value),
    Gone,
    Done,
    Failed,
    NotLeading,
}

pub struct Errand {
    write: Write,
    stage: u32,
    attempts: u32,
}

impl Errand {
    fn request(&self, verb: Verb, status: bool, body: Value) -> Step<End> {
        let (kind, name) = match &self.write {
            Write::Marks { node, .. } | Write::Condition { node, .. } => (Kind::Node, node),
            Write::Clock { node, .. } => (Kind::Clock, node),
            Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. } => (Kind::Policy, policy),
            Write::Event { .. } => return Step::Done(End::Done),
        };
        Step::Ask(Request { verb, kind, name: name.clone(), status, body })
    }

    fn go(&mut self, last: Option<Outcome>) -> Step<End> {
        let live = match last {
            None => {
                self.stage = 1;
                return match &self.write {
                    Write::Condition { condition, .. } => {
                        self.stage = 2;
                        let entry = match condition {
                            Some(condition) => serde_json::to_value(condition).unwrap_or_default(),
                            None => json!({"type": api::NODE_CONDITION, "$patch": "delete"}),
                        };
                        self.request(Verb::Strategic, true, json!({"status": {"conditions": [entry]}}))
                    }
                    _ => self.request(Verb::Get, false, Value::Null),
                };
            }
            Some(Ok(live)) => live,
            Some(Err(Refusal::Conflict)) => {
                self.attempts += 1;
                if self.attempts > 10 {
                    return Step::Done(End::Failed);
                }
                return self.go(None);
            }
            Some(Err(Refusal::NotFound)) => {
                if let Write::Clock { node, uid, .. } = &self.write {
                    let mut fresh = NodeClock::new(node, NodeClockSpec {});
                    fresh.metadata.owner_references =
                        serde_json::from_value(json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}])).ok();
                    let body = serde_json::to_value(fresh).unwrap_or_default();
                    return self.request(Verb::Create, false, body);
                }
                return Step::Done(End::Gone);
            }
            Some(Err(_)) => return Step::Done(End::Failed),
        };
        if self.stage == 2 {
            return Step::Done(match &self.write {
                Write::Marks { .. } | Write::Condition { .. } => End::Node(live),
                Write::Clock { .. } => End::Clock(live),
                Write::Finalizer { .. }
                    if live.pointer("/metadata/deletionTimestamp").is_some()
                        && live.pointer("/metadata/finalizers/0").is_none() =>
                {
                    End::Gone
                }
                Write::Finalizer { .. } | Write::PolicyStatus { .. } => End::Policy(live),
                Write::Event { .. } => End::Done,
            });
        }
        self.stage = 2;
        match &self.write {
            Write::Marks { desired, .. } => {
                let Ok(node) = serde_json::from_value(live.clone()) else { return Step::Done(End::Failed) };
                let Ok(change) = node_marks::change(&node, desired) else { return Step::Done(End::Failed) };
                match change.filter(|c| c.added.is_empty() || node.metadata.deletion_timestamp.is_none()) {
                    Some(change) => self.request(Verb::Merge, false, change.patch),
                    None => Step::Done(End::Node(live)),
                }
            }
            Write::Finalizer { present, .. } => {
                let mut all: Vec<Value> =
                    live.pointer("/metadata/finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
                let had = all.iter().any(|f| f == api::FINALIZER);
                if had == *present || (*present && live.pointer("/metadata/deletionTimestamp").is_some()) {
                    return Step::Done(End::Policy(live));
                }
                if *present { all.push(json!(api::FINALIZER)) } else { all.retain(|f| f != api::FINALIZER) }
                let version = live.pointer("/metadata/resourceVersion");
                self.request(Verb::Merge, false, json!({"metadata": {"resourceVersion": version, "finalizers": all}}))
            }
            Write::Clock { status, .. } => {
                let mut next = live;
                next["status"] = serde_json::to_value(status).unwrap_or_default();
                self.request(Verb::Replace, true, next)
            }
            Write::PolicyStatus { status, .. } => {
                let mut next = live;
                next["status"] = serde_json::to_value(status).unwrap_or_default();
                self.request(Verb::Replace, true, next)
            }
            Write::Condition { .. } | Write::Event { .. } => Step::Done(End::Done),
        }
    }
}

#[derive(Default)]
pub struct OldBrain {
    fleet: Fleet,
    observed: Observed,
    memory: Memory,
    shown: Shown,
    plan: Vec<Write>,
    busy: HashSet<String>,
    failing: HashMap<String, (u32, Mono)>,
    dirty: bool,
    due: Option<Mono>,
}

impl Brain for OldBrain {
    type Errand = Errand;
    type End = End;

    fn learn(&mut self, told: Told, _: &Sample) {
        self.dirty = true;
        match told {
            Told::Node(change) => self.fleet.nodes.apply(change),
            Told::Policy(change) => self.fleet.policies.apply(change),
            Told::Clock(change) => self.fleet.clocks.apply(change),
        }
    }

    fn observe(&mut self, node: &str, seen: Seen, _: &Sample) {
        self.dirty = true;
        let entry = self.observed.entry(&Source::Agent { port: 9555 }, node);
        match seen {
            Seen::Good(reading) => *entry = crate::controller::sources::Observation { reading: Some(reading), failure: None },
            Seen::Bad(why) => entry.failure = Some(why),
            Seen::Forgotten => *entry = Default::default(),
        }
    }

    fn settle(&mut self, clocks: &Sample) {
        if !self.fleet.synced() {
            return;
        }
        if self.due.is_some_and(|due| clocks.after < due) {
            return;
        }
        let evaluation = evaluate(&self.fleet, &self.observed, &|_| None, &mut self.memory, clocks);
        self.plan = plan(&self.fleet, &evaluation, &self.observed, &mut self.shown, clocks);
        self.plan.retain(|w| !matches!(w, Write::Event { .. }));
        self.plan.reverse();
        self.dirty = false;
        self.due = Some(clocks.after.after(Duration::from_millis(if self.plan.is_empty() { 1_000 } else { 100 })));
    }

    fn next(&mut self, clocks: &Sample) -> Option<Errand> {
        while let Some(write) = self.plan.pop() {
            let about = write.about();
            if self.failing.get(&about).is_some_and(|(_, until)| clocks.after < *until) || !self.busy.insert(about) {
                continue;
            }
            return Some(Errand { write, stage: 0, attempts: 0 });
        }
        None
    }

    fn step(errand: &mut Errand, last: Option<Outcome>) -> Step<End> {
        errand.go(last)
    }

    fn answered(&mut self, errand: Errand, end: End, clocks: &Sample) {
        let about = errand.write.about();
        self.busy.remove(&about);
        if matches!(end, End::Failed) {
            let count = self.failing.get(&about).map_or(1, |(c, _)| c + 1);
            self.failing.insert(about, (count, clocks.after.after(Duration::from_millis(500 << count.min(6)))));
            return;
        }
        self.failing.remove(&about);
        match (&errand.write, end) {
            (_, End::Node(node)) => {
                if let Ok(mut node) = serde_json::from_value(node) {
                    trim(&mut node);
                    self.fleet.nodes.put(node);
                }
            }
            (_, End::Policy(policy)) => {
                if let Ok(policy) = serde_json::from_value(policy) {
                    self.fleet.policies.put(PolicyEntry::read(policy));
                }
            }
            (_, End::Clock(clock)) => {
                if let Ok(clock) = serde_json::from_value(clock) {
                    self.fleet.clocks.put(clock);
                }
            }
            (Write::Marks { node, .. } | Write::Condition { node, .. }, End::Gone) => self.fleet.nodes.remove(node),
            (Write::Clock { node, .. }, End::Gone) => self.fleet.clocks.remove(node),
            (Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. }, End::Gone) => {
                self.fleet.policies.remove(policy);
            }
            _ => {}
        }
    }

    fn not_leading() -> End {
        End::NotLeading
    }

    fn due(&self) -> Option<Mono> {
        self.due
    }
}
