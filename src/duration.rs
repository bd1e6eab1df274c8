//! Durations as Kubernetes writes them: `500ms`, `1h30m`, `1.5s` (metav1.Duration, Go's `time.ParseDuration`).
//!
//! Read with integers only: floating point would make `0.1s` something else, and a bound must not be rounded down
//! behind the writer's back. A sign is refused, because no duration in this program may be negative; a number without
//! a unit is refused, because guessing the unit is how clock skews of five *days* come about. `0` alone is allowed,
//! as Go allows it.
//!
//! Source: <https://pkg.go.dev/time#ParseDuration>.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("is empty: write a number with a unit, like 500ms, 30s, 5m or 1h30m")]
    Empty,
    /// A sign.
    #[error("{0:?} has a sign: a duration here is never negative")]
    Signed(String),
    /// A number without its unit.
    #[error("{0:?} lacks a unit: write {0}s for seconds, or one of ns, us, ms, s, m, h")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("{text:?} has an unknown unit {unit:?}: the units are ns, us, ms, s, m, h")]
    Unit {
        /// The whole.
        text: String,
        /// What stood where a unit was expected.
        unit: String,
    },
    /// Not a number where one was expected.
    #[error("{0:?} is not a duration: write a number with a unit, like 500ms, 30s, 5m or 1h30m")]
    NotANumber(String),
    /// More than 292 years.
    #[error("{0:?} is too long: the longest duration is 292 years")]
    TooLong(String),
}

/// Parses one duration. Fractions below a nanosecond are cut off, as Go does.
///
/// # Errors
/// Says what is wrong with the text and how to write it.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.starts_with(['-', '+']) {
        return Err(DurationError::Signed(text.to_owned()));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after, |c| !c.is_ascii_digit() && c != '.');
        total = total.saturating_add(part(text, number, unit)?);
        rest = after;
    }
    match i64::try_from(total) {
        Ok(nanos) => Ok(Duration::from_nanos(nanos.unsigned_abs())),
        Err(_) => Err(DurationError::TooLong(text.to_owned())),
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// Nanoseconds of one number with its unit.
fn part(text: &str, number: &str, unit: &str) -> Result<u128, DurationError> {
    let not_a_number = || DurationError::NotANumber(text.to_owned());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(not_a_number());
    }
    let scale: u128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(DurationError::NoUnit(text.to_owned())),
        _ => return Err(DurationError::Unit { text: text.to_owned(), unit: unit.to_owned() }),
    };
    let too_long = || DurationError::TooLong(text.to_owned());
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
    let mut nanos = whole.checked_mul(scale).ok_or_else(too_long)?;
    let mut place = scale;
    for digit in fraction.chars() {
        place /= 10;
        nanos = nanos.saturating_add(place.saturating_mul(u128::from(digit.to_digit(10).unwrap_or(0))));
    }
    Ok(nanos)
}

/// The shortest metav1.Duration that parses back to the same value.
#[must_use]
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (scale, unit) in
        [(3_600_000_000_000, "h"), (60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")]
    {
        if nanos != 0 && nanos.is_multiple_of(scale) {
            return format!("{}{unit}", nanos / scale);
        }
    }
    if nanos == 0 { "0s".to_owned() } else { format!("{nanos}ns") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("2m0.000001s", 120_000_001_000),
            ("3us", 3_000),
            ("3\u{b5}s", 3_000),
            ("0.1s", 100_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_why() {
        let shown = |text: &str| parse(text).unwrap_err().to_string();
        assert!(shown("5").contains("write 5s for seconds"));
        assert!(shown("-5s").contains("never negative"));
        assert!(shown("5 s").contains("unknown unit"));
        assert!(shown("5d").contains("unknown unit \"d\""));
        assert!(shown("").contains("is empty"));
        assert!(shown("s").contains("not a duration"));
        assert!(shown("1.2.3s").contains("not a duration"));
        assert!(shown("9999999999h").contains("too long"));
        assert!(shown(&format!("{}s", "9".repeat(60))).contains("too long"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in 0u64..1 << 62) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
