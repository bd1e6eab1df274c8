//! What all nodes of a policy come to, together: counts, and the few that are named. Nothing here grows with the fleet.
//!
//! The status of a policy and the sentences about its nodes are made from this alone, however it was counted.

use super::evaluate::{NodeView, PolicyView};
use super::suspect;
use crate::api::time_sync_policy::NodeCounts;
use crate::clock::{OffsetInterval, State, Wall};
use crate::policy::decide::{Because, HandsOff, Scene};
use crate::policy::{Decision, Limit, Outcome};

/// At most this many nodes are named in a status, or in one sentence of it.
pub const NAMED_MAX: usize = 5;

/// One node that is not synchronized.
#[derive(Debug, Clone)]
pub struct Bad {
    /// Its name.
    pub node: String,
    /// Its state.
    pub state: State,
    /// Its offset against the yardstick.
    pub offset: Option<OffsetInterval>,
    /// What is done about it.
    pub decision: Decision,
}

/// One policy's nodes.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// How many nodes are how.
    pub counts: NodeCounts,
    /// The limit as a number of nodes.
    pub cap: usize,
    /// How many are left out because of it.
    pub limited: usize,
    /// How many cannot be measured for a reason that their source knows.
    pub silent: usize,
    /// That reason, of the first of them by name.
    pub failure: Option<String>,
    /// The first few, by name, that would be acted on.
    pub would: Vec<String>,
    /// The few worst, the worst first.
    pub worst: Vec<Bad>,
    /// What is wrong with the yardstick of all nodes, in words ([`suspect::fleet`]).
    pub suspicion: Option<String>,
    /// What is wrong in zones, in words, one each ([`suspect::zone`]).
    pub zones: Vec<String>,
    /// Why the policy cannot be evaluated at all.
    pub unusable: Option<String>,
    /// Some node has not been asked for long enough to say anything.
    pub premature: bool,
}

impl Totals {
    /// Counts them.
    #[must_use]
    pub fn of(view: &PolicyView) -> Totals {
        let all = |is: &dyn Fn(&NodeView) -> bool| view.nodes.iter().filter(|n| is(n)).count();
        let count = |is: &dyn Fn(&NodeView) -> bool| i32::try_from(all(is)).unwrap_or(i32::MAX);
        let is_silent = |n: &NodeView| matches!(n.standing.state(), State::Unknown(_)) && n.failure.is_some();
        let would = |n: &NodeView| n.decision.outcome == Outcome::WouldAct;
        Totals {
            counts: NodeCounts {
                matched: count(&|_| true),
                synchronized: count(&|n| n.standing.state() == State::Synchronized),
                drifting: count(&|n| n.standing.state() == State::Drifting),
                unknown: count(&|n| matches!(n.standing.state(), State::Unknown(_))),
                acted: count(&|n| n.acted),
                would_act: count(&would),
                exempt: count(&|n| is_exempt(n.decision.because)),
            },
            cap: view.cap,
            limited: all(&|n| n.decision.because == Because::LimitReached),
            silent: all(&is_silent),
            failure: view.nodes.iter().find(|n| is_silent(n)).and_then(|n| n.failure.clone()),
            would: view.nodes.iter().filter(|n| would(n)).map(|n| n.node.clone()).take(NAMED_MAX).collect(),
            worst: worst(view),
            suspicion: view.suspicion.map(|it| {
                let at = |id: u32| usize::try_from(id).ok().and_then(|id| view.nodes.get(id));
                suspect::fleet(&it, &|id| at(id).map(|node| node.node.as_str()))
            }),
            zones: view.zones.iter().take(NAMED_MAX).map(suspect::zone).collect(),
            unusable: view.unusable.clone(),
            premature: view.nodes.iter().any(|n| n.premature),
        }
    }

    /// What a sentence about one of these nodes needs to know. `zone` is what is wrong in its zone, in words.
    #[must_use]
    pub fn scene<'a>(&'a self, limit: Limit, zone: Option<&'a str>, now: Wall) -> Scene<'a> {
        let held = usize::try_from(self.counts.acted).unwrap_or(0);
        Scene { now, limit, cap: self.cap, held, waiting: self.limited, suspicion: self.suspicion.as_deref(), zone }
    }
}

/// Whether a person meant the node to be left alone.
#[must_use]
pub fn is_exempt(because: Because) -> bool {
    matches!(because, Because::HandsOff(HandsOff::Exempt { .. } | HandsOff::UnreadableExemption))
}

/// Drifting before unknown, the furthest off, then by name.
fn worst(view: &PolicyView) -> Vec<Bad> {
    let mut bad: Vec<_> = view.nodes.iter().filter(|n| n.standing.state() != State::Synchronized).collect();
    // Whole tenths of a second, so that two nodes equally far off do not change places with every reading.
    let far = |n: &NodeView| n.offset.map(|it| it.midpoint().magnitude().as_millis() / 100);
    let drifting = |n: &NodeView| n.standing.state() == State::Drifting;
    bad.sort_by(|a, b| {
        drifting(b).cmp(&drifting(a)).then_with(|| far(b).cmp(&far(a))).then_with(|| a.node.cmp(&b.node))
    });
    let told =
        |n: &NodeView| Bad { node: n.node.clone(), state: n.standing.state(), offset: n.offset, decision: n.decision };
    bad.into_iter().take(NAMED_MAX).map(told).collect()
}
