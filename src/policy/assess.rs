//! Against what is a node's clock wrong? The choice of the yardstick, and when not to trust it.
//!
//! Every node was measured against this controller, and may have evidence of its own (its NTP daemon, its
//! references). Three yardsticks, the best one that there is:
//!
//! 1. *Reference*: the policy names NTP servers and the controller knows its own offset against them.
//! 2. *Consensus*: at least three nodes, and a majority of one mind. This is exactly the difference that breaks a
//!    token between two nodes, and it catches nodes which all follow one wrong server apart from those that do not.
//! 3. *Own sources*: each node against what it follows itself. Used where there is no majority: a small cluster, or
//!    two halves that disagree. Together with the exchange, a node's word about itself is a word about this controller's
//!    clock, and these must fit together: two halves that are 5 s apart, each of which says that it is right, follow
//!    servers that contradict one another, and nobody can tell which half to believe.
//!
//! Then suspicion, which stops new actions and nothing else. Clocks fail one by one; many that move together in one
//! direction were moved by what they follow, and tainting half a cluster for it helps nobody (USNO 2012). And if the
//! cluster's majority is far from this controller, one of the two is wrong, and nothing here can tell which. And when
//! most clocks have just been moved alike ([`super::movement`]), they agree with one another whether that was right or
//! not; only a reference of the policy can tell.

use super::Tolerance;
use super::movement::{Together, together};
use crate::clock::consensus::NoConsensus;
use crate::clock::fuse::most_overlap;
use crate::clock::{Consensus, Delta, OffsetInterval, consensus};

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
}

/// Chooses the yardstick for `nodes` and holds each against it. `ours` is the controller's clock against the policy's
/// references, if those answer.
#[must_use]
pub fn assess(nodes: &[NodeEvidence], ours: Option<OffsetInterval>, tolerance: &Tolerance) -> Assessment {
    let measured: Vec<OffsetInterval> = nodes.iter().filter_map(|n| n.against_us).collect();
    let own: Vec<Option<OffsetInterval>> = nodes.iter().map(|n| n.own).collect();
    if let Some(ours) = ours {
        let offsets: Vec<_> = nodes.iter().map(|n| n.against_us.map(|it| it.shifted(ours))).collect();
        let suspicion = fleet_shifted(&offsets, tolerance);
        // It knows where they were moved to.
        let moved = vec![false; nodes.len()];
        return Assessment { yardstick: Yardstick::Reference(ours), offsets, moved, suspicion };
    }
    let known: Vec<Option<Delta>> = nodes.iter().map(|n| n.moved).collect();
    let (led, moved) = match together(&known, tolerance.offset_max) {
        Some((led, moved)) => (Some(Suspicion::FleetMoved(led)), moved),
        None => (None, vec![false; nodes.len()]),
    };
    match consensus(&measured, tolerance.offset_max) {
        Ok(found) => {
            let offsets = nodes.iter().map(|n| n.against_us.map(|it| it.against(found.interval))).collect();
            let apart = found.interval.surely_beyond(tolerance.offset_max).then_some(Suspicion::ControllerApart {
                by: found.interval.midpoint(),
                agreeing: found.agreeing,
                of: found.of,
            });
            // What the nodes say of themselves is heard too: all of them agreeing with one another and disagreeing
            // with what they follow is a fleet that was moved.
            let suspicion = fleet_shifted(&own, tolerance).or(apart).or(led);
            Assessment { yardstick: Yardstick::Consensus(found), offsets, moved, suspicion }
        }
        Err(none) => {
            let suspicion = fleet_shifted(&own, tolerance).or(led);
            let offsets = uncontradicted(nodes, tolerance);
            Assessment { yardstick: Yardstick::OwnSources(none), offsets, moved, suspicion }
        }
    }
}

/// What each node says of itself, where it fits what more than half of the nodes say; nothing where no half does.
///
/// Node against its sources less node against us is us against its sources: of that, all of them speak. Words that
/// differ by no more than the tolerance fit; a word that cannot be compared is not contradicted.
fn uncontradicted(nodes: &[NodeEvidence], tolerance: &Tolerance) -> Vec<Option<OffsetInterval>> {
    let about_us = |node: &NodeEvidence| {
        let word = node.own?.against(node.against_us?);
        Some(word.widened(tolerance.offset_max / 2))
    };
    let words: Vec<OffsetInterval> = nodes.iter().filter_map(about_us).collect();
    let believed = most_overlap(&words).filter(|(_, agreeing)| agreeing * 2 > words.len()).map(|(place, _)| place);
    let fits = |node: &&NodeEvidence| match (about_us(node), believed) {
        (Some(word), Some(believed)) => word.overlaps(believed),
        (Some(_), None) => false,
        (None, _) => true,
    };
    nodes.iter().map(|node| Some(node).filter(fits)?.own).collect()
}

/// More than half, and at least two, beyond tolerance in the same direction.
fn fleet_shifted(offsets: &[Option<OffsetInterval>], tolerance: &Tolerance) -> Option<Suspicion> {
    let known: Vec<OffsetInterval> = offsets.iter().copied().flatten().collect();
    let beyond = |ahead: bool| -> Vec<Delta> {
        let mut middles: Vec<Delta> = known
            .iter()
            .filter(|it| it.surely_beyond(tolerance.offset_max))
            .map(|it| it.midpoint())
            .filter(|middle| (*middle > Delta::ZERO) == ahead)
            .collect();
        middles.sort_unstable();
        middles
    };
    let (ahead, behind) = (beyond(true), beyond(false));
    let most = if ahead.len() >= behind.len() { ahead } else { behind };
    let by = most.get(most.len() / 2).copied()?;
    (most.len() >= 2 && most.len() * 2 > known.len()).then_some(Suspicion::FleetShifted {
        shifted: most.len(),
        of: known.len(),
        by,
    })
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
    fn two_equal_halves_fall_back_to_what_each_follows() {
        let halves: Vec<_> = (0..10).map(|i| if i < 5 { (0, Some(0)) } else { (15_000, Some(15_000)) }).collect();
        let found = assess(&fleet(&halves), None, &TOLERANCE);
        assert!(matches!(found.yardstick, Yardstick::OwnSources(NoConsensus::Split { .. })));
        assert_eq!(beyond(&found).iter().filter(|b| **b).count(), 5);
        assert_eq!(found.suspicion, None);
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
