//! The validating webhook: refuses objects whose clock settings the policies forbid.
//!
//! ```text
//! bytes -router-> Request -review-> Question -suspect?-> no: admitted
//!                                            -policies-> Ruling -verdict-> Verdict -review-> bytes
//! ```
//!
//! Pure, a value in and a value out: `review`, `ruling`, `known`, `verdict`, `words`, `validity`. The edges:
//! `server` (connections), `tls` (certificates), `router` (HTTP and its limits), `policies` (watches).
//!
//! The webhook must never be what breaks a cluster: everything that it does not understand it lets in with a
//! warning, and what it refuses it explains.

mod args;
pub mod known;
pub mod metrics;
pub mod policies;
pub mod review;
pub mod router;
pub mod ruling;
pub mod server;
pub mod tls;
pub mod validity;
pub mod verdict;
pub mod words;

pub use args::WebhookArgs;

use crate::runtime::Tasks;
use anyhow::Context;
use metrics::Metrics;
use policies::Policies;
use prometheus_client::registry::Registry;
use router::{Budget, Webhook};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Runs the webhook until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start (certificate, addresses, policy files, no cluster), or if one of its tasks ends unasked.
pub async fn run(args: WebhookArgs) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let files = tls::Files { certificates: args.tls_cert, key: args.tls_key }.open(&metrics).await?;
    let (serving, observing) = (bind(args.listen).await?, bind(args.metrics_listen).await?);

    let mut tasks = Tasks::new()?;
    let stop = tasks.stop();
    let policies = if args.policy_file.is_empty() {
        let client = kube::Client::try_default()
            .await
            .context("no cluster to take policies from: set KUBECONFIG, run in a pod, or use --policy-file")?;
        let policies = Policies::of_cluster(client.clone());
        tasks.spawn("watch of policies", policies.clone().watch_policies(client.clone(), stop.clone()));
        tasks.spawn("watch of namespaces", policies.clone().watch_namespaces(client, stop.clone()));
        policies
    } else {
        let read = args.policy_file.iter().map(|path| policies::read_file(path));
        Policies::fixed(read.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten())
    };

    let webhook = Webhook::new(policies, metrics.clone(), Budget::default());
    tracing::info!(listen = %serving.local_addr()?, metrics = %observing.local_addr()?, "webhook started");
    let observed = axum::serve(observing, router::observing(Arc::clone(&webhook), Arc::new(registry)))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    tasks.spawn("metrics server", async move { Ok(observed.await?) });
    tasks.spawn("server", server::serve(serving, files.certificate(), router::serving(webhook), stop.clone()));
    tasks.spawn("certificate files", files.follow(tls::LOOK_EVERY, metrics, stop));
    Ok(tasks.run().await?)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
