//! One kept-alive HTTP/1.1 connection to one server, with every answer timed.
//!
//! A plain connection instead of hyper's: thousands of them wait for an answer nearly all of their lives. hyper has two
//! tasks and two buffers of 8 KiB for each; here there is one socket, and a buffer only while something is read.
//!
//! Nor a pool: what is between the two readings of our clock must be the round
//! trip and nothing else, no queueing for a connection, no redirect and no retry behind our back. Whoever is asked may
//! be broken or hostile: time and size of an answer are bounded, and its body is handed on piece by piece.
//!
//! Does not know: what is asked, and what an answer means.

pub mod reply;

use crate::agent::clocks;
use crate::clock::{Human, Mono, Sample};
use crate::runtime::mono_now;
use hyper::StatusCode;
use reply::{Head, Reply, ReplyError};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// For connecting, and for an answer that is not held back.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// So much is read at once.
const PIECE: usize = 16 * 1024;
const AGENT: &str = concat!("clockwarden/", env!("CARGO_PKG_VERSION"));

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
    Connect(#[source] io::Error),
    /// Nothing within the time allowed.
    #[error("did not answer within {}", Human(*.0))]
    Timeout(Duration),
    /// TCP, in the middle of it.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    /// What came is no answer.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// More than we want to read.
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
    /// The question cannot be put as HTTP: something in it would be taken for another line.
    #[error("it cannot be asked for {0:?}")]
    Question(String),
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
    open: Option<TcpStream>,
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
        mut take: impl FnMut(&[u8], &Sample) + Send,
    ) -> Result<Answer, HttpError> {
        let request = self.request(question)?;
        let mut stream = self.connected().await?;
        let patience = question.patience;
        let exchange = exchange(&mut stream, &request, question.limit, &mut take);
        let asked = tokio::time::timeout(patience, exchange).await;
        let (answer, is_last) = asked.map_err(|_| HttpError::Timeout(patience))??;
        self.open = (!is_last).then_some(stream);
        Ok(answer)
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

    /// Path and address come from strangers (an agent names its instance, a kubelet its address): nothing in them may
    /// begin another line, or another question.
    fn request(&self, question: &Question) -> Result<Vec<u8>, HttpError> {
        let is_visible = |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if let Some(bad) = [&question.path, &self.address].into_iter().find(|text| !is_visible(text)) {
            return Err(HttpError::Question(bad.clone()));
        }
        let (method, length) = match &question.form {
            None => ("GET", String::new()),
            Some(form) => (
                "POST",
                format!("content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n", form.len()),
            ),
        };
        // What was kept somewhere is no measurement.
        let request = format!(
            "{method} {} HTTP/1.1\r\nhost: {}\r\ncache-control: no-cache, no-store\r\nuser-agent: {AGENT}\r\n{length}\r\n{}",
            question.path,
            self.address,
            question.form.as_deref().unwrap_or_default(),
        );
        Ok(request.into_bytes())
    }

    /// The connection that is open, if the other side has not closed it meanwhile, or a new one.
    async fn connected(&mut self) -> Result<TcpStream, HttpError> {
        if let Some(stream) = self.open.take()
            && is_idle(&stream)
        {
            return Ok(stream);
        }
        let connect = async {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let connected = tokio::time::timeout(PATIENCE, connect).await;
        connected.map_err(|_| HttpError::Timeout(PATIENCE))?.map_err(HttpError::Connect)
    }
}

/// Neither closed nor with something to say that nobody asked for.
fn is_idle(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// One question and its answer. Also says whether the connection is spent.
async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    limit: usize,
    take: &mut (impl FnMut(&[u8], &Sample) + Send),
) -> Result<(Answer, bool), HttpError> {
    let sent = mono_now();
    stream.write_all(request).await.map_err(HttpError::Broken)?;
    let (mut reply, mut length) = (Reply::default(), 0usize);
    loop {
        stream.readable().await.map_err(HttpError::Broken)?;
        let mut take = |piece: &[u8], clocks: &Sample| {
            length = length.saturating_add(piece.len());
            if length <= limit {
                take(piece, clocks);
            }
        };
        if let Some((head, clocks)) = read(stream, &mut reply, &mut take)? {
            let answer = Answer { status: head.status, cached: head.cached, sent, clocks };
            return if length > limit { Err(HttpError::TooLong(limit)) } else { Ok((answer, head.last)) };
        }
        if length > limit {
            return Err(HttpError::TooLong(limit));
        }
    }
}

/// Reads what there is. No future is alive meanwhile, so that the buffer is on the stack: nobody who waits has one.
fn read(
    stream: &TcpStream,
    reply: &mut Reply,
    take: &mut dyn FnMut(&[u8], &Sample),
) -> Result<Option<(Head, Sample)>, HttpError> {
    let mut buffer = [0; PIECE];
    let read = match stream.try_read(&mut buffer) {
        Ok(read) => read,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            return Ok(None);
        }
        Err(error) => return Err(HttpError::Broken(error)),
    };
    let clocks = clocks::sample();
    let head = match buffer.get(..read) {
        None | Some([]) => Some(reply.closed()?),
        Some(bytes) => reply.feed(bytes, &mut |piece| take(piece, &clocks))?,
    };
    Ok(head.map(|head| (head, clocks)))
}

#[cfg(test)]
mod tests;
