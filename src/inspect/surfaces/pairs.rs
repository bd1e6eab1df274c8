//! Names with values: `env` of a container, and every other list whose items have a `name` and a `value`.

use super::super::link::{Link, Way};
use super::super::scope::{Entries, Scope};
use super::super::tree::{Kind, Position, Scalar, Tree};
use super::super::walk::Walk;

/// Is the value of this item looked at under its name?
pub(crate) fn is_pair(item: &Tree) -> bool {
    item.get("name").and_then(Tree::text).is_some() && item.get("value").is_some_and(|value| value.scalar().is_some())
}

/// Looks at all pairs of a list; `link` is the list.
pub(crate) fn look(walk: &mut Walk<'_>, link: &Link<'_>, items: &[Tree]) {
    let scope = Scope::new(Entries::Pairs(items));
    for (index, item) in items.iter().enumerate().filter(|(_, item)| is_pair(item)) {
        let Some(name) = item.get("name").and_then(Tree::text) else { continue };
        let Some(scalar) = item.get("value").and_then(Tree::scalar) else { continue };
        let item = link.down(Way::Item { index, name: Some(name) });
        walk.leaf(&item.down(Way::Named { name, scope: &scope, index }), scalar);
    }
}

/// `- NAME=value`, as compose files write their environment and kustomize its literals; `link` is the list.
pub(crate) fn assignments(walk: &mut Walk<'_>, link: &Link<'_>, items: &[Tree]) {
    let scope = Scope::new(Entries::Lines(items));
    for (index, scalar) in items.iter().enumerate().filter_map(|(index, item)| Some((index, item.scalar()?))) {
        let Some((name, value)) = assignment(scalar) else { continue };
        let item = link.down(Way::Item { index, name: None });
        let way = Way::Document { text: &scalar.text, notation: link.notation(), at: scalar.at, name: None };
        walk.leaf(
            &item.down(way).down(Way::Flag { prefix: "", name, joint: "=", beside: Some((&scope, index)) }),
            &value,
        );
    }
}

/// The two sides of `NAME=value`; the place of the value is in the item's own text.
pub(crate) fn assignment(scalar: &Scalar) -> Option<(&str, Scalar)> {
    let (name, value) = scalar.text.split_once('=')?;
    let at = Position { line: 1, column: u32::try_from(name.chars().count()).unwrap_or(0).saturating_add(2) };
    Some((name, Scalar { text: value.to_owned(), kind: Kind::Text, at, extent: None }))
}
