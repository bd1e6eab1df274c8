//! What time the cluster thinks it is, with no NTP server at all.
//!
//! Every node's clock was measured against one observer. The cluster's own time is the median: of the lower edges and
//! of the upper edges, so that it is an interval too, and so that fewer than half of the nodes cannot move it beyond
//! what the rest say, whatever they claim. The observer has no vote: its clock is that of one of the nodes already.
//!
//! A median always exists; a consensus does not. It needs three witnesses, more than half of whom lie near it, and
//! an interval narrow enough to judge by. Two halves that disagree have none: nothing here can tell which is right.
//!
//! Source: median against Byzantine clocks: Lamport and Melliar-Smith, "Byzantine Clock Synchronization", 1984.

use super::interval::OffsetInterval;
use super::ranks::{Order, Sorted};
use super::time::Delta;
use std::time::Duration;

/// Fewer witnesses than this can outvote nobody.
pub const WITNESSES_MIN: usize = 3;

/// A cluster's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consensus {
    /// The cluster's time against the observer's clock; positive: the cluster is ahead of the observer.
    pub interval: OffsetInterval,
    /// How many nodes are near it.
    pub agreeing: usize,
    /// How many were asked.
    pub of: usize,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoConsensus {
    /// Fewer than [`WITNESSES_MIN`] nodes have fresh evidence.
    TooFew {
        /// How many have.
        have: usize,
    },
    /// No majority is of one mind.
    Split {
        /// The most that are near the median.
        agreeing: usize,
        /// How many were asked.
        of: usize,
    },
}

/// The lower and the upper edges of the nodes' intervals, each in order. Of every node both are there, under its id.
#[derive(Debug, Clone, Copy)]
pub struct Edges<L> {
    /// The lower edges.
    pub lows: L,
    /// The upper edges.
    pub highs: L,
}

/// How many nodes are beyond a limit in the direction in which most of those are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// How many.
    pub shifted: usize,
    /// Of how many.
    pub of: usize,
    /// The middle one of them, by the edge that is nearer to zero.
    pub middle: u32,
}

impl Edges<Sorted> {
    /// Of these intervals, each under its id.
    #[must_use]
    pub fn of(nodes: impl Iterator<Item = (u32, OffsetInterval)> + Clone) -> Edges<Sorted> {
        Edges {
            lows: nodes.clone().map(|(id, it)| (it.low(), id)).collect(),
            highs: nodes.map(|(id, it)| (it.high(), id)).collect(),
        }
    }
}

impl<L: Order> Edges<L> {
    /// The consensus of the nodes, each measured against the same observer. Nodes further than `apart` from the median
    /// for certain do not agree with it.
    ///
    /// # Errors
    /// Too few nodes, or no majority of one mind.
    pub fn consensus(&self, apart: Duration) -> Result<Consensus, NoConsensus> {
        let of = self.lows.len();
        if of < WITNESSES_MIN {
            return Err(NoConsensus::TooFew { have: of });
        }
        // An even number has two middles; taking the outer one on either side keeps the answer honest: two equal halves
        // give an interval that spans both, which is then too wide to judge by.
        let low = self.lows.nth((of - 1) / 2).map_or(Delta::ZERO, |(low, _)| low);
        let high = self.highs.nth(of / 2).map_or(Delta::ZERO, |(high, _)| high);
        let interval = OffsetInterval::between(low, high);
        let (ahead, behind) = self.beyond(interval, apart);
        let agreeing = of.saturating_sub(ahead).saturating_sub(behind);
        if interval.bound() > apart || agreeing * 2 <= of {
            let agreeing = if interval.bound() > apart { of / 2 } else { agreeing };
            return Err(NoConsensus::Split { agreeing, of });
        }
        Ok(Consensus { interval, agreeing, of })
    }

    /// How many are for certain further than `limit` ahead of `yardstick`, and how many behind it.
    #[must_use]
    pub fn beyond(&self, yardstick: OffsetInterval, limit: Duration) -> (usize, usize) {
        let limit = Delta::from(limit);
        (self.lows.above(yardstick.high().plus(limit)), self.highs.below(yardstick.low().minus(limit)))
    }

    /// More than half, and at least two, for certain further than `limit` from `yardstick` in the same direction.
    #[must_use]
    pub fn shifted(&self, yardstick: OffsetInterval, limit: Duration) -> Option<Shift> {
        let of = self.lows.len();
        let (ahead, behind) = self.beyond(yardstick, limit);
        let (shifted, middle) = if ahead >= behind {
            // The last ones in order are those that are furthest ahead.
            (ahead, self.lows.nth(of.checked_sub(ahead)?.saturating_add(ahead / 2))?)
        } else {
            (behind, self.highs.nth(behind / 2)?)
        };
        (shifted >= 2 && shifted * 2 > of).then_some(Shift { shifted, of, middle: middle.1 })
    }
}

/// The consensus of `nodes`; see [`Edges::consensus`].
///
/// # Errors
/// Too few nodes, or no majority of one mind.
pub fn consensus(nodes: &[OffsetInterval], apart: Duration) -> Result<Consensus, NoConsensus> {
    Edges::of((0..).zip(nodes.iter().copied())).consensus(apart)
}

/// The fleet's pairwise skew: how far apart the two clocks that differ most are, never negative. This, not any offset
/// against a reference, is what a token feels between two nodes. `None` for an empty fleet; one clock alone is apart from
/// none.
///
/// It is as much as two of them differ for certain, and no more than two of them may differ at most: a clock that is known
/// badly widens it, wherever its midpoint is.
#[must_use]
pub fn pairwise_skew(nodes: &[OffsetInterval]) -> Option<OffsetInterval> {
    if nodes.len() < 2 {
        return nodes.first().map(|_| OffsetInterval::exactly(Delta::ZERO));
    }
    let least = apart(nodes, OffsetInterval::low, OffsetInterval::high)?.max(Delta::ZERO);
    let most = apart(nodes, OffsetInterval::high, OffsetInterval::low)?;
    Some(OffsetInterval::between(least, most))
}

/// The greatest `upper` of one less the least `lower` of another.
fn apart(
    nodes: &[OffsetInterval],
    upper: impl Fn(OffsetInterval) -> Delta,
    lower: impl Fn(OffsetInterval) -> Delta,
) -> Option<Delta> {
    let others = |without| nodes.iter().copied().enumerate().filter(move |(number, _)| Some(*number) != without);
    let greatest = |without| others(without).map(|(number, it)| (upper(it), number)).max();
    let smallest = |without| others(without).map(|(number, it)| (lower(it), number)).min();
    let ((high, first), (low, last)) = (greatest(None)?, smallest(None)?);
    if first != last {
        return Some(high.minus(low));
    }
    // Both are edges of one clock: the farthest of the others, on either side.
    let below = smallest(Some(first)).map(|(low, _)| high.minus(low));
    let above = greatest(Some(first)).map(|(high, _)| high.minus(low));
    below.max(above)
}

/// What one may write into a configuration: these, and whole minutes beyond.
const LEEWAYS_S: [u64; 6] = [1, 2, 5, 10, 30, 60];

/// The leeway that a [skew](pairwise_skew) takes: its greatest possible value, rounded up to what one would write; never
/// below a second, since tokens carry whole seconds (RFC 7519, NumericDate, as nearly everyone writes it).
#[must_use]
pub fn leeway(skew: OffsetInterval) -> Duration {
    let most = skew.high().magnitude().max(skew.low().magnitude());
    let step = LEEWAYS_S.into_iter().map(Duration::from_secs).find(|step| *step >= most);
    step.unwrap_or_else(|| Duration::from_secs(most.as_secs().div_euclid(60).saturating_add(1).saturating_mul(60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;
    const APART: Duration = Duration::from_millis(500);

    fn node(offset_ms: i64) -> OffsetInterval {
        OffsetInterval::new(Delta::from_nanos(offset_ms * MS), Duration::from_micros(300))
    }

    fn nodes(offsets_ms: &[i64]) -> Vec<OffsetInterval> {
        offsets_ms.iter().map(|ms| node(*ms)).collect()
    }

    #[test]
    fn a_majority_decides_and_two_halves_do_not() {
        let near = |offsets: &[i64]| consensus(&nodes(offsets), APART).map(|c| (c.interval.midpoint(), c.agreeing));
        assert_eq!(near(&[0, 0, 15_000]), Ok((Delta::ZERO, 2)));
        assert_eq!(near(&[-3, 0, 2, 15_000, 15_001]), Ok((Delta::from_nanos(2 * MS), 3)));
        // Of an even number it spans both middles.
        assert_eq!(near(&[0, 0, 100, 100]), Ok((Delta::from_nanos(50 * MS), 4)));
        assert_eq!(near(&[0, 15_000]), Err(NoConsensus::TooFew { have: 2 }));
        assert_eq!(near(&[]), Err(NoConsensus::TooFew { have: 0 }));
        assert_eq!(near(&[0, 0, 15_000, 15_000]), Err(NoConsensus::Split { agreeing: 2, of: 4 }));
        assert_eq!(near(&[-9_000, 0, 9_000]), Err(NoConsensus::Split { agreeing: 1, of: 3 }));
    }

    #[test]
    fn an_interval_as_wide_as_allowed_is_narrow_enough() {
        let wide = OffsetInterval::new(Delta::ZERO, APART);
        assert_eq!(consensus(&[wide; 3], APART), Ok(Consensus { interval: wide, agreeing: 3, of: 3 }));
        let alone = [node(-10_000), node(-10_000), wide, node(10_000), node(10_000)];
        assert_eq!(consensus(&alone, APART), Err(NoConsensus::Split { agreeing: 1, of: 5 }));
    }

    #[test]
    fn shifted_are_more_than_half_and_at_least_two_in_one_direction() {
        let check = |offsets: &[i64], expected: Option<(usize, u32)>| {
            let edges = Edges::of((0..).zip(nodes(offsets)));
            let shift = edges.shifted(OffsetInterval::exactly(Delta::ZERO), APART);
            assert_eq!(shift.map(|it| (it.shifted, it.middle)), expected, "{offsets:?}");
            assert!(shift.is_none_or(|it| it.of == offsets.len()));
        };
        check(&[], None);
        check(&[0, 0, 0], None);
        check(&[3_000], None);
        check(&[3_000, 3_001], Some((2, 1)));
        check(&[3_000, 3_001, 0, 0], None);
        check(&[3_000, 0, 3_002, 3_001, 1], Some((3, 3)));
        check(&[-3_000, 0, -3_002, -3_001, 1], Some((3, 3)));
        check(&[-3_000, -3_002, -3_001, 3_000, 0], Some((3, 2)));
        check(&[-3_000, -3_002, 0], Some((2, 0)));
        // As many behind as ahead is no direction.
        check(&[-3_000, -3_000, 3_000, 3_000], None);
        // The limit itself is within it.
        check(&[500, 500, 500], None);
        check(&[501, 501, 501], Some((3, 1)));
    }

    #[test]
    fn skew_is_what_two_nodes_see_of_one_another() {
        let ms = |ms: i64| Delta::from_nanos(ms * MS);
        let check = |edges: &[(i64, i64)], expected: Option<(i64, i64)>| {
            let nodes: Vec<_> = edges.iter().map(|(low, high)| OffsetInterval::between(ms(*low), ms(*high))).collect();
            let expected = expected.map(|(low, high)| OffsetInterval::between(ms(low), ms(high)));
            assert_eq!(pairwise_skew(&nodes), expected, "{edges:?}");
        };
        check(&[], None);
        check(&[(6, 8)], Some((0, 0)));
        check(&[(-201, -199), (2, 4), (99, 101)], Some((298, 302)));
        // Two that are known equally well may differ by all of it.
        check(&[(-5, 5), (-5, 5)], Some((0, 10)));
        // One that is known badly may be at either end, but not apart from itself.
        check(&[(-50, 60), (0, 1)], Some((0, 60)));
        check(&[(-60, 50), (0, 1)], Some((0, 61)));
        check(&[(-50, 60), (0, 1), (-60, 0)], Some((0, 120)));
    }

    #[test]
    fn the_leeway_covers_all_of_a_skew_and_is_what_one_would_write() {
        for (low_ms, high_ms, expected_s) in [
            (-10, 10, 1),
            (-10, 1_000, 1),
            (-10, 1_001, 2),
            (-1_001, 10, 2),
            (-10, 3_900, 5),
            (-10, 29_000, 30),
            (-10, 60_000, 60),
            (-10, 61_000, 120),
            (-10, 120_001, 180),
        ] {
            let skew = OffsetInterval::between(Delta::from_nanos(low_ms * MS), Delta::from_nanos(high_ms * MS));
            assert_eq!(leeway(skew), Duration::from_secs(expected_s), "{low_ms} to {high_ms} ms");
        }
    }

    proptest! {
        #[test]
        fn liars_in_the_minority_cannot_move_it(
            honest in prop::collection::vec(-20i64..20, 3..20), lies in prop::collection::vec(any::<i32>(), 0..20),
        ) {
            let liars = lies.iter().take(honest.len() - 1).map(|l| node(i64::from(*l)));
            let mut all = nodes(&honest);
            all.extend(liars);
            let found = consensus(&all, APART).unwrap();
            let limit = Delta::from_nanos(21 * MS);
            prop_assert!(found.interval.low() >= Delta::ZERO.minus(limit) && found.interval.high() <= limit);
        }

        #[test]
        fn skew_holds_whatever_is_true_and_is_no_wider_than_that(
            known in prop::collection::vec((-50i64..50, 0i64..30, 0i64..=30), 2..6),
        ) {
            let at = |offset: i64| Delta::from_nanos(offset);
            let nodes: Vec<_> = known.iter().map(|(low, width, _)| OffsetInterval::between(at(*low), at(low + width))).collect();
            let skew = pairwise_skew(&nodes).unwrap();
            let truths: Vec<i64> = known.iter().map(|(low, width, part)| low + width.min(part)).collect();
            let differ = truths.iter().max().unwrap() - truths.iter().min().unwrap();
            prop_assert!(skew.contains(at(differ)), "{skew:?} {differ}");
            // Some pair may differ by the upper edge, and some must by the lower.
            let pairs = || known.iter().enumerate().flat_map(|(i, a)| {
                known.iter().enumerate().filter(move |(j, _)| i != *j).map(move |(_, b)| (a, b))
            });
            let most = pairs().map(|((low, width, _), (other, _, _))| low + width - other).max().unwrap();
            let least = pairs().map(|((low, _, _), (other, width, _))| low - other - width).max().unwrap().max(0);
            prop_assert_eq!((skew.low(), skew.high()), (at(least), at(most)));
        }

        #[test]
        fn the_order_of_nodes_does_not_matter(offsets in prop::collection::vec(-2_000i64..2_000, 0..12)) {
            let mut reversed = nodes(&offsets);
            reversed.reverse();
            prop_assert_eq!(consensus(&nodes(&offsets), APART), consensus(&reversed, APART));
        }
    }
}
