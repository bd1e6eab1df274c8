//! What stands beside a setting: the map, the list of names and values, or the command's flags that hold it.
//!
//! Three questions are asked about every ancestor of a suspect: is a later entry of the same name the one that
//! counts, is the feature switched off, does a neighbour say whose setting this is? The facts are gathered once for
//! each scope and only when the first suspect asks, so a large map full of suspects costs no more than reading it.

use super::catalogue::{Condition, Convention, Neighbours};
use super::duration::{self, Unit};
use super::surfaces::{command, pairs};
use super::switches::{self, ANY_CHECK, ANY_WAY, NONE_OF, SWITCHES_MAX, WHOLE};
use super::tree::{Entry, Kind, Scalar, Tree};
use super::value::{self, Written};
use super::words::{self, Letters};
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A map, a list whose items have a `name` and a `value`, or flags and assignments beside one another.
pub(crate) struct Scope<'p> {
    pub(crate) entries: Entries<'p>,
    facts: OnceCell<Box<Facts>>,
    /// The keys that conditions ask for, as far as they are here.
    neighbours: OnceCell<u64>,
    /// So often entries were looked for without facts.
    looks: Cell<u8>,
    sign: OnceCell<Sign>,
}

/// What a map says of all that is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Nothing.
    None,
    /// It is taken away: a task of Ansible that wants it absent.
    Absent,
    /// Tests are run with it: a plugin of Maven, a profile of Spring.
    Test,
    /// It is a line of a log, with its level and its message.
    Log,
}

/// The kinds of scopes.
#[derive(Clone, Copy)]
pub(crate) enum Entries<'p> {
    Map(&'p [Entry]),
    Pairs(&'p [Tree]),
    /// Names and values that stand in texts: the flags of one command, the assignments of a list.
    Words(&'p [(&'p str, &'p str)]),
}

/// What was gathered. The keys and values themselves stay where they are.
#[derive(Default)]
struct Facts {
    /// Where the keys with some letters are, by the hash of the letters; sorted.
    by_letters: Vec<(u64, usize)>,
    /// Of this scope alone, so that nobody can write keys that all have one hash.
    hash: RandomState,
    /// For the letters of each feature that is switched off, the entries that do it; empty: the scope itself.
    off: HashMap<Vec<u8>, Vec<usize>>,
    /// The same for features whose tokens' times nobody checks.
    unchecked: HashMap<Vec<u8>, Vec<usize>>,
    /// Features whose issuer is left empty, until it is known whether they have another source of keys.
    of_nobody: Vec<(Vec<u8>, usize)>,
    /// Is one of the entries a part of a span that is not zero?
    holds_more: OnceCell<bool>,
    /// Does one of the entries say what comes of a case of a test?
    is_case: OnceCell<bool>,
}

/// APISIX: a plugin is switched off by `_meta: {disable: true}` among its settings.
const META: &str = "_meta";

/// Values that are longer are no conditions.
const VALUE_BYTES: usize = 256;

/// Facts are gathered after so many looks without them.
const LOOKS_MAX: u8 = 16;

/// So many values of one key are looked at.
const VALUES_MAX: usize = 64;

/// Maps of features, which are off where they are false.
const FEATURES: &[&[u8]] = &[b"features", b"featureflags", b"featuregates", b"toggles", b"modules", b"components"];

/// The text of a value; `null` says as little as nothing.
fn said(scalar: &Scalar) -> &str {
    if scalar.kind == Kind::Null { "" } else { &scalar.text }
}

impl<'p> Scope<'p> {
    pub(crate) fn new(entries: Entries<'p>) -> Self {
        Scope {
            entries,
            facts: OnceCell::new(),
            neighbours: OnceCell::new(),
            looks: Cell::new(0),
            sign: OnceCell::new(),
        }
    }

    fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| Box::new(self.gather()))
    }

    fn gather(&self) -> Facts {
        let mut facts = Facts::default();
        match self.entries {
            Entries::Map(entries) => {
                facts.by_letters.reserve(entries.len());
                for (index, entry) in entries.iter().enumerate() {
                    facts.add(index, &entry.key, entry.value.scalar());
                    facts.below(index, entry);
                    facts.around(index, entry);
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
                    facts.value(index, name, value, || value::resolved(value));
                }
            }
        }
        if !facts.of_nobody.is_empty() {
            let with_keys = self.with_keys();
            for (feature, index) in std::mem::take(&mut facts.of_nobody) {
                if !with_keys.contains(&feature) {
                    facts.unchecked(index, feature);
                }
            }
        }
        if !matches!(self.entries, Entries::Map(_)) {
            // A variable that is just called ENABLED says nothing about its neighbours.
            for nameless in [b"".as_slice(), ANY_CHECK, ANY_WAY] {
                facts.off.remove(nameless);
                facts.unchecked.remove(nameless);
            }
        }
        facts.by_letters.sort_unstable();
        facts
    }

    /// Features with a source of keys of their own.
    fn with_keys(&self) -> Vec<Vec<u8>> {
        let given = self.numbers().filter_map(|index| self.entry(index));
        // A key may be longer than what is compared.
        let given = given.filter(|(_, text)| text.is_none_or(|text| !text.is_empty()));
        given.filter_map(|(key, _)| switches::with_keys(key)).take(SWITCHES_MAX).collect()
    }

    /// The key of an entry, and its value as written; `None` where that is no leaf, or too long to be compared.
    fn entry(&self, index: usize) -> Option<(&'p str, Option<&'p str>)> {
        let (key, text) = match self.entries {
            Entries::Map(entries) => {
                let entry = entries.get(index)?;
                (entry.key.as_str(), entry.value.scalar().map(said))
            }
            Entries::Pairs(items) => {
                pairs::pair(items.get(index)?).map(|(name, value)| (name, Some(value.text.as_str())))?
            }
            Entries::Words(words) => words.get(index).map(|(name, value)| (*name, Some(*value)))?,
        };
        Some((key, text.filter(|text| text.len() <= VALUE_BYTES).map(str::trim)))
    }

    /// The entries whose keys have these letters, in order. The first few times all are looked at: to gather the facts
    /// takes as long as some twenty looks.
    fn lettered<'l>(
        &'l self,
        letters: &'l [u8],
    ) -> impl DoubleEndedIterator<Item = (usize, &'p str, Option<&'p str>)> + use<'l, 'p> {
        let is_it = |key: &str| words::of(key).eq(letters.iter().copied());
        let is_known = self.facts.get().is_some() || self.looks.get() >= LOOKS_MAX;
        self.looks.set(self.looks.get().saturating_add(1));
        let known = is_known.then(|| self.facts().of_hash(letters)).into_iter().flatten();
        let looked_at = (!is_known).then(|| self.numbers()).into_iter().flatten();
        let entry = |index| self.entry(index).map(|(key, text)| (index, key, text));
        known.chain(looked_at).filter_map(entry).filter(move |(_, key, _)| is_it(key))
    }

    fn numbers(&self) -> std::ops::Range<usize> {
        0..match self.entries {
            Entries::Map(entries) => entries.len(),
            Entries::Pairs(items) => items.len(),
            Entries::Words(words) => words.len(),
        }
    }

    /// The short values by the letters of their keys.
    fn values<'l>(&'l self, letters: &'l [u8]) -> impl Iterator<Item = &'p str> + use<'l, 'p> {
        self.lettered(letters).filter_map(|(_, _, text)| text).take(VALUES_MAX)
    }

    /// Is there a later entry of the same name, which is the one that counts? Environments and commands of a unit of
    /// systemd add up.
    pub(crate) fn is_shadowed(&self, key: &str, index: usize) -> bool {
        if key == "Environment" || key.starts_with("Exec") {
            return false;
        }
        let letters: Vec<u8> = words::of(key).collect();
        self.lettered(&letters).rev().take_while(|(later, _, _)| *later > index).any(|(_, other, _)| other == key)
    }

    /// Is there an entry of this name?
    pub(crate) fn has(&self, key: &str) -> bool {
        let letters: Vec<u8> = words::of(key).collect();
        self.lettered(&letters).any(|(_, other, _)| other == key)
    }

    /// Is it a map with one of these keys (letters), which say what comes of a case of a test? Always the same ones.
    pub(crate) fn is_case<'k>(&self, mut outcomes: impl Iterator<Item = &'k [u8]>) -> bool {
        let is_map = matches!(self.entries, Entries::Map(_));
        is_map && *self.facts().is_case.get_or_init(|| outcomes.any(|outcome| self.lettered(outcome).next().is_some()))
    }

    /// Is there an entry whose key's letters are such?
    pub(crate) fn any_letters(&self, is_such: impl Fn(&[u8]) -> bool) -> bool {
        let mut entries = self.facts().by_letters.iter().filter_map(|(_, index)| self.entry(*index));
        entries.any(|(key, _)| is_such(&words::of(key).collect::<Vec<u8>>()))
    }

    /// See [`Sign`].
    ///
    /// Source: <https://docs.ansible.com/ansible/latest/collections/kubernetes/core/k8s_module.html> (`state`),
    /// <https://maven.apache.org/surefire/maven-surefire-plugin/test-mojo.html> (`environmentVariables`),
    /// <https://docs.spring.io/spring-boot/reference/features/profiles.html>.
    pub(crate) fn sign(&self) -> Sign {
        *self.sign.get_or_init(|| {
            let (mut has_level, mut has_message) = (false, false);
            for (key, text) in self.numbers().filter_map(|index| self.entry(index)) {
                match (key, text) {
                    ("state", Some("absent")) => return Sign::Absent,
                    ("artifactId", Some("maven-surefire-plugin" | "maven-failsafe-plugin"))
                    | ("spring.config.activate.on-profile", Some("test")) => return Sign::Test,
                    ("spring", None) if self.is_of_tests() => return Sign::Test,
                    ("level", _) => has_level = true,
                    ("msg" | "message", _) => has_message = true,
                    _ => {}
                }
            }
            if has_level && has_message { Sign::Log } else { Sign::None }
        })
    }

    /// Is it a document of Spring for its profile `test`, keys nested; `profiles` alone is what Boot before 2.4 reads?
    fn is_of_tests(&self) -> bool {
        let Entries::Map(entries) = self.entries else { return false };
        let of_spring = entries.iter().filter(|entry| entry.key == "spring").map(|entry| &entry.value);
        let profile = |spring: &'p Tree| {
            let nested = spring.at(&["config", "activate", "on-profile"]).or_else(|| spring.get("profiles"));
            nested.or_else(|| spring.get("config.activate.on-profile"))?.text()
        };
        of_spring.filter_map(profile).any(|profile| profile.trim() == "test")
    }

    /// Is one of the values of this key (letters) such?
    pub(crate) fn any_value(&self, key: &[u8], is_such: impl Fn(&str) -> bool) -> bool {
        self.values(key).any(is_such)
    }

    /// Does the scope hold this key (letters) with a value that fits (stars at either end stand for anything)?
    pub(crate) fn holds(&self, key: &[u8], wanted: &str) -> bool {
        self.values(key).any(|value| fits(wanted, value))
    }

    /// Does the scope hold the condition's key with a value that fits, or with none that does? Always of the same
    /// catalogue's neighbours.
    pub(crate) fn meets(&self, condition: &Condition, neighbours: &Neighbours) -> bool {
        let here = *self.neighbours.get_or_init(|| {
            let keys = self.numbers().filter_map(|index| self.entry(index));
            keys.fold(0, |bits, (key, _)| bits | neighbours.of(key))
        });
        if condition.star.is_some() || (condition.bit != 0 && here & condition.bit == 0) {
            return false;
        }
        self.answers(&condition.key, condition)
    }

    /// Does this key (letters) have a value that fits the condition's, or none that does?
    pub(crate) fn answers(&self, key: &[u8], condition: &Condition) -> bool {
        // Of each spelling the last one.
        let mut last: Vec<(&str, bool)> = Vec::new();
        for (index, key, text) in self.lettered(key).rev().take(VALUES_MAX) {
            let is_fit =
                text.map(|text| fits(&condition.value, text)).or_else(|| self.has_item(index, &condition.value));
            if let Some(is_fit) = is_fit.filter(|_| !last.iter().any(|(known, _)| *known == key)) {
                last.push((key, is_fit));
            }
        }
        !last.is_empty() && last.iter().any(|(_, is_fit)| *is_fit) != condition.is_other
    }

    /// Does an item of the list fit that this entry holds; `None` where it holds none?
    fn has_item(&self, index: usize, wanted: &str) -> Option<bool> {
        let Entries::Map(entries) = self.entries else { return None };
        let items = entries.get(index)?.value.items();
        let texts = items.iter().take(VALUES_MAX).filter_map(Tree::text);
        (!items.is_empty())
            .then(|| texts.filter(|text| text.len() <= VALUE_BYTES).any(|text| fits(wanted, text.trim())))
    }

    /// Does the scope hold a part of a span that is not zero (`minutes: 0` beside `seconds: 30`)?
    pub(crate) fn holds_more(&self) -> bool {
        let facts = self.facts();
        let is_part = |key: &str| {
            let letters: Vec<u8> = words::of(key).collect();
            std::str::from_utf8(&letters).ok().and_then(duration::unit_named).is_some()
        };
        let is_more = |value: &str| duration::read(value).is_none_or(|span| span.nanos(Unit::Seconds) != 0);
        let mut entries = facts.by_letters.iter().filter_map(|(_, index)| self.entry(*index));
        *facts.holds_more.get_or_init(|| entries.any(|(key, text)| text.is_some_and(is_more) && is_part(key)))
    }

    /// The same of names that are written out: `JWT_LEEWAY_SECONDS=30` beside `JWT_LEEWAY_MINUTES=0`, whose stem and
    /// unit (letters) these are.
    pub(crate) fn holds_more_of(&self, stem: &[u8], unit: &[u8]) -> bool {
        // As they are written beside one another; to look for each takes its time.
        const UNITS: &[&str] = &["seconds", "minutes", "milliseconds", "ms"];
        let is_more = |value: &str| duration::read(value).is_some_and(|span| span.nanos(Unit::Seconds) > 0);
        let mut name = Vec::with_capacity(stem.len().saturating_add("milliseconds".len()));
        UNITS.iter().filter(|other| other.as_bytes() != unit).any(|other| {
            name.clear();
            name.extend_from_slice(stem);
            name.extend_from_slice(other.as_bytes());
            self.values(&name).any(is_more)
        })
    }

    /// Are the times of the tokens not checked at all that a setting belongs to? `above` is the number of keys above the
    /// scope. A check that has no name counts where the scope is named for tokens: elsewhere it may be one of
    /// certificates.
    pub(crate) fn is_unchecked(&self, convention: &Convention, letters: &Letters, above: usize, index: usize) -> bool {
        let unchecked = &self.facts().unchecked;
        if unchecked.is_empty() {
            return false;
        }
        let from = letters.before_key(above);
        let by_another = |it: &[u8]| unchecked.get(it).is_some_and(|by| self.holds_another(by, index));
        let scope = letters.words(letters.before_key(above.saturating_sub(1)), from).last();
        let ends = (from..=letters.text().len()).filter(|end| *end == from || letters.begins(*end));
        (above > 0 && scope.is_some_and(|word| convention.is_auth(word)) && by_another(ANY_CHECK))
            || (above > 0 && scope.is_some_and(|word| WHOLE.contains(&word)) && by_another(ANY_WAY))
            || ends.filter_map(|end| letters.text().get(from..end)).any(by_another)
    }

    /// Is one of these entries another than `index`, and the last one of its name?
    fn holds_another(&self, switches: &[usize], index: usize) -> bool {
        let is_last = |switch: usize| self.entry(switch).is_some_and(|(key, _)| !self.is_shadowed(key, switch));
        switches.iter().any(|switch| *switch != index && is_last(*switch))
    }

    /// Is the feature switched off that a setting belongs to, whose letters from here on begin at `from`? The way
    /// goes through the entry `index`, which is no switch for itself.
    pub(crate) fn is_off(&self, letters: &Letters, from: usize, index: usize) -> bool {
        let off = &self.facts().off;
        if off.is_empty() {
            return false;
        }
        let by_another = |feature: &[u8]| off.get(feature).is_some_and(|by| self.holds_another(by, index));
        let ends = (from..=letters.text().len()).filter(|end| *end == from || letters.begins(*end));
        WHOLE.iter().any(|whole| by_another(whole))
            || ends.filter_map(|end| letters.text().get(from..end)).any(by_another)
    }
}

impl Facts {
    fn name(&mut self, index: usize, key: &str) {
        self.by_letters.push((hashed(&self.hash, words::of(key)), index));
    }

    fn add(&mut self, index: usize, key: &str, scalar: Option<&Scalar>) {
        self.name(index, key);
        if let Some(scalar) = scalar {
            self.value(index, key, said(scalar), || value::written(scalar));
        }
    }

    fn value<'v>(&mut self, index: usize, key: &str, text: &str, written: impl FnOnce() -> Written<'v>) {
        if text.trim().is_empty() {
            if let Some(feature) = switches::of_nobody(key) {
                self.of_nobody.push((feature, index));
            }
        } else if text.len() <= VALUE_BYTES && switches::may_switch(text) {
            self.off_by(index, &Letters::of([key]), written());
        }
    }

    fn unchecked(&mut self, index: usize, feature: Vec<u8>) {
        note_switch(self.unchecked.entry(feature).or_default(), index);
    }

    /// `saml: {enabled: false}` is about `samlLeeway` beside it too, and so is `features: {saml: false}`. `enable` may be a
    /// map of switches itself.
    fn below(&mut self, index: usize, entry: &Entry) {
        let mut left = SWITCHES_MAX;
        if matches!(entry.key.as_str(), "enable" | "enabled") && switches::is_all_off(&entry.value, &mut left) {
            self.off_by(index, &Letters::of([entry.key.as_str()]), value::resolved("false"));
        }
        let switches = entry.value.entries().iter().take(VALUES_MAX);
        for own in switches.clone().filter(|_| entry.key == META) {
            if let Some(scalar) = own.value.scalar() {
                self.value(index, &own.key, &scalar.text, || value::written(scalar));
            }
        }
        if switches.len() > 0 && FEATURES.contains(&Letters::of([entry.key.as_str()]).text()) {
            for switch in switches.clone() {
                if let Some(scalar) = switch.value.scalar() {
                    self.named_off_by(index, &switch.key, &scalar.text);
                }
            }
        }
        for switch in switches {
            let letters = Letters::of([switch.key.as_str()]);
            let is_switch = matches!(letters.text(), b"enabled" | b"disabled" | b"active" | b"mode" | b"type");
            if let Some(scalar) = switch.value.scalar().filter(|_| is_switch) {
                self.off_by(index, &Letters::of([entry.key.as_str(), switch.key.as_str()]), value::written(scalar));
            }
        }
    }

    /// The variables and flags of a container are about one another.
    fn around(&mut self, index: usize, entry: &Entry) {
        let is_variables = matches!(entry.key.as_str(), "env" | "environment");
        if !is_variables && !command::KEYS.contains(&entry.key.as_str()) {
            return;
        }
        for variable in entry.value.entries().iter().filter(|_| is_variables) {
            if let Some(scalar) = variable.value.scalar() {
                self.named_off_by(index, &variable.key, &scalar.text);
            }
        }
        for item in entry.value.items() {
            let text = item.scalar().map(|scalar| scalar.text.as_str());
            match (pairs::pair(item), text) {
                (Some((name, value)), _) if is_variables => self.named_off_by(index, name, &value.text),
                (_, Some(text)) => match text.split_once('=') {
                    Some((name, value)) => self.named_off_by(index, name, value),
                    None if text.starts_with('-') => self.named_off_by(index, text, "true"),
                    None => {}
                },
                _ => {}
            }
        }
    }

    /// A variable that is just called ENABLED says nothing about flags.
    fn named_off_by(&mut self, index: usize, name: &str, text: &str) {
        let letters = Letters::of([name]);
        let is_named =
            !matches!(letters.text(), b"enabled" | b"disabled" | b"enable" | b"disable" | b"active" | b"use");
        if is_named && text.len() <= VALUE_BYTES && switches::may_switch(text) {
            self.off_by(index, &letters, value::resolved(text));
        }
    }

    fn off_by(&mut self, index: usize, letters: &Letters, written: Written<'_>) {
        let Written::Value { text, .. } = written else { return };
        for feature in switches::another_way(letters, &text) {
            self.unchecked(index, feature);
        }
        let Some(on) = switches::switch(&text) else { return };
        // `auth: {provider: none}`
        let is_whose = NONE_OF.contains(&letters.text()) && text.trim().eq_ignore_ascii_case("none");
        let feature = if is_whose { Some(ANY_CHECK.to_vec()) } else { switches::unchecked(letters, on) };
        // A number is a span: `verification_expiry: 0`.
        if let Some(feature) = feature.filter(|_| !matches!(text.trim(), "0" | "1")) {
            self.unchecked(index, feature);
        }
        for feature in switches::features(letters, &text, on) {
            note_switch(self.off.entry(feature).or_default(), index);
        }
    }

    fn of_hash(&self, letters: &[u8]) -> impl DoubleEndedIterator<Item = usize> {
        let hash = hashed(&self.hash, letters.iter().copied());
        let first = self.by_letters.partition_point(|(other, _)| *other < hash);
        let rest = self.by_letters.get(first..).unwrap_or(&[]);
        let same = rest.get(..rest.partition_point(|(other, _)| *other == hash)).unwrap_or(&[]);
        same.iter().map(|(_, index)| *index)
    }
}

/// Keeps a few switches of a feature, the last one among them: it is the one that counts.
fn note_switch(switches: &mut Vec<usize>, index: usize) {
    if switches.len() >= SWITCHES_MAX {
        switches.pop();
    }
    switches.push(index);
}

/// Eight letters at a time: a hasher takes as long for one as for eight.
fn hashed(state: &RandomState, letters: impl Iterator<Item = u8>) -> u64 {
    let mut hasher = state.build_hasher();
    let (mut word, mut count) = (0_u64, 0_u32);
    for letter in letters {
        word = word << 8 | u64::from(letter);
        count = count.wrapping_add(1);
        if count.is_multiple_of(8) {
            hasher.write_u64(word);
            word = 0;
        }
    }
    hasher.write_u64(word);
    hasher.write_u32(count);
    hasher.finish()
}

/// `pattern` may have a star at either end, which stands for anything. Capitals do not matter.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let is = |part: Option<&[u8]>, wanted: &[u8]| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted));
    match (pattern.strip_prefix(b"*"), pattern.strip_suffix(b"*")) {
        (Some(b""), _) => true,
        (Some(end), None) => is(text.len().checked_sub(end.len()).and_then(|start| text.get(start..)), end),
        (None, Some(start)) => is(text.get(..start.len()), start),
        (Some(rest), Some(_)) => {
            let middle = rest.strip_suffix(b"*").unwrap_or(rest);
            middle.is_empty() || text.windows(middle.len()).any(|part| part.eq_ignore_ascii_case(middle))
        }
        (None, None) => text.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_at_the_ends() {
        assert!(fits(
            "*jwt_authn*",
            "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
        ));
        assert!(!fits("appsettings*.json", "x") && fits("appsettings*", "AppSettings.Production.json"));
        assert!(fits("*.conf", "broker.conf") && !fits("*.conf", "broker.conf.bak") && fits("a", "A"));
    }

    #[test]
    fn keys_of_the_same_letters_are_conditions_alike_and_shadow_only_their_own() {
        let words = [("jwt.skew", "0"), ("JWT_SKEW", "1"), ("jwt.skew", "2"), ("other", "3")];
        let scope = Scope::new(Entries::Words(&words));
        assert_eq!(scope.values(b"jwtskew").collect::<Vec<_>>(), ["0", "1", "2"]);
        assert!(scope.is_shadowed("jwt.skew", 0) && !scope.is_shadowed("jwt.skew", 2));
        assert!(!scope.is_shadowed("JWT_SKEW", 1) && !scope.is_shadowed("jwtskew", 0));
        assert!(scope.has("other") && !scope.has("Other") && scope.holds(b"other", "3"));
    }
}
