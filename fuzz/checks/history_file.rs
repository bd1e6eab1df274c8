//! Any bytes as the file of an agent's history: read without a panic, bounded, and what is read is what would be written.

use clockwarden::agent::history::{FILE_MAX, decode, encode};
use clockwarden::agent::jumps::{RING_MAX, Ring};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Ok(loaded) = decode(bytes) else { return };
    let past = loaded.past;
    assert!(past.jumps.len() <= RING_MAX, "unbounded");
    assert!(past.jumps.is_sorted_by_key(|noticed| noticed.number), "out of order");
    let anchor = past.anchor.as_ref().map(|(boot, clocks)| (&**boot, clocks));
    let Ok(written) = encode(past.jumps.iter(), anchor) else { panic!("what was read cannot be written") };
    assert!(written.len() <= FILE_MAX, "too large");
    let Ok(again) = decode(&written) else { panic!("what was written is not ours") };
    assert_eq!(again.dropped, 0, "a line of ours was dropped");
    assert!(past.jumps.ends_with(&again.past.jumps), "not what was written");
    assert_eq!(again.past.anchor, past.anchor);
    // Whatever was kept, the next jump finds room and a number.
    let newest = past.jumps.last().map_or(0, |noticed| noticed.number);
    let next = past.jumps.last().cloned();
    let mut ring = Ring::resumed(past.jumps);
    if let Some(next) = next {
        let number = ring.push(|number| clockwarden::agent::jumps::Noticed { number, ..next }).number;
        assert!(number > newest || newest == u64::MAX, "a number twice");
        assert!(ring.iter().len() <= RING_MAX);
    }
}
