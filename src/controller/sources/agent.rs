//! Our own agents, each asked at its node's address by a long poll.
//!
//! The question is held by the agent until something changes or the interval is over, so a step arrives in
//! milliseconds, while a quiet node costs one small answer per interval. Each answer is also a measurement of that
//! node's clock against ours, good to half a round trip ([`crate::clock::exchange`]).
//!
//! Whatever an agent sends is a claim by a machine that may be broken: it is bounded in size and time, it speaks only
//! for the node whose address was asked, and what cannot be used becomes an error text with the last good reading
//! left to grow stale.

use super::pollers::{Target, backoff, share};
use super::{NodeReading, Pen};
use crate::agent::report::Report;
use crate::clock::exchange::ExchangeError;
use crate::clock::{Delta, Exchange, Mono, OffsetInterval, Sample, Wall};
use crate::controller::connection::{Connection, HttpError, PATIENCE, Question};
use hyper::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// An agent's report is a few kilobytes; whatever sends more is not an agent.
const ANSWER_MAX: usize = 64 * 1024;

/// Why an agent gave no reading.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An HTTP status other than 200.
    #[error("answered {0} to GET /v1/clock: is this port clockwarden's agent?")]
    Status(StatusCode),
    /// No report.
    #[error("its answer is no report")]
    Json(#[source] serde_json::Error),
    /// A report that makes no sense.
    #[error("its answer cannot be used: {0}")]
    Unusable(String),
    /// Impossible times.
    #[error("its answer cannot be used")]
    Exchange(#[source] ExchangeError),
}

/// Asks one agent for ever.
pub(super) async fn poll(pen: Pen, target: Target) {
    let mut connection = Connection::new(target.address.clone());
    let mut known: Option<(String, u64)> = None;
    // The first question that is held is held for a part of the interval, by chance: agents that were all asked at once,
    // when this controller started, would answer at once ever after, and delay one another's answers.
    let mut hold = share(target.interval, &target.node);
    let mut failures: u32 = 0;
    loop {
        match ask(&mut connection, known.as_ref(), hold).await {
            Ok(reading) => {
                failures = 0;
                if known.is_some() {
                    hold = target.interval;
                }
                let now = reading.report.as_ref().map(|report| (report.instance.clone(), report.sequence));
                let early = reading.report.as_ref().is_none_or(|report| report.held_nanos < 1_000_000);
                let same = known == now;
                known = now;
                pen.good(&target.node, reading);
                // It did not hold the question: an agent that is full, or no agent of ours. Do not spin.
                let pause = if early && same { target.interval } else { Duration::from_millis(5) };
                tokio::time::sleep(pause).await;
            }
            Err(error) => {
                let error = crate::telemetry::chain(&error);
                pen.bad(&target.node, format!("agent of node {} at {}: {error}", target.node, target.address));
                known = None;
                hold = share(target.interval, &target.node);
                failures = failures.saturating_add(1);
                tokio::time::sleep(backoff(failures, target.interval, &target.node)).await;
            }
        }
    }
}

/// Asks once. `known` is what we know already (instance and sequence): the agent may hold the question for `hold` until
/// it knows something newer. The first question wants an answer at once.
async fn ask(
    connection: &mut Connection,
    known: Option<&(String, u64)>,
    hold: Duration,
) -> Result<NodeReading, AgentError> {
    let (path, hold) = match known {
        Some((instance, sequence)) => {
            (format!("/v1/clock?after={sequence}&instance={instance}&wait={}ms", hold.as_millis()), hold)
        }
        None => ("/v1/clock".to_owned(), Duration::ZERO),
    };
    let question = Question { path, form: None, patience: hold.saturating_add(PATIENCE), limit: ANSWER_MAX };
    let (answer, body) = connection.ask_whole(&question).await?;
    if answer.status != StatusCode::OK {
        return Err(AgentError::Status(answer.status));
    }
    read(answer.sent, answer.clocks, &body)
}

/// Makes a reading of an answer: `body` was asked for at `sent` and had arrived at `clocks`.
///
/// # Errors
/// If it is no report, or one that makes no sense.
pub fn read(sent: Mono, clocks: Sample, body: &[u8]) -> Result<NodeReading, AgentError> {
    let report: Report = serde_json::from_slice(body).map_err(AgentError::Json)?;
    if report.sent_unix_nanos == 0 {
        return Err(AgentError::Unusable("it does not say when it left (sentUnixNanos)".to_owned()));
    }
    let exchange = Exchange {
        sent,
        received: clocks.after,
        received_wall: clocks.wall,
        left: Wall::from_unix_nanos(report.sent_unix_nanos),
        held: Duration::from_nanos(report.held_nanos),
    };
    let against_us = Some(exchange.offset().map_err(AgentError::Exchange)?);
    let own = match (report.offset_seconds, report.error_bound_seconds) {
        (Some(offset), Some(bound)) => Some(interval(offset, bound)?),
        (None, None) => None,
        _ => return Err(AgentError::Unusable("it has an offset without an error bound, or the reverse".to_owned())),
    };
    let undisciplined = Duration::try_from_secs_f64(report.undisciplined_seconds)
        .map_err(|_| AgentError::Unusable(format!("undisciplinedSeconds is {}", report.undisciplined_seconds)))?;
    let report = Some(Arc::new(needed(report)));
    Ok(NodeReading { against_us, own, undisciplined, report, ..NodeReading::at(clocks) })
}

/// What the controller looks at after this: the movements of the clock, and what the next question says is known. What
/// each source said is two thirds of a report, and would be kept for every node.
fn needed(report: Report) -> Report {
    Report {
        node: String::new(),
        state: String::new(),
        reason: None,
        roots: Vec::new(),
        sources: Vec::new(),
        version: String::new(),
        ..report
    }
}

/// Two numbers of a stranger as an interval; a microsecond wider for what a double loses.
fn interval(offset: f64, bound: f64) -> Result<OffsetInterval, AgentError> {
    let unusable = || AgentError::Unusable(format!("offset {offset} with error bound {bound} is no interval"));
    let offset = Delta::from_seconds(offset).ok_or_else(unusable)?;
    let bound = Duration::try_from_secs_f64(bound).map_err(|_| unusable())?;
    Ok(OffsetInterval::new(offset, bound).widened(Duration::from_micros(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: serde_json::Value, complaint: &str) {
        let mut report = serde_json::json!({
            "node": "n", "state": "Unknown", "offsetSeconds": null, "errorBoundSeconds": null, "sources": [],
            "sentUnixNanos": 1,
        });
        for (key, value) in change.as_object().unwrap() {
            report[key] = value.clone();
        }
        let clocks = crate::agent::clocks::sample();
        match read(clocks.before, clocks, report.to_string().as_bytes()) {
            Ok(_) => assert_eq!(complaint, "", "{change}"),
            Err(error) => assert!(!complaint.is_empty() && error.to_string().contains(complaint), "{change}: {error}"),
        }
    }

    #[test]
    fn what_an_agent_claims_is_checked_before_it_counts() {
        check(serde_json::json!({}), "");
        check(serde_json::json!({"node": 5}), "no report");
        check(serde_json::json!({"sentUnixNanos": 0}), "sentUnixNanos");
        check(serde_json::json!({"heldNanos": u64::MAX}), "cannot be used");
        check(serde_json::json!({"offsetSeconds": 1.0}), "without an error bound");
        check(serde_json::json!({"offsetSeconds": 1.0, "errorBoundSeconds": -1.0}), "is no interval");
        check(serde_json::json!({"offsetSeconds": 1e300, "errorBoundSeconds": 1.0}), "");
        check(serde_json::json!({"undisciplinedSeconds": -4.0}), "undisciplinedSeconds");
    }

    /// Answers every question at once as an agent that held it, and returns for how long each was to be held.
    async fn holds(interval: Duration, questions: usize) -> Vec<Option<u64>> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let pen = super::super::Observations::default().pen(&crate::policy::Source::Agent { port: 1 });
        let asking = tokio::spawn(poll(pen, Target { node: "n".into(), address, interval }));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut holds = Vec::new();
        while holds.len() < questions {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            let asked = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let wait = asked.split_once("wait=").and_then(|(_, rest)| rest.split_once("ms "));
            holds.push(wait.map(|(ms, _)| ms.parse().unwrap()));
            let report = serde_json::json!({
                "node": "n", "state": "Unknown", "sources": [], "sequence": 1, "instance": "i",
                "sentUnixNanos": 1, "heldNanos": 1_000_000,
            });
            let report = report.to_string();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{report}", report.len());
            // Held indeed: what claims to have been held for longer than it was under way is refused.
            tokio::time::sleep(Duration::from_millis(2)).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asking.abort();
        holds
    }

    #[tokio::test]
    async fn agents_that_were_asked_together_do_not_answer_together_ever_after() {
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..8 {
            let holds = holds(Duration::from_secs(60), 4).await;
            assert_eq!((holds[0], holds[2], holds[3]), (None, Some(60_000), Some(60_000)), "{holds:?}");
            assert!(holds[1].is_some_and(|ms| ms <= 60_000), "{holds:?}");
            firsts.insert(holds[1]);
        }
        assert!(firsts.len() > 1, "all were held alike: {firsts:?}");
    }
}
