//! `clockwarden.io/exempt-until` on a Node: a person says that it is to be left alone, and until when.
//!
//! The end is a moment as RFC 3339 writes it, with its time zone. It is past when even the earliest possible now is past
//! it ([`Now`]): a controller whose own clock leapt an hour ahead must not end a maintenance window. A value that nobody
//! can read is neither an exemption for ever, which nobody would notice, nor none, which would be found out by a taint in
//! the middle of the work: nothing new is done, and the decision says what is wrong.
//!
//! `clockwarden.io/exempt-reason` is for people; no decision looks at it.

use super::{EXEMPT_REASON_ANNOTATION, EXEMPT_UNTIL_ANNOTATION};
use crate::clock::Wall;
use crate::policy::Now;
use crate::policy::decide::HandsOff;
use k8s_openapi::api::core::v1::Node;
use std::time::Duration;

/// An end further ahead than this is told: exemptions that nobody remembers rot.
pub const FAR_AHEAD: Duration = Duration::from_secs(30 * 86_400);

/// A value that is no moment. What is told of it repeats none of it: it may be long, and whoever may read a decision may
/// not read every annotation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("annotation {EXEMPT_UNTIL_ANNOTATION} is no moment ({why}): write one like 2026-07-01T18:00:00Z, or remove it")]
pub struct UnreadableExemption {
    /// What is wrong.
    pub why: &'static str,
}

/// The end that a person wrote, if they wrote one.
///
/// # Errors
/// If it cannot be read.
pub fn until(node: &Node) -> Result<Option<Wall>, UnreadableExemption> {
    annotation(node, EXEMPT_UNTIL_ANNOTATION).map(parse).transpose()
}

/// Why, in the words of whoever wrote it.
#[must_use]
pub fn reason(node: &Node) -> Option<&str> {
    annotation(node, EXEMPT_REASON_ANNOTATION)
}

fn annotation<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether the node is exempt now, or its exemption cannot be read; `None` where there is none, or it is past for certain.
#[must_use]
pub fn holds(node: &Node, now: Now) -> Option<HandsOff> {
    match until(node) {
        Ok(until) => until.and_then(|until| exempt(until, now)),
        Err(UnreadableExemption { .. }) => Some(HandsOff::UnreadableExemption),
    }
}

fn exempt(until: Wall, now: Now) -> Option<HandsOff> {
    if now.earliest > until {
        return None;
    }
    let remaining = until.minus(now.earliest).magnitude();
    // At the end itself it still holds; one nanosecond later it need not.
    let remaining = remaining.saturating_add(Duration::from_nanos(1));
    let far = until > now.latest && until.minus(now.latest).magnitude() > FAR_AHEAD;
    Some(HandsOff::Exempt { until, remaining, far })
}

/// RFC 3339, section 5.6: date and time and the difference to UTC, and nothing else. What the calendar holds but a wall
/// clock of nanoseconds does not is as far ahead, or as long past, as can be said.
///
/// # Errors
/// If it is anything else.
pub fn parse(text: &str) -> Result<Wall, UnreadableExemption> {
    let wrong = |why| Err(UnreadableExemption { why });
    if text.trim().is_empty() {
        return wrong("it is empty");
    }
    let bytes = text.as_bytes();
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|byte| any.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ")) {
        return wrong("it is not written YYYY-MM-DDThh:mm:ss");
    }
    let from_end = |back: usize, any: &[u8]| bytes.len().checked_sub(back).is_some_and(|at| is(at, any));
    let has_zone = from_end(1, b"Zz") || (from_end(6, b"+-") && from_end(3, b":"));
    if !has_zone {
        return wrong("it has no time zone at its end: Z, or +02:00");
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => {
            let nanos = moment.as_nanosecond();
            let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
            Ok(Wall::from_unix_nanos(i64::try_from(nanos).unwrap_or(limit)))
        }
        Err(_) => wrong("the calendar has no such moment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOON: i64 = 1_767_268_800; // 2026-01-01T12:00:00Z

    fn check(text: &str, expected: Result<i64, &str>) {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "n", "annotations": {"clockwarden.io/exempt-until": text}},
        }))
        .unwrap();
        let read = until(&node).map(|moment| moment.unwrap().unix_nanos() / 1_000_000_000);
        assert_eq!(read.map_err(|error| error.why), expected, "{text:?}");
    }

    #[test]
    fn a_moment_has_a_date_a_time_and_a_zone() {
        check("2026-01-01T12:00:00Z", Ok(NOON));
        check("2026-01-01t12:00:00z", Ok(NOON));
        check("2026-01-01 12:00:00Z", Ok(NOON));
        check("2026-01-01T14:00:00+02:00", Ok(NOON));
        check("2026-01-01T12:00:00.999999999Z", Ok(NOON));
        check("9999-12-30T00:00:00Z", Ok(i64::MAX / 1_000_000_000));
        check("0001-01-01T00:00:00Z", Ok(i64::MIN / 1_000_000_000));
        for (text, why) in [
            ("", "it is empty"),
            (" ", "it is empty"),
            ("true", "it is not written YYYY-MM-DDThh:mm:ss"),
            ("1767268800", "it is not written YYYY-MM-DDThh:mm:ss"),
            ("2026-01-01", "it is not written YYYY-MM-DDThh:mm:ss"),
            ("tomorrow at six Z", "it is not written YYYY-MM-DDThh:mm:ss"),
            ("2026-01-01T12:00:00", "it has no time zone at its end: Z, or +02:00"),
            ("2026-01-01T12:00:00Z[Europe/Berlin]", "it has no time zone at its end: Z, or +02:00"),
            ("2026-02-30T12:00:00Z", "the calendar has no such moment"),
            ("2026-01-01T25:00:00Z", "the calendar has no such moment"),
            ("2026-01-01TZ", "the calendar has no such moment"),
        ] {
            check(text, Err(why));
        }
    }

    #[test]
    fn absent_is_no_exemption() {
        assert_eq!(until(&Node::default()), Ok(None));
        assert_eq!(holds(&Node::default(), Now::by_own_clock(Wall::from_unix_nanos(0))), None);
    }

    #[test]
    fn an_exemption_ends_when_even_the_earliest_now_is_past_it() {
        const S: i64 = 1_000_000_000;
        let until = Wall::from_unix_nanos(100 * S);
        let at = |earliest: i64, latest: i64| {
            exempt(until, Now { earliest: Wall::from_unix_nanos(earliest), latest: Wall::from_unix_nanos(latest) })
        };
        let held = |remaining: u64| {
            let remaining = Duration::from_nanos(remaining);
            Some(HandsOff::Exempt { until, remaining, far: false })
        };
        assert_eq!(at(90 * S, 91 * S), held(10_000_000_001));
        // Our clock may have leapt ahead by an hour; it may also be right: in doubt the node is left alone.
        assert_eq!(at(90 * S, 3_690 * S), held(10_000_000_001));
        assert_eq!(at(100 * S, 100 * S), held(1));
        assert_eq!(at(100 * S + 1, 200 * S), None);
        assert_eq!(at(200 * S, 200 * S), None);
    }

    #[test]
    fn an_end_that_is_far_ahead_for_certain_is_told() {
        let day = 86_400_000_000_000;
        let until = Wall::from_unix_nanos(40 * day);
        let far = |earliest: i64, latest: i64| {
            let now = Now { earliest: Wall::from_unix_nanos(earliest), latest: Wall::from_unix_nanos(latest) };
            matches!(exempt(until, now), Some(HandsOff::Exempt { far: true, .. }))
        };
        assert!(far(0, 0) && far(9 * day, 9 * day));
        assert!(!far(10 * day, 10 * day) && !far(0, 10 * day), "in doubt it is not called forgotten");
    }
}
