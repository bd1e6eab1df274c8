//! The status of a policy: counts, conditions, the few worst nodes.
//!
//! Written when a count, a condition or the list of bad nodes changed. The offsets shown are sticky: one that moved
//! by less than two percent is shown as before, so that a node which sits 15 s off does not cost a write a second. Why a
//! source cannot be read is told anew when the words change: whoever puts it right, step by step, must see the next step.

use super::evaluate::{PolicyView, limit_words};
use super::fleet::PolicyEntry;
use crate::api::TimeSyncPolicyStatus;
use crate::api::time_sync_policy::{NodeCounts, WorstNode};
use crate::clock::{Delta, State, Wall};
use crate::policy::decide::Because;
use crate::policy::movement::Together;
use crate::policy::{Group, Outcome, Suspicion};
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

/// The status that is due, and the reason of the Event to go with it (with a message), if degradation began or
/// changed; `None` if what is stored still holds.
pub fn due(
    name: &str,
    entry: &PolicyEntry,
    view: &PolicyView,
    shown: &mut Shown,
    now: Wall,
) -> Option<(TimeSyncPolicyStatus, Option<(&'static str, String)>)> {
    if view.nodes.iter().any(|n| n.premature) {
        return None;
    }
    let stored = &entry.status;
    let wanted = [ready(view), degraded(entry, view)];
    let conditions = wanted.iter().map(|w| stamped(w, &stored.conditions, entry, now)).collect();
    let status = TimeSyncPolicyStatus {
        observed_generation: entry.metadata.generation,
        conditions,
        nodes: Some(counts(view)),
        worst: worst(name, view, shown),
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

fn ready(view: &PolicyView) -> Wanted {
    let (status, reason, message) = match &view.unusable {
        Some(why) => ("False", "Unusable", why.clone()),
        None => ("True", "Evaluating", "the policy is valid and evaluated".to_owned()),
    };
    Wanted { type_: "Ready", status, reason, message }
}

fn degraded(entry: &PolicyEntry, view: &PolicyView) -> Wanted {
    let wanted = |status, reason, message| Wanted { type_: "Degraded", status, reason, message };
    if let Some(why) = &view.unusable {
        return wanted("True", UNAVAILABLE, format!("{why}; what is on nodes already is kept"));
    }
    match view.suspicion {
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
            let (one, other) = (group_words(&larger, view), group_words(&smaller, view));
            let message = format!(
                "the {of} nodes are in two minds: {one}, {other}; nothing in the cluster can tell which are right; name spec.references to decide it; nothing new is done to nodes, undoing goes on"
            );
            return wanted("True", "ReferenceSuspect", message);
        }
        None => {}
    }
    let silent: Vec<&str> = view
        .nodes
        .iter()
        .filter(|n| matches!(n.standing.state(), State::Unknown(_)))
        .filter_map(|n| n.failure.as_deref())
        .collect();
    if let Some(first) = silent.first() {
        let message = format!("{} of {} nodes cannot be measured; the first: {first}", silent.len(), view.nodes.len());
        return wanted("True", UNAVAILABLE, message);
    }
    let limited = view.nodes.iter().filter(|n| n.decision.because == Because::LimitReached).count();
    if limited > 0 {
        let limit =
            entry.policy.as_ref().map_or_else(|_| view.cap.to_string(), |p| limit_words(p.action.limit, view.cap));
        let message = format!("{limited} more nodes would be acted on, but spec.action.limit allows {limit} at once");
        return wanted("True", "ActionLimited", message);
    }
    wanted("False", "AsExpected", "every matched node is measured, and nothing is held back".to_owned())
}

/// `52 nodes near +5.000 s (a, b, …)`.
fn group_words(group: &Group, view: &PolicyView) -> String {
    let places = group.members().filter_map(|id| usize::try_from(id).ok());
    let mut names: Vec<&str> = places.filter_map(|id| view.nodes.get(id)).map(|node| node.node.as_str()).collect();
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

fn counts(view: &PolicyView) -> NodeCounts {
    let count = |is: &dyn Fn(&super::evaluate::NodeView) -> bool| {
        i32::try_from(view.nodes.iter().filter(|n| is(n)).count()).unwrap_or(i32::MAX)
    };
    NodeCounts {
        matched: count(&|_| true),
        synchronized: count(&|n| n.standing.state() == State::Synchronized),
        drifting: count(&|n| n.standing.state() == State::Drifting),
        unknown: count(&|n| matches!(n.standing.state(), State::Unknown(_))),
        acted: count(&|n| n.acted || n.decision.outcome == Outcome::WouldAct),
    }
}

fn worst(policy: &str, view: &PolicyView, shown: &mut Shown) -> Vec<WorstNode> {
    let mut bad: Vec<_> = view.nodes.iter().filter(|n| n.standing.state() != State::Synchronized).collect();
    let offset = |n: &&super::evaluate::NodeView| n.offset.map(|it| it.midpoint().magnitude());
    bad.sort_by(|a, b| {
        let drifting = |n: &&super::evaluate::NodeView| n.standing.state() != State::Drifting;
        drifting(a)
            .cmp(&drifting(b))
            .then_with(|| rounded(offset(b)).cmp(&rounded(offset(a))))
            .then_with(|| a.node.cmp(&b.node))
    });
    bad.truncate(WORST_MAX);
    shown.0.retain(|(p, node), _| p != policy || bad.iter().any(|n| n.node == *node));
    bad.iter()
        .map(|n| WorstNode {
            node: n.node.clone(),
            state: n.standing.state().as_str().to_owned(),
            offset: n.offset.map(|it| shown.sticky(policy, &n.node, it.midpoint()).to_string()),
            decision: n.decision.word(),
        })
        .collect()
}

/// Whole tenths of a second, so that two nodes equally far off do not change places with every reading.
fn rounded(offset: Option<std::time::Duration>) -> Option<u128> {
    offset.map(|o| o.as_millis() / 100)
}

impl Shown {
    fn sticky(&mut self, policy: &str, node: &str, now: Delta) -> Delta {
        let shown = self.0.entry((policy.to_owned(), node.to_owned())).or_insert(now);
        let moved = now.minus(*shown).magnitude();
        if moved > shown.magnitude() / 50 + std::time::Duration::from_millis(1) {
            *shown = now;
        }
        *shown
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
