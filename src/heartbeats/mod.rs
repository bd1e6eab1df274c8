//! Listens to the heartbeats that a cluster sends anyway, and keeps what they say about each clock.
//!
//! ```text
//! watch kube-node-lease ─┐                      ┌─▶ clock::heartbeat (pure), one for each holder
//! watch kube-system     ─┼─▶ live? (pulse) ─────┤
//! list, every second    ─┘                      └─▶ set aside: late, unproven, just connected, not renewed
//! ```
//!
//! Only what a watch tells while it is proven live counts: never a list, never what comes with a new connection, never
//! a bookmark. When a watch breaks, what is known grows older and wider; nothing else happens to it.
//! Shared by `clockwarden scan` and by policies with `source: lease`. Needs `list` and `watch` on leases.
//!
//! kube's `watcher` is not used: it begins anew by itself and does not tell when, and that is the one thing that must
//! be known here.
//!
//! Does not know: tolerances, policies, what is done about a wrong clock.

mod holder;
mod pulse;
mod watch;

pub use holder::{CONTROL_PLANE, Holder, NODES, Renewal};
pub use pulse::{Proof, Pulse, Pulses};

use crate::clock::heartbeat::Estimate;
use crate::clock::{Beat, Delivery, Heartbeat, Mono, Sample, Wall};
use crate::runtime::mono_now;
use kube::Client;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Until the first list is answered, nothing is known of the way; nothing counts then either.
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_secs(1);
/// Who has not been heard for so long is forgotten when a watch begins anew: its lease may be gone.
const FORGET: Duration = Duration::from_secs(3_600);

/// What is taken for granted about the delay of heartbeats; see [`Delivery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed {
    /// No beat that counts takes longer.
    pub delay_max: Duration,
    /// What every beat of a sender takes is at most this.
    pub steady: Duration,
}

/// A part of the listening that does not work at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Mono,
    /// The API server refuses it: waiting will not help.
    pub is_forbidden: bool,
    /// For people.
    pub message: String,
}

/// What happened to events so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Heartbeats that counted.
    pub beats: u64,
    /// Heartbeats that may have been lying somewhere, and say nothing therefore.
    pub set_aside: u64,
    /// Watches that broke and were begun anew.
    pub cuts: u64,
}

/// Everything known.
#[derive(Debug)]
pub struct Book {
    assumed: Assumed,
    pulses: Pulses,
    heard: HashMap<Holder, Track>,
    counts: Counts,
    trouble: BTreeMap<&'static str, Trouble>,
    /// Since when heartbeats of nodes could count at first.
    listening: Option<Mono>,
}

#[derive(Debug)]
struct Track {
    renewed: Wall,
    seen: Mono,
    heartbeat: Heartbeat,
}

impl Book {
    fn new(assumed: Assumed) -> Book {
        Book {
            assumed,
            pulses: Pulses::default(),
            heard: HashMap::new(),
            counts: Counts::default(),
            trouble: BTreeMap::new(),
            listening: None,
        }
    }

    /// Everyone of whom at least one heartbeat counted, with what they allow to be said now. In no order.
    pub fn estimates(&self, now: &Sample) -> impl Iterator<Item = (&Holder, Estimate)> {
        let delivery = self.delivery();
        self.heard.iter().filter_map(move |(holder, track)| Some((holder, track.heartbeat.estimate(now, &delivery)?)))
    }

    /// What one holder's heartbeats allow to be said now.
    #[must_use]
    pub fn estimate(&self, holder: &Holder, now: &Sample) -> Option<Estimate> {
        self.heard.get(holder)?.heartbeat.estimate(now, &self.delivery())
    }

    /// The assumptions, with the round trip measured so far.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        Delivery {
            delay_max: self.assumed.delay_max,
            steady: self.assumed.steady,
            round_trip: self.pulses.round_trip().unwrap_or(ROUND_TRIP_UNKNOWN),
        }
    }

    /// What happened to events so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Since when heartbeats of nodes are listened to; `None` until the first watch has begun and settled.
    #[must_use]
    pub fn listening_since(&self) -> Option<Mono> {
        self.listening
    }

    /// What does not work, by what it is about: a namespace that is watched, or `list`.
    #[must_use]
    pub fn trouble(&self) -> &BTreeMap<&'static str, Trouble> {
        &self.trouble
    }

    /// A renewal that a watch told, at `clocks`; `is_settled` unless the watch has just been connected or held up.
    /// Returns what is proven about its delay.
    fn renewed(&mut self, renewal: Renewal, clocks: Sample, is_settled: bool) -> Proof {
        let delivery = self.delivery();
        let proof = self.pulses.prove(renewal.version, clocks.after);
        let track = self.heard.entry(renewal.holder).or_insert_with(|| Track {
            renewed: Wall::default(),
            seen: clocks.after,
            heartbeat: Heartbeat::new(),
        });
        // Somebody changed a label, say: the time in it is an old one.
        if track.renewed == renewal.renewed {
            return proof;
        }
        track.renewed = renewal.renewed;
        track.seen = clocks.after;
        if is_settled && proof == Proof::Live {
            track.heartbeat.hear(Beat { renewed: renewal.renewed, clocks }, &delivery);
            self.counts.beats = self.counts.beats.saturating_add(1);
        } else {
            self.counts.set_aside = self.counts.set_aside.saturating_add(1);
        }
        proof
    }
}

/// The book, shared by the watches that write it and whoever reads it.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    inner: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    changed: Notify,
}

impl Heartbeats {
    /// Looks at the book; keep it short, the watches wait.
    pub fn with<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.lock())
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.lock());
        self.inner.changed.notify_one();
    }

    fn works(&self, part: &'static str) {
        self.write(|book| {
            book.trouble.remove(part);
        });
    }

    fn fails(&self, part: &'static str, is_forbidden: bool, message: String) {
        self.write(|book| {
            let since = book.trouble.get(part).map_or_else(mono_now, |trouble| trouble.since);
            book.trouble.insert(part, Trouble { since, is_forbidden, message });
        });
    }
}

/// Begins to listen. The second value does it, for as long as it is polled; it never ends by itself.
pub fn listen(client: Client, assumed: Assumed) -> (Heartbeats, impl Future<Output = ()> + Send + 'static) {
    let shared = Shared { book: Mutex::new(Book::new(assumed)), changed: Notify::new() };
    let heartbeats = Heartbeats { inner: Arc::new(shared) };
    let book = heartbeats.clone();
    let listening = async move {
        tokio::join!(
            watch::run(client.clone(), NODES, book.clone()),
            watch::run(client.clone(), CONTROL_PLANE, book.clone()),
            watch::pulse(client, book),
        );
    };
    (heartbeats, listening)
}

#[cfg(test)]
mod tests;
