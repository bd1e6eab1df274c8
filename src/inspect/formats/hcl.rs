//! HCL: `name = value` and `type "label" … { … }`, as Terraform, Vault, Consul and Nomad read it.
//!
//! Labels become keys, as in HCL's own JSON form, so `resource "a" "b" { c = 0 }` is `resource.a.b.c`; blocks of one
//! name and labels are a list. Only literals are values: what a variable, a function or `${…}` gives is not in the file,
//! and such an attribute is passed over. `jsonencode({…})` and its like are looked into. HCL refuses an attribute that
//! is set twice, so such a file yields no settings and a note, like any other that is not HCL; of a key that stands
//! twice in an object the last value holds. Does not know: what expressions mean, only where they end.
//!
//! A reader of our own: hcl-edit 0.10 compares each key of an object with all before it, so that 20,000 keys (200 kB)
//! take it 15 s, and a tenant can write them.
//!
//! Source: <https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md>, and json/spec.md there.

mod expression;

use super::text::{Block, Cursor};
use super::{Format, Notation, empty, meaningful, note, reads, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Position, Tree};
use compact_str::CompactString;
use expression::Ends;
use std::collections::HashSet;

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "hcl",
    notation: Notation::Assignment,
    extensions: &["hcl", "tf", "tfvars", "nomad"],
    names: &[],
    sniff,
    parse,
};

/// Functions that write their argument down in another format.
const ENCODERS: &[&str] = &["jsonencode", "yamlencode"];

/// Has a block, and all of it is HCL. Labels are in quotes where people write them: `if jwt {` is a program.
fn sniff(text: &str) -> bool {
    let mut has_block = false;
    let plain = meaningful(text, &['#', '/']).all(|line| {
        let Some(head) = line.strip_suffix('{').filter(|head| !head.contains('=')) else { return !line.ends_with(';') };
        has_block = true;
        let mut words = head.split_whitespace();
        words.next().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
            && words.all(|label| label.starts_with('"') || label.ends_with('"'))
    });
    plain && has_block && reads(&FORMAT, text)
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut reader = Reader { cursor: Cursor::new(text), limits, nodes: 0, nested: 0 };
    let mut root = Block::default();
    match reader.body(0, &mut root) {
        Ok(()) => (root.done(), Vec::new()),
        Err(message) => (empty(), vec![note(reader.cursor.at, message)]),
    }
}

/// Names of attributes that were read: most blocks have so few that a table of them would cost more than reading them.
#[derive(Default)]
struct Known {
    few: Vec<CompactString>,
    many: HashSet<CompactString>,
}

impl Known {
    const FEW: usize = 8;

    /// Is it new?
    fn insert(&mut self, name: &CompactString) -> bool {
        if self.few.len() < Self::FEW {
            let is_new = !self.few.contains(name);
            if is_new {
                self.few.push(name.clone());
            }
            return is_new;
        }
        !self.few.contains(name) && self.many.insert(name.clone())
    }
}

/// Where the text is read, and what that has cost.
struct Reader<'t> {
    cursor: Cursor<'t>,
    limits: &'t Limits,
    nodes: usize,
    /// Templates inside of one another.
    nested: usize,
}

impl Reader<'_> {
    fn count(&mut self, nodes: usize, depth: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            return Err(format!("not read: more than {} values", self.limits.nodes));
        }
        if depth > self.limits.depth {
            return Err(format!("not read: nested deeper than {} levels", self.limits.depth));
        }
        Ok(())
    }

    /// Attributes and blocks; the root (depth 0) ends with the text, a block with its brace, which is consumed.
    fn body(&mut self, depth: usize, into: &mut Block) -> Result<(), String> {
        let mut known = Known::default();
        loop {
            self.skip_blanks(true)?;
            let at = self.cursor.at;
            match self.cursor.peek() {
                None if depth == 0 => return Ok(()),
                None => return Err("not HCL: it ends inside of a block".to_owned()),
                Some('}') if depth > 0 => {
                    self.cursor.next();
                    return Ok(());
                }
                Some(_) => {}
            }
            let name = self.name().ok_or("not HCL: expected the name of an attribute or a block")?;
            self.skip_blanks(false)?;
            if self.cursor.peek() != Some('=') {
                self.block(name, at, depth, into)?;
                continue;
            }
            self.cursor.next();
            self.count(1, depth.saturating_add(1))?;
            let value = self.value(Ends::Line, depth.saturating_add(1))?;
            if !matches!(self.cursor.peek(), None | Some('\n' | '\r' | '}' | '#' | '/')) {
                return Err("not HCL: an attribute ends with its line".to_owned());
            }
            if !known.insert(&name) {
                return Err(format!("not HCL: `{}` is set twice", name.chars().take(40).collect::<String>()));
            }
            if let Some(value) = value {
                into.value(name, at, value);
            }
        }
    }

    /// Labels and body of a block whose type has been read.
    fn block(&mut self, kind: CompactString, at: Position, depth: usize, into: &mut Block) -> Result<(), String> {
        let mut keys = vec![(kind, at)];
        loop {
            let at = self.cursor.at;
            match self.cursor.peek() {
                Some('{') => break,
                Some('"') => match self.string()? {
                    (label, true, _) => keys.push((label, at)),
                    _ => return Err("not HCL: a label is no template".to_owned()),
                },
                _ => keys.push((self.name().ok_or("not HCL: expected `=` or `{` after a name")?, at)),
            }
            self.count(1, depth.saturating_add(keys.len()))?;
            self.skip_blanks(false)?;
        }
        self.cursor.next();
        // A level for each key, and one for the list of blocks that have them all in common.
        let below = depth.saturating_add(keys.len()).saturating_add(1);
        self.count(keys.len(), below)?;
        let mut inner = Block::default();
        self.body(below, &mut inner)?;
        if let Some((last, at)) = keys.pop() {
            let outer = keys.into_iter().fold(into, |outer, (key, at)| outer.inside(&key, at));
            outer.block(last, at, inner.done());
        }
        Ok(())
    }

    /// A literal, or a list or an object of them; `None` where the file does not hold the value. Ends before what ends
    /// the expression.
    fn value(&mut self, ends: Ends, depth: usize) -> Result<Option<Tree>, String> {
        self.count(1, depth)?;
        self.skip_blanks(ends != Ends::Line)?;
        let begin = self.cursor;
        let value = self.literal(depth)?;
        self.skip_blanks(ends != Ends::Line)?;
        if self.is_end(ends) && self.cursor.offset > begin.offset {
            return Ok(value);
        }
        // It goes on: an operation, a condition, an index. From its beginning, only to find the end.
        self.cursor = begin;
        self.calculated(ends)?;
        if self.cursor.offset == begin.offset {
            return Err("not HCL: a value is missing".to_owned());
        }
        Ok(None)
    }

    /// What can be read as a literal from here; of anything else nothing, or a part.
    fn literal(&mut self, depth: usize) -> Result<Option<Tree>, String> {
        let begin = self.cursor;
        let text = begin.rest;
        match self.cursor.peek() {
            Some('"') => {
                let inside = self.cursor;
                let (text, is_literal, end) = self.string()?;
                let mut from = inside;
                from.next();
                Ok(is_literal.then(|| from.value(text, Kind::Text, end)))
            }
            Some('<') if text.starts_with("<<") => self.heredoc(),
            Some('[') => self.list(depth),
            Some('{') => self.object(depth),
            Some(c) if c == '-' || c.is_ascii_digit() => Ok(self.number()),
            Some(_) => {
                let Some(name) = self.name() else { return Ok(None) };
                let bare = |kind| {
                    Ok(Some(begin.value(
                        if kind == Kind::Null { CompactString::default() } else { name.clone() },
                        kind,
                        begin.offset.saturating_add(name.len()),
                    )))
                };
                match name.as_str() {
                    "null" => bare(Kind::Null),
                    "true" | "false" => bare(Kind::Bool),
                    name if ENCODERS.contains(&name) && self.cursor.peek() == Some('(') => {
                        self.cursor.next();
                        let value = self.value(Ends::Comma, depth.saturating_add(1))?;
                        let is_whole = self.cursor.peek() == Some(')');
                        self.cursor.next();
                        Ok(value.filter(|_| is_whole))
                    }
                    "merge" if self.cursor.peek() == Some('(') => self.merged(depth),
                    _ => Ok(None),
                }
            }
            None => Ok(None),
        }
    }

    /// The objects among the arguments of `merge`, as one: of a key that stands twice the last value holds.
    ///
    /// Source: <https://developer.hashicorp.com/terraform/language/functions/merge>.
    fn merged(&mut self, depth: usize) -> Result<Option<Tree>, String> {
        let mut entries = Vec::new();
        while self.cursor.peek() != Some(')') {
            self.cursor.next();
            self.skip_blanks(true)?;
            if self.cursor.peek() == Some(')') {
                break;
            }
            if let Some(Tree::Map(more)) = self.value(Ends::Comma, depth.saturating_add(1))? {
                entries.extend(more);
            }
            if !matches!(self.cursor.peek(), Some(',' | ')')) {
                return Ok(None);
            }
        }
        self.cursor.next();
        Ok(Some(Tree::Map(entries)))
    }

    fn list(&mut self, depth: usize) -> Result<Option<Tree>, String> {
        self.cursor.next();
        let mut items = Vec::new();
        loop {
            self.skip_blanks(true)?;
            match self.cursor.peek() {
                Some(']') => break,
                Some(',') if !items.is_empty() => drop(self.cursor.next()),
                _ if self.is_for() => return self.comprehension(']'),
                _ => items.push(self.value(Ends::Comma, depth.saturating_add(1))?),
            }
        }
        self.cursor.next();
        Ok(Some(Tree::List(items.into_iter().flatten().collect())))
    }

    fn object(&mut self, depth: usize) -> Result<Option<Tree>, String> {
        self.cursor.next();
        let mut holds = Block::default();
        loop {
            self.skip_blanks(true)?;
            let at = self.cursor.at;
            let mut key = match self.cursor.peek() {
                Some('}') => break,
                Some(',') => {
                    self.cursor.next();
                    continue;
                }
                Some('"') => Some(self.string()?).filter(|(_, is_literal, _)| *is_literal).map(|(key, _, _)| key),
                Some('(') => None,
                _ if self.is_for() => return self.comprehension('}'),
                _ => Some(self.word().ok_or("not HCL: expected a key")?),
            };
            if self.key_goes_on()? {
                key = None;
            }
            self.skip_blanks(false)?;
            if !matches!(self.cursor.next(), Some('=' | ':')) {
                return Err("not HCL: expected `=` or `:` after a key".to_owned());
            }
            let value = self.value(Ends::Line, depth.saturating_add(1))?;
            if let (Some(key), Some(value)) = (key, value) {
                holds.value(key, at, value);
            }
        }
        self.cursor.next();
        Ok(Some(holds.done()))
    }

    /// `[for …]` or `{for …}`, whose bracket has been read.
    fn comprehension(&mut self, bracket: char) -> Result<Option<Tree>, String> {
        self.calculated(Ends::Bracket(bracket))?;
        self.cursor.next();
        Ok(None)
    }

    fn is_for(&self) -> bool {
        self.cursor.rest.strip_prefix("for").is_some_and(|rest| rest.starts_with([' ', '\t', '\n', '\r']))
    }
}
