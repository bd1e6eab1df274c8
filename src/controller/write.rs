//! What may be changed in a cluster, as values, and what becomes of it.

use super::fleet::PolicyEntry;
use super::request::Refusal;
use crate::api::node_marks::UnreadableMarks;
use crate::api::{NodeClock, NodeClockStatus, TimeSyncPolicyStatus};
use crate::policy::Marks;
use k8s_openapi::api::core::v1::{Node, NodeCondition, ObjectReference};
use serde::{Deserialize, Serialize};

/// One change of the cluster, fully decided.
#[derive(Debug, Clone)]
pub enum Write {
    /// The node carries exactly these marks of ours.
    Marks {
        /// Name of the node.
        node: String,
        /// Empty: none.
        desired: Marks,
        /// The node as it is known, if that is enough to tell what is to be changed; it is read otherwise.
        known: Option<Box<Node>>,
    },
    /// Our finalizer on a policy comes or goes.
    Finalizer {
        /// Name of the policy.
        policy: String,
        /// Comes.
        present: bool,
    },
    /// Nothing is changed: the policy is read, since what watches tell may be late.
    Confirm {
        /// Name of the policy.
        policy: String,
    },
    /// The node's condition; `None` removes it.
    Condition {
        /// Name of the node.
        node: String,
        /// resourceVersion of the node as it is known.
        version: Option<String>,
        /// What it says.
        condition: Option<Box<NodeCondition>>,
    },
    /// The node's NodeClock; made if there is none.
    Clock {
        /// Name of the node, and of the NodeClock.
        node: String,
        /// uid of the node, its owner.
        uid: String,
        /// What it says.
        status: Box<NodeClockStatus>,
    },
    /// A policy's status.
    PolicyStatus {
        /// Name of the policy.
        policy: String,
        /// What it says.
        status: Box<TimeSyncPolicyStatus>,
    },
    /// An Event.
    Event(Box<Notice>),
}

/// What an Event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about.
    pub about: ObjectReference,
    /// CamelCase reason.
    pub reason: String,
    /// Warning or normal.
    pub warning: bool,
    /// For people.
    pub note: String,
}

impl Write {
    /// The word in metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Write::Marks { .. } => "marks",
            Write::Finalizer { .. } => "finalizer",
            Write::Confirm { .. } => "confirm",
            Write::Condition { .. } => "condition",
            Write::Clock { .. } => "nodeclock",
            Write::PolicyStatus { .. } => "policy_status",
            Write::Event { .. } => "event",
        }
    }

    /// The object that it is about.
    #[must_use]
    pub fn about(&self) -> &str {
        match self {
            Write::Marks { node, .. } | Write::Condition { node, .. } | Write::Clock { node, .. } => node,
            Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. } | Write::Confirm { policy } => policy,
            Write::Event(notice) => notice.about.name.as_deref().unwrap_or_default(),
        }
    }
}

/// What the API server has now.
#[derive(Debug)]
pub enum Answer {
    /// The node, trimmed.
    Node(Box<Node>),
    /// The policy.
    Policy(Box<PolicyEntry>),
    /// The NodeClock.
    Clock(Box<NodeClock>),
    /// There is no such object any more.
    Gone,
    /// Nothing to know.
    Done,
}

/// Why a write did not happen. What is due is derived anew from what is known by then.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else leads.
    #[error("the leader lease is not held")]
    NotLeading,
    /// It was not wanted any more when it was about to be done.
    #[error("it is not wanted any more")]
    Superseded,
    /// Others kept changing the object.
    #[error("the object kept changing under {0} attempts")]
    Contended(u32),
    /// The node's record of what is ours cannot be believed.
    #[error(transparent)]
    Unreadable(#[from] UnreadableMarks),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(#[from] Refusal),
    /// What came is not what was asked for.
    #[error("the API server's answer cannot be read")]
    Answer(#[source] serde_json::Error),
}
