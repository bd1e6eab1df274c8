use super::*;
use crate::clock::{Consensus, Delta, Why};
use crate::heartbeats::Counts;
use crate::scan::connect::Counted;

fn between(low_ms: i64, high_ms: i64) -> OffsetInterval {
    OffsetInterval::between(Delta::from_nanos(low_ms * 1_000_000), Delta::from_nanos(high_ms * 1_000_000))
}

fn node(name: &str, state: State, low_ms: i64, high_ms: i64) -> Clock {
    Clock {
        holder: Holder::Node(name.to_owned()),
        state,
        reason: None,
        interval: Some(between(low_ms, high_ms)),
        samples: 3,
    }
}

fn example(right: usize) -> Survey {
    let silent = Clock {
        interval: None,
        reason: Some("no heartbeat that counts in 30 s".to_owned()),
        samples: 0,
        ..node("worker-9", State::Unknown(Why::NeverMeasured), 0, 0)
    };
    let mut nodes = vec![node("worker-17", State::Drifting, 2_996, 3_052), silent];
    let rights = (0..right).map(|n| node(&format!("ok-{n}"), State::Synchronized, -4, 52 - n as i64));
    nodes.extend(rights);
    let holder = Holder::Component { component: "kube-scheduler", instance: "cp\u{1b}[2J".to_owned() };
    let component = Clock { holder, ..node("", State::Synchronized, -3, 51) };
    let skew = Skew {
        interval: between(2_944, 3_056),
        first: Holder::Node("worker-17".to_owned()),
        last: Holder::Node("ok-0".to_owned()),
        leeway: Duration::from_secs(5),
        leeway_when_right: Some(Duration::from_secs(1)),
    };
    Survey { nodes, control_plane: vec![component], yardstick: Yardstick::Here, skew: Some(skew) }
}

fn effort() -> Effort {
    Effort {
        listened: Duration::from_secs(30),
        limit: Duration::from_millis(500),
        requests: Counted { lists: 31, watches: 2, gets: 1 },
        counts: Counts { beats: 42, set_aside: 1, cuts: 0 },
        notes: vec!["something to know".to_owned()],
    }
}

fn check(survey: &Survey, look: Look, expected: &str) {
    let shown = text(survey, &effort(), look);
    let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let expected: Vec<&str> = expected.trim_start_matches('\n').lines().collect();
    assert_eq!(shown, expected, "\n{}", shown.join("\n"));
}

#[test]
fn the_worst_is_on_top_and_what_it_means_below() {
    check(&example(12), Look { all: false, colour: false }, "
NODE       STATE                 OFFSET          ±  BEATS
worker-17  Drifting            +3.024 s    28.0 ms      3
worker-9   Unknown                    -          -      0  no heartbeat that counts in 30 s
ok-0       Synchronized        +24.0 ms    28.0 ms      3
ok-1       Synchronized        +23.5 ms    27.5 ms      3
ok-2       Synchronized        +23.0 ms    27.0 ms      3
ok-3       Synchronized        +22.5 ms    26.5 ms      3
ok-4       Synchronized        +22.0 ms    26.0 ms      3
ok-5       Synchronized        +21.5 ms    25.5 ms      3
ok-6       Synchronized        +21.0 ms    25.0 ms      3
ok-7       Synchronized        +20.5 ms    24.5 ms      3
ok-8       Synchronized        +20.0 ms    24.0 ms      3
ok-9       Synchronized        +19.5 ms    23.5 ms      3
\u{2026} and 2 more within 500ms, from +18.5 ms to +19.0 ms (--all lists them)

CONTROL PLANE            STATE                 OFFSET          ±  BEATS
kube-scheduler (cp\u{fffd}[2J)  Synchronized        +24.0 ms    27.0 ms      3

Cluster skew: 3.000 s ± 56.0 ms (worker-17 is ahead of ok-0).
Leeway that JWT validation needs here: 5s. With less, tokens look expired or not yet valid. Once the drifting clocks are right, 1s will do.
Note: something to know
13 within 500ms, 1 beyond, 1 unknown; 42 heartbeats in 30 s; 1 came late or just after connecting and do not count.
API requests: 34 (31 lists, 2 watches, 1 get).");
}

#[test]
fn five_thousand_nodes_fit_on_a_screen_unless_all_are_asked_for() {
    let lines = |all: bool| text(&example(5_000), &effort(), Look { all, colour: false }).lines().count();
    assert!(lines(false) < 30 && lines(true) > 5_000, "{} {}", lines(false), lines(true));
}

#[test]
fn an_outlier_is_told_loudly_and_which_of_the_two_is_sure() {
    let mut survey = example(1);
    let shown = |survey: &Survey, colour: bool| text(survey, &effort(), Look { all: false, colour });
    let consensus = |low, high| Yardstick::Cluster(Consensus { interval: between(low, high), agreeing: 9, of: 10 });
    survey.yardstick = consensus(-5_003, -4_950);
    let text = shown(&survey, false);
    assert!(
        text.contains("9 of 10 nodes agree that it is 4.976 s ahead (or every heartbeat comes that late)"),
        "{text}"
    );
    survey.yardstick = consensus(4_997, 5_050);
    let text = shown(&survey, true);
    assert!(text.contains("agree that it is 5.024 s behind. Offsets above are against the cluster"), "{text}");
    assert!(text.contains("\u{1b}[1;31mDrifting"), "{text}");
}
