//! Planted bugs: what a judge must notice, or it judges nothing.
//!
//! Each sits at a seam, between the engine and the world, so that the engine itself stays as it is; each is the mistake
//! of some project that has been in the field, or one that a careless change here would make.

use super::judge::Rule;
use super::patch::merge;
use crate::api::MARKS_ANNOTATION;
use crate::clock::{Delta, OffsetInterval, Sample};
use crate::controller::engine::Seen;
use crate::controller::request::{Kind, Outcome, Request};
use crate::controller::sources::NodeReading;
use serde_json::{Value, json};
use std::time::Duration;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// Patches without the version that they were computed from (node-readiness-controller #292).
    NoPrecondition,
    /// Replaces the list of taints by its own.
    DropsForeignTaints,
    /// Does not look at the limit (draino #89).
    NoLimit,
    /// Does not find again what it has put on nodes (node-readiness-controller #342).
    ForgetsMarks,
    /// Does not see that a policy is being deleted.
    NoDeletion,
    /// Believes what nobody has measured, where an agent is silent.
    MakesUpEvidence,
    /// Does not wait for `sustainedFor`.
    Hasty,
    /// Writes whether or not it leads.
    NoLease,
    /// Does not see what it has written, and writes it again.
    Chatty,
    /// Does not see that a policy is suspended.
    NoSuspension,
    /// Does not see that a node is exempt.
    NoExemption,
    /// Reads the clock of one node wrongly.
    Slanders,
    /// Does nothing, which is safe.
    Idle,
}

impl Plant {
    /// All of them, with the rule that each breaks, and the scenario in which that shows.
    pub const ALL: [(Plant, Rule, &'static str); 13] = [
        (Plant::NoPrecondition, Rule::Foreign, "racing-writer"),
        (Plant::DropsForeignTaints, Rule::Foreign, "racing-writer"),
        (Plant::NoLimit, Rule::Limit, "limit-of-ten-percent"),
        (Plant::ForgetsMarks, Rule::Leftover, "one-node-steps"),
        (Plant::NoDeletion, Rule::Leftover, "policy-is-deleted"),
        (Plant::MakesUpEvidence, Rule::Evidence, "one-agent-never-answers"),
        (Plant::Hasty, Rule::Evidence, "one-node-steps"),
        (Plant::NoLease, Rule::Lease, "leader-is-cut-off"),
        (Plant::Chatty, Rule::Writes, "one-node-steps"),
        (Plant::NoSuspension, Rule::HandsOff, "suspended"),
        (Plant::NoExemption, Rule::HandsOff, "exempt"),
        (Plant::Slanders, Rule::Healthy, "one-node-steps"),
        (Plant::Idle, Rule::Duty, "wrong-for-long"),
    ];

    pub(super) fn is_idle(self) -> bool {
        self == Plant::Idle
    }

    pub(super) fn acts_without_lease(self) -> bool {
        self == Plant::NoLease
    }

    /// What is asked, spoiled.
    pub(super) fn request(self, mut request: Request) -> Request {
        match self {
            Plant::NoPrecondition => {
                if let Some(metadata) = request.body.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("resourceVersion");
                }
            }
            Plant::DropsForeignTaints => {
                if let Some(taints) = request.body.pointer_mut("/spec/taints").and_then(Value::as_array_mut) {
                    let is_ours =
                        |it: &Value| it.get("key").and_then(Value::as_str).is_some_and(|k| k.contains("clock"));
                    taints.retain(is_ours);
                }
            }
            _ => {}
        }
        request
    }

    /// What is answered, spoiled.
    pub(super) fn outcome(self, outcome: Outcome) -> Outcome {
        outcome.map(|mut object| {
            let kind = match object.get("kind").and_then(Value::as_str) {
                Some("Node") => Kind::Node,
                Some("TimeSyncPolicy") => Kind::Policy,
                Some("NodeClock") => Kind::Clock,
                _ => return object,
            };
            // A policy that is written back must be the one that was read.
            if kind != Kind::Policy {
                self.object(kind, &mut object);
            }
            object
        })
    }

    /// What a watch tells, spoiled.
    pub(super) fn object(self, kind: Kind, object: &mut Value) {
        let change = match (self, kind) {
            (Plant::ForgetsMarks, Kind::Node) => json!({"metadata": {"annotations": {MARKS_ANNOTATION: null}}}),
            (Plant::NoLimit, Kind::Policy) => json!({"spec": {"action": {"limit": {"maxNodes": "100%"}}}}),
            (Plant::Hasty, Kind::Policy) => json!({"spec": {"action": {"sustainedFor": "0s"}}}),
            (Plant::NoSuspension, Kind::Policy) => json!({"spec": {"suspend": false}}),
            (Plant::NoExemption, Kind::Node) => {
                json!({"metadata": {"annotations": {"clockwarden.io/exempt-until": null}}})
            }
            (Plant::NoDeletion, Kind::Policy) => json!({"metadata": {"deletionTimestamp": null}}),
            (Plant::Chatty, Kind::Clock) => json!({"status": null}),
            _ => return,
        };
        merge(object, &change);
    }

    /// What is read of a node, spoiled.
    pub(super) fn reading(self, seen: &mut Seen, node: usize, clocks: &Sample) {
        let far = OffsetInterval::new(Delta::from_nanos(5_000_000_000), Duration::from_millis(1));
        match (self, &mut *seen) {
            (Plant::MakesUpEvidence, Seen::Bad(_)) => {
                *seen = Seen::Good(NodeReading { against_us: Some(far), ..NodeReading::at(*clocks) });
            }
            (Plant::Slanders, Seen::Good(reading)) if node == 0 => {
                reading.against_us = reading.against_us.map(|it| it.shifted(far));
            }
            _ => {}
        }
    }
}
