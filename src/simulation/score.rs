//! Counts what was found, what was missed and what was cried for nothing.
//!
//! An *episode* is the time for which a node's clock is really beyond the tolerance. It counts from the first moment at
//! which the evidence can tell of it (not at all if it cannot any more before it had to be found), and is found if `Drifting` is said within [`DEADLINE_S`] of that; for the alerts,
//! which promise nothing, if they fire before five minutes after its end. A *false alarm* is `Drifting` said of a clock
//! that has not left the tolerance for longer than the deadline; for the alerts, firing about a clock that was within
//! 50 ms and in the hands of a daemon with honest servers for as long as the alert looks back.
//!
//! State by state, every second is counted in which it has been clear for [`DEADLINE_S`] what ought to be said.

use super::alerts::{ALERTS, SCRAPE_S, Series};
use super::node::Broken;
use super::promise::Promises;
use super::scenario::Scenario;
use super::truth::{Place, Right, Truth, place};
use super::world::World;
use crate::clock::{Cause, State};
use crate::policy::Outcome;

/// How long the verdict may take: `staleAfter` and `interval` of the default policy, and five seconds.
pub const DEADLINE_S: i64 = 60 + 10 + 5;
/// An alert still tells of an episode that ended so long ago.
const AFTERWARDS_S: i64 = 300;
/// Nobody has measured anything before.
const BEGUN_S: i64 = 10;
/// Beyond this a clock gives reason for the least of the alerts.
const HARMLESS_NS: i64 = 50_000_000;

/// A time for which a clock is really beyond the tolerance.
#[derive(Debug, Clone)]
pub struct Episode {
    /// Whose.
    pub node: usize,
    /// The first moment at which the evidence can tell.
    pub tellable: Option<i64>,
    /// When the clock was well within again.
    pub ended: Option<i64>,
    /// When `Drifting` was said.
    pub found: Option<i64>,
    /// When each alert fired.
    pub alerted: Vec<Option<i64>>,
}

/// Found, of how many, how late, and cried for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Found in time.
    pub found: usize,
    /// Of so many that could be.
    pub of: usize,
    /// Seconds from when it could be told until it was, shortest first.
    pub delays_s: Vec<i64>,
    /// Cried for nothing.
    pub false_alarms: usize,
}

impl Count {
    /// The delay in the middle.
    #[must_use]
    pub fn median_s(&self) -> Option<i64> {
        self.delays_s.get(self.delays_s.len() / 2).copied()
    }
}

/// What is said, by what ought to be said: in the order drifting, synchronized, unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion(pub [[u64; 3]; 3]);

impl Confusion {
    /// Of the seconds in which that state was said, how many were right: (right, all).
    #[must_use]
    pub fn precision(&self, state: usize) -> (u64, u64) {
        let said = |row: &[u64; 3]| row.get(state).copied().unwrap_or(0);
        (self.0.get(state).map_or(0, said), self.0.iter().map(said).sum())
    }

    /// Of the seconds in which that state ought to have been said, in how many it was: (said, all).
    #[must_use]
    pub fn recall(&self, state: usize) -> (u64, u64) {
        let row = self.0.get(state).copied().unwrap_or_default();
        (row.get(state).copied().unwrap_or(0), row.iter().sum())
    }
}

/// All that came of a run.
#[derive(Debug, Clone)]
pub struct Score {
    /// The verdicts.
    pub ours: Count,
    /// Each alert.
    pub alerts: Vec<Count>,
    /// State by state.
    pub confusion: Confusion,
    /// Nodes that were marked, and how many of them while their clocks had long been right.
    pub marked: (usize, usize),
    /// Where the evidence could not tell: why.
    pub blind: Vec<&'static str>,
    /// What the agents remember to have happened to their clocks, by cause, and how often.
    pub remembered: Vec<(&'static str, u64)>,
    /// The promises that were not kept, the first few of them.
    pub broken: Vec<Broken>,
}

/// More are not kept.
const BROKEN_MAX: usize = 20;

/// Lets a scenario happen with that seed.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Score {
    let mut world = World::new(scenario, seed);
    let mut truth = Truth::new(scenario.nodes);
    let mut promises = Promises::new(scenario.nodes);
    let mut tally = Tally::new(scenario.nodes);
    for _ in 0..scenario.seconds {
        world.tick(scenario);
        let right = truth.look(&world, scenario);
        tally.count(&world, scenario, &right);
        let broken = promises.check(&mut world, &scenario.policy_references);
        let room = BROKEN_MAX.saturating_sub(tally.broken.len());
        tally.broken.extend(broken.into_iter().take(room));
    }
    tally.finish(&world)
}

#[derive(Default)]
struct Watched {
    series: Series,
    firing: Vec<bool>,
    /// The open episode, by its number.
    episode: Option<usize>,
    right: Option<(Right, i64)>,
    state: Option<State>,
    marked: bool,
    /// The last second in which its clock was not well within the tolerance, and in which an alert had a reason.
    strayed: Option<i64>,
    harmed: Option<i64>,
}

struct Tally {
    nodes: Vec<Watched>,
    episodes: Vec<Episode>,
    ours_false: usize,
    alerts_false: Vec<usize>,
    confusion: Confusion,
    marked: (usize, usize),
    blind: Vec<&'static str>,
    broken: Vec<Broken>,
}

impl Tally {
    fn new(nodes: usize) -> Tally {
        Tally {
            nodes: (0..nodes).map(|_| Watched::default()).collect(),
            episodes: Vec::new(),
            ours_false: 0,
            alerts_false: vec![0; ALERTS.len()],
            confusion: Confusion::default(),
            marked: (0, 0),
            blind: Vec::new(),
            broken: Vec::new(),
        }
    }

    fn count(&mut self, world: &World, scenario: &Scenario, right: &[Right]) {
        let second = world.second;
        let truth = world.truth();
        for (number, watched) in self.nodes.iter_mut().enumerate() {
            let (Some(node), Some(verdict), Some(right)) =
                (world.nodes.get(number), world.verdicts.get(number), right.get(number).copied())
            else {
                continue;
            };
            let off = world.off(node);
            let place = place(scenario, off);
            if place != Place::Within || right == Right::ByDefinition {
                watched.strayed = Some(second);
            }
            if off.nanos().saturating_abs() >= HARMLESS_NS || (!node.daemon.good() && second > BEGUN_S) {
                watched.harmed = Some(second);
            }
            if let (Right::Unknown(why), false) =
                (right, matches!(right, Right::Unknown(why) if self.blind.contains(&why)))
            {
                self.blind.push(why);
            }
            watched.follow(&mut self.episodes, number, place, right, second);
            let state = verdict.standing.state();
            if state == State::Drifting {
                watched.told(&mut self.episodes, second);
                let strayed = watched.strayed.is_some_and(|strayed| second - strayed <= DEADLINE_S);
                self.ours_false += usize::from(watched.state != Some(state) && !strayed);
            }
            watched.state = Some(state);
            let since = watched.right.filter(|(before, _)| same(*before, right)).map_or(second, |(_, since)| since);
            watched.right = Some((right, since));
            if second - since >= DEADLINE_S {
                self.confusion.add(right, state);
            }
            let marks = verdict.acted && verdict.decision.outcome == Outcome::Act;
            if marks && !watched.marked {
                let strayed = watched.strayed.is_some_and(|strayed| second - strayed <= DEADLINE_S);
                self.marked = (self.marked.0 + 1, self.marked.1 + usize::from(!strayed));
            }
            watched.marked = verdict.acted;
            if (second + i64::try_from(number).unwrap_or(0)) % SCRAPE_S == 0 {
                watched.series.scrape(node, truth, second);
                watched.alert(&mut self.episodes, &mut self.alerts_false, second);
            }
        }
    }

    fn finish(mut self, world: &World) -> Score {
        self.blind.sort_unstable();
        let tellable = || self.episodes.iter().filter_map(|episode| Some((episode, episode.tellable?)));
        let count = |when: &dyn Fn(&Episode) -> Option<i64>, within_s: i64, false_alarms: usize| {
            let delays = tellable()
                .filter_map(|(episode, from)| Some((when(episode)? - from).max(0)).filter(|d| *d <= within_s));
            let mut delays_s: Vec<i64> = delays.collect();
            delays_s.sort_unstable();
            Count { found: delays_s.len(), of: tellable().count(), delays_s, false_alarms }
        };
        let alerted = |alert: usize| move |episode: &Episode| episode.alerted.get(alert).copied().flatten();
        Score {
            ours: count(&|episode| episode.found, DEADLINE_S, self.ours_false),
            alerts: (self.alerts_false.iter().enumerate())
                .map(|(alert, false_alarms)| count(&alerted(alert), i64::MAX, *false_alarms))
                .collect(),
            confusion: self.confusion,
            marked: self.marked,
            blind: self.blind,
            remembered: remembered(world),
            broken: self.broken,
        }
    }
}

fn remembered(world: &World) -> Vec<(&'static str, u64)> {
    let of = |cause: Cause| world.nodes.iter().map(|node| node.remembers(cause)).sum();
    Cause::ALL.into_iter().map(|cause| (cause.as_str(), of(cause))).filter(|(_, count)| *count > 0).collect()
}

/// Whether that is the same thing to say; the reason for an unknown does not matter.
fn same(one: Right, other: Right) -> bool {
    matches!((one, other), (Right::Unknown(_), Right::Unknown(_))) || one == other
}

impl Confusion {
    fn add(&mut self, right: Right, state: State) {
        let row = match right {
            Right::Drifting => 0,
            Right::Synchronized => 1,
            Right::Unknown(_) => 2,
            Right::Open | Right::ByDefinition => return,
        };
        let column = match state {
            State::Drifting => 0,
            State::Synchronized => 1,
            State::Unknown(_) => 2,
        };
        if let Some(cell) = self.0.get_mut(row).and_then(|row: &mut [u64; 3]| row.get_mut(column)) {
            *cell += 1;
        }
    }
}

impl Watched {
    /// Opens an episode, notes when it can be told of, and ends it; it is left some time after its end.
    fn follow(&mut self, episodes: &mut Vec<Episode>, node: usize, place: Place, right: Right, second: i64) {
        let ended = |episode: &Episode| episode.ended.is_some();
        let open = self.episode.and_then(|number| episodes.get(number)).is_some_and(|episode| !ended(episode));
        if place == Place::Beyond && !open {
            let alerted = vec![None; ALERTS.len()];
            self.episode = Some(episodes.len());
            episodes.push(Episode { node, tellable: None, ended: None, found: None, alerted });
        }
        let Some(episode) = self.episode.and_then(|number| episodes.get_mut(number)) else { return };
        match episode.ended {
            None if place == Place::Within => episode.ended = Some(second),
            None if right == Right::Drifting => episode.tellable = episode.tellable.or(Some(second)),
            // Before it had to be found, what there was to go by was gone.
            None if matches!(right, Right::Unknown(_)) && episode.found.is_none() => {
                episode.tellable = episode.tellable.filter(|since| second - since > DEADLINE_S);
            }
            Some(ended) if second - ended > AFTERWARDS_S => self.episode = None,
            None | Some(_) => {}
        }
    }

    fn told(&self, episodes: &mut [Episode], second: i64) {
        if let Some(episode) = self.episode.and_then(|number| episodes.get_mut(number)) {
            episode.found = episode.found.or(Some(second));
        }
    }

    fn alert(&mut self, episodes: &mut [Episode], falsely: &mut [usize], second: i64) {
        let firing = self.series.firing();
        let began = |alert: usize| firing.get(alert) == Some(&true) && self.firing.get(alert).copied() != Some(true);
        for ((alert, of), count) in ALERTS.iter().enumerate().zip(falsely) {
            let harmed = self.harmed.is_some_and(|harmed| second - harmed <= of.memory_s());
            *count += usize::from(began(alert) && !harmed);
        }
        if let Some(episode) = self.episode.and_then(|number| episodes.get_mut(number)) {
            for (place, firing) in episode.alerted.iter_mut().zip(&firing) {
                if *firing {
                    *place = place.or(Some(second));
                }
            }
        }
        self.firing = firing;
    }
}
