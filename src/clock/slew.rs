//! Sees a clock being slewed: made to run faster or slower on purpose, until an offset is gone.
//!
//! Linux slews the wall clock and the monotonic clock alike, so only the oscillator itself (`CLOCK_MONOTONIC_RAW`) shows
//! it. The two never run quite alike, because the kernel makes up for a crystal that is a little fast or slow; that
//! rate, before, is the baseline, and a slew is a departure from it. Windows are seconds long: over 200 ms the difference
//! has been seen to waver by 1500 ppm, over 4 s by a few.
//!
//! What counts as a departure (100 ppm) lies above the daily work of daemons and below what they do on purpose: chronyd
//! spreads an ordinary correction over three polling intervals (`corrtimeratio`), 5 ms in 3 minutes or 26 ppm, and a
//! crystal wanders by a few ppm with the temperature; but adjtime(3) slews at 500 ppm, systemd-timesyncd at up to
//! some 10,000, chronyd at up to 100,000 for whatever is more than usual.
//!
//! Does not know: whether the slew is right, nor whether a new rate that stays is a slew or a better correction of the
//! oscillator. A witness whose offset does not move along knows ([`disproves`]).
//!
//! Source: adjtimex(2); chrony.conf(5), `corrtimeratio` and `maxslewrate`; figures from slewing an emulated guest.

use super::interval::OffsetInterval;
use super::jump::{Cause, Jump};
use super::steps::{FREQUENCY_MAX_PPM, Sample};
use super::time::Delta;
use std::time::Duration;

/// The rate is measured over no less than this.
pub const WINDOW: Duration = Duration::from_secs(4);
/// A rate further than this from the baseline begins a slew.
pub const BEGIN_PPM: i64 = 100;
/// A rate nearer than this to the baseline ends it.
pub const END_PPM: i64 = 50;
/// A slew by less is not worth keeping.
pub const SLEW_MIN: Duration = Duration::from_millis(1);
/// How well the baseline is known: a crystal wanders by this while the clock is slewed, and the rate before it may have
/// been that far in its own corrections.
const BASELINE_PPM: i64 = 20;

/// What the kernel was told to make of the oscillator, and of leap seconds (adjtimex(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discipline {
    /// Frequency correction, parts per billion; positive: the clock is driven faster.
    pub frequency_ppb: i64,
    /// Microseconds of clock for each hundredth of a second of oscillator; 10,000 where nobody slews by it.
    pub tick_us: i64,
    /// TAI minus UTC, seconds; 0 where nobody told the kernel.
    pub tai_s: i32,
}

impl Discipline {
    /// By how much the clock is driven faster than the oscillator, parts per billion. A correction by adjtime(3) or by
    /// the kernel's own loop is not in it.
    #[must_use]
    pub fn rate_ppb(&self) -> i64 {
        // One microsecond more in a tick of 10 ms is 100 ppm (adjtimex(2), `tick`; USER_HZ is 100).
        let tick = self.tick_us.saturating_sub(10_000).saturating_mul(100_000);
        self.frequency_ppb.saturating_add(tick)
    }
}

/// A slew that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slewing {
    /// As far as it has come.
    pub jump: Jump,
    /// Its rate over the last window beyond the baseline, parts per billion; positive: the clock gains.
    pub rate_ppb: i64,
}

/// Compares the monotonic clock with the oscillator, window by window.
#[derive(Debug, Clone)]
pub struct SlewDetector {
    /// How much faster than the oscillator the clock runs when nobody slews it, parts per billion.
    baseline_ppb: Option<i64>,
    /// The rate of the last steady window; it joins the baseline when the next one is steady too, so that the beginning
    /// of a slew does not.
    candidate_ppb: Option<i64>,
    /// Where the window before this one began.
    earlier: Sample,
    /// Where this window began.
    window: Sample,
    ongoing: Option<Ongoing>,
}

#[derive(Debug, Clone, Copy)]
struct Ongoing {
    from: Sample,
    rate_ppb: i64,
}

impl SlewDetector {
    /// Starts from what the clocks say now.
    #[must_use]
    pub fn new(first: Sample) -> SlewDetector {
        SlewDetector { baseline_ppb: None, candidate_ppb: None, earlier: first, window: first, ongoing: None }
    }

    /// Takes the kernel's word for the baseline before anything has been measured: so a slew by adjtime(3) that goes on
    /// while we start is not taken for it.
    pub fn told(&mut self, discipline: &Discipline) {
        if self.baseline_ppb.is_none() && ordinary(discipline.rate_ppb()) {
            self.baseline_ppb = Some(discipline.rate_ppb());
        }
    }

    /// Looks at the clocks; gives the slew that is over, if one is.
    pub fn observe(&mut self, sample: &Sample) -> Option<Jump> {
        if sample.before <= self.window.after {
            return None;
        }
        if sample.slept_since(&self.window) {
            // What the two clocks do while the machine falls asleep and wakes is nobody's slew.
            let over = self.finish(self.window);
            (self.earlier, self.window, self.candidate_ppb) = (*sample, *sample, None);
            return over;
        }
        let elapsed = sample.before.since(self.window.after);
        if elapsed < WINDOW {
            return None;
        }
        let drifted = sample.slewed_since(&self.window);
        if drifted.bound() > part(elapsed, END_PPM) / 2 {
            // Read too far apart to tell; the next look may do better, and this window grows until it does.
            if sample.after.since(sample.before) < self.window.after.since(self.window.before) {
                (self.earlier, self.window) = (*sample, *sample);
            }
            return None;
        }
        let rate_ppb = ppb(drifted.midpoint(), sample.raw.since(self.window.raw));
        let baseline_ppb = *self.baseline_ppb.get_or_insert(if ordinary(rate_ppb) { rate_ppb } else { 0 });
        let over = self.judge(sample, elapsed, rate_ppb, excess(sample, &self.window, baseline_ppb));
        (self.earlier, self.window) = (self.window, *sample);
        over
    }

    fn judge(&mut self, sample: &Sample, elapsed: Duration, rate_ppb: i64, excess: OffsetInterval) -> Option<Jump> {
        let baseline_ppb = self.baseline_ppb.unwrap_or(0);
        let departs = excess.surely_beyond(part(elapsed, BEGIN_PPM));
        let back = excess.midpoint().magnitude() <= part(elapsed, END_PPM);
        let begun = |from| Ongoing { from, rate_ppb: rate_ppb.saturating_sub(baseline_ppb) };
        match self.ongoing {
            None if departs => {
                self.ongoing = Some(begun(self.earlier));
                self.candidate_ppb = None;
                None
            }
            None => {
                if let Some(steady) = self.candidate_ppb.replace(rate_ppb) {
                    self.baseline_ppb = Some(baseline_ppb.saturating_add(steady.saturating_sub(baseline_ppb) / 8));
                }
                None
            }
            Some(ongoing) if !back && (excess.midpoint().nanos() < 0) == (ongoing.rate_ppb < 0) => {
                self.ongoing = Some(Ongoing { from: ongoing.from, ..begun(ongoing.from) });
                None
            }
            Some(_) => {
                // The window in which it ended belongs to it, unless the clock already runs the other way.
                let over = self.finish(if departs { self.window } else { *sample });
                if departs {
                    self.ongoing = Some(begun(self.window));
                }
                over
            }
        }
    }

    /// The slew that goes on at `now`, if one does.
    #[must_use]
    pub fn ongoing(&self, now: &Sample) -> Option<Slewing> {
        let ongoing = self.ongoing?;
        Some(Slewing { jump: self.jump(&ongoing, now), rate_ppb: ongoing.rate_ppb })
    }

    /// By how much the clock was slewed from `from` to `at`, as far as the baseline is known.
    #[must_use]
    pub fn gained(&self, from: &Sample, at: &Sample) -> OffsetInterval {
        let elapsed = at.after.since(from.before);
        excess(at, from, self.baseline_ppb.unwrap_or(0)).widened(part(elapsed, BASELINE_PPM))
    }

    /// The clock was not slewed: its new rate is a better correction of the oscillator, and the baseline from now on.
    pub fn adopt(&mut self) {
        if let Some(ongoing) = self.ongoing.take() {
            self.baseline_ppb = self.baseline_ppb.map(|baseline| baseline.saturating_add(ongoing.rate_ppb));
        }
    }

    fn finish(&mut self, at: Sample) -> Option<Jump> {
        let ongoing = self.ongoing.take()?;
        self.candidate_ppb = None;
        let jump = self.jump(&ongoing, &at);
        jump.amount.surely_beyond(SLEW_MIN).then_some(jump)
    }

    fn jump(&self, ongoing: &Ongoing, at: &Sample) -> Jump {
        Jump { cause: Cause::Slew, amount: self.gained(&ongoing.from, at), before: ongoing.from, after: *at }
    }
}

/// Whether a witness whose offset has `moved` since some moment rules out that the clock was slewed by `slewed` since:
/// it knows well enough, and the offset has stayed nearer to where it was.
#[must_use]
pub fn disproves(moved: OffsetInterval, slewed: OffsetInterval) -> bool {
    let size = slewed.midpoint().magnitude();
    let (between, bound) = (moved.midpoint().magnitude(), moved.bound());
    !moved.overlaps(slewed) && bound.saturating_mul(4) < size && between.saturating_mul(2) < size
}

/// How much further the clock went than the oscillator from `from` to `at`, less what the baseline does.
fn excess(at: &Sample, from: &Sample, baseline_ppb: i64) -> OffsetInterval {
    let usual = i128::from(baseline_ppb) * i128::from(saturating(at.raw.since(from.raw).as_nanos())) / 1_000_000_000;
    let usual = Delta::from_nanos(i64::try_from(usual).unwrap_or(0));
    at.slewed_since(from).against(OffsetInterval::between(usual, usual))
}

/// Whether a kernel may run at that rate with nothing to slew: up to 500 ppm (adjtimex(2), `freq`).
fn ordinary(rate_ppb: i64) -> bool {
    u128::from(rate_ppb.unsigned_abs()) <= FREQUENCY_MAX_PPM * 1_000
}

fn part(elapsed: Duration, ppm: i64) -> Duration {
    Duration::from_nanos(saturating(elapsed.as_nanos().saturating_mul(u128::from(ppm.unsigned_abs())) / 1_000_000))
}

fn ppb(gained: Delta, elapsed: Duration) -> i64 {
    let elapsed = i128::from(saturating(elapsed.as_nanos())).max(1);
    i64::try_from(i128::from(gained.nanos()) * 1_000_000_000 / elapsed).unwrap_or(i64::MAX)
}

fn saturating(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
