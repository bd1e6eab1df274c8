//! How often an audit is made, and when the next one begins.
//!
//! The pause between two audits is the period, ten percent more or less by chance: clusters that were installed together
//! do not ask their API servers together. The first one comes soon after this replica begins to lead, but not at once:
//! a controller that is restarted in a loop must not list a cluster in a loop. Where a policy has changed since the last
//! one began, the next one is made early: what a policy says of what is there is a question that its author has now.

use crate::duration;
use std::str::FromStr;
use std::time::Duration;

/// The value of `--audit-interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Nothing is audited.
    Off,
    /// From the end of one audit to the beginning of the next.
    Every(Duration),
}

/// A shorter one would be nothing but load.
const SHORTEST: Duration = Duration::from_secs(1);
/// After an audit that failed, the next one does not wait longer than this.
const FAILED_MAX: Duration = Duration::from_secs(300);

/// Why a text is no period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write a duration of at least 1s, like 1h, or off")]
pub struct NoPeriod(String);

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Period, NoPeriod> {
        if text == "off" {
            return Ok(Period::Off);
        }
        match duration::parse(text).map_err(|error| NoPeriod(error.to_string()))? {
            Duration::ZERO => Ok(Period::Off),
            period if period < SHORTEST => Err(NoPeriod(format!("{text:?} is too short"))),
            period => Ok(Period::Every(period)),
        }
    }
}

/// Policies are often changed several at once.
const SETTLED: Duration = Duration::from_secs(10);

/// How long to wait with an audit after a policy has changed, where the last audit took so long: a policy that is changed
/// all the time must not make us audit more than half of it.
#[must_use]
pub fn after_change(took: Duration) -> Duration {
    took.max(SETTLED)
}

/// How the last audit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// There has been none since this replica leads.
    None,
    /// It was complete.
    Complete,
    /// It was not.
    Failed,
}

/// How long to wait now. `chance` is any number; all of its values are equally likely.
#[must_use]
pub fn pause(every: Duration, last: Last, chance: u64) -> Duration {
    let share = |duration: Duration, per_mille: u64| {
        let nanos = duration.as_nanos().saturating_mul(u128::from(per_mille)) / 1000;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    let chance = chance % 201;
    match last {
        Last::None => share(every.min(FAILED_MAX), chance.saturating_div(2).saturating_add(50)),
        Last::Complete => share(every, chance.saturating_add(900)),
        Last::Failed => share(every.min(FAILED_MAX), chance.saturating_add(900)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_duration_or_off() {
        let check = |text: &str, expected: Result<Period, &str>| match (text.parse::<Period>(), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
            (Err(error), Err(part)) => {
                let said = error.to_string();
                assert!(said.contains(part) && said.contains("1h, or off"), "{text}: {said}");
            }
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        };
        check("off", Ok(Period::Off));
        check("0", Ok(Period::Off));
        check("0s", Ok(Period::Off));
        check("1s", Ok(Period::Every(Duration::from_secs(1))));
        check("1h30m", Ok(Period::Every(Duration::from_secs(5400))));
        check("999ms", Err("too short"));
        check("3600", Err("lacks a unit"));
        check("", Err("empty"));
        check("-1h", Err("sign"));
        check("never", Err("not a duration"));
    }

    #[test]
    fn audits_are_scattered_by_a_tenth_and_the_first_comes_soon() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for chance in (0..1_000).chain([u64::MAX]) {
            let within = |pause: Duration, from: Duration, to: Duration| {
                assert!(from <= pause && pause <= to, "{pause:?} is not in {from:?}..{to:?} ({chance})");
            };
            within(pause(minutes(60), Last::Complete, chance), minutes(54), minutes(66));
            within(pause(minutes(60), Last::None, chance), Duration::from_secs(15), Duration::from_secs(45));
            within(pause(minutes(60), Last::Failed, chance), Duration::from_secs(270), Duration::from_secs(330));
            within(pause(minutes(1), Last::Failed, chance), Duration::from_secs(54), Duration::from_secs(66));
            within(pause(Duration::MAX, Last::Complete, chance), minutes(60), Duration::MAX);
        }
        assert_ne!(pause(minutes(60), Last::Complete, 0), pause(minutes(60), Last::Complete, 1));
        // Changed policies cost no more than half of the time.
        assert_eq!(after_change(Duration::ZERO), Duration::from_secs(10));
        assert_eq!(after_change(minutes(3)), minutes(3));
    }
}
