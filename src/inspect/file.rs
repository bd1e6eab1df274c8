//! A whole file: its format told, its documents taken apart, each object looked at on its own.
//!
//! What `clockwarden lint` does with a file's text; reading files is the edge's business.

use super::catalogue::Catalogue;
use super::finding::{Note, ObjectRef};
use super::formats::{self, Format};
use super::limits::Limits;
use super::link::{Link, Way};
use super::scope::{Entries, Scope};
use super::tree::{Position, Tree};
use super::walk::Walk;
use super::{Bounds, Inspection, Path, mentions_skew, object_ref};

/// What a file gave.
#[derive(Debug, Default)]
pub struct FileInspection {
    /// One for each Kubernetes object or other document, in order.
    pub documents: Vec<(ObjectRef, Inspection)>,
    /// About the file as a whole: not of a known format, or broken.
    pub notes: Vec<Note>,
    /// Something could be read.
    pub is_read: bool,
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
    let Some(format) = formats::detect(name, text) else {
        let message = "not looked at: neither its name nor its content tells a format that is read".to_owned();
        let note = Note { path: Path::default(), at: Position::default(), message };
        return FileInspection { notes: vec![note], ..FileInspection::default() };
    };
    let (documents, notes) = documents(format, text, limits);
    let root = Link::root(Some(text), format.notation, name);
    let mut file = FileInspection { is_read: notes.is_empty() || !documents.is_empty(), notes, documents: Vec::new() };
    // The same question as at admission: a key that only escapes put together is no key for either.
    let may_hold = mentions_skew(text.as_bytes());
    let mut look = |link: &Link<'_>, tree: &Tree| {
        let mut walk = Walk::new(catalogue, bounds, limits);
        if may_hold {
            walk.root(link, tree);
        }
        let mut found = walk.done();
        // A person reads a file from the top.
        found.findings.sort_by_key(|finding| finding.at);
        file.documents.push((object_ref(tree), found));
    };
    for document in &documents {
        let kind = document.get("kind").and_then(Tree::text).unwrap_or("");
        let items = document.entries().iter().rposition(|entry| entry.key == "items");
        let Some(index) = items.filter(|_| kind.ends_with("List") && document.get("apiVersion").is_some()) else {
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
    file
}

fn documents(format: &Format, text: &str, limits: &Limits) -> (Vec<Tree>, Vec<Note>) {
    if format.name == formats::yaml::FORMAT.name {
        return formats::yaml::documents(text, limits);
    }
    let (tree, notes) = (format.parse)(text, limits);
    let is_empty = tree == Tree::Map(Vec::new());
    (if is_empty { Vec::new() } else { vec![tree] }, notes)
}
