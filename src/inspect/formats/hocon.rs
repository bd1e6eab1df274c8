//! HOCON, as far as plain assignments go: `a.b = value`, `a { b: value }`, lists, comments, quotes of one and three.
//!
//! Dotted keys are paths, objects of one name are merged, and a repeated key keeps both values, of which the last one
//! holds: all as the format says. `${?X}` overrides a value only where X is set, so the value before it stays what the
//! file says and the override is left out; `${x}` is kept as text that nobody can resolve. Includes, substitutions and
//! `+=` are told in one note each. Does not know: concatenation (a value is its line's text), units, URLs of includes.
//! What does not balance yields no settings and a note.
//!
//! Source: <https://github.com/lightbend/config/blob/main/HOCON.md>.

use super::text::{Block, Cursor};
use super::{Format, Notation, empty, meaningful, note, too_large};
use crate::inspect::Note;
use crate::inspect::limits::Limits;
use crate::inspect::tree::{Kind, Position, Tree};

/// See [`super::FORMATS`].
pub const FORMAT: Format = Format {
    name: "hocon",
    notation: Notation::Plain,
    extensions: &["hocon"],
    names: &["application.conf", "reference.conf"],
    sniff,
    parse,
};

/// What stands for a value that is elsewhere: `${?JWT_LEEWAY}`.
const SUBSTITUTION: &str = "a substitution";

const INCLUDE: &str = "an include";

/// Has an object or an include, and nothing that looks like a program: no semicolons, no keys of several words.
fn sniff(text: &str) -> bool {
    let mut has_object = false;
    let plain = meaningful(text, &['#', '/']).all(|line| {
        if line.starts_with("include ") && line.contains('"') {
            has_object = true;
            return true;
        }
        let key = line.split(['=', ':', '{']).next().unwrap_or("").trim();
        has_object |= line.contains('{') && !key.is_empty();
        !line.contains(';') && !key.contains(|c: char| c.is_whitespace() || matches!(c, '(' | '<' | '$' | '%'))
    });
    plain && has_object && (FORMAT.parse)(text, &Limits::default()).1.iter().all(is_elsewhere)
}

/// Is the note about what stands elsewhere, in a text that is HOCON all the same?
pub(crate) fn is_elsewhere(note: &Note) -> bool {
    let what = note.message.strip_prefix("not read: ");
    what.is_some_and(|what| [SUBSTITUTION, INCLUDE].iter().any(|it| what.starts_with(it)))
}

fn parse(text: &str, limits: &Limits) -> (Tree, Vec<Note>) {
    if let Some(note) = too_large(text, limits) {
        return (empty(), vec![note]);
    }
    let mut reader = Reader {
        cursor: Cursor::new(text),
        limits,
        nodes: 0,
        depth: 0,
        here: Open::Map(Block::default()),
        around: Vec::new(),
        passed: Vec::new(),
    };
    match reader.document() {
        Ok(tree) => (tree, reader.notes()),
        Err(message) => (empty(), vec![note(reader.cursor.at, message)]),
    }
}

/// Keys from an object down to a value.
type Keys = Vec<(String, Position)>;

/// What is being filled.
enum Open {
    Map(Block),
    List(Vec<Tree>),
}

struct Reader<'t> {
    cursor: Cursor<'t>,
    limits: &'t Limits,
    nodes: usize,
    /// Levels from the root to `here`.
    depth: usize,
    here: Open,
    /// What is filled afterwards, innermost last: it, the way from it to what is filled before, its depth.
    around: Vec<(Open, Keys, usize)>,
    /// What was passed over: what it is, where the first one stands, how many.
    passed: Vec<(&'static str, Position, usize)>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Tree, String> {
        loop {
            self.skip_blanks(&[',']);
            let first = self.cursor.peek();
            match (&mut self.here, first) {
                (Open::Map(root), None) if self.around.is_empty() => return Ok(std::mem::take(root).done()),
                (_, None) => return Err("not HOCON: it ends too early".to_owned()),
                (Open::Map(_), Some('}')) | (Open::List(_), Some(']')) => {
                    self.close()?;
                    self.cursor.next();
                }
                (_, Some(sign @ ('}' | ']'))) => return Err(format!("not HOCON: a `{sign}` closes nothing")),
                (Open::Map(root), Some('{')) if self.around.is_empty() && root.is_empty() => {
                    self.open(Vec::new(), true)?
                }
                (Open::Map(_), Some(_)) => self.field()?,
                (Open::List(_), Some(_)) => self.value(Vec::new())?,
            }
        }
    }

    /// Blanks, line ends and comments, and what else is given.
    fn skip_blanks(&mut self, also: &[char]) {
        loop {
            self.cursor.skip_while(|c| c.is_whitespace() || also.contains(&c));
            if !self.cursor.rest.starts_with('#') && !self.cursor.rest.starts_with("//") {
                return;
            }
            self.cursor.line();
        }
    }

    fn pass(&mut self, what: &'static str, at: Position) {
        match self.passed.iter_mut().find(|(known, _, _)| *known == what) {
            Some((_, _, count)) => *count = count.saturating_add(1),
            None => self.passed.push((what, at, 1)),
        }
    }

    fn notes(&self) -> Vec<Note> {
        let note =
            |(what, at, count): &(&str, Position, usize)| note(*at, format!("not read: {what} ({count} in all)"));
        self.passed.iter().map(note).collect()
    }

    /// Begins an object or a list; an object goes on where one of the same keys ended.
    fn open(&mut self, keys: Keys, is_map: bool) -> Result<(), String> {
        let levels = keys.len().max(1);
        self.count(levels)?;
        self.cursor.next();
        let inner = match (&mut self.here, is_map) {
            (Open::Map(here), true) => Open::Map(std::mem::take(down(here, &keys))),
            (_, true) => Open::Map(Block::default()),
            (_, false) => Open::List(Vec::new()),
        };
        self.around.push((std::mem::replace(&mut self.here, inner), keys, self.depth));
        self.depth = self.depth.saturating_add(levels);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let (outer, keys, depth) = self.around.pop().ok_or("not HOCON: a bracket closes nothing")?;
        self.depth = depth;
        match std::mem::replace(&mut self.here, outer) {
            Open::Map(inner) => match &mut self.here {
                Open::Map(here) => *down(here, &keys) = inner,
                Open::List(items) => items.push(inner.done()),
            },
            Open::List(items) => self.put(keys, Tree::List(items)),
        }
        Ok(())
    }

    fn put(&mut self, mut keys: Keys, value: Tree) {
        match &mut self.here {
            Open::List(items) => items.push(value),
            Open::Map(here) => {
                if let Some((key, at)) = keys.pop() {
                    down(here, &keys).value(key, at, value);
                }
            }
        }
    }

    fn count(&mut self, levels: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(levels);
        if self.nodes > self.limits.nodes {
            return Err(format!("not read: more than {} values", self.limits.nodes));
        }
        if self.depth.saturating_add(levels) > self.limits.depth {
            return Err(format!("not read: nested deeper than {} levels", self.limits.depth));
        }
        Ok(())
    }

    fn field(&mut self) -> Result<(), String> {
        let at = self.cursor.at;
        let line = self.cursor.rest;
        if line.starts_with("include ") || line.starts_with("include\t") {
            self.pass(INCLUDE, at);
            self.cursor.line();
            return Ok(());
        }
        let keys = self.keys()?;
        match self.cursor.peek() {
            Some('{') => return self.value(keys),
            Some('+') => {
                self.pass("a `+=`", at);
                self.cursor.next();
            }
            _ => {}
        }
        match self.cursor.next() {
            Some('=' | ':') => self.value(keys),
            _ => Err(format!(
                "not HOCON: `{}` has no value",
                keys.first().map_or("", |(key, _)| key).chars().take(40).collect::<String>()
            )),
        }
    }

    /// Keys between dots, up to the sign that ends them.
    fn keys(&mut self) -> Result<Keys, String> {
        let mut keys = Keys::new();
        loop {
            self.cursor.skip_while(|c| matches!(c, ' ' | '\t'));
            let begin = self.cursor;
            let key = if begin.rest.starts_with('"') {
                self.cursor.next();
                let key = self.quoted()?;
                self.cursor.skip_while(|c| matches!(c, ' ' | '\t'));
                key
            } else {
                self.cursor.skip_while(|c| {
                    !matches!(c, '.' | '=' | ':' | '{' | '+' | '"' | '\n' | '\r' | '}' | ']' | '[' | ',')
                });
                self.cursor.since(&begin).trim_end().to_owned()
            };
            keys.push((key, begin.at));
            self.count(keys.len())?;
            if self.cursor.peek() != Some('.') {
                return Ok(keys);
            }
            self.cursor.next();
        }
    }

    /// The value of these keys, or the next item of a list.
    fn value(&mut self, keys: Keys) -> Result<(), String> {
        self.skip_blanks(&[]);
        match self.cursor.peek() {
            Some('{') => return self.open(keys, true),
            Some('[') => return self.open(keys, false),
            _ => {}
        }
        self.count(keys.len())?;
        let begin = self.cursor;
        if begin.rest.starts_with("\"\"\"") {
            self.cursor.advance(3);
            let inside = self.cursor;
            let text = self.long()?;
            self.put(keys, inside.value(text, Kind::Text, self.cursor.offset.saturating_sub(3)));
            return Ok(());
        }
        if begin.rest.starts_with('"') {
            self.cursor.next();
            let inside = self.cursor;
            let text = self.quoted()?;
            let end = self.cursor.offset.saturating_sub(1);
            let after = self.cursor.rest.trim_start_matches([' ', '\t']);
            if after.is_empty() || after.starts_with(['\n', '\r', ',', '}', ']', '#', '/']) {
                self.put(keys, inside.value(text, Kind::Text, end));
                return Ok(());
            }
        }
        // From its beginning again: of pieces that are joined, the text is what stands there.
        self.cursor = begin;
        self.unquoted()?;
        let text = self.cursor.since(&begin).trim_end();
        if text.is_empty() && !matches!(self.cursor.peek(), Some('{' | '[')) {
            return Err("not HOCON: a value is missing".to_owned());
        }
        if text.contains("${") {
            self.pass(SUBSTITUTION, begin.at);
        }
        if matches!(self.cursor.peek(), Some('{' | '[')) {
            // `${base} { … }`: the object adds to what nobody knows here.
            return self.value(keys);
        }
        if !text.starts_with("${?") {
            let end = begin.offset.saturating_add(text.len());
            self.put(keys, begin.value(text, kind_of(text), end));
        }
        Ok(())
    }

    /// Up to what ends an unquoted value.
    fn unquoted(&mut self) -> Result<(), String> {
        while let Some(c) = self.cursor.peek() {
            let is_comment = c == '#' || self.cursor.rest.starts_with("//");
            if is_comment || matches!(c, '\n' | '\r' | ',' | '}' | ']' | '{' | '[') {
                break;
            }
            self.cursor.next();
            match c {
                // The next line's assignment, where this one has no value.
                '=' | ':' => return Err(format!("not HOCON: a `{c}` in a value needs quotes")),
                '"' => drop(self.quoted()?),
                '$' if self.cursor.peek() == Some('{') => {
                    self.cursor.skip_while(|c| !matches!(c, '}' | '\n' | '\r'));
                    if self.cursor.peek() == Some('}') {
                        self.cursor.next();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The text up to the closing quote, which is consumed; escapes are JSON's.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.cursor.peek() {
                None | Some('\n' | '\r') => return Err("not HOCON: a quote is not closed on its line".to_owned()),
                Some(_) => {}
            }
            match self.cursor.next() {
                Some('"') => return Ok(text),
                Some('\\') => match self.cursor.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('u') => {
                        let code = self.cursor.rest.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                        text.push(code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER));
                        self.cursor.advance(if code.is_some() { 4 } else { 0 });
                    }
                    other => text.extend(other),
                },
                other => text.extend(other),
            }
        }
    }

    /// The text up to three quotes, of which any more belong to the text; they are consumed.
    fn long(&mut self) -> Result<String, String> {
        let end = self.cursor.rest.find("\"\"\"").ok_or("not HOCON: three quotes are never closed")?;
        let begin = self.cursor;
        let target = begin.offset.saturating_add(end);
        while self.cursor.offset < target || self.cursor.rest.starts_with("\"\"\"\"") {
            self.cursor.next();
        }
        let text = self.cursor.since(&begin).to_owned();
        self.cursor.advance(3);
        Ok(text)
    }
}

/// The map that these keys lead to.
fn down<'b>(from: &'b mut Block, keys: &[(String, Position)]) -> &'b mut Block {
    keys.iter().fold(from, |block, (key, at)| block.inside(key, *at))
}

fn kind_of(text: &str) -> Kind {
    match text {
        "null" => Kind::Null,
        "true" | "false" => Kind::Bool,
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && text.parse::<f64>().is_ok() => {
            Kind::Number
        }
        _ => Kind::Text,
    }
}
