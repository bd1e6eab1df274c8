//! Sees that a machine stood still: a hypervisor stopped it, saved and restored it, moved it elsewhere.
//!
//! Every clock of the machine stands still then, the oscillator's counter too, so no local clock shows it. A witness
//! outside does: its last word, carried over every local step and slew and widened by what an oscillator may do, no
//! longer allows what it says now. But a witness can be set itself, and then it looks just the same. So one that has
//! moved opens a question; the others are asked at once, and
//!
//! - a second one that moved alike (or the machine's hardware clock, which runs on battery) makes it a pause;
//! - one that was asked since and stayed makes it the first one's own affair;
//! - silence leaves it unexplained.
//!
//! A daemon of this machine is a slow witness: it stands still along with the machine and learns of it at its own next
//! poll (chronyd within 1024 s, systemd-timesyncd within 2048 s), so its staying says nothing, and its moving may come late.
//!
//! Does not know: who the witnesses are, when they are asked.
//!
//! Source: stopping, saving, migrating an emulated guest: offsets of -5.001 s, -3.4 s, -4.5 s with no clock inside
//! showing anything.

use super::interval::OffsetInterval;
use super::jump::{Cause, Jump};
use super::steps::{FREQUENCY_MAX_PPM, Sample};
use super::time::{Delta, Mono};
use std::time::Duration;

/// Witnesses waver; who moved by less has not moved.
pub const MOVED_MIN: Duration = Duration::from_millis(50);
/// How long the others have to answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How late a daemon may notice what others have told: the longest polling interval by default is that of
/// systemd-timesyncd (timesyncd.conf(5), `PollIntervalMaxSec`, 2048 s).
const LATE: Duration = Duration::from_secs(2_100);

/// What a witness knows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asks somebody outside at every poll.
    Outside,
    /// A daemon of this machine that asks somebody outside when it likes.
    Daemon,
    /// A clock of the machine that nobody stops, but that is set now and then: it confirms, and proves nothing alone.
    Hardware,
}

/// One word of a witness, and this machine's clocks when it was true.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// Offset of this clock against the witness.
    pub interval: OffsetInterval,
    /// The clocks then.
    pub clocks: &'a Sample,
}

/// By how much this clock moved between two words of one witness beyond what its own clocks explain, negative if it fell
/// behind; `None` if nothing is sure, or the machine slept in between.
#[must_use]
pub fn moved(before: Word<'_>, after: Word<'_>) -> Option<OffsetInterval> {
    if after.clocks.before < before.clocks.after || after.clocks.slept_since(before.clocks) {
        return None;
    }
    let elapsed = after.clocks.after.since(before.clocks.before).as_nanos();
    let drift = u64::try_from(elapsed.saturating_mul(FREQUENCY_MAX_PPM) / 1_000_000).unwrap_or(u64::MAX);
    let allowed = after.clocks.carry(before.interval, before.clocks).widened(Duration::from_nanos(drift));
    Some(after.interval.against(allowed)).filter(|moved| moved.surely_beyond(MOVED_MIN))
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// This machine was paused, or nobody can say what happened to it ([`Cause::Unexplained`]).
    Happened {
        /// It.
        jump: Jump,
        /// The witnesses that moved.
        moved: Vec<String>,
    },
    /// What was [`Cause::Unexplained`] is borne out by another witness, late.
    BorneOut {
        /// The same, now a pause.
        jump: Jump,
        /// The witnesses that moved.
        moved: Vec<String>,
    },
    /// The witness moved, and not this machine: others were asked since and stayed.
    Elsewhere {
        /// By how much it seemed that this clock moved.
        amount: OffsetInterval,
        /// The witnesses that moved.
        moved: Vec<String>,
        /// Those that stayed.
        stayed: Vec<String>,
    },
}

/// Puts together what the witnesses say.
#[derive(Debug, Clone, Default)]
pub struct PauseDetector {
    open: Option<Question>,
    closed: Option<Question>,
    /// The last move of a hardware clock, which may have been read before anybody outside was asked.
    hardware: Option<Question>,
}

#[derive(Debug, Clone)]
struct Question {
    jump: Jump,
    moved: Vec<String>,
    stayed: Vec<String>,
    since: Mono,
}

impl PauseDetector {
    /// Takes two words of one witness, one after the other.
    pub fn hear(&mut self, witness: &str, role: Role, before: Word<'_>, after: Word<'_>) -> Option<Finding> {
        let Some(amount) = moved(before, after) else {
            if let Some(open) = &mut self.open
                && role == Role::Outside
                // It must speak of the time in question.
                && before.clocks.after <= open.since
                && after.clocks.after >= open.since
                && !open.stayed.iter().chain(&open.moved).any(|name| name == witness)
            {
                open.stayed.push(witness.to_owned());
            }
            return None;
        };
        let heard = Question {
            jump: Jump { cause: Cause::Unexplained, amount, before: *before.clocks, after: *after.clocks },
            moved: vec![witness.to_owned()],
            stayed: Vec::new(),
            since: after.clocks.after,
        };
        if let Some(open) = &mut self.open {
            return if open.joined_by(&heard) { self.close() } else { None };
        }
        if let Some(finding) = self.late(&heard) {
            return finding;
        }
        if role == Role::Hardware {
            self.hardware = Some(heard);
            return None;
        }
        let confirmed = self.hardware.take().filter(|hardware| {
            let (them, us) = (&hardware.jump, &heard.jump);
            them.before.before <= us.after.after && us.before.before <= them.after.after
        });
        let open = self.open.insert(heard);
        let joined = confirmed.is_some_and(|hardware| open.joined_by(&hardware));
        if joined { self.close() } else { None }
    }

    /// Closes a question that nobody has answered in time.
    pub fn look(&mut self, now: Mono) -> Option<Finding> {
        let open = self.open.as_ref()?;
        if now.since(open.since) < ANSWER_WITHIN { None } else { self.close() }
    }

    /// Whether something waits for the word of the others.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    fn close(&mut self) -> Option<Finding> {
        let mut question = self.open.take()?;
        // Two alike, and the clock fell behind. Forward, both of them were set back, or were restored from before.
        let alike = question.moved.len() > 1;
        if alike && question.jump.amount.high() < Delta::ZERO {
            question.jump.cause = Cause::Pause;
        }
        self.closed = Some(question.clone());
        let Question { jump, moved, stayed, .. } = question;
        if alike || stayed.is_empty() {
            return Some(Finding::Happened { jump, moved });
        }
        Some(Finding::Elsewhere { amount: jump.amount, moved, stayed })
    }

    /// What a witness says belongs to a question that was closed: `Some`, with what that changes.
    fn late(&mut self, heard: &Question) -> Option<Option<Finding>> {
        let closed = self.closed.as_mut()?;
        if heard.since.since(closed.since) > LATE || !closed.joined_by(heard) {
            return None;
        }
        let unexplained = closed.jump.cause == Cause::Unexplained && closed.stayed.is_empty();
        if !unexplained || closed.jump.amount.high() >= Delta::ZERO {
            return Some(None);
        }
        closed.jump.cause = Cause::Pause;
        Some(Some(Finding::BorneOut { jump: closed.jump, moved: closed.moved.clone() }))
    }
}

impl Question {
    /// Adds another witness that moved alike; `false` if it did not, or has spoken already.
    fn joined_by(&mut self, other: &Question) -> bool {
        let Some(both) = self.jump.amount.intersect(other.jump.amount) else { return false };
        if other.moved.iter().any(|name| self.moved.contains(name)) {
            return false;
        }
        self.jump.amount = both;
        self.moved.extend(other.moved.iter().cloned());
        true
    }
}

#[cfg(test)]
mod tests;
