//! One node in the eyes of one policy: what a reading is worth by now, and what it says about the node's clock. Pure.

use super::fleet;
use super::sources::{self, NodeReading, Observation};
use crate::clock::interval::DRIFT_PPM;
use crate::clock::standing::judge;
use crate::clock::{Cause, Delta, Human, Judgement, Mono, OffsetInterval, Sample, Standing, Why};
use crate::policy::{Decision, NodeEvidence, Policy, Yardstick, movement};
use crate::runtime::rfc3339;
use k8s_openapi::api::core::v1::Node;
use std::time::Duration;

/// One node in the eyes of one policy.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub node: String,
    /// What the evidence has come to.
    pub standing: Standing,
    /// Its offset against the yardstick, aged to when it was last looked at.
    pub offset: Option<OffsetInterval>,
    /// What is done about it.
    pub decision: Decision,
    /// Carries a mark of this policy.
    pub acted: bool,
    /// Why asking failed, if it did.
    pub failure: Option<String>,
    /// Against what.
    pub against: String,
    /// Nothing is known, but asking has only just begun.
    pub premature: bool,
}

/// Why there is no better evidence about a node, if its source knows.
#[must_use]
pub fn failure(
    name: &str,
    node: &Node,
    seen: Option<&Observation>,
    policy: &Policy,
    clocks: &Sample,
) -> Option<String> {
    if sources::asks_nodes(&policy.source) && fleet::address(node).is_none() {
        return Some(format!("node {name} has no address in status.addresses at which it could be asked"));
    }
    let seen = seen?;
    if seen.failure.is_some() {
        return seen.failure.clone();
    }
    let reading = seen.reading.as_ref()?;
    let (age, limit) = (reading.age_then, policy.tolerance.stale_after);
    if age > limit && clocks.after.since(reading.clocks.after) <= limit {
        let taken = rfc3339(reading.clocks.wall.plus(Delta::ZERO.minus(Delta::from(age))));
        let (age, limit) = (Human(age), Human(limit));
        return Some(format!(
            "the newest that its source has of node {name} was {age} old already (taken at {taken}), and \
             tolerance.staleAfter is {limit}: measure more often there, or allow more here"
        ));
    }
    reading.lacks.clone()
}

/// The evidence about one node, aged to now; what is stale is none.
#[must_use]
pub fn evidence(reading: Option<&NodeReading>, policy: &Policy, clocks: &Sample) -> NodeEvidence {
    let Some(reading) = reading else { return NodeEvidence::default() };
    let age = reading.age(clocks);
    if age > policy.tolerance.stale_after {
        return NodeEvidence::default();
    }
    let happened = reading.jumps().iter().filter_map(|jump| {
        let ago = Duration::try_from_secs_f64(jump.age_seconds?).ok()?.saturating_add(age);
        Some((Cause::from_word(&jump.cause)?, Delta::from_seconds(jump.amount_seconds)?, ago))
    });
    let moved = reading.report.is_some().then(|| movement::of_clock(happened, clocks.wall));
    NodeEvidence { against_us: reading.against_us_now(clocks), own: reading.own.map(|it| it.aged(age)), moved }
}

/// What the evidence about a node says, whose offset against the yardstick is `offset`. `moved`: it was moved together
/// with most others, so that to agree with them proves nothing.
#[must_use]
pub fn judgement(
    reading: Option<&NodeReading>,
    offset: Option<OffsetInterval>,
    moved: bool,
    yardstick: &Yardstick,
    policy: &Policy,
    clocks: &Sample,
) -> Judgement {
    let Some(reading) = reading else { return Judgement::Nothing(Why::NeverMeasured) };
    let age = reading.age(clocks);
    let Some(offset) = offset else {
        let stale = age > policy.tolerance.stale_after;
        return Judgement::Nothing(if stale { Why::Stale } else { Why::NoYardstick });
    };
    // A policy's own reference vouches for the clock; otherwise something on the node must.
    let free = match yardstick {
        Yardstick::Reference(_) => Duration::ZERO,
        Yardstick::Consensus(_) | Yardstick::OwnSources(_) => reading.undisciplined,
    };
    // The offset is aged already; the age is only judged against staleness, which was done above.
    let judged = judge(offset, Duration::ZERO, free, &policy.tolerance);
    match judged {
        Judgement::Within | Judgement::Adrift | Judgement::Straddling if moved => {
            Judgement::Nothing(Why::MovedTogether)
        }
        Judgement::Within | Judgement::Adrift | Judgement::Straddling | Judgement::Beyond | Judgement::Nothing(_) => {
            judged
        }
    }
}

/// When age alone makes evidence worthless: it is stale, or its bound, which grows at [`DRIFT_PPM`], is too wide. In
/// between age changes no state: what was certain becomes doubtful, and doubt keeps the state that there was.
#[must_use]
pub fn worse_at(
    reading: &NodeReading,
    offset: Option<OffsetInterval>,
    policy: &Policy,
    clocks: &Sample,
) -> Option<Mono> {
    // Beyond it, not at it.
    const MOMENT: Duration = Duration::from_millis(1);
    let stale = policy.tolerance.stale_after.checked_sub(reading.age(clocks));
    let slack = offset.and_then(|offset| policy.tolerance.error_max.checked_sub(offset.bound()));
    let wide = slack.map(|slack| slack.saturating_mul(1_000_000 / u32::try_from(DRIFT_PPM).unwrap_or(u32::MAX)));
    let first = [stale, wide].into_iter().flatten().min()?;
    Some(clocks.after.after(first.saturating_add(MOMENT)))
}

/// What a node's offset is against, in words.
#[must_use]
pub fn against(yardstick: &Yardstick, policy: &Policy) -> String {
    match yardstick {
        Yardstick::Reference(_) => policy.references.join(", "),
        Yardstick::Consensus(found) => format!("cluster consensus of {} of {} nodes", found.agreeing, found.of),
        Yardstick::OwnSources(_) => "the node's own sources".to_owned(),
    }
}
