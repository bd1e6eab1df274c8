//! A whole file: its format told, its documents taken apart, each object looked at on its own.
//!
//! What `clockwarden lint` does with a file's text; reading files is the edge's business. A Helm template is read as it
//! stands where that can be done (`template`); what comments and annotations suppress is set apart (`suppression`).

use super::catalogue::Catalogue;
use super::finding::{Finding, Note, ObjectRef};
use super::formats::{self, Format};
use super::limits::Limits;
use super::link::{Link, Way};
use super::offers::{self, Supplier, Supply};
use super::place;
use super::scope::{Entries, Scope};
use super::suppression::{self, Suppressed};
use super::taken::{self, Uses};
use super::takers::{self, Taker};
use super::template;
use super::tree::{Position, Tree};
use super::walk::Walk;
use super::{Bounds, Inspection, Path, object_ref};
use std::borrow::Cow;

/// What a file gave.
#[derive(Debug, Default)]
pub struct FileInspection {
    /// One for each Kubernetes object or other document, in order.
    pub documents: Vec<(ObjectRef, Inspection)>,
    /// What was found too, and somebody wants to keep.
    pub suppressed: Vec<Suppressed>,
    /// About the file as a whole: not of a known format, or broken, or with suppressions that do not hold.
    pub notes: Vec<Note>,
    /// Something could be read.
    pub is_read: bool,
    /// The text speaks of clocks: something could be found in it.
    pub may_hold: bool,
    /// Containers that take variables from other objects, as far as they were looked for.
    pub takers: Vec<Taker>,
    /// There may be some that were not: [`takers_in`] tells.
    pub may_take: bool,
    /// What variables can be taken from.
    pub suppliers: Vec<Supplier>,
    /// ConfigMaps that are generated from environment files, and these.
    pub from_files: Vec<(Supplier, Supplier)>,
}

/// Looks at a file by its name and text.
#[must_use]
pub fn inspect_file(
    name: Option<&str>,
    text: &str,
    catalogue: &Catalogue,
    bounds: &Bounds,
    limits: &Limits,
) -> FileInspection {
    Eyes { catalogue, bounds, limits }.look(name, text)
}

/// How files are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Eyes<'c> {
    /// What is known about products.
    pub catalogue: &'c Catalogue,
    /// The policy's numbers.
    pub bounds: &'c Bounds,
    /// How much is looked at.
    pub limits: &'c Limits,
}

impl Eyes<'_> {
    /// See [`inspect_file`].
    #[must_use]
    pub fn look(&self, name: Option<&str>, text: &str) -> FileInspection {
        self.look_with(name, text, None)
    }

    /// The same, with who takes variables from the file's objects.
    #[must_use]
    pub fn look_with(&self, name: Option<&str>, text: &str, uses: Option<&Uses<'_>>) -> FileInspection {
        looked(name, text, *self, uses)
    }
}

fn looked(name: Option<&str>, text: &str, eyes: Eyes<'_>, uses: Option<&Uses<'_>>) -> FileInspection {
    let Eyes { catalogue, bounds, limits } = eyes;
    // The same question as at admission: a key that only escapes put together is no key for either.
    let may_hold = catalogue.mentions(text.as_bytes()) || (limits.secrets && text.contains("Secret"));
    let may_take = takers::may_take(text, may_hold);
    let yaml = if may_hold || uses.is_some() { formats::yaml::documents } else { formats::yaml::heads };
    let Some(Parsed { format, text: read, documents, notes }) = parsed(name, text, limits, yaml) else {
        let message = "not looked at: neither its name nor its content tells a format that is read".to_owned();
        let note = Note { path: Path::default(), at: Position::default(), message };
        return FileInspection { notes: vec![note], ..FileInspection::default() };
    };
    let is_environment = is_environment(format);
    let root = Link::root(Some(&read), format.notation, name);
    let is_read = notes.is_empty() || !documents.is_empty();
    let mut file =
        FileInspection { is_read, may_hold, may_take: may_take && !may_hold, notes, ..FileInspection::default() };
    let mut look = |link: &Link<'_>, tree: &Tree| {
        let mut walk = Walk::new(catalogue, bounds, limits);
        if may_hold {
            walk.root(link, tree);
        }
        let mut found = walk.done();
        let mut object = object_ref(tree);
        file.suppliers.extend(offers::suppliers(tree, &object, is_environment, limits));
        file.from_files.extend(offers::from_files(tree));
        if may_take && may_hold {
            file.takers.extend(takers::takers(tree, limits));
        }
        if let Some(uses) = uses {
            taken::look(eyes, link, tree, is_environment, uses, &mut found);
        }
        if matches!(read, Cow::Owned(_)) {
            unmask(&mut object, &mut found);
        }
        // A person reads a file from the top.
        found.findings.sort_by_key(|finding| finding.at);
        told_as_the_worst(&read, &mut found.findings);
        file.suppressed.extend(suppression::by_annotation(tree, &object, &mut found));
        file.documents.push((object, found));
    };
    for document in &documents {
        let Some(index) = items_of(document) else {
            look(&root, document);
            continue;
        };
        let scope = Scope::new(Entries::Map(document.entries()));
        let list = root.down(Way::Key { name: "items", scope: &scope, index });
        let items = document.entries().get(index).map_or(&[][..], |entry| entry.value.items());
        for (index, item) in items.iter().enumerate().take(limits.documents) {
            let name = item.at(&["metadata", "name"]).and_then(Tree::text);
            look(&list.down(Way::Item { index, name }), item);
        }
    }
    file.suppressed.extend(suppression::by_comments(text, &mut file.documents, &mut file.notes));
    file.suppressed.sort_by_key(|suppressed| suppressed.finding.at);
    file
}

/// The number of the entry that holds the objects of a list of them.
fn items_of(document: &Tree) -> Option<usize> {
    let is_list = document.get("kind").and_then(Tree::text).is_some_and(|kind| kind.ends_with("List"));
    let items = document.entries().iter().rposition(|entry| entry.key == "items");
    items.filter(|_| is_list && document.get("apiVersion").is_some())
}

/// Is a file of this format one of variables?
fn is_environment(format: &Format) -> bool {
    format.name == formats::dotenv::FORMAT.name
}

/// Each object of a file, and whether it is an environment file.
fn each_object(name: Option<&str>, text: &str, limits: &Limits, mut then: impl FnMut(&Tree, bool)) {
    let Some(parsed) = parsed(name, text, limits, formats::yaml::documents) else { return };
    let is_environment = is_environment(parsed.format);
    for document in &parsed.documents {
        match items_of(document).and_then(|index| document.entries().get(index)) {
            Some(items) => items.value.items().iter().take(limits.documents).for_each(|item| then(item, false)),
            None => then(document, is_environment),
        }
    }
}

/// The containers of a file that take variables from other objects.
#[must_use]
pub fn takers_in(name: Option<&str>, text: &str, limits: &Limits) -> Vec<Taker> {
    let mut found = Vec::new();
    each_object(name, text, limits, |object, _| found.extend(takers::takers(object, limits)));
    found
}

/// What a file has to give.
#[must_use]
pub fn supplies_in(name: Option<&str>, text: &str, limits: &Limits) -> Vec<(Supplier, Supply)> {
    let mut found = Vec::new();
    each_object(name, text, limits, |object, is_environment| {
        let offers = offers::offers(object, is_environment, limits);
        found.extend(offers.into_iter().map(|(supplier, entries)| (supplier, Supply::of(&entries))));
    });
    found
}

/// What is written once may stand in several places (an anchor that is merged): it is told once, as the worst that it is
/// in any of them. Where a place is only near the value (base64), several settings share it, and each is told.
fn told_as_the_worst(text: &str, findings: &mut Vec<Finding>) {
    let is_written = |finding: &Finding| {
        let rest = place::in_bytes(text, finding.at).and_then(|start| text.get(start..));
        !finding.value.is_empty() && rest.is_some_and(|rest| rest.starts_with(&finding.value))
    };
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings.drain(..) {
        // They are in the order of their places.
        let here = kept.iter_mut().rev().take_while(|other| other.at == finding.at);
        let is_same = |other: &&mut Finding| (other.rule, &other.value) == (finding.rule, &finding.value);
        match here.filter(is_same).find(|_| is_written(&finding)) {
            Some(other) if finding.severity > other.severity => *other = finding,
            Some(_) => {}
            None => kept.push(finding),
        }
    }
    *findings = kept;
}

/// A file's documents.
pub(crate) struct Parsed<'t> {
    pub(crate) format: &'static Format,
    /// What was parsed: the file's text, or that of a template with its actions masked.
    pub(crate) text: Cow<'t, str>,
    pub(crate) documents: Vec<Tree>,
    pub(crate) notes: Vec<Note>,
}

/// Reads a text into documents.
pub(crate) type Read = fn(&str, &Limits) -> (Vec<Tree>, Vec<Note>);

/// The documents of a file, those of YAML as `yaml` reads them; `None` where its format is not known.
pub(crate) fn parsed<'t>(name: Option<&str>, text: &'t str, limits: &Limits, yaml: Read) -> Option<Parsed<'t>> {
    let format = formats::detect(name, text)?;
    let (documents, mut notes) = documents_of(format, text, limits, yaml);
    let may_be_template = !notes.is_empty() && format.name == formats::yaml::FORMAT.name && text.contains("{{");
    if may_be_template {
        if let Some(masked) = template::masked(text) {
            let (documents, notes) = documents_of(format, &masked, limits, yaml);
            if notes.is_empty() {
                return Some(Parsed { format, text: Cow::Owned(masked), documents, notes });
            }
        }
        let message = "not read: a template that is YAML only when it is rendered; render it: \
                       `helm template CHART | clockwarden lint -`";
        notes.truncate(1);
        notes.iter_mut().for_each(|note| message.clone_into(&mut note.message));
    }
    Some(Parsed { format, text: Cow::Borrowed(text), documents, notes })
}

/// The mask of a template is nothing that a person has written.
fn unmask(object: &mut ObjectRef, found: &mut Inspection) {
    for text in [&mut object.api_version, &mut object.kind, &mut object.namespace, &mut object.name] {
        *text = template::unmasked(text);
    }
    for finding in &mut found.findings {
        finding.message = template::unmasked(&finding.message);
    }
}

fn documents_of(format: &Format, text: &str, limits: &Limits, yaml: Read) -> (Vec<Tree>, Vec<Note>) {
    if format.name == formats::yaml::FORMAT.name {
        return yaml(text, limits);
    }
    if format.name == formats::json::FORMAT.name {
        let (mut documents, notes) = formats::json::documents(text, limits);
        documents.retain(|document| !matches!(document, Tree::Map(entries) if entries.is_empty()));
        return (documents, notes);
    }
    let (tree, notes) = (format.parse)(text, limits);
    let documents = match tree {
        Tree::Map(entries) if entries.is_empty() => Vec::new(),
        // Documents of their own, which know nothing of one another.
        Tree::List(documents) if format.name == formats::properties::FORMAT.name => documents,
        tree => vec![tree],
    };
    (documents, notes)
}
