//! The status of a policy: counts, conditions, the few worst nodes.
//!
//! Written when a count, a condition or the list of bad nodes changed. The offsets shown are sticky: one that moved
//! by less than a tenth is shown as before, so that a node which sits 15 s off does not cost a write a second, nor one
//! that drifts all day more than some seventy; its NodeClock and the metrics have it to the microsecond. Why a
//! source cannot be read is told anew when the words change: whoever puts it right, step by step, must see the next step;
//! and so are the nodes that would be acted on.

mod alike;
mod caution;

use super::fleet::PolicyEntry;
use super::totals::{Bad, Totals};
use crate::api::TimeSyncPolicyStatus;
use crate::api::time_sync_policy::WorstNode;
use crate::clock::{Delta, Wall};
use crate::policy::{Mark, Policy};
use crate::runtime::timestamp;
use alike::alike;
use caution::caution;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::collections::HashMap;

/// The reason of a condition that tells what is wrong with a source.
const UNAVAILABLE: &str = "SourceUnavailable";

/// The reason of an Event, and of a condition, that tells what is only not done.
const WOULD_ACT: &str = "WouldAct";

/// The offset last shown, by (policy, node).
#[derive(Debug, Default)]
pub struct Shown(HashMap<(String, String), Delta>);

/// A condition of a policy before it has its times.
struct Wanted {
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// An Event on the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// CamelCase word.
    pub reason: &'static str,
    /// A warning, or merely worth knowing.
    pub warning: bool,
    /// In words.
    pub note: String,
}

/// The status that is due, and the Events to go with it: that degradation began or changed, and that there are nodes now
/// which would be acted on. `None` if what is stored still holds.
pub fn due(
    name: &str,
    entry: &PolicyEntry,
    totals: &Totals,
    shown: &mut Shown,
    now: Wall,
) -> Option<(TimeSyncPolicyStatus, Vec<Notice>)> {
    if totals.premature {
        return None;
    }
    let stored = &entry.status;
    let degraded = degraded(entry, totals);
    let events = events(&degraded, entry, totals);
    let wanted = [ready(totals), degraded, suspended(entry), cautioned(entry)];
    let conditions = wanted.iter().map(|w| stamped(w, &stored.conditions, entry, now)).collect();
    let status = TimeSyncPolicyStatus {
        observed_generation: entry.metadata.generation,
        conditions,
        nodes: Some(totals.counts.clone()),
        worst: worst(name, &totals.worst, shown),
    };
    let same = status.observed_generation == stored.observed_generation
        && status.nodes == stored.nodes
        && status.worst == stored.worst
        && status.conditions.len() == stored.conditions.len()
        && status.conditions.iter().all(|c| {
            stored.conditions.iter().any(|s| {
                let same = s.type_ == c.type_ && s.status == c.status && s.reason == c.reason;
                same && (![UNAVAILABLE, WOULD_ACT].contains(&c.reason.as_str()) || alike(&s.message, &c.message))
            })
        });
    (!same).then_some((status, events))
}

fn events(degraded: &Wanted, entry: &PolicyEntry, totals: &Totals) -> Vec<Notice> {
    let mut events = Vec::new();
    let was = entry.status.conditions.iter().find(|c| c.type_ == degraded.type_);
    if degraded.status == "True" && was.is_none_or(|w| w.reason != degraded.reason || w.status != "True") {
        events.push(Notice { reason: degraded.reason, warning: true, note: degraded.message.clone() });
    }
    let before = entry.status.nodes.as_ref().map_or(0, |nodes| nodes.would_act);
    if before == 0
        && totals.counts.would_act > 0
        && let Ok(policy) = &entry.policy
    {
        events.push(Notice { reason: WOULD_ACT, warning: false, note: would_words(policy, totals) });
    }
    events
}

fn ready(totals: &Totals) -> Wanted {
    let (status, reason, message) = match &totals.unusable {
        Some(why) => ("False", "Unusable", why.clone()),
        None => ("True", "Evaluating", "the policy is valid and evaluated".to_owned()),
    };
    Wanted { type_: "Ready", status, reason, message }
}

fn degraded(entry: &PolicyEntry, totals: &Totals) -> Wanted {
    let wanted = |status, reason, message| Wanted { type_: "Degraded", status, reason, message };
    if let Some(why) = &totals.unusable {
        return wanted("True", UNAVAILABLE, format!("{why}; what is on nodes already is kept"));
    }
    if let Some(suspicion) = &totals.suspicion {
        let message = format!("{suspicion}; nothing new is done to nodes, undoing goes on");
        return wanted("True", "ReferenceSuspect", message);
    }
    if !totals.zones.is_empty() {
        let message = format!("{}; nothing new is done to nodes there, undoing goes on", totals.zones.join("; "));
        return wanted("True", "ZoneSuspect", message);
    }
    if let Some(first) = &totals.failure {
        let message =
            format!("{} of {} nodes cannot be measured; the first: {first}", totals.silent, totals.counts.matched);
        return wanted("True", UNAVAILABLE, message);
    }
    let limited = totals.limited;
    if limited > 0 {
        let limit = entry.policy.as_ref().map_or_else(|_| totals.cap.to_string(), |p| p.action.limit.words(totals.cap));
        let message = format!("{limited} more nodes would be acted on, but spec.action.limit allows {limit} at once");
        return wanted("True", "ActionLimited", message);
    }
    match &entry.policy {
        Ok(policy) if totals.counts.would_act > 0 => wanted("False", WOULD_ACT, would_words(policy, totals)),
        _ => wanted("False", "AsExpected", "every matched node is measured, and nothing is held back".to_owned()),
    }
}

/// `would taint 3 nodes with clockwarden.io/clock-drift:NoSchedule (n1, n2, n3): spec.action.type is Observe`.
fn would_words(policy: &Policy, totals: &Totals) -> String {
    let count = totals.counts.would_act;
    let nodes = if count == 1 { "node" } else { "nodes" };
    let done = match &policy.action.named {
        Mark::Cordon => format!("cordon {count} {nodes}"),
        Mark::Taint { key, effect } => format!("taint {count} {nodes} with {key}:{}", effect.as_str()),
    };
    let rest = usize::try_from(count).unwrap_or(0).saturating_sub(totals.would.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let why = if policy.action.suspended { "spec.suspend is true" } else { "spec.action.type is Observe" };
    format!("would {done} ({}{more}): {why}", totals.would.join(", "))
}

fn suspended(entry: &PolicyEntry) -> Wanted {
    let wanted = |status, reason, message: &str| Wanted { type_: "Suspended", status, reason, message: message.into() };
    match &entry.policy {
        Ok(policy) if policy.action.suspended => {
            wanted("True", "Suspended", "spec.suspend is true: nothing new is done to nodes, undoing goes on")
        }
        Ok(_) => wanted("False", "Active", "spec.suspend is false"),
        Err(_) => wanted("Unknown", "Unusable", "the policy cannot be used"),
    }
}

fn cautioned(entry: &PolicyEntry) -> Wanted {
    match &entry.policy {
        Ok(policy) => caution(policy),
        Err(_) => Wanted {
            type_: "Caution",
            status: "Unknown",
            reason: "Unusable",
            message: "the policy cannot be used".to_owned(),
        },
    }
}

fn stamped(wanted: &Wanted, stored: &[Condition], entry: &PolicyEntry, now: Wall) -> Condition {
    let before = stored.iter().find(|c| c.type_ == wanted.type_ && c.status == wanted.status);
    Condition {
        type_: wanted.type_.to_owned(),
        status: wanted.status.to_owned(),
        reason: wanted.reason.to_owned(),
        message: wanted.message.clone(),
        observed_generation: entry.metadata.generation,
        last_transition_time: before.map_or_else(|| Time(timestamp(now)), |c| c.last_transition_time.clone()),
    }
}

fn worst(policy: &str, bad: &[Bad], shown: &mut Shown) -> Vec<WorstNode> {
    shown.0.retain(|(p, node), _| p != policy || bad.iter().any(|n| n.node == *node));
    bad.iter()
        .map(|n| WorstNode {
            node: n.node.clone(),
            state: n.state.as_str().to_owned(),
            offset: n.offset.map(|it| shown.sticky(policy, &n.node, it.midpoint()).to_string()),
            decision: n.decision.word(),
        })
        .collect()
}

impl Shown {
    /// The policy is gone.
    pub fn forget(&mut self, policy: &str) {
        self.0.retain(|(of, _), _| of != policy);
    }

    fn sticky(&mut self, policy: &str, node: &str, now: Delta) -> Delta {
        let shown = self.0.entry((policy.to_owned(), node.to_owned())).or_insert(now);
        let moved = now.minus(*shown).magnitude();
        if moved > shown.magnitude() / 10 + std::time::Duration::from_millis(1) {
            *shown = now;
        }
        *shown
    }
}

#[cfg(test)]
mod tests;
