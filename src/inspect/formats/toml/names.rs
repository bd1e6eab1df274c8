//! What may be written once in TOML, and what may be added to later.
//!
//! A key has one value. A table has one header; a table that only stands in another's header may get its own later; one
//! that dotted keys made may get more of them, from the same table, and tables below it; one in braces is complete.
//! The rules are those of the `toml` crate, against which a test holds them, but for one that it does not keep: no dotted
//! key leads through an array of tables.
//!
//! Source: <https://toml.io/en/v1.0.0#table>, `#keys`, `#inline-table`, `#array-of-tables`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use toml_parser::{ErrorSink, ParseError, Span};

/// A table, by the order in which they were first heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TableId(u32);

impl TableId {
    /// What is above all headers.
    pub(super) const ROOT: TableId = TableId(0);

    /// Counted from 0.
    pub(super) fn number(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// Complete: a leaf, an array, a table in braces.
    Value,
    Table(TableId),
    /// A table that one dotted key made, and in it only the rest of that key, so far: most have no more, and get no table.
    Rest {
        from: usize,
        end: usize,
    },
    /// An array of tables, whose first and last item these are.
    Items {
        first: TableId,
        last: TableId,
    },
}

/// How a table came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It stands in the header of one below it.
    Above,
    /// By dotted keys.
    Dotted,
    /// It has a header of its own, or it is what is above all of them.
    Header,
}

/// A part of a key, and where it stands.
pub(super) type Part<'t> = (Cow<'t, str>, Span);

/// See the module.
pub(super) struct Names<'t> {
    known: HashMap<(TableId, Cow<'t, str>), Named>,
    made: Vec<Made>,
    /// See [`Named::Rest`].
    rests: Vec<Cow<'t, str>>,
}

fn twice(span: Span, error: &mut dyn ErrorSink) {
    error.report_error(ParseError::new("duplicate key").with_unexpected(span));
}

fn complete(span: Span, error: &mut dyn ErrorSink) {
    error.report_error(ParseError::new("cannot add to a value that is complete").with_unexpected(span));
}

impl<'t> Names<'t> {
    /// For about so many keys.
    pub(super) fn new(keys: usize) -> Self {
        Names { known: HashMap::with_capacity(keys), made: vec![Made::Header], rests: Vec::new() }
    }

    /// So many tables were heard of.
    pub(super) fn tables(&self) -> usize {
        self.made.len()
    }

    fn make(made: &mut Vec<Made>, how: Made) -> TableId {
        let table = TableId(u32::try_from(made.len()).unwrap_or(u32::MAX));
        made.push(how);
        table
    }

    /// A table in braces, to which nothing leads by name: it is complete when they are closed.
    pub(super) fn inline(&mut self) -> TableId {
        Self::make(&mut self.made, Made::Header)
    }

    /// The table that a name in a header stands for on the way to the last one.
    pub(super) fn through(&mut self, table: TableId, part: Part<'t>, error: &mut dyn ErrorSink) -> Option<TableId> {
        self.step(table, part, Made::Above, error)
    }

    /// One step down, into a table that comes about in this way if there is none.
    fn step(
        &mut self,
        table: TableId,
        (name, span): Part<'t>,
        how: Made,
        error: &mut dyn ErrorSink,
    ) -> Option<TableId> {
        match self.known.entry((table, name)) {
            Entry::Vacant(place) => {
                let below = Self::make(&mut self.made, how);
                place.insert(Named::Table(below));
                Some(below)
            }
            Entry::Occupied(mut known) => match *known.get() {
                Named::Table(below) | Named::Items { last: below, .. } => Some(below),
                Named::Rest { from, end } => {
                    let below = Self::make(&mut self.made, Made::Dotted);
                    known.insert(Named::Table(below));
                    self.settle(below, from, end);
                    Some(below)
                }
                Named::Value => {
                    complete(span, error);
                    None
                }
            },
        }
    }

    /// The rest of a key, in the table that the part before it has got.
    fn settle(&mut self, table: TableId, from: usize, end: usize) {
        let Some(name) = self.rests.get_mut(from).map(std::mem::take) else { return };
        let below = from.saturating_add(1);
        let named = if below < end { Named::Rest { from: below, end } } else { Named::Value };
        self.known.insert((table, name), named);
    }

    /// A key, of one part or more, that gets a value in this table.
    pub(super) fn value(
        &mut self,
        mut table: TableId,
        mut parts: impl ExactSizeIterator<Item = Part<'t>>,
        error: &mut dyn ErrorSink,
    ) {
        while let Some((name, span)) = parts.next() {
            let place = match self.known.entry((table, name)) {
                Entry::Vacant(place) => place,
                Entry::Occupied(_) if parts.len() == 0 => return twice(span, error),
                Entry::Occupied(known) => {
                    let name = known.key().1.clone();
                    let Some(below) = self.step(table, (name, span), Made::Dotted, error) else { return };
                    match self.made.get_mut(below.number()) {
                        Some(made @ (Made::Above | Made::Dotted)) => *made = Made::Dotted,
                        Some(Made::Header) | None => return twice(span, error),
                    }
                    table = below;
                    continue;
                }
            };
            let from = self.rests.len();
            self.rests.extend(parts.map(|(name, _)| name));
            let end = self.rests.len();
            place.insert(if from < end { Named::Rest { from, end } } else { Named::Value });
            return;
        }
    }

    /// The table whose header ends in this name.
    pub(super) fn header(
        &mut self,
        table: TableId,
        (name, span): Part<'t>,
        error: &mut dyn ErrorSink,
    ) -> Option<TableId> {
        match self.known.entry((table, name)) {
            Entry::Vacant(place) => {
                let below = Self::make(&mut self.made, Made::Header);
                place.insert(Named::Table(below));
                Some(below)
            }
            Entry::Occupied(known) => {
                let below = match *known.get() {
                    Named::Table(below) => Some(below),
                    Named::Value | Named::Rest { .. } | Named::Items { .. } => None,
                };
                let made = below.and_then(|below| self.made.get_mut(below.number()));
                let Some(made) = made.filter(|made| **made == Made::Above) else {
                    twice(span, error);
                    return None;
                };
                *made = Made::Header;
                below
            }
        }
    }

    /// One more item of the array of tables with this name, and the first.
    pub(super) fn item(
        &mut self,
        table: TableId,
        (name, span): Part<'t>,
        error: &mut dyn ErrorSink,
    ) -> Option<(TableId, TableId)> {
        let below = Self::make(&mut self.made, Made::Header);
        let named = self.known.entry((table, name)).or_insert(Named::Items { first: below, last: below });
        match named {
            Named::Items { first, last } => {
                *last = below;
                Some((below, *first))
            }
            Named::Value | Named::Table(_) | Named::Rest { .. } => {
                twice(span, error);
                None
            }
        }
    }
}
