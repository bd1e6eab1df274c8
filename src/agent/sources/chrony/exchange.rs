//! A conversation with chronyd, over UDP or its Unix socket: tracking, and every few times its sources.
//!
//! A Unix client must bind a path for chronyd to answer to. It is put beside chronyd's own socket, because that is the
//! one directory which both see under the same name when chronyd and the agent live in different mount namespaces; it
//! is made writable for chronyd, which has dropped its rights, and removed whatever happens.

use super::{
    At, DecodeError, Reply, Summary, decode, decode_count, decode_source, request, request_count, request_source,
    summary,
};
use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UdpSocket, UnixDatagram};

/// chronyd answers in well under a millisecond, or never.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
/// Answers to other questions that are passed over before we give up: a forger must not keep us busy.
const STRAY_MAX: usize = 16;
/// Of a chronyd with more sources than this (four are usual), only so many are looked at.
const SOURCES_MAX: u32 = 16;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no chronyd at {at}: nothing listens there (not running, or its cmdport is 0)")]
    Nobody {
        at: At,
        #[source]
        source: io::Error,
    },
    #[error("chronyd at {at} did not answer within {TIMEOUT:?}")]
    Silent { at: At },
    #[error("chronyd's socket {} may not be used: run as root or as chronyd's user, or ask over UDP", path.display())]
    Forbidden {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("chronyd at {at} could not be asked")]
    Io {
        at: At,
        #[source]
        source: io::Error,
    },
    #[error("chronyd at {at}")]
    Decode {
        at: At,
        #[source]
        source: DecodeError,
    },
}

/// What chronyd said.
pub(super) struct Answer {
    pub(super) tracking: Reply,
    /// `None` if they were not asked for, or not told.
    pub(super) sources: Option<Summary>,
}

/// Asks for tracking; and for the sources if they are wanted, or if they must be the reason why tracking is no evidence.
/// The questions are numbered from `sequence`.
pub(super) async fn ask(at: &At, sequence: u32, want_sources: bool) -> Result<Answer, AskError> {
    let track = async {
        let socket = Socket::open(at, sequence).await?;
        let tracking = converse(&socket, &request(sequence), |bytes| decode(bytes, sequence)).await?;
        Ok((socket, tracking))
    };
    let failure = match tokio::time::timeout(TIMEOUT, track).await {
        Ok(Ok((socket, tracking))) => {
            let want = want_sources || tracking.interval(Duration::ZERO).is_err();
            // Tracking stands by itself: a chronyd that does not tell its sources is as good a witness.
            let sources = match want {
                true => tokio::time::timeout(TIMEOUT, sources(&socket, sequence)).await.ok().and_then(Result::ok),
                false => None,
            };
            return Ok(Answer { tracking, sources });
        }
        Ok(Err(failure)) => failure,
        Err(_) => return Err(AskError::Silent { at: at.clone() }),
    };
    let at = at.clone();
    Err(match failure {
        Failure::Decode(source) => AskError::Decode { at, source },
        Failure::Io(source) => match (source.kind(), at) {
            (io::ErrorKind::PermissionDenied, At::Unix(path)) => AskError::Forbidden { path, source },
            (io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, at) => AskError::Nobody { at, source },
            (_, at) => AskError::Io { at, source },
        },
    })
}

enum Failure {
    Io(io::Error),
    Decode(DecodeError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// Either way to chronyd, connected: the kernel passes on nothing from anybody else.
enum Socket {
    Udp(UdpSocket),
    Unix(Own),
}

impl Socket {
    async fn open(at: &At, sequence: u32) -> io::Result<Socket> {
        match at {
            At::Udp(address) => {
                let any: IpAddr =
                    if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind((any, 0)).await?;
                socket.connect(address).await?;
                Ok(Socket::Udp(socket))
            }
            At::Unix(path) => {
                let own = Own::bind(path, sequence)?;
                own.socket.connect(path)?;
                Ok(Socket::Unix(own))
            }
            At::Off => Err(io::Error::from(io::ErrorKind::NotConnected)),
        }
    }

    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Udp(socket) => socket.send(bytes).await,
            Socket::Unix(own) => own.socket.send(bytes).await,
        }
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Udp(socket) => socket.recv(buffer).await,
            Socket::Unix(own) => own.socket.recv(buffer).await,
        }
    }
}

/// Asks how many sources there are, and for each of them; beyond a bound they are only counted.
async fn sources(socket: &Socket, sequence: u32) -> Result<Summary, Failure> {
    let count_sequence = sequence.wrapping_add(1);
    let configured =
        converse(socket, &request_count(count_sequence), |bytes| decode_count(bytes, count_sequence)).await?;
    let mut upstreams = Vec::new();
    for index in 0..configured.min(SOURCES_MAX) {
        let sequence = count_sequence.wrapping_add(1).wrapping_add(index);
        let request = request_source(sequence, index);
        upstreams.push(converse(socket, &request, |bytes| decode_source(bytes, sequence)).await?);
    }
    Ok(summary(configured, &upstreams))
}

/// Sends the question and takes datagrams until one is the answer; those to other questions are passed over.
async fn converse<T>(
    socket: &Socket,
    question: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, Failure> {
    socket.send(question).await?;
    let mut buffer = [0; 512];
    let mut last = None;
    for _ in 0..STRAY_MAX {
        let length = socket.receive(&mut buffer).await?;
        match decode(buffer.get(..length).unwrap_or(&buffer)) {
            Ok(reply) => return Ok(reply),
            Err(stray @ DecodeError::Sequence { .. }) => last = Some(stray),
            Err(error) => return Err(Failure::Decode(error)),
        }
    }
    Err(last.map_or_else(|| Failure::Io(io::Error::from(io::ErrorKind::TimedOut)), Failure::Decode))
}

/// A socket with a name in the file system, which goes with it.
struct Own {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Own {
    fn bind(beside: &Path, sequence: u32) -> io::Result<Own> {
        // The sequence number is random: two agents that share the directory do not meet.
        let name = format!("clockwarden.{}.{sequence:08x}.sock", std::process::id());
        let path = beside.with_file_name(name);
        let own = Own { socket: UnixDatagram::bind(&path)?, path };
        std::fs::set_permissions(&own.path, Permissions::from_mode(0o666))?;
        Ok(own)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "our end of chronyd's socket could not be removed");
        }
    }
}
