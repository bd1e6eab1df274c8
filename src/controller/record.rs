//! What is written down about a node: its NodeClock, its condition, and the incidents that become Events.
//!
//! Level-triggered: the record that is due is computed from what is stored and what holds now. A step that is in the
//! history already, a state that is stored already, a mark whose last incident is there already, give nothing; so a
//! controller that was killed at any point catches up without doubling, and a healthy fleet costs no writes. Offsets
//! wobble all the time and are written along with changes only, never as a change of their own.

mod jumps;

use super::evaluate::NodeView;
use crate::agent::report::JumpReport;
use crate::api::node_clock::{HISTORY_MAX, Incident, NodeClockStatus, NodeDecision};
use crate::api::{self, node_marks};
use crate::clock::{Human, State, Wall};
use crate::policy::{Mark, Policy};
use crate::runtime::timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use std::time::Duration;

/// What holds for a node, over all policies that match it.
#[derive(Debug, Clone)]
pub struct Summary<'a> {
    /// The policy's eyes that see it worst: drifting before unknown before synchronized.
    pub view: &'a NodeView,
    /// Tolerance of that policy.
    pub tolerance: Duration,
    /// Every policy's decision.
    pub decisions: Vec<NodeDecision>,
}

/// The summary of what each policy makes of a node; `None` where none matches it, or it is too early to say anything.
pub fn summary<'a>(seen: impl Iterator<Item = (&'a Policy, &'a NodeView)>) -> Option<Summary<'a>> {
    let seen: Vec<(&Policy, &NodeView)> = seen.collect();
    let rank = |view: &NodeView| match view.standing.state() {
        State::Drifting => 0,
        State::Unknown(_) => 1,
        State::Synchronized => 2,
    };
    let (policy, view) = seen.iter().min_by_key(|(policy, view)| (rank(view), &policy.name)).copied()?;
    if view.premature {
        return None;
    }
    let decision = |(policy, view): &(&Policy, &NodeView)| NodeDecision {
        policy: policy.name.clone(),
        decision: view.decision.word(),
    };
    Some(Summary { view, tolerance: policy.tolerance.offset_max, decisions: seen.iter().map(decision).collect() })
}

impl Summary<'_> {
    /// CamelCase reason for the condition and NodeClock.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.view.standing.state() {
            State::Synchronized => "WithinTolerance",
            State::Drifting => "BeyondTolerance",
            // Why the agent cannot be heard says more than that it was not.
            State::Unknown(_) if self.view.failure.is_some() => "SourceUnavailable",
            State::Unknown(why) => why.as_str(),
        }
    }

    /// The same for people.
    #[must_use]
    pub fn message(&self) -> String {
        let offset = self.view.offset.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
        let (against, tolerance) = (&self.view.against, Human(self.tolerance));
        match self.view.standing.state() {
            State::Synchronized => format!("offset {offset} against {against}, within {tolerance}"),
            State::Drifting => format!("offset {offset} against {against}, beyond {tolerance}"),
            State::Unknown(_) => match &self.view.failure {
                Some(failure) => failure.clone(),
                None => match self.view.offset {
                    Some(_) => format!("offset {offset} against {against}, but {}", self.doubt()),
                    None => self.doubt().to_owned(),
                },
            },
        }
    }

    fn doubt(&self) -> &'static str {
        match self.reason() {
            "Unsynchronized" => {
                "no daemon, kernel or reference has vouched for this clock for longer than maxUnsynchronized"
            }
            "NoYardstick" => {
                "the offset against the controller is known, but not the right time: fewer than three nodes or no majority agree, the policy names no references, and the node has no sources of its own or those of the nodes contradict one another"
            }
            "MovedTogether" => {
                "this clock and most others were stepped or slewed alike within the last hour, and nothing in the cluster can tell whether they were right before or are right now; spec.references would"
            }
            "TooUncertain" => "the error bound is wider than maxError",
            "Stale" => "the last evidence is older than staleAfter",
            _ => "no answer has been had yet",
        }
    }
}

/// The NodeClock status that is due, and the incidents that are new in it; `None` if what is stored still holds.
#[must_use]
pub fn node_clock(
    stored: Option<&NodeClockStatus>,
    summary: &Summary<'_>,
    jumps: &[JumpReport],
    node: &Node,
    now: Wall,
) -> Option<(NodeClockStatus, Vec<Incident>)> {
    let before = stored.cloned().unwrap_or_default();
    let state = summary.view.standing.state();
    let seconds = summary.view.offset.map(|it| it.seconds());
    let time = MicroTime(timestamp(now));
    let incident = |kind: &str, offset_seconds: Option<f64>, message: String| Incident {
        time: time.clone(),
        kind: kind.to_owned(),
        offset_seconds,
        message,
    };
    let mut fresh: Vec<Incident> = Vec::new();
    let happened = jumps.iter().filter_map(|jump| jumps::incident(jump, summary.tolerance, &before.history, now));
    fresh.extend(happened.filter(|incident| !forgotten(&before.history, &incident.time)));
    if before.state != state.as_str() {
        let kind = match state {
            State::Drifting => Some("Drifting"),
            State::Unknown(_) => Some("Unknown"),
            // The first look at a healthy clock is no recovery.
            State::Synchronized => (!before.state.is_empty()).then_some("Recovered"),
        };
        fresh.extend(kind.map(|kind| incident(kind, seconds.map(|s| round(s.offset)), summary.message())));
    }
    fresh.extend(marking(&before.history, node, |kind, message| incident(kind, None, message)));
    let same = before.state == state.as_str()
        && before.reason == summary.reason()
        && before.decisions == summary.decisions
        && fresh.is_empty();
    if same {
        return None;
    }
    let mut history = before.history;
    history.extend(fresh.iter().cloned());
    history.sort_by_key(|incident| incident.time.0);
    let surplus = history.len().saturating_sub(HISTORY_MAX);
    history.drain(..surplus);
    let since = if before.state == state.as_str() { before.since } else { Some(time) };
    let status = NodeClockStatus {
        state: state.as_str().to_owned(),
        reason: summary.reason().to_owned(),
        message: summary.message(),
        offset: summary.view.offset.map(|it| it.to_string()),
        offset_seconds: seconds.map(|s| round(s.offset)),
        error_bound_seconds: seconds.map(|s| round(s.bound)),
        reference: summary.view.offset.map(|_| summary.view.against.clone()),
        since,
        decisions: summary.decisions.clone(),
        history,
    };
    Some((status, fresh))
}

/// Whether an incident of this time would have been dropped from a full history. Agents go on reporting their newest
/// jumps; one that has made room for something newer must not come back and cost a write each time.
fn forgotten(history: &[Incident], time: &MicroTime) -> bool {
    let oldest = history.first().filter(|_| history.len() >= HISTORY_MAX);
    oldest.is_some_and(|oldest| time.0.duration_since(oldest.time.0) <= jiff::SignedDuration::from_secs(1))
}

/// Microseconds are as much as a report can tell.
fn round(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// An incident for each kind of mark of ours whose last incident does not say what the node says.
fn marking(history: &[Incident], node: &Node, incident: impl Fn(&str, String) -> Incident) -> Vec<Incident> {
    let Ok(owned) = node_marks::owned(node) else { return Vec::new() };
    let mut fresh = Vec::new();
    for (on, off, is_kind) in [
        ("Tainted", "Untainted", (|m: &Mark| matches!(m, Mark::Taint { .. })) as fn(&Mark) -> bool),
        ("Cordoned", "Uncordoned", |m: &Mark| *m == Mark::Cordon),
    ] {
        let last = history.iter().rev().find(|i| i.kind == on || i.kind == off);
        let there: Vec<String> = owned
            .held
            .iter()
            .filter(|(mark, _)| is_kind(mark) && node_marks::present(node, mark))
            .map(|(mark, policies)| {
                let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
                format!("{mark} by TimeSyncPolicy {}", policies.join(", "))
            })
            .collect();
        let message = there.join("; ");
        match last {
            Some(last) if last.kind == on && there.is_empty() => {
                fresh.push(incident(off, format!("no longer: {}", last.message)));
            }
            Some(last) if last.kind == on && last.message != message => fresh.push(incident(on, message)),
            Some(last) if last.kind == off && !there.is_empty() => fresh.push(incident(on, message)),
            None if !there.is_empty() => fresh.push(incident(on, message)),
            _ => {}
        }
    }
    fresh
}

/// The Node condition that is due; `None` if the live one still holds.
#[must_use]
pub fn condition(node: &Node, summary: &Summary<'_>, now: Wall) -> Option<NodeCondition> {
    let live = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    let live = live.and_then(|all| all.iter().find(|c| c.type_ == api::NODE_CONDITION));
    let status = match summary.view.standing.state() {
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

/// Reason of the Event that an incident becomes, and whether it is a warning.
#[must_use]
pub fn event(kind: &str) -> (&'static str, bool) {
    match kind {
        "Stepped" => ("ClockStepped", true),
        "Suspended" => ("ClockSuspended", false),
        "Slewing" => ("ClockSlewing", true),
        "Slewed" => ("ClockSlewed", false),
        "Paused" => ("ClockPaused", true),
        "Moved" => ("ClockMoved", true),
        "Drifting" => ("ClockDrifting", true),
        "Recovered" => ("ClockRecovered", false),
        "Tainted" => ("NodeTainted", true),
        "Untainted" => ("NodeUntainted", false),
        "Cordoned" => ("NodeCordoned", true),
        "Uncordoned" => ("NodeUncordoned", false),
        _ => ("ClockUnknown", true),
    }
}

#[cfg(test)]
mod tests;
