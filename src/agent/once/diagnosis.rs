//! What a person who logged in because of a clock wants to read: the verdict, who says so and how surely, what it
//! means, what to do, and the commands that show the same by hand.
//!
//! Pure: a report goes in, text and an exit code come out. Commands that are named here only look, except where the
//! text says that they set the clock.

use crate::agent::report::{Report, SourceReport};
use crate::clock::time::Human;
use crate::clock::{Delta, State, Why};
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
    text.push_str("\nWhat to do:\n");
    for advice in verdict.advice(report) {
        text.push_str(&paragraph(&advice, "  "));
    }
    text.push_str("\nTo see it by hand:\n");
    for (command, shows) in by_hand(report) {
        let _ = writeln!(text, "  {command:<52} {shows}");
    }
    Diagnosis { text, exit: verdict.exit() }
}

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

    fn exit(&self) -> u8 {
        match self {
            Verdict::Right => 0,
            Verdict::Wrong => 1,
            Verdict::CannotTell => 2,
        }
    }

    fn headline(&self, report: &Report, max_offset: Duration) -> String {
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

    fn advice(&self, report: &Report) -> Vec<String> {
        let chrony = report.sources.iter().find(|s| s.name == "chrony");
        let kernel_vouches = report.sources.iter().any(|s| s.name == "kernel" && s.error.is_none());
        let disciplined = kernel_vouches || chrony.is_some_and(|c| c.error.is_none());
        let mut advice = Vec::new();
        match self {
            Verdict::Right if disciplined => advice.push("Nothing.".to_owned()),
            Verdict::Right => {}
            Verdict::Wrong => {
                advice.push(
                    "Until it is put right, tokens and certificates look expired or not yet valid here, and what is \
                     signed here looks so elsewhere: keep new work away from this machine."
                        .to_owned(),
                );
                advice.push(match chrony {
                    Some(_) => "`chronyc makestep` lets chronyd set the clock at once (programs see the jump); \
                                without it, chronyd slews, which takes twelve times as long as the offset or more."
                        .to_owned(),
                    None => "Let an NTP daemon put it right, for example chronyd with `makestep 1.0 3`; after a \
                             virtual machine was paused or restored, restart the daemon."
                        .to_owned(),
                });
            }
            Verdict::CannotTell => advice.extend(unclear(report, chrony)),
        }
        if !disciplined && chrony.is_none() {
            advice.push(
                "Nothing is known to keep this clock right: no chronyd answers, and the kernel says that nobody \
                 synchronises it. Install and start an NTP daemon (chrony, for one)."
                    .to_owned(),
            );
        } else if !disciplined {
            advice.push(
                "Look after chronyd, which should keep this clock right; its line above says what is wrong.".into(),
            );
        }
        advice
    }
}

/// What to do where nothing can be said.
fn unclear(report: &Report, chrony: Option<&SourceReport>) -> Vec<String> {
    let because = |why: Why| report.reason.as_ref().is_some_and(|reason| reason.starts_with(why.as_str()));
    if because(Why::Conflict) {
        return vec![
            "Find out which source is wrong: a further --reference, independent of these, decides. Until then no \
             one of them is believed, and nothing is averaged."
                .to_owned(),
        ];
    }
    let references = report.sources.iter().any(|s| s.name.starts_with("ntp://"));
    let mut advice = Vec::new();
    if report.offset_seconds.is_some() {
        advice.push("Name a nearer or a better reference with --reference: the bound is too wide to judge by.".into());
    } else if references {
        advice.push("None of the references gave evidence; their lines above say why.".to_owned());
    } else {
        let also = if chrony.is_some() { " besides chronyd" } else { "" };
        advice.push(format!(
            "Name an NTP server to measure against{also}: clockwarden agent --once --reference ntp://HOST"
        ));
    }
    advice
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
    let said = match &source.error {
        Some(error) => format!("{measured}: {error}"),
        None => measured,
    };
    let indent = " ".repeat(widest.saturating_add(4));
    let text = paragraph(&said, &indent);
    let body = text.strip_prefix(&indent).unwrap_or(&text);
    format!("  {:<widest$}  {body}", source.name)
}

/// The commands that show the same, and what they show.
fn by_hand(report: &Report) -> Vec<(String, &'static str)> {
    let mut commands = vec![("timedatectl".to_owned(), "whether the kernel counts as synchronised")];
    for source in &report.sources {
        match source.name.as_str() {
            "kernel" => commands.push(("adjtimex --print".to_owned(), "offset, maxerror and status of the kernel")),
            "chrony" => {
                commands.push(("chronyc tracking".to_owned(), "offset, root delay and dispersion of chronyd"));
                commands.push(("chronyc sources -v".to_owned(), "which servers chronyd hears"));
            }
            reference => {
                if let Ok(server) = reference.parse::<crate::agent::sources::sntp::Server>() {
                    let command = format!("chronyd -x -Q 'server {} port {} iburst'", server.host, server.port);
                    commands.push((command, "the offset against it; sets nothing"));
                }
            }
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
