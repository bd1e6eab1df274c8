//! What can happen to a clock, apart from time passing.
//!
//! Five things, told apart by which clocks move against which:
//!
//! | cause | wall against boot | boot against monotonic | monotonic against oscillator | against a witness |
//! |---|---|---|---|---|
//! | step | jumps | | | jumps |
//! | suspend | | jumps | | stays |
//! | slew | | | runs | runs |
//! | pause | | | | falls behind |
//! | unexplained | | | | jumps, and nobody can say why |
//!
//! [`super::steps`] finds the first two, [`super::slew`] the third, [`super::pause`] the rest.
//!
//! Source: clock_gettime(2); stepping, slewing, suspending and stopping an emulated guest.

use super::interval::OffsetInterval;
use super::steps::Sample;
use super::time::{Delta, Wall};

/// Why a clock is not where time passing would have taken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody set it: an administrator, an NTP daemon that steps, a leap second, a hypervisor's agent.
    Step,
    /// The machine slept; the wall clock moved on, rightly.
    Suspend,
    /// Somebody let it run faster or slower for a while: an NTP daemon that corrects an offset.
    Slew,
    /// The whole machine stood still (a hypervisor stopped, saved or moved it), and its clocks with it.
    Pause,
    /// A witness says that it moved, no clock of this machine did, and nobody bears the witness out: a pause, or a
    /// witness that was set.
    Unexplained,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 5] = [Cause::Step, Cause::Suspend, Cause::Slew, Cause::Pause, Cause::Unexplained];

    /// The word used in metrics, JSON and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Step => "step",
            Cause::Suspend => "suspend",
            Cause::Slew => "slew",
            Cause::Pause => "pause",
            Cause::Unexplained => "unexplained",
        }
    }

    /// The cause that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// Something that happened to a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// Why.
    pub cause: Cause,
    /// By how much it moved the wall clock, positive forward: against the boot clock (step), the monotonic clock
    /// (suspend), the oscillator (slew), the witnesses (pause, unexplained: negative if this clock fell behind).
    pub amount: OffsetInterval,
    /// The last look at the clocks before it; where a slew began.
    pub before: Sample,
    /// The look at which it was noticed; where a slew ended, or how far it has come.
    pub after: Sample,
}

impl Jump {
    /// What the clock would have shown without it when it was noticed.
    #[must_use]
    pub fn wall_before(&self) -> Wall {
        self.after.wall.plus(Delta::ZERO.minus(self.amount.midpoint()))
    }

    /// What the clock showed when it was noticed.
    #[must_use]
    pub fn wall_after(&self) -> Wall {
        self.after.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_word_of_its_own() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_word(cause.as_str()), Some(cause));
        }
        assert_eq!(Cause::from_word("Step"), None);
    }

    #[test]
    fn a_jump_forward_took_the_clock_from_an_earlier_date_to_a_later_one() {
        use crate::clock::{Boot, Delta, Mono, Raw};
        let (mono, boot, raw) = (Mono::from_nanos(7), Boot::from_nanos(7), Raw::from_nanos(7));
        let look = Sample { before: mono, wall: Wall::from_unix_nanos(100), boot, raw, after: mono };
        for (amount, before) in [(15, 85), (-15, 115)] {
            let amount = OffsetInterval::exactly(Delta::from_nanos(amount));
            let jump = Jump { cause: Cause::Step, amount, before: look, after: look };
            assert_eq!((jump.wall_before().unix_nanos(), jump.wall_after().unix_nanos()), (before, 100));
        }
    }
}
