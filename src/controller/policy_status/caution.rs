//! The condition `Caution`: what a policy's action sets off in others, said before it happens.
//!
//! It is told from the spec alone, whether or not any node is acted on, so that whoever applies a policy reads it then.
//! The settings of the others that keep the peace are in docs/policy.md, "Living with descheduler, cluster-autoscaler and
//! Karpenter".
//!
//! Sources: kubernetes.io, "Taints and Tolerations" (NoExecute evicts at once what does not tolerate it);
//! sigs.k8s.io/descheduler, plugin `RemovePodsViolatingNodeTaints` (evicts for any NoSchedule taint that it is not told to
//! exclude, and a cordon is one: the node lifecycle controller adds node.kubernetes.io/unschedulable:NoSchedule).

use super::Wanted;
use crate::policy::marks::Effect;
use crate::policy::{Mark, Policy};

/// The key that our own manifests tolerate: agents tolerate everything, the controller this one (deploy/install.yaml).
const TOLERATED: &str = "clockwarden.io/clock-drift";

const DESCHEDULER: &str = "descheduler's RemovePodsViolatingNodeTaints";
const READ: &str = "see docs/policy.md for the settings that go with it";

/// The condition.
pub(super) fn caution(policy: &Policy) -> Wanted {
    let mut told: Vec<(&'static str, String)> = Vec::new();
    match &policy.action.mark {
        Some(Mark::Taint { key, effect: Effect::NoExecute }) => told.push((
            "NoExecuteEvicts",
            format!(
                "taint {key}:NoExecute evicts at once every running pod that does not tolerate it, those of DaemonSets and clockwarden's own webhook too, and disruption budgets do not hold that up; cluster-autoscaler and Karpenter may then remove or replace the emptied node"
            ),
        )),
        Some(Mark::Cordon) => told.push((
            "CordonEvictsByDescheduler",
            format!(
                "a cordoned node gets the taint node.kubernetes.io/unschedulable:NoSchedule, for which {DESCHEDULER} evicts pods unless that key is in its excludedTaints; cluster-autoscaler and Karpenter make new nodes for pods that no longer fit, and may remove this one when it runs empty"
            ),
        )),
        Some(Mark::Taint { .. }) | None => {}
    }
    if let Some(Mark::Taint { key, .. }) = &policy.action.mark
        && key != TOLERATED
    {
        told.push((
            "KeyNotTolerated",
            format!(
                "clockwarden's own controller tolerates {TOLERATED} only: give its Deployment a toleration for {key}, or it may be the pod that its own taint keeps away"
            ),
        ));
    }
    let words: Vec<&str> = told.iter().map(|(_, words)| words.as_str()).collect();
    match told.first() {
        Some((reason, _)) => {
            Wanted { type_: "Caution", status: "True", reason, message: format!("{}; {READ}", words.join("; ")) }
        }
        None => Wanted {
            type_: "Caution",
            status: "False",
            reason: "NothingEvicted",
            message: "by itself the action evicts nothing".to_owned(),
        },
    }
}
