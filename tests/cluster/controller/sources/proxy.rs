//! A proxy before a real node_exporter, which moves the node's clock in the live page, or has bad manners.
//!
//! Go reads the clock without libc, so libfaketime cannot do that.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{PORT, behind};
use crate::support::{NodeExporter, http};

/// How the node's clock and its exporter behave.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Manner {
    /// The clock has been set ahead by so many seconds; with the boot time, which is wall clock minus uptime.
    Ahead(i64),
    /// The kernel says it is synchronised, and that a correction of 2^32 ns is pending.
    Spurious,
    /// The page comes with `Age: 7`.
    Cached,
    /// The same page for ever.
    Frozen,
    /// `node_time_seconds` carries a timestamp.
    Timestamped,
    /// Takes the question and never answers.
    Silent,
    /// Not a page of figures.
    Garbage,
    /// 200 MB without a line feed.
    Huge,
    /// One byte a second.
    Slow,
    /// Wants credentials.
    Locked,
}

/// A node whose clock a test can set.
pub(super) struct Proxy {
    manner: Arc<watch::Sender<Manner>>,
    server: JoinHandle<()>,
    _behind: NodeExporter,
}

impl Proxy {
    /// At a node's address, before a real exporter elsewhere.
    pub(super) async fn start(number: u8, address: Ipv4Addr, manner: Manner) -> Result<Proxy> {
        let real = NodeExporter::start(behind(number), PORT, &[]).await?;
        let listener = tokio::net::TcpListener::bind(SocketAddrV4::new(address, PORT))
            .await
            .with_context(|| format!("a proxy cannot listen on {address}:{PORT}"))?;
        let manner = Arc::new(watch::Sender::new(manner));
        let state = (Arc::clone(&manner), format!("http://{}", real.listen()), Arc::default());
        let router = Router::new().fallback(answer).with_state(state);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("a proxy of the test ended: {error}");
            }
        });
        Ok(Proxy { manner, server, _behind: real })
    }

    pub(super) fn become_(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = (Arc<watch::Sender<Manner>>, String, Arc<tokio::sync::Mutex<Option<String>>>);

async fn answer(State((manner, real, frozen)): State<Shared>, uri: Uri) -> Response {
    let now = manner.borrow().clone();
    match now {
        Manner::Silent => std::future::pending().await,
        Manner::Garbage => return "<html><body>It works!</body></html>".into_response(),
        Manner::Huge => return endless(b"x".repeat(100_000), Duration::ZERO),
        Manner::Slow => return endless(b" ".to_vec(), Duration::from_secs(1)),
        Manner::Locked => return StatusCode::UNAUTHORIZED.into_response(),
        _ => {}
    }
    let page = match http::get(&format!("{real}{uri}")).await {
        Ok(answer) if answer.status == 200 => answer.body,
        Ok(answer) => return (answer.status, answer.body).into_response(),
        Err(error) => return (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    };
    match now {
        Manner::Cached => ([(header::AGE, "7")], page).into_response(),
        Manner::Frozen => frozen.lock().await.get_or_insert(page).clone().into_response(),
        _ => changed(&page, &now).into_response(),
    }
}

fn endless(piece: Vec<u8>, pause: Duration) -> Response {
    let pieces = futures::stream::repeat(piece).take(2_000).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::convert::Infallible>(piece)
    });
    Body::from_stream(pieces).into_response()
}

fn changed(page: &str, manner: &Manner) -> String {
    let mut out = String::with_capacity(page.len());
    for line in page.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let moved =
            |by: i64| value.parse::<f64>().map_or_else(|_| line.to_owned(), |v| format!("{name} {}", v + by as f64));
        let line = match (name, manner) {
            ("node_time_seconds" | "node_boot_time_seconds" | "process_start_time_seconds", Manner::Ahead(by)) => {
                moved(*by)
            }
            ("node_time_seconds", Manner::Timestamped) => format!("{line} 1795000000000"),
            ("node_timex_sync_status", Manner::Spurious) => format!("{name} 1"),
            ("node_timex_maxerror_seconds", Manner::Spurious) => format!("{name} 0.032"),
            ("node_timex_offset_seconds", Manner::Spurious) => format!("{name} 4.294967296"),
            _ => line.to_owned(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}
