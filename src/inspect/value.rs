//! What a leaf's text stands for, before anybody knows its unit.
//!
//! Configuration is full of values that are no values yet: empty strings, `${JWT_LEEWAY}`, `{{ .Values.leeway }}`.
//! A placeholder with a default is its default, because that is what runs unless something sets it; without one
//! nothing is known, and nothing is said.
//!
//! Source: POSIX shell 2.6.2 (`${x:-word}`), Spring (`${x:word}`).

use super::tree::{Kind, Scalar};
use std::borrow::Cow;

/// A leaf, with placeholders resolved as far as they can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<'s> {
    /// Null, empty, or a pair of quotes: the product's default holds.
    Unset,
    /// Filled in by something that this document does not show.
    Unknown,
    /// A value, and whether it is only the default of a placeholder.
    Value {
        /// The text of the value.
        text: Cow<'s, str>,
        /// It stands behind a placeholder.
        is_default: bool,
    },
}

/// Resolves a leaf.
#[must_use]
pub fn written(scalar: &Scalar) -> Written<'_> {
    if scalar.kind == Kind::Null { Written::Unset } else { resolve(&scalar.text, 0) }
}

/// The same for a text that is nothing else.
pub(crate) fn resolved(text: &str) -> Written<'_> {
    resolve(text, 0)
}

fn resolve(text: &str, depth: usize) -> Written<'_> {
    let text = unquoted(text.trim());
    if text.is_empty() {
        return Written::Unset;
    }
    if !text.contains(['{', '<']) {
        return Written::Value { text: Cow::Borrowed(text), is_default: depth > 0 };
    }
    if text.contains("{{") || text.contains("<%") {
        return Written::Unknown;
    }
    let Some(open) = text.find("${") else {
        return Written::Value { text: Cow::Borrowed(text), is_default: depth > 0 };
    };
    let Some(close) = text.rfind('}').filter(|close| *close > open && depth < 4) else { return Written::Unknown };
    let (Some(before), Some(inside), Some(after)) =
        (text.get(..open), text.get(open.saturating_add(2)..close), text.get(close.saturating_add(1)..))
    else {
        return Written::Unknown;
    };
    let Some(default) = default_of(inside) else { return Written::Unknown };
    match resolve(default, depth.saturating_add(1)) {
        Written::Value { text: default, .. } if before.is_empty() && after.is_empty() => {
            Written::Value { text: default, is_default: true }
        }
        Written::Value { text: default, .. } => {
            Written::Value { text: Cow::Owned(format!("{before}{default}{after}")), is_default: true }
        }
        Written::Unset if before.is_empty() && after.is_empty() => Written::Unset,
        Written::Unset | Written::Unknown => Written::Unknown,
    }
}

/// The default in `NAME:-word`, `NAME:word` or `NAME-word`.
fn default_of(inside: &str) -> Option<&str> {
    if let Some((name, rest)) = inside.split_once(':') {
        // `:?` is an error message, `:+` is used when the name is set.
        let default = rest.strip_prefix('-').unwrap_or(rest);
        return (!name.is_empty() && !rest.starts_with(['?', '+', '='])).then_some(default);
    }
    // Without the colon only for names of the shell; `${jwt-leeway}` is the name of a property.
    let (name, default) = inside.split_once('-')?;
    let shell = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(shell)).then_some(default)
}

fn unquoted(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).map_or(text, str::trim)
}

/// Reads a switch.
#[must_use]
pub fn flag(text: &str) -> Option<bool> {
    let text = text.trim();
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match is(&["true", "yes", "on", "1", "enabled"]) {
        true => Some(true),
        false => is(&["false", "no", "off", "0", "disabled"]).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_their_defaults_or_nothing() {
        let value = |text| Written::Value { text: Cow::Borrowed(text), is_default: false };
        let default = |text| Written::Value { text: Cow::Borrowed(text), is_default: true };
        for (text, expected) in [
            ("0", value("0")),
            (" 0 ", value("0")),
            ("\"0\"", value("0")),
            ("", Written::Unset),
            ("  ", Written::Unset),
            ("\"\"", Written::Unset),
            ("''", Written::Unset),
            ("${X}", Written::Unknown),
            ("${X:-0}", default("0")),
            ("${X:0}", default("0")),
            ("${X-0}", default("0")),
            ("${jwt-leeway}", Written::Unknown),
            ("${jwt.leeway:0}", default("0")),
            ("${A:${B:0}}", default("0")),
            ("${A:${B}}", Written::Unknown),
            ("${X:-\"\"}", Written::Unset),
            ("${X:-}", Written::Unset),
            ("${X:?must be set}", Written::Unknown),
            ("${X:+0}", Written::Unknown),
            ("${X:0}s", default("0s")),
            ("${X:0", Written::Unknown),
            ("{{ .Values.leeway }}", Written::Unknown),
            ("{{ default 0 .Values.leeway }}", Written::Unknown),
            ("<%= 0 %>", Written::Unknown),
        ] {
            assert_eq!(resolve(text, 0), expected, "{text}");
        }
    }
}
