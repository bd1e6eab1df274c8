//! Were the clocks of the fleet moved together?
//!
//! Nodes that all follow one server agree with one another, also when that server lies: nothing that can be measured now
//! is out of place. What gives it away is how they came there: most of them were stepped or slewed alike. Either they
//! were right and were led away, or were wrong and were led back; nothing in the cluster can tell which. So for an hour
//! they are called neither healthy nor drifting, and a person or a reference that the policy names has the word.
//!
//! What counts is the sum of what was done to a clock: a machine that stood still for a minute and was then set by a
//! minute is where it was. What is only inferred from a witness that moved does not count, since the witness may have
//! been the one. A leap second moves every clock that does not smear it, and rightly.
//!
//! Does not know: where offsets are measured, what is done about it.
//! Source: two USNO servers told the year 2000 to their clients on 19 November 2012.

use crate::clock::{Cause, Delta, Order, Wall, smear};
use std::time::Duration;

/// For so long a common movement puts the clocks in question: time to be told, and to name a reference.
pub const REMEMBERED: Duration = Duration::from_secs(3600);
/// Clocks that step at a leap second and clocks that smear it may differ by a second; and what measuring adds.
const LEAP_MAX: Duration = Duration::from_millis(1_100);
/// What one amount is greater than the next.
const LEAST: Delta = Delta::from_nanos(1);

/// A movement that most clocks made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Together {
    /// By how much, the middle one of them; positive: they were put forward.
    pub by: Delta,
    /// How many.
    pub moved: usize,
    /// Of how many about whom it is known.
    pub of: usize,
}

/// By how much a clock was moved within [`REMEMBERED`]: what happened to it, by cause, by how much, how long ago. `now`
/// is the date, for leap seconds.
#[must_use]
pub fn of_clock(happened: impl IntoIterator<Item = (Cause, Delta, Duration)>, now: Wall) -> Delta {
    let counts = |(cause, _, age): &(Cause, Delta, Duration)| {
        let moves = match cause {
            Cause::Step | Cause::Slew | Cause::Pause => true,
            Cause::Suspend | Cause::Unexplained => false,
        };
        moves && *age <= REMEMBERED
    };
    let amounts = happened.into_iter().filter(counts).map(|(_, amount, _)| amount);
    let moved = amounts.fold(Delta::ZERO, Delta::plus);
    if moved.magnitude() <= LEAP_MAX && smear::near_leap(now, false) { Delta::ZERO } else { moved }
}

impl Together {
    /// Whether a clock of which this is known moved with them.
    #[must_use]
    pub fn includes(&self, moved: Option<Delta>, alike: Duration) -> bool {
        moved.is_some_and(|it| it.magnitude() > alike && it.minus(self.by).magnitude() <= alike)
    }
}

/// The movement that more than half of the clocks, and at least two, made alike. `moved` holds what is known;
/// `alike` is within what clocks count as one, and beyond what they count as moved.
#[must_use]
pub fn together(moved: &impl Order, alike: Duration) -> Option<Together> {
    let (of, alike) = (moved.len(), Delta::from(alike));
    let back = Delta::ZERO.minus(alike);
    let (ahead, behind) = (moved.above(alike), moved.below(back));
    let middle = if ahead >= behind { of.checked_sub(ahead)?.saturating_add(ahead / 2) } else { behind / 2 };
    let (by, _) = moved.nth(middle)?;
    let within = |low: Delta, high: Delta| of.saturating_sub(moved.below(low)).saturating_sub(moved.above(high));
    // Near the middle one, and not so small that it is no movement.
    let count = if by > alike {
        within(by.minus(alike).max(alike.plus(LEAST)), by.plus(alike))
    } else if by < back {
        within(by.minus(alike), by.plus(alike).min(back.minus(LEAST)))
    } else {
        0
    };
    (count >= 2 && count * 2 > of).then_some(Together { by, moved: count, of })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Sorted;
    use proptest::prelude::*;

    const ALIKE: Duration = Duration::from_millis(500);
    /// 2026-11-21T00:00:00Z: far from any leap second.
    const NOVEMBER: Wall = Wall::from_unix_nanos(1_795_219_200_000_000_000);
    /// 2026-12-31T23:59:59Z.
    const NEW_YEAR: Wall = Wall::from_unix_nanos(1_798_761_599_000_000_000);

    /// Cause, seconds, seconds ago.
    fn check(happened: &[(Cause, i64, u64)], now: Wall, expected_s: i64) {
        let second = |s: i64| Delta::from_nanos(s * 1_000_000_000);
        let happened = happened.iter().map(|(cause, s, ago)| (*cause, second(*s), Duration::from_secs(*ago)));
        assert_eq!(of_clock(happened, now), second(expected_s));
    }

    #[test]
    fn what_was_done_to_a_clock_adds_up_and_is_forgotten() {
        check(&[], NOVEMBER, 0);
        check(&[(Cause::Step, 5, 1), (Cause::Slew, -1, 1)], NOVEMBER, 4);
        check(&[(Cause::Pause, -60, 1), (Cause::Step, 60, 1)], NOVEMBER, 0);
        check(&[(Cause::Suspend, 300, 1), (Cause::Unexplained, -5, 1)], NOVEMBER, 0);
        check(&[(Cause::Step, 5, 3_601), (Cause::Step, 3, 3_600)], NOVEMBER, 3);
    }

    #[test]
    fn a_leap_second_is_no_movement_and_more_than_that_is() {
        check(&[(Cause::Step, -1, 1)], NEW_YEAR, 0);
        check(&[(Cause::Step, -1, 1)], NOVEMBER, -1);
        check(&[(Cause::Step, -5, 1)], NEW_YEAR, -5);
    }

    /// The movement, and who made it.
    fn found(moved: &[Option<Delta>]) -> Option<(Together, Vec<bool>)> {
        let known: Sorted = (0..).zip(moved).filter_map(|(id, it)| Some(((*it)?, id))).collect();
        let together = together(&known, ALIKE)?;
        Some((together, moved.iter().map(|it| together.includes(*it, ALIKE)).collect()))
    }

    /// In seconds; `None` where nobody was told.
    fn check_together(moved: &[Option<i64>], expected: Option<(i64, &[bool])>) {
        let moved: Vec<Option<Delta>> = moved.iter().map(|s| s.map(|s| Delta::from_nanos(s * 1_000_000_000))).collect();
        let found = found(&moved);
        let expected = expected.map(|(by, with)| (Delta::from_nanos(by * 1_000_000_000), with.to_vec()));
        assert_eq!(found.map(|(together, with)| (together.by, with)), expected, "{moved:?}");
    }

    #[test]
    fn most_of_those_that_are_known_must_have_moved_alike() {
        check_together(&[], None);
        check_together(&[Some(5)], None);
        check_together(&[Some(5), Some(5)], Some((5, &[true, true])));
        check_together(&[Some(5), Some(5), Some(0)], Some((5, &[true, true, false])));
        check_together(&[Some(5), Some(5), Some(0), Some(0)], None);
        check_together(&[Some(5), Some(5), None, None], Some((5, &[true, true, false, false])));
        check_together(&[Some(5), Some(-5)], None);
        // Clocks that are put right one by one, each by its own error, were not moved together.
        check_together(&[Some(5), Some(9), Some(2)], None);
        check_together(&[Some(-3), Some(-3), Some(-3), Some(8)], Some((-3, &[true, true, true, false])));
    }

    #[test]
    fn the_middle_one_of_most_says_by_how_much() {
        let by = |tenths: &[i64]| {
            let moved: Vec<_> = tenths.iter().map(|it| Some(Delta::from_nanos(it * 100_000_000))).collect();
            found(&moved).map(|(it, _)| (it.by.nanos() / 100_000_000, it.moved, it.of))
        };
        assert_eq!(by(&[50, 51, 52, 53, 54]), Some((52, 5, 5)));
        assert_eq!(by(&[-50, -51, -52, -53, -54]), Some((-52, 5, 5)));
        assert_eq!(by(&[50, 50, 50, 50, 0, 0, 0]), Some((50, 4, 7)));
        assert_eq!(by(&[-50, -50, -50, -50, 0, 0, 0]), Some((-50, 4, 7)));
        // What counts as one is no movement.
        assert_eq!(by(&[5, 5, 5]), None);
        assert_eq!(by(&[-5, -5, -5]), None);
        assert_eq!(by(&[6, 6, 6]), Some((6, 3, 3)));
    }

    #[test]
    fn with_them_moved_who_moved_at_all_and_as_far_as_they() {
        let together = Together { by: Delta::from_nanos(600_000_000), moved: 3, of: 4 };
        for (moved_ms, with) in [(499, false), (500, false), (501, true), (1_100, true), (1_101, false), (-600, false)]
        {
            assert_eq!(together.includes(Some(Delta::from_nanos(moved_ms * 1_000_000)), ALIKE), with, "{moved_ms} ms");
        }
        assert!(!together.includes(None, ALIKE));
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter_and_small_movements_are_none(
            moved in prop::collection::vec(prop::option::of(-3i64..4), 0..12),
        ) {
            let at = |moved: &[Option<i64>]| {
                let moved: Vec<_> = moved.iter().map(|s| s.map(|s| Delta::from_nanos(s * 300_000_000))).collect();
                found(&moved)
            };
            let found = at(&moved);
            let mut reversed = moved.clone();
            reversed.reverse();
            let again = at(&reversed).map(|(together, mut with)| {
                with.reverse();
                (together, with)
            });
            prop_assert_eq!(&found, &again);
            if let Some((together, with)) = found {
                prop_assert!(together.moved * 2 > together.of);
                prop_assert_eq!(together.moved, with.iter().filter(|with| **with).count());
                for (moved, with) in moved.iter().zip(with) {
                    prop_assert!(!with || moved.is_some_and(|s| s.abs() > 1));
                }
            }
        }
    }
}
