//! What ntpd-rs tells over its observation socket (`observation-path` in its configuration): one JSON document to whoever
//! connects, behind its length in 8 bytes, big-endian.
//!
//! Read is what version 1.9 sends (recorded from it): the stratum, the leap indicator and the reference that it follows,
//! and for each of its sources the estimated offset, that estimate's standard deviation, the round trip, and what the
//! source says of its own distance. Fields that are not known here are passed over. The document is no promise of
//! ntpd-rs: one that lacks what is needed is an error in words.
//!
//! How sure: ntpd-rs counts an offset as positive when its source is ahead, so ours is its negative. The truth lies within
//! half the round trip, half the source's own delay and the source's own uncertainty of that (RFC 5905, section 11.1), and
//! [`DEVIATIONS`] standard deviations of the estimate. An estimate may be as old as the poll interval: it is widened by
//! what ntpd-rs, which slews within the kernel's 500 ppm, may have corrected since. That age is the difference of two
//! readings of the daemon's own clock; where it is negative or absurd, the clock was set, and the source is left out.
//!
//! Which sources it follows, it does not tell. It needs a majority of them to agree (its `minimum-agreeing-sources`), and
//! so do we: what most of them allow is its word; where no majority agrees, it has none. A daemon that says itself that it
//! is not synchronised gives no evidence, whatever its sources say.
//!
//! Does not know: the protocols that it speaks, its configuration.

use super::kernel::seen_by_us;
use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source, under};
use crate::agent::report::SourceDetail;
use crate::clock::fuse::most_overlap;
use crate::clock::{Delta, Leap, OffsetInterval};
use serde::Deserialize;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// Where its packages put the socket.
const SOCKET: &str = "/var/run/ntpd-rs/observe";
/// It answers at once: everything is in its memory.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A document of a hundred sources has 40 kB.
const DOCUMENT_MAX: usize = 256 * 1024;
/// Sources that are looked at.
const SOURCES_MAX: usize = 64;
/// An estimate is further off than this many of its standard deviations once in 15,000 times, if errors are normal.
const DEVIATIONS: f64 = 4.0;
/// It does not answer any more after so many polls in a row; it remembers eight.
const UNANSWERED_MAX: u32 = 8;
/// From this stratum on, a server is not synchronised (RFC 5905, figure 11).
const STRATUM_UNSYNCHRONISED: u32 = 16;
/// Its greatest poll interval is 2^10 s; an estimate that is older was left behind by a clock that was set.
const AGE_MAX_S: f64 = 4_096.0;

/// Where ntpd-rs is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Its observation socket.
    Unix(PathBuf),
    /// Not at all.
    Off,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        match text {
            "off" => Ok(At::Off),
            path if path.starts_with('/') => Ok(At::Unix(PathBuf::from(path))),
            _ => Err(format!("{text:?} is no path of ntpd-rs' observation socket; write {SOCKET} or off")),
        }
    }
}

/// The document, as far as it is read.
#[derive(Debug, Deserialize)]
struct Observed {
    program: Option<Program>,
    system: System,
    #[serde(default)]
    sources: Vec<Upstream>,
}

#[derive(Debug, Deserialize)]
struct Program {
    now: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct System {
    stratum: u32,
    reference_id: u32,
    leap_indicator: String,
}

/// NTP's time: units of 2^-32 s, in some era.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Timestamp {
    timestamp: u64,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    offset: f64,
    uncertainty: f64,
    delay: f64,
    remote_delay: f64,
    remote_uncertainty: f64,
    last_update: Timestamp,
    unanswered_polls: u32,
}

/// What ntpd-rs says.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Offset of the clock, positive ahead: what most of its sources allow.
    pub interval: OffsetInterval,
    /// What it tells besides.
    pub detail: SourceDetail,
}

/// Why what it says is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Something else.
    #[error("the answer is not the document of ntpd-rs")]
    Foreign(#[source] serde_json::Error),
    /// It says so itself.
    #[error(
        "ntpd-rs runs but is not synchronised to anything ({reachable} of {configured} sources answer); `ntp-ctl status` \
         shows its sources"
    )]
    Unsynchronised {
        /// How many sources it has.
        configured: u32,
        /// How many of them answer.
        reachable: u32,
    },
    /// The age of its estimates cannot be told.
    #[error(
        "ntpd-rs does not tell its own time with its estimates (version 1.9 does), so that nobody knows how old they are"
    )]
    Undated,
    /// It has lost its servers.
    #[error("none of the {configured} sources of ntpd-rs answers any more; `ntp-ctl status` shows them")]
    Lost {
        /// How many sources it has.
        configured: u32,
    },
    /// Its sources contradict one another.
    #[error(
        "no majority of the {reachable} sources of ntpd-rs that answer agrees on the time; `ntp-ctl status` shows them"
    )]
    NoMajority {
        /// How many sources answer.
        reachable: u32,
    },
}

/// Reads the document.
///
/// # Errors
/// If it is none, or if the daemon has no word of its own.
pub fn decode(bytes: &[u8]) -> Result<Reply, DecodeError> {
    let observed: Observed = serde_json::from_slice(bytes).map_err(DecodeError::Foreign)?;
    let system = &observed.system;
    let answering = || observed.sources.iter().filter(|source| source.unanswered_polls < UNANSWERED_MAX);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (configured, reachable) = (count(observed.sources.len()), count(answering().count()));
    let leap = leap(&system.leap_indicator);
    if leap == Leap::Unsynchronised || system.stratum == 0 || system.stratum >= STRATUM_UNSYNCHRONISED {
        return Err(DecodeError::Unsynchronised { configured, reachable });
    }
    if reachable == 0 {
        return Err(DecodeError::Lost { configured });
    }
    let now = observed.program.as_ref().and_then(|program| program.now).ok_or(DecodeError::Undated)?;
    let aged: Vec<(f64, &Upstream)> =
        answering().take(SOURCES_MAX).filter_map(|source| Some((source.age_s(now)?, source))).collect();
    let intervals: Vec<OffsetInterval> = aged.iter().filter_map(|(age_s, source)| source.interval(*age_s)).collect();
    let majority = most_overlap(&intervals).filter(|(_, agreeing)| agreeing.saturating_mul(2) > intervals.len());
    let Some((interval, agreeing)) = majority else { return Err(DecodeError::NoMajority { reachable }) };
    let newest_s = aged.iter().map(|(age_s, _)| *age_s).min_by(f64::total_cmp);
    let detail = SourceDetail {
        stratum: Some(system.stratum),
        leap: Some(leap.as_str().to_owned()),
        last_update_seconds: newest_s,
        configured: Some(configured),
        reachable: Some(reachable),
        selectable: Some(count(agreeing)),
        falsetickers: Some(count(intervals.len().saturating_sub(agreeing))),
        roots: vec![Ipv4Addr::from(system.reference_id).to_string()],
        ..SourceDetail::default()
    };
    Ok(Reply { interval, detail })
}

fn leap(word: &str) -> Leap {
    match word {
        "NoWarning" => Leap::None,
        "Leap61" => Leap::Insert,
        "Leap59" => Leap::Delete,
        _ => Leap::Unsynchronised,
    }
}

impl Upstream {
    /// How old its estimate was at `now`, seconds; `None` for an age that cannot be.
    fn age_s(&self, now: Timestamp) -> Option<f64> {
        // Eras cancel out; a difference beyond 68 years is a negative one.
        let units = now.timestamp.wrapping_sub(self.last_update.timestamp).cast_signed();
        #[expect(clippy::cast_precision_loss, reason = "an age is wanted to a millisecond")]
        let age_s = units as f64 / 2f64.powi(32);
        (0.0..=AGE_MAX_S).contains(&age_s).then_some(age_s)
    }

    /// Where the truth lies by this source; `None` for numbers that cannot be.
    fn interval(&self, age_s: f64) -> Option<OffsetInterval> {
        let parts = [self.uncertainty, self.delay, self.remote_delay, self.remote_uncertainty];
        if !self.offset.is_finite() || parts.iter().any(|part| !part.is_finite() || *part < 0.0) {
            return None;
        }
        let corrected_s = age_s * 500e-6;
        let bound_s = self.delay / 2.0
            + self.remote_delay / 2.0
            + self.remote_uncertainty
            + self.uncertainty * DEVIATIONS
            + corrected_s;
        Some(OffsetInterval::new(Delta::from_seconds(-self.offset)?, Delta::from_seconds(bound_s)?.magnitude()))
    }
}

/// ntpd-rs, unless it is `off`.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Box<dyn Source>> {
    let (path, named) = match &settings.ntpd_rs {
        Some(At::Off) => return Vec::new(),
        Some(At::Unix(path)) => (path.clone(), true),
        None => (under(&settings.host_root, SOCKET), false),
    };
    vec![Box::new(NtpdRs { path, named, spacing: CALM, detail: None })]
}

/// Between two polls: it asks its own servers every 16 s at most.
const CALM: Duration = Duration::from_secs(16);
/// Nobody runs it here: this is how soon one that is started later is noticed.
const ABSENT: Duration = Duration::from_secs(60);

struct NtpdRs {
    path: PathBuf,
    /// Somebody said that it is there: then its absence is an error.
    named: bool,
    spacing: Duration,
    detail: Option<SourceDetail>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no ntpd-rs at {0}: nothing listens there (not running, or observation-path is another)")]
    Nobody(Path, #[source] io::Error),
    #[error("ntpd-rs' socket {0} may not be used: run as root, or set observation-permissions")]
    Forbidden(Path, #[source] io::Error),
    #[error("ntpd-rs at {0} did not answer within {TIMEOUT:?}")]
    Silent(Path),
    #[error("the answer at {at} claims {claimed} bytes; at most {DOCUMENT_MAX} are read")]
    TooLong { at: Path, claimed: u64 },
    #[error("ntpd-rs at {0} could not be asked")]
    Io(Path, #[source] io::Error),
    #[error("ntpd-rs at {0}")]
    Decode(Path, #[source] DecodeError),
}

/// A path that prints itself.
#[derive(Debug, Clone)]
struct Path(PathBuf);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl NtpdRs {
    async fn ask(&mut self) -> Outcome {
        self.spacing = CALM;
        self.detail = None;
        let at = Path(self.path.clone());
        // A look costs less than a connection.
        if !self.named && !self.path.exists() {
            self.spacing = ABSENT;
            return Outcome::Absent;
        }
        let asked =
            tokio::time::timeout(TIMEOUT, document(&at)).await.unwrap_or_else(|_| Err(AskError::Silent(at.clone())));
        match asked.and_then(|bytes| decode(&bytes).map_err(|error| AskError::Decode(at, error))) {
            Ok(reply) => {
                let (interval, clocks) = seen_by_us(reply.interval);
                let reference = reply.detail.roots.first().cloned();
                self.detail = Some(reply.detail);
                Outcome::Measured(Measured { interval, clocks, reference })
            }
            // The socket outlives the daemon.
            Err(AskError::Nobody(..)) if !self.named => {
                self.spacing = ABSENT;
                Outcome::Absent
            }
            Err(error) => {
                let heard = match &error {
                    AskError::Decode(_, DecodeError::Unsynchronised { configured, reachable }) => {
                        Some((*configured, *reachable))
                    }
                    AskError::Decode(_, DecodeError::Lost { configured }) => Some((*configured, 0)),
                    _ => None,
                };
                self.detail = heard.map(|(configured, reachable)| SourceDetail {
                    configured: Some(configured),
                    reachable: Some(reachable),
                    ..SourceDetail::default()
                });
                Outcome::Withdrawn(crate::telemetry::chain(&error))
            }
        }
    }
}

/// The bytes that the daemon sends to whoever connects.
async fn document(at: &Path) -> Result<Vec<u8>, AskError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::Nobody(at.clone(), source),
        io::ErrorKind::PermissionDenied => AskError::Forbidden(at.clone(), source),
        _ => AskError::Io(at.clone(), source),
    };
    let mut stream = UnixStream::connect(&at.0).await.map_err(failed)?;
    let claimed = stream.read_u64().await.map_err(failed)?;
    let length = usize::try_from(claimed).ok().filter(|length| *length <= DOCUMENT_MAX);
    let Some(length) = length else { return Err(AskError::TooLong { at: at.clone(), claimed }) };
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(failed)?;
    Ok(bytes)
}

impl Source for NtpdRs {
    fn name(&self) -> &'static str {
        "ntpd-rs"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.ask())
    }

    fn spacing(&mut self) -> Duration {
        self.spacing
    }

    fn detail(&self) -> Option<SourceDetail> {
        self.detail.clone()
    }
}

#[cfg(test)]
mod tests;
