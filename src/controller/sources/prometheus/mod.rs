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
pub mod readings;
pub mod server;
pub mod snapshot;

use super::Pen;
use super::pollers::{Feed, Roster, backoff, spread};
use crate::clock::exchange::ExchangeError;
use crate::controller::connection::{Connection, HttpError, PATIENCE, Question};
use answer::{AnswerError, Found, Series};
use mapping::{Mapping, Place, shown};
use readings::{Memory, Readings, readings};
use server::{Server, server};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Six series of 5,000 nodes with labels of 300 bytes each are 10 MB.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// Evaluating takes Prometheus a fraction of a second; what takes longer than this is of no use.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);
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
        memory.server.note(server);
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

#[cfg(test)]
mod tests;
