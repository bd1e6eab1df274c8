//! The options of a JAAS login module, as Kafka takes them in `sasl.jaas.config`:
//! `some.LoginModule required key="value" other="value";`
//!
//! Only what follows the control flag is an option. Several modules after one another give one map, those in a section
//! (`KafkaServer { … };`) the map of its name.
//!
//! Source: javax.security.auth.login.Configuration.

use super::text::{Block, Cursor};
use super::{Format, Notation, empty, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Tree};

/// See [`super::FORMATS`].
pub const FORMAT: Format =
    Format { name: "jaas", notation: Notation::Jaas, extensions: &["jaas"], names: &["jaas.conf"], sniff, parse };

const FLAGS: &[&str] = &["required", "requisite", "sufficient", "optional"];

fn sniff(text: &str) -> bool {
    let text = &uncommented(text);
    // A file has a section around the modules: `KafkaServer { … };`.
    let section = text.split_once('{').filter(|(name, _)| {
        !name.trim().is_empty()
            && name.trim().chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    });
    let mut words = section.map_or(text.as_str(), |(_, inside)| inside).split_whitespace();
    let module = words.next().is_some_and(|word| word.contains('.') && word.ends_with("LoginModule"));
    module && words.next().is_some_and(|word| FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(word)))
}

/// Without comments: lines that begin with `//`, and what stands between `/*` and `*/`.
///
/// Source: <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/javax/security/auth/login/Configuration.html>.
fn uncommented(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        left.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    left.push_str(rest);
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    left.lines().filter(|line| !is_comment(line)).collect::<Vec<_>>().join("\n")
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut root = Block::default();
    let (mut section, mut nodes) = (None, 0_usize);
    let mut cursor = Cursor::new(text);
    loop {
        cursor.skip_while(|c| c.is_whitespace() || matches!(c, ';' | '{'));
        if cursor.peek() == Some('}') {
            section = None;
            cursor.next();
            continue;
        }
        if cursor.rest.starts_with("//") {
            cursor.line();
            continue;
        }
        if let Some(comment) = cursor.rest.strip_prefix("/*") {
            let end = comment.find("*/").map_or(comment.len(), |end| end.saturating_add(2));
            cursor.advance(comment.get(..end).unwrap_or("").chars().count().saturating_add(2));
            continue;
        }
        let at = cursor.at;
        let end = cursor
            .rest
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | ';' | '{' | '}'))
            .unwrap_or(cursor.rest.len());
        let Some(word) = cursor.rest.get(..end).filter(|word| !word.is_empty()) else {
            // A sign without a word before it, or the end.
            if cursor.next().is_none() || nodes >= limits.nodes {
                break;
            }
            continue;
        };
        cursor.advance(word.chars().count());
        if cursor.rest.trim_start().starts_with('{') {
            section = Some((word, at));
        }
        if cursor.peek() != Some('=') {
            continue;
        }
        cursor.next();
        let quote = cursor.peek().filter(|c| matches!(c, '"' | '\''));
        if quote.is_some() {
            cursor.next();
        }
        let begin = cursor;
        let mut value = String::new();
        while let Some(c) = cursor.peek() {
            if quote.map_or_else(|| c.is_whitespace() || c == ';', |q| c == q) {
                break;
            }
            cursor.next();
            match (c, quote) {
                ('\\', Some(_)) => value.extend(cursor.next()),
                _ => value.push(c),
            }
        }
        let into = match section {
            Some((name, at)) => root.inside(name, at),
            None => &mut root,
        };
        into.value(word, at, begin.value(value, Kind::Text, cursor.offset));
        nodes = nodes.saturating_add(1);
        if quote.is_some() {
            cursor.next();
        }
    }
    (root.done(), Vec::new())
}
