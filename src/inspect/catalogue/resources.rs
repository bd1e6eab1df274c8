//! In which kinds of objects does an API server hold settings that are judged?
//!
//! The workloads of Kubernetes itself and its ConfigMaps, listed here, and the kinds of products, each declared as a
//! `[[resource]]` in the file of its product: the webhook's configuration and the audit of what exists are made from
//! this one list, so that neither can forget a kind that the catalogue knows. Secrets are not among them: nobody has
//! them read who does not ask for it.
//!
//! Does not know: which of these a cluster has installed, and in which versions it serves them.
//! Sources: <https://kubernetes.io/docs/reference/kubernetes-api/>; for products the CRD of each, as its file says.

use serde::Deserialize;

/// Whether the objects of a kind live in namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They are the whole cluster's.
    Cluster,
}

impl Scope {
    /// As Kubernetes spells it in CRDs and webhook rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Namespaced => "Namespaced",
            Scope::Cluster => "Cluster",
        }
    }
}

/// A kind of objects, as an API server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: String,
    /// The versions that are known of, the newest first. A cluster may serve others.
    pub versions: Vec<String>,
    /// In the singular, as objects say it.
    pub kind: String,
    /// As paths and webhook rules say it.
    pub plural: String,
    /// Whether in namespaces.
    pub scope: Scope,
    /// Whose it is; `None` for Kubernetes itself.
    pub product: Option<String>,
}

impl Resource {
    /// `group/Kind`, as the catalogue's contexts name it.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("{}/{}", self.group, self.kind)
    }
}

/// Group, kind and plural of what Kubernetes itself brings: ConfigMaps, pods, and whatever pods are made from. All are
/// in namespaces and in version v1.
const BUILT_IN: &[(&str, &str, &str)] = &[
    ("", "ConfigMap", "configmaps"),
    ("", "Pod", "pods"),
    ("", "PodTemplate", "podtemplates"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
];

pub(super) fn built_in() -> Vec<Resource> {
    let made = BUILT_IN.iter().map(|(group, kind, plural)| Resource {
        group: (*group).to_owned(),
        versions: vec!["v1".to_owned()],
        kind: (*kind).to_owned(),
        plural: (*plural).to_owned(),
        scope: Scope::Namespaced,
        product: None,
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Catalogue;
    use std::collections::BTreeSet;

    /// A kind that some entry asks for, and that nobody declares, would never be looked at in a cluster.
    #[test]
    fn every_kind_that_an_entry_names_is_declared_once() {
        let catalogue = Catalogue::builtin();
        let declared: Vec<String> = catalogue.resources().iter().map(super::Resource::qualified).collect();
        let distinct: BTreeSet<&String> = declared.iter().collect();
        assert_eq!(distinct.len(), declared.len(), "declared twice: {declared:?}");
        let of_contexts = catalogue.known().iter().flat_map(|known| &known.contexts).flat_map(|context| &context.kinds);
        let of_absences = catalogue.known().iter().filter_map(|known| known.absence.as_ref()).flat_map(|it| &it.kinds);
        let named: BTreeSet<&String> = of_contexts.chain(of_absences).collect();
        let missing: Vec<_> = named.iter().filter(|kind| !distinct.contains(*kind)).collect();
        assert!(missing.is_empty(), "add a [[resource]] for each to the file of its product: {missing:?}");
        assert!(named.len() > 5 && declared.len() > super::BUILT_IN.len(), "{named:?} {declared:?}");
    }
}
