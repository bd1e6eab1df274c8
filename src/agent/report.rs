//! What an agent tells about its node's clock: the body of `GET /v1/clock`, written by the agent, read by the
//! controller and by people.
//!
//! A report carries ages, never instants of a clock that the reader does not share; the two wall clock readings that
//! it does carry are the measurement itself (see [`crate::clock::exchange`]). Unknown fields are ignored and new ones
//! are optional, so that agents and controllers of neighbouring versions understand one another.

use serde::{Deserialize, Serialize};

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the node, as the agent was told it (`NODE_NAME`), else the host name. Whose report it is, the
    /// controller knows from the address that it asked, not from this.
    pub node: String,
    /// `Synchronized`, `Drifting` or `Unknown`, against the agent's own sources and its own `--max-offset`.
    pub state: String,
    /// Why, in a sentence, where the state is not `Synchronized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Offset against the sources that agree, seconds, positive ahead; null where nothing is known.
    pub offset_seconds: Option<f64>,
    /// Half the width of the interval that surely holds the offset, seconds.
    pub error_bound_seconds: Option<f64>,
    /// For how long nothing has disciplined or vouched for this clock: every daemon and the kernel say that they are
    /// not synchronised, and no reference answers. Zero while something does.
    #[serde(default)]
    pub undisciplined_seconds: f64,
    /// The servers that the witnesses go back to, as far as they tell: one name for each that is independent of the
    /// others. A single name means that a fault of that server would not be noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// Every source, also those with an error. A source that is absent from this node is left out.
    pub sources: Vec<SourceReport>,
    /// Changes with every start of the agent: sequences of different instances do not compare.
    #[serde(default)]
    pub instance: String,
    /// Grows with every change worth waking a waiting reader for: `?after=SEQUENCE&wait=10s`.
    #[serde(default)]
    pub sequence: u64,
    /// What happened to the wall clock, the newest of it, oldest first, bounded. An agent that keeps a history tells of
    /// what earlier runs noticed, too.
    #[serde(default)]
    pub jumps: Vec<JumpReport>,
    /// The slew that goes on, if the clock is being slewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slew: Option<SlewReport>,
    /// This node's wall clock when the question had arrived, nanoseconds since the Unix epoch.
    #[serde(default)]
    pub received_unix_nanos: i64,
    /// This node's wall clock when the answer left, nanoseconds since the Unix epoch.
    #[serde(default)]
    pub sent_unix_nanos: i64,
    /// How long the answer was held back, by the monotonic clock.
    #[serde(default)]
    pub held_nanos: u64,
    /// Version of the agent.
    #[serde(default)]
    pub version: String,
}

/// What one source said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// `kernel`, `chrony`, `ntp://10.0.0.1:123`.
    pub name: String,
    /// Offset against this source, seconds, positive ahead; null without evidence.
    pub offset_seconds: Option<f64>,
    /// Bound of that offset, seconds, already widened by its age.
    pub error_bound_seconds: Option<f64>,
    /// Age of the reading, seconds; null if there never was one.
    pub age_seconds: Option<f64>,
    /// What the source follows (a server's address, a reference identifier), where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why there is no fresh evidence: what was tried, what came back, what to do.
    pub error: Option<String>,
    /// What it tells besides the offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<SourceDetail>,
}

/// What a source tells besides the offset, as far as it does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceDetail {
    /// Distance from a clock that is right by itself: 1 for a server with a reference clock (RFC 5905).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratum: Option<u32>,
    /// `none`, `insert` or `delete` (a leap second is announced), `unsynchronised`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leap: Option<String>,
    /// Round trip to the end of the chain, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_delay_seconds: Option<f64>,
    /// Error that has accumulated since that end, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_dispersion_seconds: Option<f64>,
    /// How long ago a daemon last heard from what it follows, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_seconds: Option<f64>,
    /// How many servers and reference clocks a daemon is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured: Option<u32>,
    /// How many of them have answered lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachable: Option<u32>,
    /// How many of them it follows, or could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selectable: Option<u32>,
    /// How many of them contradict the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub falsetickers: Option<u32>,
    /// Part of the bound that nobody measured, seconds: an assumption in the place of a claim of no error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_seconds: Option<f64>,
    /// A correction that the kernel reports but cannot hold, seconds: an artefact (node_exporter #3764), or the truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_seconds: Option<f64>,
    /// A setting that lets the daemon step the clock at any time, and where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_unbounded: Option<String>,
    /// How long until the next poll, seconds: a source that costs others nothing is asked more often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_seconds: Option<f64>,
    /// Names by which two witnesses are seen to go back to one server: the server asked, and what that follows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
}

/// Something that happened to the wall clock: it was set or slewed, the machine slept or stood still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JumpReport {
    /// Counts up; goes on after a restart of the agent where it keeps a history.
    pub number: u64,
    /// `step`, `suspend`, `slew`, `pause`, or `unexplained`: a pause or a witness that was set.
    pub cause: String,
    /// It is not over: a slew that goes on; the amount is how far it has come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ongoing: bool,
    /// By how much, seconds, positive forward. A pause is negative: the clock fell behind.
    pub amount_seconds: f64,
    /// Bound of that, seconds.
    pub error_bound_seconds: f64,
    /// How long ago it was noticed, or was over, by the boot clock, seconds; null if that was before the machine was
    /// started last.
    #[serde(default)]
    pub age_seconds: Option<f64>,
    /// RFC 3339: what the clock showed at the last look before it; for a slew, where it began. Absent where only the
    /// outside was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_began: Option<String>,
    /// RFC 3339: what the clock would have shown without it when it was noticed.
    pub wall_before: String,
    /// RFC 3339: what it showed.
    pub wall_after: String,
    /// The monotonic clock at the last look before it, seconds; comparable with the kernel's log of the same start of
    /// the machine, and with nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic_began_seconds: Option<f64>,
    /// The monotonic clock when it was noticed, or was over, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monotonic_noticed_seconds: Option<f64>,
    /// How it was noticed: `timerfd` (the kernel told at once), `comparison` (of the clocks), `restart` (comparison
    /// with what an earlier run wrote down), `oscillator` (the rate of the clock), `witness` (sources).
    pub evidence: String,
    /// More about the evidence, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A slew that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlewReport {
    /// How much faster than usual the clock ran over the last few seconds, parts per million; negative: slower.
    pub rate_ppm: f64,
    /// By how much it has been slewed so far, seconds, positive forward.
    pub amount_seconds: f64,
    /// Bound of that, seconds.
    pub error_bound_seconds: f64,
    /// Since when, by the boot clock, seconds.
    pub age_seconds: f64,
}
