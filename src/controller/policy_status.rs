//! The status of a policy: counts, conditions, the few worst nodes.
//!
//! Written when a count, a condition or the list of bad nodes changed. The offsets shown are sticky: one that moved
//! by less than two percent is shown as before, so that a node which sits 15 s off does not cost a write a second. Why a
//! source cannot be read is told anew when the words change: whoever puts it right, step by step, must see the next step.

use super::engine::ward::Ward;
use super::fleet::PolicyEntry;
use crate::api::TimeSyncPolicyStatus;
use crate::api::time_sync_policy::{NodeCounts, WorstNode};
use crate::clock::{Delta, Wall};
use crate::policy::movement::Together;
use crate::policy::{Group, Suspicion};
use crate::runtime::timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use std::collections::HashMap;

/// At most this many nodes are named in a status.
const WORST_MAX: usize = 5;

/// The reason of a condition that tells what is wrong with a source.
const UNAVAILABLE: &str = "SourceUnavailable";

/// Whether two messages say the same but for lengths of time and dates, which grow while nothing changes.
fn alike(one: &str, other: &str) -> bool {
    lasting(one).eq(lasting(other))
}

/// The words of a message that do not change by themselves.
fn lasting(message: &str) -> impl Iterator<Item = &str> {
    const UNITS: [&str; 6] = ["us", "ms", "s", "min", "h", "d"];
    fn trimmed(word: &str) -> &str {
        word.trim_matches(|c| "(),.;:".contains(c))
    }
    let mut words = message.split_whitespace().peekable();
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            let (this, next) = (trimmed(word), words.peek().map(|next| trimmed(next)));
            let is_length = this.parse::<f64>().is_ok() && next.is_some_and(|next| UNITS.contains(&next));
            if !is_length && this.parse::<jiff::Timestamp>().is_err() {
                return Some(word);
            }
        }
    })
}

/// The offsets last shown, by policy and node.
#[derive(Debug, Default)]
pub struct Shown(HashMap<String, HashMap<String, Delta>>);

/// A condition of a policy before it has its times.
struct Wanted {
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// The status that is due, and the reason of the Event to go with it (with a message), if degradation began or
/// changed; `None` if what is stored still holds.
#[must_use]
pub fn due(
    name: &str,
    entry: &PolicyEntry,
    ward: &Ward,
    shown: &Shown,
    now: Wall,
) -> Option<(TimeSyncPolicyStatus, Option<(&'static str, String)>)> {
    if entry.deleting() || ward.digest().premature > 0 {
        return None;
    }
    let stored = &entry.status;
    let wanted = [ready(entry), degraded(entry, ward)];
    let conditions = wanted.iter().map(|w| stamped(w, &stored.conditions, entry, now)).collect();
    let status = TimeSyncPolicyStatus {
        observed_generation: entry.metadata.generation,
        conditions,
        nodes: Some(counts(ward)),
        worst: worst(name, ward, shown),
    };
    let same = status.observed_generation == stored.observed_generation
        && status.nodes == stored.nodes
        && status.worst == stored.worst
        && status.conditions.len() == stored.conditions.len()
        && status.conditions.iter().all(|c| {
            stored.conditions.iter().any(|s| {
                let same = s.type_ == c.type_ && s.status == c.status && s.reason == c.reason;
                same && (c.reason != UNAVAILABLE || alike(&s.message, &c.message))
            })
        });
    if same {
        return None;
    }
    let [_, degraded] = &wanted;
    let was = stored.conditions.iter().find(|c| c.type_ == degraded.type_);
    let event = (degraded.status == "True" && was.is_none_or(|w| w.reason != degraded.reason || w.status != "True"))
        .then(|| (degraded.reason, degraded.message.clone()));
    Some((status, event))
}

fn ready(entry: &PolicyEntry) -> Wanted {
    let (status, reason, message) = match &entry.policy {
        Err(why) => ("False", "Unusable", why.clone()),
        Ok(_) => ("True", "Evaluating", "the policy is valid and evaluated".to_owned()),
    };
    Wanted { type_: "Ready", status, reason, message }
}

fn degraded(entry: &PolicyEntry, ward: &Ward) -> Wanted {
    let wanted = |status, reason, message| Wanted { type_: "Degraded", status, reason, message };
    if let Err(why) = &entry.policy {
        return wanted("True", UNAVAILABLE, format!("{why}; what is on nodes already is kept"));
    }
    match &ward.frame().suspicion {
        Some(Suspicion::FleetShifted { shifted, of, by }) => {
            let message = format!(
                "{shifted} of {of} nodes are beyond tolerance in the same direction, by about {by}: suspect the time source that they share; nothing new is done to nodes, undoing goes on"
            );
            return wanted("True", "ReferenceSuspect", message);
        }
        Some(Suspicion::FleetMoved(Together { by, moved, of })) => {
            let message = format!(
                "{moved} of {of} nodes were stepped or slewed alike, by about {by}, within the last hour: they agree with one another, but whether they were right before or are right now, nothing in the cluster can tell; name spec.references to decide it; nothing new is done to nodes, undoing goes on"
            );
            return wanted("True", "ReferenceSuspect", message);
        }
        Some(Suspicion::ControllerApart { by, agreeing, of }) => {
            let message = format!(
                "{agreeing} of {of} nodes agree with one another and are {by} from this controller's clock: either they or the controller are wrong; name spec.references to decide it; nothing new is done to nodes, undoing goes on"
            );
            return wanted("True", "ReferenceSuspect", message);
        }
        Some(Suspicion::TwoGroups { larger, smaller, of }) => {
            let (one, other) = (group_words(larger, ward), group_words(smaller, ward));
            let message = format!(
                "the {of} nodes are in two minds: {one}, {other}; nothing in the cluster can tell which are right; name spec.references to decide it; nothing new is done to nodes, undoing goes on"
            );
            return wanted("True", "ReferenceSuspect", message);
        }
        None => {}
    }
    let digest = ward.digest();
    let first = digest.first_silent().and_then(|name| ward.view(name)?.failure.as_deref());
    if let Some(first) = first {
        let (silent, matched) = (digest.silent(), digest.matched);
        return wanted(
            "True",
            UNAVAILABLE,
            format!("{silent} of {matched} nodes cannot be measured; the first: {first}"),
        );
    }
    let (limited, cap) = (ward.room().waiting(), ward.room().cap());
    if limited > 0 {
        let limit = entry.policy.as_ref().map_or_else(|_| cap.to_string(), |p| p.action.limit.words(cap));
        let message = format!("{limited} more nodes would be acted on, but spec.action.limit allows {limit} at once");
        return wanted("True", "ActionLimited", message);
    }
    wanted("False", "AsExpected", "every matched node is measured, and nothing is held back".to_owned())
}

/// `52 nodes near +5.000 s (a, b, …)`.
fn group_words(group: &Group, ward: &Ward) -> String {
    let mut names: Vec<&str> = group.members().filter_map(|id| ward.name_of(id)).collect();
    if names.len() < group.size {
        names.push("\u{2026}");
    }
    format!("{} near {} ({})", group.size, group.offset, names.join(", "))
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

fn counts(ward: &Ward) -> NodeCounts {
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let digest = ward.digest();
    NodeCounts {
        matched: count(digest.matched),
        synchronized: count(digest.synchronized),
        drifting: count(digest.drifting),
        unknown: count(digest.unknown),
        acted: count(digest.acted.saturating_add(digest.would_act)),
    }
}

fn worst(policy: &str, ward: &Ward, shown: &Shown) -> Vec<WorstNode> {
    let bad = ward.digest().worst().take(WORST_MAX).filter_map(|name| ward.view(name));
    bad.map(|n| WorstNode {
        node: n.node.clone(),
        state: n.standing.state().as_str().to_owned(),
        offset: n.offset.map(|it| shown.sticky(policy, &n.node, it.midpoint()).to_string()),
        decision: n.decision.word(),
    })
    .collect()
}

impl Shown {
    /// What is shown of an offset that is `now`: what was shown before, if it moved by little.
    fn sticky(&self, policy: &str, node: &str, now: Delta) -> Delta {
        let before = self.0.get(policy).and_then(|nodes| nodes.get(node)).copied();
        let moved = |before: &Delta| now.minus(*before).magnitude();
        before.filter(|it| moved(it) <= it.magnitude() / 50 + std::time::Duration::from_millis(1)).unwrap_or(now)
    }

    /// Remembers what a status that is written now shows.
    pub fn note(&mut self, policy: &str, ward: &Ward) {
        let bad = ward.digest().worst().take(WORST_MAX).filter_map(|name| ward.view(name));
        let shown = bad.filter_map(|n| Some((n.node.clone(), self.sticky(policy, &n.node, n.offset?.midpoint()))));
        let shown: HashMap<String, Delta> = shown.collect();
        self.0.insert(policy.to_owned(), shown);
    }

    /// The policy is gone.
    pub fn forget(&mut self, policy: &str) {
        self.0.remove(policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_itself_is_no_news() {
        let old = |age: &str, at: &str| format!("3 of 5 nodes; n1 was {age} old already (taken at {at}), and so on");
        assert!(alike(&old("61.200 s", "2026-01-01T00:00:00.000001Z"), &old("75.000 s", "2026-01-01T00:01:00Z")));
        assert!(!alike("3 of 5 nodes cannot be measured", "2 of 5 nodes cannot be measured"));
        assert!(!alike("node n1 has 3 series", "node n1 has 2 series"));
        assert!(!alike("it cannot be reached", "it answered 404"));
    }
}
