//! The condition `ClockSynchronized` of a Node: True, False or Unknown, with reason and words.
//!
//! Written when the status or the reason changes; the words carry an offset, which wobbles, and are no reason to write.

use super::Summary;
use crate::api;
use crate::clock::{State, Wall};
use crate::runtime::timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The Node condition that is due; `None` if the live one still holds.
#[must_use]
pub fn condition(node: &Node, summary: &Summary<'_>, now: Wall) -> Option<NodeCondition> {
    let live = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let live = live.and_then(|all| all.iter().find(|c| c.type_ == api::NODE_CONDITION));
    let status = match summary.standing.state() {
        State::Synchronized => "True",
        State::Drifting => "False",
        State::Unknown(_) => "Unknown",
    };
    if live.is_some_and(|c| c.status == status && c.reason.as_deref() == Some(summary.reason())) {
        return None;
    }
    let time = Some(Time(timestamp(now)));
    let same_status = live.is_some_and(|c| c.status == status);
    Some(NodeCondition {
        type_: api::NODE_CONDITION.to_owned(),
        status: status.to_owned(),
        reason: Some(summary.reason().to_owned()),
        message: Some(summary.message()),
        last_heartbeat_time: time.clone(),
        last_transition_time: if same_status { live.and_then(|c| c.last_transition_time.clone()) } else { time },
    })
}
