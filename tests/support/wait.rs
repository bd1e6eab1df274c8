//! Waiting for a condition with a deadline, never for a length of time.
//!
//! A check answers `Ok(what was waited for)` or `Err(why not yet)`, so that it is written with `?` and
//! `ensure!` like any other code, and the last "why not yet" is the message when the deadline passes.
//! A check that knows that waiting longer is pointless answers `Hopeless`.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow};

/// Between two checks. Short beside anything that a test waits for, long beside the cost of a check.
const PAUSE: Duration = Duration::from_millis(20);

/// One check may not take longer than this: a hung request must not hide that the next would succeed.
const CHECK_MAX: Duration = Duration::from_secs(10);

/// The error of a check after which `wait_for` gives up at once.
#[derive(Debug)]
pub(crate) struct Hopeless(pub(crate) String);

impl fmt::Display for Hopeless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Hopeless {}

/// The monotonic clock, for the deadlines of tests.
#[expect(clippy::disallowed_methods, reason = "the tests' own deadlines; the code under test is told the time")]
pub(crate) fn mono_now() -> Instant {
    Instant::now()
}

/// The wall clock, for what a kubelet would write.
#[expect(clippy::disallowed_methods, reason = "a fake kubelet writes the time, as a real one does")]
pub(crate) fn wall_now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Checks again and again until the check succeeds, and returns what it returned.
///
/// # Errors
/// When `within` has passed, with `what` was waited for and the last reason; or at once for `Hopeless`.
pub(crate) async fn wait_for<T>(what: &str, within: Duration, mut check: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let start = mono_now();
    loop {
        let left = within.saturating_sub(start.elapsed()).min(CHECK_MAX);
        let last: Error = match tokio::time::timeout(left.max(PAUSE), check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => anyhow!("the check itself hung"),
        };
        if last.is::<Hopeless>() {
            return Err(last.context(format!("gave up waiting for {what}")));
        }
        if start.elapsed() >= within {
            return Err(last.context(format!("waited {within:?} in vain for {what}; at last")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
