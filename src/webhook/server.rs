//! TLS connections in, HTTP requests out to a router, and a clean end.
//!
//! An accept loop of our own, because what keeps a webhook alive under stress is in it: a bound on connections of which
//! the idlest makes room, a time limit on handshakes and on silence, no delayed packets, no task that is not owned.
//! HTTP/1.1 or HTTP/2 as the handshake agreed.
//!
//! Does not know: what is served.

use super::seats::{Seat, Seats};
use super::tls::Certificate;
use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Open connections; one more closes the idlest. An API server keeps a handful.
const CONNECTIONS: usize = 1024;
/// From the connection to the end of the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of one HTTP/1.1 request to the whole head of the next. Longer than the 90 s after which Go's client
/// drops an idle connection (`http.DefaultTransport`): were we first, a review could be on its way into a
/// connection that is just being closed, and Go does not repeat a POST.
const SILENCE: Duration = Duration::from_secs(120);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// How long requests may take to finish after the process was told to stop; less than `runtime::Tasks` allows.
const DRAIN: Duration = Duration::from_secs(8);
/// After a failed accept (out of file descriptors, mostly): time for something to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop; then finishes the requests that are under way.
///
/// # Errors
/// If TLS cannot be set up.
pub async fn serve(
    listener: TcpListener,
    certificate: Arc<Certificate>,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()?));
    let http = Http::new();
    let seats = Seats::new(CONNECTIONS);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => { note_end(ended); continue }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Some(seat) = seats.take() else {
            tracing::debug!(most = CONNECTIONS, "a connection is closed: all others are at work");
            continue;
        };
        let (http, acceptor, router, watcher) = (http.clone(), acceptor.clone(), router.clone(), graceful.watcher());
        connections.spawn(async move {
            tokio::select! {
                () = seat.asked_to_leave() => tracing::debug!("a connection is closed to make room for another one"),
                () = http.connection(stream, acceptor, router, watcher, &seat) => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(after = ?DRAIN, "requests that did not finish are cut off");
    }
    connections.shutdown().await;
    Ok(())
}

/// As many open files as the system lets us have. Connections are files, and the soft limit that a shell or an old
/// container runtime hands down (1024, for the sake of `select(2)`) is less than what we take.
///
/// Source: setrlimit(2); Go's runtime does the same in every Go program.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    // A panic is a bug of ours; it has cost one connection, and must not be quiet.
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

#[derive(Clone)]
struct Http {
    one: hyper::server::conn::http1::Builder,
    two: hyper::server::conn::http2::Builder<TokioExecutor>,
}

impl Http {
    fn new() -> Http {
        let mut one = hyper::server::conn::http1::Builder::new();
        one.timer(TokioTimer::new()).header_read_timeout(SILENCE);
        let mut two = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        two.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(SILENCE)
            .keep_alive_timeout(HANDSHAKE);
        Http { one, two }
    }

    async fn connection(
        &self,
        stream: TcpStream,
        acceptor: TlsAcceptor,
        router: Router,
        watcher: hyper_util::server::graceful::Watcher,
        seat: &Arc<Seat>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            // Probes and scanners do this all day.
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(limit = ?HANDSHAKE, "TLS handshake took too long"),
        };
        let agreed_on_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (io, router) = (TokioIo::new(stream), TowerToHyperService::new(router));
        let seat = Arc::clone(seat);
        let service = service_fn(move |request| {
            let (working, answer) = (seat.work(), router.call(request));
            async move {
                let answer = answer.await;
                drop(working);
                answer
            }
        });
        let served = if agreed_on_h2 {
            watcher.watch(self.two.serve_connection(io, service)).await
        } else {
            watcher.watch(self.one.serve_connection(io, service)).await
        };
        if let Err(error) = served {
            tracing::debug!(%error, "connection ended early");
        }
    }
}
