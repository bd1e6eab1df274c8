//! What there is to list: the catalogue's kinds, as this cluster serves them.
//!
//! Kubernetes' own kinds are always there. A product's kind is there if its CRD is installed; then it is listed in one of
//! the versions that are served, the group's preferred one first. One version is enough: the API server converts.
//! Does not know: how discovery is asked, what is in an object.

use crate::inspect::catalogue::{Resource, Scope};
use std::collections::{BTreeMap, BTreeSet};

/// What an API server says that it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// The versions of each API group, the preferred one first.
    pub groups: BTreeMap<String, Vec<String>>,
    /// The plurals of what a group and version has, as far as it was asked.
    pub plurals: BTreeMap<(String, String), BTreeSet<String>>,
}

/// One list to be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Empty for the core group.
    pub group: String,
    /// The version that is asked for.
    pub version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
}

impl Target {
    /// `apps/v1`; `v1` in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Where the objects of all namespaces are listed.
    #[must_use]
    pub fn path(&self) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/{}", self.api_version(), self.plural)
    }

    /// `deployments.apps`, as kubectl names it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// Groups whose resources have to be asked for, before [`targets`] can tell which of their kinds are there.
#[must_use]
pub fn unsure<'r>(resources: &'r [Resource], served: &Served) -> BTreeSet<&'r str> {
    let of_products = resources.iter().filter(|resource| resource.product.is_some());
    of_products.map(|resource| resource.group.as_str()).filter(|group| served.groups.contains_key(*group)).collect()
}

/// The lists to read, in the order of the catalogue.
#[must_use]
pub fn targets(resources: &[Resource], served: &Served) -> Vec<Target> {
    let version = |resource: &Resource| {
        if resource.product.is_none() {
            return resource.versions.first().cloned();
        }
        let has = |version: &&String| {
            let of = (resource.group.clone(), (*version).clone());
            served.plurals.get(&of).is_some_and(|plurals| plurals.contains(&resource.plural))
        };
        served.groups.get(&resource.group)?.iter().find(has).cloned()
    };
    let target = |resource: &Resource| {
        Some(Target {
            version: version(resource)?,
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            plural: resource.plural.clone(),
            is_namespaced: resource.scope == Scope::Namespaced,
        })
    };
    resources.iter().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Catalogue;

    fn served(groups: &[(&str, &[&str])], plurals: &[(&str, &str, &[&str])]) -> Served {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Served {
            groups: groups.iter().map(|(group, versions)| ((*group).to_owned(), texts(versions))).collect(),
            plurals: plurals
                .iter()
                .map(|(group, version, list)| {
                    (((*group).to_owned(), (*version).to_owned()), texts(list).into_iter().collect())
                })
                .collect(),
        }
    }

    /// The paths of what is listed beyond Kubernetes' own kinds.
    fn check(served: &Served, expected: &[&str]) {
        let all = targets(Catalogue::builtin().resources(), served);
        let paths: Vec<String> = all.iter().map(Target::path).collect();
        let (products, own): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.contains('.'));
        assert_eq!(products, expected.iter().collect::<Vec<_>>());
        assert_eq!(own.len(), 10, "{own:?}");
        assert!(
            own.iter().any(|path| *path == "/api/v1/pods") && own.iter().any(|path| *path == "/apis/batch/v1/jobs")
        );
    }

    #[test]
    fn what_is_not_installed_is_not_listed_and_what_is_is_in_the_version_that_is_served() {
        const KONG: &str = "configuration.konghq.com";
        check(&Served::default(), &[]);
        // Another product's CRDs in the same group.
        check(&served(&[(KONG, &["v1"])], &[(KONG, "v1", &["kongconsumers"])]), &[]);
        check(&served(&[(KONG, &["v1"])], &[]), &[]);
        let both: &[&str] = &["kongplugins", "kongclusterplugins"];
        check(
            &served(&[(KONG, &["v1beta1", "v1"])], &[(KONG, "v1beta1", &["kongingresses"]), (KONG, "v1", both)]),
            &["/apis/configuration.konghq.com/v1/kongclusterplugins", "/apis/configuration.konghq.com/v1/kongplugins"],
        );
        check(
            &served(&[(KONG, &["v2", "v1"])], &[(KONG, "v2", &["kongplugins"]), (KONG, "v1", both)]),
            &["/apis/configuration.konghq.com/v1/kongclusterplugins", "/apis/configuration.konghq.com/v2/kongplugins"],
        );
    }

    #[test]
    fn only_groups_of_products_that_are_there_are_asked_about() {
        let there = served(&[("apps", &["v1"]), ("networking.istio.io", &["v1"]), ("example.com", &["v1"])], &[]);
        let asked = unsure(Catalogue::builtin().resources(), &there);
        assert_eq!(asked, BTreeSet::from(["networking.istio.io"]));
    }

    #[test]
    fn scopes_and_names_are_the_catalogues() {
        let there = served(
            &[("configuration.konghq.com", &["v1"])],
            &[("configuration.konghq.com", "v1", &["kongplugins", "kongclusterplugins"])],
        );
        let all = targets(Catalogue::builtin().resources(), &there);
        let of_cluster: Vec<_> = all.iter().filter(|target| !target.is_namespaced).map(Target::name).collect();
        assert_eq!(of_cluster, ["kongclusterplugins.configuration.konghq.com"]);
        assert!(all.iter().any(|target| target.name() == "pods" && target.api_version() == "v1"));
    }
}
