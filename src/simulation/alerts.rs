//! The alerts that people use today, on what Prometheus would have scraped from the same machines.
//!
//! In their favour: a scrape and an evaluation of the rules every 15 s, no scrape lost, and the clock of Prometheus is
//! right. What node_exporter exports is what the kernel says (adjtimex(2)): under chronyd the offset is always 0.
//!
//! Source: the node-mixin (alerts.libsonnet) and collector/timex.go of prometheus/node_exporter; the thresholds of
//! the three usual ones are those that articles on the subject recommend; the last compares `node_time_seconds` with
//! the time of the scrape, as robustperception.io describes ("Time metric from the node exporter").

use super::node::Node;
use super::promql::{Sample, delta, deriv, min_over_time};
use crate::clock::{Delta, Wall};
use crate::sys::{STA_NANO, TIME_ERROR};
use std::collections::VecDeque;

/// Seconds between two scrapes, and between two evaluations.
pub const SCRAPE_S: i64 = 15;
/// The range of the expressions: five minutes.
const RANGE_S: i64 = 300;
/// When in a second the scrape is answered.
const SCRAPED_NS: i64 = 600_000_000;

/// An alert.
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// Its expression.
    pub expression: &'static str,
    /// How long that must hold.
    pub for_s: i64,
    holds: fn(&Series) -> bool,
}

/// Those that are compared.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "NodeClockSkewDetected",
        expression: "(node_timex_offset_seconds > 0.05 and deriv(node_timex_offset_seconds[5m]) >= 0) \
                     or (node_timex_offset_seconds < -0.05 and deriv(node_timex_offset_seconds[5m]) <= 0)",
        for_s: 600,
        holds: |series| {
            let slope = || deriv(&series.range(|scrape| scrape.offset));
            series.last().is_some_and(|now| {
                (now.offset > 0.05 && slope().is_some_and(|slope| slope >= 0.0))
                    || (now.offset < -0.05 && slope().is_some_and(|slope| slope <= 0.0))
            })
        },
    },
    Alert {
        name: "NodeClockNotSynchronising",
        expression: "min_over_time(node_timex_sync_status[5m]) == 0 and node_timex_maxerror_seconds >= 16",
        for_s: 600,
        holds: |series| {
            let unsynchronised = min_over_time(&series.range(|scrape| scrape.synchronised)) == Some(0.0);
            unsynchronised && series.last().is_some_and(|now| now.error_max >= 16.0)
        },
    },
    Alert {
        name: "offset > 0.1 s",
        expression: "abs(node_timex_offset_seconds) > 0.1",
        for_s: 120,
        holds: |series| series.last().is_some_and(|now| now.offset.abs() > 0.1),
    },
    Alert {
        name: "not synchronised",
        expression: "node_timex_sync_status != 1",
        for_s: 300,
        holds: |series| series.last().is_some_and(|now| now.synchronised < 1.0),
    },
    Alert {
        name: "step > 0.5 s",
        expression: "abs(delta(node_timex_offset_seconds[5m])) > 0.5",
        for_s: 0,
        holds: |series| {
            delta(&series.range(|scrape| scrape.offset), series.edges()).is_some_and(|moved| moved.abs() > 0.5)
        },
    },
    Alert {
        name: "time of scrape",
        expression: "abs(node_time_seconds - timestamp(node_time_seconds)) > 0.5",
        for_s: 120,
        holds: |series| series.last().is_some_and(|now| now.apart.abs() > 0.5),
    },
];

impl Alert {
    /// How long ago what it tells of may have ended: what it looks at, and a minute.
    #[must_use]
    pub fn memory_s(&self) -> i64 {
        self.for_s + RANGE_S + 60
    }
}

/// What one scrape gave, in seconds.
#[derive(Clone, Copy)]
struct Scrape {
    second: i64,
    offset: f64,
    error_max: f64,
    synchronised: f64,
    apart: f64,
}

/// What was scraped from one node.
#[derive(Default)]
pub struct Series {
    scrapes: VecDeque<Scrape>,
    now: i64,
    up: bool,
    holding: Vec<Option<i64>>,
}

impl Series {
    /// Scrapes a node, if it is time; `truth` is the true time at the beginning of the second.
    pub fn scrape(&mut self, node: &Node, truth: Wall, second: i64) {
        self.now = second;
        self.up = node.machine.running() && node.reachable;
        while self.scrapes.front().is_some_and(|scrape| scrape.second <= second - RANGE_S) {
            self.scrapes.pop_front();
        }
        if self.up {
            let timex = node.kernel.timex(node.machine.wall(SCRAPED_NS));
            let unit_ns = if timex.status & STA_NANO != 0 { 1 } else { 1_000 };
            self.scrapes.push_back(Scrape {
                second,
                offset: Delta::from_nanos(timex.offset.saturating_mul(unit_ns)).seconds(),
                error_max: Delta::from_nanos(timex.max_error_us.saturating_mul(1_000)).seconds(),
                synchronised: if timex.state == TIME_ERROR { 0.0 } else { 1.0 },
                apart: node.machine.off(SCRAPED_NS, truth).seconds(),
            });
        }
    }

    /// Evaluates all alerts; which of them are firing.
    pub fn firing(&mut self) -> Vec<bool> {
        let holds: Vec<bool> = ALERTS.iter().map(|alert| (alert.holds)(self)).collect();
        self.holding.resize(ALERTS.len(), None);
        let now = self.now;
        let each = ALERTS.iter().zip(holds).zip(&mut self.holding);
        each.map(|((alert, holds), since)| {
            *since = holds.then(|| since.unwrap_or(now));
            since.is_some_and(|since| now - since >= alert.for_s)
        })
        .collect()
    }

    /// The instant vector: nothing once a scrape has failed.
    fn last(&self) -> Option<&Scrape> {
        self.scrapes.back().filter(|_| self.up)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of a simulation are few")]
    fn range(&self, value: impl Fn(&Scrape) -> f64) -> Vec<Sample> {
        self.scrapes.iter().map(|scrape| (scrape.second as f64, value(scrape))).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of a simulation are few")]
    fn edges(&self) -> Sample {
        ((self.now - RANGE_S) as f64, self.now as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (offset, maxerror, sync status, against the scrape's time) every 15 s: the alerts that fire, and the second in
    /// which each did first.
    #[track_caller]
    fn check(scrapes: &[(f64, f64, f64, f64)], expected: &[(&str, i64)]) {
        let mut series = Series { up: true, ..Series::default() };
        let mut first: Vec<(&str, i64)> = Vec::new();
        for ((offset, error_max, synchronised, apart), number) in scrapes.iter().copied().zip(0..) {
            series.now = number * SCRAPE_S;
            series.scrapes.retain(|scrape| scrape.second > series.now - RANGE_S);
            series.scrapes.push_back(Scrape { second: series.now, offset, error_max, synchronised, apart });
            for (alert, firing) in ALERTS.iter().zip(series.firing()) {
                if firing && !first.iter().any(|(name, _)| *name == alert.name) {
                    first.push((alert.name, series.now));
                }
            }
        }
        assert_eq!(first, expected);
    }

    #[test]
    fn alerts_fire_when_they_say_they_do() {
        let right = (0.0, 0.01, 1.0, 0.0);
        check(&[right; 80], &[]);
        // 60 ms, and not getting better; a slope needs two scrapes.
        check(&[(0.06, 0.01, 1.0, 0.06); 80], &[("NodeClockSkewDetected", 615)]);
        let better: Vec<_> = (0..80).map(|n| (0.09 - f64::from(n) * 0.0005, 0.01, 1.0, 0.0)).collect();
        check(&better, &[]);
        // chronyd without rtcsync, on a perfect clock.
        let unsynchronised = [(0.0, 16.0, 0.0, 0.0); 80];
        check(&unsynchronised, &[("not synchronised", 300), ("NodeClockNotSynchronising", 600)]);
        // 15 s off under chronyd: the kernel says 0.
        check(&[(0.0, 0.01, 1.0, -15.0); 80], &[("time of scrape", 120)]);
        // The artefact, from the third scrape on.
        let artefact: Vec<_> = (0..80).map(|n| if n < 2 { right } else { (4.294_967_296, 0.01, 1.0, 0.0) }).collect();
        check(&artefact, &[("step > 0.5 s", 30), ("offset > 0.1 s", 150), ("NodeClockSkewDetected", 630)]);
    }
}
