//! Which entries could a path be? Asked for every leaf, so the usual answer, none, must cost next to nothing.
//!
//! A trie over the ends of all spellings, read backwards: most leaves leave it after one or two letters, without an
//! allocation and without a hash of the key. It runs on from a key into the one above it, because `clock: {skew: 0}`
//! and `clock.skew=0` are one setting.

use super::super::words;

#[derive(Debug, Default, Clone)]
struct Node {
    /// Next letter (towards the front) and its node, sorted.
    next: Vec<(u8, usize)>,
    /// Spellings that begin here.
    known: Vec<Candidate>,
}

/// A spelling that may fit: its entry's number, and its own among those of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The entry.
    pub known: usize,
    /// The spelling.
    pub key: usize,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Index {
    nodes: Vec<Node>,
}

impl Default for Index {
    fn default() -> Self {
        Index { nodes: vec![Node::default()] }
    }
}

impl Index {
    /// Adds the end of a spelling, in lower-case letters.
    pub fn insert(&mut self, tail: &[u8], candidate: Candidate) {
        let mut at = 0;
        for letter in tail.iter().rev() {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            at = match node.next.binary_search_by_key(letter, |(letter, _)| *letter) {
                Ok(found) => node.next.get(found).map_or(0, |(_, to)| *to),
                Err(place) => {
                    node.next.insert(place, (*letter, fresh));
                    self.nodes.push(Node::default());
                    fresh
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.known.push(candidate);
        }
    }

    /// The spellings whose ends fit the path with these keys, innermost first. Whether a word begins where a spelling
    /// does is left to the caller, as is everything else that an entry asks for.
    pub fn candidates<'k>(&self, keys: impl Iterator<Item = &'k str>, found: &mut Vec<Candidate>) {
        found.clear();
        let mut at = 0;
        for letter in keys.flat_map(|key| words::of(key).rev()) {
            // Few letters follow on most: to look at each takes less than to halve them.
            let next = self.nodes.get(at).and_then(|node| node.next.iter().find(|(next, _)| *next >= letter));
            let Some((_, to)) = next.filter(|(next, _)| *next == letter) else { return };
            at = *to;
            if let Some(node) = self.nodes.get(at) {
                found.extend(&node.known);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_ending_across_keys_and_nothing_else() {
        let mut index = Index::default();
        let candidate = |(known, key)| Candidate { known, key };
        for (tail, number) in [("clockskew", (1, 0)), ("skew", (2, 0)), ("jwtclockskew", (3, 0)), ("timeskew", (1, 1))]
        {
            index.insert(tail.as_bytes(), candidate(number));
        }
        let check = |path: &[&str], expected: &[(usize, usize)]| {
            let mut found = vec![candidate((9, 9))];
            index.candidates(path.iter().rev().copied(), &mut found);
            assert_eq!(found, expected.iter().copied().map(candidate).collect::<Vec<_>>(), "{path:?}");
        };
        check(&["a", "jwt", "clock_skew"], &[(2, 0), (1, 0), (3, 0)]);
        check(&["JWT_CLOCK_SKEW"], &[(2, 0), (1, 0), (3, 0)]);
        check(&["clock", "skew"], &[(2, 0), (1, 0)]);
        check(&["time", "skew"], &[(2, 0), (1, 1)]);
        check(&["skews"], &[]);
        check(&[""], &[]);
        check(&[], &[]);
    }
}
