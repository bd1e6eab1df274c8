//! Goes through a text character by character and knows where it is: line, column and byte.
//!
//! The tokenizers of our own stand on it. `\n`, `\r\n` and a lone `\r` each end a line, and all three are given as
//! `\n`; a byte order mark at the beginning is passed over and counted in bytes only. A copy of a cursor is a bookmark.

use super::super::super::tree::{Extent, Kind, Position, Scalar, Tree};
use compact_str::CompactString;

/// A place in a text, and the text after it.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Cursor<'t> {
    pub(in super::super) rest: &'t str,
    pub(in super::super) at: Position,
    /// Bytes before `rest`.
    pub(in super::super) offset: usize,
}

impl<'t> Cursor<'t> {
    pub(in super::super) fn new(text: &'t str) -> Self {
        let rest = text.trim_start_matches('\u{feff}');
        let offset = text.len().saturating_sub(rest.len());
        Cursor { rest, at: Position { line: 1, column: 1 }, offset }
    }

    pub(in super::super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The next character, with every kind of line end given as `\n`.
    pub(in super::super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        if c == '\r' && chars.as_str().starts_with('\n') {
            chars.next();
        }
        self.move_to(chars.as_str());
        if matches!(c, '\n' | '\r') {
            self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
            return Some('\n');
        }
        self.at.column = self.at.column.saturating_add(1);
        Some(c)
    }

    /// The next `bytes`, which hold no end of a line and end where a character does.
    pub(in super::super) fn within_line(&mut self, bytes: usize) -> &'t str {
        let (text, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        let columns = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        self.at.column = self.at.column.saturating_add(columns);
        self.move_to(rest);
        text
    }

    /// `rest` is the end of what is left.
    fn move_to(&mut self, rest: &'t str) {
        self.offset = self.offset.saturating_add(self.rest.len().saturating_sub(rest.len()));
        self.rest = rest;
    }

    pub(in super::super) fn advance(&mut self, count: usize) {
        (0..count).for_each(|_| {
            self.next();
        });
    }

    pub(in super::super) fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        let text = self.rest.split(|c| !wanted(c)).next().unwrap_or("");
        let end = self.offset.saturating_add(text.len());
        // Most of what is passed over has no end of a line in it.
        let lines = text.rfind(['\n', '\r']).map_or(0, |last| last.saturating_add(1));
        let last_line = self.offset.saturating_add(lines);
        while self.offset < last_line {
            self.next();
        }
        self.within_line(end.saturating_sub(self.offset));
    }

    /// To the end of the line where only `\n` and `\r\n` end one; not over it.
    pub(in super::super) fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') && !self.rest.starts_with("\r\n") {
            self.next();
        }
    }

    /// Up to the end of the line, which is consumed and not returned.
    pub(in super::super) fn line(&mut self) -> &'t str {
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let line = self.within_line(end);
        self.next();
        line
    }

    /// The text from a bookmark up to here.
    pub(in super::super) fn since(&self, mark: &Cursor<'t>) -> &'t str {
        mark.rest.get(..self.offset.saturating_sub(mark.offset)).unwrap_or("")
    }

    /// The value that is written from here up to the byte `end`.
    pub(in super::super) fn value(&self, text: impl Into<CompactString>, kind: Kind, end: usize) -> Tree {
        Tree::Scalar(Scalar { text: text.into(), kind, at: self.at, extent: Extent::new(self.offset, end) })
    }
}
