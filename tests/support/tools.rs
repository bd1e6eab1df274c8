//! Where the programs are that tests run: the control plane's binaries, chronyd, libfaketime, node_exporter,
//! Prometheus.
//!
//! `tests/control-plane/build` and `scripts/tools` know, and make or fetch what is missing; both are asked
//! once per test binary, take milliseconds when there is nothing to do, and report progress on stderr.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow, ensure};

static CONTROL_PLANE: LazyLock<Result<PathBuf>> = LazyLock::new(|| {
    let answer = ask("tests/control-plane/build")?;
    let last = answer.lines().last().context("tests/control-plane/build printed nothing")?;
    Ok(PathBuf::from(last))
});

static TOOLS: LazyLock<Result<String>> = LazyLock::new(|| ask("scripts/tools"));

/// A binary of the control plane, such as `etcd` or `kubectl`.
pub(crate) fn control_plane(name: &str) -> Result<PathBuf> {
    let directory = CONTROL_PLANE.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    Ok(directory.join(name))
}

/// The time daemon and server.
pub(crate) fn chronyd() -> Result<PathBuf> {
    tool("CLOCKWARDEN_TEST_CHRONYD")
}

/// The command-line client of chronyd.
pub(crate) fn chronyc() -> Result<PathBuf> {
    tool("CLOCKWARDEN_TEST_CHRONYC")
}

/// The library to preload that shifts the clocks of a process with several threads.
pub(crate) fn faketime_library() -> Result<PathBuf> {
    tool("CLOCKWARDEN_TEST_FAKETIME_LIB")
}

/// Prometheus' exporter of machine metrics.
pub(crate) fn node_exporter() -> Result<PathBuf> {
    tool("CLOCKWARDEN_TEST_NODE_EXPORTER")
}

/// The server that scrapes it.
pub(crate) fn prometheus() -> Result<PathBuf> {
    tool("CLOCKWARDEN_TEST_PROMETHEUS")
}

fn tool(variable: &str) -> Result<PathBuf> {
    let lines = TOOLS.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let path = lines.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
    path.map(PathBuf::from).with_context(|| format!("scripts/tools did not print {variable}"))
}

fn ask(script: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(&path)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", path.display()))?;
    ensure!(output.status.success(), "{script} ended with {}; what it says is above", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
