//! What happened to the clock, the newest of it, numbered.
//!
//! Bounded: where there is no room left, the smallest of slews go before anything that a token could have noticed, so
//! that a daemon which corrects a few milliseconds a hundred times a day does not push last week's step out.

use crate::clock::{Cause, Jump};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Jumps that are remembered; in the file of a history they take about 100 kB.
pub const RING_MAX: usize = 256;
/// A slew by less goes first.
const MINOR: Duration = Duration::from_millis(10);

/// How a jump was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The kernel said at once that the clock was set, and the clocks were compared.
    Timerfd,
    /// The clocks were compared, as they are every other second and whenever somebody looks.
    Comparison,
    /// The clocks were compared with what they said when the agent last wrote its history: it happened meanwhile.
    Restart,
    /// The monotonic clock was compared with the oscillator.
    Oscillator,
    /// Witnesses said so, and no clock of this machine.
    Witness,
}

impl Evidence {
    /// All of them.
    pub const ALL: [Evidence; 5] =
        [Evidence::Timerfd, Evidence::Comparison, Evidence::Restart, Evidence::Oscillator, Evidence::Witness];

    /// The word used in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Timerfd => "timerfd",
            Evidence::Comparison => "comparison",
            Evidence::Restart => "restart",
            Evidence::Oscillator => "oscillator",
            Evidence::Witness => "witness",
        }
    }

    /// The evidence that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Evidence> {
        Evidence::ALL.into_iter().find(|evidence| evidence.as_str() == word)
    }
}

/// A jump, numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// Counts up from 1, also over restarts where a history is kept.
    pub number: u64,
    /// How it was noticed.
    pub evidence: Evidence,
    /// More about that, in a sentence.
    pub detail: Option<String>,
    /// It is not over: a slew that goes on.
    pub ongoing: bool,
    /// Which start of the machine it belongs to (`/proc/sys/kernel/random/boot_id`); the monotonic clocks of another one
    /// mean nothing now.
    pub boot: Arc<str>,
    /// The jump.
    pub jump: Jump,
}

impl Noticed {
    fn minor(&self) -> bool {
        self.jump.cause == Cause::Slew && !self.ongoing && self.jump.amount.surely_within(MINOR)
    }
}

/// The newest jumps, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    jumps: VecDeque<Noticed>,
    number_last: u64,
}

impl Ring {
    /// Goes on from what an earlier run kept; of that nothing goes on any more.
    #[must_use]
    pub fn resumed(kept: Vec<Noticed>) -> Ring {
        let mut ring = Ring::default();
        for mut noticed in kept {
            ring.number_last = ring.number_last.max(noticed.number);
            if std::mem::take(&mut noticed.ongoing) {
                noticed.detail = Some(match noticed.detail.take() {
                    Some(detail) => format!("{detail}; the agent was restarted while it went on"),
                    None => "the agent was restarted while it went on".to_owned(),
                });
            }
            ring.make_room();
            ring.jumps.push_back(noticed);
        }
        ring
    }

    /// Adds what `make` makes of the next number.
    pub fn push(&mut self, make: impl FnOnce(u64) -> Noticed) -> &Noticed {
        self.make_room();
        self.number_last = self.number_last.saturating_add(1);
        self.jumps.push_back_mut(make(self.number_last))
    }

    fn make_room(&mut self) {
        if self.jumps.len() >= RING_MAX {
            let goes = self.jumps.iter().position(Noticed::minor).unwrap_or(0);
            self.jumps.remove(goes);
        }
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Noticed> + ExactSizeIterator {
        self.jumps.iter()
    }

    /// The newest one.
    #[must_use]
    pub fn last(&self) -> Option<&Noticed> {
        self.jumps.back()
    }

    /// The newest one of which that is true.
    pub fn newest_mut(&mut self, is: impl Fn(&Noticed) -> bool) -> Option<&mut Noticed> {
        self.jumps.iter_mut().rev().find(|noticed| is(noticed))
    }

    /// Takes the slew that goes on out: it was none.
    pub fn remove_ongoing(&mut self) {
        self.jumps.retain(|noticed| !noticed.ongoing);
    }
}
