//! Who is acted on, who is let go, and why nobody else.
//!
//! One policy, its nodes, one moment. The decision for a node is a value with its reason, also when nothing is done;
//! the same word goes to the status, to NodeClock, to the log and to `explain`.
//!
//! - Acting needs drift that was sustained; undoing needs evidence of recovery that was sustained. Losing the
//!   evidence does neither: a marked node that falls silent stays marked.
//! - The limit caps the nodes that are marked at any moment, those being let go included until they are seen without
//!   their mark. Undoing is never limited, and suspicion does not stop it (NVSentinel's breaker did, and pinned nodes).
//! - Among equals the longest drifting goes first, then the furthest off, then the name: no choice depends on the
//!   order of a map.

use super::{Action, Suspicion};
use crate::clock::{Mono, OffsetInterval, Standing, State, Why};
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
}

/// Why a node must not be touched anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandsOff {
    /// It is being deleted.
    NodeDeleting,
    /// It was cordoned, and not by us.
    ForeignCordon,
    /// It has the same taint already, and not from us.
    ForeignTaint,
    /// We had cordoned it and a person uncordoned it: their decision holds until the clock has recovered once.
    UncordonedByOther,
    /// Its record of what is ours cannot be read, so nothing on it can be told apart.
    UnreadableMarks,
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
    /// It would be acted on, but the policy only observes.
    WouldAct,
    /// Nothing is done to it.
    Leave,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Inside tolerance.
    Synchronized,
    /// Beyond tolerance, sustained.
    Drifting,
    /// Beyond tolerance, but not yet for `sustainedFor`.
    HeldDown {
        /// How much longer.
        remaining: Duration,
    },
    /// Inside tolerance again, but not yet for `recoveredFor`.
    Recovering {
        /// How much longer.
        remaining: Duration,
    },
    /// Inside tolerance again for `recoveredFor`.
    Recovered,
    /// No evidence.
    Unknown(Why),
    /// Lost evidence, and the policy acts on that.
    LostEvidence(Why),
    /// As many nodes as allowed are acted on already.
    LimitReached,
    /// Something is wrong with what we measure against.
    ReferenceSuspect,
    /// The node is to be left alone.
    HandsOff(HandsOff),
}

impl Because {
    /// CamelCase word, the same everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Because::Synchronized => "Synchronized",
            Because::Drifting => "Drifting",
            Because::HeldDown { .. } => "HeldDown",
            Because::Recovering { .. } => "Recovering",
            Because::Recovered => "Recovered",
            Because::Unknown(why) => why.as_str(),
            Because::LostEvidence(_) => "LostEvidence",
            Because::LimitReached => "ActionLimited",
            Because::ReferenceSuspect => "ReferenceSuspect",
            Because::HandsOff(HandsOff::NodeDeleting) => "NodeDeleting",
            Because::HandsOff(HandsOff::ForeignCordon) => "ForeignCordon",
            Because::HandsOff(HandsOff::ForeignTaint) => "ForeignTaint",
            Because::HandsOff(HandsOff::UncordonedByOther) => "UncordonedByOther",
            Because::HandsOff(HandsOff::UnreadableMarks) => "UnreadableMarks",
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
    /// One CamelCase word for status and NodeClock: `Tainted` and the like are for events; this is the decision.
    #[must_use]
    pub fn word(&self) -> String {
        let because = self.because.as_str();
        match self.outcome {
            Outcome::Act => format!("Act/{because}"),
            Outcome::Keep => format!("Keep/{because}"),
            Outcome::Release => format!("Release/{because}"),
            Outcome::WouldAct => format!("WouldAct/{because}"),
            Outcome::Leave => format!("Leave/{because}"),
        }
    }
}

/// Decides for every candidate, in their order. `matched` is the number of nodes that the limit's percentage is of.
#[must_use]
pub fn decide(candidates: &[Candidate], action: &Action, suspicion: Option<Suspicion>, now: Mono) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = candidates.iter().map(|c| wish(c, action, now)).collect();
    let held = candidates.iter().filter(|c| c.acted).count();
    let mut room = action.limit.cap(candidates.len()).saturating_sub(held);
    for index in by_urgency(candidates) {
        let (Some(candidate), Some(decision)) = (candidates.get(index), decisions.get_mut(index)) else { continue };
        if candidate.acted && candidate.hands_off == Some(HandsOff::UncordonedByOther) {
            if decision.outcome == Outcome::Act {
                *decision =
                    Decision { outcome: Outcome::Keep, because: Because::HandsOff(HandsOff::UncordonedByOther) };
            }
            continue;
        }
        if decision.outcome != Outcome::Act || candidate.acted {
            continue;
        }
        let refusal = if let Some(hands_off) = candidate.hands_off {
            Some(Because::HandsOff(hands_off))
        } else if suspicion.is_some() {
            Some(Because::ReferenceSuspect)
        } else if room == 0 {
            Some(Because::LimitReached)
        } else {
            room = room.saturating_sub(1);
            None
        };
        match refusal {
            Some(because) => *decision = Decision { outcome: Outcome::Leave, because },
            None if action.mark.is_none() => decision.outcome = Outcome::WouldAct,
            None => {}
        }
    }
    decisions
}

/// What would be done about this node if it were the only one.
fn wish(candidate: &Candidate, action: &Action, now: Mono) -> Decision {
    let Candidate { standing, acted, .. } = candidate;
    let lasted = now.since(standing.since());
    let wanted = match standing.state() {
        State::Drifting => Some(Because::Drifting),
        State::Unknown(Why::NeverMeasured) | State::Synchronized => None,
        State::Unknown(why) => action.act_on_unknown.then_some(Because::LostEvidence(why)),
    };
    if let Some(because) = wanted {
        let remaining = action.sustained_for.saturating_sub(lasted);
        if remaining.is_zero() {
            return Decision { outcome: Outcome::Act, because };
        }
        let outcome = if *acted { Outcome::Keep } else { Outcome::Leave };
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

fn quiet(standing: &Standing) -> Because {
    match standing.state() {
        State::Synchronized => Because::Synchronized,
        State::Drifting => Because::Drifting,
        State::Unknown(why) => Because::Unknown(why),
    }
}

/// Indices: drifting before unknown, longest first, then furthest off, then by name.
fn by_urgency(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<(usize, &Candidate)> = candidates.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| {
        let rank = |c: &Candidate| c.standing.state() != State::Drifting;
        let far = |c: &Candidate| c.offset.map(|it| it.midpoint().magnitude());
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.standing.since().cmp(&b.standing.since()))
            .then_with(|| far(b).cmp(&far(a)))
            .then_with(|| a.node.cmp(&b.node))
    });
    order.into_iter().map(|(index, _)| index).collect()
}

/// When the earliest hold-down of these decisions runs out, if one does: nothing changes before, unless evidence does.
#[must_use]
pub fn next_due(decisions: &[Decision]) -> Option<Duration> {
    decisions
        .iter()
        .filter_map(|d| match d.because {
            Because::HeldDown { remaining } | Because::Recovering { remaining } => Some(remaining),
            _ => None,
        })
        .min()
}

#[cfg(test)]
mod tests;
