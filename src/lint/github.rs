//! Findings as annotations of GitHub Actions: lines that the runner shows beside the code.
//!
//! Source: <https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions>; what is escaped is told
//! by the runner's own toolkit (`escapeData` and `escapeProperty` in `@actions/core`).

use super::names::Base;
use super::report::Report;
use super::text::{clean, suppressed};
use crate::inspect::Severity;
use std::io::{self, Write};

pub(super) fn write(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let base = Base::repository();
    for file in report.linted {
        let name = base.name(&file.path);
        for (_, finding) in &file.findings {
            let command = if finding.severity == Severity::Error { "error" } else { "warning" };
            let (line, column) = (finding.at.line, finding.at.column);
            let length =
                finding.spot.as_ref().map(|_| finding.value.chars().count()).filter(|_| is_line(&finding.value));
            let end = length.and_then(|length| u32::try_from(length).ok()).map(|length| column.saturating_add(length));
            let end = end.map(|end| format!(",endLine={line},endColumn={end}")).unwrap_or_default();
            let title = property(&format!("clockwarden {}", finding.rule));
            let message = data(&format!("{}\nfix: {}", finding.message, finding.fix));
            let place = if name == "-" { String::new() } else { format!("file={},", property(&name)) };
            writeln!(out, "::{command} {place}line={line},col={column}{end},title={title}::{message}")?;
        }
    }
    for told in report.told.iter().filter(|told| told.is_failure) {
        let message = data(&format!("{}: {}", told.file, told.message));
        writeln!(out, "::error title=clockwarden::{message}")?;
    }
    suppressed(out, report)?;
    writeln!(out, "{}", clean(&report.summary.to_string()))
}

fn is_line(value: &str) -> bool {
    !value.contains(['\n', '\r'])
}

/// The text of a command; a line end would end it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property; a comma or a colon would end it too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_file_ends_a_command() {
        assert_eq!(data("a%\r\n::b,c"), "a%25%0D%0A::b,c");
        assert_eq!(property("a%\r\n::b,c"), "a%25%0D%0A%3A%3Ab%2Cc");
    }
}
