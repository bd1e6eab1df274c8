//! The survey for people: the worst first, and what it means.
//!
//! Bounded: of 5,000 nodes nobody reads the 4,990 that are right. Names come from the API server, which takes only
//! letters, digits, dots and dashes for them; host names in lease holders are shown without control characters.

use super::report::Effort;
use super::survey::{Clock, Skew, Survey, Yardstick};
use crate::clock::time::Human;
use crate::clock::{Delta, OffsetInterval, State};
use crate::duration;
use crate::heartbeats::Holder;
use std::fmt::Write as _;
use std::time::Duration;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Every clock, however right.
    pub all: bool,
    /// With colours.
    pub colour: bool,
}

/// So many clocks in a state are listed.
const WRONG_MAX: usize = 50;
const RIGHT_MAX: usize = 10;

/// The table and what it means, with its last line ended.
#[must_use]
pub fn text(survey: &Survey, effort: &Effort, look: Look) -> String {
    let mut out = String::new();
    table(&mut out, "NODE", &survey.nodes, effort.limit, look);
    if !survey.control_plane.is_empty() {
        out.push('\n');
        table(&mut out, "CONTROL PLANE", &survey.control_plane, effort.limit, look);
    }
    out.push('\n');
    if let Yardstick::Cluster(found) = survey.yardstick {
        let interval = found.interval;
        let behind = interval.high() < Delta::ZERO;
        let doubt = if behind { " (or every heartbeat comes that late)" } else { "" };
        let loud = paint(look, "1;31", "This machine's clock is the outlier");
        line(
            &mut out,
            &format!(
                "{loud}: {} of {} nodes agree that it is {} {}{doubt}. Offsets above are against the cluster's own \
                 time.",
                found.agreeing,
                found.of,
                Human(interval.midpoint().magnitude()),
                if behind { "ahead" } else { "behind" },
            ),
        );
    }
    match &survey.skew {
        Some(skew) => out.push_str(&skew_text(skew, look)),
        None => line(&mut out, "No clock was heard twice: nothing can be said about the skew. Listen longer (--for)."),
    }
    for note in &effort.notes {
        line(&mut out, &format!("Note: {note}"));
    }
    line(&mut out, &summary(survey, effort));
    line(&mut out, &format!("API requests: {}.", effort.requests));
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn paint(look: Look, code: &str, text: &str) -> String {
    if look.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// What a holder is called.
fn name(holder: &Holder) -> String {
    let name = match holder {
        Holder::Node(name) => name.clone(),
        Holder::Component { component, instance } => format!("{component} ({instance})"),
    };
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn table(out: &mut String, title: &str, clocks: &[Clock], limit: Duration, look: Look) {
    let (mut shown, mut hidden): (Vec<&Clock>, Vec<&Clock>) = (Vec::new(), Vec::new());
    let mut counts = [0_usize; 3];
    for clock in clocks {
        let [drifting, unknown, right] = &mut counts;
        let (count, most) = match clock.state {
            State::Drifting => (drifting, WRONG_MAX),
            State::Unknown(_) => (unknown, WRONG_MAX),
            State::Synchronized => (right, RIGHT_MAX),
        };
        *count = count.saturating_add(1);
        if look.all || *count <= most { shown.push(clock) } else { hidden.push(clock) }
    }
    let names: Vec<String> = shown.iter().map(|clock| name(&clock.holder)).collect();
    let width = names.iter().map(|name| name.chars().count()).chain([title.len()]).max().unwrap_or(0);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{title:width$}  {:12}  {:>14}  {:>9}  {:>5}", "STATE", "OFFSET", "\u{b1}", "BEATS");
    for (clock, name) in shown.iter().zip(&names) {
        let (offset, bound) = clock
            .interval
            .map_or(("-".to_owned(), "-".to_owned()), |it| (it.midpoint().to_string(), Human(it.bound()).to_string()));
        let colour = match clock.state {
            State::Drifting => "1;31",
            State::Unknown(_) => "1;33",
            State::Synchronized => "32",
        };
        let state = paint(look, colour, &format!("{:12}", clock.state.as_str()));
        let _ = write!(out, "{name:width$}  {state}  {offset:>14}  {bound:>9}  {:>5}", clock.samples);
        let _ = match &clock.reason {
            Some(reason) => writeln!(out, "  {reason}"),
            None => writeln!(out),
        };
    }
    rest(out, &hidden, limit);
}

/// What is not listed, in one line for each state.
fn rest(out: &mut String, hidden: &[&Clock], limit: Duration) {
    let of = |wanted: fn(State) -> bool| hidden.iter().filter(move |clock| wanted(clock.state));
    let right: Vec<OffsetInterval> = of(|s| s == State::Synchronized).filter_map(|clock| clock.interval).collect();
    let drifting = of(|state| state == State::Drifting).count();
    let unknown = of(|state| matches!(state, State::Unknown(_))).count();
    for (count, what) in [(drifting, "drifting"), (unknown, "unknown")] {
        if count > 0 {
            line(out, &format!("\u{2026} and {count} more {what} (--all lists them)"));
        }
    }
    let midpoints = || right.iter().map(|it| it.midpoint());
    if let (Some(least), Some(most)) = (midpoints().min(), midpoints().max()) {
        let (count, limit) = (right.len(), duration::format(limit));
        line(out, &format!("\u{2026} and {count} more within {limit}, from {least} to {most} (--all lists them)"));
    }
}

fn skew_text(skew: &Skew, look: Look) -> String {
    let seconds = skew.interval.seconds();
    let mut out = String::new();
    let between = if skew.first == skew.last {
        String::new()
    } else {
        format!(" ({} is ahead of {})", name(&skew.first), name(&skew.last))
    };
    line(
        &mut out,
        &format!("Cluster skew: {} \u{b1} {}{between}.", human(seconds.offset), Human(skew.interval.bound())),
    );
    let leeway = paint(look, "1", &duration::format(skew.leeway));
    let after = match skew.leeway_when_right {
        Some(less) if less < skew.leeway => {
            format!(" Once the drifting clocks are right, {} will do.", duration::format(less))
        }
        _ => String::new(),
    };
    let advice = if skew.leeway > Duration::from_secs(60) {
        " More than a minute is no leeway but a hole: set the clocks right first."
    } else {
        ""
    };
    line(
        &mut out,
        &format!(
            "Leeway that JWT validation needs here: {leeway}. With less, tokens look expired or not yet valid.{after}{advice}"
        ),
    );
    out
}

fn human(seconds: f64) -> Human {
    Human(Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX))
}

fn summary(survey: &Survey, effort: &Effort) -> String {
    let count = |wanted: fn(State) -> bool| survey.clocks().filter(|clock| wanted(clock.state)).count();
    let right = count(|state| state == State::Synchronized);
    let drifting = count(|state| state == State::Drifting);
    let unknown = count(|state| matches!(state, State::Unknown(_)));
    let mut text = format!(
        "{right} within {}, {drifting} beyond, {unknown} unknown; {} heartbeats in {} s",
        duration::format(effort.limit),
        effort.counts.beats,
        effort.listened.as_secs(),
    );
    if effort.counts.set_aside > 0 {
        let _ = write!(text, "; {} came late or just after connecting and do not count", effort.counts.set_aside);
    }
    if effort.counts.cuts > 0 {
        let _ = write!(text, "; watches cut and begun anew: {}", effort.counts.cuts);
    }
    text.push('.');
    text
}

#[cfg(test)]
mod tests;
