//! Findings as SARIF 2.1.0, which code scanning and editors read.
//!
//! Places are told three times, for whoever counts otherwise: lines and columns in characters, and bytes. Fixes replace
//! the same bytes as `--fix`. What is suppressed is there with its reason; what could not be looked at is a notification
//! of the invocation, so that an empty result is never mistaken for a clean one.
//!
//! Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>; the sections are named where they matter.

use super::look::Linted;
use super::names::{Base, uri};
use super::pages;
use super::report::{Report, Told, by};
use crate::inspect::rules::RULES;
use crate::inspect::{Finding, ObjectRef, Severity, Suppressed};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// Its name for the top of the repository (3.14.14): whoever reads the file knows where that is.
const ROOT: &str = "%SRCROOT%";

pub(super) fn write(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    let base = Base::repository();
    let mut results = Vec::new();
    for file in report.linted {
        results.extend(file.findings.iter().map(|(object, finding)| result(&base, file, object, finding)));
        results.extend(file.suppressed.iter().map(|kept| suppressed(&base, file, kept)));
    }
    let told: Vec<Value> = report.told.iter().map(|told| notification(&base, told)).collect();
    let document = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "clockwarden",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {ROOT: {"description": {"text": "The top of the repository."}}},
            "invocations": [{
                "executionSuccessful": !report.is_failed,
                "toolExecutionNotifications": told,
            }],
            "properties": {"summary": report.summary},
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn rules() -> Vec<Value> {
    let rule = |rule: &crate::inspect::rules::Rule| {
        let page = pages::page(rule.name);
        json!({
            "id": rule.name,
            "shortDescription": {"text": page.summary},
            "fullDescription": {"text": page.summary},
            "help": {"text": page.text, "markdown": page.text},
            "helpUri": page.address,
            "defaultConfiguration": {"level": level(rule.severity)},
            "properties": {"tags": ["security", "kubernetes", "clock"]},
        })
    };
    RULES.iter().map(rule).collect()
}

fn result(base: &Base, file: &Linted, object: &ObjectRef, finding: &Finding) -> Value {
    let artifact = artifact(base, &file.path);
    let mut location = Map::new();
    let mut place = json!({"artifactLocation": artifact});
    if let (Some(region), Value::Object(place)) = (region(finding), &mut place) {
        place.insert("region".to_owned(), region);
    }
    location.insert("physicalLocation".to_owned(), place);
    let name = [&object.api_version, &object.kind, &object.namespace, &object.name];
    let name: Vec<&str> = name.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let full = format!("{}#{}", name.join("/"), finding.path);
    location.insert("logicalLocations".to_owned(), json!([{"fullyQualifiedName": full, "kind": "member"}]));
    let mut result = json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": {"text": format!("{}\nFix: {}", finding.message, finding.fix)},
        "locations": [location],
        "properties": {
            "object": object,
            "path": finding.path.to_string(),
            "product": finding.product,
            "value": finding.value,
            "fix": finding.fix,
        },
    });
    let index = RULES.iter().position(|rule| rule.name == finding.rule);
    if let (Some(index), Value::Object(result)) = (index, &mut result) {
        result.insert("ruleIndex".to_owned(), json!(index));
    }
    if let (Some(fix), Value::Object(result)) = (fix(&artifact, finding), &mut result) {
        result.insert("fixes".to_owned(), json!([fix]));
    }
    result
}

/// A suppressed result is one all the same (3.27.23).
fn suppressed(base: &Base, file: &Linted, kept: &Suppressed) -> Value {
    let mut result = result(base, file, &kept.object, &kept.finding);
    if let Value::Object(result) = &mut result {
        let suppression = json!({
            "kind": "inSource",
            "status": "accepted",
            "justification": kept.reason,
            "properties": {"by": by(kept.by)},
        });
        result.insert("suppressions".to_owned(), json!([suppression]));
    }
    result
}

/// The value's place (3.30); without its bytes, only where it begins.
fn region(finding: &Finding) -> Option<Value> {
    let (line, column) = (finding.at.line, finding.at.column);
    if line == 0 {
        return None;
    }
    let Some(spot) = finding.spot.as_ref().filter(|_| !finding.value.contains(['\n', '\r'])) else {
        return Some(json!({"startLine": line, "startColumn": column}));
    };
    let length = u32::try_from(finding.value.chars().count()).unwrap_or(0);
    Some(json!({
        "startLine": line,
        "startColumn": column,
        "endLine": line,
        "endColumn": column.saturating_add(length),
        "byteOffset": spot.extent.start,
        "byteLength": spot.extent.end.saturating_sub(spot.extent.start),
    }))
}

/// What `--fix` writes (3.55).
fn fix(artifact: &Value, finding: &Finding) -> Option<Value> {
    let replacement = finding.spot.as_ref()?.replacement.as_ref()?;
    Some(json!({
        "description": {"text": finding.fix},
        "artifactChanges": [{
            "artifactLocation": artifact,
            "replacements": [{"deletedRegion": region(finding)?, "insertedContent": {"text": replacement}}],
        }],
    }))
}

/// A file by its name below the top of the repository; one that is elsewhere, by its whole path.
fn artifact(base: &Base, path: &Path) -> Value {
    if path.as_os_str() == "-" {
        return json!({"uri": "stdin", "description": {"text": "Standard input."}});
    }
    match base.below(path) {
        Some(name) => json!({"uri": uri(&name), "uriBaseId": ROOT}),
        None => json!({"uri": format!("file://{}", uri(&base.name(path)))}),
    }
}

fn notification(base: &Base, told: &Told) -> Value {
    let mut place = json!({"artifactLocation": artifact(base, Path::new(&told.file))});
    if let (1.., Value::Object(place)) = (told.line, &mut place) {
        let region = json!({"startLine": told.line, "startColumn": told.column.max(1)});
        place.insert("region".to_owned(), region);
    }
    json!({
        "level": if told.is_failure { "error" } else { "note" },
        "message": {"text": told.message},
        "locations": [{"physicalLocation": place}],
    })
}
