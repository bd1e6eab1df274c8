//! The two servers, each a process of its own that tells its CPU time when asked on its standard input.

use anyhow::{Context, bail};
use axum::routing::post;
use axum::{Json, Router};
use clockwarden::inspect::Bounds;
use clockwarden::policy::{Admission, Mode, Selector};
use clockwarden::runtime::CancellationToken;
use clockwarden::webhook::metrics::Metrics;
use clockwarden::webhook::policies::Policies;
use clockwarden::webhook::router::{Budget, Webhook, serving};
use clockwarden::webhook::server;
use clockwarden::webhook::tls::Files;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use prometheus_client::registry::Registry;
use rustix::time::{ClockId, clock_gettime};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use tokio::net::TcpListener;

/// A certificate for `localhost`, in files.
pub(crate) struct Identity {
    pub(crate) der: Vec<u8>,
    folder: tempfile::TempDir,
}

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const FOLDER: &str = "CLOCKWARDEN_BENCH_FOLDER";

impl Identity {
    pub(crate) fn new() -> anyhow::Result<Identity> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join(CERTIFICATE), made.cert.pem())?;
        std::fs::write(folder.path().join(KEY), made.signing_key.serialize_pem())?;
        Ok(Identity { der: made.cert.der().to_vec(), folder })
    }

    /// Certificate and key.
    pub(crate) fn files(&self) -> (std::path::PathBuf, std::path::PathBuf) {
        (self.folder.path().join(CERTIFICATE), self.folder.path().join(KEY))
    }
}

/// A server process; ends with this value.
pub(crate) struct Child {
    process: std::process::Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Child {
    pub(crate) fn start(kind: &str, identity: &Identity) -> anyhow::Result<Child> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", kind])
            .env(FOLDER, identity.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ask = process.stdin.take().context("no standard input")?;
        let answers = BufReader::new(process.stdout.take().context("no standard output")?);
        let mut child = Child { process, ask, answers, port: 0 };
        child.port = child.line()?.try_into()?;
        Ok(child)
    }

    fn line(&mut self) -> anyhow::Result<u64> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("the server said {line:?}"))
    }

    pub(crate) fn cpu_ns(&mut self) -> anyhow::Result<u64> {
        self.ask.write_all(b"\n")?;
        self.line()
    }

    /// A line of proc_pid_status(5).
    pub(crate) fn memory(&self, what: &str) -> anyhow::Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("no {what}"))?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It is ours, and there is nobody left to tell if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn serve(kind: &str) -> anyhow::Result<()> {
    let router = match kind {
        "ours" => ours(),
        "baseline" => Router::new().route("/validate", post(admit_everything)),
        other => bail!("unknown server {other:?}"),
    };
    if kind == "ours" {
        clockwarden::sys::keep_little_memory();
    }
    std::thread::spawn(tell_cpu_time);
    // As `clockwarden webhook` runs.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let folder = std::path::PathBuf::from(std::env::var_os(FOLDER).context(FOLDER)?);
        let files = Files { certificates: folder.join(CERTIFICATE), key: folder.join(KEY) };
        let files = files.open(&Metrics::new(&mut Registry::default())).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        server::serve(listener, files.certificate(), router, CancellationToken::new()).await
    })
}

fn ours() -> Router {
    let admission = Admission {
        mode: Mode::Enforce,
        bounds: Bounds::default(),
        namespaces: Selector::default(),
        settings: Vec::new(),
    };
    let policies = Policies::fixed([("production".to_owned(), admission)]);
    serving(Webhook::new(policies, Metrics::new(&mut Registry::default()), Budget::default()))
}

async fn admit_everything(Json(review): Json<AdmissionReview<DynamicObject>>) -> Json<AdmissionReview<DynamicObject>> {
    let request: Result<AdmissionRequest<DynamicObject>, _> = review.try_into();
    Json(match request {
        Ok(request) => AdmissionResponse::from(&request).into_review(),
        Err(error) => AdmissionResponse::invalid(error.to_string()).into_review(),
    })
}

/// For each line on standard input, the nanoseconds of CPU time so far.
fn tell_cpu_time() {
    for _ in std::io::stdin().lines() {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        println!("{}", spent.tv_sec * 1_000_000_000 + spent.tv_nsec);
    }
}
