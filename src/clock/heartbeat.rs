//! What heartbeats say about the clock that wrote them.
//!
//! A beat carries the sender's wall clock, read just before it was sent, and is seen here later by some unknown
//! delay. So `renewed - arrival` never exceeds the true offset: a hard lower edge, the better the quicker the beat
//! came. Nothing in a one-way message bounds the delay from above, so the upper edge is an assumption about it:
//!
//! ```text
//! delay = steady (what every beat takes) + varying (queues, retries, a busy CPU) + API server to us
//!         assumed: Delivery::steady        shows: samples differ by it             at most our own round trip
//! ```
//!
//! The best of several samples was hardly held up, and how far the second best is from it says how hardly. With
//! exponential delays of mean 20 ms (a very busy API server) the edge is wrong for one pair of samples in 350 and one
//! triple in 3,000; with 10 ms, for one pair in 40,000.
//!
//! *Ahead* thus follows from one beat, *behind* never does: a single late one looks the same. It takes two that
//! agree, and a beat far below what was known (late, or the clock was set back) only widens the interval until the
//! next one decides. Beats that were held up together and released together differ by when they were sent, so they
//! do not agree.
//!
//! Does not know: leases, watches, the current time; what all holders have in common ([`super::consensus`] does).
//! Source: kubelet heartbeats are leases renewed every 10 s (KEP-589); the kubelet reads its clock just before the
//! request (client-go's nodelease controller).

use super::interval::OffsetInterval;
use super::steps::Sample;
use super::time::{Delta, Wall};
use std::time::Duration;

/// One heartbeat, as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// The sender's wall clock, before sending.
    pub renewed: Wall,
    /// Our clocks after it had arrived. Read late only makes the lower edge lower.
    pub clocks: Sample,
}

/// What is taken for granted about the way of a heartbeat to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// No beat that counts takes longer than this from its sender to the API server's answer to us.
    pub delay_max: Duration,
    /// The part of it that every beat of a sender takes, and that therefore no comparison shows, is at most this.
    pub steady: Duration,
    /// The smallest round trip of our own requests to the API server: from there to us a beat takes no longer.
    pub round_trip: Duration,
}

/// Greatest delay of a beat that counts, unless told otherwise. Measured on loopback: 2 ms at best, 12 ms at worst.
pub const DELAY_MAX: Duration = Duration::from_millis(250);
/// Greatest delay that all beats of a sender share, unless told otherwise: a request across a region and a commit.
pub const STEADY: Duration = Duration::from_millis(50);

/// Beats older than this, counted from the newest, are forgotten: the clock may have been slewed since.
const WINDOW: Duration = Duration::from_secs(75);
/// So many are kept; control-plane leases are renewed every 2 s.
const BEATS_MAX: usize = 16;

/// What the heartbeats of one sender allow to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The sender's clock against ours; positive: it is ahead.
    pub interval: OffsetInterval,
    /// At least two samples agree. If not, the interval reaches from what one beat proves up to where the clock
    /// would be right: it can prove ahead, never behind.
    pub settled: bool,
    /// How many samples it rests on.
    pub samples: usize,
    /// How long ago the last beat came.
    pub age: Duration,
}

/// The recent heartbeats of one sender.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    /// In the order of their arrival; none is further than `delay_max` below the best of its time.
    beats: Vec<Heard>,
    /// The last beat, if it came far below the best: late, or from a clock that was set back.
    doubt: Option<Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    /// The offset was at least this when it arrived.
    low: Delta,
    clocks: Sample,
}

impl Heard {
    /// The edge as it stands now: older, and against our clock wherever that was moved to since.
    fn at(&self, now: &Sample) -> OffsetInterval {
        let still = OffsetInterval::new(Delta::ZERO, Duration::ZERO);
        let moved = now.carry(still, &self.clocks);
        OffsetInterval::between(self.low, self.low).against(moved).aged(self.age(now))
    }

    /// By the boot clock: what was known before a sleep is older by the sleep.
    fn age(&self, now: &Sample) -> Duration {
        now.boot.since(self.clocks.boot)
    }
}

/// Two samples that differ by no more than this are late alike: by the steady part, whatever that is, and chance.
fn agreement(delivery: &Delivery) -> Duration {
    delivery.steady.saturating_mul(2)
}

impl Heartbeat {
    /// Nothing heard yet.
    #[must_use]
    pub fn new() -> Heartbeat {
        Heartbeat::default()
    }

    /// Takes in one live beat. Beats that may have been lying somewhere are not for this: see the caller's rules.
    pub fn hear(&mut self, beat: Beat, delivery: &Delivery) {
        let now = &beat.clocks;
        let heard = Heard { low: beat.renewed.minus(now.wall), clocks: beat.clocks };
        let Some((_, best)) = self.look(now, delivery) else {
            self.beats.push(heard);
            return;
        };
        if heard.low >= best.low().minus(Delta::from(delivery.delay_max)) {
            // Also if it is far above: then it is the best one from now on, and no other is compared with it.
            self.beats.push(heard);
            self.doubt = None;
        } else {
            self.beats.retain(|it| it.age(now) <= WINDOW);
            match self.doubt.take() {
                Some(doubt) if doubt.at(now).low().minus(heard.low).magnitude() <= agreement(delivery) => {
                    self.beats = vec![doubt, heard];
                }
                // What was known has been forgotten meanwhile; this is all there is.
                _ if self.beats.is_empty() => self.beats.push(heard),
                _ => self.doubt = Some(heard),
            }
        }
        self.beats.retain(|it| it.age(now) <= WINDOW);
        let surplus = self.beats.len().saturating_sub(BEATS_MAX);
        self.beats.drain(..surplus);
    }

    /// What can be said now; `None` before the first beat. Never stale by itself: look at [`Estimate::age`].
    #[must_use]
    pub fn estimate(&self, now: &Sample, delivery: &Delivery) -> Option<Estimate> {
        self.look(now, delivery).map(|(estimate, _)| estimate)
    }

    /// The estimate and the best sample.
    fn look(&self, now: &Sample, delivery: &Delivery) -> Option<(Estimate, OffsetInterval)> {
        let last = self.doubt.as_ref().or(self.beats.last())?;
        let mut edges: Vec<OffsetInterval> = self.beats.iter().map(|it| it.at(now)).collect();
        edges.sort_unstable_by_key(|it| std::cmp::Reverse(it.low()));
        let best = *edges.first()?;
        let apart = edges.get(1).map(|second| best.low().minus(second.low()).magnitude());
        let settled = apart.is_some_and(|apart| apart <= agreement(delivery));
        let delay = match apart {
            Some(apart) if settled => delivery.steady.saturating_add(apart).min(delivery.delay_max),
            _ => delivery.delay_max,
        };
        let delay = delay.saturating_add(delivery.round_trip);
        let mut high = best.high().plus(Delta::from(delay));
        if !settled {
            high = high.max(Delta::ZERO);
        }
        // A last beat that is clearly lower: held up, or the clock was set back. Cover both.
        let last_low = last.at(now).low();
        let is_held_up = last_low < best.low().minus(Delta::from(delivery.steady));
        let low = if is_held_up { last_low } else { best.low() };
        let interval = OffsetInterval::between(low, high);
        Some((Estimate { interval, settled, samples: self.beats.len(), age: last.age(now) }, best))
    }
}

#[cfg(test)]
mod tests;
