//! `NodeClock`: what is known about one node's clock, and what happened to it. One per node, named as the node and
//! owned by it. Written only when something changed that a person would care about.

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
    /// What each policy that matches the node does about it, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<NodeDecision>,
    /// What happened, oldest first, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Incident>,
}

/// One policy's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeDecision {
    /// The policy's name.
    pub policy: String,
    /// CamelCase word: what is done or why nothing is.
    pub decision: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// When it was noticed, by the controller's clock.
    pub time: MicroTime,
    /// Stepped, Suspended, Slewing, Slewed, Paused, Moved (a pause, or a reference that was set: nobody can say),
    /// Drifting, Unknown, Recovered, Tainted, Untainted, Cordoned, Uncordoned.
    pub kind: String,
    /// The offset then; or by how much the clock was set, slewed, or fell behind, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_seconds: Option<f64>,
    /// In words.
    pub message: String,
}

/// The history keeps this many incidents, the newest; the oldest go first.
pub const HISTORY_MAX: usize = 32;
