//! `clockwarden scan` on a real API server: 200 nodes whose heartbeats come as a kubelet sends them, three of them off;
//! the watch cut, and stalled; with exactly the rights of deploy/scan-role.yaml.
//!
//! All tests here share one control plane and its nodes. What a scan may be wrong by is judged by how long the
//! renewals themselves took: on a machine that is too busy to renew a lease in 50 ms the assumption does not hold.
#![expect(clippy::indexing_slicing, reason = "a test: what is not there is its failure")]

pub(crate) mod kubelets;
pub(crate) mod proxy;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Client;
use kube::api::{Api, PostParams};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::{
    Clockwarden, Component, ControlPlane, Options, Outcome, binary, requests, run, scratch, wait_for,
};
use kubelets::{Beating, Kubelets};
use proxy::{Proxy, Traffic};

const NODES: u32 = 200;
/// Those that are off, in ms; the third is within the tolerance.
const OFF: [(&str, i64); 3] = [("scan-017", 3_000), ("scan-101", -800), ("scan-150", 300)];
/// Nine of ten renewals take at most this, or the machine is too busy for the accuracy that is asked for.
const BUSY_MS: f64 = 20.0;
const SCHEDULER_OFF_MS: i64 = -1_500;

/// Every request of our users is recorded once, when it ends.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
  "rules": [{"level": "Metadata", "userGroups": ["scanners"]}, {"level": "None"}]
}"#;

struct Scene {
    plane: ControlPlane,
    kubelets: Kubelets,
    _scheduler: Beating,
}

static SCENE: OnceCell<std::result::Result<Arc<Scene>, String>> = OnceCell::const_new();

impl Scene {
    async fn shared() -> Result<Arc<Scene>> {
        let scene = SCENE.get_or_init(|| async {
            let begun = Scene::begin().await;
            begun.map(Arc::new).map_err(|error| format!("{error:#}"))
        });
        scene.await.clone().map_err(|error| anyhow::anyhow!("the scene did not begin: {error}"))
    }

    async fn begin() -> Result<Scene> {
        let policy = scratch::directory("audit-of-reads")?.join("policy.json");
        std::fs::write(&policy, AUDIT_POLICY)?;
        let audit = vec![format!("--audit-policy-file={}", policy.display())];
        let extra_args = BTreeMap::from([(Component::ApiServer, audit)]);
        let plane = ControlPlane::start(Options { scheduler: false, controller_manager: false, extra_args }).await?;
        let client = plane.client().await?;
        let role = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scan-role.yaml"))?;
        let role: ClusterRole = serde_saphyr::from_str(&role)?;
        Api::all(client.clone()).create(&PostParams::default(), &role).await?;
        let kubelets = Kubelets::start(&client, "scan", NODES).await?;
        for (node, offset) in OFF {
            kubelets.set(node, offset);
        }
        let scheduler = kubelets::elected(&client, "kube-scheduler", "cp-1", SCHEDULER_OFF_MS).await?;
        Ok(Scene { plane, kubelets, _scheduler: scheduler })
    }

    /// A user that may do what the role says.
    async fn scanner(&self, user: &str) -> Result<PathBuf> {
        let client = self.plane.client().await?;
        bind(&client, user, "clockwarden-scan").await?;
        let ask: SubjectAccessReview = serde_json::from_value(json!({"spec": {"user": user, "resourceAttributes": {
            "verb": "watch", "group": "coordination.k8s.io", "resource": "leases", "namespace": "kube-node-lease",
        }}}))?;
        let reviews: Api<SubjectAccessReview> = Api::all(client);
        wait_for("the rights to hold", Duration::from_secs(20), async || {
            let answer = reviews.create(&PostParams::default(), &ask).await?;
            ensure!(answer.status.is_some_and(|status| status.allowed), "they do not yet");
            Ok(())
        })
        .await?;
        self.plane.kubeconfig_for(user, &["scanners"])
    }

    /// The truth must lie in every interval, and the three must be found out.
    fn check(&self, output: &Output) -> Result<Value> {
        let errors = String::from_utf8_lossy(&output.stderr);
        let report: Value =
            serde_json::from_slice(&output.stdout).with_context(|| format!("no JSON; stderr: {errors}"))?;
        let nodes = report["nodes"].as_array().context("no nodes")?;
        let truth = self.kubelets.truth();
        let names: BTreeSet<&str> = nodes.iter().filter_map(|node| node["node"].as_str()).collect();
        ensure!(names == truth.keys().map(String::as_str).collect(), "other nodes: {names:?}");
        let beyond: Vec<&str> = nodes.iter().filter(|n| n["state"] == "Drifting").map(|n| text(&n["node"])).collect();
        ensure!(beyond == ["scan-017", "scan-101"], "drifting: {beyond:?}; {report:#}");
        ensure!(nodes[0]["node"] == "scan-017" && nodes[2]["node"] == "scan-150", "not the worst first");
        let (mut worst_ms, mut widest_ms, mut slow) = (0.0_f64, 0.0_f64, 0);
        for node in nodes {
            let name = text(&node["node"]);
            let known = |field: &str| node[field].as_f64().map(|s| s * 1e3).with_context(|| format!("{node}"));
            let (low, high) = (known("lowSeconds")?, known("highSeconds")?);
            let (offset, bound) = (known("offsetSeconds")?, known("errorBoundSeconds")?);
            let truth = truth[name] as f64;
            ensure!(low <= truth, "{name}: the lower edge is a fact: {node}");
            if self.kubelets.best_ms(name) > 50.0 {
                slow += 1;
                continue;
            }
            ensure!(truth <= high, "{name} is {truth} ms off: {node}; its best PUT {}", self.kubelets.best_ms(name));
            worst_ms = worst_ms.max((offset - truth).abs());
            widest_ms = widest_ms.max(bound);
            let state = if truth.abs() > 500.0 { "Drifting" } else { "Synchronized" };
            ensure!(node["state"] == state, "{node}");
        }
        print!("{errors}");
        println!("nine of ten renewals took at most {:.1} ms", kubelets::took_ms());
        println!(
            "worst error {worst_ms:.1} ms, widest bound {widest_ms:.1} ms, {slow} too slow, {}",
            report["requests"]
        );
        println!("{} {}", report["heartbeats"], report["clusterSkewSeconds"]);
        // Where renewals themselves take their time, an interval is wider, and rightly so.
        let limit_ms = if kubelets::took_ms() > BUSY_MS { 130.0 } else { 50.0 };
        ensure!(worst_ms <= limit_ms, "an error of {worst_ms} ms, more than {limit_ms}; {report:#}");
        ensure!(slow <= NODES / 20, "{slow} nodes took more than 50 ms for every renewal: this machine is too busy");
        Ok(report)
    }
}

async fn bind(client: &Client, user: &str, role: &str) -> Result<()> {
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": format!("{role}-{user}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))?;
    Api::all(client.clone()).create(&PostParams::default(), &binding).await?;
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Runs a scan to its end, beside whatever else happens.
async fn scan(kubeconfig: &Path, args: &[&str]) -> Result<Output> {
    let mut command = binary::command(["scan", "--kubeconfig"])?;
    command.arg(kubeconfig).args(args);
    tokio::task::spawn_blocking(move || command.output().context("cannot run clockwarden")).await?
}

/// With the rights of the role; every request is reported; JSON as the contract has it.
#[test]
fn three_of_200_nodes_are_found_out_in_half_a_minute() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let kubeconfig = scene.scanner("scanner").await?;
        let output = scan(&kubeconfig, &["-o", "json"]).await?;
        ensure!(output.status.code() == Some(1), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let report = scene.check(&output)?;
        let skew = report["clusterSkewSeconds"].as_f64().context("no skew")?;
        ensure!((skew - 4.5).abs() < 0.05, "between +3 s of a node and -1.5 s of the scheduler: {skew}");
        ensure!(report["recommendedLeewaySeconds"] == 5, "{}", report["recommendedLeewaySeconds"]);
        ensure!(report["yardstick"] == "thisMachine" && report["notes"] == json!([]), "{report:#}");
        let components = report["controlPlane"].as_array().context("no control plane")?;
        let component = |name: &str| components.iter().find(|it| it["component"] == name);
        let scheduler = component("kube-scheduler").context("no scheduler")?;
        ensure!(scheduler["state"] == "Drifting" && scheduler["instance"] == "cp-1", "{scheduler}");
        let server = component("kube-apiserver").context("no API server")?;
        ensure!(server["state"] == "Synchronized", "{server}");
        let progress = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(progress.contains("listening: ") && progress.contains("of 200 nodes heard"), "{progress}");

        // As the API server has counted them; a watch is recorded when its connection has ended.
        wait_for("the audit log to agree", Duration::from_secs(20), async || {
            let mut seen: BTreeMap<String, u64> = BTreeMap::new();
            for request in requests::writes_of(&scene.plane, "scanner")? {
                *seen.entry(request.verb).or_default() += 1;
            }
            let count = |verb: &str| seen.get(verb).copied().unwrap_or(0);
            let seen = json!({
                "lists": count("list"), "watches": count("watch"), "gets": count("get"),
                "total": seen.values().sum::<u64>(),
            });
            ensure!(report["requests"] == seen, "reported {}, recorded {seen}", report["requests"]);
            Ok(())
        })
        .await?;
        let total = report["requests"]["total"].as_u64().context("no total")?;
        ensure!(total <= 60, "{total} requests in half a minute");
        Ok(())
    })
}

#[test]
fn a_watch_that_is_cut_and_begun_anew_changes_nothing() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let proxy = Proxy::start(&scene.plane.url()).await?;
        let kubeconfig = proxy.kubeconfig(&scene.scanner("cut").await?)?;
        let cutting = async {
            tokio::time::sleep(Duration::from_secs(12)).await;
            proxy.set(Traffic::Cut);
            tokio::time::sleep(Duration::from_secs(2)).await;
            proxy.set(Traffic::Flows);
        };
        let (output, ()) = tokio::join!(scan(&kubeconfig, &["-o", "json", "--for", "36s"]), cutting);
        let report = scene.check(&output?)?;
        // Both watches.
        ensure!(report["heartbeats"]["watchCuts"] == 2 && report["requests"]["watches"] == 4, "{report:#}");
        Ok(())
    })
}

#[test]
fn a_watch_that_stalls_and_comes_loose_is_no_drift() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let proxy = Proxy::start(&scene.plane.url()).await?;
        let kubeconfig = proxy.kubeconfig(&scene.scanner("stalled").await?)?;
        let stalling = async {
            tokio::time::sleep(Duration::from_secs(12)).await;
            proxy.set(Traffic::Stalls);
            tokio::time::sleep(Duration::from_secs(4)).await;
            proxy.set(Traffic::Flows);
        };
        let (output, ()) = tokio::join!(scan(&kubeconfig, &["-o", "json", "--for", "38s"]), stalling);
        let report = scene.check(&output?)?;
        let aside = report["heartbeats"]["setAside"].as_u64().context("no count")?;
        ensure!(aside > 40, "some 80 heartbeats were stalled, {aside} set aside");
        ensure!(report["heartbeats"]["watchCuts"] == 0, "{report:#}");
        Ok(())
    })
}

#[test]
fn what_is_missing_is_named_in_a_line_and_the_exit_code_is_2() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let client = scene.plane.client().await?;
        // With one right after the other.
        let nobody = scene.plane.kubeconfig_for("nobody", &[])?;
        let nodes = json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]});
        let leases = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]});
        let steps =
            [("", json!([]), "cannot list resource"), ("half", json!([nodes, leases]), "cannot watch resource")];
        for (role, rules, complaint) in steps {
            if !role.is_empty() {
                let object: ClusterRole = serde_json::from_value(json!({"metadata": {"name": role}, "rules": rules}))?;
                Api::all(client.clone()).create(&PostParams::default(), &object).await?;
                bind(&client, "nobody", role).await?;
            }
            wait_for(complaint, Duration::from_secs(20), async || {
                let output = scan(&nobody, &["--for", "10s"]).await?;
                let errors = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
                ensure!(errors.contains(complaint) && errors.contains("leases"), "{errors}");
                ensure!(errors.contains("kubectl apply -f deploy/scan-role.yaml"), "{errors}");
                Ok(())
            })
            .await?;
        }
        // Without the nodes themselves, those that beat are shown all the same.
        let get_watch = json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]});
        let object: ClusterRole =
            serde_json::from_value(json!({"metadata": {"name": "leases"}, "rules": [get_watch]}))?;
        Api::all(client.clone()).create(&PostParams::default(), &object).await?;
        bind(&client, "no-nodes", "leases").await?;
        let no_nodes = scene.plane.kubeconfig_for("no-nodes", &[])?;
        wait_for("a scan without the nodes", Duration::from_secs(60), async || {
            let output = scan(&no_nodes, &["--for", "4s", "-o", "json"]).await?;
            let report: Value = serde_json::from_slice(&output.stdout).context("no JSON yet")?;
            ensure!(report["nodes"].as_array().is_some_and(|nodes| nodes.len() == 200), "{report:#}");
            ensure!(
                report["notes"][0].as_str().is_some_and(|note| note.contains("nodes may not be listed")),
                "{report:#}"
            );
            Ok(())
        })
        .await?;
        let missing = scan(Path::new("/there-is-none"), &[]).await?;
        let errors = String::from_utf8_lossy(&missing.stderr);
        ensure!(missing.status.code() == Some(2) && errors.contains("--kubeconfig FILE"), "{errors}");
        let deaf = Proxy::start(&scene.plane.url()).await?;
        deaf.set(Traffic::Cut);
        let output = scan(&deaf.kubeconfig(&nobody)?, &[]).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && errors.contains("cannot reach the API server at https"), "{errors}");
        Ok(())
    })
}

#[test]
fn an_interrupt_ends_it_early_with_what_is_known() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let kubeconfig = scene.scanner("impatient").await?;
        let kubeconfig = kubeconfig.to_str().context("an odd path")?;
        let args = ["scan", "--for", "1h", "-o", "json", "--all", "--kubeconfig", kubeconfig];
        let mut process = Clockwarden::start("impatient", args, |_| {})?;
        // All that have a clock are heard within ten seconds; which second a line is written in depends on the machine.
        process.wait_line("200 of 200 nodes heard", Duration::from_secs(60)).await?;
        process.signal(Signal::INT)?;
        let ended = process.wait_end(Duration::from_secs(20)).await?;
        let log = process.log()?;
        let (_, json) = log.split_once("\n{").context("no JSON")?;
        let report: Value = serde_json::from_str(&format!("{{{json}"))?;
        // One heartbeat proves the one that is 3 s ahead.
        ensure!(report["nodes"][0]["node"] == "scan-017" && ended.code() == Some(1), "{ended}: {report:#}");
        Ok(())
    })
}
