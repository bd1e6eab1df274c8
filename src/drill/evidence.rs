//! What a replica can know of a node by its own readings, and whether that founds an action.
//!
//! Kept beside the brain, from the same readings, and with the truth at hand: what the agent claimed and what the node's
//! own sources say. The limits of policies change, so what is kept is not "beyond since" but the smallest offset that
//! every reading has shown since when.

use super::judge::Rule;
use crate::clock::Delta;
use crate::policy::Policy;
use std::time::Duration;

/// A clock may look this much further off than it is, against a consensus of clocks that are all nearly right.
const MARGIN: Duration = Duration::from_millis(50);
/// No policy of a drill has a tolerance below this.
const ORDINARY: Duration = Duration::from_millis(100);
/// As much of the past as any hold-down asks for.
const REMEMBERED: usize = 32;
/// Between a reading and what follows from it.
const SECOND: Duration = Duration::from_secs(1);

/// What is known of one node.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// When it was measured last, what its agent claimed then, and what its own sources said.
    good: Option<(Duration, Delta, Delta)>,
    /// Since when every reading has been at least so far off; both grow.
    least: Vec<(Duration, Duration)>,
    /// The last reading says little.
    is_vague: bool,
}

impl Known {
    /// When it was measured last.
    #[must_use]
    pub fn measured(&self) -> Option<Duration> {
        self.good.map(|(at, ..)| at)
    }

    /// A reading. Whether it says that the clock has moved since the one before by more than any policy tolerates.
    pub fn saw(&mut self, now: Duration, claimed: Delta, own: Delta, is_vague: bool) -> bool {
        let before = self.good.replace((now, claimed, own));
        let has_moved = before.is_some_and(|(_, before, _)| claimed.minus(before).magnitude() > ORDINARY);
        self.is_vague = is_vague;
        let far = claimed.magnitude().max(own.magnitude());
        if far < ORDINARY {
            self.least.clear();
            return has_moved;
        }
        let mut since = now;
        while let Some((before, least)) = self.least.last().copied()
            && least >= far
        {
            since = before;
            self.least.pop();
        }
        self.least.push((since, far));
        if self.least.len() > REMEMBERED {
            self.least.remove(0);
        }
        has_moved
    }

    /// What speaks against an errand that began at `began` for this policy; `is_led`: nobody could tell who is right.
    #[must_use]
    pub fn speaks_against(&self, policy: &Policy, is_led: bool, began: Duration) -> Option<(Rule, String)> {
        let wrong = |why: String| Some((Rule::Evidence, why));
        let Some((at, claimed, own)) = self.good else { return wrong("never measured".to_owned()) };
        let age = began.saturating_sub(at);
        let (stale, sustained) = (policy.tolerance.stale_after, policy.action.sustained_for);
        if policy.action.act_on_unknown && (self.is_vague || age.saturating_add(SECOND) >= stale) {
            return None;
        }
        if age > stale.saturating_add(SECOND) {
            return wrong(format!("measured {} s before", age.as_secs()));
        }
        if is_led {
            return None;
        }
        let limit = policy.tolerance.offset_max.saturating_sub(MARGIN);
        if claimed.magnitude() <= limit && own.magnitude() <= limit {
            return Some((Rule::Healthy, format!("its clock was {claimed} off")));
        }
        let since = self.least.iter().find(|(_, least)| *least > limit).map_or(began, |(since, _)| *since);
        let lasted = began.saturating_sub(since);
        let is_hasty = lasted.saturating_add(SECOND) < sustained;
        is_hasty.then(|| (Rule::Evidence, format!("beyond for {} s only", lasted.as_secs())))
    }
}
