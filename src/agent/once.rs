//! `agent --once`: measure, print one diagnosis, exit.
//!
//! An agent that already runs on this machine is asked which jumps it has noticed; the clock itself is measured afresh.

use super::args::{AgentArgs, Output};
use super::clocks;
use super::report::SourceDetail;
use super::sources::{Outcome, Source};
use super::state::Core;
use futures::future::join_all;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

mod diagnosis;
mod running;

pub use diagnosis::{Diagnosis, diagnose};

/// Between the samples of a burst.
const BURST_SPACING: Duration = Duration::from_millis(50);

/// Asks every source and prints what follows.
///
/// # Errors
/// If the answer cannot be written; a closed pipe is no error.
pub async fn run(mut core: Core, sources: Vec<Box<dyn Source>>, args: &AgentArgs) -> anyhow::Result<ExitCode> {
    let (outcomes, jumps) = tokio::join!(join_all(sources.into_iter().map(burst)), running::jumps(args.listen));
    for (number, (outcome, detail)) in outcomes.into_iter().enumerate() {
        let clocks = clocks::sample();
        core.described(number, detail, &clocks);
        core.polled(number, outcome, &clocks);
    }
    let mut report = core.report(&clocks::sample());
    if report.jumps.is_empty() {
        report.jumps = jumps;
    }
    report.received_unix_nanos = crate::runtime::wall_now().unix_nanos();
    report.sent_unix_nanos = report.received_unix_nanos;
    let diagnosis = diagnose(&report, args.max_offset);
    let text = match args.output {
        Output::Text => diagnosis.text,
        Output::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read us has heard enough (`| head -1`); the verdict stands.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(ExitCode::from(diagnosis.exit))
}

/// The best of a few quick polls, and what the last of them told besides; the first that fails ends it.
async fn burst(mut source: Box<dyn Source>) -> (Outcome, Option<SourceDetail>) {
    let mut best = source.poll().await;
    for _ in 1..source.burst() {
        let Outcome::Measured(so_far) = &best else { break };
        tokio::time::sleep(BURST_SPACING).await;
        match source.poll().await {
            Outcome::Measured(next) if next.interval.bound() < so_far.interval.bound() => {
                best = Outcome::Measured(next);
            }
            Outcome::Measured(_) => {}
            Outcome::Unanswered(_) | Outcome::Withdrawn(_) | Outcome::Absent => break,
        }
    }
    (best, source.detail())
}
