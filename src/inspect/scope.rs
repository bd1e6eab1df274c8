//! What stands beside a setting: the map, or the list of names and values, that holds it.
//!
//! Three questions are asked about every ancestor of a suspect: is a later entry of the same name the one that
//! counts, is the feature switched off, does a neighbour say whose setting this is? The facts are gathered once for
//! each scope and only when the first suspect asks, so a large map full of suspects costs no more than reading it.

use super::catalogue::Condition;
use super::surfaces::pairs;
use super::tree::{Entry, Scalar, Tree};
use super::value;
use super::words::Letters;
use std::cell::OnceCell;
use std::collections::HashMap;

/// A map, or a list whose items have a `name` and a `value` or are `NAME=value`.
pub(crate) struct Scope<'p> {
    pub(crate) entries: Entries<'p>,
    facts: OnceCell<Box<Facts>>,
}

/// The kinds of scopes.
#[derive(Clone, Copy)]
pub(crate) enum Entries<'p> {
    Map(&'p [Entry]),
    Pairs(&'p [Tree]),
    Lines(&'p [Tree]),
}

#[derive(Default)]
struct Facts {
    /// The last entry with each key.
    last: HashMap<String, usize>,
    /// Short values by the letters of their keys.
    values: HashMap<Vec<u8>, Vec<String>>,
    /// For the letters of each feature that is switched off, the entries that do it; empty: the scope itself.
    off: HashMap<Vec<u8>, Vec<usize>>,
}

/// Words at the end of a feature's name that its settings do not carry.
const VAGUE: &[&[u8]] =
    &[b"validation", b"verification", b"check", b"checks", b"support", b"filter", b"plugin", b"module"];

/// Features that all token settings belong to, whatever they are called.
const WHOLE: &[&[u8]] = &[b"auth", b"authentication", b"authn", b"security"];

impl<'p> Scope<'p> {
    pub(crate) fn new(entries: Entries<'p>) -> Self {
        Scope { entries, facts: OnceCell::new() }
    }

    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| Box::new(self.gather()))
    }

    fn gather(&self) -> Facts {
        let mut facts = Facts::default();
        match self.entries {
            Entries::Map(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    facts.add(index, &entry.key, entry.value.scalar());
                    // APISIX: a plugin is switched off by `_meta: {disable: true}` among its settings.
                    for inner in entry.value.entries().iter().filter(|_| entry.key == "_meta") {
                        facts.add(index, &inner.key, inner.value.scalar());
                    }
                }
            }
            Entries::Pairs(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let (Some(name), Some(value)) = (item.get("name").and_then(Tree::text), item.get("value")) {
                        facts.add(index, name, value.scalar());
                    }
                }
            }
            Entries::Lines(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some((name, value)) = item.scalar().and_then(pairs::assignment) {
                        facts.add(index, name, Some(&value));
                    }
                }
            }
        }
        if !matches!(self.entries, Entries::Map(_)) {
            // A variable that is just called ENABLED says nothing about its neighbours.
            facts.off.remove([].as_slice());
        }
        facts
    }

    /// Is there a later entry of the same name, which is the one that counts?
    pub(crate) fn is_shadowed(&self, key: &str, index: usize) -> bool {
        self.facts().last.get(key).is_some_and(|last| *last > index)
    }

    /// Is there an entry of this name?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.facts().last.contains_key(key)
    }

    /// Does the scope hold this key (letters) with a value that fits (stars at either end stand for anything)?
    pub(crate) fn holds(&self, key: &[u8], wanted: &str) -> bool {
        self.facts().values.get(key).is_some_and(|values| values.iter().any(|value| fits(wanted, value)))
    }

    /// Does the scope hold the condition's key with a value that fits, or with none that does?
    pub(crate) fn meets(&self, condition: &Condition) -> bool {
        let Some(values) = self.facts().values.get(&condition.key) else { return false };
        values.iter().any(|value| fits(&condition.value, value)) != condition.is_other
    }

    /// Is the feature switched off that a setting belongs to, whose letters from here on begin at `from`? The way
    /// goes through the entry `index`, which is no switch for itself.
    pub(crate) fn is_off(&self, letters: &Letters, from: usize, index: usize) -> bool {
        let off = &self.facts().off;
        if off.is_empty() {
            return false;
        }
        let by_another = |feature: &[u8]| off.get(feature).is_some_and(|by| by.iter().any(|switch| *switch != index));
        let ends = (from..=letters.text().len()).filter(|end| *end == from || letters.begins(*end));
        WHOLE.iter().any(|whole| by_another(whole))
            || ends.filter_map(|end| letters.text().get(from..end)).any(by_another)
    }
}

impl Facts {
    fn add(&mut self, index: usize, key: &str, value: Option<&Scalar>) {
        self.last.insert(key.to_owned(), index);
        let Some(scalar) = value.filter(|scalar| scalar.text.len() <= 256) else { return };
        let letters = Letters::of([key]);
        if let value::Written::Value { text, .. } = value::written(scalar)
            && let Some(feature) = value::flag(&text).and_then(|on| feature(&letters, on))
        {
            // Two are enough to tell whether there is another than the one that is asked about.
            let by = self.off.entry(feature).or_default();
            by.extend((by.len() < 2).then_some(index));
        }
        let values = self.values.entry(letters.text().to_vec()).or_default();
        if values.len() < 64 {
            values.push(scalar.text.clone());
        }
    }
}

/// The feature that this switch switches off, if it does: `jwt` of `jwt.enabled=false`.
fn feature(letters: &Letters, on: bool) -> Option<Vec<u8>> {
    let mut words: Vec<&[u8]> = letters.words(0, letters.text().len()).collect();
    if words.first() == Some(&b"is".as_slice()) {
        words.remove(0);
    }
    let switch: &[&[u8]] = if on { &[b"disabled", b"disable"] } else { &[b"enabled", b"enable", b"active"] };
    if words.last().is_some_and(|word| switch.contains(word)) {
        words.pop();
    } else if words.first().is_some_and(|word| switch.contains(word)) {
        words.remove(0);
    } else {
        return None;
    }
    while words.len() > 1 && words.last().is_some_and(|word| VAGUE.contains(word)) {
        words.pop();
    }
    Some(words.concat())
}

/// `pattern` may have a star at either end, which stands for anything. Capitals do not matter.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (Some(rest), Some(_)) => text.contains(rest.trim_end_matches('*')),
        (None, None) => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_names_its_feature() {
        let check = |key: &str, on: bool, expected: Option<&str>| {
            let found = feature(&Letters::of([key]), on).map(|f| String::from_utf8_lossy(&f).into_owned());
            assert_eq!(found.as_deref(), expected, "{key} {on}");
        };
        check("enabled", false, Some(""));
        check("enabled", true, None);
        check("disabled", true, Some(""));
        check("disabled", false, None);
        check("JWT_ENABLED", false, Some("jwt"));
        check("ENABLE_JWT", false, Some("jwt"));
        check("jwt.validation.enabled", false, Some("jwt"));
        check("isActive", false, Some(""));
        check("jwtAuthDisabled", true, Some("jwtauth"));
        check("leeway", false, None);
    }

    #[test]
    fn stars_stand_at_the_ends() {
        assert!(fits(
            "*jwt_authn*",
            "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
        ));
        assert!(!fits("appsettings*.json", "x") && fits("appsettings*", "AppSettings.Production.json"));
        assert!(fits("*.conf", "broker.conf") && !fits("*.conf", "broker.conf.bak") && fits("a", "A"));
    }
}
