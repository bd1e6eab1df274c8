//! Findings for people: where, what, the source line with a caret, and what to write instead.
//!
//! Everything from a file is shown without control characters, so that no file can move the cursor or hide a line.

use super::Linted;
use super::report::Summary;
use crate::inspect::tree::Position;
use crate::inspect::{Finding, Severity};
use std::io::{self, Write};

/// Columns of a long line that are shown around the value.
const WIDTH: usize = 100;

/// Colours, or their absence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub(super) on: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

pub(super) fn write(out: &mut dyn Write, linted: &[Linted], summary: Summary, paint: Paint) -> io::Result<()> {
    for file in linted {
        for (_, finding) in file.findings() {
            one(out, file, finding, paint)?;
        }
    }
    let plural = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
    let Summary { files, objects, errors, warnings } = summary;
    let found = match (errors, warnings) {
        (0, 0) => "nothing found".to_owned(),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    writeln!(out, "{found} in {} ({})", plural(files, "file"), plural(objects, "object"))
}

fn one(out: &mut dyn Write, file: &Linted, finding: &Finding, paint: Paint) -> io::Result<()> {
    let colour = if finding.severity == Severity::Error { "1;31" } else { "1;33" };
    let head = format!("{}[{}]", finding.severity.as_str(), finding.rule);
    let Position { line, column } = finding.at;
    let place = format!("{}:{line}:{column}", clean(&file.name));
    writeln!(out, "{}: {}: {}", paint.with("1", &place), paint.with(colour, &head), clean(&finding.message))?;
    let margin = " ".repeat(line.to_string().len());
    if let Some((shown, before, length)) = excerpt(&file.text, finding) {
        let bar = paint.with("1;34", "|");
        writeln!(out, "{margin} {bar}")?;
        writeln!(out, "{} {bar} {shown}", paint.with("1;34", &line.to_string()))?;
        writeln!(out, "{margin} {bar} {}{}", " ".repeat(before), paint.with(colour, &"^".repeat(length)))?;
    }
    writeln!(out, "{margin} = {}: {}", paint.with("1", "fix"), clean(&finding.fix))?;
    writeln!(out)
}

/// The source line (or the part of a long one around the value), the columns before the value, and the value's
/// length if it stands there as it is.
fn excerpt(text: &str, finding: &Finding) -> Option<(String, usize, usize)> {
    let text = text.trim_start_matches('\u{feff}');
    let number = usize::try_from(finding.at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(finding.at.column).ok()?.checked_sub(1)?;
    let line: Vec<char> = clean(text.split('\n').nth(number)?.trim_end_matches('\r')).chars().collect();
    let start = if line.len() <= WIDTH { 0 } else { column.saturating_sub(WIDTH / 2) };
    let shown: String = line.iter().skip(start).take(WIDTH).collect();
    let value = clean(&finding.value);
    let stands: bool = line.iter().skip(column).zip(value.chars()).all(|(a, b)| *a == b);
    let length = if stands { value.chars().count().clamp(1, WIDTH / 2) } else { 1 };
    Some((shown, column.saturating_sub(start), length))
}

/// Without control characters, each of them one replacement wide; tabs are blanks.
pub(super) fn clean(text: &str) -> String {
    // Bidirectional controls reorder what a person sees.
    let hides = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if hides(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}
