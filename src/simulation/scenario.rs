//! What a run is made of: which machines, who disciplines them, and what happens to them when.
//!
//! A scenario is a value and says in a sentence each what happens and which verdict is right. Whether the evidence can
//! tell is not written down here but follows from the truth ([`super::truth`]).

use super::controller::INTERVAL_S;
use super::daemon::{Chronyd, Daemon};
use super::machine::SECOND;
use super::node::Agent;
use super::server::{Conduct, Path};
use crate::clock::Tolerance;
use crate::inspect::Bounds;
use crate::policy::{Action, Admission, Limit, Mark, Mode, Policy, Selector, Source};
use std::ops::Range;
use std::time::Duration;

/// How a machine is set up.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Who disciplines it.
    pub daemon: Daemon,
    /// The servers that its agent asks, by number.
    pub references: Vec<usize>,
    /// How far its clock is ahead at the beginning, nanoseconds.
    pub off_ns: i64,
    /// How wrong its oscillator is, parts per billion, if it is not an ordinary one.
    pub oscillator_ppb: Option<i64>,
    /// The way to it from the controller, if it is a special one.
    pub path: Option<Path>,
}

impl Kind {
    /// A chronyd that has long been following these servers, and an agent that asks nobody else.
    #[must_use]
    pub fn chronyd(follows: &[usize]) -> Kind {
        Kind::with(Daemon::Chronyd(Chronyd::new(follows, 0).established()))
    }

    /// With that daemon.
    #[must_use]
    pub fn with(daemon: Daemon) -> Kind {
        Kind { daemon, references: Vec::new(), off_ns: 0, oscillator_ppb: None, path: None }
    }

    /// Whose agent asks these servers too.
    #[must_use]
    pub fn asking(mut self, references: &[usize]) -> Kind {
        self.references = references.to_vec();
        self
    }
}

/// To whom something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// These nodes.
    Nodes(Range<usize>),
    /// The controller.
    Controller,
    /// That server.
    Server(usize),
    /// Time itself.
    World,
}

/// What happens.
#[derive(Debug, Clone)]
pub enum What {
    /// Somebody sets the clock, by nanoseconds.
    Set(i64),
    /// A hypervisor stops the machine.
    Pause,
    /// And lets it go on.
    Resume,
    /// It goes to sleep.
    Sleep,
    /// It wakes, with a battery clock that is wrong by so many nanoseconds.
    Wake(i64),
    /// Another daemon takes over, or none.
    Daemon(Daemon),
    /// The oscillator is wrong by so much from now on, parts per billion.
    Oscillator(i64),
    /// The kernel reports 2^32 ns as its offset, or no longer.
    Artefact(bool),
    /// The agent is well, hangs or dies.
    Agent(Agent),
    /// The agent is started anew.
    Restart,
    /// The network reaches it, or not.
    Reachable(bool),
    /// A server changes its ways.
    Conduct(Conduct),
    /// A positive leap second: UTC repeats a second, and with it everybody who steps.
    Leap,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub struct Event {
    /// In which second, before anything else in it.
    pub at: i64,
    /// To whom.
    pub who: Who,
    /// What.
    pub what: What,
}

/// A run to be had.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// A few words, unique.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub story: &'static str,
    /// Which verdict is right, and why.
    pub right: &'static str,
    /// For how long.
    pub seconds: i64,
    /// How many nodes.
    pub nodes: usize,
    /// What the servers do at first.
    pub servers: Vec<Conduct>,
    /// The policy's references, by number.
    pub policy_references: Vec<usize>,
    /// The policy's tolerance, and the agents'.
    pub tolerance: Tolerance,
    /// An offset this near to the tolerance is neither right nor wrong, nanoseconds: the evidence may be as wide.
    pub margin_ns: i64,
    /// What the nodes are.
    pub node: Kind,
    /// But for these.
    pub others: Vec<(Range<usize>, Kind)>,
    /// What the controller runs on.
    pub controller: Kind,
    /// What happens.
    pub events: Vec<Event>,
}

impl Scenario {
    /// Ten nodes and a controller that follow one honest server with chronyd for 25 minutes, each agent asking
    /// another honest one besides; the policy has the defaults.
    #[must_use]
    pub fn new(name: &'static str, story: &'static str, right: &'static str) -> Scenario {
        let kind = Kind::chronyd(&[0]).asking(&[1]);
        Scenario {
            name,
            story,
            right,
            seconds: 1_500,
            nodes: 10,
            servers: vec![Conduct::Honest, Conduct::Honest],
            policy_references: Vec::new(),
            tolerance: Tolerance {
                offset_max: Duration::from_millis(500),
                error_max: Duration::from_secs(2),
                unsynchronized_max: Duration::from_secs(300),
                stale_after: Duration::from_secs(60),
            },
            margin_ns: SECOND / 20,
            node: kind.clone(),
            others: Vec::new(),
            controller: Kind { references: Vec::new(), ..kind },
            events: Vec::new(),
        }
    }

    /// For so many seconds.
    #[must_use]
    pub fn lasting(mut self, seconds: i64) -> Scenario {
        self.seconds = seconds;
        self
    }

    /// All nodes are so.
    #[must_use]
    pub fn all(mut self, kind: Kind) -> Scenario {
        self.node = kind;
        self
    }

    /// These nodes are different.
    #[must_use]
    pub fn but(mut self, nodes: Range<usize>, kind: Kind) -> Scenario {
        self.others.push((nodes, kind));
        self
    }

    /// Something happens.
    #[must_use]
    pub fn at(mut self, at: i64, who: Who, what: What) -> Scenario {
        self.events.push(Event { at, who, what });
        self
    }

    /// Something happens to one node.
    #[must_use]
    pub fn node_at(self, at: i64, node: usize, what: What) -> Scenario {
        self.at(at, Who::Nodes(node..node + 1), what)
    }

    /// Anything else.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Scenario)) -> Scenario {
        change(&mut self);
        self
    }

    /// The policy, with the defaults but for what the scenario says.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            name: "simulated".to_owned(),
            uid: String::new(),
            generation: 1,
            deleting: false,
            nodes: Selector::default(),
            source: Source::Agent { port: 9555 },
            references: self.policy_references.iter().map(|number| format!("ntp://192.0.2.{number}:123")).collect(),
            interval: Duration::from_secs(INTERVAL_S.unsigned_abs()),
            tolerance: self.tolerance,
            action: Action {
                mark: Some(Mark::Cordon),
                named: Mark::Cordon,
                sustained_for: Duration::from_secs(30),
                recovered_for: Duration::from_secs(120),
                act_on_unknown: false,
                limit: Limit::Percent { percent: 10, at_least: 1 },
                suspended: false,
            },
            admission: Admission {
                mode: Mode::Off,
                bounds: Bounds::default(),
                namespaces: Selector::default(),
                settings: Vec::new(),
            },
        }
    }

    pub(super) fn kind(&self, node: usize) -> &Kind {
        self.others.iter().find(|(nodes, _)| nodes.contains(&node)).map_or(&self.node, |(_, kind)| kind)
    }
}
