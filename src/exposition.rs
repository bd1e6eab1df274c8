//! Reads single figures out of a page in the Prometheus text format, as it arrives and without keeping it.
//!
//! An exporter's page has a thousand lines, of which half a dozen are wanted. So [`Lines`] puts lines together out of
//! the pieces in which a body comes, and [`point`] takes one line apart without copying it: name, labels, value, and
//! whether it carries a timestamp. Work is linear in the bytes; memory is one line, and a line longer than
//! [`LINE_MAX`] is passed over.
//!
//! Lenient where OpenMetrics differs (exemplars, `# EOF`, timestamps in seconds); strict about everything that decides
//! which number belongs to which name. A line that cannot be read is an error of that line, never of the page.
//!
//! Does not know: types and units (they stand in comments), what the figures mean.
//!
//! Source: Prometheus exposition formats, text-based format 0.0.4; OpenMetrics 1.0, section 3 (text format).

use std::borrow::Cow;

/// The longest line that is read, bytes. Lines of node_exporter have at most some hundreds.
pub const LINE_MAX: usize = 64 * 1024;

/// One line with a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// The name of the metric.
    pub name: &'a str,
    /// What stands between the braces; its form has been checked.
    labels: &'a str,
    /// The value; may be NaN or infinite.
    pub value: f64,
    /// The timestamp as written, if the line carries one: milliseconds (0.0.4) or seconds (OpenMetrics).
    pub timestamp: Option<&'a str>,
}

/// Why a line is no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Utf8,
    /// Does not begin with the name of a metric.
    #[error("it does not begin with the name of a metric")]
    Name,
    /// The labels are not `name="value"`, separated by commas, between braces.
    #[error("its labels are not {{name=\"value\",…}}")]
    Labels,
    /// There is no number after the name and the labels.
    #[error("it has no number")]
    Value,
    /// Something follows the number that is neither a timestamp nor an exemplar.
    #[error("something follows its number that is no timestamp")]
    Timestamp,
}

impl<'a> Point<'a> {
    /// The labels in their order, escapes resolved.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let mut rest = self.labels;
        std::iter::from_fn(move || {
            let (name, value, after) = label(rest.trim_start_matches(|c| is_blank(c) || c == ','))?;
            rest = after;
            Some((name, value))
        })
    }
}

/// Takes one line apart; `None` for blank lines and comments.
///
/// # Errors
/// If it is neither.
pub fn point(line: &[u8]) -> Result<Option<Point<'_>>, LineError> {
    let line = std::str::from_utf8(line).map_err(|_| LineError::Utf8)?;
    let line = line.trim_matches(is_blank);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = word(line, |c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(LineError::Name);
    }
    let rest = rest.trim_start_matches(is_blank);
    let (labels, rest) = match rest.strip_prefix('{') {
        None => ("", rest),
        Some(inside) => {
            let after = after_labels(inside).ok_or(LineError::Labels)?;
            let length = inside.len().saturating_sub(after.len()).saturating_sub(1);
            (inside.get(..length).ok_or(LineError::Labels)?, after)
        }
    };
    let (value, rest) = word(rest.trim_start_matches(is_blank), |c| !is_blank(c));
    let value = value.parse::<f64>().map_err(|_| LineError::Value)?;
    let (timestamp, rest) = word(rest.trim_start_matches(is_blank), |c| !is_blank(c));
    let (timestamp, rest) = match timestamp {
        "" => (None, rest),
        // An exemplar without a timestamp before it.
        "#" => (None, ""),
        number if number.parse::<f64>().is_ok_and(f64::is_finite) => (Some(number), rest),
        _ => return Err(LineError::Timestamp),
    };
    let rest = rest.trim_start_matches(is_blank);
    if rest.is_empty() || rest.starts_with('#') {
        Ok(Some(Point { name, labels, value, timestamp }))
    } else {
        Err(LineError::Timestamp)
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

/// The longest beginning whose characters are all of a kind, and the rest.
fn word(text: &str, is_of: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c: char| !is_of(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// What follows the closing brace; `None` if the labels before it are not well formed.
fn after_labels(mut rest: &str) -> Option<&str> {
    loop {
        let blank = rest.trim_start_matches(is_blank);
        if let Some(after) = blank.strip_prefix('}') {
            return Some(after);
        }
        let (_, _, after) = label(blank)?;
        // Each label is followed by a comma or by the end; a comma before the end is allowed.
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
}

/// The first label of `text` (name, value), and what follows its closing quote.
fn label(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, rest) = word(text, |c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start_matches(is_blank).strip_prefix('=')?;
    let rest = rest.trim_start_matches(is_blank).strip_prefix('"')?;
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    let (value, after) = (rest.get(..end)?, rest.get(end + 1..)?);
    Some((name, unescaped(value), after.trim_start_matches(is_blank)))
}

/// `\\`, `\"` and `\n`; any other character after a backslash stands for itself and its backslash.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(escaped @ ('\\' | '"'))) => out.push(escaped),
            ('\\', Some(other)) => out.extend(['\\', other]),
            (other, _) => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Puts lines together out of pieces.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// That line is too long already: what still comes of it is passed over.
    too_long: bool,
}

impl Lines {
    /// Takes a piece in and gives every line that it completes, without its line feed, to `take`.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (head, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = tail.get(1..).unwrap_or_default();
            if self.begun.is_empty() && !self.too_long && head.len() <= LINE_MAX {
                take(head);
            } else {
                self.append(head);
                self.finish(&mut take);
            }
        }
        self.append(rest);
    }

    /// The end: gives the last line, if it was not ended by a line feed.
    pub fn finish(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.too_long && !self.begun.is_empty() {
            take(&self.begun);
        }
        self.begun.clear();
        self.too_long = false;
    }

    fn append(&mut self, part: &[u8]) {
        if self.too_long || self.begun.len().saturating_add(part.len()) > LINE_MAX {
            self.begun.clear();
            self.too_long = true;
        } else {
            self.begun.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests;
