//! One page of a list, judged: the pure heart of the audit.
//!
//! The page stays the text that it came as; an object becomes a tree only if its bytes could hold a setting that has to
//! be judged, which of a hundred objects few do. Judged is what the webhook would judge if the object were created now,
//! but for what it lets pass anyway: what is going, and what a built-in controller made from an object that is judged
//! itself.
//!
//! Does not know: HTTP, what was found in other pages.

use super::targets::Target;
use crate::inspect::json::tree_from_json;
use crate::inspect::tree::{Entry, Kind, Position, Scalar, Tree};
use crate::inspect::{self, Catalogue, Finding, Limits, Severity};
use crate::policy::Mode;
use crate::webhook::known::Known;
use crate::webhook::ruling::Ruling;
use crate::webhook::verdict;
use crate::webhook::words;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

/// What is found in one object, bounded in every part, in the order in which a report lists it: the worst first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// As the policy's levels have it.
    pub severity: Reverse<Severity>,
    /// The rule.
    pub rule: &'static str,
    /// `apps/v1` of the object.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// Way to the value in the object.
    pub path: String,
    /// The value as written.
    pub value: String,
    /// Product of the catalogue.
    pub product: String,
    /// What the value means there.
    pub message: String,
    /// What to write instead.
    pub fix: String,
    /// Whether the webhook would refuse it now.
    pub is_refused: bool,
    /// The policies that hold there.
    pub policies: String,
}

/// A page as it was judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Objects on the page.
    pub items: u32,
    /// Those of them that a policy is about.
    pub judged: u64,
    /// What was found, with its namespace.
    pub found: Vec<(String, Found)>,
    /// Places that could not be looked into, objects that could not be read among them.
    pub notes: u64,
    /// Where the list goes on.
    pub next: Option<String>,
}

/// By what is judged.
#[derive(Debug, Clone, Default)]
pub struct Bench {
    /// The policies, and the labels of the namespaces.
    pub known: Known,
    /// Namespaces that are left alone.
    pub spared: Vec<String>,
}

#[derive(Deserialize)]
struct Page<'p> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, deserialize_with = "items")]
    items: Option<Vec<&'p RawValue>>,
}

/// What has none is no list; a list of nothing may have `null`.
pub(super) fn items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<Vec<T>>, D::Error> {
    Option::deserialize(reader)
}

#[derive(Deserialize, Default)]
struct PageMeta {
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Head<'h> {
    #[serde(borrow)]
    metadata: HeadMeta<'h>,
}

#[derive(Deserialize)]
struct HeadMeta<'h> {
    #[serde(borrow, default)]
    namespace: Cow<'h, str>,
    #[serde(borrow, default)]
    name: Cow<'h, str>,
    #[serde(borrow, default)]
    uid: Cow<'h, str>,
}

/// Judges one page of this target's list.
///
/// # Errors
/// If it is no list in JSON. An object in it that cannot be read is a note, because a tenant wrote it.
pub fn judge(page: &[u8], target: &Target, bench: &Bench) -> Result<Sheet, serde_json::Error> {
    let catalogue = bench.known.catalogue();
    let page: Page<'_> = serde_json::from_slice(page)?;
    let items = page.items.unwrap_or_default();
    let mut sheet = Sheet {
        items: u32::try_from(items.len()).unwrap_or(u32::MAX),
        next: page.metadata.next.filter(|next| !next.is_empty()),
        ..Sheet::default()
    };
    let mut rulings: HashMap<String, Option<Ruling>> = HashMap::new();
    for item in items {
        let Ok(Head { metadata }) = serde_json::from_str(item.get()) else {
            sheet.notes = sheet.notes.saturating_add(1);
            continue;
        };
        if bench.spared.iter().any(|spared| *spared == metadata.namespace) {
            continue;
        }
        let ruling = match rulings.get(metadata.namespace.as_ref()) {
            Some(ruling) => ruling,
            None => rulings.entry(metadata.namespace.to_string()).or_insert_with(|| ruling(bench, &metadata.namespace)),
        };
        let Some(ruling) = ruling else { continue };
        sheet.judged = sheet.judged.saturating_add(1);
        look(item.get().as_bytes(), &metadata, target, ruling, catalogue, &mut sheet);
    }
    Ok(sheet)
}

/// What holds in a namespace. One that is newer than the list of namespaces is known by its name alone, until the next
/// audit.
fn ruling(bench: &Bench, namespace: &str) -> Option<Ruling> {
    bench.known.ruling(namespace).unwrap_or_else(|_| bench.known.ruling_for(namespace, None))
}

fn look(bytes: &[u8], head: &HeadMeta<'_>, target: &Target, ruling: &Ruling, catalogue: &Catalogue, sheet: &mut Sheet) {
    // What a list leaves out of its items can be what tells.
    if !catalogue.mentions(bytes) && !catalogue.mentions(target.kind.as_bytes()) {
        return;
    }
    let limits = Limits::default();
    let Ok(tree) = tree_from_json(bytes, &limits) else {
        sheet.notes = sheet.notes.saturating_add(1);
        return;
    };
    let tree = named(tree, target);
    if verdict::is_going(&tree) || verdict::maker(&tree).is_some() {
        return;
    }
    let seen = inspect::inspect(&tree, catalogue, &ruling.bounds, &limits);
    sheet.notes = sheet.notes.saturating_add(u64::try_from(seen.notes.len()).unwrap_or(u64::MAX));
    let mut found: Vec<Found> = seen.findings.iter().map(|finding| told(finding, head, target, ruling)).collect();
    // The same setting written twice in the same place is one.
    found.sort_unstable();
    found.dedup();
    sheet.found.extend(found.into_iter().map(|found| (head.namespace.to_string(), found)));
}

/// The items of a list of Kubernetes' own kinds do not say what they are; the list does.
fn named(tree: Tree, target: &Target) -> Tree {
    let Tree::Map(mut entries) = tree else { return tree };
    let entry = |key: &str, text: String| {
        let scalar = Scalar { text: text.into(), kind: Kind::Text, at: Position::default(), extent: None };
        Entry { key: key.into(), at: Position::default(), value: Tree::Scalar(scalar) }
    };
    for (key, text) in [("kind", target.kind.clone()), ("apiVersion", target.api_version())] {
        if !entries.iter().any(|entry| entry.key == key) {
            entries.insert(0, entry(key, text));
        }
    }
    Tree::Map(entries)
}

fn told(finding: &Finding, head: &HeadMeta<'_>, target: &Target, ruling: &Ruling) -> Found {
    let slash = if head.namespace.is_empty() { "" } else { "/" };
    // A report names the object beside it.
    let object = format!("{} {}{slash}{}: ", target.kind, head.namespace, head.name);
    let message = finding.message.strip_prefix(&object).unwrap_or(&finding.message);
    Found {
        severity: Reverse(finding.severity),
        rule: finding.rule,
        api_version: target.api_version(),
        kind: target.kind.clone(),
        name: words::clean(&head.name, 253),
        uid: words::clean(&head.uid, 64),
        path: words::clean(&finding.path.to_string(), 200),
        value: words::clean(&finding.value, 100),
        product: words::clean(&finding.product, 60),
        message: words::clean(message, 500),
        fix: words::clean(&finding.fix, 300),
        is_refused: finding.severity == Severity::Error && ruling.mode == Mode::Enforce,
        policies: words::names(&ruling.policies),
    }
}

#[cfg(test)]
#[path = "sheet/tests.rs"]
pub(super) mod tests;
