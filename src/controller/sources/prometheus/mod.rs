//! A Prometheus server that scrapes node_exporter already: one task for all nodes, two small questions per interval.
//!
//! Prometheus' clock is trusted no more than any other. `time()` is one side of an exchange and gives it against ours;
//! the snapshot gives each node against Prometheus, when it was scraped ([`snapshot`]); together they give the node
//! against us, as old as the sample is:
//!
//! ```text
//! node - us  =  (node - Prometheus, at the scrape)  +  (Prometheus - us, from the scrape until now)
//! ```
//!
//! where the second is all that Prometheus' clock has been since the scrape, so that slewing it widens the result and
//! does not falsify it. Where it was set, samples from before are not used.
//!
//! Everything that can be wrong with such an arrangement has its own words, from "cannot be reached" to "two jobs scrape
//! this node": they are what the policy and the nodes will say.
//!
//! Does not know: how series map to nodes ([`mapping`]), the form of answers ([`answer`]).

pub mod answer;
pub mod mapping;
pub mod snapshot;

use super::figures::{Own, moment};
use super::pollers::{Feed, Roster, backoff, spread};
use super::{NodeReading, Pen};
use crate::clock::exchange::ExchangeError;
use crate::clock::{Exchange, Mono, OffsetInterval, Sample};
use crate::controller::connection::{Connection, HttpError, PATIENCE, Question};
use crate::runtime::rfc3339;
use answer::{AnswerError, Found, Labels, Series};
use mapping::{Mapping, Place, shown};
use snapshot::Exporter;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Six series of 5,000 nodes with labels of 300 bytes each are 10 MB.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Evaluating takes Prometheus a fraction of a second; what takes longer than this is of no use.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);
/// `time()` has whole milliseconds.
const TIME_RESOLUTION: Duration = Duration::from_millis(1);
/// A movement of Prometheus' clock by less than this widens what is said about nodes; by more, it was set.
const SET_MIN: Duration = Duration::from_secs(1);
/// Exchanges that are remembered: Prometheus looks back for five minutes, and no question is asked more often than
/// every half second.
const EXCHANGES_MAX: usize = 600;
/// New nodes are asked about at once, but not more often than this.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// So many jobs are named in a message.
const JOBS_SHOWN: usize = 5;

/// Why Prometheus gave nothing at all.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An answer that is none.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// `time()` is no time.
    #[error("its time() is {0}, which is no moment")]
    NoMoment(f64),
    /// Impossible times.
    #[error("its answer to time() cannot be used")]
    Exchange(#[source] ExchangeError),
    /// The metric is unknown to it.
    #[error("has no node_time_seconds: {0}")]
    NoMetric(String),
}

/// What is remembered from question to question.
#[derive(Debug, Default)]
pub struct Memory {
    /// The newest last.
    exchanges: VecDeque<Server>,
    /// Samples from before this moment of Prometheus' clock were taken before that was set, seconds; and what to say.
    valid_from: Option<(f64, String)>,
    /// Since when nothing has disciplined a node's clock, as far as we have seen.
    undisciplined: HashMap<String, Mono>,
}

/// Prometheus' clock, by exchange.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Our clocks then.
    pub clocks: Sample,
    /// Its clock against ours; positive: it is ahead.
    pub against_us: OffsetInterval,
    /// What it showed, seconds since the Unix epoch.
    pub time_s: f64,
}

/// Asks one Prometheus for ever. `url` has the form that [`crate::api::http_url::base`] gives it.
pub(super) async fn feed(pen: Pen, url: String, node_label: Option<String>, mut feed: Feed) {
    let (authority, path) = parts(&url);
    let mut asker = Asker { connection: Connection::new(authority), path };
    let (mut memory, mut failures) = (Memory::default(), 0u32);
    loop {
        let roster = Arc::clone(&feed.roster.borrow_and_update());
        let pause = match asker.look(&roster, node_label.as_deref(), &mut memory).await {
            Ok(readings) => {
                failures = 0;
                for (node, reading) in readings {
                    match reading {
                        Ok(reading) => pen.good(&node, reading),
                        Err(message) => pen.bad(&node, format!("Prometheus at {url}: {message}")),
                    }
                }
                spread(feed.interval, &url)
            }
            Err(error) => {
                let message = format!("Prometheus at {url} {}", crate::telemetry::chain(&error));
                for node in roster.keys() {
                    pen.bad(node, message.clone());
                }
                failures = failures.saturating_add(1);
                backoff(failures, feed.interval, &url)
            }
        };
        tokio::time::sleep(pause.min(PAUSE_MIN)).await;
        tokio::select! {
            () = tokio::time::sleep(pause.saturating_sub(PAUSE_MIN)) => {}
            // The sender lives as long as this task.
            _ = feed.roster.changed() => {}
        }
    }
}

/// `HOST:PORT`, and the path of the query API.
fn parts(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    (authority, format!("{path}/api/v1/query"))
}

struct Asker {
    connection: Connection,
    path: String,
}

/// A reading of each node, or why there is none.
pub type Readings = BTreeMap<String, Result<NodeReading, String>>;

impl Asker {
    async fn look(
        &mut self,
        roster: &Roster,
        node_label: Option<&str>,
        memory: &mut Memory,
    ) -> Result<Readings, PrometheusError> {
        let server = self.time().await?;
        let exporters = snapshot::read(self.vector(&snapshot::query()).await?);
        if exporters.is_empty() {
            let jobs = self.vector("group by (job) (up)").await?;
            return Err(PrometheusError::NoMetric(why_no_metric(&jobs)));
        }
        memory.note(server);
        let mapping = Mapping::new(roster, node_label);
        let mut readings = readings(exporters, roster, &mapping, &server.clocks, memory);
        if readings.values().any(|reading| reading.is_err()) {
            self.explain(&mut readings, &mapping, node_label).await;
        }
        Ok(readings)
    }

    /// Where a node has no reading because Prometheus cannot scrape it, that is the reason.
    async fn explain(&mut self, readings: &mut Readings, mapping: &Mapping<'_>, node_label: Option<&str>) {
        let down = match self.vector("up == 0").await {
            Ok(down) => down,
            // Then the reasons that are there must do.
            Err(error) => return tracing::debug!(error = crate::telemetry::chain(&error), "up is not known"),
        };
        for Series { labels, .. } in down {
            let Place::Node(node) = mapping.place(&labels) else { continue };
            if let Some(reading @ Err(_)) = readings.get_mut(node) {
                let target = shown(&labels, node_label);
                *reading = Err(format!("it cannot scrape node {node}: up is 0 for {target}"));
            }
        }
    }

    async fn time(&mut self) -> Result<Server, PrometheusError> {
        let question = self.question("time()", PATIENCE);
        let (answer, body) = self.connection.ask_whole(&question).await?;
        let found = answer::read(answer.status.as_u16(), &body)?;
        let Found::Scalar(time_s) = found else {
            return Err(AnswerError::Unexpected("a vector".to_owned()).into());
        };
        server(time_s, answer.sent, answer.clocks)
    }

    async fn vector(&mut self, query: &str) -> Result<Vec<Series>, PrometheusError> {
        let question = self.question(query, SNAPSHOT_PATIENCE);
        let (answer, body) = self.connection.ask_whole(&question).await?;
        match answer::read(answer.status.as_u16(), &body)? {
            Found::Vector(series) => Ok(series),
            Found::Scalar(_) => Err(AnswerError::Unexpected("a scalar".to_owned()).into()),
        }
    }

    fn question(&self, query: &str, patience: Duration) -> Question {
        let form = Some(format!("query={}", encoded(query)));
        Question { path: self.path.clone(), form, patience, limit: ANSWER_MAX }
    }
}

/// As a form wants it (application/x-www-form-urlencoded, WHATWG URL, section 5).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Prometheus' clock against ours, from its answer to `time()`.
///
/// # Errors
/// If that is no moment.
pub fn server(time_s: f64, sent: Mono, clocks: Sample) -> Result<Server, PrometheusError> {
    let (left, resolution) = moment(time_s).ok_or(PrometheusError::NoMoment(time_s))?;
    let exchange = Exchange { sent, received: clocks.after, received_wall: clocks.wall, left, held: Duration::ZERO };
    let measured = exchange.offset().map_err(PrometheusError::Exchange)?;
    Ok(Server { clocks, against_us: measured.widened(resolution).widened(TIME_RESOLUTION), time_s })
}

fn why_no_metric(jobs: &[Series]) -> String {
    let names: BTreeSet<&str> = jobs.iter().filter_map(|series| series.labels.get("job")).map(String::as_str).collect();
    if names.is_empty() {
        return "it has scraped nothing at all in the last minutes; give it a job for node_exporter".to_owned();
    }
    let some: Vec<&str> = names.iter().copied().take(JOBS_SHOWN).collect();
    let more = names.len().saturating_sub(some.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "its jobs are {}{more}; one must scrape node_exporter, whose collector `time` must not be switched off, and whose \
         figures must not be dropped by metric_relabel_configs",
        some.join(", ")
    )
}

impl Server {
    /// Its clock against ours as that is now: set by whatever it was set since, and older.
    fn carried(&self, now: &Sample) -> OffsetInterval {
        let then = NodeReading { against_us: Some(self.against_us), ..NodeReading::at(self.clocks) };
        then.against_us_now(now).unwrap_or(self.against_us)
    }
}

/// What the history says of the time since a moment of Prometheus' clock: from an exchange that was surely before it,
/// or from the first that we have.
fn since(history: &[(f64, OffsetInterval)], taken_s: f64) -> Option<OffsetInterval> {
    let before = history.iter().find(|(time_s, _)| *time_s + SET_MIN.as_secs_f64() <= taken_s);
    before.or(history.last()).map(|(_, hull)| *hull)
}

impl Memory {
    /// Takes an exchange in, and notices whether Prometheus' clock was set since the one before.
    pub fn note(&mut self, server: Server) {
        if let Some(expected) = self.exchanges.back().map(|last| last.carried(&server.clocks)) {
            let moved = server.against_us.against(expected);
            if moved.surely_beyond(SET_MIN) {
                // After a step back, samples from the future of before will come to be in the past.
                let unmoved_s = server.time_s - moved.midpoint().seconds();
                let words = format!("Prometheus' own clock was set by {}", moved.midpoint());
                tracing::warn!("{words}; what it has scraped before is not used");
                self.valid_from = Some((server.time_s.max(unmoved_s), words));
                self.exchanges.clear();
            }
        }
        self.exchanges.push_back(server);
        if self.exchanges.len() > EXCHANGES_MAX {
            self.exchanges.pop_front();
        }
    }

    /// All that Prometheus' clock has been against ours since it showed a moment, as ours is now; the newest first, for
    /// [`since`].
    fn history(&self, now: &Sample) -> Vec<(f64, OffsetInterval)> {
        let mut whole: Option<OffsetInterval> = None;
        let mut all = Vec::with_capacity(self.exchanges.len());
        for server in self.exchanges.iter().rev() {
            let one = server.carried(now);
            let hull = whole
                .map_or(one, |known| OffsetInterval::between(known.low().min(one.low()), known.high().max(one.high())));
            whole = Some(hull);
            all.push((server.time_s, hull));
        }
        all
    }

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
    let (count, history) = (exporters.len(), memory.history(clocks));
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
            Some(of_node) => reading(node, of_node, clocks, &history, memory),
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
    history: &[(f64, OffsetInterval)],
    memory: &mut Memory,
) -> Result<NodeReading, String> {
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
    if let Some((valid_from_s, words)) = memory.valid_from.as_ref().filter(|(from_s, _)| exporter.taken_s < *from_s) {
        let from = moment(*valid_from_s).map_or_else(String::new, |(from, _)| rfc3339(from));
        return Err(format!("{words}; waiting for a scrape of node {node} after {from}"));
    }
    let against_prometheus = exporter.against_prometheus.clone().map_err(|why| format!("node {node}: {why}"))?;
    let (own, lacks) = match exporter.timex.own() {
        Own::Against(own) => (Some(own), None),
        Own::Undisciplined => (None, None),
        Own::Unknown(why) => (None, Some(format!("Prometheus has node_time_seconds of node {node}, but {why}"))),
    };
    let undisciplined = memory.undisciplined(node, own.is_none(), clocks.after);
    let against_us = since(history, exporter.taken_s).map(|server| against_prometheus.shifted(server));
    Ok(NodeReading { against_us, own, undisciplined, lacks, age_then: exporter.age, ..NodeReading::at(*clocks) })
}

#[cfg(test)]
mod tests;
