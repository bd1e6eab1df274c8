//! A scenario from a seed: what nobody thought of.
//!
//! Faults come close together, and at the moments at which something is under way because of another one: when a
//! hold-down runs out, a few milliseconds after a step. Everything that must end for the drill to end well is undone by
//! the end: the world heals, records that were scribbled over are mended.
//!
//! Does not know: which of it matters.

use super::scenario::{Blow, Deed, Event, Meddling, PolicyText, Scenario, Trouble, What, Who};
use super::truth::Agent;
use crate::clock::Delta;
use crate::simulation::chance::Chance;
use std::time::Duration;

/// How large a scenario is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// At most so many nodes.
    pub nodes: usize,
    /// At least so many.
    pub nodes_min: usize,
    /// How long things go wrong.
    pub lasts: Duration,
    /// At most one of these many events.
    pub events: &'static [u64],
    /// Agents are asked this often, in seconds: one of these.
    pub intervals: &'static [u64],
}

impl Size {
    /// Small enough for many in a minute: up to 16 nodes, ten minutes.
    pub const SHORT: Size =
        Size { nodes: 16, nodes_min: 3, lasts: Duration::from_secs(10 * 60), events: &[12], intervals: &[60] };
    /// 200 nodes and a day. A step is told at once however seldom an agent is asked, so that most days can do with an
    /// interval that costs little; and what few events do together is found soonest where there are few.
    pub const DAY: Size = Size {
        nodes: 200,
        nodes_min: 200,
        lasts: Duration::from_secs(24 * 3600),
        events: &[4, 8, 24],
        intervals: &[240, 1_200, 1_200, 1_200, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600],
    };
}

struct Maker {
    chance: Chance,
    size: Size,
    nodes: usize,
    zones: usize,
    controllers: usize,
    interval: u64,
    policies: Vec<PolicyText>,
    events: Vec<Event>,
}

/// The scenario of a seed.
#[must_use]
pub fn scenario(seed: u64, size: Size) -> Scenario {
    let mut chance = Chance::new(seed).fork(0x0064_7269_6c6c);
    let least = i64::try_from(size.nodes_min).unwrap_or(1);
    let nodes = usize::try_from(chance.between(least, i64::try_from(size.nodes).unwrap_or(1))).unwrap_or(1);
    let zones = pick(&mut chance, &[1, 1, 3, 4]);
    let controllers = pick(&mut chance, &[1, 2, 2, 3]);
    let interval = pick(&mut chance, size.intervals);
    let (policies, events) = (Vec::new(), Vec::new());
    let mut maker = Maker { chance, size, nodes, zones, controllers, interval, policies, events };
    maker.policies = vec![maker.policy("p")];
    if maker.chance.once_in(4) {
        let second = maker.policy("q");
        maker.policies.push(second);
    }
    let most = pick(&mut maker.chance, size.events);
    let count = 1 + maker.chance.below(most);
    for _ in 0..count {
        let event = maker.event();
        maker.events.push(event);
    }
    let mut events = maker.events;
    events.sort_by_key(|event| event.at);
    Scenario { seed, nodes, zones, controllers, policies: maker.policies, events, end: size.lasts }
}

fn pick<T: Clone>(chance: &mut Chance, all: &[T]) -> T {
    let number = usize::try_from(chance.below(all.len() as u64)).unwrap_or(0);
    // An empty list is a mistake of this file's, and every list in it is a constant.
    #[expect(clippy::indexing_slicing, reason = "below() is below the length, and no list here is empty")]
    all[number].clone()
}

impl Maker {
    fn seconds(&mut self, least: i64, most: i64) -> Duration {
        Duration::from_millis(self.chance.between(least * 1_000, most * 1_000).unsigned_abs())
    }

    fn offset(&mut self) -> Delta {
        let size = pick(&mut self.chance, &[1_i64, 5, 20, 3_600]);
        let milliseconds = self.chance.between(600, 1_000 * size.max(2));
        let sign = if self.chance.once_in(2) { 1 } else { -1 };
        Delta::from_nanos(sign * milliseconds * 1_000_000)
    }

    fn policy(&mut self, name: &str) -> PolicyText {
        let interval = self.interval;
        let mut settings = vec![
            ("interval".to_owned(), format!("{interval}s")),
            ("stale".to_owned(), format!("{}s", interval * 3)),
            ("limit".to_owned(), pick(&mut self.chance, &["10%", "10%", "1", "3", "50%", "100%", "0"]).to_owned()),
            ("sustained".to_owned(), pick(&mut self.chance, &["0s", "30s", "30s", "2m"]).to_owned()),
            ("recovered".to_owned(), pick(&mut self.chance, &["0s", "1m", "2m"]).to_owned()),
        ];
        let mut also = |key: &str, value: &str, once_in: u64| {
            if self.chance.once_in(once_in) {
                settings.push((key.to_owned(), value.to_owned()));
            }
        };
        also("type", "Cordon", 4);
        also("type", "Observe", 12);
        also("unknown", "Act", 5);
        also("key", "example.com/clock", 6);
        also("effect", "NoExecute", 6);
        also("zone", "zone-0", 6);
        also("offset", "2s", 6);
        also("suspend", "true", 12);
        PolicyText { name: name.to_owned(), settings }
    }

    fn who(&mut self) -> Who {
        let one = |chance: &mut Chance, nodes: usize| usize::try_from(chance.below(nodes as u64)).unwrap_or(0);
        match self.chance.below(12) {
            0 => Who::All,
            1 => Who::Zone(one(&mut self.chance, self.zones)),
            2..=5 => {
                let from = one(&mut self.chance, self.nodes);
                let wide = one(&mut self.chance, self.nodes / 4 + 2);
                Who::Nodes(from..=(from + wide).min(self.nodes - 1))
            }
            _ => {
                let node = one(&mut self.chance, self.nodes);
                Who::Nodes(node..=node)
            }
        }
    }

    /// Some time, or soon after something else, when that is still having its effects.
    fn at(&mut self) -> Duration {
        let last = i64::try_from(self.size.lasts.as_secs()).unwrap_or(60) - 1;
        let count = self.events.len() as u64;
        let near = if count > 0 && !self.chance.once_in(3) {
            self.events.get(usize::try_from(self.chance.below(count)).unwrap_or(0)).map(|event| event.at)
        } else {
            None
        };
        let at = match near {
            Some(at) => {
                let later = pick(&mut self.chance, &[0, 0, 30, 60, 120, 15]);
                let moment = if self.chance.once_in(2) { 60 } else { 20_000 };
                at + Duration::from_secs(later) + Duration::from_millis(self.chance.below(moment))
            }
            None => self.seconds(1, last),
        };
        at.min(self.size.lasts - Duration::from_secs(1))
    }

    fn event(&mut self) -> Event {
        let at = self.at();
        let (what, lasts) = match self.chance.below(20) {
            0..=6 => self.machine(),
            7..=11 => self.replica(),
            12..=14 => self.api(),
            15..=18 => self.people(),
            _ => self.edit(),
        };
        let lasts = lasts.filter(|_| what.undone().is_some());
        Event { at, what, lasts }
    }

    fn machine(&mut self) -> (What, Option<Duration>) {
        let who = self.who();
        let deed = match self.chance.below(12) {
            0..=4 => Deed::Step(self.offset()),
            5 | 6 => Deed::Drift(pick(&mut self.chance, &[-2_000, -300, 300, 1_000, 5_000])),
            7 => Deed::Follow(self.offset()),
            8 => Deed::Right,
            9 => Deed::Agent(Agent::Dead),
            10 => Deed::Agent(pick(&mut self.chance, &[Agent::Garbled, Agent::Slow(Duration::from_secs(3))])),
            _ => Deed::Agent(Agent::Lies(self.offset())),
        };
        let lasts = (!self.chance.once_in(3)).then(|| self.seconds(1, 600));
        (What::Machine(who, deed), lasts)
    }

    fn replica(&mut self) -> (What, Option<Duration>) {
        let number = usize::try_from(self.chance.below(self.controllers as u64)).unwrap_or(0);
        let (blow, longest) = match self.chance.below(14) {
            0..=4 => (Blow::Kill, 60),
            5 => (Blow::Stop, 60),
            6 | 7 => (Blow::Pause, 60),
            8 => (Blow::Clock(self.offset()), 600),
            9 | 10 => (Blow::Partition, 90),
            11 => (Blow::Cut, 1),
            12 => (Blow::Relist, 1),
            _ => (Blow::Lag(Duration::from_millis(self.chance.below(3_000))), 300),
        };
        let lasts = Some(Duration::from_millis(100) + self.seconds(0, longest));
        (What::Replica(number, blow), lasts)
    }

    fn api(&mut self) -> (What, Option<Duration>) {
        let percent = pick(&mut self.chance, &[5, 20, 50, 100]);
        let trouble = match self.chance.below(7) {
            0 | 1 => Trouble::Down,
            2 => Trouble::Slow(self.seconds(0, 6)),
            3 => Trouble::Errors(percent),
            4 => Trouble::Lost(percent),
            5 => Trouble::Mute(percent),
            _ => Trouble::Conflicts(percent),
        };
        (What::Api(trouble), Some(self.seconds(1, 90)))
    }

    fn people(&mut self) -> (What, Option<Duration>) {
        let who = self.who();
        let long = Some(self.seconds(1, 900));
        let (meddling, lasts) = match self.chance.below(17) {
            14 | 15 => {
                let until = pick(&mut self.chance, &["2026-11-21T00:05:00Z", "2026-11-21T12:00:00Z", "tomorrow"]);
                (Meddling::Annotate("clockwarden.io/exempt-until".to_owned(), until.to_owned()), long)
            }
            16 => (Meddling::Label("node-role.kubernetes.io/control-plane".to_owned(), "true".to_owned()), long),
            0 | 1 => (Meddling::Taint("other.example.com/x".to_owned()), long),
            2 => (Meddling::Taint("clockwarden.io/clock-drift".to_owned()), long),
            3 => (Meddling::Untaint("clockwarden.io/clock-drift".to_owned()), None),
            4 => (Meddling::Cordon, long),
            5 => (Meddling::Label("topology.kubernetes.io/zone".to_owned(), "zone-9".to_owned()), None),
            6 => (Meddling::Label("pool".to_owned(), "other".to_owned()), long),
            7 => (Meddling::Scribble, long),
            8..=10 => (Meddling::Delete, Some(self.seconds(0, 60))),
            _ => (Meddling::Race, Some(self.seconds(1, 10))),
        };
        // A storm on every node at once is a storm of the drill's own making.
        let who = if meddling == Meddling::Race { Who::Nodes(0..=1) } else { who };
        (What::Meddle(who, meddling), lasts)
    }

    fn edit(&mut self) -> (What, Option<Duration>) {
        let name = pick(&mut self.chance, &["p", "p", "p", "q"]);
        if self.chance.once_in(4) {
            return (What::PolicyGone(name.to_owned()), None);
        }
        (What::Policy(self.policy(name)), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::script;

    #[test]
    fn a_seed_is_one_scenario_that_can_be_written_down() {
        for seed in 0..200 {
            let made = scenario(seed, Size::SHORT);
            assert_eq!(made, scenario(seed, Size::SHORT));
            let text = made.to_string();
            assert_eq!(script::read(&text).map(|it| it.to_string()), Ok(text));
        }
    }
}
