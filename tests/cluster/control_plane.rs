//! The test support's control plane: what every other test here stands on.
//!
//! Each promise that `tests/support` makes is kept by the real thing: versions, scheduling, restarts,
//! identities, counts.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::support::{
    Component, ControlPlane, FakeNode, NodeSpec, Options, Outcome, RequestCounts, client_of, requests, run, scratch,
    tools, wait_for,
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_control_plane_says_which_version_it_is() -> Outcome {
    run(async {
        let plane = ControlPlane::shared().await?;
        let client = plane.client().await?;
        assert_eq!(client.apiserver_version().await?.git_version, "v1.37.1");

        let kubectl = plane.kubectl(&["version", "-o", "json"]).await?;
        ensure!(kubectl.success, "{kubectl:?}");
        let version: serde_json::Value = serde_json::from_str(&kubectl.stdout)?;
        assert_eq!(version.pointer("/clientVersion/gitVersion"), Some(&json!("v1.37.1")));
        assert_eq!(version.pointer("/serverVersion/gitVersion"), Some(&json!("v1.37.1")));
        Ok(())
    })
}

#[test]
fn pods_are_bound_to_a_fake_node_and_not_to_a_tainted_one() -> Outcome {
    run(async {
        let plane = ControlPlane::shared().await?;
        let client = plane.client().await?;
        plane.create_namespace("binding").await?;
        let open = NodeSpec::new("binding-open", Ipv4Addr::new(127, 0, 1, 1)).label("test", "binding");
        let open = FakeNode::create(client.clone(), open).await?;
        let shut = NodeSpec::new("binding-shut", Ipv4Addr::new(127, 0, 1, 2))
            .label("test", "binding")
            .label("test-node", "shut")
            .taint("test.clockwarden.io/shut", "NoSchedule");
        let shut = FakeNode::create(client.clone(), shut).await?;
        open.wait_schedulable().await?;
        shut.wait_schedulable().await?;

        for number in 0..6 {
            let name = format!("anywhere-{number}");
            create_pod(&client, "binding", &name, json!({"test": "binding"})).await?;
            assert_eq!(bound_to(&client, "binding", &name).await?, open.name());
        }
        create_pod(&client, "binding", "only-there", json!({"test-node": "shut"})).await?;
        let refusal = refused_by_scheduler(&client, "binding", "only-there").await?;
        ensure!(refusal.contains("untolerated taint"), "{refusal}");

        open.delete().await?;
        shut.delete().await
    })
}

#[test]
fn a_killed_api_server_comes_back_with_its_data() -> Outcome {
    run(async {
        let options = Options { scheduler: false, controller_manager: false, ..Options::default() };
        let plane = ControlPlane::start(options).await?;
        let maps: Api<ConfigMap> = Api::namespaced(plane.client().await?, "default");
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "kept"}, "data": {"a": "b"}}))?;
        wait_for("the namespace default", SOON, async || Ok(maps.create(&PostParams::default(), &map).await?)).await?;

        plane.stop_component(Component::ApiServer)?;
        ensure!(maps.get("kept").await.is_err(), "a killed API server has answered");
        plane.start_component(Component::ApiServer).await?;
        // The same client: what survives a restart is what a controller needs.
        let kept = wait_for("the API server to answer again", SOON, async || Ok(maps.get("kept").await?)).await?;
        assert_eq!(kept.data, map.data);
        Ok(())
    })
}

#[test]
fn clients_are_who_their_kubeconfig_says() -> Outcome {
    run(async {
        let plane = ControlPlane::shared().await?;
        plane.create_namespace("identity").await?;

        let user = plane.kubeconfig_for("jane@example.org", &["developers", "on-call"])?;
        let (name, groups) = who_am_i(client_of(&user).await?).await?;
        assert_eq!(name, "jane@example.org");
        assert_eq!(groups, ["developers", "on-call", "system:authenticated"]);

        let account = plane.kubeconfig_for_service_account("identity", "default").await?;
        let (name, groups) = who_am_i(client_of(&account).await?).await?;
        assert_eq!(name, "system:serviceaccount:identity:default");
        ensure!(groups.contains(&"system:serviceaccounts:identity".to_owned()), "{groups:?}");
        Ok(())
    })
}

#[test]
fn the_api_servers_own_counts_show_each_write_and_who_made_it() -> Outcome {
    run(async {
        let options = Options { scheduler: false, controller_manager: false, ..Options::default() };
        let plane = ControlPlane::start(options).await?;
        let writer = plane.kubeconfig_for("counted", &["system:masters"])?;
        let maps: Api<ConfigMap> = Api::namespaced(client_of(&writer).await?, "default");
        wait_for("the namespace default", SOON, async || Ok(maps.list(&Default::default()).await?)).await?;

        let before = RequestCounts::read(&plane).await?;
        for name in ["one", "two", "three"] {
            let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            maps.create(&PostParams::default(), &map).await?;
        }
        let writes = RequestCounts::read(&plane).await?.since(&before).writes(|kind| kind.resource == "configmaps");
        assert_eq!(writes.count("POST", "configmaps"), 3, "{writes}");
        assert_eq!(writes.total(), 3, "{writes}");

        let audited = requests::writes_of(&plane, "counted")?;
        let names: Vec<_> = audited.iter().filter_map(|write| write.object_ref.as_ref()?.name.as_deref()).collect();
        assert_eq!(names, ["one", "two", "three"]);
        Ok(())
    })
}

#[test]
fn the_build_script_takes_the_binaries_of_kubebuilder_assets() -> Outcome {
    run(async {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/control-plane/build");
        let build = |assets: &Path| -> Result<(bool, String, String)> {
            let output = Command::new(&script).env("KUBEBUILDER_ASSETS", assets).output()?;
            let stdout = String::from_utf8(output.stdout)?.trim_end().to_owned();
            Ok((output.status.success(), stdout, String::from_utf8(output.stderr)?))
        };
        let assets = scratch::directory("assets")?;
        let (done, _, stderr) = build(&assets)?;
        ensure!(!done && stderr.contains("has no executable 'etcd'"), "{stderr}");

        // As envtest has them: without scheduler and controller-manager, which come from our own build.
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            std::os::unix::fs::symlink(tools::control_plane(name)?, assets.join(name))?;
        }
        let (done, directory, stderr) = build(&assets)?;
        ensure!(done, "{stderr}");
        let directory = Path::new(&directory);
        assert_eq!(std::fs::read_link(directory.join("etcd"))?, assets.join("etcd"));
        ensure!(directory.join("kube-scheduler").exists(), "no kube-scheduler in {}", directory.display());

        for name in ["kube-scheduler", "kube-controller-manager"] {
            std::os::unix::fs::symlink(tools::control_plane(name)?, assets.join(name))?;
        }
        let (done, directory, stderr) = build(&assets)?;
        ensure!(done, "{stderr}");
        assert_eq!(Path::new(&directory), assets);
        Ok(())
    })
}

async fn who_am_i(client: Client) -> Result<(String, Vec<String>)> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info).context("no user in the answer")?;
    Ok((user.username.unwrap_or_default(), user.groups.unwrap_or_default()))
}

async fn create_pod(client: &Client, namespace: &str, name: &str, node_selector: serde_json::Value) -> Result<()> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": node_selector,
            "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10"}],
        },
    }))?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&PostParams::default(), &pod).await.with_context(|| format!("cannot create the pod {name}"))?;
    Ok(())
}

async fn bound_to(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    wait_for(&format!("the pod {name} to be bound"), SOON, async || {
        let pod = pods.get(name).await?;
        let node = pod.spec.and_then(|spec| spec.node_name);
        node.with_context(|| format!("its conditions: {:?}", pod.status.and_then(|status| status.conditions)))
    })
    .await
}

/// Why the scheduler finds no node for the pod.
async fn refused_by_scheduler(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    wait_for(&format!("the scheduler to give up on {name}"), SOON, async || {
        let status = pods.get(name).await?.status.context("no status")?;
        let conditions = status.conditions.context("no conditions")?;
        let refusal = conditions.into_iter().find(|condition| condition.reason.as_deref() == Some("Unschedulable"));
        refusal.and_then(|condition| condition.message).context("not refused yet")
    })
    .await
}
