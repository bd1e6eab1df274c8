//! What fits into a NodeClock, and what goes when it does not.
//!
//! The whole object stays within [`OBJECT_BYTES_MAX`] bytes of JSON, whatever names and messages anybody sends: texts
//! are cut, the decisions have a budget, the metadata another, and the history has what is left. One that is too long
//! loses its oldest incident that is not needed most; needed most are the newest of each kind, the worst drift, and what goes
//! on. Only if those alone do not fit, the oldest of them go too, what goes on last of all.
//!
//! The time up to which incidents were dropped is kept, so that one which an agent goes on reporting does not come
//! back for ever.

use crate::api::node_clock::{HISTORY_MAX, Incident, OBJECT_BYTES_MAX};
use crate::api::{NodeClockStatus, NodeDecision};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::Serialize;

/// Name and owner (253 bytes of name each), uids, managed fields.
const METADATA_BYTES: usize = 2048;
/// The decisions of all policies.
const DECISIONS_BYTES: usize = 1536;
/// What the keys of a history take.
const KEYS_BYTES: usize = 80;
/// The longest text. The words by which a jump is known again are shorter.
pub(super) const TEXT_BYTES: usize = 280;

/// How many bytes `text` takes inside quotes in JSON as the API server writes it: `<`, `>` and `&` become six.
fn written_bytes(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '"' | '\\' => 2,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        })
        .sum()
}

/// The beginning of `text` that takes at most `bytes` in JSON, on one line; what was cut shows as `…`.
pub(super) fn clip(text: &str, bytes: usize) -> String {
    let line = |c: char| if c.is_control() { ' ' } else { c };
    if written_bytes(text) <= bytes {
        return text.chars().map(line).collect();
    }
    let room = bytes.saturating_sub('\u{2026}'.len_utf8());
    let mut used = 0_usize;
    let begun = text.chars().map(line).take_while(|c| {
        used = used.saturating_add(written_bytes(c.encode_utf8(&mut [0; 4])));
        used <= room
    });
    let mut begun: String = begun.collect();
    begun.push('\u{2026}');
    begun
}

/// Bytes of anything in JSON as the API server writes it. What cannot be written is taken for too large.
pub(super) fn size(value: &impl Serialize) -> usize {
    let mut written = Written::default();
    match serde_json::to_writer(&mut written, value) {
        Ok(()) => written.bytes,
        Err(_) => usize::MAX,
    }
}

/// Counts bytes and keeps none. `<` and the like grow from one byte to six, line and paragraph separators (U+2028 and
/// U+2029, which begin with E2 80 in UTF-8) from three to six.
#[derive(Debug, Default)]
struct Written {
    bytes: usize,
    last: [u8; 2],
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            let grown = match (self.last, byte) {
                (_, b'<' | b'>' | b'&') => 5,
                ([0xe2, 0x80], 0xa8 | 0xa9) => 3,
                _ => 0,
            };
            self.bytes = self.bytes.saturating_add(grown).saturating_add(1);
            self.last = [self.last[1], *byte];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The decisions that fit: words are left out before decisions are, the last ones first.
pub(super) fn decisions(all: &[NodeDecision]) -> Vec<NodeDecision> {
    let mut kept: Vec<NodeDecision> = all
        .iter()
        .map(|it| NodeDecision {
            policy: clip(&it.policy, TEXT_BYTES),
            decision: clip(&it.decision, TEXT_BYTES),
            outcome: clip(&it.outcome, TEXT_BYTES),
            reason: clip(&it.reason, TEXT_BYTES),
            message: clip(&it.message, TEXT_BYTES),
        })
        .collect();
    // One at a time would be quadratic in what a cluster with thousands of policies has.
    kept.truncate(HISTORY_MAX);
    while size(&kept) > DECISIONS_BYTES {
        match kept.iter_mut().rev().find(|it| !it.message.is_empty()) {
            Some(last) => last.message.clear(),
            None => drop(kept.pop()),
        }
    }
    kept
}

/// The history that fits beside the rest of a status, oldest first, and up to when incidents were dropped from it.
pub(super) fn history(
    mut all: Vec<Incident>,
    mut dropped_until: Option<MicroTime>,
    rest: &NodeClockStatus,
) -> (Vec<Incident>, Option<MicroTime>) {
    let room = OBJECT_BYTES_MAX.saturating_sub(METADATA_BYTES + KEYS_BYTES).saturating_sub(size(rest));
    all.sort_by_key(|incident| incident.time.0);
    let mut sizes: Vec<usize> = all.iter().map(|incident| size(incident).saturating_add(1)).collect();
    while all.len() > HISTORY_MAX || sizes.iter().sum::<usize>() > room {
        let Some(index) = least_needed(&all) else { break };
        let dropped = all.remove(index);
        sizes.remove(index);
        if dropped_until.as_ref().is_none_or(|until| until.0 < dropped.time.0) {
            dropped_until = Some(dropped.time);
        }
    }
    (all, dropped_until)
}

/// Which one to drop: the oldest that is not needed most, else the oldest that is over, else the oldest.
fn least_needed(all: &[Incident]) -> Option<usize> {
    let peak = |incident: &Incident| incident.peak_seconds.unwrap_or(0.0).abs();
    let worst = all.iter().filter(|it| it.kind == Incident::DRIFTING).map(peak).fold(0.0, f64::max);
    let is_newest = |index: usize, kind: &str| all.iter().skip(index.saturating_add(1)).all(|it| it.kind != kind);
    let needed = |index: usize, it: &Incident| {
        it.is_open() || is_newest(index, &it.kind) || (it.kind == Incident::DRIFTING && peak(it) >= worst)
    };
    let at = |is: &dyn Fn(usize, &Incident) -> bool| all.iter().enumerate().position(|(index, it)| is(index, it));
    at(&|index, it| !needed(index, it)).or_else(|| at(&|_, it| !it.is_open())).or_else(|| at(&|_, _| true))
}
