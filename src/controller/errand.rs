//! A write on its way: which requests it takes, one after the other, each given the answer to the one before.
//!
//! A [`Write`] is complete, nothing is decided here but how. The live object is read, the patch is computed from what
//! was read and sent with that object's resourceVersion as precondition; a conflict means that somebody else was faster,
//! and everything is done again from a fresh read. What is done twice is done once: each errand looks first whether there
//! is anything left to do.
//!
//! Does not know: leadership, time, the network. Whoever performs the requests asks before each whether we still lead.

use super::fleet::{PolicyEntry, trim};
use super::request::{Kind, Outcome, Refusal, Request, Verb};
use super::write::{Answer, Write, WriteError};
use crate::api::node_clock::NodeClockSpec;
use crate::api::{self, NodeClock, node_marks};
use crate::policy::{Mark, Marks};
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// So often a conflict is answered by a fresh read before others get their turn.
const ATTEMPTS: u32 = 10;

/// One write and how far it has come.
#[derive(Debug, Clone)]
pub struct Errand {
    write: Write,
    stage: Stage,
    attempts: u32,
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    /// The live object was asked for.
    Reading,
    /// A NodeClock is being made.
    Making,
    /// The change itself is on its way.
    Writing,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// This is to be asked, and [`Errand::step`] to be called with the outcome.
    Ask(Request),
    /// It is over.
    Done(Result<Answer, WriteError>),
}

impl Errand {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(write: Write) -> Errand {
        Errand { write, stage: Stage::Begin, attempts: 0, changed: false }
    }

    /// What is to be written.
    #[must_use]
    pub fn write(&self) -> &Write {
        &self.write
    }

    /// Whether a change was accepted, or may have been: not only read.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The next request, given the outcome of the last; `None` at first.
    pub fn step(&mut self, last: Option<Outcome>) -> Step {
        match last {
            None => self.begin(),
            Some(Err(Refusal::Conflict)) => {
                self.attempts = self.attempts.saturating_add(1);
                if self.attempts >= ATTEMPTS { done(Err(WriteError::Contended(ATTEMPTS))) } else { self.begin() }
            }
            Some(Err(Refusal::NotFound)) if self.stage == Stage::Reading && self.makes_its_object() => self.make(),
            Some(Err(Refusal::NotFound)) => done(Ok(Answer::Gone)),
            Some(Err(refusal)) => {
                // Silence in the middle of a change: whether it was done is not known.
                self.changed |= self.stage != Stage::Reading && matches!(refusal, Refusal::Silent(_));
                done(Err(refusal.into()))
            }
            Some(Ok(value)) => self.answered(value).unwrap_or_else(|error| done(Err(error))),
        }
    }

    fn makes_its_object(&self) -> bool {
        matches!(self.write, Write::Clock { .. })
    }

    fn begin(&mut self) -> Step {
        self.stage = Stage::Reading;
        match &self.write {
            Write::Marks { node, desired, known } => {
                // What is known may be what there is, which saves a read; if it is not, that is a conflict.
                let known = known.as_ref().filter(|_| self.attempts == 0);
                if let Some(Ok(Some(patch))) = known.map(|known| marks(known, desired)) {
                    self.stage = Stage::Writing;
                    return ask(Verb::Merge, Kind::Node, node, false, patch);
                }
                ask(Verb::Get, Kind::Node, node, false, Value::Null)
            }
            Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. } | Write::Confirm { policy } => {
                ask(Verb::Get, Kind::Policy, policy, false, Value::Null)
            }
            Write::Clock { node, .. } => ask(Verb::Get, Kind::Clock, node, false, Value::Null),
            Write::Condition { node, condition, version } => match version {
                // What is known may be what there is, which saves a read; if it is not, that is a conflict.
                Some(version) if self.attempts == 0 => {
                    self.stage = Stage::Writing;
                    told(node, condition.as_deref(), version)
                }
                _ => ask(Verb::Get, Kind::Node, node, false, Value::Null),
            },
            Write::Event(notice) => {
                self.stage = Stage::Writing;
                let name = notice.about.name.clone().unwrap_or_default();
                ask(Verb::Create, Kind::Event, &name, false, json!(notice))
            }
        }
    }

    fn answered(&mut self, value: Value) -> Result<Step, WriteError> {
        let is_change = self.stage == Stage::Writing;
        self.changed |= is_change || self.stage == Stage::Making;
        Ok(match &self.write {
            Write::Marks { node, desired, known } => {
                let mut live: Node = read(value)?;
                let is_another = known.as_ref().is_some_and(|known| is_another(known, &live));
                // What was decided about another node than this is decided anew.
                if !is_change
                    && !is_another
                    && let Some(patch) = marks(&live, desired)?
                {
                    let name = node.clone();
                    self.stage = Stage::Writing;
                    return Ok(ask(Verb::Merge, Kind::Node, &name, false, patch));
                }
                trim(&mut live);
                done(Ok(Answer::Node(Box::new(live))))
            }
            Write::Condition { node, condition, .. } => {
                let mut live: Node = read(value)?;
                if !is_change && !says(&live, condition.as_deref()) {
                    let version = live.metadata.resource_version.unwrap_or_default();
                    let step = told(node, condition.as_deref(), &version);
                    self.stage = Stage::Writing;
                    return Ok(step);
                }
                trim(&mut live);
                done(Ok(Answer::Node(Box::new(live))))
            }
            Write::Confirm { .. } => done(Ok(Answer::Policy(Box::new(PolicyEntry::read(read(value)?))))),
            Write::Finalizer { policy, present } => {
                let live: DynamicObject = read(value)?;
                if !is_change && let Some(patch) = finalizer(&live, *present) {
                    let name = policy.clone();
                    self.stage = Stage::Writing;
                    return Ok(ask(Verb::Merge, Kind::Policy, &name, false, patch));
                }
                // Without the last finalizer the object of a deletion is gone, though the answer still shows it.
                let finalizers = live.metadata.finalizers.as_deref().unwrap_or_default();
                let gone = live.metadata.deletion_timestamp.is_some() && finalizers.is_empty();
                done(Ok(if gone { Answer::Gone } else { Answer::Policy(Box::new(PolicyEntry::read(live))) }))
            }
            Write::PolicyStatus { policy, status } => {
                if is_change {
                    return Ok(done(Ok(Answer::Policy(Box::new(PolicyEntry::read(read(value)?))))));
                }
                let body = with_status(value, json!(status));
                let name = policy.clone();
                self.stage = Stage::Writing;
                ask(Verb::Replace, Kind::Policy, &name, true, body)
            }
            Write::Clock { node, status, .. } => {
                if is_change {
                    return Ok(done(Ok(Answer::Clock(Box::new(read(value)?)))));
                }
                let body = with_status(value, json!(status));
                let name = node.clone();
                self.stage = Stage::Writing;
                ask(Verb::Replace, Kind::Clock, &name, true, body)
            }
            Write::Event(_) => done(Ok(Answer::Done)),
        })
    }

    /// The NodeClock does not exist yet.
    fn make(&mut self) -> Step {
        let Write::Clock { node, uid, .. } = &self.write else { return done(Ok(Answer::Gone)) };
        let mut fresh = NodeClock::new(node, NodeClockSpec {});
        fresh.metadata.owner_references = Some(vec![OwnerReference {
            api_version: Node::api_version(&()).into_owned(),
            kind: Node::kind(&()).into_owned(),
            name: node.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        }]);
        self.stage = Stage::Making;
        ask(Verb::Create, Kind::Clock, &node.clone(), false, json!(fresh))
    }
}

fn ask(verb: Verb, kind: Kind, name: &str, status: bool, body: Value) -> Step {
    Step::Ask(Request { verb, kind, name: name.to_owned(), status, body })
}

fn done(result: Result<Answer, WriteError>) -> Step {
    Step::Done(result)
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, WriteError> {
    serde_json::from_value(value).map_err(WriteError::Answer)
}

/// A condition told. Conditions are merged by type on the server, so nobody else's can be lost; the precondition keeps a
/// sender that has slept from telling what is not so any more.
fn told(node: &str, condition: Option<&NodeCondition>, version: &str) -> Step {
    let entry = match condition {
        Some(condition) => json!(condition),
        None => json!({"type": api::NODE_CONDITION, "$patch": "delete"}),
    };
    let body = json!({"metadata": {"resourceVersion": version}, "status": {"conditions": [entry]}});
    ask(Verb::Strategic, Kind::Node, node, true, body)
}

/// Whether the live node says that already.
fn says(live: &Node, condition: Option<&NodeCondition>) -> bool {
    let all = live.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let live = all.iter().find(|it| it.type_ == api::NODE_CONDITION);
    let words = |it: &NodeCondition| (it.status.clone(), it.reason.clone());
    live.map(words) == condition.map(words)
}

fn with_status(mut object: Value, status: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("status".to_owned(), status);
    }
    object
}

/// Whether what decisions look at, clocks and marks apart, is not what it was: labels, what people have annotated, whether
/// it is cordoned or being deleted.
fn is_another(known: &Node, live: &Node) -> bool {
    let mut live = live.clone();
    trim(&mut live);
    let facts = |node: &Node| {
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
        (node.metadata.deletion_timestamp.is_some(), cordoned)
    };
    let (was, is) = (&known.metadata, &live.metadata);
    facts(known) != facts(&live) || was.uid != is.uid || was.labels != is.labels || was.annotations != is.annotations
}

/// The patch that the live node needs, if it needs one.
fn marks(live: &Node, desired: &Marks) -> Result<Option<Value>, WriteError> {
    // A node that is going away gets nothing new; what is on it goes with it.
    let change = node_marks::change(live, desired)?
        .filter(|change| change.added.is_empty() || live.metadata.deletion_timestamp.is_none());
    let Some(change) = change else { return Ok(None) };
    let words = |marks: &[Mark]| marks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (added, removed) = (words(&change.added), words(&change.removed));
    tracing::info!(node = live.metadata.name, added, removed, "changing marks");
    Ok(Some(change.patch))
}

fn finalizer(live: &DynamicObject, present: bool) -> Option<Value> {
    let mut finalizers = live.metadata.finalizers.clone().unwrap_or_default();
    let had = finalizers.iter().any(|f| f == api::FINALIZER);
    if had == present || (present && live.metadata.deletion_timestamp.is_some()) {
        return None;
    }
    if present {
        finalizers.push(api::FINALIZER.to_owned());
    } else {
        finalizers.retain(|f| f != api::FINALIZER);
    }
    Some(json!({"metadata": {"resourceVersion": live.metadata.resource_version, "finalizers": finalizers}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::marks::Effect;

    fn node(version: u32, more: &Value) -> Value {
        let mut node = json!({"metadata": {"name": "n", "uid": "u", "resourceVersion": version.to_string(), "labels": {},
            "annotations": {}}, "spec": {}});
        for (path, value) in more.as_object().into_iter().flatten() {
            let (parent, field) = path.rsplit_once('/').unwrap();
            node.pointer_mut(parent).unwrap()[field] = value.clone();
        }
        node
    }

    /// A taint is put on a node that is known in version 1 and turns out to be this one. Whether it is patched then.
    fn check(live: Value, expected: Option<&str>) {
        let mut desired = Marks::default();
        desired.hold(Mark::Taint { key: "clockwarden.io/clock-drift".into(), effect: Effect::NoSchedule }, "p");
        let known = Some(Box::new(serde_json::from_value(node(1, &json!({}))).unwrap()));
        let mut errand = Errand::new(Write::Marks { node: "n".into(), desired, known });
        let Step::Ask(first) = errand.step(None) else { panic!("nothing is asked") };
        assert_eq!((first.verb, &first.body["metadata"]["resourceVersion"]), (Verb::Merge, &json!("1")));
        let Step::Ask(second) = errand.step(Some(Err(Refusal::Conflict))) else { panic!("given up") };
        assert_eq!(second.verb, Verb::Get);
        match errand.step(Some(Ok(live.clone()))) {
            Step::Ask(third) => {
                assert_eq!(third.body["metadata"]["resourceVersion"].as_str(), expected, "{live}");
            }
            Step::Done(Ok(Answer::Node(_))) => assert!(expected.is_none() && !errand.changed(), "{live}"),
            Step::Done(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_decided_about_another_node_than_there_is_now_is_decided_anew() {
        let heartbeat = json!({"/status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        check(node(2, &heartbeat), Some("2"));
        check(node(2, &json!({"/spec/taints": [{"key": "other", "effect": "NoSchedule"}]})), Some("2"));
        check(node(2, &json!({"/metadata/annotations": {"other": "x"}})), Some("2"));
        for other in [
            json!({"/metadata/annotations": {"clockwarden.io/exempt-until": "2100-01-01T00:00:00Z"}}),
            json!({"/metadata/labels": {"zone": "b"}}),
            json!({"/spec/unschedulable": true}),
            json!({"/metadata/uid": "another"}),
            json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"}),
        ] {
            check(node(2, &other), None);
        }
    }
}
