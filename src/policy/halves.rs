//! No majority is of one mind: who is with whom, and whose word about itself can still be believed?
//!
//! Two questions, each answered by the place that most intervals cover ([`most_overlap`]), so that both look at every
//! node; whoever asks often keeps the answer for a while ([`super::tally`]).
//!
//! *Groups.* The nodes that are within tolerance of one another are one group, the largest is named first, then the
//! largest of the rest. Where one group holds more than half of the nodes there are no two minds: they are only known
//! too vaguely to tell the time by.
//!
//! *Words.* What a node says against its sources, less what it is against us, is us against its sources: of that, all
//! of them speak. Two halves that are 5 s apart, each of which says that it is right, follow servers that contradict
//! one another, and neither is believed. Words that differ by no more than the tolerance fit; a word that cannot be
//! compared is not contradicted.
//!
//! Does not know: which group is right. Nothing in the cluster does.

use super::NodeEvidence;
use crate::clock::consensus::WITNESSES_MIN;
use crate::clock::fuse::most_overlap;
use crate::clock::{Delta, OffsetInterval};
use std::time::Duration;

/// So many members of a group are named.
pub const NAMED_MAX: usize = 5;

/// Nodes within tolerance of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub size: usize,
    /// The middle one of them against this controller's clock; positive: ahead of it.
    pub offset: Delta,
    named: [Option<u32>; NAMED_MAX],
}

impl Group {
    /// The first [`NAMED_MAX`] of them, by id.
    pub fn members(&self) -> impl Iterator<Item = u32> {
        self.named.into_iter().flatten()
    }
}

/// What a look at every node gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Divided {
    /// This controller's clock against what more than half of the nodes that speak of it follow, half a tolerance wider
    /// than they say.
    pub(super) believed: Option<OffsetInterval>,
    /// How many say so.
    pub(super) agreeing: usize,
    /// The two largest groups, where neither is the majority.
    pub(super) groups: Option<(Group, Group)>,
}

impl Divided {
    /// The same after this controller's clock was moved, positive forward.
    pub(super) fn moved(self, by: Delta) -> Divided {
        let group = |group: Group| Group { offset: group.offset.minus(by), ..group };
        Divided {
            believed: self.believed.map(|it| it.shifted(OffsetInterval::exactly(by))),
            groups: self.groups.map(|(one, other)| (group(one), group(other))),
            ..self
        }
    }
}

/// Looks at every node, which are all as they are now, in the order of their ids.
pub(super) fn divide(nodes: &[(u32, NodeEvidence)], apart: Duration) -> Divided {
    let words: Vec<OffsetInterval> = nodes.iter().filter_map(|(_, node)| about_us(node, apart)).collect();
    let believed = most_overlap(&words).filter(|(_, agreeing)| agreeing * 2 > words.len());
    let mut measured: Vec<(u32, OffsetInterval)> =
        nodes.iter().filter_map(|(id, node)| Some((*id, node.against_us?))).collect();
    let of = measured.len();
    let groups = (of >= WITNESSES_MIN).then(|| Some((largest(&mut measured, apart)?, largest(&mut measured, apart)?)));
    Divided {
        believed: believed.map(|(place, _)| place),
        agreeing: believed.map_or(0, |(_, agreeing)| agreeing),
        groups: groups.flatten().filter(|(one, _)| one.size * 2 <= of),
    }
}

/// Takes the largest group out of the nodes.
fn largest(nodes: &mut Vec<(u32, OffsetInterval)>, apart: Duration) -> Option<Group> {
    let near = |it: &OffsetInterval| it.widened(apart / 2);
    let all: Vec<OffsetInterval> = nodes.iter().map(|(_, it)| near(it)).collect();
    let (place, size) = most_overlap(&all)?;
    let (members, rest): (Vec<_>, Vec<_>) = nodes.iter().copied().partition(|(_, it)| near(it).overlaps(place));
    *nodes = rest;
    let mut named = [None; NAMED_MAX];
    for (place, (id, _)) in named.iter_mut().zip(&members) {
        *place = Some(*id);
    }
    let mut middles: Vec<Delta> = members.iter().map(|(_, it)| it.midpoint()).collect();
    middles.sort_unstable();
    Some(Group { size, offset: *middles.get(middles.len() / 2)?, named })
}

/// Whether a node's word about itself fits what is believed.
pub(super) fn fits(node: &NodeEvidence, believed: Option<OffsetInterval>, apart: Duration) -> bool {
    match (about_us(node, apart), believed) {
        (Some(word), Some(believed)) => word.overlaps(believed),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// Us against its sources.
fn about_us(node: &NodeEvidence, apart: Duration) -> Option<OffsetInterval> {
    Some(node.own?.against(node.against_us?).widened(apart / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APART: Duration = Duration::from_millis(500);

    /// (offset, bound) in milliseconds in; (size, offset in milliseconds, members) of the two groups out.
    fn check(nodes: &[(i64, u64)], expected: Option<[(usize, i64, &[u32]); 2]>) {
        let evidence = |(offset, bound): &(i64, u64)| NodeEvidence {
            against_us: Some(OffsetInterval::new(Delta::from_nanos(offset * 1_000_000), Duration::from_millis(*bound))),
            ..NodeEvidence::default()
        };
        let nodes: Vec<_> = (0..).zip(nodes.iter().map(evidence)).collect();
        let found = divide(&nodes, APART).groups.map(|(one, other)| {
            [one, other]
                .map(|group| (group.size, group.offset.nanos() / 1_000_000, group.members().collect::<Vec<_>>()))
        });
        assert_eq!(found, expected.map(|groups| groups.map(|(size, ms, members)| (size, ms, members.to_vec()))));
    }

    #[test]
    fn the_two_largest_groups_are_named_with_a_few_members_each() {
        check(&[(0, 1), (5_000, 1), (1, 1), (5_001, 1)], Some([(2, 1, &[0, 2]), (2, 5_001, &[1, 3])]));
        check(&[(0, 1), (5_000, 1), (1, 1), (5_001, 1), (9_000, 1)], Some([(2, 1, &[0, 2]), (2, 5_001, &[1, 3])]));
        check(&[(-9_000, 1), (0, 1), (9_000, 1)], Some([(1, -9_000, &[0]), (1, 0, &[1])]));
        let many: Vec<_> = (0..20).map(|i| (if i % 2 == 0 { 0 } else { 5_000 }, 1)).collect();
        check(&many, Some([(10, 0, &[0, 2, 4, 6, 8]), (10, 5_000, &[1, 3, 5, 7, 9])]));
    }

    #[test]
    fn neither_of_two_groups_is_the_majority_nor_wider_than_a_tolerance() {
        check(&[(0, 1), (0, 1), (0, 1), (5_000, 1), (5_000, 1)], None);
        check(&[(0, 1), (600, 1), (5_000, 1), (5_600, 1)], Some([(1, 0, &[0]), (1, 600, &[1])]));
    }

    #[test]
    fn what_more_than_half_of_the_nodes_follow_is_believed() {
        let nodes = |said: &[(i64, Option<i64>)]| -> Vec<(u32, NodeEvidence)> {
            let at = |ms: i64| OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), Duration::from_millis(1));
            let node = |(us, own): &(i64, Option<i64>)| NodeEvidence {
                against_us: Some(at(*us)),
                own: own.map(at),
                moved: None,
            };
            (0..).zip(said.iter().map(node)).collect()
        };
        // Against us and of itself, in milliseconds in; how many agree, and who fits, out.
        for (said, agreeing, fitting) in [
            (&[(0, Some(0)), (5_000, Some(5_000)), (9_000, Some(0))][..], 2, &[true, true, false][..]),
            (&[(0, Some(0)), (0, Some(600))], 0, &[false, false]),
            (&[(0, Some(0)), (0, Some(400))], 2, &[true, true]),
            (&[(0, Some(0)), (0, Some(0)), (0, Some(600)), (0, Some(600))], 0, &[false; 4]),
            (&[(7, Some(0))], 1, &[true]),
            // Who says nothing has no vote, and is contradicted by nothing.
            (&[(0, Some(0)), (9_000, None), (9_000, None)], 1, &[true, true, true]),
            (&[], 0, &[]),
        ] {
            let nodes = nodes(said);
            let found = divide(&nodes, APART);
            let fit: Vec<bool> = nodes.iter().map(|(_, node)| fits(node, found.believed, APART)).collect();
            assert_eq!((found.agreeing, &fit[..]), (agreeing, fitting), "{said:?}: {found:?}");
        }
    }

    #[test]
    fn few_nodes_and_vague_ones_are_no_two_groups() {
        check(&[(0, 1), (5_000, 1)], None);
        check(&[], None);
        // All may be right: they are known too vaguely, and of one mind.
        check(&[(0, 900), (100, 900), (200, 900), (5_000, 1)], None);
    }
}
