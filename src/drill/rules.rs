//! The parts of a policy that a judge reads by itself.

use crate::policy::Policy;
use std::collections::BTreeMap;

/// Nothing new is done for it.
#[must_use]
pub fn suspended(_policy: &Policy) -> bool {
    false
}

/// Control-plane nodes are left alone.
#[must_use]
pub fn spares_control_plane(_policy: &Policy) -> bool {
    false
}

/// Whether a node with these labels counts for the limit.
#[must_use]
pub fn counts(policy: &Policy, labels: &BTreeMap<String, String>) -> bool {
    policy.nodes.matches(labels)
}
