//! What all nodes of a policy come to, together: counts, and the few that are named. Nothing here grows with the fleet.
//!
//! The status of a policy and the sentences about its nodes are made from this alone, however it was counted.

use super::engine::ward::Ward;
use super::evaluate::NodeView;
use super::suspect;
use crate::api::time_sync_policy::NodeCounts;
use crate::clock::{OffsetInterval, State, Wall};
use crate::policy::decide::{Because, HandsOff, Scene};
use crate::policy::{Decision, Limit};

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
    /// Of a policy at work.
    #[must_use]
    pub fn of(ward: &Ward, unusable: Option<String>) -> Totals {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let (digest, frame) = (ward.digest(), ward.frame());
        let worst = digest.worst().take(NAMED_MAX).filter_map(|name| ward.view(name));
        Totals {
            counts: NodeCounts {
                matched: count(digest.matched),
                synchronized: count(digest.synchronized),
                drifting: count(digest.drifting),
                unknown: count(digest.unknown),
                acted: count(digest.acted),
                would_act: count(digest.would().len()),
                exempt: count(digest.exempt),
            },
            cap: ward.room().cap(),
            limited: ward.room().waiting(),
            silent: digest.silent(),
            failure: digest.first_silent().and_then(|name| ward.view(name)?.failure.clone()),
            would: digest.would().iter().take(NAMED_MAX).cloned().collect(),
            worst: worst.map(Bad::of).collect(),
            suspicion: frame.suspicion.map(|it| suspect::fleet(&it, &|id| ward.name_of(id))),
            zones: frame.zones.iter().take(NAMED_MAX).map(suspect::zone).collect(),
            unusable,
            premature: digest.premature > 0,
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

impl Bad {
    fn of(view: &NodeView) -> Bad {
        let (node, state) = (view.node.clone(), view.standing.state());
        Bad { node, state, offset: view.offset, decision: view.decision }
    }
}
