//! The linter's engine from the outside: files in, findings out.
//!
//! Golden files are found by name and compared; `UPDATE_GOLDEN=1` writes them anew, and the diff is what to read.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot read its fixtures has to fail")]

mod convention;
mod corpus;
mod exports;
mod formats;
mod lookalikes;
mod objects;
mod others;
mod page;
mod products;
mod properties;
mod roundtrip;
mod rules;
mod secrets;
mod settings;
mod taken;
mod traps;
mod written;

use clockwarden::inspect::{Bounds, Catalogue, FileInspection, Limits, inspect_file};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Every file below a folder of `tests/`, sorted, golden files left out.
fn fixtures(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|e| e != "output") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no fixtures in tests/{folder}");
    found
}

/// Name of the fixture as its parser sees it: `hit-env.application.yml` is an `application.yml`.
fn name_of(path: &Path) -> String {
    let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
    name.split_once('.').filter(|(_, rest)| rest.contains('.')).map_or(name, |(_, rest)| rest).to_owned()
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn look(path: &Path) -> FileInspection {
    let limits = Limits::default();
    inspect_file(Some(&name_of(path)), &text_of(path), Catalogue::builtin(), &Bounds::default(), &limits)
}

/// Findings and notes, one after another, as they stand in golden files.
fn shown(file: &FileInspection) -> String {
    let mut out = String::new();
    for (object, inspection) in &file.documents {
        for finding in &inspection.findings {
            let at = finding.at;
            let severity = finding.severity.as_str();
            let _ = writeln!(out, "{}:{} {severity} {} {}", at.line, at.column, finding.rule, finding.path);
            let _ =
                writeln!(out, "  object: {} {} {}/{}", object.api_version, object.kind, object.namespace, object.name);
            let _ = writeln!(out, "  product: {}\n  value: {:?}", finding.product, finding.value);
            let _ = writeln!(out, "  message: {}\n  fix: {}", finding.message, finding.fix);
        }
        for note in &inspection.notes {
            let _ = writeln!(out, "{}:{} note {}: {}", note.at.line, note.at.column, note.path, note.message);
        }
    }
    for note in &file.notes {
        let _ = writeln!(out, "{}:{} note: {}", note.at.line, note.at.column, note.message);
    }
    out
}

/// Compares with a golden file; none is the same as an empty one.
fn check_golden(path: &Path, got: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        if got.is_empty() {
            let _ = std::fs::remove_file(path);
        } else {
            std::fs::write(path, got).expect("write");
        }
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(got, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

fn golden_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".output");
    name.into()
}
