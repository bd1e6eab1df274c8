//! Spans of time in every form in which configuration writes them.
//!
//! The forms do not overlap, so one reader serves all products: `PT30S` (ISO 8601), `00:00:30` and `1.02:03:04`
//! (.NET TimeSpan), `1m30s`, `1.50m`, `60 seconds` (Go, airlift, Elasticsearch, nginx, Spring, metav1), and a bare
//! number, which alone needs to be told its unit. Exact: decimal fractions never pass through floating point, and
//! what is not zero never becomes zero.

use std::borrow::Cow;

/// Nanoseconds; may be negative.
pub type Nanos = i128;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
const MINUTE: Nanos = 60 * SECOND;
const HOUR: Nanos = 60 * MINUTE;
/// One day.
pub const DAY: Nanos = 24 * HOUR;
/// Beyond this the number itself no longer matters; keeps sums far from overflow.
const MOST: Nanos = 1_000_000 * 366 * DAY;

/// What a bare number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds (Go's own integers).
    Nanoseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days (a .NET TimeSpan).
    Days,
}

impl Unit {
    /// Its length.
    #[must_use]
    pub fn nanos(self) -> Nanos {
        match self {
            Unit::Nanoseconds => 1,
            Unit::Milliseconds => SECOND / 1000,
            Unit::Seconds => SECOND,
            Unit::Minutes => MINUTE,
            Unit::Hours => HOUR,
            Unit::Days => DAY,
        }
    }

    /// Its name after a number.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "nanoseconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
            Unit::Days => "days",
        }
    }
}

/// How a span was written; its replacement is written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `30`
    Bare,
    /// `30s`
    Units,
    /// `PT30S`
    Iso,
    /// `00:00:30`
    TimeSpan,
}

/// A span as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// For [`Form::Bare`] a plain number times 10^9, still without a unit.
    raw: Nanos,
    /// How it was written.
    pub form: Form,
}

impl Span {
    /// Its length, with the unit that a bare number has.
    #[must_use]
    pub fn nanos(self, bare: Unit) -> Nanos {
        self.nanos_in(bare.nanos())
    }

    /// Its length, where a bare number counts so many nanoseconds.
    #[must_use]
    pub fn nanos_in(self, bare: Nanos) -> Nanos {
        match self.form {
            Form::Bare => {
                let scaled = self.raw.saturating_mul(bare);
                let nanos = scaled / SECOND;
                if nanos == 0 { scaled.signum() } else { nanos.clamp(-MOST, MOST) }
            }
            Form::Units | Form::Iso | Form::TimeSpan => self.raw,
        }
    }

    /// Written as a whole number?
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.raw % SECOND == 0
    }
}

/// Reads a span; `None` where the text is none.
#[must_use]
pub fn read(text: &str) -> Option<Span> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let lower = match unsigned.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(unsigned.to_ascii_lowercase()),
        false => Cow::Borrowed(unsigned),
    };
    let (nanos, form) = if let Some(iso) = lower.strip_prefix('p') {
        (iso8601(iso)?, Form::Iso)
    } else if lower.contains(':') {
        (time_span(&lower)?, Form::TimeSpan)
    } else if let Some(number) = number(&lower) {
        (number, Form::Bare)
    } else {
        (units(&lower)?, Form::Units)
    };
    Some(Span { raw: nanos.min(MOST.saturating_mul(SECOND)).saturating_mul(sign), form })
}

/// An unsigned number times 10^9: decimal with a fraction, an exponent or a base.
fn number(text: &str) -> Option<Nanos> {
    // Nearly all are whole, and small.
    if (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u32>().ok().map(|whole| Nanos::from(whole).saturating_mul(SECOND));
    }
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-'])) {
            return i64::from_str_radix(digits, base).ok().map(|n| Nanos::from(n).saturating_mul(SECOND));
        }
    }
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) || whole.starts_with('_') {
        return None;
    }
    let mut value: Nanos = 0;
    let mut places: i32 = 0;
    for (digit, is_fraction) in whole.bytes().map(|b| (b, false)).chain(fraction.bytes().map(|b| (b, true))) {
        if digit != b'_' && value < Nanos::MAX / 100 {
            value = value.saturating_mul(10).saturating_add(Nanos::from(digit.saturating_sub(b'0')));
            places = places.saturating_add(i32::from(is_fraction));
        }
    }
    let shift = 9_i32.saturating_sub(places).saturating_add(exponent.clamp(-100, 100));
    let mut scaled = value;
    for _ in 0..shift.unsigned_abs() {
        scaled = if shift > 0 { scaled.saturating_mul(10) } else { scaled / 10 };
    }
    // Too small to count is still not zero.
    Some(if scaled == 0 && value != 0 { 1 } else { scaled })
}

fn times(number: Nanos, unit: Nanos) -> Nanos {
    let nanos = number.saturating_mul(unit) / SECOND;
    if nanos == 0 { number.signum() } else { nanos.min(MOST) }
}

/// `1m30s`, `1.5 h`, `60seconds`.
fn units(text: &str) -> Option<Nanos> {
    let mut rest = text;
    let mut sum: Nanos = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at_checked(end)?;
        let tail = tail.trim_start();
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        sum = sum.saturating_add(times(number(amount)?, unit_named(unit)?)).min(MOST);
        rest = tail.trim_start();
    }
    (!text.is_empty()).then_some(sum)
}

/// The length of a unit by its name, lower case.
#[must_use]
pub fn unit_named(name: &str) -> Option<Nanos> {
    Some(match name {
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "μs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "ms" | "msec" | "msecs" | "milli" | "millis" | "millisecond" | "milliseconds" => SECOND / 1000,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        _ => return None,
    })
}

/// What follows the P of ISO 8601: `t1h30m`, `1d`, `2dt3s`, `-` inside (Java) is not read. Years and months are counted
/// as 365 and 30 days: nobody asks for more than that they are not zero.
fn iso8601(text: &str) -> Option<Nanos> {
    let (days, time) = text.split_once('t').unwrap_or((text, ""));
    let part = |text: &str, allowed: &[(char, Nanos)]| {
        let mut sum: Nanos = 0;
        for piece in text.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
            let sign = piece.chars().last()?;
            let (_, unit) = allowed.iter().find(|(letter, _)| *letter == sign)?;
            let amount = number(piece.strip_suffix(sign)?).filter(|_| !piece.contains('_'))?;
            sum = sum.saturating_add(times(amount, *unit)).min(MOST);
        }
        Some(sum)
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let dates = part(days, &[('y', 365 * DAY), ('m', 30 * DAY), ('w', 7 * DAY), ('d', DAY)])?;
    Some(dates.saturating_add(part(time, &[('h', HOUR), ('m', MINUTE), ('s', SECOND)])?))
}

/// `[d.]hh:mm[:ss[.fffffff]]`.
///
/// Source: .NET, "Standard TimeSpan format strings" and TimeSpan.Parse.
fn time_span(text: &str) -> Option<Nanos> {
    let mut parts = text.split(':');
    let (first, minutes) = (parts.next()?, parts.next()?);
    let seconds = parts.next().unwrap_or("0");
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = first.split_once('.').unwrap_or(("0", first));
    let whole = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| number(text)).flatten()
    };
    let sum = times(whole(days)?, DAY)
        .saturating_add(times(whole(hours)?, HOUR))
        .saturating_add(times(whole(minutes)?, MINUTE))
        .saturating_add(number(seconds)?);
    Some(sum)
}

/// A span for people: `0 s`, `0.5 s`, `30 s`, `10 min`, `5 days`.
#[must_use]
pub fn shown(nanos: Nanos) -> String {
    let exact = |unit: Nanos| nanos % unit == 0;
    let (unit, name) = match nanos.abs() {
        n if n >= DAY && exact(DAY) => (DAY, if n == DAY { "day" } else { "days" }),
        n if n > 2 * HOUR && exact(HOUR) => (HOUR, "h"),
        n if n > 2 * MINUTE && exact(MINUTE) => (MINUTE, "min"),
        n if n >= SECOND || n % (SECOND / 1000) != 0 || n == 0 => (SECOND, "s"),
        n if n >= SECOND / 10 => (SECOND, "s"),
        _ => (SECOND / 1000, "ms"),
    };
    let (whole, rest) = ((nanos / unit).abs(), (nanos % unit).abs());
    let sign = if nanos < 0 { "-" } else { "" };
    let mut fraction = String::new();
    if rest != 0 {
        let digits = rest.saturating_mul(SECOND) / unit;
        fraction = format!(".{digits:09}").trim_end_matches('0').to_owned();
    }
    format!("{sign}{whole}{fraction} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = SECOND / 1000;

    #[test]
    fn every_form_in_the_wild() {
        let table: &[(&str, Option<Nanos>)] = &[
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0.0", Some(0)),
            ("0e0", Some(0)),
            ("0x0", Some(0)),
            ("0o0", Some(0)),
            ("0b0", Some(0)),
            ("0x-1", None),
            ("P0Y0M0DT0H0M0S", Some(0)),
            ("P1M", Some(30 * DAY)),
            ("PT1M", Some(60 * SECOND)),
            ("P0D", Some(0)),
            ("00", Some(0)),
            ("5", Some(5 * SECOND)),
            (" 5 ", Some(5 * SECOND)),
            ("+5", Some(5 * SECOND)),
            ("-1", Some(-SECOND)),
            ("1_000", Some(1000 * SECOND)),
            ("0.51", Some(510 * MS)),
            (".5", Some(500 * MS)),
            ("5e-1", Some(500 * MS)),
            ("0.0000000000001", Some(1)),
            ("999999999999999999999999999999999999999999999999", Some(MOST)),
            ("0s", Some(0)),
            ("0ms", Some(0)),
            ("0h0m0s", Some(0)),
            ("1m30s", Some(90 * SECOND)),
            ("1.50m", Some(90 * SECOND)),
            ("60 s", Some(60 * SECOND)),
            ("60 seconds", Some(60 * SECOND)),
            ("500ms", Some(500 * MS)),
            ("500micros", Some(MS / 2)),
            ("-1s", Some(-SECOND)),
            ("2d", Some(2 * DAY)),
            ("PT0S", Some(0)),
            ("PT30S", Some(30 * SECOND)),
            ("pt1m0.5s", Some(60 * SECOND + 500 * MS)),
            ("P1DT1H", Some(25 * 3600 * SECOND)),
            ("P1D", Some(DAY)),
            ("00:00:00", Some(0)),
            ("0.00:00:00", Some(0)),
            ("00:00:30", Some(30 * SECOND)),
            ("00:00:00.5", Some(500 * MS)),
            ("5:00", Some(5 * 3600 * SECOND)),
            ("1.02:03:04", Some(DAY + 2 * 3600 * SECOND + 3 * 60 * SECOND + 4 * SECOND)),
            ("", None),
            ("-", None),
            ("P", None),
            ("PT", None),
            ("PT5", None),
            ("s", None),
            ("5x", None),
            ("5 5", None),
            ("1:2:3:4", None),
            ("a:b", None),
            ("true", None),
            ("${X}", None),
            ("1.2.3", None),
            ("0 # none", None),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).map(|span| span.nanos(Unit::Seconds)), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_bare_number_takes_the_unit_that_it_is_told() {
        assert_eq!(read("5").map(|s| s.nanos(Unit::Days)), Some(5 * DAY));
        assert_eq!(read("1500").map(|s| s.nanos(Unit::Milliseconds)), Some(1500 * MS));
        assert_eq!(read("1").map(|s| s.nanos(Unit::Nanoseconds)), Some(1));
        assert_eq!(read("0.1").map(|s| s.nanos(Unit::Nanoseconds)), Some(1));
        assert_eq!(read("5s").map(|s| s.nanos(Unit::Milliseconds)), Some(5 * SECOND));
    }

    #[test]
    fn shown_for_people() {
        for (nanos, expected) in [
            (0, "0 s"),
            (510 * MS, "0.51 s"),
            (60 * MS, "60 ms"),
            (30 * SECOND, "30 s"),
            (300 * SECOND, "5 min"),
            (301 * SECOND, "301 s"),
            (5 * DAY, "5 days"),
            (-SECOND, "-1 s"),
        ] {
            assert_eq!(shown(nanos), expected);
        }
    }
}
