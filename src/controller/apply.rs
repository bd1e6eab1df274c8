//! The only place that writes to the cluster (the leader lease apart, which [`super::elect`] keeps).
//!
//! A [`Write`] is complete: nothing is decided here. Before each: do we still lead? Then the live object is read, the
//! patch is computed from what was read, and it is sent with that object's resourceVersion as precondition; a
//! conflict means that somebody else was faster, and everything is done again from a fresh read.

use super::elect::Leadership;
use super::fleet::{PolicyEntry, trim};
use crate::api::node_clock::NodeClockSpec;
use crate::api::node_marks::{self, UnreadableMarks};
use crate::api::{self, NodeClock, NodeClockStatus, TimeSyncPolicy, TimeSyncPolicyStatus};
use crate::policy::Marks;
use k8s_openapi::api::core::v1::{Node, NodeCondition, ObjectReference};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One change of the cluster, fully decided.
#[derive(Debug, Clone)]
pub enum Write {
    /// The node carries exactly these marks of ours.
    Marks {
        /// Name of the node.
        node: String,
        /// Empty: none.
        desired: Marks,
    },
    /// Our finalizer on a policy comes or goes.
    Finalizer {
        /// Name of the policy.
        policy: String,
        /// Comes.
        present: bool,
    },
    /// The node's condition; `None` removes it.
    Condition {
        /// Name of the node.
        node: String,
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
    Event {
        /// What it is about.
        about: Box<ObjectReference>,
        /// CamelCase reason.
        reason: &'static str,
        /// Warning or normal.
        warning: bool,
        /// For people.
        note: String,
    },
}

impl Write {
    /// The word in metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Write::Marks { .. } => "marks",
            Write::Finalizer { .. } => "finalizer",
            Write::Condition { .. } => "condition",
            Write::Clock { .. } => "nodeclock",
            Write::PolicyStatus { .. } => "policy_status",
            Write::Event { .. } => "event",
        }
    }

    /// What it is about, for logs and for backing off from what keeps failing.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Write::Marks { node, .. } | Write::Condition { node, .. } | Write::Clock { node, .. } => {
                format!("{} of node {node}", self.kind())
            }
            Write::Finalizer { policy, .. } | Write::PolicyStatus { policy, .. } => {
                format!("{} of policy {policy}", self.kind())
            }
            Write::Event { about, reason, .. } => {
                format!("event {reason} about {}", about.name.as_deref().unwrap_or_default())
            }
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

/// Why a write did not happen. It is decided anew from the index; nothing is queued.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else leads.
    #[error("the leader lease is not held")]
    NotLeading,
    /// The API server took the request and did not answer; whether it did it will be seen.
    #[error("the API server did not answer within {0:?}")]
    Silent(Duration),
    /// Others kept changing the object.
    #[error("the object kept changing under {0} attempts")]
    Contended(u32),
    /// The node's record of what is ours cannot be believed.
    #[error(transparent)]
    Unreadable(#[from] UnreadableMarks),
    /// The API server refused or did not answer.
    #[error("the API server refused or did not answer")]
    Api(#[from] kube::Error),
    /// A value of ours has no JSON form: a bug.
    #[error("a value could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

const ATTEMPTS: u32 = 10;
/// One attempt takes no longer. It is the time between our last moment of leading (the renew deadline, 10 s) and the
/// first of anybody else (the lease's duration, 15 s): what we began while we led has ended before another begins.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// Performs writes, and counts them.
pub struct Writer {
    nodes: Api<Node>,
    clocks: Api<NodeClock>,
    policies: Api<DynamicObject>,
    recorder: Recorder,
    leadership: Leadership,
    written: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Writer {
    /// A writer that writes while `leadership` is held.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership, instance: String) -> Writer {
        let reporter = Reporter { controller: api::CONTROLLER.to_owned(), instance: Some(instance) };
        Writer {
            nodes: Api::all(client.clone()),
            clocks: Api::all(client.clone()),
            policies: Api::all_with(client.clone(), &ApiResource::erase::<TimeSyncPolicy>(&())),
            recorder: Recorder::new(client, reporter),
            leadership,
            written: Arc::default(),
        }
    }

    /// Writes so far, by kind.
    #[must_use]
    pub fn written(&self) -> Arc<Mutex<BTreeMap<&'static str, u64>>> {
        Arc::clone(&self.written)
    }

    /// Performs one write.
    ///
    /// # Errors
    /// It did not happen, or it is not known whether it did.
    pub async fn perform(&self, write: &Write) -> Result<Answer, WriteError> {
        for _ in 0..ATTEMPTS {
            if !self.leadership.leads() {
                return Err(WriteError::NotLeading);
            }
            let attempt = tokio::time::timeout(ATTEMPT_MAX, self.attempt(write)).await;
            match attempt.unwrap_or(Err(WriteError::Silent(ATTEMPT_MAX))) {
                Err(WriteError::Api(kube::Error::Api(status))) if status.code == 409 => {}
                Err(WriteError::Api(kube::Error::Api(status))) if status.code == 404 => return Ok(Answer::Gone),
                other => return other,
            }
        }
        Err(WriteError::Contended(ATTEMPTS))
    }

    async fn attempt(&self, write: &Write) -> Result<Answer, WriteError> {
        match write {
            Write::Marks { node, desired } => self.marks(node, desired).await,
            Write::Finalizer { policy, present } => self.finalizer(policy, *present).await,
            Write::Condition { node, condition } => self.condition(node, condition.as_deref()).await,
            Write::Clock { node, uid, status } => self.clock(node, uid, status).await,
            Write::PolicyStatus { policy, status } => self.policy_status(policy, status).await,
            Write::Event { about, reason, warning, note } => {
                let event = Event {
                    type_: if *warning { EventType::Warning } else { EventType::Normal },
                    reason: (*reason).to_owned(),
                    note: Some(note.chars().take(1000).collect()),
                    action: "Clockwarden".to_owned(),
                    secondary: None,
                };
                self.recorder.publish(&event, about).await?;
                self.count("event");
                Ok(Answer::Done)
            }
        }
    }

    fn count(&self, kind: &'static str) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let count = written.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    async fn marks(&self, name: &str, desired: &Marks) -> Result<Answer, WriteError> {
        let mut live = self.nodes.get(name).await?;
        let change = node_marks::change(&live, desired)?;
        // A node that is going away gets nothing new; what is on it goes with it.
        let change = change.filter(|c| c.added.is_empty() || live.metadata.deletion_timestamp.is_none());
        if let Some(change) = change {
            live = self.nodes.patch(name, &params(), &Patch::Merge(&change.patch)).await?;
            self.count("marks");
            let words =
                |marks: &[crate::policy::Mark]| marks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::info!(
                node = name,
                added = words(&change.added),
                removed = words(&change.removed),
                "marks changed"
            );
        }
        trim(&mut live);
        Ok(Answer::Node(Box::new(live)))
    }

    async fn finalizer(&self, name: &str, present: bool) -> Result<Answer, WriteError> {
        let live = self.policies.get(name).await?;
        let mut finalizers = live.finalizers().to_vec();
        let had = finalizers.iter().any(|f| f == api::FINALIZER);
        if had == present || (present && live.metadata.deletion_timestamp.is_some()) {
            return Ok(Answer::Policy(Box::new(PolicyEntry::read(live))));
        }
        if present {
            finalizers.push(api::FINALIZER.to_owned());
        } else {
            finalizers.retain(|f| f != api::FINALIZER);
        }
        let patch = json!({"metadata": {"resourceVersion": live.resource_version(), "finalizers": finalizers}});
        let live = self.policies.patch(name, &params(), &Patch::Merge(&patch)).await?;
        self.count("finalizer");
        // Without the last finalizer the object of a deletion is gone, though the answer still shows it.
        let gone = live.metadata.deletion_timestamp.is_some() && live.finalizers().is_empty();
        Ok(if gone { Answer::Gone } else { Answer::Policy(Box::new(PolicyEntry::read(live))) })
    }

    async fn condition(&self, name: &str, condition: Option<&NodeCondition>) -> Result<Answer, WriteError> {
        // Conditions are merged by type on the server: nobody else's can be lost, so no precondition is needed.
        let entry = match condition {
            Some(condition) => serde_json::to_value(condition)?,
            None => json!({"type": api::NODE_CONDITION, "$patch": "delete"}),
        };
        let patch = json!({"status": {"conditions": [entry]}});
        let mut live = self.nodes.patch_status(name, &params(), &Patch::Strategic(&patch)).await?;
        self.count("condition");
        trim(&mut live);
        Ok(Answer::Node(Box::new(live)))
    }

    async fn clock(&self, name: &str, uid: &str, status: &NodeClockStatus) -> Result<Answer, WriteError> {
        let mut live = match self.clocks.get_opt(name).await? {
            Some(live) => live,
            None => {
                let mut fresh = NodeClock::new(name, NodeClockSpec {});
                fresh.metadata.owner_references =
                    Some(vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
                        api_version: Node::api_version(&()).into_owned(),
                        kind: Node::kind(&()).into_owned(),
                        name: name.to_owned(),
                        uid: uid.to_owned(),
                        ..Default::default()
                    }]);
                let made = self.clocks.create(&PostParams::default(), &fresh).await?;
                self.count("nodeclock");
                made
            }
        };
        live.status = Some(status.clone());
        let live = self.clocks.replace_status(name, &PostParams::default(), &live).await?;
        self.count("nodeclock");
        Ok(Answer::Clock(Box::new(live)))
    }

    async fn policy_status(&self, name: &str, status: &TimeSyncPolicyStatus) -> Result<Answer, WriteError> {
        let mut live = self.policies.get(name).await?;
        if let Some(fields) = live.data.as_object_mut() {
            fields.insert("status".to_owned(), serde_json::to_value(status)?);
        }
        let live = self.policies.replace_status(name, &PostParams::default(), &live).await?;
        self.count("policy_status");
        Ok(Answer::Policy(Box::new(PolicyEntry::read(live))))
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(api::CONTROLLER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_api_server_that_takes_a_request_and_never_answers_does_not_hold_us_for_ever() {
        // Port 0 of a listener that nobody accepts from: the kernel completes the connection, and that is all.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let client = Client::try_from(kube::Config::new(url)).unwrap();
        let writer = Writer::new(client, Leadership::sole(), "test".into());
        // Only now: connecting and waiting is all that is left, and the clock of the runtime leaps over that.
        tokio::time::pause();
        let write = Write::Marks { node: "n".into(), desired: Marks::default() };
        assert!(matches!(writer.perform(&write).await, Err(WriteError::Silent(_))));
        drop(listener);
    }
}
