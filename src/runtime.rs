//! What every long-running command needs: the clocks, a way to be told to stop, and tasks that nobody forgets.
//!
//! The clocks are read here and in the agent's sampler only, and through libc, so that a test can falsify them with
//! libfaketime. Durations are always differences of [`mono_now`].
//!
//! Every task is owned: [`Tasks::run`] waits for the first one to end. If that was not asked for, the process ends
//! with an error that names the task, and whoever supervises it starts a whole one. A half-dead controller is worse
//! than a dead one (linkerd2 #15506: a detached lease task died unseen).

use crate::clock::{Boot, Mono, Raw, Wall};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;
pub use tokio_util::sync::CancellationToken;

/// `CLOCK_MONOTONIC`, now.
#[must_use]
pub fn mono_now() -> Mono {
    Mono::from_nanos(nanos_u64(clock_gettime(ClockId::Monotonic)))
}

/// `CLOCK_REALTIME`, now. Never subtract two of these to get a duration.
#[must_use]
pub fn wall_now() -> Wall {
    let now = clock_gettime(ClockId::Realtime);
    Wall::from_unix_nanos(now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec))
}

/// `CLOCK_BOOTTIME`, now.
#[must_use]
pub fn boot_now() -> Boot {
    Boot::from_nanos(nanos_u64(clock_gettime(ClockId::Boottime)))
}

/// `CLOCK_MONOTONIC_RAW`, now.
#[must_use]
pub fn raw_now() -> Raw {
    Raw::from_nanos(nanos_u64(clock_gettime(ClockId::MonotonicRaw)))
}

/// A wall clock value as RFC 3339 in UTC with microseconds, for people and for the API; dates that no calendar
/// holds (before year -9999, after 9999) are clamped.
#[must_use]
pub fn rfc3339(wall: Wall) -> String {
    format!("{:.6}", timestamp(wall))
}

/// A wall clock value as a calendar timestamp, clamped to what the calendar holds.
#[must_use]
pub fn timestamp(wall: Wall) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(wall.unix_nanos())).unwrap_or(jiff::Timestamp::MAX)
}

fn nanos_u64(time: Timespec) -> u64 {
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Prints to stdout. A reader that has gone away (`| head`) is no failure.
///
/// # Errors
/// If stdout cannot be written to for any other reason.
pub fn print(text: &str) -> anyhow::Result<std::process::ExitCode> {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(std::process::ExitCode::SUCCESS),
    }
}

/// How many threads run the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The one that starts them. What blocks has threads of its own in either case.
    One,
    /// As many as the machine has cores.
    PerCore,
}

/// What runs the tasks of a command.
///
/// # Errors
/// If the kernel has no threads or file descriptors left.
pub fn build(threads: Threads) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::PerCore => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

/// Why the process must end although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task that should run for ever came back.
    #[error("task {0:?} ended although nothing asked it to")]
    Ended(&'static str),
    /// A task failed.
    #[error("task {name:?} failed")]
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        #[source]
        source: anyhow::Error,
    },
    /// A task panicked: a bug of ours.
    #[error("a task panicked: {0}")]
    Panicked(tokio::task::JoinError),
}

/// The tasks of one process, and the token that asks them to stop.
pub struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
}

/// How long tasks may take to put things in order after being asked to stop.
const GRACE: Duration = Duration::from_secs(10);

impl Tasks {
    /// No tasks yet; stops at SIGTERM or SIGINT.
    ///
    /// # Errors
    /// If the signals cannot be listened for.
    pub fn new() -> std::io::Result<Tasks> {
        use tokio::signal::unix::{SignalKind, signal};
        let stop = CancellationToken::new();
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut set = JoinSet::new();
        let token = stop.clone();
        set.spawn(async move {
            tokio::select! {
                _ = term.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
                _ = int.recv() => tracing::info!(signal = "SIGINT", "stopping"),
                () = token.cancelled() => {}
            }
            token.cancel();
            ("signals", Ok(()))
        });
        Ok(Tasks { set, stop })
    }

    /// The token that tells tasks to stop. A task may cancel it itself to stop the process in good order.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Owns a task. It must run until the token is cancelled.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits until all tasks have ended.
    ///
    /// # Errors
    /// The first task that failed, panicked, or ended unasked; the others are then stopped too.
    pub async fn run(mut self) -> Result<(), TaskError> {
        let mut first = Ok(());
        loop {
            let next = if self.stop.is_cancelled() {
                let Ok(next) = tokio::time::timeout(GRACE, self.set.join_next()).await else {
                    tracing::warn!(grace = ?GRACE, "tasks did not stop in time and are aborted");
                    break;
                };
                next
            } else {
                self.set.join_next().await
            };
            let failed = match next {
                None => break,
                Some(Ok((_, Ok(())))) if self.stop.is_cancelled() => continue,
                Some(Ok((name, Ok(())))) => TaskError::Ended(name),
                Some(Ok((name, Err(source)))) => TaskError::Failed { name, source },
                Some(Err(panic)) => TaskError::Panicked(panic),
            };
            if first.is_ok() {
                first = Err(failed);
            }
            self.stop.cancel();
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_unasked_ends_the_process_and_is_named() {
        let mut tasks = Tasks::new().unwrap();
        let stop = tasks.stop();
        tasks.spawn("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.spawn("hasty", async { Ok(()) });
        assert!(matches!(tasks.run().await, Err(TaskError::Ended("hasty"))));
    }

    #[tokio::test]
    async fn a_panic_is_not_lost() {
        let mut tasks = Tasks::new().unwrap();
        tasks.spawn("clumsy", async { panic!("on purpose") });
        assert!(matches!(tasks.run().await, Err(TaskError::Panicked(_))));
    }

    #[tokio::test]
    async fn stopping_when_asked_is_no_error() {
        let mut tasks = Tasks::new().unwrap();
        let stop = tasks.stop();
        let token = stop.clone();
        tasks.spawn("patient", async move {
            token.cancelled().await;
            Ok(())
        });
        stop.cancel();
        assert!(tasks.run().await.is_ok());
    }
}
