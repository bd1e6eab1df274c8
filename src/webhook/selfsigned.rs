//! A certificate of our own making: for whom, from when until when, and when the next one is due.
//!
//! It signs itself and nothing else; whoever shall trust it is given just this certificate, so there is no authority
//! whose key could leak. It begins an hour ago, because the clock of the API server that checks it may be behind
//! ours, and never later than the one before it: should our own clock run far ahead one day, the new certificate
//! is still valid for everybody else.
//!
//! Does not know: where it is kept, the current time.

use super::tls::Pem;
use super::validity::Validity;
use crate::clock::Wall;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use std::time::Duration;

/// How long before now it begins.
const BACKDATED: Duration = Duration::from_hours(1);
/// How long from now it is good for; shorter than the 398 days that some clients have as their limit.
const LIFETIME: Duration = Duration::from_hours(365 * 24);

fn unix_seconds(wall: Wall) -> u64 {
    u64::try_from(wall.unix_nanos().div_euclid(1_000_000_000)).unwrap_or(0)
}

/// Makes one for these DNS names and IP addresses, beginning no later than `since`.
///
/// # Errors
/// If a name is no DNS name, or there is no randomness to be had.
pub fn issue(names: &[String], now: Wall, since: Option<Wall>) -> Result<Pem, rcgen::Error> {
    let now = unix_seconds(now);
    let begins = now.saturating_sub(BACKDATED.as_secs()).min(since.map_or(u64::MAX, unix_seconds));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(names)?;
    // Dates beyond the year 9999 cannot be written, and adding would panic.
    const LAST: u64 = 253_402_300_799;
    params.not_before = epoch + Duration::from_secs(begins.min(LAST));
    params.not_after = epoch + Duration::from_secs(now.saturating_add(LIFETIME.as_secs()).min(LAST));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "clockwarden webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Pem { certificates: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
}

/// Whether it is time for the next one: two thirds of its life are over, or it has not begun (whoever made it had a
/// clock that was ahead).
#[must_use]
pub fn due(validity: Validity, now: Wall) -> bool {
    let (begins, ends, now) = (unix_seconds(validity.not_before), unix_seconds(validity.not_after), unix_seconds(now));
    let third = ends.saturating_sub(begins) / 3;
    now < begins || now >= ends.saturating_sub(third)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_unix_nanos(1_795_000_000_123_456_789);

    fn days(days: i64) -> Wall {
        Wall::from_unix_nanos(NOW.unix_nanos() + days * 86_400_000_000_000)
    }

    fn validity(now: Wall, since: Option<Wall>) -> Validity {
        let pem = issue(&["hook.ns.svc".to_owned(), "127.0.0.1".to_owned()], now, since).unwrap();
        pem.load("test").unwrap().validity.unwrap()
    }

    #[test]
    fn it_begins_an_hour_ago_or_with_the_one_before() {
        let seconds = |wall: Wall| wall.unix_nanos() / 1_000_000_000;
        let fresh = validity(NOW, None);
        assert_eq!(seconds(NOW) - seconds(fresh.not_before), 3600);
        assert_eq!(seconds(fresh.not_after) - seconds(NOW), 365 * 86_400);
        assert_eq!(seconds(validity(NOW, Some(days(-200))).not_before), seconds(days(-200)));
        assert_eq!(validity(NOW, Some(days(5))).not_before, fresh.not_before);
    }

    #[test]
    fn absurd_clocks_make_certificates_too() {
        for now in [i64::MIN, -1, 0, i64::MAX] {
            let made = validity(Wall::from_unix_nanos(now), None);
            assert!(made.not_before < made.not_after, "{now}: {made:?}");
        }
    }

    #[test]
    fn the_next_one_is_due_after_two_thirds_or_if_this_one_has_not_begun() {
        let made = validity(NOW, None);
        for (now, expected) in [(-1, true), (0, false), (240, false), (250, true), (365, true), (4000, true)] {
            assert_eq!(due(made, days(now)), expected, "after {now} days");
        }
    }
}
