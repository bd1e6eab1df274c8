//! An entry of a ConfigMap or Secret, under the names that containers give it.
//!
//! `CLOCK_SKEW: "0"` says little; taken with the prefix `JWT_` by a container it is that container's variable
//! JWT_CLOCK_SKEW, and is judged as one: with the container's image, its other variables, its arguments, and the other
//! entries of the object beside it. What is found is told at the entry's value, with who takes it.
//!
//! It also goes the other way. What is found in the entry by itself is withdrawn if everybody who is known to take it
//! takes it for something else: a variable that a later one replaces, a feature that is switched off, a name that a
//! prefix makes another one. One taker for whom it counts, or of whom that cannot be told, and it stays: a variable
//! called `LW` says nothing about an entry called `JWT_LEEWAY`.
//!
//! Does not know: files, how a reference is resolved, takers outside of what was looked at, volumes.

use super::finding::Finding;
use super::formats::Notation;
use super::link::{Link, Way};
use super::offers::{Offered, Supplier, Supply, offers};
use super::scope::{Entries, Scope};
use super::takers::{Taker, Variable};
use super::tree::{Entry, Path, Step, Tree};
use super::walk::Walk;
use super::words::Letters;
use super::{Bounds, Catalogue, Inspection, Limits, ObjectRef, formats, mentions_skew};
use std::collections::HashMap;

/// So many takers of one entry are looked at; what is found in the entry by itself stays if there are more.
const TAKERS_MAX: usize = 1_000;

/// So many takers are named.
const NAMED_MAX: usize = 3;

/// A container, and what its references refer to.
#[derive(Debug)]
pub struct Resolved {
    /// The container.
    pub taker: Taker,
    /// The name of its file.
    pub file: String,
    /// For each of its variables that comes from elsewhere, the number of the supply among [`Uses::supplies`]; `None`
    /// where it is not known.
    pub supplies: Vec<Option<usize>>,
}

/// Who takes what from the objects of one file.
#[derive(Debug, Default)]
pub struct Uses<'u> {
    /// Every container that takes anything.
    pub takers: &'u [Resolved],
    /// What they can take from.
    pub supplies: &'u [Supply],
    /// The takers of each object of the file: numbers of the taker, and of its variable.
    pub of: HashMap<Supplier, Vec<(usize, usize)>>,
}

/// How things are looked at.
#[derive(Clone, Copy)]
pub(crate) struct Gaze<'c> {
    pub(crate) catalogue: &'c Catalogue,
    pub(crate) bounds: &'c Bounds,
    pub(crate) limits: &'c Limits,
}

/// Adds to what was `found` in a document what its entries are to those who take them, and withdraws what they are to
/// nobody. `link` leads to the document; an environment file is known by its format.
pub(crate) fn look(
    gaze: Gaze<'_>,
    link: &Link<'_>,
    tree: &Tree,
    is_environment: bool,
    uses: &Uses<'_>,
    found: &mut Inspection,
) {
    let object = super::object_ref(tree);
    for (supplier, entries) in offers(tree, is_environment, gaze.limits) {
        let Some(takers) = uses.of.get(&supplier) else { continue };
        let own = Supply::of(&entries);
        let beside: Vec<Entry> = entries.iter().map(as_entry).collect();
        let shelf = Shelf { gaze, link, object: &object, own: &own, beside: &beside, uses };
        for (number, entry) in entries.iter().enumerate() {
            let variable = |(taker, variable): &(usize, usize)| uses.takers.get(*taker)?.taker.variables.get(*variable);
            let takes = |it: &&(usize, usize)| variable(it).is_some_and(|variable| takes(variable, entry.key));
            let takers: Vec<(usize, usize)> = takers.iter().filter(takes).copied().collect();
            if !takers.is_empty() {
                shelf.judge(number, entry, &takers, found);
            }
        }
    }
}

/// Is this entry taken by this variable? An entry that is a file becomes no variable by being taken with all others.
fn takes(variable: &Variable, key: &str) -> bool {
    match variable {
        Variable::One { key: wanted, .. } => wanted == key,
        Variable::All { .. } => formats::by_name(key).is_none(),
        Variable::Own { .. } => false,
    }
}

fn as_entry(entry: &Offered<'_>) -> Entry {
    let scalar = entry.scalar.clone().into_owned();
    Entry { key: entry.key.to_owned(), at: scalar.at, value: Tree::Scalar(scalar) }
}

/// An object whose entries are taken.
struct Shelf<'s> {
    gaze: Gaze<'s>,
    link: &'s Link<'s>,
    object: &'s ObjectRef,
    own: &'s Supply,
    /// Its entries as a map.
    beside: &'s [Entry],
    uses: &'s Uses<'s>,
}

/// A finding in an entry.
struct Told {
    finding: Finding,
    /// Those for whom it is one; numbers among the entry's takers.
    takers: Vec<usize>,
    /// It was found in the entry by itself.
    is_own: bool,
}

/// What an entry is to one of its takers.
enum Said {
    /// A later variable has its name.
    Replaced,
    /// A variable of this name.
    Variable { name: String, findings: Vec<Finding>, is_setting: bool },
}

impl Shelf<'_> {
    fn judge(&self, number: usize, entry: &Offered<'_>, takers: &[(usize, usize)], found: &mut Inspection) {
        let Path(mut steps) = self.link.path();
        steps.extend(entry.above.iter().cloned());
        steps.extend(entry.text.is_none().then(|| Step::Key(entry.key.to_owned())));
        let mut told: Vec<Told> = Vec::new();
        for finding in std::mem::take(&mut found.findings) {
            if finding.path.0.starts_with(&steps) {
                told.push(Told { finding, takers: Vec::new(), is_own: true });
            } else {
                found.findings.push(finding);
            }
        }
        let mut named = Vec::new();
        for (taker, variable) in takers.iter().take(TAKERS_MAX) {
            let Some(resolved) = self.uses.takers.get(*taker) else { continue };
            let Said::Variable { name, findings, is_setting } = self.said(resolved, *variable, number, entry, &told)
            else {
                continue;
            };
            let user = named.len();
            // A name that ends in the entry's own says all that the entry's says, and more. What is inside of a document
            // may be read from a volume too.
            let is_told = is_setting || letters(&name).ends_with(&letters(entry.key));
            for own in told.iter_mut().filter(|own| own.is_own && !(is_told && own.finding.path.0 == steps)) {
                own.takers.push(user);
            }
            findings.into_iter().for_each(|finding| add(&mut told, finding, user));
            named.push(shown(resolved, *variable, &name));
        }
        let is_all = takers.len() <= TAKERS_MAX;
        let more = takers.len().saturating_sub(TAKERS_MAX);
        for mut told in told {
            if told.takers.is_empty() && is_all {
                continue;
            }
            let users: Vec<&str> = told.takers.iter().filter_map(|user| named.get(*user)).map(String::as_str).collect();
            say(&mut told.finding, &users, more);
            if told.is_own || found.findings.len() < self.gaze.limits.settings {
                found.findings.push(told.finding);
            }
        }
    }

    fn said(&self, resolved: &Resolved, variable: usize, number: usize, entry: &Offered<'_>, told: &[Told]) -> Said {
        let taker = &resolved.taker;
        let name = match taker.variables.get(variable) {
            Some(Variable::One { name, .. }) => name.clone(),
            Some(Variable::All { prefix, .. }) => format!("{prefix}{}", entry.key),
            Some(Variable::Own { .. }) | None => return Said::Replaced,
        };
        let may_be = |text: &str| mentions_skew(text.as_bytes());
        if told.is_empty() && !may_be(&name) && !may_be(&entry.scalar.text) {
            return Said::Variable { name, findings: Vec::new(), is_setting: false };
        }
        let (words, index) = self.words(resolved, variable, entry.key);
        let words: Vec<(&str, &str)> = words.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        if words.iter().skip(index.saturating_add(1)).any(|(later, _)| *later == name) {
            return Said::Replaced;
        }
        let (nothing, container) = (Scope::new(Entries::Words(&[])), Scope::new(Entries::Map(&taker.beside)));
        let (beside, environment) = (Scope::new(Entries::Map(self.beside)), Scope::new(Entries::Words(&words)));
        let root = Link::root(None, self.link.notation(), None);
        let mut walk =
            Walk::new(self.gaze.catalogue, self.gaze.bounds, self.gaze.limits).of_entry(self.object, &taker.kind);
        let mut is_setting = false;
        let mut judge = |link: &Link<'_>| {
            let link = link.down(Way::Taken { entry: entry.key, name: &name, scope: &environment, index });
            walk.leaf(&link, &entry.scalar);
            is_setting = walk.recognises(&link, &entry.scalar);
        };
        let mut steps = Vec::new();
        if let Way::Item { index, name } = self.link.step {
            steps.extend([Step::Key("items".to_owned()), Step::Item { index, name: name.map(str::to_owned) }]);
        }
        steps.extend(entry.above.iter().cloned());
        let mut inside = |root: &Link<'_>| {
            held(root, &steps, &mut |link| match entry.text {
                Some(text) => {
                    let way = Way::Document { text: &text.text, notation: Notation::Dotenv, at: text.at, name: None };
                    judge(&link.down(way));
                }
                None => judge(link),
            });
        };
        // The object's own switches are switches for whoever takes an entry of it.
        let scopes = Around { first: &beside, entry: number, last: &container, nothing: &nothing };
        scopes.along(&root, &taker.way, &mut |above| {
            let (text, notation, file) = (self.link.text(), self.link.notation(), self.link.file());
            inside(&above.down(Way::Root { text, notation, file }));
        });
        Said::Variable { name, findings: walk.done().findings, is_setting }
    }

    /// All variables of a container, those that count less first, and the number of the one that it makes of an entry
    /// of this object. What stands beside an entry that is taken alone comes first of all: it is no variable, but what
    /// it says is about the entry.
    fn words<'w>(&'w self, resolved: &'w Resolved, variable: usize, key: &str) -> (Vec<(String, &'w str)>, usize) {
        let mut words: Vec<(String, &str)> = Vec::new();
        let mut at = 0;
        if matches!(resolved.taker.variables.get(variable), Some(Variable::One { .. })) {
            let others = self.own.0.iter().filter(|(name, _)| name != key);
            words.extend(others.map(|(name, value)| (name.clone(), value.as_str())));
        }
        for (number, (it, supply)) in resolved.taker.variables.iter().zip(&resolved.supplies).enumerate() {
            let supply = if number == variable {
                Some(self.own)
            } else {
                supply.and_then(|supply| self.uses.supplies.get(supply))
            };
            match it {
                Variable::Own { name, value } => words.push((name.clone(), value)),
                Variable::One { name, key: wanted, .. } => {
                    if number == variable {
                        at = words.len();
                    }
                    let value = supply.and_then(|supply| supply.get(wanted)).unwrap_or("");
                    words.push((name.clone(), value));
                }
                Variable::All { prefix, .. } => {
                    for (name, value) in supply.map_or(&[][..], |supply| &supply.0) {
                        if number == variable && name == key {
                            at = words.len();
                        }
                        words.push((format!("{prefix}{name}"), value));
                    }
                }
            }
        }
        (words, at)
    }
}

/// What stands around the variables of a container.
struct Around<'a, 's> {
    /// The map that the first key goes through entry `entry` of: there is nothing outside of it.
    first: &'a Scope<'s>,
    entry: usize,
    /// The container, which the last key is one of.
    last: &'a Scope<'s>,
    nothing: &'a Scope<'s>,
}

impl Around<'_, '_> {
    /// Calls with the way through these keys.
    fn along(&self, link: &Link<'_>, way: &[String], then: &mut dyn FnMut(&Link<'_>)) {
        let is_first = matches!(link.step, Way::Root { .. });
        let (scope, index) = match way {
            [_] => (self.last, usize::MAX),
            [_, ..] if is_first => (self.first, self.entry),
            _ => (self.nothing, usize::MAX),
        };
        match way.split_first() {
            Some((key, rest)) => self.along(&link.down(Way::Key { name: key, scope, index }), rest, then),
            None => then(link),
        }
    }
}

/// Calls with the way through steps that are no part of a name.
fn held(link: &Link<'_>, steps: &[Step], then: &mut dyn FnMut(&Link<'_>)) {
    match steps.split_first() {
        Some((Step::Key(name), rest)) => held(&link.down(Way::Held { name }), rest, then),
        Some((Step::Item { index, name }, rest)) => {
            held(&link.down(Way::Item { index: *index, name: name.as_deref() }), rest, then);
        }
        None => then(link),
    }
}

/// Adds what one taker makes of an entry. What is told of a value is told once, as the worst that it is.
fn add(told: &mut Vec<Told>, finding: Finding, user: usize) {
    let same = |other: &&mut Told| {
        let other = &other.finding;
        (other.rule, other.at, &other.value) == (finding.rule, finding.at, &finding.value)
    };
    match told.iter_mut().find(same) {
        Some(other) => {
            if finding.severity > other.finding.severity {
                other.finding = finding;
            }
            if !other.takers.contains(&user) {
                other.takers.push(user);
            }
        }
        None => told.push(Told { finding, takers: vec![user], is_own: false }),
    }
}

fn letters(name: &str) -> Vec<u8> {
    Letters::of([name]).text().to_vec()
}

/// `variable JWT_CLOCK_SKEW of container api of Deployment shop/api (deploy.yaml:31)`.
fn shown(resolved: &Resolved, variable: usize, name: &str) -> String {
    let Taker { object, container, variables, .. } = &resolved.taker;
    let line = match variables.get(variable) {
        Some(Variable::One { line, .. } | Variable::All { line, .. }) => *line,
        Some(Variable::Own { .. }) | None => 0,
    };
    let of = if container.is_empty() { String::new() } else { format!(" of {container}") };
    let blank = if object.name.is_empty() { "" } else { " " };
    let slash = if object.namespace.is_empty() { "" } else { "/" };
    let ObjectRef { kind, namespace, name: workload, .. } = object;
    let of_object = if kind.is_empty() { "" } else { " of " };
    format!("variable {name}{of}{of_object}{kind}{blank}{namespace}{slash}{workload} ({}:{line})", resolved.file)
}

/// Adds who takes it.
fn say(finding: &mut Finding, users: &[&str], more: usize) {
    let (shown, others) = users.split_at_checked(NAMED_MAX).unwrap_or((users, &[]));
    if shown.is_empty() {
        return;
    }
    let dot = if finding.message.ends_with('.') { "" } else { "." };
    let more = match others.len().saturating_add(more) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    finding.message = format!("{}{dot} It is {}{more}.", finding.message, shown.join(", "));
}
