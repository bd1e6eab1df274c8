//! Brings what the webhook has to know: watches the policies and the namespaces of a cluster.
//!
//! Before both have been listed once the webhook is not ready, and gets no traffic through its Service. A namespace
//! that the watch has not brought yet (objects often follow its creation within milliseconds) is asked for, but only
//! where the answer depends on its labels. A policy that cannot be read is logged and does not hide the others.

use super::known::{Event, Known, Labels, LabelsMissing, Mirror};
use super::ruling::Ruling;
use crate::api::admission::AdmissionSpec;
use crate::api::convert;
use crate::api::time_sync_policy::TimeSyncPolicy;
use crate::inspect::Catalogue;
use crate::policy::{Admission, Mode};
use crate::runtime::CancellationToken;
use crate::telemetry::chain;
use anyhow::{Context, bail};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Resource, ResourceExt};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a namespace may be asked for; the API server is waiting for us meanwhile.
const ASK: Duration = Duration::from_secs(1);
/// Namespaces asked for at once: whoever can post to us shall not turn that into load on the API server.
const ASKS: usize = 8;

/// What is known, and whom to ask for the rest.
#[derive(Clone)]
pub struct Policies {
    known: Arc<RwLock<Known>>,
    cluster: Option<Cluster>,
}

#[derive(Clone)]
struct Cluster {
    client: Client,
    asks: Arc<Semaphore>,
}

impl Policies {
    /// These and no others, where a namespace has no labels but its name: for development without a cluster.
    #[must_use]
    pub fn fixed(policies: impl IntoIterator<Item = (String, Admission)>) -> Policies {
        let policies = Mirror::fixed(policies.into_iter().collect());
        let known = Known::new(policies, Mirror::fixed([].into()));
        Policies { known: Arc::new(RwLock::new(known)), cluster: None }
    }

    /// Those of a cluster. Nothing is known until [`Policies::watch_policies`] and [`Policies::watch_namespaces`]
    /// run.
    #[must_use]
    pub fn of_cluster(client: Client) -> Policies {
        let asks = Arc::new(Semaphore::new(ASKS));
        Policies { known: Arc::default(), cluster: Some(Cluster { client, asks }) }
    }

    fn known<R>(&self, read: impl FnOnce(&Known) -> R) -> R {
        read(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether everything has been listed once.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.known(Known::complete)
    }

    /// What is known about products, with the settings that the policies add.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.known(|known| Arc::clone(known.catalogue()))
    }

    /// What the policies hold together in a namespace (`""` for objects of none); `None`: nothing.
    pub async fn ruling(&self, namespace: &str) -> Option<Ruling> {
        match self.known(|known| known.ruling(namespace)) {
            Ok(ruling) => ruling,
            Err(LabelsMissing) => {
                let labels = match &self.cluster {
                    Some(cluster) => cluster.labels(namespace).await,
                    None => None,
                };
                self.known(|known| known.ruling_for(namespace, labels))
            }
        }
    }

    /// Keeps the policies up to date until told to stop.
    ///
    /// # Errors
    /// If the watch ends by itself, which it never should.
    pub async fn watch_policies(self, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
        // Untyped, because one object that does not fit the type would fail the whole list.
        let resource = kube::api::ApiResource::erase::<TimeSyncPolicy>(&());
        let events = watcher(Api::<DynamicObject>::all_with(client, &resource), watcher::Config::default());
        follow("TimeSyncPolicies", events, read_policy, &stop, |event| {
            self.known.write().unwrap_or_else(PoisonError::into_inner).apply_policy(event);
        })
        .await
    }

    /// Keeps the namespaces' labels up to date until told to stop.
    ///
    /// # Errors
    /// If the watch ends by itself, which it never should.
    pub async fn watch_namespaces(self, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
        let events = watcher(Api::<PartialObjectMeta<Namespace>>::all(client), watcher::Config::default());
        let read = |namespace: &PartialObjectMeta<Namespace>| Some(namespace.labels().clone());
        follow("namespaces", events, read, &stop, |event| {
            self.known.write().unwrap_or_else(PoisonError::into_inner).namespaces.apply(event);
        })
        .await
    }
}

async fn follow<K: ResourceExt, V>(
    what: &str,
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    read: impl Fn(&K) -> Option<V>,
    stop: &CancellationToken,
    mut apply: impl FnMut(Event<V>),
) -> anyhow::Result<()> {
    let mut events = std::pin::pin!(events.default_backoff());
    let mut listed = false;
    while let Some(next) = stop.run_until_cancelled(events.next()).await {
        let event = match next {
            None => bail!("the watch of {what} ended"),
            Some(Err(error)) => {
                // It goes on with what it knows, and tries again, each time a little later.
                tracing::warn!(error = chain(&error), what, "watch interrupted");
                continue;
            }
            Some(Ok(event)) => event,
        };
        if matches!(event, watcher::Event::InitDone) && !std::mem::replace(&mut listed, true) {
            tracing::info!(what, "listed");
        }
        apply(match event {
            watcher::Event::Init => Event::ListBegins,
            watcher::Event::InitApply(object) => Event::Listed(object.name_any(), read(&object)),
            watcher::Event::InitDone => Event::ListEnds,
            watcher::Event::Apply(object) => Event::Changed(object.name_any(), read(&object)),
            watcher::Event::Delete(object) => Event::Deleted(object.name_any()),
        });
    }
    Ok(())
}

/// The admission part of a policy; nothing else of it matters here, and nothing else of it can be in the way. `None`: it
/// cannot be read, which is logged.
#[must_use]
pub fn read_policy(object: &DynamicObject) -> Option<Admission> {
    let spec = object.data.pointer("/spec/admission").cloned().unwrap_or_else(|| serde_json::json!({}));
    let read = serde_json::from_value::<AdmissionSpec>(spec)
        .map_err(|error| format!("spec.admission: {error}"))
        .and_then(|spec| convert::admission(&spec).map_err(|error| error.to_string()));
    match read {
        // Being deleted, it only waits for its nodes to be cleaned up.
        Ok(admission) if object.meta().deletion_timestamp.is_some() => Some(Admission { mode: Mode::Off, ..admission }),
        Ok(admission) => Some(admission),
        Err(error) => {
            let policy = object.name_any();
            tracing::error!(policy, error, "this TimeSyncPolicy cannot be read; what it said before still holds");
            None
        }
    }
}

impl Cluster {
    async fn labels(&self, namespace: &str) -> Option<Labels> {
        let ask = async {
            let _turn = self.asks.acquire().await.context("asking has ended")?;
            let found = Api::<Namespace>::all(self.client.clone()).get_metadata(namespace).await?;
            anyhow::Ok(found.labels().clone())
        };
        let answer = tokio::time::timeout(ASK, ask).await.unwrap_or_else(|_| bail!("no answer within {ASK:?}"));
        answer
            .inspect_err(|error| {
                tracing::warn!(
                    namespace,
                    error = format!("{error:#}"),
                    "unknown namespace; policies that select by labels other than its name are not applied"
                );
            })
            .ok()
    }
}

/// The policies of a YAML file, for development without a cluster.
///
/// # Errors
/// Names the file, and the document and field that are wrong.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<(String, Admission)>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(&text).with_context(|| format!("{} is not valid YAML", path.display()))?;
    let (version, kind) = (TimeSyncPolicy::api_version(&()), TimeSyncPolicy::kind(&()));
    let read = |document: serde_json::Value| {
        let said = |key: &str| document.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        if (said("apiVersion"), said("kind")) != (version.clone().into_owned(), kind.clone().into_owned()) {
            bail!("apiVersion {:?}, kind {:?}: expected {version} {kind}", said("apiVersion"), said("kind"));
        }
        let policy: TimeSyncPolicy = serde_json::from_value(document)?;
        let admission = convert::admission(&policy.spec.admission)?;
        Ok((policy.name_any(), admission))
    };
    let numbered = documents.into_iter().filter(|document| !document.is_null()).enumerate();
    numbered
        .map(|(index, document)| {
            let number = index.saturating_add(1);
            read(document).with_context(|| format!("{}, document {number}", path.display()))
        })
        .collect()
}
