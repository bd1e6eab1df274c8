//! The scenarios, against the truth: every verdict, every promise, and the table in docs/scenarios.md.
//!
//! They are had once, with the seed 1 or `SEED=…`, and looked at by all tests here.

mod random;
mod runs;

use clockwarden::simulation::score::Confusion;
use clockwarden::simulation::table;
use runs::{SEED, all, document, seed};

/// Says all that is wrong at once.
#[track_caller]
fn nothing(findings: &[String]) {
    assert!(findings.is_empty(), "SEED={}\n{}", seed(), findings.join("\n"));
}

const DRIFTING: usize = 0;
const SYNCHRONIZED: usize = 1;
const UNKNOWN: usize = 2;

/// Seconds in which one state was right and another was said.
fn mistaken(confusion: &Confusion, right: usize, said: usize) -> u64 {
    confusion.0.get(right).and_then(|row| row.get(said)).copied().unwrap_or(0)
}

#[test]
fn drift_is_found_wherever_the_evidence_can_tell_and_nowhere_else() {
    let mut findings = Vec::new();
    for (scenario, score) in all() {
        let mut wrong = |what: String| findings.push(format!("{}: {what}", scenario.name));
        let (ours, confusion) = (&score.ours, &score.confusion);
        if ours.found != ours.of {
            wrong(format!("found {} of {}: {ours:?}", ours.found, ours.of));
        }
        if ours.false_alarms > 0 {
            wrong(format!("{} false alarms", ours.false_alarms));
        }
        if score.marked.1 > 0 {
            wrong(format!("{} nodes marked although they were right", score.marked.1));
        }
        for (right, said) in [
            (DRIFTING, SYNCHRONIZED),
            (DRIFTING, UNKNOWN),
            (SYNCHRONIZED, DRIFTING),
            (SYNCHRONIZED, UNKNOWN),
            (UNKNOWN, DRIFTING),
        ] {
            if mistaken(confusion, right, said) > 0 {
                wrong(format!("state by state (drifting, synchronized, unknown): {confusion:?}"));
            }
        }
    }
    nothing(&findings);
}

#[test]
fn where_the_evidence_cannot_tell_nobody_is_called_healthy() {
    let mut findings = Vec::new();
    for (scenario, score) in all() {
        let by_claim = mistaken(&score.confusion, UNKNOWN, SYNCHRONIZED);
        if by_claim > 0 {
            findings.push(format!("{}: healthy by claim for {by_claim} s: {:?}", scenario.name, score.blind));
        }
    }
    nothing(&findings);
}

#[test]
fn every_promise_is_kept_in_every_second() {
    let mut findings = Vec::new();
    for (scenario, score) in all() {
        findings.extend(score.broken.iter().map(|broken| format!("{}: {broken:?}", scenario.name)));
    }
    nothing(&findings);
}

#[test]
fn the_table_in_the_documentation_is_that_of_the_code() {
    if seed() != SEED {
        return;
    }
    let expected = table::markdown(all());
    let found = document::between(&document::read()).unwrap().to_owned();
    if found != expected {
        let differing = found.lines().zip(expected.lines()).filter(|(old, new)| old != new).take(5);
        let shown: Vec<String> = differing.map(|(old, new)| format!("- {old}\n+ {new}")).collect();
        panic!("docs/scenarios.md is out of date: run `make scenarios` and read the diff\n{}", shown.join("\n"));
    }
}

/// A comparison in which nothing is ever missed would compare nothing.
#[test]
fn the_alerts_are_held_against_scenarios_that_tell_them_apart() {
    let alerts = clockwarden::simulation::alerts::ALERTS;
    for (number, alert) in alerts.iter().enumerate() {
        let counts = || all().iter().filter_map(|(_, score)| score.alerts.get(number));
        let missed = counts().any(|count| count.found < count.of);
        let cried = counts().any(|count| count.false_alarms > 0);
        assert!(missed || cried, "{}: in no scenario wrong", alert.name);
    }
    assert!(all().len() >= 14 && all().iter().map(|(_, score)| score.ours.of).sum::<usize>() >= 20);
}
