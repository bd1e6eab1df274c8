//! What chronyd knows: the "tracking" answer of its command protocol, version 6, over UDP or its Unix socket.
//!
//! The layout, from the published description of the protocol: all numbers are big-endian. A request is a header of 20
//! bytes (version, kind, two reserved, command, attempt, sequence, 8 reserved) and is padded to at least the length
//! of its reply, so that nobody can use chronyd to amplify; a reply has a header of 28 bytes (version, kind, two
//! reserved, command, kind of reply, status, 6 reserved, sequence, 8 reserved). Tracking needs no rights over UDP on
//! loopback. Over the Unix socket chronyd answers only a client that has bound a path of its own.
//!
//! How sure: chronyd calls the correction that it has yet to make "system time"; in the protocol it is positive when
//! the clock is slow (chronyc prints "slow of NTP time"), so that our offset is its negative. Around that, the truth
//! lies within root dispersion plus half the root delay (RFC 5905, section 11.1). chronyd makes the correction by
//! slewing, by at most a tenth of a second per second, while our reading is in use; so the bound also takes in the
//! correction, as far as it can be made in that time.
//!
//! Does not know: NTP, other sources. `exchange` does the talking.

mod exchange;

use super::{BoxFuture, Duration, Fields, Measured, Outcome, Settings, Source, random};
use crate::agent::clocks;
use crate::clock::{Delta, OffsetInterval};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

const VERSION: u8 = 6;
const KIND_REQUEST: u8 = 1;
const KIND_REPLY: u8 = 2;
const COMMAND_TRACKING: u16 = 33;
const REPLY_TRACKING: u16 = 5;
const REPLY_HEADER: usize = 28;
/// Header, and the fields of tracking as far as we read them: to the end of "last update interval".
const REPLY_LENGTH: usize = REPLY_HEADER + 76;
/// chronyd's command port (chrony.conf(5), `cmdport`).
pub const PORT: u16 = 323;
/// Where Debian, Fedora and others put its socket (chrony.conf(5), `bindcmdaddress`).
const SOCKET: &str = "/run/chrony/chronyd.sock";
/// `127.127.1.1`: chronyd in `local` mode follows its own clock.
const LOCAL_REFERENCE: u32 = 0x7F7F_0101;
const LEAP_UNSYNCHRONISED: u16 = 3;

/// Where chronyd is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// UDP; only loopback is answered unless `cmdallow` says otherwise.
    Udp(SocketAddr),
    /// Its Unix socket: needs root or chronyd's own user.
    Unix(PathBuf),
    /// Not at all.
    Off,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        if text == "off" {
            return Ok(At::Off);
        }
        if text.starts_with('/') {
            return Ok(At::Unix(PathBuf::from(text)));
        }
        text.parse()
            .or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT)))
            .map(At::Udp)
            .map_err(|_| format!("{text:?} is no address of chronyd; write 127.0.0.1:323, [::1]:323, {SOCKET} or off"))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Udp(address) => write!(f, "{address}"),
            At::Unix(path) => write!(f, "{}", path.display()),
            At::Off => f.write_str("off"),
        }
    }
}

/// A request for tracking with this sequence number.
#[must_use]
pub fn request(sequence: u32) -> [u8; REPLY_LENGTH] {
    let mut bytes = [0; REPLY_LENGTH];
    let [high, low] = COMMAND_TRACKING.to_be_bytes();
    let [a, b, c, d] = sequence.to_be_bytes();
    let header = [VERSION, KIND_REQUEST, 0, 0, high, low, 0, 0, a, b, c, d];
    for (place, value) in bytes.iter_mut().zip(header) {
        *place = value;
    }
    bytes
}

/// What chronyd says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reply {
    /// Reference identifier: four letters, or (a hash of) an address.
    pub reference_id: u32,
    /// Address of the server that it follows, if that is one.
    pub server: Option<IpAddr>,
    /// Distance from a clock that is right by itself; 0 without a reference.
    pub stratum: u16,
    /// 0 normal, 1 and 2 a leap second is coming, 3 not synchronised.
    pub leap: u16,
    /// The correction that the clock still needs, seconds; positive: it is slow.
    pub correction_s: f64,
    /// Round trip to the end of the chain, seconds.
    pub root_delay_s: f64,
    /// Error that has accumulated since that end, seconds.
    pub root_dispersion_s: f64,
}

/// Why bytes are no tracking reply to our request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not enough of them.
    #[error("an answer of {got} bytes is no tracking reply of chronyd ({REPLY_LENGTH} needed)")]
    Short {
        /// How many there are.
        got: usize,
    },
    /// Not chronyd, or one of another time.
    #[error("the answer is not of chronyd's command protocol version 6 (version {version}, kind {kind})")]
    Foreign {
        /// The version byte.
        version: u8,
        /// The kind byte.
        kind: u8,
    },
    /// An answer to somebody else, or a forged one.
    #[error("the answer is not to our question (sequence {got:#010x} for {sent:#010x})")]
    Sequence {
        /// Ours.
        sent: u32,
        /// Its.
        got: u32,
    },
    /// chronyd refused.
    #[error("chronyd refused the question with status {status}{}", status_hint(*.status))]
    Refused {
        /// The status field.
        status: u16,
    },
    /// Something else than tracking.
    #[error("chronyd answered something else (command {command}, reply {reply}) than tracking")]
    Other {
        /// The command that it answers.
        command: u16,
        /// The kind of reply.
        reply: u16,
    },
    /// A number that cannot be.
    #[error("chronyd says {field} is {value}, which cannot be")]
    Nonsense {
        /// Which.
        field: &'static str,
        /// Its value, as printed.
        value: String,
    },
}

fn status_hint(status: u16) -> &'static str {
    match status {
        2 => " (not authorised: ask over its Unix socket, or allow this address with cmdallow)",
        6 => " (not enabled)",
        18 => " (it speaks another protocol version)",
        19 => " (it expects another length: its protocol differs from ours)",
        _ => "",
    }
}

/// Why a good reply is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// It has not (or no longer) a source.
    #[error("chronyd runs but is not synchronised to anything; `chronyc sources` shows what it hears of its servers")]
    Unsynchronised,
    /// It follows its own clock.
    #[error(
        "chronyd follows its own clock (local reference, stratum {stratum}), which says nothing about whether that \
         is right; `chronyc sources` shows its servers"
    )]
    LocalReference {
        /// The stratum that it claims.
        stratum: u16,
    },
}

/// Reads an answer to the request with that sequence number.
///
/// # Errors
/// If the bytes are anything else than a tracking reply to it.
pub fn decode(bytes: &[u8], sequence: u32) -> Result<Reply, DecodeError> {
    let short = || DecodeError::Short { got: bytes.len() };
    let fields = Fields(bytes);
    let [version, kind] = fields.bytes(0).ok_or_else(short)?;
    if version != VERSION || kind != KIND_REPLY {
        return Err(DecodeError::Foreign { version, kind });
    }
    // A refusal has a header and no more.
    let (command, reply) = (fields.u16(4).ok_or_else(short)?, fields.u16(6).ok_or_else(short)?);
    let (status, got) = (fields.u16(8).ok_or_else(short)?, fields.u32(16).ok_or_else(short)?);
    if got != sequence {
        return Err(DecodeError::Sequence { sent: sequence, got });
    }
    if status != 0 {
        return Err(DecodeError::Refused { status });
    }
    if command != COMMAND_TRACKING || reply != REPLY_TRACKING {
        return Err(DecodeError::Other { command, reply });
    }
    if bytes.len() < REPLY_LENGTH {
        return Err(short());
    }
    let at = |offset: usize| REPLY_HEADER + offset;
    let float = |offset: usize| fields.u32(at(offset)).map(float_from_wire).ok_or_else(short);
    let server = match fields.u16(at(20)).ok_or_else(short)? {
        1 => Some(IpAddr::V4(Ipv4Addr::from(fields.bytes::<4>(at(4)).ok_or_else(short)?))),
        2 => Some(IpAddr::V6(Ipv6Addr::from(fields.bytes::<16>(at(4)).ok_or_else(short)?))),
        _ => None,
    };
    let reply = Reply {
        reference_id: fields.u32(at(0)).ok_or_else(short)?,
        server,
        stratum: fields.u16(at(24)).ok_or_else(short)?,
        leap: fields.u16(at(26)).ok_or_else(short)?,
        correction_s: float(40)?,
        root_delay_s: float(64)?,
        root_dispersion_s: float(68)?,
    };
    for (field, value) in [("root delay", reply.root_delay_s), ("root dispersion", reply.root_dispersion_s)] {
        if value < 0.0 {
            return Err(DecodeError::Nonsense { field, value: value.to_string() });
        }
    }
    Ok(reply)
}

/// chronyd's floating point number: a signed exponent in the upper 7 bits, a signed coefficient in the lower 25;
/// the value is coefficient times 2^(exponent - 25). Always finite.
fn float_from_wire(bits: u32) -> f64 {
    let signed = bits.cast_signed();
    let (exponent, coefficient) = (signed >> 25, (signed << 7) >> 7);
    f64::from(coefficient) * 2f64.powi(exponent - 25)
}

impl Reply {
    /// Offset of the system clock, for as long as the reading is `in_use`.
    ///
    /// # Errors
    /// If chronyd itself follows nothing.
    pub fn interval(&self, in_use: Duration) -> Result<OffsetInterval, NoEvidence> {
        if self.reference_id == LOCAL_REFERENCE {
            return Err(NoEvidence::LocalReference { stratum: self.stratum });
        }
        if self.leap >= LEAP_UNSYNCHRONISED || self.reference_id == 0 || self.stratum == 0 {
            return Err(NoEvidence::Unsynchronised);
        }
        // Slewing is bounded by the kernel's tick, which may be a tenth off (adjtimex(2)).
        let slewed_s = self.correction_s.abs().min(in_use.as_secs_f64() / 10.0);
        let bound_s = slewed_s + self.root_dispersion_s + self.root_delay_s / 2.0;
        let seconds = |s: f64| Delta::from_seconds(s).unwrap_or(Delta::from_nanos(i64::MAX));
        Ok(OffsetInterval::new(seconds(-self.correction_s), seconds(bound_s).magnitude()))
    }

    /// The server's address, or the letters of the reference clock.
    #[must_use]
    pub fn reference(&self) -> String {
        let letters = self.reference_id.to_be_bytes();
        let word: String = letters.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        match self.server {
            Some(address) => address.to_string(),
            None if !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic()) => word,
            None => format!("{:08X}", self.reference_id),
        }
    }
}

/// chronyd, unless it is `off`.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Box<dyn Source>> {
    let candidates = match &settings.chrony {
        Some(At::Off) => return Vec::new(),
        Some(named) => vec![named.clone()],
        None => vec![At::Udp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)), At::Unix(PathBuf::from(SOCKET))],
    };
    vec![Box::new(Chrony { candidates, named: settings.chrony.is_some(), spacing: CALM })]
}

/// Between two polls; a request costs chronyd some 20 µs.
const CALM: Duration = Duration::from_secs(8);
/// While chronyd has a correction to make that matters.
const SLEWING: Duration = Duration::from_secs(1);
const CORRECTION_CALM_S: f64 = 0.01;

struct Chrony {
    candidates: Vec<At>,
    /// Somebody said that it is there: then its absence is an error.
    named: bool,
    spacing: Duration,
}

impl Chrony {
    async fn ask(&mut self) -> Outcome {
        let mut refused = None;
        for at in &self.candidates {
            // Nobody named the socket: look before leaving a name of ours beside it.
            if let (At::Unix(path), false) = (at, self.named)
                && !path.exists()
            {
                continue;
            }
            let answer = match random() {
                #[expect(clippy::cast_possible_truncation, reason = "any 32 of the random bits will do")]
                Ok(bits) => exchange::ask(at, bits as u32).await,
                Err(error) => return Outcome::Withdrawn(format!("no random sequence number: {error}")),
            };
            match answer {
                Ok(reply) => return self.judge(&reply),
                Err(exchange::AskError::Nobody { .. }) if !self.named => {}
                // The first failure is that of the usual place; it says most.
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
        match refused {
            Some(error) => Outcome::Withdrawn(crate::telemetry::chain(&error)),
            None => Outcome::Absent,
        }
    }

    fn judge(&mut self, reply: &Reply) -> Outcome {
        self.spacing = if reply.correction_s.abs() > CORRECTION_CALM_S { SLEWING } else { CALM };
        let clocks = clocks::sample();
        match reply.interval(self.spacing.saturating_add(exchange::TIMEOUT)) {
            Ok(interval) => Outcome::Measured(Measured { interval, clocks, reference: Some(reply.reference()) }),
            Err(because) => Outcome::Withdrawn(because.to_string()),
        }
    }
}

impl Source for Chrony {
    fn name(&self) -> &'static str {
        "chrony"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.ask())
    }

    fn spacing(&mut self) -> Duration {
        self.spacing
    }
}

#[cfg(test)]
mod tests;
