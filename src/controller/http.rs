//! `/metrics`, `/healthz` and `/readyz` of the controller.
//!
//! The control loop publishes what it evaluated; a scrape builds its registry from that, so that no series outlives
//! its node.

use super::elect::Leadership;
use super::evaluate::Evaluation;
use super::fleet::Fleet;
use super::sources::lease::ControlPlane;
use crate::agent::clocks;
use crate::runtime::CancellationToken;
use crate::telemetry::{self, METRICS_CONTENT_TYPE};
use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

type Float = Gauge<f64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

/// What scrapes are told.
#[derive(Clone)]
pub struct Published {
    leadership: Leadership,
    written: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    latest: Arc<Mutex<Option<Latest>>>,
    control_plane: ControlPlane,
}

struct Latest {
    offsets: Vec<(String, f64)>,
    nodes: Vec<(String, &'static str, i64)>,
    skew: Option<f64>,
}

impl Published {
    /// Nothing yet: not ready.
    #[must_use]
    pub fn new(
        leadership: Leadership,
        written: Arc<Mutex<BTreeMap<&'static str, u64>>>,
        control_plane: ControlPlane,
    ) -> Published {
        Published { leadership, written, latest: Arc::default(), control_plane }
    }

    /// Replaces what scrapes are told.
    pub fn publish(&self, fleet: &Fleet, evaluation: &Evaluation) {
        let mut offsets = BTreeMap::new();
        let mut nodes = Vec::new();
        for (policy, view) in &evaluation.policies {
            let mut counts = BTreeMap::from([("Synchronized", 0i64), ("Drifting", 0), ("Unknown", 0)]);
            for node in &view.nodes {
                if let Some(count) = counts.get_mut(node.standing.state().as_str()) {
                    *count = count.saturating_add(1);
                }
                if let Some(offset) = node.offset {
                    offsets.insert(node.node.clone(), offset.midpoint().seconds());
                }
            }
            nodes.extend(counts.into_iter().map(|(state, count)| (policy.clone(), state, count)));
        }
        offsets.retain(|name, _| fleet.nodes.get(name).is_some());
        let skew = evaluation.skew.map(|it| it.midpoint().seconds());
        let latest = Latest { offsets: offsets.into_iter().collect(), nodes, skew };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(latest);
    }

    fn ready(&self) -> bool {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn metrics(&self) -> String {
        let mut registry = Registry::with_prefix("clockwarden");
        let leader: Gauge = Gauge::default();
        leader.set(i64::from(self.leadership.leads()));
        registry.register("leader", "Whether this replica holds the leader lease and acts", leader);
        let writes = Family::<Labels, Counter>::default();
        for (kind, count) in self.written.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writes.get_or_create(&vec![("kind", (*kind).to_owned())]).inc_by(*count);
        }
        registry.register("writes", "Writes to the API server, the leader lease apart", writes);
        let (offsets, nodes) = (Family::<Labels, Float>::default(), Family::<Labels, Gauge>::default());
        if let Some(latest) = self.latest.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            for (node, offset) in &latest.offsets {
                offsets.get_or_create(&vec![("node", node.clone())]).set(*offset);
            }
            for (policy, state, count) in &latest.nodes {
                nodes.get_or_create(&vec![("policy", policy.clone()), ("state", (*state).to_owned())]).set(*count);
            }
            if let Some(skew) = latest.skew {
                let gauge = Float::default();
                gauge.set(skew);
                registry.register(
                    "cluster_skew_seconds",
                    "How far apart the two clocks of the fleet are that differ most",
                    gauge,
                );
            }
        }
        let components = Family::<Labels, Float>::default();
        for (component, instance, interval) in self.control_plane.offsets(&clocks::sample()) {
            let labels = vec![("component", component.to_owned()), ("instance", instance)];
            components.get_or_create(&labels).set(interval.midpoint().seconds());
        }
        registry.register(
            "control_plane_offset_seconds",
            "Clock of a control-plane process against this controller's, positive ahead, where a policy has source lease",
            components,
        );
        registry.register("node_offset_seconds", "Offset of a node's clock, positive ahead", offsets);
        registry.register("nodes", "Nodes matched by a policy, by state", nodes);
        telemetry::encode(&registry)
    }
}

/// Binds, and gives the task that serves.
///
/// # Errors
/// If the address is taken.
pub async fn serve(
    listen: SocketAddr,
    published: Published,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
    let listener =
        tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen} (--listen)"))?;
    Ok(async move {
        let server = axum::serve(listener, router(published));
        server.with_graceful_shutdown(async move { stop.cancelled().await }).await.context("the HTTP server failed")
    })
}

/// The routes.
pub fn router(published: Published) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(|State(published): State<Published>| async move {
                if published.ready() {
                    (StatusCode::OK, "ok\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "waiting for the first complete lists of nodes and policies\n")
                }
            }),
        )
        .route(
            "/metrics",
            get(|State(published): State<Published>| async move {
                ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], published.metrics()).into_response()
            }),
        )
        .with_state(published)
}
