//! The outside witness: what this machine sees of the guest's clock, by asking its agent.
//!
//! It is what a controller sees, through the same measurement ([`Exchange`]), so a clock that stands still with the
//! whole guest cannot hide from it.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::agent::report::Report;
use clockwarden::clock::{Exchange, OffsetInterval, Wall};
use clockwarden::runtime::{mono_now, wall_now};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The narrowest of so many exchanges is taken.
const EXCHANGES: usize = 5;

/// The guest's clock against this machine's, positive ahead, and the last report that was had on the way.
pub(crate) async fn look(agent: SocketAddrV4) -> Result<(OffsetInterval, Report)> {
    exchanges(agent, EXCHANGES).await
}

/// The report alone.
pub(crate) async fn report(agent: SocketAddrV4) -> Result<Report> {
    Ok(exchanges(agent, 1).await?.1)
}

async fn exchanges(agent: SocketAddrV4, count: usize) -> Result<(OffsetInterval, Report)> {
    // One connection for all: to make one takes an emulated machine longer than to answer.
    let stream = TcpStream::connect(agent).await.context("the agent has no port")?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut best, mut last) = exchange(agent, &mut sender).await?;
    for _ in 1..count {
        let (offset, report) = exchange(agent, &mut sender).await?;
        if offset.bound() < best.bound() {
            best = offset;
        }
        last = report;
    }
    Ok((best, last))
}

async fn exchange(agent: SocketAddrV4, sender: &mut SendRequest<Empty<Bytes>>) -> Result<(OffsetInterval, Report)> {
    let request = Request::get("/v1/clock").header("Host", agent.to_string()).body(Empty::new())?;
    sender.ready().await.context("the agent has closed the connection")?;
    let sent = mono_now();
    let answer = sender.send_request(request).await.context("GET /v1/clock")?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("the body of /v1/clock")?.to_bytes();
    let (received_wall, received) = (wall_now(), mono_now());
    let text = String::from_utf8_lossy(&body);
    ensure!(status == 200, "{status}: {text}");
    let report: Report = serde_json::from_str(&text).with_context(|| format!("the agent answers {text}"))?;
    let left = Wall::from_unix_nanos(report.sent_unix_nanos);
    let held = Duration::from_nanos(report.held_nanos);
    Ok((Exchange { sent, received, received_wall, left, held }.offset()?, report))
}
