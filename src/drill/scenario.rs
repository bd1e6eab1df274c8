//! What a drill is made of: how many nodes and controllers, which policies, and what happens when.
//!
//! A scenario is a value; [`super::script`] reads and writes it as text, [`super::random`] makes one of a seed, and
//! [`super::shrink`] takes from one what a failure does not need. Does not know: how anything of it comes about.

use super::truth::Agent;
use crate::clock::Delta;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A run to be had.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Chance of delays, of errors, of offsets within the ordinary.
    pub seed: u64,
    /// Nodes, named `n0` and so on.
    pub nodes: usize,
    /// Zones, `zone-0` and so on; nodes belong to them in turn.
    pub zones: usize,
    /// Replicas of the controller, `c0` and so on.
    pub controllers: usize,
    /// The policies that are there from the beginning.
    pub policies: Vec<PolicyText>,
    /// What happens, by time.
    pub events: Vec<Event>,
    /// When all faults end, everything is put right and quiet follows.
    pub end: Duration,
}

/// A policy as settings, `limit=10%` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its name.
    pub name: String,
    /// Names and values, in order; what is not named has the default of the API.
    pub settings: Vec<(String, String)>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
    /// For how long, if it is undone afterwards.
    pub lasts: Option<Duration>,
}

/// Nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// From one number to another, both included.
    Nodes(RangeInclusive<usize>),
    /// All of a zone.
    Zone(usize),
    /// All.
    All,
}

/// What happens, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// To the machines of nodes.
    Machine(Who, Deed),
    /// To a replica of the controller.
    Replica(usize, Blow),
    /// To the API server.
    Api(Trouble),
    /// People and other controllers change Nodes.
    Meddle(Who, Meddling),
    /// A policy is made or changed to be like this.
    Policy(PolicyText),
    /// A policy is deleted.
    PolicyGone(String),
}

/// What happens to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Its clock is set by so much.
    Step(Delta),
    /// Its clock runs faster by so many parts per million, and what it follows does not correct it.
    Drift(i64),
    /// What it follows goes wrong by so much, and takes the clock along.
    Follow(Delta),
    /// Its clock, and what it follows, are put right.
    Right,
    /// Its agent answers so from now on.
    Agent(Agent),
}

/// What happens to a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL: its memory is gone.
    Kill,
    /// SIGTERM: it gives the lease back and ends.
    Stop,
    /// It is started, if it is not running.
    Start,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// Its machine's clock is set by so much.
    Clock(Delta),
    /// It cannot reach the API server.
    Partition,
    /// It can again.
    Rejoin,
    /// Its watches break, and go on from where they were.
    Cut,
    /// Its watches break, and must begin with a new list.
    Relist,
    /// Its watches tell everything so much later.
    Lag(Duration),
}

/// What happens to the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there; its watches break.
    Down,
    /// It takes so long for everything.
    Slow(Duration),
    /// It fails so many of a hundred requests with 500, undone.
    Errors(u8),
    /// So many of a hundred requests are never answered, and not done.
    Lost(u8),
    /// So many of a hundred requests are done and never answered.
    Mute(u8),
    /// So many of a hundred writes meet a 409.
    Conflicts(u8),
    /// The end of a trouble.
    Over(Over),
}

/// Which trouble ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// [`Trouble::Down`].
    Down,
    /// [`Trouble::Slow`].
    Slow,
    /// [`Trouble::Errors`].
    Errors,
    /// [`Trouble::Lost`].
    Lost,
    /// [`Trouble::Mute`].
    Mute,
    /// [`Trouble::Conflicts`].
    Conflicts,
}

/// What others do to Nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meddling {
    /// A taint with this key and NoSchedule, if there is none.
    Taint(String),
    /// That taint goes, whoever put it there.
    Untaint(String),
    /// `kubectl cordon`.
    Cordon,
    /// `kubectl uncordon`.
    Uncordon,
    /// A label is set.
    Label(String, String),
    /// A label is removed.
    Unlabel(String),
    /// An annotation is set.
    Annotate(String, String),
    /// An annotation is removed.
    Unannotate(String),
    /// Somebody scribbles in our annotation.
    Scribble,
    /// Somebody removes our annotation with the marks that it should name.
    Mend,
    /// The Node is deleted, and its NodeClock with it a little later.
    Delete,
    /// The Node is made anew.
    Create,
    /// Another controller adds and removes a taint of its own several times a second.
    Race,
    /// And stops that.
    RaceOver,
}

/// Names of settings, where they stand in a spec, and what sort of value they have.
const SETTINGS: &[(&str, &str, Sort)] = &[
    ("limit", "/action/limit/maxNodes", Sort::CountOrShare),
    ("atleast", "/action/limit/atLeast", Sort::CountOrShare),
    ("sustained", "/action/sustainedFor", Sort::Text),
    ("recovered", "/action/recoveredFor", Sort::Text),
    ("unknown", "/action/onUnknown", Sort::Text),
    ("type", "/action/type", Sort::Text),
    ("key", "/action/taint/key", Sort::Text),
    ("effect", "/action/taint/effect", Sort::Text),
    ("interval", "/interval", Sort::Text),
    ("stale", "/tolerance/staleAfter", Sort::Text),
    ("offset", "/tolerance/maxOffset", Sort::Text),
    ("error", "/tolerance/maxError", Sort::Text),
    ("suspend", "/suspend", Sort::Flag),
    ("zone", "/nodeSelector/matchLabels/topology.kubernetes.io~1zone", Sort::Text),
    ("role", "/nodeSelector/matchLabels/node-role.kubernetes.io~1control-plane", Sort::Text),
    ("pool", "/nodeSelector/matchLabels/pool", Sort::Text),
];

#[derive(Debug, Clone, Copy)]
enum Sort {
    Text,
    CountOrShare,
    Flag,
}

/// All names of settings.
pub fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _, _)| *name)
}

impl PolicyText {
    /// The spec that it stands for; a name that no setting has is left out.
    #[must_use]
    pub fn spec(&self) -> Value {
        let mut spec = json!({});
        for (name, text) in &self.settings {
            let Some((_, path, sort)) = SETTINGS.iter().find(|(known, _, _)| known == name) else { continue };
            let value = match sort {
                Sort::Text => json!(text),
                Sort::CountOrShare => text.parse::<i64>().map_or_else(|_| json!(text), |count| json!(count)),
                Sort::Flag => json!(text == "true"),
            };
            let nested = path
                .rsplit('/')
                .filter(|part| !part.is_empty())
                .fold(value, |inner, part| json!({ part.replace("~1", "/"): inner }));
            super::patch::merge(&mut spec, &nested);
        }
        spec
    }
}

impl What {
    /// What undoes it, where something does.
    #[must_use]
    pub fn undone(&self) -> Option<What> {
        match self {
            What::Machine(who, Deed::Agent(_)) => Some(What::Machine(who.clone(), Deed::Agent(Agent::Well))),
            What::Machine(who, Deed::Step(_) | Deed::Drift(_) | Deed::Follow(_)) => {
                Some(What::Machine(who.clone(), Deed::Right))
            }
            What::Machine(_, Deed::Right) | What::PolicyGone(_) | What::Policy(_) => None,
            What::Replica(which, blow) => blow.undone().map(|blow| What::Replica(*which, blow)),
            What::Api(trouble) => trouble.over().map(|over| What::Api(Trouble::Over(over))),
            What::Meddle(who, meddling) => meddling.undone().map(|undone| What::Meddle(who.clone(), undone)),
        }
    }
}

impl Blow {
    fn undone(self) -> Option<Blow> {
        match self {
            Blow::Kill | Blow::Stop => Some(Blow::Start),
            Blow::Pause => Some(Blow::Resume),
            Blow::Partition => Some(Blow::Rejoin),
            Blow::Clock(by) => Some(Blow::Clock(Delta::ZERO.minus(by))),
            Blow::Lag(_) => Some(Blow::Lag(Duration::ZERO)),
            Blow::Start | Blow::Resume | Blow::Rejoin | Blow::Cut | Blow::Relist => None,
        }
    }
}

impl Trouble {
    fn over(self) -> Option<Over> {
        match self {
            Trouble::Down => Some(Over::Down),
            Trouble::Slow(_) => Some(Over::Slow),
            Trouble::Errors(_) => Some(Over::Errors),
            Trouble::Lost(_) => Some(Over::Lost),
            Trouble::Mute(_) => Some(Over::Mute),
            Trouble::Conflicts(_) => Some(Over::Conflicts),
            Trouble::Over(_) => None,
        }
    }
}

impl Meddling {
    fn undone(&self) -> Option<Meddling> {
        match self {
            Meddling::Taint(key) => Some(Meddling::Untaint(key.clone())),
            Meddling::Cordon => Some(Meddling::Uncordon),
            Meddling::Label(key, _) => Some(Meddling::Unlabel(key.clone())),
            Meddling::Annotate(key, _) => Some(Meddling::Unannotate(key.clone())),
            Meddling::Scribble => Some(Meddling::Mend),
            Meddling::Delete => Some(Meddling::Create),
            Meddling::Race => Some(Meddling::RaceOver),
            Meddling::Untaint(_)
            | Meddling::Uncordon
            | Meddling::Unlabel(_)
            | Meddling::Unannotate(_)
            | Meddling::Mend
            | Meddling::Create
            | Meddling::RaceOver => None,
        }
    }
}

impl Scenario {
    /// The numbers of the nodes that are meant.
    #[must_use]
    pub fn nodes_of(&self, who: &Who) -> Vec<usize> {
        let zones = self.zones.max(1);
        (0..self.nodes)
            .filter(|node| match who {
                Who::Nodes(range) => range.contains(node),
                Who::Zone(zone) => node % zones == *zone,
                Who::All => true,
            })
            .collect()
    }
}
