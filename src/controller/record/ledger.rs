//! What a controller keeps in memory for one node's record: the drift that goes on, and how often was written.
//!
//! The sums of a drift must come out right whichever controller was at it, and however often they were killed. What is
//! stored is where to go on from, and it is joined by the maximum ([`Drift::raise`]): a controller that reads what it
//! has written itself adds nothing, a replica that stood by and summed on its own adds nothing, and one that has just
//! started takes over what is there and adds what it sees. What was seen after the last write and lost with a controller
//! is at most a fifth of the whole ([`super::GROWTH`]) or a minute's.
//!
//! A period is known by the time at which it was written to have begun.

use super::Summary;
use super::pace::{Change, Pace};
use crate::api::NodeClockStatus;
use crate::api::node_clock::Incident;
use crate::clock::{Delta, Drift, Look, Mono, Sums};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// In memory, for one node. Starts empty; losing it costs accuracy and a few writes.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    drift: Drift,
    /// The stored period that the drift is.
    period: Option<MicroTime>,
    pace: Pace,
}

impl Ledger {
    /// What the drift has come to; the last one, if none goes on.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.drift.sums()
    }

    pub(super) fn allows(&self, change: Change, now: Mono) -> Mono {
        self.pace.allows(change, now)
    }

    /// Takes in what is stored and what holds now.
    pub(super) fn learn(&mut self, stored: Option<&NodeClockStatus>, summary: &Summary<'_>, now: Mono) {
        self.pace.learn(stored.and_then(|status| status.written.as_ref()), now);
        let history = stored.map_or(&[][..], |status| &status.history);
        let look = summary.look();
        let open = history.iter().rev().find(|it| it.kind == Incident::DRIFTING && it.is_open());
        let was_on = self.drift.is_on();
        match open {
            // Its end was written, by us or by another; or nothing was seen of one yet.
            None if self.period.take().is_some() || !was_on => {
                if matches!(look, Look::Beyond(_)) {
                    self.drift = Drift::default();
                }
            }
            // It has begun before our eyes and is not written yet.
            None => {}
            Some(open) => {
                let is_ours = self.period.as_ref().map_or(was_on, |period| *period == open.time);
                if !is_ours {
                    self.drift.reset(sums(open));
                }
                self.period = Some(open.time.clone());
            }
        }
        self.drift.observe(look, summary.tolerance.stale_after, now);
        // After the look: what was written covers a time that we have summed up ourselves by now.
        if let Some(open) = open {
            self.drift.raise(sums(open));
        }
    }
}

/// What is written of a period.
fn sums(open: &Incident) -> Sums {
    let measured = open.measured_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Sums {
        peak: open.peak_seconds.and_then(Delta::from_seconds).unwrap_or_default(),
        area: open.area_seconds_squared.filter(|area| area.is_finite()).unwrap_or_default(),
        measured: measured.unwrap_or_default(),
    }
}
