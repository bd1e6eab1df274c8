//! Findings for people: what, where, the source line with a caret, and what to write instead.
//!
//! Everything from a file is shown without control characters, so that no file can move the cursor or hide a line.

use super::look::Linted;
use super::report::Report;
use crate::inspect::finding::NOT_SHOWN;
use crate::inspect::{Finding, Severity};
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use std::io::{self, Write};
use std::ops::Range;

/// Characters of a very long line that are kept on both sides of the value.
const AROUND: usize = 120;

/// Bytes of a line that the renderer may trim to the window by itself.
const LONG: usize = 4096;

pub(super) fn write(out: &mut dyn Write, report: &Report<'_>, has_colours: bool) -> io::Result<()> {
    let renderer = if has_colours { Renderer::styled() } else { Renderer::plain() };
    for file in report.linted {
        for (_, finding) in &file.findings {
            writeln!(out, "{}\n", one(&renderer, file, finding))?;
        }
    }
    suppressed(out, report)?;
    writeln!(out, "{}", report.summary)
}

/// A line for each finding that somebody wants to keep.
pub(super) fn suppressed(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    for file in report.linted {
        for kept in &file.suppressed {
            let at = kept.finding.at;
            let place = format!("{}:{}:{}", clean(&file.name), at.line, at.column);
            writeln!(out, "suppressed: {place}: {}: {}", kept.finding.rule, clean(&kept.reason))?;
        }
    }
    Ok(())
}

fn one(renderer: &Renderer, file: &Linted, finding: &Finding) -> String {
    let level = if finding.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
    let number = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let (line, column, name) = (number(finding.at.line), number(finding.at.column), clean(&file.name));
    let title = level.primary_title(clean(&finding.message)).id(finding.rule);
    let snippet = |text: String, span: Range<usize>| {
        Snippet::source(text).line_start(line).annotation(AnnotationKind::Primary.span(span))
    };
    let group = match excerpt(&file.text, finding) {
        // It counts the column itself, in what it is given.
        Some(Excerpt { text, span, is_whole: true }) => title.element(snippet(text, span).path(name)),
        Some(Excerpt { text, span, is_whole: false }) => {
            title.element(Origin::path(name).line(line).char_column(column)).element(snippet(text, span))
        }
        None => title.element(Origin::path(name).line(line).char_column(column)),
    };
    renderer.render(&[group.element(Level::HELP.with_name("fix").message(clean(&finding.fix)))])
}

/// What is shown of the source.
struct Excerpt {
    text: String,
    /// The value's bytes in it.
    span: Range<usize>,
    /// From the beginning of the line.
    is_whole: bool,
}

/// The source line, or the part of a very long one around the value; none where nobody should see it.
fn excerpt(text: &str, finding: &Finding) -> Option<Excerpt> {
    if finding.value == NOT_SHOWN {
        return None;
    }
    let text = text.trim_start_matches('\u{feff}');
    let number = usize::try_from(finding.at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(finding.at.column).ok()?.checked_sub(1)?;
    let line = text.split('\n').nth(number)?.trim_end_matches('\r');
    let (start, _) = line.char_indices().chain([(line.len(), ' ')]).nth(column)?;
    let (before, after) = line.split_at_checked(start)?;
    let value = finding.value.as_str();
    let length = if !value.is_empty() && after.starts_with(value) {
        value.len()
    } else {
        after.chars().next().map_or(0, char::len_utf8)
    };
    let (from, to) = if line.len() <= LONG {
        (0, after.len())
    } else {
        let to = after.char_indices().nth(AROUND.saturating_add(value.chars().count()));
        let from = before.char_indices().rev().take(AROUND).last();
        (from.map_or(0, |(at, _)| at), to.map_or(after.len(), |(at, _)| at))
    };
    let before = clean(before.get(from..)?);
    let value = clean(after.get(..length)?);
    let span = before.len()..before.len().saturating_add(value.len());
    let text = format!("{before}{value}{}", clean(after.get(length..to.max(length))?));
    Some(Excerpt { text, span, is_whole: from == 0 })
}

/// Without control characters, each of them one replacement wide; tabs are blanks.
pub(super) fn clean(text: &str) -> String {
    // Bidirectional controls reorder what a person sees; the others are not seen at all.
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
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
