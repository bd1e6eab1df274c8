//! Prometheus' node_exporter, each asked at its node's address: a measurement that needs nothing of ours on the node.
//!
//! `node_time_seconds` was read somewhere between our question and the arrival of the line in which it stands, which
//! makes it one side of an exchange ([`crate::clock::exchange`]) that does not depend on what the kernel thinks of its
//! own clock. To make that stretch short, the page is asked for the few collectors that are wanted (3 ms instead of
//! 16 ms for the whole page of a small machine); an exporter that does not know the filter is asked for all of it.
//!
//! What lies between may keep pages. A page that says so (`Age`), the same time twice, or a time with a timestamp of
//! its own is no fresh evidence. A cache that says nothing and expires between any two questions cannot be told from a
//! slow clock: do not put one there.
//!
//! A step is inferred where the clock moved further against ours than any slewing could have moved it and the node's
//! boot time (wall clock minus uptime) moved along; a guest that was paused moves too, but its boot time does not.
//!
//! Does not know: the meaning of `node_timex_*` ([`super::figures`]).

use super::figures::{Own, Timex, moment};
use super::pollers::{Target, backoff, spread};
use super::{NodeReading, Pen};
use crate::agent::report::JumpReport;
use crate::clock::exchange::ExchangeError;
use crate::clock::{Delta, Exchange, Mono, OffsetInterval, Sample};
use crate::controller::connection::{Connection, HttpError, PATIENCE, Question};
use crate::exposition::{self, Lines};
use crate::runtime::rfc3339;
use hyper::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// A page is 60 kB on a small machine, and a few megabytes where text files with thousands of figures are collected;
/// it is read as it comes and never kept.
const PAGE_MAX: usize = 16 * 1024 * 1024;
/// The collectors that are wanted: `time`, `timex`, and `stat` for the boot time.
const FILTERED: &str = "/metrics?collect%5B%5D=time&collect%5B%5D=timex&collect%5B%5D=stat";
const WHOLE: &str = "/metrics";
/// No slewing is faster: Linux lets `tick` be changed by 10 % (adjtimex(2)), and chronyd slews by at most 83,333 ppm.
const SLEW_MAX_DIVISOR: u32 = 9;
/// `node_boot_time_seconds` has a resolution of a second, and may be rounded either way.
const BOOT_TIME_SLACK_S: f64 = 1.5;
/// Steps that are remembered.
const STEPS_MAX: usize = 16;

/// Why an exporter gave no reading.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// An HTTP status other than 200.
    #[error("answered {0} to GET /metrics: is this port node_exporter, without TLS and password?")]
    Status(StatusCode),
    /// The page has figures but not the one that matters.
    #[error(
        "its page has no node_time_seconds: node_exporter gives it unless it runs with --no-collector.time or \
         --collector.disable-defaults (then add --collector.time --collector.timex)"
    )]
    NoTime,
    /// No page of figures at all.
    #[error("its answer is no page of metrics: is this port node_exporter?")]
    NoPage,
    /// `node_time_seconds` more than once.
    #[error("its page has node_time_seconds more than once: ask the exporter of one node, not a collection of them")]
    SeveralTimes,
    /// `node_time_seconds` with a timestamp.
    #[error("its node_time_seconds carries a timestamp ({0}): it was read earlier, and this page is a copy")]
    Timestamped(String),
    /// Not a moment.
    #[error("its node_time_seconds is {0}, which is no moment")]
    NoMoment(f64),
    /// An `Age` header.
    #[error("its page comes out of a cache (it has an Age): let the controller reach node_exporter itself")]
    Cached,
    /// The same `node_time_seconds` as before.
    #[error("its node_time_seconds is the same as before: a cache that keeps pages stands between")]
    Repeated,
    /// Impossible times.
    #[error("its answer cannot be used")]
    Exchange(#[source] ExchangeError),
}

/// The figures of one page.
#[derive(Debug, Default)]
pub struct Page {
    lines: Lines,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    /// Lines with any figure.
    count: usize,
    time: Option<Time>,
    times: usize,
    timex: Timex,
    boot_time_s: Option<f64>,
    process_start_s: Option<f64>,
}

#[derive(Debug)]
struct Time {
    value: f64,
    timestamp: Option<String>,
    /// Our clocks when the line had arrived.
    arrived: Sample,
}

impl Page {
    /// Takes a piece of the page in, which had arrived at `clocks`.
    pub fn push(&mut self, piece: &[u8], clocks: &Sample) {
        let Page { lines, figures } = self;
        lines.push(piece, |line| figures.take(line, clocks));
    }

    fn finish(&mut self, clocks: &Sample) {
        let Page { lines, figures } = self;
        lines.finish(|line| figures.take(line, clocks));
    }
}

impl Figures {
    fn take(&mut self, line: &[u8], clocks: &Sample) {
        // A line that cannot be read is none of ours: their names stand at its beginning.
        let Ok(Some(point)) = exposition::point(line) else { return };
        self.count = self.count.saturating_add(1);
        match point.name {
            "node_time_seconds" => {
                self.times = self.times.saturating_add(1);
                let timestamp = point.timestamp.map(str::to_owned);
                self.time = Some(Time { value: point.value, timestamp, arrived: *clocks });
            }
            "node_timex_sync_status" => self.timex.sync_status = Some(point.value),
            "node_timex_maxerror_seconds" => self.timex.max_error_s = Some(point.value),
            "node_timex_offset_seconds" => self.timex.offset_s = Some(point.value),
            "node_boot_time_seconds" => self.boot_time_s = Some(point.value),
            "process_start_time_seconds" => self.process_start_s = Some(point.value),
            _ => {}
        }
    }
}

/// What is remembered of one exporter from page to page.
#[derive(Debug, Default)]
pub struct Memory {
    last: Option<Last>,
    /// Since when nothing has disciplined the clock, as far as we have seen.
    undisciplined_since: Option<Mono>,
    steps: Vec<(Mono, JumpReport)>,
    numbered: u64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    time_s: f64,
    clocks: Sample,
    against_us: OffsetInterval,
    boot_time_s: Option<f64>,
    process_start_s: Option<f64>,
}

/// Asks one exporter for ever.
pub(super) async fn poll(pen: Pen, target: Target) {
    let mut connection = Connection::new(target.address.clone());
    let (mut memory, mut failures, mut path) = (Memory::default(), 0u32, FILTERED);
    loop {
        let pause = match ask(&mut connection, &mut path, &mut memory).await {
            Ok(reading) => {
                failures = 0;
                pen.good(&target.node, reading);
                spread(target.interval, &target.node)
            }
            Err(error) => {
                let error = crate::telemetry::chain(&error);
                pen.bad(&target.node, format!("node_exporter of node {} at {}: {error}", target.node, target.address));
                failures = failures.saturating_add(1);
                // It may have been replaced by one that knows the filter.
                path = FILTERED;
                backoff(failures, target.interval, &target.node)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn ask(
    connection: &mut Connection,
    path: &mut &'static str,
    memory: &mut Memory,
) -> Result<NodeReading, ExporterError> {
    loop {
        let question = Question { path: (*path).to_owned(), form: None, patience: PATIENCE, limit: PAGE_MAX };
        let mut page = Page::default();
        let answer = connection.ask(&question, |piece, clocks| page.push(piece, clocks)).await?;
        match answer.status {
            StatusCode::OK if answer.cached => return Err(ExporterError::Cached),
            StatusCode::OK => return read(page, answer.sent, &answer.clocks, memory),
            // A collector of the filter is switched off, or the filter is unknown: the whole page tells which.
            StatusCode::BAD_REQUEST if *path == FILTERED => *path = WHOLE,
            status => return Err(ExporterError::Status(status)),
        }
    }
}

/// Makes a reading of a page that was asked for at `sent` and had arrived whole at `clocks`.
///
/// # Errors
/// If its `node_time_seconds` is no fresh measurement.
pub fn read(mut page: Page, sent: Mono, clocks: &Sample, memory: &mut Memory) -> Result<NodeReading, ExporterError> {
    page.finish(clocks);
    let figures = page.figures;
    let time = match figures.time {
        None if figures.count == 0 => return Err(ExporterError::NoPage),
        None => return Err(ExporterError::NoTime),
        Some(_) if figures.times > 1 => return Err(ExporterError::SeveralTimes),
        Some(Time { timestamp: Some(at), .. }) => return Err(ExporterError::Timestamped(at)),
        Some(time) => time,
    };
    let (wall, resolution) = moment(time.value).ok_or(ExporterError::NoMoment(time.value))?;
    if memory.last.is_some_and(|last| last.time_s == time.value) {
        return Err(ExporterError::Repeated);
    }
    let exchange = Exchange {
        sent,
        received: time.arrived.after,
        received_wall: time.arrived.wall,
        left: wall,
        held: Duration::ZERO,
    };
    let against_us = exchange.offset().map_err(ExporterError::Exchange)?.widened(resolution);
    let now = Last {
        time_s: time.value,
        clocks: time.arrived,
        against_us,
        boot_time_s: figures.boot_time_s,
        process_start_s: figures.process_start_s,
    };
    memory.note(now, wall);
    let (own, lacks) = match figures.timex.own() {
        Own::Against(own) => (Some(own), None),
        Own::Undisciplined => (None, None),
        Own::Unknown(why) => (None, Some(why)),
    };
    let undisciplined = memory.undisciplined(own.is_none(), time.arrived.after);
    let steps = memory.steps(time.arrived.after);
    let against_us = Some(against_us);
    Ok(NodeReading { against_us, own, undisciplined, lacks, steps, ..NodeReading::at(time.arrived) })
}

impl Memory {
    /// Since when nothing has vouched for the clock; what was before we looked nobody knows.
    fn undisciplined(&mut self, is: bool, now: Mono) -> Duration {
        self.undisciplined_since = is.then(|| self.undisciplined_since.unwrap_or(now));
        self.undisciplined_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Remembers a reading, and the step that it shows against the one before.
    fn note(&mut self, now: Last, wall: crate::clock::Wall) {
        let Some(last) = self.last.replace(now) else { return };
        let Some(amount) = stepped(&last, &now) else { return };
        self.numbered = self.numbered.saturating_add(1);
        let step = JumpReport {
            number: self.numbered,
            cause: "step".to_owned(),
            amount_seconds: amount.midpoint().seconds(),
            error_bound_seconds: amount.bound().as_secs_f64(),
            ongoing: false,
            age_seconds: Some(0.0),
            wall_began: None,
            wall_before: rfc3339(wall.plus(Delta::ZERO.minus(amount.midpoint()))),
            wall_after: rfc3339(wall),
            // The node's own, which its page does not tell.
            monotonic_began_seconds: None,
            monotonic_noticed_seconds: None,
            evidence: "comparison".to_owned(),
            detail: None,
        };
        self.steps.push((now.clocks.after, step));
        let surplus = self.steps.len().saturating_sub(STEPS_MAX);
        self.steps.drain(..surplus);
    }

    fn steps(&self, now: Mono) -> Arc<[JumpReport]> {
        let aged = |(noticed, step): &(Mono, JumpReport)| JumpReport {
            age_seconds: Some(now.since(*noticed).as_secs_f64()),
            ..step.clone()
        };
        self.steps.iter().map(aged).collect()
    }
}

/// By how much the clock was set between two readings of one process of one boot, positive forward; `None` if it was
/// not, or slewing or a pause would explain it as well.
fn stepped(last: &Last, now: &Last) -> Option<OffsetInterval> {
    let before = NodeReading { against_us: Some(last.against_us), ..NodeReading::at(last.clocks) };
    let moved = now.against_us.against(before.against_us_now(&now.clocks)?);
    let slewed_most = now.clocks.after.since(last.clocks.after) / SLEW_MAX_DIVISOR;
    if !moved.surely_beyond(slewed_most.saturating_add(crate::clock::steps::JUMP_MIN)) {
        return None;
    }
    let booted_s = now.boot_time_s? - last.boot_time_s?;
    let started_s = now.process_start_s? - last.process_start_s?;
    // Both are kept as times since boot, so a step moves both alike; a restart or a reboot does not. NaN is no proof.
    let same_process = (started_s - booted_s).abs() <= BOOT_TIME_SLACK_S;
    let (amount_s, bound_s) = (moved.midpoint().seconds(), moved.bound().as_secs_f64());
    let boot_time_moved = booted_s * amount_s > 0.0 && (booted_s - amount_s).abs() <= bound_s + BOOT_TIME_SLACK_S;
    (same_process && boot_time_moved).then_some(moved)
}

#[cfg(test)]
mod tests;
