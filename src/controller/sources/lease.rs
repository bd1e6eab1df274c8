//! The heartbeats of the kubelets as a source: nothing to install on any node.
//!
//! One task listens for a whole policy ([`crate::heartbeats`] says which heartbeats count), and writes a node's reading
//! whenever one more of it did. Between two of them a reading only grows older; a watch that is cut or stalls is
//! silence, and never drift.
//!
//! The control plane's own clocks come along: they sign the service accounts' tokens, and no agent can run beside
//! those that a provider manages. They are shown as a metric and judged by nobody.
//!
//! Does not know what disciplines a clock, so nothing read here is ever undisciplined; nor what a node follows, so a
//! policy needs three nodes (a consensus) or `references` to judge by it.

use super::pollers::{Feed, Roster};
use super::{NodeReading, Pen};
use crate::agent::clocks;
use crate::clock::heartbeat::STEADY;
use crate::clock::{Boot, OffsetInterval, Sample};
use crate::heartbeats::{self, Assumed, Book, Heartbeats, Holder, NODES};
use kube::Client;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Heartbeats that come so close together are told together.
const GATHER: Duration = Duration::from_millis(50);
/// Looks at least this often: that nobody is heard is no event.
const LOOK: Duration = Duration::from_secs(1);
/// A kubelet beats every 10 s; who has not been heard for so long is told to be silent.
const SILENT: Duration = Duration::from_secs(25);
/// A lease runs out after 40 s: what was known of a component before is not shown any more.
const STALE: Duration = Duration::from_secs(40);

/// What listening needs, and where it leaves what is known of the control plane.
#[derive(Clone)]
pub struct Leases {
    /// Of the cluster.
    pub client: Client,
    /// Told with every look.
    pub control_plane: ControlPlane,
}

/// The clocks of the control plane, as the last look found them.
#[derive(Debug, Clone, Default)]
pub struct ControlPlane(Arc<Mutex<BTreeMap<(&'static str, String), Seen>>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    interval: OffsetInterval,
    last: Boot,
}

impl ControlPlane {
    /// Component, instance, and its clock against ours; only what was heard within [`STALE`].
    #[must_use]
    pub fn offsets(&self, now: &Sample) -> Vec<(&'static str, String, OffsetInterval)> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = seen.iter().filter(|(_, it)| now.boot.since(it.last) <= STALE);
        fresh.map(|((component, instance), it)| (*component, instance.clone(), it.interval)).collect()
    }

    fn look(&self, book: &Book, now: &Sample) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clear();
        for (holder, estimate) in book.estimates(now) {
            if let Holder::Component { component, instance } = holder
                && estimate.settled
            {
                let last = now.boot.before(estimate.age);
                seen.insert((*component, instance.clone()), Seen { interval: estimate.interval, last });
            }
        }
    }
}

/// Listens for ever.
pub(super) async fn feed(pen: Pen, leases: Leases, delay_max: Duration, feed: Feed) {
    let (book, listening) = heartbeats::listen(leases.client, Assumed { delay_max, steady: STEADY });
    tokio::select! {
        () = listening => {}
        () = tell(&pen, &leases.control_plane, &book, feed) => {}
    }
}

async fn tell(pen: &Pen, control_plane: &ControlPlane, book: &Heartbeats, mut feed: Feed) {
    let mut told = Told::default();
    loop {
        tokio::select! {
            () = book.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        tokio::time::sleep(GATHER).await;
        let roster = Arc::clone(&feed.roster.borrow_and_update());
        let now = clocks::sample();
        let news = book.with(|book| {
            control_plane.look(book, &now);
            told.news(book, &roster, &now)
        });
        for (node, reading) in news {
            match reading {
                Ok(reading) => pen.good(&node, reading),
                Err(message) => pen.bad(&node, message),
            }
        }
    }
}

/// What was said of each node last, so that it is said once.
#[derive(Debug, Default)]
struct Told {
    beats: HashMap<String, Boot>,
    failures: HashMap<String, String>,
}

impl Told {
    /// A reading of every node of which a heartbeat came since; a message for those of whom nothing is heard.
    fn news(&mut self, book: &Book, roster: &Roster, now: &Sample) -> Vec<(String, Result<NodeReading, String>)> {
        self.beats.retain(|node, _| roster.contains_key(node));
        self.failures.retain(|node, _| roster.contains_key(node));
        let broken =
            book.trouble().get(NODES).map(|it| format!("the leases in {NODES} cannot be watched: {}", it.message));
        let listening = book.listening_since().map_or(Duration::ZERO, |since| now.after.since(since));
        let mut news = Vec::new();
        for node in roster.keys() {
            let estimate = book.estimate(&Holder::Node(node.clone()), now);
            if let Some(estimate) = estimate {
                let beat = now.boot.before(estimate.age);
                if self.beats.insert(node.clone(), beat) != Some(beat) {
                    self.failures.remove(node);
                    let against_us = Some(estimate.interval);
                    let reading = NodeReading { against_us, age_then: estimate.age, ..NodeReading::at(*now) };
                    news.push((node.clone(), Ok(reading)));
                    continue;
                }
            }
            let is_silent = estimate.map_or(listening, |it| it.age.min(listening)) > SILENT;
            let silence = is_silent.then(|| {
                format!("no heartbeat of node {node} for more than {} s: see its lease in {NODES}", SILENT.as_secs())
            });
            if let Some(message) = broken.clone().or(silence)
                && self.failures.get(node) != Some(&message)
            {
                self.failures.insert(node.clone(), message.clone());
                news.push((node.clone(), Err(message)));
            }
        }
        news
    }
}
