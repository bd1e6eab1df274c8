//! What is to be written next: names of objects, and never writes.
//!
//! A name in the queue says that something about this object may be due; what, is derived when its turn comes, from what
//! is known by then. So nothing that is queued can be out of date, and a thousand changes of one object are one entry.
//! Taking off comes before putting on, and both before what is merely told; within a class, first come first served.
//!
//! Writes are spaced: the API server serves others too. What fails is tried again after a growing pause, by object and
//! kind of write, so that a NodeClock that is refused does not keep a taint on.

use crate::clock::Mono;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// How pressing a write is; the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Marks that only come off, and what tells whether a mark is on.
    Undo,
    /// Marks that go on.
    Act,
    /// Finalizers: before the first mark, after the last.
    Finalizer,
    /// Conditions, NodeClocks, statuses, Events.
    Tell,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// A node, its condition, its NodeClock, and Events about it.
    Node(String),
    /// A policy and its status, and Events about it.
    Policy(String),
}

/// Pause after the first failure; doubled with each, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(32);

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    order: BTreeSet<(Class, u64, About)>,
    place: HashMap<About, (Class, u64)>,
    next: u64,
    /// Not before.
    later: BTreeSet<(Mono, About)>,
    failing: BTreeMap<(About, &'static str), (u32, Mono)>,
}

impl Queue {
    /// Something about this object may be due. An entry only becomes more pressing by that.
    pub fn push(&mut self, about: &About, class: Class) {
        let number = match self.place.get(about) {
            Some((before, _)) if *before <= class => return,
            Some((before, number)) => {
                self.order.remove(&(*before, *number, about.clone()));
                *number
            }
            None => {
                self.next = self.next.saturating_add(1);
                self.next
            }
        };
        self.place.insert(about.clone(), (class, number));
        self.order.insert((class, number, about.clone()));
    }

    /// The most pressing entry, which leaves the queue.
    pub fn pop(&mut self) -> Option<(Class, About)> {
        let (class, _, about) = self.order.pop_first()?;
        self.place.remove(&about);
        Some((class, about))
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Entries that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// To be looked at again then.
    pub fn push_later(&mut self, about: &About, at: Mono) {
        self.later.insert((at, about.clone()));
    }

    /// When the first entry that is put off comes back.
    #[must_use]
    pub fn due(&self) -> Option<Mono> {
        self.later.first().map(|(at, _)| *at)
    }

    /// An entry that was put off until now.
    pub fn pop_due(&mut self, now: Mono) -> Option<About> {
        self.due().filter(|at| *at <= now)?;
        self.later.pop_first().map(|(_, about)| about)
    }

    /// This kind of write failed for the object. Returns how often in a row.
    pub fn failed(&mut self, about: &About, kind: &'static str, now: Mono) -> u32 {
        let entry = self.failing.entry((about.clone(), kind)).or_insert((0, now));
        entry.0 = entry.0.saturating_add(1);
        let pause = PAUSE.saturating_mul(1 << entry.0.saturating_sub(1).min(6)).min(PAUSE_MAX);
        entry.1 = now.after(pause);
        let (failures, at) = *entry;
        self.push_later(about, at);
        failures
    }

    /// This kind of write was fulfilled for the object.
    pub fn fulfilled(&mut self, about: &About, kind: &'static str) {
        self.failing.remove(&(about.clone(), kind));
    }

    /// Whether this kind of write may be tried for the object.
    #[must_use]
    pub fn may_try(&self, about: &About, kind: &'static str, now: Mono) -> bool {
        self.failing.is_empty() || self.failing.get(&(about.clone(), kind)).is_none_or(|(_, at)| now >= *at)
    }

    /// The object is gone.
    pub fn forget(&mut self, about: &About) {
        if let Some((class, number)) = self.place.remove(about) {
            self.order.remove(&(class, number, about.clone()));
        }
        self.failing.retain(|(failing, _), _| failing != about);
    }
}

/// Spaces writes: so many in a second over any length of time, and as many at once.
///
/// Source: the generic cell rate algorithm (ITU-T I.371), which needs one number and no timer.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    spacing: Duration,
    burst: Duration,
    /// When all that was allowed would have been done at that pace.
    until: Mono,
}

impl Pace {
    /// `per_second` writes in a second.
    #[must_use]
    pub fn new(per_second: u32) -> Pace {
        let spacing = Duration::from_secs(1) / per_second.max(1);
        Pace { spacing, burst: Duration::from_secs(1), until: Mono::default() }
    }

    /// When the next is allowed.
    #[must_use]
    pub fn next(&self) -> Mono {
        self.until.before(self.burst.saturating_sub(self.spacing))
    }

    /// Counts one that is begun now.
    pub fn count(&mut self, now: Mono) {
        self.until = self.until.max(now).after(self.spacing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> About {
        About::Node(name.into())
    }

    #[test]
    fn undoing_comes_first_and_an_entry_only_becomes_more_pressing() {
        let mut queue = Queue::default();
        queue.push(&node("told"), Class::Tell);
        queue.push(&node("act"), Class::Act);
        queue.push(&node("both"), Class::Tell);
        queue.push(&node("both"), Class::Undo);
        queue.push(&node("both"), Class::Tell);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(Class::Undo, node("both")), (Class::Act, node("act")), (Class::Tell, node("told"))]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_fails_is_tried_less_and_less_often_and_nothing_else_is_held_up() {
        let (mut queue, start) = (Queue::default(), Mono::from_nanos(0));
        assert_eq!(queue.failed(&node("n"), "nodeclock", start), 1);
        assert!(!queue.may_try(&node("n"), "nodeclock", start));
        assert!(queue.may_try(&node("n"), "marks", start) && queue.may_try(&node("m"), "nodeclock", start));
        let again = start.after(PAUSE);
        assert_eq!((queue.pop_due(start), queue.pop_due(again)), (None, Some(node("n"))));
        assert!(queue.may_try(&node("n"), "nodeclock", again));
        for _ in 0..40 {
            queue.failed(&node("n"), "nodeclock", again);
        }
        assert!(queue.may_try(&node("n"), "nodeclock", again.after(PAUSE_MAX)));
        queue.fulfilled(&node("n"), "nodeclock");
        assert!(queue.may_try(&node("n"), "nodeclock", again));
    }

    #[test]
    fn a_second_holds_no_more_writes_than_the_pace_allows_twice() {
        let (mut pace, mut now, mut done) = (Pace::new(10), Mono::from_nanos(1_000_000_000_000), 0);
        let end = now.after(Duration::from_secs(10));
        while now < end {
            if pace.next() <= now {
                pace.count(now);
                done += 1;
            } else {
                now = pace.next();
            }
        }
        // What a second allows at once, and ten seconds of it.
        assert!((100..=110).contains(&done), "{done}");
    }
}
