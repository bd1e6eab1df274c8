//! The webhook, called by a real API server: its answers are understood, its watches bring what holds, and it makes
//! its own certificate trusted. With exactly the rights that it needs, the configuration that is shipped, and
//! failurePolicy Fail, so that nothing passes because it was not asked.

mod calls;
mod kinds;
mod rotation;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::inspect::Catalogue;
use clockwarden::runtime::CancellationToken;
use clockwarden::webhook::configuration::yaml;
use clockwarden::webhook::managed::Managed;
use clockwarden::webhook::metrics::Metrics;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Resource;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::ApiResource;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{Clockwarden, Component, ControlPlane, Options, Outcome, http, run, wait_for};

const SOON: Duration = Duration::from_secs(30);
const HOME: &str = "clockwarden";
const CONFIGURATION: &str = "clockwarden-test";

/// What the webhook may do, and nothing else.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: webhook}
rules:
- {apiGroups: [clockwarden.io], resources: [timesyncpolicies], verbs: [list, watch]}
- {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
- {apiGroups: [admissionregistration.k8s.io], resources: [validatingwebhookconfigurations],
   resourceNames: [clockwarden-test], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: webhook}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: webhook}
subjects: [{kind: User, name: webhook}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: webhook, namespace: clockwarden}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [webhook-tls], verbs: [get, update]}
- {apiGroups: [""], resources: [secrets], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: webhook, namespace: clockwarden}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: webhook}
subjects: [{kind: User, name: webhook}]
"#;

/// What is shipped, at another address and with another failurePolicy.
fn configuration(port: u16) -> Result<Value> {
    let shipped = yaml(CONFIGURATION, HOME, Catalogue::builtin().resources());
    let mut made: Value = serde_saphyr::from_str(&shipped)?;
    let hook = made.pointer_mut("/webhooks/0").and_then(Value::as_object_mut).context("no webhook")?;
    hook.insert("clientConfig".to_owned(), json!({"url": format!("https://127.0.0.1:{port}/validate")}));
    hook.insert("failurePolicy".to_owned(), json!("Fail"));
    Ok(made)
}

fn policy(mode: &str) -> String {
    json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": "production"},
        "spec": {"admission": {"mode": mode, "namespaceSelector": {"matchLabels": {"team": "shop"}}}},
    })
    .to_string()
}

fn config_map(namespace: &str, name: &str, leeway: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace},
        "data": {"application.properties": format!("jwt.leeway.seconds={leeway}\n")},
    })
    .to_string()
}

fn deployment(name: &str, leeway: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "app", "image": "example.com/none",
                "env": [{"name": "JWT_LEEWAY_SECONDS", "value": leeway}]}]}}},
    })
    .to_string()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Applies; what kubectl said on its standard error.
async fn apply(plane: &ControlPlane, object: &str) -> Result<String> {
    let said = plane.kubectl_fed(&["apply", "-f", "-"], object).await?;
    ensure!(said.success, "{}", said.stderr);
    Ok(said.stderr)
}

/// Applies what must be refused by us; what kubectl said.
async fn refused(plane: &ControlPlane, object: &str) -> Result<String> {
    let said = plane.kubectl_fed(&["apply", "-f", "-"], object).await?;
    ensure!(!said.success && said.stderr.contains("is refused by TimeSyncPolicy"), "{said:?}");
    Ok(said.stderr)
}

async fn plane(controller_manager: bool) -> Result<ControlPlane> {
    // Beside those that every test gets.
    let controllers = vec!["--controllers=deployment-controller,replicaset-controller".to_owned()];
    let extra_args = [(Component::ControllerManager, controllers)].into();
    let options = Options { scheduler: false, controller_manager, extra_args };
    let plane = ControlPlane::start(options).await?;
    apply(&plane, &format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{HOME}"}}}}"#)).await?;
    Ok(plane)
}

struct Webhook {
    process: Clockwarden,
    metrics: u16,
}

impl Webhook {
    async fn start(name: &str, port: u16, kubeconfig: &PathBuf) -> Result<Webhook> {
        let metrics = free_port()?;
        let (listen, metrics_listen) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{metrics}"));
        let secret = format!("{HOME}/webhook-tls");
        let mut args = vec!["webhook", "--listen", &listen, "--metrics-listen", &metrics_listen];
        args.extend(["--tls-secret", &secret, "--webhook-configuration", CONFIGURATION]);
        let mut process = Clockwarden::start(name, args, |command| {
            command.env("KUBECONFIG", kubeconfig);
        })?;
        process.wait_http(&format!("http://127.0.0.1:{metrics}/readyz"), SOON).await?;
        Ok(Webhook { process, metrics })
    }
}

impl Webhook {
    /// A line of its metrics.
    async fn metric(&self, name: &str) -> Result<f64> {
        let page = http::get(&format!("http://127.0.0.1:{}/metrics", self.metrics)).await?.body;
        let values = page.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// How many reviews there were, whatever became of them.
    async fn asked(&self) -> Result<f64> {
        self.metric("clockwarden_admission_requests_total{").await
    }
}

/// Waits until the API server's cache has what is stored. An update is first tried with what is in the cache, admission
/// included, so that just after a write it may be asked about a change that is none.
async fn cached<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    wait_for("the API server's cache", SOON, async || {
        let stored = api.get(name).await?.meta().resource_version.clone();
        let params = ListParams::default().match_any().fields(&format!("metadata.name={name}"));
        let listed = api.list(&params).await?.items;
        let listed = listed.first().and_then(|object| object.meta().resource_version.clone());
        ensure!(listed == stored, "{name}: {listed:?} is in the cache, {stored:?} is stored");
        Ok(())
    })
    .await
}

/// Our CRDs and the webhook's rights, and the namespace `shop` to which the policy applies.
async fn prepare(plane: &ControlPlane) -> Result<()> {
    apply(plane, &clockwarden::api::crds_yaml()?).await?;
    apply(plane, RIGHTS).await?;
    plane.create_namespace("shop").await?;
    let labelled = plane.kubectl(&["label", "namespace", "shop", "team=shop"]).await?;
    ensure!(labelled.success, "{labelled:?}");
    wait_for("the CRDs", SOON, async || {
        let listed = plane.kubectl(&["get", "timesyncpolicies"]).await?;
        ensure!(listed.success, "{listed:?}");
        Ok(())
    })
    .await
}

/// A webhook that enforces in `shop` and whom the API server asks.
async fn enforcing(plane: &ControlPlane, policy: &str) -> Result<Webhook> {
    let port = free_port()?;
    let kubeconfig = plane.kubeconfig_for("webhook", &[])?;
    apply(plane, &configuration(port)?.to_string()).await?;
    let webhook = Webhook::start("webhook", port, &kubeconfig).await?;
    wait_for("the API server to call", SOON, async || apply(plane, &config_map("shop", "fine", "30")).await).await?;
    apply(plane, policy).await?;
    wait_for("the policy", SOON, async || refused(plane, &config_map("shop", "probe", "0")).await).await?;
    Ok(webhook)
}

#[test]
fn unsafe_settings_are_refused_by_a_real_api_server_and_old_ones_stay_in_service() -> Outcome {
    run(async {
        let plane = plane(true).await?;
        let client = plane.client().await?;
        apply(&plane, &clockwarden::api::crds_yaml()?).await?;
        apply(&plane, RIGHTS).await?;
        let namespaces = [("shop", "shop"), ("bank", "bank")];
        for (name, team) in namespaces {
            plane.create_namespace(name).await?;
            let labelled = plane.kubectl(&["label", "namespace", name, &format!("team={team}")]).await?;
            ensure!(labelled.success, "{labelled:?}");
        }
        // From before anybody looked.
        apply(&plane, &deployment("old", "0")).await?;

        let port = free_port()?;
        let kubeconfig = plane.kubeconfig_for("webhook", &[])?;
        wait_for("the CRDs", SOON, async || {
            let listed = plane.kubectl(&["get", "timesyncpolicies"]).await?;
            ensure!(listed.success, "{listed:?}");
            Ok(())
        })
        .await?;
        apply(&plane, &configuration(port)?.to_string()).await?;
        let mut first = Webhook::start("webhook-1", port, &kubeconfig).await?;

        // Without a policy everything passes.
        wait_for("the API server to call", SOON, async || apply(&plane, &config_map("shop", "sin", "0")).await).await?;

        apply(&plane, &policy("Enforce")).await?;
        let said =
            wait_for("the policy", SOON, async || refused(&plane, &config_map("shop", "new", "0")).await).await?;
        for part in [
            "Error from server (Forbidden)",
            "admission webhook \"skew.clockwarden.io\" denied the request: ConfigMap shop/new is refused",
            "\n  data[\"application.properties\"].jwt.leeway.seconds [jwt-skew-zero]\n",
            "\n    Fix: write `jwt.leeway.seconds=",
        ] {
            ensure!(said.contains(part), "no {part:?} in {said}");
        }
        ensure!(apply(&plane, &config_map("shop", "new", "30")).await?.is_empty());
        ensure!(apply(&plane, &config_map("bank", "new", "0")).await?.is_empty());
        refused(&plane, &deployment("new", "0")).await?;
        let large = apply(&plane, &config_map("shop", "large", "3600")).await?;
        ensure!(large.contains("Warning: ConfigMap shop/large: ") && large.contains("jwt-skew-too-large"), "{large}");

        // An old sin: edits pass with a warning, making it worse does not.
        let edited = plane.kubectl(&["annotate", "-n", "shop", "configmap", "sin", "a=b"]).await?;
        ensure!(edited.success && edited.stderr.contains("already there"), "{edited:?}");
        let scaled = plane.kubectl(&["scale", "-n", "shop", "deployment", "old", "--replicas=3"]).await?;
        ensure!(scaled.success, "{scaled:?}");
        let pods: Api<Pod> = Api::namespaced(client.clone(), "shop");
        let restarted = plane.kubectl(&["rollout", "restart", "-n", "shop", "deployment", "old"]).await?;
        ensure!(restarted.success, "{restarted:?}");
        wait_for("the pods of the old deployment, of both revisions", SOON, async || {
            let listed = pods.list(&ListParams::default().labels("app=old")).await?;
            ensure!(listed.items.len() >= 4, "{} pods", listed.items.len());
            Ok(())
        })
        .await?;

        // A namespace is judged by its labels from its first moment.
        for number in 0..10 {
            let name = format!("shop-{number}");
            let labels = json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"team": "shop"}}});
            apply(&plane, &labels.to_string()).await?;
            refused(&plane, &config_map(&name, "new", "0")).await?;
        }

        apply(&plane, &policy("Warn")).await?;
        let said = wait_for("the mode", SOON, async || apply(&plane, &config_map("shop", "warned", "0")).await).await?;
        ensure!(said.contains("Warning: ConfigMap shop/warned: "), "{said}");
        let metrics = first.process.wait_http(&format!("http://127.0.0.1:{}/metrics", first.metrics), SOON).await?;
        ensure!(metrics.contains("clockwarden_admission_requests_total{verdict=\"refused\"}"), "{metrics}");

        // Another replica takes the certificate that is there, and the first one goes without a lost review.
        let secrets: Api<Secret> = Api::namespaced(client.clone(), HOME);
        let before = secrets.get("webhook-tls").await?;
        let second_port = free_port()?;
        let second = Webhook::start("webhook-2", second_port, &kubeconfig).await?;
        ensure!(secrets.get("webhook-tls").await?.metadata.resource_version == before.metadata.resource_version);
        ensure!(first.process.terminate(SOON).await?.success());
        drop(second);
        let said = plane.kubectl_fed(&["apply", "-f", "-"], &config_map("shop", "unasked", "0")).await?;
        ensure!(!said.success && said.stderr.contains("failed calling webhook"), "{said:?}");
        Ok(())
    })
}

#[test]
fn many_replicas_agree_on_one_certificate_and_make_the_next_one_together() -> Outcome {
    run(async {
        let plane = plane(false).await?;
        let client = plane.client().await?;
        apply(&plane, &configuration(9443)?.to_string()).await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), HOME);
        let managed = || Managed::new(client.clone(), (HOME.into(), "webhook-tls".into()), CONFIGURATION.into());
        let metrics = Metrics::new(&mut Registry::default());

        let opened = futures::future::try_join_all((0..8).map(|_| managed().open(&metrics))).await?;
        let certificates: Vec<_> = opened.iter().map(|followed| followed.certificate()).collect();
        let leaf = certificates.first().and_then(|first| first.leaf()).context("no certificate")?;
        ensure!(certificates.iter().all(|other| other.leaf().as_ref() == Some(&leaf)), "they serve different ones");
        ensure!(bundle(&client).await? == data(&secrets, "ca.crt").await?);

        let stop = CancellationToken::new();
        for followed in opened {
            tokio::spawn(followed.follow(Duration::from_millis(200), metrics.clone(), stop.clone()));
        }
        secrets.delete("webhook-tls", &DeleteParams::default()).await?;
        wait_for("all to serve the next certificate", SOON, async || {
            let next = certificates.first().and_then(|first| first.leaf());
            ensure!(next.as_ref() != Some(&leaf), "the first still serves the old one");
            ensure!(certificates.iter().all(|other| other.leaf() == next), "they do not agree");
            Ok(())
        })
        .await?;
        ensure!(bundle(&client).await? == data(&secrets, "ca.crt").await?);

        // Somebody else writes the configuration, as a deployment tool would.
        apply(&plane, &configuration(9443)?.to_string()).await?;
        let resource =
            ApiResource::erase::<k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration>(&());
        let configurations = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let mut found = configurations.get(CONFIGURATION).await?;
        if let Some(config) = found.data.pointer_mut("/webhooks/0/clientConfig").and_then(Value::as_object_mut) {
            config.remove("caBundle");
        }
        configurations.replace(CONFIGURATION, &Default::default(), &found).await?;
        wait_for("the bundle to be put back", SOON, async || {
            ensure!(bundle(&client).await? == data(&secrets, "ca.crt").await?);
            Ok(())
        })
        .await?;
        stop.cancel();

        let foreign = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": HOME},
            "stringData": {"tls.crt": "x"}});
        apply(&plane, &foreign.to_string()).await?;
        let theirs = Managed::new(client.clone(), (HOME.into(), "theirs".into()), CONFIGURATION.into());
        let error = theirs.open(&metrics).await.err().context("it took somebody else's Secret")?;
        ensure!(error.to_string().contains("did not make"), "{error}");
        Ok(())
    })
}

async fn data(secrets: &Api<Secret>, key: &str) -> Result<Vec<u8>> {
    let secret = secrets.get("webhook-tls").await?;
    Ok(secret.data.and_then(|mut data| data.remove(key)).with_context(|| format!("no {key}"))?.0)
}

async fn bundle(client: &kube::Client) -> Result<Vec<u8>> {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    let found = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(CONFIGURATION).await?;
    let first = found.webhooks.and_then(|webhooks| webhooks.into_iter().next()).context("no webhook")?;
    Ok(first.client_config.ca_bundle.context("no caBundle")?.0)
}
