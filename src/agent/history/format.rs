//! A history as a file: lines that a person can read and a torn write cannot spoil.
//!
//! ```text
//! clockwarden history 1
//! 1c291ca3 {"anchor":{"boot":"6c1e…","clocks":{…}}}
//! 8a7f6e01 {"jump":{"number":7,"cause":"step",…}}
//! ```
//!
//! Each line carries the checksum of the rest of it, so a line is whole or it is dropped; the others count. A file that
//! does not begin as ours is somebody else's, and is never taken for an empty one. Bounded: by lines when written, by
//! bytes when read.
//!
//! Pure: bytes in, values out. Source of the checksum: CRC-32 as in IEEE 802.3 and RFC 1952, section 8.

use crate::agent::jumps::{Evidence, Noticed, Past, RING_MAX};
use crate::clock::{Boot, Cause, Delta, Jump, Mono, OffsetInterval, Raw, Sample, Wall};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The first line.
const HEADER: &str = "clockwarden history 1\n";
/// No file of ours is larger: room for 256 jumps of 2 KiB each, where 400 bytes are usual.
pub const FILE_MAX: usize = 512 * 1024;
/// A detail is a sentence or two; the names of its witnesses come from flags.
const DETAIL_MAX: usize = 1_000;
const BOOT_MAX: usize = 64;

/// Why a file is not taken for a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It begins otherwise.
    #[error("it begins with {0:?}, and a history of this version with \"clockwarden history 1\"")]
    Beginning(String),
    /// Nobody writes that much.
    #[error("it is larger than {FILE_MAX} bytes, the most that a history can take")]
    Large,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What holds.
    pub past: Past,
    /// Lines that were torn or spoilt.
    pub dropped: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Record {
    Anchor(KeptAnchor),
    Jump(KeptJump),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptAnchor {
    boot: String,
    clocks: KeptClocks,
}

/// All in nanoseconds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptJump {
    number: u64,
    cause: String,
    evidence: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ongoing: bool,
    boot: String,
    low: i64,
    high: i64,
    before: KeptClocks,
    after: KeptClocks,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptClocks {
    wall: i64,
    boot: u64,
    raw: u64,
    mono: u64,
    mono_after: u64,
}

/// Writes jumps, oldest first, and the clocks of this moment with the start of the machine to which they belong. Never
/// more than [`FILE_MAX`] bytes: the oldest jumps would be left out.
///
/// # Errors
/// None for values that exist; the signature is that of the JSON writer.
pub fn encode<'a>(
    jumps: impl DoubleEndedIterator<Item = &'a Noticed>,
    anchor: Option<(&str, &Sample)>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = String::from(HEADER);
    if let Some((boot, clocks)) = anchor {
        text.push_str(&line(&Record::Anchor(KeptAnchor { boot: boot.to_owned(), clocks: KeptClocks::from(clocks) }))?);
    }
    let (mut lines, mut room) = (Vec::new(), FILE_MAX.saturating_sub(text.len()));
    for noticed in jumps.rev() {
        let line = line(&Record::Jump(KeptJump::from(noticed)))?;
        let Some(left) = room.checked_sub(line.len()) else { break };
        room = left;
        lines.push(line);
    }
    lines.iter().rev().for_each(|line| text.push_str(line));
    Ok(text.into_bytes())
}

fn line(record: &Record) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{:08x} {json}\n", crc32(json.as_bytes())))
}

/// Reads what is whole of a file. Jumps come in the order of their numbers, each once, the newest [`RING_MAX`] of them.
///
/// An empty file, one of zeros (what a crash leaves of a file whose blocks were never written) and the beginning of our
/// own first line are a history of nothing.
///
/// # Errors
/// If it is not a history of ours.
pub fn decode(bytes: &[u8]) -> Result<Loaded, Foreign> {
    if bytes.len() > FILE_MAX {
        return Err(Foreign::Large);
    }
    if HEADER.as_bytes().starts_with(bytes) || bytes.iter().all(|byte| *byte == 0) {
        return Ok(Loaded {
            dropped: usize::from(!bytes.is_empty() && bytes != HEADER.as_bytes()),
            ..Loaded::default()
        });
    }
    let Some(body) = bytes.strip_prefix(HEADER.as_bytes()) else {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let beginning = String::from_utf8_lossy(first.get(..HEADER.len()).unwrap_or(first)).into_owned();
        return Err(Foreign::Beginning(beginning));
    };
    let mut loaded = Loaded::default();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match record(line) {
            Some(Record::Anchor(KeptAnchor { boot, clocks })) if boot.len() <= BOOT_MAX => {
                loaded.past.anchor = Some((Arc::from(boot), Sample::from(&clocks)));
            }
            Some(Record::Jump(jump)) => match jump.noticed() {
                Some(noticed) => loaded.past.jumps.push(noticed),
                None => loaded.dropped = loaded.dropped.saturating_add(1),
            },
            Some(Record::Anchor(_)) | None => loaded.dropped = loaded.dropped.saturating_add(1),
        }
    }
    let jumps = &mut loaded.past.jumps;
    jumps.sort_by_key(|noticed| noticed.number);
    jumps.dedup_by_key(|noticed| noticed.number);
    jumps.drain(..jumps.len().saturating_sub(RING_MAX));
    Ok(loaded)
}

fn record(line: &[u8]) -> Option<Record> {
    let (sum, json) = line.split_at_checked(8)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    if sum == crc32(json) { serde_json::from_slice(json).ok() } else { None }
}

/// CRC-32 (RFC 1952, section 8), bit by bit: a few hundred kilobytes at most, a few times a day.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

impl From<&Noticed> for KeptJump {
    fn from(noticed: &Noticed) -> KeptJump {
        let jump = &noticed.jump;
        let short = |detail: &String| detail.chars().take(DETAIL_MAX / 4).collect();
        KeptJump {
            number: noticed.number,
            cause: jump.cause.as_str().to_owned(),
            evidence: noticed.evidence.as_str().to_owned(),
            detail: noticed.detail.as_ref().map(|d| if d.len() > DETAIL_MAX { short(d) } else { d.clone() }),
            ongoing: noticed.ongoing,
            boot: noticed.boot.to_string(),
            low: jump.amount.low().nanos(),
            high: jump.amount.high().nanos(),
            before: KeptClocks::from(&jump.before),
            after: KeptClocks::from(&jump.after),
        }
    }
}

impl KeptJump {
    fn noticed(self) -> Option<Noticed> {
        let fits = self.low <= self.high
            && self.boot.len() <= BOOT_MAX
            && self.detail.as_ref().is_none_or(|detail| detail.len() <= DETAIL_MAX);
        let jump = Jump {
            cause: Cause::from_word(&self.cause)?,
            amount: OffsetInterval::between(Delta::from_nanos(self.low), Delta::from_nanos(self.high)),
            before: Sample::from(&self.before),
            after: Sample::from(&self.after),
        };
        let (number, detail, ongoing) = (self.number, self.detail, self.ongoing);
        let evidence = Evidence::from_word(&self.evidence)?;
        fits.then(|| Noticed { number, evidence, detail, ongoing, boot: Arc::from(self.boot), jump })
    }
}

impl From<&Sample> for KeptClocks {
    fn from(sample: &Sample) -> KeptClocks {
        KeptClocks {
            wall: sample.wall.unix_nanos(),
            boot: sample.boot.nanos(),
            raw: sample.raw.nanos(),
            mono: sample.before.nanos(),
            mono_after: sample.after.nanos(),
        }
    }
}

impl From<&KeptClocks> for Sample {
    fn from(kept: &KeptClocks) -> Sample {
        Sample {
            before: Mono::from_nanos(kept.mono),
            wall: Wall::from_unix_nanos(kept.wall),
            boot: Boot::from_nanos(kept.boot),
            raw: Raw::from_nanos(kept.raw),
            after: Mono::from_nanos(kept.mono_after),
        }
    }
}

#[cfg(test)]
mod tests;
