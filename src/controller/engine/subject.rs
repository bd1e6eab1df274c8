//! What the engine keeps about one node beside what the policies make of it.

use super::super::errand::Errand;
use super::super::record::Ledger;
use super::super::write::{Notice, Write};
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Events that wait to be written about one object; more at once are a storm, of which the newest are dropped.
pub(super) const NOTICES_MAX: usize = 16;

/// One node.
#[derive(Debug)]
pub(super) struct Subject {
    /// Its number in the tallies.
    pub(super) id: u32,
    /// `metadata.uid`.
    pub(super) uid: Option<String>,
    /// The policies that match it.
    pub(super) policies: Vec<String>,
    /// When it will be looked at, should nothing happen.
    pub(super) alarm: Option<crate::clock::Mono>,
    /// Policies of which it may carry a mark, because a write is under way or nobody knows what became of it.
    carrying: BTreeSet<String>,
    /// Nobody knows what became of a write of marks: the node is to be read.
    pub(super) unsure: bool,
    /// Events about it.
    pub(super) notices: VecDeque<Notice>,
    /// Events that follow when the NodeClock which tells the same has been written.
    pub(super) following: Vec<Notice>,
    /// With what it was last found that there is nothing to tell.
    pub(super) told: Option<u64>,
    /// The drift that goes on, summed up.
    pub(super) ledger: Ledger,
    /// Of its labels and addresses, which say who asks it and where.
    asked: Option<u64>,
}

impl Subject {
    pub(super) fn new(id: u32) -> Subject {
        Subject {
            id,
            uid: None,
            policies: Vec::new(),
            alarm: None,
            carrying: BTreeSet::new(),
            unsure: false,
            notices: VecDeque::new(),
            following: Vec::new(),
            told: None,
            ledger: Ledger::default(),
            asked: None,
        }
    }

    /// Whether this is another machine under the same name.
    pub(super) fn is_other(&self, node: &Node) -> bool {
        self.uid.is_some() && self.uid != node.metadata.uid
    }

    /// Whether it is to be asked by others, or elsewhere, than when this was last asked.
    pub(super) fn is_asked_otherwise(&mut self, node: &Node) -> bool {
        let mut hasher = DefaultHasher::new();
        node.metadata.labels.hash(&mut hasher);
        let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
        for address in addresses {
            (&address.type_, &address.address).hash(&mut hasher);
        }
        let now = Some(hasher.finish());
        std::mem::replace(&mut self.asked, now) != now
    }

    /// Whether the node may carry a mark of the policy although it was not seen.
    pub(super) fn may_carry(&self, policy: &str) -> bool {
        self.carrying.contains(policy)
    }

    /// A write about it begins.
    pub(super) fn began(&mut self, write: &Write) {
        if let Write::Marks { desired, .. } = write {
            self.carrying.extend(desired.held.values().flatten().cloned());
        }
    }

    /// A write about it ended; `fulfilled`: we know what there is now.
    pub(super) fn ended(&mut self, errand: &Errand, fulfilled: bool) {
        match errand.write() {
            Write::Marks { .. } if fulfilled => {
                self.carrying.clear();
                self.unsure = false;
            }
            Write::Marks { .. } if errand.changed() => self.unsure = true,
            Write::Marks { .. } if !self.unsure => self.carrying.clear(),
            Write::Clock { .. } => {
                let following = std::mem::take(&mut self.following);
                let room = NOTICES_MAX.saturating_sub(self.notices.len());
                self.notices.extend(following.into_iter().take(if fulfilled { room } else { 0 }));
            }
            Write::Event(_) if fulfilled => drop(self.notices.pop_front()),
            Write::Marks { .. }
            | Write::Event(_)
            | Write::Confirm { .. }
            | Write::Condition { .. }
            | Write::Finalizer { .. }
            | Write::PolicyStatus { .. } => {}
        }
    }
}
