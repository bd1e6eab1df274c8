//! What is around a variable in the container that takes it: the container's other variables, its image and arguments,
//! and the other entries of the object that the variable comes from.
//!
//! It is put together of the few facts that are kept of a container, so that a setting is judged as if it stood there.
//!
//! Does not know: findings.

use super::link::{Link, Way};
use super::offers::Supply;
use super::scope::{Entries, Scope};
use super::taken::Resolved;
use super::takers::{Taker, Variable};
use super::tree::{Entry, Step};

/// An entry that is taken alone has the others beside it, if they are no more than these.
const BESIDE_MAX: usize = 1_000;

/// What a container makes of an object's entries.
pub(crate) struct Environment<'e> {
    taker: &'e Taker,
    pub(crate) variables: Scope<'e>,
    /// What stands around them.
    container: Scope<'e>,
    /// The object's own entries.
    beside: Scope<'e>,
    nothing: Scope<'e>,
}

impl<'e> Environment<'e> {
    /// Of a container with these variables, and an object with these entries.
    pub(crate) fn new(taker: &'e Taker, variables: &'e [(&'e str, &'e str)], beside: &'e [Entry]) -> Self {
        Environment {
            taker,
            variables: Scope::new(Entries::Words(variables)),
            container: Scope::new(Entries::Map(&taker.beside)),
            beside: Scope::new(Entries::Map(beside)),
            nothing: Scope::new(Entries::Words(&[])),
        }
    }

    /// `group/Kind` of the object that the container is in.
    pub(crate) fn kind(&self) -> &str {
        &self.taker.kind
    }

    /// Does a later variable have this name?
    pub(crate) fn is_replaced(&self, name: &str, index: usize) -> bool {
        self.variables.is_shadowed(name, index)
    }

    /// Calls with the way through the keys around the container's variables. What the object itself switches off is off
    /// for whoever takes an entry of it: it stands where the first key goes through the object's entry `number`.
    pub(crate) fn around(&self, root: &Link<'_>, number: usize, then: &mut dyn FnMut(&Link<'_>)) {
        self.along(root, &self.taker.way, number, then);
    }

    fn along(&self, link: &Link<'_>, way: &[String], number: usize, then: &mut dyn FnMut(&Link<'_>)) {
        let is_first = matches!(link.step, Way::Root { .. });
        let (scope, index) = match way {
            [_] => (&self.container, usize::MAX),
            [_, ..] if is_first => (&self.beside, number),
            _ => (&self.nothing, usize::MAX),
        };
        match way.split_first() {
            Some((key, rest)) => self.along(&link.down(Way::Key { name: key, scope, index }), rest, number, then),
            None => then(link),
        }
    }
}

/// Calls with the way through steps that are no part of a name.
pub(crate) fn held(link: &Link<'_>, steps: &[Step], then: &mut dyn FnMut(&Link<'_>)) {
    match steps.split_first() {
        Some((Step::Key(name), rest)) => held(&link.down(Way::Held { name, unit: None }), rest, then),
        Some((Step::Item { index, name }, rest)) => {
            held(&link.down(Way::Item { index: *index, name: name.as_deref() }), rest, then);
        }
        None => then(link),
    }
}

/// All variables of a container, those that count less first, and the number of the one that its variable `variable`
/// makes of the entry with this number of `own`, the object that it takes.
///
/// What stands beside an entry that is taken alone comes first of all: it is no variable, but what it says is about
/// the entry.
pub(crate) fn words<'w>(
    resolved: &'w Resolved,
    variable: usize,
    own: &'w Supply,
    entry: usize,
    supplies: &'w [Supply],
) -> (Vec<(String, &'w str)>, usize) {
    let mut words: Vec<(String, &str)> = Vec::new();
    let mut at = 0;
    let is_alone = matches!(resolved.taker.variables.get(variable), Some(Variable::One { .. }));
    if is_alone && own.0.len() <= BESIDE_MAX {
        let others = own.0.iter().enumerate().filter(|(number, _)| *number != entry);
        words.extend(others.map(|(_, (name, value))| (name.clone(), value.as_str())));
    }
    for (number, (it, supply)) in resolved.taker.variables.iter().zip(&resolved.supplies).enumerate() {
        let is_it = number == variable;
        let other = supply.and_then(|supply| supplies.get(supply));
        let supply = if is_it { Some(own) } else { other };
        match it {
            Variable::Own { name, value } => words.push((name.clone(), value)),
            Variable::One { name, key, .. } => {
                at = if is_it { words.len() } else { at };
                words.push((name.clone(), supply.and_then(|supply| supply.get(key)).unwrap_or("")));
            }
            Variable::All { prefix, .. } => {
                at = if is_it { words.len().saturating_add(entry) } else { at };
                let entries = supply.map_or(&[][..], |supply| &supply.0);
                words.extend(entries.iter().map(|(name, value)| (format!("{prefix}{name}"), value.as_str())));
            }
        }
    }
    (words, at)
}
