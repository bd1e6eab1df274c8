//! `clockwarden lint`: the webhook's engine over files.
//!
//! ```text
//! paths -> files -> inspect_file (pure) -> text or JSON, exit status
//! ```
//!
//! Reads, calls the engine, writes; decides nothing about settings. Files that do not parse are notes on standard
//! error; a path that cannot be read makes the exit status 2, and everything else is still linted. The order of
//! the output is the order of the paths, and of names below directories.

pub mod args;
mod files;
mod policy;
mod report;
mod text;

pub use args::LintArgs;
pub use report::Summary;

use crate::inspect::{Catalogue, Finding, Inspection, Limits, Note, ObjectRef, Severity, inspect_file};
use args::Format;
use files::{Content, File};
use std::io::{self, IsTerminal, Write};

/// One file with what was found in it.
struct Linted {
    name: String,
    text: String,
    documents: Vec<(ObjectRef, Inspection)>,
}

impl Linted {
    fn findings(&self) -> impl Iterator<Item = (&ObjectRef, &Finding)> {
        self.documents.iter().flat_map(|(object, found)| found.findings.iter().map(move |finding| (object, finding)))
    }
}

/// Exit status: nothing at error level.
const CLEAN: u8 = 0;
/// Exit status: findings at error level.
const FOUND: u8 = 1;
/// Exit status: the job could not be done.
const FAILED: u8 = 2;

/// Lints and writes the report to `out`, notes and failures to `err`; returns the exit status.
pub fn run(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match lint(args, out, err) {
        Ok(status) => status,
        // Whoever reads our output has seen enough (`| head`); there is nobody left to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => FOUND,
        Err(error) => {
            // If this cannot be written either, the exit status still says it.
            let _ = writeln!(err, "clockwarden: the report could not be written: {error}");
            FAILED
        }
    }
}

fn lint(args: &LintArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let limits = Limits::default();
    let bounds = match policy::bounds(args, &limits) {
        Ok(bounds) => bounds,
        Err(message) => {
            writeln!(err, "clockwarden: {message}")?;
            return Ok(FAILED);
        }
    };
    let mut linted = Vec::new();
    let mut summary = Summary::default();
    let mut is_failed = false;
    for path in &args.paths {
        let expanded = files::expand(path);
        if expanded.is_empty() {
            writeln!(err, "note: {}: no file in there that is read", path.display())?;
        }
        for found in expanded {
            let File { name, content } = found.map_or_else(|failed| failed, |path| files::read(&path, limits.bytes));
            let text = match content {
                Content::Text(text) => text,
                Content::Passed(message) => {
                    writeln!(err, "note: {}: {message}", text::clean(&name))?;
                    continue;
                }
                Content::Failed(message) => {
                    is_failed = true;
                    writeln!(err, "clockwarden: {}: {message}", text::clean(&name))?;
                    continue;
                }
            };
            let known_as = Some(name.as_str()).filter(|name| *name != "-");
            let found = inspect_file(known_as, &text, Catalogue::builtin(), &bounds, &limits);
            notes(err, &name, found.notes.iter().chain(found.documents.iter().flat_map(|(_, found)| &found.notes)))?;
            summary.files = summary.files.saturating_add(usize::from(found.is_read));
            linted.push(Linted { name, text, documents: found.documents });
        }
    }
    for file in &linted {
        let objects = file.documents.iter().filter(|(object, _)| !object.kind.is_empty()).count();
        let errors = file.findings().filter(|(_, finding)| finding.severity == Severity::Error).count();
        summary.objects = summary.objects.saturating_add(objects);
        summary.errors = summary.errors.saturating_add(errors);
        summary.warnings = summary.warnings.saturating_add(file.findings().count().saturating_sub(errors));
    }
    if summary.files == 0 && !is_failed {
        is_failed = true;
        writeln!(
            err,
            "clockwarden: nothing could be read; name files that hold Kubernetes objects or configuration (YAML, JSON, TOML, …)"
        )?;
    }
    let status = if is_failed {
        FAILED
    } else if summary.errors > 0 {
        FOUND
    } else {
        CLEAN
    };
    let written = match args.format {
        Format::Json => report::write(out, &linted, summary),
        Format::Text => text::write(out, &linted, summary, text::Paint { on: has_colours() }),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(status),
        written => written.map(|()| status),
    }
}

fn notes<'n>(err: &mut dyn Write, name: &str, notes: impl Iterator<Item = &'n Note>) -> io::Result<()> {
    for note in notes {
        let mut place = text::clean(name);
        if note.at.line > 0 {
            place = format!("{place}:{}:{}", note.at.line, note.at.column);
        }
        let path = note.path.to_string();
        let inside = if path.is_empty() { String::new() } else { format!("{path}: ") };
        writeln!(err, "note: {place}: {inside}{}", text::clean(&note.message))?;
    }
    Ok(())
}

/// Colours for a person's terminal, unless they are not wanted (<https://no-color.org>).
fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests;
