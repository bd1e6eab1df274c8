use super::*;
use crate::policy::assess::frame;
use std::iter::{once, repeat_n};

const TOLERANCE: Tolerance = Tolerance {
    offset_max: Duration::from_millis(500),
    error_max: Duration::from_secs(2),
    unsynchronized_max: Duration::from_secs(300),
    stale_after: Duration::from_secs(60),
};

fn at(ms: i64) -> OffsetInterval {
    OffsetInterval::new(Delta::from_nanos(ms * 1_000_000), Duration::from_millis(1))
}

/// Against us, and what it says of itself, in milliseconds; and its zone.
type Node<'a> = (Option<i64>, Option<i64>, Option<&'a str>);

fn framed(nodes: &[Node<'_>], ours: Option<i64>) -> Frame {
    let evidence = |(us, own, _): &Node<'_>| NodeEvidence { against_us: us.map(at), own: own.map(at), moved: None };
    let evidence: Vec<_> = nodes.iter().map(evidence).collect();
    let zones: Vec<_> = nodes.iter().map(|(_, _, zone)| *zone).collect();
    frame(&evidence, &zones, ours.map(at), &TOLERANCE)
}

fn in_zone<'a>(zone: &'a str, offsets: &'a [i64]) -> impl Iterator<Item = Node<'a>> {
    offsets.iter().map(move |ms| (Some(*ms), None, Some(zone)))
}

/// The zones that are suspected: name, how many, of how many, by how many milliseconds.
#[track_caller]
fn check_zones(nodes: &[Node<'_>], ours: Option<i64>, expected: &[(&str, usize, usize, i64)]) {
    let found = framed(nodes, ours);
    let zones: Vec<_> =
        found.zones.iter().map(|it| (&*it.zone, it.shifted, it.of, it.by.nanos() / 1_000_000)).collect();
    assert_eq!(zones, expected, "{found:?}");
    for (zone, ..) in expected {
        assert_eq!(found.zone(zone).map(|it| &*it.zone), Some(*zone));
    }
    assert!(found.zone("no such zone").is_none());
}

#[test]
fn a_zone_that_is_wrong_as_a_whole_is_a_problem_of_what_it_follows() {
    let with = |c: &[i64]| -> Vec<Node<'_>> {
        let rest = in_zone("a", &[0; 5]).chain(in_zone("b", &[0; 5]));
        rest.chain(c.iter().map(|ms| (Some(*ms), None, Some("c")))).collect()
    };
    check_zones(&with(&[5_000; 4]), None, &[("c", 4, 4, 5_000)]);
    check_zones(&with(&[-5_000, -5_001, -5_002, 0, 0]), None, &[("c", 3, 5, -5_001)]);
    check_zones(&with(&[900, 2_000, 7_000]), None, &[("c", 3, 3, 2_000)]);
    // Half is not more than half, two are not three, and clocks that go wrong in their own ways are so many clocks.
    check_zones(&with(&[5_000, 5_000, 0, 0]), None, &[]);
    check_zones(&with(&[5_000, 5_000]), None, &[]);
    check_zones(&with(&[5_000, -5_000, 0]), None, &[]);
    // A reference of the policy says that the zone is wrong. Whether to take away a zone is still a person's decision.
    check_zones(&with(&[5_000; 4]), Some(0), &[("c", 4, 4, 5_000)]);
    check_zones(&with(&[5_000; 4]), Some(-5_000), &[]);
}

#[test]
fn where_all_evidence_is_from_one_zone_the_zone_is_the_fleet() {
    // Against a majority without a zone, which is no other zone.
    let nowhere = repeat_n((Some(0), None, None), 5);
    let one: Vec<_> = nowhere.clone().chain(in_zone("a", &[5_000; 3])).collect();
    check_zones(&one, None, &[]);
    let silent = once((None, None, Some("b")));
    check_zones(&one.iter().copied().chain(silent).collect::<Vec<_>>(), None, &[]);
    let two: Vec<_> = one.iter().copied().chain(in_zone("b", &[0])).collect();
    check_zones(&two, None, &[("a", 3, 3, 5_000)]);
}

#[test]
fn a_fleet_that_is_suspect_as_a_whole_has_no_suspect_zones() {
    let shifted: Vec<_> =
        in_zone("a", &[5_000; 3]).chain(in_zone("b", &[5_000; 3])).chain(in_zone("c", &[0; 3])).collect();
    let found = framed(&shifted, Some(0));
    assert!(matches!(found.suspicion, Some(Suspicion::FleetShifted { shifted: 6, of: 9, .. })), "{found:?}");
    assert!(found.zones.is_empty());
    let found = framed(&shifted, None);
    assert!(matches!(found.suspicion, Some(Suspicion::ControllerApart { .. })), "{found:?}");
    assert!(found.zones.is_empty());
}

#[test]
fn where_nodes_only_speak_of_themselves_zones_are_judged_by_that() {
    let say = |zone: &'static str, own: &'static [i64]| own.iter().map(move |ms| (None, Some(*ms), Some(zone)));
    let nodes: Vec<Node<'_>> = say("a", &[0; 4]).chain(say("b", &[3_000; 3])).collect();
    check_zones(&nodes, None, &[("b", 3, 3, 3_000)]);
}

/// By how much our own clock is wrong for certain, in milliseconds.
#[track_caller]
fn check_apart(nodes: &[Node<'_>], ours: Option<i64>, expected_ms: Option<i64>) {
    let found = framed(nodes, ours);
    assert_eq!(found.apart.map(|by| by.nanos() / 1_000_000), expected_ms, "{found:?}");
}

#[test]
fn our_own_clock_is_the_outlier_where_three_nodes_or_a_reference_say_so() {
    let nodes = |us: &[i64], own: Option<i64>| us.iter().map(|us| (Some(*us), own, None)).collect::<Vec<Node<'_>>>();
    // Few nodes suffice, if they are of one mind.
    check_apart(&nodes(&[7_000; 3], None), None, Some(-7_000));
    check_apart(&nodes(&[7_000; 3], Some(0)), None, Some(-7_000));
    check_apart(&nodes(&[0; 3], None), None, None);
    check_apart(&nodes(&[7_000, 0, 0], None), None, None);
    // What the nodes follow says that it is they, or both.
    check_apart(&nodes(&[7_000; 3], Some(7_000)), None, None);
    check_apart(&nodes(&[7_000; 3], Some(2_000)), None, Some(-5_000));
    // They are of no one mind about themselves, but of one mind about us.
    let apart: Vec<Node<'_>> =
        [(7_000, 0), (9_000, 2_000), (4_000, -3_000)].map(|(us, own)| (Some(us), Some(own), None)).into();
    check_apart(&apart, None, Some(-7_000));
    check_apart(&apart[..2], None, None);
    // A reference knows, whatever the nodes do.
    check_apart(&nodes(&[7_000; 3], None), Some(-7_000), Some(-7_000));
    check_apart(&[], Some(700), Some(700));
    check_apart(&[], Some(300), None);
}

#[test]
fn only_what_concerns_every_node_makes_a_frame_another_one() {
    const EPSILON: Duration = Duration::from_millis(10);
    let zoned = |first: i64, b: i64| -> Vec<Node<'static>> {
        let others = in_zone("a", &[0; 7]).chain([(Some(b), None, Some("b")); 3]);
        once((Some(first), None, Some("a"))).chain(others).collect()
    };
    let before = framed(&zoned(0, 0), None);
    let differs = |now: &Frame| {
        assert_eq!(before.differs(now, EPSILON), now.differs(&before, EPSILON));
        before.differs(now, EPSILON)
    };
    assert!(!differs(&framed(&zoned(5_000, 0), None)), "one node's business");
    assert!(!differs(&framed(&zoned(0, 9), None)));
    assert!(differs(&framed(&zoned(0, 5_000), None)), "a zone is suspected");
    assert!(differs(&framed(&zoned(0, 0), Some(0))), "another kind of yardstick");
    assert!(differs(&framed(&zoned(0, 0)[..2], None)), "none at all");
    let all = |ms: i64, own: Option<i64>| framed(&[(Some(ms), own, None); 5], None);
    assert!(!all(10, None).differs(&all(0, None), EPSILON) && all(11, None).differs(&all(0, None), EPSILON));
    let stricter = Tolerance { offset_max: Duration::from_millis(499), ..TOLERANCE };
    assert!(frame(&[], &[], None, &stricter).differs(&framed(&[], None), EPSILON), "another tolerance");
    // One edge suffices: a reference that is known less well is another one.
    let known = |bound_ms: u64| {
        let ours = OffsetInterval::new(Delta::ZERO, Duration::from_millis(bound_ms));
        frame(&[], &[], Some(ours.shifted(at(i64::try_from(bound_ms).unwrap()))), &TOLERANCE)
    };
    assert!(known(1).differs(&known(20), EPSILON) && !known(1).differs(&known(5), EPSILON));
    assert!(all(0, Some(5_000)).differs(&all(0, None), EPSILON), "suspicion");
    let most = |shifted: usize| {
        let nodes = repeat_n((Some(0), Some(5_000), None), shifted).chain(repeat_n((Some(0), None, None), 2));
        framed(&nodes.collect::<Vec<Node<'_>>>(), None)
    };
    assert!(!most(6).differs(&most(7), EPSILON), "how many are suspected changes nothing for a node");
    let pair = |own: i64| framed(&[(Some(0), Some(own), None), (Some(0), Some(own), None)], None);
    assert!(pair(0).differs(&pair(100), EPSILON) && !pair(0).differs(&pair(5), EPSILON), "what is believed");
}

#[test]
fn each_thing_that_nodes_are_held_against_makes_a_frame_another_one() {
    const EPSILON: Duration = Duration::from_millis(10);
    let ms = |ms: i64| Delta::from_nanos(ms * 1_000_000);
    let reference = |low, high| Yardstick::Reference(OffsetInterval::between(ms(low), ms(high)));
    let led = |by| Some(Together { by: ms(by), moved: 3, of: 4 });
    let base = Frame { yardstick: reference(0, 0), zones: Vec::new(), ..framed(&[], Some(0)) };
    let with = |change: &dyn Fn(&mut Frame)| {
        let mut other = base.clone();
        change(&mut other);
        assert_eq!(base.differs(&other, EPSILON), other.differs(&base, EPSILON));
        base.differs(&other, EPSILON)
    };
    assert!(!with(&|_| ()));
    // Either edge, by more than is passed over.
    for (low, high, another) in [(0, 10, false), (0, 11, true), (-10, 0, false), (-11, 0, true), (-10, 10, false)] {
        assert_eq!(with(&|it| it.yardstick = reference(low, high)), another, "{low}..{high}");
        let believed = Some(OffsetInterval::between(ms(low), ms(high)));
        let none = Frame { believed: Some(OffsetInterval::exactly(Delta::ZERO)), ..base.clone() };
        assert_eq!(none.differs(&Frame { believed, ..base.clone() }, EPSILON), another, "{low}..{high}");
    }
    assert!(with(&|it| it.believed = Some(OffsetInterval::exactly(Delta::ZERO))));
    assert!(with(&|it| it.suspicion = led(5_000).map(Suspicion::FleetMoved)));
    assert!(with(&|it| it.together = led(5_000)));
    let moved = Frame { together: led(5_000), ..base.clone() };
    for (by, another) in [(5_000, false), (5_010, false), (5_011, true)] {
        assert_eq!(moved.differs(&Frame { together: led(by), ..base.clone() }, EPSILON), another, "{by}");
    }
    assert!(with(&|it| it.offset_max = Duration::from_millis(501)));
    assert!(with(&|it| it.zones = vec![ZoneSuspicion { zone: Arc::from("a"), shifted: 3, of: 3, by: ms(5_000) }]));
}

#[test]
fn who_moved_with_most_is_known() {
    let frame = Frame { together: Some(Together { by: Delta::from_nanos(5), moved: 3, of: 4 }), ..framed(&[], None) };
    let frame = Frame { offset_max: Duration::from_nanos(2), ..frame };
    let node = |moved: Option<i64>| NodeEvidence { moved: moved.map(Delta::from_nanos), ..NodeEvidence::default() };
    assert!(frame.moved(&node(Some(5))) && !frame.moved(&node(Some(0))) && !frame.moved(&node(None)));
    assert!(!framed(&[], None).moved(&node(Some(5))));
}
