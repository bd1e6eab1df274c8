//! What an agent says happened to its clock, as incidents.
//!
//! An agent goes on reporting its newest jumps, and a new controller knows only what is stored; so each incident begins
//! with words that stay the same however often it is told, and is known by them. A slew is judged by the policy's
//! tolerance: what stays within is a daemon at its work.

use super::room::{TEXT_BYTES, clip};
use super::{bare, round};
use crate::agent::report::JumpReport;
use crate::api::node_clock::Incident;
use crate::clock::{Cause, Delta, Human, Wall};
use crate::runtime::timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// The longest date: RFC 3339 to the nanosecond takes 35.
const WALL_BYTES: usize = 48;

/// The incident that a jump is under a tolerance, unless it is in `history` already, or is none.
pub(super) fn incident(jump: &JumpReport, tolerance: Duration, history: &[Incident], now: Wall) -> Option<Incident> {
    let (kind, head) = told(jump, tolerance)?;
    if history.iter().any(|known| known.kind == kind && known.message.starts_with(&head)) {
        return None;
    }
    let message = match &jump.detail {
        Some(detail) => format!("{head}; {detail}"),
        None => head,
    };
    Some(Incident {
        offset_seconds: Some(round(jump.amount_seconds)),
        message: clip(&message, TEXT_BYTES),
        ..bare(kind, time(jump, now))
    })
}

/// Its kind, and the words by which it is known again.
fn told(jump: &JumpReport, tolerance: Duration) -> Option<(&'static str, String)> {
    // Whatever an agent sends: each is cut by itself, so that the words by which a jump is known stay apart.
    let wall = |text: &str| clip(text, WALL_BYTES);
    let (wall_before, wall_after) = (wall(&jump.wall_before), wall(&jump.wall_after));
    let wall_began = jump.wall_began.as_deref().map_or_else(|| wall_before.clone(), wall);
    let beyond = jump.amount_seconds.abs() - jump.error_bound_seconds > tolerance.as_secs_f64();
    Some(match Cause::from_word(&jump.cause) {
        Some(Cause::Step) => ("Stepped", format!("wall clock jumped from {wall_before} to {wall_after}")),
        Some(Cause::Suspend) => ("Suspended", format!("wall clock jumped from {wall_before} to {wall_after}")),
        Some(Cause::Pause) => {
            ("Paused", format!("the machine stood still; its clock showed {wall_after} instead of {wall_before}"))
        }
        Some(Cause::Slew) if !beyond => return None,
        Some(Cause::Slew) if jump.ongoing => {
            let limit = Human(tolerance);
            ("Slewing", format!("the clock is being slewed since {wall_began}, by more than {limit} so far"))
        }
        Some(Cause::Slew) => {
            ("Slewed", format!("the clock was slewed since {wall_began}, from {wall_before} to {wall_after}"))
        }
        // Also what an agent newer than us has a word for.
        Some(Cause::Unexplained) | None => (
            "Moved",
            format!("the clock moved from {wall_before} to {wall_after}, and no clock of the machine tells why"),
        ),
    })
}

/// When it was, by our clock; of an earlier start of the machine, only its own clock tells.
///
/// Never later than now: a node whose clock was years ahead would have the last word for years.
fn time(jump: &JumpReport, now: Wall) -> MicroTime {
    let time = match jump.age_seconds {
        Some(age) => timestamp(now.plus(Delta::ZERO.minus(Delta::from_seconds(age).unwrap_or_default()))),
        None => jump.wall_after.parse().unwrap_or_else(|_| timestamp(now)),
    };
    MicroTime(time.min(timestamp(now)))
}
