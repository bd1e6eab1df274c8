//! Proof that a watch is live.
//!
//! A watch may lag without a sign: the API server throttles it, a proxy stalls, a link is slow; then every heartbeat
//! comes late and every clock seems behind. A small list asked now and then tells. Its version is the store's
//! revision while it was served, so an event with
//!
//! ```text
//! a greater version    came about after the list was sent: it is at most (arrival - sent) old
//! a version not above  came about before the list's answer: it is at least (arrival - answered) old
//! ```
//!
//! An event counts only if a recent list proves it young and none proves it old. What this cannot see is what happens
//! before the store has the heartbeat: a request of the kubelet that is slow ([`crate::clock::heartbeat`] judges that).
//!
//! Source: a list without a resource version is consistent, and versions of one resource are numbers that grow
//! (Kubernetes API concepts, "Resource versions"; KEP-2340; KEP-5504). Leases of all namespaces are one resource.

use crate::clock::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// Between two lists.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// An event must be proven younger than this: between two lists, and a busy API server's time to answer both.
const YOUNG: Duration = Duration::from_millis(1_750);
/// An event proven older than this is late. A watch is not slower than a list by more, unless something holds it up.
const OLD: Duration = Duration::from_millis(100);
/// More than are needed to prove anything.
const KEPT: usize = 16;

/// One list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// The version of its answer.
    pub version: u64,
    /// Before it was sent.
    pub sent: Mono,
    /// After its answer had arrived.
    pub answered: Mono,
}

/// What the lists prove about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It came quickly.
    Live,
    /// It was held up for at least so long.
    Late(Duration),
    /// No list is recent enough to tell.
    None,
}

/// The last lists.
#[derive(Debug, Clone, Default)]
pub struct Pulses {
    recent: VecDeque<Pulse>,
    round_trip: Option<Duration>,
}

impl Pulses {
    /// Takes in one more.
    pub fn note(&mut self, pulse: Pulse) {
        let took = pulse.answered.since(pulse.sent);
        self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
        self.recent.push_back(pulse);
        if self.recent.len() > KEPT {
            self.recent.pop_front();
        }
    }

    /// The shortest round trip so far: no more than that lies between the API server and us, at its best.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What they prove about the event of this version that has just arrived.
    #[must_use]
    pub fn prove(&self, version: u64, arrived: Mono) -> Proof {
        let age_min = self.recent.iter().filter(|it| it.version >= version).map(|it| arrived.since(it.answered)).max();
        if let Some(age) = age_min.filter(|age| *age > OLD) {
            return Proof::Late(age);
        }
        let age_max = self.recent.iter().filter(|it| it.version < version).map(|it| arrived.since(it.sent)).min();
        if age_max.is_some_and(|age| age <= YOUNG) { Proof::Live } else { Proof::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: u64) -> Mono {
        Mono::from_nanos(at * 1_000_000)
    }

    /// Lists of `(version, sent ms, answered ms)`; an event of `version` at `arrived` ms.
    fn check(lists: &[(u64, u64, u64)], version: u64, arrived: u64, expected: Proof) {
        let mut pulses = Pulses::default();
        for (version, sent, answered) in lists {
            pulses.note(Pulse { version: *version, sent: ms(*sent), answered: ms(*answered) });
        }
        assert_eq!(pulses.prove(version, ms(arrived)), expected, "{lists:?} {version} at {arrived}");
    }

    #[test]
    fn an_event_between_two_lists_is_live() {
        check(&[(10, 0, 5), (20, 1_000, 1_005)], 21, 1_500, Proof::Live);
        // The second list overtook it, as it may.
        check(&[(10, 0, 5), (20, 1_000, 1_005)], 20, 1_010, Proof::Live);
    }

    #[test]
    fn a_stalled_watch_is_found_out() {
        let lists: Vec<_> = (0..9).map(|n| (10 + 10 * n, 1_000 * n, 1_000 * n + 5)).collect();
        // Held up since shortly after the second list: the third saw it 6 s ago.
        check(&lists, 25, 8_005, Proof::Late(Duration::from_secs(6)));
        // The newest of the burst: the last list says no more than that it is 95 ms old.
        check(&lists, 90, 8_100, Proof::Live);
    }

    #[test]
    fn a_connection_that_stalls_as_a_whole_proves_nothing() {
        // The list of second 1 was answered only when everything came loose at 9 s.
        check(&[(10, 0, 5), (90, 1_000, 9_000)], 50, 9_001, Proof::None);
        check(&[(10, 0, 5), (90, 1_000, 9_000)], 91, 9_001, Proof::None);
        check(&[(10, 0, 5), (90, 1_000, 9_000), (92, 9_010, 9_015)], 93, 9_400, Proof::Live);
        check(&[], 1, 0, Proof::None);
    }

    #[test]
    fn the_shortest_round_trip_is_kept_and_memory_is_bounded() {
        let mut pulses = Pulses::default();
        assert_eq!(pulses.round_trip(), None);
        for (n, took) in (0..1_000_u64).zip([9, 3, 7].into_iter().cycle()) {
            pulses.note(Pulse { version: n, sent: ms(n * 1_000), answered: ms(n * 1_000 + took) });
        }
        assert_eq!(pulses.round_trip(), Some(Duration::from_millis(3)));
        assert_eq!(pulses.recent.len(), KEPT);
    }
}
