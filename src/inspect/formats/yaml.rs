//! YAML: all documents of a stream, aliases and merge keys resolved, every leaf with its place.
//!
//! granit-parser gives the events; the tree is built here on a stack of our own. What aliases add is counted
//! against a budget of its own (`Limits::expanded`), so a few lines cannot become millions of nodes. A document
//! that does not parse is dropped with a note, the ones around it are kept.
//!
//! Source: YAML 1.2.2; merge keys from <https://yaml.org/type/merge.html>.

use super::{Format, Notation, empty, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Entry, Extent, Kind, Position, Scalar, Tree};
use compact_str::CompactString;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::{HashMap, HashSet};

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "yaml", notation: Notation::Yaml, extensions: &["yaml", "yml"], names: &[], sniff, parse };

fn sniff(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    let first = lines.find(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    });
    let Some(first) = first else { return false };
    let first = first.trim_start().trim_start_matches("- ");
    let Some((key, rest)) = first.split_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '"' | '\'');
    !key.is_empty() && key.chars().all(plain) && (rest.is_empty() || rest.starts_with(' '))
}

/// The document, or a list of them where there are several.
fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    let (mut documents, notes) = documents(text, limits);
    let tree = match documents.len() {
        0 => empty(),
        1 => documents.pop().unwrap_or_else(empty),
        _ => Tree::List(documents),
    };
    (tree, notes)
}

/// What is deeper in a document than its objects' names and annotations (`items[0].metadata.annotations.KEY`).
const HEAD: usize = 5;

/// Every document that has something in it, in order.
#[must_use]
pub fn documents(text: &str, limits: &Limits) -> (Vec<Tree>, Vec<Note>) {
    read(text, limits, usize::MAX)
}

/// The same faults and the same number of documents, of which only the outermost levels are kept: enough to tell what
/// they are, where nothing is looked for in them.
#[must_use]
pub fn heads(text: &str, limits: &Limits) -> (Vec<Tree>, Vec<Note>) {
    // An alias counts as all that it repeats.
    read(text, limits, if text.contains('&') { usize::MAX } else { HEAD })
}

fn read(text: &str, limits: &Limits, levels: usize) -> (Vec<Tree>, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (Vec::new(), vec![note]);
    }
    let mark = text.len();
    let text = text.trim_start_matches('\u{feff}');
    let mark = mark.saturating_sub(text.len());
    let options = granit_parser::options! { emit_comments: false };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut build = Builder::new(limits, mark, levels);
    let mut notes = Vec::new();
    loop {
        let message = match parser.next() {
            None => break,
            Some(Ok((Event::DocumentEnd, _))) => {
                build.end_document();
                if build.documents.len() < limits.documents {
                    continue;
                }
                notes.push(note(Position::default(), format!("the rest was not read: {} documents", limits.documents)));
                break;
            }
            Some(Ok((event, span))) => match build.take(event, span) {
                Ok(()) => continue,
                Err(message) => (place(span), message, true),
            },
            Some(Err(error)) => (place_of(&error), format!("not YAML: {}", error.info()), false),
        };
        let (at, message, over_limit) = message;
        notes.push(note(at, message));
        build.drop_document();
        // A limit holds for the whole input; a fault of syntax ends with its document.
        if over_limit || notes.len() >= limits.documents || !matches!(parser.proceed_next_document(), Ok(true)) {
            break;
        }
    }
    (build.documents, notes)
}

fn place(span: Span) -> Position {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: number(span.start.line()), column: number(span.start.col()).saturating_add(1) }
}

fn place_of(error: &ScanError) -> Position {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: number(error.marker().line()), column: number(error.marker().col()).saturating_add(1) }
}

enum Open {
    Map { entries: Vec<Entry>, key: Option<(CompactString, Position)>, merges: bool, anchor: usize },
    List { items: Vec<Tree>, anchor: usize },
}

struct Builder<'l> {
    limits: &'l Limits,
    /// What is deeper is counted and not kept.
    levels: usize,
    /// Bytes of a mark in front of the text.
    mark: usize,
    open: Vec<Open>,
    root: Option<Tree>,
    /// What each anchor stands for, and how deep that is.
    anchors: HashMap<usize, (Tree, usize)>,
    /// Where the values begin that an alias repeats: their bytes belong to several places.
    shared: HashSet<u32>,
    nodes: usize,
    expanded: usize,
    documents: Vec<Tree>,
}

impl<'l> Builder<'l> {
    fn new(limits: &'l Limits, mark: usize, levels: usize) -> Self {
        Builder {
            limits,
            levels,
            mark,
            open: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            shared: HashSet::new(),
            nodes: 0,
            expanded: 0,
            documents: Vec::new(),
        }
    }

    fn drop_document(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.shared.clear();
        self.root = None;
    }

    fn end_document(&mut self) {
        let mut root = self.root.take();
        if let Some(root) = root.as_mut().filter(|_| !self.shared.is_empty()) {
            each_extent(root, &mut |extent| {
                *extent = extent.take().filter(|extent| !self.shared.contains(&extent.start));
            });
        }
        self.drop_document();
        let says_something = |tree: &Tree| !matches!(tree, Tree::Scalar(Scalar { kind: Kind::Null, .. }));
        self.documents.extend(root.filter(says_something));
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        match event {
            Event::Scalar(..) if self.is_deep() => self.count(),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let kind = if plain { kind_of(&text) } else { Kind::Text };
                let mut at = place(span);
                let quote = usize::from(matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted));
                at.column = at.column.saturating_add(u32::from(quote == 1));
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // Between the lines of a block stands its indentation.
                let extent = span.byte_range().filter(|_| !is_block).and_then(|bytes| {
                    let start = bytes.start.saturating_add(self.mark).saturating_add(quote);
                    Extent::new(start, bytes.end.saturating_add(self.mark).saturating_sub(quote))
                });
                let merges = plain && text == "<<";
                self.done(Tree::Scalar(Scalar { text: text.into(), kind, at, extent }), merges, at, anchor)
            }
            Event::Alias(id) => {
                let Some((mut tree, height)) = self.anchors.get(&id).cloned() else {
                    return Err("not YAML: an alias inside of its own anchor".to_owned());
                };
                // Without this, a chain of anchors grows a tree far deeper than any that is written.
                if self.open.len().saturating_add(height) > self.limits.depth {
                    return Err(format!("not read: aliases nest deeper than {} levels", self.limits.depth));
                }
                self.expand(&tree)?;
                each_extent(&mut tree, &mut |extent| self.shared.extend(extent.map(|extent| extent.start)));
                self.done(tree, false, place(span), 0)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List { items: Vec::new(), anchor }),
            Event::MappingStart(_, anchor, _) => {
                self.open(Open::Map { entries: Vec::new(), key: None, merges: false, anchor })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { items, anchor }) => self.done(Tree::List(items), false, place(span), anchor),
                Some(Open::Map { mut entries, merges, anchor, .. }) => {
                    if merges {
                        entries = merged(entries);
                    }
                    self.done(Tree::Map(entries), false, place(span), anchor)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= self.limits.depth {
            return Err(format!("not read: nested deeper than {} levels", self.limits.depth));
        }
        self.open.push(open);
        Ok(())
    }

    /// Counts what an alias or an anchor copies; returns its height.
    fn expand(&mut self, tree: &Tree) -> Result<usize, String> {
        let (size, height) = extent(tree);
        self.expanded = self.expanded.saturating_add(size);
        if self.expanded > self.limits.expanded {
            return Err(format!("not read: aliases add more than {} values", self.limits.expanded));
        }
        Ok(height)
    }

    fn is_deep(&self) -> bool {
        self.open.len() > self.levels
    }

    fn count(&mut self) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.nodes {
            return Err(format!("not read: more than {} values", self.limits.nodes));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: a key, a value, an item or the root.
    fn done(&mut self, tree: Tree, is_merge: bool, at: Position, anchor: usize) -> Result<(), String> {
        self.count()?;
        if self.is_deep() {
            return Ok(());
        }
        if anchor != 0 {
            let height = self.expand(&tree)?;
            self.anchors.insert(anchor, (tree.clone(), height));
        }
        match self.open.last_mut() {
            None => self.root = Some(tree),
            Some(Open::List { items, .. }) => items.push(tree),
            Some(Open::Map { entries, key, merges, .. }) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, value: tree }),
                None => {
                    *merges |= is_merge;
                    // A map or list as a key has no name that a setting could have.
                    let name = if let Tree::Scalar(scalar) = tree { scalar.text } else { "?".into() };
                    *key = Some((name, at));
                }
            },
        }
        Ok(())
    }
}

/// Merge keys resolved: what is written wins, then the first map that is merged.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let (merges, written): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "<<");
    let mut known: HashSet<CompactString> = written.iter().map(|entry| entry.key.clone()).collect();
    let mut out = Vec::new();
    for merge in merges {
        let maps = match merge.value {
            Tree::List(maps) => maps,
            map => vec![map],
        };
        for map in maps {
            let Tree::Map(entries) = map else { continue };
            out.extend(entries.into_iter().filter(|entry| known.insert(entry.key.clone())));
        }
    }
    out.extend(written);
    out
}

/// As deep as the limits have let the tree become.
fn each_extent(tree: &mut Tree, then: &mut impl FnMut(&mut Option<Extent>)) {
    match tree {
        Tree::Scalar(scalar) => then(&mut scalar.extent),
        Tree::Map(entries) => entries.iter_mut().for_each(|entry| each_extent(&mut entry.value, then)),
        Tree::List(items) => items.iter_mut().for_each(|item| each_extent(item, then)),
    }
}

/// Nodes and levels.
fn extent(tree: &Tree) -> (usize, usize) {
    let inside = |trees: &mut dyn Iterator<Item = &Tree>| {
        let (nodes, height) = trees.fold((1_usize, 0), |(nodes, height), tree| {
            let (n, h) = extent(tree);
            (nodes.saturating_add(n), h.max(height))
        });
        (nodes, height.saturating_add(1))
    };
    match tree {
        Tree::Scalar(_) => (1, 0),
        Tree::Map(entries) => inside(&mut entries.iter().map(|entry| &entry.value)),
        Tree::List(items) => inside(&mut items.iter()),
    }
}

/// The kinds of the core schema, with the capitals that YAML 1.1 also allows.
fn kind_of(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Kind::Bool,
        _ => {}
    }
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let number = |text: &str| text.replace('_', "").parse::<f64>().is_ok_and(f64::is_finite);
    let based = |text: &str| {
        ["0x", "0o"].iter().any(|p| text.strip_prefix(p).is_some_and(|d| u64::from_str_radix(d, 16).is_ok()))
    };
    if starts && (number(text) || based(text)) { Kind::Number } else { Kind::Text }
}
