//! Where a place inside of a value is in the document that holds the value.
//!
//! The text of a value went through quotes, escapes, indentation or folding before it was parsed again. The source
//! is read once more from the value's beginning as the character before it tells (quoted, plain), or line by line as
//! a block, each piece compared with the text, until the wanted one is reached. Where lines were folded only what is no
//! blank is compared, because that stays in its order. Where source and text part ways (a rare escape), the beginning of
//! the value is the answer: near, never wrong.
//!
//! Runs for findings only.

use super::tree::Position;

/// The place in `source` of `inner`, a place in `text`, the value that begins at `value_at` of `source`: near where
/// it cannot be told exactly.
pub(crate) fn outer(source: &str, value_at: Position, text: &str, inner: Position) -> Position {
    exact(source, value_at, text, inner).unwrap_or(value_at)
}

/// The same, or `None` where source and text part ways.
pub(crate) fn exact(source: &str, value_at: Position, text: &str, inner: Position) -> Option<Position> {
    let source = source.trim_start_matches('\u{feff}');
    let text = text.trim_start_matches('\u{feff}');
    let start = offset(source, value_at)?;
    let wanted = offset(text, inner)?;
    let (before, after) = source.split_at_checked(start).unwrap_or((source, ""));
    let next: fn(&str) -> Option<(char, usize)> = match before.chars().next_back() {
        Some('"') => escaped,
        Some('\'') => |rest| if rest.starts_with("''") { Some(('\'', 2)) } else { plain(rest) },
        _ => plain,
    };
    let at = |found: usize| position(source, start.saturating_add(found));
    follow(after, text, wanted, next)
        .map(at)
        .or_else(|| block(source, value_at, text, wanted))
        .or_else(|| folded(after, text, wanted, next).map(at))
}

/// Reads `source` with `next` (a character and its length in bytes) alongside `text` up to byte `wanted` of it.
fn follow(source: &str, text: &str, wanted: usize, next: fn(&str) -> Option<(char, usize)>) -> Option<usize> {
    let mut at = 0_usize;
    for expected in text.get(..wanted)?.chars() {
        let (c, length) = next(source.get(at..)?)?;
        if c != expected {
            return None;
        }
        at = at.saturating_add(length);
    }
    Some(at)
}

/// The same where lines were folded: blanks and line ends come and go (YAML 1.2.2, sections 6.5 and 8.1.3), everything
/// else stays in its order. The wanted byte has to be such.
fn folded(source: &str, text: &str, wanted: usize, next: fn(&str) -> Option<(char, usize)>) -> Option<usize> {
    let mut at = 0_usize;
    let mut skip = || loop {
        let rest = source.get(at..)?;
        // An escaped line end joins two lines of a quoted scalar.
        let (c, length) = if rest.starts_with("\\\n") { (' ', 2) } else { next(rest)? };
        let here = at;
        at = at.saturating_add(length);
        if !c.is_whitespace() {
            return Some((c, here));
        }
    };
    for expected in text.get(..wanted)?.chars().filter(|c| !c.is_whitespace()) {
        if skip()?.0 != expected {
            return None;
        }
    }
    let (c, here) = skip()?;
    text.get(wanted..)?.starts_with(c).then_some(here)
}

fn plain(rest: &str) -> Option<(char, usize)> {
    rest.chars().next().map(|c| (c, c.len_utf8()))
}

/// Escapes that JSON, YAML and dotenv share.
fn escaped(rest: &str) -> Option<(char, usize)> {
    let mut chars = rest.chars();
    let c = chars.next()?;
    if c != '\\' {
        return Some((c, c.len_utf8()));
    }
    Some(match chars.next()? {
        'n' => ('\n', 2),
        'r' => ('\r', 2),
        't' => ('\t', 2),
        'u' => (char::from_u32(u32::from_str_radix(rest.get(2..6)?, 16).ok()?)?, 6),
        c @ ('"' | '\\' | '/') => (c, 2),
        _ => return None,
    })
}

/// A literal block: every line of the text is a line of the source with indentation in front. The value's place is
/// that of its first line, blank or not, or of the first one that is not.
fn block(source: &str, value_at: Position, text: &str, wanted: usize) -> Option<Position> {
    let before = text.get(..wanted)?;
    let start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
    let line = before.matches('\n').count();
    let inner = text.get(start..)?.lines().next().unwrap_or("");
    let blank = text.lines().take_while(|line| line.trim().is_empty()).count();
    let first = usize::try_from(value_at.line).ok()?.checked_sub(1)?;
    [0, blank].iter().find_map(|skipped| {
        let number = first.saturating_add(line).checked_sub(*skipped)?;
        let indent = source.lines().nth(number)?.strip_suffix(inner)?;
        let column = indent.chars().count().saturating_add(before.get(start..)?.chars().count());
        let whole = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        indent.trim().is_empty().then(|| Position { line: whole(number), column: whole(column) })
    })
}

/// Places of bytes that are asked for in order, in one pass over the text.
pub(crate) struct Lines<'t> {
    text: &'t str,
    offset: usize,
    at: Position,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Lines { text, offset: 0, at: Position { line: 1, column: 1 } }
    }

    /// The place of a byte that is not before the last one.
    pub(crate) fn place(&mut self, offset: usize) -> Position {
        for c in self.text.get(self.offset..offset).unwrap_or("").chars() {
            if c == '\n' {
                self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
            } else {
                self.at.column = self.at.column.saturating_add(1);
            }
        }
        self.offset = self.offset.max(offset);
        self.at
    }

    /// The last place that was asked for.
    pub(crate) fn last(&self) -> Position {
        self.at
    }
}

/// The byte at a place.
pub(crate) fn offset(text: &str, at: Position) -> Option<usize> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let mut start = 0_usize;
    for _ in 0..line {
        start = start.saturating_add(text.get(start..)?.find('\n')?).saturating_add(1);
    }
    let rest = text.get(start..)?;
    let ahead = rest.char_indices().map(|(i, _)| i).chain([rest.len()]).nth(column)?;
    Some(start.saturating_add(ahead))
}

/// Bytes of the mark in front of a text, which no column counts.
pub(crate) fn mark(text: &str) -> usize {
    text.len().saturating_sub(text.trim_start_matches('\u{feff}').len())
}

/// The byte at a place, a byte order mark counted.
pub(crate) fn in_bytes(text: &str, at: Position) -> Option<usize> {
    Some(offset(text.trim_start_matches('\u{feff}'), at)?.saturating_add(mark(text)))
}

/// The place of a byte.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = before.rsplit('\n').next().unwrap_or("");
    Position {
        line: number(before.matches('\n').count()).saturating_add(1),
        column: number(line.chars().count()).saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of `what` in `text`, seen from `source`, where the value begins at the first `^` marker's place.
    fn check(source: &str, begins: &str, text: &str, what: &str, expected: (u32, u32)) {
        let value_at = position(source, source.find(begins).expect("begins"));
        let inner = position(text, text.find(what).expect("what"));
        let at = outer(source, value_at, text, inner);
        assert_eq!((at.line, at.column), expected, "{source:?}");
    }

    #[test]
    fn through_blocks_quotes_and_escapes() {
        let inner = "a: 1\njwt:\n  leeway: 0\n";
        check("x:\n  f.yml: |\n    a: 1\n    jwt:\n      leeway: 0\n", "a:", inner, "0", (5, 15));
        check("x:\r\n  f.yml: |-\r\n    a: 1\r\n    jwt:\r\n      leeway: 0\r\n", "a:", inner, "0", (5, 15));
        check("f: |\n\n  b: 0\n", "b:", "\nb: 0\n", "0", (3, 6));
        check("f: \"a: 1\\njwt:\\n  leeway: 0\\n\"", "a:", inner, "0", (1, 27));
        check("f: '{''k'': 0}'", "{", "{'k': 0}", "0", (1, 13));
        check("f: {\"k\": 0}", "{", "{\"k\": 0}", "0", (1, 10));
        check("é: \"\\u00e9=0\"", "\\u", "é=0", "0", (1, 12));
        check("{\"a\":\"{\\\"b\\\":0}\"}", "{\\", "{\"b\":0}", "0", (1, 14));
    }

    #[test]
    fn through_folded_lines() {
        check("f: >\n  a\n  b: 0\n", "a", "a b: 0\n", "0", (3, 6));
        check("f: >-\r\n  a\r\n\r\n  b: 0\r\n", "a", "a\nb: 0", "0", (4, 6));
        check("f: 'a\n\n  it''s: 0'", "a", "a\nit's: 0", "0", (3, 9));
        check("f: \"a\\\n   b=0\"", "a", "ab=0", "0", (2, 6));
        check("f: a\n  b 0\n", "a", "a b 0", "0", (2, 5));
    }

    #[test]
    fn where_the_way_is_lost_the_value_begins() {
        check("f: \"\\x41 0\"", "\\x", "A 0", "0", (1, 5));
    }
}
