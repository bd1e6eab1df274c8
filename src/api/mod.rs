//! The Kubernetes API of Clockwarden: its CRDs, what it writes on Nodes, and the one conversion into pure types.

pub mod admission;
pub mod convert;
pub mod exemption;
pub mod http_url;
pub mod names;
pub mod node_clock;
pub mod node_marks;
pub mod schema;
pub mod time_sync_policy;

pub use node_clock::{Incident, NodeClock, NodeClockStatus, NodeDecision};
pub use time_sync_policy::{TimeSyncPolicy, TimeSyncPolicySpec, TimeSyncPolicyStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Annotation on a Node that says which of its marks are ours, and for which policies; see [`node_marks`].
pub const MARKS_ANNOTATION: &str = "clockwarden.io/marks";
/// Annotation on a Node: nothing is done to it until this moment; see [`exemption`].
pub const EXEMPT_UNTIL_ANNOTATION: &str = "clockwarden.io/exempt-until";
/// Annotation on a Node: why it is exempt, for people.
pub const EXEMPT_REASON_ANNOTATION: &str = "clockwarden.io/exempt-reason";
/// Finalizer of a `TimeSyncPolicy`: its marks must go from all nodes before it may.
pub const FINALIZER: &str = "clockwarden.io/release-nodes";
/// Condition type on Nodes.
pub const NODE_CONDITION: &str = "ClockSynchronized";
/// Field manager and event reporter.
pub const CONTROLLER: &str = "clockwarden-controller";

/// Our CRDs.
#[must_use]
pub fn crds() -> [CustomResourceDefinition; 2] {
    [TimeSyncPolicy::crd(), NodeClock::crd()].map(|mut crd| {
        for version in &mut crd.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
                schema::refuse_nulls(schema);
            }
        }
        crd
    })
}

/// All CRDs as one YAML stream.
///
/// # Errors
/// If a CRD cannot be written as YAML, which would be a bug.
pub fn crds_yaml() -> anyhow::Result<String> {
    let mut out = String::new();
    for crd in crds() {
        out.push_str("---\n");
        // Through a JSON value: absent fields stay absent, and keys come in one order.
        out.push_str(&serde_saphyr::to_string(&serde_json::to_value(crd)?)?);
    }
    Ok(out)
}
