//! What the agent knows, and the report that follows from it.
//!
//! Every reading is kept as it was measured, with the machine's clocks of that moment. To say what it means now, it is
//! carried over whatever has happened to the wall clock since (a step or a slew moves the offset by as much, so the
//! agent's own offset is right the moment after a step, before any source has answered again), aged, and fused with
//! the others. A reading from before the machine slept is worth nothing: how long it slept, the kernel knows to about
//! a second.
//!
//! `sequence` counts what is worth waking a waiting reader for: another state, a jump, an offset that has moved, a
//! source that came or went. A poll that says the same again is not.
//!
//! Pure: the clocks are an argument. Does not know: HTTP, how sources are asked.

mod words;

use crate::agent::jumps::{Evidence, Jumps};
use crate::agent::report::{Report, SourceDetail, SourceReport};
use crate::agent::sources::{Measured, Outcome};
use crate::clock::standing::{Judgement, judge};
use crate::clock::{
    Fused, Leap, Mono, OffsetInterval, Reading, Sample, Smear, Standing, State, Tolerance, Why, fuse, lineage, smear,
};
use std::time::Duration;

/// An offset that moved by less is not worth waking anybody for.
const MOVED: Duration = Duration::from_millis(10);
/// For so long after a jump the sources are not at ease.
const UNREST: Duration = Duration::from_secs(300);

/// Who reports.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Name of the node.
    pub node: String,
    /// Changes with every start.
    pub instance: String,
}

/// Everything the agent knows.
pub struct Core {
    who: Identity,
    tolerance: Tolerance,
    witnesses: Vec<Witness>,
    jumps: Jumps,
    standing: Standing,
    /// When something last disciplined or vouched for this clock.
    vouched: Mono,
    sequence: u64,
    announced: Announced,
}

struct Witness {
    name: String,
    heard: Heard,
    measured: Option<Measured>,
    /// What it told besides the offset, and when.
    detail: Option<(SourceDetail, Mono)>,
}

/// What the last poll of a source gave.
enum Heard {
    NotYet,
    Absent,
    Evidence,
    Error(String),
}

/// What all that means at one moment.
struct View {
    /// One for each witness: offset and age, where there is evidence.
    each: Vec<Option<(OffsetInterval, Duration)>>,
    fused: Fused,
    /// Why they contradict one another, if that is why.
    smear: Option<Smear>,
    undisciplined: Duration,
}

/// What waiting readers were last woken for.
#[derive(PartialEq, Eq)]
struct Announced {
    state: State,
    offset: Option<OffsetInterval>,
    /// For each witness: whether it exists, and whether it has evidence.
    witnesses: Vec<(bool, bool)>,
    jumps: u64,
}

impl Core {
    /// Knows nothing yet. `names` are those of the sources, in the order by which [`Core::polled`] counts them.
    #[must_use]
    pub fn new(who: Identity, tolerance: Tolerance, names: &[&str], first: Sample) -> Core {
        let witness =
            |name: &&str| Witness { name: (*name).to_owned(), heard: Heard::NotYet, measured: None, detail: None };
        let now = first.after;
        let standing = Standing::new(now);
        Core {
            who,
            tolerance,
            witnesses: names.iter().map(witness).collect(),
            jumps: Jumps::new(first, tolerance.offset_max),
            standing,
            vouched: now,
            sequence: 1,
            announced: Announced {
                state: standing.state(),
                offset: None,
                witnesses: vec![(false, false); names.len()],
                jumps: 0,
            },
        }
    }

    /// Takes what the source with that number said.
    pub fn polled(&mut self, source: usize, outcome: Outcome, clocks: &Sample) {
        if let Some(witness) = self.witnesses.get_mut(source) {
            match outcome {
                Outcome::Measured(measured) => {
                    self.jumps.witnessed(&witness.name, witness.measured.as_ref(), &measured);
                    witness.heard = Heard::Evidence;
                    witness.measured = Some(measured);
                }
                Outcome::Unanswered(because) => witness.heard = Heard::Error(because),
                Outcome::Withdrawn(because) => {
                    witness.heard = Heard::Error(because);
                    witness.measured = None;
                }
                Outcome::Absent => {
                    witness.heard = Heard::Absent;
                    witness.measured = None;
                }
            }
        }
        self.look(clocks, Evidence::Comparison);
    }

    /// Takes what the source with that number tells besides the offset; comes before what it measured.
    pub fn described(&mut self, source: usize, detail: Option<SourceDetail>, clocks: &Sample) {
        if let Some(witness) = self.witnesses.get_mut(source) {
            witness.detail = detail.map(|detail| (detail, clocks.after));
        }
    }

    /// Whether the clock is right, all agree on it, and nothing has happened to it for a while: then asking less often
    /// loses little.
    #[must_use]
    pub fn at_ease(&mut self, clocks: &Sample) -> bool {
        !self.jumps.happened_within(UNREST, clocks)
            && self.standing.state() == State::Synchronized
            && matches!(self.view(clocks).fused, Fused::Agreed(interval) if interval.surely_within(self.tolerance.offset_max))
    }

    /// Looks at the clocks: a jump is noticed here, whoever looks first, and the evidence is judged afresh, since time
    /// alone may have changed what it is worth. `clocks` are never older than those of an earlier call.
    pub fn look(&mut self, clocks: &Sample, evidence: Evidence) {
        self.jumps.notice(clocks, evidence);
        let view = self.view(clocks);
        self.judge(&view, clocks.after);
    }

    /// Grows with everything worth waking a reader for.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Which start of the agent this is.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.who.instance
    }

    /// Whether every source has been asked at least once.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.witnesses.iter().any(|w| matches!(w.heard, Heard::NotYet))
    }

    /// What happened to the clock.
    #[must_use]
    pub fn jumps(&self) -> &Jumps {
        &self.jumps
    }

    /// The same, for those who bring news of it; look afterwards.
    pub fn jumps_mut(&mut self) -> &mut Jumps {
        &mut self.jumps
    }

    /// The report; the timestamps of the exchange are left for whoever sends it.
    #[must_use]
    pub fn report(&mut self, clocks: &Sample) -> Report {
        self.jumps.notice(clocks, Evidence::Comparison);
        let view = self.view(clocks);
        self.judge(&view, clocks.after);
        let offset = match &view.fused {
            Fused::Agreed(interval) => Some(interval.seconds()),
            Fused::Conflict { .. } | Fused::Silent => None,
        };
        Report {
            node: self.who.node.clone(),
            state: self.standing.state().as_str().to_owned(),
            reason: self.reason(&view),
            offset_seconds: offset.map(|s| s.offset),
            error_bound_seconds: offset.map(|s| s.bound),
            undisciplined_seconds: view.undisciplined.as_secs_f64(),
            roots: self.roots(&view),
            sources: self.witnesses.iter().zip(&view.each).filter_map(|(w, it)| w.report(*it, clocks.after)).collect(),
            instance: self.who.instance.clone(),
            sequence: self.sequence,
            jumps: self.jumps.reports(clocks),
            slew: self.jumps.slew(clocks),
            received_unix_nanos: 0,
            sent_unix_nanos: 0,
            held_nanos: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn view(&mut self, clocks: &Sample) -> View {
        let now = clocks.after;
        for witness in &mut self.witnesses {
            if witness.measured.as_ref().is_some_and(|m| clocks.slept_since(&m.clocks)) {
                witness.measured = None;
                witness.heard = Heard::Error("what it said is from before the machine slept".to_owned());
            }
        }
        if self.witnesses.iter().any(|w| matches!(w.heard, Heard::Evidence)) {
            self.vouched = now;
        }
        let carried = |m: &Measured| clocks.carry(m.interval, &m.clocks);
        let fresh = |m: &&Measured| now.since(m.clocks.after) <= self.tolerance.stale_after;
        let mut each = Vec::with_capacity(self.witnesses.len());
        let mut readings = Vec::with_capacity(self.witnesses.len());
        for witness in &self.witnesses {
            let evidence = witness.measured.as_ref().filter(fresh);
            each.push(evidence.map(|m| {
                let age = now.since(m.clocks.after);
                (carried(m).aged(age), age)
            }));
            readings.extend(evidence.map(|m| Reading {
                source: witness.name.clone(),
                interval: carried(m),
                taken: m.clocks.after,
            }));
        }
        let fused = fuse(&readings, now, self.tolerance.stale_after);
        let smear = match fused {
            Fused::Conflict { .. } => {
                let intervals: Vec<OffsetInterval> = each.iter().flatten().map(|(interval, _)| *interval).collect();
                smear::recognise(&intervals, clocks.wall, self.witnesses.iter().any(Witness::announces_leap))
            }
            Fused::Agreed(_) | Fused::Silent => None,
        };
        View { each, fused, smear, undisciplined: now.since(self.vouched) }
    }

    /// The independent servers that the witnesses with evidence go back to.
    fn roots(&self, view: &View) -> Vec<String> {
        let testifying = self.witnesses.iter().zip(&view.each).filter(|(_, evidence)| evidence.is_some());
        let named: Vec<&[String]> =
            testifying.filter_map(|(w, _)| w.detail.as_ref()).map(|(detail, _)| detail.roots.as_slice()).collect();
        lineage::roots(&named)
    }

    fn judge(&mut self, view: &View, now: Mono) {
        let judgement = match &view.fused {
            Fused::Agreed(interval) => judge(*interval, Duration::ZERO, view.undisciplined, &self.tolerance),
            Fused::Conflict { .. } if view.smear.is_some() => Judgement::Nothing(Why::LeapSmear),
            Fused::Conflict { .. } => Judgement::Nothing(Why::Conflict),
            Fused::Silent if self.witnesses.iter().any(|w| w.measured.is_some()) => Judgement::Nothing(Why::Stale),
            Fused::Silent => Judgement::Nothing(match self.standing.state() {
                State::Unknown(Why::NeverMeasured) => Why::NeverMeasured,
                State::Synchronized | State::Drifting | State::Unknown(_) => Why::Stale,
            }),
        };
        self.standing = self.standing.observe(judgement, now);
        let current = Announced {
            state: self.standing.state(),
            offset: match &view.fused {
                Fused::Agreed(interval) => Some(*interval),
                Fused::Conflict { .. } | Fused::Silent => None,
            },
            witnesses: self.witnesses.iter().zip(&view.each).map(|(w, it)| (w.exists(), it.is_some())).collect(),
            jumps: self.jumps.revision(),
        };
        if self.announced.differs(&current, &self.tolerance) {
            self.announced = current;
            self.sequence = self.sequence.saturating_add(1);
        }
    }
}

impl Announced {
    fn differs(&self, now: &Announced, tolerance: &Tolerance) -> bool {
        let moved = match (self.offset, now.offset) {
            (Some(then), Some(now)) => {
                // What may be nothing but the uncertainty of the measurement is no movement.
                let enough = MOVED.min(tolerance.offset_max / 10).max(now.bound());
                now.midpoint().minus(then.midpoint()).magnitude() > enough
            }
            (then, now) => then.is_some() != now.is_some(),
        };
        moved || self.state != now.state || self.witnesses != now.witnesses || self.jumps != now.jumps
    }
}

impl Witness {
    /// Whether this machine has it, as far as is known.
    fn exists(&self) -> bool {
        match self.heard {
            Heard::NotYet | Heard::Absent => false,
            Heard::Evidence | Heard::Error(_) => true,
        }
    }

    fn announces_leap(&self) -> bool {
        let leap = self.detail.as_ref().and_then(|(detail, _)| detail.leap.as_deref());
        [Leap::Insert, Leap::Delete].into_iter().any(|coming| leap == Some(coming.as_str()))
    }

    fn report(&self, evidence: Option<(OffsetInterval, Duration)>, now: Mono) -> Option<SourceReport> {
        if !self.exists() {
            return None;
        }
        let seconds = evidence.map(|(interval, _)| interval.seconds());
        Some(SourceReport {
            name: self.name.clone(),
            offset_seconds: seconds.map(|s| s.offset),
            error_bound_seconds: seconds.map(|s| s.bound),
            age_seconds: evidence.map(|(_, age)| age.as_secs_f64()),
            reference: self.measured.as_ref().and_then(|m| m.reference.clone()),
            error: match &self.heard {
                Heard::Error(because) => Some(because.clone()),
                Heard::NotYet | Heard::Absent | Heard::Evidence => None,
            },
            detail: self.detail.as_ref().map(|(detail, told)| {
                let mut detail = detail.clone();
                let since = now.since(*told).as_secs_f64();
                detail.last_update_seconds = detail.last_update_seconds.map(|age_s| age_s + since);
                detail
            }),
        })
    }
}

#[cfg(test)]
mod tests;
