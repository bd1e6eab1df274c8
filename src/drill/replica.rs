//! One replica of the controller as a process: its engine, its hands, its watches, its clocks.
//!
//! A kill takes all of it away but the machine's clock; a pause keeps it from everything, and what came meanwhile is
//! found when it goes on. Does not know: what it is told, what its errands do.

use super::server::Change;
use super::truth::Face;
use crate::clock::Sample;
use crate::controller::ballot::Ballot;
use crate::controller::engine::Engine;
use crate::controller::errand::Errand;
use crate::controller::lease::{Election, Periods};
use crate::controller::request::{Kind, Outcome};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Writes under way at once.
pub const HANDS: usize = 8;
/// The kinds that are watched; streams are numbered like this.
pub const WATCHED: [Kind; 3] = [Kind::Node, Kind::Policy, Kind::Clock];

/// Something that comes to a process.
#[derive(Debug)]
pub enum Message {
    /// A watch tells of a change; the numbers are those of the stream and of the connection.
    Told(usize, u32, Arc<Change>),
    /// A watch begins with all that there is.
    Listed(usize, u32, Vec<(String, Arc<serde_json::Value>)>),
    /// It is time to connect a watch again, with a list or without.
    Connect(usize, u32, bool),
    /// It is time to ask that node; and again after the interval, if it is the routine.
    Read(usize, bool),
    /// It is time to look at the lease, if nothing has been changed about when.
    Ballot(u32),
    /// The answer for a hand, by number of hand and of request.
    Answer(usize, u64, Outcome),
    /// The answer about the lease.
    Voted(u64, Outcome),
    /// Something was due at this time, if nothing was found since that is due before.
    Wake(Duration),
}

/// A write under way.
#[derive(Debug)]
pub struct Hand {
    /// What.
    pub errand: Errand,
    /// Since when.
    pub began: Duration,
    /// The request that waits for an answer.
    pub waits_for: u64,
}

/// A watch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stream {
    /// Which connection this is; what came from an earlier one is lost.
    pub connection: u32,
    /// Connected.
    pub live: bool,
    /// Changes of its kind that were sent on their way.
    pub sent: usize,
    /// Those that have arrived.
    pub got: usize,
    /// When the last one arrives: they stay in order.
    pub last: Duration,
}

/// One process.
#[derive(Debug)]
pub struct Replica {
    /// Its number.
    pub number: usize,
    /// Which life; messages to an earlier one are lost.
    pub life: u32,
    /// Its mind, while it runs.
    pub engine: Option<Engine>,
    /// Its part in the election.
    pub election: Election,
    /// Its attempt at the lease, the request that waits for an answer, and since when it goes on.
    pub ballot: Option<(Ballot, u64, Duration)>,
    /// It leads, and all is over that it began when it led before.
    pub in_term: bool,
    /// Writes under way.
    pub hands: Vec<Option<Hand>>,
    /// Its watches.
    pub streams: [Stream; 3],
    /// SIGSTOP.
    pub paused: bool,
    /// What came meanwhile.
    pub inbox: VecDeque<Message>,
    /// Cannot reach the API server.
    pub partitioned: bool,
    /// Its watches are so much slower.
    pub lag: Duration,
    /// The clock of its machine.
    pub face: Face,
    /// Nodes that it asks.
    pub asks: Vec<bool>,
    /// When it will be woken.
    pub wakes: Option<Duration>,
    /// It is to give the lease up, when what it began has ended.
    pub releasing: bool,
    /// And to end then.
    pub stopping: bool,
    /// How often the time of the next look at the lease was set.
    pub ballots: u32,
    /// While nothing is the matter, its renewals up to then are taken for granted.
    pub granted_until: Duration,
}

impl Replica {
    /// Not running.
    #[must_use]
    pub fn new(number: usize, nodes: usize) -> Replica {
        Replica {
            number,
            life: 0,
            engine: None,
            election: Election::new(String::new(), Periods::default()),
            ballot: None,
            in_term: false,
            hands: (0..HANDS).map(|_| None).collect(),
            streams: [Stream::default(); 3],
            paused: false,
            inbox: VecDeque::new(),
            partitioned: false,
            lag: Duration::ZERO,
            face: Face::default(),
            asks: vec![false; nodes],
            wakes: None,
            releasing: false,
            stopping: false,
            ballots: 0,
            granted_until: Duration::ZERO,
        }
    }

    /// Its name in the lease: a restarted process is another candidate.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("c{}_{}", self.number, self.life)
    }

    /// A new process with nothing in its memory.
    pub fn start(&mut self) {
        self.life += 1;
        let fresh = Replica::new(self.number, self.asks.len());
        let before = std::mem::replace(self, fresh);
        self.life = before.life;
        (self.partitioned, self.lag, self.face) = (before.partitioned, before.lag, before.face);
        self.election = Election::new(self.identity(), Periods::default());
        self.engine = Some(Engine::default());
    }

    /// All memory is gone; what it had asked for already is on its way.
    pub fn kill(&mut self) {
        self.life += 1;
        self.engine = None;
        self.ballot = None;
        self.hands.iter_mut().for_each(|hand| *hand = None);
        self.inbox.clear();
        self.paused = false;
        (self.releasing, self.stopping) = (false, false);
        self.wakes = None;
        self.granted_until = Duration::ZERO;
        self.in_term = false;
        self.election.resign();
        self.streams.iter_mut().for_each(|stream| stream.live = false);
    }

    /// When its machine was started: it differs between machines, so that nobody may compare monotonic clocks.
    #[must_use]
    pub fn booted(&self) -> Duration {
        Duration::from_secs(3_600 * (self.number as u64 + 1))
    }

    /// Its clocks.
    #[must_use]
    pub fn clocks(&self, now: Duration) -> Sample {
        self.face.sample(now, self.booted())
    }

    /// Whether it may act, as far as it knows.
    #[must_use]
    pub fn leads(&self, now: Duration) -> bool {
        !self.releasing && (now < self.granted_until || self.election.leads(self.clocks(now).after))
    }
}
