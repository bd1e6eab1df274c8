//! What a run has found, and its form for programs: one JSON document, field for field as the contract has it.

use super::look::Linted;
use crate::inspect::suppression::Means;
use crate::inspect::{Finding, ObjectRef, Severity};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// All of a run.
pub(super) struct Report<'l> {
    pub(super) linted: &'l [&'l Linted],
    pub(super) told: &'l [&'l Told],
    pub(super) summary: Summary,
    /// Something could not be done.
    pub(super) is_failed: bool,
}

/// What was told about a file beside its findings.
pub(super) struct Told {
    /// As it is shown.
    pub(super) file: String,
    /// 0 is unknown.
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    /// The job is not done.
    pub(super) is_failure: bool,
}

#[derive(Serialize)]
struct Document<'l> {
    findings: Vec<Item<'l>>,
    suppressed: Vec<Kept<'l>>,
    summary: Summary,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'l> {
    rule: &'l str,
    severity: Severity,
    file: &'l str,
    line: u32,
    column: u32,
    /// The value's bytes in the file; null where it does not stand there letter for letter.
    byte_offset: Option<u32>,
    byte_length: Option<u32>,
    object: &'l ObjectRef,
    path: String,
    product: &'l str,
    value: &'l str,
    message: &'l str,
    fix: &'l str,
    /// What `--fix` writes in the place of these bytes; null where a person has to.
    replacement: Option<&'l str>,
}

#[derive(Serialize)]
struct Kept<'l> {
    #[serde(flatten)]
    item: Item<'l>,
    reason: &'l str,
    by: &'static str,
}

/// How much was looked at and found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files that were read and understood.
    pub files: usize,
    /// Kubernetes objects in them.
    pub objects: usize,
    /// Findings at error level.
    pub errors: usize,
    /// Findings at warning level.
    pub warnings: usize,
    /// Findings that somebody wants to keep, in neither of these numbers.
    pub suppressed: usize,
    /// Findings that `--fix` has mended, or that `--diff` shows mended.
    pub fixed: usize,
    /// Files that could not be read or understood.
    pub skipped: usize,
}

/// In a line.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        let Summary { files, objects, errors, warnings, suppressed, fixed, skipped } = *self;
        match (errors, warnings) {
            (0, 0) => f.write_str("nothing found")?,
            _ => write!(f, "{}, {}", plural(errors, "error"), plural(warnings, "warning"))?,
        }
        write!(f, " in {} ({})", plural(files, "file"), plural(objects, "object"))?;
        for (count, what) in [(suppressed, "suppressed"), (fixed, "fixed"), (skipped, "not read")] {
            if count > 0 {
                write!(f, "; {count} {what}")?;
            }
        }
        Ok(())
    }
}

fn item<'l>(file: &'l Linted, object: &'l ObjectRef, finding: &'l Finding) -> Item<'l> {
    let extent = finding.spot.as_ref().map(|spot| spot.extent);
    Item {
        rule: finding.rule,
        severity: finding.severity,
        file: &file.name,
        line: finding.at.line,
        column: finding.at.column,
        byte_offset: extent.map(|extent| extent.start),
        byte_length: extent.map(|extent| extent.end.saturating_sub(extent.start)),
        object,
        path: finding.path.to_string(),
        product: &finding.product,
        value: &finding.value,
        message: &finding.message,
        fix: &finding.fix,
        replacement: finding.spot.as_ref().and_then(|spot| spot.replacement.as_deref()),
    }
}

/// How a suppression is called.
pub(super) fn by(means: Means) -> &'static str {
    match means {
        Means::Comment => "comment",
        Means::Annotation => "annotation",
    }
}

pub(super) fn write(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let mut document = Document { findings: Vec::new(), suppressed: Vec::new(), summary: report.summary };
    for file in report.linted {
        document.findings.extend(file.findings.iter().map(|(object, finding)| item(file, object, finding)));
        document.suppressed.extend(file.suppressed.iter().map(|kept| Kept {
            item: item(file, &kept.object, &kept.finding),
            reason: &kept.reason,
            by: by(kept.by),
        }));
    }
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
