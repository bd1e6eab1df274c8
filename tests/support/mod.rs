//! What tests and the demo need from the outside world: a real control plane, nodes, clocks, our own binary.
//!
//! ```text
//! run(async { .. })              one runtime for the whole test binary; notes failures so that logs are kept
//! ControlPlane::shared()         one API server for all tests of a binary; ControlPlane::start for a private one
//! FakeNode                       a Node at its own 127.0.x.y, with a heartbeat
//! Chronyd, Faketime              real clocks; nothing here ever sets the machine's
//! NodeExporter, Prometheus       the real ones, on loopback
//! Clockwarden                    the binary under test
//! wait_for(what, within, check)  waits for a condition, never for a time
//! RequestCounts, audit           what the API server was asked, and by whom
//! ```
//!
//! Everything that runs and every file lives in one directory below the system's temporary one; `scratch`
//! sees to it that both vanish with the test process, however that ends.
//! Include it with `#[path = "../support/mod.rs"] mod support;`. Does not know: what is being tested.
#![allow(dead_code, unused_imports, reason = "each test crate uses its own part of the support")]

pub(crate) mod binary;
pub(crate) mod chronyd;
pub(crate) mod components;
pub(crate) mod control_plane;
pub(crate) mod faketime;
pub(crate) mod http;
pub(crate) mod kubeconfig;
pub(crate) mod kubectl;
pub(crate) mod node;
pub(crate) mod node_exporter;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod requests;
pub(crate) mod scratch;
pub(crate) mod tools;
pub(crate) mod wait;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

pub(crate) use self::{
    binary::Clockwarden,
    chronyd::Chronyd,
    components::Component,
    control_plane::{ControlPlane, Options},
    faketime::Faketime,
    kubeconfig::client_of,
    node::{FakeNode, NodeSpec},
    node_exporter::NodeExporter,
    process::Process,
    prometheus::Prometheus,
    requests::RequestCounts,
    wait::wait_for,
};

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build());

/// What a test returns: its error is printed as the chain of its causes.
pub(crate) type Outcome = std::result::Result<(), Failure>;

/// Why a test failed. An `anyhow::Error` itself would add the backtrace, fifty lines of the runtime.
pub(crate) struct Failure(anyhow::Error);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// Runs one test on the runtime that all tests of this binary share, so that what they share (clients,
/// heartbeats) outlives the test that made it. A failure, also a panic, keeps the logs and says where they are.
pub(crate) fn run(test: impl Future<Output = Result<()>>) -> Outcome {
    let noted = scratch::NoteFailure::new();
    let runtime = RUNTIME.as_ref().context("no runtime for the tests")?;
    runtime.block_on(test)?;
    noted.passed();
    Ok(())
}
