//! What the audit tells scrapes.
//!
//! Only who audits has figures: a replica that does not lead any more forgets them, so that nothing is counted twice.
//! Series of findings are bounded: the namespaces with most findings have series of their own, the others are summed up
//! under the namespace `""`, where objects of no namespace are too.

use super::tally::Tally;
use crate::clock::Wall;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Float = Gauge<f64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

/// Namespaces with series of their own.
pub const NAMESPACES: usize = 1_000;

/// The latest complete audit.
#[derive(Debug, Clone)]
struct Told {
    findings: BTreeMap<(&'static str, &'static str, String), u64>,
    objects: BTreeMap<String, u64>,
    notes: u64,
    took: Duration,
    ended: Wall,
}

#[derive(Debug, Default)]
struct State {
    told: Option<Told>,
    /// Requests that failed, since the start of the process.
    errors: u64,
}

/// Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<State>>);

impl Figures {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A complete audit.
    pub fn tell(&self, tally: &Tally, took: Duration, ended: Wall) {
        let told = Told {
            findings: findings(tally, NAMESPACES),
            objects: tally.objects().clone(),
            notes: tally.notes(),
            took,
            ended,
        };
        self.state().told = Some(told);
    }

    /// This replica audits no longer.
    pub fn forget(&self) {
        self.state().told = None;
    }

    /// A request failed.
    pub fn failed(&self) {
        let mut state = self.state();
        state.errors = state.errors.saturating_add(1);
    }

    /// Puts them into what a scrape is answered.
    pub fn register(&self, registry: &mut Registry) {
        let state = self.state();
        let errors: Counter = Counter::default();
        errors.inc_by(state.errors);
        registry.register("audit_errors", "Requests of the audit that failed", errors);
        let Some(told) = &state.told else { return };
        let (found, objects) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        for ((rule, severity, namespace), count) in &told.findings {
            let labels = vec![
                ("rule", (*rule).to_owned()),
                ("severity", (*severity).to_owned()),
                ("namespace", namespace.clone()),
            ];
            found.get_or_create(&labels).set(whole(*count));
        }
        registry.register("audit_findings", "Findings in existing objects by the latest complete audit", found);
        for (resource, count) in &told.objects {
            objects.get_or_create(&vec![("resource", resource.clone())]).set(whole(*count));
        }
        registry.register("audit_objects", "Objects that a policy is about, by the latest complete audit", objects);
        let (notes, ended, took): (Gauge, Float, Float) = Default::default();
        notes.set(whole(told.notes));
        registry.register("audit_notes", "Places in objects that the latest audit could not look into", notes);
        ended.set(seconds(told.ended));
        registry.register("audit_last_end_timestamp_seconds", "When the latest complete audit ended, Unix time", ended);
        took.set(told.took.as_secs_f64());
        registry.register("audit_last_duration_seconds", "How long the latest complete audit took", took);
    }
}

/// Unix time; a metric needs no more than 53 bits of it.
fn seconds(wall: Wall) -> f64 {
    wall.minus(Wall::from_unix_nanos(0)).seconds()
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// By rule, severity and namespace, where only so many namespaces are named: those with most findings.
fn findings(tally: &Tally, namespaces: usize) -> BTreeMap<(&'static str, &'static str, String), u64> {
    let mut ranked: Vec<_> = tally.namespaces().iter().collect();
    // By name, where two have the same number.
    ranked.sort_by_key(|(namespace, noted)| (Reverse(noted.count()), namespace.as_str()));
    let mut all = BTreeMap::new();
    for (rank, (namespace, noted)) in ranked.into_iter().enumerate() {
        let named = if rank < namespaces { namespace.as_str() } else { "" };
        for (sort, count) in &noted.counts {
            let sum: &mut u64 = all.entry((sort.rule, sort.severity.as_str(), named.to_owned())).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::sheet::tests::{found, sheet, target};
    use super::*;

    fn check(pages: &[(&str, usize)], namespaces: usize, expected: &[(&str, u64)]) {
        let mut tally = Tally::keeping(5, 100);
        for (namespace, count) in pages {
            let all = (0..*count).map(|number| ((*namespace).to_owned(), found(number)));
            tally.add(&target(), sheet(all.collect()));
        }
        let got = findings(&tally, namespaces);
        let got: Vec<(&str, u64)> = got.iter().map(|((_, _, namespace), count)| (namespace.as_str(), *count)).collect();
        assert_eq!(got, expected, "{pages:?}");
    }

    #[test]
    fn the_namespaces_with_most_findings_have_series_of_their_own_and_nothing_is_lost() {
        check(&[("a", 2), ("b", 7), ("c", 2)], 5, &[("a", 2), ("b", 7), ("c", 2)]);
        check(&[("a", 2), ("b", 7), ("c", 2)], 2, &[("", 2), ("a", 2), ("b", 7)]);
        check(&[("a", 1), ("b", 7), ("c", 2)], 2, &[("", 1), ("b", 7), ("c", 2)]);
        check(&[("a", 1), ("b", 7), ("c", 2)], 0, &[("", 10)]);
        check(&[("", 3), ("b", 7), ("c", 2)], 2, &[("", 5), ("b", 7)]);
        check(&[], 5, &[]);
    }

    #[test]
    fn who_does_not_audit_any_more_tells_nothing_but_its_errors() {
        let shown = |figures: &Figures| {
            let mut registry = Registry::with_prefix("clockwarden");
            figures.register(&mut registry);
            crate::telemetry::encode(&registry)
        };
        let figures = Figures::default();
        assert!(!shown(&figures).contains("clockwarden_audit_last"));
        let mut tally = Tally::default();
        tally.add(&target(), sheet(vec![("shop".to_owned(), found(1))]));
        figures.tell(&tally, Duration::from_millis(1_500), Wall::from_unix_nanos(1_700_000_000_000_000_000));
        figures.failed();
        let text = shown(&figures);
        for line in [
            "clockwarden_audit_findings{rule=\"jwt-skew-zero\",severity=\"error\",namespace=\"shop\"} 1\n",
            "clockwarden_audit_objects{resource=\"configmaps\"} 1\n",
            "clockwarden_audit_last_duration_seconds 1.5\n",
            "clockwarden_audit_last_end_timestamp_seconds 1700000000.0\n",
            "clockwarden_audit_errors_total 1\n",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
        figures.forget();
        let text = shown(&figures);
        assert!(!text.contains("audit_findings") && text.contains("clockwarden_audit_errors_total 1\n"), "{text}");
    }
}
