//! The processes of a control plane: which there are, and their command lines.
//!
//! Separate processes, so that a test can kill one and start it again. The flags are those with which a
//! cluster of fake nodes works with least machinery; each that is not obvious says why.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::pki::{self, Authority, Identity};
use super::tools;

/// A process of the control plane. The order is that of starting; stopping goes the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Component {
    Etcd,
    ApiServer,
    Scheduler,
    ControllerManager,
}

/// The controllers that fake nodes need; all others (deployments, volumes, …) are left out.
const CONTROLLERS: &[&str] = &[
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "namespace-controller",
    "pod-garbage-collector-controller",
    "garbage-collector-controller",
    "endpointslice-controller",
];

/// Writes are recorded with who made them; reads would only make the file long.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
    {"level": "None"}
  ]
}"#;

/// By which the API server and the others are known.
const SERVED: [&str; 4] = ["127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1"];

/// The ports of one control plane, all on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) scheduler: u16,
    pub(crate) controller_manager: u16,
}

/// The files of one control plane.
pub(crate) struct Files {
    pub(crate) directory: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) serving: Identity,
    pub(crate) service_account_key: PathBuf,
    pub(crate) service_account_public_key: PathBuf,
    pub(crate) audit_policy: PathBuf,
}

impl Files {
    pub(crate) fn create(directory: PathBuf) -> Result<Self> {
        let authority = Authority::create(&directory, "clockwarden-test-ca")?;
        let serving = authority.server("serving", &SERVED)?;
        let service_account_key = directory.join("service-account.key");
        let service_account_public_key = directory.join("service-account.pub");
        pki::signing_key(&service_account_key, &service_account_public_key)?;
        let audit_policy = directory.join("audit-policy.json");
        std::fs::write(&audit_policy, AUDIT_POLICY)?;
        Ok(Self { directory, authority, serving, service_account_key, service_account_public_key, audit_policy })
    }

    /// Replaces the serving certificate and its key, in the same files.
    pub(crate) fn renew_serving(&self) -> Result<()> {
        self.authority.server("serving", &SERVED).map(drop)
    }

    /// The kubeconfig of a component's own identity, or the administrator's.
    pub(crate) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.kubeconfig"))
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.directory.join("audit.log")
    }
}

impl Component {
    pub(crate) const ALL: [Self; 4] = [Self::Etcd, Self::ApiServer, Self::Scheduler, Self::ControllerManager];

    /// The name of its binary.
    pub(crate) fn binary(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Scheduler => "kube-scheduler",
            Self::ControllerManager => "kube-controller-manager",
        }
    }

    pub(crate) fn command(self, files: &Files, ports: &Ports, extra: &[String]) -> Result<Command> {
        let mut command = Command::new(tools::control_plane(self.binary())?);
        match self {
            Self::Etcd => etcd(&mut command, files, ports),
            Self::ApiServer => api_server(&mut command, files, ports),
            Self::Scheduler => scheduler(&mut command, files, ports),
            Self::ControllerManager => controller_manager(&mut command, files, ports),
        }
        command.args(extra).current_dir(&files.directory);
        Ok(command)
    }
}

fn etcd(command: &mut Command, files: &Files, ports: &Ports) {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    command
        .args(["--name=test", "--log-level=warn", "--unsafe-no-fsync"])
        .arg(flag("data-dir", &files.directory.join("etcd")))
        .args([
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=test={peer}"),
        ]);
}

fn api_server(command: &mut Command, files: &Files, ports: &Ports) {
    command
        .args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            // The Endpoints of the `kubernetes` service may not be loopback addresses.
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            "--profiling=false",
        ])
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd))
        .arg(format!("--secure-port={}", ports.api_server))
        .args(serving(files))
        .arg(flag("client-ca-file", &files.authority.certificate()))
        .arg(flag("service-account-key-file", &files.service_account_public_key))
        .arg(flag("service-account-signing-key-file", &files.service_account_key))
        .arg(flag("audit-policy-file", &files.audit_policy))
        .arg(flag("audit-log-path", &files.audit_log()));
}

fn scheduler(command: &mut Command, files: &Files, ports: &Ports) {
    let kubeconfig = files.kubeconfig("kube-scheduler");
    command
        .args(["--bind-address=127.0.0.1", "--leader-elect=false"])
        // The defaults (50 and 100) are too few for thousands of pods in a test.
        .args(["--kube-api-qps=1000", "--kube-api-burst=2000"])
        .arg(format!("--secure-port={}", ports.scheduler))
        .args(serving(files))
        .arg(flag("kubeconfig", &kubeconfig))
        .arg(flag("authentication-kubeconfig", &kubeconfig))
        .arg(flag("authorization-kubeconfig", &kubeconfig));
}

fn controller_manager(command: &mut Command, files: &Files, ports: &Ports) {
    let kubeconfig = files.kubeconfig("kube-controller-manager");
    command
        .args(["--bind-address=127.0.0.1", "--leader-elect=false"])
        // With false, RBAC refuses the controllers.
        .arg("--use-service-account-credentials=true")
        .arg("--authentication-skip-lookup=true")
        .arg(format!("--controllers={}", CONTROLLERS.join(",")))
        .arg(format!("--secure-port={}", ports.controller_manager))
        .args(serving(files))
        .arg(flag("kubeconfig", &kubeconfig))
        .arg(flag("authorization-kubeconfig", &kubeconfig))
        .arg(flag("root-ca-file", &files.authority.certificate()))
        .arg(flag("service-account-private-key-file", &files.service_account_key));
}

fn serving(files: &Files) -> [OsString; 2] {
    [flag("tls-cert-file", &files.serving.certificate), flag("tls-private-key-file", &files.serving.key)]
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}
