//! What is written down about a node: its NodeClock, its condition, and the incidents that become Events.
//!
//! Level-triggered: the record that is due is computed from what is stored and what holds now. A step that is in the
//! history already, a state that is stored already, a mark whose last incident is there already, give nothing; so a
//! controller that was killed at any point catches up without doubling, and a healthy fleet costs no writes. Offsets
//! wobble all the time and are written along with changes only, never as a change of their own.
//!
//! A drift is one incident from the first evidence that the clock is beyond tolerance to the first evidence that it is
//! inside again, however often the evidence is lost in between. Its peak and area are told at the end, and in between
//! whenever they have grown by a quarter ([`GROWTH`]), so that a day of drift costs some thirty writes. What is stored
//! is where another controller goes on from ([`Ledger`]).
//!
//! Does not know: how it is written, other nodes.

mod condition;
mod jumps;
mod ledger;
mod marking;
mod pace;
mod room;
mod summary;

pub use condition::condition;
pub use ledger::Ledger;
pub use pace::{BURST, REST};
pub use summary::{Summary, summary};

use crate::agent::report::JumpReport;
use crate::api::node_clock::{Incident, NodeClockStatus};
use crate::clock::{Look, Mono, Sample, State, Sums};
use crate::runtime::timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use pace::Change;
use room::{TEXT_BYTES, clip};

/// A drift is told anew when its peak or its area has grown by this factor since it was told last.
pub const GROWTH: f64 = 1.25;
/// No offset is further from zero than this, in seconds: what 64 bits of nanoseconds hold, 292 years.
const SECONDS_MAX: f64 = 9.3e9;

/// What is to be written into a NodeClock.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// What is stored still holds.
    Nothing,
    /// Something changed, but this node was written too often lately: look again then, at the latest.
    Later(Mono),
    /// This, and these incidents are news for Events.
    Now(Box<NodeClockStatus>, Vec<Incident>),
}

/// A node's record, put together as far as is needed to tell whether it is to be written.
#[derive(Debug)]
pub struct Draft<'a> {
    before: NodeClockStatus,
    summary: &'a Summary<'a>,
    time: MicroTime,
    now: Mono,
    history: Vec<Incident>,
    news: Vec<Incident>,
    /// Something happened, or is over.
    is_real: bool,
    /// What goes on has grown.
    has_grown: bool,
}

impl<'a> Draft<'a> {
    /// What the NodeClock that is stored, and what holds now, come to.
    ///
    /// To be called whenever the node's summary, its jumps, its marks or its NodeClock changed: each call is also a look at
    /// the drift that is summed up in `ledger`, of which the caller keeps one for each node, from its first sight to its
    /// deletion. Calling it more often, or without writing what comes of it, changes nothing but the accuracy of the sums.
    #[must_use]
    pub fn of(
        stored: Option<&NodeClockStatus>,
        summary: &'a Summary<'a>,
        jumps: &[JumpReport],
        node: &Node,
        ledger: &mut Ledger,
        clocks: &Sample,
    ) -> Draft<'a> {
        ledger.learn(stored, summary, clocks.after);
        let mut draft = Draft::new(stored, summary, clocks);
        draft.jumps(jumps, clocks);
        draft.periods(&ledger.sums());
        draft.marks(node);
        draft
    }

    fn new(stored: Option<&NodeClockStatus>, summary: &'a Summary<'a>, clocks: &Sample) -> Draft<'a> {
        let mut before = stored.cloned().unwrap_or_default();
        let history = std::mem::take(&mut before.history);
        let time = MicroTime(timestamp(clocks.wall));
        Draft { before, summary, time, now: clocks.after, history, news: vec![], is_real: false, has_grown: false }
    }

    fn offset(&self) -> Option<f64> {
        self.summary.offset.map(|it| round(it.seconds().offset))
    }

    /// An incident that is both kept and told.
    fn add(&mut self, incident: Incident) {
        self.news.push(incident.clone());
        self.history.push(incident);
        self.is_real = true;
    }

    fn jumps(&mut self, jumps: &[JumpReport], clocks: &Sample) {
        for jump in jumps {
            let incident = jumps::incident(jump, self.summary.tolerance.offset_max, &self.history, clocks.wall);
            if let Some(incident) = incident.filter(|it| !forgotten(self.before.dropped_until.as_ref(), &it.time)) {
                self.add(incident);
            }
        }
    }

    /// The periods of drift and of ignorance: begun, grown, over.
    fn periods(&mut self, sums: &Sums) {
        let (state, look) = (self.summary.standing.state(), self.summary.look());
        let message = clip(&self.summary.message(), TEXT_BYTES);
        let incident = |draft: &Draft<'_>, kind: &str| Incident {
            offset_seconds: draft.offset(),
            message: message.clone(),
            ..bare(kind, draft.time.clone())
        };
        let open = |history: &[Incident], kind: &str| history.iter().rposition(|it| it.kind == kind && it.is_open());
        let is_unknown = matches!(state, State::Unknown(_));
        let unknown = open(&self.history, Incident::UNKNOWN);
        if let Some(over) = unknown.filter(|_| !is_unknown).and_then(|index| self.history.get_mut(index)) {
            over.until = Some(self.time.clone());
            self.is_real = true;
        }
        if is_unknown && unknown.is_none() {
            self.add(incident(self, Incident::UNKNOWN));
        }
        let drift = open(&self.history, Incident::DRIFTING);
        if matches!(state, State::Drifting) && drift.is_none() {
            let begun = incident(self, Incident::DRIFTING);
            self.add(Incident { measured_seconds: Some(0.0), ..begun });
        } else if matches!(state, State::Drifting) && self.before.state != state.as_str() {
            // Seen again: told again, and the same period in the history.
            self.news.push(incident(self, Incident::DRIFTING));
        }
        if let Some(period) = open(&self.history, Incident::DRIFTING).and_then(|index| self.history.get_mut(index)) {
            self.has_grown = has_grown(period, sums);
            period.peak_seconds = Some(round(sums.peak.seconds()));
            period.area_seconds_squared = Some(round_area(sums.area));
            period.measured_seconds = Some(round(sums.measured.as_secs_f64()));
            if matches!(look, Look::Within(_)) {
                period.until = Some(self.time.clone());
                self.is_real = true;
            }
        }
        // The first look at a healthy clock is no recovery.
        let was_bad = !self.before.state.is_empty() && self.before.state != State::Synchronized.as_str();
        if state == State::Synchronized && was_bad {
            self.news.push(incident(self, "Recovered"));
        }
    }

    fn marks(&mut self, node: &Node) {
        let time = self.time.clone();
        let incident = |kind: &str, message: String| Incident { message, ..bare(kind, time.clone()) };
        for marked in marking::marking(&self.history, node, incident) {
            self.add(marked);
        }
    }

    /// When this is to be written: now or earlier, or later because the node was written too often lately; `None`: what
    /// is stored still holds.
    #[must_use]
    pub fn when(&self, ledger: &Ledger) -> Option<Mono> {
        let (before, summary) = (&self.before, self.summary);
        let change = if self.is_real
            || before.state != summary.standing.state().as_str()
            || before.reason != summary.reason()
            || !self.decides_alike()
        {
            Change::Real
        } else if self.has_grown || self.has_halved() {
            Change::Figures
        } else {
            return None;
        };
        Some(ledger.allows(change, self.now))
    }

    /// Whether what is stored tells the same decisions.
    fn decides_alike(&self) -> bool {
        let (before, decisions) = (&self.before.decisions, room::decisions(&self.summary.decisions));
        before.len() == decisions.len() && before.iter().zip(&decisions).all(|(one, other)| one.is_alike(other))
    }

    /// Whether a drifting clock is less than half as far off as was told.
    fn has_halved(&self) -> bool {
        let is_drifting = self.summary.standing.state() == State::Drifting;
        let now = self.summary.offset.map(|it| it.seconds().offset);
        is_drifting && self.before.offset_seconds.zip(now).is_some_and(|(told, now)| now.abs() * 2.0 < told.abs())
    }

    /// What is to be written.
    #[must_use]
    pub fn due(self, ledger: &Ledger) -> Due {
        match self.when(ledger) {
            None => Due::Nothing,
            Some(at) if at > self.now => Due::Later(at),
            Some(_) => self.finish(),
        }
    }

    fn finish(self) -> Due {
        let (summary, state) = (self.summary, self.summary.standing.state());
        let seconds = summary.offset.map(|it| it.seconds());
        let same_state = self.before.state == state.as_str();
        let mut status = NodeClockStatus {
            state: state.as_str().to_owned(),
            reason: summary.reason().to_owned(),
            message: clip(&summary.message(), TEXT_BYTES),
            offset: summary.offset.map(|it| it.to_string()),
            offset_seconds: seconds.map(|s| round(s.offset)),
            error_bound_seconds: seconds.map(|s| round(s.bound)),
            reference: summary.offset.map(|_| clip(summary.against, TEXT_BYTES)),
            since: if same_state { self.before.since } else { Some(self.time.clone()) },
            written: Some(self.time),
            decisions: room::decisions(&summary.decisions),
            history: vec![],
            dropped_until: None,
        };
        let (kept, dropped_until) = room::history(self.history.clone(), self.before.dropped_until, &status);
        // What did not even find room is no news, or it would be so for ever.
        let is_dropped = |news: &Incident| self.history.contains(news) && !kept.contains(news);
        let news = self.news.into_iter().filter(|it| !is_dropped(it)).collect();
        status.history = kept;
        status.dropped_until = dropped_until;
        Due::Now(Box::new(status), news)
    }
}

/// Whether a drift is worth telling anew.
fn has_grown(told: &Incident, sums: &Sums) -> bool {
    let grown = |told: Option<f64>, now: f64| now > told.unwrap_or(0.0).abs() * GROWTH;
    let peak = round(sums.peak.magnitude().as_secs_f64());
    grown(told.peak_seconds, peak) || grown(told.area_seconds_squared, round_area(sums.area))
}

/// Whether an incident of this time would have been dropped from a full history. Agents go on reporting their newest
/// jumps; one that has made room for something newer must not come back and cost a write each time.
fn forgotten(dropped_until: Option<&MicroTime>, time: &MicroTime) -> bool {
    dropped_until.is_some_and(|until| time.0.duration_since(until.0) <= jiff::SignedDuration::from_secs(1))
}

/// An incident that says nothing yet.
fn bare(kind: &str, time: MicroTime) -> Incident {
    Incident {
        time,
        until: None,
        kind: kind.to_owned(),
        offset_seconds: None,
        peak_seconds: None,
        area_seconds_squared: None,
        measured_seconds: None,
        message: String::new(),
    }
}

/// An offset or an amount in seconds: microseconds are as much as a report can tell, and centuries as much as a clock can
/// be off, whatever is claimed.
fn round(seconds: f64) -> f64 {
    (seconds.clamp(-SECONDS_MAX, SECONDS_MAX) * 1e6).round() / 1e6
}

/// An area, which may be larger; what is beyond a day at an hour's error needs no millionths.
fn round_area(area: f64) -> f64 {
    if area < 1e9 { (area * 1e6).round() / 1e6 } else { area.round() }
}

/// Reason of the Event that an incident becomes, and whether it is a warning.
#[must_use]
pub fn event(kind: &str) -> (&'static str, bool) {
    match kind {
        "Stepped" => ("ClockStepped", true),
        "Suspended" => ("ClockSuspended", false),
        "Slewing" => ("ClockSlewing", true),
        "Slewed" => ("ClockSlewed", false),
        "Paused" => ("ClockPaused", true),
        "Moved" => ("ClockMoved", true),
        "Drifting" => ("ClockDrifting", true),
        "Recovered" => ("ClockRecovered", false),
        "Tainted" => ("NodeTainted", true),
        "Untainted" => ("NodeUntainted", false),
        "Cordoned" => ("NodeCordoned", true),
        "Uncordoned" => ("NodeUncordoned", false),
        _ => ("ClockUnknown", true),
    }
}

#[cfg(test)]
mod tests;
