//! One child process: in a group of its own, its output in a file, gone when it is dropped.
//!
//! Dropping kills the whole group with SIGKILL and waits for it; `scratch` does the same if this process
//! dies first. Waiting for a child notices when it ends early and shows the end of its log.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::scratch;
use super::wait::{Hopeless, wait_for};

/// So much of a log is shown in an error.
const TAIL_LINES: usize = 25;

/// A running child process.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where this run begins in a log that a restarted process appends to.
    log_start: usize,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts the command; its standard output and error are appended to `log`.
    pub(crate) fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log {}", log.display()))?;
        let log_start = usize::try_from(file.metadata()?.len())?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}: {}", command.get_program().display()))?;
        // Owned from here on, so that a failing watchdog still leaves nothing running.
        let process = Self { name: name.to_owned(), child, log: log.to_owned(), log_start, ended: None };
        scratch::watch(process.pid())?;
        Ok(process)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    /// What this run has written so far.
    pub(crate) fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("cannot read the log {}", self.log.display()))?;
        let run = bytes.get(self.log_start..).unwrap_or_default();
        Ok(String::from_utf8_lossy(run).into_owned())
    }

    /// How the process ended, or `None` while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none()
            && let Some(status) = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?
        {
            self.note_end(status)?;
        }
        Ok(self.ended)
    }

    /// Sends a signal to the whole group.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} has already ended with {status}", self.name);
        }
        let group = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let group = group.with_context(|| format!("{} has an impossible process id", self.name))?;
        kill_process_group(group, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Ends it with SIGKILL, as a crash or the kernel would, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if self.ended()?.is_none() {
            self.signal(Signal::KILL)?;
            let status = self.child.wait()?;
            self.note_end(status)?;
        }
        Ok(())
    }

    /// Asks it to end with SIGTERM and returns how it did; fails if it has not ended in time.
    pub(crate) async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_end(within).await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn wait_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait_for(&what, within, async || self.ended()?.context("it is still running")).await
    }

    /// Waits until the check succeeds; gives up at once, with the end of the log, when the process ends.
    pub(crate) async fn wait_ready<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut check: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let outcome = wait_for(what, within, async || match check().await {
            Err(error) => Err(match self.ended()? {
                Some(status) => anyhow!(Hopeless(format!("{} ended with {status}", self.name))),
                None => error,
            }),
            ready => ready,
        })
        .await;
        outcome.map_err(|error| anyhow!("{error:#}\n{}", self.log_tail()))
    }

    /// Waits until the log of this run has a line that contains `part`, and returns that line.
    pub(crate) async fn wait_line(&mut self, part: &str, within: Duration) -> Result<String> {
        let what = format!("a line with {part:?} from {}", self.name);
        let (log, start, name) = (self.log.clone(), self.log_start, self.name.clone());
        self.wait_ready(&what, within, async || {
            let bytes = fs::read(&log)?;
            let text = String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned();
            let line = text.lines().find(|line| line.contains(part));
            line.map(str::to_owned).with_context(|| format!("{name} has not written it"))
        })
        .await
    }

    fn note_end(&mut self, status: ExitStatus) -> Result<()> {
        self.ended = Some(status);
        forget_faketime(self.pid());
        scratch::forget(self.pid())
    }

    fn log_tail(&self) -> String {
        let text = self.log().unwrap_or_else(|error| format!("({error:#})"));
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(TAIL_LINES);
        let tail = lines.get(from..).unwrap_or_default().join("\n");
        format!("{} has written to {}:\n{tail}\n", self.name, self.log.display())
    }
}

/// This test binary again, running only the ignored test of this path: a process for another test to watch.
///
/// The child has `CLOCKWARDEN_TEST_ROLE` set to the same path; without it the ignored test does nothing.
pub(crate) fn role(test: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot tell where this program is")?);
    command.args(["--ignored", "--nocapture", "--exact", test]).env(ROLE, test);
    Ok(command)
}

/// Whether this process was started by `role` for this test.
pub(crate) fn has_role(test: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|role| role == test)
}

const ROLE: &str = "CLOCKWARDEN_TEST_ROLE";

/// libfaketime removes its shared memory when its process ends well, not when that is killed.
fn forget_faketime(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Most processes have none.
        let _ = fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("cannot end {}: {error:#}", self.name);
        }
    }
}
