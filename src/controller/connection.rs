//! One kept-alive HTTP/1.1 connection to one server, with every answer timed.
//!
//! A plain connection instead of a pooled client: what is between the two readings of our clock must be the round
//! trip and nothing else, no queueing for a connection, no redirect and no retry behind our back. Whoever is asked may
//! be broken or hostile: time and size of an answer are bounded, and its body is handed on piece by piece.
//!
//! Does not know: what is asked, and what an answer means.

use crate::agent::clocks;
use crate::clock::{Human, Mono, Sample};
use crate::runtime::mono_now;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::time::Duration;
use tokio::net::TcpStream;

/// For connecting, and for an answer that is not held back.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Lets this process open as many connections as the kernel allows it: one to each agent, and a few more.
///
/// systemd and containerd 2 start processes with a soft limit of 1,024 files, for the sake of programs that use select(2),
/// and a hard limit far above; a program that does not may raise the one to the other (getrlimit(2), and "File
/// Descriptor Limits" of systemd's notes for daemons). What cannot be raised is told when a connection fails for it.
pub fn allow_connections() {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(?before, now = ?limit.current, "files that may be open"),
        Err(error) => tracing::warn!(%error, ?before, "the number of files that may be open cannot be raised"),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// TCP.
    #[error("cannot be reached")]
    Connect(#[source] std::io::Error),
    /// Nothing within the time allowed.
    #[error("did not answer within {}", Human(*.0))]
    Timeout(Duration),
    /// HTTP went wrong, or the answer was cut off.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// More than we want to read.
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    /// The question cannot be put as HTTP.
    #[error("it cannot be asked")]
    Question(#[source] hyper::http::Error),
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Path and query.
    pub path: String,
    /// A form to be sent (`POST`); without one it is a `GET`.
    pub form: Option<String>,
    /// How long the whole answer may take.
    pub patience: Duration,
    /// How many bytes it may have.
    pub limit: usize,
}

/// When an answer was had, and what its status was.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// It comes out of a cache: only those say how old it is (`Age`, RFC 9111, section 5.1).
    pub cached: bool,
    /// Just before the question was sent.
    pub sent: Mono,
    /// Our clocks just after the last byte.
    pub clocks: Sample,
}

/// The connection, made on demand and remade after any error.
pub struct Connection {
    address: String,
    open: Option<(SendRequest<Full<Bytes>>, tokio::task::AbortHandle)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Connection {
    /// Not connected yet; `address` is `HOST:PORT`, with brackets around an IPv6 address.
    #[must_use]
    pub fn new(address: String) -> Connection {
        Connection { address, open: None }
    }

    /// Asks once. Every piece of the body is given to `take`, with our clocks as they were just after it had come.
    ///
    /// # Errors
    /// Why there is no whole answer; the connection is closed then.
    pub async fn ask(
        &mut self,
        question: &Question,
        take: impl FnMut(&[u8], &Sample) + Send,
    ) -> Result<Answer, HttpError> {
        let answer = self.try_ask(question, take).await;
        if answer.is_err() {
            self.close();
        }
        answer
    }

    /// Asks once, and collects the body.
    ///
    /// # Errors
    /// Why there is no whole answer; the connection is closed then.
    pub async fn ask_whole(&mut self, question: &Question) -> Result<(Answer, Vec<u8>), HttpError> {
        let mut body = Vec::new();
        let answer = self.ask(question, |piece, _| body.extend_from_slice(piece)).await?;
        Ok((answer, body))
    }

    async fn try_ask(
        &mut self,
        question: &Question,
        mut take: impl FnMut(&[u8], &Sample) + Send,
    ) -> Result<Answer, HttpError> {
        let request = self.request(question).map_err(HttpError::Question)?;
        let sender = self.connected().await?;
        let exchange = async {
            let sent = mono_now();
            let response = sender.send_request(request).await.map_err(HttpError::Broken)?;
            let (head, mut body) = response.into_parts();
            let (mut clocks, mut length) = (clocks::sample(), 0usize);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(HttpError::Broken)?;
                clocks = clocks::sample();
                let Some(piece) = frame.data_ref() else { continue };
                length = length.saturating_add(piece.len());
                if length > question.limit {
                    return Err(HttpError::TooLong(question.limit));
                }
                take(piece, &clocks);
            }
            let cached = head.headers.get(header::AGE).is_some_and(|age| age.as_bytes() != b"0");
            Ok(Answer { status: head.status, cached, sent, clocks })
        };
        let patience = question.patience;
        tokio::time::timeout(patience, exchange).await.map_err(|_| HttpError::Timeout(patience))?
    }

    fn request(&self, question: &Question) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let method = if question.form.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(&question.path)
            .header(header::HOST, self.address.as_str())
            // What was kept somewhere is no measurement.
            .header(header::CACHE_CONTROL, "no-cache, no-store")
            .header(header::USER_AGENT, concat!("clockwarden/", env!("CARGO_PKG_VERSION")));
        if question.form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request.body(question.form.clone().unwrap_or_default().into())
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, HttpError> {
        let open = match self.open.take() {
            Some((sender, driver)) if !sender.is_closed() => (sender, driver),
            closed => {
                if let Some((_, driver)) = closed {
                    driver.abort();
                }
                self.connect().await?
            }
        };
        Ok(&mut self.open.insert(open).0)
    }

    async fn connect(&self) -> Result<(SendRequest<Full<Bytes>>, tokio::task::AbortHandle), HttpError> {
        let connect = async {
            let stream = TcpStream::connect(&self.address).await.map_err(HttpError::Connect)?;
            stream.set_nodelay(true).map_err(HttpError::Connect)?;
            http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Broken)
        };
        let (sender, connection) =
            tokio::time::timeout(PATIENCE, connect).await.map_err(|_| HttpError::Timeout(PATIENCE))??;
        // The driver ends with the sender or is aborted with this value; its error reaches us through the sender.
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection ended");
            }
        });
        Ok((sender, driver.abort_handle()))
    }

    fn close(&mut self) {
        if let Some((_, driver)) = self.open.take() {
            driver.abort();
        }
    }
}
