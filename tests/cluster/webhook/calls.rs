//! What the API server asks about and what it does not, and what becomes of a cluster whose webhook has gone.

#![expect(clippy::indexing_slicing, reason = "objects of the test's own making")]

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{
    CONFIGURATION, HOME, SOON, Webhook, apply, cached, config_map, deployment, enforcing, plane, policy, prepare,
    refused,
};
use crate::support::{ControlPlane, Outcome, run, wait_for};

const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ZERO: &str = "jwt.leeway.seconds=0\n";

/// ConfigMaps of one namespace, changed step by step.
struct Steps<'w> {
    webhook: &'w Webhook,
    maps: Api<ConfigMap>,
}

impl Steps<'_> {
    async fn check(&self, what: &str, is_asked: bool, step: impl Future<Output = Result<()>>) -> Result<()> {
        let before = self.webhook.asked().await?;
        step.await.with_context(|| what.to_owned())?;
        let asked = self.webhook.asked().await? > before;
        ensure!(asked == is_asked, "{what}: asked is {asked}");
        Ok(())
    }

    async fn create(&self, what: &str, is_asked: bool, object: Value) -> Result<()> {
        let object: ConfigMap = serde_json::from_value(object)?;
        self.check(what, is_asked, async { Ok(self.maps.create(&PostParams::default(), &object).await.map(drop)?) })
            .await
    }

    async fn merge(&self, name: &str, what: &str, is_asked: bool, patch: Value) -> Result<()> {
        let patch = Patch::Merge(&patch);
        cached(&self.maps, name).await?;
        self.check(what, is_asked, async {
            Ok(self.maps.patch(name, &PatchParams::default(), &patch).await.map(drop)?)
        })
        .await
    }
}

#[test]
fn the_api_server_asks_about_what_can_matter_and_about_nothing_else() -> Outcome {
    run(async {
        let plane = plane(false).await?;
        let client = plane.client().await?;
        prepare(&plane).await?;
        // In the policy's eyes every namespace is the same; it is the configuration that leaves two of them out.
        let everywhere =
            policy("Enforce").replace(r#""namespaceSelector":{"matchLabels":{"team":"shop"}}"#, r#""minSkew":"1s""#);
        ensure!(!everywhere.contains("shop"), "{everywhere}");
        let webhook = enforcing(&plane, &everywhere).await?;

        for namespace in ["kube-system", HOME] {
            let steps = Steps { webhook: &webhook, maps: Api::namespaced(client.clone(), namespace) };
            let sin = json!({"metadata": {"name": "sin"}, "data": {"a.properties": ZERO}});
            steps.create(&format!("a sin in {namespace}"), false, sin).await?;
            steps.merge("sin", "its update", false, json!({"data": {"b.properties": ZERO}})).await?;
        }

        let steps = Steps { webhook: &webhook, maps: Api::namespaced(client.clone(), "shop") };
        created(&steps).await?;
        updated(&steps).await?;
        large(&plane).await?;
        for (what, object) in [
            ("a lease", json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"})),
            ("a secret", json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a.properties": ZERO}})),
            ("a service account", json!({"apiVersion": "v1", "kind": "ServiceAccount"})),
        ] {
            let mut object = object;
            object["metadata"] =
                json!({"name": "other", "namespace": "shop", "annotations": {"jwt-leeway-seconds": "0"}});
            steps.check(what, false, async { apply(&plane, &object.to_string()).await.map(drop) }).await?;
        }
        Ok(())
    })
}

async fn created(steps: &Steps<'_>) -> Result<()> {
    let named = |name: &str, more: Value| {
        let mut object = json!({"metadata": {"name": name}});
        object["metadata"]["annotations"] = more["annotations"].clone();
        object["data"] = more["data"].clone();
        object
    };
    let settings = json!({"data": {"a.properties": "colour=blue\n"}});
    steps.create("a ConfigMap", true, named("plain", settings.clone())).await?;
    steps.create("one that is empty", false, named("empty", json!({}))).await?;
    steps.create("one that elects", false, named("election", json!({"annotations": {LEADER: "{}"}}))).await?;
    steps.create("one with only an annotation", true, named("noted", json!({"annotations": {"a": "b"}}))).await?;
    for name in ["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"] {
        steps.create(name, false, named(name, settings.clone())).await?;
        steps.merge(name, name, false, json!({"data": {"ca.crt": "another"}})).await?;
    }
    Ok(())
}

async fn updated(steps: &Steps<'_>) -> Result<()> {
    let noted = |key: &str, value: Value| json!({"metadata": {"annotations": {key: value}}});
    for (what, is_asked, patch) in [
        ("nothing", false, json!({})),
        ("an annotation", true, noted("a", json!("b"))),
        ("the same annotation", false, noted("a", json!("b"))),
        ("another value of it", true, noted("a", json!("c"))),
        ("its removal", true, noted("a", Value::Null)),
        ("who leads", false, noted(LEADER, json!("{\"holderIdentity\":\"a\"}"))),
        ("who leads now", false, noted(LEADER, json!("{\"holderIdentity\":\"b\"}"))),
        ("nobody leads", false, noted(LEADER, Value::Null)),
        ("what was applied", false, noted(APPLIED, json!("{}"))),
        ("a label", true, json!({"metadata": {"labels": {"a": "b"}}})),
        ("the same label", false, json!({"metadata": {"labels": {"a": "b"}}})),
        (
            "an owner",
            false,
            json!({"metadata": {"ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "empty", "uid": "705ab4f5-6393-11e8-b7cc-42010a800002"}]}}),
        ),
        ("a finalizer", false, json!({"metadata": {"finalizers": ["example.com/wait"]}})),
        ("data", true, json!({"data": {"b.properties": "x=1\n"}})),
        ("the same data", false, json!({"data": {"b.properties": "x=1\n"}})),
        ("less data", true, json!({"data": {"b.properties": null}})),
        ("no data, so that nothing is left", false, json!({"data": null})),
        ("binary data", true, json!({"binaryData": {"c": "eA=="}})),
        ("no finalizer", false, json!({"metadata": {"finalizers": null}})),
    ] {
        steps.merge("plain", what, is_asked, patch).await?;
    }
    let waits = json!({"metadata": {"finalizers": ["example.com/wait"]}});
    steps.merge("plain", "a finalizer", false, waits).await?;
    steps.maps.delete("plain", &DeleteParams::default()).await?;
    for (what, patch) in [
        ("data of one that is going", json!({"data": {"b.properties": ZERO}})),
        ("its label", json!({"metadata": {"labels": {"going": "yes"}}})),
        ("its finalizer", json!({"metadata": {"finalizers": null}})),
    ] {
        steps.merge("plain", what, false, patch).await?;
    }
    Ok(())
}

/// The conditions have a budget; one that ran out of it would leave the largest objects unjudged, or refuse them.
async fn large(plane: &ControlPlane) -> Result<()> {
    let client = plane.client().await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, "shop");
    let mut object = json!({"metadata": {"name": "large", "annotations": {}}, "data": {}});
    for number in 0..20_000 {
        object["data"][format!("key-{number}")] = json!("a value that is of no interest");
    }
    for number in 0..5_000 {
        object["metadata"]["annotations"][format!("key-{number}")] = json!("a value that is of no interest");
    }
    let mut sinner = object.clone();
    sinner["data"]["key-19999"] = json!(ZERO);
    sinner["data"]["key-19999.properties"] = json!(ZERO);
    let is_refused = |result: Result<ConfigMap, kube::Error>, what: &str| -> Result<()> {
        let error = result.err().with_context(|| format!("{what} was admitted"))?;
        ensure!(error.to_string().contains("ConfigMap shop/large is refused"), "{what}: {error}");
        Ok(())
    };
    let create = PostParams::default();
    is_refused(maps.create(&create, &serde_json::from_value(sinner.clone())?).await, "a large one")?;
    let stored = maps.create(&create, &serde_json::from_value(object)?).await?;
    let patch = json!({"data": sinner["data"]});
    let patched = maps.patch("large", &PatchParams::default(), &Patch::Merge(&patch)).await;
    is_refused(patched, "an update of a large one")?;
    // Everything is compared before it is clear that nothing has changed.
    maps.replace("large", &create, &stored).await.context("a large update without a change")?;
    Ok(())
}

async fn set_policy(plane: &ControlPlane, failure: &str) -> Result<()> {
    let patch = json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": failure}]).to_string();
    let args = ["patch", "validatingwebhookconfiguration", CONFIGURATION, "--type=json", "-p", &patch];
    let patched = plane.kubectl(&args).await?;
    ensure!(patched.success, "{patched:?}");
    Ok(())
}

/// Every pod of the Deployment is another one than `before`.
async fn replaced(pods: &Api<Pod>, before: &[String]) -> Result<Vec<String>> {
    let listed = pods.list(&ListParams::default().labels("app=old")).await?;
    let names: Vec<String> = listed.items.into_iter().filter_map(|pod| pod.metadata.name).collect();
    ensure!(names.len() == 2, "{names:?}");
    ensure!(names.iter().all(|name| !before.contains(name)), "{names:?} as before");
    Ok(names)
}

#[test]
fn a_cluster_goes_on_without_its_webhook() -> Outcome {
    run(async {
        let plane = plane(true).await?;
        prepare(&plane).await?;
        apply(&plane, &deployment("old", "0")).await?;
        let mut webhook = enforcing(&plane, &policy("Enforce")).await?;
        refused(&plane, &deployment("new", "0")).await?;
        webhook.process.kill()?;

        // With Fail, what people write waits for the webhook, and what the cluster itself does goes on.
        let said = plane.kubectl_fed(&["apply", "-f", "-"], &config_map("shop", "unasked", "30")).await?;
        ensure!(!said.success && said.stderr.contains("failed calling webhook"), "{said:?}");
        let scaled = plane.kubectl(&["scale", "-n", "shop", "deployment", "old", "--replicas=2"]).await?;
        ensure!(scaled.success, "{scaled:?}");
        let pods: Api<Pod> = Api::namespaced(plane.client().await?, "shop");
        let before = wait_for("two pods", SOON, async || replaced(&pods, &[]).await).await?;
        for name in &before {
            pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
        }
        wait_for("two other pods", SOON, async || replaced(&pods, &before).await).await?;
        let elsewhere = plane.kubectl_fed(&["apply", "-f", "-"], &config_map("kube-system", "unasked", "30")).await?;
        ensure!(elsewhere.success, "{elsewhere:?}");

        // With Ignore, as it is shipped, everything goes on.
        set_policy(&plane, "Ignore").await?;
        wait_for("the failurePolicy", SOON, async || apply(&plane, &config_map("shop", "unasked", "0")).await).await?;
        for object in [deployment("new", "0"), deployment("old", "30")] {
            let said = apply(&plane, &object).await?;
            ensure!(!said.contains("Warning"), "{said}");
        }
        let deleted = plane.kubectl(&["delete", "-n", "shop", "deployment", "old"]).await?;
        ensure!(deleted.success, "{deleted:?}");
        Ok(())
    })
}

/// From the policy on the API server to the refusal; the key has no word that the built-in catalogue looks for.
#[test]
fn a_setting_that_a_policy_describes_is_refused_as_soon_as_it_does() -> Outcome {
    run(async {
        let plane = plane(false).await?;
        prepare(&plane).await?;
        let _webhook = enforcing(&plane, &policy("Enforce")).await?;
        let object = |name: &str| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"},
                "data": {"a.properties": "shop.auth.max-clock-diff=0\n"},
            })
            .to_string()
        };
        apply(&plane, &object("before")).await?;
        let mut described: Value = serde_json::from_str(&policy("Enforce"))?;
        described["spec"]["admission"]["settings"] =
            json!([{"product": "Shop gateway", "keys": ["shop.auth.max-clock-diff"], "recommended": "20s"}]);
        apply(&plane, &described.to_string()).await?;
        let said = wait_for("the refusal", SOON, async || refused(&plane, &object("after")).await).await?;
        ensure!(said.contains("Shop gateway") && said.contains("shop.auth.max-clock-diff=20"), "{said}");
        Ok(())
    })
}
