//! Asks each source again and again, each in a task of its own, so that a slow one holds up no other.
//!
//! A task waits for one of three things: the time of the next poll, an alarm (the clock was set, or a witness says that it
//! moved), the end.

use crate::agent::board::Board;
use crate::agent::sources::{Outcome, Source};
use crate::runtime::{CancellationToken, mono_now};
use std::sync::Arc;
use std::time::Duration;

/// A source that answers nonsense about its own spacing cannot make us spin.
const SPACING_MIN: Duration = Duration::from_millis(100);

/// Polls `source`, the one with that number on the board, until told to stop.
///
/// # Errors
/// None; the signature is that of a task.
pub async fn run(
    board: Arc<Board>,
    number: usize,
    mut source: Box<dyn Source>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut alarms = board.alarms();
    let mut trouble: Option<String> = None;
    loop {
        alarms.borrow_and_update();
        let outcome = tokio::select! {
            outcome = source.poll() => outcome,
            () = stop.cancelled() => return Ok(()),
        };
        let polled = mono_now();
        log_changes(source.name(), &outcome, &mut trouble);
        let detail = source.detail();
        let at_ease = board.with(|core, clocks| {
            core.described(number, detail, clocks);
            core.polled(number, outcome, clocks);
            core.at_ease(clocks)
        });
        source.at_ease(at_ease);
        let mut next = polled.after(source.spacing().max(SPACING_MIN));
        loop {
            let wait = next.since(mono_now());
            tokio::select! {
                () = tokio::time::sleep(wait) => break,
                () = stop.cancelled() => return Ok(()),
                changed = alarms.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    next = next.min(polled.after(source.hurry()));
                }
            }
        }
    }
}

/// Says once when a source begins to fail, fails otherwise, or is well again.
fn log_changes(name: &str, outcome: &Outcome, trouble: &mut Option<String>) {
    let now = match outcome {
        Outcome::Measured(_) | Outcome::Absent => None,
        Outcome::Unanswered(because) | Outcome::Withdrawn(because) => Some(because.clone()),
    };
    match (&*trouble, &now) {
        (None, Some(because)) => tracing::warn!(source = name, because, "source gives no evidence"),
        (Some(before), Some(because)) if before != because => {
            tracing::info!(source = name, because, "source gives no evidence for another reason");
        }
        (Some(_), None) => tracing::info!(source = name, "source gives evidence again"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    *trouble = now;
}
