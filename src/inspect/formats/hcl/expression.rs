//! HCL's expressions, as far as one must know them to find their end: strings, templates, heredocs, brackets.
//!
//! Operands and operators have to take turns and brackets have to match, so that a program is not taken for HCL; what
//! an expression means is not asked. Templates in strings in templates are as deep as the limits allow.

use super::super::text::Cursor;
use super::Reader;
use crate::inspect::tree::{Kind, Tree};
use compact_str::CompactString;

/// What ends an expression, besides the end of what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The line, too: an attribute, a value in an object.
    Line,
    /// A comma or a closing bracket: an item, an argument.
    Comma,
    /// Only this bracket: a template, a comprehension.
    Bracket(char),
}

/// Words that stand between operands.
const KEYWORDS: &[&str] = &["for", "in", "if", "else"];

impl Reader<'_> {
    /// Blanks and comments; line ends where they do not count.
    pub(super) fn skip_blanks(&mut self, lines: bool) -> Result<(), String> {
        loop {
            self.cursor.skip_while(|c| matches!(c, ' ' | '\t') || (lines && matches!(c, '\n' | '\r')));
            let rest = self.cursor.rest;
            if rest.starts_with("/*") {
                let target = rest.find("*/").ok_or("not HCL: a comment is never closed")?.saturating_add(2);
                let end = self.cursor.offset.saturating_add(target);
                while self.cursor.offset < end {
                    self.cursor.next();
                }
            } else if lines && (rest.starts_with('#') || rest.starts_with("//")) {
                self.cursor.skip_line();
            } else {
                return Ok(());
            }
        }
    }

    /// A name: letters, digits, `_` and `-`, no digit first.
    pub(super) fn name(&mut self) -> Option<CompactString> {
        let starts = self.cursor.peek().is_some_and(|c| c.is_alphabetic() || c == '_');
        if starts { self.word() } else { None }
    }

    /// A name, or a number as a key.
    pub(super) fn word(&mut self) -> Option<CompactString> {
        let begin = self.cursor;
        self.cursor.skip_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        Some(self.cursor.since(&begin)).filter(|word| !word.is_empty()).map(CompactString::from)
    }

    /// A decimal number; a minus may stand apart.
    pub(super) fn number(&mut self) -> Option<Tree> {
        let begin = self.cursor;
        if self.cursor.peek() == Some('-') {
            self.cursor.next();
            self.cursor.skip_while(|c| matches!(c, ' ' | '\t'));
        }
        let is_digit = |c: char| c.is_ascii_digit();
        let starts = self.cursor.peek().is_some_and(is_digit);
        self.cursor.skip_while(is_digit);
        if self.cursor.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(is_digit)) {
            self.cursor.next();
            self.cursor.skip_while(is_digit);
        }
        let exponent = self.cursor.rest.strip_prefix(['e', 'E']).map(|rest| rest.trim_start_matches(['+', '-']));
        if exponent.is_some_and(|rest| rest.starts_with(is_digit)) {
            self.cursor.next();
            self.cursor.skip_while(|c| matches!(c, '+' | '-'));
            self.cursor.skip_while(is_digit);
        }
        let text = self.cursor.since(&begin).replace([' ', '\t'], "");
        starts.then(|| begin.value(text, Kind::Number, self.cursor.offset))
    }

    /// A string: its text, whether it is that literally (no template), and the byte after its last one.
    pub(super) fn string(&mut self) -> Result<(CompactString, bool, usize), String> {
        self.cursor.next();
        let mut text = CompactString::default();
        let mut is_literal = true;
        loop {
            let end = self.cursor.offset;
            match self.cursor.peek() {
                None | Some('\n' | '\r') => return Err("not HCL: a quote is not closed on its line".to_owned()),
                Some(_) if self.template(&mut text)? => {
                    is_literal = false;
                    continue;
                }
                Some(_) => {}
            }
            match self.cursor.next() {
                Some('"') => return Ok((text, is_literal, end)),
                Some('\\') => text.push(self.escaped()?),
                Some(c) => text.push(c),
                None => {}
            }
        }
    }

    /// Passes over `${…}` or `%{…}` if one begins here; `$${` and `%%{` are text.
    fn template(&mut self, text: &mut CompactString) -> Result<bool, String> {
        for sign in ['$', '%'] {
            let Some(rest) = self.cursor.rest.strip_prefix(sign) else { continue };
            if rest.starts_with(sign) && rest.get(1..).is_some_and(|rest| rest.starts_with('{')) {
                self.cursor.advance(2);
                text.push(sign);
                return Ok(false);
            }
            if rest.starts_with('{') {
                self.cursor.advance(2);
                self.nested = self.nested.saturating_add(1);
                self.count(0, self.nested)?;
                self.calculated(Ends::Bracket('}'))?;
                self.cursor.next();
                self.nested = self.nested.saturating_sub(1);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn escaped(&mut self) -> Result<char, String> {
        let digits = match self.cursor.next() {
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some(c @ ('"' | '\\')) => return Ok(c),
            Some('u') => 4,
            Some('U') => 8,
            _ => return Err("not HCL: an unknown escape".to_owned()),
        };
        let code = self.cursor.rest.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let c = code.and_then(char::from_u32).ok_or("not HCL: an escape that is no character")?;
        self.cursor.advance(digits);
        Ok(c)
    }

    /// `<<X` or `<<-X`, lines, `X`. With a template in it nothing is known.
    pub(super) fn heredoc(&mut self) -> Result<Option<Tree>, String> {
        self.cursor.advance(2);
        let is_indented = self.cursor.peek() == Some('-');
        self.cursor.advance(usize::from(is_indented));
        let delimiter = self.name().ok_or("not HCL: a heredoc without a name")?;
        if !matches!(self.cursor.peek(), Some('\n' | '\r')) {
            return Err("not HCL: something follows the name of a heredoc".to_owned());
        }
        self.cursor.next();
        let begin = self.cursor;
        let mut end = begin;
        while end.rest.split(['\n', '\r']).next().unwrap_or("").trim() != delimiter {
            if end.rest.is_empty() {
                return Err(format!("not HCL: the heredoc {delimiter} is never closed"));
            }
            end.line();
        }
        let raw = end.since(&begin);
        self.cursor = end;
        self.cursor.skip_while(|c| matches!(c, ' ' | '\t'));
        self.cursor.advance(delimiter.chars().count());
        let escaped = raw.replace("$${", "").replace("%%{", "");
        if escaped.contains("${") || escaped.contains("%{") {
            return Ok(None);
        }
        let text = raw.replace("$${", "${").replace("%%{", "%{");
        let text = if is_indented { dedented(&text) } else { text };
        Ok(Some(begin.value(text, Kind::Text, end.offset)))
    }

    /// Is this where an expression ends?
    pub(super) fn is_end(&self, ends: Ends) -> bool {
        let is_comment = self.cursor.rest.starts_with("//");
        match (ends, self.cursor.peek()) {
            (Ends::Bracket(bracket), next) => next == Some(bracket),
            (Ends::Comma, next) => matches!(next, Some(',' | ']' | '}' | ')')),
            (Ends::Line, None | Some('\n' | '\r' | ',' | ']' | '}' | ')' | '#')) => true,
            (Ends::Line, Some(_)) => is_comment,
        }
    }

    /// What may follow the first word of a key that is calculated: brackets, and names after dots.
    pub(super) fn key_goes_on(&mut self) -> Result<bool, String> {
        let begin = self.cursor.offset;
        loop {
            let closing = match self.cursor.peek() {
                Some('(') => ')',
                Some('[') => ']',
                Some('.') => {
                    self.cursor.next();
                    self.word();
                    continue;
                }
                _ => return Ok(self.cursor.offset > begin),
            };
            self.cursor.next();
            self.calculated(Ends::Bracket(closing))?;
            self.cursor.next();
        }
    }

    /// Passes over an expression.
    pub(super) fn calculated(&mut self, ends: Ends) -> Result<(), String> {
        let mut brackets: Vec<char> = Vec::new();
        let mut was_operand = false;
        loop {
            let is_inside = !brackets.is_empty() || ends != Ends::Line;
            let line = self.cursor.at.line;
            self.skip_blanks(is_inside)?;
            // Between the entries of an object a line end is as good as a comma.
            was_operand &= brackets.last() != Some(&'}') || self.cursor.at.line == line;
            if brackets.is_empty() && self.is_end(ends) {
                return Ok(());
            }
            let Some(c) = self.cursor.peek() else { return Err("not HCL: it ends inside of a value".to_owned()) };
            let begin = self.cursor;
            let is_operand = match c {
                '"' => {
                    self.string()?;
                    true
                }
                '<' if !was_operand && begin.rest.starts_with("<<") => {
                    self.heredoc()?;
                    true
                }
                c if c.is_ascii_digit() => {
                    self.number();
                    true
                }
                c if c.is_alphabetic() || c == '_' => {
                    self.name().is_some_and(|name| !KEYWORDS.contains(&name.as_str()))
                }
                _ => {
                    self.cursor.next();
                    was_operand = bracket(c, &begin, &mut brackets)?;
                    continue;
                }
            };
            if is_operand && was_operand {
                self.cursor = begin;
                return Err("not HCL: two values without an operator between".to_owned());
            }
            was_operand = is_operand;
        }
    }
}

/// Opens or closes a bracket, or is an operator; says whether what ends with it is an operand.
fn bracket(c: char, begin: &Cursor<'_>, brackets: &mut Vec<char>) -> Result<bool, String> {
    match c {
        '(' => brackets.push(')'),
        '[' => brackets.push(']'),
        '{' => brackets.push('}'),
        ')' | ']' | '}' if brackets.pop() == Some(c) => return Ok(true),
        '.' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' | '&' | '|' | '?' | ':' | ',' | '~' => {}
        c => return Err(format!("not HCL: unexpected {c:?} at column {}", begin.at.column)),
    }
    Ok(false)
}

/// Without the blanks that all lines begin with.
fn dedented(text: &str) -> String {
    let indent = |line: &str| line.chars().take_while(|c| matches!(c, ' ' | '\t')).count();
    let written = || text.split_inclusive('\n').filter(|line| !line.trim().is_empty());
    let common = written().map(indent).min().unwrap_or(0);
    let cut = |line: &str| line.chars().skip(common.min(indent(line))).collect::<String>();
    text.split_inclusive('\n').map(cut).collect()
}
