//! The corpus: files as real projects write them, and what is true about each.
//!
//! `tests/corpus/…/NAME` has its expectation in `NAME.expected` beside it, one line for each finding
//! (`LINE:COLUMN severity rule "value" path`), note (`LINE:COLUMN note`) and suppression (`LINE:COLUMN suppressed rule`),
//! in the order of the file; without such a file nothing may be said at all. An expectation is written from what the
//! product does with the file, never taken over from what was found. Names and contents are invented.

use super::text_of;
use clockwarden::inspect::formats::FORMATS;
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::rules::RULES;
use clockwarden::inspect::{
    Bounds, Catalogue, FileInspection, Finding, Limits, Severity, formats, inspect, inspect_file,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every file of the corpus, expectations left out, sorted.
pub(super) fn files() -> Vec<PathBuf> {
    let found = super::fixtures("corpus");
    found.into_iter().filter(|path| path.extension().is_none_or(|ending| ending != "expected")).collect()
}

/// Its name as somebody would give it to the linter, from the corpus's own folder.
pub(super) fn name_of(path: &Path) -> String {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    path.strip_prefix(corpus).expect("a file of the corpus").to_str().expect("UTF-8").to_owned()
}

fn expected_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".expected");
    name.into()
}

fn look(path: &Path) -> FileInspection {
    let (name, limits) = (name_of(path), Limits::default());
    inspect_file(Some(&name), &text_of(path), Catalogue::builtin(), &Bounds::default(), &limits)
}

fn findings(file: &FileInspection) -> impl Iterator<Item = &Finding> {
    file.documents.iter().flat_map(|(_, inspection)| &inspection.findings)
}

/// What is said about a file, in the form of an expectation.
fn said(file: &FileInspection) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings(file) {
        let Finding { at, severity, rule, value, path, .. } = finding;
        lines.push((*at, format!("{} {rule} {value:?} {path}", severity.as_str())));
    }
    let inner = file.documents.iter().flat_map(|(_, inspection)| &inspection.notes);
    lines.extend(inner.chain(&file.notes).map(|note| (note.at, "note".to_owned())));
    let suppressed = file.suppressed.iter().map(|it| (it.finding.at, format!("suppressed {}", it.finding.rule)));
    lines.extend(suppressed);
    lines.sort();
    lines.into_iter().map(|(at, what)| format!("{}:{} {what}", at.line, at.column)).collect()
}

/// Every difference of every file at once: a change of the engine is judged by all that it does.
#[test]
fn every_file_is_told_what_is_true_and_no_more() {
    let mut faults = Vec::new();
    for path in files() {
        let expected = std::fs::read_to_string(expected_of(&path)).unwrap_or_default();
        let (said, name) = (said(&look(&path)), name_of(&path));
        let missing = expected.lines().filter(|line| !said.iter().any(|said| said == line));
        faults.extend(missing.map(|line| format!("{name}: missing: {line}")));
        let wrong = said.iter().filter(|said| !expected.lines().any(|line| line == said.as_str()));
        faults.extend(wrong.map(|line| format!("{name}: not true: {line}")));
        if faults.is_empty() && said.len() != expected.lines().count() {
            faults.push(format!("{name}: a line too often: {said:#?}"));
        }
    }
    assert!(faults.is_empty(), "{} differences\n{}", faults.len(), faults.join("\n"));
}

/// What a file of objects says offline is what their review says: the same findings, but for the places.
#[test]
fn the_webhook_finds_in_an_object_what_lint_finds_in_its_file() {
    let (mut objects, mut found) = (0, 0);
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|it| it == "yaml" || it == "yml")) {
        let file = look(&path);
        let Ok(documents) = serde_saphyr::from_multiple::<serde_json::Value>(&text_of(&path)) else { continue };
        let of_file = |document: &serde_json::Value| {
            let text = |at: &str| document.pointer(at).and_then(serde_json::Value::as_str).unwrap_or("").to_owned();
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            let is_it = |object: &clockwarden::inspect::ObjectRef| object.kind == kind && object.name == name;
            let looked_at: Vec<_> = file.documents.iter().filter(|(object, _)| is_it(object)).collect();
            (looked_at.len() == 1)
                .then(|| looked_at.first().map(|(_, inspection)| keys(&inspection.findings)))
                .flatten()
        };
        let is_object =
            |document: &&serde_json::Value| document.get("kind").is_some() && document.get("metadata").is_some();
        for document in documents.iter().filter(is_object) {
            let Some(expected) = of_file(document).filter(|_| file.suppressed.is_empty()) else { continue };
            let json = serde_json::to_vec(document).expect("JSON");
            let tree = tree_from_json(&json, &Limits::default()).expect("JSON");
            let reviewed = inspect(&tree, Catalogue::builtin(), &Bounds::default(), &Limits::default());
            assert_eq!(keys(&reviewed.findings), expected, "{}", path.display());
            assert!(
                expected.is_empty() || Catalogue::builtin().mentions(&json),
                "hidden by the prefilter: {}",
                path.display()
            );
            objects += 1;
            found += expected.len();
        }
    }
    assert!(objects > 70 && found > 45, "{objects} objects, {found} findings: the corpus is not read");
}

/// Findings without their places and values: YAML's `0x0` is JSON's 0.
fn keys(findings: &[Finding]) -> BTreeSet<(&'static str, String)> {
    findings.iter().map(|finding| (finding.rule, finding.path.to_string())).collect()
}

/// The corpus is what it says: large enough, more harmless files than others, every format, every rule.
#[test]
fn the_corpus_is_broad_and_mostly_harmless() {
    let files = files();
    let (mut refused, mut silent, mut rules, mut read) = (0, 0, BTreeSet::new(), BTreeSet::new());
    for path in &files {
        let expected = std::fs::read_to_string(expected_of(path)).unwrap_or_default();
        refused += usize::from(expected.contains(" error "));
        silent += usize::from(!expected.contains(" error ") && !expected.contains(" warning "));
        rules.extend(RULES.iter().map(|rule| rule.name).filter(|rule| expected.contains(rule)));
        read.extend(formats::detect(Some(&name_of(path)), &text_of(path)).map(|format| format.name));
    }
    assert!(files.len() >= 220, "{} files", files.len());
    let halves = (silent * 2 >= files.len(), refused * 4 >= files.len());
    assert_eq!(halves, (true, true), "of {} files {silent} are silent and {refused} refused", files.len());
    let every = |names: Vec<&'static str>| names.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(rules, every(RULES.iter().map(|rule| rule.name).collect()));
    assert_eq!(read, every(FORMATS.iter().map(|format| format.name).collect()));
}

/// An expectation whose file has gone expects nothing.
#[test]
fn every_expectation_has_its_file() {
    for path in super::fixtures("corpus") {
        if let Some(file) = path.to_str().and_then(|path| path.strip_suffix(".expected")) {
            assert!(Path::new(file).is_file(), "{}", path.display());
            assert!(!text_of(&path).is_empty(), "{}: no file expects nothing", path.display());
        }
    }
}

/// A refusal of something harmless is the worst fault: each is counted, apart from anything else.
#[test]
fn nothing_harmless_is_refused() {
    let mut refused = Vec::new();
    for path in files() {
        let expected = std::fs::read_to_string(expected_of(&path)).unwrap_or_default();
        let is_expected = |finding: &&Finding| {
            let start = format!("{}:{} error {} ", finding.at.line, finding.at.column, finding.rule);
            expected.lines().any(|line| line.starts_with(&start))
        };
        let file = look(&path);
        let wrong = findings(&file).filter(|it| it.severity == Severity::Error).filter(|it| !is_expected(it));
        refused.extend(wrong.map(|it| format!("{}:{}: {}", name_of(&path), it.at.line, it.message)));
    }
    assert!(refused.is_empty(), "{} false refusals\n{}", refused.len(), refused.join("\n"));
}
