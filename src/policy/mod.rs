//! A validated policy, and what follows from it: (policies, fleet, now) -> decisions.
//!
//! ```text
//! evidence of every node --assess--> interval of each against a yardstick, or suspicion
//!                        --judge---> Standing of each (src/clock/standing.rs)
//!                        --decide--> Decision of each, within the limit, with its reason
//! ```
//!
//! Pure: no kube, HTTP, tokio, files, and no current time. Not acting is a value too, so that status, log and
//! `explain` say the same.

pub mod assess;
pub mod because;
pub mod decide;
pub mod frame;
pub mod halves;
pub mod marks;
pub mod movement;
pub mod now;
pub mod room;
pub mod selector;
pub mod tally;

pub use assess::{Assessment, NodeEvidence, Suspicion, Yardstick, ZoneSuspicion, assess};
pub use decide::{Candidate, Decision, Outcome, decide};
pub use frame::Frame;
pub use halves::Group;
pub use marks::{Mark, Marks};
pub use now::Now;
pub use room::Room;
pub use selector::Selector;
pub use tally::Tally;

use crate::clock::Tolerance;
use crate::inspect::Bounds;
use crate::inspect::catalogue::Own;
use std::time::Duration;

/// A `TimeSyncPolicy` that was found valid: every duration read, exactly one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Being deleted: everything of it goes.
    pub deleting: bool,
    /// Which nodes.
    pub nodes: Selector,
    /// Where drift is read.
    pub source: Source,
    /// The NTP servers that the controller checks itself against, as `ntp://HOST:PORT`.
    pub references: Vec<String>,
    /// How often a node is asked at least.
    pub interval: Duration,
    /// How wrong is too wrong.
    pub tolerance: Tolerance,
    /// What is done about it.
    pub action: Action,
    /// What the webhook refuses.
    pub admission: Admission,
}

/// Where drift is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Our agents, at each node's own address and this port.
    Agent {
        /// TCP port.
        port: u16,
    },
    /// Prometheus' node_exporter, at each node's own address and this port.
    NodeExporter {
        /// TCP port.
        port: u16,
    },
    /// A Prometheus server that scrapes node_exporter already.
    Prometheus {
        /// Base of its HTTP API, `http://HOST[:PORT][/PATH]` without a slash at the end.
        url: String,
        /// The label of its series that names the node; without one, the usual ones are looked at.
        node_label: Option<String>,
    },
    /// The heartbeat leases of the kubelets.
    Lease {
        /// The longest delay assumed between a kubelet's writing the time and our seeing it.
        delay_max: Duration,
    },
}

/// What is done about a drifting node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The mark to put on it; `None` only observes.
    pub mark: Option<Mark>,
    /// The mark that words about what would be done speak of: the same, or for one that only observes the taint that its
    /// spec names.
    pub named: Mark,
    /// Out of tolerance this long before.
    pub sustained_for: Duration,
    /// In tolerance this long before it is undone.
    pub recovered_for: Duration,
    /// Whether a node whose evidence was lost is treated like a drifting one.
    pub act_on_unknown: bool,
    /// How many at once.
    pub limit: Limit,
    /// Nothing new is done, undoing goes on (`spec.suspend`).
    pub suspended: bool,
}

/// At most so many nodes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A count.
    Count(usize),
    /// A share of the nodes that may be acted on, rounded down, but at least so many.
    Percent {
        /// 0 to 100.
        percent: u8,
        /// Floor of the result.
        at_least: usize,
    },
}

impl Limit {
    /// The cap for so many nodes.
    #[must_use]
    pub fn cap(self, matched: usize) -> usize {
        match self {
            Limit::Count(count) => count,
            Limit::Percent { percent, at_least } => (matched.saturating_mul(usize::from(percent)) / 100).max(at_least),
        }
    }
}

/// How strict admission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing is looked at.
    Off,
    /// Errors warn.
    Warn,
    /// Errors refuse.
    Enforce,
}

/// What the webhook does in the namespaces that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// How strict.
    pub mode: Mode,
    /// What counts as too small and too large.
    pub bounds: Bounds,
    /// Which namespaces.
    pub namespaces: Selector,
    /// Settings of products that only the users of the cluster know.
    pub settings: Vec<Own>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clusters_get_their_floor_and_a_count_is_a_count() {
        let ten = Limit::Percent { percent: 10, at_least: 1 };
        for (limit, matched, cap) in [
            (ten, 0, 1),
            (ten, 3, 1),
            (ten, 19, 1),
            (ten, 20, 2),
            (ten, 5000, 500),
            (Limit::Percent { percent: 0, at_least: 0 }, 100, 0),
            (Limit::Count(2), 10, 2),
            (Limit::Count(0), 10, 0),
        ] {
            assert_eq!(limit.cap(matched), cap, "{limit:?} of {matched}");
        }
    }
}
