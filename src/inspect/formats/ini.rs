//! INI: `[section]`, `key = value` or `key: value`, as Python's configparser, PHP, MySQL, systemd and git read it.
//!
//! They differ in detail; this takes what they have in common, and where they differ what cannot raise a false alarm.
//! Lines that begin with `#` or `;` are comments, and so is what follows one of these and a blank after a value. A
//! line that is indented deeper than the key above it continues that value (configparser). Sections of one name are
//! one section, and a repeated key keeps both values, of which the last one holds (PHP, MySQL, git; configparser
//! refuses the file). In a unit of systemd a backslash at the end of a line continues it. A line that is none of this is
//! passed over with a note. Does not know: names of sections that mean paths (`[a.b]` is one key), escapes, interpolation.
//!
//! Source: <https://docs.python.org/3/library/configparser.html#supported-ini-file-structure>,
//! parse_ini_file of the PHP manual, git-config(1), systemd.syntax(7).

use super::text::{Block, Cursor, Section};
use super::{Format, Notation, empty, meaningful, note, reads, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Position, Tree};
use compact_str::CompactString;

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "ini",
    notation: Notation::Plain,
    // Units of systemd too: services, and containers of Podman.
    extensions: &["ini", "service", "container"],
    names: &["airflow.cfg", "setup.cfg", "my.cnf", ".gitconfig"],
    sniff,
    parse,
};

/// Begins with a section, and has a value.
fn sniff(text: &str) -> bool {
    let lines = || meaningful(text, &['#', ';']);
    let is_section = |line: &str| {
        let name = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).unwrap_or("");
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !name.contains(['[', ']', '{', ',', '='])
    };
    lines().next().is_some_and(is_section)
        && lines().any(|line| !line.starts_with('[') && line.contains('='))
        && lines().all(|line| !line.starts_with('[') || is_section(line))
        && reads(&FORMAT, text)
}

/// Faults that are told one by one.
const NOTES: usize = 10;

/// What was read, and the section that is being read.
#[derive(Default)]
struct File {
    root: Block,
    section: Option<Section>,
}

impl File {
    fn value(&mut self, key: &str, at: Position, value: Tree) {
        match self.section {
            Some(section) => self.root.value_in(section, key, at, value),
            None => self.root.value(key, at, value),
        }
    }
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut file = File::default();
    let mut is_unit = false;
    let mut notes = Vec::new();
    let mut unread = 0_usize;
    let mut nodes = 0_usize;
    let mut cursor = Cursor::new(text);
    while !cursor.rest.is_empty() {
        let start = cursor;
        cursor.skip_while(is_blank);
        let at = cursor.at;
        if nodes >= limits.nodes {
            notes.push(note(at, format!("the rest was not read: more than {} entries", limits.nodes)));
            break;
        }
        match cursor.peek() {
            None => break,
            Some('#' | ';' | '\n' | '\r') => {
                cursor.line();
                continue;
            }
            Some('[') => {
                let line = cursor.line();
                if let Some(name) = section_name(line) {
                    is_unit |= UNIT.contains(&name);
                    file.section = Some(file.root.section(name, at));
                    nodes = nodes.saturating_add(1);
                    continue;
                }
            }
            Some(_) => {
                let indent = cursor.since(&start).chars().count();
                // Other lines of a unit have no quotes, comments or ends that matter here.
                let is_line = is_unit && ["Environment", "Exec"].iter().any(|start| cursor.rest.starts_with(start));
                if (is_line && unit_line(&mut cursor, &mut file)) || setting(&mut cursor, indent, &mut file) {
                    nodes = nodes.saturating_add(1);
                    continue;
                }
            }
        }
        unread = unread.saturating_add(1);
        if unread <= NOTES {
            notes.push(note(at, "a line was not read: neither a section, a setting nor a comment".to_owned()));
        }
    }
    if unread > NOTES {
        notes.push(note(cursor.at, format!("{unread} lines were not read in all")));
    }
    (file.root.done(), notes)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}' | '\u{b}')
}

/// `name` of `[name]`; a comment may follow.
fn section_name(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim();
    (!name.trim().is_empty() && (rest.is_empty() || rest.starts_with(['#', ';']))).then_some(name.trim())
}

/// Reads a line with a key, and the lines that continue it; says whether it was one.
fn setting(cursor: &mut Cursor<'_>, indent: usize, into: &mut File) -> bool {
    let at = cursor.at;
    let mut end = *cursor;
    end.skip_while(|c| !matches!(c, '=' | ':' | '\n' | '\r'));
    let key = end.since(cursor).trim_end();
    if key.is_empty() || !matches!(end.peek(), Some('=' | ':')) {
        // A key alone is a switch for MySQL and git, and nothing that has a value.
        let line = cursor.line();
        return !line.trim_end().contains(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    }
    *cursor = end;
    cursor.next();
    cursor.skip_while(is_blank);
    let quote = cursor.peek().filter(|c| matches!(c, '"' | '\'')).filter(|quote| is_quoted(cursor.rest, *quote));
    if quote.is_some() {
        cursor.next();
    }
    let begin = *cursor;
    let line = cursor.line();
    let first = match quote {
        Some(quote) => line.split(quote).next().unwrap_or(""),
        None => without_comment(line),
    };
    let mut value = CompactString::from(first);
    let mut last = begin.offset.saturating_add(first.len());
    while quote.is_none() {
        let mut next = *cursor;
        next.skip_while(is_blank);
        let deeper = next.since(cursor).chars().count() > indent;
        match next.peek() {
            Some('\n' | '\r') | None => break,
            Some(_) if !deeper => break,
            Some('#' | ';') => {
                cursor.line();
            }
            Some(_) => {
                let line = without_comment(next.rest.split(['\n', '\r']).next().unwrap_or(""));
                value.push('\n');
                value.push_str(line);
                last = next.offset.saturating_add(line.len());
                cursor.line();
            }
        }
    }
    into.value(key, at, begin.value(value, Kind::Text, last));
    true
}

/// Sections of a unit of systemd that hold variables and commands.
const UNIT: &[&str] = &["Service", "Container", "Socket", "Mount", "Swap"];

/// A line of a unit with variables or a command, if it is one: quotes and comments are the value's, and a backslash at the
/// end of a line continues it. The value is what stands there.
fn unit_line(cursor: &mut Cursor<'_>, into: &mut File) -> bool {
    let at = cursor.at;
    let mut end = *cursor;
    end.skip_while(|c| !matches!(c, '=' | '\n' | '\r'));
    let key = end.since(cursor).trim_end();
    if end.peek() != Some('=') {
        return false;
    }
    *cursor = end;
    cursor.next();
    cursor.skip_while(is_blank);
    let begin = *cursor;
    loop {
        let line = cursor.line();
        if !line.trim_end_matches('\r').ends_with('\\') || cursor.rest.is_empty() {
            break;
        }
    }
    let text = cursor.since(&begin).trim_end();
    into.value(key, at, begin.value(text, Kind::Text, begin.offset.saturating_add(text.len())));
    true
}

/// Is the quote closed at the end of its line, or before a comment?
fn is_quoted(rest: &str, quote: char) -> bool {
    let line = rest.split(['\n', '\r']).next().unwrap_or("");
    let mut parts = line.splitn(3, quote);
    let after = parts.nth(2).map(str::trim);
    after.is_some_and(|after| after.is_empty() || after.starts_with(['#', ';']))
}

/// The value, without a comment after a blank.
fn without_comment(line: &str) -> &str {
    let is_comment = |at: &usize| line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(is_blank));
    let comment = line.match_indices(['#', ';']).map(|(at, _)| at).find(is_comment);
    comment.and_then(|at| line.get(..at)).unwrap_or(line).trim_end()
}
