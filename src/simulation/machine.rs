//! The clocks of one simulated machine: an oscillator, and what the kernel makes of it.
//!
//! Time goes in seconds. Within a second every rate is constant, so that the clocks can be read at any moment of it;
//! events (a step, a pause, going to sleep) fall between two seconds. All is integer arithmetic in nanoseconds: a rate
//! of one part per billion is one nanosecond per second, and a run is the same on every machine.
//!
//! The oscillator is wrong by a constant, by what the temperature of the room does to it, and by a wander; the
//! monotonic clock is the oscillator with the correction of whoever disciplines it; the wall clock goes along and can
//! be set. Paused by a hypervisor, all of them stand still; asleep, the wall clock and the boot clock move on.
//!
//! Source: clock_gettime(2); how an emulated guest was seen to behave when it was set, slewed, paused and suspended.

use super::chance::Chance;
use crate::clock::{Boot, Delta, Mono, Raw, Sample, Wall};

/// Nanoseconds in a second, and so also parts per billion.
pub(super) const SECOND: i64 = 1_000_000_000;
/// What evidence is aged by ([`crate::clock::interval::DRIFT_PPM`]), in parts per billion.
pub(super) const AGEING_PPB: i64 = 50_000;
/// An ordinary rate: two such clocks do not part faster than evidence about them is aged.
const ORDINARY_PPB: i64 = AGEING_PPB / 2;

/// What counts: a quartz, with its faults. Rates in parts per billion, positive fast.
#[derive(Debug, Clone)]
pub struct Oscillator {
    /// Constant.
    pub constant_ppb: i64,
    /// Greatest effect of temperature, which rises and falls evenly.
    pub swing_ppb: i64,
    /// Length of one warming and cooling.
    pub period_s: i64,
    /// How much the rate may wander in a second.
    pub wander_ppb: i64,
    wandered_ppb: i64,
}

/// The wander goes no further than this.
const WANDERED_MAX_PPB: i64 = 3_000;

impl Oscillator {
    /// An ordinary one: some 20 ppm off at most, ±1 to ±4 ppm with the temperature, wandering by a few ppb.
    #[must_use]
    pub fn ordinary(chance: &mut Chance) -> Oscillator {
        Oscillator {
            constant_ppb: chance.between(-20_000, 20_000),
            swing_ppb: chance.between(1_000, 4_000),
            period_s: chance.between(2_400, 7_200),
            wander_ppb: 5,
            wandered_ppb: 0,
        }
    }

    fn rate_ppb(&mut self, second: i64, chance: &mut Chance) -> i64 {
        let walk = chance.between(-self.wander_ppb, self.wander_ppb);
        self.wandered_ppb = (self.wandered_ppb + walk).clamp(-WANDERED_MAX_PPB, WANDERED_MAX_PPB);
        // A triangle, not a sine: no library function whose last bit differs from machine to machine.
        let period = self.period_s.max(4);
        let phase = second.rem_euclid(period);
        let warm = self.swing_ppb * ((2 * phase - period).abs() * 4 - 2 * period) / (2 * period);
        self.constant_ppb + self.wandered_ppb + warm
    }
}

/// Whether its clocks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// They do.
    Running,
    /// A hypervisor has stopped it: nothing inside goes on, nothing inside notices.
    Paused,
    /// Suspended to memory since so many seconds.
    Asleep(i64),
}

/// One machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its quartz.
    pub oscillator: Oscillator,
    /// How it is.
    pub condition: Condition,
    /// Correction of the rate by whoever disciplines it.
    pub frequency_ppb: i64,
    /// Slew on top of that, in this second.
    pub slew_ppb: i64,
    /// The last second in which its clocks stood still or went at anything but an ordinary rate.
    pub uneven: Option<i64>,
    /// The last second in which its wall clock was set.
    pub set_at: Option<i64>,
    /// What its kernel takes TAI to be ahead of UTC by, seconds.
    pub tai_s: i32,
    raw_ns: i64,
    mono_ns: i64,
    boot_ns: i64,
    wall_ns: i64,
    rate_ppb: i64,
    second: i64,
    chance: Chance,
}

/// What its clocks say at one moment.
struct Now {
    raw: i64,
    mono: i64,
    boot: i64,
    wall: i64,
}

impl Machine {
    /// One whose wall clock shows that.
    #[must_use]
    pub fn new(oscillator: Oscillator, wall: Wall, mut chance: Chance) -> Machine {
        // Machines have been up for different times, and nobody shall get away with comparing that.
        let up = chance.between(1_000, 9_000_000) * SECOND + chance.between(0, SECOND);
        let mut machine = Machine {
            oscillator,
            condition: Condition::Running,
            frequency_ppb: 0,
            slew_ppb: 0,
            uneven: None,
            set_at: None,
            tai_s: 37,
            raw_ns: up + chance.between(0, SECOND),
            mono_ns: up,
            boot_ns: up,
            wall_ns: wall.unix_nanos(),
            rate_ppb: 0,
            second: 0,
            chance,
        };
        machine.rate_ppb = machine.oscillator.rate_ppb(0, &mut machine.chance);
        machine
    }

    /// What a discipline that knows its oscillator has found the correction to be, to within a tenth of a ppm.
    pub fn learn_frequency(&mut self) {
        self.frequency_ppb = -self.rate_ppb + self.chance.between(-100, 100);
    }

    /// Whether its clocks go.
    #[must_use]
    pub fn running(&self) -> bool {
        self.condition == Condition::Running
    }

    /// Whether its clocks have gone on at an ordinary rate since the beginning of that second, this one included.
    #[must_use]
    pub fn even_since(&self, second: i64) -> bool {
        self.ordinary() && self.uneven.is_none_or(|uneven| uneven < second)
    }

    fn ordinary(&self) -> bool {
        (self.now(SECOND).mono - self.mono_ns - SECOND).abs() <= ORDINARY_PPB
    }

    /// Nanoseconds of this second in which it runs, after so many of true time.
    fn now(&self, into_ns: i64) -> Now {
        let into_ns = if self.running() { into_ns } else { 0 };
        let scale = |ns: i64, ppb: i64| {
            let scaled = i128::from(ns) * i128::from(SECOND + ppb) / i128::from(SECOND);
            i64::try_from(scaled).unwrap_or(i64::MAX)
        };
        let raw = scale(into_ns, self.rate_ppb);
        let mono = scale(raw, self.frequency_ppb) + scale(into_ns, self.slew_ppb) - into_ns;
        Now { raw: self.raw_ns + raw, mono: self.mono_ns + mono, boot: self.boot_ns + mono, wall: self.wall_ns + mono }
    }

    /// Its wall clock, so far into this second.
    #[must_use]
    pub fn wall(&self, into_ns: i64) -> Wall {
        Wall::from_unix_nanos(self.now(into_ns).wall)
    }

    /// How far ahead its wall clock is, so far into this second, which began at that true time.
    #[must_use]
    pub fn off(&self, into_ns: i64, truth: Wall) -> Delta {
        self.wall(into_ns).minus(truth.plus(Delta::from_nanos(into_ns)))
    }

    /// Its monotonic clock.
    #[must_use]
    pub fn mono(&self, into_ns: i64) -> Mono {
        Mono::from_nanos(self.now(into_ns).mono.unsigned_abs())
    }

    /// All its clocks, read within a bracket of that width.
    #[must_use]
    pub fn sample(&self, into_ns: i64, bracket_ns: i64) -> Sample {
        let middle = self.now(into_ns + bracket_ns / 2);
        Sample {
            before: self.mono(into_ns),
            wall: Wall::from_unix_nanos(middle.wall),
            boot: Boot::from_nanos(middle.boot.unsigned_abs()),
            raw: Raw::from_nanos(middle.raw.unsigned_abs()),
            after: self.mono(into_ns + bracket_ns),
        }
    }

    /// The width of the next bracket: well under two microseconds.
    pub fn bracket_ns(&mut self) -> i64 {
        self.chance.between(150, 1_800)
    }

    /// The same for a reading that is not tried again: now and then preempted for 14 ms.
    pub fn careless_bracket_ns(&mut self) -> i64 {
        if self.chance.once_in(400) { 14_000_000 } else { self.bracket_ns() }
    }

    /// Its wall clock is set.
    pub fn set(&mut self, by_ns: i64) {
        self.wall_ns = self.wall_ns.saturating_add(by_ns);
        self.set_at = Some(self.second);
    }

    /// The kernel inserts a leap second.
    pub fn repeat_second(&mut self) {
        self.set(-SECOND);
        self.tai_s += 1;
    }

    /// It wakes; the kernel read from the battery clock how long it slept, `wrong_ns` wrong.
    pub fn wake(&mut self, wrong_ns: i64) {
        if let Condition::Asleep(slept_s) = self.condition {
            self.boot_ns += slept_s * SECOND + wrong_ns;
            self.wall_ns += slept_s * SECOND + wrong_ns;
        }
        self.condition = Condition::Running;
        self.uneven = Some(self.second);
    }

    /// On to the next second.
    pub fn advance(&mut self) {
        let ordinary = self.ordinary();
        let Now { raw, mono, boot, wall } = self.now(SECOND);
        (self.raw_ns, self.mono_ns, self.boot_ns, self.wall_ns) = (raw, mono, boot, wall);
        if let Condition::Asleep(seconds) = &mut self.condition {
            *seconds += 1;
        }
        if !ordinary {
            self.uneven = Some(self.second);
        }
        self.second += 1;
        self.rate_ppb = self.oscillator.rate_ppb(self.second, &mut self.chance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Cause, StepDetector};

    const START: Wall = Wall::from_unix_nanos(1_800_000_000 * SECOND);

    fn machine(constant_ppb: i64) -> Machine {
        let mut oscillator = Oscillator::ordinary(&mut Chance::new(1));
        (oscillator.constant_ppb, oscillator.swing_ppb, oscillator.wander_ppb) = (constant_ppb, 0, 0);
        Machine::new(oscillator, START, Chance::new(2))
    }

    fn run(machine: &mut Machine, seconds: i64) {
        (0..seconds).for_each(|_| machine.advance());
    }

    /// How far ahead its wall clock is after so many seconds.
    #[track_caller]
    fn check(machine: &Machine, seconds: i64, ahead_ns: i64) {
        assert_eq!(machine.wall(0).minus(START).nanos() - seconds * SECOND, ahead_ns);
    }

    #[test]
    fn rates_add_up_to_the_nanosecond() {
        let mut fast = machine(30_000);
        run(&mut fast, 100);
        check(&fast, 100, 3_000_000);
        fast.frequency_ppb = -30_000;
        let before = fast.sample(0, 0);
        run(&mut fast, 100);
        let after = fast.sample(0, 0);
        // Corrected, but for 30 ppm of 30 ppm; the oscillator itself is as before.
        check(&fast, 200, 3_000_000 - 100);
        assert_eq!(after.raw.since(before.raw).as_nanos(), 100_003_000_000);
        fast.slew_ppb = 83_333_333;
        run(&mut fast, 12);
        check(&fast, 212, 3_000_000 - 112 + 999_999_996);
    }

    #[test]
    fn a_step_shows_in_the_wall_clock_a_pause_in_none_and_a_sleep_in_two() {
        let mut it = machine(0);
        let mut detector = StepDetector::new(it.sample(0, 100));
        it.set(2 * SECOND);
        let jump = *detector.observe(it.sample(500, 100)).first().unwrap();
        assert!(jump.cause == Cause::Step && jump.amount.contains(Delta::from_nanos(2 * SECOND)));
        let before = it.sample(0, 0);
        it.condition = Condition::Paused;
        run(&mut it, 60);
        assert_eq!((it.sample(0, 0), it.sample(SECOND / 2, 0)), (before, before));
        it.condition = Condition::Asleep(0);
        run(&mut it, 60);
        it.wake(400_000_000);
        let jump = *detector.observe(it.sample(1_000, 100)).first().unwrap();
        assert!(jump.cause == Cause::Suspend && jump.amount.contains(Delta::from_nanos(60_400_000_000)), "{jump:?}");
    }

    #[test]
    fn temperature_brings_an_oscillator_no_further_than_said_and_back() {
        let mut oscillator = Oscillator::ordinary(&mut Chance::new(1));
        (oscillator.constant_ppb, oscillator.swing_ppb, oscillator.wander_ppb) = (100, 2_000, 0);
        oscillator.period_s = 1_000;
        let rates: Vec<i64> = (0..1_000).map(|s| oscillator.rate_ppb(s, &mut Chance::new(0))).collect();
        assert_eq!((rates.iter().min(), rates.iter().max()), (Some(&-1_900), Some(&2_100)));
        assert_eq!(rates.iter().sum::<i64>() / 1_000, 100);
    }
}
