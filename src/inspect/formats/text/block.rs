//! A map under construction, for formats whose blocks may be repeated.
//!
//! Two `server` blocks, two `<provider>` elements or two `listener` blocks all hold, while of two values under one
//! key the last one does. A map of entries cannot say which; so blocks of one name become a list, and values of one
//! name stay entries of their own, in order.

use super::super::super::tree::{Entry, Position, Tree};
use super::super::entry;
use compact_str::CompactString;
use std::collections::{BTreeMap, HashMap};

/// See the module.
#[derive(Debug, Default)]
pub(in super::super) struct Block {
    entries: Vec<Entry>,
    /// Those that are blocks or lists of blocks, in their order.
    blocks: Vec<Known>,
    /// Their numbers by name, where they are more than [`FEW`].
    by_name: Option<HashMap<CompactString, usize>>,
    /// What further blocks are put into, by the number of its entry.
    inner: BTreeMap<usize, Block>,
}

#[derive(Debug)]
struct Known {
    /// The number of its entry.
    entry: usize,
    is_list: bool,
}

/// A map inside of a block, which values are put into, by the number of its entry.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Section(usize);

/// So many names are compared one by one: most blocks have fewer, and a table of its own for each would cost more than
/// reading it.
const FEW: usize = 8;

/// Values that a section has room for at once.
const FEW_VALUES: usize = 2;

impl Block {
    /// A value under its key; an earlier one of the same key is kept.
    pub(in super::super) fn value(&mut self, key: impl Into<CompactString>, at: Position, value: Tree) {
        self.entries.push(entry(key, at, value));
    }

    /// A block, beside those of the same name.
    pub(in super::super) fn block(&mut self, key: impl Into<CompactString>, at: Position, value: Tree) {
        let key = key.into();
        let Some(number) = self.number(&key) else {
            self.add(key, at, value, false);
            return;
        };
        let Some(known) = self.blocks.get_mut(number) else { return };
        let Some(slot) = self.entries.get_mut(known.entry).map(|entry| &mut entry.value) else { return };
        if let (true, Tree::List(items)) = (known.is_list, &mut *slot) {
            items.push(value);
            return;
        }
        known.is_list = true;
        let first = std::mem::replace(slot, Tree::List(Vec::new()));
        *slot = Tree::List(vec![first, value]);
    }

    /// A block that is an item of a list even where it is alone.
    pub(in super::super) fn item(&mut self, key: impl Into<CompactString>, at: Position, value: Tree) {
        let key = key.into();
        if self.number(&key).is_some() {
            return self.block(key, at, value);
        }
        self.add(key, at, Tree::List(vec![value]), true);
    }

    /// The one map of that name, which is opened again and again.
    pub(in super::super) fn inside(&mut self, key: &str, at: Position) -> &mut Block {
        let Section(entry) = self.section(key, at);
        self.inner.entry(entry).or_default()
    }

    /// The same, where only values are put into it: they need no block of their own.
    pub(in super::super) fn section(&mut self, key: &str, at: Position) -> Section {
        match self.number(key).and_then(|number| self.blocks.get(number)) {
            Some(known) => Section(known.entry),
            None => Section(self.add(key.into(), at, Tree::Map(Vec::new()), false)),
        }
    }

    /// A value in a section.
    pub(in super::super) fn value_in(
        &mut self,
        Section(number): Section,
        key: impl Into<CompactString>,
        at: Position,
        value: Tree,
    ) {
        if let Some(Tree::Map(entries)) = self.entries.get_mut(number).map(|entry| &mut entry.value) {
            if entries.is_empty() {
                // Most have few, and a list grows to four at once.
                entries.reserve_exact(FEW_VALUES);
            }
            entries.push(entry(key, at, value));
        }
    }

    /// Has nothing in it.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The map.
    pub(in super::super) fn done(mut self) -> Tree {
        for (number, inner) in self.inner {
            if let Some(entry) = self.entries.get_mut(number) {
                match (inner.done(), &mut entry.value) {
                    (Tree::Map(more), Tree::Map(entries)) if entries.is_empty() => *entries = more,
                    (Tree::Map(more), Tree::Map(entries)) => entries.extend(more),
                    (inner, Tree::List(items)) => items.push(inner),
                    _ => {}
                }
            }
        }
        Tree::Map(self.entries)
    }

    /// The number of the block, or list of blocks, of that name.
    fn number(&self, key: &str) -> Option<usize> {
        if let Some(by_name) = &self.by_name {
            return by_name.get(key).copied();
        }
        let is_it = |known: &Known| self.entries.get(known.entry).is_some_and(|entry| entry.key == key);
        self.blocks.iter().position(is_it)
    }

    /// The number of a new one's entry.
    fn add(&mut self, key: CompactString, at: Position, value: Tree, is_list: bool) -> usize {
        let number = self.blocks.len();
        if number == FEW {
            let named = |(number, known): (usize, &Known)| Some((self.entries.get(known.entry)?.key.clone(), number));
            self.by_name = Some(self.blocks.iter().enumerate().filter_map(named).collect());
        }
        if let Some(by_name) = &mut self.by_name {
            by_name.insert(key.clone(), number);
        }
        let number = self.entries.len();
        self.blocks.push(Known { entry: number, is_list });
        self.entries.push(entry(key, at, value));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::formats::empty;

    /// As many names as are compared one by one, and as are looked up.
    #[test]
    fn a_name_is_found_again_among_few_and_among_many() {
        for names in [1, FEW - 1, FEW, FEW + 1, 3 * FEW] {
            let mut block = Block::default();
            for round in 0..3 {
                for name in 0..names {
                    let key = format!("b{name}");
                    block.block(key.clone(), Position::default(), empty());
                    block.item(format!("i{name}"), Position::default(), empty());
                    block.inside(&format!("m{name}"), Position::default()).value(
                        key.clone(),
                        Position::default(),
                        empty(),
                    );
                    block.value(key, Position::default(), empty());
                    assert_eq!(block.blocks.len(), if round == 0 { 3 * (name + 1) } else { 3 * names });
                }
            }
            let done = block.done();
            let counts = |key: &str| match done.get(key) {
                Some(Tree::List(items)) => items.len(),
                Some(tree) => 100 + tree.entries().len(),
                None => 0,
            };
            for name in 0..names {
                assert_eq!((counts(&format!("i{name}")), counts(&format!("m{name}"))), (3, 103), "{name} of {names}");
                let lists = done.entries().iter().filter(|entry| entry.key == format!("b{name}"));
                assert_eq!(lists.map(|entry| entry.value.items().len()).collect::<Vec<_>>(), [3, 0, 0, 0]);
            }
        }
    }
}
