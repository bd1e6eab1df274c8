//! Any bytes as the file of an agent's history: read without a panic, bounded, and what is read is what would be written.

use clockwarden::agent::history::{FILE_MAX, decode, encode};
use clockwarden::agent::jumps::{Noticed, RING_MAX, Ring};

/// What is kept is ordered, bounded, survives being written, and leaves room for the next jump.
pub(crate) fn check(bytes: &[u8]) {
    whole(bytes);
    // Nobody guesses a checksum: the same lines, each with the right one, reach what is behind it.
    whole(&sealed(bytes));
}

fn whole(bytes: &[u8]) {
    let Ok(loaded) = decode(bytes) else { return };
    let past = loaded.past;
    assert!(past.jumps.len() <= RING_MAX, "unbounded");
    assert!(past.jumps.is_sorted_by_key(|noticed| noticed.number), "out of order");
    let anchor = past.anchor.as_ref().map(|(boot, clocks)| (&**boot, clocks));
    let written = encode(past.jumps.iter(), anchor).unwrap_or_default();
    assert!(written.len() <= FILE_MAX, "too large");
    let again = decode(&written).unwrap_or_default();
    assert_eq!(again.dropped, 0, "a line of ours was dropped");
    assert!(past.jumps.ends_with(&again.past.jumps), "not what was written");
    assert!(past.jumps.is_empty() || !again.past.jumps.is_empty(), "nothing was written");
    assert_eq!(again.past.anchor, past.anchor);
    // Whatever was kept, the next jump finds room and a number.
    let newest = past.jumps.last().map_or(0, |noticed| noticed.number);
    let next = past.jumps.last().cloned();
    let mut ring = Ring::resumed(past.jumps);
    if let Some(next) = next {
        let number = ring.push(|number| Noticed { number, ..next }).number;
        assert!(number > newest || newest == u64::MAX, "a number twice");
        assert!(ring.iter().len() <= RING_MAX);
    }
}

/// A history of the lines of `bytes`, whatever checksums they carry.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = b"clockwarden history 1\n".to_vec();
    for line in bytes.split(|byte| *byte == b'\n').skip(1) {
        let json = line.get(9..).unwrap_or_default();
        sealed.extend(format!("{:08x} ", crc32(json)).into_bytes());
        sealed.extend(json);
        sealed.push(b'\n');
    }
    sealed
}

/// RFC 1952, section 8.
fn crc32(bytes: &[u8]) -> u32 {
    let byte =
        |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 * (sum & 1)));
    !bytes.iter().fold(u32::MAX, byte)
}
