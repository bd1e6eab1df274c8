//! Prometheus' own clock against ours, and all that it has been.
//!
//! `time()` is one side of an exchange. The exchanges of the last minutes are kept, because a node was compared with
//! Prometheus when it was scraped and not now: whatever Prometheus' clock was between then and now belongs into the
//! bound. If it was set, what was scraped before cannot be compared at all.
//!
//! Does not know: nodes, series.

use super::PrometheusError;
use crate::clock::{Exchange, Mono, OffsetInterval, Sample};
use crate::controller::sources::NodeReading;
use crate::controller::sources::figures::moment;
use std::collections::VecDeque;
use std::time::Duration;

/// `time()` has whole milliseconds.
const TIME_RESOLUTION: Duration = Duration::from_millis(1);
/// A movement of Prometheus' clock by less than this widens what is said about nodes; by more, it was set.
const SET_MIN: Duration = Duration::from_secs(1);
/// Exchanges that are remembered: Prometheus looks back for five minutes, and no question is asked more often than
/// every half second.
const EXCHANGES_MAX: usize = 600;
/// Prometheus' clock, by exchange.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    /// Our clocks then.
    pub clocks: Sample,
    /// Its clock against ours; positive: it is ahead.
    pub against_us: OffsetInterval,
    /// What it showed, seconds since the Unix epoch.
    pub time_s: f64,
}

/// Prometheus' clock against ours, from its answer to `time()`.
///
/// # Errors
/// If that is no moment.
pub fn server(time_s: f64, sent: Mono, clocks: Sample) -> Result<Server, PrometheusError> {
    let (left, resolution) = moment(time_s).ok_or(PrometheusError::NoMoment(time_s))?;
    let exchange = Exchange { sent, received: clocks.after, received_wall: clocks.wall, left, held: Duration::ZERO };
    let measured = exchange.offset().map_err(PrometheusError::Exchange)?;
    Ok(Server { clocks, against_us: measured.widened(resolution).widened(TIME_RESOLUTION), time_s })
}

impl Server {
    /// Its clock against ours as that is now: set by whatever it was set since, and older.
    fn carried(&self, now: &Sample) -> OffsetInterval {
        let then = NodeReading { against_us: Some(self.against_us), ..NodeReading::at(self.clocks) };
        then.against_us_now(now).unwrap_or(self.against_us)
    }
}

/// The exchanges of the last minutes.
#[derive(Debug, Default)]
pub struct History {
    /// The newest last.
    exchanges: VecDeque<Server>,
    valid_from: Option<ValidFrom>,
}

/// Prometheus' clock was set.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidFrom {
    /// Samples from before this moment of it were taken before; seconds since the Unix epoch.
    pub time_s: f64,
    /// What happened, for people.
    pub words: String,
}

impl History {
    /// Takes an exchange in, and notices whether Prometheus' clock was set since the one before.
    pub fn note(&mut self, server: Server) {
        if let Some(expected) = self.exchanges.back().map(|last| last.carried(&server.clocks)) {
            let moved = server.against_us.against(expected);
            if moved.surely_beyond(SET_MIN) {
                // After a step back, samples from the future of before will come to be in the past.
                let unmoved_s = server.time_s - moved.midpoint().seconds();
                let words = format!("Prometheus' own clock was set by {}", moved.midpoint());
                tracing::warn!("{words}; what it has scraped before is not used");
                self.valid_from = Some(ValidFrom { time_s: server.time_s.max(unmoved_s), words });
                self.exchanges.clear();
            }
        }
        self.exchanges.push_back(server);
        if self.exchanges.len() > EXCHANGES_MAX {
            self.exchanges.pop_front();
        }
    }

    /// What it has been until now.
    #[must_use]
    pub fn hulls(&self, now: &Sample) -> Hulls {
        let mut whole: Option<OffsetInterval> = None;
        let mut all = Vec::with_capacity(self.exchanges.len());
        for server in self.exchanges.iter().rev() {
            let one = server.carried(now);
            let hull = whole
                .map_or(one, |known| OffsetInterval::between(known.low().min(one.low()), known.high().max(one.high())));
            whole = Some(hull);
            all.push((server.time_s, hull));
        }
        Hulls(all)
    }

    /// What holds of samples since Prometheus' clock was set, if it was.
    #[must_use]
    pub fn valid_from(&self) -> Option<&ValidFrom> {
        self.valid_from.as_ref()
    }
}

/// All that Prometheus' clock has been against ours until now, since each exchange; the newest exchange first.
#[derive(Debug)]
pub struct Hulls(Vec<(f64, OffsetInterval)>);

impl Hulls {
    /// Since a moment of Prometheus' clock: from an exchange that was surely before it, or from the first that we have.
    #[must_use]
    pub fn since(&self, taken_s: f64) -> Option<OffsetInterval> {
        let before = self.0.iter().find(|(time_s, _)| *time_s + SET_MIN.as_secs_f64() <= taken_s);
        before.or(self.0.last()).map(|(_, hull)| *hull)
    }
}
