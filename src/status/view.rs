//! What is shown, before it is printed: nodes with their records, policies, and whether a controller is at work.
//!
//! Pure. A record (NodeClock) is what the controller wrote when something changed last; it says nothing of how old it
//! may be, because a healthy node's is not written again. So whether it still holds depends on two things only: that a
//! policy selects the node today, and that a controller is running. Both are part of the view.
//!
//! Does not know: where objects come from, how they are printed.

use crate::api::{NODE_CONDITION, NodeClockStatus, TimeSyncPolicyStatus, node_marks};
use crate::clock::consensus::{leeway, pairwise_skew};
use crate::clock::{Delta, OffsetInterval, Wall};
use crate::policy::{Mark, Policy};
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a node is, as far as it is shown; in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Beyond tolerance.
    Drifting,
    /// No evidence.
    Unknown,
    /// A policy selects it, and the controller has written nothing about it.
    Unmeasured,
    /// Inside tolerance.
    Synchronized,
    /// No policy selects it. What an earlier one left is shown, and counts for nothing.
    Unwatched,
}

impl Standing {
    /// The word in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Drifting => "Drifting",
            Standing::Unknown => "Unknown",
            Standing::Unmeasured => "Unmeasured",
            Standing::Synchronized => "Synchronized",
            Standing::Unwatched => "Unwatched",
        }
    }
}

/// One node.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub node: String,
    /// The policies that select it now.
    pub policies: Vec<String>,
    /// What the controller wrote about it last.
    pub record: Option<NodeClockStatus>,
    /// How it is.
    pub standing: Standing,
    /// The smallest `maxOffset` of the policies that select it.
    pub tolerance: Option<Duration>,
}

/// How far apart the fleet's clocks may be, as far as the records tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// The two that differ most differ by no more.
    pub at_most: Duration,
    /// The leeway that this takes.
    pub leeway: Duration,
    /// The one that is furthest ahead, if it drifts.
    pub ahead: Option<String>,
    /// The one that is furthest behind, if it drifts.
    pub behind: Option<String>,
    /// The leeway that those take which do not drift.
    pub leeway_when_right: Option<Duration>,
}

/// One policy.
#[derive(Debug, Clone)]
pub struct PolicyRow {
    /// Its name.
    pub name: String,
    /// What it is, or what is wrong with it.
    pub policy: Result<Policy, String>,
    /// What the controller wrote about it last.
    pub status: TimeSyncPolicyStatus,
    /// `metadata.generation`.
    pub generation: Option<i64>,
}

impl PolicyRow {
    /// What keeps it from its work, each a reason and a sentence: conditions that are not as they should be, a spec that
    /// cannot be read, one that no controller has looked at yet.
    #[must_use]
    pub fn troubles(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        if let Err(error) = &self.policy {
            found.push(("Invalid".to_owned(), error.clone()));
        }
        if self.generation > self.status.observed_generation {
            let text = "its spec is newer than what any controller has looked at".to_owned();
            found.push(("NotObserved".to_owned(), text));
        }
        for condition in &self.status.conditions {
            let is_bad = match condition.type_.as_str() {
                "Ready" => condition.status != "True",
                _ => condition.status == "True",
            };
            if is_bad && !found.iter().any(|(_, text)| *text == condition.message) {
                found.push((format!("{} ({})", condition.type_, condition.reason), condition.message.clone()));
            }
        }
        found
    }
}

/// Whether somebody is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Controller {
    /// This one leads: it renewed its lease a moment ago, or while we looked. `ahead` is by how much its clock seems to be
    /// ahead of this machine's, where that is much.
    Leads {
        /// Host, process and chance.
        holder: String,
        /// Positive: the controller's clock is ahead of ours.
        ahead: Option<Delta>,
    },
    /// Its lease was not renewed while we looked. By its clock it was renewed last at `renewed`.
    Silent {
        /// Who led last.
        holder: String,
        /// RFC 3339, by the clock of the one that led.
        renewed: Option<Wall>,
    },
    /// There is no lease: none was ever there, or it runs without election.
    Absent,
    /// The lease may not be read, or could not be.
    Unseen(String),
}

/// Everything about the fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The worst first.
    pub rows: Vec<Row>,
    /// By name.
    pub policies: Vec<PolicyRow>,
    /// Who keeps the records.
    pub controller: Controller,
}

/// Everything about one node, besides its row.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Marks of ours that its annotation names, by whom, and whether they are there.
    pub marks: Vec<(Mark, Vec<String>, bool)>,
    /// Why the annotation cannot be believed.
    pub unreadable: Option<String>,
    /// Cordoned, and not by us.
    pub has_foreign_cordon: bool,
    /// Its condition of ours.
    pub condition: Option<NodeCondition>,
    /// Annotations for us that people set, as an exemption is.
    pub annotations: BTreeMap<String, String>,
}

/// One node with what the policies and its record make of it.
#[must_use]
pub fn row(
    node: String,
    labels: Option<&BTreeMap<String, String>>,
    record: Option<NodeClockStatus>,
    policies: &[PolicyRow],
) -> Row {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let labels = labels.unwrap_or(&NONE);
    let selects = |policy: &Policy| !policy.deleting && policy.nodes.matches(labels);
    let selecting = || policies.iter().filter_map(|row| row.policy.as_ref().ok()).filter(|policy| selects(policy));
    let matching = selecting().map(|policy| policy.name.clone()).collect();
    let tolerance = selecting().map(|policy| policy.tolerance.offset_max).min();
    let mut row = Row { node, policies: matching, record, standing: Standing::Unwatched, tolerance };
    // A policy that cannot be read selects nobody knows whom, and leaves everything as it is.
    let may_be_watched = !row.policies.is_empty() || policies.iter().any(|row| row.policy.is_err());
    row.standing = match row.record.as_ref().map(|record| record.state.as_str()) {
        Some("Drifting") if may_be_watched => Standing::Drifting,
        Some("Synchronized") if may_be_watched => Standing::Synchronized,
        Some(_) if may_be_watched => Standing::Unknown,
        None if !row.policies.is_empty() => Standing::Unmeasured,
        Some(_) | None => Standing::Unwatched,
    };
    row
}

/// The worst first: by standing, those that something is done about, how far off, and name.
#[must_use]
pub fn fleet(mut rows: Vec<Row>, policies: Vec<PolicyRow>, controller: Controller) -> Fleet {
    rows.sort_by_cached_key(|row| {
        let is_acted = |record: &NodeClockStatus| record.decisions.iter().any(|it| !it.decision.starts_with("Leave"));
        let offset = row.record.as_ref().and_then(|record| record.offset_seconds).and_then(Delta::from_seconds);
        let (acted, far) = (row.record.as_ref().is_some_and(is_acted), offset.map(Delta::magnitude));
        (row.standing, Reverse(acted), Reverse(far), row.node.clone())
    });
    Fleet { rows, policies, controller }
}

impl Row {
    /// Between what its offset is: of a drifting clock as it was recorded, of a right one its tolerance, since its record
    /// is that of its last change. `None` if nothing is known.
    fn reach(&self) -> Option<OffsetInterval> {
        let recorded = || {
            let record = self.record.as_ref()?;
            let bound = Delta::from_seconds(record.error_bound_seconds?)?;
            Some(OffsetInterval::new(Delta::from_seconds(record.offset_seconds?)?, bound.magnitude()))
        };
        match self.standing {
            Standing::Drifting => recorded(),
            Standing::Synchronized => self.tolerance.map(|it| OffsetInterval::new(Delta::ZERO, it)).or_else(recorded),
            Standing::Unknown | Standing::Unmeasured | Standing::Unwatched => None,
        }
    }
}

impl Fleet {
    /// How far apart the clocks may be that something is known of. `None` for fewer than two, and where no controller
    /// keeps the records true.
    #[must_use]
    pub fn apart(&self) -> Option<Apart> {
        if matches!(self.controller, Controller::Silent { .. }) {
            return None;
        }
        let known: Vec<(&Row, OffsetInterval)> = self.rows.iter().filter_map(|row| Some((row, row.reach()?))).collect();
        let drifts = |(row, _): &&(&Row, OffsetInterval)| row.standing == Standing::Drifting;
        let name = |found: Option<&(&Row, OffsetInterval)>| found.filter(drifts).map(|(row, _)| row.node.clone());
        let skew = |known: Vec<OffsetInterval>| (known.len() > 1).then(|| pairwise_skew(&known)).flatten();
        let all = skew(known.iter().map(|(_, reach)| *reach).collect())?;
        let right = skew(known.iter().filter(|it| !drifts(it)).map(|(_, reach)| *reach).collect());
        Some(Apart {
            at_most: all.high().magnitude(),
            leeway: leeway(all),
            ahead: name(known.iter().max_by_key(|(_, reach)| reach.high())),
            behind: name(known.iter().min_by_key(|(_, reach)| reach.low())),
            leeway_when_right: right.map(leeway),
        })
    }

    /// How many nodes stand so.
    #[must_use]
    pub fn count(&self, standing: Standing) -> usize {
        self.rows.iter().filter(|row| row.standing == standing).count()
    }

    /// 0 all synchronized, 1 some drifting, 2 could not tell.
    #[must_use]
    pub fn exit(&self) -> u8 {
        let watched = self.rows.iter().filter(|row| row.standing != Standing::Unwatched);
        exit(watched.map(|row| row.standing), &self.controller)
    }
}

/// 0 all synchronized, 1 some drifting, 2 could not tell. Where a controller is known not to run, nothing that was written
/// need hold.
#[must_use]
pub fn exit(standings: impl Iterator<Item = Standing>, controller: &Controller) -> u8 {
    if matches!(controller, Controller::Silent { .. }) {
        return 2;
    }
    match standings.min() {
        Some(Standing::Drifting) => 1,
        Some(Standing::Synchronized) => 0,
        Some(Standing::Unknown | Standing::Unmeasured | Standing::Unwatched) | None => 2,
    }
}

/// What a Node itself says about us.
#[must_use]
pub fn detail(node: &Node) -> Detail {
    let owned = node_marks::owned(node);
    let is_cordoned_by_us = owned.as_ref().is_ok_and(|marks| marks.held.contains_key(&Mark::Cordon));
    let of = |(mark, policies): (&Mark, &std::collections::BTreeSet<String>)| {
        (mark.clone(), policies.iter().cloned().collect(), node_marks::present(node, mark))
    };
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let annotations = node.metadata.annotations.iter().flatten();
    let for_us = |key: &str| key.starts_with("clockwarden.io/") && key != crate::api::MARKS_ANNOTATION;
    Detail {
        marks: owned.as_ref().map(|marks| marks.held.iter().map(of).collect()).unwrap_or_default(),
        unreadable: owned.as_ref().err().map(ToString::to_string),
        has_foreign_cordon: node_marks::present(node, &Mark::Cordon) && !is_cordoned_by_us,
        condition: conditions.iter().find(|condition| condition.type_ == NODE_CONDITION).cloned(),
        annotations: annotations.filter(|(key, _)| for_us(key)).map(|(k, v)| (k.clone(), v.clone())).collect(),
    }
}
