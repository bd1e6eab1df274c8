//! Many numbers in order, one of which changes at a time: which is the middle one, and how many lie beyond a limit?
//!
//! The questions of a consensus are questions about rank. Sorting answers them for one moment; [`Ranks`] keeps the
//! order while single numbers come and go, each at a cost that grows with the logarithm of how many there are. Both
//! answer through [`Order`], so that a rule is written once and holds for either.
//!
//! The tree is a treap: a search tree by key, a heap by a priority that is random, so that it is balanced but for
//! chance. Here the priority is a hash of the place in memory: the same inputs always give the same tree, and nobody
//! outside can choose it. Equal keys are told apart by their id.
//!
//! Source: R. Seidel and C. Aragon, "Randomized Search Trees", Algorithmica 16, 1996; the hash is the finalizer of
//! SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).

use super::time::Delta;

/// Numbers in ascending order, each with the id of whom it belongs to; equal ones in the order of their ids.
pub trait Order {
    /// How many there are.
    fn len(&self) -> usize;
    /// The one with so many before it; `None` beyond the last.
    fn nth(&self, index: usize) -> Option<(Delta, u32)>;
    /// How many are less.
    fn below(&self, than: Delta) -> usize;
    /// How many are greater.
    fn above(&self, than: Delta) -> usize;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Numbers that were sorted once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted(Vec<(Delta, u32)>);

impl FromIterator<(Delta, u32)> for Sorted {
    fn from_iter<I: IntoIterator<Item = (Delta, u32)>>(numbers: I) -> Sorted {
        let mut all: Vec<(Delta, u32)> = numbers.into_iter().collect();
        all.sort_unstable();
        Sorted(all)
    }
}

impl Order for Sorted {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn nth(&self, index: usize) -> Option<(Delta, u32)> {
        self.0.get(index).copied()
    }

    fn below(&self, than: Delta) -> usize {
        self.0.partition_point(|(number, _)| *number < than)
    }

    fn above(&self, than: Delta) -> usize {
        self.0.len().saturating_sub(self.0.partition_point(|(number, _)| *number <= than))
    }
}

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node<K> {
    key: K,
    id: u32,
    left: u32,
    right: u32,
    /// Of the tree below, this one included.
    size: u32,
}

/// Keys in order, which come and go one by one. Whoever inserts the same key for the same id twice has it twice.
#[derive(Debug, Clone)]
pub struct Ranks<K> {
    nodes: Vec<Node<K>>,
    free: Vec<u32>,
    root: u32,
}

impl<K: Ord + Copy> Default for Ranks<K> {
    fn default() -> Ranks<K> {
        Ranks::new()
    }
}

impl<K: Ord + Copy> Ranks<K> {
    /// None yet.
    #[must_use]
    pub fn new() -> Ranks<K> {
        Ranks { nodes: Vec::new(), free: Vec::new(), root: NONE }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size(self.root) as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root == NONE
    }

    /// Adds one.
    pub fn insert(&mut self, key: K, id: u32) {
        let node = Node { key, id, left: NONE, right: NONE, size: 1 };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            // 2^32 of them would need 128 GiB; the one that has no place is left out.
            None => match u32::try_from(self.nodes.len()) {
                Ok(NONE) | Err(_) => return,
                Ok(slot) => slot,
            },
        };
        match self.nodes.get_mut(slot as usize) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.root = self.with(self.root, slot, (key, id));
    }

    /// Takes one away; `false` if it was not there.
    pub fn remove(&mut self, key: K, id: u32) -> bool {
        let before = self.len();
        self.root = self.without(self.root, (key, id));
        self.len() < before
    }

    /// The one with so many before it; `None` beyond the last.
    #[must_use]
    pub fn nth(&self, index: usize) -> Option<(K, u32)> {
        let (mut at, mut index) = (self.root, index);
        loop {
            let node = self.node(at)?;
            let before = self.size(node.left) as usize;
            if index == before {
                return Some((node.key, node.id));
            }
            if index < before {
                at = node.left;
            } else {
                at = node.right;
                index = index.saturating_sub(before).saturating_sub(1);
            }
        }
    }

    /// How many keys are less.
    #[must_use]
    pub fn below(&self, than: K) -> usize {
        self.before(|key| key < than)
    }

    /// How many keys are greater.
    #[must_use]
    pub fn above(&self, than: K) -> usize {
        self.len().saturating_sub(self.before(|key| key <= than))
    }

    /// How many satisfy what the first ones satisfy and the later ones do not.
    fn before(&self, first: impl Fn(K) -> bool) -> usize {
        let (mut at, mut count) = (self.root, 0usize);
        while let Some(node) = self.node(at) {
            if first(node.key) {
                count = count.saturating_add(self.size(node.left) as usize).saturating_add(1);
                at = node.right;
            } else {
                at = node.left;
            }
        }
        count
    }

    fn node(&self, slot: u32) -> Option<&Node<K>> {
        self.nodes.get(slot as usize)
    }

    fn size(&self, slot: u32) -> u32 {
        self.node(slot).map_or(0, |node| node.size)
    }

    /// Hangs the trees below a node, and counts anew.
    fn hang(&mut self, slot: u32, left: u32, right: u32) {
        let size = self.size(left).saturating_add(self.size(right)).saturating_add(1);
        if let Some(node) = self.nodes.get_mut(slot as usize) {
            (node.left, node.right, node.size) = (left, right, size);
        }
    }

    /// What comes before `key`, and the rest.
    fn split(&mut self, root: u32, key: (K, u32)) -> (u32, u32) {
        let Some(node) = self.node(root).copied() else { return (NONE, NONE) };
        if (node.key, node.id) < key {
            let (less, rest) = self.split(node.right, key);
            self.hang(root, node.left, less);
            (root, rest)
        } else {
            let (less, rest) = self.split(node.left, key);
            self.hang(root, rest, node.right);
            (less, root)
        }
    }

    /// One tree of two, of which the first comes before the second.
    fn merge(&mut self, first: u32, second: u32) -> u32 {
        let (Some(one), Some(other)) = (self.node(first).copied(), self.node(second).copied()) else {
            return if first == NONE { second } else { first };
        };
        if priority(first) > priority(second) {
            let right = self.merge(one.right, second);
            self.hang(first, one.left, right);
            first
        } else {
            let left = self.merge(first, other.left);
            self.hang(second, left, other.right);
            second
        }
    }

    /// The tree with a node that hangs nowhere yet.
    fn with(&mut self, root: u32, slot: u32, key: (K, u32)) -> u32 {
        let Some(node) = self.node(root).copied() else { return slot };
        if priority(slot) > priority(root) {
            let (less, rest) = self.split(root, key);
            self.hang(slot, less, rest);
            return slot;
        }
        if (node.key, node.id) < key {
            let right = self.with(node.right, slot, key);
            self.hang(root, node.left, right);
        } else {
            let left = self.with(node.left, slot, key);
            self.hang(root, left, node.right);
        }
        root
    }

    /// The tree without that one.
    fn without(&mut self, root: u32, key: (K, u32)) -> u32 {
        let Some(node) = self.node(root).copied() else { return NONE };
        match key.cmp(&(node.key, node.id)) {
            std::cmp::Ordering::Equal => {
                self.free.push(root);
                return self.merge(node.left, node.right);
            }
            std::cmp::Ordering::Less => {
                let left = self.without(node.left, key);
                self.hang(root, left, node.right);
            }
            std::cmp::Ordering::Greater => {
                let right = self.without(node.right, key);
                self.hang(root, node.left, right);
            }
        }
        root
    }
}

impl Order for Ranks<Delta> {
    fn len(&self) -> usize {
        Ranks::len(self)
    }

    fn nth(&self, index: usize) -> Option<(Delta, u32)> {
        Ranks::nth(self, index)
    }

    fn below(&self, than: Delta) -> usize {
        Ranks::below(self, than)
    }

    fn above(&self, than: Delta) -> usize {
        Ranks::above(self, than)
    }
}

impl<L: Order> Order for &L {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn nth(&self, index: usize) -> Option<(Delta, u32)> {
        (**self).nth(index)
    }

    fn below(&self, than: Delta) -> usize {
        (**self).below(than)
    }

    fn above(&self, than: Delta) -> usize {
        (**self).above(than)
    }
}

/// The place of a node in the heap: its slot, well mixed. No two slots share one.
fn priority(slot: u32) -> u64 {
    let mut mixed = u64::from(slot).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both give the same answers to every question about these numbers and their neighbours.
    fn check(ranks: &Ranks<Delta>, expected: &[(Delta, u32)]) {
        let sorted: Sorted = expected.iter().copied().collect();
        assert_eq!(Order::len(ranks), Order::len(&sorted));
        assert_eq!(ranks.is_empty(), expected.is_empty());
        assert_eq!((Order::is_empty(ranks), sorted.is_empty()), (expected.is_empty(), expected.is_empty()));
        for index in 0..=expected.len() {
            assert_eq!(Order::nth(ranks, index), sorted.nth(index), "{index}");
        }
        for (number, _) in expected {
            for around in [-1, 0, 1] {
                let than = number.plus(Delta::from_nanos(around));
                assert_eq!(Order::below(ranks, than), sorted.below(than), "{than:?}");
                assert_eq!(Order::above(ranks, than), sorted.above(than), "{than:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_they_are_in_order(
            changes in prop::collection::vec((any::<bool>(), -9i64..9, 0u32..6), 0..120),
        ) {
            let (mut ranks, mut all) = (Ranks::new(), Vec::new());
            for (comes, number, id) in changes {
                let number = Delta::from_nanos(number);
                let place = all.iter().position(|it| *it == (number, id));
                if comes {
                    ranks.insert(number, id);
                    all.push((number, id));
                } else {
                    prop_assert_eq!(ranks.remove(number, id), place.is_some());
                    place.map(|place| all.swap_remove(place));
                }
                check(&ranks, &all);
            }
        }
    }

    #[test]
    fn places_are_used_again_and_the_tree_stays_flat_even_for_sorted_input() {
        fn depth(ranks: &Ranks<Delta>, at: u32) -> usize {
            ranks.node(at).map_or(0, |node| 1 + depth(ranks, node.left).max(depth(ranks, node.right)))
        }
        let mut ranks = Ranks::new();
        for round in 0..5 {
            for number in 0..4_096u32 {
                if round > 0 {
                    assert!(ranks.remove(Delta::from_nanos(i64::from(number)), number));
                }
                ranks.insert(Delta::from_nanos(i64::from(number)), number);
            }
            assert_eq!((ranks.len(), ranks.nodes.len()), (4_096, 4_096));
            // Balanced would be 13; a list would be 4,096.
            assert!(depth(&ranks, ranks.root) < 45, "{}", depth(&ranks, ranks.root));
        }
    }
}
