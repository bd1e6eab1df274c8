//! One shape for every document that settings are looked for in.
//!
//! A Kubernetes object from an admission review, a YAML file on disk and a JSON file inside a ConfigMap are the
//! same thing to a rule: maps, lists and scalars, each at a place. Keys keep their order and their duplicates,
//! because a file may say the same thing twice and a reader of findings wants to see both. Nothing here is
//! interpreted: `"0"` and `0` differ only in [`Kind`], and what they mean is the catalogue's business.
//!
//! Does not know: formats, products, Kubernetes.

use compact_str::CompactString;
use std::fmt;

/// Where something stands in the original file: both count from 1; `line` 0 means unknown (an admission review
/// has no lines that a person has seen).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Line, counted from 1; 0 is unknown.
    pub line: u32,
    /// Column in characters, counted from 1; 0 is unknown.
    pub column: u32,
}

/// The bytes that a value is written with, in the text that its format parsed (a byte order mark counts). Quotes are
/// left out, escapes are as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first byte.
    pub start: u32,
    /// The byte after its last one.
    pub end: u32,
}

impl Extent {
    /// `None` where a text is too large to be counted so.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Option<Extent> {
        Some(Extent { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    /// What is written there.
    #[must_use]
    pub fn of(self, text: &str) -> Option<&str> {
        text.get(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }
}

/// What a scalar looked like, before anybody asked what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool,
    /// Written as a number.
    Number,
    /// Written as text; also every value of a format that has only text.
    Text,
}

/// A leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// As written, without quotes and with escapes resolved.
    pub text: CompactString,
    /// What it looked like.
    pub kind: Kind,
    /// Where the value (not its key) begins.
    pub at: Position,
    /// Its bytes; `None` where nobody has seen the text, where the value is not in one piece, and where an alias makes
    /// several values of it.
    pub extent: Option<Extent>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, escapes resolved.
    pub key: CompactString,
    /// Where the key begins.
    pub at: Position,
    /// Its value.
    pub value: Tree,
}

/// A parsed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// A leaf.
    Scalar(Scalar),
    /// Keys in the order of the file, duplicates kept.
    Map(Vec<Entry>),
    /// Items in order.
    List(Vec<Tree>),
}

impl Tree {
    /// The last entry of that name (as YAML and JSON readers resolve duplicates), if this is a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Map(entries) => entries.iter().rev().find(|e| e.key == key).map(|e| &e.value),
            Tree::Scalar(_) | Tree::List(_) => None,
        }
    }

    /// Follows a chain of map keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Tree> {
        path.iter().try_fold(self, |tree, key| tree.get(key))
    }

    /// The leaf itself.
    #[must_use]
    pub fn scalar(&self) -> Option<&Scalar> {
        match self {
            Tree::Scalar(scalar) => Some(scalar),
            Tree::Map(_) | Tree::List(_) => None,
        }
    }

    /// The text of a leaf that is not null.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.scalar().filter(|s| s.kind != Kind::Null).map(|s| s.text.as_str())
    }

    /// The entries of a map; empty for anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match self {
            Tree::Map(entries) => entries,
            Tree::Scalar(_) | Tree::List(_) => &[],
        }
    }

    /// The whole tree on one line.
    #[must_use]
    pub fn outline(&self) -> Outline<'_> {
        Outline(self)
    }

    /// The items of a list; empty for anything else.
    #[must_use]
    pub fn items(&self) -> &[Tree] {
        match self {
            Tree::List(items) => items,
            Tree::Scalar(_) | Tree::Map(_) => &[],
        }
    }
}

/// A tree on one line, text in quotes: for tests and golden files.
#[derive(Debug, Clone, Copy)]
pub struct Outline<'a>(&'a Tree);

impl fmt::Display for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Tree::Scalar(Scalar { kind: Kind::Null, .. }) => f.write_str("null"),
            Tree::Scalar(Scalar { kind: Kind::Text, text, .. }) => write!(f, "{text:?}"),
            Tree::Scalar(Scalar { text, .. }) => f.write_str(text),
            Tree::Map(entries) => {
                f.write_str("{")?;
                for (i, entry) in entries.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", entry.key, Outline(&entry.value))?;
                }
                f.write_str("}")
            }
            Tree::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", Outline(item))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// One step from a document's root towards a leaf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, counted from 0. `name` is the item's own name where it has one (containers, env), so that the
    /// same sin is recognised after a reorder.
    Item {
        /// Position in the list, from 0.
        index: usize,
        /// `name` of the item, where it has one.
        name: Option<String>,
    },
}

/// The way from the root to a place, shown as `spec.containers[0].env[2].value` or `data["a.properties"].jwt.skew`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The same path, one step further.
    #[must_use]
    pub fn then(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }

    /// The path with list positions replaced by names where there are names: two versions of one object are
    /// compared by this, so that inserting a container does not make an old sin look new.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut out = String::new();
        for step in &self.0 {
            match step {
                Step::Key(key) => push_key(&mut out, key),
                Step::Item { name: Some(name), .. } => {
                    out.push_str("[name=");
                    out.push_str(name);
                    out.push(']');
                }
                Step::Item { index, name: None } => {
                    out.push('[');
                    out.push_str(&index.to_string());
                    out.push(']');
                }
            }
        }
        out
    }
}

fn push_key(out: &mut String, key: &str) {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if plain {
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(key);
    } else {
        out.push_str("[\"");
        out.push_str(&key.escape_debug().to_string());
        out.push_str("\"]");
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        for step in &self.0 {
            match step {
                Step::Key(key) => push_key(&mut out, key),
                Step::Item { index, .. } => {
                    out.push('[');
                    out.push_str(&index.to_string());
                    out.push(']');
                }
            }
        }
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_one_and_its_identity_survives_a_reorder() {
        let path = |index| {
            Path(vec![
                Step::Key("spec".into()),
                Step::Key("containers".into()),
                Step::Item { index, name: Some("app".into()) },
                Step::Key("a.properties".into()),
            ])
        };
        assert_eq!(path(0).to_string(), r#"spec.containers[0]["a.properties"]"#);
        assert_ne!(path(0).to_string(), path(1).to_string());
        assert_eq!(path(0).identity(), path(1).identity());
    }
}
