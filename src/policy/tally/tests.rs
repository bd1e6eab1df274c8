use super::*;
use crate::clock::{Boot, Raw, Wall};
use crate::policy::assess::assess_zones;
use crate::policy::{Suspicion, Yardstick};
use proptest::prelude::*;

const TOLERANCE: Tolerance = Tolerance {
    offset_max: Duration::from_millis(500),
    error_max: Duration::from_secs(2),
    unsynchronized_max: Duration::from_secs(300),
    stale_after: Duration::from_secs(60),
};
const MS: i64 = 1_000_000;

/// Our clocks after so many milliseconds; the wall clock was moved by `stepped` and slewed by `slewed` milliseconds.
fn moved(ms: u64, stepped: i64, slewed: i64) -> Sample {
    moved_after(Duration::from_millis(ms), stepped, slewed)
}

fn moved_after(passed: Duration, stepped: i64, slewed: i64) -> Sample {
    let nanos = 1_000_000_000 + u64::try_from(passed.as_nanos()).unwrap();
    let slewed_ns = u64::try_from(slewed * MS).unwrap();
    Sample {
        before: Mono::from_nanos(nanos + slewed_ns),
        after: Mono::from_nanos(nanos + slewed_ns),
        boot: Boot::from_nanos(nanos + slewed_ns),
        raw: Raw::from_nanos(nanos),
        wall: Wall::from_unix_nanos(i64::try_from(nanos + slewed_ns).unwrap() + stepped * MS),
    }
}

/// Our clocks after so many milliseconds, which nobody touched.
fn calm(ms: u64) -> Sample {
    moved(ms, 0, 0)
}

/// A tally that has seen that our clock is as good as its oscillator, until 100 s.
fn tally() -> Tally {
    let mut tally = Tally::new(&TOLERANCE);
    for ms in (0..=100_000).step_by(20_000) {
        let _ = tally.frame(None, &calm(ms));
    }
    assert_eq!(tally.rate_ppm, 0);
    tally
}

fn interval(ms: i64, bound_us: u64) -> OffsetInterval {
    OffsetInterval::new(Delta::from_nanos(ms * MS), Duration::from_micros(bound_us))
}

/// Offsets come in clumps, with values on and next to the limits.
fn offset() -> impl Strategy<Value = OffsetInterval> {
    let middle = prop_oneof![Just(0i64), Just(500), Just(501), Just(-501), Just(2_000), -3_000i64..3_000];
    (middle, prop_oneof![Just(0u64), Just(1_000), 0u64..900_000]).prop_map(|(ms, bound)| interval(ms, bound))
}

fn evidence() -> impl Strategy<Value = NodeEvidence> {
    let moved = prop_oneof![Just(0i64), Just(2_000), -3_000i64..3_000];
    (prop::option::weighted(0.9, offset()), prop::option::of(offset()), prop::option::of(moved)).prop_map(
        |(against_us, own, moved)| NodeEvidence { against_us, own, moved: moved.map(|ms| Delta::from_nanos(ms * MS)) },
    )
}

/// A node, what is set of it, its zone, and how many nanoseconds pass before.
type Change = (u32, Option<NodeEvidence>, Option<usize>, u64);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let zone = prop::option::weighted(0.8, 0usize..3);
    prop::collection::vec((0u32..14, prop::option::weighted(0.8, evidence()), zone, 0u64..4_000_000_000), 1..40)
}

const ZONES: [&str; 3] = ["a", "b", "c"];

proptest! {
    #[test]
    fn says_what_an_assessment_of_all_nodes_says(
        changes in changes(), ours in prop::option::weighted(0.3, offset()), later in 0u64..60_000_000_000,
    ) {
        let (mut tally, mut all, mut passed) = (tally(), BTreeMap::new(), Duration::from_secs(100));
        for (id, evidence, zone, nanos) in changes {
            passed += Duration::from_nanos(nanos);
            let zone = zone.map(|zone| ZONES[zone]);
            tally.set(id, evidence, &moved_after(passed, 0, 0), zone);
            match evidence {
                Some(evidence) => all.insert(id, (evidence, passed, zone)),
                None => all.remove(&id),
            };
            for now in [passed, passed + Duration::from_nanos(later)] {
                let aged = |(evidence, at, _): &(NodeEvidence, Duration, _)| NodeEvidence {
                    against_us: evidence.against_us.map(|it| it.aged(now - *at)),
                    own: evidence.own.map(|it| it.aged(now - *at)),
                    moved: evidence.moved,
                };
                let nodes: Vec<NodeEvidence> = all.values().map(aged).collect();
                let zones: Vec<Option<&str>> = all.values().map(|(_, _, zone)| *zone).collect();
                let expected = assess_zones(&nodes, &zones, ours, &TOLERANCE);
                // A clone, so that the moment to come is not the latest that was heard of.
                let frame = tally.clone().frame(ours, &moved_after(now, 0, 0));
                prop_assert_eq!(frame.yardstick, expected.yardstick);
                prop_assert_eq!(&frame.zones, &expected.zones);
                prop_assert_eq!(kind(frame.suspicion), kind(expected.suspicion));
                let offsets: Vec<_> = nodes.iter().map(|node| frame.offset(node)).collect();
                prop_assert_eq!(offsets, expected.offsets);
                let moved: Vec<_> = nodes.iter().map(|node| frame.moved(node)).collect();
                prop_assert_eq!(moved, expected.moved);
            }
        }
    }
}

/// But for the ids of members, which are others in a list.
fn kind(suspicion: Option<Suspicion>) -> Option<(u8, usize, usize, Delta)> {
    suspicion.map(|it| match it {
        Suspicion::FleetShifted { shifted, of, by } => (0, shifted, of, by),
        Suspicion::FleetMoved(together) => (1, together.moved, together.of, together.by),
        Suspicion::ControllerApart { by, agreeing, of } => (2, agreeing, of, by),
        Suspicion::TwoGroups { larger, smaller, of } => (3, larger.size * 100 + smaller.size, of, larger.offset),
    })
}

/// A node that is so far from us.
fn measured(ms: i64) -> Option<NodeEvidence> {
    Some(NodeEvidence { against_us: Some(interval(ms, 1_000)), own: None, moved: None })
}

#[test]
fn our_own_clock_being_set_between_two_readings_moves_no_node() {
    const HOUR_MS: i64 = 3_600_000;
    for stepped in [HOUR_MS, -HOUR_MS] {
        let mut tally = tally();
        for id in 0..5 {
            tally.set(id, measured(0), &calm(100_000), None);
        }
        // Two nodes are measured again, and are as far behind us now as we were set forward.
        let now = moved(101_000, stepped, 0);
        for id in 0..2 {
            tally.set(id, measured(-stepped), &now, None);
        }
        let frame = tally.frame(None, &now);
        for id in 0..5 {
            let offset = frame.offset(&tally.evidence(id, &now).unwrap()).unwrap();
            assert!(offset.surely_within(Duration::from_millis(10)), "{id}: {offset}");
        }
        let Some(Suspicion::ControllerApart { agreeing: 5, of: 5, .. }) = frame.suspicion else { panic!("{frame:?}") };
        assert_eq!(frame.apart, Some(Delta::from_nanos(stepped * MS)));
    }
}

/// What happens to our own clock, (in how many milliseconds, stepped by, slewed by) in milliseconds, and to us.
fn disturbances() -> impl Strategy<Value = Vec<(u64, i64, i64, [u64; 4])>> {
    let stepped = prop_oneof![4 => Just(0i64), 1 => -10_000_000i64..10_000_000];
    // Never so slowly that it could be taken for the oscillator's error: more than 500 ppm more than that, for 21 s.
    let slewed = prop_oneof![4 => Just(0i64), 1 => 20i64..80];
    prop::collection::vec((1u64..5_000, stepped, slewed, preempted()), 1..60)
}

/// For how long we were preempted between the reads of two clocks, each in its turn, in microseconds.
fn preempted() -> impl Strategy<Value = [u64; 4]> {
    prop_oneof![4 => Just([0u64; 4]), 1 => [0u64..2_000, 0u64..2_000, 0u64..2_000, 0u64..2_000]]
}

proptest! {
    /// The nodes' clocks are all right but one, so the consensus is where the right time is against ours. That one is
    /// near the limit, so that a little more or less makes it one that agrees.
    #[test]
    fn whatever_is_done_to_our_own_clock_the_consensus_contains_the_truth(
        disturbances in disturbances(), wrong_ppm in -400i64..400, at_rest in any::<bool>(),
        near_us in prop_oneof![490_000i64..520_000, -520_000i64..-490_000],
    ) {
        let mut tally = Tally::new(&TOLERANCE);
        let (mut ms, mut stepped, mut slewed) = (0, 0, 0);
        // An oscillator that is wrong by so much, which the kernel makes up for: what it counts is not what passes.
        let clocks = |ms: u64, stepped: i64, slewed: i64, [wall, boot, raw, after]: [u64; 4]| {
            let sample = moved(ms, stepped, slewed);
            let wrong_ns = i64::try_from(ms).unwrap() * wrong_ppm;
            let (boot, raw, after) = (wall + boot, wall + boot + raw, wall + boot + raw + after);
            Sample {
                wall: sample.wall.plus(Delta::from(Duration::from_micros(wall))),
                boot: sample.boot.after(Duration::from_micros(boot)),
                raw: Raw::from_nanos(sample.raw.nanos().checked_add_signed(wrong_ns).unwrap() + raw * 1_000),
                after: sample.after.after(Duration::from_micros(after)),
                ..sample
            }
        };
        if at_rest {
            for _ in 0..6 {
                ms += 20_000;
                let _ = tally.frame(None, &clocks(ms, 0, 0, [0; 4]));
            }
        }
        for (number, (passed, step, slew, preempted)) in (0..).zip(disturbances) {
            (ms, stepped, slewed) = (ms + passed, stepped + step, slewed + slew);
            let now = clocks(ms, stepped, slewed, preempted);
            let truth = Delta::from_nanos((stepped + slewed) * -MS);
            let wrong = Delta::from_nanos(if number % 7 == 6 { near_us * 1_000 } else { 0 });
            let against_us = Some(OffsetInterval::new(truth.plus(wrong), Duration::ZERO));
            tally.set(number % 7, Some(NodeEvidence { against_us, ..NodeEvidence::default() }), &now, None);
            let frame = tally.frame(None, &now);
            let known: Vec<NodeEvidence> = (0..7).filter_map(|id| tally.evidence(id, &now)).collect();
            prop_assert_eq!(frame.yardstick, assess_zones(&known, &[], None, &TOLERANCE).yardstick);
            for evidence in known.iter().take(6) {
                let known = evidence.against_us.unwrap();
                prop_assert!(known.contains(truth), "{known} where {truth} is true");
                prop_assert!(known.bound() < Duration::from_millis(50), "{known}");
            }
            if number >= 2 {
                let Yardstick::Consensus(found) = frame.yardstick else { panic!("{frame:?}") };
                prop_assert!(found.interval.contains(truth), "{} where {truth} is true", found.interval);
            }
        }
    }
}

/// A fleet of which every second node is 5 s ahead.
fn halves(nodes: u32) -> Tally {
    let mut tally = tally();
    for id in 0..nodes {
        tally.set(id, measured(if id % 2 == 0 { 0 } else { 5_000 }), &calm(100_000), None);
    }
    tally
}

/// The sizes of the two groups, their offsets in milliseconds, and when to look again.
fn groups(frame: &Frame) -> ([(usize, i64); 2], Option<u64>) {
    let Some(Suspicion::TwoGroups { larger, smaller, .. }) = frame.suspicion else { panic!("{frame:?}") };
    let of = |group: crate::policy::Group| (group.size, group.offset.nanos() / MS);
    ([of(larger), of(smaller)], frame.due.map(|due| due.nanos() / 1_000_000 - 1_000))
}

#[test]
fn a_large_fleet_in_two_minds_is_looked_at_once_a_second() {
    let mut tally = halves(100);
    assert_eq!(groups(&tally.frame(None, &calm(100_000))), ([(50, 0), (50, 5_000)], None));
    // Nothing changed: nothing is to be looked at, however late.
    assert_eq!(groups(&tally.frame(None, &calm(100_300))), ([(50, 0), (50, 5_000)], None));
    // One node is somewhere else, which is told a second after the last look. Only our own clock moves them at once.
    tally.set(1, measured(9_000), &calm(100_400), None);
    assert_eq!(groups(&tally.frame(None, &calm(100_500))), ([(50, 0), (50, 5_000)], Some(101_000)));
    let set_back = moved(100_600, -3_000, 0);
    assert_eq!(groups(&tally.frame(None, &set_back)), ([(50, 3_000), (50, 8_000)], Some(101_000)));
    assert_eq!(groups(&tally.frame(None, &calm(101_000))), ([(50, 0), (49, 5_000)], None));
}

#[test]
fn a_small_fleet_and_one_that_grows_are_looked_at_at_once() {
    let mut small = halves(10);
    let _ = small.frame(None, &calm(100_000));
    small.set(1, measured(9_000), &calm(100_000), None);
    assert_eq!(groups(&small.frame(None, &calm(100_000))), ([(5, 0), (4, 5_000)], None));
    // A first look at two nodes, which are no two groups, must not serve for the hundred that come within a second.
    let mut grows = halves(2);
    assert_eq!(grows.frame(None, &calm(100_000)).suspicion, None);
    for id in 2..100 {
        grows.set(id, measured(if id % 2 == 0 { 0 } else { 5_000 }), &calm(100_100), None);
    }
    assert_eq!(groups(&grows.frame(None, &calm(100_100))), ([(50, 0), (50, 5_000)], None));
    for id in 100..120 {
        grows.set(id, measured(0), &calm(100_200), None);
    }
    // Now it has a majority, which is seen at once in any case; and then again not.
    assert!(matches!(grows.frame(None, &calm(100_200)).yardstick, Yardstick::Consensus(_)));
    for id in 120..140 {
        grows.set(id, measured(5_000), &calm(100_300), None);
    }
    assert_eq!(groups(&grows.frame(None, &calm(100_300))), ([(70, 0), (70, 5_000)], None));
}

#[test]
fn a_look_that_still_serves_moves_with_our_clock_wherever_that_stood() {
    let mut tally = halves(100);
    assert_eq!(groups(&tally.frame(None, &moved(100_000, 2_000, 0))), ([(50, -2_000), (50, 3_000)], None));
    assert_eq!(groups(&tally.frame(None, &moved(100_300, -3_000, 0))), ([(50, 3_000), (50, 8_000)], None));
}

#[test]
fn a_look_serves_more_than_a_few_nodes_of_which_an_eighth_may_be_new() {
    let mut few = halves(64);
    let _ = few.frame(None, &calm(100_000));
    few.set(1, measured(9_000), &calm(100_000), None);
    assert_eq!(groups(&few.frame(None, &calm(100_000))), ([(32, 0), (31, 5_000)], None));
    let mut many = halves(100);
    let _ = many.frame(None, &calm(100_000));
    for id in 100..110 {
        many.set(id, measured(if id % 2 == 0 { 0 } else { 5_000 }), &calm(100_100), None);
    }
    assert_eq!(groups(&many.frame(None, &calm(100_100))), ([(50, 0), (50, 5_000)], Some(101_000)));
}

#[test]
fn a_clock_of_ours_that_is_corrected_more_ages_what_is_known_faster_at_once() {
    let mut tally = tally();
    tally.set(0, measured(0), &calm(100_000), None);
    // 2 ms in 20 s are 100 ppm.
    let now = moved(120_000, 0, 2);
    let _ = tally.frame(None, &now);
    assert!((100..=110).contains(&tally.rate_ppm), "{}", tally.rate_ppm);
    let edges = tally.all.measured.read(tally.against_us(&now));
    let read = (edges.lows.nth(0).unwrap().0, edges.highs.nth(0).unwrap().0);
    let kept = tally.evidence(0, &now).unwrap().against_us.unwrap();
    assert_eq!(read, (kept.low(), kept.high()), "what is kept was put in order for the new rate");
}

#[test]
fn a_look_at_nodes_that_were_not_measured_does_not_serve_for_a_split() {
    let mut tally = tally();
    let silent = NodeEvidence { own: Some(interval(0, 1_000)), ..NodeEvidence::default() };
    for id in 0..100 {
        tally.set(id, Some(silent), &calm(100_000), None);
    }
    assert_eq!(tally.frame(None, &calm(100_000)).suspicion, None);
    for id in 0..100 {
        tally.set(id, measured(if id % 2 == 0 { 0 } else { 5_000 }), &calm(100_100), None);
    }
    assert_eq!(groups(&tally.frame(None, &calm(100_100))), ([(50, 0), (50, 5_000)], None));
}

#[test]
fn what_is_withdrawn_leaves_nothing_behind() {
    let mut tally = halves(20);
    tally.set(20, measured(0), &calm(100_000), Some("a"));
    for id in 0..21 {
        if id % 2 == 0 { tally.remove(id) } else { tally.set(id, None, &calm(100_000), Some("a")) }
    }
    assert!(!halves(2).is_empty() && halves(2).len() == 2);
    assert!(tally.is_empty() && tally.zones.is_empty() && tally.moved.is_empty());
    assert!(tally.all.measured.is_empty() && tally.all.own.is_empty());
}
