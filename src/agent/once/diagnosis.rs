//! What a person who logged in because of a clock wants to read: the verdict, who says so and how surely, what it
//! means, what to do, and the commands that show the same by hand.
//!
//! Pure: a report goes in, text and an exit code come out. Commands that are named here only look, except where the
//! text says that they set the clock.

mod advice;

use crate::agent::report::{Report, SourceDetail, SourceReport};
use crate::clock::time::Human;
use crate::clock::{Delta, State};
use advice::{Advice, advice, human};
use std::fmt::Write as _;
use std::time::Duration;

/// A diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// For people, with its last line ended.
    pub text: String,
    /// 0 synchronized, 1 drifting, 2 could not tell.
    pub exit: u8,
}

/// The diagnosis of a report, made with the tolerance `max_offset`.
#[must_use]
pub fn diagnose(report: &Report, max_offset: Duration) -> Diagnosis {
    let verdict = Verdict::of(report);
    let mut text = format!("{}\n", verdict.headline(report, max_offset));
    if let (Some(reason), Verdict::CannotTell) = (&report.reason, &verdict) {
        text.push_str(&paragraph(&format!("{reason}."), ""));
    }
    text.push_str("\nWhat each source says (+ is ahead):\n");
    let widest = report.sources.iter().map(|s| s.name.chars().count()).max().unwrap_or(0);
    for source in &report.sources {
        text.push_str(&line(source, widest));
    }
    if report.roots.len() > 1 {
        text.push_str(&paragraph(&format!("These go back to {} independent servers.", report.roots.len()), "  "));
    }
    let advice = advice(report, verdict);
    text.push_str("\nWhat to do:\n");
    if advice.is_empty() {
        text.push_str("  Nothing.\n");
    }
    for Advice { text: what, .. } in &advice {
        text.push_str(&paragraph(what, "  "));
    }
    text.push_str("\nTo see it by hand:\n");
    for (command, shows) in by_hand(report, &advice) {
        let _ = writeln!(text, "  {command:<52} {shows}");
    }
    Diagnosis { text, exit: verdict.exit() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    CannotTell,
}

impl Verdict {
    fn of(report: &Report) -> Verdict {
        if report.state == State::Synchronized.as_str() {
            Verdict::Right
        } else if report.state == State::Drifting.as_str() {
            Verdict::Wrong
        } else {
            Verdict::CannotTell
        }
    }

    fn exit(self) -> u8 {
        match self {
            Verdict::Right => 0,
            Verdict::Wrong => 1,
            Verdict::CannotTell => 2,
        }
    }

    fn headline(self, report: &Report, max_offset: Duration) -> String {
        let (node, limit) = (&report.node, Human(max_offset));
        let offset = match (report.offset_seconds, report.error_bound_seconds) {
            (Some(offset), Some(bound)) => spoken(offset, bound),
            _ => "by an unknown amount".to_owned(),
        };
        match self {
            Verdict::Right => format!("The clock of {node} is right: {offset}, within {limit}."),
            Verdict::Wrong => format!("The clock of {node} is WRONG: {offset}, beyond {limit}."),
            Verdict::CannotTell => format!("Cannot tell whether the clock of {node} is right."),
        }
    }
}

/// `3 us ahead (± 58 us)`.
fn spoken(offset_s: f64, bound_s: f64) -> String {
    let offset = Delta::from_seconds(offset_s).unwrap_or(Delta::ZERO);
    let bound = Delta::from_seconds(bound_s).unwrap_or(Delta::ZERO).magnitude();
    let way = if offset.nanos() < 0 { "behind" } else { "ahead" };
    format!("{} {way} (\u{b1} {})", Human(offset.magnitude()), Human(bound))
}

fn line(source: &SourceReport, widest: usize) -> String {
    let measured = match (source.offset_seconds, source.error_bound_seconds) {
        (Some(offset), Some(bound)) => {
            let offset = Delta::from_seconds(offset).unwrap_or(Delta::ZERO);
            let bound = Delta::from_seconds(bound).unwrap_or(Delta::ZERO).magnitude();
            let follows = source.reference.as_ref().map(|r| format!(", follows {r}")).unwrap_or_default();
            format!("{offset} \u{b1} {}{follows}", Human(bound))
        }
        _ => "no evidence".to_owned(),
    };
    let mut said = match &source.error {
        Some(error) => format!("{measured}: {error}"),
        None => measured,
    };
    if let Some(told) = source.detail.as_ref().and_then(told) {
        said = format!("{said} ({told})");
    }
    let indent = " ".repeat(widest.saturating_add(4));
    let text = paragraph(&said, &indent);
    let body = text.strip_prefix(&indent).unwrap_or(&text);
    format!("  {:<widest$}  {body}", source.name)
}

/// What it tells besides, in a few words.
fn told(detail: &SourceDetail) -> Option<String> {
    let mut parts = Vec::new();
    // Servers have their stratum in what they follow.
    if let (Some(reachable), Some(configured)) = (detail.reachable, detail.configured) {
        parts.extend(detail.stratum.map(|stratum| format!("stratum {stratum}")));
        parts.push(format!("hears {reachable} of {configured} servers"));
    }
    parts.extend(detail.last_update_seconds.map(|age_s| format!("last update {} ago", human(age_s))));
    if let Some(leap @ ("insert" | "delete")) = detail.leap.as_deref() {
        parts.push(format!("leap second to {leap}"));
    }
    parts.extend(
        detail.assumed_seconds.map(|assumed_s| format!("{} of the bound is an assumption", fraction(assumed_s))),
    );
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn fraction(seconds: f64) -> Human {
    Human(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// The commands that show the same, and what they show.
fn by_hand(report: &Report, advice: &[Advice]) -> Vec<(String, &'static str)> {
    let mut commands = vec![("timedatectl".to_owned(), "whether the kernel counts as synchronised")];
    for source in &report.sources {
        match source.name.as_str() {
            "kernel" => commands.push(("adjtimex --print".to_owned(), "offset, maxerror and status of the kernel")),
            "chrony" => {
                commands.push(("chronyc tracking".to_owned(), "offset, root delay and dispersion of chronyd"));
                commands.push(("chronyc -n sources -v".to_owned(), "which servers chronyd hears"));
            }
            "ntpd-rs" => commands.push(("ntp-ctl status".to_owned(), "offset, delay and sources of ntpd-rs")),
            "timesyncd" => commands.push((
                "timedatectl timesync-status".to_owned(),
                "server, last offset, root distance of systemd-timesyncd",
            )),
            "ptp" => commands.push(("phc_ctl /dev/ptp0 cmp".to_owned(), "the offset against the hypervisor's clock")),
            reference => {
                if let Ok(server) = reference.parse::<crate::agent::sources::sntp::Server>() {
                    let command = format!("chronyd -x -Q 'server {} port {} iburst'", server.host, server.port);
                    commands.push((command, "the offset against it; sets nothing"));
                }
            }
        }
    }
    for (command, shows) in advice.iter().filter_map(|advice| advice.by_hand.clone()) {
        if !commands.iter().any(|(known, _)| *known == command) {
            commands.push((command, shows));
        }
    }
    commands
}

/// The text in lines of at most 100 columns, each with this indent.
fn paragraph(text: &str, indent: &str) -> String {
    const COLUMNS: usize = 100;
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > COLUMNS {
            lines.push('\n');
            column = 0;
        }
        if column == 0 {
            lines.push_str(indent);
            column = indent.chars().count();
        } else {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines.push('\n');
    lines
}
