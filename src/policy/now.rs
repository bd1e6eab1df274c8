//! What time can it be? For promises that were written down as a date.
//!
//! A date that a person wrote ("leave this node alone until six") must be compared with a wall clock, and of all programs
//! this one may not believe its own. So it is compared with an interval that holds the true time as far as anybody can
//! tell, and an end is past when even the earliest possible now is past it.
//!
//! - References of the policy decide, where they answer.
//! - Otherwise both our clock and what the others say may be right: the cluster's consensus, or, where there are too few
//!   nodes for one, what their own sources say. Whoever of them is wrong alone only makes the interval longer.
//! - Where nobody else speaks, our own clock is all there is.
//!
//! Never used for a duration: those go by the monotonic clock.

use super::{NodeEvidence, Yardstick};
use crate::clock::{Delta, OffsetInterval, Wall};

/// The true time lies between these, as far as anybody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Not before.
    pub earliest: Wall,
    /// Not after.
    pub latest: Wall,
}

impl Now {
    /// What our own clock says, where nobody else speaks.
    #[must_use]
    pub const fn by_own_clock(wall: Wall) -> Now {
        Now { earliest: wall, latest: wall }
    }

    /// What the policy's yardstick makes of our clock's `wall`.
    #[must_use]
    pub fn by(yardstick: &Yardstick, wall: Wall) -> Now {
        match yardstick {
            // We against true time: true time is our clock less that.
            Yardstick::Reference(ours) => Now {
                earliest: wall.plus(Delta::ZERO.minus(ours.high())),
                latest: wall.plus(Delta::ZERO.minus(ours.low())),
            },
            Yardstick::Consensus(found) => Now::by_own_clock(wall).or(wall, found.interval),
            Yardstick::OwnSources(_) => Now::by_own_clock(wall),
        }
    }

    /// One more voice: the time that somebody says it is, against our clock's `wall`.
    #[must_use]
    pub fn or(self, wall: Wall, against_us: OffsetInterval) -> Now {
        Now {
            earliest: self.earliest.min(wall.plus(against_us.low())),
            latest: self.latest.max(wall.plus(against_us.high())),
        }
    }

    /// The same, where there is no majority: every node's own sources are heard.
    #[must_use]
    pub fn heard(self, wall: Wall, yardstick: &Yardstick, nodes: &[NodeEvidence]) -> Now {
        match yardstick {
            Yardstick::Reference(_) | Yardstick::Consensus(_) => self,
            // Node against us, less node against its sources, is its sources against us.
            Yardstick::OwnSources(_) => nodes
                .iter()
                .filter_map(|node| Some(node.against_us?.against(node.own?)))
                .fold(self, |now, sources| now.or(wall, sources)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Consensus;
    use crate::clock::consensus::NoConsensus;

    const HOUR: i64 = 3_600_000_000_000;
    const TRUE: i64 = 1_000 * HOUR;

    fn near(nanos: i64) -> OffsetInterval {
        OffsetInterval::between(Delta::from_nanos(nanos - 5), Delta::from_nanos(nanos + 5))
    }

    /// Our clock is `ours` ahead; what the interval is, against the truth.
    #[track_caller]
    fn check(yardstick: Yardstick, nodes: &[NodeEvidence], ours: i64, expected: (i64, i64)) {
        let wall = Wall::from_unix_nanos(TRUE + ours);
        let now = Now::by(&yardstick, wall).heard(wall, &yardstick, nodes);
        assert_eq!((now.earliest.unix_nanos() - TRUE, now.latest.unix_nanos() - TRUE), expected, "{yardstick:?}");
    }

    #[test]
    fn references_decide_and_without_them_whoever_is_wrong_alone_only_widens_the_interval() {
        let consensus = |against_us| Yardstick::Consensus(Consensus { interval: near(against_us), agreeing: 3, of: 3 });
        check(Yardstick::Reference(near(HOUR)), &[], HOUR, (-5, 5));
        check(Yardstick::Reference(near(-HOUR)), &[], -HOUR, (-5, 5));
        // We are an hour ahead of a right cluster; behind it; right, in a cluster that is an hour ahead, and behind.
        check(consensus(-HOUR), &[], HOUR, (-5, HOUR));
        check(consensus(HOUR), &[], -HOUR, (-HOUR, 5));
        check(consensus(HOUR), &[], 0, (0, HOUR + 5));
        check(consensus(-HOUR), &[], 0, (-HOUR - 5, 0));
    }

    #[test]
    fn in_a_cluster_of_two_the_nodes_own_sources_are_heard() {
        let alone = Yardstick::OwnSources(NoConsensus::TooFew { have: 1 });
        check(alone, &[], HOUR, (HOUR, HOUR));
        // A node that follows its sources to the point, and is an hour behind us.
        let node = NodeEvidence { against_us: Some(near(-HOUR)), own: Some(near(0)), moved: None };
        check(alone, &[node], HOUR, (-10, HOUR));
        check(alone, &[NodeEvidence { own: None, ..node }], HOUR, (HOUR, HOUR));
    }
}
