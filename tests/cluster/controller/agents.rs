//! Many agents in one process: for numbers, and for manners that our own agent does not have.
//!
//! Each listens at its node's address and answers as `/v1/clock` does, with a clock that the test sets.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clockwarden::runtime::{mono_now, wall_now};
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How an agent behaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Manner {
    /// Answers; the clock is this many nanoseconds ahead, and its own sources, if it has any, say so too.
    Ahead { nanos: i64, has_sources: bool },
    /// Answers as a right one does, but for these fields.
    Says(serde_json::Value),
    /// Breaks the connection instead of answering.
    Broken,
    /// Takes the question and never answers.
    Silent,
    /// Answers something that is no report.
    Garbage,
    /// Answers 10 MB.
    Huge,
    /// Answers one byte a second.
    Slow,
}

impl Manner {
    pub(super) fn right() -> Manner {
        Manner::ahead_ms(0)
    }

    pub(super) fn ahead_ms(ms: i64) -> Manner {
        Manner::Ahead { nanos: ms * 1_000_000, has_sources: true }
    }
}

/// One of the agents.
pub(super) struct OneAgent {
    manner: Arc<watch::Sender<(u64, Manner)>>,
    server: JoinHandle<()>,
}

impl OneAgent {
    pub(super) async fn start(address: Ipv4Addr, port: u16, manner: Manner) -> Result<OneAgent> {
        let listener = tokio::net::TcpListener::bind(SocketAddrV4::new(address, port))
            .await
            .with_context(|| format!("an agent cannot listen on {address}:{port}"))?;
        let manner = Arc::new(watch::Sender::new((1, manner)));
        let router = Router::new().route("/v1/clock", get(answer)).with_state(Arc::clone(&manner));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("an agent of the test ended: {error}");
            }
        });
        Ok(OneAgent { manner, server })
    }

    /// How it behaves now.
    pub(super) fn manner(&self) -> Manner {
        self.manner.borrow().1.clone()
    }

    /// From now on it behaves like this; whoever waits for an answer gets it at once.
    pub(super) fn become_(&self, manner: Manner) {
        self.manner.send_modify(|(sequence, now)| {
            *sequence += 1;
            *now = manner;
        });
    }
}

impl OneAgent {
    /// Ends it at once: every question that it holds is broken off, and its port is free afterwards.
    pub(super) async fn kill(&mut self) {
        self.become_(Manner::Broken);
        self.server.abort();
        // The listener goes with its task; to be told that it was aborted is no news.
        let _ = (&mut self.server).await;
    }
}

impl Drop for OneAgent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Deserialize)]
struct Question {
    after: Option<u64>,
    wait: Option<String>,
}

async fn answer(State(manner): State<Arc<watch::Sender<(u64, Manner)>>>, question: Query<Question>) -> Response {
    let arrived = mono_now();
    let received = wall_now();
    let mut manner = manner.subscribe();
    if let (Some(after), Some(wait)) = (question.after, &question.wait) {
        let wait = clockwarden::duration::parse(wait).unwrap_or(Duration::ZERO);
        let _ = tokio::time::timeout(wait, manner.wait_for(|(sequence, _)| *sequence != after)).await;
    }
    let (sequence, now) = manner.borrow().clone();
    let (nanos, has_sources, says) = match now {
        Manner::Ahead { nanos, has_sources } => (nanos, has_sources, serde_json::Value::Null),
        Manner::Says(fields) => (0, true, fields),
        Manner::Broken => {
            let broken = futures::stream::once(async { Err::<&str, _>(std::io::Error::other("killed")) });
            return Body::from_stream(broken).into_response();
        }
        Manner::Silent => std::future::pending().await,
        Manner::Garbage => return "{\"node\": [this is no report".into_response(),
        Manner::Huge => return vec![b' '; 10_000_000].into_response(),
        Manner::Slow => {
            let drip = futures::stream::repeat(()).then(|()| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, std::convert::Infallible>(" ")
            });
            return Body::from_stream(drip).into_response();
        }
    };
    let offset = has_sources.then_some(nanos as f64 / 1e9);
    let bound = has_sources.then_some(0.001);
    let mut report = json!({
        "node": "one of many", "state": "Synchronized", "offsetSeconds": offset, "errorBoundSeconds": bound,
        "sources": [], "instance": "test", "sequence": sequence, "jumps": [],
        "receivedUnixNanos": received.unix_nanos() + nanos,
        "heldNanos": u64::try_from(mono_now().since(arrived).as_nanos()).unwrap_or(u64::MAX),
        "sentUnixNanos": wall_now().unix_nanos() + nanos,
    });
    if let (Some(report), serde_json::Value::Object(says)) = (report.as_object_mut(), says) {
        report.extend(says);
    }
    axum::Json(report).into_response()
}
