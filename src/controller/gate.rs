//! The last instant before a request leaves: whoever does not lead any more sends nothing.
//!
//! A lease is no fence, the API server does not know who leads. Between asking "do we lead?" and write(2) a request waits
//! in a queue, in a pool and in the task of its connection; a process that is stopped there (SIGSTOP, a frozen virtual
//! machine) would send it when it wakes up, in somebody else's time. So the question is asked once more, by the stream
//! under TLS, right before the bytes go to the kernel.
//!
//! A [`Gate`] belongs to one term of leading. It is open until an instant that each renewal of the lease puts off, and once
//! it has been shut it is never opened again: who leads anew does so through another gate and over other connections, so
//! that nothing that was begun in one term leaves in the next. The instant is one of `CLOCK_BOOTTIME`, which also counts
//! the time that the machine sleeps; whoever waits for the lease does so by `CLOCK_MONOTONIC`, which does not, so that
//! each side errs towards doing nothing.
//!
//! What is left is the time between the reading of that clock and write(2) itself, a few instructions, and what the kernel
//! and the API server have taken already. Does not know: leases, requests, HTTP.

use crate::clock::Boot;
use crate::runtime::boot_now;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

/// Until when something may be sent. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<AtomicU64>);

/// What a stream says that would have sent something through a gate that is shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leader lease was not held any more when it was about to leave: it was not sent")]
pub struct Shut;

impl Gate {
    /// Never shut: for whoever leads without an election.
    #[must_use]
    pub fn always() -> Gate {
        Gate(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Open until then.
    #[must_use]
    pub fn until(end: Boot) -> Gate {
        Gate(Arc::new(AtomicU64::new(end.nanos())))
    }

    /// Puts the end off, if it has not been reached by `now`. Returns whether it had not; it is never brought forward.
    #[must_use]
    pub fn extend(&self, end: Boot, now: Boot) -> bool {
        let put_off = |old: u64| (now.nanos() < old).then_some(old.max(end.nanos()));
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, put_off).is_ok()
    }

    /// Shuts it for ever.
    pub fn shut(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// Whether something may be sent at this instant.
    #[must_use]
    pub fn is_open(&self) -> bool {
        boot_now().nanos() < self.0.load(Ordering::SeqCst)
    }

    /// Whether the other one is a clone of this.
    #[must_use]
    pub fn is(&self, other: &Gate) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn pass(&self) -> io::Result<()> {
        if self.is_open() { Ok(()) } else { Err(io::Error::other(Shut)) }
    }
}

/// A stream that writes through a gate. It reads, and ends, whether that is open or not.
#[derive(Debug)]
pub struct Gated<S> {
    stream: S,
    gate: Gate,
}

impl<S> Gated<S> {
    /// This stream, behind this gate.
    #[must_use]
    pub fn new(stream: S, gate: Gate) -> Gated<S> {
        Gated { stream, gate }
    }
}

impl<S: Write + Unpin> Write for Gated<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.gate.pass()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gate.pass()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Read + Unpin> Read for Gated<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Connection> Connection for Gated<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

/// A client all of whose connections write through this gate. Otherwise it is what kube makes of the same configuration,
/// but without its traces, and without timeouts but the one for connecting: whoever uses it limits the time of each
/// request. A request is one small packet that nothing follows, so it does not wait for company (`TCP_NODELAY`).
///
/// # Errors
/// If the configuration's certificates or credentials cannot be used, or it names a proxy, which kube supports only if it
/// is built for that.
pub fn client(config: &Config, gate: &Gate) -> kube::Result<Client> {
    if let Some(proxy) = &config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy.clone()) });
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(config.connect_timeout);
    let gate = gate.clone();
    let gated = http.map_response(move |stream| Gated::new(stream, gate.clone()));
    let tls = config.rustls_https_connector_with_connector(gated)?;
    let pool: Pool<_, Body> = Pool::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(pool);
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    /// What of three writes gets to the other side, the gate being changed before the last two.
    async fn check(gate: Gate, change: impl Fn(&Gate), expected: &[u8], vectored: bool) {
        let (ours, mut theirs) = duplex(64);
        let mut ours = TokioIo::new(Gated::new(TokioIo::new(ours), gate.clone()));
        for (index, piece) in [b"a", b"b", b"c"].into_iter().enumerate() {
            if index == 1 {
                change(&gate);
            }
            let written = write(&mut ours, piece, vectored).await;
            let passed = expected.contains(&piece[0]);
            assert_eq!(written.is_ok(), passed, "{written:?}");
            if let Err(error) = written {
                assert!(error.get_ref().is_some_and(|inner| inner.is::<Shut>()), "{error:?}");
            }
        }
        // What comes is still heard, and the end is passed on.
        theirs.write_all(b"heard").await.unwrap();
        let mut heard = [0; 5];
        ours.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"heard");
        ours.shutdown().await.unwrap();
        let mut came = Vec::new();
        theirs.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, expected);
    }

    async fn write(stream: &mut TokioIo<Gated<TokioIo<DuplexStream>>>, piece: &[u8], vectored: bool) -> io::Result<()> {
        if vectored {
            assert!(tokio::io::AsyncWrite::is_write_vectored(stream));
            stream.write_vectored(&[IoSlice::new(piece)]).await.map(|_| ())
        } else {
            stream.write_all(piece).await
        }
    }

    #[tokio::test]
    async fn not_one_byte_leaves_through_a_gate_that_is_shut() {
        let long = || boot_now().after(Duration::from_secs(3600));
        for vectored in [false, true] {
            check(Gate::always(), |_| {}, b"abc", vectored).await;
            check(Gate::until(long()), |_| {}, b"abc", vectored).await;
            check(Gate::until(long()), Gate::shut, b"a", vectored).await;
            check(Gate::until(boot_now()), |_| {}, b"", vectored).await;
            check(Gate::always(), Gate::shut, b"a", vectored).await;
        }
    }

    #[test]
    fn a_term_that_has_ended_is_not_begun_again() {
        let at = |seconds: u64| Boot::from_nanos(seconds * 1_000_000_000);
        let end = |gate: &Gate| gate.0.load(Ordering::SeqCst) / 1_000_000_000;
        let gate = Gate::until(at(10));
        assert!(gate.extend(at(14), at(9)));
        // An answer that comes late tells of an earlier end.
        assert!(gate.extend(at(12), at(9)));
        assert_eq!(end(&gate), 14);
        assert!(!gate.extend(at(24), at(14)));
        assert_eq!(end(&gate), 14);
        gate.shut();
        assert!(!gate.extend(at(24), at(0)));
        assert!(!gate.is_open());
    }
}
