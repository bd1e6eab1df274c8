//! The findings of all files as one JSON document, field for field as the contract has it.

use super::Linted;
use crate::inspect::{ObjectRef, Severity};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Report<'l> {
    findings: Vec<Item<'l>>,
    summary: Summary,
}

#[derive(Serialize)]
struct Item<'l> {
    rule: &'l str,
    severity: Severity,
    file: &'l str,
    line: u32,
    column: u32,
    object: &'l ObjectRef,
    path: String,
    product: &'l str,
    value: &'l str,
    message: &'l str,
    fix: &'l str,
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
}

pub(super) fn write(out: &mut dyn Write, linted: &[Linted], summary: Summary) -> io::Result<()> {
    let mut findings = Vec::new();
    for file in linted {
        for (object, finding) in file.findings() {
            findings.push(Item {
                rule: finding.rule,
                severity: finding.severity,
                file: &file.name,
                line: finding.at.line,
                column: finding.at.column,
                object,
                path: finding.path.to_string(),
                product: &finding.product,
                value: &finding.value,
                message: &finding.message,
                fix: &finding.fix,
            });
        }
    }
    serde_json::to_writer_pretty(&mut *out, &Report { findings, summary })?;
    writeln!(out)
}
