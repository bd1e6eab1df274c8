//! XML: elements are maps, attributes and elements that hold only text are values, repeated elements are lists.
//!
//! Frameworks write names and values as data; where an element is nothing but a name with a value it is an entry of
//! that name: `<add key="a" value="b"/>`, `<property name="a">b</property>`, and `<param-name>`/`<param-value>` pairs
//! of web.xml, Hadoop and .NET. A number whose `unit` attribute names no unit of time is left out. Text is trimmed;
//! references, CDATA and comments inside of it are resolved. Of an element that has attributes and text, the attributes are
//! a map under its name and an `@`. Prefixes of names are left out. Expressions in C# are passed over (`expressions`).
//!
//! Entities and types of a document's own are refused before parsing, so none is ever expanded; roxmltree reads no
//! external ones. What is not well-formed yields no settings and a note. Does not know: schemas, XInclude.
//!
//! Source: XML 1.0 (fifth edition); Jakarta Servlet 6.0 section 14; .NET appSettings schema.

mod expressions;

use super::text::{Block, Places};
use super::{Format, Notation, empty, note, reads, too_large};
use crate::inspect::Note;
use crate::inspect::duration::{Nanos, unit_named};
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Position, Tree};
use compact_str::CompactString;
use roxmltree::{Attribute, Document, Node, ParsingOptions};

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "xml",
    notation: Notation::Xml,
    extensions: &["xml"],
    names: &["web.config", "app.config", "nuget.config"],
    sniff,
    parse,
};

fn sniff(text: &str) -> bool {
    let text = text.trim_start();
    let is_page = |start: &str| text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let is_element = text
        .strip_prefix('<')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic() || matches!(c, '?' | '!')));
    is_element
        && text.trim_end().ends_with('>')
        && !["<!doctype html", "<html", "<svg"].iter().any(|start| is_page(start))
        && reads(&FORMAT, text)
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let read_as_is = read(text, limits);
    if read_as_is.1.is_empty() {
        return read_as_is;
    }
    let masked = expressions::masked(text).map(|text| read(&text, limits));
    masked.filter(|(_, notes)| notes.is_empty()).unwrap_or(read_as_is)
}

fn read(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    let fault = |message: String| (empty(), vec![note(Position::default(), message)]);
    if let Some(message) = too_dear(text, limits) {
        return fault(message);
    }
    // Blank lines before the declaration are no XML, and stand in many a ConfigMap.
    let rest = text.trim_start_matches('\u{feff}').trim_start();
    let mark = text.len().saturating_sub(rest.len());
    let nodes_limit = u32::try_from(limits.nodes).unwrap_or(u32::MAX);
    let options = ParsingOptions { allow_dtd: true, nodes_limit, ..ParsingOptions::default() };
    let document = match Document::parse_with_options(rest, options) {
        Ok(document) => document,
        Err(roxmltree::Error::NodesLimitReached) => {
            return fault(format!("not read: more than {} values", limits.nodes));
        }
        Err(error) => {
            let at = error.pos();
            let above = text.get(..mark).unwrap_or("").matches('\n').count();
            let line = at.row.saturating_add(u32::try_from(above).unwrap_or(u32::MAX));
            return (empty(), vec![note(Position { line, column: at.col }, format!("not XML: {}", told(&error)))]);
        }
    };
    let mut build = Build { text: rest, mark, places: Places::new(text), limits, nodes: 0 };
    let mut root = Block::default();
    match build.element(document.root_element(), 1, &mut root) {
        Ok(()) => (root.done(), Vec::new()),
        Err(message) => fault(message),
    }
}

/// Attributes of one element, and namespaces of a document. roxmltree compares each attribute with all of its element,
/// and looks for each prefix among all namespaces: 50,000 of them take it minutes. People write dozens.
const ATTRIBUTES_MAX: usize = 256;

/// What the parser would pay more for than the text is long; one pass over the tags tells.
fn too_dear(text: &str, limits: &Limits) -> Option<String> {
    if text.contains("<!ENTITY") {
        return Some("not read: XML that declares entities of its own".to_owned());
    }
    if text.match_indices("xmlns").nth(ATTRIBUTES_MAX).is_some() {
        return Some(format!("not read: more than {ATTRIBUTES_MAX} namespaces"));
    }
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once('<') {
        let ends = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>"), ("!", ">"), ("/", ">")];
        if let Some((start, end)) = ends.iter().find(|(start, _)| tag.starts_with(start)) {
            let (inside, after) = tag.split_once(end)?;
            if *start == "!" && inside.contains('[') {
                return Some("not read: XML that declares a document type of its own".to_owned());
            }
            depth = depth.saturating_sub(usize::from(*start == "/"));
            rest = after;
            continue;
        }
        let mut attributes = 0_usize;
        rest = tag;
        loop {
            let end = rest.find(['"', '\'', '>'])?;
            let (inside, after) = rest.split_at_checked(end)?;
            let sign = after.chars().next()?;
            rest = after.get(1..)?;
            if sign == '>' {
                depth = depth.saturating_add(usize::from(!inside.ends_with('/')));
                break;
            }
            attributes = attributes.saturating_add(1);
            if attributes > ATTRIBUTES_MAX {
                return Some(format!("not read: an element with more than {ATTRIBUTES_MAX} attributes"));
            }
            rest = rest.split_once(sign)?.1;
        }
        if depth.saturating_mul(2) > limits.depth {
            return Some(format!("not read: nested deeper than {} levels", limits.depth));
        }
    }
    None
}

/// The fault without its place, which the note has.
fn told(error: &roxmltree::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at ").map_or(text.clone(), |(fault, _)| fault.to_owned())
}

struct Build<'t> {
    text: &'t str,
    /// Bytes in front of what the parser counts.
    mark: usize,
    places: Places<'t>,
    limits: &'t Limits,
    nodes: usize,
}

/// Attributes and child elements that hold a name, and those that hold its value.
const NAMES: &[&str] = &["name", "key", "param-name"];
const VALUES: &[&str] = &["value", "param-value"];

impl Build<'_> {
    fn element(&mut self, node: Node<'_, '_>, depth: usize, into: &mut Block) -> Result<(), String> {
        let attributes = node.attributes().len();
        self.nodes = self.nodes.saturating_add(attributes).saturating_add(1);
        if self.nodes > self.limits.nodes {
            return Err(format!("not read: more than {} values", self.limits.nodes));
        }
        // A repeated element is a list with a map in it.
        if depth.saturating_mul(2) > self.limits.depth {
            return Err(format!("not read: nested deeper than {} levels", self.limits.depth));
        }
        if let Some((name, at, value)) = self.pair(node) {
            into.value(name, at, value);
            return Ok(());
        }
        let name = node.tag_name().name();
        let at = self.places.at(node.range().start.saturating_add(self.mark).saturating_add(1));
        let mut holds = Block::default();
        for attribute in node.attributes() {
            let at = self.places.at(attribute.range().start.saturating_add(self.mark));
            holds.value(attribute.name(), at, self.attribute(&attribute));
        }
        if let Some(text) = self.content(node) {
            if attributes > 0 {
                into.block(format!("{name}@"), at, holds.done());
            }
            if !has_other_unit(node) {
                into.block(name, at, text);
            }
            return Ok(());
        }
        for child in node.children().filter(Node::is_element) {
            self.element(child, depth.saturating_add(1), &mut holds)?;
        }
        into.block(name, at, holds.done());
        Ok(())
    }

    /// An element that is a name with a value.
    fn pair(&self, node: Node<'_, '_>) -> Option<(CompactString, Position, Tree)> {
        let attribute = |names: &[&str]| node.attributes().find(|attribute| names.contains(&attribute.name()));
        let child = |names: &[&str]| node.children().find(|child| names.contains(&child.tag_name().name()));
        if let Some(name) = attribute(NAMES) {
            let value = match attribute(VALUES) {
                Some(value) => self.attribute(&value),
                None => self.content(node).or_else(|| self.content(child(VALUES)?))?,
            };
            let at = self.places.at(self.span(&name).0);
            return Some((name.value().into(), at, value));
        }
        let name = self.content(child(NAMES)?)?;
        let value = self.content(child(VALUES)?)?;
        let name = name.scalar()?;
        Some((name.text.clone(), name.at, value))
    }

    fn attribute(&self, attribute: &Attribute<'_, '_>) -> Tree {
        let (start, end) = self.span(attribute);
        self.places.value(attribute.value(), Kind::Text, start, end)
    }

    /// The bytes between the quotes. Found by the quote: the parser counts long names and wide blanks only so far.
    fn span(&self, attribute: &Attribute<'_, '_>) -> (usize, usize) {
        let range = attribute.range();
        let raw = self.text.get(range.clone()).unwrap_or("");
        let inside = raw.find(['"', '\'']).map_or(0, |quote| quote.saturating_add(1));
        (
            range.start.saturating_add(inside).saturating_add(self.mark),
            range.end.saturating_sub(1).saturating_add(self.mark),
        )
    }

    /// The text of an element that holds nothing else.
    fn content(&self, node: Node<'_, '_>) -> Option<Tree> {
        if !node.is_element() || node.children().any(|child| child.is_element()) {
            return None;
        }
        let first = node.children().find(Node::is_text)?;
        let text: String = node.children().filter(Node::is_text).filter_map(|piece| piece.text()).collect();
        let start = first.range().start;
        // Up to the tag that closes it: the parser joins pieces, and tells the place of the first one.
        let raw = self.text.get(start..node.range().end).and_then(|rest| rest.get(..rest.rfind("</")?)).unwrap_or("");
        // What stands alone in CDATA stands behind its bracket.
        let inside = raw.trim().strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>"));
        let written = inside.map_or(raw, |inside| if inside.contains("]]>") { raw } else { inside });
        let ahead = raw.find(written).unwrap_or(0);
        let ahead = ahead.saturating_add(written.len().saturating_sub(written.trim_start().len()));
        let start = start.saturating_add(ahead).saturating_add(self.mark);
        let text = text.trim();
        let value = self.places.value(text, Kind::Text, start, start.saturating_add(written.trim().len()));
        (!text.is_empty()).then_some(value)
    }
}

/// Does the element say that its number counts what we don't know? Zero is zero in every unit.
fn has_other_unit(node: Node<'_, '_>) -> bool {
    let unit = node.attributes().find(|attribute| attribute.name().eq_ignore_ascii_case("unit"));
    let is_zero = node.text().is_some_and(|text| text.trim().chars().all(|c| matches!(c, '0' | '.')));
    unit.is_some_and(|unit| !is_zero && unit_named(&unit.value().to_ascii_lowercase()).is_none())
}

/// The length of the unit that an element's tag gives its number; `before` is all before the number.
pub(super) fn unit_before(before: &str) -> Option<Nanos> {
    let tag = before.trim_end().strip_suffix('>')?.rsplit('<').next()?;
    let lower = tag.to_ascii_lowercase();
    lower.match_indices("unit").find_map(|(at, name)| {
        let (before, after) = (lower.get(..at)?, lower.get(at.saturating_add(name.len())..)?);
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        before.ends_with(char::is_whitespace).then_some(())?;
        unit_named(value.get(1..)?.split(['"', '\'']).next()?)
    })
}

/// The attribute's name and quotes, or the tags, that stand around a value; `before` is all before it.
pub(super) fn around(before: &str) -> Option<(String, String)> {
    if let Some(quote @ ('"' | '\'')) = before.chars().next_back() {
        let name = before.strip_suffix(quote)?.trim_end().strip_suffix('=')?.trim_end();
        let name = name.rsplit(|c: char| c.is_whitespace()).next().filter(|name| !name.is_empty())?;
        return Some((format!("{name}={quote}"), quote.to_string()));
    }
    let tag = before.trim_end().rsplit('<').next()?.strip_suffix('>')?;
    let name =
        tag.split(|c: char| c.is_whitespace()).next().filter(|name| !name.is_empty() && !name.starts_with('!'))?;
    Some((format!("<{tag}>"), format!("</{name}>")))
}
