//! Findings that somebody has looked at and wants to keep.
//!
//! `# clockwarden:ignore RULE reason` in a comment of the file, on the line of the value or above it, or the annotation
//! `clockwarden.io/ignore: RULE reason` for a whole object. A suppressed finding is not gone: it is counted and listed
//! with its reason. A suppression that gives no reason does not hold, and one that suppresses nothing is told, because
//! the setting that it was about has changed or moved.
//!
//! For files alone: at admission the author of an object cannot excuse it. Any comment sign will do, whatever the
//! format; who can write a text that looks like a comment can write a comment.

use super::Inspection;
use super::finding::{Finding, Note, ObjectRef};
use super::rules::RULES;
use super::tree::{Path, Position, Step, Tree};

/// What a comment says.
const MARK: &str = "clockwarden:ignore";

/// The annotation of an object; one line for each rule.
pub const ANNOTATION: &str = "clockwarden.io/ignore";

/// What begins a comment in the formats that are read.
const SIGNS: &[&str] = &["<!--", "{{/*", "{{- /*", "/*", "//", "#", ";", "!", "--"];

/// How a finding was suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// By a comment in the file.
    Comment,
    /// By the object's annotation.
    Annotation,
}

/// A finding that somebody wants to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppressed {
    /// What it is about.
    pub object: ObjectRef,
    /// What was found.
    pub finding: Finding,
    /// Why it stays, in the words of whoever suppressed it.
    pub reason: String,
    /// How.
    pub by: Means,
}

/// One suppression.
struct Directive {
    /// Its own place.
    at: Position,
    path: Path,
    rule: String,
    reason: String,
    /// What it is about: a line of the file, or the whole object.
    line: Option<u32>,
    /// That line begins an item with a name, whose value is in the next one.
    is_named: bool,
    is_used: bool,
}

/// Takes what comments in `text` suppress out of the documents of the file; what is wrong with them goes into `notes`.
pub(crate) fn by_comments(
    text: &str,
    documents: &mut [(ObjectRef, Inspection)],
    notes: &mut Vec<Note>,
) -> Vec<Suppressed> {
    let mut directives = comments(text);
    if directives.is_empty() {
        return Vec::new();
    }
    check(&mut directives, notes);
    let mut out = Vec::new();
    for (object, inspection) in documents {
        take(&mut directives, object, inspection, Means::Comment, &mut out);
    }
    unused(&directives, notes);
    out
}

/// Takes what the object's annotation suppresses out of what was found in it.
pub(crate) fn by_annotation(tree: &Tree, object: &ObjectRef, inspection: &mut Inspection) -> Vec<Suppressed> {
    let Some(scalar) = tree.at(&["metadata", "annotations", ANNOTATION]).and_then(Tree::scalar) else {
        return Vec::new();
    };
    let path = Path(["metadata", "annotations", ANNOTATION].iter().map(|key| Step::Key((*key).to_owned())).collect());
    let lines = scalar.text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut directives: Vec<Directive> = lines.map(|line| directive(line, scalar.at, path.clone(), None)).collect();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    check(&mut directives, &mut notes);
    take(&mut directives, object, inspection, Means::Annotation, &mut out);
    unused(&directives, &mut notes);
    inspection.notes.extend(notes);
    out
}

fn directive(said: &str, at: Position, path: Path, line: Option<u32>) -> Directive {
    let (rule, reason) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    Directive {
        at,
        path,
        rule: rule.to_owned(),
        reason: reason.trim().to_owned(),
        line,
        is_named: false,
        is_used: false,
    }
}

/// The suppressions in comments, in the order of the file.
fn comments(text: &str) -> Vec<Directive> {
    if !text.contains(MARK) {
        return Vec::new();
    }
    let mut found: Vec<Directive> = Vec::new();
    // Those that stand alone wait for the line that they are about.
    let mut waiting: Vec<usize> = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let is_comment = SIGNS.iter().any(|sign| line.trim_start().starts_with(sign));
        if !is_comment {
            for waits in waiting.drain(..) {
                if let Some(directive) = found.get_mut(waits) {
                    directive.line = Some(number);
                    directive.is_named = ["- name:", "- key:"].iter().any(|start| line.trim_start().starts_with(start));
                }
            }
        }
        let Some((before, said)) = line.split_once(MARK) else { continue };
        if !SIGNS.iter().any(|sign| before.trim_end().ends_with(sign)) {
            continue;
        }
        let said =
            ["*/}}", "*/ -}}", "*/", "-->"].iter().find_map(|end| said.split_once(end)).map_or(said, |(said, _)| said);
        let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1);
        if is_comment {
            waiting.push(found.len());
        }
        found.push(directive(said.trim(), Position { line: number, column }, Path::default(), Some(number)));
    }
    found
}

/// Tells and drops those that cannot hold.
fn check(directives: &mut Vec<Directive>, notes: &mut Vec<Note>) {
    directives.retain(|directive| {
        let rule = &directive.rule;
        let names = || RULES.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", ");
        let message = if rule.is_empty() {
            format!("this suppression names no rule; write `{MARK} RULE reason`, where RULE is one of {}", names())
        } else if !RULES.iter().any(|known| known.name == rule) {
            format!("this suppression does not hold: there is no rule {rule:?}; the rules are {}", names())
        } else if directive.reason.is_empty() {
            format!("this suppression does not hold: it gives no reason; write why after `{rule}`")
        } else {
            return true;
        };
        notes.push(note(directive, message));
        false
    });
}

fn unused(directives: &[Directive], notes: &mut Vec<Note>) {
    for directive in directives.iter().filter(|directive| !directive.is_used) {
        let place = directive.line.map_or("in this object".to_owned(), |line| format!("on line {line}"));
        let message =
            format!("this suppression suppresses nothing: {} says nothing {place}; remove it", directive.rule);
        notes.push(note(directive, message));
    }
}

fn note(directive: &Directive, message: String) -> Note {
    Note { path: directive.path.clone(), at: directive.at, message }
}

fn take(
    directives: &mut [Directive],
    object: &ObjectRef,
    inspection: &mut Inspection,
    by: Means,
    out: &mut Vec<Suppressed>,
) {
    for finding in std::mem::take(&mut inspection.findings) {
        let fits = |directive: &&mut Directive| {
            let is_there = |line: u32| {
                line == finding.at.line || (directive.is_named && line.saturating_add(1) == finding.at.line)
            };
            directive.rule == finding.rule && directive.line.is_none_or(is_there)
        };
        match directives.iter_mut().find(fits) {
            Some(directive) => {
                directive.is_used = true;
                out.push(Suppressed { object: object.clone(), finding, reason: directive.reason.clone(), by });
            }
            None => inspection.findings.push(finding),
        }
    }
}

#[cfg(test)]
mod tests;
