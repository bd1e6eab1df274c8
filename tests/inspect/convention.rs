//! The convention that services of one's own follow, word by word: every authentication word with every name of a skew,
//! in every way to write a name, alone or spread over a path; the words that say otherwise; and neither.

use clockwarden::inspect::{Bounds, Catalogue, Limits, Severity, inspect_file};

/// The authentication words that the convention names.
const AUTH: &[&str] = &["jwt", "oidc", "oauth", "oauth2", "token", "auth", "saml", "sso", "bearer", "idp", "jwks"];

/// What the last part of a name may be.
const SKEWS: &[&str] = &[
    "clock skew",
    "clock tolerance",
    "clock drift",
    "leeway",
    "allowed skew",
    "skew seconds",
    "clock skew seconds",
    "leeway ms",
    "max clock skew",
    "clock tolerance in minutes",
];

/// What silences all of that.
const OTHERWISE: &[&str] = &[
    "refresh",
    "topology",
    "partition",
    "replication",
    "price",
    "cron",
    "scheduler",
    "upstream",
    "kerberos",
    "totp",
    "backup",
    "pruning",
    "snowflake",
    "webauthn",
    "radius",
];

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Every way to write some words as the name of a setting, as a line of properties.
fn spellings(words: &[&str]) -> Vec<String> {
    let pascal: String = words.iter().map(|word| capital(word)).collect();
    let camel =
        words.iter().enumerate().map(|(n, word)| if n == 0 { (*word).to_owned() } else { capital(word) }).collect();
    let snake = words.join("_");
    vec![
        words.join("-"),
        snake.to_uppercase(),
        snake,
        words.join("."),
        camel,
        pascal,
        words.join("__").to_uppercase(),
        format!("my.service.{}", words.join("-")),
        format!("{}.{}", words.first().unwrap_or(&""), words.get(1..).unwrap_or(&[]).join("-")),
    ]
}

/// How bad the worst is that is said about these words with a value of zero, whatever way they are written.
fn check(words: &[&str], expected: Option<Severity>) {
    for name in spellings(words) {
        let text = format!("{name}=0\n");
        let limits = Limits::default();
        let file = inspect_file(Some("a.properties"), &text, Catalogue::builtin(), &Bounds::default(), &limits);
        let findings = file.documents.iter().flat_map(|(_, inspection)| &inspection.findings);
        let said = findings.map(|finding| finding.severity).max();
        assert_eq!(said, expected, "{text}");
    }
}

fn words<'w>(parts: &[&'w str]) -> Vec<&'w str> {
    parts.iter().flat_map(|part| part.split(' ')).collect()
}

#[test]
fn an_authentication_word_and_a_skew_are_refused_in_every_spelling() {
    for (auth, skew) in AUTH.iter().flat_map(|auth| SKEWS.iter().map(move |skew| (*auth, *skew))) {
        check(&words(&[auth, skew]), Some(Severity::Error));
        check(&words(&["api", auth, "client", skew]), Some(Severity::Error));
    }
}

#[test]
fn a_word_that_says_otherwise_silences_it_wherever_it_stands() {
    for (otherwise, skew) in OTHERWISE.iter().flat_map(|it| SKEWS.iter().map(move |skew| (*it, *skew))) {
        check(&words(&["jwt", otherwise, skew]), None);
        check(&words(&[otherwise, "token", skew]), None);
    }
}

#[test]
fn without_an_authentication_word_nothing_is_refused() {
    for (skew, word) in
        SKEWS.iter().flat_map(|skew| ["node", "author", "tokenizer", "authority", "idle"].map(|word| (*skew, word)))
    {
        check(&words(&[word, skew]), Some(Severity::Warning));
    }
}

/// Clients fetch a token anew before it expires; `jwt` or a word of checking says that it may be the tolerance after.
#[test]
fn how_long_before_its_end_a_token_is_fetched_is_no_tolerance() {
    for skew in SKEWS {
        let is_of_clock = skew.contains("clock");
        let told = Some(if is_of_clock { Severity::Error } else { Severity::Warning });
        for lead in ["expiry", "expiration"] {
            check(&words(&["access", "token", lead, skew]), told);
            check(&words(&["oauth", "client", lead, skew]), told);
            check(&words(&["jwt", lead, skew]), Some(Severity::Error));
            check(&words(&["token", "verify", lead, skew]), Some(Severity::Error));
        }
        check(&words(&["shop", "access", "token", skew]), told);
        check(&words(&["jwt", "access", "token", skew]), Some(Severity::Error));
        check(&words(&["access", "token", "verifier", skew]), Some(Severity::Error));
    }
}

#[test]
fn a_skew_that_is_not_the_last_part_is_none() {
    for skew in SKEWS {
        for last in ["enabled", "description", "policy", "mode", "retries", "alert"] {
            check(&words(&["jwt", skew, last]), None);
        }
    }
}
