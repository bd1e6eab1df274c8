//! Pages in, readings out, on clocks that the test sets.

use super::*;
use crate::clock::{Boot, Raw, Wall};
use proptest::prelude::*;

const WALL_S: i64 = 1_795_000_000;
const MS: i64 = 1_000_000;

/// Our clocks so many milliseconds after the beginning.
fn clocks(ms: i64) -> Sample {
    let nanos = u64::try_from(ms * MS).unwrap();
    let wall = Wall::from_unix_nanos(WALL_S * 1_000_000_000 + ms * MS);
    let now = Mono::from_nanos(nanos);
    Sample { before: now, wall, boot: Boot::from_nanos(nanos), raw: Raw::from_nanos(nanos), after: now }
}

/// A node and its exporter.
struct Node {
    /// Ahead of us, milliseconds.
    offset_ms: i64,
    /// What its boot time has moved by, and when its exporter was started, seconds.
    booted_s: i64,
    started_s: i64,
    timex: &'static str,
    memory: Memory,
}

const DISCIPLINED: &str = "node_timex_sync_status 1\nnode_timex_maxerror_seconds 0.032\nnode_timex_offset_seconds 0\n";
const UNSYNC: &str = "node_timex_sync_status 0\nnode_timex_maxerror_seconds 16\nnode_timex_offset_seconds 0\n";

impl Node {
    fn new() -> Node {
        Node { offset_ms: 0, booted_s: 0, started_s: 0, timex: DISCIPLINED, memory: Memory::default() }
    }

    /// The node's clock at a time of ours.
    fn time_s(&self, at_ms: i64) -> f64 {
        (clocks(at_ms).wall.unix_nanos() + self.offset_ms * MS) as f64 / 1e9
    }

    fn answer(&mut self, text: &str, sent_ms: i64, arrived_ms: i64) -> Result<NodeReading, ExporterError> {
        let mut page = Page::default();
        for piece in text.as_bytes().chunks(17) {
            page.push(piece, &clocks(arrived_ms));
        }
        read(page, clocks(sent_ms).after, &clocks(arrived_ms), &mut self.memory)
    }

    /// A question that takes 4 ms, of which 1 ms until the clock is read.
    fn ask(&mut self, at_ms: i64) -> NodeReading {
        let text = format!(
            "# HELP node_time_seconds x\n{}node_boot_time_seconds {}\nprocess_start_time_seconds {}\nnode_time_seconds {}\n",
            self.timex,
            WALL_S - 1_000 + self.booted_s,
            WALL_S - 500 + self.started_s,
            self.time_s(at_ms + 1),
        );
        self.answer(&text, at_ms, at_ms + 4).unwrap()
    }

    /// Somebody sets its clock; what is kept as time since boot moves along.
    fn step(&mut self, seconds: i64) {
        self.offset_ms += seconds * 1_000;
        self.booted_s += seconds;
        self.started_s += seconds;
    }
}

fn steps(reading: &NodeReading) -> Vec<f64> {
    reading.jumps().iter().map(|jump| (jump.amount_seconds * 10.0).round() / 10.0).collect()
}

#[test]
fn the_offset_is_within_half_a_round_trip_and_the_kernels_word_beside_it() {
    let mut node = Node::new();
    node.offset_ms = 3_000;
    let reading = node.ask(10);
    let against_us = reading.against_us.unwrap();
    assert!(against_us.contains(Delta::from_nanos(3_000 * MS)), "{against_us}");
    assert!(against_us.bound() <= Duration::from_micros(2_001), "{against_us}");
    assert!(reading.own.unwrap().surely_within(Duration::from_millis(33)), "{:?}", reading.own);
    assert_eq!((reading.undisciplined, reading.lacks.clone(), steps(&reading)), (Duration::ZERO, None, vec![]));
}

#[test]
fn an_unsynchronised_kernel_is_no_drift_and_counts_from_when_we_saw_it() {
    let mut node = Node::new();
    node.timex = UNSYNC;
    assert_eq!(node.ask(0).undisciplined, Duration::ZERO);
    let later = node.ask(60_000);
    assert_eq!((later.undisciplined, later.own), (Duration::from_secs(60), None));
    node.timex = DISCIPLINED;
    assert_eq!(node.ask(70_000).undisciplined, Duration::ZERO);
}

#[test]
fn without_timex_nothing_vouches_and_the_flag_is_named() {
    let mut node = Node::new();
    node.timex = "";
    node.ask(0);
    let reading = node.ask(10_000);
    assert_eq!(reading.undisciplined, Duration::from_secs(10));
    assert!(reading.against_us.is_some() && reading.lacks.unwrap().contains("--no-collector.timex"));
}

/// Recorded from Debian's node_exporter 1.5 on a machine that nothing synchronises.
#[test]
fn a_real_page_is_read() {
    let page = include_str!("../../../../tests/drift/node_exporter/debian-12-whole.input.txt");
    let mut node = Node::new();
    let reading = node.answer(page, 0, 4).unwrap();
    // 1795279172.7321863 in the page, against our 1795000000.004.
    let against_us = reading.against_us.unwrap();
    assert!(against_us.contains(Delta::from_nanos(279_172_730_000_000)), "{against_us}");
    assert_eq!((reading.own, reading.lacks), (None, None));
    assert!(node.memory.last.unwrap().boot_time_s.is_some() && node.memory.last.unwrap().process_start_s.is_some());
}

/// What is no fresh measurement is an error that says why.
fn check(text: &str, complaint: &str) {
    let mut node = Node::new();
    match node.answer(text, 0, 4) {
        Ok(_) => assert_eq!(complaint, "", "{text}"),
        Err(error) => assert!(!complaint.is_empty() && error.to_string().contains(complaint), "{text}: {error}"),
    }
}

#[test]
fn what_is_no_fresh_measurement_is_refused_with_its_reason() {
    check("node_time_seconds 1.795e9", "");
    check("", "no page of metrics");
    check("<html><body>Grafana</body></html>", "no page of metrics");
    check("up 1\n", "--collector.time");
    check("node_time_seconds 1.795e9 1795000000000\n", "carries a timestamp (1795000000000)");
    check("node_time_seconds{node=\"a\"} 1.795e9\nnode_time_seconds{node=\"b\"} 1.8e9\n", "more than once");
    for nonsense in ["NaN", "+Inf", "1e300"] {
        check(&format!("node_time_seconds {nonsense}\n"), "no moment");
    }
}

#[test]
fn the_same_time_twice_is_no_fresh_evidence() {
    let mut node = Node::new();
    let text = format!("node_time_seconds {}\n", node.time_s(1));
    assert!(node.answer(&text, 0, 4).is_ok());
    assert!(matches!(node.answer(&text, 10_000, 10_004), Err(ExporterError::Repeated)));
    assert!(matches!(node.answer(&text, 20_000, 20_004), Err(ExporterError::Repeated)));
}

#[test]
fn only_what_came_before_the_line_counts_as_travel() {
    let mut node = Node::new();
    let mut page = Page::default();
    page.push(format!("node_time_seconds {}\n", node.time_s(1)).as_bytes(), &clocks(2));
    // Ten megabytes of other figures take three seconds more.
    page.push(b"other 1\n", &clocks(3_000));
    let reading = read(page, clocks(0).after, &clocks(3_000), &mut node.memory).unwrap();
    assert!(reading.against_us.unwrap().bound() < Duration::from_millis(2), "{reading:?}");
}

#[test]
fn a_step_is_inferred_once_and_goes_on_being_told() {
    let mut node = Node::new();
    node.ask(0);
    assert_eq!(steps(&node.ask(10_000)), [] as [f64; 0]);
    node.step(-15);
    let stepped = node.ask(20_000);
    assert_eq!(steps(&stepped), [-15.0]);
    let told = node.ask(30_000);
    assert_eq!(steps(&told), [-15.0]);
    let (first, again) = (&stepped.jumps()[0], &told.jumps()[0]);
    assert_eq!((&first.wall_before, &first.wall_after), (&again.wall_before, &again.wall_after));
    assert!(again.age_seconds.is_some_and(|age| (age - 10.0).abs() < 0.1), "{again:?}");
    for _ in 0..40 {
        node.step(15);
        node.ask(i64::try_from(node.memory.numbered).unwrap() * 10_000 + 40_000);
    }
    assert_eq!(node.memory.steps.len(), STEPS_MAX);
}

#[test]
fn a_slew_a_pause_a_restart_and_a_reboot_are_no_steps() {
    type Change = fn(&mut Node);
    let moves: [(&str, Change); 4] = [
        ("slewed as fast as can be", |node| node.step(-1)),
        ("paused: boot time stays", |node| node.offset_ms -= 15_000),
        ("exporter restarted with another clock", |node| {
            node.step(-15);
            node.started_s += 400;
        }),
        ("rebooted with another clock", |node| {
            node.offset_ms -= 15_000;
            node.booted_s += 300;
            node.started_s += 320;
        }),
    ];
    for (what, change) in moves {
        let mut node = Node::new();
        node.ask(0);
        change(&mut node);
        assert_eq!(steps(&node.ask(10_000)), [] as [f64; 0], "{what}");
    }
}

#[test]
fn our_own_step_is_no_step_of_the_node() {
    let mut node = Node::new();
    node.ask(0);
    // Our wall clock is set 20 s ahead; to us the node now looks 20 s behind. Its boot time moves too, so that nothing
    // but our own clocks can tell.
    let ahead = |ms: i64| Sample { wall: clocks(ms + 20_000).wall, ..clocks(ms) };
    let mut page = Page::default();
    page.push(
        format!(
            "node_time_seconds {}\nnode_boot_time_seconds {}\nprocess_start_time_seconds {}\n",
            node.time_s(10_001),
            WALL_S - 1_020,
            WALL_S - 520
        )
        .as_bytes(),
        &ahead(10_004),
    );
    let reading = read(page, clocks(10_000).after, &ahead(10_004), &mut node.memory).unwrap();
    assert!(reading.against_us.unwrap().contains(Delta::from_nanos(-20_000 * MS)), "{reading:?}");
    assert_eq!(steps(&reading), [] as [f64; 0]);
}

proptest! {
    #[test]
    fn the_truth_lies_inside_wherever_in_the_exchange_the_clock_was_read(
        offset_ms in -(1i64 << 40)..1 << 40, took_ms in 0i64..10_000, read_after in 0.0f64..=1.0,
    ) {
        let mut node = Node { offset_ms, ..Node::new() };
        let read_ms = (took_ms as f64 * read_after) as i64;
        let text = format!("node_time_seconds {:e}\n", node.time_s(5 + read_ms));
        let against_us = node.answer(&text, 5, 5 + took_ms).unwrap().against_us.unwrap();
        prop_assert!(against_us.contains(Delta::from_nanos(offset_ms * MS)), "{against_us}");
    }
}
