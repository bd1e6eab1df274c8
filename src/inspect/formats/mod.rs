//! The file formats that settings are looked for in.
//!
//! A format is a file here and a line in [`FORMATS`]. Its parser never fails: it returns what it could read and
//! notes about the rest. A document that its own product would refuse to load (broken JSON, broken YAML) yields
//! no settings, because nothing runs with them; a line format skips the line that it cannot read.
//!
//! Which format a text has is told by its name, and only without a telling name by its content, which is then
//! read strictly: scanner output, scripts and prose hold perfect matches and are no configuration (`detect`).
//!
//! Does not know: Kubernetes, products, what a key means.

pub mod apache;
mod detect;
pub mod dotenv;
pub mod hcl;
pub mod hocon;
pub mod ini;
pub mod jaas;
pub mod json;
pub mod nginx;
pub mod ntp;
pub mod properties;
mod text;
pub mod toml;
pub mod xml;
pub mod yaml;

use super::duration::Nanos;
use super::limits::Limits;
use super::tree::{Entry, Extent, Path, Position, Tree};
use crate::inspect::Note;
use compact_str::CompactString;

pub use detect::{by_name, detect, is_foreign, may_be_format};

/// How a setting is written in a document, which decides how its fix is written and its path is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// `key: value`
    Yaml,
    /// `"key": value`
    Json,
    /// `a.b.key=value`
    Properties,
    /// `KEY=value`
    Dotenv,
    /// `key="value"` among the options of a login module.
    Jaas,
    /// `key = value`, text in quotes: TOML and HCL.
    Assignment,
    /// `key = value`, nothing in quotes: INI and HOCON.
    Plain,
    /// `key value;`
    Nginx,
    /// `Key value`; also the files of time daemons.
    Apache,
    /// `<key>value</key>` or `key="value"`
    Xml,
}

/// One format.
pub struct Format {
    /// Its name in fixtures and notes.
    pub name: &'static str,
    /// How it writes a setting.
    pub notation: Notation,
    /// Endings of file names that tell it, lower case, without the dot. Not those that several formats share.
    pub extensions: &'static [&'static str],
    /// Whole file names that tell it, lower case.
    pub names: &'static [&'static str],
    /// Could a text without a telling name be this? Asked in the order of [`FORMATS`]; a yes is checked by parsing.
    pub sniff: fn(&str) -> bool,
    /// What could be read, and notes about what could not.
    pub parse: fn(&str, &Limits) -> (Tree, Vec<Note>),
}

/// Every format, in the order in which contents are tried: those whose look is their own first, then from the
/// strict to the lenient. Where two would read a text alike (TOML and HCL, HCL and HOCON), it does not matter.
pub const FORMATS: &[Format] = &[
    json::FORMAT,
    ntp::FORMAT,
    dotenv::FORMAT,
    properties::FORMAT,
    yaml::FORMAT,
    jaas::FORMAT,
    xml::FORMAT,
    toml::FORMAT,
    ini::FORMAT,
    apache::FORMAT,
    nginx::FORMAT,
    hcl::FORMAT,
    hocon::FORMAT,
];

/// What stands around a value and names it, in the formats where that is not always its key: an attribute or an
/// element, a directive. `None` where it is too long to be repeated, or the key will do.
pub(super) fn around(notation: Notation, text: &str, extent: Extent) -> Option<(String, String)> {
    let before = text.get(..usize::try_from(extent.start).ok()?)?;
    let (before, after) = match notation {
        Notation::Xml => xml::around(before)?,
        Notation::Nginx => nginx::around(before)?,
        Notation::Apache => apache::around(before)?,
        _ => return None,
    };
    let is_short = before.chars().count() <= 80 && !before.contains(['\n', '\r']);
    is_short.then_some((before, after))
}

/// The length of the unit that an XML element's own attribute gives its number; `None` where none does.
pub(super) fn unit_beside(notation: Notation, text: &str, extent: Extent) -> Option<Nanos> {
    let before = text.get(..usize::try_from(extent.start).ok()?).filter(|_| notation == Notation::Xml)?;
    xml::unit_before(before)
}

/// Lines that say something: not blank and no comment.
fn meaningful<'t>(text: &'t str, comments: &'t [char]) -> impl Iterator<Item = &'t str> {
    text.lines().map(str::trim).filter(move |line| !line.is_empty() && !line.starts_with(comments))
}

/// Is the whole text read without a note? The strict half of a sniff.
fn reads(format: &Format, text: &str) -> bool {
    (format.parse)(text, &Limits::default()).1.is_empty()
}

fn entry(key: impl Into<CompactString>, at: Position, value: Tree) -> Entry {
    Entry { key: key.into(), at, value }
}

fn empty() -> Tree {
    Tree::Map(Vec::new())
}

fn note(at: Position, message: String) -> Note {
    Note { path: Path::default(), at, message }
}

fn too_large(text: &str, limits: &Limits) -> Option<Note> {
    (text.len() > limits.bytes).then(|| {
        note(Position::default(), format!("not read: {} bytes, more than the limit of {}", text.len(), limits.bytes))
    })
}
