//! nginx: `name argument …;` and `name argument … { … }`, also the snippets that ingress controllers take.
//!
//! A directive with one argument is a value, one with several a list of them, and `set $name value` is the variable's
//! value. Blocks of one name are a list; their arguments are the `name` of the item, so that a location keeps its
//! identity when another is put before it. Of a `map` only the values count: its variable holds one of them. A Lua
//! block is a program and is passed over. What nginx refuses to load yields no settings and a note. nginx refuses most
//! repeated directives; both values are kept. Does not know: which directives there are, includes, inheritance.
//!
//! Source: <https://nginx.org/en/docs/beginners_guide.html#conf_structure>,
//! <https://nginx.org/en/docs/http/ngx_http_map_module.html>; for quotes and backslashes nginx's own tokenizer
//! (ngx_conf_file.c).

use super::text::{Block, Cursor};
use super::{Format, Notation, empty, entry, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Entry, Kind, Position, Scalar, Tree};
use compact_str::CompactString;

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "nginx", notation: Notation::Nginx, extensions: &["nginx"], names: &["nginx.conf"], sniff, parse };

/// Directives that make a text nginx's and not another's that has braces and semicolons.
const TELLING: &[&str] = &[
    "http",
    "server",
    "location",
    "upstream",
    "map",
    "proxy_pass",
    "proxy_set_header",
    "add_header",
    "auth_request",
    "auth_jwt",
    "auth_jwt_leeway",
    "auth_jwt_key_file",
    "auth_jwt_key_request",
    "worker_processes",
    "server_name",
    "rewrite",
];

fn sniff(text: &str) -> bool {
    // Cheap before dear: every directive ends in one of these.
    if !text.contains([';', '}']) {
        return false;
    }
    let (tree, notes) = parse(text, &Limits::default());
    // Everybody sets something; only nginx sets `$name`.
    let tells = |entry: &Entry| {
        TELLING.contains(&entry.key.as_str()) || (entry.key == "set" && !entry.value.entries().is_empty())
    };
    notes.is_empty() && tree.entries().iter().any(tells)
}

/// What ends a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Semicolon,
    Open,
    Close,
    End,
}

/// One argument, unquoted, and where it stands.
struct Word {
    text: CompactString,
    value: Tree,
    at: Position,
}

/// A block that is still open: its directive's words and what it holds so far.
struct Open {
    words: Vec<Word>,
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
        let (words, sign) = statement(cursor)?;
        nodes = nodes.saturating_add(words.len()).saturating_add(2);
        if nodes > limits.nodes {
            return Err(format!("not read: more than {} values", limits.nodes));
        }
        match sign {
            Sign::Semicolon if words.is_empty() => return Err("not nginx: a semicolon ends nothing".to_owned()),
            Sign::Semicolon => directive(words, &mut holds),
            Sign::Open if words.is_empty() => return Err("not nginx: a brace opens nothing".to_owned()),
            Sign::Open if is_program(&words) => program(cursor)?,
            // A block is a list with a map in it.
            Sign::Open if open.len().saturating_add(1).saturating_mul(2) > limits.depth => {
                return Err(format!("not read: nested deeper than {} levels", limits.depth));
            }
            Sign::Open => open.push(Open { words, holds: std::mem::take(&mut holds) }),
            Sign::Close | Sign::End if !words.is_empty() => {
                return Err(format!("not nginx: `{}` is not ended by a semicolon", clip(&words)));
            }
            Sign::Close => {
                let Some(outer) = open.pop() else { return Err("not nginx: a brace closes nothing".to_owned()) };
                let inner = std::mem::replace(&mut holds, outer.holds).done();
                block(outer.words, inner, &mut holds);
            }
            Sign::End if !open.is_empty() => return Err("not nginx: it ends inside of a block".to_owned()),
            Sign::End => return Ok(holds.done()),
        }
    }
}

fn clip(words: &[Word]) -> String {
    words.first().map_or("", |word| word.text.as_str()).chars().take(40).collect()
}

fn directive(words: Vec<Word>, into: &mut Block) {
    let mut words = words.into_iter();
    let Some(name) = words.next() else { return };
    let mut arguments: Vec<Word> = words.collect();
    let is_variable = name.text == "set" && arguments.len() == 2 && is_dollar(arguments.first());
    match arguments.pop() {
        None => {}
        Some(only) if arguments.is_empty() => into.value(name.text, name.at, only.value),
        Some(value) if is_variable => {
            let Some(variable) = arguments.pop() else { return };
            into.inside(&name.text, name.at).value(variable.text, variable.at, value.value);
        }
        Some(last) => {
            let items = arguments.into_iter().chain([last]).map(|word| word.value).collect();
            into.value(name.text, name.at, Tree::List(items));
        }
    }
}

fn is_dollar(word: Option<&Word>) -> bool {
    word.is_some_and(|word| word.text.starts_with('$'))
}

fn block(words: Vec<Word>, inner: Tree, into: &mut Block) {
    let mut words = words.into_iter();
    let Some(name) = words.next() else { return };
    let mut arguments: Vec<Word> = words.collect();
    let is_choice = matches!(name.text.as_str(), "map" | "geo" | "split_clients");
    if let Some(variable) = arguments.pop_if(|last| is_choice && is_dollar(Some(last))) {
        let choices = into.inside(&name.text, name.at);
        return choices.block(variable.text, variable.at, Tree::List(values(inner)));
    }
    let entries = match inner {
        Tree::Map(entries) if !arguments.is_empty() => entries,
        inner => return into.block(name.text, name.at, inner),
    };
    let at = arguments.first().map_or(name.at, |first| first.at);
    let texts: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
    let called = Scalar { text: texts.join(" ").into(), kind: Kind::Text, at, extent: None };
    let entries: Vec<Entry> = [entry("name", at, Tree::Scalar(called))].into_iter().chain(entries).collect();
    into.item(name.text, name.at, Tree::Map(entries));
}

/// The values of a `map`, whatever leads to them.
fn values(inner: Tree) -> Vec<Tree> {
    let Tree::Map(entries) = inner else { return Vec::new() };
    let is_value =
        |entry: &Entry| entry.value.scalar().is_some() && !matches!(entry.key.as_str(), "include" | "hostnames");
    entries.into_iter().filter(is_value).map(|entry| entry.value).collect()
}

fn is_program(words: &[Word]) -> bool {
    words.first().is_some_and(|word| word.text.ends_with("_by_lua_block"))
}

/// Words up to a sign that ends them.
fn statement(cursor: &mut Cursor<'_>) -> Result<(Vec<Word>, Sign), String> {
    let mut words = Vec::new();
    loop {
        cursor.skip_while(is_blank);
        let sign = match cursor.peek() {
            None => return Ok((words, Sign::End)),
            // To the end of the line as nginx sees it, which a lone `\r` does not end.
            Some('#') => {
                cursor.skip_line();
                continue;
            }
            Some(';') => Sign::Semicolon,
            Some('{') => Sign::Open,
            Some('}') => Sign::Close,
            Some(quote @ ('"' | '\'')) => {
                words.push(quoted(cursor, quote)?);
                continue;
            }
            Some(_) => {
                words.push(bare(cursor));
                continue;
            }
        };
        cursor.next();
        return Ok((words, sign));
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn quoted(cursor: &mut Cursor<'_>, quote: char) -> Result<Word, String> {
    cursor.next();
    let begin = *cursor;
    let mut text = CompactString::default();
    loop {
        match cursor.next() {
            None => return Err(format!("not nginx: a {quote} is never closed")),
            Some(c) if c == quote => break,
            Some('\\') => text.extend(unescaped(cursor)),
            Some(c) => text.push(c),
        }
    }
    if cursor.peek().is_some_and(|c| !is_blank(c) && !matches!(c, ';' | '{' | ')')) {
        return Err("not nginx: something follows a quote without a blank between".to_owned());
    }
    Ok(word(begin, text, cursor.offset.saturating_sub(1)))
}

/// A word without quotes; `${name}` inside of it is no block.
fn bare(cursor: &mut Cursor<'_>) -> Word {
    let begin = *cursor;
    let mut text = CompactString::default();
    while let Some(c) = cursor.peek() {
        let is_variable = c == '{' && text.ends_with('$');
        if is_blank(c) || c == ';' || (c == '{' && !is_variable) {
            break;
        }
        cursor.next();
        match c {
            '\\' => text.extend(unescaped(cursor)),
            c => text.push(c),
        }
    }
    word(begin, text, cursor.offset)
}

fn word(begin: Cursor<'_>, text: CompactString, end: usize) -> Word {
    Word { value: begin.value(text.clone(), Kind::Text, end), text, at: begin.at }
}

/// What a backslash and the character after it stand for; most stand for themselves, both of them.
fn unescaped(cursor: &mut Cursor<'_>) -> impl Iterator<Item = char> + use<> {
    let (first, second) = match cursor.next() {
        Some(c @ ('"' | '\'' | '\\')) => (Some(c), None),
        Some('t') => (Some('\t'), None),
        Some('r') => (Some('\r'), None),
        Some('n') => (Some('\n'), None),
        other => (Some('\\'), other),
    };
    first.into_iter().chain(second)
}

/// Passes over a Lua block: braces are counted, those in strings and comments are not.
fn program(cursor: &mut Cursor<'_>) -> Result<(), String> {
    let mut depth = 1_usize;
    while let Some(c) = cursor.next() {
        match c {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            '"' | '\'' => string(cursor, c),
            '-' if cursor.rest.starts_with("-[[") => long(cursor),
            '-' if cursor.rest.starts_with('-') => cursor.skip_line(),
            '[' if cursor.rest.starts_with('[') => long(cursor),
            _ => {}
        }
        if depth == 0 {
            return Ok(());
        }
    }
    Err("not nginx: it ends inside of a Lua block".to_owned())
}

fn string(cursor: &mut Cursor<'_>, quote: char) {
    while let Some(c) = cursor.next() {
        match c {
            '\\' => drop(cursor.next()),
            c if c == quote => return,
            _ => {}
        }
    }
}

fn long(cursor: &mut Cursor<'_>) {
    while !cursor.rest.starts_with("]]") && cursor.next().is_some() {}
}

/// The words of the directive in front of a value, and its end; `before` is all before the value. `set $a 0;` and a
/// line of a map name what they set themselves.
pub(super) fn around(before: &str) -> Option<(String, String)> {
    let line = before.rsplit([';', '{', '}', '\n', '\r']).next()?.trim_start();
    let words = line.trim_end_matches(['"', '\'']).trim_end();
    (!words.is_empty()).then(|| (format!("{words} "), ";".to_owned()))
}
