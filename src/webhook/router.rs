//! HTTP in front of the verdict: `POST /validate`, health, metrics.
//!
//! Whatever a body is, it gets a proper answer: an AdmissionReview if it was one, otherwise an HTTP error whose body
//! is a `metav1.Status` that says what was wrong, because the API server shows its message. Nothing that is sent
//! can make it use more than a bounded amount of memory or time; what would is turned away before it is read.
//!
//! Bodies take memory as they arrive and not before, and when too many are on their way the oldest is given up: a
//! client that sends slowly, or never goes on, keeps nobody else from being answered.
//!
//! Reviews are judged where they arrive, without a change of thread, because nearly all take microseconds. Those
//! with large bodies are judged elsewhere and a few at a time, so that the small ones and the health checks do
//! not wait for them.

use super::metrics::Metrics;
use super::policies::Policies;
use super::review::{self, Answer, Malformed, Request as Review, Status};
use super::seats::Seats;
use super::verdict::{Decision, Question, Verdict, judge};
use crate::inspect::Limits;
use crate::runtime::mono_now;
use crate::telemetry;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one webhook may use.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of one review. The API server takes objects of up to 3 MiB, and an UPDATE carries two of them.
    pub body: usize,
    /// From the head of a request to the end of its body. API servers wait 10 s for a webhook unless told otherwise.
    pub body_time: Duration,
    /// Reviews whose bodies are on their way at once; one more, and the oldest of them gets 429.
    pub arriving: usize,
    /// Bytes up to which a review is small.
    pub small: usize,
    /// Bytes of all small reviews whose bodies are on their way.
    pub small_total: usize,
    /// Bytes of all reviews that are not small, on their way or being judged.
    pub large_total: usize,
    /// Reviews that are not small, judged at once.
    pub large_judged: usize,
    /// Bounds of what is looked at in one object.
    pub limits: Limits,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            body: 7 << 20,
            body_time: Duration::from_secs(10),
            arriving: 512,
            small: 128 << 10,
            small_total: 32 << 20,
            large_total: 56 << 20,
            large_judged: 2,
            // Some 150 bytes each, twice per update.
            limits: Limits { nodes: 300_000, ..Limits::default() },
        }
    }
}

/// Everything that a review is judged with.
pub struct Webhook {
    policies: Policies,
    metrics: Metrics,
    budget: Budget,
    arriving: Arc<Seats>,
    small_bytes: Arc<Semaphore>,
    large_bytes: Arc<Semaphore>,
    large_judged: Arc<Semaphore>,
}

impl Webhook {
    /// Judges by these policies, within this budget.
    #[must_use]
    pub fn new(policies: Policies, metrics: Metrics, budget: Budget) -> Arc<Webhook> {
        Arc::new(Webhook {
            policies,
            metrics,
            arriving: Seats::new(budget.arriving),
            small_bytes: bytes(budget.small_total),
            large_bytes: bytes(budget.large_total),
            large_judged: Arc::new(Semaphore::new(budget.large_judged)),
            budget,
        })
    }
}

fn bytes(most: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
}

/// What is served over TLS: `/validate`, and `/healthz` and `/readyz` for probes that come this way.
pub fn serving(webhook: Arc<Webhook>) -> Router {
    let health = health(Arc::clone(&webhook));
    Router::new()
        .route("/validate", post(validate))
        .with_state(webhook)
        .merge(health)
        .method_not_allowed_fallback(not_allowed)
        .fallback(not_found)
}

/// What is served in the clear, inside the cluster: `/metrics`, `/healthz`, `/readyz`.
pub fn observing(webhook: Arc<Webhook>, registry: Arc<Registry>) -> Router {
    let metrics = move || async move {
        ([(header::CONTENT_TYPE, telemetry::METRICS_CONTENT_TYPE)], telemetry::encode(&registry))
    };
    health(webhook).route("/metrics", get(metrics)).fallback(not_found)
}

fn health(webhook: Arc<Webhook>) -> Router {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(webhook)
}

async fn ready(State(webhook): State<Arc<Webhook>>) -> (StatusCode, &'static str) {
    if webhook.policies.synced() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: TimeSyncPolicies and namespaces are not yet known\n")
    }
}

async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "NotFound", "nothing is served at this path; reviews go to POST /validate")
}

async fn not_allowed() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "reviews are sent with POST to /validate")
}

/// Why a request got no verdict.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the Content-Type is {0:?}; expected application/json")]
    ContentType(String),
    #[error("the body has more than {0} bytes, the most that an AdmissionReview may have")]
    TooLarge(usize),
    #[error("the body did not arrive within {0:?}")]
    Slow(Duration),
    #[error("the body broke off: {0}")]
    Broken(String),
    #[error("too many reviews at once; try again")]
    Busy,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("a bug in clockwarden: {0}")]
    Bug(String),
}

impl Fault {
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Fault::ContentType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
            Fault::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Fault::Slow(_) => (StatusCode::REQUEST_TIMEOUT, "Timeout"),
            Fault::Broken(_) | Fault::Malformed(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Fault::Busy => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Fault::Bug(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        }
    }

    fn verdict(&self) -> &'static str {
        if matches!(self, Fault::Busy) { "overloaded" } else { "invalid" }
    }
}

fn failure(code: StatusCode, reason: &'static str, message: &str) -> Response {
    let status = Status::failure(code.as_u16(), reason, message);
    let body = serde_json::to_vec(&status).unwrap_or_else(|_| message.as_bytes().to_vec());
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn validate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let started = mono_now();
    let answered = webhook.answer(request).await;
    let took = mono_now().since(started);
    match answered {
        Ok((verdict, body)) => {
            webhook.metrics.judged(&verdict, took);
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(fault) => {
            webhook.metrics.answered(fault.verdict(), took);
            let (code, reason) = fault.status();
            tracing::debug!(%code, %fault, "a request got no verdict");
            let mut response = failure(code, reason, &fault.to_string());
            if code == StatusCode::TOO_MANY_REQUESTS {
                // With this the API server's client tries again by itself, within its time limit.
                response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            }
            response
        }
    }
}

impl Webhook {
    async fn answer(self: &Arc<Webhook>, request: Request) -> Result<(Verdict, Vec<u8>), Fault> {
        content_type(request.headers())?;
        let seat = self.arriving.take().ok_or(Fault::Busy)?;
        let body = request.into_body();
        let length = body.size_hint().upper().and_then(|most| usize::try_from(most).ok()).unwrap_or(self.budget.body);
        let is_small = length <= self.budget.small;
        let memory = if is_small { &self.small_bytes } else { &self.large_bytes };
        let arrived = tokio::select! {
            () = seat.asked_to_leave() => Err(Fault::Busy),
            arrived = self.read(body, length, memory) => arrived,
        };
        drop(seat);
        let (body, memory) = arrived?;
        if is_small {
            return self.judge(&body).await;
        }
        // The permits go along to the thread that judges, because it goes on when the client has long gone away.
        let turn = Arc::clone(&self.large_judged).acquire_owned().await.map_err(|_| Fault::Busy)?;
        let (webhook, runtime) = (Arc::clone(self), tokio::runtime::Handle::current());
        let judged = tokio::task::spawn_blocking(move || {
            let _held = (memory, turn);
            runtime.block_on(webhook.judge(&body))
        });
        judged.await.map_err(|error| Fault::Bug(error.to_string()))?
    }

    /// The whole body with the permits for its memory; both have to come within the time of a body.
    ///
    /// Memory is taken piece by piece: a body that was announced and does not come holds none. One that came in one
    /// piece, as nearly all do, is not copied.
    async fn read(&self, mut body: Body, length: usize, memory: &Arc<Semaphore>) -> Result<Arrived, Fault> {
        if length > self.budget.body {
            return Err(self.discard(body).await);
        }
        let mut late = std::pin::pin!(tokio::time::sleep(self.budget.body_time));
        let (mut first, mut all, mut held) = (Bytes::new(), Vec::new(), None::<OwnedSemaphorePermit>);
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = &mut late => return Err(Fault::Slow(self.budget.body_time)),
            };
            let piece = match frame {
                None => return Ok((if all.is_empty() { first } else { Bytes::from(all) }, held)),
                Some(Err(error)) => return Err(Fault::Broken(error.to_string())),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if first.len().max(all.len()).saturating_add(piece.len()) > self.budget.body {
                drop((first, all, held));
                return Err(self.discard(body).await);
            }
            let permits = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let more = tokio::select! {
                more = Arc::clone(memory).acquire_many_owned(permits) => more.map_err(|_| Fault::Busy)?,
                () = &mut late => return Err(Fault::Busy),
            };
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            if first.is_empty() && all.is_empty() {
                first = piece;
            } else {
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&piece);
            }
        }
    }

    /// Reads on for a while, keeping nothing: a client that is still writing when the connection closes sees a
    /// broken pipe and not the answer that says why.
    async fn discard(&self, mut body: Body) -> Fault {
        let mut left = self.budget.body.saturating_mul(4);
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    break;
                }
            }
        };
        // Whether it came to the end makes no difference to the answer.
        let _ended = tokio::time::timeout(self.budget.body_time, reading).await;
        Fault::TooLarge(self.budget.body)
    }

    async fn judge(&self, body: &[u8]) -> Result<(Verdict, Vec<u8>), Fault> {
        let review = review::read(body)?;
        let question = question(&review);
        let catalogue = self.policies.catalogue();
        let verdict = if question.suspect(&catalogue).is_none() {
            Verdict::admitted()
        } else {
            match self.policies.ruling(&review.namespace).await {
                None => Verdict::admitted(),
                Some(ruling) => judge(&question, &ruling, &catalogue, &self.budget.limits),
            }
        };
        if verdict.decision == Decision::Refused {
            tracing::info!(
                namespace = %review.namespace,
                uid = %review.uid,
                refusal = verdict.refusal.as_deref().unwrap_or_default(),
                "refused"
            );
        }
        let answer = Answer {
            uid: &review.uid,
            refusal: verdict.refusal.as_deref(),
            warnings: &verdict.warnings,
            decision: verdict.decision.as_str(),
            audit: &verdict.audit,
        };
        let body = answer.to_json().map_err(|error| Fault::Bug(error.to_string()))?;
        Ok((verdict, body))
    }
}

/// A body and the permits for its bytes.
type Arrived = (Bytes, Option<OwnedSemaphorePermit>);

fn question<'a>(review: &'a Review<'_>) -> Question<'a> {
    Question {
        operation: review.operation,
        sub_resource: &review.sub_resource,
        object: review.object.map(|object| RawValue::get(object).as_bytes()),
        old: review.old_object.map(|old| RawValue::get(old).as_bytes()),
    }
}

/// `application/json`, with or without parameters.
fn content_type(headers: &HeaderMap) -> Result<(), Fault> {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(Fault::ContentType(String::from_utf8_lossy(value).chars().take(80).collect()))
}
