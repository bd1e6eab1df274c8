//! Says how it is going while a scan listens: one line that is written over on a terminal, a line every ten seconds
//! otherwise. Goes to stderr, so that the result can be piped.

use crate::clock::Mono;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Between two lines where nothing can be written over.
const EVERY: Duration = Duration::from_secs(10);

/// What to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So long already.
    pub elapsed: Duration,
    /// Of so long.
    pub of: Duration,
    /// Nodes heard.
    pub heard: usize,
    /// Nodes known.
    pub nodes: usize,
    /// Clocks that are drifting so far.
    pub drifting: usize,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Progress { elapsed, of, heard, nodes, drifting } = self;
        write!(f, "listening: {} of {} s, {heard} of {nodes} nodes heard", elapsed.as_secs(), of.as_secs())?;
        if *drifting > 0 { write!(f, ", {drifting} drifting") } else { Ok(()) }
    }
}

/// Writes it.
#[derive(Debug)]
pub struct Line {
    is_terminal: bool,
    last: Option<Mono>,
}

impl Line {
    /// Nothing written yet.
    #[must_use]
    pub fn new() -> Line {
        Line { is_terminal: std::io::stderr().is_terminal(), last: None }
    }

    /// Writes it if it is time. A stderr that has gone away is no reason to stop.
    pub fn show(&mut self, progress: &Progress, now: Mono) {
        let mut err = std::io::stderr().lock();
        if self.is_terminal {
            let _ = write!(err, "\r{progress}\u{1b}[K").and_then(|()| err.flush());
        } else if self.last.is_none_or(|last| now.since(last) >= EVERY) {
            let _ = writeln!(err, "{progress}");
        } else {
            return;
        }
        self.last = Some(now);
    }

    /// Takes the line away, so that the result stands alone.
    pub fn end(&mut self) {
        if self.is_terminal && self.last.is_some() {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\u{1b}[K").and_then(|()| err.flush());
        }
    }
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}
