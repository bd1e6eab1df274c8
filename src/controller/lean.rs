//! Nodes and NodeClocks, decoded with what is kept of them and nothing else.
//!
//! A Node of a cloud is 18 KB of JSON, of which two thirds are names of images and a fifth is who wrote which field. Of
//! five thousand of them none of that is looked at, and what is never decoded need not be thrown away: a page of the
//! first list costs its text and little more. Every kubelet also writes its node's status every five minutes
//! (`nodeStatusReportFrequency`), which is an event that is decoded for nothing.
//!
//! Does not know: what the fields mean; [`super::fleet::trim`] decides which annotations and conditions stay.

use super::fleet::trim;
use crate::api::{NodeClock, node_clock::NodeClockSpec, node_clock::NodeClockStatus};
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;
use kube::api::ObjectMeta;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An object of which only the needed part was decoded; to the API server it is a `T` like any other.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Sparse<T>", bound = "T: FromSparse")]
pub struct Lean<T>(pub T);

impl<T: FromSparse> From<Sparse<T>> for Lean<T> {
    fn from(sparse: Sparse<T>) -> Self {
        Lean(T::from_sparse(sparse.metadata.into(), sparse.spec, sparse.status))
    }
}

/// What can be decoded sparsely: its spec and status as far as they are needed.
pub trait FromSparse: Sized {
    /// What is needed of `spec`.
    type Spec: Default + for<'de> Deserialize<'de>;
    /// What is needed of `status`.
    type Status: for<'de> Deserialize<'de>;
    /// Puts the object together.
    fn from_sparse(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self;
}

/// The needed part as it is in JSON; what it does not name is skipped.
#[derive(Deserialize)]
#[serde(bound = "T: FromSparse")]
pub struct Sparse<T: FromSparse> {
    metadata: SparseMeta,
    #[serde(default)]
    spec: T::Spec,
    status: Option<T::Status>,
}

/// All of `metadata` but `managedFields`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SparseMeta {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

impl From<SparseMeta> for ObjectMeta {
    fn from(sparse: SparseMeta) -> Self {
        ObjectMeta {
            name: sparse.name,
            uid: sparse.uid,
            resource_version: sparse.resource_version,
            generation: sparse.generation,
            labels: sparse.labels,
            annotations: sparse.annotations,
            finalizers: sparse.finalizers,
            owner_references: sparse.owner_references,
            creation_timestamp: sparse.creation_timestamp,
            deletion_timestamp: sparse.deletion_timestamp,
            ..ObjectMeta::default()
        }
    }
}

/// What is needed of the spec of a Node.
#[derive(Default, Deserialize)]
pub struct SparseNodeSpec {
    taints: Option<Vec<Taint>>,
    unschedulable: Option<bool>,
}

/// What is needed of the status of a Node.
#[derive(Deserialize)]
pub struct SparseNodeStatus {
    addresses: Option<Vec<NodeAddress>>,
    conditions: Option<Vec<NodeCondition>>,
}

impl FromSparse for Node {
    type Spec = SparseNodeSpec;
    type Status = SparseNodeStatus;

    fn from_sparse(metadata: ObjectMeta, spec: SparseNodeSpec, status: Option<SparseNodeStatus>) -> Node {
        let spec = NodeSpec { taints: spec.taints, unschedulable: spec.unschedulable, ..NodeSpec::default() };
        let status =
            status.map(|it| NodeStatus { addresses: it.addresses, conditions: it.conditions, ..NodeStatus::default() });
        let mut node = Node { metadata, spec: Some(spec), status };
        trim(&mut node);
        node
    }
}

impl FromSparse for NodeClock {
    type Spec = NodeClockSpec;
    type Status = NodeClockStatus;

    fn from_sparse(metadata: ObjectMeta, spec: NodeClockSpec, status: Option<NodeClockStatus>) -> NodeClock {
        NodeClock { metadata, spec, status }
    }
}

impl<T: Resource> Resource for Lean<T> {
    type DynamicType = T::DynamicType;
    type Scope = T::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        T::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        T::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        T::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        T::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{MARKS_ANNOTATION, NODE_CONDITION};
    use serde_json::{Value, json};

    /// What is decoded sparsely is what would be left of the whole.
    fn check(node: Value) {
        let mut whole: Node = serde_json::from_value(node.clone()).unwrap();
        whole.spec.get_or_insert_default();
        let spec = whole.spec.take().unwrap();
        whole.spec = Some(NodeSpec { taints: spec.taints, unschedulable: spec.unschedulable, ..NodeSpec::default() });
        trim(&mut whole);
        let Lean(lean) = serde_json::from_value::<Lean<Node>>(node).unwrap();
        let mut lean = serde_json::to_value(lean).unwrap();
        let mut whole = serde_json::to_value(whole).unwrap();
        for value in [&mut lean, &mut whole] {
            value["metadata"].as_object_mut().unwrap().remove("managedFields");
        }
        assert_eq!(lean, whole);
    }

    #[test]
    fn a_node_decoded_sparsely_is_what_trimming_leaves_of_it() {
        check(json!({"metadata": {"name": "bare"}}));
        check(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": "n", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}, "finalizers": ["f"],
                "annotations": {MARKS_ANNOTATION: "{}", "other": "x"},
                "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
                "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {}}}],
            },
            "spec": {
                "providerID": "aws:///x", "unschedulable": true,
                "taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"}],
            },
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "conditions": [
                    {"type": "Ready", "status": "True"},
                    {"type": NODE_CONDITION, "status": "True", "reason": "WithinTolerance"},
                ],
                "images": [{"names": ["a", "b"], "sizeBytes": 5}], "capacity": {"cpu": "8"},
            },
        }));
    }

    #[test]
    fn what_is_no_node_is_refused() {
        for broken in [json!({}), json!({"metadata": {"name": 5}}), json!({"metadata": {}, "spec": {"taints": "x"}})] {
            assert!(serde_json::from_value::<Lean<Node>>(broken.clone()).is_err(), "{broken}");
        }
    }
}
