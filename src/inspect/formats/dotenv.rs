//! Environment files: `KEY=value`, one a line, as docker, compose and the dotenv libraries read them.
//!
//! They differ in detail; this takes what they have in common: an `export` in front, blanks around the sign,
//! single, double and back quotes that may span lines, ` # comments` after unquoted values. A quote that is never
//! closed is taken as a character of its one line, with a note.

use super::text::Cursor;
use super::{Format, Notation, empty, entry, meaningful, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Tree};

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "dotenv", notation: Notation::Dotenv, extensions: &["env"], names: &[".env", "env"], sniff, parse };

fn sniff(text: &str) -> bool {
    let mut lines = 0_usize;
    let all = meaningful(text, &['#']).all(|line| {
        lines = lines.saturating_add(1);
        let line = line.strip_prefix("export ").unwrap_or(line);
        line.split_once('=').is_some_and(|(key, _)| is_name(key.trim_end()))
    });
    all && lines > 0
}

/// Only upper case: lower case without a telling file name is properties, which are read alike anyway.
fn is_name(key: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !key.is_empty() && key.chars().all(upper) && !key.starts_with(|c: char| c.is_ascii_digit())
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut notes = Vec::new();
    let mut entries = Vec::new();
    let mut cursor = Cursor::new(text);
    // Once a quote was found to have no end, no later one of its kind has one either: looked for only once.
    let mut endless = Vec::new();
    loop {
        cursor.skip_while(|c| c.is_ascii_whitespace());
        if cursor.rest.starts_with("export ") || cursor.rest.starts_with("export\t") {
            cursor.advance(7);
            cursor.skip_while(|c| matches!(c, ' ' | '\t'));
        }
        let at = cursor.at;
        match cursor.peek() {
            None => break,
            Some('#') => {
                cursor.line();
                continue;
            }
            Some(_) => {}
        }
        if entries.len() >= limits.nodes {
            notes.push(note(at, format!("the rest was not read: more than {} entries", limits.nodes)));
            break;
        }
        let end = cursor.rest.find(['=', '\n', '\r']).unwrap_or(cursor.rest.len());
        let key = cursor.rest.get(..end).unwrap_or("").trim_end().to_owned();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let is_assignment = cursor.rest.get(end..).is_some_and(|rest| rest.starts_with('='));
        if !is_assignment || key.is_empty() || !key.chars().all(is_name) {
            // A name alone takes its value from outside; anything else is a comment of another kind.
            cursor.line();
            continue;
        }
        while cursor.next().is_some_and(|c| c != '=') {}
        cursor.skip_while(|c| matches!(c, ' ' | '\t'));
        let value = match cursor.peek() {
            Some(quote @ ('"' | '\'' | '`')) if !endless.contains(&quote) => {
                let open = cursor;
                cursor.next();
                let inside = cursor;
                if let Some(value) = quoted(&mut cursor, quote) {
                    let end = cursor.offset.saturating_sub(1);
                    cursor.line();
                    inside.value(value, Kind::Text, end)
                } else {
                    endless.push(quote);
                    notes.push(note(open.at, format!("a {quote} that is never closed; read as part of its line")));
                    cursor = open;
                    plain(&mut cursor)
                }
            }
            _ => plain(&mut cursor),
        };
        entries.push(entry(key, at, value));
    }
    (Tree::Map(entries), notes)
}

fn plain(cursor: &mut Cursor<'_>) -> Tree {
    let begin = *cursor;
    let line = cursor.line();
    let comment = line
        .match_indices('#')
        .find(|(i, _)| line.get(..*i).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t'])));
    let value = comment.and_then(|(i, _)| line.get(..i)).unwrap_or(line).trim_end();
    begin.value(value, Kind::Text, begin.offset.saturating_add(value.len()))
}

/// The text up to the closing quote, which is consumed; `None` where there is none.
fn quoted(cursor: &mut Cursor<'_>, quote: char) -> Option<String> {
    let mut out = String::new();
    loop {
        match cursor.next()? {
            c if c == quote => return Some(out),
            '\\' if quote == '"' => match cursor.next()? {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => out.push(c),
                other => out.extend(['\\', other]),
            },
            c => out.push(c),
        }
    }
}
