//! Exporters, a roster and exchanges in, readings out; and each way in which the arrangement can be wrong.

use super::snapshot::Exporter;
use super::*;
use crate::clock::{Boot, Delta, Mono, OffsetInterval, Raw, Sample, Wall};
use crate::controller::sources::NodeReading;
use crate::controller::sources::figures::Timex;
use proptest::prelude::*;

const WALL_S: i64 = 1_795_000_000;

/// Our clocks so many milliseconds after the beginning, our wall clock set ahead by as much.
fn clocks(ms: i64, set_ms: i64) -> Sample {
    let nanos = u64::try_from(ms * 1_000_000).unwrap();
    let wall = Wall::from_unix_nanos(WALL_S * 1_000_000_000 + (ms + set_ms) * 1_000_000);
    let now = Mono::from_nanos(nanos);
    Sample { before: now, wall, boot: Boot::from_nanos(nanos), raw: Raw::from_nanos(nanos), after: now }
}

/// A Prometheus that scrapes, and what its clock is off by.
struct World {
    ahead_ms: i64,
    now_ms: i64,
    set_ms: i64,
    memory: Memory,
}

impl World {
    fn new(ahead_ms: i64) -> World {
        World { ahead_ms, now_ms: 100_000, set_ms: 0, memory: Memory::default() }
    }

    /// Its clock at a time of ours, in seconds with whole milliseconds.
    fn time_s(&self, ms: i64) -> f64 {
        (WALL_S * 1_000 + ms + self.ahead_ms) as f64 / 1e3
    }

    /// An exchange of 2 ms, now.
    fn exchange(&mut self) {
        let found = server(self.time_s(self.now_ms - 1), clocks(self.now_ms - 2, self.set_ms).after, self.clocks());
        self.memory.server.note(found.unwrap());
    }

    fn clocks(&self) -> Sample {
        clocks(self.now_ms, self.set_ms)
    }

    /// A node so far ahead of the truth, scraped so long ago, in 20 ms.
    fn exporter(&self, labels: &str, ahead_ms: i64, ago_ms: i64) -> Exporter {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        let late = Duration::from_millis(10);
        let against = Delta::from_nanos((ahead_ms - self.ahead_ms) * 1_000_000);
        Exporter {
            labels: labels.split(' ').map(pair).collect(),
            taken_s: self.time_s(self.now_ms - ago_ms),
            age: Duration::from_millis(u64::try_from(ago_ms).unwrap()),
            against_prometheus: Ok(OffsetInterval::new(against, late)),
            timex: Timex { sync_status: Some(1.0), max_error_s: Some(0.03), offset_s: Some(0.0) },
        }
    }

    fn readings(&mut self, exporters: Vec<Exporter>) -> Readings {
        let roster = roster();
        let clocks = self.clocks();
        readings(exporters, &roster, &Mapping::new(&roster, None), &clocks, &mut self.memory)
    }

    /// One node, `n1`, 3 s ahead.
    fn three_ahead(&mut self, ago_ms: i64) -> Result<NodeReading, String> {
        let exporter = self.exporter("job=node instance=10.0.0.1:9100", 3_000, ago_ms);
        self.readings(vec![exporter]).remove("n1").unwrap()
    }
}

fn roster() -> Roster {
    Roster::from([("n1".to_owned(), vec!["10.0.0.1".to_owned()]), ("n2".to_owned(), vec!["10.0.0.2".to_owned()])])
}

const THREE: Delta = Delta::from_nanos(3_000_000_000);

#[test]
fn the_clock_of_prometheus_does_not_matter() {
    for ahead_ms in [0, 86_400_000, -15_000] {
        let mut world = World::new(ahead_ms);
        world.exchange();
        let reading = world.three_ahead(5_000).unwrap();
        let against_us = reading.against_us.unwrap();
        assert!(against_us.contains(THREE) && against_us.bound() < Duration::from_millis(15), "{against_us}");
        assert_eq!((reading.age_then, reading.lacks.clone()), (Duration::from_secs(5), None));
        assert!(reading.own.unwrap().surely_within(Duration::from_millis(31)));
    }
}

#[test]
fn slewing_the_clock_of_prometheus_widens_and_does_not_falsify() {
    let mut world = World::new(0);
    world.exchange();
    let scraped = world.exporter("job=node instance=10.0.0.1:9100", 3_000, 0);
    // Ten seconds later it is 400 ms ahead, and has scraped nothing since.
    (world.now_ms, world.ahead_ms) = (110_000, 400);
    world.exchange();
    let reading =
        world.readings(vec![Exporter { age: Duration::from_secs(10), ..scraped }]).remove("n1").unwrap().unwrap();
    let against_us = reading.against_us.unwrap();
    assert!(against_us.contains(THREE), "{against_us}");
    // With the next scrapes the old is forgotten.
    for later in 0..4 {
        world.now_ms = 120_000 + later * 10_000;
        world.exchange();
    }
    let against_us = world.three_ahead(5_000).unwrap().against_us.unwrap();
    assert!(against_us.contains(THREE) && against_us.bound() < Duration::from_millis(20), "{against_us}");
}

#[test]
fn what_was_scraped_before_prometheus_clock_was_set_is_not_used() {
    for set_to in [15_000, -15_000] {
        let mut world = World::new(0);
        world.exchange();
        let before = world.exporter("job=node instance=10.0.0.1:9100", 3_000, 1_000);
        (world.now_ms, world.ahead_ms) = (110_000, set_to);
        world.exchange();
        let refused = world.readings(vec![before.clone()]).remove("n1").unwrap().unwrap_err();
        assert!(refused.contains("clock was set by") && refused.contains("waiting for a scrape"), "{refused}");
        // A scrape after the step, and for a step back after the future of before, is used again.
        world.now_ms = 140_000;
        world.exchange();
        assert!(world.three_ahead(5_000).unwrap().against_us.unwrap().contains(THREE), "{set_to}");
    }
}

#[test]
fn our_own_step_is_no_step_of_prometheus() {
    let mut world = World::new(0);
    world.exchange();
    (world.now_ms, world.set_ms) = (110_000, 15_000);
    world.exchange();
    let against_us = world.three_ahead(5_000).unwrap().against_us.unwrap();
    assert!(against_us.contains(Delta::from_nanos(-12_000_000_000)), "{against_us}");
}

#[test]
fn nodes_that_nothing_disciplines_are_counted_each_for_itself() {
    let mut world = World::new(0);
    let undisciplined = |world: &mut World, ms: i64, sync: f64| {
        world.now_ms = ms;
        world.exchange();
        let mut one = world.exporter("job=node instance=10.0.0.1:9100", 0, 1_000);
        one.timex.sync_status = Some(sync);
        let two = world.exporter("job=node instance=10.0.0.2:9100", 0, 1_000);
        let mut found = world.readings(vec![one, two]);
        assert_eq!(found.remove("n2").unwrap().unwrap().undisciplined, Duration::ZERO);
        found.remove("n1").unwrap().unwrap().undisciplined.as_secs()
    };
    assert_eq!(undisciplined(&mut world, 100_000, 0.0), 0);
    assert_eq!(undisciplined(&mut world, 130_000, 0.0), 30);
    assert_eq!(undisciplined(&mut world, 140_000, 1.0), 0);
    assert_eq!(undisciplined(&mut world, 150_000, 0.0), 0);
}

/// Every way in which a node can be without a reading has its own words.
fn check(exporters: &[&str], node: &str, says: &[&str]) {
    let mut world = World::new(0);
    world.exchange();
    let exporters = exporters.iter().enumerate();
    let all = exporters.map(|(index, labels)| world.exporter(labels, index as i64, 1_000)).collect();
    let message = world.readings(all).remove(node).unwrap().unwrap_err();
    for part in says {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn each_way_of_not_finding_a_node_has_its_own_words() {
    check(
        &["job=node instance=10.9.9.9:9100", "job=node instance=10.0.0.2:9100"],
        "n1",
        &["none of its 2 series", "addresses 10.0.0.1", "instance=\"10.9.9.9:9100\"", "nodeLabel"],
    );
    check(&["job=node instance=10.0.0.2:9100"], "n1", &["none of its 1 series", "all of them are of other nodes"]);
    check(
        &["job=a instance=10.0.0.1:9100", "job=b instance=10.0.0.1:9100"],
        "n1",
        &["has 2 series", "{job=\"a\",instance=\"10.0.0.1:9100\"}", "{job=\"b\"", "scrape each exporter once"],
    );
    check(&["instance=10.0.0.1:9100 node=n2"], "n2", &["point at the nodes n2 and n1"]);
}

#[test]
fn the_same_sample_under_two_labels_is_one_sample() {
    let mut world = World::new(0);
    world.exchange();
    let one = world.exporter("replica=a instance=10.0.0.1:9100", 0, 1_000);
    let two = world.exporter("replica=b instance=10.0.0.1:9100", 0, 1_000);
    assert!(world.readings(vec![one, two]).remove("n1").unwrap().is_ok());
}

#[test]
fn what_a_removed_job_has_left_behind_is_not_a_second_clock() {
    let mut world = World::new(0);
    world.exchange();
    let left = |world: &World, ago_ms| world.exporter("job=old instance=10.0.0.1:9100", 3_000, ago_ms);
    let now = world.exporter("job=new instance=10.0.0.1:9100", 0, 1_000);
    let both = vec![left(&world, 30_000), now.clone()];
    assert!(world.readings(both).remove("n1").unwrap().is_err(), "half a minute ago may be a slow job");
    let both = vec![left(&world, 62_000), now];
    let against_us = world.readings(both).remove("n1").unwrap().unwrap().against_us.unwrap();
    assert!(against_us.contains(Delta::ZERO), "{against_us}");
}

#[test]
fn without_the_metric_the_jobs_are_named() {
    let job = |name: &str| Series { labels: [("job".to_owned(), name.to_owned())].into(), at_s: 0.0, value: 1.0 };
    assert!(why_no_metric(&[]).contains("nothing at all"));
    let jobs: Vec<Series> = ["a", "b", "c", "d", "e", "f", "g"].map(job).into();
    assert!(why_no_metric(&jobs).starts_with("its jobs are a, b, c, d, e and 2 more; one must scrape node_exporter"));
}

#[test]
fn the_query_and_the_url_are_put_as_http_wants_them() {
    assert_eq!(parts("http://p"), ("p:80".to_owned(), "/api/v1/query".to_owned()));
    assert_eq!(parts("http://[::1]/base"), ("[::1]:80".to_owned(), "/base/api/v1/query".to_owned()));
    assert_eq!(parts("http://[::1]:9090"), ("[::1]:9090".to_owned(), "/api/v1/query".to_owned()));
    assert_eq!(encoded("up == 0"), "up%20%3D%3D%200");
    assert!(matches!(
        server(f64::NAN, Mono::from_nanos(0), clocks(1, 0)),
        Err(PrometheusError::NoMoment(found)) if found.is_nan()
    ));
}

proptest! {
    /// However Prometheus' clock wanders by less than a step, and whenever the sample was taken.
    #[test]
    fn the_truth_lies_inside_whatever_the_clock_of_prometheus_does(
        wander in prop::collection::vec(-400i64..400, 2..20), node_ms in -100_000i64..100_000, ago in 0usize..20,
    ) {
        let mut world = World::new(0);
        let mut scraped = None;
        let at = wander.len().saturating_sub(1 + ago);
        for (index, moved) in wander.iter().enumerate() {
            world.now_ms += 10_000;
            world.ahead_ms += moved;
            world.exchange();
            if index == at {
                scraped = Some((world.now_ms, world.exporter("job=node instance=10.0.0.1:9100", node_ms, 0)));
            }
        }
        let (then_ms, exporter) = scraped.unwrap();
        let age = Duration::from_millis(u64::try_from(world.now_ms - then_ms).unwrap());
        let reading = world.readings(vec![Exporter { age, ..exporter }]).remove("n1").unwrap().unwrap();
        let against_us = reading.against_us.unwrap();
        prop_assert!(against_us.contains(Delta::from_nanos(node_ms * 1_000_000)), "{against_us}");
    }
}
