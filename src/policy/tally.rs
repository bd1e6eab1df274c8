//! The assessment of a policy, kept while single nodes change: what [`super::assess`] says, at the cost of one node.
//!
//! Intervals widen with age, all at the same rate, so their edges never change places: a lower edge is kept as it would
//! have been at the beginning of time, and any moment's edge is that less the rate times the time. The same for our own
//! clock, against which the nodes were measured at different moments: edges are kept against the oscillator
//! ([`crate::clock::timescale`]), so that our clock being set or slewed moves all of them alike, and looks like that.
//!
//! What holds is exactly what [`super::assess`] finds in evidence of this moment, but for two things, both on the safe
//! side. Where the oscillator is not known well, intervals are a little wider. And where there is no majority every node
//! has to be looked at; in a policy of more than [`LOOKED_AT_ALWAYS`] nodes that is done once per [`LOOKED_AT_AGAIN`]
//! at most, or when an eighth of the nodes came or went, and [`Frame::due`] says when to ask again. In a split nothing
//! new is done anyway; of a policy whose nodes are not measured against us, or only vaguely, it means that a node's word
//! about itself may be held against what the others said a second ago.
//!
//! Does not know: names, when evidence is too old (whoever sets it withdraws it).

use super::NodeEvidence;
mod kept;

use self::kept::{Intervals, Kept, Reader, clamped};
use super::frame::{Crowd, Frame};
use super::halves::{self, Divided};
use crate::clock::interval::DRIFT_PPM;
use crate::clock::timescale::{Timescale, position};
use crate::clock::{Delta, Edges, Mono, OffsetInterval, Order, Ranks, Sample, Tolerance};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Up to so many nodes are all looked at whenever there is no majority: it takes a few microseconds.
pub const LOOKED_AT_ALWAYS: usize = 64;
/// More than that are all looked at so often at most.
pub const LOOKED_AT_AGAIN: Duration = Duration::from_secs(1);

/// The rate at which our oscillator may be wrong is taken in steps of this, parts per million; what was kept for
/// another rate is put in order anew.
const RATE_STEP_PPM: u64 = 10;
/// The evidence about some nodes: against us, and their own.
#[derive(Debug, Clone, Default)]
struct Part {
    measured: Intervals,
    own: Intervals,
}

/// One node.
#[derive(Debug, Clone, PartialEq)]
struct Member {
    evidence: NodeEvidence,
    at: Sample,
    zone: Option<Arc<str>>,
    measured: Option<Kept>,
    own: Option<Kept>,
}

/// A look at every node.
#[derive(Debug, Clone, Copy)]
struct Looked {
    divided: Divided,
    /// Whether there were enough nodes for a consensus, which then were not of one mind.
    split: bool,
    at: Mono,
    /// Our clock, ns.
    position: i128,
    nodes: usize,
    changes: u64,
}

/// The evidence about the nodes of one policy, in order.
#[derive(Debug, Clone)]
pub struct Tally {
    tolerance: Tolerance,
    members: BTreeMap<u32, Member>,
    all: Part,
    zones: BTreeMap<Arc<str>, Part>,
    moved: Ranks<Delta>,
    timescale: Timescale,
    /// At which our oscillator may be wrong, parts per million, as the edges are kept.
    rate_ppm: u64,
    /// No moment before this was heard of.
    latest: Mono,
    changes: u64,
    looked: Option<Looked>,
}

impl Tally {
    /// Of no nodes yet.
    #[must_use]
    pub fn new(tolerance: &Tolerance) -> Tally {
        let timescale = Timescale::new(tolerance.stale_after);
        Tally {
            tolerance: *tolerance,
            members: BTreeMap::new(),
            all: Part::default(),
            zones: BTreeMap::new(),
            moved: Ranks::new(),
            rate_ppm: timescale.ppm(),
            timescale,
            latest: Mono::from_nanos(0),
            changes: 0,
            looked: None,
        }
    }

    /// How many nodes there is evidence of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is evidence of none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What is known of a node from now on, as it was when our clocks were `at`; `None` is the same as
    /// [`Tally::remove`]. The zone is the node's label `topology.kubernetes.io/zone`.
    pub fn set(&mut self, id: u32, evidence: Option<NodeEvidence>, at: &Sample, zone: Option<&str>) {
        let Some(evidence) = evidence else { return self.remove(id) };
        self.remove(id);
        self.latest = self.latest.max(at.after);
        let zone = zone.map(|zone| match self.zones.get_key_value(zone) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(zone),
        });
        let measured = evidence.against_us.map(|it| Reader::by(at, at.after, self.measured_ppm()).keep(it));
        let own = evidence.own.map(|it| Reader::at(at.after, DRIFT_PPM).keep(it));
        if let Some(moved) = evidence.moved {
            self.moved.insert(moved, id);
        }
        let part = zone.as_ref().map(|zone| self.zones.entry(Arc::clone(zone)).or_default());
        for part in [Some(&mut self.all), part].into_iter().flatten() {
            part.measured.insert(measured, id);
            part.own.insert(own, id);
        }
        self.members.insert(id, Member { evidence, at: *at, zone, measured, own });
        self.changes = self.changes.wrapping_add(1);
    }

    /// Nothing is known of a node any more.
    pub fn remove(&mut self, id: u32) {
        let Some(member) = self.members.remove(&id) else { return };
        if let Some(moved) = member.evidence.moved {
            self.moved.remove(moved, id);
        }
        let part = member.zone.as_ref().and_then(|zone| self.zones.get_mut(zone));
        for part in [Some(&mut self.all), part].into_iter().flatten() {
            part.measured.remove(member.measured, id);
            part.own.remove(member.own, id);
        }
        if let Some(zone) = &member.zone {
            let empty = |part: &Part| part.measured.is_empty() && part.own.is_empty();
            if self.zones.get(zone).is_some_and(empty) {
                self.zones.remove(zone);
            }
        }
        self.changes = self.changes.wrapping_add(1);
    }

    /// What holds when our clocks are `now`. `ours` is our clock against the policy's references, if those answer.
    ///
    /// Moments come in order: one before the latest that was heard of counts as that.
    pub fn frame(&mut self, ours: Option<OffsetInterval>, now: &Sample) -> Frame {
        self.latest = self.latest.max(now.after);
        self.timescale.observe(now);
        self.keep_pace();
        let tolerance = self.tolerance;
        Frame::of(&mut Moment { tally: self, clocks: now }, ours, &tolerance)
    }

    /// What is known of a node, as it is when our clocks are `now`; `None` if nothing is.
    #[must_use]
    pub fn evidence(&self, id: u32, now: &Sample) -> Option<NodeEvidence> {
        self.members.get(&id).map(|member| self.aged(member, now))
    }

    fn aged(&self, member: &Member, now: &Sample) -> NodeEvidence {
        NodeEvidence {
            against_us: member.measured.map(|kept| self.against_us(now).read(kept)),
            own: member.own.map(|kept| self.against_own(now).read(kept)),
            moved: member.evidence.moved,
        }
    }

    fn against_us(&self, now: &Sample) -> Reader {
        Reader::by(now, self.latest.max(now.after), self.measured_ppm())
    }

    fn against_own(&self, now: &Sample) -> Reader {
        Reader::at(self.latest.max(now.after), DRIFT_PPM)
    }

    fn measured_ppm(&self) -> u64 {
        DRIFT_PPM.saturating_add(self.rate_ppm)
    }

    /// Keeps the edges for the rate at which our oscillator may be wrong: never for less, and not for much more.
    fn keep_pace(&mut self) {
        let ppm = self.timescale.ppm();
        let wanted = ppm.next_multiple_of(RATE_STEP_PPM);
        if ppm <= self.rate_ppm && self.rate_ppm.saturating_sub(wanted) <= RATE_STEP_PPM.min(wanted) {
            return;
        }
        self.rate_ppm = wanted;
        self.all.measured = Intervals::default();
        for part in self.zones.values_mut() {
            part.measured = Intervals::default();
        }
        let ppm = self.measured_ppm();
        for (id, member) in &mut self.members {
            let keep = |it| Reader::by(&member.at, member.at.after, ppm).keep(it);
            member.measured = member.evidence.against_us.map(keep);
            self.all.measured.insert(member.measured, *id);
            if let Some(part) = member.zone.as_ref().and_then(|zone| self.zones.get_mut(zone)) {
                part.measured.insert(member.measured, *id);
            }
        }
    }
}

/// A tally at one moment.
struct Moment<'a> {
    tally: &'a mut Tally,
    clocks: &'a Sample,
}

impl Moment<'_> {
    /// The last look at every node, if it still serves.
    fn looked(&self, split: bool) -> Option<Looked> {
        let (tally, nodes) = (&self.tally, self.tally.members.len());
        let serves = |it: &Looked| {
            let recent = tally.latest.since(it.at) < LOOKED_AT_AGAIN;
            it.split == split && nodes > LOOKED_AT_ALWAYS && recent && nodes.abs_diff(it.nodes) <= nodes / 8
        };
        tally.looked.filter(serves)
    }
}

impl Crowd for Moment<'_> {
    fn measured(&self) -> Edges<impl Order> {
        self.tally.all.measured.read(self.tally.against_us(self.clocks))
    }

    fn own(&self) -> Edges<impl Order> {
        self.tally.all.own.read(self.tally.against_own(self.clocks))
    }

    fn moved(&self) -> impl Order {
        &self.tally.moved
    }

    fn evidence(&self, id: u32) -> NodeEvidence {
        self.tally.evidence(id, self.clocks).unwrap_or_default()
    }

    fn zones(&self) -> impl Iterator<Item = (Arc<str>, Edges<impl Order>, Edges<impl Order>)> {
        let (us, own) = (self.tally.against_us(self.clocks), self.tally.against_own(self.clocks));
        self.tally.zones.iter().map(move |(zone, part)| (Arc::clone(zone), part.measured.read(us), part.own.read(own)))
    }

    fn divided(&mut self, split: bool) -> (Divided, Option<Mono>) {
        let position = position(self.clocks);
        if let Some(looked) = self.looked(split) {
            let again = (looked.changes != self.tally.changes).then(|| looked.at.after(LOOKED_AT_AGAIN));
            return (looked.divided.moved(clamped(position - looked.position)), again);
        }
        let aged = |(id, member): (&u32, &Member)| (*id, self.tally.aged(member, self.clocks));
        let nodes: Vec<_> = self.tally.members.iter().map(aged).collect();
        let divided = halves::divide(&nodes, self.tally.tolerance.offset_max);
        let (at, changes) = (self.tally.latest, self.tally.changes);
        self.tally.looked = Some(Looked { divided, split, at, position, nodes: nodes.len(), changes });
        (divided, None)
    }
}

#[cfg(test)]
mod tests;
