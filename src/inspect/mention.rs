//! Can this text hold a setting at all? The cheap question before the dear one.
//!
//! Nearly every object that passes an API server has no clock skew in it, and one pass over its bytes says so
//! before anything is parsed. The answer may be yes in vain, and is never no in vain: every key that the catalogue
//! recognises holds one of the needles in its own letters. What could hide a needle from a byte search counts as
//! one: a JSON escape of an ASCII letter or digit (`\u006c`), YAML's `\x6c`, and base64 (`binaryData`).

use super::catalogue::Catalogue;
use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use std::sync::LazyLock;

/// What hides letters. `\u003c` and `\u0026` do not: Go writes them for `<` and `&` in every other object.
const DISGUISES: &[&str] =
    &["binarydata", "\\u004", "\\u005", "\\u006", "\\u007", "\\x4", "\\x5", "\\x6", "\\x7", "\\u0000"];

/// False: [`super::inspect`] finds nothing in an object or file with these bytes. True: it has to look.
#[must_use]
pub fn mentions_skew(text: &[u8]) -> bool {
    static NEEDLES: LazyLock<Option<Needles>> = LazyLock::new(Needles::new);
    // Without an automaton (it is built from constants, a test sees to it) everything has to be looked at.
    NEEDLES.as_ref().is_none_or(|needles| needles.are_in(text))
}

struct Needles {
    automaton: DFA,
    start: StateID,
    /// Length of the longest one.
    longest: usize,
}

impl Needles {
    fn new() -> Option<Self> {
        let needles: Vec<&str> =
            Catalogue::builtin().needles().iter().map(String::as_str).chain(DISGUISES.iter().copied()).collect();
        let automaton = DFA::builder().ascii_case_insensitive(true).prefilter(false).build(&needles).ok()?;
        let start = automaton.start_state(Anchored::No).ok()?;
        Some(Needles { automaton, start, longest: needles.iter().map(|needle| needle.len()).max()? })
    }

    /// Each step of the automaton waits for the one before it, so four parts of the text are stepped through in
    /// turn, which takes a third of the time.
    fn are_in(&self, text: &[u8]) -> bool {
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
