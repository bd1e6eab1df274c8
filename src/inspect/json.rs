//! Strict JSON into a [`Tree`], fast: what the API server sends.
//!
//! One pass of serde_json's reader over the bytes, no intermediate value, no positions (nobody has seen the lines
//! of an admission review). Files that people write go through `formats::json`, which knows comments and places.
//!
//! Numbers keep serde_json's reading: `1e3` becomes `1000`, `0.50` becomes `0.5`.

use super::limits::Limits;
use super::tree::{Entry, Kind, Position, Scalar, Tree};
use compact_str::{CompactString, ToCompactString as _};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// Why bytes did not become a tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    /// More bytes than the limit; nothing was read.
    #[error("the document has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More levels than the limit.
    #[error("the document is nested deeper than {limit} levels")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// More nodes than the limit.
    #[error("the document has more than {limit} values")]
    TooMany {
        /// Values allowed.
        limit: usize,
    },
    /// Not JSON.
    #[error("not valid JSON at line {line}, column {column}: {message}")]
    Syntax {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault in bytes, from 1.
        column: usize,
        /// What the reader said.
        message: String,
    },
}

/// Reads one JSON document. Duplicate keys are kept, in order.
///
/// # Errors
/// [`JsonError`], one variant for each limit and one for bytes that are no JSON.
pub fn tree_from_json(bytes: &[u8], limits: &Limits) -> Result<Tree, JsonError> {
    if bytes.len() > limits.bytes {
        return Err(JsonError::TooLarge { bytes: bytes.len(), limit: limits.bytes });
    }
    let left = Budget { nodes: Cell::new(limits.nodes), stop: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Node { left: &left, depth: limits.depth }.deserialize(&mut reader).and_then(|tree| {
        reader.end()?;
        Ok(tree)
    });
    read.map_err(|error| match left.stop.get() {
        Some(Stop::Depth) => JsonError::TooDeep { limit: limits.depth },
        Some(Stop::Nodes) => JsonError::TooMany { limit: limits.nodes },
        // serde_json has a limit of its own (128 levels); it says so only in words.
        None if error.to_string().starts_with("recursion limit") => JsonError::TooDeep { limit: 128 },
        None => JsonError::Syntax { line: error.line(), column: error.column(), message: error.to_string() },
    })
}

#[derive(Clone, Copy)]
enum Stop {
    Depth,
    Nodes,
}

struct Budget {
    nodes: Cell<usize>,
    stop: Cell<Option<Stop>>,
}

#[derive(Clone, Copy)]
struct Node<'a> {
    left: &'a Budget,
    /// Levels still allowed.
    depth: usize,
}

impl<'a> Node<'a> {
    fn take<E: serde::de::Error>(self) -> Result<(), E> {
        match self.left.nodes.get().checked_sub(1) {
            Some(rest) => {
                self.left.nodes.set(rest);
                Ok(())
            }
            None => {
                self.left.stop.set(Some(Stop::Nodes));
                Err(E::custom("too many values"))
            }
        }
    }

    fn inside<E: serde::de::Error>(self) -> Result<Node<'a>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Node { depth, ..self }),
            None => {
                self.left.stop.set(Some(Stop::Depth));
                Err(E::custom("nested too deep"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        self.take()?;
        deserializer.deserialize_any(self)
    }
}

fn leaf(text: impl Into<CompactString>, kind: Kind) -> Tree {
    Tree::Scalar(Scalar { text: text.into(), kind, at: Position::default(), extent: None })
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(leaf("", Kind::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(leaf(if value { "true" } else { "false" }, Kind::Bool))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(leaf(value.to_compact_string(), Kind::Number))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(leaf(value.to_compact_string(), Kind::Number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(leaf(value.to_string(), Kind::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(leaf(value, Kind::Text))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(leaf(value, Kind::Text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let inside = self.inside::<A::Error>()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let inside = self.inside::<A::Error>()?;
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<CompactString>()? {
            let value = map.next_value_seed(inside)?;
            entries.push(Entry { key, at: Position::default(), value });
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, limits: Limits, expected: Result<&str, JsonError>) {
        let got = tree_from_json(input.as_bytes(), &limits).map(|tree| format!("{}", tree.outline()));
        assert_eq!(got.as_deref().map_err(ToString::to_string), expected.map_err(|e| e.to_string()), "{input}");
    }

    #[test]
    fn keeps_order_duplicates_and_kinds() {
        check(
            r#"{"b":0,"a":"0","b":[true,null,-1.5,1e3]}"#,
            Limits::default(),
            Ok("{b: 0, a: \"0\", b: [true, null, -1.5, 1000]}"),
        );
    }

    #[test]
    fn every_limit_has_its_own_error() {
        let small = Limits { depth: 2, nodes: 5, bytes: 40, ..Limits::default() };
        check("[[1]]", small, Ok("[[1]]"));
        check("[[[1]]]", small, Err(JsonError::TooDeep { limit: 2 }));
        check("[1,2,3,4]", small, Ok("[1, 2, 3, 4]"));
        check("[1,2,3,4,5]", small, Err(JsonError::TooMany { limit: 5 }));
        check(&" ".repeat(41), small, Err(JsonError::TooLarge { bytes: 41, limit: 40 }));
        let deep = Limits { depth: 10_000, ..Limits::default() };
        check(&"[".repeat(5_000), deep, Err(JsonError::TooDeep { limit: 128 }));
    }

    #[test]
    fn what_is_no_json_names_the_place() {
        let error = tree_from_json(b"{\"a\":1}\nx", &Limits::default());
        assert!(matches!(error, Err(JsonError::Syntax { line: 2, column: 1, .. })), "{error:?}");
    }
}
