//! The seam itself: ages, our own steps, and who may write.

use super::*;
use crate::clock::{Boot, Mono, Raw, Wall};

/// Our clocks at a second; the wall clock is that many seconds ahead of the others.
fn at(seconds: u64, wall_ahead: i64) -> Sample {
    let nanos = seconds * 1_000_000_000;
    Sample {
        before: Mono::from_nanos(nanos),
        wall: Wall::from_unix_nanos((seconds as i64 + wall_ahead) * 1_000_000_000),
        boot: Boot::from_nanos(nanos),
        raw: Raw::from_nanos(nanos),
        after: Mono::from_nanos(nanos + 1_000),
    }
}

fn reading() -> NodeReading {
    let right = OffsetInterval::new(Delta::ZERO, Duration::from_millis(1));
    NodeReading { against_us: Some(right), ..NodeReading::at(at(10, 0)) }
}

#[test]
fn a_step_of_our_own_clock_does_not_move_the_nodes() {
    let right = Duration::from_millis(100);
    assert!(reading().against_us_now(&at(11, 0)).unwrap().surely_within(right));
    // Ours is put 15 s ahead: the node is now 15 s behind us, and that is what is said.
    let behind = reading().against_us_now(&at(11, 15)).unwrap();
    assert!(behind.contains(Delta::from_nanos(-15_000_000_000)) && behind.bound() < right, "{behind}");
}

#[test]
fn a_slew_of_our_own_clock_does_not_move_the_nodes() {
    // For ten seconds by 83,333 ppm: the oscillator has counted less than the clock that is driven faster.
    let mut later = at(20, 0);
    later.raw = Raw::from_nanos(20_000_000_000 - 833_333_333);
    let behind = reading().against_us_now(&later).unwrap();
    let right = Duration::from_millis(10);
    assert!(behind.contains(Delta::from_nanos(-833_333_333)) && behind.bound() < right, "{behind}");
    assert!(!reading().against_us_now(&at(20, 0)).unwrap().surely_beyond(right));
}

#[test]
fn what_was_old_when_it_arrived_is_older_now_and_wider() {
    let old = NodeReading { age_then: Duration::from_secs(40), ..reading() };
    assert_eq!(old.age(&at(12, 0)), Duration::from_secs(42));
    assert!(old.against_us_now(&at(12, 0)).unwrap().bound() > reading().against_us_now(&at(12, 0)).unwrap().bound());
}

#[test]
fn a_withdrawn_pen_brings_nothing_back() {
    let (observations, source) = (Observations::default(), Source::Agent { port: 1 });
    let (old, new) = (observations.pen(&source), observations.pen(&source));
    old.good("n1", reading());
    old.withdraw(Some("n1"));
    old.good("n1", reading());
    assert!(observations.with(|observed| observed.get(&source, "n1").is_none()));
    new.good("n1", reading());
    new.bad("n1", "no answer".to_owned());
    observations.with(|observed| {
        let kept = observed.get(&source, "n1").unwrap();
        assert!(kept.reading.is_some() && kept.failure.is_some(), "the last good reading is left to grow stale");
        assert!(observed.get(&Source::Agent { port: 2 }, "n1").is_none(), "another source has said nothing");
    });
}
