//! The view for people: of the fleet the worst first, of a node everything.
//!
//! Bounded: of 5,000 nodes nobody reads the 4,990 that are right. Times are shown as they were written, by the clock of
//! the controller; no age is computed from them, because this machine's clock may be the one that is wrong.

mod history;
mod one;

pub use one::node;

use super::view::{Apart, Controller, Fleet, PolicyRow, Row, Standing};
use crate::api::NodeDecision;
use crate::clock::time::Human;
use crate::clock::{Delta, Wall};
use crate::duration;
use crate::runtime::timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::fmt::Write as _;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Every node, however right.
    pub all: bool,
    /// With colours.
    pub colour: bool,
}

/// So many nodes in a state are listed.
const WRONG_MAX: usize = 50;
const RIGHT_MAX: usize = 10;

/// The fleet as a table, with its last line ended.
#[must_use]
pub fn fleet(fleet: &Fleet, look: Look) -> String {
    let mut out = String::new();
    nodes(&mut out, fleet, look);
    out.push('\n');
    policies(&mut out, &fleet.policies, look);
    out.push('\n');
    let count = |standing: Standing| fleet.count(standing);
    let mut summary = format!(
        "{} synchronized, {} drifting, {} unknown",
        count(Standing::Synchronized),
        count(Standing::Drifting),
        count(Standing::Unknown)
    );
    for (standing, what) in
        [(Standing::Unmeasured, "not measured yet"), (Standing::Unwatched, "that no policy selects")]
    {
        if count(standing) > 0 {
            let _ = write!(summary, ", {} {what}", count(standing));
        }
    }
    let newest = fleet.rows.iter().filter_map(|row| row.record.as_ref()?.written.as_ref()).max_by_key(|it| it.0);
    if let Some(newest) = newest {
        let _ = write!(summary, ". The newest record was written at {}", when(newest));
    }
    line(&mut out, &format!("{summary}."));
    if let Some(apart) = fleet.apart() {
        line(&mut out, &distance(&apart, look));
    }
    controller(&mut out, &fleet.controller, look);
    out
}

fn nodes(out: &mut String, fleet: &Fleet, look: Look) {
    let mut shown: Vec<&Row> = Vec::new();
    let mut listed = [0_usize; 5];
    for row in &fleet.rows {
        let most = match row.standing {
            Standing::Drifting | Standing::Unknown | Standing::Unmeasured => WRONG_MAX,
            Standing::Synchronized => RIGHT_MAX,
            Standing::Unwatched => 0,
        };
        let Some(count) = listed.get_mut(row.standing as usize) else { continue };
        if look.all || *count < most {
            *count = count.saturating_add(1);
            shown.push(row);
        }
    }
    let width = width("NODE", shown.iter().map(|row| row.node.as_str()));
    let decisions: Vec<(String, String)> = shown.iter().map(|row| told(row)).collect();
    let decided = self::width("DECISION", decisions.iter().map(|(decision, _)| decision.as_str()));
    let by = self::width("POLICY", decisions.iter().map(|(_, policy)| policy.as_str()));
    let head = format!(
        "{:width$}  {:12}  {:>14}  {:>9}  {:20}  {:decided$}  {:by$}",
        "NODE", "STATE", "OFFSET", "\u{b1}", "SINCE", "DECISION", "POLICY"
    );
    line(out, head.trim_end());
    for (row, (decision, policy)) in shown.iter().zip(&decisions) {
        let record = row.record.as_ref();
        let offset = record.and_then(|it| it.offset_seconds);
        let bound = record.and_then(|it| it.error_bound_seconds);
        let since = record.and_then(|it| it.since.as_ref()).map_or_else(|| "-".to_owned(), when);
        let text = format!(
            "{:width$}  {}  {:>14}  {:>9}  {since:20}  {decision:decided$}  {policy:by$}  {}",
            clean(&row.node),
            standing(look, row.standing),
            offset.map_or_else(|| "-".to_owned(), seconds),
            bound.map_or_else(|| "-".to_owned(), length),
            why(row),
        );
        line(out, text.trim_end());
    }
    for standing in [Standing::Drifting, Standing::Unknown, Standing::Unmeasured, Standing::Synchronized] {
        let hidden = fleet.count(standing).saturating_sub(listed.get(standing as usize).copied().unwrap_or(0));
        if hidden > 0 {
            let what = standing.as_str().to_lowercase();
            line(out, &format!("\u{2026} and {hidden} more {what} (--all lists them)"));
        }
    }
}

/// The decision worth telling: one that does something rather than one that does not; and whose it is.
fn told(row: &Row) -> (String, String) {
    let decisions = row.record.as_ref().map_or(&[][..], |record| &record.decisions);
    let does = |it: &&NodeDecision| !it.decision.starts_with("Leave");
    let Some(told) = decisions.iter().find(does).or(decisions.first()) else {
        return ("-".to_owned(), if row.policies.is_empty() { "-".to_owned() } else { row.policies.join(",") });
    };
    let others = decisions.len().saturating_sub(1);
    let policy = if others > 0 { format!("{} +{others}", told.policy) } else { told.policy.clone() };
    (clean(&told.decision), clean(&policy))
}

/// Against what, or why nothing is known.
fn why(row: &Row) -> String {
    match (row.standing, &row.record) {
        (Standing::Unmeasured, _) => "the controller has written nothing about it yet".to_owned(),
        (Standing::Unwatched, Some(record)) => format!("no policy selects it; it was {} when one did", record.state),
        (Standing::Unwatched, None) => "no policy selects it".to_owned(),
        (Standing::Unknown, Some(record)) => clean(&record.message),
        (_, Some(record)) => record.reference.as_ref().map_or(String::new(), |it| format!("against {}", clean(it))),
        (_, None) => String::new(),
    }
}

fn policies(out: &mut String, all: &[PolicyRow], look: Look) {
    if all.is_empty() {
        line(out, "There is no TimeSyncPolicy: nothing is watched.");
        return;
    }
    let width = width("POLICY", all.iter().map(|row| row.name.as_str()));
    let head = ("POLICY", "NODES", "SYNCHRONIZED", "DRIFTING", "UNKNOWN", "ACTED ON");
    line(
        out,
        &format!("{:width$}  {:>6}  {:>12}  {:>8}  {:>7}  {:>8}", head.0, head.1, head.2, head.3, head.4, head.5),
    );
    for row in all {
        let nodes = row.status.nodes.clone().unwrap_or_default();
        line(
            out,
            &format!(
                "{:width$}  {:>6}  {:>12}  {:>8}  {:>7}  {:>8}",
                clean(&row.name),
                nodes.matched,
                nodes.synchronized,
                nodes.drifting,
                nodes.unknown,
                nodes.acted
            ),
        );
        for (reason, text) in row.troubles() {
            line(out, &format!("  {}: {}", paint(look, "1;33", &clean(&reason)), clean(&text)));
        }
    }
}

/// How far apart clocks are at most, and what that means to tokens.
fn distance(apart: &Apart, look: Look) -> String {
    let who: Vec<String> = [(&apart.ahead, "ahead"), (&apart.behind, "behind")]
        .into_iter()
        .filter_map(|(node, direction)| node.as_ref().map(|node| format!("{} is {direction}", clean(node))))
        .collect();
    let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
    let after = match apart.leeway_when_right {
        Some(less) if less < apart.leeway => format!(", and {} when none drifts", duration::format(less)),
        _ => String::new(),
    };
    format!(
        "By these records clocks are at most {} apart{who}: JWT validation needs a leeway of {}{after}.",
        Human(apart.at_most),
        paint(look, "1", &duration::format(apart.leeway)),
    )
}

/// Whether what is shown is kept true.
fn controller(out: &mut String, controller: &Controller, look: Look) {
    let loud = |text: &str| paint(look, "1;31", text);
    let text = match controller {
        Controller::Leads { holder, ahead: None } => format!("The controller {} is at work.", clean(holder)),
        Controller::Leads { holder, ahead: Some(ahead) } => format!(
            "The controller {} is at work. {}: one of the two is wrong, and `clockwarden agent --once` here tells \
             whether it is this one.",
            clean(holder),
            loud(&format!("Its clock is {} {} this machine's", Human(ahead.magnitude()), direction(*ahead))),
        ),
        Controller::Silent { holder, .. } if holder.is_empty() => {
            format!(
                "{}: the last one gave up its lease. What is shown may not hold any more.",
                loud("No controller is at work")
            )
        }
        Controller::Silent { holder, renewed } => {
            let renewed = renewed.map_or_else(|| "never".to_owned(), wall);
            format!(
                "{}: {} renewed its lease last at {renewed} by its own clock, and not while we looked. What is shown may \
                 not hold any more.",
                loud("No controller is at work"),
                clean(holder)
            )
        }
        Controller::Absent => {
            "There is no leader lease: no controller has run with that --lease-namespace, or it runs \
             without election. Whether what is shown still holds is not known."
                .to_owned()
        }
        Controller::Unseen(why) => {
            format!("Whether a controller is at work, and what is shown still holds, is not known: {}.", clean(why))
        }
    };
    line(out, &text);
}

fn direction(ahead: Delta) -> &'static str {
    if ahead > Delta::ZERO { "ahead of" } else { "behind" }
}

fn standing(look: Look, standing: Standing) -> String {
    let colour = match standing {
        Standing::Drifting => "1;31",
        Standing::Unknown | Standing::Unmeasured => "1;33",
        Standing::Synchronized => "32",
        Standing::Unwatched => "2",
    };
    paint(look, colour, &format!("{:12}", standing.as_str()))
}

fn width<'s>(title: &str, all: impl Iterator<Item = &'s str>) -> usize {
    all.map(|text| text.chars().count()).chain([title.len()]).max().unwrap_or(0)
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn paint(look: Look, code: &str, text: &str) -> String {
    if look.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Messages carry what agents and servers said: no control character of theirs reaches a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// An offset as a person would say it.
fn seconds(offset: f64) -> String {
    Delta::from_seconds(offset).unwrap_or_default().to_string()
}

/// A length of time as a person would say it.
fn length(seconds: f64) -> String {
    Human(Delta::from_seconds(seconds).unwrap_or_default().magnitude()).to_string()
}

/// `2026-01-01T12:00:03Z`: seconds are enough for people.
fn when(time: &MicroTime) -> String {
    format!("{:.0}", time.0)
}

fn wall(wall: Wall) -> String {
    format!("{:.0}", timestamp(wall))
}

#[cfg(test)]
mod tests;
