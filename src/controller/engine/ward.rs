//! One policy at work: its nodes, what the evidence about each has come to, and who of them is acted on.
//!
//! A change of one node costs a look at this node: the aggregates that its judgement needs (consensus, suspicion, the
//! places under the limit, the digest for the status) are kept up to date and not computed anew. Only when what all are
//! measured against has changed for everybody is everybody looked at again.
//!
//! The order within one look is that of the data: evidence of all that changed, then the frame, then the judgement of
//! each, then the places; so that half a fleet that moves at once is suspected before the first of it is acted on.

use super::digest::Digest;
use super::subject::NOTICES_MAX;
use crate::clock::{Delta, Mono, OffsetInterval, Sample, Standing, State, Tolerance, Why};
use crate::controller::evaluate::{self, NodeView};
use crate::controller::fleet::Version;
use crate::controller::hands_off;
use crate::controller::sources::{NodeReading, Observation};
use crate::controller::write::{Notice, Write};
use crate::policy::decide::{Because, Claim, HandsOff, Urgency, claim, urgency};
use crate::policy::{Candidate, Decision, Frame, NodeEvidence, Now, Outcome, Policy, Room, Tally, Yardstick};
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A node whose source says that it cannot be had is called unknown after this long; one of which nothing was heard at all,
/// when it has been silent for `staleAfter`: it may just not have been asked, and what is stored of it still holds.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// The yardstick may move by this part of the tolerance before every node is looked at again; each is anyway with its
/// next reading.
const FRAME_PART: u32 = 16;

/// Where there is no majority, what time it may be is found out anew when this is over.
const DATE_AGE: Duration = Duration::from_secs(1);

/// One policy's nodes.
#[derive(Debug)]
pub struct Ward {
    tally: Tally,
    frame: Frame,
    /// By which all nodes were last looked at.
    looked: Frame,
    members: BTreeMap<String, Member>,
    by_id: BTreeMap<u32, String>,
    room: Room<Urgency>,
    digest: Digest,
    counted: usize,
    version: Version,
    /// When its status was last written.
    pub told: Option<Mono>,
    /// Events about the policy.
    pub notices: VecDeque<Notice>,
    /// The Events that follow when the status which tells the same has been written.
    pub following: Vec<Notice>,
    /// What time it may be, against our clock, and when that was last found out.
    date: (Mono, Delta, Delta),
    /// When the API server last answered with the policy itself.
    confirmed: Option<Mono>,
    /// It is to be read before anything new is done by it.
    pub doubted: bool,
    /// More places are held than there are.
    is_over: bool,
}

/// What holds where a policy cannot be read; it has no nodes then.
const UNREADABLE: Tolerance = Tolerance {
    offset_max: Duration::ZERO,
    error_max: Duration::ZERO,
    unsynchronized_max: Duration::ZERO,
    stale_after: Duration::ZERO,
};

/// Before anything was looked at.
const UNDECIDED: Decision = Decision { outcome: Outcome::Leave, because: Because::Unknown(Why::NeverMeasured) };

#[derive(Debug)]
struct Member {
    id: u32,
    evidence: NodeEvidence,
    claim: Claim,
    counts: bool,
    view: NodeView,
}

/// What is known of a node beside its clock.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The node.
    pub node: &'a Node,
    /// What the policy's source says of it.
    pub seen: Option<&'a Observation>,
    /// This policy holds a mark on it.
    pub acted: bool,
    /// Why it must be left alone.
    pub hands_off: Option<HandsOff>,
}

impl Ward {
    /// One without nodes; of a policy that cannot be read, `policy` is none.
    #[must_use]
    pub fn new(policy: Option<&Policy>, version: Version, clocks: &Sample) -> Ward {
        let mut tally = Tally::new(policy.map_or(&UNREADABLE, |policy| &policy.tolerance));
        let frame = tally.frame(None, clocks);
        Ward {
            frame: frame.clone(),
            looked: frame,
            tally,
            members: BTreeMap::new(),
            by_id: BTreeMap::new(),
            room: Room::default(),
            digest: Digest::default(),
            counted: 0,
            version,
            told: None,
            notices: VecDeque::new(),
            following: Vec::new(),
            date: (Mono::default(), Delta::ZERO, Delta::ZERO),
            confirmed: None,
            doubted: false,
            is_over: false,
        }
    }

    /// The same nodes and since when each has been how, under a changed policy. The evidence is to be gathered anew.
    #[must_use]
    pub fn under(mut self, policy: Option<&Policy>, version: Version, clocks: &Sample) -> Ward {
        self.tally = Tally::new(policy.map_or(&UNREADABLE, |policy| &policy.tolerance));
        self.frame = self.tally.frame(None, clocks);
        self.looked = self.frame.clone();
        self.version = version;
        self.told = None;
        self
    }

    /// Of what the policy was when this was made of it.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The API server has answered with the policy as it is. The nodes that may have waited for that are named.
    pub fn confirmed(&mut self, now: Mono) -> Vec<String> {
        self.confirmed = Some(now);
        let waited = std::mem::take(&mut self.doubted);
        let waits = |view: &&NodeView| view.decision.outcome == Outcome::Act && !view.acted;
        if waited { self.views().filter(waits).map(|view| view.node.clone()).collect() } else { Vec::new() }
    }

    /// Whether the policy was read within that time.
    #[must_use]
    pub fn is_confirmed(&self, within: Duration, now: Mono) -> bool {
        self.confirmed.is_some_and(|at| now.since(at) < within)
    }

    /// A write about the policy ended.
    pub fn ended(&mut self, write: &Write, fulfilled: bool) {
        match write {
            Write::PolicyStatus { .. } => {
                let following = std::mem::take(&mut self.following);
                let room = NOTICES_MAX.saturating_sub(self.notices.len());
                self.notices.extend(following.into_iter().take(if fulfilled { room } else { 0 }));
            }
            Write::Event(_) if fulfilled => drop(self.notices.pop_front()),
            _ => {}
        }
    }

    /// A node is matched from now on.
    pub fn enter(&mut self, name: &str, id: u32, now: Mono) {
        if self.members.contains_key(name) {
            return;
        }
        let standing = Standing::new(now);
        let decision = UNDECIDED;
        let view = NodeView {
            node: name.to_owned(),
            standing,
            offset: None,
            decision,
            acted: false,
            failure: None,
            against: String::new(),
            premature: true,
        };
        self.digest.add(&view);
        let (evidence, claim) = (NodeEvidence::default(), Claim::Settled(decision));
        self.by_id.insert(id, name.to_owned());
        self.members.insert(name.to_owned(), Member { id, evidence, claim, counts: true, view });
        self.counted = self.counted.saturating_add(1);
    }

    /// A node is not matched any more; what it holds of the policy it holds until it is seen without.
    pub fn leave(&mut self, name: &str) {
        if let Some(member) = self.members.remove(name) {
            self.tally.remove(member.id);
            self.by_id.remove(&member.id);
            self.digest.remove(&member.view);
            self.counted = self.counted.saturating_sub(usize::from(member.counts));
        }
        self.room.wish(name, None);
    }

    /// Takes in the evidence about a node, as it is now.
    pub fn gather(&mut self, name: &str, reading: Option<&NodeReading>, node: &Node, policy: &Policy, clocks: &Sample) {
        let Some(member) = self.members.get_mut(name) else { return };
        member.evidence = evaluate::evidence(reading, policy, clocks);
        let known = member.evidence != NodeEvidence::default();
        let zone = hands_off::zone(node);
        // Also where the reading is the same: what the tally kept since has grown wider than the reading has.
        self.tally.set(member.id, known.then_some(member.evidence), clocks, zone);
    }

    /// Looks at what all nodes are measured against; true if it has changed for everybody.
    pub fn reframe(&mut self, policy: &Policy, ours: Option<OffsetInterval>, clocks: &Sample) -> bool {
        let frame = self.tally.frame(ours, clocks);
        // Against the frame by which everybody was last looked at, so that many small movements add up.
        let differs = frame.differs(&self.looked, policy.tolerance.offset_max / FRAME_PART);
        if differs {
            self.looked = frame.clone();
        }
        self.frame = frame;
        // Where there is no majority every node's own sources are heard, which costs a look at all of them.
        let is_alone = matches!(self.frame.yardstick, Yardstick::OwnSources(_));
        if !is_alone || differs || clocks.after.since(self.date.0) >= DATE_AGE {
            let evidence: Vec<NodeEvidence> =
                if is_alone { self.members.values().map(|member| member.evidence).collect() } else { Vec::new() };
            let yardstick = &self.frame.yardstick;
            let now = Now::by(yardstick, clocks.wall).heard(clocks.wall, yardstick, &evidence);
            self.date = (clocks.after, now.earliest.minus(clocks.wall), now.latest.minus(clocks.wall));
        }
        differs
    }

    /// What time it may be, by what the policy's nodes are measured against.
    #[must_use]
    pub fn date(&self, clocks: &Sample) -> Now {
        let (_, earliest, latest) = self.date;
        Now { earliest: clocks.wall.plus(earliest), latest: clocks.wall.plus(latest) }
    }

    /// Judges a node whose evidence was gathered just now. Returns when to look at it again, should nothing happen.
    pub fn judge(&mut self, name: &str, facts: Facts<'_>, policy: &Policy, clocks: &Sample) -> Option<Mono> {
        let now = clocks.after;
        let member = self.members.get_mut(name)?;
        self.digest.remove(&member.view);
        let reading = facts.seen.and_then(|seen| seen.reading.as_ref());
        let offset = self.frame.offset(&member.evidence);
        let judged = evaluate::judgement(
            reading,
            offset,
            self.frame.moved(&member.evidence),
            &self.frame.yardstick,
            policy,
            clocks,
        );
        let standing = member.view.standing.observe(judged, now);
        let zone = hands_off::zone(facts.node);
        let candidate = Candidate {
            node: name.to_owned(),
            standing,
            offset,
            acted: facts.acted,
            hands_off: facts.hands_off,
            zone_suspect: zone.is_some_and(|zone| self.frame.zone(zone).is_some()),
        };
        member.claim = claim(&candidate, &policy.action, self.frame.suspicion.is_some(), now);
        self.counted = self.counted.saturating_sub(usize::from(member.counts));
        member.counts = candidate.is_counted();
        self.counted = self.counted.saturating_add(usize::from(member.counts));
        let wants = matches!(member.claim, Claim::Wants(_));
        self.room.wish(name, wants.then(|| urgency(&candidate)));
        let never = standing.state() == State::Unknown(Why::NeverMeasured);
        let failure = evaluate::failure(name, facts.node, facts.seen, policy, clocks);
        let patience = if failure.is_some() { FIRST_ANSWER } else { policy.tolerance.stale_after.max(FIRST_ANSWER) };
        let first = standing.since().after(patience);
        member.view = NodeView {
            node: candidate.node,
            standing,
            offset,
            decision: member.claim.settle(has_room(&self.room, name), &policy.action),
            acted: facts.acted,
            failure,
            against: evaluate::against(&self.frame.yardstick, policy),
            premature: never && now < first,
        };
        self.digest.add(&member.view);
        let ends = match member.claim {
            Claim::Settled(decision) => decision.because.ends_in().map(|rest| now.after(rest)),
            Claim::Wants(_) => None,
        };
        let first = member.view.premature.then_some(first);
        let worse = reading.and_then(|reading| evaluate::worse_at(reading, offset, policy, clocks));
        [ends, first, worse].into_iter().flatten().min()
    }

    /// Gives the free places to the most urgent. The nodes whose decision changed by that are named.
    pub fn assign(&mut self, policy: &Policy) -> Vec<String> {
        // A policy that only observes gives back what it held before, so that none of it takes room.
        let given_back = if policy.action.mark.is_some() { 0 } else { self.room.held().len() };
        self.room.set_cap(policy.action.limit.cap(self.counted).saturating_add(given_back));
        let mut changed = self.room.assign();
        let is_over = self.room.held().len() > self.room.cap();
        if is_over && !std::mem::replace(&mut self.is_over, is_over) {
            // The limit has shrunk: who carries the mark keeps it, but a place is no right to another mark.
            changed.extend(self.room.held().iter().cloned());
        }
        self.is_over = is_over;
        for name in &changed {
            self.decide(name, policy);
        }
        changed
    }

    fn decide(&mut self, name: &str, policy: &Policy) {
        let Some(member) = self.members.get_mut(name) else { return };
        self.digest.remove(&member.view);
        member.view.decision = member.claim.settle(has_room(&self.room, name), &policy.action);
        self.digest.add(&member.view);
    }

    /// The node carries a mark of the policy, or may.
    pub fn hold(&mut self, name: &str) {
        self.room.hold(name);
    }

    /// The node carries no mark of the policy.
    pub fn free(&mut self, name: &str) {
        self.room.free(name);
    }

    /// A node in the eyes of this policy.
    #[must_use]
    pub fn view(&self, name: &str) -> Option<&NodeView> {
        self.members.get(name).map(|member| &member.view)
    }

    /// All its nodes, by name.
    pub fn views(&self) -> impl Iterator<Item = &NodeView> {
        self.members.values().map(|member| &member.view)
    }

    /// The names of its nodes.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.members.keys()
    }

    /// The node that has this number in the tally.
    #[must_use]
    pub fn name_of(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }

    /// The places under its limit.
    #[must_use]
    pub fn room(&self) -> &Room<Urgency> {
        &self.room
    }

    /// What its nodes come to.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What its nodes are measured against.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

/// A node that may carry the mark already, or carries another one of the policy, needs no further place; where more
/// places are held than there are, it has lost its own.
fn has_room(room: &Room<Urgency>, name: &str) -> bool {
    room.is_promised(name) || (room.held().contains(name) && room.held().len() <= room.cap())
}
