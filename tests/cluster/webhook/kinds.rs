//! Every kind that the configuration registers for, on the real API server: what is unsafe is refused with the
//! message, what is mended passes, and an old sinner stays in service. The walk goes along the configuration itself, so
//! that a kind cannot be added without an object to try.

#![expect(clippy::indexing_slicing, reason = "objects of the test's own making")]

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use clockwarden::inspect::Catalogue;
use clockwarden::inspect::catalogue::{Resource, Scope};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::{SOON, Webhook, apply, cached, config_map, configuration, enforcing, plane, prepare, refused};
use crate::support::{ControlPlane, Outcome, run, wait_for};

/// Every rule an error, so that kinds whose zero is harmless can be refused for what is too large.
const STRICT: &str = r#"
apiVersion: clockwarden.io/v1alpha1
kind: TimeSyncPolicy
metadata: {name: production}
spec:
  admission:
    mode: Enforce
    rules: {jwt-skew-zero: Error, jwt-skew-too-large: Error, jwt-skew-unset: Error, jwt-check-disabled: Error}
"#;

/// An object of this kind without its head, with a setting that is unsafe or mended.
fn body(qualified: &str, is_unsafe: bool) -> Result<Value> {
    let pick = |bad: Value, good: Value| if is_unsafe { bad } else { good };
    let (zero, zero_s) = (pick(json!(0), json!(60)), pick(json!("0s"), json!("60s")));
    let (minus, large) = (pick(json!(-1), json!(60)), pick(json!(86_400), json!(60)));
    let text = pick(json!("0"), json!("60"));
    let env = json!([{"name": "JWT_LEEWAY_SECONDS", "value": text}]);
    let pod =
        json!({"restartPolicy": "Always", "containers": [{"name": "app", "image": "example.com/none", "env": env}]});
    let mut once = pod.clone();
    once["restartPolicy"] = json!("Never");
    // Of its own, so that no kind takes over the pods of another.
    let app = qualified.rsplit('/').next().unwrap_or_default().to_lowercase();
    let template = json!({"metadata": {"labels": {"app": app}}, "spec": pod});
    let job = json!({"template": {"spec": once}});
    let selector = json!({"matchLabels": {"app": app}});
    let apisix =
        json!([{"name": "openid-connect", "enable": true, "config": {"client_id": "shop", "iat_slack": zero}}]);
    let kong = json!({"plugin": "openid-connect", "config": {"issuer": "https://issuer.example", "leeway": zero}});
    let vault_role = json!({"clockSkewLeeway": minus});
    let spec = match qualified {
        "/ConfigMap" => {
            return Ok(
                json!({"data": {"application.properties": format!("jwt.leeway.seconds={}\n", text.as_str().unwrap_or_default())}}),
            );
        }
        "/PodTemplate" => return Ok(json!({"template": template})),
        "configuration.konghq.com/KongPlugin" | "configuration.konghq.com/KongClusterPlugin" => return Ok(kong),
        "/Pod" => pod,
        "/ReplicationController" => json!({"replicas": 0, "selector": {"app": app}, "template": template}),
        "apps/DaemonSet" => json!({"selector": selector, "template": template}),
        "apps/Deployment" | "apps/ReplicaSet" => json!({"replicas": 0, "selector": selector, "template": template}),
        "apps/StatefulSet" => {
            json!({"replicas": 0, "serviceName": "web", "selector": selector, "template": template})
        }
        "batch/CronJob" => json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": job}}),
        "batch/Job" => job,
        "apisix.apache.org/ApisixConsumer" => {
            json!({"authParameter": {"jwtAuth": {"value": {"key": "shop", "lifetime_grace_period": zero}}}})
        }
        "apisix.apache.org/Consumer" => json!({"credentials": [{"name": "shop", "type": "jwt-auth", "config": {
            "key": "shop", "lifetime_grace_period": zero}}]}),
        "apisix.apache.org/ApisixGlobalRule"
        | "apisix.apache.org/ApisixPluginConfig"
        | "apisix.apache.org/PluginConfig" => {
            json!({"plugins": apisix})
        }
        "apisix.apache.org/ApisixRoute" => json!({"http": [{"name": "shop", "plugins": apisix}]}),
        "cluster.redpanda.com/Redpanda" => {
            json!({"clusterSpec": {"config": {"cluster": {"oidc_clock_skew_tolerance": zero}}}})
        }
        "consul.hashicorp.com/JWTProvider" => json!({"issuer": "okta", "clockSkewSeconds": large}),
        "elasticsearch.k8s.elastic.co/Elasticsearch" => json!({"nodeSets": [{"name": "default", "config": {
            "xpack.security.authc.realms.jwt.jwt1.allowed_clock_skew": zero_s}}]}),
        "extensions.higress.io/WasmPlugin" => {
            json!({"defaultConfig": {"consumers": [{"name": "shop", "clock_skew_seconds": zero}]}})
        }
        "gateway.nginx.org/AuthenticationFilter" => json!({"type": "JWT", "jwt": {"realm": "shop", "leeway": zero_s}}),
        "getambassador.io/Filter" => json!({"JWT": {"jwksURI": "https://issuer.example/jwks.json",
            "leewayForExpiresAt": zero_s, "leewayForNotBefore": "60s", "leewayForIssuedAt": "60s"}}),
        "jwt.vault.upbound.io/AuthBackendRole" | "jwt.vault.m.upbound.io/AuthBackendRole" => {
            json!({"forProvider": vault_role})
        }
        "k8s.keycloak.org/KeycloakRealmImport" => json!({"realm": {"identityProviders": [
            {"alias": "corp", "providerId": "oidc", "config": {"allowedClockSkew": text}}]}}),
        "networking.istio.io/EnvoyFilter" => json!({"configPatches": [{"applyTo": "HTTP_FILTER", "patch": {"value": {
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {"providers": {"auth0": {"clock_skew_seconds": large}}}}}}]}),
        "redhatcop.redhat.io/JWTOIDCAuthEngineRole" => vault_role,
        "vault.banzaicloud.com/Vault" => {
            json!({"externalConfig": {"auth": [{"type": "jwt", "roles": [{"name": "web", "clock_skew_leeway": minus}]}]}})
        }
        other => bail!("add an unsafe and a mended object of {other} to tests/cluster/webhook/kinds.rs"),
    };
    Ok(json!({"spec": spec}))
}

/// The newest version that the catalogue knows.
fn version(resource: &Resource) -> Result<&str> {
    Ok(resource.versions.first().with_context(|| format!("{} has no version", resource.qualified()))?)
}

struct Kind {
    resource: Resource,
    api: Api<DynamicObject>,
    api_version: String,
}

impl Kind {
    fn new(client: &Client, resource: Resource) -> Result<Kind> {
        let slash = if resource.group.is_empty() { "" } else { "/" };
        let api_version = format!("{}{slash}{}", resource.group, version(&resource)?);
        let described = ApiResource {
            group: resource.group.clone(),
            version: version(&resource)?.to_owned(),
            api_version: api_version.clone(),
            kind: resource.kind.clone(),
            plural: resource.plural.clone(),
        };
        let api = match resource.scope {
            Scope::Namespaced => Api::namespaced_with(client.clone(), "shop", &described),
            Scope::Cluster => Api::all_with(client.clone(), &described),
        };
        Ok(Kind { resource, api, api_version })
    }

    fn object(&self, name: &str, is_unsafe: bool) -> Result<DynamicObject> {
        let mut object = body(&self.resource.qualified(), is_unsafe)?;
        let fields = object.as_object_mut().context("no object")?;
        fields.insert("apiVersion".to_owned(), json!(self.api_version));
        fields.insert("kind".to_owned(), json!(self.resource.kind));
        fields.insert("metadata".to_owned(), json!({"name": name}));
        Ok(serde_json::from_value(object)?)
    }

    async fn create(&self, name: &str, is_unsafe: bool, dry_run: bool) -> Result<(), kube::Error> {
        let object = self.object(name, is_unsafe).map_err(|error| kube::Error::Service(error.into()))?;
        self.api.create(&PostParams { dry_run, ..PostParams::default() }, &object).await.map(drop)
    }

    async fn merge(&self, name: &str, patch: &Value) -> Result<(), kube::Error> {
        self.api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }

    /// A write that changes the status only, where the kind has one.
    fn status(&self) -> Option<Value> {
        Some(match self.resource.qualified().as_str() {
            "/ConfigMap" | "/PodTemplate" => return None,
            "/Pod" => json!({"status": {"message": "seen"}}),
            "batch/CronJob" => json!({"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}),
            "batch/Job" => json!({"status": {"active": 1}}),
            "/ReplicationController" => json!({"status": {"replicas": 0, "observedGeneration": 1}}),
            _ => json!({"status": {"observedGeneration": 1}}),
        })
    }

    fn is_scalable(&self) -> bool {
        matches!(self.resource.kind.as_str(), "ReplicationController" | "Deployment" | "ReplicaSet" | "StatefulSet")
            && self.resource.product.is_none()
    }

    /// Their pods cannot be changed once they are there.
    fn is_fixed(&self) -> bool {
        matches!(self.resource.qualified().as_str(), "/Pod" | "batch/Job")
    }
}

/// Was refused by us, with everything that the message has to say.
fn refusal(result: Result<(), kube::Error>, kind: &Kind, name: &str, what: &str) -> Result<()> {
    let qualified = kind.resource.qualified();
    match result {
        Ok(()) => bail!("{qualified}: {what} was admitted"),
        Err(kube::Error::Api(status)) => {
            let slash = if kind.resource.scope == Scope::Cluster { "" } else { "shop/" };
            let head = format!(
                "denied the request: {} {slash}{name} is refused by TimeSyncPolicy production:",
                kind.resource.kind
            );
            for part in ["admission webhook \"skew.clockwarden.io\"", &head, "\n    Fix: "] {
                ensure!(status.message.contains(part), "{qualified}: {what}: no {part:?} in {}", status.message);
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("{qualified}: {what}")),
    }
}

/// The kinds that the rules of the configuration register for; what they have beside that is returned too.
fn registered() -> Result<(Vec<Resource>, BTreeSet<String>)> {
    let configuration = configuration(1)?;
    let rules = configuration.pointer("/webhooks/0/rules").and_then(Value::as_array).context("no rules")?;
    let (mut kinds, mut parts) = (Vec::new(), BTreeSet::new());
    for rule in rules {
        let texts = |field: &str| -> Result<Vec<String>> { Ok(serde_json::from_value(rule[field].clone())?) };
        for group in texts("apiGroups")? {
            for plural in texts("resources")? {
                if plural.contains('/') {
                    parts.insert(plural);
                    continue;
                }
                let is = |it: &&Resource| it.group == group && it.plural == plural;
                let found = Catalogue::builtin().resources().iter().find(is);
                kinds.push(found.with_context(|| format!("{group}/{plural} is in no catalogue"))?.clone());
            }
        }
    }
    Ok((kinds, parts))
}

/// A CRD with any fields at all.
async fn install(plane: &ControlPlane, resource: &Resource) -> Result<()> {
    let name = format!("{}.{}", resource.plural, resource.group);
    let versions: Vec<Value> = resource
        .versions
        .iter()
        .enumerate()
        .map(|(number, version)| {
            json!({
                "name": version, "served": true, "storage": number == 0, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            })
        })
        .collect();
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {"group": resource.group, "scope": resource.scope.as_str(), "versions": versions,
            "names": {"kind": resource.kind, "plural": resource.plural, "singular": resource.kind.to_lowercase()}},
    });
    apply(plane, &crd.to_string()).await?;
    let waited =
        plane.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{name}")]).await?;
    ensure!(waited.success, "{waited:?}");
    Ok(())
}

#[test]
fn every_kind_is_refused_when_unsafe_and_passes_when_mended_and_old_sinners_stay() -> Outcome {
    run(async {
        let plane = plane(true).await?;
        let client = plane.client().await?;
        prepare(&plane).await?;
        let (resources, parts) = registered()?;
        assert_eq!(parts, BTreeSet::from(["pods/ephemeralcontainers".to_owned()]));
        ensure!(resources.len() > 20, "{} kinds", resources.len());
        let mut kinds = Vec::new();
        for resource in resources {
            if resource.product.is_some() {
                install(&plane, &resource).await?;
            }
            let kind = Kind::new(&client, resource)?;
            // From before anybody looked.
            wait_for("an old object", SOON, async || Ok(kind.create("old", true, false).await?)).await?;
            kinds.push(kind);
        }
        let webhook = enforcing(&plane, STRICT).await?;
        for kind in &kinds {
            introduced(kind).await?;
            old_sinner(kind, &webhook).await?;
        }
        debug_container(&plane).await?;
        audited(&plane)?;
        for verdict in ["admitted", "warned", "refused"] {
            let name = format!("clockwarden_admission_requests_total{{verdict=\"{verdict}\"}}");
            ensure!(webhook.metric(&name).await? > 0.0, "{name}");
        }
        ensure!(webhook.metric("clockwarden_findings_total{rule=\"jwt-skew-zero\"}").await? > 10.0);
        println!("{} kinds, {} reviews", kinds.len(), webhook.asked().await?);
        Ok(())
    })
}

/// What somebody brings in now.
async fn introduced(kind: &Kind) -> Result<()> {
    let qualified = kind.resource.qualified();
    for dry_run in [true, false] {
        refusal(kind.create("new", true, dry_run).await, kind, "new", "an unsafe object")?;
        kind.create("new", false, dry_run).await.with_context(|| format!("{qualified}: a mended object"))?;
    }
    if !kind.is_fixed() {
        let worse = body(&qualified, true)?;
        refusal(kind.merge("new", &worse).await, kind, "new", "an update that makes it unsafe")?;
    }
    Ok(())
}

/// What was there before: whatever does not make it worse passes, and most of it without a question.
async fn old_sinner(kind: &Kind, webhook: &Webhook) -> Result<()> {
    let qualified = kind.resource.qualified();
    let context = |what: &'static str| format!("{qualified}: {what} of an old sinner");
    let before = webhook.asked().await?;
    kind.merge("old", &json!({"metadata": {"annotations": {"seen": "yes"}}}))
        .await
        .with_context(|| context("an edit"))?;
    ensure!(webhook.asked().await? > before, "{qualified}: nobody asked about an edit");

    let before = webhook.asked().await?;
    if let Some(status) = kind.status() {
        let written = kind.api.patch_status("old", &PatchParams::default(), &Patch::Merge(&status)).await;
        written.with_context(|| context("the status"))?;
    }
    if kind.is_scalable() {
        let replicas = json!({"spec": {"replicas": 1}});
        let scaled = kind.api.patch_scale("old", &PatchParams::default(), &Patch::Merge(&replicas)).await;
        scaled.with_context(|| context("scaling"))?;
    }
    let finalizers = json!({"metadata": {"finalizers": ["example.com/wait"]}});
    cached(&kind.api, "old").await?;
    kind.merge("old", &finalizers).await.with_context(|| context("a finalizer"))?;
    kind.api.delete("old", &DeleteParams::default()).await.with_context(|| context("the deletion"))?;
    cached(&kind.api, "old").await?;
    let label = json!({"metadata": {"labels": {"going": "yes"}}});
    kind.merge("old", &label).await.with_context(|| context("a label while it goes"))?;
    kind.merge("old", &json!({"metadata": {"finalizers": null}}))
        .await
        .with_context(|| context("the removal of finalizers"))?;
    wait_for("it to be gone", SOON, async || {
        ensure!(kind.api.get_opt("old").await?.is_none(), "{qualified} is still there");
        Ok(())
    })
    .await?;
    assert_eq!(webhook.asked().await?, before, "{qualified}: reviews of what cannot matter");
    Ok(())
}

/// Added to a running pod by a person.
async fn debug_container(plane: &ControlPlane) -> Result<()> {
    let debug = async |name: &str, leeway: &str| {
        let env = format!("--env=JWT_LEEWAY_SECONDS={leeway}");
        plane.kubectl(&["debug", "-n", "shop", "pod/new", "--image=example.com/none", "-c", name, &env]).await
    };
    let said = debug("bad", "0").await?;
    ensure!(!said.success && said.stderr.contains("is refused by TimeSyncPolicy production:"), "{said:?}");
    let said = debug("good", "60").await?;
    ensure!(said.success, "{said:?}");
    Ok(())
}

/// The API server's audit log has each verdict, under the webhook's name.
fn audited(plane: &ControlPlane) -> Result<()> {
    let log = std::fs::read_to_string(plane.directory().join("audit.log"))?;
    for (key, value) in [
        ("decision", "refused"),
        ("decision", "warned"),
        ("decision", "admitted"),
        ("rules", "jwt-skew-zero"),
        ("policies", "production"),
    ] {
        let annotation = format!("\"skew.clockwarden.io/{key}\":\"{value}\"");
        ensure!(log.contains(&annotation), "no {annotation} in the audit log");
    }
    Ok(())
}

#[test]
fn a_dry_run_stores_nothing_and_says_the_same() -> Outcome {
    run(async {
        let plane = plane(false).await?;
        prepare(&plane).await?;
        let webhook = enforcing(&plane, STRICT).await?;
        let said =
            plane.kubectl_fed(&["apply", "--dry-run=server", "-f", "-"], &config_map("shop", "dry", "0")).await?;
        ensure!(!said.success && said.stderr.contains("is refused by TimeSyncPolicy"), "{said:?}");
        let said = refused(&plane, &config_map("shop", "dry", "0")).await?;
        ensure!(said.contains("ConfigMap shop/dry is refused"), "{said}");
        let said =
            plane.kubectl_fed(&["apply", "--dry-run=server", "-f", "-"], &config_map("shop", "dry", "30")).await?;
        ensure!(said.success, "{said:?}");
        let got = plane.kubectl(&["get", "-n", "shop", "configmap", "dry"]).await?;
        ensure!(!got.success, "a dry run stored it: {got:?}");
        drop(webhook);
        Ok(())
    })
}
