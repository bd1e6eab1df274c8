//! Where a Kubernetes object keeps settings, apart from plain fields.
//!
//! Not a list of kinds: a container is what has `env`, `command` and `args`, wherever it stands, so a Deployment, an
//! ephemeral container and the pod template of a custom resource are one case. The few things that only look like
//! settings (the status, copies that tools keep of the object, secrets) are left out here.

pub(crate) mod command;
pub(crate) mod config_map;
pub(crate) mod pairs;
pub(crate) mod shell;

use super::formats;
use super::link::Link;
use super::tree::{Entry, Tree};

/// Kinds whose fields describe other objects, or report what happened.
const SILENT_KINDS: &[&str] = &[
    "CustomResourceDefinition",
    "CompositeResourceDefinition",
    "ControllerRevision",
    "Event",
    "LimitRange",
    "ResourceQuota",
    "SubjectAccessReview",
    "TokenReview",
    "PolicyReport",
];

/// Groups of policies: what stands in there is a pattern for other objects, often one that forbids the setting. And of
/// tests, which make objects in order to see what becomes of them.
const SILENT_GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "chainsaw.kyverno.io",
    "cli.kyverno.io",
    "clockwarden.io",
    "constraints.gatekeeper.sh",
    "kuttl.dev",
    "kyverno.io",
    "policies.kubewarden.io",
    "policies.kyverno.io",
    "templates.gatekeeper.sh",
];

/// Annotations that hold no settings: copies of the whole object that tools keep in it, examples of other objects, and
/// who leads an election.
pub const SILENT_ANNOTATIONS: &[&str] = &[
    "alm-examples",
    "control-plane.alpha.kubernetes.io/leader",
    "kapp.k14s.io/original",
    "kubectl.kubernetes.io/last-applied-configuration",
    "objectset.rio.cattle.io/applied",
];

/// A field of this name describes other objects.
const SCHEMA: &str = "openAPIV3Schema";

/// An object of this kind holds no settings.
pub(crate) fn is_silent(group: &str, kind: &str) -> bool {
    SILENT_KINDS.contains(&kind) || SILENT_GROUPS.contains(&group)
}

/// Is an object there for a test of its chart, or what is left of an older version of a Deployment?
///
/// Source: <https://helm.sh/docs/topics/chart_tests/>, <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>
/// (`revisionHistoryLimit`).
pub(crate) fn is_not_running(tree: &Tree, kind: &str) -> bool {
    let hooks = tree.at(&["metadata", "annotations", "helm.sh/hook"]).and_then(Tree::text).unwrap_or("");
    let is_test = |hook: &str| matches!(hook.trim(), "test" | "test-success" | "test-failure");
    let is_old = || {
        tree.at(&["metadata", "ownerReferences"]).is_some_and(|owners| !owners.items().is_empty())
            && tree.at(&["spec", "replicas"]).and_then(Tree::text) == Some("0")
    };
    hooks.split(',').any(is_test) || (kind == "ReplicaSet" && is_old())
}

/// Does a document describe settings instead of making them: a JSON Schema, an OpenAPI or AsyncAPI document? Its
/// defaults and examples are no more than that.
///
/// Source: JSON Schema draft 2020-12, section 8.1.1; OpenAPI 3.1, section 4.8.1.
pub(crate) fn is_description(tree: &Tree) -> bool {
    let text = |key: &str| tree.get(key).and_then(Tree::text);
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    text("$schema").is_some_and(|schema| schema.contains("json-schema.org/"))
        || ["openapi", "swagger", "asyncapi"].iter().any(|key| text(key).is_some_and(is_version))
        || tree.at(&["info", "schema"]).and_then(Tree::text).is_some_and(|schema| schema.contains("getpostman.com/"))
}

/// Keys of a description that set something after all: a gateway's own part of an OpenAPI document.
///
/// Source: <https://tyk.io/docs/api-management/gateway-config-tyk-oas/>,
/// <https://developer.konghq.com/deck/file/openapi2kong/> (`x-kong-plugin-NAME`).
pub(crate) fn is_of_gateway(key: &str) -> bool {
    key.starts_with("x-tyk-") || key.starts_with("x-kong-")
}

/// Does a file's name say that nothing runs with it in a cluster: Helm's `values.schema.json`, a package's own file, how
/// .NET starts on the machine of a developer?
///
/// Source: <https://learn.microsoft.com/aspnet/core/fundamentals/environments#development-and-launchsettingsjson>.
pub(crate) fn is_not_deployed(name: &str) -> bool {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    [".schema.json", ".schema.yaml", ".schema.yml"].iter().any(|end| base.ends_with(end))
        || matches!(base.as_str(), "launchsettings.json" | "package.json" | "package-lock.json" | "composer.json")
        || matches!(base.as_str(), "launch.json" | "phpunit.xml" | "phpunit.xml.dist" | "testng.xml")
        || matches!(
            base.as_str(),
            "local.settings.json" | "devcontainer.json" | "nodemon.json" | "http-client.env.json"
        )
        || matches!(base.as_str(), "jest.config.json" | ".mocharc.json" | "cypress.json" | "cypress.env.json")
        || [".eslintrc", ".spectral.", ".stylelintrc"].iter().any(|start| base.starts_with(start))
}

/// Does a file's name say that it is what a test is run with, or what one wants to see: the test folder of Maven,
/// `.env.test`, steps of kuttl, tests of Terraform? Or what an editor keeps for its user? Such a file of a ConfigMap is for
/// what is called a test environment, and runs there.
///
/// Source: <https://maven.apache.org/guides/introduction/introduction-to-the-standard-directory-layout.html>,
/// <https://kuttl.dev/docs/testing/steps.html>.
pub(crate) fn is_of_test(name: &str) -> bool {
    let name = name.replace('\\', "/");
    let base = name.rsplit('/').next().unwrap_or(&name);
    let is_step = |rest: &str| {
        ["assert", "errors"].iter().any(|what| rest.strip_prefix(what).is_some_and(|rest| rest.starts_with(['.', '-'])))
    };
    let folders: Vec<&str> = name.split('/').collect();
    let base_lower = base.to_ascii_lowercase();
    let parts: Vec<&str> = base_lower.split('.').collect();
    let is_of_test = matches!(
        parts.as_slice(),
        ["", "env", "test" | "testing", ..]
            | ["appsettings", "test" | "testing" | "integrationtests", "json"]
            | ["application-test", "yml" | "yaml" | "properties" | "json"]
            | [.., "tftest", "hcl" | "json"]
    );
    is_of_test
        || folders.iter().any(|folder| matches!(*folder, ".vscode" | ".idea" | ".devcontainer"))
        || folders.windows(2).any(|pair| pair == ["src", "test"])
        || base.split_once('-').is_some_and(|(number, rest)| {
            number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()) && is_step(rest)
        })
}

/// Keys whose values are written for people.
const PROSE: &[&str] = &[
    "description",
    "summary",
    "message",
    "note",
    "notes",
    "help",
    "comment",
    "documentation",
    "doc",
    "docs",
    "readme",
    "usage",
    "hint",
    "tooltip",
    "howto",
    "guide",
    "runbook",
    "title",
    "changes",
];

/// Is the value under this key for people, though it may look like a document?
pub(crate) fn is_prose(key: &str) -> bool {
    let last = key.rsplit(['/', '.', '-', '_']).next().unwrap_or(key);
    PROSE.iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// Is a value of one line a piece of a server's configuration all the same, by its key: a snippet, or a file whose name
/// several formats share?
///
/// Source: <https://docs.nginx.com/nginx-ingress-controller/configuration/ingress-resources/advanced-configuration-with-snippets/>.
pub(crate) fn is_snippet(link: &Link<'_>, text: &str) -> bool {
    let is_piece = text.trim_end().ends_with([';', '}']);
    (is_piece && link.keys().take(2).any(|key| key.to_ascii_lowercase().contains("snippet")))
        || link.key().is_some_and(formats::may_be_format)
}

/// Is this map the schema of an object? What it holds as defaults and examples sets nothing.
///
/// Source: JSON Schema draft 2020-12, sections 10.3.2.1 and 8.1.1 (`properties`, `type`).
pub(crate) fn is_schema(entries: &[Entry]) -> bool {
    let find = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let is_object = find("type").and_then(Tree::text) == Some("object");
    let Some(Tree::Map(properties)) = find("properties") else {
        return is_object && matches!(find("default"), Some(Tree::Map(_)));
    };
    match find("type").map(Tree::text) {
        Some(kind) => kind == Some("object"),
        None => !properties.is_empty() && properties.iter().all(|property| describes(&property.value)),
    }
}

/// Does a property's value tell what it may be?
fn describes(property: &Tree) -> bool {
    ["type", "$ref", "properties", "enum", "oneOf", "anyOf", "allOf"].iter().any(|key| property.get(key).is_some())
        || (property.get("default").is_some() && property.get("description").is_some())
}

/// Does this field of a Secret hold what nobody should see?
pub(crate) fn is_secret(key: &str) -> bool {
    matches!(key, "data" | "stringData")
}

/// Is this entry of an object no configuration? `link` is the map that holds it.
pub(crate) fn is_skipped(link: &Link<'_>, key: &str, kind: &str, is_root: bool) -> bool {
    let parent = |name: &str| link.key() == Some(name);
    (is_root && (key == "status" || (kind == "Secret" && is_secret(key))))
        || key == SCHEMA
        // Labels are for selecting.
        || (parent("metadata") && matches!(key, "managedFields" | "labels"))
        || key == "matchLabels"
        || (parent("annotations") && SILENT_ANNOTATIONS.contains(&key))
}
