//! Who is acted on, who is let go, and why nobody else.
//!
//! One policy, its nodes, one moment. The decision for a node is a value with its reason, also when nothing is done;
//! the same word goes to the status, to NodeClock, to the log and to `explain`. Everything but the limit is decided for
//! each node by itself ([`claim`]); the limit then goes by [`urgency`]. So one node's change costs one node's look.
//!
//! - Acting needs drift that was sustained; undoing needs evidence of recovery that was sustained. Losing the
//!   evidence does neither: a marked node that falls silent stays marked.
//! - The limit caps the nodes that are marked at any moment, those being let go included until they are seen without
//!   their mark. Undoing is never limited, and suspicion does not stop it (NVSentinel's breaker did, and pinned nodes).
//! - Among equals the longest drifting goes first, then the furthest off, then the name: no choice depends on the
//!   order of a map.

pub use super::because::{Because, HandsOff, Scene};
use super::{Action, Suspicion};
use crate::clock::{Mono, OffsetInterval, Standing, State, Why};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

/// One node as the policy sees it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name.
    pub node: String,
    /// What the evidence has come to.
    pub standing: Standing,
    /// Its offset against the yardstick, aged to now.
    pub offset: Option<OffsetInterval>,
    /// This policy holds a mark on it (whether or not somebody else removed the mark since).
    pub acted: bool,
    /// Why it must be left alone, if it must.
    pub hands_off: Option<HandsOff>,
    /// Most of its zone is off in the same direction: a matter of the zone's time source, and not of this node.
    pub zone_suspect: bool,
}

impl Candidate {
    /// Whether the node counts for a limit that is a percentage: those that may be acted on do, and those that may not
    /// just now; nodes of the control plane, which never may, do not.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.hands_off != Some(HandsOff::ControlPlane)
    }
}

/// What is done about one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is to carry the mark.
    Act,
    /// It carries the mark and keeps it, because it has not recovered for certain.
    Keep,
    /// It carries the mark and is let go.
    Release,
    /// It would be acted on, but the policy only observes, or is suspended.
    WouldAct,
    /// Nothing is done to it.
    Leave,
}

impl Outcome {
    /// CamelCase word, the same everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Act => "Act",
            Outcome::Keep => "Keep",
            Outcome::Release => "Release",
            Outcome::WouldAct => "WouldAct",
            Outcome::Leave => "Leave",
        }
    }
}

/// What is done about one node, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub outcome: Outcome,
    /// Why.
    pub because: Because,
}

impl Decision {
    /// One word for status and NodeClock, `Leave/HeldDown`: `Tainted` and the like are for events; this is the decision.
    #[must_use]
    pub fn word(&self) -> String {
        format!("{}/{}", self.outcome.as_str(), self.because.as_str())
    }

    /// The same as [`Decision::word`], so that a change of the sentence alone is none.
    #[must_use]
    pub fn same_words(&self, other: &Decision) -> bool {
        self.outcome == other.outcome && self.because.as_str() == other.because.as_str()
    }

    /// What is done and why, for people: `left alone: cordoned already, by somebody else`.
    #[must_use]
    pub fn explain(&self, scene: &Scene<'_>) -> String {
        let done = match self.outcome {
            Outcome::Act => "acted on",
            Outcome::Keep => "kept as it is",
            Outcome::Release => "let go",
            Outcome::WouldAct => "would be acted on",
            Outcome::Leave => "left alone",
        };
        format!("{done}: {}", self.because.explain(scene))
    }
}

/// What one node comes to when only the limit is left to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This, whatever the other nodes do.
    Settled(Decision),
    /// To be acted on anew, for this reason, if the limit has room for it.
    Wants(Because),
}

impl Claim {
    /// The decision, where the limit has room for a node that wants it, or has none.
    #[must_use]
    pub fn settle(self, has_room: bool, action: &Action) -> Decision {
        let (outcome, because) = match self {
            Claim::Settled(decision) => return decision,
            Claim::Wants(_) if !has_room => (Outcome::Leave, Because::LimitReached),
            Claim::Wants(_) if action.suspended => (Outcome::WouldAct, Because::Suspended),
            Claim::Wants(because) if action.mark.is_none() => (Outcome::WouldAct, because),
            Claim::Wants(because) => (Outcome::Act, because),
        };
        Decision { outcome, because }
    }
}

/// Decides for every candidate, in their order.
#[must_use]
pub fn decide(candidates: &[Candidate], action: &Action, suspicion: Option<&Suspicion>, now: Mono) -> Vec<Decision> {
    let claims: Vec<Claim> = candidates.iter().map(|c| claim(c, action, suspicion.is_some(), now)).collect();
    let counted = candidates.iter().filter(|c| c.is_counted()).count();
    let held = candidates.iter().filter(|c| c.acted).count();
    let wants = candidates.iter().zip(&claims).enumerate().filter(|(_, (_, claim))| matches!(claim, Claim::Wants(_)));
    let mut queue: Vec<(Urgency, usize)> = wants.map(|(index, (candidate, _))| (urgency(candidate), index)).collect();
    queue.sort();
    let first: BTreeSet<usize> = queue.into_iter().take(room(action, counted, held)).map(|(_, index)| index).collect();
    claims.into_iter().enumerate().map(|(index, claim)| claim.settle(first.contains(&index), action)).collect()
}

/// How many nodes may be acted on anew, where `counted` nodes count for the limit and `held` carry a mark of the policy.
///
/// A policy that only observes gives back what it held before, so that none of it takes room.
#[must_use]
pub fn room(action: &Action, counted: usize, held: usize) -> usize {
    let held = if action.mark.is_some() { held } else { 0 };
    action.limit.cap(counted).saturating_sub(held)
}

/// What one node comes to, the limit aside. `suspected`: something is wrong with what all nodes are measured against.
#[must_use]
pub fn claim(candidate: &Candidate, action: &Action, suspected: bool, now: Mono) -> Claim {
    let acted = is_held(candidate, action);
    let settled = |outcome, because| Claim::Settled(Decision { outcome, because });
    let wish = wish(candidate, action, now);
    match candidate.hands_off {
        // A person's word for this node, and a role that a policy did not ask for, undo what is there already; both are
        // told whatever the clock says, so that who wrote it sees that it was read.
        Some(exempt @ HandsOff::Exempt { .. }) => {
            return settled(if acted { Outcome::Release } else { Outcome::Leave }, Because::HandsOff(exempt));
        }
        Some(unreadable @ HandsOff::UnreadableExemption) if !acted => {
            return settled(Outcome::Leave, Because::HandsOff(unreadable));
        }
        Some(role @ HandsOff::ControlPlane) if acted => return settled(Outcome::Release, Because::HandsOff(role)),
        Some(lifted @ HandsOff::UncordonedByOther) if acted && wish.outcome == Outcome::Act => {
            return settled(Outcome::Keep, Because::HandsOff(lifted));
        }
        _ => {}
    }
    if wish.outcome != Outcome::Act || acted {
        return Claim::Settled(wish);
    }
    refusal(candidate, suspected).map_or(Claim::Wants(wish.because), |because| settled(Outcome::Leave, because))
}

/// Why this node must not be acted on anew, the limit and the policy's own will to act aside: what is known of the node
/// itself first, then of everything, then of its zone.
#[must_use]
pub fn refusal(candidate: &Candidate, suspected: bool) -> Option<Because> {
    let suspect = suspected.then_some(Because::ReferenceSuspect);
    let zone = candidate.zone_suspect.then_some(Because::ZoneSuspect);
    candidate.hands_off.map(Because::HandsOff).or(suspect).or(zone)
}

/// What would be done about this node if it were the only one, and nothing spoke against it.
#[must_use]
pub fn wish(candidate: &Candidate, action: &Action, now: Mono) -> Decision {
    let (standing, acted) = (&candidate.standing, is_held(candidate, action));
    let lasted = now.since(standing.since());
    let wanted = match standing.state() {
        State::Drifting => Some(Because::Drifting),
        State::Unknown(Why::NeverMeasured) | State::Synchronized => None,
        State::Unknown(why) => action.act_on_unknown.then_some(Because::LostEvidence(why)),
    };
    if let Some(because) = wanted {
        let remaining = action.sustained_for.saturating_sub(lasted);
        if remaining.is_zero() && !acted && standing.straddles() {
            return Decision { outcome: Outcome::Leave, because: Because::Straddling };
        }
        if remaining.is_zero() {
            return Decision { outcome: Outcome::Act, because };
        }
        let outcome = if acted { Outcome::Keep } else { Outcome::Leave };
        return Decision { outcome, because: Because::HeldDown { remaining } };
    }
    let recovered = standing.within_since().map(|since| action.recovered_for.saturating_sub(now.since(since)));
    match (acted, recovered) {
        (true, Some(Duration::ZERO)) => Decision { outcome: Outcome::Release, because: Because::Recovered },
        (true, Some(remaining)) => Decision { outcome: Outcome::Keep, because: Because::Recovering { remaining } },
        (true, None) => Decision { outcome: Outcome::Keep, because: quiet(standing) },
        (false, _) => Decision { outcome: Outcome::Leave, because: quiet(standing) },
    }
}

/// Whether the policy holds a mark that it is to go on holding: one that only observes holds none.
fn is_held(candidate: &Candidate, action: &Action) -> bool {
    candidate.acted && action.mark.is_some()
}

fn quiet(standing: &Standing) -> Because {
    match standing.state() {
        State::Synchronized => Because::Synchronized,
        State::Drifting => Because::Drifting,
        State::Unknown(why) => Because::Unknown(why),
    }
}

/// The order in which nodes take the room under the limit, the first first: drifting before unknown, the longest, the
/// furthest off, then by name, so that no two nodes are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    is_unknown: bool,
    since: Mono,
    far: Reverse<Option<Duration>>,
    node: String,
}

/// Where a node stands in that order.
#[must_use]
pub fn urgency(candidate: &Candidate) -> Urgency {
    Urgency {
        is_unknown: candidate.standing.state() != State::Drifting,
        since: candidate.standing.since(),
        far: Reverse(candidate.offset.map(|it| it.midpoint().magnitude())),
        node: candidate.node.clone(),
    }
}

/// When the earliest of these decisions may change by itself, if one does: nothing changes before, unless evidence does.
#[must_use]
pub fn next_due(decisions: &[Decision]) -> Option<Duration> {
    decisions.iter().filter_map(|d| d.because.ends_in()).min()
}

#[cfg(test)]
mod tests;
