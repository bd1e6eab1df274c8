//! Against what is a node's clock wrong? The choice of the yardstick, and when not to trust it.
//!
//! Every node was measured against this controller, and may have evidence of its own (its NTP daemon, its
//! references). Three yardsticks, the best one that there is:
//!
//! 1. *Reference*: the policy names NTP servers and the controller knows its own offset against them.
//! 2. *Consensus*: at least three nodes, and a majority of one mind. This is exactly the difference that breaks a
//!    token between two nodes, and it catches nodes which all follow one wrong server apart from those that do not.
//! 3. *Own sources*: each node against what it follows itself, where it fits what the others say ([`super::halves`]).
//!    Used where there is no majority: a small cluster, or two halves that disagree.
//!
//! Then suspicion, which stops new actions and nothing else. Clocks fail one by one; many that move together in one
//! direction were moved by what they follow, and tainting half a cluster for it helps nobody (USNO 2012). And if the
//! cluster's majority is far from this controller, one of the two is wrong, and nothing here can tell which. Nor can it
//! where the cluster is in two minds. And when most clocks have just been moved alike ([`super::movement`]), they agree with one another whether that was right or
//! not; only a reference of the policy can tell.

use super::frame::{Crowd, Frame};
use super::halves::{self, Divided, Group};
use super::movement::Together;
use crate::clock::consensus::NoConsensus;
use crate::clock::{Consensus, Delta, Edges, Mono, OffsetInterval, Order, Sorted, Tolerance};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What is known about one node, aged to now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeEvidence {
    /// Its clock against the controller's, by exchange.
    pub against_us: Option<OffsetInterval>,
    /// Its clock against its own sources.
    pub own: Option<OffsetInterval>,
    /// By how much it was moved lately, positive forward; `None` where nobody looks.
    pub moved: Option<Delta>,
}

/// Against what nodes are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yardstick {
    /// The policy's references; the interval is the controller's own offset against them.
    Reference(OffsetInterval),
    /// The cluster's consensus.
    Consensus(Consensus),
    /// Each node's own sources, because there is no majority.
    OwnSources(NoConsensus),
}

impl Yardstick {
    /// The word used in status and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Yardstick::Reference(_) => "references",
            Yardstick::Consensus(_) => "consensus",
            Yardstick::OwnSources(_) => "own sources",
        }
    }
}

/// Why nothing new is done although clocks look wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// More than half of the nodes with evidence are beyond tolerance in the same direction.
    FleetShifted {
        /// How many.
        shifted: usize,
        /// Of how many.
        of: usize,
        /// By how much, the middle one of them.
        by: Delta,
    },
    /// More than half of the nodes were stepped or slewed alike, beyond tolerance.
    FleetMoved(Together),
    /// No majority is of one mind, and no reference says which group is right.
    TwoGroups {
        /// The largest group.
        larger: Group,
        /// The largest of the rest.
        smaller: Group,
        /// Of how many nodes.
        of: usize,
    },
    /// The cluster's consensus is beyond tolerance from this controller's clock.
    ControllerApart {
        /// The cluster against the controller.
        by: Delta,
        /// How many nodes are near the consensus.
        agreeing: usize,
        /// Of how many.
        of: usize,
    },
}

/// A zone that is wrong as a whole: nothing new is done to its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSuspicion {
    /// Its name: the node label `topology.kubernetes.io/zone`.
    pub zone: Arc<str>,
    /// How many of its nodes are beyond tolerance in the same direction.
    pub shifted: usize,
    /// Of how many with evidence.
    pub of: usize,
    /// By how much, the middle one of them.
    pub by: Delta,
}

/// The yardstick, each node against it, and suspicion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What was measured against.
    pub yardstick: Yardstick,
    /// In the order of the evidence; `None` without evidence against this yardstick.
    pub offsets: Vec<Option<OffsetInterval>>,
    /// In the same order: those that were moved with most of the others, so that agreeing with these proves nothing.
    pub moved: Vec<bool>,
    /// If something is fishy.
    pub suspicion: Option<Suspicion>,
    /// If something is fishy about a zone.
    pub zones: Vec<ZoneSuspicion>,
}

/// Chooses the yardstick for `nodes` and holds each against it. `ours` is the controller's clock against the policy's
/// references, if those answer. The nodes' zones are not known.
#[must_use]
pub fn assess(nodes: &[NodeEvidence], ours: Option<OffsetInterval>, tolerance: &Tolerance) -> Assessment {
    assess_zones(nodes, &[], ours, tolerance)
}

/// The same where the nodes' zones are known, in the order of the nodes.
#[must_use]
pub fn assess_zones(
    nodes: &[NodeEvidence],
    zones: &[Option<&str>],
    ours: Option<OffsetInterval>,
    tolerance: &Tolerance,
) -> Assessment {
    let frame = frame(nodes, zones, ours, tolerance);
    Assessment {
        offsets: nodes.iter().map(|node| frame.offset(node)).collect(),
        moved: nodes.iter().map(|node| frame.moved(node)).collect(),
        yardstick: frame.yardstick,
        suspicion: frame.suspicion,
        zones: frame.zones,
    }
}

/// What holds for all of them.
pub(super) fn frame(
    nodes: &[NodeEvidence],
    zones: &[Option<&str>],
    ours: Option<OffsetInterval>,
    tolerance: &Tolerance,
) -> Frame {
    Frame::of(&mut Assembled { nodes, zones, apart: tolerance.offset_max }, ours, tolerance)
}

/// Evidence that is sorted whenever its order is asked for. Ids are places in the list.
struct Assembled<'a> {
    nodes: &'a [NodeEvidence],
    zones: &'a [Option<&'a str>],
    apart: Duration,
}

impl Assembled<'_> {
    /// The evidence of that kind of the nodes in a zone, or of all.
    fn edges(&self, zone: Option<&str>, which: impl Fn(&NodeEvidence) -> Option<OffsetInterval>) -> Edges<Sorted> {
        let zones = self.zones.iter().copied().chain(std::iter::repeat(None));
        let all = (0..).zip(self.nodes).zip(zones).filter(|(_, its)| zone.is_none() || *its == zone);
        Edges::of(all.filter_map(|((id, node), _)| Some((id, which(node)?))))
    }
}

impl Crowd for Assembled<'_> {
    fn measured(&self) -> Edges<impl Order> {
        self.edges(None, |node| node.against_us)
    }

    fn own(&self) -> Edges<impl Order> {
        self.edges(None, |node| node.own)
    }

    fn moved(&self) -> impl Order {
        (0..).zip(self.nodes).filter_map(|(id, node)| Some((node.moved?, id))).collect::<Sorted>()
    }

    fn evidence(&self, id: u32) -> NodeEvidence {
        usize::try_from(id).ok().and_then(|id| self.nodes.get(id)).copied().unwrap_or_default()
    }

    fn zones(&self) -> impl Iterator<Item = (Arc<str>, Edges<impl Order>, Edges<impl Order>)> {
        let names: BTreeSet<&str> = self.zones.iter().copied().flatten().collect();
        names.into_iter().map(|zone| {
            let of = |which: fn(&NodeEvidence) -> Option<OffsetInterval>| self.edges(Some(zone), which);
            (Arc::from(zone), of(|node| node.against_us), of(|node| node.own))
        })
    }

    fn divided(&mut self, _split: bool) -> (Divided, Option<Mono>) {
        let nodes: Vec<_> = (0..).zip(self.nodes.iter().copied()).collect();
        (halves::divide(&nodes, self.apart), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TOLERANCE: Tolerance = Tolerance {
        offset_max: Duration::from_millis(500),
        error_max: Duration::from_secs(2),
        unsynchronized_max: Duration::from_secs(300),
        stale_after: Duration::from_secs(60),
    };

    fn at(ms: i64) -> OffsetInterval {
        OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), Duration::from_millis(1))
    }

    /// (against us, own), in milliseconds.
    fn fleet(nodes: &[(i64, Option<i64>)]) -> Vec<NodeEvidence> {
        nodes
            .iter()
            .map(|(us, own)| NodeEvidence { against_us: Some(at(*us)), own: own.map(at), moved: None })
            .collect()
    }

    fn beyond(assessment: &Assessment) -> Vec<bool> {
        assessment.offsets.iter().map(|it| it.is_some_and(|it| it.surely_beyond(TOLERANCE.offset_max))).collect()
    }

    #[test]
    fn one_of_three_is_wrong_against_the_consensus_even_if_its_own_server_says_otherwise() {
        let found = assess(&fleet(&[(0, Some(0)), (2, Some(0)), (15_000, Some(0))]), None, &TOLERANCE);
        assert!(matches!(found.yardstick, Yardstick::Consensus(_)) && found.suspicion.is_none());
        assert_eq!(beyond(&found), [false, false, true]);
    }

    #[test]
    fn every_yardstick_has_its_words() {
        let words = |nodes: &[(i64, Option<i64>)], ours| assess(&fleet(nodes), ours, &TOLERANCE).yardstick.as_str();
        assert_eq!(words(&[(0, None); 3], Some(at(0))), "references");
        assert_eq!(words(&[(0, None); 3], None), "consensus");
        assert_eq!(words(&[], None), "own sources");
    }

    #[test]
    fn all_nodes_moving_alike_is_suspected_and_not_acted_on() {
        let all = [(15_000, Some(15_000)); 5];
        let found = assess(&fleet(&all), None, &TOLERANCE);
        assert!(matches!(found.suspicion, Some(Suspicion::FleetShifted { shifted: 5, of: 5, .. })), "{found:?}");
        let without_sources = [(15_000, None); 5];
        let found = assess(&fleet(&without_sources), None, &TOLERANCE);
        assert!(matches!(found.suspicion, Some(Suspicion::ControllerApart { agreeing: 5, of: 5, .. })), "{found:?}");
        let found = assess(&fleet(&all), Some(at(0)), &TOLERANCE);
        assert!(matches!(found.suspicion, Some(Suspicion::FleetShifted { .. })), "{found:?}");
    }

    #[test]
    fn a_wrong_majority_does_not_get_the_right_minority_tainted() {
        let found = assess(&fleet(&[(15_000, None), (15_000, None), (15_000, None), (0, None)]), None, &TOLERANCE);
        assert!(matches!(found.suspicion, Some(Suspicion::ControllerApart { .. })), "{found:?}");
    }

    #[test]
    fn two_equal_halves_are_named_and_judged_by_what_each_follows() {
        let halves: Vec<_> = (0..10).map(|i| if i < 5 { (0, Some(0)) } else { (15_000, Some(15_000)) }).collect();
        let found = assess(&fleet(&halves), None, &TOLERANCE);
        assert!(matches!(found.yardstick, Yardstick::OwnSources(NoConsensus::Split { .. })));
        assert_eq!(beyond(&found).iter().filter(|b| **b).count(), 5);
        // They admit that they are wrong, but nothing is done where no majority is of one mind.
        let Some(Suspicion::TwoGroups { larger, smaller, of: 10 }) = found.suspicion else { panic!("{found:?}") };
        assert_eq!((larger.size, larger.offset), (5, Delta::ZERO));
        assert_eq!((smaller.size, smaller.offset), (5, Delta::from_nanos(15_000_000_000)));
        assert_eq!(larger.members().chain(smaller.members()).collect::<Vec<_>>(), (0..10).collect::<Vec<u32>>());
        let silent: Vec<_> = halves.iter().map(|(us, _)| (*us, None)).collect();
        assert!(assess(&fleet(&silent), None, &TOLERANCE).offsets.iter().all(Option::is_none));
    }

    /// Who is still believed about itself.
    #[track_caller]
    fn check_words(nodes: &[(i64, Option<i64>)], expected: &[bool]) {
        let found = assess(&fleet(nodes), None, &TOLERANCE);
        assert!(matches!(found.yardstick, Yardstick::OwnSources(_)), "{found:?}");
        let believed: Vec<bool> = found.offsets.iter().map(Option::is_some).collect();
        assert_eq!(believed, expected, "{found:?}");
    }

    #[test]
    fn halves_that_each_say_they_are_right_are_not_believed() {
        let right = Some(0);
        check_words(&[(0, right), (0, right), (5_000, right), (5_000, right)], &[false; 4]);
        check_words(&[(0, right), (5_000, right)], &[false; 2]);
        // They are apart, and say so.
        check_words(&[(0, right), (5_000, Some(5_000))], &[true; 2]);
        check_words(&[(0, right), (0, right), (5_000, Some(5_000)), (5_000, right)], &[true, true, true, false]);
        // Within the tolerance of one another, alone, or silent.
        check_words(&[(0, right), (400, right)], &[true; 2]);
        check_words(&[(5_000, right)], &[true]);
        check_words(&[(0, right), (5_000, None)], &[true, false]);
    }

    #[test]
    fn nodes_that_share_one_bad_server_agree_and_are_given_away_by_how_they_came_there() {
        let led =
            |s: i64| NodeEvidence { moved: Some(Delta::from_nanos(s * 1_000_000_000)), ..fleet(&[(0, Some(0))])[0] };
        let nodes = [led(5), led(5), led(5), led(0)];
        let found = assess(&nodes, None, &TOLERANCE);
        assert!(matches!(found.suspicion, Some(Suspicion::FleetMoved(Together { moved: 3, of: 4, .. }))), "{found:?}");
        assert_eq!(found.moved, [true, true, true, false]);
        // Also where there is no consensus.
        let two = assess(&nodes[..2], None, &TOLERANCE);
        assert!(matches!(two.yardstick, Yardstick::OwnSources(NoConsensus::TooFew { have: 2 })), "{two:?}");
        assert!(matches!(two.suspicion, Some(Suspicion::FleetMoved(Together { moved: 2, of: 2, .. }))), "{two:?}");
        // Few, or with a reference that knows better.
        let few = assess(&[led(5), led(0), led(0), led(0)], None, &TOLERANCE);
        assert_eq!((few.suspicion, few.moved), (None, vec![false; 4]));
        let known = assess(&nodes, Some(at(0)), &TOLERANCE);
        assert_eq!((known.suspicion, known.moved), (None, vec![false; 4]));
    }

    #[test]
    fn a_reference_decides_where_the_cluster_is_in_two_minds() {
        // The controller itself is 2 s ahead of its reference; half of the nodes share its fault.
        let halves = fleet(&[(0, None), (0, None), (-2_000, None), (-2_000, None)]);
        let found = assess(&halves, Some(at(2_000)), &TOLERANCE);
        assert_eq!(beyond(&found), [true, true, false, false]);
        assert_eq!(found.suspicion, None);
    }

    #[test]
    fn a_single_node_is_judged_by_its_own_sources_and_is_no_fleet() {
        let found = assess(&fleet(&[(15_000, Some(15_000))]), None, &TOLERANCE);
        assert_eq!((beyond(&found), found.suspicion), (vec![true], None));
    }
}
