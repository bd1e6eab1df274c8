//! The file formats that settings are looked for in.
//!
//! A format is a file here and a line in [`FORMATS`]. Its parser never fails: it returns what it could read and
//! notes about the rest. A document that its own product would refuse to load (broken JSON, broken YAML) yields
//! no settings, because nothing runs with them; a line format skips the line that it cannot read.
//!
//! Which format a text has is told by its name, and only without a telling name by its content, which is then
//! read strictly: scanner output, scripts and prose hold perfect matches and are no configuration.
//!
//! Does not know: Kubernetes, products, what a key means.

pub mod dotenv;
pub mod jaas;
pub mod json;
pub mod properties;
pub mod yaml;

use super::limits::Limits;
use super::tree::{Entry, Kind, Path, Position, Scalar, Tree};
use crate::inspect::Note;

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
}

/// One format.
pub struct Format {
    /// Its name in fixtures and notes.
    pub name: &'static str,
    /// How it writes a setting.
    pub notation: Notation,
    /// Endings of file names, lower case, without the dot.
    pub extensions: &'static [&'static str],
    /// Could a text without a telling name be this? Asked in the order of [`FORMATS`]; a yes is checked by parsing.
    pub sniff: fn(&str) -> bool,
    /// What could be read, and notes about what could not.
    pub parse: fn(&str, &Limits) -> (Tree, Vec<Note>),
}

/// Every format, in the order in which contents are tried.
pub const FORMATS: &[Format] = &[json::FORMAT, dotenv::FORMAT, properties::FORMAT, yaml::FORMAT, jaas::FORMAT];

/// Endings of files that hold settings of other kinds, or none: scripts, sources, prose, keys, templates. What
/// matches in there is text about settings, not a setting.
const FOREIGN: &[&str] = &[
    "sh",
    "bash",
    "zsh",
    "ps1",
    "bat",
    "cmd",
    "py",
    "rb",
    "pl",
    "php",
    "js",
    "mjs",
    "cjs",
    "ts",
    "tsx",
    "jsx",
    "go",
    "rs",
    "java",
    "kt",
    "groovy",
    "scala",
    "cs",
    "c",
    "h",
    "cpp",
    "lua",
    "sql",
    "md",
    "rst",
    "adoc",
    "txt",
    "log",
    "out",
    "html",
    "htm",
    "css",
    "svg",
    "csv",
    "tsv",
    "tpl",
    "tmpl",
    "gotmpl",
    "j2",
    "jinja",
    "jinja2",
    "erb",
    "mustache",
    "ftl",
    "pem",
    "crt",
    "key",
    "cer",
    "pub",
    "lock",
    "diff",
    "patch",
    "xsd",
    "proto",
    "graphql",
    "feature",
    "ipynb",
    "xml",
    "toml",
    "hcl",
    "tf",
    "nginx",
    "vcl",
    "rego",
    "cue",
    "jsonnet",
    "libsonnet",
    "star",
];

/// Beginnings of names of files that people read.
const PROSE: &[&str] = &["readme", "license", "changelog", "notice", "notes"];

/// The format of a text, by its file name (or entry name) first and by its content otherwise. `None`: not a
/// format that we read.
#[must_use]
pub fn detect(name: Option<&str>, text: &str) -> Option<&'static Format> {
    if let Some(name) = name {
        if let Some(format) = by_name(name) {
            return Some(format);
        }
        if is_foreign(name) {
            return None;
        }
    }
    let text = text.trim_start_matches('\u{feff}');
    if text.starts_with("#!") {
        return None;
    }
    FORMATS.iter().find(|format| (format.sniff)(text))
}

/// Does the name tell that the text is no configuration that we read?
#[must_use]
pub fn is_foreign(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    extension(&base).is_some_and(|ending| FOREIGN.contains(&ending))
        || PROSE.iter().any(|start| base.starts_with(start))
}

/// The format that a file name tells, if it tells one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Format> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    if base == ".env" || base.starts_with(".env.") || base == "env" {
        return Some(&dotenv::FORMAT);
    }
    let ending = extension(&base)?;
    FORMATS.iter().find(|format| format.extensions.contains(&ending))
}

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| !ending.is_empty())
}

/// Lines that say something: not blank and no comment.
fn meaningful<'t>(text: &'t str, comments: &'t [char]) -> impl Iterator<Item = &'t str> {
    text.lines().map(str::trim).filter(move |line| !line.is_empty() && !line.starts_with(comments))
}

fn text_at(text: String, at: Position) -> Tree {
    Tree::Scalar(Scalar { text, kind: Kind::Text, at })
}

fn entry(key: String, at: Position, value: Tree) -> Entry {
    Entry { key, at, value }
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

/// Characters of a text with their places; `\n`, `\r\n` and a lone `\r` each end a line.
struct Cursor<'t> {
    rest: &'t str,
    at: Position,
}

impl<'t> Cursor<'t> {
    fn new(text: &'t str) -> Self {
        Cursor { rest: text.trim_start_matches('\u{feff}'), at: Position { line: 1, column: 1 } }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The next character, with every kind of line end given as `\n`.
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        if c == '\r' && chars.as_str().starts_with('\n') {
            chars.next();
        }
        self.rest = chars.as_str();
        if matches!(c, '\n' | '\r') {
            self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
            return Some('\n');
        }
        self.at.column = self.at.column.saturating_add(1);
        Some(c)
    }

    fn advance(&mut self, count: usize) {
        (0..count).for_each(|_| {
            self.next();
        });
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    /// Up to the end of the line, which is consumed and not returned.
    fn line(&mut self) -> &'t str {
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.next();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format_and_contents_do_where_names_do_not() {
        let check = |name: Option<&str>, text: &str, expected: Option<&str>| {
            assert_eq!(detect(name, text).map(|f| f.name), expected, "{name:?} {text:?}");
        };
        check(Some("application.yml"), "", Some("yaml"));
        check(Some("App.JSON"), "", Some("json"));
        check(Some("a/b/.env.production"), "", Some("dotenv"));
        check(Some("broker.conf"), "a=1\nb.c=2\n", Some("properties"));
        check(Some("app.conf"), "[auth]\nleeway = 0\n", None);
        check(Some("app.conf"), "auth { leeway = 0 }\n", None);
        check(Some("README"), "jwt:\n  leeway: 0\n", None);
        check(Some("run.sh"), "export JWT_LEEWAY=0\n", None);
        check(Some("entry"), "#!/bin/sh\nexport JWT_LEEWAY=0\n", None);
        check(None, "JWT_LEEWAY=0\nexport B='1'\n", Some("dotenv"));
        check(None, "# c\njwt:\n  leeway: 0\n", Some("yaml"));
        check(None, "  {\"a\": 1}", Some("json"));
        check(None, "Host is up.\n|_clock-skew: 0s\n", None);
        check(None, "just a word", None);
    }
}
