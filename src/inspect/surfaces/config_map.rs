//! The entries of a ConfigMap or Secret: single values (as `envFrom` takes them) and whole files, as text or in base64.

use super::super::formats;
use super::super::limits::Limits;
use super::super::link::{Link, Way};
use super::super::scope::{Entries, Scope};
use super::super::tree::{Entry, Kind, Position, Scalar, Tree};
use super::super::walk::Walk;
use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use std::string::FromUtf8Error;

/// Looks at `data` of a ConfigMap, `stringData` of a Secret; `link` is the map.
pub(crate) fn data(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) {
    let scope = Scope::new(Entries::Map(entries));
    for (index, entry) in entries.iter().enumerate() {
        let below = link.down(Way::Key { name: &entry.key, scope: &scope, index });
        match &entry.value {
            Tree::Scalar(scalar) => value(walk, &below, &entry.key, scalar),
            Tree::Map(_) | Tree::List(_) => {}
        }
    }
}

/// A file, if the key is the name of one.
fn value(walk: &mut Walk<'_>, link: &Link<'_>, key: &str, scalar: &Scalar) {
    if formats::by_name(key).is_some() {
        walk.document(link, Some(key), &scalar.text, scalar.at);
    } else if is_script(key, &scalar.text) {
        walk.products_in_script(link, scalar);
    } else {
        walk.leaf(link, scalar);
    }
}

/// Is it a script of the shell?
fn is_script(key: &str, text: &str) -> bool {
    let first = text.lines().next().unwrap_or("");
    let is_shell =
        || first.strip_prefix("#!").is_some_and(|program| program.split(['/', ' ']).any(|it| SHELLS.contains(&it)));
    key.ends_with(".sh") || key.ends_with(".bash") || is_shell()
}

const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "zsh", "ksh"];

/// Looks at `data` of a Secret; `link` is the map. What is not text is no configuration.
pub(crate) fn secret(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) {
    packed(walk, link, entries, |walk, link, key, at, text| {
        if let Ok(Ok(text)) = text {
            value(walk, link, key, &Scalar { text: text.into(), kind: Kind::Text, at, extent: None });
        }
    });
}

/// Looks at `binaryData`; `link` is the map. What is not UTF-8 is no configuration.
pub(crate) fn binary(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) {
    packed(walk, link, entries, |walk, link, key, at, text| match text {
        Ok(Ok(text)) if walk.mentions(&text) => walk.document(link, Some(key), &text, at),
        Ok(Ok(_) | Err(_)) => {}
        Err(error) => walk.note(link, Position::default(), format!("not looked at: not base64: {error}")),
    });
}

/// The text that a value in base64 is; `None` where it is none, or too long.
pub(crate) fn unpacked(scalar: &Scalar, limits: &Limits) -> Option<String> {
    if scalar.text.len() > limits.bytes {
        return None;
    }
    String::from_utf8(STANDARD.decode(joined(scalar)).ok()?).ok()
}

/// Base64 without its line ends.
fn joined(scalar: &Scalar) -> String {
    scalar.text.split_ascii_whitespace().collect()
}

/// What base64 held: text, or other bytes.
type Unpacked = Result<Result<String, FromUtf8Error>, DecodeError>;

/// Calls with each entry whose value is in base64, with line ends or without: its key, its place, and what it holds.
fn packed<'c>(
    walk: &mut Walk<'c>,
    link: &Link<'_>,
    entries: &[Entry],
    then: impl Fn(&mut Walk<'c>, &Link<'_>, &str, Position, Unpacked),
) {
    let scope = Scope::new(Entries::Map(entries));
    for (index, entry) in entries.iter().enumerate() {
        let Some(scalar) = entry.value.scalar().filter(|scalar| scalar.text.len() <= walk.limits().bytes) else {
            continue;
        };
        let below = link.down(Way::Key { name: &entry.key, scope: &scope, index });
        then(walk, &below, &entry.key, scalar.at, STANDARD.decode(joined(scalar)).map(String::from_utf8));
    }
}
