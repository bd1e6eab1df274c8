//! Where the controller reads the drift of nodes: one file per kind of source, one seam for all of them.
//!
//! ```text
//! policies, nodes ─▶ Wanted ─▶ Pollers ─▶ a task per node (agent, node_exporter)
//!                                         a task per source that feeds many nodes (Prometheus)
//!                                         ─Pen─▶ Observations: (source, node) ─▶ Observation ─▶ evaluate
//! ```
//!
//! Whatever a source is, it says the same kind of thing about a node: [`NodeReading`], its clock against ours, its clock
//! against what it follows, or why nothing could be read. A policy looks only at the observations of the very source
//! that its spec names, so that changing over to another source starts from nothing.
//!
//! To add a source: a file with a pure `read` and a thin task, its variant in [`crate::policy::Source`], and one arm in
//! [`Pollers::set`]. A source never says "zero" for "I do not know".
//!
//! Does not know: tolerances, what is done about a node.

pub mod agent;
pub mod figures;
pub mod lease;
pub mod node_exporter;
pub mod pollers;
pub mod prometheus;

pub use pollers::{Asked, Pollers, Wanted};

use super::fleet::{self, Fleet};
use crate::agent::report::{JumpReport, Report};
use crate::clock::{Delta, OffsetInterval, Sample};
use crate::policy::Source;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Whether a source asks each node at its own address, so that a node without one cannot be asked.
#[must_use]
pub fn asks_nodes(source: &Source) -> bool {
    match source {
        Source::Agent { .. } | Source::NodeExporter { .. } => true,
        Source::Prometheus { .. } | Source::Lease { .. } => false,
    }
}

/// What to ask, about which nodes, and at least how often.
#[must_use]
pub fn wanted(fleet: &Fleet) -> Wanted<'_> {
    let mut wanted = Wanted::new();
    for policy in fleet.policies.iter().filter_map(|(_, entry)| entry.policy.as_ref().ok()) {
        if policy.deleting {
            continue;
        }
        let nodes = wanted.entry(policy.source.clone()).or_default();
        for (name, node) in fleet.nodes.iter().filter(|(_, node)| fleet::matches(policy, node)) {
            let asked = nodes.entry(name.as_str()).or_insert(Asked { node, interval: policy.interval });
            asked.interval = policy.interval.min(asked.interval);
        }
    }
    wanted
}

/// What is known of one node from one source.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The last good reading.
    pub reading: Option<NodeReading>,
    /// How the last attempt failed, for people; gone with the next good reading.
    pub failure: Option<String>,
}

/// What a source says of one node's clock.
#[derive(Debug, Clone)]
pub struct NodeReading {
    /// Our clocks when it had arrived.
    pub clocks: Sample,
    /// How old it was already when it arrived.
    pub age_then: Duration,
    /// The node's clock against ours when it arrived (not yet widened by `age_then`); positive: the node is ahead.
    pub against_us: Option<OffsetInterval>,
    /// The node's clock against what it follows itself.
    pub own: Option<OffsetInterval>,
    /// For how long nothing had disciplined it, then.
    pub undisciplined: Duration,
    /// What is missing from it and how to get it, for people; told only where the evidence does not suffice.
    pub lacks: Option<String>,
    /// An agent's whole report: jumps, sources.
    pub report: Option<Arc<Report>>,
    /// Steps that were inferred, where there is no agent to see them; as in a report.
    pub steps: Arc<[JumpReport]>,
}

impl NodeReading {
    /// Nothing known yet, at this time.
    #[must_use]
    pub fn at(clocks: Sample) -> NodeReading {
        NodeReading {
            clocks,
            age_then: Duration::ZERO,
            against_us: None,
            own: None,
            undisciplined: Duration::ZERO,
            lacks: None,
            report: None,
            steps: Arc::default(),
        }
    }

    /// How old it is.
    #[must_use]
    pub fn age(&self, now: &Sample) -> Duration {
        now.after.since(self.clocks.after).saturating_add(self.age_then)
    }

    /// The node's clock against ours as it is now: older, and with our clock moved by whatever it was set and slewed
    /// since. A movement of our own must not look like a fleet that moved: chronyd slews by up to 0.8 s in ten seconds.
    #[must_use]
    pub fn against_us_now(&self, now: &Sample) -> Option<OffsetInterval> {
        let ours = now.carry(OffsetInterval::new(Delta::ZERO, Duration::ZERO), &self.clocks);
        Some(self.against_us?.aged(self.age(now)).against(ours))
    }

    /// The newest jumps of the node's wall clock, oldest first, their ages as they were when the reading arrived.
    #[must_use]
    pub fn jumps(&self) -> &[JumpReport] {
        self.report.as_ref().map_or(&self.steps, |report| &report.jumps)
    }
}

/// All observations, by source and node.
#[derive(Debug, Default)]
pub struct Observed(HashMap<Source, HashMap<String, Observation>>);

impl Observed {
    /// What a source says of a node.
    #[must_use]
    pub fn get(&self, source: &Source, node: &str) -> Option<&Observation> {
        self.0.get(source)?.get(node)
    }

    /// What any source says of a node.
    pub fn of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Observation> {
        self.0.values().filter_map(move |nodes| nodes.get(node))
    }

    /// Everything, with the node that it is about.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Observation)> {
        self.0.values().flatten().map(|(node, observation)| (node.as_str(), observation))
    }

    /// Forgets what a source says of a node.
    pub fn remove(&mut self, source: &Source, node: &str) {
        let Some(nodes) = self.0.get_mut(source) else { return };
        nodes.remove(node);
        if nodes.is_empty() {
            self.0.remove(source);
        }
    }

    /// The place of a source's observation of a node.
    pub fn entry(&mut self, source: &Source, node: &str) -> &mut Observation {
        self.0.entry(source.clone()).or_default().entry(node.to_owned()).or_default()
    }
}

/// The last observation of every source and node, shared by the pollers and the control loop.
#[derive(Clone, Default)]
pub struct Observations {
    inner: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    observed: Mutex<Observed>,
    /// What was written or forgotten since somebody last took it.
    touched: Mutex<HashSet<(Source, String)>>,
    changed: Notify,
}

impl Observations {
    /// Looks at all of them; keep it short, the pollers wait.
    pub fn with<T>(&self, look: impl FnOnce(&Observed) -> T) -> T {
        look(&self.lock())
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    /// What changed since the last time, as it is now; `None`: it was forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<(Source, String, Option<Observation>)> {
        let observed = self.lock();
        let touched = std::mem::take(&mut *self.touched());
        let now = |(source, node): (Source, String)| {
            let observation = observed.get(&source, &node).cloned();
            (source, node, observation)
        };
        touched.into_iter().map(now).collect()
    }

    fn touched(&self) -> MutexGuard<'_, HashSet<(Source, String)>> {
        self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.inner.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pen for one source. It writes until it is withdrawn.
    fn pen(&self, source: &Source) -> Pen {
        Pen { observations: self.clone(), source: source.clone(), valid: Arc::new(AtomicBool::new(true)) }
    }
}

/// The right of one task to write what its source says. A task that is ended may be in the middle of writing; so the
/// right is withdrawn under the lock under which it is used, and nothing that was forgotten comes back.
#[derive(Clone)]
pub struct Pen {
    observations: Observations,
    source: Source,
    valid: Arc<AtomicBool>,
}

impl Pen {
    /// A reading of a node.
    pub fn good(&self, node: &str, reading: NodeReading) {
        self.write(node, |entry| *entry = Observation { reading: Some(reading), failure: None });
    }

    /// No reading of a node, and why; the last good one is left to grow stale.
    pub fn bad(&self, node: &str, message: String) {
        tracing::debug!(node, message, "no reading");
        self.write(node, |entry| entry.failure = Some(message));
    }

    fn write(&self, node: &str, change: impl FnOnce(&mut Observation)) {
        {
            let mut observed = self.observations.lock();
            if !self.valid.load(Ordering::Relaxed) {
                return;
            }
            change(observed.entry(&self.source, node));
            self.observations.touched().insert((self.source.clone(), node.to_owned()));
        }
        self.observations.inner.changed.notify_one();
    }

    /// Forgets what was said of other nodes than these.
    fn keep(&self, is_wanted: impl Fn(&str) -> bool) {
        let mut observed = self.observations.lock();
        let Some(nodes) = observed.0.get_mut(&self.source) else { return };
        let gone: Vec<String> = nodes.keys().filter(|node| !is_wanted(node)).cloned().collect();
        for node in gone {
            nodes.remove(&node);
            self.forgotten(node);
        }
    }

    fn forgotten(&self, node: String) {
        self.observations.touched().insert((self.source.clone(), node));
        self.observations.inner.changed.notify_one();
    }

    /// Ends the right to write, and forgets what the source has said: of one node, or of all.
    fn withdraw(&self, node: Option<&str>) {
        let mut observed = self.observations.lock();
        self.valid.store(false, Ordering::Relaxed);
        let gone: Vec<String> = match (node, observed.0.get_mut(&self.source)) {
            (Some(node), Some(nodes)) => nodes.remove_entry(node).into_iter().map(|(node, _)| node).collect(),
            (None, Some(_)) => observed.0.remove(&self.source).into_iter().flatten().map(|(node, _)| node).collect(),
            (_, None) => Vec::new(),
        };
        for node in gone {
            self.forgotten(node);
        }
    }
}

#[cfg(test)]
mod tests;
