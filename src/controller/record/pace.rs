//! How often one node's NodeClock may be written.
//!
//! A change of state, reason or decision and every incident is written at once, as long as the node has not changed too
//! often: [`BURST`] such writes in a row, and one more a minute. After that a change waits for at most [`REST`], and what
//! is written is what holds then. A clock that flaps every ten seconds thus costs a write a minute and not eight thousand
//! a day. What is only nice to know (a drift has grown) waits until nothing was written for [`REST`].
//!
//! A write is counted when it shows in what is stored, so that one that failed costs nothing, and one of another
//! controller counts as well. By the monotonic clock.

use crate::clock::Mono;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// So many writes may follow one another at once. A drift from its beginning to the end of what was done about it
/// takes eight.
pub const BURST: u32 = 12;
/// One more is allowed after this, and no change is held back for longer.
pub const REST: Duration = Duration::from_secs(60);

/// How much there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Something happened.
    Real,
    /// The same goes on, and its figures have moved.
    Figures,
}

/// The writes of one node's NodeClock, as far as they were seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// When what is stored says that it was written; outer `None` before the first look.
    seen: Option<Option<MicroTime>>,
    /// Since when it has said so.
    seen_at: Mono,
    /// Writes that were made and not yet made up for by rest.
    spent: u32,
    /// Since when the oldest of them has been rested for.
    resting_since: Mono,
}

impl Pace {
    /// What is stored was written then.
    pub(super) fn learn(&mut self, written: Option<&MicroTime>, now: Mono) {
        while self.spent > 0 && now.since(self.resting_since) >= REST {
            self.spent -= 1;
            self.resting_since = self.resting_since.after(REST);
        }
        let is_new = self.seen.as_ref().is_some_and(|seen| seen.as_ref() != written);
        if is_new {
            if self.spent == 0 {
                self.resting_since = now;
            }
            self.spent = self.spent.saturating_add(1).min(BURST);
        }
        if is_new || self.seen.is_none() {
            self.seen = Some(written.cloned());
            self.seen_at = now;
        }
    }

    /// When a change may be written: now, or when to look again.
    pub(super) fn allows(&self, change: Change, now: Mono) -> Mono {
        let rested = if self.spent < BURST { now } else { self.resting_since.after(REST) };
        match change {
            Change::Real => rested,
            Change::Figures => rested.max(self.seen_at.after(REST)),
        }
    }
}
