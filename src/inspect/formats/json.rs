//! JSON as people write it: comments, trailing commas, single quotes and bare keys are read, with places.
//!
//! jsonc-parser's scanner gives the tokens; the tree is built here on a stack of our own, so that nesting costs a
//! limit and no recursion. Broken JSON gives an empty tree and a note: no product runs with it.

use super::{Format, Notation, empty, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::place::Lines;
use crate::inspect::tree::{Entry, Kind, Position, Scalar, Tree};
use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "json", notation: Notation::Json, extensions: &["json", "jsonc", "json5"], sniff, parse };

fn sniff(text: &str) -> bool {
    // `{{` opens a template; `[section]` opens an INI file, which fails as JSON when it is parsed.
    let text = text.trim_start();
    (text.starts_with('{') && !text.starts_with("{{") && text.trim_end().ends_with('}'))
        || (text.starts_with('[') && text.trim_end().ends_with(']'))
}

/// A map or list that is still open.
enum Open {
    Map { entries: Vec<Entry>, key: Option<(String, Position)> },
    List(Vec<Tree>),
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = Lines::new(text);
    match build(text, &mut lines, limits) {
        Ok(tree) => (tree, Vec::new()),
        Err(message) => (empty(), vec![note(lines.last(), message)]),
    }
}

fn build(text: &str, lines: &mut Lines<'_>, limits: &Limits) -> Result<Tree, String> {
    let mut scanner = Scanner::new(text, &ScannerOptions::default());
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
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
        if root.is_some() {
            return Err("not JSON: something follows after the end of the document".to_owned());
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
        let leaf = |text: String, kind| Tree::Scalar(Scalar { text, kind, at });
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
                text: value.into_owned(),
                kind: Kind::Text,
                at: Position { column: at.column.saturating_add(1), ..at },
            }),
            Token::Boolean(value) => leaf(value.to_string(), Kind::Bool),
            Token::Number(value) => leaf(value.to_owned(), Kind::Number),
            Token::Null => leaf(String::new(), Kind::Null),
            other => {
                return Err(format!("not JSON: unexpected `{}`", other.as_str().chars().take(40).collect::<String>()));
            }
        };
        match open.last_mut() {
            None => root = Some(done),
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
    Ok(root.unwrap_or_else(empty))
}

fn name_of(token: &Token<'_>) -> Option<String> {
    match token {
        Token::String(_) | Token::Word(_) | Token::Number(_) | Token::Boolean(_) | Token::Null => {
            Some(token.as_str().to_owned())
        }
        _ => None,
    }
}
