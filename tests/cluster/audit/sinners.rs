//! An object with an unsafe setting of every kind that the catalogue names, and the CRDs of those that are products'.

#![expect(clippy::indexing_slicing, reason = "objects of the test's own making")]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::inspect::Catalogue;
use clockwarden::inspect::catalogue::{Resource, Scope};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::support::{ControlPlane, wait_for};

const SOON: Duration = Duration::from_secs(60);

/// The catalogue's kinds: Kubernetes' own, or the products'.
pub(crate) fn resources(of_products: bool) -> impl Iterator<Item = &'static Resource> {
    Catalogue::builtin().resources().iter().filter(move |resource| resource.product.is_some() == of_products)
}

/// Group and version in which a sinner is made.
pub(crate) fn api_version(resource: &Resource) -> String {
    let version = resource.versions.first().map_or("v1", String::as_str);
    if resource.group.is_empty() { version.to_owned() } else { format!("{}/{version}", resource.group) }
}

/// An object that the rule jwt-skew-zero is about.
pub(crate) fn sinner(resource: &Resource, namespace: &str, name: &str) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [
        {"name": "app", "image": "example.com/none", "env": [{"name": "JWT_LEEWAY_SECONDS", "value": "0"}]}]});
    let always = {
        let mut always = pod.clone();
        always["restartPolicy"] = json!("Always");
        always
    };
    let labels = json!({"app": name});
    let template = |pod: &Value| json!({"metadata": {"labels": labels}, "spec": pod});
    let selector = json!({"matchLabels": labels});
    let (field, body) = match (resource.product.is_some(), resource.kind.as_str()) {
        (true, _) => ("spec", json!({"jwt": {"leeway": 0}})),
        (_, "ConfigMap") => ("data", json!({"application.properties": "jwt.leeway.seconds=0\n"})),
        (_, "Pod") => ("spec", pod),
        (_, "PodTemplate") => ("template", template(&always)),
        (_, "ReplicationController") => ("spec", json!({"selector": labels, "template": template(&always)})),
        (_, "StatefulSet") => {
            ("spec", json!({"serviceName": name, "selector": selector, "template": template(&always)}))
        }
        (_, "Job") => ("spec", json!({"template": {"spec": pod}})),
        (_, "CronJob") => {
            ("spec", json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}))
        }
        _ => ("spec", json!({"selector": selector, "template": template(&always)})),
    };
    let mut object = json!({
        "apiVersion": api_version(resource), "kind": resource.kind, "metadata": {"name": name}, field: body,
    });
    if resource.scope == Scope::Namespaced {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

/// Makes an object of a kind each, as an administrator.
pub(crate) async fn sin(
    plane: &ControlPlane,
    of: impl Iterator<Item = &'static Resource>,
    namespace: &str,
    name: &str,
) -> Result<()> {
    // No controller makes it here, and no pod is admitted without it.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata":
        {"name": "default", "namespace": namespace}});
    let items: Vec<Value> = [account].into_iter().chain(of.map(|resource| sinner(resource, namespace, name))).collect();
    apply(plane, &json!({"apiVersion": "v1", "kind": "List", "items": items})).await
}

/// Applies what must be taken.
pub(crate) async fn apply(plane: &ControlPlane, object: &Value) -> Result<()> {
    let said = plane.kubectl_fed(&["apply", "-f", "-"], &object.to_string()).await?;
    ensure!(said.success, "{said:?}");
    Ok(())
}

/// Installs CRDs that hold whatever they are given, of every product.
pub(crate) async fn install_products(client: &Client) -> Result<()> {
    for resource in resources(true) {
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = resource.versions.first().context("a kind without a version")?;
        install(client, resource, version, &any).await?;
    }
    Ok(())
}

/// Installs PolicyReport and ClusterPolicyReport, as `wgpolicyk8s.io/v1alpha2` has been published.
pub(crate) async fn install_reports(client: &Client) -> Result<()> {
    let text = json!({"type": "string"});
    let whole = json!({"type": "integer"});
    let one_of = |words: &[&str]| json!({"type": "string", "enum": words});
    let texts = json!({"type": "object", "additionalProperties": text});
    let fields =
        |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), text.clone())).collect::<serde_json::Map<_, _>>();
    let object = json!({"type": "object", "properties":
        fields(&["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"])});
    let mut result = fields(&["category", "message", "policy", "rule", "source"]);
    result.insert("properties".into(), texts);
    result.insert("resources".into(), json!({"type": "array", "items": object}));
    result.insert("result".into(), one_of(&["pass", "fail", "warn", "error", "skip"]));
    result.insert("scored".into(), json!({"type": "boolean"}));
    result.insert("severity".into(), one_of(&["high", "low", "medium"]));
    result.insert(
        "timestamp".into(),
        json!({"type": "object", "required": ["nanos", "seconds"], "properties": {
        "nanos": {"type": "integer", "format": "int32"}, "seconds": {"type": "integer", "format": "int64"}}}),
    );
    let counts: serde_json::Map<String, Value> =
        ["pass", "fail", "warn", "error", "skip"].map(|name| (name.to_owned(), whole.clone())).into_iter().collect();
    let schema = json!({"type": "object", "properties": {
        "apiVersion": text, "kind": text, "metadata": {"type": "object"}, "scope": object,
        "results": {"type": "array", "items": {"type": "object", "required": ["policy"], "properties": result}},
        "summary": {"type": "object", "properties": counts},
    }});
    for (kind, plural, scope) in [
        ("PolicyReport", "policyreports", Scope::Namespaced),
        ("ClusterPolicyReport", "clusterpolicyreports", Scope::Cluster),
    ] {
        let resource = Resource {
            group: "wgpolicyk8s.io".into(),
            versions: vec!["v1alpha2".into()],
            kind: kind.into(),
            plural: plural.into(),
            scope,
            product: None,
        };
        install(client, &resource, "v1alpha2", &schema).await?;
    }
    Ok(())
}

async fn install(client: &Client, resource: &Resource, version: &str, schema: &Value) -> Result<()> {
    let Resource { group, kind, plural, .. } = resource;
    let crd: CustomResourceDefinition = serde_json::from_value(json!({
        "metadata": {
            "name": format!("{plural}.{group}"),
            // The API server asks for it where a group is one of Kubernetes'.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group, "scope": resource.scope.as_str(),
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    }))?;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd.name_any();
    crds.create(&PostParams::default(), &crd).await.with_context(|| format!("cannot create the CRD {name}"))?;
    wait_for(&format!("the CRD {name} to be served"), SOON, async || {
        let conditions = crds.get(&name).await?.status.and_then(|status| status.conditions).unwrap_or_default();
        ensure!(conditions.iter().any(|it| it.type_ == "Established" && it.status == "True"), "{conditions:?}");
        Ok(())
    })
    .await
}
