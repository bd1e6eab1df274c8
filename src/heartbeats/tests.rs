use super::*;
use crate::clock::{Boot, Delta, Raw};
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn clocks(at_ms: i64) -> Sample {
    let nanos = u64::try_from(at_ms * MS).unwrap();
    Sample {
        before: Mono::from_nanos(nanos),
        wall: Wall::from_unix_nanos(at_ms * MS),
        boot: Boot::from_nanos(nanos),
        raw: Raw::from_nanos(nanos),
        after: Mono::from_nanos(nanos),
    }
}

/// Lists every second, whose version is the second, and node `n` as told by `(version, renewed ms, arrived ms,
/// settled)`; how many beats count and how many are set aside.
fn check(told: &[(u64, i64, i64, bool)], beats: u64, set_aside: u64) -> Book {
    let mut book = Book::new(Assumed { delay_max: Duration::from_millis(250), steady: Duration::from_millis(50) });
    for (version, renewed, arrived, is_settled) in told {
        book.pulses = Pulses::default();
        for second in 0..=u64::try_from(arrived / 1_000).unwrap() {
            let sent = Mono::from_nanos(second * 1_000_000_000);
            book.pulses.note(Pulse { version: second, sent, answered: sent.after(Duration::from_millis(2)) });
        }
        let renewal = Renewal {
            holder: Holder::Node("n".to_owned()),
            renewed: Wall::from_unix_nanos(renewed * MS),
            version: *version,
        };
        book.renewed(renewal, clocks(*arrived), *is_settled);
    }
    assert_eq!((book.counts.beats, book.counts.set_aside), (beats, set_aside), "{told:?}");
    book
}

#[test]
fn what_a_watch_tells_counts_only_while_it_is_live() {
    check(&[(13, 12_503, 12_506, true)], 1, 0);
    // Just connected: it may be what has accumulated since the list.
    check(&[(13, 12_503, 12_506, false)], 0, 1);
    // The list of second 13 had it already, at least 7 s ago.
    check(&[(13, 12_503, 20_000, true)], 0, 1);
}

#[test]
fn a_change_that_is_no_renewal_is_no_heartbeat() {
    check(&[(13, 12_503, 12_506, true), (18, 12_503, 17_900, true), (23, 22_503, 22_506, true)], 2, 0);
    // Also if the renewal itself was set aside.
    check(&[(13, 12_503, 12_506, false), (18, 12_503, 17_900, true)], 0, 1);
}

#[test]
fn what_is_set_aside_changes_nothing_that_is_known() {
    let good = [(13, 12_503, 12_506, true), (23, 22_503, 22_506, true)];
    let late = [(33, 32_503, 40_000, true), (43, 42_503, 50_000, true)];
    let book = check(&[&good[..], &late[..]].concat(), 2, 2);
    let found = book.estimate(&Holder::Node("n".to_owned()), &clocks(50_000)).unwrap();
    assert!(found.settled && found.interval.contains(Delta::ZERO), "{found:?}");
    assert!(found.interval.bound() < Duration::from_millis(40), "{found:?}");
    assert_eq!(book.estimates(&clocks(50_000)).count(), 1);
}

/// A cluster of right clocks for a minute: every node beats every 10 s, each beat takes a little; a list every second.
/// Within a stall (from, to) nothing of the watch comes through, and nothing of the lists either if it `is_whole`.
#[derive(Debug, Clone)]
struct Stalls {
    stalls: Vec<(i64, i64)>,
    is_whole: bool,
    phases: Vec<i64>,
    quick_ms: Vec<i64>,
}

impl Stalls {
    /// When what is due now comes through.
    fn through(&self, due: i64) -> i64 {
        self.stalls.iter().fold(due, |due, (from, to)| if (*from..*to).contains(&due) { *to } else { due })
    }

    /// Plays it; the book as it is after each event.
    fn play(&self, mut look: impl FnMut(&Book, i64)) {
        // By arrival: (arrived, whether a list, what it is about).
        let mut events: Vec<(i64, bool, i64, usize)> = Vec::new();
        for second in 0..60 {
            let sent = second * 1_000;
            events.push((if self.is_whole { self.through(sent + 4) } else { sent + 4 }, true, sent, 0));
        }
        for (node, phase) in self.phases.iter().enumerate() {
            for beat in 0..6 {
                let renewed = beat * 10_000 + phase;
                let delay = self.quick_ms[(node + beat as usize) % self.quick_ms.len()];
                events.push((self.through(renewed + delay), false, renewed, node));
            }
        }
        // What was committed first comes first out of a stall.
        events.sort_by_key(|(arrived, is_list, about, _)| (*arrived, *is_list, *about));
        let mut book = Book::new(Assumed { delay_max: Duration::from_millis(250), steady: Duration::from_millis(50) });
        let mut settled = 0;
        let version = |at: i64| u64::try_from(at).unwrap() * 100;
        for (arrived, is_list, about, node) in events {
            let now = clocks(arrived);
            if is_list {
                let (sent, answered) = (clocks(about).after, now.after);
                // Served when it came to the API server: after the stall, if it was held up on its way there.
                book.pulses.note(Pulse { version: version(arrived - 2), sent, answered });
            } else {
                let renewal = Renewal {
                    holder: Holder::Node(format!("n{node}")),
                    renewed: Wall::from_unix_nanos(about * MS + 1),
                    version: version(about) + 1 + node as u64,
                };
                if book.renewed(renewal, now, arrived >= settled) != Proof::Live {
                    settled = arrived + watch::SETTLE.as_millis() as i64;
                }
            }
            look(&book, arrived);
        }
    }
}

fn stalls() -> impl Strategy<Value = Stalls> {
    // Shorter ones are within what a heartbeat may be late by; those in between take two that are late alike.
    let stall =
        (0_i64..60_000, prop_oneof![0_i64..400, 3_000_i64..25_000]).prop_map(|(from, long)| (from, from + long));
    let some = prop::collection::vec(stall, 0..5);
    // At the rhythm of the heartbeats: the same nodes are late by the same amount again and again.
    let rhythm = (0_i64..10_000, 3_000_i64..8_000)
        .prop_map(|(from, long)| (0..5).map(|n| (from + n * 10_000, from + n * 10_000 + long)).collect());
    let phases = prop::collection::vec(0_i64..10_000, 20..40);
    (prop_oneof![some, rhythm], any::<bool>(), phases, prop::collection::vec(1_i64..30, 7))
        .prop_map(|(stalls, is_whole, phases, quick_ms)| Stalls { stalls, is_whole, phases, quick_ms })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_watch_that_stalls_however_often_and_long_makes_no_clock_drift(stalls in stalls()) {
        let limit = Duration::from_millis(500);
        let mut heard = 0;
        stalls.play(|book, at| {
            for (holder, estimate) in book.estimates(&clocks(at)) {
                heard += 1;
                assert!(estimate.interval.low() <= Delta::ZERO, "{holder:?} at {at}: {estimate:?}");
                assert!(!estimate.interval.surely_beyond(limit), "{holder:?} at {at}: {estimate:?}");
            }
        });
        prop_assert!(heard > 0 || !stalls.stalls.is_empty());
    }
}
