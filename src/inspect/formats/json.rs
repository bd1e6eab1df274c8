//! JSON as people write it: comments, trailing commas, single quotes and bare keys are read, with places.
//!
//! jsonc-parser's scanner gives the tokens; the tree is built here on a stack of our own, so that nesting costs a
//! limit and no recursion. Broken JSON gives an empty tree and a note: no product runs with it.

use super::{Format, Notation, empty, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::place::Lines;
use crate::inspect::tree::{Entry, Extent, Kind, Position, Scalar, Tree};
use compact_str::CompactString;
use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "json",
    notation: Notation::Json,
    extensions: &["json", "jsonc", "json5"],
    names: &[],
    sniff,
    parse,
};

fn sniff(text: &str) -> bool {
    // `{{` opens a template, and a line `[section]` with more below it TOML or INI.
    let text = text.trim();
    let is_section = |line: &str| {
        line.trim_end().ends_with(']')
            && !line.contains([',', '"'])
            && line.matches('[').count() == line.matches(']').count()
    };
    let opens_section = text.split_once('\n').is_some_and(|(first, _)| is_section(first));
    (text.starts_with('{') && !text.starts_with("{{") && text.ends_with('}'))
        || (text.starts_with('[') && text.ends_with(']') && !opens_section)
}

/// A map or list that is still open.
enum Open {
    Map { entries: Vec<Entry>, key: Option<(CompactString, Position)> },
    List(Vec<Tree>),
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    let mut documents = match placed(text, limits) {
        Ok(documents) => documents.into_iter(),
        Err(note) => return (empty(), vec![note]),
    };
    match (documents.next(), documents.next()) {
        (Some((_, document)), None) => (document, Vec::new()),
        (None, _) => (empty(), Vec::new()),
        (Some(_), Some((at, _))) => (empty(), vec![note(at, FOLLOWS.to_owned())]),
    }
}

const FOLLOWS: &str = "not JSON: something follows after the end of the document";

/// The documents of a file, which may stand one after another (`kubectl`, `jq` and logs write them so); those of a broken
/// one are none.
pub fn documents(text: &str, limits: &Limits) -> (Vec<Tree>, Vec<Note>) {
    match placed(text, limits) {
        Ok(documents) => (documents.into_iter().map(|(_, document)| document).collect(), Vec::new()),
        Err(note) => (Vec::new(), vec![note]),
    }
}

/// The documents, and where each begins.
fn placed(text: &str, limits: &Limits) -> Result<Vec<(Position, Tree)>, Note> {
    if let Some(note) = too_large(text, limits) {
        return Err(note);
    }
    let mark = text.len();
    let text = text.trim_start_matches('\u{feff}');
    let mark = mark.saturating_sub(text.len());
    let mut lines = Lines::new(text);
    build(text, mark, &mut lines, limits).map_err(|message| note(lines.last(), message))
}

/// `mark`: bytes of a mark in front of the text.
fn build(text: &str, mark: usize, lines: &mut Lines<'_>, limits: &Limits) -> Result<Vec<(Position, Tree)>, String> {
    let mut scanner = Scanner::new(text, &ScannerOptions::default());
    let mut open: Vec<Open> = Vec::new();
    let (mut documents, mut begins) = (Vec::new(), Position::default());
    let mut nodes = 0_usize;
    // After a value or an opening bracket a comma is either due or absent; being lenient about it reads more files
    // and never another meaning.
    loop {
        let scanned = scanner.scan().map_err(|error| {
            lines.place(error.range().start);
            format!("not JSON: {}", error.kind())
        })?;
        let start = scanner.token_start();
        let Some(token) = scanned else { break };
        let at = lines.place(start);
        if matches!(token, Token::CommentLine(_) | Token::CommentBlock(_)) {
            continue;
        }
        // One that follows another has to be an object: what else stands there is what is left of a broken one.
        if open.is_empty() && !documents.is_empty() && token != Token::OpenBrace {
            return Err(FOLLOWS.to_owned());
        }
        if open.is_empty() {
            begins = at;
        }
        if documents.len() >= limits.documents {
            return Err(format!("not read: more than {} documents", limits.documents));
        }
        if let Some(Open::Map { key: key @ None, .. }) = open.last_mut() {
            match token {
                Token::Comma => continue,
                Token::CloseBrace => {}
                token => {
                    let name = name_of(&token).ok_or("not JSON: expected a key")?;
                    *key = Some((name, at));
                    let colon = scanner.scan().map_err(|error| format!("not JSON: {}", error.kind()))?;
                    if colon != Some(Token::Colon) {
                        return Err("not JSON: expected a colon after the key".to_owned());
                    }
                    continue;
                }
            }
        }
        nodes = nodes.saturating_add(1);
        if nodes > limits.nodes {
            return Err(format!("not read: more than {} values", limits.nodes));
        }
        let (first, last) = (mark.saturating_add(start), mark.saturating_add(scanner.token_end()));
        let leaf =
            |text: &str, kind| Tree::Scalar(Scalar { text: text.into(), kind, at, extent: Extent::new(first, last) });
        let done = match token {
            Token::OpenBrace | Token::OpenBracket if open.len() >= limits.depth => {
                return Err(format!("not read: nested deeper than {} levels", limits.depth));
            }
            Token::OpenBrace => {
                open.push(Open::Map { entries: Vec::new(), key: None });
                continue;
            }
            Token::OpenBracket => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Token::CloseBrace => match open.pop() {
                Some(Open::Map { entries, key: None }) => Tree::Map(entries),
                _ => return Err("not JSON: a brace closes nothing".to_owned()),
            },
            Token::CloseBracket => match open.pop() {
                Some(Open::List(items)) => Tree::List(items),
                _ => return Err("not JSON: a bracket closes nothing".to_owned()),
            },
            Token::Comma if matches!(open.last(), Some(Open::List(_))) => continue,
            Token::String(value) => Tree::Scalar(Scalar {
                text: value.into(),
                kind: Kind::Text,
                at: Position { column: at.column.saturating_add(1), ..at },
                extent: Extent::new(first.saturating_add(1), last.saturating_sub(1)),
            }),
            Token::Boolean(value) => leaf(if value { "true" } else { "false" }, Kind::Bool),
            Token::Number(value) => leaf(value, Kind::Number),
            Token::Null => leaf("", Kind::Null),
            other => {
                return Err(format!("not JSON: unexpected `{}`", other.as_str().chars().take(40).collect::<String>()));
            }
        };
        match open.last_mut() {
            None => documents.push((begins, done)),
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map { entries, key }) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, value: done }),
                None => return Err("not JSON: a value without a key".to_owned()),
            },
        }
    }
    if !open.is_empty() {
        return Err("not JSON: it ends too early".to_owned());
    }
    Ok(documents)
}

fn name_of(token: &Token<'_>) -> Option<CompactString> {
    match token {
        Token::String(_) | Token::Word(_) | Token::Number(_) | Token::Boolean(_) | Token::Null => {
            Some(token.as_str().into())
        }
        _ => None,
    }
}
