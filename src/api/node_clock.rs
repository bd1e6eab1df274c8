//! `NodeClock`: what is known about one node's clock, and what happened to it.
//!
//! One per node, named as the node and owned by it. Written only when something changed that a person would care about,
//! and never larger than [`OBJECT_BYTES_MAX`]: 5,000 of them must be nothing to etcd. What drifted and recovered stays
//! in the history; docs/status.md tells how long.
//!
//! Times in it are wall clock times of the controller that wrote it, good for saying when and not for how long: how long
//! is `measuredSeconds`, by the monotonic clock.

#![expect(clippy::duplicated_attributes, reason = "printcolumn attributes repeat their own keys")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing is configured per node.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "clockwarden.io",
    version = "v1alpha1",
    kind = "NodeClock",
    plural = "nodeclocks",
    shortname = "nclk",
    status = "NodeClockStatus",
    derive = "PartialEq",
    doc = "The clock of one node: its state, its offset with an error bound, and a bounded history of steps and incidents.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Offset", type_ = "string", json_path = ".status.offset"),
    printcolumn(name = "Reference", type_ = "string", json_path = ".status.reference"),
    printcolumn(name = "Decision", type_ = "string", json_path = ".status.decisions[0].decision"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", priority = 1),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeClockSpec {}

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeClockStatus {
    /// Synchronized, Drifting or Unknown.
    pub state: String,
    /// CamelCase word for why.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// Offset with its bound, for people, at the time of writing; absent if nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<String>,
    /// Offset in seconds, positive ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_seconds: Option<f64>,
    /// Half the width of the interval that surely holds the offset, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_bound_seconds: Option<f64>,
    /// What the offset is against: the policy's references, the cluster's consensus, or the node's own sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Since when the state has held, by the controller's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<MicroTime>,
    /// When this was written, by the controller's clock. The offset is as old as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<MicroTime>,
    /// What each policy that matches the node does about it, and why. The last ones are left out where there are too
    /// many for the object's size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<NodeDecision>,
    /// What happened, oldest first, bounded: the newest of each kind and the worst drift are kept longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Incident>,
    /// Of incidents up to this time, some were dropped to keep the object small; absent if none ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_until: Option<MicroTime>,
}

/// One policy's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeDecision {
    /// The policy's name.
    pub policy: String,
    /// `outcome/reason` in one word, as `Leave/HeldDown`.
    pub decision: String,
    /// What is done: Act, Keep, Release, WouldAct or Leave.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// CamelCase word for why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The same for people, as it was when this was written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl NodeDecision {
    /// From the policy's name, the decision's word (`Leave/HeldDown`), and what it means for people.
    #[must_use]
    pub fn of(policy: &str, word: &str, message: &str) -> NodeDecision {
        let (outcome, reason) = word.split_once('/').unwrap_or((word, ""));
        NodeDecision {
            policy: policy.to_owned(),
            decision: word.to_owned(),
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }

    /// Whether both say the same but for the words, in which numbers change while nothing else does.
    #[must_use]
    pub fn is_alike(&self, other: &NodeDecision) -> bool {
        let NodeDecision { policy, decision, outcome, reason, message: _ } = self;
        (policy, decision, outcome, reason) == (&other.policy, &other.decision, &other.outcome, &other.reason)
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// When it was noticed, by the controller's clock.
    pub time: MicroTime,
    /// When it was over, by the controller's clock. Only Drifting and Unknown last; without it they go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<MicroTime>,
    /// Stepped, Suspended, Slewing, Slewed, Paused, Moved (a pause, or a reference that was set: nobody can say),
    /// Drifting, Unknown, Tainted, Untainted, Cordoned, Uncordoned.
    pub kind: String,
    /// The offset then; or by how much the clock was set, slewed, or fell behind, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_seconds: Option<f64>,
    /// Of a drift: the offset that was furthest from zero, in seconds, positive ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_seconds: Option<f64>,
    /// Of a drift: the integral of |offset| over the measured time, in seconds times seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area_seconds_squared: Option<f64>,
    /// Of a drift: for how long there was evidence of it, in seconds, by the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_seconds: Option<f64>,
    /// In words.
    pub message: String,
}

impl Incident {
    /// Kind of a period beyond tolerance.
    pub const DRIFTING: &'static str = "Drifting";
    /// Kind of a period without evidence.
    pub const UNKNOWN: &'static str = "Unknown";

    /// Whether it is a period that goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.until.is_none() && (self.kind == Self::DRIFTING || self.kind == Self::UNKNOWN)
    }
}

/// The history keeps at most this many incidents.
pub const HISTORY_MAX: usize = 32;
/// No NodeClock is larger than this as JSON, with all its metadata.
pub const OBJECT_BYTES_MAX: usize = 8192;
