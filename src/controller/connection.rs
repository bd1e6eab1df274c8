//! One kept-alive HTTP/1.1 connection to one agent, with every answer timed.
//!
//! A plain connection instead of a pooled client: what is between the two readings of our clock must be the round
//! trip and nothing else, no queueing for a connection and no retry behind our back.

use crate::agent::clocks;
use crate::agent::report::Report;
use crate::clock::exchange::ExchangeError;
use crate::clock::{Exchange, Sample, Wall};
use crate::runtime::mono_now;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// An agent's report is a few kilobytes; whatever sends more is not an agent.
const ANSWER_MAX: usize = 64 * 1024;
/// For connecting, and for an answer beyond the time of holding.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// TCP.
    #[error("cannot be reached")]
    Connect(#[source] std::io::Error),
    /// Nothing within the time allowed.
    #[error("did not answer within {0:?}")]
    Timeout(Duration),
    /// HTTP went wrong.
    #[error("the connection broke")]
    Http(#[source] hyper::Error),
    /// An HTTP status other than 200.
    #[error("answered {0} to GET /v1/clock: is this port clockwarden's agent?")]
    Status(StatusCode),
    /// Too long, or cut off.
    #[error("its answer is longer than {ANSWER_MAX} bytes or was cut off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
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

/// An answer, timed.
#[derive(Debug)]
pub struct Answer {
    /// When it was asked, when it came, what it says about its own time.
    pub exchange: Exchange,
    /// Our clocks just after its last byte.
    pub clocks: Sample,
    /// What it says.
    pub report: Report,
}

/// The connection, made on demand and remade after any error.
pub struct Connection {
    address: String,
    open: Option<(SendRequest<Empty<Bytes>>, tokio::task::AbortHandle)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Connection {
    /// Not connected yet.
    #[must_use]
    pub fn new(address: String) -> Connection {
        Connection { address, open: None }
    }

    /// Asks once. `after` is what we know already (instance and sequence): the agent may hold the question for `hold`
    /// until it knows something newer.
    ///
    /// # Errors
    /// Why there is no usable answer; the connection is closed then.
    pub async fn ask(&mut self, after: Option<&(String, u64)>, hold: Duration) -> Result<Answer, PollError> {
        let answer = self.try_ask(after, hold).await;
        if answer.is_err() {
            self.close();
        }
        answer
    }

    async fn try_ask(&mut self, after: Option<&(String, u64)>, hold: Duration) -> Result<Answer, PollError> {
        let path = match after {
            Some((instance, sequence)) => {
                format!("/v1/clock?after={sequence}&instance={instance}&wait={}ms", hold.as_millis())
            }
            None => "/v1/clock".to_owned(),
        };
        let request = Request::get(path)
            .header(header::HOST, self.address.as_str())
            .header(header::USER_AGENT, concat!("clockwarden/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| PollError::Unusable(format!("its instance name breaks the request: {error}")))?;
        let sender = self.connected().await?;
        let patience = hold.saturating_add(PATIENCE);
        let exchange = async {
            let sent = mono_now();
            let response = sender.send_request(request).await.map_err(PollError::Http)?;
            if response.status() != StatusCode::OK {
                return Err(PollError::Status(response.status()));
            }
            let body =
                Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(PollError::Body)?.to_bytes();
            let clocks = clocks::sample();
            let report: Report = serde_json::from_slice(&body).map_err(PollError::Json)?;
            let exchange = Exchange {
                sent,
                received: clocks.after,
                received_wall: clocks.wall,
                left: Wall::from_unix_nanos(report.sent_unix_nanos),
                held: Duration::from_nanos(report.held_nanos),
            };
            Ok(Answer { exchange, clocks, report })
        };
        tokio::time::timeout(patience, exchange).await.map_err(|_| PollError::Timeout(patience))?
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Empty<Bytes>>, PollError> {
        if self.open.as_ref().is_none_or(|(sender, _)| sender.is_closed()) {
            self.close();
            let connect = async {
                let stream = TcpStream::connect(&self.address).await.map_err(PollError::Connect)?;
                stream.set_nodelay(true).map_err(PollError::Connect)?;
                http1::handshake(TokioIo::new(stream)).await.map_err(PollError::Http)
            };
            let (sender, connection) =
                tokio::time::timeout(PATIENCE, connect).await.map_err(|_| PollError::Timeout(PATIENCE))??;
            // The driver ends with the sender or is aborted with this value; its error reaches us through the sender.
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::trace!(%error, "agent connection ended");
                }
            });
            self.open = Some((sender, driver.abort_handle()));
        }
        match self.open.as_mut() {
            Some((sender, _)) => Ok(sender),
            None => Err(PollError::Unusable("no connection".to_owned())),
        }
    }

    fn close(&mut self) {
        if let Some((_, driver)) = self.open.take() {
            driver.abort();
        }
    }
}
