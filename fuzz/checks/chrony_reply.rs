//! chronyd's replies, on any bytes: whoever listens on its port, or forges its address, can send them.

use clockwarden::agent::sources::chrony::{DecodeError, decode, decode_count, decode_source};
use std::time::Duration;

/// What is accepted is an answer to our question, holds numbers that can be, and gives an interval around what it says.
pub(crate) fn check(bytes: &[u8]) {
    // The sequence that the bytes carry, so that what is behind the header is reached.
    let sequence = bytes.get(16..20).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes);
    let other = sequence.wrapping_add(1);
    let _ = decode_source(bytes, sequence);
    assert!(decode_source(bytes, other).is_err() && decode_count(bytes, other).is_err(), "an answer to somebody else");
    if decode_count(bytes, sequence).is_ok() {
        assert!(decode(bytes, sequence).is_err(), "one answer to two questions");
    }
    let Ok(reply) = decode(bytes, sequence) else { return };
    assert!(matches!(decode(bytes, other), Err(DecodeError::Sequence { .. })), "an answer to somebody else");
    assert!(reply.correction_s.is_finite() && reply.root_delay_s >= 0.0 && reply.root_dispersion_s >= 0.0, "{reply:?}");
    assert!(!reply.reference().is_empty());
    let (Ok(now), Ok(later)) = (reply.interval(Duration::ZERO), reply.interval(Duration::from_secs(9))) else { return };
    assert!(later.bound() >= now.bound(), "using it for longer made it surer: {reply:?}");
    // Within a century nothing saturates.
    if reply.correction_s.abs() < 3e9 && now.bound() < Duration::from_secs(3_000_000_000) {
        let offset = (now.midpoint().seconds() + reply.correction_s).abs();
        assert!(offset <= 1e-6 * reply.correction_s.abs().max(1.0), "{now} of {reply:?}");
    }
}
