//! Fuses what independent witnesses say about one clock.
//!
//! Each gives an interval; if all are true, the truth lies in their overlap (K. Marzullo, 1984; NTP's selection
//! algorithm descends from it, RFC 5905 section 11.2.1). Unlike NTP we do not need one answer at any price:
//! witnesses that cannot all be true are an answer of their own, and are never averaged away.
//!
//! Does not know: where readings come from, policies, the current time.

use super::interval::OffsetInterval;
use super::time::{Delta, Mono};
use std::time::Duration;

/// What one source said, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Name of the source: `kernel`, `chrony`, `ntp://10.0.0.1:123`.
    pub source: String,
    /// Offset of this machine's clock against that source.
    pub interval: OffsetInterval,
    /// When, by this machine's monotonic clock.
    pub taken: Mono,
}

/// What the witnesses, together, let us say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fused {
    /// All overlap; at least as narrow as the best of them.
    Agreed(OffsetInterval),
    /// They cannot all be true.
    Conflict {
        /// Where most of them overlap (the lowest such place, if there are several).
        largest: OffsetInterval,
        /// The sources that exclude it, in the order of their names.
        dissent: Vec<String>,
        /// Every two that cannot both be true, those furthest apart first.
        disputes: Vec<Dispute>,
    },
    /// Nothing fresh. Neither zero nor healthy.
    Silent,
}

/// Two sources that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The source against which the clock is further behind, or less far ahead.
    pub low: String,
    /// The other one.
    pub high: String,
    /// By how much the nearest that they allow still differs: the truth is at least as far from one of them.
    pub apart: Duration,
}

/// Ages each reading to `now`, drops those older than `stale_after`, and intersects the rest.
///
/// Touching intervals overlap, and the order of `readings` does not matter.
#[must_use]
pub fn fuse(readings: &[Reading], now: Mono, stale_after: Duration) -> Fused {
    let fresh: Vec<(&str, OffsetInterval)> = readings
        .iter()
        .map(|r| (r, now.since(r.taken)))
        .filter(|(_, age)| *age <= stale_after)
        .map(|(r, age)| (r.source.as_str(), r.interval.aged(age)))
        .collect();
    let intervals: Vec<OffsetInterval> = fresh.iter().map(|(_, it)| *it).collect();
    let Some((largest, witnesses)) = most_overlap(&intervals) else {
        return Fused::Silent;
    };
    if witnesses == fresh.len() {
        return Fused::Agreed(largest);
    }
    let mut dissent: Vec<String> =
        fresh.iter().filter(|(_, it)| !it.overlaps(largest)).map(|(name, _)| (*name).to_owned()).collect();
    dissent.sort();
    Fused::Conflict { largest, dissent, disputes: disputes(&fresh) }
}

/// Every two that do not overlap; of several, those furthest apart first, then by name.
fn disputes(fresh: &[(&str, OffsetInterval)]) -> Vec<Dispute> {
    let between = |(low, below): &(&str, OffsetInterval), (high, above): &(&str, OffsetInterval)| {
        let apart = above.low().minus(below.high());
        let dispute = || Dispute { low: (*low).to_owned(), high: (*high).to_owned(), apart: apart.magnitude() };
        (apart > Delta::ZERO).then(dispute)
    };
    let mut all: Vec<Dispute> =
        fresh.iter().flat_map(|low| fresh.iter().filter_map(move |high| between(low, high))).collect();
    all.sort_by(|a, b| b.apart.cmp(&a.apart).then_with(|| (&a.low, &a.high).cmp(&(&b.low, &b.high))));
    all
}

/// The place that most intervals cover, and how many do; the lowest one where several tie. `None` without intervals.
///
/// Edges are swept in order; at equal values a beginning comes before an end, so that intervals which touch overlap.
#[must_use]
pub fn most_overlap(intervals: &[OffsetInterval]) -> Option<(OffsetInterval, usize)> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Edge {
        Begins,
        Ends,
    }
    let mut edges: Vec<_> =
        intervals.iter().flat_map(|it| [(it.low(), Edge::Begins), (it.high(), Edge::Ends)]).collect();
    edges.sort_unstable();
    let (mut open, mut best): (usize, Option<(OffsetInterval, usize)>) = (0, None);
    let mut remaining = edges.iter().peekable();
    while let Some((at, edge)) = remaining.next() {
        match edge {
            Edge::Ends => open = open.saturating_sub(1),
            Edge::Begins => {
                open = open.saturating_add(1);
                if best.is_none_or(|(_, count)| open > count) {
                    // Whatever comes next bounds the place: another beginning raises the count and replaces it.
                    let end = remaining.peek().map_or(*at, |(next, _)| *next);
                    best = Some((OffsetInterval::between(*at, end), open));
                }
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn it(low: i64, high: i64) -> OffsetInterval {
        OffsetInterval::between(Delta::from_nanos(low), Delta::from_nanos(high))
    }

    /// Intervals in, (place, witnesses) out; every order of the intervals must give the same.
    fn check(intervals: &[(i64, i64)], expected: Option<((i64, i64), usize)>) {
        let expected = expected.map(|((low, high), count)| (it(low, high), count));
        let mut all: Vec<_> = intervals.iter().map(|(l, h)| it(*l, *h)).collect();
        for _ in 0..all.len().max(1) {
            assert_eq!(most_overlap(&all), expected, "{all:?}");
            let first = 1.min(all.len());
            all.rotate_left(first);
        }
        all.reverse();
        assert_eq!(most_overlap(&all), expected, "{all:?}");
    }

    #[test]
    fn overlap_is_found_for_touching_nested_equal_and_zero_width_intervals() {
        check(&[], None);
        check(&[(3, 7)], Some(((3, 7), 1)));
        check(&[(3, 7), (7, 9)], Some(((7, 7), 2)));
        check(&[(0, 10), (4, 6)], Some(((4, 6), 2)));
        check(&[(4, 6), (4, 6), (4, 6)], Some(((4, 6), 3)));
        check(&[(5, 5), (0, 10)], Some(((5, 5), 2)));
        check(&[(5, 5), (5, 5)], Some(((5, 5), 2)));
        check(&[(0, 1), (10, 11)], Some(((0, 1), 1)));
        check(&[(8, 12), (11, 13), (14, 15)], Some(((11, 12), 2)));
        check(&[(8, 12), (11, 13), (10, 12)], Some(((11, 12), 3)));
        check(&[(8, 9), (8, 12), (10, 12)], Some(((8, 9), 2)));
    }

    #[test]
    fn intervals_that_touch_are_no_dispute() {
        let readings = [reading("a", 0, 1, 0), reading("b", 1, 2, 0), reading("c", 12, 13, 0)];
        let Fused::Conflict { disputes, .. } = fuse(&readings, Mono::from_nanos(0), Duration::ZERO) else {
            panic!("c contradicts both");
        };
        let found: Vec<_> = disputes.iter().map(|it| (it.low.as_str(), it.high.as_str(), it.apart)).collect();
        assert_eq!(found, [("a", "c", Duration::from_nanos(11)), ("b", "c", Duration::from_nanos(10))]);
    }

    fn reading(source: &str, low: i64, high: i64, taken: u64) -> Reading {
        Reading { source: source.into(), interval: it(low, high), taken: Mono::from_nanos(taken) }
    }

    #[test]
    fn stale_witnesses_are_silent_and_silence_is_not_zero() {
        let stale = Duration::from_nanos(10);
        assert_eq!(fuse(&[], Mono::from_nanos(0), stale), Fused::Silent);
        assert_eq!(fuse(&[reading("a", 0, 1, 0)], Mono::from_nanos(11), stale), Fused::Silent);
    }

    #[test]
    fn a_conflict_names_who_disagrees_and_is_not_averaged() {
        let readings = [reading("b", 0, 2, 0), reading("c", 1, 3, 0), reading("a", 90, 91, 0)];
        let fused = fuse(&readings, Mono::from_nanos(0), Duration::from_secs(1));
        let dispute =
            |low: &str, apart| Dispute { low: low.into(), high: "a".into(), apart: Duration::from_nanos(apart) };
        let disputes = vec![dispute("b", 88), dispute("c", 87)];
        assert_eq!(fused, Fused::Conflict { largest: it(1, 2), dissent: vec!["a".into()], disputes });
    }

    #[test]
    fn an_offset_of_two_to_the_32_nanoseconds_is_whatever_a_second_witness_says() {
        // Seen on KVM guests (node_exporter #3764). The kernel's interval covers zero and the reported offset; neither
        // reading is dropped for its size, and neither is believed alone.
        const ARTEFACT: i64 = 1 << 32;
        let kernel = reading("kernel", -1_000, ARTEFACT + 1_000, 0);
        let with = |low, high| {
            fuse(&[kernel.clone(), reading("chrony", low, high, 0)], Mono::from_nanos(0), Duration::from_secs(1))
        };
        assert_eq!(with(-500, 500), Fused::Agreed(it(-500, 500)));
        assert_eq!(with(ARTEFACT - 500, ARTEFACT + 500), Fused::Agreed(it(ARTEFACT - 500, ARTEFACT + 500)));
        assert!(matches!(with(-900_000, -800_000), Fused::Conflict { .. }));
    }

    proptest! {
        #[test]
        fn the_truth_is_never_excluded_while_all_witnesses_are_true(
            truth in -1_000_000i64..1_000_000,
            errors in prop::collection::vec((0i64..500_000, 0i64..500_000), 1..8),
        ) {
            let intervals: Vec<_> = errors.iter().map(|(l, h)| it(truth - l, truth + h)).collect();
            let (place, count) = most_overlap(&intervals).unwrap();
            prop_assert_eq!(count, intervals.len());
            prop_assert!(place.contains(Delta::from_nanos(truth)));
        }

        #[test]
        fn the_order_of_the_witnesses_does_not_matter(
            edges in prop::collection::vec((-20i64..20, 0i64..15, 0u64..3), 0..7), turns in 0usize..7,
        ) {
            let readings: Vec<Reading> = edges
                .iter()
                .enumerate()
                .map(|(n, (low, width, taken))| reading(&format!("s{n}"), *low, low + width, *taken))
                .collect();
            let mut turned = readings.clone();
            turned.rotate_left(turns.min(readings.len()));
            let mut reversed = turned.clone();
            reversed.reverse();
            let fused = |of: &[Reading]| fuse(of, Mono::from_nanos(3), Duration::from_nanos(2));
            prop_assert_eq!(fused(&readings), fused(&turned));
            prop_assert_eq!(fused(&readings), fused(&reversed));
            // A conflict names somebody, and whoever dissents disputes somebody.
            if let Fused::Conflict { dissent, disputes, .. } = fused(&readings) {
                prop_assert!(!dissent.is_empty());
                for name in dissent {
                    prop_assert!(disputes.iter().any(|d| d.low == name || d.high == name));
                }
            }
        }

        #[test]
        fn the_count_is_what_counting_by_hand_gives(
            edges in prop::collection::vec((-50i64..50, -50i64..50), 1..10),
        ) {
            let intervals: Vec<_> = edges.iter().map(|(a, b)| it(*a, *b)).collect();
            let by_hand = (-50..50)
                .map(|x| intervals.iter().filter(|i| i.contains(Delta::from_nanos(x))).count())
                .max();
            prop_assert_eq!(most_overlap(&intervals).map(|(_, count)| count), by_hand);
        }
    }
}
