//! The jumps of the wall clock that an agent has noticed: the newest of them, and how many there were.
//!
//! A jump is noticed by comparing the clocks ([`StepDetector`]), whoever looks at them first: the watcher that the
//! kernel woke, a source that was asked, a reader of the report.
//!
//! Pure: the clocks are an argument. Does not know: sources, HTTP.

use crate::agent::report::JumpReport;
use crate::clock::steps::Cause;
use crate::clock::{Jump, Mono, Sample, StepDetector};
use crate::runtime::rfc3339;
use std::collections::VecDeque;

/// Jumps that are remembered.
pub const JUMPS_MAX: usize = 32;

/// How a jump was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The kernel said at once that the clock was set.
    Timerfd,
    /// The clocks were compared, a few times a second.
    Comparison,
}

impl Evidence {
    /// The word used in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Timerfd => "timerfd",
            Evidence::Comparison => "comparison",
        }
    }
}

/// How often the wall clock jumped since the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JumpCounts {
    /// Set by somebody.
    pub step: u64,
    /// Moved on while the machine slept.
    pub suspend: u64,
}

impl JumpCounts {
    /// Together.
    #[must_use]
    pub fn all(self) -> u64 {
        self.step.saturating_add(self.suspend)
    }
}

/// A jump, numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noticed {
    /// Counts up from 1.
    pub number: u64,
    /// How it was noticed.
    pub evidence: Evidence,
    /// The jump.
    pub jump: Jump,
}

/// The newest jumps, oldest first, and the count of all.
#[derive(Debug)]
pub struct Jumps {
    detector: StepDetector,
    newest: VecDeque<Noticed>,
    counts: JumpCounts,
}

impl Jumps {
    /// None yet; `first` is what the clocks say now.
    #[must_use]
    pub fn new(first: Sample) -> Jumps {
        Jumps { detector: StepDetector::new(first), newest: VecDeque::new(), counts: JumpCounts::default() }
    }

    /// Compares the clocks with what they said before; keeps a jump if there was one.
    pub fn notice(&mut self, clocks: &Sample, evidence: Evidence) {
        let Some(jump) = self.detector.observe(*clocks) else { return };
        match jump.cause {
            Cause::Step => self.counts.step = self.counts.step.saturating_add(1),
            Cause::Suspend => self.counts.suspend = self.counts.suspend.saturating_add(1),
        }
        if self.newest.len() == JUMPS_MAX {
            self.newest.pop_front();
        }
        self.newest.push_back(Noticed { number: self.counts.all(), evidence, jump });
    }

    /// The newest jump.
    #[must_use]
    pub fn last(&self) -> Option<Noticed> {
        self.newest.back().copied()
    }

    /// How often the wall clock jumped.
    #[must_use]
    pub fn counts(&self) -> JumpCounts {
        self.counts
    }

    /// The jumps as a report carries them, as old as they are at `now`.
    #[must_use]
    pub fn reports(&self, now: Mono) -> Vec<JumpReport> {
        self.newest.iter().map(|jump| jump_report(jump, now)).collect()
    }
}

fn jump_report(noticed: &Noticed, now: Mono) -> JumpReport {
    let Noticed { number, evidence, jump } = noticed;
    let amount = jump.amount.seconds();
    JumpReport {
        number: *number,
        cause: jump.cause.as_str().to_owned(),
        amount_seconds: amount.offset,
        error_bound_seconds: amount.bound,
        age_seconds: now.since(jump.noticed).as_secs_f64(),
        wall_before: rfc3339(jump.wall_before),
        wall_after: rfc3339(jump.wall_after),
        evidence: evidence.as_str().to_owned(),
    }
}
