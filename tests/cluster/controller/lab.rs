//! A control plane with our CRDs, and what a test of the controller does with it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clockwarden::api::{self, NodeClock, TimeSyncPolicy};
use clockwarden::policy::Marks;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::support::{Chronyd, Clockwarden, ControlPlane, FakeNode, Faketime, NodeSpec, Options, wait_for};

/// What our own processes need on two busy cores, many times over.
pub(super) const SOON: Duration = Duration::from_secs(30);
/// The default taint.
pub(super) const KEY: &str = "clockwarden.io/clock-drift";
/// Agents of a test listen here, each on its node's own address.
pub(super) const PORT: u16 = 19555;
const NAMESPACE: &str = "clockwarden-system";

static PLANE: OnceCell<std::result::Result<Arc<ControlPlane>, String>> = OnceCell::const_new();
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// One test's part of the cluster: nodes with a label of its own, policies that select them.
pub(super) struct Lab {
    pub(super) plane: Arc<ControlPlane>,
    pub(super) client: Client,
    pub(super) name: &'static str,
    pub(super) nodes: BTreeMap<String, FakeNode>,
    policies: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Waits for its turn; `name` must be unique, and short enough to begin node names.
    pub(super) async fn begin(name: &'static str) -> Result<Lab> {
        let turn = ONE_AT_A_TIME.lock().await;
        let plane = PLANE
            .get_or_init(|| async {
                let options = Options { scheduler: false, controller_manager: false, ..Options::default() };
                let started = ControlPlane::start(options).await;
                started.map(Arc::new).map_err(|error| format!("{error:#}"))
            })
            .await
            .clone()
            .map_err(|error| anyhow::anyhow!("the control plane did not start: {error}"))?;
        let client = plane.client().await?;
        install(&client).await?;
        Ok(Lab { plane, client, name, nodes: BTreeMap::new(), policies: Vec::new(), _turn: turn })
    }

    /// Nodes `NAME-1` to `NAME-n` at 127.0.1.1 and on.
    pub(super) async fn nodes(&mut self, count: u8) -> Result<()> {
        for number in 1..=count {
            let spec = NodeSpec::new(&self.node(number), address(number)).label("lab", self.name);
            let node = FakeNode::create(self.client.clone(), spec).await?;
            self.nodes.insert(node.name().to_owned(), node);
        }
        Ok(())
    }

    /// The name of a node.
    pub(super) fn node(&self, number: u8) -> String {
        format!("{}-{number}", self.name)
    }

    /// The policies of a test select its own nodes, act at once, and let go after a second, unless `spec` says
    /// otherwise.
    pub(super) async fn policy(&mut self, name: &str, spec: Value) -> Result<()> {
        let mut whole = json!({
            "nodeSelector": {"matchLabels": {"lab": self.name}},
            "source": {"agent": {"port": PORT}},
            "interval": "1s",
            "tolerance": {"staleAfter": "4s"},
            "action": {"sustainedFor": "0s", "recoveredFor": "1s", "limit": {"maxNodes": 100}},
        });
        merge(&mut whole, &spec);
        let object: TimeSyncPolicy = serde_json::from_value(json!({
            "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
            "metadata": {"name": name}, "spec": whole,
        }))?;
        self.tsps().create(&PostParams::default(), &object).await.context("cannot create the policy")?;
        self.policies.push(name.to_owned());
        Ok(())
    }

    /// Changes the spec of a policy.
    pub(super) async fn change_policy(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.tsps().patch(name, &PatchParams::default(), &patch).await.context("cannot change the policy")?;
        Ok(())
    }

    pub(super) async fn delete_policy(&self, name: &str) -> Result<()> {
        self.tsps().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    pub(super) fn tsps(&self) -> Api<TimeSyncPolicy> {
        Api::all(self.client.clone())
    }

    pub(super) fn clocks(&self) -> Api<NodeClock> {
        Api::all(self.client.clone())
    }

    pub(super) fn live(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// A controller, ready. Its metrics are at the returned URL.
    pub(super) async fn controller(&self, name: &str, args: &[&str]) -> Result<(Clockwarden, String)> {
        self.controller_as(name, self.plane.kubeconfig(), args).await
    }

    /// One that is known to the API server by another name.
    pub(super) async fn controller_as(
        &self,
        name: &str,
        kubeconfig: PathBuf,
        args: &[&str],
    ) -> Result<(Clockwarden, String)> {
        start_controller(name, args, |command| {
            command.env("KUBECONFIG", kubeconfig);
        })
        .await
    }

    /// One whose own clock is wrong.
    pub(super) async fn controller_with(&self, name: &str, clock: &Faketime) -> Result<(Clockwarden, String)> {
        start_controller(name, &[], |command| {
            command.env("KUBECONFIG", self.plane.kubeconfig());
            clock.apply(command);
        })
        .await
    }

    /// A real agent at a node's address, its clock this far ahead.
    pub(super) async fn agent(&self, number: u8, reference: Option<&Chronyd>) -> Result<Agent> {
        let clock = Faketime::new(SignedDuration::ZERO)?;
        let listen = format!("{}:{PORT}", address(number));
        let mut args = vec!["agent", "--listen", &listen, "--chrony", "off"];
        let reference = reference.map(|server| format!("ntp://{}", server.ntp()));
        if let Some(reference) = &reference {
            args.extend(["--reference", reference]);
        }
        let node = self.node(number);
        args.extend(["--node-name", &node]);
        let mut process = Clockwarden::start(&format!("agent-{node}"), args, |command| clock.apply(command))?;
        process.wait_http(&format!("http://{listen}/readyz"), SOON).await?;
        Ok(Agent { clock, _process: process })
    }

    /// The keys of a node's taints.
    pub(super) async fn taints(&self, node: &str) -> Result<Vec<String>> {
        let node = self.live().get(node).await?;
        Ok(node.spec.and_then(|spec| spec.taints).unwrap_or_default().into_iter().map(|taint| taint.key).collect())
    }

    /// The nodes of this test that carry a taint of this key.
    pub(super) async fn tainted(&self, key: &str) -> Result<Vec<String>> {
        let selector = format!("lab={}", self.name);
        let nodes = self.live().list(&ListParams::default().labels(&selector)).await?;
        let has = |node: &Node| {
            node.spec.as_ref().and_then(|s| s.taints.as_ref()).is_some_and(|all| all.iter().any(|t| t.key == key))
        };
        Ok(nodes.items.iter().filter(|node| has(node)).map(ResourceExt::name_any).collect())
    }

    /// Waits until exactly these nodes carry the taint.
    pub(super) async fn wait_tainted(&self, key: &str, numbers: &[u8]) -> Result<()> {
        let wanted: Vec<String> = numbers.iter().map(|number| self.node(*number)).collect();
        wait_for(&format!("the taint {key} on {wanted:?} only"), SOON, async || {
            let tainted = self.tainted(key).await?;
            ensure!(tainted == wanted, "it is on {tainted:?}; {}", self.told().await);
            Ok(())
        })
        .await
    }

    /// Waits until a NodeClock shows this state.
    pub(super) async fn wait_state(&self, node: &str, state: &str) -> Result<NodeClock> {
        wait_for(&format!("the clock of {node} to be {state}"), SOON, async || {
            let clock = self.clocks().get(node).await?;
            let status = clock.status.clone().unwrap_or_default();
            ensure!(status.state == state, "it is {} ({}): {}", status.state, status.reason, status.message);
            Ok(clock)
        })
        .await
    }

    /// Waits until a policy's condition Degraded has this reason.
    pub(super) async fn wait_degraded(&self, policy: &str, reason: &str) -> Result<TimeSyncPolicy> {
        wait_for(&format!("policy {policy} to be degraded by {reason}"), SOON, async || {
            let policy = self.tsps().get(policy).await?;
            let conditions = policy.status.clone().unwrap_or_default().conditions;
            let degraded = conditions.iter().find(|c| c.type_ == "Degraded").context("no such condition yet")?;
            ensure!(degraded.reason == reason, "the reason is {}: {}", degraded.reason, degraded.message);
            Ok(policy)
        })
        .await
    }

    /// Events by reason about one object.
    pub(super) async fn events(&self, about: &str) -> Result<Vec<String>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let list = events.list(&ListParams::default()).await?.items;
        let ours = list.into_iter().filter(|e| e.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(about));
        Ok(ours.filter_map(|e| e.reason).collect())
    }

    pub(super) async fn wait_event(&self, about: &str, reason: &str) -> Result<()> {
        wait_for(&format!("the event {reason} about {about}"), SOON, async || {
            let events = self.events(about).await?;
            ensure!(events.iter().any(|e| e == reason), "there are {events:?}");
            Ok(())
        })
        .await
    }

    /// The version of the leader lease: another after each renewal.
    pub(super) async fn lease_version(&self) -> Result<String> {
        self.leases().get("clockwarden-controller").await?.resource_version().context("the lease has no version")
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// What the policies say, for messages of failed waits.
    async fn told(&self) -> String {
        let mut all = String::new();
        for name in &self.policies {
            if let Ok(policy) = self.tsps().get(name).await {
                let status = policy.status.unwrap_or_default();
                let reasons: Vec<_> =
                    status.conditions.iter().map(|c| format!("{}: {}", c.reason, c.message)).collect();
                all.push_str(&format!("{name}: {:?} {reasons:?} {:?}; ", status.nodes, status.worst));
            }
        }
        all
    }

    /// Takes away what the next test must not see. The controllers of the test must have ended.
    pub(super) async fn end(mut self) -> Result<()> {
        for name in std::mem::take(&mut self.policies) {
            let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            match self.tsps().patch(&name, &PatchParams::default(), &patch).await {
                Ok(_) => drop(self.tsps().delete(&name, &DeleteParams::default()).await),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error.into()),
            }
        }
        for node in std::mem::take(&mut self.nodes).into_values() {
            node.delete().await?;
        }
        // Most controllers of tests are killed; the next one would wait for 15 s until their lease has run out.
        match self.leases().delete("clockwarden-controller", &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            deleted => drop(deleted?),
        }
        self.clocks().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok(())
    }
}

async fn start_controller(
    name: &str,
    args: &[&str],
    prepare: impl FnOnce(&mut std::process::Command),
) -> Result<(Clockwarden, String)> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let mut all = vec!["controller", "--listen", &listen];
    all.extend_from_slice(args);
    let mut controller = Clockwarden::start(name, all, |command| {
        command.env("RUST_LOG", "info,clockwarden=debug");
        prepare(command);
    })?;
    let url = format!("http://{listen}");
    controller.wait_http(&format!("{url}/readyz"), SOON).await?;
    Ok((controller, url))
}

/// A real agent whose clock can be moved.
pub(super) struct Agent {
    pub(super) clock: Faketime,
    _process: Clockwarden,
}

/// 127.0.1.NUMBER.
pub(super) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number)
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The marks of ours that a node's annotation names.
pub(super) fn owned(node: &Node) -> Result<Marks> {
    Ok(api::node_marks::owned(node)?)
}

async fn install(client: &Client) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in api::crds() {
        let name = crd.name_any();
        match crds.create(&PostParams::default(), &crd).await {
            Err(kube::Error::Api(status)) if status.code == 409 => continue,
            created => drop(created?),
        }
        wait_for(&format!("the CRD {name} to be served"), SOON, async || {
            let conditions = crds.get(&name).await?.status.and_then(|s| s.conditions).unwrap_or_default();
            let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
            ensure!(established, "{conditions:?}");
            Ok(())
        })
        .await?;
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    match namespaces.create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        created => created.map(drop).map_err(Into::into),
    }
}

/// JSON merge patch (RFC 7396), without deletion.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
