//! This controller's own clock against the NTP servers that policies name.
//!
//! One client asks, not one per node: each node is measured against the controller, and the controller against the
//! references. Servers that contradict one another are no reference; the cluster's consensus then decides.

use super::fleet::Fleet;
use crate::agent::sources::sntp::{self, Server};
use crate::agent::sources::{Measured, Outcome, Settings, Source};
use crate::clock::{Fused, OffsetInterval, Reading, Sample, fuse};
use crate::policy::Policy;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// What was heard since somebody last took it; `None`: that server is not asked any more.
#[derive(Default)]
struct Heard {
    news: Mutex<HashMap<String, Option<Measured>>>,
    changed: Notify,
}

impl Heard {
    fn put(&self, name: &str, measured: Option<Measured>) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), measured);
        self.changed.notify_one();
    }
}

/// The references of all policies, each asked by a task of its own.
#[derive(Default)]
pub struct References {
    heard: Arc<Heard>,
    running: HashMap<String, AbortHandle>,
    tasks: JoinSet<()>,
}

/// The NTP servers that the policies name.
#[must_use]
pub fn wanted(fleet: &Fleet) -> BTreeSet<&String> {
    let policies = fleet.policies.iter().filter_map(|(_, entry)| entry.policy.as_ref().ok());
    policies.filter(|policy| !policy.deleting).flat_map(|policy| &policy.references).collect()
}

/// What a reference said, with our clock moved by whatever it was set and slewed since: every node is judged by it, and
/// chronyd slews by more than a second between two answers.
pub(crate) fn carried(name: &str, measured: &Measured, now: &Sample) -> Reading {
    let interval = now.carry(measured.interval, &measured.clocks);
    Reading { source: name.to_owned(), interval, taken: measured.clocks.after }
}

/// Our clock against the references of a policy; `None` if it names none, none answers, or they disagree.
#[must_use]
pub fn ours<'a>(policy: &Policy, heard: impl Fn(&str) -> Option<&'a Measured>, now: &Sample) -> Option<OffsetInterval> {
    let readings: Vec<Reading> =
        policy.references.iter().filter_map(|name| Some(carried(name, heard(name)?, now))).collect();
    match fuse(&readings, now.after, policy.tolerance.stale_after) {
        Fused::Agreed(interval) => Some(interval),
        Fused::Conflict { .. } | Fused::Silent => None,
    }
}

impl References {
    /// Waits for the next change.
    pub async fn changed(&self) {
        self.heard.changed.notified().await;
    }

    /// What was heard since the last time.
    #[must_use]
    pub fn take(&self) -> HashMap<String, Option<Measured>> {
        std::mem::take(&mut *self.heard.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes exactly these servers be asked.
    pub fn set(&mut self, wanted: &BTreeSet<&String>) {
        let heard = &self.heard;
        self.running.retain(|name, task| {
            let keep = wanted.contains(name);
            if !keep {
                task.abort();
                heard.put(name, None);
            }
            keep
        });
        for name in wanted {
            if self.running.contains_key(*name) {
                continue;
            }
            // Policies hold only names that were parsed.
            let Ok(server) = name.parse::<Server>() else { continue };
            let settings = Settings { references: vec![server], ..Settings::default() };
            for source in sntp::sources(&settings) {
                let task = self.tasks.spawn(ask(source, (*name).clone(), Arc::clone(&self.heard)));
                self.running.insert((*name).clone(), task);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn ask(mut source: Box<dyn Source>, name: String, heard: Arc<Heard>) {
    loop {
        match source.poll().await {
            Outcome::Measured(measured) => heard.put(&name, Some(measured)),
            Outcome::Unanswered(because) | Outcome::Withdrawn(because) => {
                tracing::warn!(reference = name, because, "a reference of a policy does not answer");
            }
            Outcome::Absent => {}
        }
        tokio::time::sleep(source.spacing()).await;
    }
}
