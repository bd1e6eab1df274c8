//! A map under construction, for formats whose blocks may be repeated.
//!
//! Two `server` blocks, two `<provider>` elements or two `listener` blocks all hold, while of two values under one
//! key the last one does. A map of entries cannot say which; so blocks of one name become a list, and values of one
//! name stay entries of their own, in order.

use super::super::super::tree::{Entry, Position, Tree};
use super::super::entry;
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(in super::super) struct Block {
    entries: Vec<Entry>,
    /// Where the block, or the list of blocks, of each name stands.
    blocks: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    index: usize,
    is_list: bool,
    /// A map that further entries are put into.
    inner: Option<Block>,
}

impl Block {
    /// A value under its key; an earlier one of the same key is kept.
    pub(in super::super) fn value(&mut self, key: String, at: Position, value: Tree) {
        self.entries.push(entry(key, at, value));
    }

    /// A block, beside those of the same name.
    pub(in super::super) fn block(&mut self, key: String, at: Position, value: Tree) {
        let Some(known) = self.blocks.get_mut(&key) else {
            self.blocks.insert(key.clone(), Known { index: self.entries.len(), is_list: false, inner: None });
            self.entries.push(entry(key, at, value));
            return;
        };
        let Some(slot) = self.entries.get_mut(known.index).map(|entry| &mut entry.value) else { return };
        if let (true, Tree::List(items)) = (known.is_list, &mut *slot) {
            items.push(value);
            return;
        }
        known.is_list = true;
        let first = std::mem::replace(slot, Tree::List(Vec::new()));
        *slot = Tree::List(vec![first, value]);
    }

    /// A block that is an item of a list even where it is alone.
    pub(in super::super) fn item(&mut self, key: String, at: Position, value: Tree) {
        if self.blocks.contains_key(&key) {
            return self.block(key, at, value);
        }
        self.blocks.insert(key.clone(), Known { index: self.entries.len(), is_list: true, inner: None });
        self.entries.push(entry(key, at, Tree::List(vec![value])));
    }

    /// The one map of that name, which is opened again and again.
    pub(in super::super) fn inside(&mut self, key: &str, at: Position) -> &mut Block {
        let index = self.entries.len();
        let entries = &mut self.entries;
        let known = self.blocks.entry(key.to_owned()).or_insert_with(|| {
            entries.push(entry(key.to_owned(), at, Tree::Map(Vec::new())));
            Known { index, is_list: false, inner: None }
        });
        known.inner.get_or_insert_default()
    }

    /// Has nothing in it.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The map.
    pub(in super::super) fn done(mut self) -> Tree {
        for known in self.blocks.into_values() {
            if let (Some(inner), Some(entry)) = (known.inner, self.entries.get_mut(known.index)) {
                match (inner.done(), &mut entry.value) {
                    (Tree::Map(more), Tree::Map(entries)) => entries.extend(more),
                    (inner, Tree::List(items)) => items.push(inner),
                    _ => {}
                }
            }
        }
        Tree::Map(self.entries)
    }
}
