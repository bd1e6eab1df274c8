//! How far a long run is, on standard error, where that is a terminal.

use crate::clock::time::Mono;
use crate::runtime::mono_now;
use std::io::{self, Write};
use std::time::Duration;

/// A run that is over sooner says nothing.
const QUIET: Duration = Duration::from_secs(1);
/// Between two lines.
const PAUSE: Duration = Duration::from_millis(100);

/// One line that is written over and over.
pub(super) struct Progress {
    is_on: bool,
    total: usize,
    next: Mono,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(is_on: bool, total: usize) -> Self {
        Progress { is_on, total, next: mono_now().after(QUIET), is_shown: false }
    }

    /// So many files are done.
    pub(super) fn show(&mut self, err: &mut dyn Write, done: usize) -> io::Result<()> {
        if !self.is_on || mono_now() < self.next {
            return Ok(());
        }
        self.next = mono_now().after(PAUSE);
        self.is_shown = true;
        write!(err, "\r{done} of {} files", self.total)?;
        err.flush()
    }

    /// Takes the line away, so that something else can be written.
    pub(super) fn clear(&mut self, err: &mut dyn Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_shown) { write!(err, "\r\u{1b}[K") } else { Ok(()) }
    }
}
