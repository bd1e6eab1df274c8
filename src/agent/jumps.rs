//! What happened to the wall clock while the agent looked, and a little before: steps, suspends, slews, pauses.
//!
//! Whoever looks at the clocks first notices: the watcher that the kernel woke, a source that was asked, a reader of
//! the report. Steps and suspends follow from comparing clocks, slews from their rates, pauses from what the witnesses
//! say ([`crate::clock::jump`] has the table). All of it goes into one ring, which an earlier run may have begun.
//!
//! Two counters say what others must hear of: `revision` grows with everything worth telling a reader and keeping on
//! disk, `alarms` with everything after which the sources should be asked again at once.
//!
//! Pure: the clocks are an argument. Does not know: how sources are asked, HTTP, files.

mod ring;
mod words;

pub use ring::{Evidence, Noticed, RING_MAX, Ring};
pub(crate) use words::headline;

use crate::agent::report::{JumpReport, SlewReport};
use crate::agent::sources::Measured;
use crate::clock::pause::{Finding, PauseDetector, Role, Word};
use crate::clock::slew::{SLEW_MIN, disproves};
use crate::clock::{Cause, Discipline, Jump, OffsetInterval, Sample, SlewDetector, StepDetector};
use std::sync::Arc;
use std::time::Duration;

/// The newest jumps that a report carries.
pub const JUMPS_MAX: usize = 32;

/// How often what happened since the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JumpCounts([u64; Cause::ALL.len()]);

impl JumpCounts {
    /// Of one cause.
    #[must_use]
    pub fn of(&self, cause: Cause) -> u64 {
        Cause::ALL.iter().zip(self.0).find(|(known, _)| **known == cause).map_or(0, |(_, count)| count)
    }

    fn add(&mut self, cause: Cause) {
        let counts = Cause::ALL.iter().zip(&mut self.0);
        for (_, count) in counts.filter(|(known, _)| **known == cause) {
            *count = count.saturating_add(1);
        }
    }
}

/// What an earlier run left behind.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Its jumps, oldest first.
    pub jumps: Vec<Noticed>,
    /// The clocks when it last wrote, and the start of the machine to which they belong.
    pub anchor: Option<(Arc<str>, Sample)>,
}

/// What is worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It happened, is known better, or is over.
    Jump(Noticed),
    /// It happened, but not to this machine.
    Elsewhere(String),
}

/// News that nobody has fetched; beyond that the oldest go.
const NEWS_MAX: usize = 64;

/// Everything that happened, and those who look for more.
#[derive(Debug)]
pub struct Jumps {
    steps: StepDetector,
    slews: SlewDetector,
    pauses: PauseDetector,
    ring: Ring,
    counts: JumpCounts,
    boot: Arc<str>,
    /// A slew by more is told while it lasts.
    offset_max: Duration,
    /// The slew that goes on has been told.
    slew_told: bool,
    /// Its greatest rate so far, parts per billion, whichever way.
    slew_fastest_ppb: u64,
    /// What each witness said first since the slew began.
    during_slew: Vec<(String, OffsetInterval, Sample)>,
    discipline: Option<Discipline>,
    /// What the kernel said before TAI changed last, until a step is found that belongs to it.
    before_leap: Option<(Discipline, Sample)>,
    hardware: Option<(OffsetInterval, Sample)>,
    /// The number of the jump that a late witness may yet explain.
    unexplained: Option<u64>,
    revision: u64,
    alarms: u64,
    news: Vec<News>,
}

impl Jumps {
    /// None yet; `first` is what the clocks say now. A slew by more than `offset_max` is told while it lasts.
    #[must_use]
    pub fn new(first: Sample, offset_max: Duration) -> Jumps {
        Jumps {
            steps: StepDetector::new(first),
            slews: SlewDetector::new(first),
            pauses: PauseDetector::default(),
            ring: Ring::default(),
            counts: JumpCounts::default(),
            boot: Arc::from("this"),
            offset_max,
            slew_told: false,
            slew_fastest_ppb: 0,
            during_slew: Vec::new(),
            discipline: None,
            before_leap: None,
            hardware: None,
            unexplained: None,
            revision: 0,
            alarms: 0,
            news: Vec::new(),
        }
    }

    /// Goes on from what an earlier run left behind. `boot` is this start of the machine; if the earlier run belongs to
    /// it too, what the clocks did meanwhile is noticed now.
    pub fn resume(&mut self, past: Past, boot: Arc<str>, now: &Sample) {
        self.boot = boot;
        self.ring = Ring::resumed(past.jumps);
        let Some((earlier, anchor)) = past.anchor else { return };
        if earlier == self.boot && anchor.after < now.before {
            self.steps = StepDetector::new(anchor);
            self.notice(now, Evidence::Restart);
        }
    }

    /// Takes what the kernel was told to make of the oscillator.
    pub fn told(&mut self, discipline: Discipline, now: &Sample) {
        self.slews.told(&discipline);
        if let Some(before) = self.discipline.replace(discipline)
            && before.tai_s != discipline.tai_s
        {
            self.before_leap = Some((before, *now));
        }
        self.explain_leap(now);
    }

    /// Compares the clocks with what they said before, and keeps what happened.
    pub fn notice(&mut self, clocks: &Sample, evidence: Evidence) {
        for jump in self.steps.observe(*clocks) {
            let meanwhile = "it happened while the agent was not running";
            self.add(jump, evidence, (evidence == Evidence::Restart).then(|| meanwhile.to_owned()));
            self.alarms = self.alarms.saturating_add(1);
        }
        self.explain_leap(clocks);
        if let Some(over) = self.slews.observe(clocks) {
            self.slew_over(over);
        }
        self.follow_slew(clocks);
        if let Some(finding) = self.pauses.look(clocks.after) {
            self.found(finding);
        }
    }

    /// Takes what a source says, and what it said before.
    pub fn witnessed(&mut self, name: &str, before: Option<&Measured>, after: &Measured) {
        let Some(role) = role(name) else { return };
        if let Some(before) = before {
            self.hear(name, role, word(before), word(after));
        }
        self.question_slew(name, after);
    }

    /// Takes the offset of this clock against a hardware clock that nobody stops.
    pub fn hardware(&mut self, name: &str, interval: OffsetInterval, clocks: &Sample) {
        if let Some((then, before)) = self.hardware.replace((interval, *clocks)) {
            let (before, after) = (Word { interval: then, clocks: &before }, Word { interval, clocks });
            self.hear(name, Role::Hardware, before, after);
        }
    }

    /// Whether the word of a hardware clock is wanted now.
    #[must_use]
    pub fn is_in_question(&self) -> bool {
        self.pauses.is_open()
    }

    fn hear(&mut self, name: &str, role: Role, before: Word<'_>, after: Word<'_>) {
        let already = self.pauses.is_open();
        let finding = self.pauses.hear(name, role, before, after);
        if !already && self.pauses.is_open() {
            self.alarms = self.alarms.saturating_add(1);
        }
        if let Some(finding) = finding {
            self.found(finding);
        }
    }

    fn found(&mut self, finding: Finding) {
        match finding {
            Finding::Happened { jump, moved } => {
                let paused = jump.cause == Cause::Pause;
                let detail = if paused { words::paused(&moved, &jump) } else { words::unexplained(&moved, &jump) };
                let number = self.add(jump, Evidence::Witness, Some(detail));
                self.unexplained = (!paused).then_some(number);
            }
            Finding::BorneOut { jump, moved } => {
                let Some(number) = self.unexplained.take() else { return };
                let detail = words::paused(&moved, &jump);
                let Some(noticed) = self.ring.newest_mut(|noticed| noticed.number == number) else { return };
                (noticed.jump, noticed.detail) = (jump, Some(detail));
                let noticed = noticed.clone();
                self.counts.add(Cause::Pause);
                self.tell(News::Jump(noticed));
            }
            Finding::Elsewhere { amount, moved, stayed } => {
                self.say(News::Elsewhere(words::elsewhere(&moved, &stayed, amount)));
            }
        }
    }

    /// A step that was noticed together with a change of TAI was a leap second. Either may be seen first.
    fn explain_leap(&mut self, now: &Sample) {
        let (Some((before, at)), Some(told)) = (self.before_leap, self.discipline) else { return };
        if now.after.since(at.before) > Duration::from_secs(5) {
            self.before_leap = None;
            return;
        }
        let near = |noticed: &Noticed| {
            let noticed_at = noticed.jump.after.after;
            let apart = at.after.since(noticed_at).max(noticed_at.since(at.after));
            noticed.jump.cause == Cause::Step && noticed.detail.is_none() && apart < Duration::from_secs(5)
        };
        let Some(step) = self.ring.newest_mut(near) else { return };
        if let Some(detail) = words::leap(&step.jump, &before, &told) {
            step.detail = Some(detail);
            self.before_leap = None;
            let step = step.clone();
            self.tell(News::Jump(step));
        }
    }

    fn slew_over(&mut self, jump: Jump) {
        self.slew_told = false;
        self.during_slew.clear();
        if let Some(noticed) = self.ring.newest_mut(|noticed| noticed.ongoing) {
            (noticed.jump, noticed.ongoing) = (jump, false);
            let noticed = noticed.clone();
            self.tell(News::Jump(noticed));
        } else {
            self.add(jump, Evidence::Oscillator, None);
        }
    }

    fn follow_slew(&mut self, clocks: &Sample) {
        let Some(slewing) = self.slews.ongoing(clocks) else {
            // One that came to nothing in the end.
            if let Some(noticed) = self.ring.newest_mut(|noticed| noticed.ongoing) {
                noticed.ongoing = false;
                self.slew_told = false;
            }
            self.during_slew.clear();
            return;
        };
        if !slewing.jump.amount.surely_beyond(SLEW_MIN) {
            return;
        }
        let detail = words::slew(&slewing, self.discipline.as_ref());
        let rate = slewing.rate_ppb.unsigned_abs();
        if let Some(noticed) = self.ring.newest_mut(|noticed| noticed.ongoing) {
            noticed.jump = slewing.jump;
            // The first window was only partly of it.
            if rate > self.slew_fastest_ppb {
                (noticed.detail, self.slew_fastest_ppb) = (Some(detail), rate);
            }
        } else {
            self.slew_fastest_ppb = rate;
            self.insert(slewing.jump, Evidence::Oscillator, Some(detail), true);
        }
        if !self.slew_told && slewing.jump.amount.surely_beyond(self.offset_max) {
            self.slew_told = true;
            if let Some(noticed) = self.ring.newest_mut(|noticed| noticed.ongoing) {
                let noticed = noticed.clone();
                self.tell(News::Jump(noticed));
            }
        }
    }

    /// A witness whose offset stays while the rate departs says that the rate was corrected, not the clock slewed.
    fn question_slew(&mut self, name: &str, after: &Measured) {
        let Some(slewing) = self.slews.ongoing(&after.clocks) else { return };
        let Some((_, then, first)) = self.during_slew.iter().find(|(known, ..)| known == name) else {
            if after.clocks.before >= slewing.jump.before.after {
                self.during_slew.push((name.to_owned(), after.interval, after.clocks));
            }
            return;
        };
        // Both were true when they were measured, so nothing ages.
        let moved = after.interval.against(then.shifted(after.clocks.stepped_since(first)));
        let slewed = self.slews.gained(first, &after.clocks);
        if disproves(moved, slewed) {
            self.slews.adopt();
            self.ring.remove_ongoing();
            self.slew_told = false;
            self.during_slew.clear();
        }
    }

    /// Keeps what is over, counts it and tells of it; gives its number.
    fn add(&mut self, jump: Jump, evidence: Evidence, detail: Option<String>) -> u64 {
        let noticed = self.insert(jump, evidence, detail, false);
        let number = noticed.number;
        self.tell(News::Jump(noticed));
        number
    }

    fn insert(&mut self, jump: Jump, evidence: Evidence, detail: Option<String>, ongoing: bool) -> Noticed {
        self.counts.add(jump.cause);
        let boot = self.boot.clone();
        self.ring.push(|number| Noticed { number, evidence, detail, ongoing, boot, jump }).clone()
    }

    fn tell(&mut self, news: News) {
        self.revision = self.revision.saturating_add(1);
        self.say(news);
    }

    fn say(&mut self, news: News) {
        if self.news.len() >= NEWS_MAX {
            self.news.remove(0);
        }
        self.news.push(news);
    }

    /// Whether anything has happened to the clock within so long, by the boot clock, or it is being slewed now.
    #[must_use]
    pub fn happened_within(&self, within: Duration, now: &Sample) -> bool {
        let newest = self.ring.iter().rev().find(|noticed| noticed.boot == self.boot);
        let lately = newest.is_some_and(|newest| now.boot.since(newest.jump.after.boot) < within);
        lately || self.slews.ongoing(now).is_some()
    }

    /// Grows with everything worth telling and keeping: another jump, a slew beyond the limit, one that is over.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Grows with everything after which every source should be asked at once.
    #[must_use]
    pub fn alarms(&self) -> u64 {
        self.alarms
    }

    /// What is new since this was last called.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// How often what happened since the agent started.
    #[must_use]
    pub fn counts(&self) -> JumpCounts {
        self.counts
    }

    /// All that is remembered, oldest first, and this start of the machine.
    #[must_use]
    pub fn kept(&self) -> (&Ring, &Arc<str>) {
        (&self.ring, &self.boot)
    }

    /// The newest jumps as a report carries them, as old as they are at `now`.
    #[must_use]
    pub fn reports(&self, now: &Sample) -> Vec<JumpReport> {
        let newest = self.ring.iter().skip(self.ring.iter().len().saturating_sub(JUMPS_MAX));
        newest.map(|noticed| words::report(noticed, now, &self.boot)).collect()
    }

    /// The slew that goes on, as a report carries it.
    #[must_use]
    pub fn slew(&self, now: &Sample) -> Option<SlewReport> {
        self.slews.ongoing(now).map(|slewing| words::slew_report(&slewing, now))
    }
}

fn word(measured: &Measured) -> Word<'_> {
    Word { interval: measured.interval, clocks: &measured.clocks }
}

/// What a source of that name knows by itself; the kernel only repeats what a daemon told it. A daemon that is not
/// named here would be taken for somebody outside, and its staying for a denial.
fn role(name: &str) -> Option<Role> {
    match name {
        "kernel" => None,
        "chrony" | "ntpd-rs" | "timesyncd" => Some(Role::Daemon),
        _ => Some(Role::Outside),
    }
}

#[cfg(test)]
mod tests;
