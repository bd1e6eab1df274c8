//! A clock that is wrong for one process only: libfaketime, preloaded.
//!
//! It replaces the C library's clock calls, so it reaches what calls through libc (Rust's std does, and
//! rustix with `use-libc`), not raw system calls, the vDSO or the kernel's own answers (`adjtimex`, timerfd).
//! CLOCK_MONOTONIC and CLOCK_BOOTTIME stay true, as they do when somebody sets the wall clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use jiff::SignedDuration;

use super::{scratch, tools};

/// One wrong clock; every process that it is applied to shows the same offset, also after a change.
pub(crate) struct Faketime {
    library: PathBuf,
    file: PathBuf,
}

impl Faketime {
    /// Positive: the clock is ahead.
    pub(crate) fn new(offset: SignedDuration) -> Result<Self> {
        let faketime =
            Self { library: tools::faketime_library()?, file: scratch::directory("faketime")?.join("offset") };
        faketime.set(offset)?;
        Ok(faketime)
    }

    /// Steps the clock. Running processes see it with their next look at the time.
    pub(crate) fn set(&self, offset: SignedDuration) -> Result<()> {
        // A reader must never see half a number, so the file is replaced whole.
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{}\n", in_seconds(offset)))
            .and_then(|()| fs::rename(&next, &self.file))
            .with_context(|| format!("cannot write the offset to {}", self.file.display()))
    }

    /// Makes the command see this clock.
    pub(crate) fn apply(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            // Otherwise the file is read once in ten seconds.
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            // The times of files are other machines' business.
            .env("NO_FAKE_STAT", "1")
            // It would win over the file.
            .env_remove("FAKETIME");
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

/// libfaketime's notation of a relative time: a sign, seconds, a fraction.
fn in_seconds(offset: SignedDuration) -> String {
    let sign = if offset.is_negative() { '-' } else { '+' };
    let size = offset.unsigned_abs();
    format!("{sign}{}.{:09}", size.as_secs(), size.subsec_nanos())
}
