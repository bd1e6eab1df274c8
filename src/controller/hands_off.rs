//! Whether a policy holds a mark on a node, and why it must leave the node alone: all reasons that stand on the Node
//! itself, in one place and in one order.
//!
//! The first of these that holds is the reason: our record cannot be read; the node is being deleted; a person exempted
//! it; it belongs to the control plane; somebody else's mark, or somebody else's decision about ours, is on it. What
//! cannot be told apart comes before what is nobody's business, a person's word before a rule, and a rule before a fact.
//!
//! Pure. Does not know: the clock of the node, the other nodes, the limit.

use crate::api::{exemption, node_marks};
use crate::policy::decide::HandsOff;
use crate::policy::selector::Requirement;
use crate::policy::{Mark, Now, Policy, Selector};
use k8s_openapi::api::core::v1::Node;

/// Labels of control-plane nodes: kubeadm's since 1.20, and the one before it (KEP-2067).
pub const CONTROL_PLANE_LABELS: [&str; 2] = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// What stands on a node, in the eyes of one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The policy holds a mark on it.
    pub acted: bool,
    /// Why it must be left alone, if it must.
    pub hands_off: Option<HandsOff>,
}

/// Looks at one node for one policy.
#[must_use]
pub fn look(policy: &Policy, node: &Node, now: Now) -> Look {
    let Ok(owned) = node_marks::owned(node) else {
        return Look { acted: false, hands_off: Some(HandsOff::UnreadableMarks) };
    };
    let mark = policy.action.mark.as_ref();
    let is_there = mark.is_some_and(|mark| node_marks::present(node, mark));
    // A mark with another key or effect is another action, which is waited for and asked about like any other. And a
    // suspended policy puts nothing on, not even again what somebody took off.
    let is_held = mark.map_or_else(|| owned.held_by(&policy.name), |mark| owned.held_as(mark, &policy.name));
    let acted = is_held && (is_there || !policy.action.suspended);
    let foreign = || {
        let mark = mark?;
        match (mark, owned.held.contains_key(mark), is_there) {
            (Mark::Cordon, _, _) if owned.lifted.contains(&policy.name) => Some(HandsOff::UncordonedByOther),
            (Mark::Cordon, false, false) if !owned.lifted.is_empty() => Some(HandsOff::UncordonedByOther),
            (Mark::Cordon, false, true) => Some(HandsOff::ForeignCordon),
            (Mark::Taint { .. }, false, true) => Some(HandsOff::ForeignTaint),
            (Mark::Cordon, true, false) => Some(HandsOff::UncordonedByOther),
            _ => None,
        }
    };
    let hands_off = node
        .metadata
        .deletion_timestamp
        .is_some()
        .then_some(HandsOff::NodeDeleting)
        .or_else(|| exemption::holds(node, now))
        .or_else(|| {
            (is_control_plane(node) && !asks_for_control_plane(&policy.nodes)).then_some(HandsOff::ControlPlane)
        })
        .or_else(foreign);
    Look { acted, hands_off }
}

/// The zone that the node is in, if it says so.
#[must_use]
pub fn zone(node: &Node) -> Option<&str> {
    node.metadata.labels.as_ref()?.get("topology.kubernetes.io/zone").map(String::as_str)
}

/// Whether the node says that it runs the control plane.
#[must_use]
pub fn is_control_plane(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    CONTROL_PLANE_LABELS.iter().any(|label| labels.is_some_and(|labels| labels.contains_key(*label)))
}

/// Whether the selector asks for such nodes by name. `NotIn` and `DoesNotExist` hold for nodes without the label too, and
/// so ask for nothing.
fn asks_for_control_plane(selector: &Selector) -> bool {
    selector.0.iter().any(|requirement| match requirement {
        Requirement::In(key, _) | Requirement::Exists(key) => CONTROL_PLANE_LABELS.contains(&key.as_str()),
        Requirement::NotIn(..) | Requirement::DoesNotExist(_) => false,
    })
}

#[cfg(test)]
mod tests;
