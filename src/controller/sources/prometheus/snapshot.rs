//! One look at everything that Prometheus has scraped from node_exporters, put together by exporter.
//!
//! All figures come out of one query, so that they are of one moment: which sample of `node_time_seconds` is the newest
//! and how much later than its timestamp it reads must not belong to two scrapes. Each part of the query marks its
//! series with a label, [`MARK`].
//!
//! The time that a node showed is in the sample's value; when Prometheus had begun that scrape is its timestamp; the
//! value was read at some time between then and the end of the scrape:
//!
//! ```text
//! node against Prometheus  ∈  (value - timestamp) - [0, scrape_duration]
//! ```
//!
//! Does not know: which node an exporter runs on ([`super::mapping`]), our own clock.

use super::answer::{Labels, Series};
use crate::clock::{Delta, OffsetInterval};
use crate::controller::sources::figures::Timex;
use std::collections::BTreeMap;
use std::time::Duration;

/// The label by which the parts of the query are told apart.
const MARK: &str = "clockwarden";

/// The parts: what the mark says, and the expression.
///
/// A plain selector would show the moment of the query where the timestamp is wanted, so that is asked for with
/// `timestamp()`. Prometheus looks back five minutes for a sample; `taken` tells how old it really is.
const PARTS: [(&str, &str); 6] = [
    ("taken", "timestamp(node_time_seconds)"),
    ("ahead", "node_time_seconds - timestamp(node_time_seconds)"),
    ("scrape", "scrape_duration_seconds and on (job, instance) node_time_seconds"),
    ("sync", "node_timex_sync_status"),
    ("error", "node_timex_maxerror_seconds"),
    ("offset", "node_timex_offset_seconds"),
];

/// A timestamp has whole milliseconds, cut off; and Prometheus moves it back onto its grid where the scrape begins less
/// than 2 ms late (`ScrapeTimestampTolerance`, scrape/scrape.go; prometheus #7846).
const TIMESTAMP_SLACK: Duration = Duration::from_millis(3);
/// What the subtraction of two doubles of this size may lose, several times over.
const ARITHMETIC_SLACK: Duration = Duration::from_micros(2);

/// The whole query.
#[must_use]
pub fn query() -> String {
    PARTS.map(|(mark, part)| format!("label_replace({part}, \"{MARK}\", \"{mark}\", \"\", \"\")")).join(" or ")
}

/// What was scraped from one exporter last.
#[derive(Debug, Clone, PartialEq)]
pub struct Exporter {
    /// Its labels, without the name of a metric.
    pub labels: Labels,
    /// When the scrape began, by Prometheus' clock, seconds since the Unix epoch.
    pub taken_s: f64,
    /// How long before the moment of the query that was.
    pub age: Duration,
    /// The node's clock against Prometheus' then, or why it is not known.
    pub against_prometheus: Result<OffsetInterval, String>,
    /// What the node's kernel said.
    pub timex: Timex,
}

#[derive(Default)]
struct Parts {
    at_s: f64,
    taken_s: Option<f64>,
    ahead_s: Option<f64>,
    timex: Timex,
}

/// Puts the series of the query together; those that belong to no exporter are left out.
#[must_use]
pub fn read(series: Vec<Series>) -> Vec<Exporter> {
    let mut parts: BTreeMap<Labels, Parts> = BTreeMap::new();
    let mut scrapes: BTreeMap<(String, String), f64> = BTreeMap::new();
    for Series { mut labels, at_s, value } in series {
        labels.remove("__name__");
        let Some(mark) = labels.remove(MARK) else { continue };
        if mark == "scrape" {
            // Its labels are the target's own, which relabelling of metrics may have taken from the others.
            scrapes.insert(target(&labels), value);
            continue;
        }
        let part = parts.entry(labels).or_default();
        match mark.as_str() {
            "taken" => (part.at_s, part.taken_s) = (at_s, Some(value)),
            "ahead" => part.ahead_s = Some(value),
            "sync" => part.timex.sync_status = Some(value),
            "error" => part.timex.max_error_s = Some(value),
            "offset" => part.timex.offset_s = Some(value),
            _ => {}
        }
    }
    let exporter = |(labels, part): (Labels, Parts)| {
        let taken_s = part.taken_s.filter(|taken_s| taken_s.is_finite())?;
        let age = Duration::try_from_secs_f64((part.at_s - taken_s).max(0.0)).ok()?;
        let against_prometheus = against(part.ahead_s, scrapes.get(&target(&labels)).copied());
        Some(Exporter { labels, taken_s, age, against_prometheus, timex: part.timex })
    };
    parts.into_iter().filter_map(exporter).collect()
}

fn target(labels: &Labels) -> (String, String) {
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    (label("job"), label("instance"))
}

/// The node's clock against Prometheus' when it was scraped; positive: the node is ahead.
fn against(ahead_s: Option<f64>, scrape_s: Option<f64>) -> Result<OffsetInterval, String> {
    let Some(scrape_s) = scrape_s else {
        return Err("there is no scrape_duration_seconds of the same job and instance, so nobody knows how late \
                    node_time_seconds was read: was it federated or written remotely? Ask the Prometheus that scrapes"
            .to_owned());
    };
    let scrape = Duration::try_from_secs_f64(scrape_s).map_err(|_| format!("scrape_duration_seconds is {scrape_s}"))?;
    let ahead = ahead_s
        .filter(|ahead_s| ahead_s.is_finite())
        .and_then(Delta::from_seconds)
        .ok_or_else(|| format!("node_time_seconds is {}, which is no moment", ahead_s.unwrap_or(f64::NAN)))?;
    let earliest = ahead.minus(Delta::from(scrape));
    Ok(OffsetInterval::between(earliest, ahead).widened(TIMESTAMP_SLACK).widened(ARITHMETIC_SLACK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(mark: &str, instance: &str, value: f64) -> Series {
        let labels = [("__name__", "x"), (MARK, mark), ("job", "node"), ("instance", instance)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Series { labels, at_s: 1_795_000_030.0, value }
    }

    /// A node that is `offset_s` ahead, read `late_s` after a scrape of `scrape_s` had begun.
    fn scraped(offset_s: f64, late_s: f64, scrape_s: f64) -> Vec<Series> {
        vec![
            series("taken", "a:9100", 1_795_000_025.0),
            series("ahead", "a:9100", offset_s + late_s),
            series("scrape", "a:9100", scrape_s),
            series("sync", "a:9100", 1.0),
        ]
    }

    #[test]
    fn the_parts_are_put_together_by_exporter_with_the_age_of_the_sample() {
        let mut all = scraped(3.0, 0.010, 0.020);
        all.push(series("taken", "b:9100", 1_795_000_000.0));
        all.push(series("sync", "c:9100", 1.0));
        let found = read(all);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].age, found[1].age), (Duration::from_secs(5), Duration::from_secs(30)));
        let against = found[0].against_prometheus.clone().unwrap();
        assert!(against.contains(Delta::from_nanos(3_000_000_000)) && against.bound() < Duration::from_millis(14));
        assert_eq!(found[0].timex.sync_status, Some(1.0));
        assert!(found[1].against_prometheus.clone().unwrap_err().contains("federated"), "{found:?}");
    }

    #[test]
    fn what_is_no_number_is_no_evidence() {
        for (ahead_s, scrape_s) in [(f64::NAN, 0.1), (f64::INFINITY, 0.1), (0.0, -1.0), (0.0, f64::NAN)] {
            assert!(read(scraped(ahead_s, 0.0, scrape_s))[0].against_prometheus.is_err(), "{ahead_s} {scrape_s}");
        }
        let mut all = scraped(0.0, 0.0, 0.1);
        all[0].value = f64::NAN;
        assert_eq!(read(all), []);
    }

    proptest! {
        #[test]
        fn the_truth_lies_inside_whenever_in_the_scrape_the_clock_was_read(
            offset_s in -1e6f64..1e6, scrape_s in 0.0f64..10.0, part in 0.0f64..=1.0, grid_s in 0.0f64..0.003,
        ) {
            let found = read(scraped(offset_s, scrape_s * part + grid_s, scrape_s));
            let against = found[0].against_prometheus.clone().unwrap();
            prop_assert!(against.contains(Delta::from_seconds(offset_s).unwrap()), "{against} {offset_s}");
        }
    }
}
