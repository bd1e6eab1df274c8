//! A machine to which things happen, the witnesses outside, and what is kept of it.

use super::*;
use crate::clock::{Boot, Delta, Mono, Raw, Wall};

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
const WALL: i64 = 1_800_000_000 * SECOND;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// Seconds pass, the clock running faster by so many ppm; somebody looks once a second.
    Run(i64, i64),
    /// Somebody sets the clock forward by milliseconds; the kernel tells.
    Set(i64),
    /// The machine sleeps for milliseconds.
    Sleep(i64),
    /// A hypervisor has it stand still for milliseconds.
    Pause(i64),
    /// Seconds pass outside only, and the machine catches up at once: the host was stopped.
    Stall(i64),
    /// A source is asked, right to ±2 ms but for what its own server is off by.
    Ask(&'static str, i64),
    /// The hardware clock is read.
    ReadHardware,
    /// The kernel inserts a leap second; it tells of TAI before or after we look at the clocks.
    Leap { tai_first: bool },
}
use Happens::{Ask, Leap, Pause, ReadHardware, Run, Set, Sleep, Stall};

struct Machine {
    truth: i64,
    wall: i64,
    mono: i64,
    raw: i64,
    slept: i64,
    tai: i32,
    said: Vec<(&'static str, Measured)>,
    jumps: Jumps,
}

impl Machine {
    fn new() -> Machine {
        let mut machine = Machine {
            truth: WALL,
            wall: WALL,
            mono: 100 * SECOND,
            raw: 100 * SECOND,
            slept: 0,
            tai: 37,
            said: Vec::new(),
            jumps: Jumps::new(sample_of(WALL, 100 * SECOND, 100 * SECOND, 0), Duration::from_millis(500)),
        };
        machine.tell();
        machine
    }

    fn sample(&self) -> Sample {
        sample_of(self.wall, self.mono, self.raw, self.slept)
    }

    fn tell(&mut self) {
        self.jumps.told(Discipline { frequency_ppb: 0, tick_us: 10_000, tai_s: self.tai }, &self.sample());
    }

    fn notice(&mut self, evidence: Evidence) {
        self.jumps.notice(&self.sample(), evidence);
    }

    fn happens(&mut self, what: Happens) {
        match what {
            Run(seconds, ppm) => {
                for _ in 0..seconds {
                    self.truth += SECOND;
                    self.raw += SECOND;
                    self.mono += SECOND + ppm * 1_000;
                    self.wall += SECOND + ppm * 1_000;
                    self.notice(Evidence::Comparison);
                }
            }
            Set(ms) => {
                self.wall += ms * MS;
                self.notice(Evidence::Timerfd);
            }
            Sleep(ms) => {
                self.truth += ms * MS;
                self.wall += ms * MS;
                self.slept += ms * MS;
                self.notice(Evidence::Timerfd);
            }
            Pause(ms) => self.truth += ms * MS,
            Stall(seconds) => {
                for clock in [&mut self.truth, &mut self.wall, &mut self.mono, &mut self.raw] {
                    *clock += seconds * SECOND;
                }
                self.notice(Evidence::Comparison);
            }
            Ask(name, server_ms) => {
                let offset = Delta::from_nanos(self.wall - self.truth - server_ms * MS);
                let interval = OffsetInterval::new(offset, Duration::from_millis(2));
                let measured = Measured { interval, clocks: self.sample(), reference: None };
                let before = self.said.iter().position(|(known, _)| *known == name).map(|at| self.said.remove(at).1);
                self.jumps.witnessed(name, before.as_ref(), &measured);
                self.said.push((name, measured));
            }
            ReadHardware => {
                let ahead = self.wall - self.truth / SECOND * SECOND;
                let interval = OffsetInterval::between(Delta::from_nanos(ahead - SECOND), Delta::from_nanos(ahead));
                self.jumps.hardware("rtc0", interval, &self.sample());
            }
            Leap { tai_first } => {
                (self.wall, self.tai) = (self.wall - SECOND, self.tai + 1);
                if tai_first {
                    self.tell();
                }
                self.notice(Evidence::Timerfd);
                self.tell();
            }
        }
    }

    fn after(course: &[Happens]) -> Machine {
        let mut machine = Machine::new();
        for what in course {
            machine.happens(*what);
        }
        machine
    }
}

fn sample_of(wall: i64, mono: i64, raw: i64, slept: i64) -> Sample {
    Sample {
        before: Mono::from_nanos(mono as u64),
        wall: Wall::from_unix_nanos(wall),
        boot: Boot::from_nanos((mono + slept) as u64),
        raw: Raw::from_nanos(raw as u64),
        after: Mono::from_nanos((mono + 300) as u64),
    }
}

/// The course, and what the report says of it: cause, milliseconds, evidence, words of the detail.
fn check(course: &[Happens], expected: &[(&str, i64, &str, &str)]) -> Machine {
    let machine = Machine::after(course);
    let reports = machine.jumps.reports(&machine.sample());
    let told: Vec<_> = reports.iter().map(|r| (r.cause.as_str(), r.evidence.as_str())).collect();
    let wanted: Vec<_> = expected.iter().map(|(cause, _, evidence, _)| (*cause, *evidence)).collect();
    assert_eq!(told, wanted, "{course:?}: {reports:#?}");
    for (report, (_, ms, _, words)) in reports.iter().zip(expected) {
        let error = (report.amount_seconds - *ms as f64 / 1e3).abs();
        assert!(error <= report.error_bound_seconds && error < 0.3, "{course:?}: {ms} ms: {report:#?}");
        assert!(report.detail.as_deref().unwrap_or_default().contains(words), "{course:?}: {report:#?}");
        assert!(report.age_seconds.is_some() && report.monotonic_began_seconds <= report.monotonic_noticed_seconds);
    }
    let counted: u64 = Cause::ALL.iter().map(|cause| machine.jumps.counts().of(*cause)).sum();
    assert!(counted >= reports.len() as u64, "{course:?}");
    machine
}

const A: &str = "ntp://192.0.2.1:123";
const B: &str = "ntp://192.0.2.2:123";

/// All witnesses have been heard, and some time passes.
const START: [Happens; 5] = [Ask(A, 0), Ask(B, 0), Ask("chrony", 0), ReadHardware, Run(16, 0)];

fn then(rest: &[Happens]) -> Vec<Happens> {
    [&START[..], rest].concat()
}

#[test]
fn each_cause_is_told_from_the_others() {
    check(&then(&[Run(60, 0), Ask(A, 0), Ask(B, 0)]), &[]);
    check(&then(&[Set(-15_000), Ask(A, 0), Ask(B, 0), Run(20, 0)]), &[("step", -15_000, "timerfd", "")]);
    check(&then(&[Sleep(9_000), Run(1, 0), Ask(A, 0), Run(20, 0)]), &[("suspend", 9_000, "timerfd", "")]);
    check(
        &then(&[Run(30, 10_000), Run(8, 0), Ask(A, 0)]),
        &[("slew", 300, "oscillator", "+10000.000 ppm against CLOCK_MONOTONIC_RAW")],
    );
    check(
        &then(&[Pause(5_000), Run(1, 0), Ask(A, 0), Ask(B, 0), Run(20, 0)]),
        &[("pause", -5_000, "witness", "ntp://192.0.2.1:123 and ntp://192.0.2.2:123 say")],
    );
    check(&then(&[Stall(5), Ask(A, 0), Ask(B, 0), Run(20, 0)]), &[]);
}

#[test]
fn a_pause_that_the_hardware_clock_confirms() {
    let words = "ntp://192.0.2.1:123 and rtc0 say";
    check(&then(&[Pause(5_000), Ask(A, 0), ReadHardware]), &[("pause", -5_000, "witness", words)]);
    check(&then(&[Pause(5_000), ReadHardware, Run(9, 0), Ask(A, 0)]), &[("pause", -5_000, "witness", words)]);
}

#[test]
fn one_witness_alone_leaves_it_unexplained_and_says_what_it_may_have_been() {
    let words = "this machine was paused, or that server was set";
    let alone = [Ask(A, 0), Run(16, 0), Pause(5_000), Run(1, 0), Ask(A, 0), Run(11, 0)];
    let machine = check(&alone, &[("unexplained", -5_000, "witness", words)]);
    assert!(!machine.jumps.is_in_question());
    // A daemon that learns of it late bears it out; it is the same event, better known.
    let late = [&[Ask("chrony", 0)][..], &alone, &[Run(200, 0), Ask("chrony", 0)]].concat();
    let machine = check(&late, &[("pause", -5_000, "witness", "ntp://192.0.2.1:123 and chrony say")]);
    assert_eq!(machine.jumps.kept().0.last().unwrap().number, 1);
}

#[test]
fn a_server_that_was_set_is_no_jump_of_this_clock() {
    let mut machine = check(&then(&[Ask(A, 5_000), Ask(B, 0), Run(11, 0)]), &[]);
    let news = machine.jumps.take_news();
    let [News::Elsewhere(words)] = &news[..] else { panic!("{news:?}") };
    assert!(words.contains(A) && words.contains(B) && words.contains("was set"), "{words}");
}

#[test]
fn a_witness_that_moved_has_the_others_asked_at_once() {
    let mut machine = Machine::after(&then(&[Run(1, 0)]));
    let before = machine.jumps.alarms();
    machine.happens(Pause(5_000));
    machine.happens(Ask(A, 0));
    assert_eq!((machine.jumps.alarms(), machine.jumps.is_in_question()), (before + 1, true));
    machine.happens(Ask(B, 0));
    assert_eq!((machine.jumps.alarms(), machine.jumps.is_in_question()), (before + 1, false));
}

#[test]
fn a_leap_second_is_a_step_that_says_so() {
    for tai_first in [true, false] {
        let words = "a leap second: the kernel's TAI-UTC went from 37 to 38 s";
        check(&then(&[Leap { tai_first }, Run(2, 0)]), &[("step", -1_000, "timerfd", words)]);
    }
    // A step of a second with nothing said of TAI is none.
    let machine = Machine::after(&then(&[Set(-1_000), Run(2, 0)]));
    assert_eq!(machine.jumps.reports(&machine.sample())[0].detail, None);
}

#[test]
fn a_slew_beyond_the_limit_is_told_while_it_lasts_and_again_when_it_is_over() {
    // chronyd at its greatest rate, 15 s in two and a half minutes.
    let mut machine = Machine::after(&then(&[Run(4, 100_000)]));
    let (quiet, mut told) = (machine.jumps.revision(), None);
    for second in 5..150 {
        machine.happens(Run(1, 100_000));
        if machine.jumps.revision() > quiet && told.is_none() {
            told = Some(second);
        }
        let slew = machine.jumps.slew(&machine.sample()).expect("it goes on");
        assert!((slew.rate_ppm - 100_000.0).abs() < 30_000.0, "{slew:?}");
        assert!((slew.amount_seconds - f64::from(second) / 10.0).abs() <= slew.error_bound_seconds, "{slew:?}");
    }
    assert!(matches!(told, Some(5..=9)), "500 ms are exceeded after 5 s: {told:?}");
    let report = machine.jumps.reports(&machine.sample()).pop().unwrap();
    assert!(report.ongoing && (report.amount_seconds - 14.9).abs() < 0.01, "{report:#?}");
    assert_eq!(machine.jumps.revision(), quiet + 1, "told once");
    machine.happens(Run(10, 0));
    let over = machine.jumps.reports(&machine.sample()).pop().unwrap();
    assert!(!over.ongoing && (over.amount_seconds - 14.9).abs() <= over.error_bound_seconds, "{over:#?}");
    assert_eq!((over.number, &over.wall_began), (report.number, &report.wall_began));
    assert_eq!((machine.jumps.revision(), machine.jumps.slew(&machine.sample())), (quiet + 2, None));
    assert_eq!(machine.jumps.counts().of(Cause::Slew), 1);
}

#[test]
fn a_step_and_a_pause_in_the_middle_of_a_slew_are_told_beside_it() {
    let course = then(&[
        Run(20, 10_000),
        Set(3_000),
        Run(20, 10_000),
        Pause(5_000),
        Ask(A, 0),
        Ask(B, 0),
        Run(20, 10_000),
        Run(8, 0),
    ]);
    check(
        &course,
        &[("slew", 600, "oscillator", ""), ("step", 3_000, "timerfd", ""), ("pause", -5_000, "witness", "")],
    );
}

#[test]
fn a_new_correction_of_the_oscillator_is_no_slew_where_a_witness_can_tell() {
    // After a migration: another crystal, 200 ppm off, and chronyd makes up for it.
    let mut machine = Machine::after(&then(&[]));
    for second in 0..600 {
        machine.happens(Run(1, 200));
        machine.truth += 200_000;
        if second % 16 == 0 {
            machine.happens(Ask(A, 0));
        }
    }
    assert_eq!(machine.jumps.reports(&machine.sample()), []);
    assert_eq!(machine.jumps.slew(&machine.sample()), None);
    // The same without a witness, and with one that says that the clock did move.
    check(&[Run(16, 0), Run(600, 200)], &[("slew", 120, "oscillator", "")]);
    let course: Vec<Happens> = (0..40).flat_map(|_| [Run(15, 200), Ask(A, 0)]).collect();
    check(&[&START[..], &course].concat(), &[("slew", 120, "oscillator", "")]);
}

#[test]
fn what_happened_while_the_agent_was_not_running_is_noticed_at_the_next_start() {
    let boot: Arc<str> = "b1".into();
    for (meanwhile, expected) in [
        (vec![Run(100, 0)], vec![]),
        (vec![Run(100, 400)], vec![]),
        (vec![Set(-15_000)], vec!["step"]),
        (vec![Sleep(60_000), Set(2_000)], vec!["suspend", "step"]),
    ] {
        let mut machine = Machine::after(&then(&[Set(1_000)]));
        let anchor = machine.sample();
        let jumps = machine.jumps.kept().0.iter().cloned().collect();
        machine.happens(Run(1, 0));
        meanwhile.iter().for_each(|what| machine.happens(*what));
        let past = Past { jumps, anchor: Some((boot.clone(), anchor)) };
        for (now, same) in [(boot.clone(), true), (Arc::from("b2"), false)] {
            let mut next = Jumps::new(machine.sample(), Duration::from_millis(500));
            next.resume(past.clone(), now, &machine.sample());
            let reports = next.reports(&machine.sample());
            let new: Vec<_> = reports[1..].iter().map(|r| (r.cause.as_str(), r.evidence.as_str(), r.number)).collect();
            let wanted: Vec<_> =
                if same { expected.iter().zip(2..).map(|(c, n)| (*c, "restart", n)).collect() } else { vec![] };
            assert_eq!(new, wanted, "{meanwhile:?} {same}");
            assert_eq!(reports[0].age_seconds, None, "of no start that we know");
        }
    }
}

#[test]
fn an_anchor_from_the_future_blinds_nobody() {
    let mut machine = Machine::new();
    let anchor = (Arc::from("b1"), sample_of(WALL, 900 * SECOND, 900 * SECOND, 0));
    let now = machine.sample();
    machine.jumps.resume(Past { jumps: vec![], anchor: Some(anchor) }, Arc::from("b1"), &now);
    machine.happens(Set(2_000));
    assert_eq!(machine.jumps.reports(&machine.sample()).len(), 1);
}

#[test]
fn the_smallest_of_slews_go_first_and_a_slew_that_goes_on_stays() {
    let mut machine = Machine::after(&then(&[Set(15_000)]));
    for _ in 0..300 {
        machine.happens(Run(4, 500));
        machine.happens(Run(8, 0));
    }
    let (ring, _) = machine.jumps.kept();
    assert_eq!(ring.iter().len(), RING_MAX);
    assert_eq!(ring.iter().next().unwrap().jump.cause, Cause::Step);
    assert_eq!(ring.last().unwrap().number, 301);
    // Nothing but what matters: then the oldest goes.
    for _ in 0..RING_MAX {
        machine.happens(Set(20));
    }
    assert!(machine.jumps.kept().0.iter().all(|noticed| noticed.jump.amount.contains(Delta::from_nanos(20 * MS))));
    assert_eq!(machine.jumps.reports(&machine.sample()).len(), JUMPS_MAX);
}
