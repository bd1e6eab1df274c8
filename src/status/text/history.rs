//! What happened to a clock, for people: newest first.

use super::{clean, length, line, seconds, when};
use crate::api::NodeClockStatus;
use crate::api::node_clock::Incident;

/// The history of a record.
pub(super) fn history(out: &mut String, record: &NodeClockStatus) {
    if record.history.is_empty() {
        line(out, "\nHistory: nothing has happened.");
        return;
    }
    line(out, "\nHistory, newest first:");
    for incident in record.history.iter().rev() {
        line(out, &format!("  {}", told(incident)));
    }
    if let Some(until) = &record.dropped_until {
        line(
            out,
            &format!("  \u{2026} of what happened until {} some was dropped to keep the record small", when(until)),
        );
    }
}

fn told(incident: &Incident) -> String {
    let until = match &incident.until {
        Some(until) => format!(" to {}", when(until)),
        None if incident.is_open() => " and goes on".to_owned(),
        None => String::new(),
    };
    let figures = figures(incident);
    let amount = incident.offset_seconds.filter(|_| figures.is_empty()).map(|it| format!("{}; ", seconds(it)));
    let amount = amount.unwrap_or_default();
    let kind = clean(&incident.kind);
    format!("{}{until}  {kind}: {figures}{amount}{}", when(&incident.time), clean(&incident.message))
}

/// Of a drift: how bad it was.
fn figures(incident: &Incident) -> String {
    let (Some(peak), Some(area)) = (incident.peak_seconds, incident.area_seconds_squared) else {
        return String::new();
    };
    let measured = incident.measured_seconds.unwrap_or(0.0);
    let mean = if measured > 0.0 { format!(", {} on average", length(area / measured)) } else { String::new() };
    format!("{} at worst{mean}, {area:.1} s\u{b2} over {} with evidence; began with ", seconds(peak), length(measured))
}
