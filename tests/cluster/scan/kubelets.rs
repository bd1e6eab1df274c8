//! Many kubelets' heartbeats: each node's lease, renewed by PUT with the time of a clock that may be off.
//!
//! As client-go's lease controller does it: the clock is read just before the request, and the next renewal builds on
//! the answer to the last. Phases are spread evenly, periods by up to 4%, as the kubelet jitters them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::join_all;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::wait::{mono_now, wall_now};
use crate::support::wait_for;

const PERIOD: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(30);

/// One clock that beats.
pub(crate) struct Beating {
    offset_ms: Arc<AtomicI64>,
    /// The shortest PUT so far in µs: what every heartbeat of it has taken at least, give or take the answer's way.
    best_us: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// Clocks that beat until this is dropped.
pub(crate) struct Kubelets(BTreeMap<String, Beating>);

/// How long every renewal of this process took, in µs: how busy the machine is.
static TOOK_US: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Nine of ten of the last thousand renewals took no longer than this, in ms.
pub(crate) fn took_ms() -> f64 {
    let took = TOOK_US.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last: Vec<u64> = took.iter().rev().take(1_000).copied().collect();
    last.sort_unstable();
    last.get(last.len() * 9 / 10).map_or(0.0, |us| *us as f64 / 1e3)
}

impl Kubelets {
    /// Creates nodes `NAME-1` to `NAME-n` with their leases, all right at first.
    pub(crate) async fn start(client: &Client, name: &str, count: u32) -> Result<Kubelets> {
        let nodes: Api<Node> = Api::all(client.clone());
        let beginning = join_all((1..=count).map(|number| {
            let (nodes, name) = (nodes.clone(), format!("{name}-{number:03}"));
            async move {
                let node: Node = serde_json::from_value(json!({"metadata": {"name": name}}))?;
                nodes.create(&PostParams::default(), &node).await.with_context(|| format!("node {name}"))?;
                let phase = PERIOD * (number - 1) / count;
                let period = PERIOD + PERIOD * (number * 7 % 5) / 125;
                let beating = beat(client, "kube-node-lease", &name, json!({"holderIdentity": name}), phase, period);
                anyhow::Ok((name.clone(), beating.await?))
            }
        }));
        Ok(Kubelets(beginning.await.into_iter().collect::<Result<_>>()?))
    }

    /// Renews the leases of nodes that exist already, this often.
    pub(crate) async fn of(client: &Client, names: impl Iterator<Item = String>, period: Duration) -> Result<Kubelets> {
        let mut all = BTreeMap::new();
        for name in names {
            let spec = json!({"holderIdentity": name});
            all.insert(name.clone(), beat(client, "kube-node-lease", &name, spec, Duration::ZERO, period).await?);
        }
        Ok(Kubelets(all))
    }

    /// Sets a clock off by so much.
    pub(crate) fn set(&self, node: &str, offset_ms: i64) {
        self.0[node].offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// By how much each is off, in ms.
    pub(crate) fn truth(&self) -> BTreeMap<String, i64> {
        self.0.iter().map(|(name, it)| (name.clone(), it.offset_ms.load(Ordering::Relaxed))).collect()
    }

    /// The shortest time that a renewal of this node took, in ms.
    pub(crate) fn best_ms(&self, node: &str) -> f64 {
        self.0[node].best_us.load(Ordering::Relaxed) as f64 / 1e3
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A control-plane process that was elected on `host`, and renews every 2 s.
pub(crate) async fn elected(client: &Client, component: &str, host: &str, offset_ms: i64) -> Result<Beating> {
    let beating = elected_every(client, component, host, Duration::from_secs(2)).await?;
    beating.offset_ms.store(offset_ms, Ordering::Relaxed);
    Ok(beating)
}

/// One that renews this often, and whose clock is right.
pub(crate) async fn elected_every(client: &Client, component: &str, host: &str, period: Duration) -> Result<Beating> {
    let spec = json!({"holderIdentity": format!("{host}_0b1c2d3e-{component}")});
    beat(client, "kube-system", component, spec, Duration::ZERO, period).await
}

async fn beat(
    client: &Client,
    namespace: &'static str,
    name: &str,
    spec: Value,
    phase: Duration,
    period: Duration,
) -> Result<Beating> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut lease: Lease = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
    // The API server makes the namespace a moment after it is ready.
    let what = format!("the lease {namespace}/{name}");
    lease = wait_for(&what, SOON, async || match leases.create(&PostParams::default(), &lease).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(leases.get(name).await?),
        created => Ok(created?),
    })
    .await?;
    let (offset_ms, best_us) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
    let (offset, best, name) = (offset_ms.clone(), best_us.clone(), name.to_owned());
    let task = tokio::spawn(async move {
        tokio::time::sleep(phase).await;
        loop {
            if let Some(spec) = &mut lease.spec {
                let offset = SignedDuration::from_millis(offset.load(Ordering::Relaxed));
                spec.renew_time = Some(MicroTime(wall_now() + offset));
            }
            let began = mono_now();
            match leases.replace(&name, &PostParams::default(), &lease).await {
                Ok(renewed) => {
                    let took = began.elapsed().as_micros() as u64;
                    TOOK_US.lock().unwrap_or_else(PoisonError::into_inner).push(took);
                    best.fetch_min(took, Ordering::Relaxed);
                    lease = renewed;
                }
                // As a kubelet does: look, and try again with the next beat.
                Err(_) => lease = leases.get(&name).await.unwrap_or(lease),
            }
            tokio::time::sleep(period).await;
        }
    });
    Ok(Beating { offset_ms, best_us, task })
}
