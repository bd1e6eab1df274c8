//! chronyd's command protocol, version 6, as far as we speak it: requests and replies as bytes.
//!
//! All numbers are big-endian. A request is a header of 20 bytes (version, kind, two reserved, command, attempt,
//! sequence, 8 reserved) and is padded to at least the length of its reply, so that nobody can use chronyd to amplify;
//! a reply has a header of 28 bytes (version, kind, two reserved, command, kind of reply, status, 6 reserved, sequence,
//! 8 reserved). The three replies read here (tracking, number of sources, one source) have kept their numbers and their
//! layout in all of chrony 3.x and 4.x: they are the same in the message definitions (`candm.h`) of both, and the history
//! there, which lists what did change in version 6, does not name them. A change of layout takes another version, which
//! is refused here.
//!
//! Does not know: sockets, what the numbers mean for a clock.

use crate::agent::sources::Fields;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const VERSION: u8 = 6;
const KIND_REQUEST: u8 = 1;
const KIND_REPLY: u8 = 2;
const REPLY_HEADER: usize = 28;
/// Header, and the fields of the longest reply as far as we read it: tracking, to the end of "last update interval".
/// Every request is as long.
const LONGEST: usize = REPLY_HEADER + 76;

/// A question: its name in errors, its command, the kind of its reply, and how long that is.
#[derive(Debug, Clone, Copy)]
struct Question {
    name: &'static str,
    command: u16,
    reply: u16,
    length: usize,
}

const TRACKING: Question = Question { name: "tracking", command: 33, reply: 5, length: LONGEST };
const COUNT: Question = Question { name: "number of sources", command: 14, reply: 2, length: REPLY_HEADER + 4 };
const SOURCE: Question = Question { name: "source", command: 15, reply: 3, length: REPLY_HEADER + 48 };

/// A request for tracking with this sequence number.
#[must_use]
pub fn request(sequence: u32) -> [u8; LONGEST] {
    ask(TRACKING, sequence, None)
}

/// A request for the number of sources.
#[must_use]
pub fn request_count(sequence: u32) -> [u8; LONGEST] {
    ask(COUNT, sequence, None)
}

/// A request for the source with that number, counted from 0.
#[must_use]
pub fn request_source(sequence: u32, index: u32) -> [u8; LONGEST] {
    ask(SOURCE, sequence, Some(index))
}

fn ask(question: Question, sequence: u32, argument: Option<u32>) -> [u8; LONGEST] {
    let mut bytes = [0; LONGEST];
    let [high, low] = question.command.to_be_bytes();
    let [a, b, c, d] = sequence.to_be_bytes();
    let header = [VERSION, KIND_REQUEST, 0, 0, high, low, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0];
    let argument = argument.map(u32::to_be_bytes).into_iter().flatten();
    for (place, value) in bytes.iter_mut().zip(header.into_iter().chain(argument)) {
        *place = value;
    }
    bytes
}

/// What chronyd says of the clock: tracking.
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

/// What chronyd says of one of its own sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream {
    /// A server's address; `None` for a reference clock, and for a name that has not been looked up yet.
    pub address: Option<IpAddr>,
    /// The source's own stratum.
    pub stratum: u16,
    /// Whether chronyd follows it.
    pub standing: Standing,
    /// Which of the last eight polls were answered, the newest in the lowest bit.
    pub reach: u16,
    /// How long ago the last good sample was taken; `None` if there never was one.
    pub since_sample: Option<Duration>,
}

/// What chronyd makes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what chronyd follows.
    Selected,
    /// It could be followed: combined with the selected one, or kept in reserve.
    Selectable,
    /// It contradicts the others.
    Falseticker,
    /// Not usable now: unreachable, unsynchronised, too jittery, or too far away.
    Unusable,
}

/// Why bytes are no reply to our request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not enough of them.
    #[error("an answer of {got} bytes is no {name} reply of chronyd ({needed} needed)")]
    Short {
        /// What was asked.
        name: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        needed: usize,
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
    /// Something else than what was asked.
    #[error("chronyd answered something else (command {command}, reply {reply}) than {name}")]
    Other {
        /// What was asked.
        name: &'static str,
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

/// The fields of a reply to `question` with that sequence number, behind the header.
fn body(bytes: &[u8], sequence: u32, question: Question) -> Result<Fields<'_>, DecodeError> {
    let short = || DecodeError::Short { name: question.name, got: bytes.len(), needed: question.length };
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
    if command != question.command || reply != question.reply {
        return Err(DecodeError::Other { name: question.name, command, reply });
    }
    bytes.get(REPLY_HEADER..question.length).map(Fields).ok_or_else(short)
}

/// Reads an answer to the tracking request with that sequence number.
///
/// # Errors
/// If the bytes are anything else than a tracking reply to it.
pub fn decode(bytes: &[u8], sequence: u32) -> Result<Reply, DecodeError> {
    let short = || DecodeError::Short { name: TRACKING.name, got: bytes.len(), needed: TRACKING.length };
    let fields = body(bytes, sequence, TRACKING)?;
    let float = |at: usize| fields.u32(at).map(float_from_wire).ok_or_else(short);
    let reply = Reply {
        reference_id: fields.u32(0).ok_or_else(short)?,
        server: address(fields, 4),
        stratum: fields.u16(24).ok_or_else(short)?,
        leap: fields.u16(26).ok_or_else(short)?,
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

/// Reads an answer to the question for the number of sources.
///
/// # Errors
/// If the bytes are anything else than a reply to it.
pub fn decode_count(bytes: &[u8], sequence: u32) -> Result<u32, DecodeError> {
    let short = || DecodeError::Short { name: COUNT.name, got: bytes.len(), needed: COUNT.length };
    body(bytes, sequence, COUNT)?.u32(0).ok_or_else(short)
}

/// Reads an answer to the question for one source.
///
/// # Errors
/// If the bytes are anything else than a reply to it.
pub fn decode_source(bytes: &[u8], sequence: u32) -> Result<Upstream, DecodeError> {
    /// Mode of a source that is a clock of this machine, no server; its "address" is its identifier.
    const MODE_REFERENCE_CLOCK: u16 = 2;
    let short = || DecodeError::Short { name: SOURCE.name, got: bytes.len(), needed: SOURCE.length };
    let fields = body(bytes, sequence, SOURCE)?;
    let standing = match fields.u16(24).ok_or_else(short)? {
        0 => Standing::Selected,
        4 | 5 => Standing::Selectable,
        2 => Standing::Falseticker,
        _ => Standing::Unusable,
    };
    let server = fields.u16(26).ok_or_else(short)? != MODE_REFERENCE_CLOCK;
    let since_s = fields.u32(32).ok_or_else(short)?;
    Ok(Upstream {
        address: address(fields, 0).filter(|_| server),
        stratum: fields.u16(22).ok_or_else(short)?,
        standing,
        reach: fields.u16(30).ok_or_else(short)?,
        // All ones: there never was a sample.
        since_sample: (since_s != u32::MAX).then(|| Duration::from_secs(since_s.into())),
    })
}

/// 16 bytes of address, of which the family that follows says how many count; `None` for families without an address.
fn address(fields: Fields<'_>, at: usize) -> Option<IpAddr> {
    match fields.u16(at.checked_add(16)?)? {
        1 => Some(IpAddr::V4(Ipv4Addr::from(fields.bytes::<4>(at)?))),
        2 => Some(IpAddr::V6(Ipv6Addr::from(fields.bytes::<16>(at)?))),
        _ => None,
    }
}

/// How far a number may be off by being written so, as a part of itself: half a unit of a coefficient of 24 bits.
pub(super) const FLOAT_ERROR: f64 = 1.0 / (1u32 << 24) as f64;

/// chronyd's floating point number: a signed exponent in the upper 7 bits, a signed coefficient in the lower 25;
/// the value is coefficient times 2^(exponent - 25). Always finite.
pub(super) fn float_from_wire(bits: u32) -> f64 {
    let signed = bits.cast_signed();
    let (exponent, coefficient) = (signed >> 25, (signed << 7) >> 7);
    f64::from(coefficient) * 2f64.powi(exponent - 25)
}
