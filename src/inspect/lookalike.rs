//! What a name that fits may still be: a label, a case of a test, a switch, a bound of what may be set.
//!
//! The name of a setting is evidence and no proof. `JWT_IGNORE_CLOCK_SKEW=0` says that the skew is *not* ignored,
//! `minLeeway: 0` that zero may be chosen, `selector: {jwt-leeway: "0"}` chooses pods. None of them is a tolerance of
//! zero, and none is told.
//!
//! Does not know: products (only labels and tests are asked about for those too), values beyond their form.

use super::catalogue::Convention;
use super::duration::{Form, Span};
use super::link::Link;
use super::words::{self, Letters};

/// Is it a label, or a case of a test? `letters` are those of all keys, outermost first; the last one is the setting's.
///
/// Labels of containers in compose files are settings of what reads them (Traefik), and stand under `services`.
pub(crate) fn is_nobodys(convention: &Convention, letters: &Letters, link: &Link<'_>) -> bool {
    let keys: Vec<&[u8]> = letters.keys().collect();
    let is_compose = keys.first() == Some(&b"services".as_slice());
    let above = keys.len().saturating_sub(1);
    let ends_in_label = |key: usize| {
        let words = letters.words(letters.before_key(key), letters.before_key(key.saturating_add(1)));
        words.last().is_some_and(|word| convention.is_labels(word))
    };
    (!is_compose && (0..above).any(ends_in_label)) || is_annotation_of_alert(&keys, link) || is_case(convention, link)
}

/// Prometheus' rules carry texts for people beside their expressions.
fn is_annotation_of_alert(keys: &[&[u8]], link: &Link<'_>) -> bool {
    keys.contains(&b"annotations".as_slice()) && link.scopes().any(|(scope, _, _)| scope.has("expr"))
}

fn is_case(convention: &Convention, link: &Link<'_>) -> bool {
    link.scopes().any(|(scope, _, _)| scope.is_case(convention.outcomes()))
}

/// Is it a switch or a bound? `letters` are those of all keys, `key` is the setting's, `tail` the number of letters in the
/// last part of its name.
pub(crate) fn is_switch_or_bound(
    convention: &Convention,
    letters: &Letters,
    key: &str,
    tail: usize,
    span: Option<Span>,
    link: &Link<'_>,
) -> bool {
    // Of a key that is a path, its last part: `mp.jwt.verify.clock.skew` is no switch.
    let last_part = key.rsplit(['.', '/', ':']).next().unwrap_or(key);
    let end = letters.text().len();
    let own = end.saturating_sub(words::of(last_part).count());
    let mut end = end.saturating_sub(tail);
    // The last part may have been recognised by its last word alone.
    if let Some(word @ (b"clock" | b"time")) = letters.words(own, end).last() {
        end = end.saturating_sub(word.len());
    }
    let is_number = span.is_some_and(|span| span.form == Form::Bare);
    let mut at = own;
    let is_switch = |word: &[u8]| {
        at = at.saturating_add(word.len());
        convention.is_switch(word, at == end)
    };
    (is_number && letters.words(own, end).any(is_switch))
        || letters.words(own, end).last().is_some_and(|word| convention.is_bound(word))
        || is_least(convention, letters, own, link)
}

/// `leewayMin` beside `leewayMax` or `maxLeeway`, `clockSkew: {min: 0, max: 60}`; its name begins at the letter `own`.
fn is_least(convention: &Convention, letters: &Letters, own: usize, link: &Link<'_>) -> bool {
    let end = letters.text().len();
    let last = letters.words(own, end).last();
    let Some(word) = last.filter(|word| convention.is_bound(word)) else { return false };
    let stem = letters.text().get(own..end.saturating_sub(word.len())).unwrap_or(&[]);
    link.scopes().next().is_some_and(|(scope, _, _)| {
        scope.any_letters(|key| {
            [key.strip_prefix(stem), key.strip_suffix(stem)]
                .into_iter()
                .flatten()
                .any(|word| convention.is_greatest(word))
        })
    })
}
