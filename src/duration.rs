//! Durations as people write them for Kubernetes: `500ms`, `1m30s`, `1.5h` (metav1.Duration, Go's `ParseDuration`).
//!
//! Only integers are used: a fraction of a unit is exact or cut off below the nanosecond, and what does not fit is an
//! error, never a saturated value. No setting of ours has a meaning below zero, so a sign is refused with a hint.
//! Like Go, a bare `0` is a duration; a bare `5` is not, since nobody can tell five of what.
//!
//! Source: Go, package time, ParseDuration; its greatest value is 2^63 - 1 ns, and the API server holds to that.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("a duration is missing; write for example \"500ms\", \"30s\" or \"2m\"")]
    Empty,
    /// A minus sign.
    #[error("duration {0:?} is negative; write it without the sign")]
    Negative(String),
    /// A number without a unit.
    #[error("duration {text:?} has no unit; write \"{number}s\" for seconds or \"{number}ms\" for milliseconds")]
    NoUnit {
        /// The whole text.
        text: String,
        /// The number that lacks one.
        number: String,
    },
    /// A unit that does not exist.
    #[error("duration {text:?} has the unknown unit {unit:?}; the units are ns, us, ms, s, m and h{}", hint(.unit))]
    Unit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
    /// Not numbers with units.
    #[error("{0:?} is no duration; write for example \"500ms\", \"30s\" or \"1m30s\"")]
    Malformed(String),
    /// More than 2^63 - 1 ns.
    #[error("duration {0:?} is too long; the longest is 2562047h (292 years)")]
    TooLong(String),
}

fn hint(unit: &str) -> &'static str {
    match unit {
        "d" => " (a day is 24h)",
        "w" => " (a week is 168h)",
        "sec" | "secs" | "second" | "seconds" => " (seconds are s)",
        "min" | "mins" | "minute" | "minutes" => " (minutes are m)",
        "msec" | "millis" => " (milliseconds are ms)",
        _ => "",
    }
}

/// Reads a duration that is not negative.
///
/// # Errors
/// What is wrong with the text, and what to write instead.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative(text.to_owned()));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_ends);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(malformed());
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit { text: text.to_owned(), number: number.to_owned() });
        }
        let Some(unit_ns) = unit_ns(unit) else {
            return Err(DurationError::Unit { text: text.to_owned(), unit: unit.to_owned() });
        };
        total = term_ns(whole, fraction, unit_ns)
            .and_then(|term| total.checked_add(term))
            .filter(|sum| i64::try_from(*sum).is_ok())
            .ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = next;
    }
    Ok(Duration::from_nanos(total))
}

fn unit_ns(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // Go takes both the micro sign U+00B5 and the Greek letter U+03BC.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `whole.fraction` units in nanoseconds; `None` if it does not fit. Both hold nothing but ASCII digits.
fn term_ns(whole: &str, fraction: &str, unit_ns: u64) -> Option<u64> {
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut part: u128 = 0;
    let mut scale: u128 = 1;
    // Eighteen digits are below a nanosecond for every unit; Go cuts off what follows, too.
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit.saturating_sub(b'0'));
        scale *= 10;
    }
    let fraction_ns = u64::try_from(part * u128::from(unit_ns) / scale).ok()?;
    whole.checked_mul(unit_ns)?.checked_add(fraction_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_go_takes_is_taken_alike() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+2m", 120_000_000_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_write() {
        for (text, says) in [
            ("", "missing"),
            ("-5s", "without the sign"),
            ("5", "\"5s\" for seconds"),
            ("1m30", "\"30s\" for seconds"),
            ("1d", "a day is 24h"),
            ("5 s", "unknown unit \" s\""),
            ("5S", "the units are"),
            ("s", "is no duration"),
            (".s", "is no duration"),
            ("1..5s", "is no duration"),
            ("+", "is no duration"),
            ("--5s", "without the sign"),
            ("9223372036854775808ns", "too long"),
            ("99999999999999999999h", "too long"),
            ("2562048h", "too long"),
            ("1e3s", "unknown unit \"e\""),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn sums_of_units_add_up(h in 0u64..10_000, m in 0u64..10_000, ms in 0u64..1 << 40) {
            let expected = Duration::from_secs(h * 3600 + m * 60) + Duration::from_millis(ms);
            prop_assert_eq!(parse(&format!("{h}h{m}m{ms}ms")), Ok(expected));
        }
    }
}
