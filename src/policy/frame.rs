//! What holds for a whole policy at one moment: the yardstick, what it makes of any node, and when not to trust it.
//!
//! Made of a [`Crowd`], which answers questions about order and nothing else, so that the rules are written once for
//! evidence that was sorted for the occasion ([`super::assess`]) and for evidence that is kept in order ([`super::tally`]).
//! A frame is small and stays what it is; while nothing of it changes, a node's change is that node's business alone.
//!
//! Suspicion comes in two sizes. Of the whole policy, first found first told: the fleet is shifted, there are two
//! groups, the controller is apart, the fleet was moved together. And of a zone: if more than half of the nodes of one
//! zone, and at least [`ZONE_MIN`], are beyond tolerance in the same direction, what they share is wrong, and taking
//! away a zone is for a person to decide. Zones are looked at where the fleet as a whole is not suspect, and where there
//! are at least two with evidence, since otherwise the zone is the fleet.
//!
//! Does not know: names, standings, what is done about a node. Why so: `docs/decisions/0005-zones-halves-and-us.md`.

use super::halves::{self, Divided};
use super::movement::{Together, together};
use super::{NodeEvidence, Suspicion, Yardstick, ZoneSuspicion};
use crate::clock::consensus::{NoConsensus, Shift, WITNESSES_MIN};
use crate::clock::{Delta, Edges, Mono, OffsetInterval, Order, Tolerance};
use std::sync::Arc;
use std::time::Duration;

/// In a zone of fewer nodes with evidence, two that go wrong by themselves would be a majority.
pub const ZONE_MIN: usize = 3;

/// No difference at all.
const NAUGHT: OffsetInterval = OffsetInterval::exactly(Delta::ZERO);

/// The evidence about the nodes of a policy, all of it as it is now.
pub(super) trait Crowd {
    /// Those measured against us.
    fn measured(&self) -> Edges<impl Order>;
    /// What they say of themselves.
    fn own(&self) -> Edges<impl Order>;
    /// By how much they were moved.
    fn moved(&self) -> impl Order;
    /// One of them.
    fn evidence(&self, id: u32) -> NodeEvidence;
    /// By zone: those measured against us, and what they say of themselves.
    fn zones(&self) -> impl Iterator<Item = (Arc<str>, Edges<impl Order>, Edges<impl Order>)>;
    /// A look at every node, where they are split or too few; and when to look again, if that was not now.
    fn divided(&mut self, split: bool) -> (Divided, Option<Mono>);
}

/// What holds for a whole policy at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What is measured against.
    pub yardstick: Yardstick,
    /// Why nothing new is done to any node.
    pub suspicion: Option<Suspicion>,
    /// Zones in which nothing new is done, by name.
    pub zones: Vec<ZoneSuspicion>,
    /// By how much this controller's own clock is surely wrong, positive ahead. Whoever leads with it steps down.
    pub apart: Option<Delta>,
    /// When to look again although nothing changed: what holds was partly found a moment ago.
    pub due: Option<Mono>,
    together: Option<Together>,
    believed: Option<OffsetInterval>,
    offset_max: Duration,
}

impl Frame {
    /// Chooses the yardstick. `ours` is the controller's clock against the policy's references, if those answer.
    pub(super) fn of(crowd: &mut impl Crowd, ours: Option<OffsetInterval>, tolerance: &Tolerance) -> Frame {
        let mut frame = Frame {
            yardstick: Yardstick::OwnSources(NoConsensus::TooFew { have: 0 }),
            suspicion: None,
            zones: Vec::new(),
            apart: None,
            due: None,
            together: None,
            believed: None,
            offset_max: tolerance.offset_max,
        };
        match ours {
            Some(ours) => frame.by_reference(crowd, ours),
            None => frame.by_themselves(crowd),
        }
        if frame.suspicion.is_none() {
            frame.zones = frame.suspected_zones(crowd);
        }
        frame
    }

    fn by_reference(&mut self, crowd: &impl Crowd, ours: OffsetInterval) {
        self.yardstick = Yardstick::Reference(ours);
        self.apart = ours.surely_beyond(self.offset_max).then(|| ours.midpoint());
        // Where they were moved to, and which half is right, it knows.
        let shift = crowd.measured().shifted(self.zero(), self.offset_max);
        self.suspicion = shift.map(|shift| self.fleet_shifted(&shift, self.offset(&crowd.evidence(shift.middle))));
    }

    fn by_themselves(&mut self, crowd: &mut impl Crowd) {
        self.together = together(&crowd.moved(), self.offset_max);
        let led = self.together.map(Suspicion::FleetMoved);
        // What the nodes say of themselves is heard: all of them agreeing with one another and disagreeing with what
        // they follow is a fleet that was moved.
        let shift = crowd.own().shifted(NAUGHT, self.offset_max);
        let middle = shift.and_then(|shift| crowd.evidence(shift.middle).own);
        let shifted = shift.map(|shift| self.fleet_shifted(&shift, middle));
        let found = crowd.measured().consensus(self.offset_max);
        match found {
            Ok(found) => {
                self.yardstick = Yardstick::Consensus(found);
                // Us against the nodes; or, where the nodes say that they are wrong, against what these follow.
                let us = middle.unwrap_or(NAUGHT).against(found.interval);
                self.apart = us.surely_beyond(self.offset_max).then(|| us.midpoint());
                let apart = found.interval.surely_beyond(self.offset_max).then(|| Suspicion::ControllerApart {
                    by: found.interval.midpoint(),
                    agreeing: found.agreeing,
                    of: found.of,
                });
                self.suspicion = shifted.or(apart).or(led);
            }
            Err(none) => {
                self.yardstick = Yardstick::OwnSources(none);
                let (divided, due) = crowd.divided(matches!(none, NoConsensus::Split { .. }));
                (self.believed, self.due) = (divided.believed, due);
                // One node's word against ours is no proof.
                let us = self.believed.filter(|_| divided.agreeing >= WITNESSES_MIN);
                let us = us.filter(|us| us.surely_beyond(self.offset_max));
                self.apart = us.map(OffsetInterval::midpoint);
                let groups = match none {
                    NoConsensus::Split { of, .. } => {
                        divided.groups.map(|(larger, smaller)| Suspicion::TwoGroups { larger, smaller, of })
                    }
                    NoConsensus::TooFew { .. } => None,
                };
                self.suspicion = shifted.or(groups).or(led);
            }
        }
    }

    fn fleet_shifted(&self, shift: &Shift, middle: Option<OffsetInterval>) -> Suspicion {
        let by = middle.map_or(Delta::ZERO, OffsetInterval::midpoint);
        Suspicion::FleetShifted { shifted: shift.shifted, of: shift.of, by }
    }

    fn suspected_zones(&self, crowd: &impl Crowd) -> Vec<ZoneSuspicion> {
        let own = matches!(self.yardstick, Yardstick::OwnSources(_));
        let mut with_evidence = 0usize;
        let mut suspected = Vec::new();
        for (zone, measured, said) in crowd.zones() {
            let (of, shift) = if own {
                (said.lows.len(), said.shifted(NAUGHT, self.offset_max))
            } else {
                (measured.lows.len(), measured.shifted(self.zero(), self.offset_max))
            };
            with_evidence = with_evidence.saturating_add(usize::from(of > 0));
            if let Some(Shift { shifted, of, middle }) = shift.filter(|_| of >= ZONE_MIN) {
                let middle = crowd.evidence(middle);
                let middle = if own { middle.own } else { self.offset(&middle) };
                let by = middle.map_or(Delta::ZERO, OffsetInterval::midpoint);
                suspected.push(ZoneSuspicion { zone, shifted, of, by });
            }
        }
        if with_evidence < 2 {
            suspected.clear();
        }
        suspected
    }

    /// Where a right clock is, against this controller's.
    fn zero(&self) -> OffsetInterval {
        match self.yardstick {
            Yardstick::Reference(ours) => NAUGHT.against(ours),
            Yardstick::Consensus(found) => found.interval,
            Yardstick::OwnSources(_) => NAUGHT,
        }
    }

    /// A node against the yardstick, positive ahead; `None` without evidence against it. The evidence is as it is now.
    #[must_use]
    pub fn offset(&self, node: &NodeEvidence) -> Option<OffsetInterval> {
        match self.yardstick {
            Yardstick::Reference(_) | Yardstick::Consensus(_) => Some(node.against_us?.against(self.zero())),
            Yardstick::OwnSources(_) => node.own.filter(|_| halves::fits(node, self.believed, self.offset_max)),
        }
    }

    /// Whether a node was moved with most of the others, so that agreeing with these proves nothing.
    #[must_use]
    pub fn moved(&self, node: &NodeEvidence) -> bool {
        self.together.is_some_and(|together| together.includes(node.moved, self.offset_max))
    }

    /// What is suspected of a zone.
    #[must_use]
    pub fn zone(&self, zone: &str) -> Option<&ZoneSuspicion> {
        self.zones.iter().find(|it| *it.zone == *zone)
    }

    /// Whether nodes have to be looked at again that gave no cause for it themselves: the kind of the yardstick or of
    /// suspicion is another one, other zones are suspected, or something that nodes are held against moved by more than
    /// `epsilon`. Compare with the frame by which they were last looked at, or small movements add up unseen.
    ///
    /// Numbers within a suspicion (how many, by how much) do not count: they change nothing for a node.
    #[must_use]
    pub fn differs(&self, other: &Frame, epsilon: Duration) -> bool {
        fn kind<T>(it: &Option<T>) -> Option<std::mem::Discriminant<T>> {
            it.as_ref().map(std::mem::discriminant)
        }
        let far = |one: Delta, other: Delta| one.minus(other).magnitude() > epsilon;
        let other_place =
            |one: OffsetInterval, other: OffsetInterval| far(one.low(), other.low()) || far(one.high(), other.high());
        let others = |one: Option<OffsetInterval>, other: Option<OffsetInterval>| match (one, other) {
            (Some(one), Some(other)) => other_place(one, other),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        let led = match (self.together, other.together) {
            (Some(one), Some(other)) => far(one.by, other.by),
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        std::mem::discriminant(&self.yardstick) != std::mem::discriminant(&other.yardstick)
            || kind(&self.suspicion) != kind(&other.suspicion)
            || !self.zones.iter().map(|it| &it.zone).eq(other.zones.iter().map(|it| &it.zone))
            || other_place(self.zero(), other.zero())
            || others(self.believed, other.believed)
            || led
            || self.offset_max != other.offset_max
    }
}

#[cfg(test)]
mod tests;
