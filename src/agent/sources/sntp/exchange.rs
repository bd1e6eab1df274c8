//! One question to an NTP server and its answer.
//!
//! A name is looked up once an hour, and again after every failure, since servers move; a resolver is asked no more often
//! for that than the server for the time. Of the addresses a few are tried in turn. Datagrams that do not carry our
//! cookie are passed over, so that a forger who floods the port can only make us wait.

use super::{DecodeError, Reply, Server, decode, random, request};
use crate::agent::clocks;
use crate::clock::{Mono, Sample};
use crate::runtime::{mono_now, wall_now};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);
/// Addresses tried for one question.
const ADDRESSES_MAX: usize = 2;
/// Addresses of one name that are kept.
const NAMES_MAX: usize = 16;
const STRAY_MAX: usize = 16;

/// A good answer, and when.
pub(super) struct Answer {
    pub(super) from: SocketAddr,
    pub(super) reply: Reply,
    pub(super) sent: Mono,
    pub(super) clocks: Sample,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the name {host:?} could not be looked up")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("the name has no address")]
    NoAddress,
    #[error("every address of the server has refused to serve this client")]
    AllDenied,
    #[error("no answer from {from} within {ANSWER_TIMEOUT:?}; is UDP open to it, and does it serve this network?")]
    Silent { from: SocketAddr },
    #[error("nothing listens at {from} (UDP port unreachable)")]
    Refused { from: SocketAddr },
    #[error("{from}")]
    Decode {
        from: SocketAddr,
        #[source]
        source: DecodeError,
    },
    #[error("no random cookie")]
    Random(#[source] io::Error),
    #[error("{from} could not be asked")]
    Io {
        from: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// A name that was looked up counts for so long while its server answers.
const NAMES_KEPT: Duration = Duration::from_secs(3600);

/// The addresses of a server, and when they were looked up.
#[derive(Debug, Default)]
pub(super) struct Names(Option<(Vec<SocketAddr>, Mono)>);

impl Names {
    async fn of(&mut self, server: &Server) -> Result<Vec<SocketAddr>, AskError> {
        if let Some((addresses, looked_up)) = &self.0
            && mono_now().since(*looked_up) < NAMES_KEPT
        {
            return Ok(addresses.clone());
        }
        let host = (server.host.as_str(), server.port);
        let resolve = |source| AskError::Resolve { host: server.host.clone(), source };
        let found = timeout(RESOLVE_TIMEOUT, lookup_host(host))
            .await
            .map_err(|_| resolve(io::Error::from(io::ErrorKind::TimedOut)))?
            .map_err(resolve)?;
        let addresses: Vec<SocketAddr> = found.take(NAMES_MAX).collect();
        self.0 = Some((addresses.clone(), mono_now()));
        Ok(addresses)
    }
}

/// Asks the first address of `server` that answers, leaving out those in `denied`.
pub(super) async fn ask(server: &Server, names: &mut Names, denied: &[IpAddr]) -> Result<Answer, AskError> {
    let answer = ask_any(&names.of(server).await?, denied).await;
    if answer.is_err() {
        names.0 = None;
    }
    answer
}

async fn ask_any(addresses: &[SocketAddr], denied: &[IpAddr]) -> Result<Answer, AskError> {
    let mut failure = if addresses.is_empty() { AskError::NoAddress } else { AskError::AllDenied };
    for from in addresses.iter().copied().filter(|a| !denied.contains(&a.ip())).take(ADDRESSES_MAX) {
        match ask_address(from).await {
            Ok(answer) => return Ok(answer),
            // A server that sends us away was heard: its kin at the next address are not bothered.
            Err(kiss @ AskError::Decode { source: DecodeError::Rate | DecodeError::Denied { .. }, .. }) => {
                return Err(kiss);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn ask_address(from: SocketAddr) -> Result<Answer, AskError> {
    let cookie = random().map_err(AskError::Random)?;
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::ConnectionRefused => AskError::Refused { from },
        _ => AskError::Io { from, source },
    };
    let any: IpAddr = if from.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await.map_err(io)?;
    socket.connect(from).await.map_err(io)?;
    let question = request(cookie);
    let sent = mono_now();
    socket.send(&question).await.map_err(io)?;
    let mut stray = None;
    let heard = timeout(ANSWER_TIMEOUT, async {
        let mut buffer = [0; 512];
        for _ in 0..STRAY_MAX {
            let length = socket.recv(&mut buffer).await.map_err(io)?;
            let clocks = clocks::sample();
            match decode(buffer.get(..length).unwrap_or(&buffer), cookie, wall_now()) {
                Ok(reply) => return Ok(Answer { from, reply, sent, clocks }),
                // Only who knows the cookie has been asked.
                Err(source @ (DecodeError::Short { .. } | DecodeError::Foreign { .. } | DecodeError::Cookie)) => {
                    stray = Some(source);
                }
                Err(source) => return Err(AskError::Decode { from, source }),
            }
        }
        Err(AskError::Silent { from })
    })
    .await;
    match (heard, stray) {
        (Ok(Ok(answer)), _) => Ok(answer),
        // What did come says more than that nothing useful did.
        (Ok(Err(AskError::Silent { .. })) | Err(_), Some(source)) => Err(AskError::Decode { from, source }),
        (Ok(Err(error)), _) => Err(error),
        (Err(_), None) => Err(AskError::Silent { from }),
    }
}
