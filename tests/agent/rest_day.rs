//! A day in the life of an agent, computed: four sources, and more than ever happens to one clock. Nothing grows.

use clockwarden::agent::history::{FILE_MAX, encode};
use clockwarden::agent::jumps::{Evidence, JUMPS_MAX, RING_MAX};
use clockwarden::agent::sources::{Measured, Outcome};
use clockwarden::agent::state::{Core, Identity};
use clockwarden::clock::{Boot, Cause, Delta, Discipline, Mono, OffsetInterval, Raw, Sample, Tolerance, Wall};
use std::process::Command;
use std::time::Duration;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;
const SOURCES: [&str; 4] = ["kernel", "chrony", "ntp://192.0.2.1:123", "ntp://192.0.2.2:123"];

/// The clocks of a machine, and the truth.
struct Machine {
    truth: i64,
    wall: i64,
    mono: i64,
    raw: i64,
    slept: i64,
    tai: i32,
}

impl Machine {
    fn sample(&self) -> Sample {
        Sample {
            before: Mono::from_nanos(self.mono as u64),
            wall: Wall::from_unix_nanos(self.wall),
            boot: Boot::from_nanos((self.mono + self.slept) as u64),
            raw: Raw::from_nanos(self.raw as u64),
            after: Mono::from_nanos((self.mono + 400) as u64),
        }
    }

    /// What happens in this second: a slew for 20 s of every 7 min, a step every 10 and back, a sleep every hour, a pause
    /// every 20 min, a leap second at noon. Gives how it is noticed.
    fn live(&mut self, second: i64) -> Evidence {
        let ppm = if second % 420 < 20 { 40_000 } else { 0 };
        let ran = SECOND + ppm * SECOND / 1_000_000;
        (self.truth, self.raw) = (self.truth + SECOND, self.raw + SECOND);
        (self.mono, self.wall) = (self.mono + ran, self.wall + ran);
        match second {
            s if s % 1_200 == 300 => self.wall += 15 * SECOND,
            s if s % 1_200 == 900 => self.wall = self.truth,
            s if s % 3_600 == 1_800 => {
                let slept = 60 * SECOND;
                (self.truth, self.wall, self.slept) = (self.truth + slept, self.wall + slept, self.slept + slept);
            }
            s if s % 1_200 == 600 => {
                // No clock of the machine shows it.
                self.truth += 5 * SECOND;
                return Evidence::Comparison;
            }
            s if s == DAY / 2 => (self.wall, self.tai) = (self.wall - SECOND, self.tai + 1),
            _ => return Evidence::Comparison,
        }
        Evidence::Timerfd
    }
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// In a process of its own, where nobody else's memory is in the figure.
#[test]
fn a_day_of_steps_slews_sleeps_and_pauses_leaves_nothing_behind() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "rest_day::a_day"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "part of the test above, which gives it a process of its own"]
fn a_day() {
    let wall = 1_800_000_000 * SECOND;
    let mut machine = Machine { truth: wall, wall, mono: SECOND, raw: SECOND, slept: 0, tai: 37 };
    let tolerance = Tolerance {
        offset_max: Duration::from_millis(500),
        error_max: Duration::from_secs(2),
        unsynchronized_max: Duration::from_secs(300),
        stale_after: Duration::from_secs(60),
    };
    let who = Identity { node: "n1".into(), instance: "i1".into() };
    let mut core = Core::new(who, tolerance, &SOURCES, machine.sample());
    let (mut full, mut sequence) = (None, 0);
    println!("hour | report bytes | history bytes | kept | resident kB");
    for second in 1..=DAY {
        let evidence = machine.live(second);
        let clocks = machine.sample();
        let discipline = Discipline { frequency_ppb: 0, tick_us: 10_000, tai_s: machine.tai };
        core.jumps_mut().told(discipline, &clocks);
        core.look(&clocks, evidence);
        drop(core.jumps_mut().take_news());
        for (number, _) in SOURCES.iter().enumerate().filter(|(n, _)| second % 16 == *n as i64) {
            let offset = Delta::from_nanos(machine.wall - machine.truth);
            let interval = OffsetInterval::new(offset, Duration::from_millis(1));
            // One in nine does not answer.
            let outcome = match second % 9 {
                0 => Outcome::Unanswered(format!("no answer at {second}")),
                _ => Outcome::Measured(Measured { interval, clocks, reference: Some("192.0.2.9".into()) }),
            };
            core.polled(number, outcome, &clocks);
        }
        if second % 10 == 0 {
            let report = core.report(&clocks);
            assert!(report.sequence >= sequence, "the sequence fell");
            sequence = report.sequence;
            assert!(report.jumps.len() <= JUMPS_MAX);
        }
        if second % 3_600 == 0 {
            let report = core.report(&clocks);
            let (ring, boot) = core.jumps().kept();
            let file = encode(ring.iter(), Some((&**boot, &clocks))).unwrap().len();
            let (json, kept) = (serde_json::to_string(&report).unwrap().len(), ring.iter().len());
            let hour = second / 3_600;
            println!("{hour:>4} | {json:>12} | {file:>13} | {kept:>4} | {:>11}", resident_kb());
            assert!(kept <= RING_MAX && file <= FILE_MAX && json < 32 * 1024, "{json} {file}");
            if kept == RING_MAX {
                let (file_then, resident_then) = *full.get_or_insert((file, resident_kb()));
                // Names of numbers and sentences differ in length; memory is the allocator's to round.
                assert!(file.abs_diff(file_then) < file_then / 10, "{file_then} {file}");
                assert!(resident_kb() < resident_then + 512, "{resident_then} kB, and now {}", resident_kb());
            }
        }
    }
    assert!(full.is_some(), "the ring was never full: nothing was shown");
    let counts = core.jumps().counts();
    let counted = Cause::ALL.map(|cause| (cause.as_str(), counts.of(cause)));
    println!("{counted:?}");
    // Every third pause falls on a sleep, which hides it.
    assert_eq!(counted, [("step", 145), ("suspend", 24), ("slew", 206), ("pause", 48), ("unexplained", 0)]);
    assert!(core.sequence() > 500, "readers were woken {} times", core.sequence());
}
