//! Apache httpd: `Directive argument …`, one a line, and sections `<Name argument …> … </Name>`.
//!
//! A directive with one argument is a value, one with several a list of them. Sections are items of a list, and their
//! arguments are the `name` of the item. Directives of mod_oauth2 are
//! lists even where one is alone, and its options, `name=value&name=value` in one argument, are a map. A
//! backslash at the end joins two lines; `#` makes a comment only where a line begins. A section that is not closed, or closed by another's name, makes httpd refuse the file: no settings and a
//! note. A repeated directive keeps both values, of which in httpd the last one holds. Does not know: which directives
//! there are, `Include`, variables, whether an `<IfModule>` holds.
//!
//! Source: <https://httpd.apache.org/docs/2.4/configuring.html#syntax>; for the options mod_oauth2's oauth2.conf.

use super::text::{Block, Cursor};
use super::{Format, Notation, empty, entry, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Entry, Extent, Kind, Position, Scalar, Tree};

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "apache",
    notation: Notation::Apache,
    extensions: &["htaccess"],
    names: &["httpd.conf", "apache2.conf", ".htaccess"],
    sniff,
    parse,
};

/// Names, or their beginnings, that make a text httpd's and not somebody's prose; lower case.
const TELLING: &[&str] = &[
    "virtualhost",
    "directory",
    "location",
    "ifmodule",
    "ifdefine",
    "requireall",
    "loadmodule",
    "oidc",
    "oauth2",
    "authtype",
    "authjwt",
    "sslengine",
    "rewriteengine",
];

fn sniff(text: &str) -> bool {
    let (tree, notes) = parse(text, &Limits::default());
    let is_name = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_uppercase()) && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let tells = |key: &str| TELLING.iter().any(|start| key.to_ascii_lowercase().starts_with(start));
    let keys = || tree.entries().iter().map(|entry| entry.key.as_str());
    notes.is_empty() && keys().all(is_name) && keys().any(tells)
}

/// A section that is still open.
struct Open {
    name: String,
    at: Position,
    called: Option<Tree>,
    holds: Block,
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut cursor = Cursor::new(text);
    match build(&mut cursor, limits) {
        Ok(tree) => (tree, Vec::new()),
        Err(message) => (empty(), vec![note(cursor.at, message)]),
    }
}

fn build(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Tree, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut holds = Block::default();
    let mut nodes = 0_usize;
    loop {
        cursor.skip_while(|c| c.is_ascii_whitespace());
        let Some(first) = cursor.peek() else { break };
        if first == '#' {
            // A comment is continued like any line.
            while cursor.line().ends_with('\\') {}
            continue;
        }
        if cursor.rest.starts_with("</") {
            let line = cursor.line().trim_end();
            let name = line.strip_prefix("</").and_then(|line| line.strip_suffix('>')).unwrap_or("").trim();
            let Some(section) = open.pop().filter(|section| section.name.eq_ignore_ascii_case(name)) else {
                return Err(format!("not httpd: `</{}>` closes no section", clip(name)));
            };
            let inner = std::mem::replace(&mut holds, section.holds).done();
            close(section.name, section.at, section.called, inner, &mut holds);
            continue;
        }
        let is_section = first == '<';
        if is_section {
            cursor.next();
        }
        let at = cursor.at;
        let name = name(cursor);
        let words = words(cursor, is_section)?;
        nodes = nodes.saturating_add(words.len()).saturating_add(3);
        if nodes > limits.nodes {
            return Err(format!("not read: more than {} values", limits.nodes));
        }
        if !is_section {
            directive(name, at, words, &mut holds);
            continue;
        }
        // A section is a list with a map in it.
        if open.len().saturating_add(1).saturating_mul(2) > limits.depth {
            return Err(format!("not read: nested deeper than {} levels", limits.depth));
        }
        let called = called(&words);
        open.push(Open { name, at, called, holds: std::mem::take(&mut holds) });
    }
    match open.pop() {
        Some(section) => Err(format!("not httpd: the section `<{}>` is not closed", clip(&section.name))),
        None => Ok(holds.done()),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

fn directive(name: String, at: Position, mut words: Vec<Tree>, into: &mut Block) {
    if name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("OAuth2")) {
        words = words.into_iter().map(|word| options(&word).unwrap_or(word)).collect();
        // Each of them is tried in turn, so a later one takes nothing back.
        return into.item(name, at, Tree::List(words));
    }
    match words.pop() {
        None => {}
        Some(only) if words.is_empty() => into.value(name, at, only),
        Some(last) => {
            words.push(last);
            into.value(name, at, Tree::List(words));
        }
    }
}

/// `verify.exp=skip&verify.iat=skip` as a map; `None` where it is something else, or not written letter for letter.
fn options(word: &Tree) -> Option<Tree> {
    let scalar = word.scalar()?;
    let Scalar { text, at, extent: Some(extent), .. } = scalar else { return None };
    let start = usize::try_from(extent.start).ok()?;
    if usize::try_from(extent.end).ok()?.checked_sub(start)? != text.len() {
        return None;
    }
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let mut before = 0_usize;
    let mut entries = Vec::new();
    for option in text.split('&') {
        let (name, value) = option.split_once('=').filter(|(name, _)| is_name(name))?;
        let place = |offset: usize| {
            let columns = text.get(..offset).map_or(0, |text| text.chars().count());
            Position { column: at.column.saturating_add(u32::try_from(columns).unwrap_or(u32::MAX)), ..*at }
        };
        let begins = before.saturating_add(name.len()).saturating_add(1);
        let extent =
            Extent::new(start.saturating_add(begins), start.saturating_add(begins).saturating_add(value.len()));
        let value = Scalar { text: value.into(), kind: Kind::Text, at: place(begins), extent };
        entries.push(entry(name, place(before), Tree::Scalar(value)));
        before = before.saturating_add(option.len()).saturating_add(1);
    }
    Some(Tree::Map(entries))
}

/// The name of an option and its sign, in front of its value; `before` is all before it.
pub(super) fn around(before: &str) -> Option<(String, String)> {
    let name = before.strip_suffix('=')?.rsplit(['&', '"', '\'', ' ', '\t', '\n']).next()?;
    (!name.is_empty()).then(|| (format!("{name}="), String::new()))
}

/// The arguments of a section as one text; their place is the first one's.
fn called(words: &[Tree]) -> Option<Tree> {
    let at = words.first()?.scalar()?.at;
    let texts: Vec<&str> = words.iter().filter_map(Tree::text).collect();
    Some(Tree::Scalar(Scalar { text: texts.join(" ").into(), kind: Kind::Text, at, extent: None }))
}

fn close(name: String, at: Position, called: Option<Tree>, inner: Tree, into: &mut Block) {
    match (called, inner) {
        (Some(called), Tree::Map(entries)) => {
            let place = called.scalar().map_or(at, |scalar| scalar.at);
            let first = entry("name", place, called);
            let entries: Vec<Entry> = [first].into_iter().chain(entries).collect();
            into.item(name, at, Tree::Map(entries));
        }
        (_, inner) => into.block(name, at, inner),
    }
}

/// The name of a directive or section.
fn name(cursor: &mut Cursor<'_>) -> String {
    let begin = *cursor;
    cursor.skip_while(|c| !c.is_ascii_whitespace() && !matches!(c, '>' | '\\'));
    cursor.since(&begin).to_owned()
}

/// Arguments up to the end of the line; those of a section end in `>`.
fn words(cursor: &mut Cursor<'_>, is_section: bool) -> Result<Vec<Tree>, String> {
    let mut words = Vec::new();
    loop {
        cursor.skip_while(|c| matches!(c, ' ' | '\t'));
        match cursor.peek() {
            Some('\\') if continues(cursor) => {
                cursor.advance(2);
                continue;
            }
            None | Some('\n' | '\r') if is_section => {
                return Err("not httpd: a section's line lacks its `>`".to_owned());
            }
            None | Some('\n' | '\r') => return Ok(words),
            Some('>') if is_section && closes(cursor) => {
                cursor.line();
                return Ok(words);
            }
            Some(quote @ ('"' | '\'')) => {
                cursor.next();
                words.push(word(cursor, Some(quote), is_section));
                cursor.next();
            }
            Some(_) => words.push(word(cursor, None, is_section)),
        }
    }
}

/// A backslash at the end of a line?
fn continues(cursor: &Cursor<'_>) -> bool {
    cursor.rest.starts_with("\\\n") || cursor.rest.starts_with("\\\r")
}

/// A `>` that ends its line?
fn closes(cursor: &Cursor<'_>) -> bool {
    let after = cursor.rest.strip_prefix('>').map(|rest| rest.trim_start_matches([' ', '\t']));
    after.is_some_and(|after| after.is_empty() || after.starts_with(['\n', '\r']))
}

/// One argument; a quote that is not closed ends with its line. Inside of quotes a backslash takes back the quote's
/// meaning, and nothing else.
fn word(cursor: &mut Cursor<'_>, quote: Option<char>, is_section: bool) -> Tree {
    let begin = *cursor;
    let mut text = String::new();
    while let Some(c) = cursor.peek() {
        let is_end = match quote {
            Some(quote) => c == quote,
            None => matches!(c, ' ' | '\t') || (c == '>' && is_section && closes(cursor)),
        };
        if is_end || matches!(c, '\n' | '\r') {
            break;
        }
        if c == '\\' && continues(cursor) {
            cursor.advance(2);
            continue;
        }
        cursor.next();
        match cursor.peek().filter(|next| c == '\\' && quote == Some(*next)) {
            Some(next) => {
                cursor.next();
                text.push(next);
            }
            None => text.push(c),
        }
    }
    begin.value(text, Kind::Text, cursor.offset)
}
