//! # fake-time
//!
//! A workload runs under libfaketime, which tells it another time than the node's.
//!
//! **Why.** A process that lives in another time sees valid certificates and tokens as expired, or expired ones as
//! valid, and writes wrong times into leases, logs and databases. Nothing on the node shows it: every clock is right.
//! libfaketime is for tests; in a deployment it is what somebody forgot to take out.
//!
//! **Example.** `LD_PRELOAD: /usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1`, `FAKETIME: "-15d"`,
//! `command: ["faketime", "2020-01-01", "app"]`, an `ld.so.preload` in a ConfigMap.
//!
//! **Fix.** Remove the variable or the wrapper, and take libfaketime out of the image.
//!
//! **What it leaves alone.** An offset of zero; a value that is filled in elsewhere; packages that are only installed; a
//! `faketime` that is no program but an argument. `FAKETIME` with a value that libfaketime would not read, and either
//! variable in a file that is no Kubernetes object (a CI job's environment), is only warned about.
//!
//! **Sources.** <https://github.com/wolfcw/libfaketime#readme>

use super::{Look, Rule, Severity};
use crate::inspect::sight::{Command, Remark, Sight, Spot, What};
use crate::inspect::tree::Scalar;
use crate::inspect::value::{self, Written};

/// See the module.
pub const RULE: Rule = Rule {
    name: "fake-time",
    summary: "A workload runs under libfaketime, which tells it another time than the node's.",
    severity: Severity::Error,
    needles: &["faketime"],
    maps: &[],
    look: Look::Sight(look),
};

fn look(sight: &Sight<'_>, say: &mut dyn FnMut(Remark)) {
    match sight.what {
        What::Value(scalar) => variable(sight, scalar, say),
        What::Command(command) => wrapper(sight, command, say),
        What::Object(_) | What::Map(_) => {}
    }
}

fn variable(sight: &Sight<'_>, scalar: &Scalar, say: &mut dyn FnMut(Remark)) {
    let key = sight.key();
    let (certain, meaning, fix) = match key {
        "LD_PRELOAD" | "ld.so.preload" if scalar.text.contains("faketime") && !scalar.text.contains("{{") => (
            true,
            "which preloads libfaketime: the process sees an invented time, so tokens, certificates and leases are judged \
             by it",
            format!("remove libfaketime from {key}"),
        ),
        "FAKETIME" => {
            let Written::Value { text, .. } = value::written(scalar) else { return };
            let Some(certain) = moves(&text) else { return };
            (
                certain,
                "which is the time that libfaketime tells the process instead of the node's",
                format!("remove {key}"),
            )
        }
        _ => return,
    };
    if sight.is_shadowed() {
        return;
    }
    // What is no object may be anything: a build's environment, a developer's machine.
    let severity = if certain && !sight.kind.is_empty() { Severity::Error } else { Severity::Warning };
    say(remark(severity, sight.spot(scalar), meaning.to_owned(), fix));
}

/// Does this value of `FAKETIME` change the time? `None`: it does not; `false`: it is not in a form of the README's.
fn moves(text: &str) -> Option<bool> {
    let text = text.trim();
    let is_zero = |number: &str| !number.is_empty() && number.chars().all(|c| matches!(c, '0' | '.'));
    match text.strip_prefix(['+', '-']) {
        Some(offset) if is_zero(offset.trim_end_matches(['s', 'm', 'h', 'd', 'y'])) => None,
        Some(offset) => Some(offset.starts_with(|c: char| c.is_ascii_digit() || c == '.')),
        None => Some(
            text.strip_prefix('@').unwrap_or(text).starts_with(|c: char| c.is_ascii_digit()) || text.starts_with('%'),
        ),
    }
}

fn wrapper(sight: &Sight<'_>, command: &Command<'_>, say: &mut dyn FnMut(Remark)) {
    // With one argument there is a time and nothing that runs in it.
    let Some((number, "faketime")) = command.program() else { return };
    let Some(word) = command.words.get(number).filter(|_| command.arguments().len() > 1) else { return };
    let severity = if sight.kind.is_empty() { Severity::Warning } else { Severity::Error };
    let meaning = format!("which runs the rest of `{}` in an invented time", command.shown());
    say(remark(severity, word.spot(), meaning, "run the program without faketime".to_owned()));
}

fn remark(severity: Severity, spot: Spot, meaning: String, fix: String) -> Remark {
    Remark { severity, spot, product: "libfaketime".to_owned(), meaning, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_the_nodes_own_is_no_fake() {
        for (text, expected) in [
            ("-15d", Some(true)),
            ("+2,5y", Some(true)),
            ("+0 x10", Some(true)),
            ("@2020-12-24 20:30:00", Some(true)),
            ("2020-12-24 20:30:00", Some(true)),
            ("%", Some(true)),
            ("+0", None),
            ("-0s", None),
            ("+0.0d", None),
            ("yes", Some(false)),
            ("+", Some(false)),
        ] {
            assert_eq!(moves(text), expected, "{text}");
        }
    }
}
