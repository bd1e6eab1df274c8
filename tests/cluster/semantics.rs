//! The simulated API server of the drill (`src/drill/server.rs`) answers as the real one does.
//!
//! The same requests go to both, one after the other, and what comes back is compared: taken or refused with which
//! code, whether there is a new resource version, and the fields in question. What a drill shows is worth as much as this.

#![expect(clippy::indexing_slicing, reason = "a test: what is not there is its failure")]

use anyhow::{Context, Result, ensure};
use clockwarden::controller::request::{Kind, Refusal, Request, Verb};
use clockwarden::drill::server::Server;
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::{ControlPlane, Options, Outcome, run, wait_for};

/// One request, made of the object as it is, and what is looked at of the answer.
struct Step {
    what: &'static str,
    verb: Verb,
    kind: Kind,
    status: bool,
    body: fn(live: &Value) -> Value,
    fields: &'static [&'static str],
}

const TAINTS: &str = "/spec/taints";
const READY: &str = "/status/conditions";

fn stale(live: &Value) -> Value {
    let version: u64 = live["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok()).unwrap_or(1);
    json!((version - 1).to_string())
}

fn with_status(live: &Value, status: Value) -> Value {
    let mut next = live.clone();
    next["status"] = status;
    next
}

fn steps() -> Vec<Step> {
    let step = |what, verb, kind, status, body, fields| Step { what, verb, kind, status, body, fields };
    vec![
        step("what is not there cannot be read", Verb::Get, Kind::Node, false, |_| Value::Null, &[]),
        step("nor patched", Verb::Merge, Kind::Node, false, |_| json!({"spec": {"unschedulable": true}}), &[]),
        step("a node is made", Verb::Create, Kind::Node, false, |_| json!({"apiVersion": "v1", "kind": "Node"}), &[]),
        step("it is made once", Verb::Create, Kind::Node, false, |_| json!({"apiVersion": "v1", "kind": "Node"}), &[]),
        step(
            "a patch with the version of what was read is taken",
            Verb::Merge,
            Kind::Node,
            false,
            |live| {
                json!({
                    "metadata": {"resourceVersion": live["metadata"]["resourceVersion"], "annotations": {"a": "b"}},
                    "spec": {"taints": [{"key": "one", "effect": "NoSchedule"}], "unschedulable": true},
                })
            },
            &[TAINTS, "/metadata/annotations/a", "/spec/unschedulable"],
        ),
        step(
            "one with an older version meets a conflict",
            Verb::Merge,
            Kind::Node,
            false,
            |live| json!({"metadata": {"resourceVersion": stale(live)}, "spec": {"taints": []}}),
            &[TAINTS],
        ),
        step(
            "one that changes nothing gives no new version",
            Verb::Merge,
            Kind::Node,
            false,
            |_| json!({"metadata": {"annotations": {"a": "b"}}}),
            &[TAINTS],
        ),
        step(
            "a merge patch replaces the list of taints, and null takes away",
            Verb::Merge,
            Kind::Node,
            false,
            |_| json!({"metadata": {"annotations": {"a": null}}, "spec": {"unschedulable": null, "taints": [{"key": "two", "effect": "NoSchedule"}]}}),
            &[TAINTS, "/metadata/annotations/a", "/spec/unschedulable"],
        ),
        step(
            "two equal taints are invalid",
            Verb::Merge,
            Kind::Node,
            false,
            |_| json!({"spec": {"taints": [{"key": "two", "effect": "NoSchedule"}, {"key": "two", "effect": "NoSchedule"}]}}),
            &[TAINTS],
        ),
        step(
            "conditions are merged by their type",
            Verb::Strategic,
            Kind::Node,
            true,
            |_| json!({"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}]}}),
            &[READY],
        ),
        step(
            "so that one is changed and the other stays",
            Verb::Strategic,
            Kind::Node,
            true,
            |_| json!({"status": {"conditions": [{"type": "B", "status": "False", "reason": "R"}]}}),
            &[READY],
        ),
        step(
            "or goes",
            Verb::Strategic,
            Kind::Node,
            true,
            |_| json!({"status": {"conditions": [{"type": "A", "$patch": "delete"}]}}),
            &[READY],
        ),
        step(
            "unless somebody was faster",
            Verb::Strategic,
            Kind::Node,
            true,
            |_| json!({"metadata": {"resourceVersion": "1"}, "status": {"conditions": [{"type": "A", "status": "True"}]}}),
            &[READY],
        ),
        step(
            "a write to the rest leaves the status alone",
            Verb::Merge,
            Kind::Node,
            false,
            |_| json!({"spec": {"unschedulable": true}, "status": {"conditions": null}}),
            &[READY, "/spec/unschedulable"],
        ),
        step(
            "and a write to the status the rest",
            Verb::Merge,
            Kind::Node,
            true,
            |_| json!({"spec": {"unschedulable": null}, "status": {"conditions": []}}),
            &["/spec/unschedulable"],
        ),
        step(
            "a policy is made without a status",
            Verb::Create,
            Kind::Policy,
            false,
            |_| {
                json!({"apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "spec": {"interval": "10s"},
                    "metadata": {"finalizers": ["example.com/f"]}, "status": {"observedGeneration": 5}})
            },
            &["/metadata/generation", "/status", "/metadata/finalizers"],
        ),
        step(
            "its status is replaced by itself",
            Verb::Replace,
            Kind::Policy,
            true,
            |live| with_status(live, json!({"observedGeneration": 1})),
            &["/metadata/generation", "/status/observedGeneration"],
        ),
        step(
            "a change of its spec is a new generation",
            Verb::Merge,
            Kind::Policy,
            false,
            |_| json!({"spec": {"interval": "20s"}}),
            &["/metadata/generation", "/spec/interval", "/status/observedGeneration"],
        ),
        step(
            "a stale replacement meets a conflict",
            Verb::Replace,
            Kind::Policy,
            true,
            |live| {
                let mut next = with_status(live, json!({"observedGeneration": 2}));
                next["metadata"]["resourceVersion"] = stale(live);
                next
            },
            &[],
        ),
        step(
            "a lease is made",
            Verb::Create,
            Kind::Lease,
            false,
            |_| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "a"}}),
            &["/spec/holderIdentity"],
        ),
        step(
            "of two that take it at once, one fails",
            Verb::Replace,
            Kind::Lease,
            false,
            |live| {
                let mut next = live.clone();
                next["spec"]["holderIdentity"] = json!("b");
                next["metadata"]["resourceVersion"] = stale(live);
                next
            },
            &[],
        ),
    ]
}

/// After the policy, which has a finalizer, was deleted.
fn deleted() -> Vec<Step> {
    let policy = |what, body, fields| Step { what, verb: Verb::Merge, kind: Kind::Policy, status: false, body, fields };
    vec![
        policy("it is still there", |_| json!({}), &["/metadata/finalizers"]),
        policy(
            "it gets no new finalizer",
            |_| json!({"metadata": {"finalizers": ["example.com/f", "example.com/g"]}}),
            &[],
        ),
        policy("it is gone with the last one", |_| json!({"metadata": {"finalizers": []}}), &[]),
        policy("and cannot be patched any more", |_| json!({}), &[]),
    ]
}

const NAME: &str = "tried";

fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Node => "/api/v1/nodes",
        Kind::Policy => "/apis/clockwarden.io/v1alpha1/timesyncpolicies",
        Kind::Clock => "/apis/clockwarden.io/v1alpha1/nodeclocks",
        Kind::Lease => "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        Kind::Event => "/apis/events.k8s.io/v1/namespaces/default/events",
    }
}

/// What the real one answers: the object, or the code of the refusal.
async fn really(client: &Client, request: &Request) -> Result<Result<Value, u16>> {
    let object = format!("{}/{NAME}{}", collection(request.kind), if request.status { "/status" } else { "" });
    let (method, path, kind) = match request.verb {
        Verb::Get => ("GET", object, "application/json"),
        Verb::Create => ("POST", collection(request.kind).to_owned(), "application/json"),
        Verb::Merge => ("PATCH", object, "application/merge-patch+json"),
        Verb::Strategic => ("PATCH", object, "application/strategic-merge-patch+json"),
        Verb::Replace => ("PUT", object, "application/json"),
    };
    let mut body = request.body.clone();
    if request.verb == Verb::Create {
        body["metadata"]["name"] = json!(NAME);
    }
    let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body)? };
    let sent = hyper::Request::builder().method(method).uri(path).header("content-type", kind).body(bytes)?;
    match client.request::<Value>(sent).await {
        Ok(object) => Ok(Ok(object)),
        Err(kube::Error::Api(status)) => Ok(Err(status.code)),
        Err(error) => Err(error.into()),
    }
}

fn simulated(server: &mut Server, request: &Request) -> Result<Value, u16> {
    server.ask(request).map_err(|refusal| match refusal {
        Refusal::NotFound => 404,
        Refusal::Conflict => 409,
        Refusal::Refused { code, .. } => code,
        Refusal::Silent(_) => 0,
    })
}

/// What is compared: the code, or whether the version is new, and the fields. What the real one fills in by itself (an
/// empty list, a default, the time of a condition) is not ours to know.
fn seen(answer: &Result<Value, u16>, live: Option<&Value>, fields: &[&str]) -> Value {
    let plain = |value: Option<&Value>| match value {
        None | Some(Value::Null | Value::Bool(false)) => Value::Null,
        Some(Value::Array(list)) if list.is_empty() => Value::Null,
        Some(Value::Array(list)) => list.iter().map(without_times).collect(),
        Some(other) => other.clone(),
    };
    match answer {
        Err(code) => json!({ "refused": code }),
        Ok(object) => {
            let version = |it: &Value| it["metadata"]["resourceVersion"].clone();
            let is_new = live.is_none_or(|live| version(live) != version(object));
            let shown: Vec<Value> = fields.iter().map(|path| plain(object.pointer(path))).collect();
            json!({ "isNew": is_new, "fields": shown })
        }
    }
}

fn without_times(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|key, _| !key.ends_with("Time"));
    }
    value
}

async fn compare(client: &Client, server: &mut Server, steps: Vec<Step>) -> Result<()> {
    for step in steps {
        let request = |body| Request { verb: step.verb, kind: step.kind, name: NAME.into(), status: step.status, body };
        let get = Request { verb: Verb::Get, kind: step.kind, name: NAME.into(), status: false, body: Value::Null };
        let live = really(client, &get).await?.ok();
        let real = really(client, &request((step.body)(live.as_ref().unwrap_or(&Value::Null)))).await?;
        let real = seen(&real, live.as_ref(), step.fields);
        let live = simulated(server, &get).ok();
        let ours = simulated(server, &request((step.body)(live.as_ref().unwrap_or(&Value::Null))));
        let ours = seen(&ours, live.as_ref(), step.fields);
        ensure!(real == ours, "{}: the real one says {real}, the simulated one {ours}", step.what);
    }
    Ok(())
}

#[test]
fn the_simulated_api_server_answers_as_the_real_one_does() -> Outcome {
    run(async {
        let options = Options { scheduler: false, controller_manager: false, ..Options::default() };
        let plane = ControlPlane::start(options).await?;
        let applied = plane.kubectl(&["apply", "-f", "crds"]).await?;
        ensure!(applied.success, "{applied:?}");
        let waited = plane.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", "crds"]).await?;
        ensure!(waited.success, "{waited:?}");
        let (client, mut server) = (plane.client().await?, Server::default());
        compare(&client, &mut server, steps()).await?;
        let delete = hyper::Request::delete(format!("{}/{NAME}", collection(Kind::Policy))).body(Vec::new())?;
        client.request::<Value>(delete).await.context("the policy cannot be deleted")?;
        server.delete(Kind::Policy, NAME, "2026-01-01T00:00:00Z");
        wait_for("the policy to be marked", Duration::from_secs(10), async || {
            let get =
                Request { verb: Verb::Get, kind: Kind::Policy, name: NAME.into(), status: false, body: Value::Null };
            let found = really(&client, &get).await?.map_err(|code| anyhow::anyhow!("{code}"))?;
            ensure!(found.pointer("/metadata/deletionTimestamp").is_some());
            Ok(())
        })
        .await?;
        compare(&client, &mut server, deleted()).await
    })
}
