//! Everything that the controller does, once, as short as it can be.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::api::{FINALIZER, MARKS_ANNOTATION, NODE_CONDITION, NodeClock, TimeSyncPolicy};
use clockwarden::inspect::catalogue::Resource;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::events::v1::Event;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::{ACCOUNT, NAMESPACE, USER};
use crate::audit::sinners;
use crate::controller::agents::{Manner, OneAgent};
use crate::controller::lab::KEY;
use crate::install::manifest::Manifest;
use crate::scan::kubelets::{self, Beating, Kubelets};
use crate::support::requests::writes_of;
use crate::support::wait::mono_now;
use crate::support::{Clockwarden, ControlPlane, FakeNode, NodeSpec, http, wait_for};

/// Where an object with an unsafe setting is of every kind that is audited.
const AUDITED: &str = "audited";
/// No other test's.
const PORT: u16 = 19561;
const REPORTS: [&str; 2] = ["PolicyReport", "ClusterPolicyReport"];
/// What is not seen within this is not going to be. What is told of a node that has changed a dozen times in a row waits
/// for a minute, as it should (`record/pace.rs`), and some looks more or less decide whether these are a dozen.
const LATEST: Duration = Duration::from_secs(100);
/// Once something was refused and nothing has moved for so long, nothing will.
const STUCK: Duration = Duration::from_millis(1_500);
/// The answer to a request has arrived, however busy the machine is.
const HEARD: Duration = Duration::from_millis(300);

/// A cluster in which a controller can show everything.
pub(super) struct Exercise<'p> {
    plane: &'p ControlPlane,
    client: Client,
    kubeconfig: PathBuf,
    first: OneAgent,
    _others: Vec<OneAgent>,
    _nodes: Vec<FakeNode>,
    _beats: Kubelets,
    _scheduler: Beating,
}

/// What was waited for in vain.
pub(super) type Missing = Vec<&'static str>;

/// A name, and whether it is so.
type Look = (&'static str, bool);

impl<'p> Exercise<'p> {
    /// Four nodes with agents, the last of them not selected yet; three whose heartbeats are watched; a scheduler.
    pub(super) async fn prepare(plane: &'p ControlPlane) -> Result<Exercise<'p>> {
        let client = plane.client().await?;
        let (mut nodes, mut agents) = (Vec::new(), Vec::new());
        for (number, name) in (1..).zip(["asked-1", "asked-2", "asked-3", "late"]) {
            let address = Ipv4Addr::new(127, 0, 6, number);
            let part = if name == "late" { "none" } else { "asked" };
            nodes.push(FakeNode::create(client.clone(), NodeSpec::new(name, address).label("part", part)).await?);
            agents.push(OneAgent::start(address, PORT, Manner::right()).await?);
        }
        let beating = ["beats-1", "beats-2", "beats-3"];
        for (number, name) in (11..).zip(beating) {
            let spec = NodeSpec::new(name, Ipv4Addr::new(127, 0, 6, number)).label("part", "beats");
            let node = FakeNode::create(client.clone(), spec).await?;
            node.stop_heartbeat();
            nodes.push(node);
        }
        sinners::install_reports(&client).await?;
        sinners::install_products(&client).await?;
        plane.create_namespace(AUDITED).await?;
        for of_products in [false, true] {
            sinners::sin(plane, sinners::resources(of_products), AUDITED, "old").await?;
        }
        let first = agents.remove(0);
        let often = Duration::from_millis(500);
        let beats = Kubelets::of(&client, beating.into_iter().map(str::to_owned), often).await?;
        let scheduler = kubelets::elected_every(&client, "kube-scheduler", "here", often).await?;
        let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, ACCOUNT).await?;
        Ok(Exercise {
            plane,
            client,
            kubeconfig,
            first,
            _others: agents,
            _nodes: nodes,
            _beats: beats,
            _scheduler: scheduler,
        })
    }

    /// Starts a controller as its pod would, has it do everything, and ends it. Inside: what it was waited for in vain.
    pub(super) async fn perform(&self) -> Result<std::result::Result<(), Missing>> {
        let mut args = Manifest::read()?.args("Deployment", ACCOUNT)?;
        let listen = format!("127.0.0.1:{}", crate::install::free_port()?);
        args.extend(["--listen".to_owned(), listen.clone(), "--audit-interval=1s".to_owned()]);
        let mut controller = Clockwarden::start("controller-rbac", args, |command| {
            command.env("KUBECONFIG", &self.kubeconfig).env("POD_NAMESPACE", NAMESPACE).env("RUST_LOG", "info");
        })?;
        let done = self.steps(&format!("http://{listen}")).await;
        if let Some(status) = controller.ended()? {
            anyhow::bail!("the controller ended with {status}: {}", controller.log()?);
        }
        controller.kill()?;
        done
    }

    async fn steps(&self, url: &str) -> Result<std::result::Result<(), Missing>> {
        let before = writes_of(self.plane, USER)?.len();
        // Not the policies first: that they are seen at all is what the watch of them is for.
        let mut missing = self.until(before, async || Ok(vec![("readiness", self.is_ready(url).await)])).await?;
        if missing.is_empty() {
            self.policies().await?;
            missing = self.until(before, async || self.at_rest(url).await).await?;
        }
        if missing.is_empty() {
            missing = self.until(before, async || self.reported().await).await?;
        }
        if missing.is_empty() {
            let off = Patch::Merge(json!({"spec": {"admission": {"mode": "Off"}}}));
            for name in ["asked", "beats"] {
                self.policies_api().patch(name, &PatchParams::default(), &off).await?;
            }
            missing = self.until(before, async || self.unreported().await).await?;
        }
        if missing.is_empty() {
            self.late("asked").await?;
            self.clocks().delete("asked-2", &DeleteParams::default()).await?;
            self.first(Manner::ahead_ms(15_000));
            missing = self.until(before, async || self.acted(1).await).await?;
            // It may be seen before the controller has heard that it is stored; told again before that, it is another.
            tokio::time::sleep(HEARD).await;
        }
        if missing.is_empty() {
            self.first(Manner::right());
            missing = self.until(before, async || self.let_go().await).await?;
        }
        if missing.is_empty() {
            self.first(Manner::ahead_ms(15_000));
            missing = self.until(before, async || self.acted(2).await).await?;
        }
        if missing.is_empty() {
            // Whose a cordon is only the node itself tells.
            let cordon = Patch::Merge(json!({"spec": {"action": {"type": "Cordon"}}}));
            self.policies_api().patch("asked", &PatchParams::default(), &cordon).await?;
            missing = self.until(before, async || self.cordoned().await).await?;
        }
        if missing.is_empty() {
            self.policies_api().delete("asked", &DeleteParams::default()).await?;
            missing = self.until(before, async || self.gone(url).await).await?;
        }
        self.first(Manner::right());
        Ok(if missing.is_empty() { Ok(()) } else { Err(missing) })
    }

    /// Looks until everything is so, or nothing moves any more; returns what is not so.
    async fn until(&self, before: usize, look: impl AsyncFn() -> Result<Vec<Look>>) -> Result<Missing> {
        let start = mono_now();
        let (mut last, mut moved) = (Missing::new(), start);
        loop {
            let missing: Missing = look().await?.into_iter().filter(|(_, so)| !so).map(|(name, _)| name).collect();
            if missing.is_empty() {
                return Ok(missing);
            }
            if missing != last {
                (last, moved) = (missing, mono_now());
            }
            let stuck = moved.elapsed() > STUCK && !super::refused(self.plane, before)?.is_empty();
            if stuck || start.elapsed() > LATEST {
                return Ok(last);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn is_ready(&self, url: &str) -> bool {
        http::get(&format!("{url}/readyz")).await.is_ok_and(|answer| answer.status == 200)
    }

    async fn at_rest(&self, url: &str) -> Result<Vec<Look>> {
        let policy = self.policies_api().get("asked").await?;
        let told = policy.status.clone().unwrap_or_default().nodes.unwrap_or_default();
        let node = self.nodes().get("asked-1").await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let lease = self.lease().await?.and_then(|lease| lease.spec).unwrap_or_default();
        let metrics = http::get(&format!("{url}/metrics")).await.map(|answer| answer.body).unwrap_or_default();
        Ok(vec![
            ("the leader lease", lease.holder_identity.is_some_and(|holder| !holder.is_empty())),
            ("leading", metrics.contains("clockwarden_leader 1")),
            ("the finalizer", policy.finalizers().iter().any(|name| name == FINALIZER)),
            ("the policy's status", told.synchronized == 3),
            ("a NodeClock", self.state("asked-1").await? == "Synchronized"),
            ("the node's condition", conditions.iter().any(|it| it.type_ == NODE_CONDITION && it.status == "True")),
        ])
    }

    /// Every kind that is audited has a finding in a report.
    async fn reported(&self) -> Result<Vec<Look>> {
        let mut told: Vec<Value> = Vec::new();
        for kind in REPORTS {
            for report in self.reports(kind).list(&ListParams::default()).await?.items {
                told.extend(report.data.get("results").and_then(Value::as_array).into_iter().flatten().cloned());
            }
        }
        let is_told = |resource: &Resource| {
            let version = sinners::api_version(resource);
            let text = |result: &Value, path: &str| result.pointer(path).and_then(Value::as_str).map(str::to_owned);
            told.iter().any(|result| {
                text(result, "/resources/0/kind").as_ref() == Some(&resource.kind)
                    && text(result, "/resources/0/apiVersion").as_ref() == Some(&version)
            })
        };
        let all = sinners::resources(false).chain(sinners::resources(true));
        Ok(all.map(|resource| (resource.plural.as_str(), is_told(resource))).collect())
    }

    /// When nothing is asked of any object, nothing is said about any.
    async fn unreported(&self) -> Result<Vec<Look>> {
        let mut looks = Vec::new();
        for kind in REPORTS {
            let left = self.reports(kind).list(&ListParams::default()).await?.items;
            looks.push((kind, left.is_empty()));
        }
        Ok(looks)
    }

    fn reports(&self, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("wgpolicyk8s.io", "v1alpha2", kind));
        Api::all_with(self.client.clone(), &resource)
    }

    /// For the `times`th time.
    async fn acted(&self, times: i32) -> Result<Vec<Look>> {
        let node = self.nodes().get("asked-1").await?;
        let recorded = node.annotations().contains_key(MARKS_ANNOTATION);
        let tainted = is_tainted(&node);
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let events = events.list(&ListParams::default()).await?.items;
        let mut told = events.iter().filter(|event| event.reason.as_deref() == Some("NodeTainted"));
        let count = told.clone().map(|event| event.series.as_ref().map_or(1, |series| series.count)).max();
        Ok(vec![
            ("a taint", tainted),
            ("its record", recorded),
            ("an event", told.next().is_some()),
            ("an event that is counted when it comes again", count >= Some(times)),
            ("a node that is selected later", self.state("late").await? == "Synchronized"),
            ("a NodeClock that somebody deleted", self.state("asked-2").await? == "Synchronized"),
        ])
    }

    async fn let_go(&self) -> Result<Vec<Look>> {
        Ok(vec![("the taint's end", !is_tainted(&self.nodes().get("asked-1").await?))])
    }

    async fn cordoned(&self) -> Result<Vec<Look>> {
        let node = self.nodes().get("asked-1").await?;
        Ok(vec![("a cordon", is_cordoned(&node)), ("no taint beside it", !is_tainted(&node))])
    }

    /// And what takes a few seconds anyhow: two beats, a renewal.
    async fn gone(&self, url: &str) -> Result<Vec<Look>> {
        let lease = self.lease().await?.and_then(|lease| lease.spec).unwrap_or_default();
        let metrics = http::get(&format!("{url}/metrics")).await.map(|answer| answer.body).unwrap_or_default();
        let scheduler = "clockwarden_control_plane_offset_seconds{component=\"kube-scheduler\"";
        Ok(vec![
            ("the policy's end", self.policies_api().get_opt("asked").await?.is_none()),
            ("the cordon's end with the policy", !is_cordoned(&self.nodes().get("asked-1").await?)),
            ("a renewal of the lease", lease.renew_time.is_some() && lease.renew_time != lease.acquire_time),
            ("a clock by its heartbeats", self.state("beats-1").await? == "Synchronized"),
            ("the scheduler's clock", metrics.contains(scheduler)),
        ])
    }

    async fn policies(&self) -> Result<()> {
        for (name, source) in
            [("asked", json!({"agent": {"port": PORT}})), ("beats", json!({"lease": {"maxDelay": "250ms"}}))]
        {
            let policy: TimeSyncPolicy = serde_json::from_value(json!({
                "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": name},
                "spec": {
                    "nodeSelector": {"matchLabels": {"part": name}}, "source": source, "interval": "1s",
                    "tolerance": {"staleAfter": "60s"}, "action": {"sustainedFor": "0s", "recoveredFor": "0s"},
                },
            }))?;
            self.policies_api().create(&PostParams::default(), &policy).await?;
        }
        Ok(())
    }

    /// Everything as it was before the first time, as an administrator makes it.
    pub(super) async fn reset(&self) -> Result<()> {
        for name in ["asked", "beats"] {
            let freed = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            if self.policies_api().get_opt(name).await?.is_some() {
                // One that was being deleted goes with its finalizer.
                let _ = self.policies_api().patch(name, &PatchParams::default(), &freed).await;
                let _ = self.policies_api().delete(name, &DeleteParams::default()).await;
            }
        }
        if self.lease().await?.is_some() {
            self.leases().delete(ACCOUNT, &DeleteParams::default()).await?;
        }
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        events.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        for kind in REPORTS {
            for report in self.reports(kind).list(&ListParams::default()).await?.items {
                let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("wgpolicyk8s.io", "v1alpha2", kind));
                let reports: Api<DynamicObject> = match report.namespace() {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
                    None => Api::all_with(self.client.clone(), &resource),
                };
                reports.delete(&report.name_any(), &DeleteParams::default()).await?;
            }
        }
        self.clocks().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        self.late("none").await?;
        for node in self.nodes().list(&ListParams::default()).await?.items {
            let clean = json!({"metadata": {"annotations": {MARKS_ANNOTATION: null}}, "spec": {"taints": null, "unschedulable": null}});
            self.nodes().patch(&node.name_any(), &PatchParams::default(), &Patch::Merge(clean)).await?;
            let bare: Value = json!({"status": {"conditions": [{"type": NODE_CONDITION, "$patch": "delete"}]}});
            self.nodes().patch_status(&node.name_any(), &PatchParams::default(), &Patch::Strategic(bare)).await?;
        }
        wait_for("the policies to be gone", super::SOON, async || {
            let left = self.policies_api().list(&ListParams::default()).await?.items;
            ensure!(left.is_empty(), "{} are there still", left.len());
            Ok(())
        })
        .await
    }

    /// What the agent of the first node does from now on.
    fn first(&self, manner: Manner) {
        self.first.become_(manner);
    }

    async fn late(&self, part: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"part": part}}}));
        self.nodes().patch("late", &PatchParams::default(), &patch).await.context("cannot relabel the node late")?;
        Ok(())
    }

    async fn state(&self, node: &str) -> Result<String> {
        let clock = self.clocks().get_opt(node).await?;
        Ok(clock.and_then(|clock| clock.status).map(|status| status.state).unwrap_or_default())
    }

    async fn lease(&self) -> Result<Option<Lease>> {
        Ok(self.leases().get_opt(ACCOUNT).await?)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    fn clocks(&self) -> Api<NodeClock> {
        Api::all(self.client.clone())
    }

    fn policies_api(&self) -> Api<TimeSyncPolicy> {
        Api::all(self.client.clone())
    }
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

fn is_tainted(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|all| all.iter().any(|taint| taint.key == KEY))
}
