//! The `clockwarden` binary itself, as a user runs it.

use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::Process;
use super::{http, scratch};

/// A running `clockwarden`; everything that a `Process` can do.
pub(crate) struct Clockwarden(Process);

impl Clockwarden {
    /// Starts `clockwarden ARGS…` with its log in a directory of its own.
    ///
    /// `prepare` may add to the environment, for example through `Faketime::apply`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: &str,
        args: impl IntoIterator<Item = A>,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let directory = scratch::directory(name)?;
        let mut command = command(args)?;
        prepare(&mut command);
        let log = directory.join(format!("{name}.log"));
        Ok(Self(Process::spawn(name, command, &log)?))
    }

    /// Waits until a GET of this URL is answered with 200, and returns the body.
    pub(crate) async fn wait_http(&mut self, url: &str, within: Duration) -> Result<String> {
        let what = format!("200 from {url}");
        self.wait_ready(&what, within, async || {
            let answer = http::get(url).await?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            Ok(answer.body)
        })
        .await
    }
}

impl Deref for Clockwarden {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Clockwarden {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

/// Runs `clockwarden ARGS…` to its end.
pub(crate) fn output<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Output> {
    command(args)?.output().context("cannot run clockwarden")
}

/// The command, for what `start` and `output` do not offer.
pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Command> {
    let mut command = Command::new(path()?);
    // A test that forgets to name its own cluster must never reach a developer's, through ~/.kube/config.
    command.args(args).env("KUBECONFIG", "/the-test-named-no-kubeconfig").env("NO_COLOR", "1");
    Ok(command)
}

/// Cargo names the binary to integration tests; an example finds it beside its own directory.
fn path() -> Result<PathBuf> {
    if let Some(path) = option_env!("CARGO_BIN_EXE_clockwarden") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let target = own.parent().and_then(|examples| examples.parent());
    let path = target.context("this program is in no build directory")?.join("clockwarden");
    ensure!(path.exists(), "{} is missing: build it first with `cargo build`", path.display());
    Ok(path)
}
