//! What the webhook counts about itself.

use super::verdict::Verdict;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByVerdict {
    verdict: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByRule {
    rule: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// From a review without any clock setting (tens of microseconds) to the longest that an API server waits.
const SECONDS: [f64; 12] = [20e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 50e-3, 250e-3, 1.0, 10.0];

/// The webhook's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<ByVerdict, Counter>,
    seconds: Histogram,
    findings: Family<ByRule, Counter>,
    certificate_not_after: Gauge,
    certificate_reloads: Family<ByResult, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            requests: Family::default(),
            seconds: Histogram::new(SECONDS),
            findings: Family::default(),
            certificate_not_after: Gauge::default(),
            certificate_reloads: Family::default(),
        };
        registry.register(
            "clockwarden_admission_requests",
            "Reviews by what became of them: admitted, warned, refused; invalid and overloaded were not judged",
            metrics.requests.clone(),
        );
        registry.register(
            "clockwarden_admission_duration_seconds",
            "From a review's head to its answer, the reading of its body included",
            metrics.seconds.clone(),
        );
        registry.register(
            "clockwarden_findings",
            "Findings in reviewed objects where a policy matches, whatever became of them",
            metrics.findings.clone(),
        );
        registry.register(
            "clockwarden_webhook_certificate_not_after_timestamp_seconds",
            "End of the serving certificate's validity, as Unix time",
            metrics.certificate_not_after.clone(),
        );
        registry.register(
            "clockwarden_webhook_certificate_reloads",
            "Changes of the certificate files, by result: loaded, or failed and the old one kept",
            metrics.certificate_reloads.clone(),
        );
        // A counter that first shows up with its first event hides that event from rate().
        for verdict in ["admitted", "warned", "refused", "invalid", "overloaded"] {
            let _ = metrics.requests.get_or_create(&ByVerdict { verdict });
        }
        for result in ["loaded", "failed"] {
            let _ = metrics.certificate_reloads.get_or_create(&ByResult { result });
        }
        metrics
    }

    /// A review that was judged.
    pub fn judged(&self, verdict: &Verdict, took: Duration) {
        self.answered(verdict.decision.as_str(), took);
        for rule in &verdict.rules {
            self.findings.get_or_create(&ByRule { rule }).inc();
        }
    }

    /// A request that was answered, judged or not.
    pub fn answered(&self, verdict: &'static str, took: Duration) {
        self.requests.get_or_create(&ByVerdict { verdict }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Another certificate serves from now on.
    pub fn certificate_loaded(&self, not_after_unix_s: i64) {
        self.certificate_not_after.set(not_after_unix_s);
        self.certificate_reloads.get_or_create(&ByResult { result: "loaded" }).inc();
    }

    /// The certificate files changed into something that cannot serve.
    pub fn certificate_failed(&self) {
        self.certificate_reloads.get_or_create(&ByResult { result: "failed" }).inc();
    }
}
