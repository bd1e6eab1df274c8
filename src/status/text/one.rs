//! Everything about one node.

use super::history::history;
use super::{Look, clean, controller, line, standing, when};
use crate::status::view::{Controller, Detail, Row, Standing};

/// Everything about one node, with its last line ended.
#[must_use]
pub fn node(row: &Row, detail: &Detail, leader: &Controller, look: Look) -> String {
    let mut out = String::new();
    let record = row.record.as_ref();
    let since = record.and_then(|it| it.since.as_ref()).filter(|_| row.standing != Standing::Unwatched);
    let since = since.map_or_else(String::new, |since| format!(" since {}", when(since)));
    let state = standing(look, row.standing);
    line(&mut out, &format!("{}: {}{since}", clean(&row.node), state.trim_end()));
    match (row.standing, record) {
        (Standing::Unmeasured, _) => line(&mut out, "  the controller has written nothing about it yet"),
        (Standing::Unwatched, Some(_)) => line(&mut out, "  no policy selects it; what follows is from when one did"),
        (Standing::Unwatched, None) => line(&mut out, "  no policy selects it, and none ever did"),
        _ => {}
    }
    if let Some(record) = record {
        line(&mut out, &format!("  {} ({})", clean(&record.message), clean(&record.reason)));
        let written = record.written.as_ref().map_or_else(|| "an unknown time".to_owned(), when);
        line(&mut out, &format!("  written at {written}, by the controller's clock"));
    }
    decisions(&mut out, row);
    on_the_node(&mut out, detail);
    if let Some(record) = record {
        history(&mut out, record);
    }
    out.push('\n');
    controller(&mut out, leader, look);
    out
}

fn decisions(out: &mut String, row: &Row) {
    let decisions = row.record.as_ref().map_or(&[][..], |record| &record.decisions);
    if decisions.is_empty() {
        return;
    }
    line(out, "\nDecisions:");
    for it in decisions {
        let is_gone = !row.policies.contains(&it.policy);
        let gone = if is_gone { " (does not select it any more)" } else { "" };
        // Until its words are known, the message is the word itself.
        let words = if it.message.is_empty() || it.message == it.decision {
            String::new()
        } else {
            format!(": {}", clean(&it.message))
        };
        line(out, &format!("  {}{gone}  {}{words}", clean(&it.policy), clean(&it.decision)));
    }
}

fn on_the_node(out: &mut String, detail: &Detail) {
    line(out, "\nOn the node:");
    let mut nothing = true;
    let mut tell = |text: String| {
        nothing = false;
        line(out, &format!("  {text}"));
    };
    for (mark, policies, is_there) in &detail.marks {
        let missing = if *is_there { "" } else { ", but somebody has removed it" };
        tell(clean(&format!("{mark} by TimeSyncPolicy {}{missing}", policies.join(", "))));
    }
    if let Some(why) = &detail.unreadable {
        tell(clean(why));
    }
    if detail.has_foreign_cordon {
        tell("cordoned, and not by Clockwarden: it stays so".to_owned());
    }
    if let Some(condition) = &detail.condition {
        let reason = condition.reason.as_deref().unwrap_or("no reason");
        let since = condition.last_transition_time.as_ref().map_or_else(String::new, |t| format!(" since {:.0}", t.0));
        tell(clean(&format!("condition {}={} ({reason}){since}", condition.type_, condition.status)));
    }
    for (key, value) in &detail.annotations {
        tell(clean(&format!("annotation {key}: {value}")));
    }
    if nothing {
        line(out, "  nothing of Clockwarden");
    }
}
