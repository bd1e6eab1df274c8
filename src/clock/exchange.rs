//! What one question and its answer tell about another machine's clock.
//!
//! The classical four timestamps (RFC 5905, section 8), with one twist: the answer may have been held back on
//! purpose, and the remote clock may have been stepped while it was. The remote wall clock is therefore read only
//! where the answer leaves; when the question arrived is needed for nothing but to notice such a step. The time of
//! holding is measured by the remote *monotonic* clock and taken off the round trip:
//!
//! ```text
//! here   sent ─────────┐                       ┌──────────▶ received (Mono, Wall)
//!                      ▼                       │
//! there            arrived ─── held (Mono) ─── left (Wall)
//! ```
//!
//! The answer travelled for some `x` between 0 and `delay = (received - sent) - held`; here it was
//! `received_wall - x` when it left. So the offset lies in `left - received_wall + [0, delay]`: the midpoint is wrong
//! by at most half the delay, however lopsided the way. A remote monotonic clock that stood still (a paused guest)
//! makes `held` smaller and the interval wider, which is the safe way to be wrong. One that runs fast makes `held`
//! greater and would take away from the delay what was really travelling: 10 s held by a clock that is 30 ppm fast
//! are 0.3 ms, more than a round trip within a data centre. So the delay is allowed for what both clocks may drift in
//! the time of holding ([`DRIFT_PPM`] each). It does not allow for a clock that is being slewed by more than that.

use super::interval::{DRIFT_PPM, OffsetInterval};
use super::time::{Delta, Mono, Wall};
use std::time::Duration;

/// One question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Here, just before the question was sent.
    pub sent: Mono,
    /// Here, just after the answer had arrived. Read after the answer's last byte: late only widens.
    pub received: Mono,
    /// Here, the wall clock, read before [`Exchange::received`]: the gap widens instead of biasing.
    pub received_wall: Wall,
    /// There, when the answer left.
    pub left: Wall,
    /// There, how long the answer was held back, by a monotonic clock.
    pub held: Duration,
}

/// Why an exchange is no measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The remote side says that it held the answer for longer than the whole exchange took.
    #[error("the answer claims to have been held for {held:?}, but the whole exchange took {took:?}")]
    HeldTooLong {
        /// As the other side claims.
        held: Duration,
        /// As measured here.
        took: Duration,
    },
}

impl Exchange {
    /// Offset of the remote clock against the one here; positive: it is ahead.
    ///
    /// # Errors
    /// If the claimed time of holding cannot be true.
    pub fn offset(&self) -> Result<OffsetInterval, ExchangeError> {
        let took = self.received.since(self.sent);
        let too_long = ExchangeError::HeldTooLong { held: self.held, took };
        let delay = took.saturating_add(drift_of_both(self.held)).checked_sub(self.held).ok_or(too_long)?;
        let nearest = self.left.minus(self.received_wall);
        Ok(OffsetInterval::between(nearest, nearest.plus(Delta::from(delay))))
    }
}

/// By how much two ordinary clocks may come to differ in that time.
fn drift_of_both(elapsed: Duration) -> Duration {
    let drift_ns = elapsed.as_nanos().saturating_mul(2 * u128::from(DRIFT_PPM)) / 1_000_000;
    Duration::from_nanos(u64::try_from(drift_ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WALL: i64 = 1_800_000_000_000_000_000;

    /// Plays an exchange with a remote clock `offset` ahead, and returns what was measured.
    fn play(offset: i64, there: u64, held: u64, back: u64) -> OffsetInterval {
        play_drifting(offset, there, held, back, 0)
    }

    /// The remote monotonic clock is fast by so many parts per million.
    fn play_drifting(offset: i64, there: u64, held: u64, back: u64, fast_ppm: i64) -> OffsetInterval {
        let took = there + held + back;
        let counted = held.saturating_add_signed(held as i64 / 1_000_000 * fast_ppm);
        let exchange = Exchange {
            sent: Mono::from_nanos(1_000),
            received: Mono::from_nanos(1_000 + took),
            received_wall: Wall::from_unix_nanos(WALL + took as i64),
            left: Wall::from_unix_nanos(WALL + (there + held) as i64 + offset),
            held: Duration::from_nanos(counted),
        };
        exchange.offset().unwrap()
    }

    proptest! {
        #[test]
        fn the_truth_lies_inside_however_lopsided_the_way_and_long_the_hold(
            offset in -(1i64 << 50)..1 << 50, there in 0u64..1 << 34, held in 0u64..1 << 40, back in 0u64..1 << 34,
        ) {
            let measured = play(offset, there, held, back);
            prop_assert!(measured.contains(Delta::from_nanos(offset)));
            prop_assert!(measured.bound() <= Duration::from_nanos((there + back).div_ceil(2) + held / 20_000 + 1));
        }

        #[test]
        fn a_remote_clock_that_drifts_while_it_holds_the_answer_does_not_hide_the_way_back(
            there in 0u64..1 << 24, held in 0u64..1 << 36, back in 0u64..1 << 24, fast_ppm in -100i64..=100,
        ) {
            prop_assert!(play_drifting(0, there, held, back, fast_ppm).contains(Delta::ZERO));
        }
    }

    #[test]
    fn ten_seconds_of_holding_cost_half_a_millisecond() {
        assert_eq!(play(15_000_000_000, 200_000, 10_000_000_000, 300_000).bound(), Duration::from_micros(750));
        assert_eq!(play(15_000_000_000, 200_000, 0, 300_000).bound(), Duration::from_micros(250));
    }

    #[test]
    fn a_hold_longer_than_the_exchange_is_refused() {
        let lie = Exchange {
            sent: Mono::from_nanos(0),
            received: Mono::from_nanos(10),
            received_wall: Wall::from_unix_nanos(WALL),
            left: Wall::from_unix_nanos(WALL),
            held: Duration::from_nanos(11),
        };
        assert!(matches!(lie.offset(), Err(ExchangeError::HeldTooLong { .. })));
    }
}
