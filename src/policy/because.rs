//! The words for why something was done to a node, or nothing: one vocabulary for status, NodeClock, log and metrics.
//!
//! Every reason has a CamelCase word for machines and a sentence for people. A sentence that tells of a length of time
//! names the moment at which it ends, by the controller's clock, and never the rest: it is written down once and must
//! still be true when it is read.
//!
//! Does not know: how a decision is come to ([`super::decide`]), which languages people speak.

use super::Limit;
use crate::clock::{Delta, Wall, Why};
use std::time::Duration;

/// Why a node must not be touched anew, whatever its clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandsOff {
    /// Its record of what is ours cannot be read, so nothing on it can be told apart.
    UnreadableMarks,
    /// It is being deleted.
    NodeDeleting,
    /// A person said so, for a while. What is on it of ours comes off.
    Exempt {
        /// The end that they wrote.
        until: Wall,
        /// How much longer at least, by the earliest that it can be now.
        remaining: Duration,
        /// The end is so far ahead that somebody may have forgotten it.
        far: bool,
    },
    /// A person said something of the kind, but nobody can read until when.
    UnreadableExemption,
    /// It belongs to the control plane, and the policy does not ask for such nodes by name. What is on it comes off.
    ControlPlane,
    /// It was cordoned, and not by us.
    ForeignCordon,
    /// It has the same taint already, and not from us.
    ForeignTaint,
    /// We had cordoned it and a person uncordoned it: their decision holds until the clock has recovered once.
    UncordonedByOther,
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
    /// Beyond tolerance, sustained; but the newest reading does not tell whether still.
    Straddling,
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
    /// Something is wrong with what the nodes of its zone are set by.
    ZoneSuspect,
    /// It would be acted on, but the policy is suspended.
    Suspended,
    /// The node is to be left alone.
    HandsOff(HandsOff),
}

/// What a sentence needs to know beside the reason.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The controller's wall clock when the decision was made.
    pub now: Wall,
    /// The policy's limit.
    pub limit: Limit,
    /// The limit as a number of nodes.
    pub cap: usize,
    /// How many nodes the policy holds a mark on.
    pub held: usize,
    /// How many nodes are left out because of the limit.
    pub waiting: usize,
    /// What is wrong with the yardstick, in words.
    pub suspicion: Option<&'a str>,
    /// What is wrong in the node's zone, in words.
    pub zone: Option<&'a str>,
}

impl Because {
    /// CamelCase word, the same everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Because::Synchronized => "Synchronized",
            Because::Drifting => "Drifting",
            Because::HeldDown { .. } => "HeldDown",
            Because::Straddling => "Straddling",
            Because::Recovering { .. } => "Recovering",
            Because::Recovered => "Recovered",
            Because::Unknown(why) => why.as_str(),
            Because::LostEvidence(_) => "LostEvidence",
            Because::LimitReached => "ActionLimited",
            Because::ReferenceSuspect => "ReferenceSuspect",
            Because::ZoneSuspect => "ZoneSuspect",
            Because::Suspended => "Suspended",
            Because::HandsOff(hands_off) => hands_off.as_str(),
        }
    }

    /// How long until this reason ends by itself, if it does.
    #[must_use]
    pub fn ends_in(self) -> Option<Duration> {
        match self {
            Because::HeldDown { remaining }
            | Because::Recovering { remaining }
            | Because::HandsOff(HandsOff::Exempt { remaining, .. }) => Some(remaining),
            Because::Synchronized
            | Because::Drifting
            | Because::Straddling
            | Because::Recovered
            | Because::Unknown(_)
            | Because::LostEvidence(_)
            | Because::LimitReached
            | Because::ReferenceSuspect
            | Because::ZoneSuspect
            | Because::Suspended
            | Because::HandsOff(_) => None,
        }
    }

    /// One sentence for people, without a full stop.
    #[must_use]
    pub fn explain(self, scene: &Scene<'_>) -> String {
        let ends = |remaining: Duration| moment(scene.now.plus(Delta::from(remaining)));
        match self {
            Because::Synchronized => "inside tolerance".to_owned(),
            Because::Drifting => "beyond tolerance for sustainedFor or longer".to_owned(),
            Because::Straddling => {
                "beyond tolerance for sustainedFor, but the newest reading is too vague to tell whether it still is"
                    .to_owned()
            }
            Because::HeldDown { remaining } => format!("held down by sustainedFor until {}", ends(remaining)),
            Because::Recovering { remaining } => {
                format!("inside tolerance again, held by recoveredFor until {}", ends(remaining))
            }
            Because::Recovered => "inside tolerance again for recoveredFor or longer".to_owned(),
            Because::Unknown(why) => ignorance(why).to_owned(),
            Because::LostEvidence(why) => {
                format!("without evidence for sustainedFor or longer, and onUnknown is Act: {}", ignorance(why))
            }
            Because::LimitReached => format!(
                "limit of {} reached: {} nodes are acted on, {} wait",
                scene.limit.words(scene.cap),
                scene.held,
                scene.waiting
            ),
            Because::ReferenceSuspect => {
                format!("reference suspect: {}", scene.suspicion.unwrap_or("see the policy's condition Degraded"))
            }
            Because::ZoneSuspect => {
                format!("zone suspect: {}", scene.zone.unwrap_or("see the policy's condition Degraded"))
            }
            Because::Suspended => "the policy is suspended (spec.suspend): nothing new is done".to_owned(),
            Because::HandsOff(hands_off) => hands_off.explain(),
        }
    }
}

impl HandsOff {
    /// CamelCase word, the same everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HandsOff::UnreadableMarks => "UnreadableMarks",
            HandsOff::NodeDeleting => "NodeDeleting",
            HandsOff::Exempt { far: false, .. } => "Exempt",
            HandsOff::Exempt { far: true, .. } => "ExemptFarAhead",
            HandsOff::UnreadableExemption => "UnreadableExemption",
            HandsOff::ControlPlane => "ControlPlane",
            HandsOff::ForeignCordon => "ForeignCordon",
            HandsOff::ForeignTaint => "ForeignTaint",
            HandsOff::UncordonedByOther => "UncordonedByOther",
        }
    }

    fn explain(self) -> String {
        match self {
            HandsOff::UnreadableMarks => {
                "annotation clockwarden.io/marks cannot be read, so ours and others' marks cannot be told apart: remove it together with the marks that it should name"
            }
            HandsOff::NodeDeleting => "the node is being deleted",
            HandsOff::Exempt { until, far: false, .. } => {
                return format!("exempt until {} (annotation clockwarden.io/exempt-until)", moment(until));
            }
            HandsOff::Exempt { until, far: true, .. } => {
                return format!(
                    "exempt until {}, which is more than 30 d ahead: is annotation clockwarden.io/exempt-until still meant?",
                    moment(until)
                );
            }
            HandsOff::UnreadableExemption => {
                "annotation clockwarden.io/exempt-until cannot be read, so nothing new is done: write a time like 2026-07-01T18:00:00Z, or remove it"
            }
            HandsOff::ControlPlane => {
                "a control-plane node, and the policy's nodeSelector does not ask for node-role.kubernetes.io/control-plane"
            }
            HandsOff::ForeignCordon => "cordoned already, by somebody else",
            HandsOff::ForeignTaint => "has the same taint already, from somebody else",
            HandsOff::UncordonedByOther => {
                "we cordoned it and somebody else uncordoned it: that holds until its clock has recovered once"
            }
        }
        .to_owned()
    }
}

/// What it is that is not known.
fn ignorance(why: Why) -> &'static str {
    match why {
        Why::NeverMeasured => "no answer has been had yet",
        Why::Stale => "the last evidence is older than staleAfter",
        Why::TooUncertain => "the error bound is wider than maxError",
        Why::Conflict => "its clock sources contradict one another",
        Why::LeapSmear => {
            "its clock sources contradict one another as smearing and stepping servers do at a leap second"
        }
        Why::NoYardstick => "its offset against the controller is known, but not the right time",
        Why::MovedTogether => "it was moved together with most nodes: right or wrong alike",
        Why::Unsynchronized => "nothing has disciplined its clock for longer than maxUnsynchronized",
    }
}

/// A moment as RFC 3339, to the second, rounded up: what ends then has ended.
fn moment(wall: Wall) -> String {
    const SECOND: i64 = 1_000_000_000;
    let whole = wall.unix_nanos().div_euclid(SECOND) + i64::from(wall.unix_nanos().rem_euclid(SECOND) > 0);
    jiff::Timestamp::from_second(whole).unwrap_or(jiff::Timestamp::MAX).to_string()
}

impl Limit {
    /// The limit in words, where it comes to `cap` nodes: `2 (10%)`.
    #[must_use]
    pub fn words(self, cap: usize) -> String {
        match self {
            Limit::Count(_) => format!("{cap}"),
            Limit::Percent { percent, .. } => format!("{cap} ({percent}%)"),
        }
    }
}

#[cfg(test)]
mod tests;
