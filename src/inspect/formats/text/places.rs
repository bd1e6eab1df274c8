//! Line and column of any byte of a text, in any order, for formats whose parser tells bytes only.
//!
//! Counting from the beginning for every value is quadratic, counting from the beginning of its line is so too for a
//! file of one line. So line and column are kept for every few hundred bytes, and a place is counted from the nearest.
//! Only `\n` ends a line; columns are characters; a byte order mark has none.

use super::super::super::tree::{Extent, Kind, Position, Scalar, Tree};

/// Bytes between two places that are kept.
const STRIDE: usize = 512;

/// See the module.
pub(in super::super) struct Places<'t> {
    text: &'t str,
    /// The place of the first character at or after every `STRIDE`-th byte, and that byte.
    kept: Vec<(usize, Position)>,
}

impl<'t> Places<'t> {
    pub(in super::super) fn new(text: &'t str) -> Self {
        let mut kept = Vec::with_capacity(text.len() / STRIDE);
        let mut at = Position { line: 1, column: 1 };
        for (offset, c) in text.char_indices() {
            if offset >= kept.len().saturating_mul(STRIDE) {
                kept.push((offset, at));
            }
            at = after(at, offset, c);
        }
        Places { text, kept }
    }

    /// The place of a byte.
    pub(in super::super) fn at(&self, offset: usize) -> Position {
        let nearest = self.kept.partition_point(|(kept, _)| *kept <= offset).checked_sub(1);
        let (start, at) =
            nearest.and_then(|i| self.kept.get(i)).copied().unwrap_or((0, Position { line: 1, column: 1 }));
        let between = self.text.get(start..offset.min(self.text.len())).unwrap_or("");
        between.char_indices().fold(at, |at, (ahead, c)| after(at, start.saturating_add(ahead), c))
    }

    /// The value that is written in these bytes.
    pub(in super::super) fn value(&self, text: String, kind: Kind, start: usize, end: usize) -> Tree {
        Tree::Scalar(Scalar { text, kind, at: self.at(start), extent: Extent::new(start, end) })
    }
}

/// The place after a character.
fn after(at: Position, offset: usize, c: char) -> Position {
    match c {
        '\n' => Position { line: at.line.saturating_add(1), column: 1 },
        '\u{feff}' if offset == 0 => at,
        _ => Position { column: at.column.saturating_add(1), ..at },
    }
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
            at = after(at, offset, c);
        }
        assert_eq!(places.at(text.len()), at);
        assert_eq!((at.line, at.column as usize), (4, line.chars().count() + 1));
        assert_eq!(Places::new("").at(0), Position { line: 1, column: 1 });
    }
}
