//! What stands beside a setting: the map, the list of names and values, or the command's flags that hold it.
//!
//! Three questions are asked about every ancestor of a suspect: is a later entry of the same name the one that
//! counts, is the feature switched off, does a neighbour say whose setting this is? The facts are gathered once for
//! each scope and only when the first suspect asks, so a large map full of suspects costs no more than reading it.

use super::catalogue::Condition;
use super::duration::{self, Unit};
use super::surfaces::pairs;
use super::tree::{Entry, Scalar, Tree};
use super::value::{self, Written};
use super::words::Letters;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

/// A map, a list whose items have a `name` and a `value`, or flags and assignments beside one another.
pub(crate) struct Scope<'p> {
    pub(crate) entries: Entries<'p>,
    facts: OnceCell<Box<Facts>>,
}

/// The kinds of scopes.
#[derive(Clone, Copy)]
pub(crate) enum Entries<'p> {
    Map(&'p [Entry]),
    Pairs(&'p [Tree]),
    /// Names and values that stand in texts: the flags of one command, the assignments of a list.
    Words(&'p [(&'p str, &'p str)]),
}

#[derive(Default)]
struct Facts {
    /// The last entry with each key.
    last: HashMap<String, usize>,
    /// The letters of all keys.
    letters: HashSet<Vec<u8>>,
    /// Short values by the letters of their keys.
    values: HashMap<Vec<u8>, Vec<String>>,
    /// For the letters of each feature that is switched off, the entries that do it; empty: the scope itself.
    off: HashMap<Vec<u8>, Vec<usize>>,
}

/// Words at the end of a feature's name that its settings do not carry.
const VAGUE: &[&[u8]] = &[
    b"validation",
    b"verification",
    b"check",
    b"checks",
    b"support",
    b"filter",
    b"plugin",
    b"module",
    b"auth",
    b"authentication",
    b"login",
    b"provider",
    b"integration",
];

/// Words at the end of a name whose value says that a feature is off, if it is such a word: `OIDC_MODE=none`.
const MODES: &[&[u8]] = &[b"mode", b"type"];

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
                    facts.below(index, entry);
                    // APISIX: a plugin is switched off by `_meta: {disable: true}` among its settings.
                    for inner in entry.value.entries().iter().filter(|_| entry.key == "_meta") {
                        facts.add(index, &inner.key, inner.value.scalar());
                    }
                }
            }
            Entries::Pairs(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some((name, value)) = pairs::pair(item) {
                        facts.add(index, name, Some(value));
                    }
                }
            }
            Entries::Words(words) => {
                for (index, (name, value)) in words.iter().enumerate() {
                    facts.name(index, name);
                    facts.value(index, name, value, value::resolved(value));
                }
            }
        }
        if !matches!(self.entries, Entries::Map(_)) {
            // A variable that is just called ENABLED says nothing about its neighbours.
            facts.off.remove([].as_slice());
        }
        facts
    }

    /// Is there a later entry of the same name, which is the one that counts? Environments and commands of a unit of
    /// systemd add up.
    pub(crate) fn is_shadowed(&self, key: &str, index: usize) -> bool {
        key != "Environment" && !key.starts_with("Exec") && self.facts().last.get(key).is_some_and(|last| *last > index)
    }

    /// Is there an entry of this name?
    pub(crate) fn has(&self, key: &str) -> bool {
        self.facts().last.contains_key(key)
    }

    /// Is it a map?
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.entries, Entries::Map(_))
    }

    /// Is there an entry whose key has these letters?
    pub(crate) fn has_letters(&self, letters: &[u8]) -> bool {
        self.facts().letters.contains(letters)
    }

    /// Is there an entry whose key's letters are such?
    pub(crate) fn any_letters(&self, is_such: impl Fn(&[u8]) -> bool) -> bool {
        self.facts().letters.iter().any(|letters| is_such(letters))
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

    /// Does the scope hold a part of a span that is not zero (`minutes: 0` beside `seconds: 30`)?
    pub(crate) fn holds_more(&self) -> bool {
        let is_part = |key: &[u8]| std::str::from_utf8(key).ok().and_then(duration::unit_named).is_some();
        let is_more = |value: &String| duration::read(value).is_none_or(|span| span.nanos(Unit::Seconds) != 0);
        self.facts().values.iter().any(|(key, values)| is_part(key) && values.iter().any(is_more))
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
    fn name(&mut self, index: usize, key: &str) {
        self.last.insert(key.to_owned(), index);
        self.letters.insert(Letters::of([key]).text().to_vec());
    }

    fn add(&mut self, index: usize, key: &str, scalar: Option<&Scalar>) {
        self.name(index, key);
        if let Some(scalar) = scalar {
            self.value(index, key, &scalar.text, value::written(scalar));
        }
    }

    /// `saml: {enabled: false}` is about `samlLeeway` beside it too.
    fn below(&mut self, index: usize, entry: &Entry) {
        for switch in entry.value.entries().iter().take(64) {
            let letters = Letters::of([switch.key.as_str()]);
            let is_switch = matches!(letters.text(), b"enabled" | b"disabled" | b"active");
            if let Some(scalar) = switch.value.scalar().filter(|_| is_switch) {
                self.off_by(index, &Letters::of([entry.key.as_str(), switch.key.as_str()]), value::written(scalar));
            }
        }
    }

    fn off_by(&mut self, index: usize, letters: &Letters, written: Written<'_>) {
        let Written::Value { text, .. } = written else { return };
        let Some(on) = switch(&text) else { return };
        for feature in features(letters, &text, on) {
            // Two are enough to tell whether there is another than the one that is asked about.
            let by = self.off.entry(feature).or_default();
            by.extend((by.len() < 2).then_some(index));
        }
    }

    fn value(&mut self, index: usize, key: &str, text: &str, written: Written<'_>) {
        if text.len() > 256 {
            return;
        }
        let letters = Letters::of([key]);
        self.off_by(index, &letters, written);
        let values = self.values.entry(letters.text().to_vec()).or_default();
        if values.len() < 64 {
            values.push(text.to_owned());
        }
    }
}

/// On or off; `AUTH_MODE: none` is a switch too.
fn switch(text: &str) -> Option<bool> {
    if text.trim().eq_ignore_ascii_case("none") { Some(false) } else { value::flag(text) }
}

/// The features that this switch switches off, if it does: `jwt` of `jwt.enabled=false`, `auth_jwt` and `jwt` of
/// `auth_jwt off`, `oidc` of `OIDC_MODE=none`.
fn features(letters: &Letters, text: &str, on: bool) -> Vec<Vec<u8>> {
    let mut words: Vec<&[u8]> = letters.words(0, letters.text().len()).collect();
    if words.first() == Some(&b"is".as_slice()) {
        words.remove(0);
    }
    let switch: &[&[u8]] =
        if on { &[b"disabled", b"disable", b"no", b"without"] } else { &[b"enabled", b"enable", b"active", b"use"] };
    let is_word = ["off", "none", "disabled"].iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    let is_last = |word: &&[u8]| switch.contains(word) && !matches!(*word, b"no" | b"without");
    if words.last().is_some_and(|word| is_last(word) || (is_word && !on && MODES.contains(word))) {
        words.pop();
    } else if words.first().is_some_and(|word| switch.contains(word)) {
        words.remove(0);
    } else if on || text.trim() == "0" {
        // A number is no switch unless its name says so.
        return Vec::new();
    }
    while words.len() > 1 && words.last().is_some_and(|word| VAGUE.contains(word)) {
        words.pop();
    }
    let whole = words.concat();
    while words.len() > 1 && words.first().is_some_and(|word| WHOLE.contains(word)) {
        words.remove(0);
    }
    let rest = words.concat();
    if rest == whole { vec![whole] } else { vec![whole, rest] }
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
        let check = |key: &str, text: &str, expected: &[&str]| {
            let found = switch(text).map(|on| features(&Letters::of([key]), text, on)).unwrap_or_default();
            let found: Vec<_> = found.iter().map(|f| String::from_utf8_lossy(f)).collect();
            assert_eq!(found, expected, "{key} {text}");
        };
        check("enabled", "false", &[""]);
        check("enabled", "true", &[]);
        check("disabled", "true", &[""]);
        check("JWT_ENABLED", "false", &["jwt"]);
        check("JWT_ENABLED", "0", &["jwt"]);
        check("ENABLE_JWT", "no", &["jwt"]);
        check("USE_JWT", "false", &["jwt"]);
        check("jwt.validation.enabled", "false", &["jwt"]);
        check("auth.jwt.enabled", "false", &["authjwt", "jwt"]);
        check("AUTH_ENABLED", "false", &["auth"]);
        check("isActive", "false", &[""]);
        check("jwtAuthDisabled", "true", &["jwt"]);
        check("auth_jwt", "off", &["authjwt", "jwt"]);
        check("no-oidc", "true", &["oidc"]);
        check("no-oidc", "false", &[]);
        check("oidc-no", "true", &[]);
        check("auth_jwt", "on", &[]);
        check("oidc_mode", "none", &["oidc"]);
        check("oidc_mode", "0", &[]);
        check("authType", "None", &["auth"]);
        check("token_endpoint_auth_method", "none", &["tokenendpointauthmethod"]);
        check("jwt", "0", &[]);
        check("leeway", "30", &[]);
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
