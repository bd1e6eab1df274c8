//! (fleet, observations, memory, now) -> what holds for every policy and every node. Pure: a value comes out, nothing
//! is written.
//!
//! The only memory is each node's standing per policy (since when it has been how), because that cannot be derived
//! from one look. Everything else is computed afresh from the index each time, so that nothing can be lost in a
//! queue, and a restart forgets nothing but how long something has lasted, which errs on the side of waiting.

use super::fleet::{self, Fleet, PolicyEntry};
use super::sources::{self, Asked, NodeReading, Observation, Observed, Wanted};
use crate::api::node_marks;
use crate::clock::consensus::pairwise_skew;
use crate::clock::standing::judge;
use crate::clock::{Cause, Delta, Human, Judgement, OffsetInterval, Sample, Standing, State, Why};
use crate::policy::decide::{HandsOff, next_due};
use crate::policy::{
    Assessment, Candidate, Decision, Limit, Mark, Marks, NodeEvidence, Outcome, Policy, Suspicion, Yardstick, assess,
    decide, movement,
};
use crate::runtime::rfc3339;
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Since when each node has been how, for each policy.
#[derive(Debug, Default)]
pub struct Memory {
    standings: HashMap<(String, String), Standing>,
}

/// One node in the eyes of one policy.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub node: String,
    /// What the evidence has come to.
    pub standing: Standing,
    /// Its offset against the yardstick, aged to now.
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

/// One policy, evaluated.
#[derive(Debug, Clone)]
pub struct PolicyView {
    /// Its nodes, by name.
    pub nodes: Vec<NodeView>,
    /// Something is fishy with the yardstick.
    pub suspicion: Option<Suspicion>,
    /// Why it cannot be evaluated at all.
    pub unusable: Option<String>,
    /// Its limit as a number of nodes.
    pub cap: usize,
}

/// Everything that holds now.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// By policy.
    pub policies: BTreeMap<String, PolicyView>,
    /// The marks that each node shall carry; nodes without any are absent.
    pub desired: BTreeMap<String, Marks>,
    /// Skew between the two nodes that differ most, where at least two were measured.
    pub skew: Option<OffsetInterval>,
    /// When a hold-down runs out, if nothing else happens before.
    pub due: Option<Duration>,
}

/// A node that has not answered at all is called unknown after this long; before, it may just not have been asked.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// The skew between nodes is told from readings no older than this; the default of `staleAfter`.
const SKEW_AGE: Duration = Duration::from_secs(60);

/// What to ask, about which nodes, and at least how often.
#[must_use]
pub fn wanted(fleet: &Fleet) -> Wanted<'_> {
    let mut wanted = Wanted::new();
    for policy in fleet.policies.iter().filter_map(|(_, entry)| entry.policy.as_ref().ok()) {
        if policy.deleting {
            continue;
        }
        let nodes = wanted.entry(policy.source.clone()).or_default();
        for (name, node) in fleet.nodes.iter().filter(|(_, node)| matches(policy, node)) {
            let asked = nodes.entry(name.as_str()).or_insert(Asked { node, interval: policy.interval });
            asked.interval = policy.interval.min(asked.interval);
        }
    }
    wanted
}

/// The NTP servers that the policies name.
#[must_use]
pub fn references(fleet: &Fleet) -> BTreeSet<&String> {
    let policies = fleet.policies.iter().filter_map(|(_, entry)| entry.policy.as_ref().ok());
    policies.filter(|policy| !policy.deleting).flat_map(|policy| &policy.references).collect()
}

fn matches(policy: &Policy, node: &Node) -> bool {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    policy.nodes.matches(node.metadata.labels.as_ref().unwrap_or(&NONE))
}

/// Evaluates everything. `ours` gives, for a policy, this controller's clock against the policy's references.
#[must_use]
pub fn evaluate(
    fleet: &Fleet,
    observed: &Observed,
    ours: &dyn Fn(&Policy) -> Option<OffsetInterval>,
    memory: &mut Memory,
    clocks: &Sample,
) -> Evaluation {
    let mut out = Evaluation::default();
    let mut standings = HashMap::new();
    for (name, entry) in fleet.policies.iter() {
        let view = match &entry.policy {
            Ok(policy) => one_policy(policy, fleet, observed, ours(policy), &memory.standings, clocks),
            Err(error) => unusable(error.clone()),
        };
        for node in &view.nodes {
            standings.insert((name.clone(), node.node.clone()), node.standing);
        }
        let due = next_due(&view.nodes.iter().map(|n| n.decision).collect::<Vec<_>>());
        out.due = [out.due, due].into_iter().flatten().min();
        out.policies.insert(name.clone(), view);
    }
    memory.standings = standings;
    out.desired = desired(fleet, &out.policies);
    out.skew = skew(fleet, observed, clocks);
    out
}

/// From the narrowest fresh reading of each node.
fn skew(fleet: &Fleet, observed: &Observed, clocks: &Sample) -> Option<OffsetInterval> {
    let mut best: HashMap<&str, OffsetInterval> = HashMap::new();
    for (node, observation) in observed.iter().filter(|(node, _)| fleet.nodes.get(node).is_some()) {
        let fresh = observation.reading.as_ref().filter(|reading| reading.age(clocks) <= SKEW_AGE);
        let Some(interval) = fresh.and_then(|reading| reading.against_us_now(clocks)) else { continue };
        let known = best.entry(node).or_insert(interval);
        if interval.bound() < known.bound() {
            *known = interval;
        }
    }
    let measured: Vec<OffsetInterval> = best.into_values().collect();
    if measured.len() >= 2 { pairwise_skew(&measured) } else { None }
}

fn unusable(why: String) -> PolicyView {
    PolicyView { nodes: Vec::new(), suspicion: None, unusable: Some(why), cap: 0 }
}

fn one_policy(
    policy: &Policy,
    fleet: &Fleet,
    observed: &Observed,
    ours: Option<OffsetInterval>,
    standings: &HashMap<(String, String), Standing>,
    clocks: &Sample,
) -> PolicyView {
    let now = clocks.after;
    if policy.deleting {
        return PolicyView { nodes: Vec::new(), suspicion: None, unusable: None, cap: 0 };
    }
    let nodes: Vec<(&String, &Node)> = fleet.nodes.iter().filter(|(_, node)| matches(policy, node)).collect();
    let seen: Vec<Option<&Observation>> = nodes.iter().map(|(name, _)| observed.get(&policy.source, name)).collect();
    let readings: Vec<Option<&NodeReading>> = seen.iter().map(|o| o.and_then(|o| o.reading.as_ref())).collect();
    let evidence: Vec<NodeEvidence> = readings.iter().map(|r| evidence(*r, policy, clocks)).collect();
    let assessment = assess(&evidence, ours, &policy.tolerance);
    let mut views: Vec<NodeView> = Vec::with_capacity(nodes.len());
    let mut candidates: Vec<Candidate> = Vec::with_capacity(nodes.len());
    for (index, (name, node)) in nodes.iter().enumerate() {
        let reading = readings.get(index).copied().flatten();
        let offset = assessment.offsets.get(index).copied().flatten();
        let before = standings.get(&(policy.name.clone(), (*name).clone())).copied();
        let before = before.unwrap_or_else(|| Standing::new(now));
        let standing = before.observe(judgement(reading, index, &assessment, policy, clocks), now);
        let (acted, hands_off) = marks_of(policy, node);
        let failure = failure(name, node, seen.get(index).copied().flatten(), policy, clocks);
        let never = standing.state() == State::Unknown(Why::NeverMeasured);
        candidates.push(Candidate { node: (*name).clone(), standing, offset, acted, hands_off });
        views.push(NodeView {
            node: (*name).clone(),
            standing,
            offset,
            decision: Decision {
                outcome: Outcome::Leave,
                because: crate::policy::decide::Because::Unknown(Why::NeverMeasured),
            },
            acted,
            premature: never && now.since(standing.since()) < FIRST_ANSWER,
            failure,
            against: against(&assessment, policy),
        });
    }
    let decisions = decide(&candidates, &policy.action, assessment.suspicion, now);
    for (view, decision) in views.iter_mut().zip(decisions) {
        view.decision = decision;
    }
    let cap = policy.action.limit.cap(views.len());
    PolicyView { nodes: views, suspicion: assessment.suspicion, unusable: None, cap }
}

/// Why there is no better evidence about a node, if its source knows.
fn failure(name: &str, node: &Node, seen: Option<&Observation>, policy: &Policy, clocks: &Sample) -> Option<String> {
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
pub(crate) fn evidence(reading: Option<&NodeReading>, policy: &Policy, clocks: &Sample) -> NodeEvidence {
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

/// What the evidence about the node with that number in the assessment says.
pub(crate) fn judgement(
    reading: Option<&NodeReading>,
    number: usize,
    assessment: &Assessment,
    policy: &Policy,
    clocks: &Sample,
) -> Judgement {
    let Some(reading) = reading else { return Judgement::Nothing(Why::NeverMeasured) };
    let age = reading.age(clocks);
    let Some(offset) = assessment.offsets.get(number).copied().flatten() else {
        let stale = age > policy.tolerance.stale_after;
        return Judgement::Nothing(if stale { Why::Stale } else { Why::NoYardstick });
    };
    // A policy's own reference vouches for the clock; otherwise something on the node must.
    let free = match assessment.yardstick {
        Yardstick::Reference(_) => Duration::ZERO,
        Yardstick::Consensus(_) | Yardstick::OwnSources(_) => reading.undisciplined,
    };
    // The offset is aged already; the age is only judged against staleness, which was done above.
    let judged = judge(offset, Duration::ZERO, free, &policy.tolerance);
    // To agree with those who were moved alike proves nothing; to differ from them still does.
    let moved = assessment.moved.get(number).copied().unwrap_or(false);
    match judged {
        Judgement::Within | Judgement::Adrift | Judgement::Straddling if moved => {
            Judgement::Nothing(Why::MovedTogether)
        }
        Judgement::Within | Judgement::Adrift | Judgement::Straddling | Judgement::Beyond | Judgement::Nothing(_) => {
            judged
        }
    }
}

/// Whether this policy holds a mark on the node, and why the node must be left alone.
fn marks_of(policy: &Policy, node: &Node) -> (bool, Option<HandsOff>) {
    let Ok(owned) = node_marks::owned(node) else { return (false, Some(HandsOff::UnreadableMarks)) };
    let acted = owned.held_by(&policy.name);
    if node.metadata.deletion_timestamp.is_some() {
        return (acted, Some(HandsOff::NodeDeleting));
    }
    let hands_off = policy.action.mark.as_ref().and_then(|mark| {
        let (ours, there) = (owned.held.contains_key(mark), node_marks::present(node, mark));
        match (mark, ours, there) {
            (Mark::Cordon, _, _) if owned.lifted.contains(&policy.name) => Some(HandsOff::UncordonedByOther),
            (Mark::Cordon, false, false) if !owned.lifted.is_empty() => Some(HandsOff::UncordonedByOther),
            (Mark::Cordon, false, true) => Some(HandsOff::ForeignCordon),
            (Mark::Taint { .. }, false, true) => Some(HandsOff::ForeignTaint),
            (Mark::Cordon, true, false) => Some(HandsOff::UncordonedByOther),
            _ => None,
        }
    });
    (acted, hands_off)
}

fn against(assessment: &Assessment, policy: &Policy) -> String {
    match &assessment.yardstick {
        Yardstick::Reference(_) => policy.references.join(", "),
        Yardstick::Consensus(found) => format!("cluster consensus of {} of {} nodes", found.agreeing, found.of),
        Yardstick::OwnSources(_) => "the node's own sources".to_owned(),
    }
}

/// The marks that every node shall carry.
fn desired(fleet: &Fleet, views: &BTreeMap<String, PolicyView>) -> BTreeMap<String, Marks> {
    let mut all: BTreeMap<String, Marks> = BTreeMap::new();
    for (name, entry) in fleet.policies.iter() {
        let Some(view) = views.get(name) else { continue };
        if view.unusable.is_some() {
            keep_as_is(name, entry, fleet, &mut all);
            continue;
        }
        let mark = entry.policy.as_ref().ok().and_then(|policy| policy.action.mark.as_ref());
        let Some(mark) = mark else { continue };
        for node in &view.nodes {
            let wanted = match node.decision.outcome {
                // Without our finalizer the policy could vanish and leave the mark behind.
                Outcome::Act => node.acted || entry.has_finalizer(),
                Outcome::Keep => true,
                Outcome::Release | Outcome::WouldAct | Outcome::Leave => false,
            };
            if wanted {
                all.entry(node.node.clone()).or_default().hold(mark.clone(), name);
            }
        }
    }
    all
}

/// A policy that cannot be evaluated neither acts nor undoes: what it holds, it keeps, unless it is being deleted.
fn keep_as_is(name: &str, entry: &PolicyEntry, fleet: &Fleet, all: &mut BTreeMap<String, Marks>) {
    if entry.deleting() {
        return;
    }
    for (node_name, node) in fleet.nodes.iter() {
        let Ok(owned) = node_marks::owned(node) else { continue };
        let held = owned.of(name);
        if !held.is_empty() {
            all.entry(node_name.clone()).or_default().join(held);
        }
    }
}

/// The limit in words, for messages.
#[must_use]
pub fn limit_words(limit: Limit, cap: usize) -> String {
    match limit {
        Limit::Count(_) => format!("{cap}"),
        Limit::Percent { percent, .. } => format!("{cap} ({percent}%)"),
    }
}

#[cfg(test)]
mod tests;
