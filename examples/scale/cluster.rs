//! The cluster under the controller: a control plane, nodes as kubelets write them, and what kubelets write all the time.
//!
//! A kubelet renews its lease every 10 s and writes the status of its node every 5 minutes: that is what an API server
//! of a large cluster is busy with, and every one of the latter is an event for whoever watches nodes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::agents;
use crate::support::wait::wall_now;
use crate::support::{ControlPlane, Options, client_of, scratch, wait_for};

/// The namespace of `deploy/install.yaml`.
pub(crate) const NAMESPACE: &str = "clockwarden-system";
/// The identity that the controller ships with.
const ACCOUNT: &str = "clockwarden-controller";
/// As `nodeStatusReportFrequency` of kubelets.
const STATUS_EVERY: Duration = Duration::from_secs(300);
/// Requests of ours at once, when nodes are made and when they beat.
const AT_ONCE: usize = 32;
/// Heartbeats are sent in bundles, so far apart.
const BEAT: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(60);

/// The name of the node with this number, as long as those of clouds are.
pub(crate) fn name(number: usize) -> String {
    format!("ip-10-{}-{}-{}.eu-central-1.compute.internal", number / 62_500, number / 250 % 250, number % 250)
}

/// The control plane, the nodes and their heartbeats.
pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    /// Every request of the controller's, one JSON object a line.
    pub(crate) audit_log: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    heartbeats: Heartbeats,
}

impl Cluster {
    /// An empty control plane with our resources and the role that the controller ships with.
    pub(crate) async fn start() -> Result<Cluster> {
        let directory = scratch::directory("audit")?;
        let (policy, audit_log) = (directory.join("policy.json"), directory.join("audit.log"));
        std::fs::write(&policy, audit_policy().to_string())?;
        let mut options = Options { scheduler: false, controller_manager: false, ..Options::default() };
        let flags = vec![
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", audit_log.display()),
        ];
        options.extra_args.insert(crate::support::Component::ApiServer, flags);
        let plane = ControlPlane::start(options).await?;
        install(&plane).await?;
        let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, ACCOUNT).await?;
        let client = client_of(&plane.kubeconfig()).await?;
        Ok(Cluster { plane, client, audit_log, kubeconfig, heartbeats: Heartbeats::default() })
    }

    /// Makes `count` nodes, and lets each renew its lease every `period` from then on.
    pub(crate) async fn populate(&mut self, count: usize, period: Duration) -> Result<()> {
        let client = &self.client;
        let versions: Vec<String> = futures::stream::iter(0..count)
            .map(async |number| make(client, number).await)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        self.heartbeats = Heartbeats::start(client.clone(), versions, period);
        Ok(())
    }

    /// Heartbeats that were sent so far, and those of them that failed.
    pub(crate) fn heartbeats(&self) -> (u64, u64) {
        (self.heartbeats.sent.load(Ordering::Relaxed), self.heartbeats.failed.load(Ordering::Relaxed))
    }
}

/// All that the controller asks, and nothing else: five hundred heartbeats a second would fill a disk.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "users": [format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}")]},
            {"level": "None"},
        ],
    })
}

/// Of `deploy/install.yaml` what a controller outside of the cluster needs: no pods, no webhook.
async fn install(plane: &ControlPlane) -> Result<()> {
    const KINDS: [&str; 7] = [
        "Namespace",
        "CustomResourceDefinition",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    ];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(|| format!("{path} is no YAML"))?;
    let wanted: Vec<&Value> =
        all.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| KINDS.contains(&kind))).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": wanted}).to_string();
    wait_for("our resources to be taken", SOON, async || {
        let applied = plane.kubectl_fed(&["apply", "-f", "-"], &list).await?;
        ensure!(applied.success, "{}", applied.stderr);
        Ok(())
    })
    .await?;
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    let waited = plane.kubectl(&established).await?;
    ensure!(waited.success, "{}", waited.stderr);
    Ok(())
}

/// One node with its lease. Returns the version of the lease.
async fn make(client: &Client, number: usize) -> Result<String> {
    let name = name(number);
    let node: Node = serde_json::from_value(node(number))?;
    let made = Api::<Node>::all(client.clone()).create(&PostParams::default(), &node).await;
    let made = made.with_context(|| format!("cannot create the node {name}"))?;
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": name, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": name, "uid": made.metadata.uid},
        ]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": MicroTime(wall_now())},
    }))?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    wait_for("a lease to be made", SOON, async || {
        let made = leases.create(&PostParams::default(), &lease).await?;
        Ok(made.metadata.resource_version.unwrap_or_default())
    })
    .await
}

/// A node as a kubelet of a cloud registers it, images and all: about 13 KB of JSON.
pub(crate) fn node(number: usize) -> Value {
    let name = name(number);
    let zone = format!("eu-central-1{}", ["a", "b", "c"].get(number % 3).copied().unwrap_or("a"));
    let image = |index: usize| {
        let digest = format!("{:064x}", (index as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834));
        let repository = format!("602401143452.dkr.ecr.eu-central-1.amazonaws.com/team-{}/service-{index}", index % 7);
        json!({"names": [format!("{repository}@sha256:{digest}"), format!("{repository}:v1.{index}.0")],
               "sizeBytes": 40_000_000 + index * 1_371_113})
    };
    let capacity = json!({"cpu": "8", "memory": "32386544Ki", "pods": "110", "ephemeral-storage": "83873772Ki",
                          "hugepages-1Gi": "0", "hugepages-2Mi": "0"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/instance-type": "m6i.2xlarge", "eks.amazonaws.com/capacityType": "ON_DEMAND",
                "eks.amazonaws.com/nodegroup": format!("workers-{}", number % 10),
                "eks.amazonaws.com/nodegroup-image": "ami-0a1b2c3d4e5f60718",
                "failure-domain.beta.kubernetes.io/region": "eu-central-1",
                "failure-domain.beta.kubernetes.io/zone": zone, "k8s.io/cloud-provider-aws": "a94967527effcefb5f5829f529c0a1b9",
                "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "m6i.2xlarge", "topology.ebs.csi.aws.com/zone": zone,
                "topology.kubernetes.io/region": "eu-central-1", "topology.kubernetes.io/zone": zone,
            },
            "annotations": {
                "alpha.kubernetes.io/provided-node-ip": agents::address(number).to_string(),
                "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"i-{number:017x}\"}}"),
                "node.alpha.kubernetes.io/ttl": "300",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": {"providerID": format!("aws:///{zone}/i-{number:017x}")},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": agents::address(number)},
                {"type": "InternalDNS", "address": name}, {"type": "Hostname", "address": name},
            ],
            "capacity": capacity, "allocatable": capacity,
            "conditions": conditions(),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": (0..50).map(image).collect::<Vec<_>>(),
            "nodeInfo": {
                "architecture": "amd64", "bootID": format!("{number:08x}-7b1d-4b8e-9d55-5a86a2f0d1aa"),
                "containerRuntimeVersion": "containerd://2.1.4", "kernelVersion": "6.12.46-66.121.amzn2023.x86_64",
                "kubeProxyVersion": "", "kubeletVersion": "v1.37.0", "machineID": format!("{number:032x}"),
                "operatingSystem": "linux", "osImage": "Amazon Linux 2023.9.20260914",
                "systemUUID": format!("{number:08x}-9c1f-6bfb-2a53-bd1a4dbf2d0c"),
            },
        },
    })
}

fn conditions() -> Value {
    let now = wall_now().to_string();
    let seconds = now.split_once('.').map_or(now.clone(), |(whole, _)| format!("{whole}Z"));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": message,
               "lastHeartbeatTime": seconds, "lastTransitionTime": seconds})
    };
    json!([
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ])
}

/// What all kubelets together write.
#[derive(Default)]
struct Heartbeats {
    sent: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Heartbeats {
    fn start(client: Client, versions: Vec<String>, period: Duration) -> Heartbeats {
        let mut beats = Heartbeats::default();
        let (sent, failed) = (Arc::clone(&beats.sent), Arc::clone(&beats.failed));
        let task = tokio::spawn(async move {
            let count = versions.len();
            let versions: Arc<Vec<tokio::sync::Mutex<String>>> =
                Arc::new(versions.into_iter().map(tokio::sync::Mutex::new).collect());
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let mut tick = tokio::time::interval(BEAT);
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut due = (Due::new(count, period), Due::new(count, STATUS_EVERY));
            loop {
                tick.tick().await;
                let renewals = due.0.next().into_iter().map(|number| (number, false));
                let statuses = due.1.next().into_iter().map(|number| (number, true));
                for (number, is_status) in renewals.chain(statuses).collect::<Vec<_>>() {
                    let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                    let (client, versions) = (client.clone(), Arc::clone(&versions));
                    let (sent, failed) = (Arc::clone(&sent), Arc::clone(&failed));
                    tokio::spawn(async move {
                        let done = match versions.get(number) {
                            Some(_) if is_status => write_status(&client, number).await,
                            Some(version) => renew(&client, number, &mut *version.lock().await).await,
                            None => Ok(()),
                        };
                        sent.fetch_add(1, Ordering::Relaxed);
                        failed.fetch_add(u64::from(done.is_err()), Ordering::Relaxed);
                        drop(place);
                    });
                }
            }
        });
        beats.task = Some(task);
        beats
    }
}

/// Numbers that come round once in a period, a few in every [`BEAT`].
struct Due {
    count: usize,
    each: f64,
    owed: f64,
    at: usize,
}

impl Due {
    fn new(count: usize, period: Duration) -> Due {
        Due { count, each: count as f64 * BEAT.as_secs_f64() / period.as_secs_f64(), owed: 0.0, at: 0 }
    }

    fn next(&mut self) -> Vec<usize> {
        self.owed += self.each;
        let mut numbers = Vec::new();
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            numbers.push(self.at);
            self.at = (self.at + 1) % self.count.max(1);
        }
        numbers
    }
}

async fn renew(client: &Client, number: usize, version: &mut String) -> Result<()> {
    let name = name(number);
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": name, "resourceVersion": version},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": MicroTime(wall_now())},
    }))?;
    *version =
        leases.replace(&name, &PostParams::default(), &lease).await?.metadata.resource_version.unwrap_or_default();
    Ok(())
}

async fn write_status(client: &Client, number: usize) -> Result<()> {
    let patch = Patch::Strategic(json!({"status": {"conditions": conditions()}}));
    Api::<Node>::all(client.clone()).patch_status(&name(number), &PatchParams::default(), &patch).await?;
    Ok(())
}
