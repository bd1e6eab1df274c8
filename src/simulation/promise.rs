//! What is promised of every run, whatever happens in it, looked at in every second.
//!
//! 1. What an honest source says is true, and an exchange contains the truth (both noted where they are made).
//! 2. What true readings are made into is true: the agent's own interval, while all of its readings were true when
//!    they were taken, nothing has stopped the machine since, and the oscillator is within 50 ppm; the controller's
//!    interval of a node, while the two clocks have not parted by more than 50 ppm since the answer; the offset against
//!    honest references likewise, since these answered.
//! 3. No interval gets narrower without evidence.
//! 4. Nothing turns from unknown to healthy without a reading that was taken since.

use super::controller::{JUDGED_NS, Verdict};
use super::node::{Agent, Broken, Node};
use super::server::Server;
use super::world::World;
use crate::clock::{OffsetInterval, State, Why};
use crate::policy::Yardstick;
use std::time::Duration;

/// Two clocks are not read at once, and how far apart differs from time to time; no interval is known better than that.
const READING_NOISE: Duration = Duration::from_micros(4);

#[derive(Clone, Default)]
struct Before {
    own: Option<OffsetInterval>,
    against_us: Option<OffsetInterval>,
    unknown_since: Option<i64>,
}

/// Remembers what was said a second ago.
pub struct Promises {
    before: Vec<Before>,
}

impl Promises {
    /// At the beginning.
    #[must_use]
    pub fn new(nodes: usize) -> Promises {
        Promises { before: vec![Before { unknown_since: Some(0), ..Before::default() }; nodes] }
    }

    /// Looks at this second; what was not kept.
    pub fn check(&mut self, world: &mut World, policy_references: &[usize]) -> Vec<Broken> {
        let mut broken = world.broken.clone();
        let (second, truth) = (world.second, world.truth());
        let clocks = world.controller.judged_by();
        let honest = policy_references.iter().all(|n| world.servers.get(*n).is_some_and(Server::honest));
        let by_reference = matches!(
            world.controller.assessment.as_ref().map(|assessment| &assessment.yardstick),
            Some(Yardstick::Reference(_))
        );
        let nodes = world.nodes.iter_mut().zip(&world.verdicts).zip(&mut self.before).enumerate();
        for (number, ((node, verdict), before)) in nodes {
            let mut fail = |promise, seen| broken.push(Broken { promise, second, node: number, seen });
            let off = node.machine.off(JUDGED_NS, truth);
            let own = own(node);
            if let Some(own) = own.filter(|own| node.well_informed() && !own.contains(off)) {
                fail("true readings make a true report", format!("{own} where {off} is true"));
            }
            // Comparing the clocks shows a slew, and is evidence too.
            let asked = node.last_reading().is_none_or(|read| read == second || !node.machine.even_since(read));
            if let Some((then, now)) = narrower(before.own, own).filter(|_| !asked) {
                fail("a report gets no surer without a reading", format!("{then} became {now}"));
            }
            let reading = world.controller.readings.get(number).and_then(Option::as_ref);
            let against_us = reading.and_then(|(reading, _)| reading.against_us_now(&clocks));
            let answered = reading.map(|(_, second)| *second);
            // Setting our own clock is allowed for; a node that is set or slewed says so in its next answer.
            let even = |since: i64| {
                let set = node.machine.set_at.is_some_and(|set| set >= since);
                !set && node.machine.even_since(since) && world.controller.machine.even_since(since)
            };
            let sound = answered.is_some_and(even);
            let apart = node.machine.wall(JUDGED_NS).minus(world.controller.machine.wall(JUDGED_NS));
            if let Some(it) = against_us.filter(|it| sound && !it.contains(apart)) {
                fail("true answers stay true", format!("{it} where {apart} is true"));
            }
            // So is comparing our own.
            let heard = answered.is_none_or(|at| at == second || !world.controller.machine.even_since(at));
            if let Some((then, now)) = narrower(before.against_us, against_us).filter(|_| !heard) {
                fail("an answer gets no surer with age", format!("{then} became {now}"));
            }
            let sound = sound && world.controller.references_since().is_some_and(even);
            if let Some(it) = verdict.offset.filter(|it| by_reference && honest && sound && !it.contains(off)) {
                fail("honest references make a true verdict", format!("{it} where {off} is true"));
            }
            self::healed(verdict, before, second, answered, &mut fail);
            (before.own, before.against_us) = (own, against_us);
        }
        broken
    }
}

/// From unknown to healthy, and whether anything was heard since.
fn healed(
    verdict: &Verdict,
    before: &mut Before,
    second: i64,
    answered: Option<i64>,
    fail: &mut impl FnMut(&'static str, String),
) {
    let state = verdict.standing.state();
    let healthy = state == State::Synchronized;
    if let Some(since) = before.unknown_since.filter(|_| healthy)
        && answered.is_none_or(|answered| answered < since)
    {
        fail("nothing heals without a reading", format!("unknown since {since}, last answer {answered:?}"));
    }
    before.unknown_since = match state {
        // What others said is missing there: the yardstick, or that they were not moved alike. With that it heals.
        State::Unknown(Why::NoYardstick | Why::MovedTogether) => before.unknown_since,
        State::Unknown(_) => before.unknown_since.or(Some(second)),
        State::Synchronized | State::Drifting => None,
    };
}

/// What the node's own agent says at this moment, where it says anything.
fn own(node: &mut Node) -> Option<OffsetInterval> {
    if !node.machine.running() || node.agent == Agent::Dead {
        return None;
    }
    let report = node.report(JUDGED_NS);
    Node::own(&report)
}

fn narrower(then: Option<OffsetInterval>, now: Option<OffsetInterval>) -> Option<(OffsetInterval, OffsetInterval)> {
    let (then, now) = (then?, now?);
    (now.bound() + READING_NOISE < then.bound()).then_some((then, now))
}
