//! A reading of every node, or why there is none.
//!
//! Does not know: HTTP, who asks.

use super::answer::Labels;
use super::mapping::{Mapping, Place, shown};
use super::server::{History, Hulls};
use super::snapshot::Exporter;
use crate::clock::{Mono, Sample};
use crate::controller::sources::NodeReading;
use crate::controller::sources::figures::{Own, moment};
use crate::controller::sources::pollers::Roster;
use crate::runtime::rfc3339;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A series that was not scraped for so long while another of the same node was is a leftover: Prometheus goes on showing
/// what a job that was removed has scraped last, for five minutes.
const LEFTOVER: Duration = Duration::from_secs(60);

/// What is remembered from question to question.
#[derive(Debug, Default)]
pub struct Memory {
    /// Prometheus' own clock.
    pub server: History,
    /// Since when nothing has disciplined a node's clock, as far as we have seen.
    undisciplined: HashMap<String, Mono>,
}

/// A reading of each node, or why there is none.
pub type Readings = BTreeMap<String, Result<NodeReading, String>>;

impl Memory {
    /// For how long nothing has vouched for the clock of a node; what was before we looked nobody knows.
    fn undisciplined(&mut self, node: &str, is: bool, now: Mono) -> Duration {
        if !is {
            self.undisciplined.remove(node);
            return Duration::ZERO;
        }
        let since = *self.undisciplined.entry(node.to_owned()).or_insert(now);
        now.since(since)
    }
}

/// What the exporters say of every node of the roster; `clocks` are ours at the last exchange.
pub fn readings(
    exporters: Vec<Exporter>,
    roster: &Roster,
    mapping: &Mapping<'_>,
    clocks: &Sample,
    memory: &mut Memory,
) -> Readings {
    let (count, hulls) = (exporters.len(), memory.server.hulls(clocks));
    let mut by_node: HashMap<&str, Vec<Exporter>> = HashMap::new();
    let (mut stray, mut torn) = (None, Vec::new());
    for exporter in exporters {
        match mapping.place(&exporter.labels) {
            Place::Node(node) => by_node.entry(node).or_default().push(exporter),
            Place::Torn(one, other) => torn.push((one.to_owned(), other.to_owned(), exporter.labels)),
            Place::Nowhere => stray = stray.or(Some(exporter.labels)),
        }
    }
    memory.undisciplined.retain(|node, _| roster.contains_key(node));
    let mut all = Readings::new();
    for (node, addresses) in roster {
        let reading = match by_node.remove(node.as_str()) {
            Some(of_node) => reading(node, of_node, clocks, &hulls, memory),
            None => Err(missing(node, addresses, count, stray.as_ref(), &torn)),
        };
        all.insert(node.clone(), reading);
    }
    all
}

/// No series maps to a node: show what there is.
fn missing(
    node: &str,
    addresses: &[String],
    count: usize,
    stray: Option<&Labels>,
    torn: &[(String, String, Labels)],
) -> String {
    if let Some((one, other, labels)) = torn.iter().find(|(one, other, _)| one == node || other == node) {
        let labels = shown(labels, None);
        return format!(
            "the labels of node_time_seconds{labels} point at the nodes {one} and {other}: set \
             spec.source.prometheus.nodeLabel to the label that is right"
        );
    }
    let example = stray.map_or_else(
        || "all of them are of other nodes".to_owned(),
        |labels| format!("one that is of no node of this policy is {}", shown(labels, None)),
    );
    format!(
        "none of its {count} series of node_time_seconds is of node {node} (addresses {}); {example}. Either its exporter \
         is not scraped, or a label must say where it runs: set spec.source.prometheus.nodeLabel",
        addresses.join(", ")
    )
}

fn reading(
    node: &str,
    mut exporters: Vec<Exporter>,
    clocks: &Sample,
    hulls: &Hulls,
    memory: &mut Memory,
) -> Result<NodeReading, String> {
    let youngest = exporters.iter().map(|exporter| exporter.age).min().unwrap_or_default();
    exporters.retain(|exporter| exporter.age <= youngest.saturating_add(LEFTOVER));
    exporters.dedup_by(|a, b| a.taken_s == b.taken_s && a.against_prometheus == b.against_prometheus);
    let exporter = match exporters.as_slice() {
        [one] => one,
        [one, other, ..] => {
            return Err(format!(
                "node {node} has {} series of node_time_seconds, for example {} and {}: they cannot all be its clock; \
                 scrape each exporter once, or set spec.source.prometheus.nodeLabel",
                exporters.len(),
                shown(&one.labels, None),
                shown(&other.labels, None)
            ));
        }
        [] => return Err(format!("node {node} has no series")),
    };
    if let Some(set) = memory.server.valid_from().filter(|set| exporter.taken_s < set.time_s) {
        let from = moment(set.time_s).map_or_else(String::new, |(from, _)| rfc3339(from));
        return Err(format!("{}; waiting for a scrape of node {node} after {from}", set.words));
    }
    let against_prometheus = exporter.against_prometheus.clone().map_err(|why| format!("node {node}: {why}"))?;
    let (own, lacks) = match exporter.timex.own() {
        Own::Against(own) => (Some(own), None),
        Own::Undisciplined => (None, None),
        Own::Unknown(why) => (None, Some(format!("Prometheus has node_time_seconds of node {node}, but {why}"))),
    };
    let undisciplined = memory.undisciplined(node, own.is_none(), clocks.after);
    let against_us = hulls.since(exporter.taken_s).map(|server| against_prometheus.shifted(server));
    Ok(NodeReading { against_us, own, undisciplined, lacks, age_then: exporter.age, ..NodeReading::at(*clocks) })
}
