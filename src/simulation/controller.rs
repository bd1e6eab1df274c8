//! A simulated controller: it asks the agents over a simulated network and judges with the real rules.
//!
//! Reading an answer, the yardstick, the judgement, the standing and the decision are the real ones, called in the
//! order in which `src/controller/evaluate.rs` calls them; what stands here is who asks when, and what happens when
//! nobody answers: a question is held by the agent until it has news or the interval is over, fails after three seconds
//! of patience more, and is asked again after a growing pause.

use super::chance::Chance;
use super::daemon::{Around, Daemon};
use super::kernel::Kernel;
use super::machine::{Machine, SECOND};
use super::node::{Agent, Broken, Node};
use super::server::{Path, Server};
use super::witness::{SNTP_QUICK, ask, server_again_s};
use crate::agent::sources::Measured;
use crate::clock::{Fused, Mono, OffsetInterval, Sample, Standing, Wall, fuse};
use crate::controller::evaluate::{evidence, judgement};
use crate::controller::references::carried;
use crate::controller::sources::NodeReading;
use crate::controller::sources::agent::read;
use crate::policy::{Assessment, Candidate, Decision, NodeEvidence, Outcome, Policy, assess, decide};
use std::time::Duration;

/// How often a node is asked at least: the default of `spec.interval`.
pub(super) const INTERVAL_S: i64 = 10;
/// How much longer than the hold an answer may take.
const PATIENCE_S: i64 = 3;
/// Between an answer and the next question.
const PAUSE_NS: i64 = 5_000_000;
/// When in a second the questions go out.
const ASKED_NS: i64 = 300_000_000;
/// When in a second everything is judged: after whatever was asked in it has been answered.
pub(super) const JUDGED_NS: i64 = 990_000_000;

#[derive(Clone, Copy)]
enum Asking {
    Idle { from: i64 },
    Held { asked: i64, sent: Mono, arrived: Mono, news: (u32, u64) },
}

struct Poller {
    asking: Asking,
    known: Option<(u32, u64)>,
    failures: u32,
}

struct Reference {
    server: usize,
    next: i64,
    quick_left: u32,
    latest: Option<Measured>,
    answered: Option<i64>,
}

/// What is thought of one node.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// What the evidence has come to.
    pub standing: Standing,
    /// Its offset against the yardstick.
    pub offset: Option<OffsetInterval>,
    /// What is done about it.
    pub decision: Decision,
    /// Carries a mark.
    pub acted: bool,
}

/// A controller.
pub struct Controller {
    /// Its clocks.
    pub machine: Machine,
    /// The kernel's side of them.
    pub kernel: Kernel,
    /// Who disciplines them.
    pub daemon: Daemon,
    /// The last answer of each node, and the second in which it came.
    pub readings: Vec<Option<(NodeReading, i64)>>,
    /// What was measured against at the last judgement.
    pub assessment: Option<Assessment>,
    policy: Policy,
    references: Vec<Reference>,
    pollers: Vec<Poller>,
    standings: Vec<Standing>,
    acted: Vec<bool>,
    to_servers: Path,
    chance: Chance,
}

impl Controller {
    /// One that asks so many nodes for a policy, and these servers as its references.
    #[must_use]
    pub fn new(
        machine: Machine,
        daemon: Daemon,
        nodes: usize,
        references: &[usize],
        to_servers: Path,
        policy: Policy,
        mut chance: Chance,
    ) -> Controller {
        let poller = |_| Poller { asking: Asking::Idle { from: chance.between(0, 3) }, known: None, failures: 0 };
        let pollers = (0..nodes).map(poller).collect();
        let reference = |server: &usize| Reference {
            server: *server,
            next: 0,
            quick_left: SNTP_QUICK,
            latest: None,
            answered: None,
        };
        let mut controller = Controller {
            standings: vec![Standing::new(machine.mono(0)); nodes],
            machine,
            kernel: Kernel::new(),
            daemon,
            readings: vec![None; nodes],
            assessment: None,
            policy,
            references: references.iter().map(reference).collect(),
            pollers,
            acted: vec![false; nodes],
            to_servers,
            chance,
        };
        controller.machine.learn_frequency();
        controller
    }

    /// Its clock is set by somebody.
    pub fn set(&mut self, by_ns: i64, second: i64) {
        self.machine.set(by_ns);
        self.kernel.clear();
        self.daemon.disturbed(by_ns, second);
    }

    /// Its daemon's work of this second, and its own with the policy's references.
    pub(super) fn discipline(&mut self, servers: &[Server], truth: Wall, second: i64) {
        let around = Around { servers, path: self.to_servers, truth, second };
        self.daemon.second(&mut self.machine, &mut self.kernel, &around, &mut self.chance);
        for reference in self.references.iter_mut().filter(|reference| reference.next <= second) {
            reference.quick_left = reference.quick_left.saturating_sub(1);
            reference.next = second + server_again_s(reference.quick_left, &mut self.chance);
            let Some(server) = servers.get(reference.server) else { continue };
            let path = self.to_servers.take(&mut self.chance);
            if let Some((interval, clocks, _)) = ask(server, path, &mut self.machine, (truth, second, ASKED_NS / 2)) {
                reference.latest = Some(Measured { interval, clocks, reference: None });
                reference.answered = Some(second);
            }
        }
    }

    /// Asks one node, if it is time, and takes in its answer.
    pub(super) fn exchange(&mut self, number: usize, node: &mut Node, second: i64, broken: &mut Vec<Broken>) {
        let mut into_ns = ASKED_NS;
        // At most: the answer to the question that was held, and one to the next question.
        for _ in 0..2 {
            let Some(Poller { asking, known, .. }) = self.pollers.get(number) else { return };
            let (known, path) = (*known, node.path.take(&mut self.chance));
            let (asked, sent, arrived) = match *asking {
                Asking::Idle { from } if second < from => return,
                Asking::Idle { .. } if !node.answers() => return self.failed(number, second, PATIENCE_S),
                Asking::Idle { .. } => {
                    let sent = self.machine.mono(into_ns);
                    into_ns += path.there_ns;
                    let arrived = node.machine.mono(into_ns);
                    if let Some(news) = known.filter(|known| *known == node.news()) {
                        self.asks(number, Asking::Held { asked: second, sent, arrived, news });
                        return;
                    }
                    (second, sent, arrived)
                }
                Asking::Held { news, .. } if node.agent == Agent::Dead || node.news().0 != news.0 => {
                    return self.failed(number, second, 0);
                }
                Asking::Held { asked, .. } if !node.answers() => {
                    if second > asked + INTERVAL_S + PATIENCE_S {
                        self.failed(number, second, 0);
                    }
                    return;
                }
                Asking::Held { asked, sent, arrived, news } => {
                    let held = node.machine.mono(into_ns).since(arrived);
                    if node.news() == news && held < Duration::from_secs(INTERVAL_S.unsigned_abs()) {
                        return;
                    }
                    (asked, sent, arrived)
                }
            };
            match self.answer(number, node, (asked, sent, arrived), (second, into_ns, path.back_ns), broken) {
                Ok(()) => {
                    into_ns += path.back_ns + PAUSE_NS;
                    self.asks(number, Asking::Idle { from: second });
                }
                Err(()) => return self.failed(number, second, 0),
            }
        }
    }

    /// The node's answer, which leaves so far into the second.
    fn answer(
        &mut self,
        number: usize,
        node: &mut Node,
        (asked, sent, arrived): (i64, Mono, Mono),
        (second, left_ns, back_ns): (i64, i64, i64),
        broken: &mut Vec<Broken>,
    ) -> Result<(), ()> {
        let body = node.answer(left_ns, arrived);
        let bracket = self.machine.bracket_ns();
        let clocks = self.machine.sample(left_ns + back_ns, bracket);
        let apart = node.machine.wall(left_ns).minus(self.machine.wall(left_ns));
        // Two clocks of which one was slewed while the answer was held do not agree on how long that was.
        let even = node.machine.even_since(asked) && self.machine.even_since(asked);
        let mut fail = |promise, seen| {
            if even {
                broken.push(Broken { promise, second, node: number, seen });
            }
        };
        let reading = match read(sent, clocks, &body) {
            Ok(reading) => reading,
            Err(error) => {
                fail("an honest agent's answer can be used", format!("{error:?}"));
                return Err(());
            }
        };
        if let Some(it) = reading.against_us.filter(|it| !it.contains(apart)) {
            fail("an exchange contains the truth", format!("{it} where {apart} is true"));
        }
        if let (Some(place), Some(poller)) = (self.readings.get_mut(number), self.pollers.get_mut(number)) {
            *place = Some((reading, second));
            (poller.known, poller.failures) = (Some(node.news()), 0);
        }
        Ok(())
    }

    fn asks(&mut self, number: usize, asking: Asking) {
        if let Some(poller) = self.pollers.get_mut(number) {
            poller.asking = asking;
        }
    }

    /// No answer, which took so long to be sure of.
    fn failed(&mut self, number: usize, second: i64, took_s: i64) {
        if let Some(poller) = self.pollers.get_mut(number) {
            poller.failures = poller.failures.saturating_add(1);
            // 250 ms, doubled each time, up to the interval; whole seconds here.
            let pause_s = (1i64 << poller.failures.min(6)) / 8;
            poller.asking = Asking::Idle { from: second + took_s + pause_s.clamp(1, INTERVAL_S) };
            poller.known = None;
        }
    }

    /// The second in which the oldest answer of the policy's references came.
    #[must_use]
    pub fn references_since(&self) -> Option<i64> {
        self.references.iter().filter_map(|reference| reference.answered).min()
    }

    /// The controller's clock against the policy's references.
    fn ours(&self, now: &Sample) -> Option<OffsetInterval> {
        let name = |reference: &Reference| format!("ntp://192.0.2.{}:123", reference.server);
        let readings: Vec<_> = (self.references.iter())
            .filter_map(|reference| Some(carried(&name(reference), reference.latest.as_ref()?, now)))
            .collect();
        match fuse(&readings, now.after, self.policy.tolerance.stale_after) {
            Fused::Agreed(interval) => Some(interval),
            Fused::Conflict { .. } | Fused::Silent => None,
        }
    }

    /// Judges every node, as the evidence is at that moment of the second.
    pub(super) fn evaluate(&mut self) -> Vec<Verdict> {
        let bracket = self.machine.bracket_ns();
        let clocks = self.machine.sample(JUDGED_NS, bracket);
        let now = clocks.after;
        let readings = || self.readings.iter().map(|reading| reading.as_ref().map(|(reading, _)| reading));
        let heard: Vec<NodeEvidence> = readings().map(|reading| evidence(reading, &self.policy, &clocks)).collect();
        let assessment = assess(&heard, self.ours(&clocks), &self.policy.tolerance);
        let mut candidates = Vec::with_capacity(self.readings.len());
        for (number, reading) in readings().enumerate() {
            let offset = assessment.offsets.get(number).copied().flatten();
            let moved = assessment.moved.get(number).copied().unwrap_or(false);
            let before = self.standings.get(number).copied().unwrap_or_else(|| Standing::new(now));
            let standing =
                before.observe(judgement(reading, offset, moved, &assessment.yardstick, &self.policy, &clocks), now);
            let acted = self.acted.get(number).copied().unwrap_or(false);
            let node = format!("node-{number:03}");
            candidates.push(Candidate { node, standing, offset, acted, hands_off: None, zone_suspect: false });
        }
        let decisions = decide(&candidates, &self.policy.action, assessment.suspicion.as_ref(), now);
        self.standings = candidates.iter().map(|candidate| candidate.standing).collect();
        let marked = |outcome: Outcome, acted: bool| match outcome {
            Outcome::Act | Outcome::Keep => true,
            Outcome::Release => false,
            Outcome::WouldAct | Outcome::Leave => acted,
        };
        self.acted = candidates.iter().zip(&decisions).map(|(c, d)| marked(d.outcome, c.acted)).collect();
        self.assessment = Some(assessment);
        let verdict = |((candidate, decision), acted): ((&Candidate, Decision), &bool)| Verdict {
            standing: candidate.standing,
            offset: candidate.offset,
            decision,
            acted: *acted,
        };
        candidates.iter().zip(decisions).zip(&self.acted).map(verdict).collect()
    }

    /// The clocks as they were when everything was last judged, but for the width of the bracket.
    #[must_use]
    pub fn judged_by(&self) -> Sample {
        self.machine.sample(JUDGED_NS, 200)
    }
}

/// The way from a second to nanoseconds, for events.
#[must_use]
pub const fn seconds(seconds: i64) -> i64 {
    seconds * SECOND
}
