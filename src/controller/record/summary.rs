//! What holds for a node over all policies that match it, and the words for it.
//!
//! A node may be matched by several policies. Its condition and NodeClock tell what the policy says that sees it worst:
//! drifting before unknown before synchronized; the decisions of all are listed.
//!
//! Does not know: what is stored, what is written.

use crate::api::NodeDecision;
use crate::clock::{Delta, Human, Look, OffsetInterval, Standing, State, Tolerance};
use crate::controller::evaluate::NodeView;
use crate::policy::Policy;

/// What holds for a node, over all policies that match it.
#[derive(Debug, Clone)]
pub struct Summary<'a> {
    /// What the evidence has come to, in the eyes of the policy that sees it worst.
    pub standing: Standing,
    /// Its offset against that policy's yardstick, aged to now; positive: ahead.
    pub offset: Option<OffsetInterval>,
    /// Against what.
    pub against: &'a str,
    /// Why there is no better evidence, if its source knows.
    pub failure: Option<&'a str>,
    /// Tolerance of that policy.
    pub tolerance: Tolerance,
    /// Every policy's decision.
    pub decisions: Vec<NodeDecision>,
}

/// The summary of what each policy makes of a node, with the sentence for its decision; `None` where none matches it, or
/// it is too early to say anything.
#[must_use]
pub fn summary<'a>(seen: Vec<(&'a Policy, &'a NodeView, String)>) -> Option<Summary<'a>> {
    let rank = |view: &NodeView| match view.standing.state() {
        State::Drifting => 0,
        State::Unknown(_) => 1,
        State::Synchronized => 2,
    };
    let (policy, view, _) = seen.iter().min_by_key(|(policy, view, _)| (rank(view), &policy.name))?;
    if view.premature {
        return None;
    }
    let decision = |(policy, view, message): &(&Policy, &NodeView, String)| {
        NodeDecision::of(&policy.name, &view.decision.word(), message)
    };
    Some(Summary {
        standing: view.standing,
        offset: view.offset,
        against: &view.against,
        failure: view.failure.as_deref(),
        tolerance: policy.tolerance,
        decisions: seen.iter().map(decision).collect(),
    })
}

impl Summary<'_> {
    /// CamelCase reason for the condition and NodeClock.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.standing.state() {
            State::Synchronized => "WithinTolerance",
            State::Drifting => "BeyondTolerance",
            // Why the agent cannot be heard says more than that it was not.
            State::Unknown(_) if self.failure.is_some() => "SourceUnavailable",
            State::Unknown(why) => why.as_str(),
        }
    }

    /// The same for people.
    #[must_use]
    pub fn message(&self) -> String {
        let offset = self.offset.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
        let (against, tolerance) = (self.against, Human(self.tolerance.offset_max));
        match self.standing.state() {
            State::Synchronized => format!("offset {offset} against {against}, within {tolerance}"),
            State::Drifting => format!("offset {offset} against {against}, beyond {tolerance}"),
            State::Unknown(_) => match self.failure {
                Some(failure) => failure.to_owned(),
                None => match self.offset {
                    Some(_) => format!("offset {offset} against {against}, but {}", self.doubt()),
                    None => self.doubt().to_owned(),
                },
            },
        }
    }

    /// As far as drift goes. A clock that nothing disciplines may be unknown and yet surely within.
    pub(super) fn look(&self) -> Look {
        let offset = self.offset.map(OffsetInterval::midpoint);
        match (self.standing.state(), offset) {
            (State::Drifting, Some(offset)) => Look::Beyond(offset),
            (State::Synchronized, offset) => Look::Within(offset.unwrap_or(Delta::ZERO)),
            (State::Unknown(_), Some(offset)) if self.standing.within_since().is_some() => Look::Within(offset),
            (State::Drifting | State::Unknown(_), _) => Look::Blind,
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
