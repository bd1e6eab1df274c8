//! `/metrics`, `/healthz` and `/readyz` of the controller.
//!
//! The control loop publishes what it evaluated; a scrape builds its registry from that, so that no series outlives
//! its node.

use super::audit::Figures;
use super::elect::Leadership;
use super::engine::Engine;
use super::fleet::Fleet;
use super::sources::Observed;
use super::sources::lease::ControlPlane;
use crate::agent::clocks;
use crate::clock::consensus::{leeway, pairwise_skew};
use crate::clock::{OffsetInterval, Sample};
use crate::policy::Yardstick;
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
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type Float = Gauge<f64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

/// What scrapes are told.
/// Writes so far, by kind.
#[derive(Clone, Default)]
pub struct Written(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Written {
    /// One more.
    pub fn count(&self, kind: &'static str) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = written.entry(kind).or_default();
        *count = count.saturating_add(1);
    }
}

/// What scrapes and probes are told; looked up when they ask.
#[derive(Clone)]
pub struct Published {
    leadership: Leadership,
    written: Written,
    control_plane: ControlPlane,
    engine: Arc<Mutex<Engine>>,
    audit: Figures,
}

impl Published {
    /// Of this engine.
    #[must_use]
    pub fn new(
        leadership: Leadership,
        written: Written,
        control_plane: ControlPlane,
        engine: Arc<Mutex<Engine>>,
        audit: Figures,
    ) -> Published {
        Published { leadership, written, control_plane, engine, audit }
    }

    fn ready(&self) -> bool {
        super::lock(&self.engine).fleet().synced()
    }

    fn metrics(&self) -> String {
        let mut registry = Registry::with_prefix("clockwarden");
        let leader: Gauge = Gauge::default();
        leader.set(i64::from(self.leadership.leads()));
        registry.register("leader", "Whether this replica holds the leader lease and acts", leader);
        let writes = Family::<Labels, Counter>::default();
        for (kind, count) in self.written.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writes.get_or_create(&vec![("kind", (*kind).to_owned())]).inc_by(*count);
        }
        registry.register("writes", "Writes to the API server, the leader lease apart", writes);
        let (offsets, nodes) = (Family::<Labels, Float>::default(), Family::<Labels, Gauge>::default());
        let (would, waiting) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        let (consensus, consensus_bound) = (Family::<Labels, Float>::default(), Family::<Labels, Float>::default());
        let agreeing = Family::<Labels, Gauge>::default();
        let engine = super::lock(&self.engine);
        for (policy, ward) in engine.wards() {
            let (digest, of) = (ward.digest(), vec![("policy", policy.clone())]);
            for (state, count) in
                [("Synchronized", digest.synchronized), ("Drifting", digest.drifting), ("Unknown", digest.unknown)]
            {
                let labels = [of.clone(), vec![("state", state.to_owned())]].concat();
                nodes.get_or_create(&labels).set(whole(count));
            }
            would.get_or_create(&of).set(whole(digest.would().len()));
            waiting.get_or_create(&of).set(whole(ward.room().waiting()));
            if let Yardstick::Consensus(found) = &ward.frame().yardstick {
                consensus.get_or_create(&of).set(found.interval.midpoint().seconds());
                consensus_bound.get_or_create(&of).set(found.interval.bound().as_secs_f64());
                agreeing.get_or_create(&of).set(whole(found.agreeing));
            }
            for view in ward.views() {
                if let Some(offset) = view.offset {
                    offsets.get_or_create(&vec![("node", view.node.clone())]).set(offset.midpoint().seconds());
                }
            }
        }
        let skew = skew(engine.fleet(), engine.observed(), &clocks::sample());
        let queued: Gauge = Gauge::default();
        queued.set(whole(engine.queued()));
        drop(engine);
        registry.register("queued", "Objects for which a write may be due", queued);
        if let Some(skew) = skew {
            let gauge = |value: f64| {
                let gauge = Float::default();
                gauge.set(value);
                gauge
            };
            registry.register(
                "cluster_skew_seconds",
                "How far apart the two clocks of the fleet are that differ most: the middle of what it may be",
                gauge(skew.midpoint().seconds()),
            );
            registry.register(
                "cluster_skew_error_bound_seconds",
                "By how much clockwarden_cluster_skew_seconds may be wrong, up or down",
                gauge(skew.bound().as_secs_f64()),
            );
            registry.register(
                "recommended_leeway_seconds",
                "Leeway that JWT validation needs with that skew and its error, rounded up to what one would write",
                gauge(leeway(skew).as_secs_f64()),
            );
        }
        for (name, help, family) in [
            (
                "consensus_offset_seconds",
                "The time that the policy's nodes agree about against this controller's clock, positive ahead",
                consensus,
            ),
            (
                "consensus_error_bound_seconds",
                "By how much clockwarden_consensus_offset_seconds may be wrong, up or down",
                consensus_bound,
            ),
        ] {
            registry.register(name, help, family);
        }
        registry.register("consensus_nodes", "Nodes that agree with their cluster's consensus", agreeing);
        registry.register("nodes_would_act", "Nodes that would be acted on if the policy did not only observe", would);
        registry.register("nodes_waiting", "Nodes that would be acted on if the policy's limit allowed it", waiting);
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
        self.audit.register(&mut registry);
        telemetry::encode(&registry)
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Skew between the two nodes that differ most, from the narrowest fresh reading of each; `None` for fewer than two.
fn skew(fleet: &Fleet, observed: &Observed, clocks: &Sample) -> Option<OffsetInterval> {
    let mut best: HashMap<&str, OffsetInterval> = HashMap::new();
    for (node, observation) in observed.iter().filter(|(node, _)| fleet.nodes.get(node).is_some()) {
        let fresh = observation.reading.as_ref().filter(|reading| reading.age(clocks) <= SKEW_AGE);
        let Some(interval) = fresh.and_then(|reading| reading.against_us_now(clocks)) else { continue };
        let known = best.entry(node).or_insert(interval);
        if interval.bound() < known.bound() {
            *known = interval;
        }
    }
    let measured: Vec<OffsetInterval> = best.into_values().collect();
    if measured.len() >= 2 { pairwise_skew(&measured) } else { None }
}

/// The skew between nodes is told from readings no older than this; the default of `staleAfter`.
const SKEW_AGE: Duration = Duration::from_secs(60);

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
