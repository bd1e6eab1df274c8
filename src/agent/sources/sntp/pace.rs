//! How often one server is asked: quickly at first and after a step, calmly then, and seldom once nothing happens.
//!
//! A fleet of N nodes at rest asks a server that all of them name N/64 times a second (5,000 nodes: 78 questions of 76
//! bytes with their headers, 6 kB/s); N/2 times for the 8 s after all of them were started together. Jitter keeps
//! agents that started together from asking together, and spreads what follows an event that reaches all of them at
//! once, such as a leap second. A server that says that this is too much (RATE) is left alone for twice as long each
//! time; that wins over everything else (RFC 5905, section 7.4).
//!
//! Pure: random bits are an argument.

use std::time::Duration;

/// So many polls in quick succession, so that a node is known soon.
const QUICK_POLLS: u32 = 4;
const QUICK: Duration = Duration::from_secs(2);
/// The usual spacing; servers of the public pool ask for no more than one in 2^4 s.
pub(super) const CALM: Duration = Duration::from_secs(16);
/// After so many calm polls while everything was well,
const CALM_POLLS: u32 = 4;
/// this is often enough: an oscillator that drifts by 50 ppm is then known to 3.2 ms.
const RESTING: Duration = Duration::from_secs(64);
/// A server that keeps saying RATE is left alone for up to this long.
const BACKED_OFF_MAX: Duration = Duration::from_secs(1024);
/// A server that answered DENY or RSTR is not asked again; this is how often its name is looked up again.
const DENIED: Duration = Duration::from_secs(1024);
/// The clock was set: not before this since the last question, however often that happens,
const HURRY: Duration = Duration::from_secs(1);
/// and not before a part of this from now.
const SPREAD: Duration = Duration::from_secs(2);

/// What the last question led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Answer,
    /// None, or none to go by.
    Nothing,
    /// Kiss of death RATE.
    Rate,
    /// Every address of the server has refused to serve us.
    AllDenied,
}

/// When the server is asked next.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    quick_left: u32,
    /// Calm polls since something was not well.
    at_ease: u32,
    /// Doubled by every RATE, taken back by every good answer.
    backed_off: Option<Duration>,
    all_denied: bool,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { quick_left: QUICK_POLLS, at_ease: 0, backed_off: None, all_denied: false }
    }

    /// Takes in what a question led to.
    pub(super) fn heard(&mut self, heard: Heard) {
        self.quick_left = self.quick_left.saturating_sub(1);
        self.all_denied = heard == Heard::AllDenied;
        match heard {
            Heard::Answer => self.backed_off = None,
            // Calmly, not quickly: a server that cannot keep up must not be asked more for it by a whole fleet.
            Heard::Nothing | Heard::AllDenied => self.at_ease = 0,
            Heard::Rate => {
                let doubled = self.backed_off.unwrap_or(CALM).saturating_mul(2);
                self.backed_off = Some(doubled.min(BACKED_OFF_MAX));
            }
        }
    }

    /// Takes in whether all is well with the clock. What was well for long and no longer is, is looked at quickly.
    pub(super) fn at_ease(&mut self, yes: bool) {
        match (yes, self.quick_left) {
            (true, 0) => self.at_ease = self.at_ease.saturating_add(1),
            (true, _) => {}
            (false, _) => {
                if self.is_resting() {
                    self.quick_left = QUICK_POLLS;
                }
                self.at_ease = 0;
            }
        }
    }

    fn is_resting(&self) -> bool {
        self.at_ease > CALM_POLLS
    }

    /// Between the last question and the next, without jitter.
    fn plain(&self) -> Duration {
        match self.backed_off {
            Some(backed_off) => backed_off,
            None if self.all_denied => DENIED,
            None if self.quick_left > 0 => QUICK,
            None if self.is_resting() => RESTING,
            None => CALM,
        }
    }

    /// Between the last question and the next: up to an eighth shorter or longer, as the random bits say.
    pub(super) fn spacing(&self, bits: u64) -> Duration {
        self.plain().saturating_mul(7 * 128 + part(bits)) / (8 * 128)
    }

    /// The clock was set, `since` after the last question: between that and the next.
    pub(super) fn hurry(&mut self, since: Duration, bits: u64) -> Duration {
        self.quick_left = QUICK_POLLS;
        self.at_ease = 0;
        if self.backed_off.is_some() || self.all_denied {
            return self.spacing(bits);
        }
        since.saturating_add(SPREAD.saturating_mul(part(bits)) / 256).max(HURRY)
    }
}

/// 0 to 255.
fn part(bits: u64) -> u32 {
    u32::from((bits & 0xFF) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy)]
    enum Event {
        /// An answer, and whether all is well then.
        Good(bool),
        Heard(Heard),
        Set,
    }
    use Event::{Good, Heard as Got, Set};

    fn after(events: &[Event]) -> Pace {
        let mut pace = Pace::new();
        for event in events {
            match event {
                Good(well) => {
                    pace.heard(Heard::Answer);
                    pace.at_ease(*well);
                }
                Got(heard) => {
                    pace.heard(*heard);
                    pace.at_ease(false);
                }
                Set => drop(pace.hurry(Duration::from_secs(5), 0)),
            }
        }
        pace
    }

    fn check(events: &[Event], seconds: u64) {
        assert_eq!(after(events).plain(), Duration::from_secs(seconds), "{events:?}");
    }

    #[test]
    fn a_server_is_asked_quickly_at_first_and_seldom_at_rest() {
        check(&[], 2);
        check(&[Good(true); 3], 2);
        check(&[Good(true); 4], 16);
        check(&[Good(true); 7], 16);
        check(&[Good(true); 8], 64);
        check(&[Good(true); 100], 64);
        check(&[Good(false); 100], 16);
        let rested = [Good(true); 20];
        check(&[&rested[..], &[Good(false)]].concat(), 2);
        check(&[&rested[..], &[Good(false); 4]].concat(), 2);
        check(&[&rested[..], &[Good(false); 5]].concat(), 16);
        check(&[&rested[..], &[Good(false); 50]].concat(), 16);
        check(&[&rested[..], &[Good(false)], &[Good(true); 7]].concat(), 16);
        check(&[&rested[..], &[Good(false)], &[Good(true); 8]].concat(), 64);
        check(&[&rested[..], &[Got(Heard::Nothing)]].concat(), 16);
        check(&[&rested[..], &[Set]].concat(), 2);
        check(&[&rested[..], &[Set], &[Good(true); 4]].concat(), 16);
    }

    #[test]
    fn a_server_that_wants_less_is_obeyed_whatever_happens_here() {
        check(&[Got(Heard::Rate)], 32);
        check(&[Got(Heard::Rate), Got(Heard::Rate)], 64);
        check(&[Got(Heard::Rate), Got(Heard::Nothing), Set], 32);
        check(&[Got(Heard::Rate); 20], 1024);
        check(&[Got(Heard::Rate), Good(true)], 2);
        check(&[Got(Heard::AllDenied)], 1024);
        check(&[Got(Heard::AllDenied), Set], 1024);
        let mut pace = after(&[Got(Heard::Rate); 3]);
        assert!(pace.hurry(Duration::from_secs(1), 0) >= Duration::from_secs(112));
    }

    #[test]
    fn a_fleet_whose_clocks_are_all_set_at_once_does_not_ask_at_once() {
        let since = Duration::from_secs(40);
        let asked: Vec<Duration> = (0..256).map(|bits| Pace::new().hurry(since, bits) - since).collect();
        assert!(asked.iter().all(|wait| *wait <= SPREAD));
        for tenth in 0..10 {
            let (from, to) = (SPREAD * tenth / 10, SPREAD * (tenth + 1) / 10);
            let count = asked.iter().filter(|wait| from <= **wait && **wait < to).count();
            assert!((20..32).contains(&count), "{count} of 256 in the tenth of {tenth}");
        }
        // A clock that is set again and again does not make us a nuisance.
        assert!(Pace::new().hurry(Duration::from_millis(10), 0) >= HURRY);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => any::<bool>().prop_map(Good),
            1 => Just(Got(Heard::Nothing)),
            1 => Just(Got(Heard::Rate)),
            1 => Just(Got(Heard::AllDenied)),
            1 => Just(Set),
        ]
    }

    proptest! {
        #[test]
        fn no_course_of_events_makes_us_ask_more_often_than_every_second(
            events in prop::collection::vec(event(), 0..40), bits in any::<u64>(), since_ms in 0u64..100_000,
        ) {
            let mut pace = after(&events);
            prop_assert!(pace.spacing(bits) >= Duration::from_millis(1_750));
            prop_assert!(pace.spacing(bits) <= Duration::from_secs(1_152));
            prop_assert!(pace.hurry(Duration::from_millis(since_ms), bits) >= HURRY);
        }
    }
}
