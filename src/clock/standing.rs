//! Three states, never two: what a tolerance makes of the evidence about one node.
//!
//! Beyond tolerance for certain is [`State::Drifting`]; inside for certain is [`State::Synchronized`]; an interval
//! that straddles the limit keeps the state it had; and no fresh evidence is [`State::Unknown`], which is neither. A
//! standing remembers since when, by the monotonic clock, because hold-downs are counted from there.
//!
//! A clock that is inside tolerance but that nothing disciplines (no daemon, no reference, a kernel that says
//! `STA_UNSYNC`) is right by luck. After `unsynchronized_max` that is said aloud as `Unknown`; it still counts as
//! recovered, so that an action is not kept for ever on a clock that is right. `STA_UNSYNC` is never drift
//! (eks-node-monitoring-agent #198).
//!
//! Does not know: sources, policies, actions.

use super::interval::OffsetInterval;
use super::time::Mono;
use std::time::Duration;

/// How wrong is too wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Further off than this is drifting.
    pub offset_max: Duration,
    /// An error bound wider than this is no evidence.
    pub error_max: Duration,
    /// Longer than this without anything that disciplines the clock is unknown.
    pub unsynchronized_max: Duration,
    /// Evidence older than this is none.
    pub stale_after: Duration,
}

/// Why nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// No answer has been had yet.
    NeverMeasured,
    /// The last evidence is older than `stale_after`.
    Stale,
    /// The error bound is wider than `error_max`.
    TooUncertain,
    /// The witnesses contradict one another.
    Conflict,
    /// The witnesses contradict one another as smearing and stepping servers do around a leap second.
    LeapSmear,
    /// The offset against this controller is known, but not what the right time is: no consensus, no reference.
    NoYardstick,
    /// Inside tolerance of the others, but moved together with most of them: right or wrong alike.
    MovedTogether,
    /// Inside tolerance, but nothing has disciplined the clock for longer than `unsynchronized_max`.
    Unsynchronized,
}

impl Why {
    /// CamelCase word for conditions, JSON and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Why::NeverMeasured => "NeverMeasured",
            Why::Stale => "Stale",
            Why::TooUncertain => "TooUncertain",
            Why::Conflict => "SourcesConflict",
            Why::LeapSmear => "LeapSmear",
            Why::NoYardstick => "NoYardstick",
            Why::MovedTogether => "MovedTogether",
            Why::Unsynchronized => "Unsynchronized",
        }
    }
}

/// What one look at the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Inside for certain, and something keeps it there.
    Within,
    /// Inside for certain, but nothing has disciplined the clock for too long.
    Adrift,
    /// Beyond for certain.
    Beyond,
    /// The interval straddles the limit.
    Straddling,
    /// No evidence.
    Nothing(Why),
}

/// Judges one interval, `age` old, of a clock that has been undisciplined for `unsynchronized` (zero if it is not).
#[must_use]
pub fn judge(interval: OffsetInterval, age: Duration, unsynchronized: Duration, tolerance: &Tolerance) -> Judgement {
    if age > tolerance.stale_after {
        return Judgement::Nothing(Why::Stale);
    }
    let aged = interval.aged(age);
    if aged.surely_beyond(tolerance.offset_max) {
        // Certain in spite of a wide bound: two days ± 5 s is no doubt at all about half a second.
        return Judgement::Beyond;
    }
    if aged.bound() > tolerance.error_max {
        return Judgement::Nothing(Why::TooUncertain);
    }
    if !aged.surely_within(tolerance.offset_max) {
        return Judgement::Straddling;
    }
    if unsynchronized > tolerance.unsynchronized_max { Judgement::Adrift } else { Judgement::Within }
}

/// The three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Inside tolerance for certain.
    Synchronized,
    /// Beyond tolerance for certain.
    Drifting,
    /// No evidence, for this reason. Neither healthy nor drifting.
    Unknown(Why),
}

impl State {
    /// The word used in status, JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Synchronized => "Synchronized",
            State::Drifting => "Drifting",
            State::Unknown(_) => "Unknown",
        }
    }
}

/// A state and since when it has held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    state: State,
    since: Mono,
    within_since: Option<Mono>,
    straddles: bool,
}

impl Standing {
    /// Before any evidence.
    #[must_use]
    pub fn new(now: Mono) -> Standing {
        Standing { state: State::Unknown(Why::NeverMeasured), since: now, within_since: None, straddles: false }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when the state (not its reason) has held. Before the first word from a node is a state of its own: what was
    /// never there has not been lost, and a node that has only just spoken is not one that has been silent for long.
    #[must_use]
    pub fn since(&self) -> Mono {
        self.since
    }

    /// Since when the offset has been inside tolerance without a break in the evidence.
    #[must_use]
    pub fn within_since(&self) -> Option<Mono> {
        self.within_since
    }

    /// Whether the newest evidence does not tell if the clock is still how the state says: the state was kept. What is
    /// there already need not go for that; it founds nothing new.
    #[must_use]
    pub fn straddles(&self) -> bool {
        self.straddles
    }

    /// The standing after one more judgement.
    #[must_use]
    pub fn observe(self, judgement: Judgement, now: Mono) -> Standing {
        let state = match judgement {
            Judgement::Within => State::Synchronized,
            Judgement::Adrift => State::Unknown(Why::Unsynchronized),
            Judgement::Beyond => State::Drifting,
            Judgement::Straddling => self.state,
            Judgement::Nothing(why) => State::Unknown(why),
        };
        let same = match (self.state, state) {
            (State::Unknown(before), State::Unknown(after)) => {
                (before == Why::NeverMeasured) == (after == Why::NeverMeasured)
            }
            (before, after) => before == after,
        };
        let within_since = match judgement {
            Judgement::Within | Judgement::Adrift => self.within_since.or(Some(now)),
            Judgement::Straddling => self.within_since,
            Judgement::Beyond | Judgement::Nothing(_) => None,
        };
        let straddles = judgement == Judgement::Straddling;
        Standing { state, since: if same { self.since } else { now }, within_since, straddles }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::time::Delta;
    use proptest::prelude::*;

    const TOLERANCE: Tolerance = Tolerance {
        offset_max: Duration::from_millis(500),
        error_max: Duration::from_secs(2),
        unsynchronized_max: Duration::from_secs(300),
        stale_after: Duration::from_secs(60),
    };

    fn check(offset_ms: i64, bound_ms: u64, age_s: u64, unsynchronized_s: u64, expected: Judgement) {
        let interval = OffsetInterval::new(Delta::from_nanos(offset_ms * 1_000_000), Duration::from_millis(bound_ms));
        let (age, free) = (Duration::from_secs(age_s), Duration::from_secs(unsynchronized_s));
        assert_eq!(judge(interval, age, free, &TOLERANCE), expected, "{interval}");
    }

    #[test]
    fn certainty_decides_and_doubt_does_not() {
        check(0, 1, 0, 0, Judgement::Within);
        check(499, 1, 0, 0, Judgement::Within);
        check(-501, 0, 0, 0, Judgement::Beyond);
        check(15_000, 10, 0, 0, Judgement::Beyond);
        check(510, 20, 0, 0, Judgement::Straddling);
        check(0, 2_100, 0, 0, Judgement::Nothing(Why::TooUncertain));
        check(172_800_000, 5_000, 0, 0, Judgement::Beyond);
        // The limits themselves are within.
        check(0, 1, 60, 0, Judgement::Within);
        check(0, 2_000, 0, 0, Judgement::Straddling);
        check(0, 1, 61, 0, Judgement::Nothing(Why::Stale));
        check(15_000, 1, 61, 0, Judgement::Nothing(Why::Stale));
    }

    #[test]
    fn an_unsynchronised_kernel_alone_is_not_drift() {
        check(0, 1, 0, 301, Judgement::Adrift);
        check(0, 1, 0, 300, Judgement::Within);
        check(15_000, 1, 0, 301, Judgement::Beyond);
    }

    #[test]
    fn a_state_lasts_until_another_one_and_its_reason_may_change() {
        use Judgement::{Adrift, Beyond, Nothing, Straddling, Within};
        let mut standing = Standing::new(Mono::from_nanos(0));
        for (now, judgement, word, since, within_since) in [
            (1, Nothing(Why::NeverMeasured), "Unknown", 0, None),
            // Never heard of and no longer heard of are two states.
            (2, Nothing(Why::Stale), "Unknown", 2, None),
            (3, Nothing(Why::Conflict), "Unknown", 2, None),
            (4, Straddling, "Unknown", 2, None),
            (5, Adrift, "Unknown", 2, Some(5)),
            (6, Within, "Synchronized", 6, Some(5)),
            (7, Straddling, "Synchronized", 6, Some(5)),
            (8, Within, "Synchronized", 6, Some(5)),
            (9, Beyond, "Drifting", 9, None),
            (10, Straddling, "Drifting", 9, None),
            (11, Beyond, "Drifting", 9, None),
            (12, Nothing(Why::NeverMeasured), "Unknown", 12, None),
        ] {
            standing = standing.observe(judgement, Mono::from_nanos(now));
            let found = (standing.state().as_str(), standing.since().nanos());
            assert_eq!((found, standing.within_since().map(Mono::nanos)), ((word, since), within_since), "at {now}");
        }
    }

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let all = [
            (Why::NeverMeasured, "NeverMeasured"),
            (Why::Stale, "Stale"),
            (Why::TooUncertain, "TooUncertain"),
            (Why::Conflict, "SourcesConflict"),
            (Why::LeapSmear, "LeapSmear"),
            (Why::NoYardstick, "NoYardstick"),
            (Why::MovedTogether, "MovedTogether"),
            (Why::Unsynchronized, "Unsynchronized"),
        ];
        for (why, word) in all {
            assert_eq!(why.as_str(), word);
        }
    }

    fn judgement() -> impl Strategy<Value = Judgement> {
        prop_oneof![
            Just(Judgement::Within),
            Just(Judgement::Adrift),
            Just(Judgement::Beyond),
            Just(Judgement::Straddling),
            Just(Judgement::Nothing(Why::Stale)),
            Just(Judgement::Nothing(Why::NoYardstick)),
        ]
    }

    proptest! {
        #[test]
        fn nothing_but_fresh_evidence_turns_unknown_into_healthy(judgements in prop::collection::vec(judgement(), 0..60)) {
            let mut standing = Standing::new(Mono::from_nanos(0));
            for (i, judgement) in judgements.into_iter().enumerate() {
                let now = Mono::from_nanos(i as u64 + 1);
                let before = standing;
                standing = standing.observe(judgement, now);
                if before.state() != State::Synchronized && standing.state() == State::Synchronized {
                    prop_assert_eq!(judgement, Judgement::Within);
                    prop_assert_eq!(standing.since(), now);
                }
                if standing.within_since().is_some() && before.within_since().is_none() {
                    prop_assert!(matches!(judgement, Judgement::Within | Judgement::Adrift));
                }
                prop_assert!(standing.since() >= before.since());
                if let Judgement::Nothing(why) = judgement {
                    prop_assert_eq!(standing.state(), State::Unknown(why));
                }
            }
        }
    }
}
