//! A report as metrics, for Prometheus.
//!
//! Everything is derived from the report at the moment of the scrape, so the two can never disagree, and a source
//! that went away leaves no stale series behind. What is not known has no sample: never a zero.

use crate::agent::jumps::JumpCounts;
use crate::agent::report::Report;
use crate::clock::{self, State};
use crate::telemetry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// The name under which the offset that all sources agree on is told, beside those of the sources.
const FUSED: &str = "fused";

/// The metrics of one scrape, in the OpenMetrics text format.
#[must_use]
pub(super) fn text(report: &Report, jumps: JumpCounts) -> String {
    let (offset, bound): (Family<Source, Seconds>, Family<Source, Seconds>) = Default::default();
    let up = Family::<Source, Gauge>::default();
    let steps = Family::<Cause, Counter>::default();
    let (synchronized, undisciplined) = (Gauge::<i64>::default(), Seconds::default());
    let each = report.sources.iter().map(|s| (s.name.as_str(), s.offset_seconds, s.error_bound_seconds));
    let fused = (FUSED, report.offset_seconds, report.error_bound_seconds);
    for (name, offset_s, bound_s) in each.chain(std::iter::once(fused)) {
        let label = Source { source: name.to_owned() };
        if let (Some(offset_s), Some(bound_s)) = (offset_s, bound_s) {
            offset.get_or_create(&label).set(offset_s);
            bound.get_or_create(&label).set(bound_s);
        }
    }
    for source in &report.sources {
        let alive = source.error.is_none() && source.offset_seconds.is_some();
        up.get_or_create(&Source { source: source.name.clone() }).set(i64::from(alive));
    }
    synchronized.set(i64::from(report.state == State::Synchronized.as_str()));
    undisciplined.set(report.undisciplined_seconds);
    for cause in clock::Cause::ALL {
        steps.get_or_create(&Cause { cause: cause.as_str() }).inc_by(jumps.of(cause));
    }

    let mut registry = Registry::with_prefix("clockwarden");
    registry.register(
        "clock_offset_seconds",
        "Offset of the node's clock against the source, positive ahead; fused: what all sources agree on",
        offset,
    );
    registry.register("clock_error_bound_seconds", "The true offset is within this of clock_offset_seconds", bound);
    registry.register("clock_synchronized", "1 if the clock is within its limit for certain, else 0", synchronized);
    registry.register(
        "clock_undisciplined_seconds",
        "For how long no source has vouched for the clock; 0 while one does",
        undisciplined,
    );
    registry.register(
        "clock_steps",
        "What happened to the wall clock since the agent started: steps, suspends, slews, pauses, and what is unexplained",
        steps,
    );
    registry.register("source_up", "1 if the last question to the source gave evidence, else 0", up);
    registry.register("build", "The agent", Info::new([("version", report.version.clone())]));
    telemetry::encode(&registry)
}
