//! Tables and properties of [`super::decide`].

use super::*;
use crate::clock::{Delta, Judgement};
use crate::policy::marks::Effect;
use crate::policy::{Limit, Mark};
use proptest::prelude::*;

const S: u64 = 1_000_000_000;

fn action(limit: Limit) -> Action {
    Action {
        mark: Some(Mark::Taint { key: "clockwarden.io/clock-drift".into(), effect: Effect::NoSchedule }),
        sustained_for: Duration::from_secs(30),
        recovered_for: Duration::from_secs(120),
        act_on_unknown: false,
        limit,
        suspended: false,
    }
}

/// A node that has been judged like this since `since` seconds.
fn candidate(node: &str, judgement: Judgement, since: u64, acted: bool) -> Candidate {
    let standing = Standing::new(Mono::from_nanos(0)).observe(judgement, Mono::from_nanos(since * S));
    Candidate { node: node.into(), standing, offset: None, acted, hands_off: None, zone_suspect: false }
}

fn check(candidates: &[Candidate], action: &Action, now: u64, expected: &[&str]) {
    let decisions = decide(candidates, action, None, Mono::from_nanos(now * S));
    let words: Vec<String> = decisions.iter().map(Decision::word).collect();
    assert_eq!(words, expected);
}

#[test]
fn acting_and_undoing_wait_for_what_is_sustained() {
    let many = action(Limit::Count(9));
    let (beyond, within) = (Judgement::Beyond, Judgement::Within);
    check(&[candidate("a", beyond, 100, false)], &many, 129, &["Leave/HeldDown"]);
    check(&[candidate("a", beyond, 100, false)], &many, 130, &["Act/Drifting"]);
    check(&[candidate("a", beyond, 100, true)], &many, 101, &["Keep/HeldDown"]);
    check(&[candidate("a", within, 100, true)], &many, 219, &["Keep/Recovering"]);
    check(&[candidate("a", within, 100, true)], &many, 220, &["Release/Recovered"]);
    check(&[candidate("a", within, 100, false)], &many, 220, &["Leave/Synchronized"]);
    check(&[candidate("a", Judgement::Adrift, 100, true)], &many, 220, &["Release/Recovered"]);
}

#[test]
fn silence_neither_acts_nor_undoes() {
    let silent = Judgement::Nothing(Why::Stale);
    let many = action(Limit::Count(9));
    check(&[candidate("a", silent, 100, false)], &many, 9_999, &["Leave/Stale"]);
    check(&[candidate("a", silent, 100, true)], &many, 9_999, &["Keep/Stale"]);
    let acting = Action { act_on_unknown: true, ..many };
    check(&[candidate("a", silent, 100, false)], &acting, 130, &["Act/LostEvidence"]);
    let never = Judgement::Nothing(Why::NeverMeasured);
    check(&[candidate("a", never, 100, false)], &acting, 9_999, &["Leave/NeverMeasured"]);
}

#[test]
fn the_limit_takes_the_longest_drifting_and_undoing_works_while_limited() {
    let two = action(Limit::Count(2));
    let fleet = [
        candidate("a", Judgement::Beyond, 50, false),
        candidate("b", Judgement::Beyond, 10, false),
        candidate("c", Judgement::Beyond, 40, false),
        candidate("d", Judgement::Within, 10, true),
    ];
    check(&fleet, &two, 300, &["Leave/ActionLimited", "Act/Drifting", "Leave/ActionLimited", "Release/Recovered"]);
    check(&fleet[..3], &two, 300, &["Leave/ActionLimited", "Act/Drifting", "Act/Drifting"]);
}

#[test]
fn suspicion_stops_the_new_and_nothing_else() {
    let suspicion = Some(Suspicion::FleetShifted { shifted: 3, of: 3, by: Delta::ZERO });
    let fleet = [
        candidate("a", Judgement::Beyond, 0, false),
        candidate("b", Judgement::Beyond, 0, true),
        candidate("c", Judgement::Within, 0, true),
    ];
    let decisions = decide(&fleet, &action(Limit::Count(9)), suspicion.as_ref(), Mono::from_nanos(500 * S));
    let words: Vec<String> = decisions.iter().map(Decision::word).collect();
    assert_eq!(words, ["Leave/ReferenceSuspect", "Act/Drifting", "Release/Recovered"]);
}

#[test]
fn observing_says_what_would_be_done() {
    let observe = Action { mark: None, ..action(Limit::Count(1)) };
    let fleet = [candidate("a", Judgement::Beyond, 0, false), candidate("b", Judgement::Beyond, 1, false)];
    check(&fleet, &observe, 100, &["WouldAct/Drifting", "Leave/ActionLimited"]);
}

#[test]
fn somebody_elses_marks_are_left_alone() {
    let mut foreign = candidate("a", Judgement::Beyond, 0, false);
    foreign.hands_off = Some(HandsOff::ForeignCordon);
    check(&[foreign], &action(Limit::Count(1)), 100, &["Leave/ForeignCordon"]);
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let judgement = prop_oneof![
        Just(Judgement::Within),
        Just(Judgement::Adrift),
        Just(Judgement::Beyond),
        Just(Judgement::Straddling),
        Just(Judgement::Nothing(Why::Stale)),
    ];
    ("[a-e]{3}", judgement, 0u64..400, any::<bool>()).prop_map(|(n, j, s, acted)| candidate(&n, j, s, acted))
}

proptest! {
    #[test]
    fn never_more_than_the_limit_and_never_an_undo_refused(
        fleet in prop::collection::vec(any_candidate(), 0..40),
        cap in 0usize..10,
        now in 400u64..1_000,
        suspect: bool,
    ) {
        let held = fleet.iter().filter(|c| c.acted).count();
        let suspicion = suspect.then_some(Suspicion::FleetShifted { shifted: 2, of: 3, by: Delta::ZERO });
        let decisions = decide(&fleet, &action(Limit::Count(cap)), suspicion.as_ref(), Mono::from_nanos(now * S));
        prop_assert_eq!(decisions.len(), fleet.len());
        let fresh = decisions.iter().zip(&fleet).filter(|(d, c)| d.outcome == Outcome::Act && !c.acted).count();
        prop_assert!(fresh == 0 || held + fresh <= cap, "{} held, {} new, cap {}", held, fresh, cap);
        prop_assert!(!suspect || fresh == 0);
        for (decision, candidate) in decisions.iter().zip(&fleet) {
            let recovered = candidate.acted
                && candidate.standing.within_since().is_some_and(|s| now * S - s.nanos() >= 120 * S);
            prop_assert_eq!(decision.outcome == Outcome::Release, recovered);
            if decision.outcome == Outcome::Act {
                prop_assert_eq!(candidate.standing.state(), State::Drifting);
            }
        }
    }

    #[test]
    fn the_order_of_nodes_does_not_matter(fleet in prop::collection::vec(any_candidate(), 0..20), cap in 0usize..5) {
        // Names make nodes distinct, so that a reversed fleet has one right answer.
        let fleet: Vec<Candidate> = fleet
            .into_iter()
            .enumerate()
            .map(|(i, c)| Candidate { node: format!("{}{i}", c.node), ..c })
            .collect();
        let mut reversed = fleet.clone();
        reversed.reverse();
        let (action, now) = (action(Limit::Count(cap)), Mono::from_nanos(500 * S));
        let mut backwards = decide(&reversed, &action, None, now);
        backwards.reverse();
        prop_assert_eq!(decide(&fleet, &action, None, now), backwards);
    }
}
