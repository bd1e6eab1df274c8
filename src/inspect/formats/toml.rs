//! TOML, with the place of every leaf.
//!
//! `toml_parser`, on which the `toml` crate is built that reads our own catalogue, tells what follows on what; the tree
//! is made of that in one go. What TOML forbids (a key twice, a table twice) makes the whole file invalid: no product
//! runs with it, so it yields no settings and a note; `names` keeps the books. A dotted key is one key, as in properties,
//! and not a map for each of its parts: a megabyte of them takes a third of the time. What is asked of whole keys above a
//! setting (`example`, `labels`, `features`, a value with its unit) is therefore not answered for its parts yet.
//! The `_` between digits is left out of a number.
//!
//! Source: <https://toml.io/en/v1.0.0>.

mod names;

use super::text::Places;
use super::{Format, Notation, empty, entry, meaningful, note, reads, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Entry, Kind, Position, Tree};
use compact_str::CompactString;
use names::{Names, TableId};
use std::borrow::Cow;
use toml::value::Datetime;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::{Lexer, Token, TokenKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Source, Span};

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "toml", notation: Notation::Assignment, extensions: &["toml"], names: &["pipfile"], sniff, parse };

/// Levels of arrays and inline tables, and parts of a key: what the `toml` crate allows.
const DEPTH: u32 = 80;

/// Tokens that are parsed at once.
const PIECE: usize = 1024;

/// Bytes of a line, about.
const LINE: usize = 32;

/// Begins like a table or an assignment, and all of it is TOML.
fn sniff(text: &str) -> bool {
    let first = meaningful(text, &['#']).next().unwrap_or("");
    (first.starts_with('[') || first.contains('=')) && reads(&FORMAT, text)
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    read(text, limits, PIECE)
}

fn read(text: &str, limits: &Limits, piece: usize) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    // The parser knows no mark at the beginning; cut off, its spans are short by that much.
    let rest = text.trim_start_matches('\u{feff}');
    let mark = text.len().saturating_sub(rest.len());
    let source = Source::new(rest);
    let mut reader = Reader::new(text, mark, source, limits);
    let mut error: Option<ParseError> = None;
    {
        let mut whitespace = ValidateWhitespace::new(&mut reader, source);
        let mut guard = RecursionGuard::new(&mut whitespace, DEPTH);
        let mut lexer = source.lex();
        let mut tokens: Vec<Token> = Vec::new();
        while error.is_none() && next_piece(&mut lexer, piece, &mut tokens) {
            parse_document(&tokens, &mut guard, &mut error);
        }
    }
    match error {
        None => (reader.tree(), Vec::new()),
        Some(error) => {
            let at = error.unexpected().map_or_else(Position::default, |span| reader.place(span.start()));
            (empty(), vec![note(at, format!("not TOML: {}", said(&error)))])
        }
    }
}

/// The tokens of the next lines, so many or a few more: the parser wants them in one piece, and for all of a large file
/// they take eight times as much memory as the file. A line that ends outside of all brackets ends a statement.
fn next_piece(lexer: &mut Lexer<'_>, piece: usize, tokens: &mut Vec<Token>) -> bool {
    tokens.clear();
    let mut open = 0_i64;
    for token in lexer {
        tokens.push(token);
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => open = open.saturating_add(1),
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => open = open.saturating_sub(1),
            TokenKind::Newline if open <= 0 && tokens.len() >= piece => break,
            _ => {}
        }
    }
    !tokens.is_empty()
}

/// What the parser says, on one line.
fn said(error: &ParseError) -> String {
    let expected = error.expected().map(|expected| {
        let each = expected.iter().map(|expected| match expected {
            Expected::Literal("\n") => "a new line".to_owned(),
            Expected::Literal(text) => format!("`{text}`"),
            Expected::Description(text) => (*text).to_owned(),
            _ => "something else".to_owned(),
        });
        each.collect::<Vec<_>>().join(", ")
    });
    let expected = expected.filter(|expected| !expected.is_empty());
    let expected = expected.map_or_else(String::new, |expected| format!(", expected {expected}"));
    format!("{}{expected}", error.description()).replace('\n', ", ")
}

/// A key that waits for its value.
type Pending = Option<(CompactString, Position)>;

/// What a value stands in.
enum Frame {
    /// `{…}`
    Inline { table: TableId, key: Pending, entries: Vec<Entry> },
    /// `[…]`
    Array(Vec<Tree>),
}

/// A table with a header, or what is above all of them.
struct Table {
    entries: Vec<Entry>,
    /// Where it stands.
    home: Option<Home>,
}

/// An entry of another table, and which item of it.
struct Home {
    table: TableId,
    entry: usize,
    item: Option<usize>,
}

/// Makes a tree of what the parser tells.
struct Reader<'t> {
    /// Bytes of a mark in front of what the spans count.
    mark: usize,
    source: Source<'t>,
    places: Places<'t>,
    limits: &'t Limits,
    nodes: usize,
    names: Names<'t>,
    /// By the number that `names` gives them.
    tables: Vec<Table>,
    /// The one whose header was last.
    current: TableId,
    /// The parts of the key that is being read.
    parts: Vec<(Cow<'t, str>, Span)>,
    key: Pending,
    frames: Vec<Frame>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, mark: usize, source: Source<'t>, limits: &'t Limits) -> Self {
        Reader {
            mark,
            source,
            places: Places::new(text),
            limits,
            nodes: 0,
            names: Names::new(text.len() / LINE),
            tables: vec![Table { entries: Vec::new(), home: None }],
            current: TableId::ROOT,
            parts: Vec::new(),
            key: None,
            frames: Vec::new(),
        }
    }

    /// All tables, each in its place.
    fn tree(mut self) -> Tree {
        // A table is made after the one that it stands in.
        while let Some(Table { entries, home }) = self.tables.pop() {
            let Some(home) = home else {
                if self.tables.is_empty() {
                    return Tree::Map(entries);
                }
                continue;
            };
            let entry = self.tables.get_mut(home.table.number()).and_then(|table| table.entries.get_mut(home.entry));
            match (entry.map(|entry| &mut entry.value), home.item) {
                (Some(Tree::List(items)), Some(item)) => {
                    if let Some(place) = items.get_mut(item) {
                        *place = Tree::Map(entries);
                    }
                }
                (Some(place), None) => *place = Tree::Map(entries),
                _ => {}
            }
        }
        empty()
    }

    fn place(&self, offset: usize) -> Position {
        self.places.at(offset.saturating_add(self.mark))
    }

    /// One value more, at this depth.
    fn count(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes == self.limits.nodes.saturating_add(1) {
            error
                .report_error(ParseError::new(format!("more than {} values", self.limits.nodes)).with_unexpected(span));
        }
    }

    /// The key as one: its parts, with dots between them.
    fn joined(&self) -> CompactString {
        let (Some((first, begin)), Some((_, end))) = (self.parts.first(), self.parts.last()) else {
            return CompactString::default();
        };
        if self.parts.len() == 1 {
            return CompactString::from(first.as_ref());
        }
        let written = self.source.input().get(begin.start()..end.end()).unwrap_or("");
        // Without quotes and blanks it stands there as it is.
        let length = self.parts.iter().map(|(part, _)| part.len().saturating_add(1)).sum::<usize>().saturating_sub(1);
        if written.len() == length && !written.contains(['"', '\'']) {
            return CompactString::from(written);
        }
        let mut key = CompactString::with_capacity(length);
        for (number, (part, _)) in self.parts.iter().enumerate() {
            key.push_str(if number == 0 { "" } else { "." });
            key.push_str(part);
        }
        key
    }

    /// The key is complete, and its value follows.
    fn keyed(&mut self, error: &mut dyn ErrorSink) {
        let at = self.parts.first().map_or_else(Position::default, |(_, span)| self.place(span.start()));
        let key = Some((self.joined(), at));
        let (table, pending) = match self.frames.last_mut() {
            Some(Frame::Inline { table, key, .. }) => (*table, key),
            _ => (self.current, &mut self.key),
        };
        *pending = key;
        self.names.value(table, self.parts.drain(..), error);
        self.grown();
    }

    /// Tables that are known by name only have no entries.
    fn grown(&mut self) {
        self.tables.resize_with(self.names.tables(), || Table { entries: Vec::new(), home: None });
    }

    /// Puts a value where it belongs.
    fn put(&mut self, value: Tree) {
        let (entries, key) = match self.frames.last_mut() {
            Some(Frame::Array(items)) => return items.push(value),
            Some(Frame::Inline { key, entries, .. }) => (Some(entries), key),
            None => (self.tables.get_mut(self.current.number()).map(|table| &mut table.entries), &mut self.key),
        };
        if let (Some(entries), Some((key, at))) = (entries, key.take()) {
            entries.push(entry(key, at, value));
        }
    }

    /// A header is complete: what follows stands in its table.
    fn header(&mut self, is_array: bool, error: &mut dyn ErrorSink) {
        let Some((last, span)) = self.parts.pop() else { return };
        self.count(span, error);
        let mut table = TableId::ROOT;
        for (part, span) in std::mem::take(&mut self.parts) {
            let (name, at) = (CompactString::from(part.as_ref()), self.place(span.start()));
            let Some(below) = self.names.through(table, (part, span), error) else { return };
            self.grown();
            self.show(table, below, name, at);
            table = below;
        }
        let (name, at) = (CompactString::from(last.as_ref()), self.place(span.start()));
        if is_array {
            let Some((below, first)) = self.names.item(table, (last, span), error) else { return };
            self.grown();
            self.item(table, below, first, (name, at));
            self.current = below;
        } else {
            let Some(below) = self.names.header(table, (last, span), error) else { return };
            self.grown();
            self.show(table, below, name, at);
            self.current = below;
        }
    }

    /// Gives a table its place in the one around it, if it has none yet.
    fn show(&mut self, around: TableId, below: TableId, name: CompactString, at: Position) {
        if below == TableId::ROOT || self.tables.get(below.number()).is_none_or(|table| table.home.is_some()) {
            return;
        }
        let Some(entries) = self.tables.get_mut(around.number()).map(|table| &mut table.entries) else { return };
        let home = Home { table: around, entry: entries.len(), item: None };
        entries.push(entry(name, at, empty()));
        if let Some(table) = self.tables.get_mut(below.number()) {
            table.home = Some(home);
        }
    }

    /// One item more of an array of tables, whose first item is `first`.
    fn item(&mut self, around: TableId, below: TableId, first: TableId, (name, at): (CompactString, Position)) {
        let entry_of_first =
            self.tables.get(first.number()).and_then(|table| table.home.as_ref()).map(|home| home.entry);
        let Some(entries) = self.tables.get_mut(around.number()).map(|table| &mut table.entries) else { return };
        let number = entry_of_first.unwrap_or_else(|| {
            entries.push(entry(name, at, Tree::List(Vec::new())));
            entries.len().saturating_sub(1)
        });
        let Some(Tree::List(items)) = entries.get_mut(number).map(|entry| &mut entry.value) else { return };
        items.push(empty());
        let item = items.len().saturating_sub(1);
        if let Some(table) = self.tables.get_mut(below.number()) {
            table.home = Some(Home { table: around, entry: number, item: Some(item) });
        }
    }
}

impl EventReceiver for Reader<'_> {
    fn std_table_open(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.parts.clear();
    }

    fn std_table_close(&mut self, _span: Span, error: &mut dyn ErrorSink) {
        self.header(false, error);
    }

    fn array_table_open(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.parts.clear();
    }

    fn array_table_close(&mut self, _span: Span, error: &mut dyn ErrorSink) {
        self.header(true, error);
    }

    fn inline_table_open(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.count(span, error);
        let table = self.names.inline();
        self.grown();
        self.frames.push(Frame::Inline { table, key: None, entries: Vec::new() });
        true
    }

    fn inline_table_close(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        if let Some(Frame::Inline { entries, .. }) = self.frames.pop() {
            self.put(Tree::Map(entries));
        }
    }

    fn array_open(&mut self, span: Span, error: &mut dyn ErrorSink) -> bool {
        self.count(span, error);
        self.frames.push(Frame::Array(Vec::new()));
        true
    }

    fn array_close(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        if let Some(Frame::Array(items)) = self.frames.pop() {
            self.put(Tree::List(items));
        }
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let raw = toml_parser::Raw::new_unchecked(
            self.source.input().get(span.start()..span.end()).unwrap_or(""),
            encoding,
            span,
        );
        let mut key = Cow::Borrowed("");
        raw.decode_key(&mut key, error);
        self.parts.push((key, span));
        // Told once, however many follow.
        if u32::try_from(self.parts.len()).is_ok_and(|parts| parts == DEPTH.saturating_add(1)) {
            error.report_error(ParseError::new(format!("more than {DEPTH} parts of a key")).with_unexpected(span));
        }
    }

    fn key_val_sep(&mut self, _span: Span, error: &mut dyn ErrorSink) {
        self.keyed(error);
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        self.count(span, error);
        let written = self.source.input().get(span.start()..span.end()).unwrap_or("");
        let mut text = Cow::Borrowed("");
        let kind = toml_parser::Raw::new_unchecked(written, encoding, span).decode_scalar(&mut text, error);
        let (start, end) = (span.start().saturating_add(self.mark), span.end().saturating_add(self.mark));
        let value = match kind {
            ScalarKind::String => {
                let quote = quotes(written);
                let (first, last) = (start.saturating_add(quote.0), end.saturating_sub(quote.1));
                self.places.value(text.as_ref(), Kind::Text, first, last)
            }
            ScalarKind::Boolean(_) => self.places.value(written, Kind::Bool, start, end),
            ScalarKind::Integer(_) | ScalarKind::Float => self.places.value(number(written), Kind::Number, start, end),
            // A moment is no span of time.
            ScalarKind::DateTime => {
                if let Err(reason) = text.parse::<Datetime>() {
                    error.report_error(ParseError::new(reason.to_string()).with_unexpected(span));
                }
                self.places.value(written, Kind::Text, start, end)
            }
        };
        self.put(value);
    }
}

/// A number as it stands there, base included.
fn number(written: &str) -> CompactString {
    if written.contains('_') { written.split('_').collect() } else { CompactString::from(written) }
}

/// Bytes in front of and behind a string's text: quotes, and the line end right after three of them.
fn quotes(raw: &str) -> (usize, usize) {
    let three = ["\"\"\"", "'''"].iter().any(|quote| raw.starts_with(quote) && raw.len() >= 6);
    if !three {
        return (1, 1);
    }
    let line_end = ["\r\n", "\n"].iter().find(|end| raw.get(3..).is_some_and(|rest| rest.starts_with(**end)));
    (line_end.map_or(3, |end| end.len().saturating_add(3)), 3)
}

#[cfg(test)]
mod tests;
