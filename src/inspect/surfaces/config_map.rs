//! The entries of a ConfigMap: single values (as `envFrom` takes them) and whole files, as text or in base64.

use super::super::link::{Link, Way};
use super::super::mentions_skew;
use super::super::scope::{Entries, Scope};
use super::super::tree::{Entry, Position, Tree};
use super::super::walk::Walk;
use base64::Engine;

/// Looks at `data`; `link` is the map.
pub(crate) fn data(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) {
    let scope = Scope::new(Entries::Map(entries));
    for (index, entry) in entries.iter().enumerate() {
        let below = link.down(Way::Key { name: &entry.key, scope: &scope, index });
        match &entry.value {
            Tree::Scalar(scalar) if super::super::formats::by_name(&entry.key).is_some() => {
                walk.document(&below, Some(&entry.key), &scalar.text, scalar.at);
            }
            Tree::Scalar(scalar) => walk.leaf(&below, scalar),
            Tree::Map(_) | Tree::List(_) => {}
        }
    }
}

/// Looks at `binaryData`; `link` is the map. What is not UTF-8 is no configuration.
pub(crate) fn binary(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) {
    let scope = Scope::new(Entries::Map(entries));
    for (index, entry) in entries.iter().enumerate() {
        let Some(scalar) = entry.value.scalar().filter(|scalar| scalar.text.len() <= walk.limits().bytes) else {
            continue;
        };
        let packed: String = scalar.text.split_ascii_whitespace().collect();
        let below = link.down(Way::Key { name: &entry.key, scope: &scope, index });
        match base64::engine::general_purpose::STANDARD.decode(packed).map(String::from_utf8) {
            Ok(Ok(text)) if mentions_skew(text.as_bytes()) => {
                walk.document(&below, Some(&entry.key), &text, scalar.at);
            }
            Ok(Ok(_) | Err(_)) => {}
            Err(error) => walk.note(&below, Position::default(), format!("not looked at: not base64: {error}")),
        }
    }
}
