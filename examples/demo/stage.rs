//! What the story is played on: a control plane, three nodes, their agents, a reference clock, our controller and
//! webhook.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::support::{Chronyd, Clockwarden, ControlPlane, FakeNode, Faketime, NodeSpec, Options, scratch, wait_for};

pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) plane: ControlPlane,
    /// The clock of node-3's agent.
    pub(crate) wrong: Faketime,
    _agents: Vec<Clockwarden>,
    _nodes: Vec<FakeNode>,
    _reference: Chronyd,
    _controller: Clockwarden,
    _webhook: Clockwarden,
}

pub(crate) fn node(number: u8) -> String {
    format!("node-{number}")
}

pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number)
}

pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

impl Stage {
    /// Builds everything up; `say` tells what is being done.
    pub(crate) async fn set(say: &dyn Fn(&str)) -> Result<Stage> {
        say("starting etcd, kube-apiserver, kube-scheduler and kube-controller-manager");
        let plane = ControlPlane::start(Options::default()).await?;
        let client = plane.client().await?;
        say("kubectl apply -f crds/");
        let crds = file("crds").display().to_string();
        apply(&plane, &["apply", "-f", &crds]).await?;
        apply(&plane, &["wait", "--for=condition=Established", "--timeout=60s", "-f", &crds]).await?;
        plane.create_namespace("clockwarden-system").await?;

        say("starting chronyd on loopback, as the reference that the agents ask");
        let reference = Chronyd::reference(Ipv4Addr::new(127, 0, 0, 53)).await?;
        say("starting three nodes, each with an agent of its own at 127.0.1.1 to 127.0.1.3, port 9555");
        let (mut nodes, mut agents) = (Vec::new(), Vec::new());
        let (right, wrong) = (Faketime::new(SignedDuration::ZERO)?, Faketime::new(SignedDuration::ZERO)?);
        for number in 1..=3 {
            nodes.push(FakeNode::create(client.clone(), NodeSpec::new(&node(number), address(number))).await?);
            agents.push(agent(number, &reference, if number == 3 { &wrong } else { &right }).await?);
        }
        for node in &nodes {
            node.wait_schedulable().await?;
        }
        say("starting clockwarden controller");
        let controller = start(&plane, "controller", ("--listen", &listen()?), &[]).await?;
        say("starting clockwarden webhook, and telling the API server about it");
        let webhook = webhook(&plane).await?;
        Ok(Stage {
            plane,
            wrong,
            _agents: agents,
            _nodes: nodes,
            _reference: reference,
            _controller: controller,
            _webhook: webhook,
        })
    }

    /// `kubectl ARGS…`, whose output is shown as it is.
    pub(crate) async fn show(&self, args: &[&str]) -> Result<()> {
        let output = self.plane.kubectl(args).await?;
        ensure!(output.success, "kubectl {} failed: {}", args.join(" "), output.stderr);
        println!("{}", indented(&format!("$ kubectl {}\n{}", args.join(" "), output.stdout)));
        Ok(())
    }
}

pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("          {line}\n")).collect()
}

async fn apply(plane: &ControlPlane, args: &[&str]) -> Result<()> {
    let output = plane.kubectl(args).await?;
    ensure!(output.success, "kubectl {} failed: {}", args.join(" "), output.stderr);
    Ok(())
}

async fn agent(number: u8, reference: &Chronyd, clock: &Faketime) -> Result<Clockwarden> {
    let (listen, ntp) = (format!("{}:9555", address(number)), format!("ntp://{}", reference.ntp()));
    let name = node(number);
    let args = ["agent", "--listen", &listen, "--reference", &ntp, "--chrony", "off", "--node-name", &name];
    let mut process = Clockwarden::start(&format!("agent-{number}"), args, |command| clock.apply(command))?;
    process.wait_http(&format!("http://{listen}/readyz"), SOON).await?;
    Ok(process)
}

fn listen() -> Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A command of ours that works with the control plane and tells at this address when it is ready.
async fn start(plane: &ControlPlane, name: &str, (flag, health): (&str, &str), args: &[&str]) -> Result<Clockwarden> {
    let mut all = vec![name, flag, health];
    all.extend_from_slice(args);
    let mut process = Clockwarden::start(name, all, |command| {
        command.env("KUBECONFIG", plane.kubeconfig());
    })?;
    process.wait_http(&format!("http://{health}/readyz"), SOON).await?;
    Ok(process)
}

/// The webhook with a certificate for loopback, and the configuration of `deploy/install.yaml` pointing at it.
async fn webhook(plane: &ControlPlane) -> Result<Clockwarden> {
    let (listen, metrics) = (listen()?, listen()?);
    let certificate = plane.authority().server("webhook", &["127.0.0.1"])?;
    let (cert, key) = (certificate.certificate.display().to_string(), certificate.key.display().to_string());
    let args = ["--listen", &listen, "--tls-cert", &cert, "--tls-key", &key];
    let process = start(plane, "webhook", ("--metrics-listen", &metrics), &args).await?;
    let mut configuration = installed("ValidatingWebhookConfiguration")?;
    let bundle = ByteString(std::fs::read(plane.ca()).context("cannot read the CA of the control plane")?);
    let hooks = configuration.get_mut("webhooks").and_then(Value::as_array_mut);
    for hook in hooks.context("deploy/install.yaml: no webhooks")? {
        let fields = hook.as_object_mut().context("deploy/install.yaml: a webhook is no object")?;
        let client = json!({"url": format!("https://{listen}/validate"), "caBundle": bundle});
        fields.insert("clientConfig".to_owned(), client);
    }
    let path = scratch::directory("webhook-configuration")?.join("configuration.json");
    std::fs::write(&path, configuration.to_string())?;
    apply(plane, &["apply", "-f", &path.display().to_string()]).await?;
    Ok(process)
}

/// The object of this kind in `deploy/install.yaml`.
fn installed(kind: &str) -> Result<Value> {
    let text = std::fs::read_to_string(file("deploy/install.yaml")).context("cannot read deploy/install.yaml")?;
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).context("deploy/install.yaml is not as expected")?;
    let found = all.into_iter().find(|object| object["kind"] == kind);
    found.with_context(|| format!("deploy/install.yaml has no {kind}"))
}

/// Waits until `kubectl` says what is expected; its last words are the error.
pub(crate) async fn until(stage: &Stage, what: &str, args: &[&str], expected: impl Fn(&str) -> bool) -> Result<String> {
    wait_for(what, SOON, async || {
        let output = stage.plane.kubectl(args).await?;
        ensure!(output.success && expected(&output.stdout), "kubectl says {:?} {}", output.stdout, output.stderr);
        Ok(output.stdout)
    })
    .await
}
