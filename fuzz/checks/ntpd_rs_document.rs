//! The document of ntpd-rs, on any bytes.

use clockwarden::agent::sources::ntpd_rs::decode;

/// What is accepted counts no more agreeing sources than there are.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(reply) = decode(bytes) else { return };
    let detail = &reply.detail;
    let (configured, reachable) = (detail.configured.unwrap_or(0), detail.reachable.unwrap_or(0));
    let (agreeing, others) = (detail.selectable.unwrap_or(0), detail.falsetickers.unwrap_or(0));
    assert!(
        1 <= agreeing && agreeing > others && agreeing + others <= reachable && reachable <= configured,
        "{detail:?}"
    );
    assert!(detail.last_update_seconds.is_some_and(|age_s| (0.0..5_000.0).contains(&age_s)), "{detail:?}");
}
