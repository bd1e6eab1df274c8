//! Java properties: `key=value`, `key: value`, `key value`, one a line.
//!
//! Comments start with `#` or `!`; a backslash at the end of a line continues it; `\uXXXX` and single-letter
//! escapes are resolved. There are no trailing comments: `a=0 # none` has the value `0 # none`. Keys stay flat
//! (`jwt.clock-skew`); the walk shows them as a path. Files of options for a Java virtual machine set properties too,
//! with `-D` in front of each; their other options are keys of nothing.
//!
//! Source: java.util.Properties, `load(Reader)`.

use super::text::Cursor;
use super::{Format, Notation, empty, entry, meaningful, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Tree};
use compact_str::CompactString;

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "properties",
    notation: Notation::Properties,
    extensions: &["properties", "vmoptions"],
    names: &["jvm.config", "jvm.options"],
    sniff,
    parse,
};

fn sniff(text: &str) -> bool {
    let mut lines = 0_usize;
    let mut continued = false;
    for line in meaningful(text, &['#', '!']) {
        if !continued {
            let Some((key, _)) = line.split_once('=') else { return false };
            let key = key.trim();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '[' | ']');
            if key.is_empty() || key.starts_with(['[', '-']) || !key.chars().all(plain) {
                return false;
            }
            lines = lines.saturating_add(1);
        }
        continued = line.ends_with('\\');
    }
    lines > 0
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut notes = Vec::new();
    let (mut documents, mut entries, mut count) = (Vec::new(), Vec::new(), 0_usize);
    let mut cursor = Cursor::new(text);
    loop {
        cursor.skip_while(|c| c.is_ascii_whitespace() || c == '\u{c}');
        let at = cursor.at;
        match cursor.peek() {
            None => break,
            Some('#' | '!') => {
                let line = cursor.rest.split(['\n', '\r']).next().unwrap_or("").trim_end();
                if at.column == 1 && matches!(line, "#---" | "!---") && !entries.is_empty() {
                    documents.push(Tree::Map(std::mem::take(&mut entries)));
                }
                cursor.line();
                continue;
            }
            Some(_) => {}
        }
        count = count.saturating_add(1);
        if count > limits.nodes {
            notes.push(note(at, format!("the rest was not read: more than {} entries", limits.nodes)));
            break;
        }
        // The `D` is no part of the name.
        cursor.advance(if cursor.rest.starts_with("-D") { 2 } else { 0 });
        let key = part(&mut cursor, |rest| rest.bytes().position(ends_key));
        blanks(&mut cursor);
        if matches!(cursor.peek(), Some('=' | ':')) {
            cursor.next();
            blanks(&mut cursor);
        }
        let begin = cursor;
        let value = part(&mut cursor, |rest| memchr::memchr3(b'\n', b'\r', b'\\', rest.as_bytes()));
        entries.push(entry(key, at, begin.value(value, Kind::Text, cursor.offset)));
        cursor.next();
    }
    if documents.is_empty() {
        return (Tree::Map(entries), notes);
    }
    documents.push(Tree::Map(entries));
    (Tree::List(documents), notes)
}

/// Blanks, and line ends that a backslash takes back.
fn blanks(cursor: &mut Cursor<'_>) {
    loop {
        cursor.skip_while(|c| matches!(c, ' ' | '\t' | '\u{c}'));
        if !cursor.rest.starts_with("\\\n") && !cursor.rest.starts_with("\\\r") {
            return;
        }
        cursor.next();
        cursor.next();
    }
}

fn ends_key(byte: u8) -> bool {
    matches!(byte, b'=' | b':' | b' ' | b'\t' | b'\x0c' | b'\n' | b'\r' | b'\\')
}

/// Up to an unescaped end, which is not consumed, escapes resolved. `end` finds the next end or backslash.
fn part<'t>(cursor: &mut Cursor<'t>, end: impl Fn(&str) -> Option<usize>) -> CompactString {
    let piece = |cursor: &mut Cursor<'t>| cursor.within_line(end(cursor.rest).unwrap_or(cursor.rest.len()));
    // Most have no escapes, and are copied at once.
    let mut out = CompactString::from(piece(cursor));
    while cursor.peek() == Some('\\') {
        cursor.next();
        match cursor.next() {
            None => {}
            Some('\n') => cursor.skip_while(|c| matches!(c, ' ' | '\t' | '\u{c}')),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let code = cursor.rest.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                // Half a surrogate pair is no character; it cannot be part of a key or a number.
                out.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
                if code.is_some() {
                    cursor.advance(4);
                }
            }
            Some(other) => out.push(other),
        }
        out.push_str(piece(cursor));
    }
    out
}
