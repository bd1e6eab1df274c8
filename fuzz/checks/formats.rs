//! Every format's parser, and the look at a whole file, on any text: no panic, and no tree that outgrows its input.

use clockwarden::inspect::formats::{FORMATS, detect};
use clockwarden::inspect::tree::Tree;
use clockwarden::inspect::{Bounds, Catalogue, Limits, inspect_file};

fn size(tree: &Tree) -> usize {
    match tree {
        Tree::Scalar(_) => 1,
        Tree::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
        Tree::List(items) => 1 + items.iter().map(size).sum::<usize>(),
    }
}

/// Bytes that are no text are nothing that a parser is given.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let limits = Limits::default();
    let _ = detect(None, text);
    for format in FORMATS {
        let (tree, _) = (format.parse)(text, &limits);
        assert!(size(&tree) <= text.len() * 2 + limits.expanded + 2, "{}", format.name);
        let by_ending = format.extensions.first().map(|ending| format!("a.{ending}"));
        let name = by_ending.unwrap_or_else(|| format.names[0].to_owned());
        let file = inspect_file(Some(&name), text, Catalogue::builtin(), &Bounds::default(), &limits);
        assert!(file.documents.iter().all(|(_, found)| found.findings.len() <= limits.settings));
    }
}
