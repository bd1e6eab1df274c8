//! What a policy's status says of its nodes, kept up to date one node at a time.
//!
//! Counts, the few worst, the first that cannot be measured. A status names a handful of nodes and counts the rest: a
//! list of all of them in one object cost another controller 1.3 s of its API server's time for each change
//! (node-readiness-controller with 1,000 nodes).

use crate::clock::State;
use crate::controller::evaluate::NodeView;
use crate::controller::totals::is_exempt;
use crate::policy::Outcome;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The digest of some nodes.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    /// Nodes that the policy matches.
    pub matched: usize,
    /// Of these, inside tolerance for certain.
    pub synchronized: usize,
    /// Beyond tolerance for certain.
    pub drifting: usize,
    /// Neither.
    pub unknown: usize,
    /// With a mark of the policy.
    pub acted: usize,
    /// That a person meant to be left alone.
    pub exempt: usize,
    /// Of which it is too early to say anything.
    pub premature: usize,
    would: BTreeSet<String>,
    bad: BTreeSet<Bad>,
    silent: BTreeSet<String>,
}

/// Drifting before unknown, the furthest off first (in whole tenths of a second, so that two nodes equally far off do
/// not change places with every reading), then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Bad {
    is_unknown: bool,
    far: Reverse<Option<u128>>,
    node: String,
}

impl Bad {
    fn of(view: &NodeView) -> Bad {
        Bad {
            is_unknown: view.standing.state() != State::Drifting,
            far: Reverse(view.offset.map(|it| it.midpoint().magnitude().as_millis() / 100)),
            node: view.node.clone(),
        }
    }
}

impl Digest {
    /// One more node.
    pub fn add(&mut self, view: &NodeView) {
        self.count(view, usize::saturating_add);
        if view.standing.state() != State::Synchronized {
            self.bad.insert(Bad::of(view));
        }
        if is_silent(view) {
            self.silent.insert(view.node.clone());
        }
        if view.decision.outcome == Outcome::WouldAct {
            self.would.insert(view.node.clone());
        }
    }

    /// A node as it was when it was added, less.
    pub fn remove(&mut self, view: &NodeView) {
        self.count(view, usize::saturating_sub);
        if view.standing.state() != State::Synchronized {
            self.bad.remove(&Bad::of(view));
            self.silent.remove(&view.node);
        }
        if view.decision.outcome == Outcome::WouldAct {
            self.would.remove(&view.node);
        }
    }

    fn count(&mut self, view: &NodeView, by: fn(usize, usize) -> usize) {
        let state = match view.standing.state() {
            State::Synchronized => &mut self.synchronized,
            State::Drifting => &mut self.drifting,
            State::Unknown(_) => &mut self.unknown,
        };
        *state = by(*state, 1);
        self.matched = by(self.matched, 1);
        for (count, counts) in [
            (&mut self.acted, view.acted),
            (&mut self.exempt, is_exempt(view.decision.because)),
            (&mut self.premature, view.premature),
        ] {
            *count = by(*count, usize::from(counts));
        }
    }

    /// The nodes that are not synchronized, the worst first.
    pub fn worst(&self) -> impl Iterator<Item = &str> {
        self.bad.iter().map(|bad| bad.node.as_str())
    }

    /// The nodes that would be acted on if the policy did not only observe, by name.
    #[must_use]
    pub fn would(&self) -> &BTreeSet<String> {
        &self.would
    }

    /// How many nodes cannot be measured although they are asked.
    #[must_use]
    pub fn silent(&self) -> usize {
        self.silent.len()
    }

    /// The first of them, by name.
    #[must_use]
    pub fn first_silent(&self) -> Option<&str> {
        self.silent.first().map(String::as_str)
    }
}

fn is_silent(view: &NodeView) -> bool {
    matches!(view.standing.state(), State::Unknown(_)) && view.failure.is_some()
}
