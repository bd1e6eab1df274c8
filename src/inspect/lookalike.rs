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
use super::words::Letters;

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
    link.scopes().any(|(scope, _, _)| scope.is_map() && convention.outcomes().any(|outcome| scope.has_letters(outcome)))
}

/// Is it a switch or a bound? `tail` is the number of letters in the last part of its name.
pub(crate) fn is_switch_or_bound(
    convention: &Convention,
    key: &str,
    tail: usize,
    span: Option<Span>,
    link: &Link<'_>,
) -> bool {
    // Of a key that is a path, its last part: `mp.jwt.verify.clock.skew` is no switch.
    let own = Letters::of([key.rsplit(['.', '/', ':']).next().unwrap_or(key)]);
    let mut own_words: Vec<&[u8]> = own.words(0, own.text().len().saturating_sub(tail)).collect();
    // The last part may have been recognised by its last word alone.
    own_words.pop_if(|word| matches!(*word, b"clock" | b"time"));
    let before = own_words.last();
    let is_number = span.is_some_and(|span| span.form == Form::Bare);
    let is_switch = own_words
        .iter()
        .enumerate()
        .any(|(number, word)| convention.is_switch(word, number.saturating_add(1) == own_words.len()));
    (is_number && is_switch) || before.is_some_and(|word| convention.is_bound(word)) || is_least(convention, &own, link)
}

/// `leewayMin` beside `leewayMax` or `maxLeeway`, `clockSkew: {min: 0, max: 60}`.
fn is_least(convention: &Convention, own: &Letters, link: &Link<'_>) -> bool {
    let last = own.words(0, own.text().len()).last();
    let Some(word) = last.filter(|word| convention.is_bound(word)) else { return false };
    let stem = own.text().get(..own.text().len().saturating_sub(word.len())).unwrap_or(&[]);
    link.scopes().next().is_some_and(|(scope, _, _)| {
        scope.any_letters(|key| {
            [key.strip_prefix(stem), key.strip_suffix(stem)]
                .into_iter()
                .flatten()
                .any(|word| convention.is_greatest(word))
        })
    })
}
