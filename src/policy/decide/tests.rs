//! Tables and properties of [`super::decide`].

use super::*;
use crate::clock::{Delta, Judgement, Wall};
use crate::policy::{Limit, Mark};
use proptest::prelude::*;

const S: u64 = 1_000_000_000;

fn action(limit: Limit) -> Action {
    Action {
        mark: Some(Mark::Cordon),
        named: Mark::Cordon,
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
fn a_reading_that_does_not_tell_founds_nothing_new_and_undoes_nothing() {
    let vague = |acted| {
        let seen = candidate("a", Judgement::Beyond, 0, acted);
        Candidate { standing: seen.standing.observe(Judgement::Straddling, Mono::from_nanos(60 * S)), ..seen }
    };
    check(&[vague(false), vague(true)], &action(Limit::Count(9)), 100, &["Leave/Straddling", "Act/Drifting"]);
    let again = |it: Candidate| {
        let standing = it.standing.observe(Judgement::Beyond, Mono::from_nanos(90 * S));
        Candidate { standing, ..it }
    };
    check(&[again(vague(false))], &action(Limit::Count(9)), 100, &["Act/Drifting"]);
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

fn left(node: &str, judgement: Judgement, acted: bool, hands_off: HandsOff) -> Candidate {
    Candidate { hands_off: Some(hands_off), ..candidate(node, judgement, 0, acted) }
}

#[test]
fn a_suspended_policy_does_nothing_new_and_says_what_it_would_do() {
    let suspended = Action { suspended: true, ..action(Limit::Count(3)) };
    let fleet = [
        candidate("a", Judgement::Beyond, 1, false),
        candidate("b", Judgement::Beyond, 2, false),
        candidate("c", Judgement::Beyond, 0, true),
        candidate("d", Judgement::Within, 0, true),
        candidate("e", Judgement::Beyond, 399, false),
        candidate("f", Judgement::Within, 0, false),
    ];
    let expected = [
        "WouldAct/Suspended",
        "Leave/ActionLimited",
        "Act/Drifting",
        "Release/Recovered",
        "Leave/HeldDown",
        "Leave/Synchronized",
    ];
    check(&fleet, &suspended, 400, &expected);
}

#[test]
fn what_a_person_exempted_is_let_go_whatever_its_clock_says() {
    let exempt = HandsOff::Exempt { until: Wall::default(), remaining: Duration::from_secs(7), far: false };
    let (beyond, within) = (Judgement::Beyond, Judgement::Within);
    let fleet = [
        left("a", beyond, false, exempt),
        left("b", beyond, true, exempt),
        left("c", within, false, exempt),
        left("d", Judgement::Nothing(Why::Stale), true, exempt),
    ];
    let expected = ["Leave/Exempt", "Release/Exempt", "Leave/Exempt", "Release/Exempt"];
    check(&fleet, &action(Limit::Count(9)), 400, &expected);
    check(&fleet, &Action { suspended: true, ..action(Limit::Count(0)) }, 400, &expected);
    let decisions = decide(&fleet, &action(Limit::Count(9)), None, Mono::from_nanos(400 * S));
    assert_eq!(next_due(&decisions), Some(Duration::from_secs(7)), "its end is due, though no evidence may come");
}

#[test]
fn an_exemption_that_cannot_be_read_stops_the_new_and_is_told() {
    let unreadable = HandsOff::UnreadableExemption;
    let fleet = [
        left("a", Judgement::Beyond, false, unreadable),
        left("b", Judgement::Within, false, unreadable),
        left("c", Judgement::Beyond, true, unreadable),
        left("d", Judgement::Within, true, unreadable),
    ];
    let expected = ["Leave/UnreadableExemption", "Leave/UnreadableExemption", "Act/Drifting", "Release/Recovered"];
    check(&fleet, &action(Limit::Count(9)), 400, &expected);
}

#[test]
fn control_plane_nodes_are_reported_not_acted_on_and_do_not_raise_the_limit() {
    let role = HandsOff::ControlPlane;
    let tenth = action(Limit::Percent { percent: 10, at_least: 0 });
    let fleet = [
        left("a", Judgement::Beyond, false, role),
        left("b", Judgement::Within, false, role),
        left("c", Judgement::Beyond, true, role),
    ];
    check(&fleet, &action(Limit::Count(9)), 400, &["Leave/ControlPlane", "Leave/Synchronized", "Release/ControlPlane"]);
    // Nine workers and a control-plane node are ten nodes, but a tenth of those that may be acted on is none.
    let workers = |count: usize| (0..count).map(|n| candidate(&format!("w{n}"), Judgement::Beyond, n as u64, false));
    let acted = |fleet: &[Candidate]| {
        let decisions = decide(fleet, &tenth, None, Mono::from_nanos(400 * S));
        decisions.iter().filter(|d| d.outcome == Outcome::Act).count()
    };
    let nine: Vec<Candidate> = workers(9).chain([left("m", Judgement::Within, false, role)]).collect();
    assert_eq!((acted(&nine), acted(&workers(10).collect::<Vec<_>>())), (0, 1));
}

#[test]
fn a_cordon_of_ours_that_a_person_lifted_is_not_put_back_and_ends_with_the_drift() {
    let lifted = HandsOff::UncordonedByOther;
    let fleet = [
        left("a", Judgement::Beyond, true, lifted),
        left("b", Judgement::Within, true, lifted),
        left("c", Judgement::Beyond, false, lifted),
        left("d", Judgement::Nothing(Why::Stale), true, lifted),
    ];
    let expected = ["Keep/UncordonedByOther", "Release/Recovered", "Leave/UncordonedByOther", "Keep/Stale"];
    check(&fleet, &action(Limit::Count(9)), 400, &expected);
}

#[test]
fn the_room_goes_to_drifting_nodes_before_silent_ones_then_to_the_longest_the_furthest_the_first_by_name() {
    let acting = Action { act_on_unknown: true, ..action(Limit::Count(1)) };
    let silent = || candidate("a", Judgement::Nothing(Why::Stale), 1, false);
    let drifting = |node: &str, since, off: Option<i64>| Candidate {
        offset: off.map(|s| OffsetInterval::exactly(Delta::from_nanos(s * S as i64))),
        ..candidate(node, Judgement::Beyond, since, false)
    };
    let (act, limited) = ("Act/Drifting", "Leave/ActionLimited");
    check(&[silent(), drifting("b", 90, None)], &acting, 400, &[limited, act]);
    check(&[drifting("a", 91, Some(99)), drifting("b", 90, None)], &acting, 400, &[limited, act]);
    check(&[drifting("a", 90, Some(15)), drifting("b", 90, Some(-20))], &acting, 400, &[limited, act]);
    check(&[drifting("a", 90, None), drifting("b", 90, Some(1))], &acting, 400, &[limited, act]);
    check(&[drifting("b", 90, Some(15)), drifting("a", 90, Some(15))], &acting, 400, &[limited, act]);
}

#[test]
fn words_are_the_same_while_only_the_time_left_changes() {
    let held = |seconds| Because::HeldDown { remaining: Duration::from_secs(seconds) };
    let decision = |outcome, because| Decision { outcome, because };
    let first = decision(Outcome::Leave, held(9));
    for (other, same) in [
        (first, true),
        (decision(Outcome::Leave, held(8)), true),
        (decision(Outcome::Keep, held(9)), false),
        (decision(Outcome::Leave, Because::Drifting), false),
        (decision(Outcome::Keep, Because::Drifting), false),
    ] {
        assert_eq!((first.same_words(&other), other.same_words(&first)), (same, same), "{other:?}");
    }
}

#[test]
fn what_is_due_is_the_earliest_end_of_a_wait() {
    let after = Duration::from_secs;
    let decision = |because| Decision { outcome: Outcome::Leave, because };
    let waits = [
        decision(Because::HeldDown { remaining: after(9) }),
        decision(Because::Recovering { remaining: after(5) }),
        decision(Because::Synchronized),
    ];
    for (first, due) in [(0, Some(after(5))), (2, None)] {
        assert_eq!(next_due(&waits[first..]), due);
    }
    assert_eq!(next_due(&waits[..1]), Some(after(9)));
}

#[test]
fn a_suspect_zone_stops_the_new_on_its_own_nodes_only() {
    let of_zone =
        |node: &str, acted: bool| Candidate { zone_suspect: true, ..candidate(node, Judgement::Beyond, 0, acted) };
    let foreign = Candidate { hands_off: Some(HandsOff::ForeignTaint), ..of_zone("d", false) };
    let fleet = [of_zone("a", false), of_zone("b", true), candidate("c", Judgement::Beyond, 0, false), foreign];
    let expected = ["Leave/ZoneSuspect", "Act/Drifting", "Act/Drifting", "Leave/ForeignTaint"];
    check(&fleet, &action(Limit::Count(9)), 400, &expected);
}

#[test]
fn a_node_is_not_called_silent_before_it_has_spoken() {
    let acting = Action { act_on_unknown: true, ..action(Limit::Count(9)) };
    // Never heard of for 100 s; then its agent comes up with a clock that nothing can be said about yet.
    let spoken = candidate("a", Judgement::Nothing(Why::TooUncertain), 100, false);
    check(std::slice::from_ref(&spoken), &acting, 129, &["Leave/HeldDown"]);
    check(&[spoken], &acting, 130, &["Act/LostEvidence"]);
}

#[test]
fn a_policy_that_has_come_to_only_observe_holds_nothing() {
    let observe = Action { mark: None, ..action(Limit::Count(1)) };
    let fleet = [candidate("a", Judgement::Beyond, 0, true), candidate("b", Judgement::Within, 399, true)];
    check(&fleet, &observe, 400, &["WouldAct/Drifting", "Leave/Synchronized"]);
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let judgement = prop_oneof![
        Just(Judgement::Within),
        Just(Judgement::Adrift),
        Just(Judgement::Beyond),
        Just(Judgement::Straddling),
        Just(Judgement::Nothing(Why::Stale)),
    ];
    let exempt = HandsOff::Exempt { until: Wall::default(), remaining: Duration::from_secs(9), far: false };
    let hands_off = prop_oneof![
        12 => Just(None),
        1 => Just(Some(exempt)),
        1 => Just(Some(HandsOff::UnreadableExemption)),
        1 => Just(Some(HandsOff::ControlPlane)),
        1 => Just(Some(HandsOff::ForeignTaint)),
        1 => Just(Some(HandsOff::UncordonedByOther)),
    ];
    ("[a-e]{3}", judgement, 0u64..400, any::<bool>(), hands_off, prop::bool::weighted(0.1)).prop_map(
        |(n, j, s, acted, hands_off, zone_suspect)| Candidate { hands_off, zone_suspect, ..candidate(&n, j, s, acted) },
    )
}

proptest! {
    #[test]
    fn never_more_than_the_limit_and_never_an_undo_refused(
        fleet in prop::collection::vec(any_candidate(), 0..40),
        cap in 0usize..10,
        now in 400u64..1_000,
        suspect: bool,
        suspended: bool,
    ) {
        let held = fleet.iter().filter(|c| c.acted).count();
        let suspicion = suspect.then_some(Suspicion::FleetShifted { shifted: 2, of: 3, by: Delta::ZERO });
        let action = Action { suspended, ..action(Limit::Count(cap)) };
        let decisions = decide(&fleet, &action, suspicion.as_ref(), Mono::from_nanos(now * S));
        prop_assert_eq!(decisions.len(), fleet.len());
        let new = |outcome: Outcome| decisions.iter().zip(&fleet).filter(|(d, c)| d.outcome == outcome && !c.acted).count();
        let (fresh, dry) = (new(Outcome::Act), new(Outcome::WouldAct));
        prop_assert!(fresh + dry == 0 || held + fresh + dry <= cap, "{held} held, {fresh} + {dry} new, cap {cap}");
        prop_assert!(!suspect || fresh + dry == 0);
        prop_assert_eq!(if suspended { fresh } else { dry }, 0);
        for (decision, candidate) in decisions.iter().zip(&fleet) {
            let recovered = candidate.standing.within_since().is_some_and(|s| now * S - s.nanos() >= 120 * S);
            let taken_back = matches!(candidate.hands_off, Some(HandsOff::Exempt { .. } | HandsOff::ControlPlane));
            prop_assert_eq!(decision.outcome == Outcome::Release, candidate.acted && (recovered || taken_back));
            if decision.outcome == Outcome::Act {
                prop_assert_eq!(candidate.standing.state(), State::Drifting);
                prop_assert!(candidate.acted || (candidate.hands_off.is_none() && !candidate.zone_suspect));
            }
        }
    }

    #[test]
    fn what_one_node_comes_to_is_decided_without_the_others(
        fleet in prop::collection::vec(any_candidate(), 0..20),
        cap in 0usize..5,
        suspect: bool,
    ) {
        // The parts, asked one by one as nodes change, say what all of them together say.
        let (action, now) = (action(Limit::Count(cap)), Mono::from_nanos(500 * S));
        let suspicion = suspect.then_some(Suspicion::FleetShifted { shifted: 2, of: 3, by: Delta::ZERO });
        let together = decide(&fleet, &action, suspicion.as_ref(), now);
        let held = fleet.iter().filter(|c| c.acted).count();
        let claims: Vec<Claim> = fleet.iter().map(|c| claim(c, &action, suspect, now)).collect();
        let mut queue: Vec<(Urgency, usize)> = fleet.iter().map(urgency).zip(0..).collect();
        queue.retain(|(_, index)| matches!(claims[*index], Claim::Wants(_)));
        queue.sort();
        let granted = room(&action, fleet.iter().filter(|c| c.is_counted()).count(), held);
        for (index, claim) in claims.iter().enumerate() {
            let has_room = queue.iter().take(granted).any(|(_, at)| *at == index);
            prop_assert_eq!(claim.settle(has_room, &action), together[index]);
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
