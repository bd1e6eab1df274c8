//! `clockwarden status` on a real API server: more nodes than fit on a page, with exactly the rights of
//! deploy/status-role.yaml; and how large a NodeClock really gets there.
//!
//! Nothing runs here but the API server: what a controller would have written is written by the test. The controller's
//! own part is in tests/cluster/controller/history.rs.
#![expect(clippy::indexing_slicing, reason = "a test: what is not there is its failure")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::agent::report::JumpReport;
use clockwarden::api::{self, NodeClock, NodeClockStatus, NodeDecision, TimeSyncPolicy};
use clockwarden::clock::{Boot, Delta, Judgement, Mono, OffsetInterval, Raw, Sample, Standing, Tolerance, Wall};
use clockwarden::controller::record::{Draft, Due, Ledger, Summary};
use clockwarden::runtime::{timestamp, wall_now};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use jiff::SignedDuration;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use crate::support::{Component, ControlPlane, Options, Outcome, binary, requests, run, scratch, wait_for};

/// More than fit on a page of 500.
const NODES: usize = 520;
const SOON: Duration = Duration::from_secs(30);

const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
  "rules": [{"level": "Metadata", "userGroups": ["watchers"]}, {"level": "None"}]
}"#;

struct Scene {
    plane: ControlPlane,
    client: Client,
}

static SCENE: OnceCell<std::result::Result<Arc<Scene>, String>> = OnceCell::const_new();
/// The lease and the nodes are one for all.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

impl Scene {
    async fn shared() -> Result<Arc<Scene>> {
        let scene = SCENE.get_or_init(|| async {
            let begun = Scene::begin().await;
            begun.map(Arc::new).map_err(|error| format!("{error:#}"))
        });
        scene.await.clone().map_err(|error| anyhow::anyhow!("the scene did not begin: {error}"))
    }

    async fn begin() -> Result<Scene> {
        let policy = scratch::directory("audit-of-status")?.join("policy.json");
        std::fs::write(&policy, AUDIT_POLICY)?;
        let audit = vec![format!("--audit-policy-file={}", policy.display())];
        let extra_args = BTreeMap::from([(Component::ApiServer, audit)]);
        let plane = ControlPlane::start(Options { scheduler: false, controller_manager: false, extra_args }).await?;
        let client = plane.client().await?;
        // Before anything of ours is there.
        let output = status(&plane.kubeconfig(), &[]).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && errors.contains("not installed in this cluster"), "{errors}");
        install(&client).await?;
        let spec = json!({"nodeSelector": {"matchLabels": {"watched": "true"}}});
        create::<TimeSyncPolicy>(
            &client,
            json!({
                "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
                "metadata": {"name": "production"}, "spec": spec,
            }),
        )
        .await?;
        let names = (0..NODES).map(|number| format!("n-{number:03}"));
        futures::stream::iter(names)
            .map(|name| node(&client, name))
            .buffer_unordered(8)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(Scene { plane, client })
    }

    /// A user with these rules and no other.
    async fn user(&self, user: &str, role: Value) -> Result<PathBuf> {
        create::<ClusterRole>(&self.client, role.clone()).await?;
        create::<ClusterRoleBinding>(&self.client, json!({
            "metadata": {"name": user}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
        }))
        .await?;
        self.plane.kubeconfig_for(user, &["watchers"])
    }
}

/// The role that is shipped, by another name.
fn shipped_role(name: &str) -> Result<Value> {
    let role = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/status-role.yaml"))?;
    let mut role: Value = serde_saphyr::from_str(&role)?;
    role["metadata"]["name"] = json!(name);
    Ok(role)
}

async fn create<K>(client: &Client, object: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let what = object.to_string();
    let object: K = serde_json::from_value(object)?;
    Api::<K>::all(client.clone()).create(&PostParams::default(), &object).await.context(what)?;
    Ok(())
}

async fn install(client: &Client) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in api::crds() {
        crds.create(&PostParams::default(), &crd).await?;
        wait_for("the CRD to be served", SOON, async || {
            let conditions = crds.get(&crd.name_any()).await?.status.and_then(|s| s.conditions).unwrap_or_default();
            ensure!(conditions.iter().any(|c| c.type_ == "Established" && c.status == "True"), "{conditions:?}");
            Ok(())
        })
        .await?;
    }
    create::<Namespace>(client, json!({"metadata": {"name": "clockwarden-system"}})).await
}

/// The first twenty are watched, and all but one of them have a record.
async fn node(client: &Client, name: String) -> Result<()> {
    let number: usize = name[2..].parse()?;
    create::<Node>(client, json!({"metadata": {"name": name, "labels": {"watched": (number < 20).to_string()}}}))
        .await?;
    let (state, offset) = match number {
        3 => ("Drifting", Some(-15.0)),
        7 => ("Drifting", Some(3.0)),
        9 => ("Unknown", None),
        19.. => return Ok(()),
        _ => ("Synchronized", Some(0.001)),
    };
    let decision = if state == "Drifting" { "Act/Drifting" } else { "Leave/Because" };
    let written = json!({
        "state": state, "reason": "Because", "message": "because", "offsetSeconds": offset,
        "errorBoundSeconds": offset.map(|_| 0.001), "since": "2026-01-01T12:00:00.000000Z",
        "written": "2026-01-01T12:00:00.000000Z", "decisions": [NodeDecision::of("production", decision, "in words")],
        "history": [{"time": "2026-01-01T12:00:00.000000Z", "kind": "Stepped", "message": "it was set"}],
    });
    // The API server takes no nulls from us.
    let written: NodeClockStatus = serde_json::from_value(written)?;
    write(client, &name, &written).await.map(drop)
}

async fn write(client: &Client, name: &str, status: &NodeClockStatus) -> Result<NodeClock> {
    let owner = Api::<Node>::all(client.clone()).get(name).await?;
    create::<NodeClock>(client, json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "NodeClock", "spec": {},
        "metadata": {"name": name, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": name, "uid": owner.uid(), "controller": true, "blockOwnerDeletion": true},
        ]},
    }))
    .await?;
    let params = PatchParams { field_manager: Some(api::CONTROLLER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "status": status }));
    Ok(Api::<NodeClock>::all(client.clone()).patch_status(name, &params, &patch).await?)
}

async fn status(kubeconfig: &Path, args: &[&str]) -> Result<Output> {
    let mut command = binary::command(["status", "--kubeconfig"])?;
    command.arg(kubeconfig).args(args);
    tokio::task::spawn_blocking(move || command.output().context("cannot run clockwarden")).await?
}

async fn json_of(kubeconfig: &Path, args: &[&str], exit: i32) -> Result<Value> {
    let output = status(kubeconfig, &[args, &["-o", "json"]].concat()).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(exit), "{:?}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("no JSON; stderr: {errors}"))
}

#[test]
fn the_fleet_and_a_node_are_shown_with_the_role_that_is_shipped_and_nothing_else_is_asked() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let _turn = ONE_AT_A_TIME.lock().await;
        let kubeconfig = scene.user("watcher", shipped_role("clockwarden-status")?).await?;
        let report = wait_for("the rights to hold", SOON, async || json_of(&kubeconfig, &[], 1).await).await?;
        let shown = report["nodes"].as_array().context("no nodes")?;
        let names: BTreeSet<&str> = shown.iter().filter_map(|it| it["node"].as_str()).collect();
        ensure!(names.len() == NODES, "{} nodes", names.len());
        let first: Vec<&Value> = shown.iter().take(4).map(|it| &it["node"]).collect();
        ensure!(first == ["n-003", "n-007", "n-009", "n-019"], "{first:?}");
        ensure!(
            report["summary"]
                == json!({"synchronized": 16, "drifting": 2, "unknown": 1, "unmeasured": 1, "unwatched": NODES - 20}),
            "{}",
            report["summary"]
        );
        // Nobody allowed it to read the lease.
        ensure!(report["controller"]["state"] == "Unseen", "{}", report["controller"]);

        let output = status(&kubeconfig, &[]).await?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(output.status.code() == Some(1) && text.lines().count() < 30, "{text}");
        ensure!(text.contains("n-003  Drifting") && text.contains("may not get the Lease"), "{text}");
        ensure!(!text.contains('\u{1b}'), "colours for a pipe: {text}");

        let whole = json_of(&kubeconfig, &["n-003"], 1).await?;
        ensure!(whole["history"][0]["kind"] == "Stepped" && whole["policies"] == json!(["production"]), "{whole:#}");
        ensure!(whole["decisions"][0]["reason"] == "Drifting" && whole["foreignCordon"] == false, "{whole:#}");
        json_of(&kubeconfig, &["n-000"], 0).await?;
        let missing = status(&kubeconfig, &["n-999"]).await?;
        let errors = String::from_utf8_lossy(&missing.stderr);
        ensure!(missing.status.code() == Some(2) && errors.contains("there is no node \"n-999\""), "{errors}");

        let asked = requests::writes_of(&scene.plane, "watcher")?;
        let what: BTreeSet<(String, String)> = asked
            .into_iter()
            .filter_map(|it| Some((it.verb, it.object_ref?.resource?)))
            .filter(|(_, resource)| resource != "leases")
            .collect();
        let allowed = ["nodes", "nodeclocks", "timesyncpolicies"];
        let expected: BTreeSet<(String, String)> = ["get", "list"]
            .iter()
            .flat_map(|verb| allowed.map(|resource| ((*verb).to_owned(), resource.to_owned())))
            .filter(|it| *it != ("get".to_owned(), "timesyncpolicies".to_owned()))
            .collect();
        ensure!(what == expected, "asked for {what:?}");
        Ok(())
    })
}

#[test]
fn without_any_one_of_its_rights_it_says_what_is_missing() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let _turn = ONE_AT_A_TIME.lock().await;
        for (number, (resource, verb, args)) in [
            ("nodes", "list", &[][..]),
            ("nodeclocks", "list", &[]),
            ("timesyncpolicies", "list", &[]),
            ("nodes", "get", &["n-000"]),
            ("nodeclocks", "get", &["n-000"]),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("without-{number}");
            let all = [("", "nodes"), ("clockwarden.io", "nodeclocks"), ("clockwarden.io", "timesyncpolicies")];
            let rules: Vec<Value> = all
                .iter()
                .map(|(group, it)| {
                    let verbs: Vec<&str> =
                        ["get", "list"].into_iter().filter(|may| (*it, *may) != (resource, verb)).collect();
                    json!({"apiGroups": [group], "resources": [it], "verbs": verbs})
                })
                .collect();
            let kubeconfig = scene.user(&name, json!({"metadata": {"name": name}, "rules": rules})).await?;
            wait_for(&format!("a complaint about {verb} {resource}"), SOON, async || {
                let output = status(&kubeconfig, args).await?;
                let errors = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{output:?}");
                ensure!(errors.contains(&format!("cannot {verb} resource \"{resource}\"")), "{errors}");
                ensure!(errors.contains("kubectl apply -f deploy/status-role.yaml"), "{errors}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    })
}

/// By the lease changing, and not by anybody's clock.
#[test]
fn whether_a_controller_is_at_work_is_told_also_when_its_clock_is_an_hour_off() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let _turn = ONE_AT_A_TIME.lock().await;
        let admin = scene.plane.kubeconfig();
        let state = async |exit: i32| {
            Ok::<Value, anyhow::Error>(json_of(&admin, &["n-000"], exit).await?["controller"].clone())
        };
        let absent = state(0).await?;
        ensure!(absent["state"] == "Absent", "{absent}");
        let leases: Api<Lease> = Api::namespaced(scene.client.clone(), "clockwarden-system");
        let spec = |seconds: i64| {
            let renewed = timestamp(wall_now()) + SignedDuration::from_secs(seconds);
            json!({"holderIdentity": "cp-1_7", "leaseDurationSeconds": 15, "renewTime": format!("{renewed:.6}")})
        };
        let object = json!({"metadata": {"name": "clockwarden-controller"}, "spec": spec(-1)});
        leases.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        let leads = state(0).await?;
        ensure!(
            leads
                == json!({"state": "Leads", "holder": "cp-1_7", "aheadSeconds": null, "renewed": null, "message": null}),
            "{leads}"
        );

        let renew = async |spec: Value| {
            let patch = Patch::Merge(json!({ "spec": spec }));
            leases.patch("clockwarden-controller", &PatchParams::default(), &patch).await
        };
        renew(spec(-3_600)).await?;
        let silent = state(2).await?;
        ensure!(silent["state"] == "Silent" && silent["renewed"].is_string(), "{silent}");
        let renewing = async {
            loop {
                renew(spec(3_600)).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let ahead = tokio::select! {
            ahead = state(0) => ahead?,
            ended = renewing => return ended,
        };
        let seconds = ahead["aheadSeconds"].as_f64().context("no difference")?;
        ensure!(ahead["state"] == "Leads" && (seconds - 3_600.0).abs() < 10.0, "{ahead}");
        // Given up in good order.
        renew(json!({"holderIdentity": ""})).await?;
        let silent = state(2).await?;
        ensure!(silent["state"] == "Silent" && silent["holder"].is_null(), "{silent}");
        leases.delete("clockwarden-controller", &DeleteParams::default()).await?;
        Ok(())
    })
}

/// The longest name, forty policies, and a hundred jumps whose details are as long and as awkward as they may be.
fn hostile() -> Result<NodeClockStatus> {
    let (failure, awkward) = ("<&>\"\\".repeat(200), "\u{b1}\u{1f570}<&>".repeat(200));
    let mut ledger = Ledger::default();
    let mut stored: Option<NodeClockStatus> = None;
    let mut jumps: Vec<JumpReport> = Vec::new();
    for number in 0..100_u64 {
        let clock = Mono::from_nanos((1 + number * 100) * 1_000_000_000);
        let sample = Sample {
            before: clock,
            wall: Wall::from_unix_nanos(1_800_000_000_000_000_000 + i64::try_from(clock.nanos())?),
            boot: Boot::from_nanos(clock.nanos()),
            raw: Raw::from_nanos(clock.nanos()),
            after: clock,
        };
        let judgement = if number.is_multiple_of(2) { Judgement::Beyond } else { Judgement::Within };
        let offset = Delta::from_nanos(123_456_789_012_345 * i64::try_from(number)?);
        jumps.iter_mut().for_each(|jump| jump.age_seconds = jump.age_seconds.map(|age| age + 100.0));
        let cause = ["step", "pause", "suspend", "slew"][usize::try_from(number % 4)?];
        jumps.push(serde_json::from_value(json!({
            "number": number, "cause": cause,
            "amountSeconds": 1e300, "errorBoundSeconds": 1e-6, "ageSeconds": 1.0, "wallBefore": awkward,
            "wallAfter": number.to_string(), "evidence": "timerfd", "detail": awkward,
        }))?);
        let summary = Summary {
            standing: Standing::new(clock).observe(judgement, clock),
            offset: Some(OffsetInterval::new(offset, Duration::from_millis(1))),
            against: &awkward,
            failure: Some(&failure),
            tolerance: Tolerance {
                offset_max: Duration::from_millis(500),
                error_max: Duration::from_secs(2),
                unsynchronized_max: Duration::from_secs(300),
                stale_after: Duration::from_secs(60),
            },
            decisions: (0..40).map(|n| NodeDecision::of(&"p".repeat(200 + n), "Act/Drifting", &awkward)).collect(),
        };
        let draft = Draft::of(stored.as_ref(), &summary, &jumps, &Node::default(), &mut ledger, &sample);
        if let Due::Now(status, _) = draft.due(&ledger) {
            stored = Some(*status);
        }
    }
    stored.context("nothing was ever due")
}

#[test]
fn the_largest_record_is_within_8_kib_as_the_api_server_keeps_it() -> Outcome {
    run(async {
        let scene = Scene::shared().await?;
        let _turn = ONE_AT_A_TIME.lock().await;
        // As long as a name may be.
        let name = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        create::<Node>(&scene.client, json!({"metadata": {"name": name}})).await?;
        let written = hostile()?;
        let stored = write(&scene.client, &name, &written).await?;
        ensure!(stored.status.as_ref() == Some(&written), "the API server keeps something else");
        let path = format!("/apis/clockwarden.io/v1alpha1/nodeclocks/{name}");
        let text = scene.client.request_text(hyper::Request::get(path).body(Vec::new())?).await?;
        let without = |text: &str| -> Result<usize> {
            let mut object: Value = serde_json::from_str(text)?;
            object["status"] = Value::Null;
            Ok(object.to_string().len())
        };
        println!("{} bytes, of which {} are metadata", text.len(), without(&text)?);
        ensure!(text.len() <= 8192, "{} bytes", text.len());
        ensure!(text.len() > 6000, "only {} bytes: this is no hard case", text.len());
        Api::<Node>::all(scene.client.clone()).delete(&name, &DeleteParams::default()).await?;
        Api::<NodeClock>::all(scene.client.clone()).delete(&name, &DeleteParams::default()).await?;
        Ok(())
    })
}
