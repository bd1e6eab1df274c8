//! The whole controller, drilled: named scenarios with their timelines, a random search, and planted bugs.
//!
//! `tests/fleet/NAME.scenario` says what happens, `NAME.decisions` what was decided and written (`UPDATE_GOLDEN=1`
//! rewrites it: read the diff). The search takes `SEEDS=…` scenarios from `SEED=…` on; `make
//! test` takes thousands more in a release build, and `make soak` larger ones. A seed that fails is shrunk, and printed as a scenario that can be put into a file.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: what it cannot read is its failure")]

use clockwarden::drill::random::{self, Size};
use clockwarden::drill::{Plant, Ran, Rule, Scenario, script, shrink};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

fn drill(scenario: &Scenario, plant: Option<Plant>) -> Ran {
    clockwarden::drill::run(scenario, plant)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet")
}

/// Every scenario file, by name.
fn named() -> Vec<(String, Scenario)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|it| it.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "scenario"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let scenario = script::read(&std::fs::read_to_string(&path).unwrap());
        let scenario = scenario.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (name, scenario)
    };
    paths.into_iter().map(read).collect()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
fn every_scenario_goes_as_its_timeline_says_and_breaks_no_rule() {
    let only = std::env::var("ONLY").ok();
    let mut findings = String::new();
    for (name, scenario) in named().iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only))) {
        let ran = drill(scenario, None);
        for broken in &ran.broken {
            writeln!(findings, "{name}: {broken}").unwrap();
        }
        let (path, timeline) = (folder().join(format!("{name}.decisions")), ran.journal.to_string());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, timeline).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = expected.lines().zip(timeline.lines()).find(|(old, new)| old != new);
        if let Some((old, new)) = differs {
            writeln!(findings, "{name}: the timeline differs first here\n- {old}\n+ {new}").unwrap();
        } else if expected != timeline {
            let (old, new) = (expected.lines().count(), timeline.lines().count());
            writeln!(findings, "{name}: the timeline has {new} lines instead of {old}").unwrap();
        }
    }
    assert!(findings.is_empty(), "UPDATE_GOLDEN=1 rewrites the timelines\n{findings}");
}

/// The shortest scenario that breaks the same rule, and how to have it again.
fn report(seed: u64, scenario: &Scenario, ran: &Ran, plant: Option<Plant>) -> String {
    let rule = ran.broken.first().map(|broken| broken.rule);
    let fails = |it: &Scenario| drill(it, plant).broken.first().map(|broken| broken.rule) == rule;
    let short = shrink::shrink(scenario, 400, fails);
    let again = drill(&short, plant);
    let broken = |ran: &Ran| ran.broken.iter().map(|it| format!("  {it}\n")).collect::<String>();
    format!("SEED={seed}\n{}shrunk:\n{short}{}{}", broken(ran), broken(&again), again.journal)
}

#[test]
fn whatever_happens_no_rule_is_broken() {
    let (first, count) = (number("SEED", 1), number("SEEDS", 50));
    let next = AtomicU64::new(first);
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let scenario = random::scenario(seed, Size::SHORT);
            let ran = drill(&scenario, None);
            assert!(ran.broken.is_empty(), "{}", report(seed, &scenario, &ran, None));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(search);
        }
    });
}

#[test]
fn every_rule_notices_the_bug_that_is_planted_for_it() {
    let (scenarios, only) = (named(), std::env::var("ONLY").ok());
    let mut unnoticed = Vec::new();
    for (plant, rule, name) in Plant::ALL {
        if only.as_ref().is_some_and(|only| !format!("{plant:?}").contains(only)) {
            continue;
        }
        let (_, scenario) = scenarios.iter().find(|(known, _)| known == name).unwrap();
        let notices = |seed: &u64| {
            let ran = drill(&Scenario { seed: *seed, ..scenario.clone() }, Some(plant));
            ran.broken.iter().any(|broken| broken.rule == rule)
        };
        match (1..=10).find(notices) {
            Some(seed) => println!("{plant:?}: {rule:?} notices it in {name} with seed {seed}"),
            None => unnoticed.push(format!("{plant:?}: {rule:?} does not notice it in {name}")),
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
    let judged: std::collections::BTreeSet<Rule> = Plant::ALL.into_iter().map(|(_, rule, _)| rule).collect();
    assert_eq!(judged.len(), 9, "a rule for which no bug is planted: {judged:?}");
}
