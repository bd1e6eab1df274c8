//! The index of the cluster: trimmed Nodes, policies, NodeClocks, as the watches and our own writes tell.
//!
//! Only what is decided on is kept of a Node; images, managed fields and other people's annotations are dropped when
//! it arrives. A write's answer enters the index at once, so that the next decision sees it; a watch event that is
//! older than what is known already is ignored (resource versions are comparable numbers, KEP-5504).

use crate::api::{self, MARKS_ANNOTATION, NodeClock, TimeSyncPolicy, TimeSyncPolicyStatus, convert};
use crate::policy::Policy;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DynamicObject, ObjectMeta};
use std::collections::{BTreeMap, BTreeSet};

/// A policy as the cluster has it.
#[derive(Debug, Clone)]
pub struct PolicyEntry {
    /// Name, uid, resourceVersion, finalizers, deletion.
    pub metadata: ObjectMeta,
    /// What holds, or what is wrong with it.
    pub policy: Result<Policy, String>,
    /// The status that is stored.
    pub status: TimeSyncPolicyStatus,
}

/// Which specs the policies of a cluster have, by their names: UID and generation.
pub type Specs = BTreeMap<String, (Option<String>, Option<i64>)>;

/// What of a policy matters to who acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    deleting: bool,
    has_finalizer: bool,
}

impl PolicyEntry {
    /// Reads an object, however broken: one bad policy must not hide the others.
    #[must_use]
    pub fn read(object: DynamicObject) -> PolicyEntry {
        let metadata = object.metadata.clone();
        let parsed = serde_json::to_value(&object).and_then(serde_json::from_value::<TimeSyncPolicy>);
        let (policy, status) = match parsed {
            Ok(object) => {
                let policy = convert::policy(&object).map_err(|error| error.to_string());
                (policy, object.status.unwrap_or_default())
            }
            Err(error) => (Err(error.to_string()), TimeSyncPolicyStatus::default()),
        };
        PolicyEntry { metadata, policy, status }
    }

    /// Being deleted.
    #[must_use]
    pub fn deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// What of it matters to who acts on it; its status does not.
    #[must_use]
    pub fn version(&self) -> Version {
        Version {
            uid: self.metadata.uid.clone(),
            generation: self.metadata.generation,
            deleting: self.deleting(),
            has_finalizer: self.has_finalizer(),
        }
    }

    /// Holds our finalizer: only then may it put marks anywhere.
    #[must_use]
    pub fn has_finalizer(&self) -> bool {
        self.metadata.finalizers.iter().flatten().any(|f| f == api::FINALIZER)
    }
}

/// One kind of object, by name.
#[derive(Debug)]
pub struct Store<T> {
    map: BTreeMap<String, T>,
    /// Names seen since a relist began; `None` outside of one.
    relisted: Option<BTreeSet<String>>,
    synced: bool,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Store { map: BTreeMap::new(), relisted: None, synced: false }
    }
}

/// What a watch tells, in our own words.
#[derive(Debug)]
pub enum Change<T> {
    /// A list begins.
    Relist,
    /// An object of the list, or a changed one.
    Put(Box<T>),
    /// The list is complete; what it did not name is gone.
    Synced,
    /// An object is gone.
    Gone(String),
}

/// What the index needs to know of any object.
pub trait Indexed {
    /// Its metadata.
    fn metadata(&self) -> &ObjectMeta;
}

impl Indexed for Node {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
}
impl Indexed for NodeClock {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
}
impl Indexed for PolicyEntry {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
}

impl<T: Indexed> Store<T> {
    /// Takes in what a watch told. The objects that a complete list did not name any more are gone, and named.
    pub fn apply(&mut self, change: Change<T>) -> Vec<String> {
        match change {
            Change::Relist => self.relisted = Some(BTreeSet::new()),
            Change::Put(object) => self.put(*object),
            Change::Synced => {
                self.synced = true;
                let Some(seen) = self.relisted.take() else { return Vec::new() };
                let gone: Vec<String> = self.map.keys().filter(|name| !seen.contains(*name)).cloned().collect();
                gone.iter().for_each(|name| drop(self.map.remove(name)));
                return gone;
            }
            Change::Gone(name) => {
                self.map.remove(&name);
            }
        }
        Vec::new()
    }

    /// Takes in an object from a watch or from the answer to a write of ours, unless a newer one is known.
    pub fn put(&mut self, object: T) {
        let Some(name) = object.metadata().name.clone() else { return };
        if let Some(seen) = &mut self.relisted {
            seen.insert(name.clone());
        }
        let version = |object: &T| object.metadata().resource_version.as_ref().and_then(|v| v.parse::<u64>().ok());
        let older = match (self.map.get(&name).and_then(version), version(&object)) {
            (Some(known), Some(new)) => new < known,
            _ => false,
        };
        if !older {
            self.map.insert(name, object);
        }
    }

    /// Forgets an object that a write found gone.
    pub fn remove(&mut self, name: &str) {
        self.map.remove(name);
    }

    /// By name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.map.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.map.iter()
    }

    /// Whether a complete list has been had.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.synced
    }
}

/// The whole index.
#[derive(Debug, Default)]
pub struct Fleet {
    /// Trimmed Nodes.
    pub nodes: Store<Node>,
    /// Policies.
    pub policies: Store<PolicyEntry>,
    /// NodeClocks.
    pub clocks: Store<NodeClock>,
}

impl Fleet {
    /// Nothing is decided before all three lists are complete.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.nodes.synced() && self.policies.synced() && self.clocks.synced()
    }

    /// What was written as the policies' specs; it does not change with their status.
    #[must_use]
    pub fn specs(&self) -> Specs {
        let spec = |entry: &PolicyEntry| (entry.metadata.uid.clone(), entry.metadata.generation);
        self.policies.iter().map(|(name, entry)| (name.clone(), spec(entry))).collect()
    }
}

/// Drops everything of a Node that no decision looks at.
pub fn trim(node: &mut Node) {
    let metadata = &mut node.metadata;
    metadata.managed_fields = None;
    metadata.owner_references = None;
    if let Some(annotations) = &mut metadata.annotations {
        const KEPT: [&str; 3] = [MARKS_ANNOTATION, api::EXEMPT_UNTIL_ANNOTATION, api::EXEMPT_REASON_ANNOTATION];
        annotations.retain(|key, _| KEPT.contains(&key.as_str()));
    }
    if let Some(status) = &mut node.status {
        let kept = k8s_openapi::api::core::v1::NodeStatus {
            addresses: status.addresses.take(),
            conditions: status
                .conditions
                .take()
                .map(|all| all.into_iter().filter(|c| c.type_ == api::NODE_CONDITION).collect()),
            ..Default::default()
        };
        *status = kept;
    }
}

/// Whether a policy selects a node.
#[must_use]
pub fn matches(policy: &Policy, node: &Node) -> bool {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    policy.nodes.matches(node.metadata.labels.as_ref().unwrap_or(&NONE))
}

/// The address at which a node is asked: InternalIP, then ExternalIP, then Hostname, as metrics-server does.
#[must_use]
pub fn address(node: &Node) -> Option<&str> {
    let all = node.status.as_ref()?.addresses.as_deref()?;
    ["InternalIP", "ExternalIP", "Hostname"]
        .iter()
        .find_map(|kind| all.iter().find(|a| a.type_ == *kind && !a.address.is_empty()))
        .map(|a| a.address.as_str())
}

/// `address:port`, with brackets around an IPv6 address.
#[must_use]
pub fn authority(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, version: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": name, "resourceVersion": version}})).unwrap()
    }

    #[test]
    fn a_stale_watch_event_does_not_undo_what_a_write_answered() {
        let mut store = Store::default();
        store.put(node("a", "100"));
        store.apply(Change::Put(Box::new(node("a", "99"))));
        assert_eq!(store.get("a").unwrap().metadata.resource_version.as_deref(), Some("100"));
    }

    #[test]
    fn a_relist_drops_what_it_does_not_name() {
        let mut store = Store::default();
        for change in [Change::Relist, Change::Put(Box::new(node("a", "1"))), Change::Put(Box::new(node("b", "2")))] {
            store.apply(change);
        }
        assert!(!store.synced());
        store.apply(Change::Synced);
        for change in [Change::Relist, Change::Put(Box::new(node("b", "2"))), Change::Synced] {
            store.apply(change);
        }
        assert!(store.synced() && store.get("a").is_none() && store.get("b").is_some());
    }

    #[test]
    fn what_people_and_we_say_on_a_node_survives_trimming_and_the_rest_does_not() {
        let ours = ["clockwarden.io/exempt-reason", "clockwarden.io/exempt-until", "clockwarden.io/marks"];
        let mut node = node("a", "1");
        let all = ours.iter().chain(&["example.com/long"]).map(|key| ((*key).to_owned(), "x".to_owned()));
        node.metadata.annotations = Some(all.collect());
        trim(&mut node);
        assert_eq!(node.metadata.annotations.unwrap().keys().collect::<Vec<_>>(), ours);
    }

    #[test]
    fn the_address_is_chosen_as_metrics_server_does() {
        let mut node = node("a", "1");
        node.status = serde_json::from_value(json!({"addresses": [
            {"type": "Hostname", "address": "h"}, {"type": "ExternalIP", "address": "8.8.8.8"},
            {"type": "InternalIP", "address": "fd00::1"},
        ]}))
        .unwrap();
        assert_eq!(address(&node), Some("fd00::1"));
        assert_eq!(authority("fd00::1", 9555), "[fd00::1]:9555");
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_an_entry_with_a_reason() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
            "metadata": {"name": "p"}, "spec": {"interval": "soon"},
        }))
        .unwrap();
        assert!(PolicyEntry::read(object).policy.unwrap_err().contains("spec.interval"));
    }
}
