//! From when until when is a certificate valid? Reads the two dates out of its DER and nothing else.
//!
//! For a gauge and a log line; nothing is trusted because of it (TLS itself is rustls's business). A walk along the
//! first fields of a certificate is all that it takes, and it stops at whatever it does not expect.
//! Source: RFC 5280, sections 4.1 and 4.1.2.5; X.690 for the encoding.

use crate::clock::Wall;

/// Inclusive on both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: Wall,
    /// Last second.
    pub not_after: Wall,
}

const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The validity of one certificate; `None` if these bytes are none.
#[must_use]
pub fn validity(certificate_der: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(SEQUENCE, certificate_der)?;
    let (mut fields, _) = expect(SEQUENCE, certificate)?;
    if let (EXPLICIT_0, _, rest) = next(fields)? {
        fields = rest; // version, absent in v1
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        (_, _, fields) = next(fields)?;
    }
    let (dates, _) = expect(SEQUENCE, fields)?;
    let (tag, text, rest) = next(dates)?;
    let not_before = time(tag, text)?;
    let (tag, text, _) = next(rest)?;
    Some(Validity { not_before, not_after: time(tag, text)? })
}

fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    next(der).filter(|(found, _, _)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// Tag, content and what follows. Only single-byte tags stand before the dates.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first & 0x7f);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(length)?;
        // Longer than four bytes is longer than anything.
        length = digits
            .iter()
            .try_fold(0u32, |sum, digit| sum.checked_mul(256)?.checked_add(u32::from(*digit)))
            .and_then(|length| usize::try_from(length).ok())?;
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// `YYMMDDHHMMSSZ` (years 1950 to 2049) or `YYYYMMDDHHMMSSZ`; RFC 5280 allows no other forms.
fn time(tag: u8, text: &[u8]) -> Option<Wall> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { year.checked_add(2000)? } else { year.checked_add(1900)? }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at.checked_add(2)?)?.parse::<i8>().ok();
    let civil = jiff::civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    let seconds = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Wall::from_unix_nanos(seconds.saturating_mul(1_000_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn certificate(not_before: (i32, u8, u8), not_after: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(not_before.0, not_before.1, not_before.2);
        params.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn day(text: &str) -> Wall {
        let seconds = text.parse::<jiff::civil::Date>().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        Wall::from_unix_nanos(seconds.timestamp().as_second() * 1_000_000_000)
    }

    #[test]
    fn both_forms_of_dates_are_read() {
        for (from, until, first, last) in [
            ((2026, 2, 28), (2027, 1, 1), "2026-02-28", "2027-01-01"),
            ((1999, 12, 31), (2049, 12, 31), "1999-12-31", "2049-12-31"),
            ((2049, 1, 1), (2050, 1, 1), "2049-01-01", "2050-01-01"),
            ((1970, 1, 1), (2200, 1, 1), "1970-01-01", "2200-01-01"),
        ] {
            let expected = Validity { not_before: day(first), not_after: day(last) };
            assert_eq!(validity(&certificate(from, until)), Some(expected), "{first} to {last}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        let good = certificate((2026, 1, 1), (2027, 1, 1));
        assert!((0..100).all(|length| validity(&good[..length]).is_none()));
        for bad in [&b""[..], b"0", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x89\x01\x01\x01\x01\x01\x01"] {
            assert_eq!(validity(bad), None, "{bad:?}");
        }
        for (tag, text) in
            [(UTC_TIME, "260230000000Z"), (UTC_TIME, "2602280000Z"), (GENERALIZED_TIME, "+0260101000000Z"), (2, "1Z")]
        {
            assert_eq!(time(tag, text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_crash_it(at in 0usize..400, with: u8) {
            let mut bytes = certificate((2026, 1, 1), (2027, 1, 1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            let _ = validity(&bytes);
        }
    }
}
