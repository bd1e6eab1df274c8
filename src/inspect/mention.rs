//! Can this text hold a setting at all? The cheap question before the dear one.
//!
//! Nearly every object that passes an API server has no clock setting in it, and one pass over its bytes says so
//! before anything is parsed. The answer may be yes in vain, and is never no in vain: every key that the catalogue
//! recognises holds one of the needles in its own letters, and a rule that looks at something else names its own. Two
//! keys stand in too many objects for that, `privileged` and `expirationSeconds`: they count only where another value
//! follows than the harmless ones. What could hide a needle from a byte search counts as one: a JSON escape of an ASCII
//! letter or digit (`\u006c`), YAML's `\x6c`, and base64 (`binaryData`).

use super::catalogue::{Catalogue, Known};
use super::rules::{RULES, token_lifetime};
use super::words::{Letters, Pattern};
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{AhoCorasick, Anchored};
use std::sync::LazyLock;

/// What hides letters. `\u003c` and `\u0026` do not: Go writes them for `<` and `&` in every other object.
const DISGUISES: &[&str] =
    &["binarydata", "\\u004", "\\u005", "\\u006", "\\u007", "\\x4", "\\x5", "\\x6", "\\x7", "\\u0000"];

/// False: with the built-in catalogue [`super::inspect`] finds nothing in an object or file with these bytes. True: it has
/// to look.
fn mentions_skew(text: &[u8]) -> bool {
    static NEEDLES: LazyLock<Option<Needles>> = LazyLock::new(Needles::new);
    // Without an automaton (it is built from constants, a test sees to it) everything has to be looked at.
    NEEDLES.as_ref().is_none_or(|needles| needles.are_in(text))
}

/// What a catalogue looks for in a text before anybody reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mentions {
    /// Words of entries that are not built in.
    more: More,
}

#[derive(Debug, Clone, Default)]
enum More {
    #[default]
    Nothing,
    Words(Box<DFA>),
    /// They are too many to be looked for at once: everything has to be looked at.
    Everything,
}

impl Mentions {
    /// Beside the built-in needles a word of each of these spellings.
    pub(crate) fn of(own: &[Known]) -> Mentions {
        let words: Vec<Vec<u8>> = own.iter().flat_map(|known| &known.keys).map(longest_word).collect();
        let automaton = DFA::builder().prefilter(false).build(&words);
        Mentions { more: automaton.map_or(More::Everything, |words| More::Words(Box::new(words))) }
    }

    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        mentions_skew(text)
            || match &self.more {
                More::Nothing => false,
                More::Words(words) => are_spelled(words, text),
                More::Everything => true,
            }
    }
}

/// The end of a spelling is in every path that it fits: of its words the longest is looked for.
fn longest_word(key: &Pattern) -> Vec<u8> {
    let end = key.text().rsplit('*').next().unwrap_or("");
    let letters = Letters::of([end]);
    let words = letters.words(0, letters.text().len());
    words.max_by_key(|word| word.len()).map(<[u8]>::to_vec).unwrap_or_default()
}

/// Is one of the words in the letters of a text? What stands between letters does not count: what is one word for whoever
/// described the setting may be two in a variable's name.
fn are_spelled(words: &DFA, text: &[u8]) -> bool {
    let Ok(mut at) = words.start_state(Anchored::No) else { return true };
    let mut letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric());
    letters.any(|letter| {
        at = words.next_state(Anchored::No, at, letter.to_ascii_lowercase());
        words.is_match(at)
    })
}

/// A key that is in every other object, as Kubernetes spells it.
struct Common {
    key: &'static str,
    /// Is the value that begins so of no interest?
    is_harmless: fn(&str) -> bool,
}

const COMMON: &[Common] = &[
    Common { key: "privileged", is_harmless: |value| value.starts_with("false") },
    // Every pod has one that the API server wrote (3607), for its service account's token.
    Common { key: "expirationSeconds", is_harmless: is_usual_lifetime },
];

fn is_usual_lifetime(value: &str) -> bool {
    let (digits, rest) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    // 1e9, 600.5, 600s: not a number that can be told from its first digits.
    let is_whole = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-'));
    is_whole && digits.parse().is_ok_and(|seconds| token_lifetime::SECONDS.contains(&seconds))
}

/// Bytes of a value that are enough to tell.
const VALUE_BYTES: usize = 24;

/// What may stand between a key and its value, and around both; backslashes where the document is a text in another.
fn skip(text: &[u8]) -> &[u8] {
    let filling = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\');
    let at = text.iter().position(|byte| !filling(byte)).unwrap_or(text.len());
    text.get(at..).unwrap_or(&[])
}

struct Needles {
    automaton: DFA,
    start: StateID,
    /// Length of the longest one.
    longest: usize,
    /// The keys of [`COMMON`].
    common: AhoCorasick,
}

impl Needles {
    fn new() -> Option<Self> {
        let of_rules = RULES.iter().flat_map(|rule| rule.needles).chain(DISGUISES).copied();
        let needles: Vec<&str> = Catalogue::builtin().needles().iter().map(String::as_str).chain(of_rules).collect();
        let automaton = DFA::builder().ascii_case_insensitive(true).prefilter(false).build(&needles).ok()?;
        let start = automaton.start_state(Anchored::No).ok()?;
        let common = AhoCorasick::new(COMMON.iter().map(|common| common.key)).ok()?;
        Some(Needles { automaton, start, longest: needles.iter().map(|needle| needle.len()).max()?, common })
    }

    /// Is one of the common keys there with a value that matters?
    fn are_common(&self, text: &[u8]) -> bool {
        self.common.find_iter(text).any(|found| {
            let Some(common) = COMMON.get(found.pattern().as_usize()) else { return true };
            // Without a colon it is no key.
            let after = skip(text.get(found.end()..).unwrap_or(&[]));
            let Some(value) = after.strip_prefix(b":").or_else(|| after.strip_prefix(b"=")) else { return false };
            let value = skip(value);
            let value = value.get(..VALUE_BYTES).unwrap_or(value);
            // A map: the mark of a field's owner (`f:privileged: {}`), which every object has.
            !value.starts_with(b"{") && !(common.is_harmless)(&String::from_utf8_lossy(value))
        })
    }

    fn are_in(&self, text: &[u8]) -> bool {
        self.are_rare(text) || self.are_common(text)
    }

    /// Each step of the automaton waits for the one before it, so four parts of the text are stepped through in
    /// turn, which takes a third of the time.
    fn are_rare(&self, text: &[u8]) -> bool {
        let quarter = text.len() / 4;
        if quarter <= self.longest {
            return self.walk(text);
        }
        let (ab, cd) = text.split_at(quarter.saturating_mul(2));
        let ((a, b), (c, d)) = (ab.split_at(quarter), cd.split_at(quarter));
        let (mut at_a, mut at_b, mut at_c, mut at_d) = (self.start, self.start, self.start, self.start);
        let step = |state, byte: &u8| self.automaton.next_state(Anchored::No, state, *byte);
        for (((in_a, in_b), in_c), in_d) in a.iter().zip(b).zip(c).zip(d) {
            (at_a, at_b, at_c, at_d) = (step(at_a, in_a), step(at_b, in_b), step(at_c, in_c), step(at_d, in_d));
            // One branch for all four: matches are rare, and only special states can be one.
            let special = |state| self.automaton.is_special(state);
            if special(at_a) | special(at_b) | special(at_c) | special(at_d) {
                let is_match = |state| self.automaton.is_match(state);
                if is_match(at_a) || is_match(at_b) || is_match(at_c) || is_match(at_d) {
                    return true;
                }
            }
        }
        // What begins in one part and ends in the next, and the bytes that are left over.
        let around = |middle: usize| {
            let reach = middle.saturating_sub(self.longest)..middle.saturating_add(self.longest).min(text.len());
            text.get(reach).is_some_and(|text| self.walk(text))
        };
        let left = text.get(quarter.saturating_mul(4).saturating_sub(self.longest)..);
        (1..4).any(|part| around(quarter.saturating_mul(part))) || left.is_some_and(|left| self.walk(left))
    }

    fn walk(&self, text: &[u8]) -> bool {
        let mut at = self.start;
        text.iter().any(|byte| {
            at = self.automaton.next_state(Anchored::No, at, *byte);
            self.automaton.is_match(at)
        })
    }
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

    /// If every pod were looked into, the webhook would be slow for all of them.
    #[test]
    fn common_keys_count_only_with_a_value_that_matters() {
        for yes in [
            r#""privileged":true"#,
            r#"\"privileged\": true"#,
            "privileged: *anchor",
            "privileged:\n  true",
            r#""expirationSeconds":599"#,
            r#""expirationSeconds" : 86401"#,
            "expirationSeconds: '2592000'",
            r#""expirationSeconds":3600.5"#,
            r#""expirationSeconds":1e9"#,
            r#""expirationSeconds":-1"#,
            r#""expirationSeconds":99999999999999999999999999"#,
        ] {
            assert!(mentions_skew(yes.as_bytes()), "{yes}");
        }
        for no in [
            r#""privileged":false"#,
            r#""f:privileged":{},"f:runAsUser":{}"#,
            "privileged: \"false\"",
            r#""enforce":"privileged""#,
            r#"{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}}"#,
            r#""expirationSeconds":600}"#,
            "expirationSeconds: 86400\n",
            "privileged",
        ] {
            assert!(!mentions_skew(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn a_needle_is_found_wherever_it_stands() {
        for length in [60, 200, 203, 4096] {
            for at in 0..length - 6 {
                let mut text = vec![b'x'; length];
                assert!(!mentions_skew(&text));
                text.splice(at..at + 6, *b"leEway");
                assert!(mentions_skew(&text), "{at} of {length}");
            }
        }
    }
}
