//! Whose clock a lease shows, and what it shows.
//!
//! Kubelets renew `kube-node-lease/NODE`, whose holder is the node itself (KEP-589). API servers renew
//! `kube-system/apiserver-HASH`, marked by a label (KEP-1965). The controller-manager and the scheduler renew the
//! lease of their election, whose holder is `HOST_UUID`; it changes hands, and with it the clock. Every other lease
//! is somebody else's and says nothing here.

use crate::clock::Wall;
use k8s_openapi::api::coordination::v1::Lease;

/// Where kubelets renew their leases.
pub const NODES: &str = "kube-node-lease";
/// Where the control plane renews its own.
pub const CONTROL_PLANE: &str = "kube-system";

const IDENTITY: &str = "apiserver.kubernetes.io/identity";
const API_SERVER: &str = "kube-apiserver";
const ELECTED: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// Whose clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A node's, by its name.
    Node(String),
    /// A process of the control plane.
    Component {
        /// `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`.
        component: &'static str,
        /// The host that it runs on, or the name of its lease where that is not told.
        instance: String,
    },
}

/// One renewal of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Who renewed it.
    pub holder: Holder,
    /// By the holder's clock, just before it sent the request.
    pub renewed: Wall,
    /// The store's revision with which it became visible.
    pub version: u64,
}

/// Reads one lease of one of the two namespaces; `None` if it shows nobody's clock.
#[must_use]
pub(super) fn read(lease: &Lease) -> Option<Renewal> {
    let spec = lease.spec.as_ref()?;
    let name = lease.metadata.name.as_deref()?;
    let identity = spec.holder_identity.as_deref().filter(|it| !it.is_empty())?;
    let holder = match lease.metadata.namespace.as_deref()? {
        NODES if identity == name => Holder::Node(name.to_owned()),
        CONTROL_PLANE => component(lease, name, identity)?,
        _ => return None,
    };
    let renewed = spec.renew_time.as_ref()?.0.as_nanosecond();
    // Whole seconds were cut off somewhere: that may be late by a second, and no kubelet writes them.
    if renewed.rem_euclid(1_000_000_000) == 0 {
        return None;
    }
    let renewed = Wall::from_unix_nanos(i64::try_from(renewed).ok()?);
    // Numbers that grow within a resource (KEP-5504); etcd's revision in practice.
    let version = lease.metadata.resource_version.as_deref()?.parse().ok()?;
    Some(Renewal { holder, renewed, version })
}

fn component(lease: &Lease, name: &str, identity: &str) -> Option<Holder> {
    let labels = lease.metadata.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    if label(IDENTITY) == Some(API_SERVER) {
        let instance = label("kubernetes.io/hostname").unwrap_or(name).to_owned();
        return Some(Holder::Component { component: API_SERVER, instance });
    }
    let component = *ELECTED.iter().find(|elected| **elected == name)?;
    let instance = identity.rsplit_once('_').map_or(identity, |(host, _)| host).to_owned();
    Some(Holder::Component { component, instance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The holder, written `node/NAME` or `COMPONENT/INSTANCE`; empty if the lease is nobody's.
    fn check(namespace: &str, name: &str, change: Value, expected: &str) {
        let mut lease = json!({
            "metadata": {"namespace": namespace, "name": name, "resourceVersion": "7"},
            "spec": {"holderIdentity": name, "renewTime": "2026-11-21T16:00:00.000001Z"},
        });
        for (part, fields) in change.as_object().unwrap() {
            for (key, value) in fields.as_object().unwrap() {
                lease[part][key] = value.clone();
            }
        }
        let found = read(&serde_json::from_value(lease.clone()).unwrap());
        let shown = found.as_ref().map_or(String::new(), |it| match &it.holder {
            Holder::Node(name) => format!("node/{name}"),
            Holder::Component { component, instance } => format!("{component}/{instance}"),
        });
        assert_eq!(shown, expected, "{lease}");
        if let Some(found) = found {
            assert_eq!((found.renewed.unix_nanos() % 1_000_000_000, found.version), (1_000, 7), "{lease}");
        }
    }

    #[test]
    fn kubelets_and_the_control_plane_are_told_from_everybody_else() {
        check(NODES, "n1", json!({}), "node/n1");
        check(NODES, "n1", json!({"spec": {"holderIdentity": "n2"}}), "");
        check(NODES, "n1", json!({"spec": {"holderIdentity": ""}}), "");
        check("default", "n1", json!({}), "");
        let labels = json!({IDENTITY: API_SERVER, "kubernetes.io/hostname": "cp-1"});
        check(CONTROL_PLANE, "apiserver-ab12", json!({"metadata": {"labels": labels}}), "kube-apiserver/cp-1");
        let labels = json!({IDENTITY: API_SERVER});
        check(
            CONTROL_PLANE,
            "apiserver-ab12",
            json!({"metadata": {"labels": labels}}),
            "kube-apiserver/apiserver-ab12",
        );
        check(CONTROL_PLANE, "apiserver-ab12", json!({}), "");
        let held = json!({"spec": {"holderIdentity": "cp_2_6f1c-77"}});
        check(CONTROL_PLANE, "kube-scheduler", held.clone(), "kube-scheduler/cp_2");
        check(CONTROL_PLANE, "kube-controller-manager", held.clone(), "kube-controller-manager/cp_2");
        check(CONTROL_PLANE, "somebody-elses-controller", held, "");
    }

    #[test]
    fn a_lease_without_microseconds_or_a_number_for_its_version_shows_nothing() {
        check(NODES, "n1", json!({"spec": {"renewTime": "2026-11-21T16:00:00.000000Z"}}), "");
        check(NODES, "n1", json!({"spec": {"renewTime": null}}), "");
        check(NODES, "n1", json!({"metadata": {"resourceVersion": "opaque"}}), "");
    }
}
