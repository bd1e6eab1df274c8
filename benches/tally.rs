//! What one node's change costs a policy: `cargo bench --locked --bench tally`.
//!
//! A fleet is measured in turn, every node once in ten seconds of its own time, three zones, all of one mind or in two
//! halves. Printed per change: putting the evidence in its place, and saying what holds then.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use clockwarden::clock::{Boot, Delta, Mono, OffsetInterval, Raw, Sample, Tolerance, Wall};
use clockwarden::policy::{NodeEvidence, Suspicion, Tally};
use clockwarden::runtime::mono_now;
use std::time::Duration;

const TOLERANCE: Tolerance = Tolerance {
    offset_max: Duration::from_millis(500),
    error_max: Duration::from_secs(2),
    unsynchronized_max: Duration::from_secs(300),
    stale_after: Duration::from_secs(60),
};
const ZONES: [&str; 3] = ["a", "b", "c"];
const ROUNDS: u32 = 50_000;
const SECOND: u64 = 1_000_000_000;

/// Our clocks, which nobody touches.
fn clocks(nanos: u64) -> Sample {
    let wall = Wall::from_unix_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
    let (before, after) = (Mono::from_nanos(nanos), Mono::from_nanos(nanos));
    Sample { before, wall, boot: Boot::from_nanos(nanos), raw: Raw::from_nanos(nanos), after }
}

/// The same numbers every time (D. Knuth's MMIX generator).
fn next(random: &mut u64) -> u32 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*random >> 32).unwrap_or(0)
}

fn zone(id: u32) -> Option<&'static str> {
    ZONES.iter().cycle().nth(usize::try_from(id % 3).ok()?).copied()
}

/// Up to 1 ms from right; or, every second node, 5 s ahead.
fn evidence(id: u32, split: bool, random: &mut u64) -> NodeEvidence {
    let jitter = i64::from(next(random) % 1_000_000);
    let far = if split && id.is_multiple_of(2) { 5_000_000_000 } else { 0 };
    let against_us = OffsetInterval::new(Delta::from_nanos(far + jitter), Duration::from_micros(300));
    let own = OffsetInterval::new(Delta::from_nanos(jitter / 2), Duration::from_micros(900));
    NodeEvidence { against_us: Some(against_us), own: Some(own), moved: Some(Delta::ZERO) }
}

fn measure(nodes: u32, split: bool) {
    let (mut tally, mut random, mut now) = (Tally::new(&TOLERANCE), 1, SECOND);
    for _ in 0..6 {
        now += 20 * SECOND;
        let _ = tally.frame(None, &clocks(now));
    }
    for id in 0..nodes {
        tally.set(id, Some(evidence(id, split, &mut random)), &clocks(now), zone(id));
    }
    let (mut set, mut framed) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        now += 10 * SECOND / u64::from(nodes);
        let id = next(&mut random) % nodes;
        let (evidence, clocks) = (evidence(id, split, &mut random), clocks(now));
        let began = mono_now();
        tally.set(id, Some(evidence), &clocks, zone(id));
        let between = mono_now();
        let frame = tally.frame(None, &clocks);
        framed += mono_now().since(between);
        set += between.since(began);
        assert_eq!(matches!(frame.suspicion, Some(Suspicion::TwoGroups { .. })), split, "{frame:?}");
    }
    let each = |spent: Duration| spent.as_nanos() / u128::from(ROUNDS);
    let halves = if split { ", two halves" } else { "" };
    println!("{nodes:>6} nodes{halves}: set {} ns, frame {} ns", each(set), each(framed));
}

fn main() {
    for split in [false, true] {
        for nodes in [50, 1_000, 5_000, 100_000] {
            measure(nodes, split);
        }
    }
}
