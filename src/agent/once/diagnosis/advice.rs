//! What to do about a clock: one function for each case that has a cure, and the commands that show it by hand.
//!
//! A case speaks only of what the report holds; several may hold at once, and each says its own piece. Commands only
//! look, except where the text says that they set the clock.

use super::Verdict;
use crate::agent::report::{JumpReport, Report, SourceReport};
use crate::clock::time::Human;
use crate::clock::{Cause, Delta, Why};
use std::time::Duration;

/// A step is news for so long.
const RECENT_S: f64 = 600.0;
/// A daemon that has not heard from its server for so long has probably lost it: chrony's greatest poll interval is 2^10 s
/// by default (chrony.conf(5), `maxpoll`).
const SILENT_S: f64 = 2_048.0;

/// What to do, and a command that shows why, with what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) text: String,
    pub(super) by_hand: Option<(String, &'static str)>,
}

impl Advice {
    fn plain(text: impl Into<String>) -> Advice {
        Advice { text: text.into(), by_hand: None }
    }

    fn shown(text: impl Into<String>, command: impl Into<String>, shows: &'static str) -> Advice {
        Advice { text: text.into(), by_hand: Some((command.into(), shows)) }
    }
}

/// Everything that is to be said, the most pressing first; empty if there is nothing to do.
pub(super) fn advice(report: &Report, verdict: Verdict) -> Vec<Advice> {
    let mut all = Vec::new();
    if verdict == Verdict::Wrong {
        all.extend(wrong(report));
    }
    all.extend(moved(report, verdict));
    all.extend(conflict(report));
    let daemons: Vec<Advice> = report.sources.iter().filter_map(daemon).collect();
    if daemons.is_empty() {
        all.extend(undisciplined(report));
    }
    all.extend(daemons);
    all.extend(artefact(report));
    if verdict == Verdict::CannotTell {
        all.extend(unclear(report));
    }
    all.extend(step_unbounded(report));
    if verdict == Verdict::Right {
        all.extend(alone(report));
    }
    all
}

/// Whether the report gives this reason.
fn because(report: &Report, why: Why) -> bool {
    report.reason.as_ref().is_some_and(|reason| reason.starts_with(why.as_str()))
}

fn source<'a>(report: &'a Report, name: &str) -> Option<&'a SourceReport> {
    report.sources.iter().find(|source| source.name == name)
}

/// Whether it gives fresh evidence.
fn testifies(source: &SourceReport) -> bool {
    source.error.is_none() && source.offset_seconds.is_some()
}

fn wrong(report: &Report) -> Vec<Advice> {
    let cure = if source(report, "chrony").is_some() {
        "`chronyc makestep` lets chronyd set the clock at once (programs see the jump); without it, chronyd slews, which \
         takes twelve times as long as the offset or more."
    } else {
        "Let an NTP daemon put it right, for example chronyd with `makestep 1.0 3`; after a virtual machine was paused or \
         restored, restart the daemon."
    };
    vec![
        Advice::plain(
            "Until it is put right, tokens and certificates look expired or not yet valid here, and what is signed here \
             looks so elsewhere: keep new work away from this machine.",
        ),
        Advice::plain(cure),
    ]
}

/// The clock was moved just now: what looks odd may be nothing but that. Sleep moves it too, and rightly.
fn moved(report: &Report, verdict: Verdict) -> Option<Advice> {
    let age_s = |jump: &JumpReport| jump.age_seconds.filter(|age_s| *age_s <= RECENT_S);
    let happened = |jump: &&JumpReport| jump.cause != Cause::Suspend.as_str() && age_s(jump).is_some();
    let jump = report.jumps.iter().rev().find(happened)?;
    let amount = Delta::from_seconds(jump.amount_seconds).unwrap_or(Delta::ZERO);
    let what = match (Cause::from_word(&jump.cause), jump.ongoing) {
        (Some(Cause::Step), _) => format!("The clock was stepped by {amount}"),
        (Some(Cause::Slew), true) => format!("The clock is being slewed, by {amount} so far"),
        (Some(Cause::Slew), false) => format!("The clock was slewed by {amount}"),
        (Some(Cause::Pause), _) => format!("The machine stood still, and its clock fell behind by {amount}"),
        (Some(Cause::Unexplained | Cause::Suspend) | None, _) => format!("The clock seemed to move by {amount}"),
    };
    let off = match verdict {
        Verdict::Right if jump.cause == Cause::Pause.as_str() => {
            "What was issued or noted until it was put right is off by up to as much"
        }
        Verdict::Right => "What was issued or noted before is off by about as much",
        Verdict::Wrong => "What is issued or noted since is off by about as much",
        Verdict::CannotTell => "What was issued or noted before and after differs by as much",
    };
    let detail = jump.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let ago = match age_s(jump) {
        Some(age_s) if !jump.ongoing => format!(" {} ago", human(age_s)),
        Some(_) | None => String::new(),
    };
    let text = format!(
        "{what}{ago}, from {} to {}{detail}. {off}: find out who did it, and why.",
        jump.wall_before, jump.wall_after
    );
    Some(Advice::shown(
        text,
        "journalctl --since -15min | grep -iE 'step|time'",
        "who set the clock; its own times are before and after",
    ))
}

/// The sources contradict one another.
fn conflict(report: &Report) -> Option<Advice> {
    if because(report, Why::Conflict) {
        return Some(Advice::plain(
            "Find out which source is wrong: a further --reference, independent of these, decides. Until then no one of \
             them is believed, and nothing is averaged.",
        ));
    }
    because(report, Why::LeapSmear).then(|| {
        Advice::shown(
            "Nothing is broken if a leap second is near. Do not mix servers that smear it with servers that step: follow \
             one kind everywhere in the cluster. It passes within a day of the leap second.",
            "chronyc tracking | grep Leap",
            "whether chronyd expects a leap second",
        )
    })
}

/// More evidence is wanted.
fn unclear(report: &Report) -> Option<Advice> {
    if because(report, Why::Conflict) || because(report, Why::LeapSmear) {
        return None;
    }
    let asked = report.sources.iter().any(|s| s.name.starts_with("ntp://"));
    Some(Advice::plain(if report.offset_seconds.is_some() {
        "Name a nearer or a better reference with --reference: the bound is too wide to judge by.".to_owned()
    } else if asked {
        "None of the references gave evidence; their lines above say why.".to_owned()
    } else {
        let daemon = ["chrony", "ntpd-rs"].into_iter().find(|name| source(report, name).is_some());
        let also = daemon.map(|name| format!(" besides {name}")).unwrap_or_default();
        format!("Name an NTP server to measure against{also}: clockwarden agent --once --reference ntp://HOST")
    }))
}

/// A daemon that runs and has trouble with its servers.
fn daemon(source: &SourceReport) -> Option<Advice> {
    let (name, command) = match source.name.as_str() {
        "chrony" => ("chronyd", "chronyc -n sources -v"),
        "ntpd-rs" => ("ntpd-rs", "ntp-ctl status"),
        _ => return None,
    };
    let detail = source.detail.as_ref()?;
    let (configured, reachable) = (detail.configured?, detail.reachable?);
    let last = detail.last_update_seconds.map(|age_s| format!("; it last heard from one {} ago", human(age_s)));
    let shows = "which servers it has, and which of them answer";
    let text = match (configured, reachable) {
        (0, _) => format!("{name} runs but has no servers: name some in its configuration."),
        (_, 0) => format!(
            "{name} runs but cannot reach its servers: none of {configured} has answered lately{}. Is UDP port 123 open to \
             them, do their names resolve, and do they serve this network?{}",
            last.unwrap_or_default(),
            if testifies(source) { " Until then its word is worth less every hour." } else { "" }
        ),
        _ if !testifies(source) => format!(
            "{name} hears {reachable} of its {configured} servers but follows none of them{}: it has just been started, they \
             are not synchronised themselves, or they contradict one another.",
            match detail.falsetickers {
                Some(wrong) if wrong > 0 => format!(" ({wrong} contradict the others)"),
                _ => String::new(),
            }
        ),
        _ if detail.last_update_seconds.is_some_and(|age_s| age_s > SILENT_S) => format!(
            "{name} still follows a server that it last heard from {} ago.",
            human(detail.last_update_seconds.unwrap_or_default())
        ),
        _ => return None,
    };
    Some(Advice::shown(text, command, shows))
}

/// Nothing keeps this clock right.
fn undisciplined(report: &Report) -> Option<Advice> {
    let vouches = |name| source(report, name).is_some_and(testifies);
    let present = |name| source(report, name).is_some();
    if vouches("kernel") || vouches("chrony") || vouches("ntpd-rs") {
        return None;
    }
    if present("chrony") || present("ntpd-rs") {
        let name = if present("chrony") { "chronyd" } else { "ntpd-rs" };
        return Some(Advice::plain(format!(
            "Look after {name}, which should keep this clock right; its line above says what is wrong."
        )));
    }
    if present("timesyncd") {
        return Some(Advice::shown(
            "systemd-timesyncd has updated this clock since the machine was started, but the kernel no longer counts as \
             synchronised: is it still running, and does it hear its server?",
            "systemctl status systemd-timesyncd",
            "whether it runs, and what it said last",
        ));
    }
    Some(Advice::shown(
        "Nothing is known to keep this clock right: no time daemon answers (chronyd, ntpd-rs, systemd-timesyncd), and the \
         kernel says that nobody synchronises it. Install and start one (chrony, for one).",
        "systemctl list-units 'chron*' 'ntp*' '*timesyncd*'",
        "whether a time daemon is installed and runs",
    ))
}

/// The kernel says what it cannot hold.
fn artefact(report: &Report) -> Option<Advice> {
    let pending_s = source(report, "kernel")?.detail.as_ref()?.pending_seconds?;
    let pending = Delta::from_seconds(pending_s).unwrap_or(Delta::ZERO);
    Some(Advice::plain(format!(
        "The kernel reports a pending correction of {pending}, more than it can hold (0.5 s). KVM guests have been seen to \
         report 4.295 s (2^32 ns) on a clock that is right. It is neither believed nor dropped: a second source, such as a \
         --reference, tells."
    )))
}

fn step_unbounded(report: &Report) -> Option<Advice> {
    let place = report.sources.iter().find_map(|s| s.detail.as_ref()?.step_unbounded.as_ref())?;
    let file = place.split(':').next().unwrap_or(place);
    Some(Advice::shown(
        format!(
            "chronyd may step this clock at any time, in front of running programs ({place}). Write `makestep 1.0 3`: it \
             then steps in its first three updates only, and slews later."
        ),
        format!("grep -rn makestep {file}"),
        "when chronyd may step; -1 is always",
    ))
}

/// So many servers outvote one that is wrong; a daemon that follows them needs no second witness (chrony's FAQ).
const ENOUGH: u32 = 3;

/// One witness, or several that repeat one server: a fault of it would not be noticed.
fn alone(report: &Report) -> Option<Advice> {
    let witnesses: Vec<&SourceReport> = report.sources.iter().filter(|source| testifies(source)).collect();
    let independent: Vec<&&SourceReport> = witnesses.iter().filter(|source| source.name != "kernel").collect();
    let votes = |source: &SourceReport| source.detail.as_ref().and_then(|detail| detail.selectable);
    if witnesses.iter().any(|source| votes(source).is_some_and(|selectable| selectable >= ENOUGH)) {
        return None;
    }
    let text = match (independent.as_slice(), report.roots.as_slice()) {
        ([], _) => {
            "Only the kernel vouches for this clock, with what a daemon told it. Name a reference to compare with: \
                    --reference ntp://HOST."
                .to_owned()
        }
        ([only], _) => format!(
            "Only {} vouches for this clock: if it is wrong, nobody notices. Name a second, independent --reference.",
            only.name
        ),
        (_, [root]) => format!(
            "All witnesses go back to {root}: if it is wrong, nobody notices. Name a --reference that does not follow it."
        ),
        _ => return None,
    };
    Some(Advice::plain(text))
}

/// An age in seconds as a person would say it; daemons count in whole ones.
pub(super) fn human(age_s: f64) -> String {
    match Duration::try_from_secs_f64(age_s.round()).unwrap_or_default() {
        age if age.is_zero() => "less than 1 s".to_owned(),
        age if age.as_secs() < 120 => format!("{} s", age.as_secs()),
        age => Human(age).to_string(),
    }
}
