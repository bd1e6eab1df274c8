//! `deploy/install.yaml` on a real API server: taken whole, applied again without a change, pods that are admitted,
//! and programs that work with exactly the rights that it gives them.
//!
//! No kubelet runs the pods here; the programs are started with the arguments and the identity that their pods have.

pub(crate) mod manifest;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use jiff::SignedDuration;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use self::manifest::{Manifest, NAMESPACE};
use crate::support::{
    Clockwarden, ControlPlane, FakeNode, Faketime, NodeSpec, Options, Outcome, client_of, requests, run, wait_for,
};

const SOON: Duration = Duration::from_secs(30);
const CONTROLLER: &str = "clockwarden-controller";

async fn empty() -> Result<ControlPlane> {
    let options = Options { scheduler: false, controller_manager: false, ..Options::default() };
    let plane = ControlPlane::start(options).await?;
    // The API server makes this namespace a moment after it is ready, and a Role of ours lives in it.
    wait_for("the namespace default", SOON, async || {
        let got = plane.kubectl(&["get", "namespace", "default"]).await?;
        ensure!(got.success, "{got:?}");
        Ok(())
    })
    .await?;
    Ok(plane)
}

pub(crate) async fn installed() -> Result<ControlPlane> {
    let plane = empty().await?;
    apply(&plane, &[]).await?;
    Ok(plane)
}

/// Warnings are failures, too.
pub(crate) async fn apply(plane: &ControlPlane, args: &[&str]) -> Result<()> {
    let applied = plane.kubectl(&[&["apply", "-f", manifest::PATH], args].concat()).await?;
    ensure!(applied.success && applied.stderr.is_empty(), "{applied:?}");
    Ok(())
}

#[test]
fn the_manifest_is_taken_whole_and_applying_it_again_changes_nothing() -> Outcome {
    run(async {
        for way in [&[] as &[&str], &["--server-side"]] {
            let plane = empty().await?;
            apply(&plane, way).await?;
            let before = versions(&plane).await?;
            assert_eq!(before.len(), Manifest::read()?.objects().len(), "{before:?}");
            apply(&plane, way).await?;
            assert_eq!(versions(&plane).await?, before, "applied twice with {way:?}");
            apply(&plane, &[way, &["--dry-run=server", "--validate=strict"]].concat()).await?;
        }
        Ok(())
    })
}

/// The resourceVersion of every object of the manifest: what a write without a change leaves as it is. (kubectl says
/// "configured" of some kinds whatever happens.)
async fn versions(plane: &ControlPlane) -> Result<BTreeMap<String, String>> {
    const COLUMNS: &str = "jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}={.metadata.resourceVersion}{\"\\n\"}{end}";
    let got = plane.kubectl(&["get", "-f", manifest::PATH, "-o", COLUMNS]).await?;
    ensure!(got.success, "{got:?}");
    let pairs = got.stdout.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(object, version)| (object.to_owned(), version.to_owned())).collect())
}

/// The namespace must be privileged for the agent's host network and for the folder of its history, and for nothing else;
/// root is only who gives that folder to the agent.
#[test]
fn pods_are_admitted_and_ask_for_nothing_but_the_agents_host_network_and_history() -> Outcome {
    run(async {
        let plane = installed().await?;
        let manifest = Manifest::read()?;
        let restricted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
        }});
        let made = plane.kubectl_fed(&["create", "-f", "-"], &restricted.to_string()).await?;
        ensure!(made.success, "{made:?}");
        for (kind, name) in
            [("DaemonSet", "clockwarden-agent"), ("Deployment", CONTROLLER), ("Deployment", "clockwarden-webhook")]
        {
            let made = plane.kubectl(&["create", "serviceaccount", "-n", "restricted", name]).await?;
            ensure!(made.success, "{made:?}");
            let template = manifest.get(kind, name)?.pointer("/spec/template").context("no template")?.clone();
            let create = async |namespace: &str| {
                let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": template.get("spec"), "metadata": {
                    "name": "tried", "namespace": namespace, "labels": template.pointer("/metadata/labels"),
                }});
                // Its namespace admits a critical pod only with the quota of the manifest.
                if namespace == "restricted" {
                    pod.pointer_mut("/spec")
                        .and_then(Value::as_object_mut)
                        .map(|spec| spec.remove("priorityClassName"));
                }
                plane.kubectl_fed(&["create", "--dry-run=server", "-f", "-"], &pod.to_string()).await
            };
            let here = create(NAMESPACE).await?;
            ensure!(here.success && here.stderr.is_empty(), "{name}: {here:?}");
            let there = create("restricted").await?;
            if kind == "DaemonSet" {
                let said = there.stderr.trim().split("\"restricted:latest\": ").nth(1).unwrap_or(&there.stderr);
                assert_eq!(
                    said,
                    "host namespaces (hostNetwork=true), \
                     hostPort (container \"agent\" uses hostPort 9555), \
                     unrestricted capabilities (container \"history\" must not include \"CHOWN\" in \
                     securityContext.capabilities.add), \
                     restricted volume types (volume \"history\" uses restricted volume type \"hostPath\"), \
                     runAsNonRoot != true (container \"history\" must not set securityContext.runAsNonRoot=false), \
                     runAsUser=0 (container \"history\" must not set runAsUser=0)"
                );
            } else {
                ensure!(there.success && there.stderr.is_empty(), "{name}: {there:?}");
            }
            ensure!(
                template.pointer("/spec/automountServiceAccountToken").is_none_or(|mount| mount == false),
                "{name} mounts a token that it should not have"
            );
        }
        Ok(())
    })
}

#[test]
fn the_controller_works_with_exactly_the_rights_of_the_manifest() -> Outcome {
    run(async {
        let plane = installed().await?;
        let client = plane.client().await?;
        let mut nodes = Vec::new();
        let mut agents = Vec::new();
        for number in 1..=3 {
            let spec = NodeSpec::new(&format!("n{number}"), address(number));
            nodes.push(FakeNode::create(client.clone(), spec).await?);
            agents.push(agent(number).await?);
        }
        let controller = Controller::start(&plane).await?;
        let policy = plane.kubectl_fed(&["apply", "-f", "-"], &quick_policy().to_string()).await?;
        ensure!(policy.success, "{policy:?}");

        let (clock, _) = agents.first().context("no agent")?;
        clock.set(SignedDuration::from_secs(15))?;
        wait_tainted(&client, "n1", true).await?;
        clock.set(SignedDuration::ZERO)?;
        wait_tainted(&client, "n1", false).await?;
        // The finalizer: a policy that is deleted takes its taint along.
        clock.set(SignedDuration::from_secs(-15))?;
        wait_tainted(&client, "n1", true).await?;
        let deleted = plane.kubectl(&["delete", "tsp", "quick", "--timeout=30s"]).await?;
        ensure!(deleted.success, "{deleted:?}");
        wait_tainted(&client, "n1", false).await?;
        let log = controller.end().await?;
        ensure!(!log.contains("forbidden"), "the controller was refused something:\n{log}");

        let user = format!("system:serviceaccount:{NAMESPACE}:{CONTROLLER}");
        let mut used = BTreeSet::new();
        for write in requests::writes_of(&plane, &user)? {
            let object = write.object_ref.context("a write without an object")?;
            let code = write.response_status.and_then(|status| status.code).unwrap_or_default();
            ensure!(code != 403, "refused: {} {object:?}", write.verb);
            let part = object.subresource.map(|part| format!("/{part}")).unwrap_or_default();
            let place = object.namespace.unwrap_or_default();
            used.insert((place, format!("{}{part}", object.resource.unwrap_or_default()), write.verb));
        }
        let granted: BTreeSet<_> = Manifest::read()?
            .rights_of(CONTROLLER)?
            .into_iter()
            .filter(|(_, _, verb)| !matches!(verb.as_str(), "get" | "list" | "watch"))
            .collect();
        // What is granted and never used is a right too many; what is used and not granted was refused above.
        // An event is patched only when it repeats within six minutes.
        let patched = ("default".to_owned(), "events".to_owned(), "patch".to_owned());
        used.insert(patched);
        // Reports of the audit are written where their CRD is installed; the tests of each single right do that.
        for kind in ["policyreports", "clusterpolicyreports"] {
            used.extend(["create", "patch", "delete"].map(|verb| (String::new(), kind.to_owned(), verb.to_owned())));
        }
        assert_eq!(used, granted);
        Ok(())
    })
}

#[test]
fn the_accounts_may_do_what_they_must_and_nothing_else() -> Outcome {
    run(async {
        let plane = installed().await?;
        let own = NAMESPACE;
        let lease = Some("clockwarden-controller");
        let secret = Some("clockwarden-webhook-tls");
        #[rustfmt::skip]
        let table = [
            // account, verb, group, resource, namespace, name, may
            (CONTROLLER, "patch", "", "nodes", "", None, true),
            (CONTROLLER, "patch", "", "nodes/status", "", None, true),
            (CONTROLLER, "watch", "clockwarden.io", "timesyncpolicies", "", None, true),
            (CONTROLLER, "create", "clockwarden.io", "nodeclocks", "", None, true),
            (CONTROLLER, "create", "events.k8s.io", "events", "default", None, true),
            (CONTROLLER, "update", "coordination.k8s.io", "leases", own, lease, true),
            (CONTROLLER, "watch", "coordination.k8s.io", "leases", "kube-node-lease", None, true),
            (CONTROLLER, "list", "coordination.k8s.io", "leases", "kube-system", None, true),
            (CONTROLLER, "watch", "coordination.k8s.io", "leases", "default", None, false),
            (CONTROLLER, "delete", "", "nodes", "", None, false),
            (CONTROLLER, "update", "", "nodes", "", None, false),
            (CONTROLLER, "create", "", "nodes", "", None, false),
            (CONTROLLER, "get", "", "nodes/proxy", "", None, false),
            (CONTROLLER, "get", "", "secrets", own, secret, false),
            (CONTROLLER, "list", "", "secrets", "", None, false),
            (CONTROLLER, "list", "", "secrets", own, None, false),
            (CONTROLLER, "list", "", "pods", "", None, true),
            (CONTROLLER, "get", "", "pods", own, None, false),
            (CONTROLLER, "watch", "", "pods", "", None, false),
            (CONTROLLER, "list", "configuration.konghq.com", "kongclusterplugins", "", None, true),
            (CONTROLLER, "patch", "apps", "deployments", own, None, false),
            (CONTROLLER, "patch", "wgpolicyk8s.io", "policyreports", "default", Some("clockwarden"), true),
            (CONTROLLER, "patch", "wgpolicyk8s.io", "policyreports", "default", Some("another"), false),
            (CONTROLLER, "delete", "wgpolicyk8s.io", "clusterpolicyreports", "", Some("clockwarden"), true),
            (CONTROLLER, "list", "wgpolicyk8s.io", "policyreports", "", None, false),
            (CONTROLLER, "create", "", "pods", own, None, false),
            (CONTROLLER, "create", "", "pods/eviction", "default", None, false),
            (CONTROLLER, "create", "", "serviceaccounts/token", own, None, false),
            (CONTROLLER, "list", "", "configmaps", "", None, true),
            (CONTROLLER, "patch", "", "configmaps", own, None, false),
            (CONTROLLER, "create", "events.k8s.io", "events", "kube-system", None, false),
            (CONTROLLER, "update", "coordination.k8s.io", "leases", own, Some("another"), false),
            (CONTROLLER, "update", "coordination.k8s.io", "leases", "kube-system", None, false),
            (CONTROLLER, "update", "coordination.k8s.io", "leases", "kube-node-lease", None, false),
            (CONTROLLER, "delete", "clockwarden.io", "timesyncpolicies", "", None, false),
            (CONTROLLER, "create", "clockwarden.io", "timesyncpolicies", "", None, false),
            (CONTROLLER, "delete", "clockwarden.io", "nodeclocks", "", None, false),
            (CONTROLLER, "bind", "rbac.authorization.k8s.io", "clusterroles", "", None, false),
            ("clockwarden-webhook", "watch", "clockwarden.io", "timesyncpolicies", "", None, true),
            ("clockwarden-webhook", "get", "", "namespaces", "", None, true),
            ("clockwarden-webhook", "update", "", "secrets", own, secret, true),
            ("clockwarden-webhook", "update", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", Some("clockwarden"), true),
            ("clockwarden-webhook", "update", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", Some("another"), false),
            ("clockwarden-webhook", "get", "", "secrets", own, Some("another"), false),
            ("clockwarden-webhook", "list", "", "secrets", own, None, false),
            ("clockwarden-webhook", "create", "", "secrets", own, None, false),
            ("clockwarden-webhook", "list", "", "configmaps", "", None, false),
            ("clockwarden-webhook", "list", "", "pods", "", None, false),
            ("clockwarden-webhook", "patch", "", "namespaces", "", None, false),
            ("clockwarden-webhook", "patch", "clockwarden.io", "timesyncpolicies", "", None, false),
            ("clockwarden-webhook", "list", "", "nodes", "", None, false),
            ("clockwarden-agent", "list", "", "nodes", "", None, false),
            ("clockwarden-agent", "list", "clockwarden.io", "timesyncpolicies", "", None, false),
            ("clockwarden-agent", "get", "", "secrets", own, secret, false),
        ];
        let mut wrong = Vec::new();
        for account in [CONTROLLER, "clockwarden-webhook", "clockwarden-agent"] {
            let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, account).await?;
            let client = client_of(&kubeconfig).await?;
            for (_, verb, group, resource, namespace, name, may) in table.iter().filter(|row| row.0 == account) {
                let allowed = can(&client, verb, group, resource, namespace, *name).await?;
                if allowed != *may {
                    wrong.push(format!("{account} {verb} {resource} {name:?} in {namespace:?}: {allowed}"));
                }
            }
        }
        ensure!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    })
}

async fn can(
    client: &Client,
    verb: &str,
    group: &str,
    resource: &str,
    namespace: &str,
    name: Option<&str>,
) -> Result<bool> {
    let (resource, part) = resource.split_once('/').map_or((resource, None), |(whole, part)| (whole, Some(part)));
    let review: SelfSubjectAccessReview = serde_json::from_value(json!({"spec": {"resourceAttributes": {
        "verb": verb, "group": group, "resource": resource, "subresource": part, "namespace": namespace, "name": name,
    }}}))?;
    let answer = Api::<SelfSubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    answer.status.map(|status| status.allowed).ok_or_else(|| anyhow!("no status in the review of {verb} {resource}"))
}

/// The controller as its pod would run it: arguments, environment and identity of the manifest.
struct Controller(Clockwarden);

impl Controller {
    async fn start(plane: &ControlPlane) -> Result<Self> {
        let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, CONTROLLER).await?;
        let mut args = Manifest::read()?.args("Deployment", CONTROLLER)?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        args.extend(["--listen".to_owned(), listen.clone()]);
        let mut process = Clockwarden::start("controller", args, |command| {
            command.env("KUBECONFIG", kubeconfig).env("POD_NAMESPACE", NAMESPACE).env("RUST_LOG", "info");
        })?;
        process.wait_http(&format!("http://{listen}/readyz"), SOON).await?;
        Ok(Self(process))
    }

    /// What it has logged.
    async fn end(mut self) -> Result<String> {
        let ended = self.0.terminate(SOON).await?;
        let log = self.0.log()?;
        ensure!(ended.success(), "{ended}\n{log}");
        Ok(log)
    }
}

/// No other test's.
const PORT: u16 = 19557;

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 3, number)
}

async fn agent(number: u8) -> Result<(Faketime, Clockwarden)> {
    let clock = Faketime::new(SignedDuration::ZERO)?;
    let listen = format!("{}:{PORT}", address(number));
    let mut args = Manifest::read()?.args("DaemonSet", "clockwarden-agent")?;
    args.extend(["--listen".to_owned(), listen.clone(), "--chrony".to_owned(), "off".to_owned()]);
    let mut process = Clockwarden::start(&format!("agent-{number}"), args, |command| {
        clock.apply(command);
        command.env("NODE_NAME", format!("n{number}"));
    })?;
    process.wait_http(&format!("http://{listen}/readyz"), SOON).await?;
    Ok((clock, process))
}

fn quick_policy() -> Value {
    json!({
        "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": "quick"},
        "spec": {
            "source": {"agent": {"port": PORT}}, "interval": "1s", "tolerance": {"staleAfter": "5s"},
            "action": {"sustainedFor": "0s", "recoveredFor": "1s"},
        },
    })
}

async fn wait_tainted(client: &Client, node: &str, wanted: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let what = if wanted { format!("a taint on {node}") } else { format!("no taint on {node}") };
    wait_for(&what, SOON, async || {
        let taints = nodes.get(node).await?.spec.and_then(|spec| spec.taints).unwrap_or_default();
        ensure!(taints.iter().any(|taint| taint.key == "clockwarden.io/clock-drift") == wanted, "{taints:?}");
        Ok(())
    })
    .await
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
