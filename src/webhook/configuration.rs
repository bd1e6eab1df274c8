//! What does an API server have to know in order to ask us, and about what need it not ask?
//!
//! The ValidatingWebhookConfiguration, made from the catalogue: rules for exactly the kinds in which settings are
//! judged, and conditions that the API server evaluates itself before it calls. A condition leaves out only what the
//! verdict would never refuse, so that leaving it out costs no more than a warning: nothing has changed in which a
//! setting could stand; the object is going; a controller of Kubernetes copies a template that was judged itself; the
//! ConfigMap is the copy of a certificate, or holds nothing.
//!
//! The conditions cannot fail (each field is asked for before it is used): with failurePolicy Ignore an expression that
//! fails leaves the object unjudged, with Fail it refuses it.
//!
//! Does not know: which of the kinds a cluster has; a rule for one that it does not have is without effect.
//! Sources: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/> and KEP 3716
//! (matchConditions, Kubernetes 1.30).

use crate::inspect::SILENT_ANNOTATIONS;
use crate::inspect::catalogue::Resource;
use std::collections::BTreeMap;

/// Where it is installed if nobody says otherwise: name of the configuration, and the namespace of the Service.
pub const DEFAULT: (&str, &str) = ("clockwarden", "clockwarden-system");

/// What the API server calls; the name of the Service and of the accounts in the manifest.
const SERVICE: &str = "clockwarden-webhook";

/// ConfigMaps that a controller writes into every namespace, and writes again when anybody else has.
const CERTIFICATES: &[&str] = &["istio-ca-root-cert", "kube-root-ca.crt", "openshift-service-ca.crt"];

/// The controllers of Kubernetes that make objects from a template in another one, which was judged itself. By their
/// own accounts, and by the one that all share where `--use-service-account-credentials` is off.
const COPIERS: &[&str] = &[
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:cronjob-controller",
    "system:serviceaccount:kube-system:daemon-set-controller",
    "system:serviceaccount:kube-system:deployment-controller",
    "system:serviceaccount:kube-system:job-controller",
    "system:serviceaccount:kube-system:replicaset-controller",
    "system:serviceaccount:kube-system:replication-controller",
    "system:serviceaccount:kube-system:statefulset-controller",
];

/// The configuration as YAML, without the leading `---`.
///
/// `name` is its own, `namespace` that of the Service, which is never asked about; both as Kubernetes has them.
#[must_use]
pub fn yaml(name: &str, namespace: &str, resources: &[Resource]) -> String {
    let (name, namespace) = (scalar(name), scalar(namespace));
    let mut out = format!(
        r#"apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: clockwarden
    app.kubernetes.io/component: webhook
webhooks:
- name: skew.clockwarden.io
  admissionReviewVersions: [v1]
  # Nothing is written because of a review, so that a dry run is judged like any other request.
  sideEffects: None
  # Ignore: while no webhook answers, everything is admitted, unsafe settings too. Fail: nothing of the kinds below can
  # be made or changed while no webhook answers, also not by what would bring the webhook back. docs/webhook.md.
  failurePolicy: Ignore
  timeoutSeconds: 5
  matchPolicy: Equivalent
  clientConfig:
    # The webhook itself adds its caBundle.
    service:
      name: {SERVICE}
      namespace: {namespace}
      path: /validate
      port: 443
  # Never what the cluster and the webhook itself need in order to start.
  namespaceSelector:
    matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: [kube-system, {namespace}]
  # All of them must hold, or the webhook is not asked.
  matchConditions:
"#
    );
    for condition in conditions() {
        out.push_str(&condition);
    }
    out.push_str("  # What has settings: pods, whatever makes pods, ConfigMaps, and the kinds of products that the catalogue knows.\n  rules:\n");
    for rule in rules(resources) {
        out.push_str(&rule);
    }
    out
}

fn condition(why: &str, name: &str, expression: &str) -> String {
    let mut out = format!("  # {why}\n  - name: {name}\n    expression: |-\n");
    for line in expression.lines() {
        out.push_str("      ");
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// In the order in which they are cheap and likely to be false.
fn conditions() -> [String; 4] {
    let (copiers, certificates, silent) = (list(COPIERS), list(CERTIFICATES), list(SILENT_ANNOTATIONS));
    [
        condition(
            "Kubernetes itself makes pods from what was judged when a person wrote it; it must always be able to.",
            "not-made-from-a-template",
            &format!("!(request.userInfo.username in {copiers})"),
        ),
        condition(
            "Only finalizers are left to remove.",
            "not-being-deleted",
            "!has(object.metadata.deletionTimestamp)",
        ),
        condition(
            "Copies of a certificate, and ConfigMaps without anything in them but the leader of an election.",
            "not-a-config-map-without-settings",
            &format!(
                "!(request.resource.group == '' && request.resource.resource == 'configmaps' && (\n\
                 request.name in {certificates}\n\
                 || !has(object.data) && !has(object.binaryData)\n\
                 && (!has(object.metadata.annotations) || object.metadata.annotations.all(k, k in {silent}))))"
            ),
        ),
        condition(
            "An update of anything but the status, finalizers, owners and the annotations that tools keep for themselves.",
            "changed-where-settings-are",
            &format!(
                "request.operation != 'UPDATE'\n\
                 || object.exists(k, !(k in ['metadata', 'status']) && !(k in oldObject && object[k] == oldObject[k]))\n\
                 || oldObject.exists(k, !(k in ['metadata', 'status']) && !(k in object))\n\
                 || (has(object.metadata.labels) ? object.metadata.labels : {{}})\n\
                 != (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {{}})\n\
                 || (has(object.metadata.annotations) && object.metadata.annotations.exists(k, !(k in {silent})\n\
                 && !(has(oldObject.metadata.annotations) && k in oldObject.metadata.annotations\n\
                 && object.metadata.annotations[k] == oldObject.metadata.annotations[k])))\n\
                 || (has(oldObject.metadata.annotations) && oldObject.metadata.annotations.exists(k, !(k in {silent})\n\
                 && !(has(object.metadata.annotations) && k in object.metadata.annotations)))"
            ),
        ),
    ]
}

/// A list of texts as CEL writes it; none of ours has a quote in it.
fn list(texts: &[&str]) -> String {
    format!("['{}']", texts.join("', '"))
}

/// One for each group and scope. Products' objects are judged in whatever version they come, so that a version which
/// the catalogue has not heard of is judged too.
fn rules(resources: &[Resource]) -> Vec<String> {
    let mut grouped: BTreeMap<(bool, &str, &str), Vec<&Resource>> = BTreeMap::new();
    for resource in resources {
        let key = (resource.product.is_some(), resource.group.as_str(), resource.scope.as_str());
        grouped.entry(key).or_default().push(resource);
    }
    let rule = |((is_product, group, scope), resources): ((bool, &str, &str), Vec<&Resource>)| {
        let versions = if is_product { "\"*\"" } else { "v1" };
        let mut names: Vec<&str> = resources.iter().map(|resource| resource.plural.as_str()).collect();
        if group.is_empty() {
            // Containers that are added to a running pod; the only subresource that holds settings.
            names.push("pods/ephemeralcontainers");
        }
        names.sort_unstable();
        let group = if group.is_empty() { "\"\"" } else { group };
        let product = resources.first().and_then(|resource| resource.product.as_deref());
        let comment = product.map(|product| format!("  # {product}\n")).unwrap_or_default();
        format!(
            "{comment}  - operations: [CREATE, UPDATE]\n    apiGroups: [{group}]\n    apiVersions: [{versions}]\n    \
             resources: [{}]\n    scope: {scope}\n",
            names.join(", ")
        )
    };
    grouped.into_iter().map(rule).collect()
}

/// A text as YAML writes it: plain if it can be nothing but a text.
fn scalar(text: &str) -> String {
    let is_name = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    // Long enough not to be one of YAML's words, and no number.
    if is_name && text.len() > 5 && text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Catalogue;
    use serde_json::{Value, json};

    fn made(name: &str, namespace: &str) -> Value {
        serde_saphyr::from_str(&yaml(name, namespace, Catalogue::builtin().resources())).unwrap()
    }

    fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
        value.pointer(path).unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn every_kind_of_the_catalogue_stands_in_one_rule_with_its_scope() {
        let made = made("clockwarden", "clockwarden-system");
        let rules = at(&made, "/webhooks/0/rules").as_array().unwrap();
        let holds = |rule: &Value, field: &str, text: &str| {
            at(rule, &format!("/{field}")).as_array().unwrap().iter().any(|it| it == text)
        };
        for resource in Catalogue::builtin().resources() {
            let group = resource.group.as_str();
            let of = |rule: &&Value| holds(rule, "apiGroups", group) && holds(rule, "resources", &resource.plural);
            let found: Vec<&Value> = rules.iter().filter(of).collect();
            assert_eq!(found.len(), 1, "{}", resource.qualified());
            assert_eq!(at(found[0], "/scope"), resource.scope.as_str(), "{}", resource.qualified());
        }
        let count: usize = rules.iter().map(|rule| at(rule, "/resources").as_array().unwrap().len()).sum();
        assert_eq!(count, Catalogue::builtin().resources().len() + 1, "and pods/ephemeralcontainers, and nothing else");
        let text = made.to_string();
        for never in ["leases", "secrets", "events", "\"/scale\"", "/status\"", "nodes"] {
            assert!(!at(&made, "/webhooks/0/rules").to_string().contains(never), "{never} in {text}");
        }
    }

    #[test]
    fn its_namespace_and_that_of_the_cluster_are_left_out_however_they_are_called() {
        for (name, namespace) in [("clockwarden", "clockwarden-system"), ("w", "n"), ("1e3", "null"), ("true", "0")] {
            let made = made(name, namespace);
            assert_eq!(at(&made, "/metadata/name"), name);
            assert_eq!(at(&made, "/webhooks/0/clientConfig/service/namespace"), namespace);
            let left_out = at(&made, "/webhooks/0/namespaceSelector/matchExpressions/0");
            let expected = json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                "values": ["kube-system", namespace]});
            assert_eq!(left_out, &expected);
            assert_eq!(at(&made, "/webhooks/0/failurePolicy"), "Ignore");
            assert_eq!(at(&made, "/webhooks/0/sideEffects"), "None");
        }
    }
}
