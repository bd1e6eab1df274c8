//! Line and column of any byte of a text, in any order, for formats whose parser tells bytes only.
//!
//! Counting from the beginning for every value is quadratic, counting from the beginning of its line is so too for a
//! file of one line. So line and column are kept for every few hundred bytes, and a place is counted from the nearest, or
//! from the one that was asked for before: most are asked for in order.
//! Only `\n` ends a line; columns are characters; a byte order mark has none.

use super::super::super::tree::{Extent, Kind, Position, Scalar, Tree};
use compact_str::CompactString;
use std::cell::Cell;

/// Bytes between two places that are kept.
const STRIDE: usize = 512;

/// The place of the first byte.
const FIRST: (usize, Position) = (0, Position { line: 1, column: 1 });

/// See the module.
pub(in super::super) struct Places<'t> {
    text: &'t str,
    /// The place of the first character at or after every `STRIDE`-th byte, and that byte.
    kept: Vec<(usize, Position)>,
    /// What was asked for last, at the beginning of a character.
    last: Cell<(usize, Position)>,
}

impl<'t> Places<'t> {
    pub(in super::super) fn new(text: &'t str) -> Self {
        let mut kept = Vec::with_capacity(text.len() / STRIDE);
        let (mut offset, mut at) = FIRST;
        while offset < text.len() {
            kept.push((offset, at));
            let wanted = kept.len().saturating_mul(STRIDE);
            let next = (wanted..).find(|byte| text.is_char_boundary(*byte) || *byte >= text.len()).unwrap_or(wanted);
            at = after(at, offset, text.get(offset..next.min(text.len())).unwrap_or(""));
            offset = next;
        }
        Places { text, kept, last: Cell::new(FIRST) }
    }

    /// The place of a byte.
    pub(in super::super) fn at(&self, offset: usize) -> Position {
        let mut nearest = self.kept.get(offset / STRIDE).filter(|(kept, _)| *kept <= offset);
        // A character that stands across a stride's beginning puts off what is kept by some bytes.
        nearest = nearest.or_else(|| self.kept.get((offset / STRIDE).checked_sub(1)?));
        let nearest = nearest.or_else(|| self.kept.last()).copied().unwrap_or(FIRST);
        let (start, at) =
            Some(self.last.get()).filter(|(last, _)| (nearest.0..=offset).contains(last)).unwrap_or(nearest);
        let Some(text) = self.text.get(start..offset.min(self.text.len())) else { return at };
        let at = after(at, start, text);
        self.last.set((start.saturating_add(text.len()), at));
        at
    }

    /// The value that is written in these bytes.
    pub(in super::super) fn value(&self, text: impl Into<CompactString>, kind: Kind, start: usize, end: usize) -> Tree {
        Tree::Scalar(Scalar { text: text.into(), kind, at: self.at(start), extent: Extent::new(start, end) })
    }
}

/// The place after a text that begins at `at`, which is the byte `offset`.
fn after(at: Position, offset: usize, text: &str) -> Position {
    let (at, last_line) = match memchr::memrchr(b'\n', text.as_bytes()) {
        None if offset == 0 => (at, text.strip_prefix('\u{feff}').unwrap_or(text)),
        None => (at, text),
        Some(end) => {
            let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
            let line = at.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            (Position { line, column: 1 }, text.get(end.saturating_add(1)..).unwrap_or(""))
        }
    };
    let columns = u32::try_from(last_line.chars().count()).unwrap_or(u32::MAX);
    Position { column: at.column.saturating_add(columns), ..at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_the_place_that_counting_gives() {
        let line = "é\tclock=0 ".repeat(80);
        let text = format!("\u{feff}{line}\r\n\n{line}\n{line}");
        let places = Places::new(&text);
        let mut at = Position { line: 1, column: 1 };
        for (offset, c) in text.char_indices() {
            assert_eq!(places.at(offset), at, "byte {offset}");
            at = match c {
                '\n' => Position { line: at.line + 1, column: 1 },
                '\u{feff}' if offset == 0 => at,
                _ => Position { column: at.column + 1, ..at },
            };
        }
        assert_eq!(places.at(text.len()), at);
        // Whatever was asked for before: backwards, and in leaps.
        let all: Vec<(usize, Position)> =
            text.char_indices().map(|(offset, _)| (offset, Places::new(&text).at(offset))).collect();
        for step in [1, 7, 100, 333] {
            for (offset, at) in all.iter().rev().step_by(step).chain(all.iter().step_by(step)) {
                assert_eq!(places.at(*offset), *at, "byte {offset}");
            }
        }
        assert_eq!((at.line, at.column as usize), (4, line.chars().count() + 1));
        assert_eq!(Places::new("").at(0), Position { line: 1, column: 1 });
    }
}
