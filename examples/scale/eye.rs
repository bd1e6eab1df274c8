//! Sees which nodes carry the taint, as the API server tells by a watch, and how many there ever were at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{ApiResource, NotUsed, Object};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::wait::mono_now;

/// The default of `action.taint`.
const KEY: &str = "clockwarden.io/clock-drift";

/// Of a node only what is looked at: the watch must not cost more than what is measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Spec {
    #[serde(default)]
    taints: Vec<Taint>,
}

/// The watch.
pub(crate) struct Eye {
    seen: Arc<Mutex<Seen>>,
    changes: watch::Receiver<()>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    begun: bool,
    tainted: BTreeSet<String>,
    most: usize,
    last: Option<Instant>,
}

impl Drop for Eye {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Eye {
    /// Opens it, and waits until it has seen all nodes.
    pub(crate) async fn open(client: Client) -> Result<Eye> {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (tell, changes) = watch::channel(());
        let resource = ApiResource::erase::<Node>(&());
        let api: Api<Object<Spec, NotUsed>> = Api::all_with(client, &resource);
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::InitApply(node) | watcher::Event::Apply(node)) => {
                        let is_tainted = node.spec.taints.iter().any(|taint| taint.key == KEY);
                        if lock(&shared).note(node.name_any(), is_tainted) {
                            tell.send_replace(());
                        }
                    }
                    Ok(watcher::Event::InitDone) => {
                        lock(&shared).begun = true;
                        tell.send_replace(());
                    }
                    Ok(watcher::Event::Delete(_) | watcher::Event::Init) => {}
                    Err(error) => eprintln!("scale: the watch of the measurement broke: {error}"),
                }
            }
        });
        let mut eye = Eye { seen, changes, task };
        eye.until("the watch to begin", Duration::from_secs(120), |seen| seen.begun).await?;
        Ok(eye)
    }

    /// Waits until so many nodes are tainted. Returns when the last change was seen that made it so.
    pub(crate) async fn tainted(&mut self, count: usize, within: Duration) -> Result<Instant> {
        self.until(&format!("{count} nodes to be tainted"), within, |seen| seen.tainted.len() == count).await
    }

    /// Waits until this node is tainted, or is not.
    pub(crate) async fn node(&mut self, node: &str, is_tainted: bool, within: Duration) -> Result<Instant> {
        let what = format!("the taint of {node} to {}", if is_tainted { "come" } else { "go" });
        self.until(&what, within, |seen| seen.tainted.contains(node) == is_tainted).await
    }

    /// How many are tainted now.
    pub(crate) fn now(&self) -> usize {
        lock(&self.seen).tainted.len()
    }

    /// The most that were tainted at any moment since this was asked last.
    pub(crate) fn most(&self) -> usize {
        let mut seen = lock(&self.seen);
        let now = seen.tainted.len();
        std::mem::replace(&mut seen.most, now)
    }

    async fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&Seen) -> bool) -> Result<Instant> {
        let wait = async {
            loop {
                {
                    let seen = lock(&self.seen);
                    if holds(&seen) {
                        return Ok(seen.last.unwrap_or_else(mono_now));
                    }
                }
                self.changes.changed().await.context("the watch ended")?;
            }
        };
        let waited = tokio::time::timeout(within, wait).await;
        waited.with_context(|| format!("waited {within:?} in vain for {what}; {} are tainted", self.now()))?
    }
}

impl Seen {
    /// Whether it changes anything.
    fn note(&mut self, node: String, is_tainted: bool) -> bool {
        let changed = if is_tainted { self.tainted.insert(node) } else { self.tainted.remove(&node) };
        if changed {
            self.last = Some(mono_now());
            self.most = self.most.max(self.tainted.len());
        }
        changed
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
