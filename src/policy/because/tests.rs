//! Every reason has its word and its sentence, and both stand in docs/policy.md.

use super::*;
use std::collections::BTreeSet;

/// 2026-01-01T12:00:05.25Z.
const NOW: Wall = Wall::from_unix_nanos(1_767_268_805_250_000_000);

const WHYS: [Why; 8] = [
    Why::NeverMeasured,
    Why::Stale,
    Why::TooUncertain,
    Why::Conflict,
    Why::LeapSmear,
    Why::NoYardstick,
    Why::MovedTogether,
    Why::Unsynchronized,
];

/// One of each reason. The match has no `_`: whoever adds a reason must add it here.
fn every() -> Vec<Because> {
    let remaining = Duration::from_secs(12);
    let exempt = |far| HandsOff::Exempt { until: NOW, remaining, far };
    let all: Vec<Because> = [
        Because::Synchronized,
        Because::Drifting,
        Because::HeldDown { remaining },
        Because::Recovering { remaining },
        Because::Recovered,
        Because::LostEvidence(Why::Stale),
        Because::LimitReached,
        Because::ReferenceSuspect,
        Because::ZoneSuspect,
        Because::Suspended,
        Because::Straddling,
    ]
    .into_iter()
    .chain(WHYS.map(Because::Unknown))
    .chain(
        [
            HandsOff::UnreadableMarks,
            HandsOff::NodeDeleting,
            exempt(false),
            exempt(true),
            HandsOff::UnreadableExemption,
            HandsOff::ControlPlane,
            HandsOff::ForeignCordon,
            HandsOff::ForeignTaint,
            HandsOff::UncordonedByOther,
        ]
        .map(Because::HandsOff),
    )
    .collect();
    let number = |because: &Because| match because {
        Because::Synchronized => 0,
        Because::Drifting => 1,
        Because::HeldDown { .. } => 2,
        Because::Recovering { .. } => 3,
        Because::Recovered => 4,
        Because::Unknown(
            Why::NeverMeasured
            | Why::Stale
            | Why::TooUncertain
            | Why::Conflict
            | Why::LeapSmear
            | Why::NoYardstick
            | Why::MovedTogether
            | Why::Unsynchronized,
        ) => 5,
        Because::LostEvidence(_) => 6,
        Because::LimitReached => 7,
        Because::ReferenceSuspect => 8,
        Because::ZoneSuspect => 9,
        Because::Suspended => 10,
        Because::HandsOff(HandsOff::UnreadableMarks) => 11,
        Because::HandsOff(HandsOff::NodeDeleting) => 12,
        Because::HandsOff(HandsOff::Exempt { .. }) => 13,
        Because::HandsOff(HandsOff::UnreadableExemption) => 14,
        Because::HandsOff(HandsOff::ControlPlane) => 15,
        Because::HandsOff(HandsOff::ForeignCordon) => 16,
        Because::HandsOff(HandsOff::ForeignTaint) => 17,
        Because::HandsOff(HandsOff::UncordonedByOther) => 18,
        Because::Straddling => 19,
    };
    assert_eq!(all.iter().map(number).collect::<BTreeSet<_>>(), (0..=19).collect());
    all
}

fn scene() -> Scene<'static> {
    let limit = Limit::Percent { percent: 10, at_least: 1 };
    Scene { now: NOW, limit, cap: 2, held: 2, waiting: 3, suspicion: Some("all moved"), zone: None }
}

#[test]
fn every_reason_has_a_word_of_its_own_and_a_sentence() {
    let every = every();
    let words: BTreeSet<&str> = every.iter().map(|because| because.as_str()).collect();
    assert_eq!(words.len(), every.len(), "two reasons share a word: {words:?}");
    for because in every {
        let (word, sentence) = (because.as_str(), because.explain(&scene()));
        assert!(
            word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(char::is_alphanumeric),
            "{word}"
        );
        assert!(sentence.len() > 10 && sentence.len() < 250 && !sentence.ends_with('.'), "{word}: {sentence}");
    }
}

#[test]
fn every_word_stands_in_the_table_of_the_documentation() {
    let page = include_str!("../../../docs/policy.md");
    let told: BTreeSet<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("| Reason "))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    let words: BTreeSet<&str> = every().iter().map(|because| because.as_str()).collect();
    assert_eq!(told, words, "docs/policy.md, table of reasons");
}

#[test]
fn sentences_name_moments_and_numbers() {
    let check = |because: Because, expected: &str| assert_eq!(because.explain(&scene()), expected);
    let remaining = Duration::from_secs(12);
    check(Because::HeldDown { remaining }, "held down by sustainedFor until 2026-01-01T12:00:18Z");
    check(Because::Recovering { remaining }, "inside tolerance again, held by recoveredFor until 2026-01-01T12:00:18Z");
    check(Because::LimitReached, "limit of 2 (10%) reached: 2 nodes are acted on, 3 wait");
    check(Because::ReferenceSuspect, "reference suspect: all moved");
    let exempt = HandsOff::Exempt { until: NOW, remaining, far: false };
    check(Because::HandsOff(exempt), "exempt until 2026-01-01T12:00:06Z (annotation clockwarden.io/exempt-until)");
}

#[test]
fn what_ends_on_a_whole_second_ends_then() {
    let because = Because::HeldDown { remaining: Duration::from_millis(11_750) };
    assert_eq!(because.explain(&scene()), "held down by sustainedFor until 2026-01-01T12:00:17Z");
}

#[test]
fn a_decision_is_told_with_what_is_done() {
    use crate::policy::decide::{Decision, Outcome};
    for (outcome, done) in [
        (Outcome::Act, "acted on: "),
        (Outcome::Keep, "kept as it is: "),
        (Outcome::Release, "let go: "),
        (Outcome::WouldAct, "would be acted on: "),
        (Outcome::Leave, "left alone: "),
    ] {
        let told = Decision { outcome, because: Because::Drifting }.explain(&scene());
        assert_eq!(told, format!("{done}{}", Because::Drifting.explain(&scene())));
    }
}

#[test]
fn a_length_of_time_that_no_calendar_holds_is_no_panic() {
    let because = Because::HeldDown { remaining: Duration::MAX };
    assert!(because.explain(&scene()).starts_with("held down by sustainedFor until 2262-"));
    let last = Scene { now: Wall::from_unix_nanos(i64::MAX), ..scene() };
    assert!(because.explain(&last).starts_with("held down by sustainedFor until 2262-"));
}
