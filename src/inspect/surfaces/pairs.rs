//! Names with values: `env` of a container, and every other list whose items have a `name` and a `value`.

use super::super::duration;
use super::super::link::{Link, Way};
use super::super::scope::{Entries, Scope};
use super::super::tree::{Entry, Kind, Position, Scalar, Tree};
use super::super::walk::Walk;
use super::super::words::Letters;

/// The name of an item and its value: `name` and `value` in Kubernetes, `Name` and `Value` in CloudFormation, `key` and
/// `value` on platforms that run containers, where the name is that of a variable: tolerations and tags have keys too.
pub(crate) fn pair(item: &Tree) -> Option<(&str, &Scalar)> {
    let named = |name: &str, value: &str| Some((item.get(name)?.text()?, item.get(value)?.scalar()?));
    let is_variable = |name: &str| {
        name.contains('_') && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    // Keys of labels and taints have slashes, or no dots.
    let is_path = |name: &str| {
        name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    let of_variable = || named("key", "value").filter(|(name, _)| is_variable(name) || is_path(name));
    named("name", "value").or_else(|| named("Name", "Value")).or_else(of_variable)
}

/// Is the value of this item looked at under its name?
pub(crate) fn is_pair(item: &Tree) -> bool {
    pair(item).is_some()
}

/// Looks at all pairs of a list; `link` is the list.
pub(crate) fn look(walk: &mut Walk<'_>, link: &Link<'_>, items: &[Tree]) {
    let scope = Scope::new(Entries::Pairs(items));
    for (index, item) in items.iter().enumerate() {
        let Some((name, scalar)) = pair(item) else { continue };
        let item = link.down(Way::Item { index, name: Some(name) });
        walk.leaf(&item.down(Way::Named { name, scope: &scope, index }), scalar);
    }
}

/// Looks at a map that is a pair itself (`env { name = "A" value = "0" }` in HCL, which has no list where there is one),
/// or an operation of a JSON patch, whose path is the name (RFC 6902); `link` is the map. Whether it is.
pub(crate) fn alone(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) -> bool {
    let find = |key: &str| entries.iter().rposition(|entry| entry.key == key);
    let text = |key: &str| entries.get(find(key)?)?.value.text();
    let value = find("value").and_then(|index| Some((index, entries.get(index)?.value.scalar()?)));
    let is_patch = matches!(text("op"), Some("add" | "replace"));
    let (Some((index, scalar)), Some(name)) = (value, text(if is_patch { "path" } else { "name" })) else {
        return false;
    };
    let scope = Scope::new(Entries::Words(&[]));
    walk.leaf(&link.down(Way::Named { name, scope: &scope, index }), scalar);
    true
}

/// Looks at a map that is the value of its own key, with its unit or a text about it: `leeway: {value: 0, unit: s}`,
/// GitLab's `variables: {JWT_LEEWAY: {value: "0", description: …}}`, Heroku's `env`; `link` is the map. The number of
/// the value's entry, if it is one. What is beside the value and known here says nothing about its number, but for a
/// unit.
pub(crate) fn held(walk: &mut Walk<'_>, link: &Link<'_>, entries: &[Entry]) -> Option<usize> {
    link.key()?;
    let index = entries.iter().rposition(|entry| entry.key.eq_ignore_ascii_case("value"))?;
    let (entry, scalar) = entries.get(index).and_then(|entry| Some((entry, entry.value.scalar()?)))?;
    let is_beside = |entry: &Entry| match entry.key.to_ascii_lowercase().as_str() {
        "value" | "description" | "required" | "expand" | "generator" => true,
        "unit" | "units" => {
            entry.value.text().is_some_and(|unit| duration::unit_named(&unit.to_ascii_lowercase()).is_some())
        }
        _ => false,
    };
    let unit = entries.iter().find(|entry| matches!(entry.key.to_ascii_lowercase().as_str(), "unit" | "units"));
    let has_unit = unit.is_some();
    let unit = unit.and_then(|entry| duration::unit_named(&entry.value.text()?.to_ascii_lowercase()));
    let is_variable = matches!(link.keys().nth(1), Some("env" | "environment" | "variables" | "vars"));
    if entries.len() > 4 || !(has_unit || is_variable) || !entries.iter().all(is_beside) {
        return None;
    }
    walk.leaf(&link.down(Way::Held { name: &entry.key, unit }), scalar);
    Some(index)
}

/// Last words of the names of lists that hold assignments, where all items are such.
const ASSIGNED: &[&[u8]] = &[
    b"properties",
    b"overrides",
    b"parameters",
    b"params",
    b"variables",
    b"vars",
    b"envs",
    b"config",
    b"configuration",
];

/// Does a list hold assignments, of which each is a setting? A list of a name that does not say so may hold anything,
/// also what is forbidden.
///
/// Source: `configOverrides.server` of Confluent for Kubernetes
/// (<https://docs.confluent.io/operator/current/co-configure-overrides.html>), `additionalConfigProperties` of Trino's chart
/// (<https://github.com/trinodb/charts>).
pub(crate) fn holds_assignments(link: &Link<'_>, items: &[Tree]) -> bool {
    let is_assignment = |item: &Tree| {
        let name = item.text().and_then(|text| text.split_once('=')).map_or("", |(name, _)| name.trim_end());
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let is_named = |key: &str| {
        let letters = Letters::of([key]);
        letters.words(0, letters.text().len()).last().is_some_and(|word| ASSIGNED.contains(&word))
    };
    matches!(link.key(), Some("environment" | "env" | "literals" | "labels"))
        || (link.keys().take(2).any(is_named) && items.iter().all(is_assignment))
}

/// `- NAME=value`, as compose files write their environment and labels, and kustomize its literals; `link` is the list.
pub(crate) fn assignments(walk: &mut Walk<'_>, link: &Link<'_>, items: &[Tree]) {
    let written: Vec<(usize, &Scalar, &str, &str, usize)> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let scalar = item.scalar()?;
            let (name, rest) = scalar.text.split_once('=')?;
            let value = rest.trim_start();
            let column = name.chars().count().saturating_add(rest.chars().count());
            let column = column.saturating_sub(value.chars().count()).saturating_add(2);
            Some((index, scalar, name.trim_end(), value, column))
        })
        .collect();
    let words: Vec<(&str, &str)> = written.iter().map(|(_, _, name, value, _)| (*name, *value)).collect();
    let scope = Scope::new(Entries::Words(&words));
    for (number, (index, scalar, name, value, column)) in written.iter().enumerate() {
        let column = u32::try_from(*column).unwrap_or(0);
        let item = link.down(Way::Item { index: *index, name: None });
        let notation = link.notation();
        let inside = item.down(Way::Document { text: &scalar.text, notation, at: scalar.at, name: None });
        let at = Position { line: 1, column };
        let value = Scalar { text: (*value).into(), kind: Kind::Text, at, extent: None };
        walk.leaf(&inside.down(Way::Flag { prefix: "", name, joint: "=", scope: &scope, index: number }), &value);
    }
}
