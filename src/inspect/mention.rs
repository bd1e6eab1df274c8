//! Can this text hold a setting at all? The cheap question before the dear one.
//!
//! Nearly every object that passes an API server has no clock skew in it, and one pass over its bytes says so
//! before anything is parsed. The answer may be yes in vain, and is never no in vain: every key that the catalogue
//! recognises holds one of the needles in its own letters. What could hide a needle from a byte search counts as
//! one: a JSON escape of an ASCII letter or digit (`\u006c`), YAML's `\x6c`, and base64 (`binaryData`).

use super::catalogue::Catalogue;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::sync::LazyLock;

/// What hides letters. `\u003c` and `\u0026` do not: Go writes them for `<` and `&` in every other object.
const DISGUISES: &[&str] =
    &["binarydata", "\\u004", "\\u005", "\\u006", "\\u007", "\\x4", "\\x5", "\\x6", "\\x7", "\\u0000"];

/// False: [`super::inspect`] finds nothing in an object or file with these bytes. True: it has to look.
#[must_use]
pub fn mentions_skew(text: &[u8]) -> bool {
    static NEEDLES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let needles = Catalogue::builtin().needles().iter().map(String::as_str).chain(DISGUISES.iter().copied());
        AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(needles).ok()
    });
    NEEDLES.as_ref().is_none_or(|needles| needles.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_disguise_count_and_escaped_brackets_do_not() {
        for yes in ["clockSkew", "JWT_LEEWAY", r#""c\u006cock""#, r#"{"binaryData":{}}"#, r#""\x6ceeway""#] {
            assert!(mentions_skew(yes.as_bytes()), "{yes}");
        }
        for no in ["", "clock", r#""a \u003c b \u0026 c""#, "terminationGracePeriodSeconds", "tolerations"] {
            assert!(!mentions_skew(no.as_bytes()), "{no}");
        }
    }
}
