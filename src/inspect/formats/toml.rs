//! TOML, with the place of every leaf.
//!
//! The `toml` crate, which reads our own catalogue, gives a tree of spans; it limits nesting (80 levels, dotted keys
//! included) by itself. The order of the file is put back afterwards. What TOML forbids (a key twice, a table twice)
//! makes the whole file invalid: no product runs with it, so it yields no settings and a note. The `_` between
//! digits is left out of a number.
//!
//! Source: <https://toml.io/en/v1.0.0>.

use super::text::Places;
use super::{Format, Notation, empty, entry, meaningful, note, reads, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Entry, Kind, Position, Tree};
use compact_str::{CompactString, ToCompactString as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "toml", notation: Notation::Assignment, extensions: &["toml"], names: &["pipfile"], sniff, parse };

/// Begins like a table or an assignment, and all of it is TOML.
fn sniff(text: &str) -> bool {
    let first = meaningful(text, &['#']).next().unwrap_or("");
    (first.starts_with('[') || first.contains('=')) && reads(&FORMAT, text)
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let places = Places::new(text);
    // The parser takes a mark at the beginning for itself; cut off, its spans are short by that much.
    let rest = text.trim_start_matches('\u{feff}');
    let mut build = Build { text, mark: text.len().saturating_sub(rest.len()), places, limits, nodes: 0 };
    let table = match DeTable::parse(rest) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or_else(Position::default, |span| build.place(span.start));
            return (empty(), vec![note(at, format!("not TOML: {}", error.message().replace('\n', ", ")))]);
        }
    };
    match build.table(table.get_ref(), 0) {
        Ok(tree) => (tree, Vec::new()),
        Err(message) => (empty(), vec![note(Position::default(), message)]),
    }
}

struct Build<'t> {
    text: &'t str,
    /// Bytes of a mark in front of what the spans count.
    mark: usize,
    places: Places<'t>,
    limits: &'t Limits,
    nodes: usize,
}

impl Build<'_> {
    fn place(&self, offset: usize) -> Position {
        self.places.at(offset.saturating_add(self.mark))
    }

    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> Result<Tree, String> {
        let mut order: Vec<_> = table.iter().collect();
        order.sort_by_key(|(key, _)| key.span().start);
        let mut entries: Vec<Entry> = Vec::with_capacity(order.len());
        for (key, value) in order {
            let at = self.place(key.span().start);
            entries.push(entry(key.get_ref().as_ref(), at, self.value(value, depth.saturating_add(1))?));
        }
        Ok(Tree::Map(entries))
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Tree, String> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.nodes {
            return Err(format!("not read: more than {} values", self.limits.nodes));
        }
        if depth > self.limits.depth {
            return Err(format!("not read: nested deeper than {} levels", self.limits.depth));
        }
        let (start, end) = (value.span().start.saturating_add(self.mark), value.span().end.saturating_add(self.mark));
        let bare = |text: CompactString, kind| Ok(self.places.value(text, kind, start, end));
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, depth),
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.value(item, depth.saturating_add(1)));
                items.collect::<Result<_, _>>().map(Tree::List)
            }
            DeValue::String(text) => {
                let quote = quotes(self.text.get(start..end).unwrap_or(""));
                let (first, last) = (start.saturating_add(quote.0), end.saturating_sub(quote.1));
                Ok(self.places.value(text.as_ref(), Kind::Text, first, last))
            }
            DeValue::Integer(number) => bare(written(self.text, start, end, number.as_str()), Kind::Number),
            DeValue::Float(number) => bare(written(self.text, start, end, number.as_str()), Kind::Number),
            DeValue::Boolean(on) => bare(on.to_compact_string(), Kind::Bool),
            // A moment is no span of time.
            DeValue::Datetime(moment) => bare(moment.to_compact_string(), Kind::Text),
        }
    }
}

/// A number as it stands there, base included.
fn written(text: &str, start: usize, end: usize, otherwise: &str) -> CompactString {
    text.get(start..end).unwrap_or(otherwise).split('_').collect()
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
