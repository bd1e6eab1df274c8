//! What is true: every machine's clock, what it follows, and what its agent makes of it.
//!
//! Time itself is the [`Duration`] since the beginning of a run, which no machine of it can read. A clock is a straight
//! line against it, bent whenever something happens, so that nothing is computed between events: a month of a thousand
//! quiet clocks costs nothing but the readings. How daemons and kernels come to such lines is [`crate::simulation`]'s
//! business. Does not know: policies, Kubernetes.

use crate::agent::report::{JumpReport, Report};
use crate::clock::{Boot, Delta, Mono, OffsetInterval, Raw, Sample, Wall};
use crate::controller::sources::NodeReading;
use std::sync::Arc;
use std::time::Duration;

/// The date when a run begins: 2026-11-21T00:00:00Z, far from any leap second.
const BEGINNING: Wall = Wall::from_unix_nanos(1_795_219_200_000_000_000);
/// Half a round trip on the way to an agent.
const HALF_TRIP: Duration = Duration::from_millis(1);
/// How well a node knows its offset against what it follows.
const OWN_BOUND: Duration = Duration::from_millis(5);
/// An agent tells of what happened to its clock for so long; the rules forget it after an hour.
const TOLD_FOR: Duration = Duration::from_secs(2 * 3600);

/// A clock: how far it is ahead of the truth, and how much faster it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Face {
    since: Duration,
    offset: Delta,
    rate_ppm: i64,
}

impl Face {
    /// How far it is ahead of the truth at `now`.
    #[must_use]
    pub fn offset(&self, now: Duration) -> Delta {
        if self.rate_ppm == 0 {
            return self.offset;
        }
        let passed = i64::try_from(now.saturating_sub(self.since).as_nanos() / 1_000).unwrap_or(i64::MAX);
        self.offset.plus(Delta::from_nanos(passed.saturating_mul(self.rate_ppm) / 1_000))
    }

    /// Somebody sets it, by so much.
    pub fn step(&mut self, by: Delta, now: Duration) {
        *self = Face { since: now, offset: self.offset(now).plus(by), rate_ppm: self.rate_ppm };
    }

    /// It runs faster by so many parts per million from now on.
    pub fn run(&mut self, rate_ppm: i64, now: Duration) {
        *self = Face { since: now, offset: self.offset(now), rate_ppm };
    }

    /// What it shows.
    #[must_use]
    pub fn wall(&self, now: Duration) -> Wall {
        BEGINNING.plus(Delta::from(now)).plus(self.offset(now))
    }

    /// All clocks of a machine that was started an hour before the beginning and then some.
    #[must_use]
    pub fn sample(&self, now: Duration, booted: Duration) -> Sample {
        let nanos = u64::try_from(now.saturating_add(booted).as_nanos()).unwrap_or(u64::MAX);
        let mono = Mono::from_nanos(nanos);
        Sample {
            before: mono,
            wall: self.wall(now),
            boot: Boot::from_nanos(nanos),
            raw: Raw::from_nanos(nanos),
            after: mono,
        }
    }
}

/// How an agent answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Agent {
    /// At once, and truly.
    #[default]
    Well,
    /// Not at all.
    Dead,
    /// With something that is no report.
    Garbled,
    /// So late that the answer says little.
    Slow(Duration),
    /// As if its clock were ahead of what it is by so much.
    Lies(Delta),
}

/// One node's machine.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Its clock.
    pub face: Face,
    /// How wrong what it follows is, so that its own sources hide as much.
    pub followed: Delta,
    /// Its agent.
    pub agent: Agent,
    /// When its clock was set, and by how much.
    jumps: Vec<(Duration, Delta)>,
}

impl Machine {
    /// A clock that is right to within its daemon's doing.
    #[must_use]
    pub fn right_to(offset: Delta) -> Machine {
        let mut machine = Machine::default();
        machine.face.step(offset, Duration::ZERO);
        machine
    }

    /// Somebody sets the clock by so much, and the agent notices.
    pub fn step(&mut self, by: Delta, now: Duration) {
        self.face.step(by, now);
        self.jumps.retain(|(at, _)| now.saturating_sub(*at) < TOLD_FOR);
        self.jumps.push((now, by));
    }

    /// Everything about it is put right; a clock that is off is set.
    pub fn heal(&mut self, now: Duration) {
        self.agent = Agent::Well;
        self.followed = Delta::ZERO;
        self.right(now);
    }

    /// Whether its clock is off by more than its daemon's doing.
    #[must_use]
    pub fn is_off(&self, now: Duration) -> bool {
        self.face.offset(now).magnitude() > 2 * OWN_BOUND
    }

    /// Its clock is put right, by a step if that takes more than its daemon's doing.
    pub fn right(&mut self, now: Duration) {
        let off = self.face.offset(now);
        self.face.run(0, now);
        if self.is_off(now) {
            self.step(Delta::ZERO.minus(off), now);
        }
    }

    /// How far ahead of the truth its agent makes it look; `None` where it makes nothing of it.
    #[must_use]
    pub fn claimed(&self, now: Duration) -> Option<Delta> {
        let offset = self.face.offset(now);
        match self.agent {
            Agent::Well | Agent::Slow(_) => Some(offset),
            Agent::Lies(by) => Some(offset.plus(by)),
            Agent::Dead | Agent::Garbled => None,
        }
    }

    /// What somebody with the clock `asker` and these `clocks` is answered; `None` where it gets no reading.
    #[must_use]
    pub fn answer(&self, asker: &Face, clocks: Sample, now: Duration, quiet: &Arc<Report>) -> Option<NodeReading> {
        let claimed = self.claimed(now)?;
        let bound = match self.agent {
            Agent::Slow(by) => HALF_TRIP.saturating_add(by / 2),
            Agent::Well | Agent::Dead | Agent::Garbled | Agent::Lies(_) => HALF_TRIP,
        };
        let against_us = OffsetInterval::new(claimed.minus(asker.offset(now)), bound);
        let own = OffsetInterval::new(self.face.offset(now).minus(self.followed), OWN_BOUND);
        let report = if self.jumps.iter().any(|(at, _)| now.saturating_sub(*at) < TOLD_FOR) {
            Arc::new(Report { jumps: self.told(now), ..Report::clone(quiet) })
        } else {
            Arc::clone(quiet)
        };
        Some(NodeReading {
            against_us: Some(against_us),
            own: Some(own),
            report: Some(report),
            ..NodeReading::at(clocks)
        })
    }

    fn told(&self, now: Duration) -> Vec<JumpReport> {
        let shown = |at: &Duration, by: Delta| crate::runtime::rfc3339(BEGINNING.plus(Delta::from(*at)).plus(by));
        let fresh = self.jumps.iter().zip(1..).filter(|((at, _), _)| now.saturating_sub(*at) < TOLD_FOR);
        let newest = fresh.map(|((at, by), number)| JumpReport {
            number,
            cause: "step".to_owned(),
            ongoing: false,
            amount_seconds: by.seconds(),
            error_bound_seconds: 0.000_1,
            age_seconds: Some(now.saturating_sub(*at).as_secs_f64()),
            wall_began: None,
            wall_before: shown(at, Delta::ZERO),
            wall_after: shown(at, *by),
            monotonic_began_seconds: None,
            monotonic_noticed_seconds: None,
            evidence: "timerfd".to_owned(),
            detail: None,
        });
        newest.collect()
    }
}

/// The report of an agent to whose clock nothing has happened.
#[must_use]
pub fn quiet_report() -> Arc<Report> {
    Arc::new(Report {
        node: String::new(),
        state: "Synchronized".to_owned(),
        reason: None,
        offset_seconds: None,
        error_bound_seconds: None,
        undisciplined_seconds: 0.0,
        roots: Vec::new(),
        sources: Vec::new(),
        instance: "drill".to_owned(),
        sequence: 1,
        jumps: Vec::new(),
        slew: None,
        received_unix_nanos: 0,
        sent_unix_nanos: 0,
        held_nanos: 0,
        version: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_clock_is_a_straight_line_until_something_happens_to_it() {
        let mut face = Face::default();
        face.step(Delta::from_nanos(5), seconds(1));
        face.run(100, seconds(10));
        assert_eq!(face.offset(seconds(20)), Delta::from_nanos(1_000_005));
        face.step(Delta::from_nanos(-5), seconds(20));
        face.run(0, seconds(30));
        assert_eq!(face.offset(seconds(99)), Delta::from_nanos(2_000_000));
    }

    #[test]
    fn an_answer_is_about_the_difference_of_the_two_clocks_and_tells_of_steps() {
        let (mut machine, mut asker) = (Machine::default(), Face::default());
        machine.step(Delta::from_nanos(5_000_000_000), seconds(10));
        asker.step(Delta::from_nanos(2_000_000_000), seconds(10));
        let at = seconds(12);
        let quiet = quiet_report();
        let reading = machine.answer(&asker, asker.sample(at, Duration::ZERO), at, &quiet).unwrap();
        assert_eq!(reading.against_us.unwrap().midpoint(), Delta::from_nanos(3_000_000_000));
        assert_eq!(reading.own.unwrap().midpoint(), Delta::from_nanos(5_000_000_000));
        assert_eq!(reading.jumps().iter().map(|jump| jump.age_seconds).collect::<Vec<_>>(), [Some(2.0)]);
        machine.agent = Agent::Lies(Delta::from_nanos(1_000_000_000));
        assert_eq!(machine.claimed(at), Some(Delta::from_nanos(6_000_000_000)));
        machine.agent = Agent::Dead;
        assert!(machine.answer(&asker, asker.sample(at, Duration::ZERO), at, &quiet).is_none());
        machine.heal(at);
        assert_eq!(machine.face.offset(at), Delta::ZERO);
    }
}
