//! Where an agent's evidence comes from: each source is an independent witness of this machine's clock.
//!
//! A source is one file: a pure `decode` of what the other side says, from which an interval follows, and a thin
//! `poll` that asks. It never says "zero" for "I do not know": no evidence is a variant with its reason. To add one:
//! its file, recorded replies in `tests/sources/NAME/`, and one line in [`SOURCES`].
//!
//! Does not know: the other sources, tolerances, who is told.

pub mod chrony;
pub mod kernel;
pub mod ntpd_rs;
pub mod ptp;
pub mod sntp;
pub mod timesyncd;

use crate::agent::report::SourceDetail;
use crate::clock::{OffsetInterval, Sample};
use futures::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes the sources of one kind which the settings ask for.
pub type Make = fn(&Settings) -> Vec<Box<dyn Source>>;

/// Every kind of source.
pub const SOURCES: &[Make] =
    &[kernel::sources, chrony::sources, ntpd_rs::sources, timesyncd::sources, ptp::sources, sntp::sources];

/// What the agent was told about its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// NTP servers to ask.
    pub references: Vec<sntp::Server>,
    /// Where chronyd is asked; `None` looks in the usual places and is content to find nothing there.
    pub chrony: Option<chrony::At>,
    /// Where ntpd-rs is asked; `None` looks in the usual place and is content to find nothing there.
    pub ntpd_rs: Option<ntpd_rs::At>,
    /// Below which folder this machine's own files are found: `/`, or where a pod has them mounted.
    pub host_root: PathBuf,
}

/// No references, everything in its usual place.
impl Default for Settings {
    fn default() -> Settings {
        Settings { references: Vec::new(), chrony: None, ntpd_rs: None, host_root: PathBuf::from("/") }
    }
}

/// An absolute path of this machine, where it is found below `host_root`.
fn under(host_root: &Path, path: &str) -> PathBuf {
    host_root.join(path.trim_start_matches('/'))
}

/// All sources that `settings` ask for.
#[must_use]
pub fn all(settings: &Settings) -> Vec<Box<dyn Source>> {
    SOURCES.iter().flat_map(|make| make(settings)).collect()
}

/// One witness.
pub trait Source: Send + 'static {
    /// Its name in reports and metrics; unique within an agent.
    fn name(&self) -> &str;

    /// Asks once, within about two seconds.
    fn poll(&mut self) -> BoxFuture<'_, Outcome>;

    /// How long to wait after the last poll before the next one.
    fn spacing(&mut self) -> Duration;

    /// The clock was set: how soon after the last poll the next one may come. Sources that cost others nothing may be
    /// asked at once.
    fn hurry(&mut self) -> Duration {
        Duration::ZERO
    }

    /// How many polls in quick succession make a better answer than one.
    fn burst(&self) -> usize {
        1
    }

    /// What the last poll told besides the offset; `None` if nothing.
    fn detail(&self) -> Option<SourceDetail> {
        None
    }

    /// After a poll: whether all witnesses agree, the clock is right, and nothing has happened to it lately. A source
    /// whose questions cost others something may then ask less often, until it hears otherwise.
    fn at_ease(&mut self, _yes: bool) {}
}

/// What one poll gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Evidence.
    Measured(Measured),
    /// No answer, or none that can be used. What the source said before was true then, and goes on ageing.
    Unanswered(String),
    /// The source says that it has no evidence, or a daemon of this machine is gone and with it whoever stood behind
    /// its last word: what it said before no longer counts.
    Withdrawn(String),
    /// This machine has no such source, and nobody said that it should.
    Absent,
}

/// What a source said about this machine's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Offset of this clock against the source; positive: this clock is ahead.
    pub interval: OffsetInterval,
    /// This machine's clocks when it was true; what is known can so be carried over a step.
    pub clocks: Sample,
    /// What the source itself follows, where it says so.
    pub reference: Option<String>,
}

/// Eight bytes that nobody can guess.
fn random() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled < bytes.len() {
        // Cannot be for so few bytes (getrandom(2)), and a guessable cookie would be worse than an error.
        return Err(io::Error::other("the kernel gave fewer random bytes than asked for"));
    }
    Ok(u64::from_ne_bytes(bytes))
}

/// Big-endian fields at fixed places of a reply; `None` beyond its end.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_be_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_be_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_be_bytes)
    }
}
