//! What ought to be said of each node, by what is really so and by what anybody could know.
//!
//! A clock further off true time than the tolerance is *drifting*, one nearer is *synchronized*, if the evidence can
//! tell; if it cannot, the state is *unknown*. The evidence can tell where
//!
//! 1. the agent can be asked, and
//! 2. there is something right to measure against, that can be known to be right: references of the policy, all of
//!    which are honest; or, without any that answers, a majority of at least three nodes that are right; or, where no
//!    majority is of one mind, nodes which all follow honest servers.
//!
//! Left open is what nobody could decide, or need not: an offset within the margin around the tolerance; a clock that is
//! right although nothing has disciplined it for longer than `maxUnsynchronized` (right by luck); and everything while
//! the references of the policy lie, since they are right by its own definition.

use super::machine::SECOND;
use super::scenario::Scenario;
use super::server::Server;
use super::world::World;
use crate::clock::{Delta, State};

/// What ought to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `Drifting`.
    Drifting,
    /// `Synchronized`.
    Synchronized,
    /// `Unknown`, for this reason.
    Unknown(&'static str),
    /// Anything: it cannot be decided, or need not.
    Open,
    /// Anything: the policy calls right what is wrong, and what follows from that is right by its own definition.
    ByDefinition,
}

impl Right {
    /// Whether that is what was said; `None` where anything is right.
    #[must_use]
    pub fn is(self, state: State) -> Option<bool> {
        match (self, state) {
            (Right::Open | Right::ByDefinition, _) => None,
            (Right::Drifting, State::Drifting)
            | (Right::Synchronized, State::Synchronized)
            | (Right::Unknown(_), State::Unknown(_)) => Some(true),
            (Right::Drifting | Right::Synchronized | Right::Unknown(_), _) => Some(false),
        }
    }
}

/// Where an offset lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Beyond the tolerance.
    Beyond,
    /// Too near to it to say.
    Edge,
    /// Within.
    Within,
}

/// Where that offset lies.
#[must_use]
pub fn place(scenario: &Scenario, off: Delta) -> Place {
    let limit_ns = Delta::from(scenario.tolerance.offset_max).nanos();
    let off_ns = off.nanos().saturating_abs();
    if off_ns > limit_ns + scenario.margin_ns {
        Place::Beyond
    } else if off_ns < limit_ns - scenario.margin_ns {
        Place::Within
    } else {
        Place::Edge
    }
}

/// Since when each node has been without anything that keeps its clock right.
#[derive(Debug, Clone)]
pub struct Truth {
    adrift_since: Vec<Option<i64>>,
}

impl Truth {
    /// At the beginning.
    #[must_use]
    pub fn new(nodes: usize) -> Truth {
        Truth { adrift_since: vec![Some(0); nodes] }
    }

    /// What ought to be said of each node now.
    pub fn look(&mut self, world: &World, scenario: &Scenario) -> Vec<Right> {
        let yardstick = yardstick(world, scenario);
        let lucky_after_s = i64::try_from(scenario.tolerance.unsynchronized_max.as_secs()).unwrap_or(i64::MAX);
        let mut all = Vec::with_capacity(world.nodes.len());
        for ((number, node), since) in world.nodes.iter().enumerate().zip(&mut self.adrift_since) {
            let asks_honest =
                scenario.kind(number).references.iter().any(|number| world.servers.get(*number).is_some_and(right));
            *since = if node.daemon.good() || asks_honest { None } else { since.or(Some(world.second)) };
            let lucky = since.is_some_and(|since| world.second - since >= lucky_after_s);
            all.push(match (node.answers(), yardstick, place(scenario, world.off(node))) {
                (false, _, _) => Right::Unknown("its agent cannot be asked"),
                (_, Err(Blind::Defined), _) => Right::ByDefinition,
                (_, Err(Blind::Because(why)), _) => Right::Unknown(why),
                (_, _, Place::Beyond) => Right::Drifting,
                (_, _, Place::Edge) => Right::Open,
                (_, _, Place::Within) if lucky => Right::Open,
                (_, _, Place::Within) => Right::Synchronized,
            });
        }
        all
    }
}

fn right(server: &Server) -> bool {
    server.honest()
}

/// Why there is nothing right to measure against, or none that is known to be.
#[derive(Debug, Clone, Copy)]
enum Blind {
    Because(&'static str),
    /// The policy calls right what is wrong.
    Defined,
}

/// Whether there is something right to measure against, and can be known to be.
fn yardstick(world: &World, scenario: &Scenario) -> Result<(), Blind> {
    let answering = |number: &usize| world.servers.get(*number).filter(|server| server.answers());
    let references: Vec<&Server> = scenario.policy_references.iter().filter_map(answering).collect();
    let honest = references.iter().filter(|server| right(server)).count();
    if honest > 0 && honest == references.len() {
        return Ok(());
    }
    if honest == 0 && !references.is_empty() {
        return Err(Blind::Defined);
    }
    let limit_ns = Delta::from(scenario.tolerance.offset_max).nanos();
    let asked: Vec<_> = world.nodes.iter().enumerate().filter(|(_, node)| node.answers()).collect();
    let offs: Vec<i64> = asked.iter().map(|(_, node)| world.off(node).nanos()).collect();
    let alike = |ns: i64| offs.iter().filter(|other| (*other - ns).abs() <= limit_ns).count() * 2 > offs.len();
    if offs.len() >= crate::clock::consensus::WITNESSES_MIN {
        if offs.iter().filter(|ns| ns.abs() <= limit_ns).count() * 2 > offs.len() {
            return Ok(());
        }
        if offs.iter().any(|ns| alike(*ns)) {
            return Err(Blind::Because("most nodes are wrong alike"));
        }
    }
    let follows_honest = |number: usize| {
        let mut servers = scenario.kind(number).references.clone();
        servers.extend(world.nodes.get(number).map(|node| node.daemon.follows()).unwrap_or_default());
        servers.iter().all(|number| world.servers.get(*number).is_some_and(right)) && !servers.is_empty()
    };
    if asked.iter().all(|(number, _)| follows_honest(*number)) {
        Ok(())
    } else {
        Err(Blind::Because("no majority, and nothing says which servers are right"))
    }
}

/// What a person would write for an offset: seconds with three digits.
#[must_use]
pub fn shown(off: Delta) -> String {
    let ms = off.nanos() / (SECOND / 1_000);
    let sign = if ms < 0 { "-" } else { "+" };
    format!("{sign}{}.{:03} s", ms.abs() / 1_000, ms.abs() % 1_000)
}
