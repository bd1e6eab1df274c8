//! The NTP packet: 48 bytes, big-endian, with the time in units of 2^-32 s since 1900 (RFC 5905, section 7.3).

use crate::agent::report::SourceDetail;
use crate::agent::sources::Fields;
use crate::clock::{Delta, Leap, Wall};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Length of a packet without extensions; what follows is not read.
pub const LENGTH: usize = 48;
const MODE_CLIENT: u8 = 3;
const MODE_SERVER: u8 = 4;
const VERSION: u8 = 4;
const LEAP_UNSYNCHRONISED: u8 = 3;
/// At this stratum and beyond a server is not synchronised (RFC 5905, figure 11).
const STRATUM_MAX: u8 = 15;
/// A server whose own error may be greater is no witness (RFC 5905, MAXDISP).
const ERROR_MAX: Duration = Duration::from_secs(16);
/// From 1900-01-01 to 1970-01-01.
const EPOCH_1900_S: i128 = 2_208_988_800;
const ERA_S: i128 = 1 << 32;

/// A question: version 4, mode client, and the cookie where a trusting client would put its clock.
#[must_use]
pub fn request(cookie: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    if let Some(first) = bytes.first_mut() {
        *first = VERSION << 3 | MODE_CLIENT;
    }
    if let Some(place) = bytes.last_chunk_mut::<8>() {
        *place = cookie.to_be_bytes();
    }
    bytes
}

/// What a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Whether a leap second is coming.
    pub leap: Leap,
    /// Distance from a clock that is right by itself, 1 to 15.
    pub stratum: u8,
    /// What the server follows: four letters at stratum 1, else (a hash of) an address.
    pub reference_id: u32,
    /// Its clock's precision, seconds to the power of two.
    pub precision: i8,
    /// Round trip from the server to the end of its chain.
    pub root_delay: Duration,
    /// Error that has accumulated since that end.
    pub root_dispersion: Duration,
    /// Its clock when our question arrived.
    pub arrived: Wall,
    /// Its clock when the answer left.
    pub left: Wall,
}

/// Why bytes are no answer to our question, or none to go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not enough of them.
    #[error("an answer of {got} bytes is no NTP packet ({LENGTH} needed)")]
    Short {
        /// How many there are.
        got: usize,
    },
    /// Not a server's answer.
    #[error("the answer is not that of an NTP server (version {version}, mode {mode})")]
    Foreign {
        /// Version.
        version: u8,
        /// Mode.
        mode: u8,
    },
    /// An answer to somebody else, or a forged one.
    #[error("the answer does not carry our cookie: it is late, or forged")]
    Cookie,
    /// Kiss of death DENY or RSTR: never ask again.
    #[error("the server refuses to serve this client (kiss of death {code}) and is not asked again")]
    Denied {
        /// `DENY` or `RSTR`.
        code: &'static str,
    },
    /// Kiss of death RATE: ask less often.
    #[error("the server asks for fewer questions (kiss of death RATE); backing off")]
    Rate,
    /// Another kiss of death.
    #[error("the server sends no time but the kiss code {code}")]
    Kiss {
        /// The code.
        code: String,
    },
    /// It says so itself.
    #[error("the server is not synchronised itself (leap {leap}, stratum {stratum})")]
    Unsynchronised {
        /// Leap indicator.
        leap: u8,
        /// Stratum.
        stratum: u8,
    },
    /// Its own error is too large.
    #[error("the server's own error of {error:?} is more than {ERROR_MAX:?}")]
    TooUncertain {
        /// Root dispersion plus half the root delay.
        error: Duration,
    },
    /// The timestamps are missing.
    #[error("the answer carries no time")]
    NoTime,
}

/// Reads an answer to the question with that cookie; `near` is our own clock, which tells the era.
///
/// # Errors
/// If the bytes are anything else than a usable answer to it.
pub fn decode(bytes: &[u8], cookie: u64, near: Wall) -> Result<Reply, DecodeError> {
    let short = || DecodeError::Short { got: bytes.len() };
    let fields = Fields(bytes.get(..LENGTH).ok_or_else(short)?);
    let [first, stratum, _, precision] = fields.bytes(0).ok_or_else(short)?;
    let (leap, version, mode) = (first >> 6, first >> 3 & 7, first & 7);
    if mode != MODE_SERVER || !(1..=VERSION).contains(&version) {
        return Err(DecodeError::Foreign { version, mode });
    }
    // Before anything else is believed, also a kiss: a forger could silence a server otherwise.
    if fields.u64(24).ok_or_else(short)? != cookie {
        return Err(DecodeError::Cookie);
    }
    let reference_id: [u8; 4] = fields.bytes(12).ok_or_else(short)?;
    // chronyd without a source answers with stratum 0 and no code at all: that is no kiss.
    if stratum == 0 && reference_id != [0; 4] {
        return Err(kiss(reference_id));
    }
    if leap == LEAP_UNSYNCHRONISED || !(1..=STRATUM_MAX).contains(&stratum) {
        return Err(DecodeError::Unsynchronised { leap, stratum });
    }
    let (arrived, left) = (fields.u64(32).ok_or_else(short)?, fields.u64(40).ok_or_else(short)?);
    if arrived == 0 || left == 0 {
        return Err(DecodeError::NoTime);
    }
    let reply = Reply {
        leap: Leap::from_indicator(leap.into()),
        stratum,
        reference_id: u32::from_be_bytes(reference_id),
        precision: precision.cast_signed(),
        root_delay: short_format(fields.u32(4).ok_or_else(short)?),
        root_dispersion: short_format(fields.u32(8).ok_or_else(short)?),
        arrived: wall(arrived, near),
        left: wall(left, near),
    };
    let error = reply.error();
    if error > ERROR_MAX { Err(DecodeError::TooUncertain { error }) } else { Ok(reply) }
}

fn kiss(code: [u8; 4]) -> DecodeError {
    match &code {
        b"DENY" => DecodeError::Denied { code: "DENY" },
        b"RSTR" => DecodeError::Denied { code: "RSTR" },
        b"RATE" => DecodeError::Rate,
        other => DecodeError::Kiss { code: other.escape_ascii().to_string() },
    }
}

/// Units of 2^-16 s, rounded up: it is an error that is measured here.
fn short_format(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000).div_ceil(1 << 16))
}

/// Of the dates that a timestamp may mean, one era of 2^32 s apart, the nearest to `near`.
fn wall(timestamp: u64, near: Wall) -> Wall {
    const SECOND_NS: i128 = 1_000_000_000;
    let since_era_ns = (i128::from(timestamp) * SECOND_NS) >> 32;
    let near_ns = i128::from(near.unix_nanos()) + EPOCH_1900_S * SECOND_NS;
    let era_ns = ERA_S * SECOND_NS;
    let era = (near_ns - since_era_ns + era_ns / 2).div_euclid(era_ns);
    let unix_ns = since_era_ns + era * era_ns - EPOCH_1900_S * SECOND_NS;
    let farthest = if unix_ns < 0 { i64::MIN } else { i64::MAX };
    Wall::from_unix_nanos(i64::try_from(unix_ns).unwrap_or(farthest))
}

impl Reply {
    /// How far the server's clock may be off: root dispersion, half the root delay, precision.
    #[must_use]
    pub fn error(&self) -> Duration {
        // No clock is coarser than 2^0 s and still serves time; finer than 2^-30 s is below a nanosecond.
        let precision = Delta::from_seconds(2f64.powi(i32::from(self.precision.clamp(-30, 0)))).unwrap_or(Delta::ZERO);
        self.root_dispersion.saturating_add(self.root_delay / 2).saturating_add(precision.magnitude())
    }

    /// What the server follows: a word at stratum 1 (`GPS`, `PPS`), an address or its hash beyond.
    #[must_use]
    pub fn reference(&self) -> String {
        let letters = self.reference_id.to_be_bytes();
        let word: String = letters.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        if self.stratum == 1 && !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic()) {
            return format!("{word}, stratum 1");
        }
        format!("{:08X}, stratum {}", self.reference_id, self.stratum)
    }

    /// What it tells besides the time; `from` is the server's own address.
    #[must_use]
    pub fn detail(&self, from: IpAddr) -> SourceDetail {
        SourceDetail {
            stratum: Some(self.stratum.into()),
            leap: Some(self.leap.as_str().to_owned()),
            root_delay_seconds: Some(self.root_delay.as_secs_f64()),
            root_dispersion_seconds: Some(self.root_dispersion.as_secs_f64()),
            roots: self.roots(from),
            ..SourceDetail::default()
        }
    }

    /// The server, and what it follows: an IPv4 address or, of an IPv6 address, a hash that is written as one. The
    /// letters of a reference clock name a kind of clock, no clock; so do the addresses 127.127.0.0/16 of NTP's drivers.
    fn roots(&self, from: IpAddr) -> Vec<String> {
        let upstream = Ipv4Addr::from(self.reference_id);
        let named = self.stratum > 1 && !upstream.is_unspecified() && !upstream.octets().starts_with(&[127, 127]);
        let upstream = named.then_some(upstream);
        [from.to_canonical().to_string()].into_iter().chain(upstream.map(|address| address.to_string())).collect()
    }
}
