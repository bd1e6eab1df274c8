//! The agent's HTTP endpoint: `/v1/clock`, `/metrics`, `/healthz`, `/readyz`.
//!
//! `GET /v1/clock` answers at once, or, with `?after=SEQUENCE&wait=10s`, as soon as there is news: a step reaches the
//! controller in milliseconds at the price of slow polling. The answer carries this machine's wall clock, read as
//! late as can be: after the rest of the body has been written. How long it was held is told by the monotonic clock,
//! which is read before the wall clock, so that what lies between counts as travel and widens the reader's bound.
//!
//! Nothing in a question names a host, a file or a source; parameters that we do not know are passed over.

use crate::agent::board::Board;
use crate::agent::metrics;
use crate::agent::report::Report;
use crate::clock::{Mono, Wall};
use crate::runtime::{CancellationToken, mono_now, rfc3339, wall_now};
use crate::{duration, telemetry};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The longest that an answer is held; longer wishes are cut to it.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// Readers that may wait at once; one more is answered at once, which is never wrong.
pub const WAITING_MAX: usize = 64;
static SERVER_TIME: HeaderName = HeaderName::from_static("x-server-time");

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    board: Arc<Board>,
    waiting: Arc<Semaphore>,
    stop: CancellationToken,
}

/// The agent's routes; `stop` ends waiting early.
pub fn router(board: Arc<Board>, stop: CancellationToken) -> Router {
    let desk = Desk { board, waiting: Arc::new(Semaphore::new(WAITING_MAX)), stop };
    Router::new()
        .route("/v1/clock", get(clock))
        .route("/metrics", get(scrape))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here; try /v1/clock, /metrics, /healthz or /readyz\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n"))
        .layer(axum::middleware::map_response(stamp))
        .with_state(desk)
}

/// Every answer says what time it is here, to the microsecond.
async fn stamp(mut response: Response) -> Response {
    if let Ok(value) = HeaderValue::try_from(rfc3339(wall_now())) {
        response.headers_mut().insert(SERVER_TIME.clone(), value);
    }
    response
}

#[derive(Deserialize)]
struct Question {
    after: Option<String>,
    wait: Option<String>,
    instance: Option<String>,
}

async fn clock(
    State(desk): State<Desk>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Response, (StatusCode, String)> {
    let (received, received_mono) = (wall_now(), mono_now());
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let Query(question) = question.map_err(|rejection| bad(format!("{}\n", rejection.body_text())))?;
    let hold = question.hold().map_err(bad)?;
    if let Some((after, wait)) = hold {
        desk.news(after, wait, question.instance.as_deref()).await;
    }
    let report = desk.board.with(|core, clocks| core.report(clocks));
    answer(report, received, received_mono).map_err(|error| {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("the report could not be written: {}\n", telemetry::chain(&error)))
    })
}

impl Question {
    /// The wish to be answered only when there is news after a sequence, and for how long.
    fn hold(&self) -> Result<Option<(u64, Duration)>, String> {
        let after = match &self.after {
            None => None,
            Some(text) => Some(text.parse::<u64>().map_err(|error| {
                format!("parameter after={text:?}: {error}; write the `sequence` of the last report\n")
            })?),
        };
        let wait = match &self.wait {
            None => Duration::ZERO,
            Some(text) => duration::parse(text).map_err(|error| format!("parameter wait={text:?}: {error}\n"))?,
        };
        Ok(after.map(|after| (after, wait.min(WAIT_MAX))).filter(|(_, wait)| !wait.is_zero()))
    }
}

impl Desk {
    /// Returns when the sequence is another than `after`, after `wait`, or at once where waiting makes no sense.
    async fn news(&self, after: u64, wait: Duration, instance: Option<&str>) {
        let ours = self.board.with(|core, _| instance.is_none_or(|theirs| theirs == core.instance()));
        let (true, Ok(_place)) = (ours, self.waiting.try_acquire()) else { return };
        let mut sequence = self.board.sequence();
        tokio::select! {
            // Another, not a greater: a sequence from the future is one of another instance.
            _ = sequence.wait_for(|reached| *reached != after) => {}
            () = tokio::time::sleep(wait) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// Writes the report, then, last of all, the two numbers that are the measurement.
fn answer(mut report: Report, received: Wall, received_mono: Mono) -> Result<Response, serde_json::Error> {
    report.received_unix_nanos = received.unix_nanos();
    report.sent_unix_nanos = i64::MIN;
    report.held_nanos = u64::MAX;
    let body = serde_json::to_string(&report)?;
    // In a JSON string the quotes would be escaped, so no name or message can look like these.
    let (head, rest) = body.split_once(r#""sentUnixNanos":-9223372036854775808"#).unwrap_or((&body, ""));
    let (middle, tail) = rest.split_once(r#""heldNanos":18446744073709551615"#).unwrap_or((rest, ""));
    let mut spliced = String::with_capacity(body.len() + 32);
    spliced.push_str(head);
    let held = mono_now().since(received_mono).as_nanos();
    let sent = wall_now().unix_nanos();
    spliced.push_str(&format!(r#""sentUnixNanos":{sent}{middle}"heldNanos":{held}{tail}"#));
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, spliced).into_response())
}

async fn scrape(State(desk): State<Desk>) -> Response {
    let (report, counts) = desk.board.with(|core, clocks| (core.report(clocks), core.jumps().counts()));
    ([(header::CONTENT_TYPE, telemetry::METRICS_CONTENT_TYPE)], metrics::text(&report, counts)).into_response()
}

async fn ready(State(desk): State<Desk>) -> (StatusCode, &'static str) {
    if desk.board.with(|core, _| core.ready()) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the sources have not all been asked yet\n")
    }
}

#[cfg(test)]
mod tests;
