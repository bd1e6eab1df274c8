//! One process that answers as thousands of agents do, each at its node's own loopback address.
//!
//! One listener for all: every 127.x.y.z is this machine, and which agent was asked is told by the address at which
//! its connection was accepted. The answers are our own [`Report`], of the size that a node with a kernel, a chronyd and
//! two servers sends; the clocks are this machine's, each moved by what the measurement wants.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clockwarden::agent::report::{JumpReport, Report, SourceDetail, SourceReport};
use clockwarden::runtime::{mono_now, rfc3339, wall_now};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::wait;

/// The first agent's address; the others follow it, one by one.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 16, 0, 1);
/// The newest movements that a report tells of.
const JUMPS: usize = 4;
/// Connections that wait to be accepted: a controller that starts asks all nodes.
const BACKLOG: u32 = 4096;
/// What an agent holds a question for at most, as ours does.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Where the node with this number is asked.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    let offset = u32::try_from(number).unwrap_or(u32::MAX);
    Ipv4Addr::from_bits(FIRST.to_bits().saturating_add(offset))
}

/// The agents of all nodes.
pub(crate) struct Agents {
    all: Arc<Vec<Agent>>,
    pub(crate) port: u16,
    server: JoinHandle<()>,
}

struct Agent {
    /// How far its clock is ahead, nanoseconds.
    ahead: AtomicI64,
    jumps: Mutex<Vec<JumpReport>>,
    sequence: watch::Sender<u64>,
    /// When the newest news was answered first: nanoseconds since `start`, 0 as long as they were not.
    answered: AtomicU64,
    start: Instant,
    template: Report,
}

impl Agents {
    /// Begins to listen for `count` of them.
    pub(crate) fn start(count: usize) -> Result<Agents> {
        let start = wait::mono_now();
        let all: Arc<Vec<Agent>> = Arc::new((0..count).map(|number| Agent::new(number, start)).collect());
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        let listener = socket.listen(BACKLOG).context("the agents cannot listen")?;
        let port = listener.local_addr()?.port();
        let agents = Arc::clone(&all);
        let server = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) if peer.ip().is_loopback() => drop(tokio::spawn(serve(stream, agents.clone()))),
                    // The listener is at every address of this machine, and for this machine alone.
                    Ok(_) => {}
                    Err(error) => eprintln!("scale: an agent could not accept a connection: {error}"),
                }
            }
        });
        Ok(Agents { all, port, server })
    }

    /// Sets the clock of one agent, which answers whoever waits. Returns when it was set.
    pub(crate) fn set(&self, number: usize, ahead: Duration) -> Result<Instant> {
        let agent = self.all.get(number).with_context(|| format!("there is no agent {number}"))?;
        Ok(agent.set(ahead))
    }

    /// When the newest news of an agent were answered, if they were.
    pub(crate) fn answered(&self, number: usize) -> Option<Instant> {
        let agent = self.all.get(number)?;
        let nanos = agent.answered.load(Ordering::Acquire);
        (nanos > 0).then(|| agent.start + Duration::from_nanos(nanos))
    }

    /// The bytes of a report.
    pub(crate) fn report_bytes(&self) -> Result<usize> {
        let agent = self.all.first().context("there is no agent")?;
        Ok(agent.body(0, 0).len())
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers on one connection until it ends.
async fn serve(stream: TcpStream, agents: Arc<Vec<Agent>>) {
    let Ok(local) = stream.local_addr() else { return };
    let IpAddr::V4(ip) = local.ip() else { return };
    let number = usize::try_from(ip.to_bits().wrapping_sub(FIRST.to_bits())).unwrap_or(usize::MAX);
    // Without an answer a question that is held would wait for the acknowledgement of the last one.
    if number >= agents.len() || stream.set_nodelay(true).is_err() {
        return;
    }
    let answer = service_fn(|request| {
        let agents = Arc::clone(&agents);
        async move {
            let body = match agents.get(number) {
                Some(agent) => agent.answer(&request).await,
                None => Vec::new(),
            };
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(body))))
        }
    });
    // Ends with the client; a measurement sees what is missing by itself.
    let _ = http1::Builder::new().max_buf_size(8192).serve_connection(TokioIo::new(stream), answer).await;
}

impl Agent {
    fn new(number: usize, start: Instant) -> Agent {
        Agent {
            ahead: AtomicI64::new(0),
            jumps: Mutex::default(),
            sequence: watch::Sender::new(1),
            answered: AtomicU64::new(0),
            start,
            template: template(number),
        }
    }

    fn set(&self, ahead: Duration) -> Instant {
        let ahead = i64::try_from(ahead.as_nanos()).unwrap_or(i64::MAX);
        let before = self.ahead.swap(ahead, Ordering::AcqRel);
        let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
        let number = jumps.last().map_or(1, |last| last.number + 1);
        jumps.push(step(number, before, ahead));
        let surplus = jumps.len().saturating_sub(JUMPS);
        jumps.drain(..surplus);
        drop(jumps);
        self.answered.store(0, Ordering::Release);
        let now = wait::mono_now();
        self.sequence.send_modify(|sequence| *sequence += 1);
        now
    }

    /// `GET /v1/clock?after=SEQUENCE&instance=…&wait=10000ms`, held as an agent of ours holds it.
    async fn answer(&self, request: &Request<Incoming>) -> Vec<u8> {
        let (received, arrived) = (wall_now().unix_nanos(), mono_now());
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let after = parameter("after").and_then(|text| text.parse::<u64>().ok());
        let wait = parameter("wait").and_then(|text| clockwarden::duration::parse(text).ok());
        if let (Some(after), Some(wait)) = (after, wait) {
            let mut sequence = self.sequence.subscribe();
            // Whether there were news or the time is over, the answer is what holds now.
            let _ = tokio::time::timeout(wait.min(WAIT_MAX), sequence.wait_for(|reached| *reached != after)).await;
        }
        let held = u64::try_from(mono_now().since(arrived).as_nanos()).unwrap_or(u64::MAX);
        let body = self.body(received, held);
        let nanos = u64::try_from(wait::mono_now().duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        // Only the first answer with the news counts.
        let _ = self.answered.compare_exchange(0, nanos, Ordering::AcqRel, Ordering::Acquire);
        body
    }

    fn body(&self, received: i64, held_nanos: u64) -> Vec<u8> {
        let ahead = self.ahead.load(Ordering::Acquire);
        let offset_s = ahead as f64 / 1e9;
        let mut report = self.template.clone();
        report.sequence = *self.sequence.borrow();
        report.jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        report.offset_seconds = Some(offset_s);
        for source in &mut report.sources {
            source.offset_seconds = source.offset_seconds.map(|_| offset_s);
        }
        if ahead != 0 {
            report.state = "Drifting".to_owned();
            report.reason = Some(format!("offset {offset_s} s ± 0.0005 s is beyond 500 ms"));
        }
        report.held_nanos = held_nanos;
        report.received_unix_nanos = received + ahead;
        report.sent_unix_nanos = wall_now().unix_nanos() + ahead;
        serde_json::to_vec(&report).unwrap_or_default()
    }
}

/// A step as the agent's timer notices it.
fn step(number: u64, before: i64, after: i64) -> JumpReport {
    let shown = |ahead: i64| rfc3339(wall_now().plus(clockwarden::clock::Delta::from_nanos(ahead)));
    JumpReport {
        number,
        cause: "step".to_owned(),
        ongoing: false,
        amount_seconds: (after - before) as f64 / 1e9,
        error_bound_seconds: 0.000_012,
        age_seconds: Some(0.000_3),
        wall_began: Some(shown(before)),
        wall_before: shown(before),
        wall_after: shown(after),
        monotonic_began_seconds: Some(81_233.120_441),
        monotonic_noticed_seconds: Some(81_233.620_902),
        evidence: "timerfd".to_owned(),
        detail: None,
    }
}

/// What a node with a kernel, a chronyd and two servers has to say.
fn template(number: usize) -> Report {
    let source = |name: &str, reference: Option<&str>, stratum: u32| SourceReport {
        name: name.to_owned(),
        offset_seconds: Some(0.0),
        error_bound_seconds: Some(0.000_512),
        age_seconds: Some(3.2),
        reference: reference.map(str::to_owned),
        error: None,
        detail: Some(SourceDetail {
            stratum: Some(stratum),
            leap: Some("none".to_owned()),
            root_delay_seconds: Some(0.000_412),
            root_dispersion_seconds: Some(0.000_301),
            poll_seconds: Some(16.0),
            configured: Some(2),
            reachable: Some(2),
            selectable: Some(2),
            roots: vec!["169.254.169.123".to_owned()],
            ..SourceDetail::default()
        }),
    };
    let kernel = SourceReport { offset_seconds: None, detail: None, ..source("kernel", None, 0) };
    Report {
        node: crate::cluster::name(number),
        state: "Synchronized".to_owned(),
        reason: None,
        offset_seconds: Some(0.0),
        error_bound_seconds: Some(0.000_5),
        undisciplined_seconds: 0.0,
        roots: vec!["169.254.169.123".to_owned()],
        sources: vec![
            kernel,
            source("chrony", Some("169.254.169.123"), 4),
            source("ntp://169.254.169.123:123", Some("GPS"), 3),
            source("ntp://10.0.0.2:123", Some("10.0.0.1"), 3),
        ],
        instance: format!("{number:08x}5f3a91c2"),
        sequence: 1,
        jumps: Vec::new(),
        slew: None,
        received_unix_nanos: 0,
        sent_unix_nanos: 0,
        held_nanos: 0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
