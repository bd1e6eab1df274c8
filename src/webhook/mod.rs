//! The validating webhook: refuses objects whose clock settings the policies forbid.
//!
//! ```text
//! bytes -router-> Request -review-> Question -suspect?-> no: admitted
//!                                            -policies-> Ruling -verdict-> Verdict -review-> bytes
//! ```
//!
//! Pure, a value in and a value out: `configuration` (what the API server asks us about), `review`, `ruling`, `known`,
//! `verdict`, `words`, `validity`, `selfsigned`. The edges: `server` (connections), `seats` (which of them make room), `tls` and `managed` (certificates from files or of our own making),
//! `router` (HTTP and its limits), `policies` (watches).
//!
//! The webhook must never be what breaks a cluster: everything that it does not understand it lets in with a
//! warning, and what it refuses it explains.

mod args;
pub mod configuration;
pub mod known;
pub mod managed;
pub mod metrics;
pub mod policies;
pub mod review;
pub mod router;
pub mod ruling;
pub mod seats;
pub mod selfsigned;
pub mod server;
pub mod tls;
pub mod validity;
pub mod verdict;
pub mod words;

pub use args::{SecretName, WebhookArgs};

use crate::inspect::Catalogue;
use crate::runtime::{self, Tasks};
use anyhow::{Context, bail};
use managed::Managed;
use metrics::Metrics;
use policies::Policies;
use prometheus_client::registry::Registry;
use router::{Budget, Webhook};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Runs the webhook until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start (certificate, addresses, policy files, no cluster), or if one of its tasks ends unasked.
pub async fn run(args: WebhookArgs) -> anyhow::Result<ExitCode> {
    if args.print_configuration {
        return runtime::print(&configuration(&args));
    }
    // Both are built at their first use, which shall not be somebody's first review.
    let _ = Catalogue::builtin().mentions(b"");
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let mut tasks = Tasks::new()?;
    let stop = tasks.stop();
    let cluster = match (args.policy_file.is_empty(), &args.tls_secret) {
        (false, None) => None,
        _ => Some(kube::Client::try_default().await.context("no cluster: set KUBECONFIG, or run in a pod")?),
    };

    let certificate = match (args.tls_cert, args.tls_key, args.tls_secret, args.webhook_configuration, &cluster) {
        (Some(certificates), Some(key), None, _, _) => {
            let files = tls::Files { certificates, key }.open(&metrics).await?;
            let certificate = files.certificate();
            tasks.spawn("certificate files", files.follow(tls::LOOK_EVERY, metrics.clone(), stop.clone()));
            certificate
        }
        (_, _, Some(secret), Some(configuration), Some(client)) => {
            let managed = Managed::new(client.clone(), (secret.namespace, secret.name), configuration);
            let secret = managed.open(&metrics).await?;
            let certificate = secret.certificate();
            tasks.spawn("certificate", secret.follow(managed::LOOK_EVERY, metrics.clone(), stop.clone()));
            certificate
        }
        _ => bail!("use --tls-cert with --tls-key, or --tls-secret with --webhook-configuration"),
    };

    let policies = match cluster.filter(|_| args.policy_file.is_empty()) {
        Some(client) => {
            let policies = Policies::of_cluster(client.clone());
            tasks.spawn("watch of policies", policies.clone().watch_policies(client.clone(), stop.clone()));
            tasks.spawn("watch of namespaces", policies.clone().watch_namespaces(client, stop.clone()));
            policies
        }
        None => {
            let read = args.policy_file.iter().map(|path| policies::read_file(path));
            Policies::fixed(read.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten())
        }
    };

    server::raise_open_files();
    let (serving, observing) = (bind(args.listen).await?, bind(args.metrics_listen).await?);
    tracing::info!(listen = %serving.local_addr()?, metrics = %observing.local_addr()?, "webhook started");
    let webhook = Webhook::new(policies, metrics, Budget::default());
    let observed = axum::serve(observing, router::observing(Arc::clone(&webhook), Arc::new(registry)))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    tasks.spawn("metrics server", async move { Ok(observed.await?) });
    tasks.spawn("server", server::serve(serving, certificate, router::serving(webhook), stop));
    tasks.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration that fits these arguments.
fn configuration(args: &WebhookArgs) -> String {
    let (name, namespace) = configuration::DEFAULT;
    let name = args.webhook_configuration.as_deref().unwrap_or(name);
    let namespace = args.tls_secret.as_ref().map_or(namespace, |secret| &secret.namespace);
    configuration::yaml(name, namespace, Catalogue::builtin().resources())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
