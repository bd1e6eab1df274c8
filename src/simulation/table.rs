//! The table for people: scenario by scenario, what was found, by whom, how late, and what was cried for nothing.

use super::alerts::ALERTS;
use super::scenario::Scenario;
use super::score::{Count, Score};
use std::fmt::Write as _;

/// The tables and the list of scenarios, in Markdown.
#[must_use]
pub fn markdown(runs: &[(Scenario, Score)]) -> String {
    let mut out = String::new();
    found(&mut out, runs);
    out.push('\n');
    states(&mut out, runs);
    out.push('\n');
    for (scenario, _) in runs {
        line(&mut out, format_args!("- **{}**: {} *{}*", scenario.name, scenario.story, scenario.right));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn found(out: &mut String, runs: &[(Scenario, Score)]) {
    let names: Vec<String> = ALERTS.iter().map(|alert| format!("{}, {} s", alert.name, alert.for_s)).collect();
    line(out, format_args!("| scenario | clockwarden | {} |", names.join(" | ")));
    line(out, format_args!("|---|---|{}", "---|".repeat(ALERTS.len())));
    for (scenario, score) in runs {
        let cells: Vec<String> = score.alerts.iter().map(cell).collect();
        line(out, format_args!("| {} | {} | {} |", scenario.name, cell(&score.ours), cells.join(" | ")));
    }
}

/// `1/1 in 12 s`, `5/5 in 3 to 9 s`, `0/1`; `no alarm`, and how many false ones.
fn cell(count: &Count) -> String {
    let mut text = match (count.of, count.delays_s.first(), count.delays_s.last()) {
        (0, _, _) if count.false_alarms == 0 => return "·".to_owned(),
        (0, _, _) => String::new(),
        (of, Some(first), Some(last)) if first == last => format!("{}/{of} in {last} s", count.found),
        (of, Some(first), Some(last)) => format!("{}/{of} in {first} to {last} s", count.found),
        (of, _, _) => format!("0/{of}"),
    };
    if count.false_alarms > 0 {
        let separator = if text.is_empty() { "" } else { ", " };
        text = format!("{text}{separator}**{} false**", count.false_alarms);
    }
    text
}

fn states(out: &mut String, runs: &[(Scenario, Score)]) {
    line(
        out,
        format_args!(
            "| scenario | drifting | synchronized | unknown | marked | remembered | the evidence cannot tell |"
        ),
    );
    line(out, format_args!("|---|---|---|---|---|---|---|"));
    for (scenario, score) in runs {
        let pair =
            |state| format!("{} / {}", share(score.confusion.precision(state)), share(score.confusion.recall(state)));
        let (marked, wrongly) = score.marked;
        let marked = if wrongly > 0 { format!("{marked}, **{wrongly} wrongly**") } else { marked.to_string() };
        let blind = score.blind.join("; ");
        let cells = [pair(0), pair(1), pair(2)].join(" | ");
        let remembered: Vec<String> =
            score.remembered.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        let remembered = remembered.join(", ");
        line(out, format_args!("| {} | {cells} | {marked} | {remembered} | {blind} |", scenario.name));
    }
}

/// Three digits, rounded down; a dot where there is nothing to count.
fn share((part, all): (u64, u64)) -> String {
    if all == 0 {
        return "·".to_owned();
    }
    let thousandths = part * 1_000 / all;
    if part == all { "1".to_owned() } else { format!("0.{thousandths:03}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: usize, of: usize, delays_s: &[i64], false_alarms: usize, expected: &str) {
        assert_eq!(cell(&Count { found, of, delays_s: delays_s.to_vec(), false_alarms }), expected);
    }

    #[test]
    fn a_cell_says_what_was_found_and_what_was_not() {
        check(0, 0, &[], 0, "·");
        check(0, 0, &[], 12, "**12 false**");
        check(0, 3, &[], 0, "0/3");
        check(1, 1, &[7], 0, "1/1 in 7 s");
        check(2, 3, &[7, 132], 1, "2/3 in 7 to 132 s, **1 false**");
        assert_eq!([share((0, 0)), share((5, 5)), share((999, 1_001)), share((0, 3))], ["·", "1", "0.998", "0.000"]);
    }
}
