//! The parts of a policy that a judge reads by itself.
//!
//! Not by the code that decides: a judge that asked the accused would find nothing.

use crate::clock::Wall;
use crate::policy::Policy;
use crate::policy::selector::Requirement;
use serde_json::Value;
use std::collections::BTreeMap;

/// The label of a control-plane node.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Nothing new is done for it.
#[must_use]
pub fn suspended(policy: &Policy) -> bool {
    policy.action.suspended
}

/// Whether a node with these labels is of the control plane, and the policy does not ask for such nodes by name.
#[must_use]
pub fn spares(policy: &Policy, labels: &BTreeMap<String, String>) -> bool {
    let asks = policy.nodes.0.iter().any(|requirement| match requirement {
        Requirement::In(key, _) | Requirement::Exists(key) => key == CONTROL_PLANE,
        Requirement::NotIn(..) | Requirement::DoesNotExist(_) => false,
    });
    labels.contains_key(CONTROL_PLANE) && !asks
}

/// Whether a node with these labels counts for the limit.
#[must_use]
pub fn counts(policy: &Policy, labels: &BTreeMap<String, String>) -> bool {
    policy.nodes.matches(labels) && !spares(policy, labels)
}

/// The moment that an annotation names; one that cannot be read has not come yet.
#[must_use]
pub fn moment(text: &Value) -> Wall {
    let moment = text.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let nanos = moment.and_then(|moment| i64::try_from(moment.as_nanosecond()).ok());
    Wall::from_unix_nanos(nanos.unwrap_or(i64::MAX))
}
