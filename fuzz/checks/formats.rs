//! Every format's parser, the look at a whole file and its mending, on any text: no panic, no
//! tree that outgrows its input, no place outside of it. `FORMAT=yaml` fuzzes one format alone.

use clockwarden::inspect::Eyes;
use clockwarden::inspect::formats::{FORMATS, Format, detect};
use clockwarden::inspect::mend::mend;
use clockwarden::inspect::tree::Tree;
use clockwarden::inspect::{Bounds, Catalogue, FileInspection, Limits};
use std::sync::LazyLock;

static ONLY: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("FORMAT").ok());

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
    let _ = detect(None, text);
    for format in FORMATS.iter().filter(|format| ONLY.as_ref().is_none_or(|only| only == format.name)) {
        one(format, text);
    }
}

fn one(format: &Format, text: &str) {
    let (limits, bounds) = (Limits::default(), Bounds::default());
    let eyes = Eyes { catalogue: Catalogue::builtin(), bounds: &bounds, limits: &limits };
    let (tree, _) = (format.parse)(text, &limits);
    assert!(size(&tree) <= text.len() * 2 + limits.expanded + 2, "{}", format.name);
    let by_ending = format.extensions.first().map(|ending| format!("a.{ending}"));
    let name = by_ending.unwrap_or_else(|| format.names[0].to_owned());
    let before = eyes.look(Some(&name), text);
    places(&before, text, limits.settings);
    if let Some(mended) = mend(Some(&name), text, &before, &eyes) {
        assert!(mended.fixed > 0 && mended.text != text, "{}: mended nothing", format.name);
        places(&mended.left, &mended.text, limits.settings);
        let count = |file: &FileInspection| file.documents.iter().map(|(_, it)| it.findings.len()).sum::<usize>();
        // One that is left may have been about the same tolerance as one that is mended: `JWT_SKEW_MINUTES=0` beside
        // `JWT_SKEW_SECONDS=30`.
        assert!(count(&mended.left) + mended.fixed <= count(&before), "{}", format.name);
    }
}

fn places(file: &FileInspection, text: &str, most: usize) {
    for (_, found) in &file.documents {
        assert!(found.findings.len() <= most);
        for spot in found.findings.iter().filter_map(|finding| finding.spot.as_ref()) {
            let (start, end) = (spot.extent.start as usize, spot.extent.end as usize);
            assert!(text.get(start..end).is_some(), "{start}..{end} is no place in the text");
        }
    }
}
