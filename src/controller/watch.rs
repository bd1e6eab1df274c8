//! Watches Nodes, policies and NodeClocks, and tells the control loop in the order in which it was told.

use super::fleet::{Change, PolicyEntry};
use super::lean::Lean;
use crate::api::{NodeClock, TimeSyncPolicy};
use crate::runtime::CancellationToken;
use futures::{Stream, StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc::Sender;

/// Objects in one page of a list: the text of a page, and what is decoded of it, is held at once.
const PAGE: u32 = 250;

/// What a watch told.
#[derive(Debug)]
pub enum Told {
    /// About a Node.
    Node(Change<Node>),
    /// About a policy.
    Policy(Change<PolicyEntry>),
    /// About a NodeClock.
    Clock(Change<NodeClock>),
}

/// Watches all three until told to stop.
///
/// # Errors
/// Never with one of its own: a broken watch is logged and begun anew with a growing delay.
pub async fn run(client: Client, tell: Sender<Told>, stop: CancellationToken) -> anyhow::Result<()> {
    let config = || watcher::Config::default().page_size(PAGE);
    let nodes = watcher(Api::<Lean<Node>>::all(client.clone()), config());
    let resource = ApiResource::erase::<TimeSyncPolicy>(&());
    let policies = watcher(Api::<DynamicObject>::all_with(client.clone(), &resource), config());
    let clocks = watcher(Api::<Lean<NodeClock>>::all(client), config());
    tokio::select! {
        () = stop.cancelled() => {}
        () = forward("nodes", nodes, &tell, Told::Node, |Lean(node)| node) => {}
        () = forward("timesyncpolicies", policies, &tell, Told::Policy, PolicyEntry::read) => {}
        () = forward("nodeclocks", clocks, &tell, Told::Clock, |Lean(clock)| clock) => {}
    }
    if stop.is_cancelled() { Ok(()) } else { anyhow::bail!("a watch ended") }
}

async fn forward<K, T>(
    what: &'static str,
    stream: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>>,
    tell: &Sender<Told>,
    wrap: impl Fn(Change<T>) -> Told,
    read: impl Fn(K) -> T,
) where
    K: kube::Resource + Clone + Send + 'static,
{
    let stream = stream.default_backoff();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        let change = match event {
            Ok(watcher::Event::Init) => Change::Relist,
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                Change::Put(Box::new(read(object)))
            }
            Ok(watcher::Event::InitDone) => Change::Synced,
            Ok(watcher::Event::Delete(object)) => Change::Gone(object.name_any()),
            Err(error) => {
                tracing::warn!(what, error = crate::telemetry::chain(&error), "the watch failed; beginning anew");
                continue;
            }
        };
        if tell.send(wrap(change)).await.is_err() {
            return;
        }
    }
}
