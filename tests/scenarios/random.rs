//! Scenarios that nobody thought of: random events to a small fleet, shrunk by proptest to the few that matter.
//!
//! What a random fleet cannot promise is left out by the truth itself ([`clockwarden::simulation::truth`]); what is
//! said against it, and the promises, must hold whatever happens. A failure prints the seed and the events.

use clockwarden::simulation::daemon::{Chronyd, Daemon, Timesyncd};
use clockwarden::simulation::node::Agent;
use clockwarden::simulation::scenario::Event;
use clockwarden::simulation::server::Conduct;
use clockwarden::simulation::{Kind, Scenario, What, Who, run};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const NODES: usize = 5;
const SECONDS: i64 = 420;
const SECOND: i64 = 1_000_000_000;

/// Something that happens to a clock, a machine, an agent or the network; and when it is over, if it ends.
fn event() -> impl Strategy<Value = Vec<Event>> {
    let offset = prop_oneof![-20i64..20, -1_000i64..1_000].prop_map(|tenths| tenths * SECOND / 10);
    let what = prop_oneof![
        4 => offset.prop_map(|by_ns| (What::Set(by_ns), None)),
        1 => Just((What::Pause, Some(What::Resume))),
        1 => (-30i64..30).prop_map(|tenths| (What::Sleep, Some(What::Wake(tenths * SECOND / 10)))),
        1 => Just((What::Agent(Agent::Dead), Some(What::Restart))),
        1 => Just((What::Agent(Agent::Hung), None)),
        1 => Just((What::Reachable(false), Some(What::Reachable(true)))),
        1 => Just((What::Artefact(true), Some(What::Artefact(false)))),
        1 => Just((What::Daemon(Daemon::Nobody), Some(What::Daemon(Daemon::Chronyd(Chronyd::new(&[0], 0)))))),
        1 => (-40_000i64..40_000).prop_map(|ppb| (What::Oscillator(ppb), None)),
    ];
    (what, 0..NODES, 20..SECONDS, 1i64..150).prop_map(|((what, then), node, at, lasts)| {
        let who = Who::Nodes(node..node + 1);
        let end = then.map(|what| Event { at: at + lasts, who: who.clone(), what });
        [Some(Event { at, who, what }), end].into_iter().flatten().collect()
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::chronyd(&[0])),
        Just(Kind::chronyd(&[0]).asking(&[1])),
        Just(Kind::chronyd(&[0, 1]).asking(&[0, 1])),
        Just(Kind::with(Daemon::Timesyncd(Timesyncd::new(0, 0)))),
        Just(Kind::with(Daemon::Timesyncd(Timesyncd::new(0, 0))).asking(&[1])),
        Just(Kind::with(Daemon::Nobody)),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let server = prop_oneof![6 => Just(Conduct::Honest), 1 => Just(Conduct::Silent), 1 => (-50i64..50).prop_map(|tenths| {
        Conduct::Lies(tenths * SECOND / 10)
    })];
    let servers = prop::collection::vec(server, 2);
    let references = prop::collection::vec(0usize..2, 0..2);
    let kinds = prop::collection::vec(kind(), NODES);
    let events = prop::collection::vec(event(), 0..6);
    (servers, references, kinds, kind(), events).prop_map(|(servers, references, kinds, controller, events)| {
        Scenario::new("random", "", "").lasting(SECONDS).with(|it| {
            it.nodes = NODES;
            it.servers = servers;
            it.policy_references = references;
            it.others = (0..).zip(kinds).map(|(node, kind)| (node..node + 1, kind)).collect();
            it.controller = controller;
            it.events = events.concat();
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: number("CASES", 20) as u32,
        rng_seed: RngSeed::Fixed(number("SEED", 1)),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_promises_are_kept(scenario in scenario(), seed in any::<u64>()) {
        let score = run(&scenario, seed);
        prop_assert!(score.broken.is_empty(), "{:?}", score.broken);
        // Where most nodes follow a liar, the few that are right look wrong, and nobody can know better.
        if !scenario.servers.iter().any(|conduct| matches!(conduct, Conduct::Lies(_))) {
            prop_assert_eq!(score.ours.false_alarms, 0, "{:?}", score.ours);
            prop_assert_eq!(score.marked.1, 0, "{:?}", score.marked);
        }
    }
}

/// As many cases as is bearable, the same each time, so that whoever changes something else is not stopped by what they
/// did not do; `SEED=7 CASES=500` searches on.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// With half of the nodes following a liar there is no yardstick for a while; a node that is unknown for want of one is
/// healthy again when the others have answered, without a word of its own.
#[test]
fn a_node_that_was_unknown_for_want_of_a_yardstick_heals_with_it() {
    let both = || Kind::chronyd(&[0, 1]).asking(&[0, 1]);
    let kinds = [
        Kind::with(Daemon::Nobody),
        both(),
        Kind::chronyd(&[0]).asking(&[1]),
        Kind::with(Daemon::Timesyncd(Timesyncd::new(0, 0))),
        Kind::chronyd(&[0]),
    ];
    let scenario = Scenario::new("split", "", "").lasting(SECONDS).with(|it| {
        it.nodes = NODES;
        it.servers = vec![Conduct::Lies(-29 * SECOND / 10), Conduct::Honest];
        it.others = (0..).zip(kinds).map(|(node, kind)| (node..node + 1, kind)).collect();
        it.controller = both();
    });
    let score = run(&scenario, 2_196_683_978_423_675_828);
    assert!(score.broken.is_empty(), "{:?}", score.broken);
}
