//! # ntp-unbounded-step
//!
//! A time daemon is told to jump to whatever time a server says, at any moment, or a one-shot client does so again and
//! again.
//!
//! **Why.** A daemon that may step only in its first updates, or that refuses an offset beyond its sanity limit, turns a
//! server gone mad into an alert. Without the bound the same server turns it into a clock that is hours off on every
//! node at once, with every token and certificate invalid. A client in a loop also fights with the node's own daemon.
//!
//! **Example.** chrony's `makestep 1 -1`, ntpd's `tinker panic 0`, `while true; do ntpd -gq; sleep 60; done`, a CronJob
//! that runs `ntpdate`.
//!
//! **Fix.** `makestep 1 3` (only in the first three updates), with `maxchange 1000 1 2` for a sanity limit; remove
//! `tinker panic 0`; run a daemon instead of a loop.
//!
//! **What it leaves alone.** `makestep` with a bound, or beside a `maxchange`; `ntpd -g` at start, which is allowed one
//! large step; clients that only ask (`ntpdate -q`); a one-shot client before something else. It never refuses: chrony's
//! own FAQ accepts an unbounded step for machines that are suspended or have no clock of their own.
//!
//! **Sources.** <https://chrony-project.org/doc/latest/chrony.conf.html> (`makestep`, `maxchange`),
//! <https://chrony-project.org/faq.html>, <https://www.ntp.org/documentation/4.2.8-series/miscopt/> (`tinker`)

use super::{Look, Rule, Severity};
use crate::inspect::sight::{Command, Remark, Sight, Spot, What};
use crate::inspect::tree::Scalar;

/// See the module.
pub const RULE: Rule = Rule {
    name: "ntp-unbounded-step",
    summary: "A time daemon is told to jump to whatever time a server says, at any moment, or a one-shot client does so \
              again and again.",
    severity: Severity::Warning,
    needles: &["makestep", "tinker", "ntpd", "chronyd", "sntp"],
    maps: &[],
    look: Look::Sight(look),
};

fn look(sight: &Sight<'_>, say: &mut dyn FnMut(Remark)) {
    match sight.what {
        What::Value(scalar) => directive(sight, scalar, say),
        What::Command(command) => {
            inline(command, say);
            again(sight, command, say);
        }
        What::Object(_) | What::Map(_) => {}
    }
}

/// A line of chrony.conf or ntp.conf, or the same in somebody's values.
fn directive(sight: &Sight<'_>, scalar: &Scalar, say: &mut dyn FnMut(Remark)) {
    match sight.key() {
        "makestep" if is_unbounded(&scalar.text) && !sight.is_shadowed() && !sight.has_beside("maxchange") => {
            say(makestep(sight.spot(scalar)));
        }
        "tinker" if accepts_anything(&scalar.text) => say(Remark {
            severity: Severity::Warning,
            spot: sight.spot(scalar),
            product: "ntpd".to_owned(),
            meaning: "which switches the sanity check of 1000 s off: any time that a server tells is taken over"
                .to_owned(),
            fix: "remove `panic 0`; `ntpd -g` allows one large step at start".to_owned(),
        }),
        _ => {}
    }
}

/// `makestep THRESHOLD LIMIT`: below zero there is no limit to the number of updates.
fn is_unbounded(value: &str) -> bool {
    let mut words = value.split_ascii_whitespace();
    let (Some(threshold), Some(limit)) = (words.next(), words.next()) else { return false };
    threshold.parse::<f64>().is_ok() && limit.parse::<i64>().is_ok_and(|limit| limit < 0)
}

fn accepts_anything(value: &str) -> bool {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    words
        .windows(2)
        .any(|pair| matches!(pair, ["panic", limit] if limit.parse::<f64>().is_ok_and(|limit| limit == 0.0)))
}

fn makestep(spot: Spot) -> Remark {
    Remark {
        severity: Severity::Warning,
        spot,
        product: "chrony".to_owned(),
        meaning: "which lets chronyd step the clock at any time, as far as a server says".to_owned(),
        fix: "write `makestep 1 3`; add `maxchange` where the clock may have to jump later".to_owned(),
    }
}

/// chronyd takes directives as arguments too.
fn inline(command: &Command<'_>, say: &mut dyn FnMut(Remark)) {
    let Some((_, "chronyd")) = command.program() else { return };
    let is_bounded = command.arguments().iter().any(|word| word.text.starts_with("maxchange "));
    for word in command.arguments().iter().filter(|_| !is_bounded) {
        if word.text.strip_prefix("makestep ").is_some_and(is_unbounded) {
            say(makestep(word.spot()));
        }
    }
}

/// A client that sets the clock once, run again and again. The last argument of `has_option` are each program's letters
/// that take a value.
fn again(sight: &Sight<'_>, command: &Command<'_>, say: &mut dyn FnMut(Remark)) {
    let how = match (command.is_repeated, sight.kind) {
        (true, _) => "in a loop",
        (false, "batch/CronJob") => "by a CronJob",
        (false, _) => return,
    };
    let Some((number, program)) = command.program() else { return };
    let asks_only = command.arguments().iter().any(|word| word.text == "--help");
    let sets_once = match program {
        "ntpd" => {
            command.has_option('q', "quit", "cfiIklprstuUv") || command.has_option('g', "panicgate", "cfiIklprstuUv")
        }
        "chronyd" => command.has_option('q', "", "FfhlLPtu"),
        "ntpdate" => !command.has_option('q', "", "aekopt") && !command.has_option('d', "", "aekopt"),
        "sntp" => command.has_option('S', "step", "abcgKklMot"),
        _ => false,
    };
    let Some(word) = command.words.get(number).filter(|_| sets_once && !asks_only) else { return };
    say(Remark {
        severity: Severity::Warning,
        spot: word.spot(),
        product: program.to_owned(),
        meaning: format!(
            "which with `{}` {how} steps the clock again and again, as far as a server says",
            command.shown()
        ),
        fix: "run a time daemon (chronyd, ntpd) instead, whose steps are bounded".to_owned(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_limit_that_is_not_negative() {
        for (text, expected) in
            [("1 -1", true), ("0.1 -1", true), ("1 3", false), ("1", false), ("x -1", false), ("", false)]
        {
            assert_eq!(is_unbounded(text), expected, "{text}");
        }
        for (text, expected) in [("panic 0", true), ("step 0 panic 0", true), ("panic 1000", false), ("step 0", false)]
        {
            assert_eq!(accepts_anything(text), expected, "{text}");
        }
    }
}
