//! NTP packets, on any bytes: whoever can guess a port can send them.

use clockwarden::agent::sources::sntp::{LENGTH, decode, interval};
use clockwarden::clock::{Boot, Mono, Raw, Sample, Wall};
use std::time::Duration;

/// What is accepted carries our cookie, comes from a synchronised server, means a date near our own, and gives an interval
/// no narrower than the server's own error.
pub(crate) fn check(bytes: &[u8]) {
    // 2026-11-21, or whatever date the bytes end with.
    let near = bytes
        .last_chunk::<8>()
        .filter(|_| bytes.len() > LENGTH)
        .map_or(1_795_269_735, |b| i64::from_be_bytes(*b) % 4_000_000_000);
    let near = Wall::from_unix_nanos(near * 1_000_000_000);
    // The cookie that the bytes carry, so that what is behind it is reached.
    let cookie = bytes.get(24..32).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_be_bytes);
    assert!(decode(bytes, cookie.wrapping_add(1), near).is_err(), "a forger need not know the cookie");
    let Ok(reply) = decode(bytes, cookie, near) else { return };
    assert!((1..=15).contains(&reply.stratum) && reply.error() <= Duration::from_secs(16), "{reply:?}");
    let half_era = Duration::from_secs((1 << 31) + 1);
    assert!(reply.left.minus(near).magnitude() <= half_era, "{reply:?} near {near:?}");
    assert!(!reply.reference().is_empty() && !reply.detail([10, 0, 0, 1].into()).roots.is_empty());
    let after = Mono::from_nanos(2_000_000);
    let clocks = Sample { before: after, wall: near, boot: Boot::from_nanos(0), raw: Raw::from_nanos(0), after };
    if let Ok(ours) = interval(&reply, Mono::from_nanos(1_000_000), &clocks) {
        assert!(ours.bound() >= reply.error(), "{ours} of {reply:?}");
        let nearest = near.minus(reply.left);
        assert!(ours.contains(nearest));
    }
}
