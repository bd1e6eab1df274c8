//! (fleet, evaluation) -> the writes that are due, most urgent first. A plan is complete: whoever performs it has no
//! choices left.
//!
//! Order: marks that only come off, marks that go on, finalizers, then what is merely told (conditions, NodeClocks,
//! statuses, Events). Undoing before doing, so that the room under a limit is never taken twice.

use super::apply::Write;
use super::evaluate::Evaluation;
use super::fleet::Fleet;
use super::policy_status::{self, Shown};
use super::record::{self, Due, Ledger};
use super::sources::Observed;
use crate::agent::report::JumpReport;
use crate::api::{NODE_CONDITION, NodeClock, TimeSyncPolicy, node_marks};
use crate::clock::Sample;
use crate::policy::Marks;
use k8s_openapi::api::core::v1::{Node, NodeCondition, ObjectReference};
use kube::Resource;
use std::collections::HashMap;
use std::time::Duration;

/// Everything that is due, in order.
#[must_use]
pub fn plan(
    fleet: &Fleet,
    evaluation: &Evaluation,
    observed: &Observed,
    shown: &mut Shown,
    ledgers: &mut HashMap<String, Ledger>,
    clocks: &Sample,
) -> Vec<Write> {
    let now = clocks.wall;
    ledgers.retain(|node, _| fleet.nodes.get(node).is_some());
    let (mut undo, mut act, mut tell) = (Vec::new(), Vec::new(), Vec::new());
    let policy = |name: &str| fleet.policies.get(name).and_then(|entry| entry.policy.as_ref().ok());
    for (name, node) in fleet.nodes.iter() {
        let desired = evaluation.desired.get(name).cloned().unwrap_or_default();
        marks(name, node, desired, &mut undo, &mut act);
        let jumps: Vec<JumpReport> = observed
            .of(name)
            .filter_map(|o| o.reading.as_ref())
            .flat_map(|r| r.jumps().iter().map(|jump| aged(jump, clocks.after.since(r.clocks.after))))
            .collect();
        match record::summary(name, evaluation, &policy) {
            Some(summary) => {
                let ledger = ledgers.entry(name.clone()).or_default();
                let stored = fleet.clocks.get(name).and_then(|clock: &NodeClock| clock.status.as_ref());
                let due = record::node_clock(stored, &summary, &jumps, node, ledger, clocks);
                tell_of_node(name, node, record::condition(node, &summary, now), due, &mut tell);
            }
            None => forget(name, node, evaluation, &mut tell),
        }
    }
    let mut finalizers = Vec::new();
    for (name, entry) in fleet.policies.iter() {
        finalizers.extend(finalizer(name, fleet));
        if entry.deleting() {
            continue;
        }
        let Some(view) = evaluation.policies.get(name) else { continue };
        if let Some((status, event)) = policy_status::due(name, entry, view, shown, now) {
            tell.push(Write::PolicyStatus { policy: name.clone(), status: Box::new(status) });
            if let Some((reason, note)) = event {
                let about = ObjectReference {
                    api_version: Some(TimeSyncPolicy::api_version(&()).into_owned()),
                    kind: Some(TimeSyncPolicy::kind(&()).into_owned()),
                    name: Some(name.clone()),
                    uid: entry.metadata.uid.clone(),
                    ..ObjectReference::default()
                };
                tell.push(Write::Event { about: Box::new(about), reason, warning: true, note });
            }
        }
    }
    undo.into_iter().chain(act).chain(finalizers).chain(tell).collect()
}

/// A jump as old as it is now, and not as old as it was when it was reported.
fn aged(jump: &JumpReport, since: Duration) -> JumpReport {
    JumpReport { age_seconds: jump.age_seconds.map(|age| age + since.as_secs_f64()), ..jump.clone() }
}

fn marks(name: &str, node: &Node, desired: Marks, undo: &mut Vec<Write>, act: &mut Vec<Write>) {
    // A record that cannot be read stops us here; it is told through the node's decision.
    if let Ok(Some(change)) = node_marks::change(node, &desired) {
        let deleting = node.metadata.deletion_timestamp.is_some();
        if !deleting || change.added.is_empty() {
            let queue = if change.added.is_empty() { undo } else { act };
            queue.push(Write::Marks { node: name.to_owned(), desired });
        }
    }
}

fn tell_of_node(name: &str, node: &Node, condition: Option<NodeCondition>, due: Due, tell: &mut Vec<Write>) {
    if let Some(condition) = condition {
        tell.push(Write::Condition { node: name.to_owned(), condition: Some(Box::new(condition)) });
    }
    // What is put off is looked at again with every round.
    if let Due::Now(status, incidents) = due {
        let uid = node.metadata.uid.clone().unwrap_or_default();
        tell.push(Write::Clock { node: name.to_owned(), uid: uid.clone(), status });
        for incident in incidents {
            let (reason, warning) = record::event(&incident.kind);
            let about = ObjectReference {
                api_version: Some(Node::api_version(&()).into_owned()),
                kind: Some(Node::kind(&()).into_owned()),
                name: Some(name.to_owned()),
                uid: Some(uid.clone()),
                ..ObjectReference::default()
            };
            tell.push(Write::Event { about: Box::new(about), reason, warning, note: incident.message });
        }
    }
}

/// No policy matches this node any more: its condition would only grow stale.
fn forget(name: &str, node: &Node, evaluation: &Evaluation, tell: &mut Vec<Write>) {
    let matched = evaluation.policies.values().any(|v| v.unusable.is_some() || v.nodes.iter().any(|n| n.node == *name));
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    if !matched && conditions.iter().any(|c| c.type_ == NODE_CONDITION) {
        tell.push(Write::Condition { node: name.to_owned(), condition: None });
    }
}

/// The finalizer comes before the first mark and goes when no node carries a mark of the policy.
fn finalizer(name: &str, fleet: &Fleet) -> Option<Write> {
    let entry = fleet.policies.get(name)?;
    let write = |present| Some(Write::Finalizer { policy: name.to_owned(), present });
    if !entry.deleting() {
        return if entry.has_finalizer() { None } else { write(true) };
    }
    let held = fleet.nodes.iter().any(|(_, node)| match node_marks::owned(node) {
        Ok(marks) => marks.held_by(name),
        // Nothing of it can be taken off by us; a policy must not be undeletable for it.
        Err(_) => false,
    });
    if entry.has_finalizer() && !held { write(false) } else { None }
}
