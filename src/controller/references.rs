//! This controller's own clock against the NTP servers that policies name.
//!
//! One client asks, not one per node: each node is measured against the controller, and the controller against the
//! references. Servers that contradict one another are no reference; the cluster's consensus then decides.

use crate::agent::sources::sntp::{self, Server};
use crate::agent::sources::{Measured, Outcome, Settings, Source};
use crate::clock::{Fused, OffsetInterval, Reading, Sample, fuse};
use crate::policy::Policy;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::{AbortHandle, JoinSet};

type Latest = Arc<Mutex<HashMap<String, Measured>>>;

/// The references of all policies, each asked by a task of its own.
#[derive(Default)]
pub struct References {
    latest: Latest,
    running: HashMap<String, AbortHandle>,
    tasks: JoinSet<()>,
}

/// What a reference said, with our clock moved by whatever it was set and slewed since: every node is judged by it, and
/// chronyd slews by more than a second between two answers.
pub(crate) fn carried(name: &str, measured: &Measured, now: &Sample) -> Reading {
    let interval = now.carry(measured.interval, &measured.clocks);
    Reading { source: name.to_owned(), interval, taken: measured.clocks.after }
}

impl References {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Measured>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes exactly these servers be asked.
    pub fn set(&mut self, wanted: &BTreeSet<&String>) {
        let latest = &self.latest;
        self.running.retain(|name, task| {
            let keep = wanted.contains(name);
            if !keep {
                task.abort();
                latest.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
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
                let task = self.tasks.spawn(ask(source, (*name).clone(), Arc::clone(&self.latest)));
                self.running.insert((*name).clone(), task);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Our clock against the references of a policy; `None` if it names none, none answers, or they disagree.
    #[must_use]
    pub fn ours(&self, policy: &Policy, now: &Sample) -> Option<OffsetInterval> {
        let all = self.lock();
        let readings: Vec<Reading> =
            policy.references.iter().filter_map(|name| Some(carried(name, all.get(name)?, now))).collect();
        drop(all);
        match fuse(&readings, now.after, policy.tolerance.stale_after) {
            Fused::Agreed(interval) => Some(interval),
            Fused::Conflict { .. } | Fused::Silent => None,
        }
    }
}

async fn ask(mut source: Box<dyn Source>, name: String, latest: Latest) {
    loop {
        match source.poll().await {
            Outcome::Measured(measured) => {
                latest.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), measured);
            }
            Outcome::Unanswered(because) | Outcome::Withdrawn(because) => {
                tracing::warn!(reference = name, because, "a reference of a policy does not answer");
            }
            Outcome::Absent => {}
        }
        tokio::time::sleep(source.spacing()).await;
    }
}
