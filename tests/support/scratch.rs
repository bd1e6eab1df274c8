//! The directory of a test process, and the promise that nothing survives it.
//!
//! Statics are not dropped when `cargo test` ends, and SIGKILL drops nothing at all. So a watchdog, a shell
//! of a dozen lines in a process group of its own, reads a pipe that only this process can write to. When
//! the pipe closes, however this process ended, it kills the process groups that are still noted, newest
//! first, and removes the directory, unless a test has failed.
//!
//! Rejected: `PR_SET_PDEATHSIG`. It fires when the *thread* that spawned the child ends (prctl(2)), and
//! `cargo test` runs every test on a thread of its own; it also leaves the directory behind.
//!
//! Does not know: what runs in the process groups.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};

/// Reads `watch PGID`, `forget PGID` and `keep` until its input ends, then cleans up.
///
/// The pause before the second attempt is for processes that are still writing while they die. What
/// libfaketime leaves in /dev/shm when its process is killed is named after that process.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP QUIT
groups= keep=no
while read -r verb what; do
  case $verb in
    watch) groups="$what $groups" ;;
    forget) rest=; for g in $groups; do [ "$g" = "$what" ] || rest="$rest $g"; done; groups=$rest ;;
    keep) keep=yes ;;
  esac
done
for g in $groups; do
  kill -KILL "-$g"
  rm -f "/dev/shm/faketime_shm_$g" "/dev/shm/sem.faketime_sem_$g"
done
[ "$keep" = yes ] || rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

struct Scratch {
    directory: PathBuf,
    watchdog: u32,
    pipe: Mutex<ChildStdin>,
    count: AtomicU32,
    failed: AtomicBool,
}

static SCRATCH: LazyLock<Result<Scratch>> = LazyLock::new(Scratch::start);

impl Scratch {
    fn start() -> Result<Self> {
        // A short name: the path of a Unix socket below it must stay under 108 bytes (unix(7)).
        let directory = tempfile::Builder::new()
            .prefix("clockwarden-")
            .tempdir()
            .context("cannot make a temporary directory for the tests")?
            .keep();
        let mut watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "clockwarden-test-watchdog"])
            .arg(&directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start /bin/sh as the watchdog of the tests")?;
        let stdin = watchdog.stdin.take().context("the watchdog has no standard input")?;
        Ok(Self {
            directory,
            watchdog: watchdog.id(),
            pipe: Mutex::new(stdin),
            count: AtomicU32::new(0),
            failed: AtomicBool::new(false),
        })
    }

    fn tell(&self, line: &str) -> Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        pipe.write_all(format!("{line}\n").as_bytes())
            .with_context(|| format!("cannot tell the watchdog of the tests to {line}"))
    }
}

fn scratch() -> Result<&'static Scratch> {
    SCRATCH.as_ref().map_err(|error| anyhow!("{error:#}"))
}

/// A new directory, readable by this user only, that goes when the test process ends.
pub(crate) fn directory(name: &str) -> Result<PathBuf> {
    let scratch = scratch()?;
    let number = scratch.count.fetch_add(1, Ordering::Relaxed);
    let path = scratch.directory.join(format!("{number}-{name}"));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| format!("cannot make the directory {}", path.display()))?;
    Ok(path)
}

/// Removes a directory before its time, unless a test has failed and somebody may want to look into it.
pub(crate) fn remove(path: &Path) {
    let kept = scratch().is_ok_and(|scratch| scratch.failed.load(Ordering::Relaxed));
    if !kept && !std::thread::panicking() {
        // What is left is removed with the whole scratch directory.
        let _ = fs::remove_dir_all(path);
    }
}

/// The process id of the watchdog.
pub(crate) fn watchdog() -> Result<u32> {
    Ok(scratch()?.watchdog)
}

/// From now on this process group dies with the test process.
pub(crate) fn watch(group: u32) -> Result<()> {
    scratch()?.tell(&format!("watch {group}"))
}

/// The process group has ended and been waited for; its number may soon be somebody else's.
pub(crate) fn forget(group: u32) -> Result<()> {
    scratch()?.tell(&format!("forget {group}"))
}

/// Keeps the directory after the end of the process, and says where it is, once.
pub(crate) fn keep() {
    let Ok(scratch) = scratch() else { return };
    if !scratch.failed.swap(true, Ordering::Relaxed) && scratch.tell("keep").is_ok() {
        eprintln!("logs and data of this run are kept in {}", scratch.directory.display());
    }
}

/// Notes a failure when it is dropped without `passed`, also while unwinding.
pub(crate) struct NoteFailure {
    passed: bool,
}

impl NoteFailure {
    pub(crate) fn new() -> Self {
        Self { passed: false }
    }

    pub(crate) fn passed(mut self) {
        self.passed = true;
    }
}

impl Drop for NoteFailure {
    fn drop(&mut self) {
        // Without a directory there is nothing to keep: a pure failure needs no message about logs.
        if !self.passed && LazyLock::get(&SCRATCH).is_some() {
            keep();
        }
    }
}
