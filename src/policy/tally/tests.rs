use super::*;
use crate::clock::{Boot, Raw, Wall};
use crate::policy::Suspicion;
use crate::policy::assess::assess_zones;
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
    let nanos = 1_000_000_000 + ms * 1_000_000;
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

/// A node, what is set of it, its zone, and how many milliseconds pass before.
type Change = (u32, Option<NodeEvidence>, Option<usize>, u64);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let zone = prop::option::weighted(0.8, 0usize..3);
    prop::collection::vec((0u32..14, prop::option::weighted(0.8, evidence()), zone, 0u64..4_000), 1..40)
}

const ZONES: [&str; 3] = ["a", "b", "c"];

proptest! {
    #[test]
    fn says_what_an_assessment_of_all_nodes_says(
        changes in changes(), ours in prop::option::weighted(0.3, offset()), later in 0u64..60_000,
    ) {
        let (mut tally, mut all, mut ms) = (tally(), BTreeMap::new(), 100_000);
        for (id, evidence, zone, passed) in changes {
            ms += passed;
            let zone = zone.map(|zone| ZONES[zone]);
            tally.set(id, evidence, &calm(ms), zone);
            match evidence {
                Some(evidence) => all.insert(id, (evidence, ms, zone)),
                None => all.remove(&id),
            };
            for now in [ms, ms + later] {
                let aged = |(evidence, at, _): &(NodeEvidence, u64, _)| NodeEvidence {
                    against_us: evidence.against_us.map(|it| it.aged(Duration::from_millis(now - at))),
                    own: evidence.own.map(|it| it.aged(Duration::from_millis(now - at))),
                    moved: evidence.moved,
                };
                let nodes: Vec<NodeEvidence> = all.values().map(aged).collect();
                let zones: Vec<Option<&str>> = all.values().map(|(_, _, zone)| *zone).collect();
                let expected = assess_zones(&nodes, &zones, ours, &TOLERANCE);
                // A clone, so that the moment to come is not the latest that was heard of.
                let frame = tally.clone().frame(ours, &calm(now));
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
