//! The evidence for a jump, in a sentence for people, and the jump as a report carries it.

use super::{Noticed, Sample};
use crate::agent::report::{JumpReport, SlewReport};
use crate::clock::slew::Slewing;
use crate::clock::{Cause, Delta, Discipline, Human, Jump, OffsetInterval};
use crate::runtime::rfc3339;
use std::time::Duration;

/// The tick with which a clock is right that nobody slews by it, microseconds.
const TICK_US: i64 = 10_000;
/// Two readings of one leap second are no further apart than this.
const LEAP_MARGIN: Duration = Duration::from_millis(100);

/// How fast, and what the kernel was told.
pub(super) fn slew(slewing: &Slewing, discipline: Option<&Discipline>) -> String {
    let mut text = format!("{} against CLOCK_MONOTONIC_RAW, beyond its usual rate", ppm(slewing.rate_ppb));
    if let Some(told) = discipline {
        text.push_str("; the kernel's frequency is ");
        text.push_str(&ppm(told.frequency_ppb));
        if told.tick_us != TICK_US {
            text.push_str(&format!(" and its tick {} us instead of {TICK_US}", told.tick_us));
        }
        if slewing.rate_ppb.abs_diff(told.rate_ppb()) > 100_000 {
            text.push_str(", which is not all: adjtime(3) or the kernel's own loop slews it");
        }
    }
    text
}

/// That a step was a leap second, if the kernel's TAI went the other way by as much (adjtimex(2), `tai`).
pub(super) fn leap(jump: &Jump, before: &Discipline, now: &Discipline) -> Option<String> {
    let seconds = i64::from(now.tai_s).saturating_sub(i64::from(before.tai_s));
    let expected = Delta::from_nanos(seconds.saturating_mul(-1_000_000_000));
    let fits = jump.amount.widened(LEAP_MARGIN).contains(expected);
    let leap = seconds.abs() == 1 && fits;
    leap.then(|| format!("a leap second: the kernel's TAI-UTC went from {} to {} s", before.tai_s, now.tai_s))
}

/// Who says so, and what it may be.
pub(super) fn paused(moved: &[String], jump: &Jump) -> String {
    format!(
        "{} say that this clock moved by {}, and no clock of this machine did: the whole machine stood still",
        listed(moved),
        jump.amount
    )
}

/// The same where nobody can say.
pub(super) fn unexplained(moved: &[String], jump: &Jump) -> String {
    let amount = jump.amount;
    match moved {
        [witness] => format!(
            "{witness} says that this clock moved by {amount}, no clock of this machine did, and nobody bears it out: \
             this machine was paused, or that server was set"
        ),
        several => format!(
            "{} say that this clock moved by {amount}, and no clock of this machine did: they were set together, or \
             this machine was restored from an earlier state",
            listed(several)
        ),
    }
}

/// A server that was set, and not this machine.
pub(super) fn elsewhere(moved: &[String], stayed: &[String], amount: OffsetInterval) -> String {
    format!(
        "against {} this clock seemed to move by {amount}, but not against {}: what it was measured against was set",
        listed(moved),
        listed(stayed)
    )
}

fn listed(names: &[String]) -> String {
    names.join(" and ")
}

/// `+500.000 ppm`.
fn ppm(ppb: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for display: 53 bits hold any rate of a clock that runs")]
    let ppm = ppb as f64 / 1e3;
    format!("{ppm:+.3} ppm")
}

/// A jump as old as it is at `now`; `boot` is this start of the machine.
pub(super) fn report(noticed: &Noticed, now: &Sample, boot: &str) -> JumpReport {
    let jump = &noticed.jump;
    let amount = jump.amount.seconds();
    // The boot clock of another start says nothing about now.
    let ours = *noticed.boot == *boot;
    let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    JumpReport {
        number: noticed.number,
        cause: jump.cause.as_str().to_owned(),
        ongoing: noticed.ongoing,
        amount_seconds: amount.offset,
        error_bound_seconds: amount.bound,
        age_seconds: ours.then(|| now.boot.since(jump.after.boot).as_secs_f64()),
        wall_began: Some(rfc3339(jump.before.wall)),
        wall_before: rfc3339(jump.wall_before()),
        wall_after: rfc3339(jump.wall_after()),
        monotonic_began_seconds: Some(seconds(jump.before.after.nanos())),
        monotonic_noticed_seconds: Some(seconds(jump.after.after.nanos())),
        evidence: noticed.evidence.as_str().to_owned(),
        detail: noticed.detail.clone(),
    }
}

/// A slew that goes on, as a report carries it.
pub(super) fn slew_report(slewing: &Slewing, now: &Sample) -> SlewReport {
    let amount = slewing.jump.amount.seconds();
    #[expect(clippy::cast_precision_loss, reason = "53 bits hold any rate of a clock that runs")]
    let rate_ppm = slewing.rate_ppb as f64 / 1e3;
    SlewReport {
        rate_ppm,
        amount_seconds: amount.offset,
        error_bound_seconds: amount.bound,
        age_seconds: now.boot.since(slewing.jump.before.boot).as_secs_f64(),
    }
}

/// What a log line says.
pub(crate) fn headline(noticed: &Noticed) -> String {
    let size = Human(noticed.jump.amount.midpoint().magnitude());
    let forward = noticed.jump.amount.midpoint() >= Delta::ZERO;
    let way = if forward { "forward" } else { "back" };
    match (noticed.jump.cause, noticed.ongoing) {
        (Cause::Step, _) => format!("the clock was set {way} by {size}"),
        (Cause::Suspend, _) => format!("the machine slept for {size}"),
        (Cause::Slew, true) => format!("the clock is being slewed, {way} by {size} so far"),
        (Cause::Slew, false) => format!("the clock was slewed {way} by {size}"),
        (Cause::Pause, _) => format!("the machine stood still for {size}"),
        (Cause::Unexplained, _) => format!("the clock moved {way} by {size}, and nobody can say why"),
    }
}
