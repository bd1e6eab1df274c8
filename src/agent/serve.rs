//! Serves the router over plain HTTP/1.1, on a port that anybody in the cluster's network may reach.
//!
//! Nobody can pin the agent: a connection that sends no whole header in time is closed (so is one that stays idle),
//! headers are bounded, connections are bounded in number, for each address and altogether, and in age, which also
//! ends one whose peer never reads. Bodies are not read at all.

use crate::runtime::CancellationToken;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

/// What one peer may cost us.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the whole header of a request has come, from the connection's beginning or the last answer's end.
    pub header: Duration,
    /// Age at which a connection is wound up; the peer connects again.
    pub age: Duration,
    /// How long winding up may take: no less than the longest wait for news.
    pub grace: Duration,
    /// Connections altogether; one more is closed at once.
    pub connections: usize,
    /// Connections from one address.
    pub connections_each: usize,
    /// Bytes of one request's header.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header: Duration::from_secs(30),
            age: Duration::from_secs(600),
            grace: super::http::WAIT_MAX.saturating_add(Duration::from_secs(5)),
            connections: 512,
            connections_each: 64,
            header_bytes: 16 * 1024,
        }
    }
}

/// How long answers in progress may take after being told to stop; readers that wait are answered at once then.
const STOPPING: Duration = Duration::from_secs(2);

/// Serves until told to stop.
///
/// # Errors
/// None that last: a connection that cannot be accepted is logged and left.
pub async fn run(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) -> anyhow::Result<()> {
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut peers: HashMap<Id, IpAddr> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(panic) => {
                        tracing::error!(%panic, "answering a connection failed");
                        panic.id()
                    }
                };
                peers.remove(&id);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let ip = peer.ip().to_canonical();
                    let held = peers.values().filter(|other| **other == ip).count();
                    if peers.len() >= limits.connections || held >= limits.connections_each {
                        tracing::debug!(%peer, "too many connections; one more was closed");
                        continue;
                    }
                    let task = connections.spawn(answer(stream, peer, router.clone(), limits, stop.clone()));
                    peers.insert(task.id(), ip);
                }
                Err(error) => {
                    // Out of file descriptors, or the peer is gone already. The pause keeps us from spinning.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    let last = timeout(STOPPING, async { while connections.join_next().await.is_some() {} }).await;
    if last.is_err() {
        connections.abort_all();
    }
    Ok(())
}

async fn answer(stream: TcpStream, peer: SocketAddr, router: Router, limits: Limits, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "answers may be delayed");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(limits.header_bytes)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stop.cancelled() => None,
        () = sleep(limits.age) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match timeout(limits.grace, connection).await {
                Ok(ended) => ended,
                // Dropping the connection closes it.
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = crate::telemetry::chain(&error), "connection ended");
    }
}

#[cfg(test)]
mod tests;
