//! A node without a kubelet: the Node object with an address of its own on loopback, and a heartbeat.
//!
//! With a controller-manager the node becomes ready and loses its not-ready taint, and pods are bound to it;
//! nothing runs them. Every 127.x.y.z is this machine, so that many agents listen on one port, each on its
//! node's address.
//!
//! If all nodes of a cluster stop their heartbeats, the controller-manager takes the fault for its own and
//! evicts nothing: a test of that needs one healthy node beside.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

use super::wait::{wait_for, wall_now};

/// As kubelets do (`nodeLeaseDurationSeconds` is 40, and a quarter of it the interval).
const HEARTBEAT: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
const LEASES: &str = "kube-node-lease";
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// What a fake node shall be.
#[derive(Clone, Debug)]
pub(crate) struct NodeSpec {
    pub(crate) name: String,
    /// Its InternalIP; a node without one has no `status.addresses`.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
}

impl NodeSpec {
    pub(crate) fn new(name: &str, address: Ipv4Addr) -> Self {
        Self { name: name.to_owned(), address: Some(address), labels: BTreeMap::new(), taints: Vec::new() }
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn taint(mut self, key: &str, effect: &str) -> Self {
        self.taints.push(Taint { key: key.to_owned(), effect: effect.to_owned(), ..Taint::default() });
        self
    }
}

/// A node of the cluster. Dropping it ends the heartbeat and deletes it in the background.
pub(crate) struct FakeNode {
    name: String,
    client: Client,
    heartbeat: JoinHandle<()>,
    deleted: bool,
}

impl FakeNode {
    /// Creates the node with its status and its heartbeat. Not yet schedulable: see `wait_schedulable`.
    pub(crate) async fn create(client: Client, spec: NodeSpec) -> Result<Self> {
        let nodes: Api<Node> = Api::all(client.clone());
        let object: Node = serde_json::from_value(json!({
            "metadata": {"name": spec.name, "labels": spec.labels},
            "spec": {"taints": spec.taints},
        }))?;
        let created = nodes
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot create the node {}", spec.name))?;
        create_lease(&client, &created).await?;
        let heartbeat = tokio::spawn(beat(client.clone(), spec.name.clone()));
        // Owned from here on, so that a failing status leaves no node behind.
        let node = Self { name: spec.name, client, heartbeat, deleted: false };
        node.write_status(spec.address).await?;
        Ok(node)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn get(&self) -> Result<Node> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.get(&self.name).await.with_context(|| format!("cannot get the node {}", self.name))
    }

    /// Waits until the controller-manager finds it ready and has taken its not-ready taint away.
    pub(crate) async fn wait_schedulable(&self) -> Result<Node> {
        let what = format!("the node {} to be schedulable", self.name);
        wait_for(&what, SETTLED_WITHIN, async || {
            let node = self.get().await?;
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
            let waiting = taints.unwrap_or_default().iter().find(|taint| taint.key == "node.kubernetes.io/not-ready");
            ensure!(waiting.is_none(), "it still has the taint {waiting:?}");
            Ok(node)
        })
        .await
    }

    /// From now on the kubelet is silent; the controller-manager notices after its grace period.
    pub(crate) fn stop_heartbeat(&self) {
        self.heartbeat.abort();
    }

    /// Deletes the node and waits until it is gone; its lease goes by garbage collection.
    pub(crate) async fn delete(mut self) -> Result<()> {
        self.stop_heartbeat();
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes
            .delete(&self.name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete the node {}", self.name))?;
        self.deleted = true;
        let what = format!("the node {} to be gone", self.name);
        wait_for(&what, SETTLED_WITHIN, async || match nodes.get_opt(&self.name).await? {
            None => Ok(()),
            Some(node) => bail!("it is there still, with the finalizers {:?}", node.metadata.finalizers),
        })
        .await
    }

    async fn write_status(&self, address: Option<Ipv4Addr>) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let now = wall_now().to_string();
        let addresses: Vec<_> =
            address.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
        let capacity = json!({"cpu": "8", "memory": "16Gi", "pods": "110"});
        let status = json!({"status": {
            "addresses": addresses, "capacity": capacity, "allocatable": capacity,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a node for tests",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
        }});
        nodes
            .patch_status(&self.name, &PatchParams::default(), &Patch::Merge(&status))
            .await
            .with_context(|| format!("cannot write the status of the node {}", self.name))?;
        Ok(())
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.heartbeat.abort();
        if self.deleted {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let nodes: Api<Node> = Api::all(self.client.clone());
            let name = self.name.clone();
            runtime.spawn(async move {
                // The test is over; its control plane may be gone too.
                let _ = nodes.delete(&name, &DeleteParams::default()).await;
            });
        }
    }
}

async fn create_lease(client: &Client, node: &Node) -> Result<()> {
    let name = node.metadata.name.as_deref().context("the created node has no name")?;
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": name, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.metadata.uid},
        ]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": MicroTime(wall_now())},
    }))?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), LEASES);
    // The API server makes the namespace a moment after it is ready.
    let what = format!("the lease of the node {name}");
    wait_for(&what, SETTLED_WITHIN, async || {
        match leases.create(&PostParams::default(), &lease).await {
            // An earlier try was answered too late.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    })
    .await
}

async fn beat(client: Client, name: String) {
    let leases: Api<Lease> = Api::namespaced(client, LEASES);
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let renewal = json!({"spec": {"renewTime": MicroTime(wall_now())}});
        // A kubelet that cannot reach the API server tries again, too; a test may have killed it.
        let _ = leases.patch(&name, &PatchParams::default(), &Patch::Merge(&renewal)).await;
    }
}
