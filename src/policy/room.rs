//! Who of those that are to be acted on may be, within a policy's limit: kept up to date one node at a time.
//!
//! A place is taken by every node that carries the policy's mark, or may carry it (a write whose outcome is not known),
//! and by every node to which a place was promised; never are more taken than there are, unless the limit was lowered.
//! A promise is kept as long as its node is still to be acted on: a place does not pass from one node to another while
//! a write is on its way. Free places go to the most urgent first; no choice depends on the order in which nodes came.
//!
//! Undoing takes no place and is never asked about here.

use std::collections::{BTreeMap, BTreeSet};

/// The places under one policy's limit, by name of node; `U` says how urgent it is to act on one, the least first.
#[derive(Debug)]
pub struct Room<U> {
    cap: usize,
    held: BTreeSet<String>,
    promised: BTreeMap<String, U>,
    waiting: BTreeMap<String, U>,
    by_urgency: BTreeSet<(U, String)>,
}

impl<U> Default for Room<U> {
    fn default() -> Self {
        let (held, by_urgency) = (BTreeSet::new(), BTreeSet::new());
        Room { cap: 0, held, promised: BTreeMap::new(), waiting: BTreeMap::new(), by_urgency }
    }
}

impl<U: Ord + Clone> Room<U> {
    /// Sets how many places there are.
    pub fn set_cap(&mut self, cap: usize) {
        self.cap = cap;
    }

    /// How many places there are.
    #[must_use]
    pub fn cap(&self) -> usize {
        self.cap
    }

    /// The node carries the mark, or may. A promise is fulfilled by that.
    pub fn hold(&mut self, node: &str) {
        self.wish(node, None);
        self.promised.remove(node);
        if !self.held.contains(node) {
            self.held.insert(node.to_owned());
        }
    }

    /// The node was seen without the mark.
    pub fn free(&mut self, node: &str) {
        self.held.remove(node);
    }

    /// The node is to be acted on, so urgently, if there is a place; or (`None`) it is not, and its promise is void.
    /// Nodes that hold a place have nothing to wish for.
    pub fn wish(&mut self, node: &str, urgency: Option<U>) {
        if let Some(before) = self.waiting.remove(node) {
            self.by_urgency.remove(&(before, node.to_owned()));
        }
        let Some(urgency) = urgency.filter(|_| !self.held.contains(node)) else {
            self.promised.remove(node);
            return;
        };
        match self.promised.get_mut(node) {
            Some(promised) => *promised = urgency,
            None => {
                self.waiting.insert(node.to_owned(), urgency.clone());
                self.by_urgency.insert((urgency, node.to_owned()));
            }
        }
    }

    /// Promises what places are free, most urgent first; and where the limit was lowered, takes back the least urgent
    /// promises. The nodes for which something changed are named.
    pub fn assign(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        while self.taken() < self.cap {
            let Some((urgency, node)) = self.by_urgency.pop_first() else { break };
            self.waiting.remove(&node);
            self.promised.insert(node.clone(), urgency);
            changed.push(node);
        }
        while self.taken() > self.cap {
            let last = self.promised.iter().max_by(|(n, u), (m, v)| u.cmp(v).then_with(|| n.cmp(m)));
            let Some((node, urgency)) = last.map(|(node, urgency)| (node.clone(), urgency.clone())) else { break };
            self.promised.remove(&node);
            self.waiting.insert(node.clone(), urgency.clone());
            self.by_urgency.insert((urgency, node.clone()));
            changed.push(node);
        }
        changed
    }

    /// Whether the node has a place promised.
    #[must_use]
    pub fn is_promised(&self, node: &str) -> bool {
        self.promised.contains_key(node)
    }

    /// Places that are taken or promised.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.held.len().saturating_add(self.promised.len())
    }

    /// The nodes that carry the mark, or may.
    #[must_use]
    pub fn held(&self) -> &BTreeSet<String> {
        &self.held
    }

    /// How many nodes have a place promised.
    #[must_use]
    pub fn promised(&self) -> usize {
        self.promised.len()
    }

    /// How many nodes wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_go_to_the_most_urgent_and_a_promise_is_kept() {
        let mut room = Room::default();
        room.set_cap(2);
        for (node, since) in [("late", 9), ("early", 1), ("middle", 5)] {
            room.wish(node, Some(since));
        }
        assert_eq!(room.assign(), ["early", "middle"]);
        assert_eq!((room.is_promised("early"), room.is_promised("late"), room.promised()), (true, false, 2));
        // Somebody even more urgent waits for the next place.
        room.wish("first", Some(0));
        assert!(room.assign().is_empty());
        room.hold("early");
        room.wish("middle", None);
        assert_eq!(room.assign(), ["first"]);
        assert_eq!((room.taken(), room.waiting()), (2, 1));
        assert_eq!(room.held().iter().collect::<Vec<_>>(), ["early"]);
        room.free("early");
        assert_eq!(room.assign(), ["late"]);
    }

    #[test]
    fn a_lowered_limit_takes_back_promises_but_nothing_that_is_held() {
        let mut room = Room::default();
        room.set_cap(3);
        room.hold("held");
        for node in ["a", "b"] {
            room.wish(node, Some(1));
        }
        assert_eq!(room.assign(), ["a", "b"]);
        room.set_cap(2);
        assert_eq!(room.assign(), ["b"]);
        room.set_cap(0);
        assert_eq!(room.assign(), ["a"]);
        assert_eq!((room.taken(), room.waiting()), (1, 2));
    }

    #[derive(Debug, Clone)]
    enum Did {
        Wish(u8, Option<u64>),
        Hold(u8),
        Free(u8),
        Cap(usize),
    }

    fn did() -> impl Strategy<Value = Did> {
        prop_oneof![
            (0u8..12, prop::option::of(0u64..5)).prop_map(|(n, u)| Did::Wish(n, u)),
            (0u8..12).prop_map(Did::Hold),
            (0u8..12).prop_map(Did::Free),
            (0usize..6).prop_map(Did::Cap),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_promised_beyond_the_limit_and_nobody_waits_beside_a_free_place(all in prop::collection::vec(did(), 0..80)) {
            let mut room = Room::default();
            room.set_cap(3);
            for did in all {
                match did {
                    Did::Wish(node, since) => room.wish(&node.to_string(), since),
                    Did::Hold(node) => room.hold(&node.to_string()),
                    Did::Free(node) => room.free(&node.to_string()),
                    Did::Cap(cap) => room.set_cap(cap),
                }
                room.assign();
                prop_assert!(room.taken() <= room.cap() || room.promised() == 0);
                prop_assert!(room.taken() >= room.cap() || room.waiting() == 0);
                prop_assert_eq!(room.by_urgency.len(), room.waiting.len());
                prop_assert!(room.promised.keys().all(|n| !room.held.contains(n) && !room.waiting.contains_key(n)));
            }
        }
    }
}
