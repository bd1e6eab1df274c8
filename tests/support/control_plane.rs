//! A control plane of real processes on loopback: etcd, API server, scheduler, controller-manager.
//!
//! Tests share one (`ControlPlane::shared`), each with its own node names and namespaces; a test that kills
//! components or changes cluster-wide things starts a private one. Every file and every component's log is
//! below one directory.
//!
//! Does not know: identities (`kubeconfig`), nodes and clocks, which tests add.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::sync::OnceCell;

use super::components::{Component, Files, Ports};
use super::kubeconfig::config_of;
use super::process::Process;
use super::scratch;
use super::wait::wait_for;

/// From the start of a component until it must be ready. Ten times what two idle cores need.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A port that was free may be taken before the component binds it; so often we try others.
const PORT_ATTEMPTS: u32 = 4;

/// What a private control plane shall have.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) scheduler: bool,
    /// Without it, nodes keep their not-ready taint and namespaces get no service account.
    pub(crate) controller_manager: bool,
    /// Further flags, such as `--node-monitor-grace-period=5s` for the controller-manager.
    pub(crate) extra_args: BTreeMap<Component, Vec<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { scheduler: true, controller_manager: true, extra_args: BTreeMap::new() }
    }
}

/// A running control plane. Dropping it kills every component, in the order of `stop`.
pub(crate) struct ControlPlane {
    pub(super) files: Files,
    ports: Ports,
    options: Options,
    processes: Mutex<BTreeMap<Component, Process>>,
}

static SHARED: OnceCell<std::result::Result<Arc<ControlPlane>, String>> = OnceCell::const_new();

impl ControlPlane {
    /// The control plane that all tests of this binary share, started by the first that asks.
    pub(crate) async fn shared() -> Result<Arc<Self>> {
        let outcome = SHARED
            .get_or_init(|| async {
                let started = Self::start(Options::default()).await;
                started.map(Arc::new).map_err(|error| format!("{error:#}"))
            })
            .await;
        outcome.clone().map_err(|error| anyhow!("the shared control plane did not start: {error}"))
    }

    /// Starts a private one and waits until every component is ready.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let plane = Self::prepare(options.clone())?;
            match plane.start_all().await {
                Ok(()) => return Ok(plane),
                Err(error) if attempt < PORT_ATTEMPTS && format!("{error:#}").contains("address already in use") => {
                    attempt += 1;
                }
                Err(error) => {
                    scratch::keep();
                    return Err(error.context("the control plane did not start"));
                }
            }
        }
    }

    fn prepare(options: Options) -> Result<Self> {
        let plane = Self {
            files: Files::create(scratch::directory("control-plane")?)?,
            ports: Ports::free()?,
            options,
            processes: Mutex::default(),
        };
        for (name, user, groups) in [
            ("admin", "test-admin", &["system:masters"] as &[&str]),
            ("kube-scheduler", "system:kube-scheduler", &[]),
            ("kube-controller-manager", "system:kube-controller-manager", &[]),
        ] {
            plane.write_kubeconfig(name, user, groups)?;
        }
        Ok(plane)
    }

    async fn start_all(&self) -> Result<()> {
        for component in Component::ALL {
            if self.has(component) {
                self.start_component(component).await?;
            }
        }
        Ok(())
    }

    fn has(&self, component: Component) -> bool {
        match component {
            Component::Etcd | Component::ApiServer => true,
            Component::Scheduler => self.options.scheduler,
            Component::ControllerManager => self.options.controller_manager,
        }
    }

    /// The URL of the API server.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    /// The PEM file of the authority that signed the API server's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.files.authority.certificate()
    }

    /// The directory with every log and file of this control plane.
    pub(crate) fn directory(&self) -> &Path {
        &self.files.directory
    }

    /// The authority, for serving certificates that webhooks need.
    pub(crate) fn authority(&self) -> &super::pki::Authority {
        &self.files.authority
    }

    /// Creates a namespace and, where there is a controller-manager, waits for its default service account,
    /// without which no pod is admitted.
    pub(crate) async fn create_namespace(&self, name: &str) -> Result<()> {
        let client = self.client().await?;
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("cannot create the namespace {name}"))?;
        if self.options.controller_manager {
            let accounts: Api<ServiceAccount> = Api::namespaced(client, name);
            let what = format!("the default service account of {name}");
            wait_for(&what, READY_WITHIN, async || Ok(accounts.get("default").await?)).await?;
        }
        Ok(())
    }

    /// Kills one component with SIGKILL and waits until it is gone. Its data stays.
    pub(crate) fn stop_component(&self, component: Component) -> Result<()> {
        let process = self.lock().remove(&component);
        let mut process = process.with_context(|| format!("{} is not running", component.binary()))?;
        process.kill()
    }

    /// Sends a signal to one component: STOP freezes it with all its connections open, CONT lets it go on.
    pub(crate) fn signal_component(&self, component: Component, signal: rustix::process::Signal) -> Result<()> {
        let mut processes = self.lock();
        let process = processes.get_mut(&component);
        process.with_context(|| format!("{} is not running", component.binary()))?.signal(signal)
    }

    /// A new serving certificate and key from the same authority; components started from now on use it.
    pub(crate) fn renew_serving(&self) -> Result<()> {
        self.files.renew_serving()
    }

    /// The process id of a running component.
    pub(crate) fn pid(&self, component: Component) -> Result<u32> {
        let pid = self.lock().get(&component).map(Process::pid);
        pid.with_context(|| format!("{} is not running", component.binary()))
    }

    /// Starts a component that is not running, on the same port and data, and waits until it is ready.
    pub(crate) async fn start_component(&self, component: Component) -> Result<()> {
        ensure!(!self.lock().contains_key(&component), "{} is running already", component.binary());
        let extra = self.options.extra_args.get(&component).map_or(&[] as &[String], Vec::as_slice);
        let command = component.command(&self.files, &self.ports, extra)?;
        let log = self.files.directory.join(format!("{}.log", component.binary()));
        let mut process = Process::spawn(component.binary(), command, &log)?;
        self.wait_ready(component, &mut process).await?;
        self.lock().insert(component, process);
        Ok(())
    }

    async fn wait_ready(&self, component: Component, process: &mut Process) -> Result<()> {
        let (port, path) = match component {
            Component::Etcd => (self.ports.etcd, "/readyz"),
            Component::ApiServer => (self.ports.api_server, "/readyz"),
            Component::Scheduler => (self.ports.scheduler, "/readyz"),
            Component::ControllerManager => (self.ports.controller_manager, "/healthz"),
        };
        let what = format!("{} to be ready", component.binary());
        if component == Component::Etcd {
            let url = format!("http://127.0.0.1:{port}{path}");
            return process
                .wait_ready(&what, READY_WITHIN, async || {
                    let answer = super::http::get(&url).await?;
                    ensure!(answer.status == 200, "{path} says {}: {}", answer.status, answer.body);
                    Ok(())
                })
                .await;
        }
        // All three serve with a certificate of ours, so that the administrator's client fits each of them.
        let mut config = config_of(&self.kubeconfig()).await?;
        config.cluster_url = format!("https://127.0.0.1:{port}").parse()?;
        let client = Client::try_from(config)?;
        process
            .wait_ready(&what, READY_WITHIN, async || {
                let request = kube::client::Body::empty();
                let request = hyper::Request::get(path).body(request)?;
                let answer = client.send(request).await?;
                ensure!(answer.status() == 200, "{path} says {}", answer.status());
                Ok(())
            })
            .await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Component, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn audit_log(&self) -> PathBuf {
        self.files.audit_log()
    }
}

impl Drop for ControlPlane {
    /// Clients first: controller-manager, scheduler, API server, then etcd.
    fn drop(&mut self) {
        let mut processes = std::mem::take(&mut *self.lock());
        while let Some((_, process)) = processes.pop_last() {
            drop(process);
        }
        scratch::remove(&self.files.directory);
    }
}

impl Ports {
    fn free() -> Result<Self> {
        // All are held until each is known, so that they differ.
        let held: Vec<TcpListener> = (0..5)
            .map(|_| TcpListener::bind("127.0.0.1:0"))
            .collect::<Result<_, _>>()
            .context("no free port on 127.0.0.1")?;
        let ports: Vec<u16> = held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<Result<_>>()?;
        let [etcd, etcd_peer, api_server, scheduler, controller_manager] = ports[..] else {
            return Err(anyhow!("asked for five ports, got {}", ports.len()));
        };
        Ok(Self { etcd, etcd_peer, api_server, scheduler, controller_manager })
    }
}
