//! How a verdict is said: refusals over several lines for a terminal, warnings on one.
//!
//! The API server cuts warnings off at 256 characters each once all together have more than 4,096, and drops those
//! with control characters. So they are made to fit, the middle of the sentence going first, because the place and
//! the fix are what people need. Everything that a tenant wrote is shortened and stripped of control and
//! text-direction characters before it reaches somebody's terminal.
//!
//! Source: `staging/src/k8s.io/apiserver/pkg/endpoints/filters/warning.go` of Kubernetes, RFC 7234 section 5.5.

use crate::inspect::{Finding, Note, ObjectRef};

/// Characters of one warning.
pub const WARNING_CHARS: usize = 256;
/// Warnings of one answer, the one that counts the rest included.
pub const WARNINGS: usize = 16;
/// Findings that a refusal tells in full.
const REFUSAL_FINDINGS: usize = 8;

/// Why an object is not let in: the object, the policies, and for each finding its place, meaning and fix.
#[must_use]
pub fn refusal(object: &ObjectRef, findings: &[&Finding], policies: &[String]) -> String {
    let noun = if policies.len() == 1 { "TimeSyncPolicy" } else { "TimeSyncPolicies" };
    let mut text = format!("{} is refused by {noun} {}:", name(object), names(policies));
    for finding in findings.iter().take(REFUSAL_FINDINGS) {
        text.push_str(&format!(
            "\n  {} [{}]\n    {}\n    Fix: {}",
            clean(&finding.path.to_string(), 200),
            finding.rule,
            clean(meaning(finding), 500),
            clean(&finding.fix, 400),
        ));
    }
    match findings.len().saturating_sub(REFUSAL_FINDINGS) {
        0 => {}
        more => text.push_str(&format!("\n  and {more} more like these")),
    }
    text
}

/// A finding on one line. `excuse` says why an error was not refused, where that is not plain.
#[must_use]
pub fn warning(object: &ObjectRef, finding: &Finding, excuse: Option<&str>) -> String {
    let mut tags = finding.rule.to_owned();
    if let Some(excuse) = excuse {
        tags.push_str("; ");
        tags.push_str(&clean(excuse, 50));
    }
    let head = format!("{}: {} [{tags}]", clean(&name(object), 80), clean(&finding.path.to_string(), 80));
    let head = clean(&head, WARNING_CHARS.saturating_sub(60));
    let fix = clean(&format!(". Fix: {}", finding.fix), WARNING_CHARS.saturating_sub(head.chars().count()));
    let room = WARNING_CHARS.saturating_sub(head.chars().count()).saturating_sub(fix.chars().count());
    // A stump of a sentence says less than none.
    let said = if room < 20 { String::new() } else { clean(&format!(": {}", meaning(finding)), room) };
    format!("{head}{said}{fix}")
}

/// A finding's message without the object and the path that it begins with, because both have been said.
fn meaning(finding: &Finding) -> &str {
    let path = format!(": {}", finding.path);
    let (_, after) = finding.message.split_once(&path).unwrap_or(("", &finding.message));
    after.trim_start_matches(": ").trim_start()
}

/// A place that was not looked into.
#[must_use]
pub fn note(object: &ObjectRef, note: &Note) -> String {
    let path = clean(&note.path.to_string(), 80);
    line(&format!("{}: {path} was not looked into for clock settings: {}", name(object), note.message))
}

/// Any sentence, as one warning.
#[must_use]
pub fn line(text: &str) -> String {
    clean(text, WARNING_CHARS)
}

/// At most [`WARNINGS`] of them; the last one counts the rest.
#[must_use]
pub fn bounded(mut warnings: Vec<String>) -> Vec<String> {
    let kept = WARNINGS.saturating_sub(1);
    if warnings.len() > WARNINGS {
        let more = warnings.len().saturating_sub(kept);
        warnings.truncate(kept);
        warnings.push(format!("and {more} more warnings from clockwarden; `clockwarden lint` shows them all"));
    }
    warnings
}

/// Policies by name, a few of them.
#[must_use]
pub fn names(policies: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = policies.iter().take(SHOWN).map(|name| clean(name, 63)).collect();
    let more = match policies.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

fn name(object: &ObjectRef) -> String {
    let kind = if object.kind.is_empty() { "object" } else { &object.kind };
    let slash = if object.namespace.is_empty() { "" } else { "/" };
    let name = if object.name.is_empty() { "(without a name)" } else { &object.name };
    clean(&format!("{kind} {}{slash}{name}", object.namespace), 120)
}

/// At most `chars` characters on one line, nothing in them that moves a cursor or turns text around.
pub(crate) fn clean(text: &str, chars: usize) -> String {
    let safe = |c: char| match c {
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    // Only as many as are needed: the text may be a megabyte of a tenant's.
    let mut out: String = text.chars().take(chars).map(safe).collect();
    if text.chars().nth(chars).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Severity;
    use crate::inspect::tree::{Path, Position, Step};

    fn finding(message: &str, value: &str, path: &str) -> Finding {
        Finding {
            rule: "jwt-skew-zero",
            severity: Severity::Error,
            path: Path(vec![Step::Key("data".into()), Step::Key(path.into())]),
            at: Position::default(),
            entry: "p#0".into(),
            product: "jsonwebtoken".into(),
            value: value.into(),
            message: message.into(),
            fix: "write `5`".into(),
            spot: None,
        }
    }

    fn object() -> ObjectRef {
        ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "shop".into(), name: "pay".into() }
    }

    #[test]
    fn a_refusal_says_where_what_why_and_what_instead() {
        let finding = finding("ConfigMap shop/pay: data.leeway: leeway is \"0\": no tolerance", "0", "leeway");
        assert_eq!(
            refusal(&object(), &[&finding], &["production".to_owned()]),
            "ConfigMap shop/pay is refused by TimeSyncPolicy production:\n  data.leeway [jwt-skew-zero]\n    leeway is \
             \"0\": no tolerance\n    Fix: write `5`"
        );
        let many = vec![&finding; 20];
        assert!(refusal(&object(), &many, &["a".to_owned(), "b".to_owned()]).ends_with("and 12 more like these"));
    }

    #[test]
    fn a_message_that_begins_otherwise_is_said_whole() {
        let finding = finding("no tolerance", "0", "leeway");
        assert!(refusal(&object(), &[&finding], &[]).contains("\n    no tolerance\n"));
    }

    #[test]
    fn a_warning_keeps_its_place_and_its_fix_whatever_its_length() {
        let short = warning(&object(), &finding("no tolerance", "0", "leeway"), Some("already there"));
        let expected = "ConfigMap shop/pay: data.leeway [jwt-skew-zero; already there]: no tolerance. Fix: write `5`";
        assert_eq!(short, expected);
        for (message, path) in [("m".repeat(1000), "p".into()), ("ü".repeat(99), "ü".repeat(5000))] {
            let long = warning(&object(), &finding(&message, "0", &path), None);
            assert!(long.chars().count() <= WARNING_CHARS, "{}", long.chars().count());
            assert!(long.ends_with(". Fix: write `5`") && long.starts_with("ConfigMap shop/pay: data"), "{long}");
        }
    }

    #[test]
    fn nobody_writes_to_a_terminal_through_us() {
        let wild = "a\u{1b}[31m\r\n\u{202e}b\u{7}\u{85}";
        for said in [
            refusal(&object(), &[&finding(wild, wild, wild)], &[wild.to_owned()]).replace("\n  ", ""),
            warning(&object(), &finding(wild, wild, wild), Some(wild)),
            note(&object(), &Note { path: Path::default(), at: Position::default(), message: wild.into() }),
        ] {
            assert!(!said.chars().any(|c| c.is_control() || c == '\u{202e}'), "{said:?}");
        }
    }

    #[test]
    fn warnings_are_counted_when_there_are_too_many() {
        let some = |n: usize| bounded(vec![String::from("w"); n]);
        assert_eq!((some(0).len(), some(16).len(), some(17).len()), (0, 16, 16));
        assert!(some(16).iter().all(|w| w == "w"));
        assert!(some(117).last().is_some_and(|last| last.starts_with("and 102 more")));
    }
}
