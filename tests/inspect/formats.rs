//! What each format's parser makes of good and bad files: every leaf with its place.

use super::{check_golden, fixtures, text_of};
use clockwarden::inspect::Limits;
use clockwarden::inspect::formats::FORMATS;
use clockwarden::inspect::tree::Tree;
use std::fmt::Write as _;

fn leaves(tree: &Tree, path: &str, out: &mut String) {
    match tree {
        Tree::Scalar(scalar) => {
            let _ =
                writeln!(out, "{}:{} {path} = {:?} {:?}", scalar.at.line, scalar.at.column, scalar.kind, scalar.text);
        }
        Tree::Map(entries) if entries.is_empty() => {
            let _ = writeln!(out, "{path} = {{}}");
        }
        Tree::Map(entries) => {
            for entry in entries {
                leaves(&entry.value, &format!("{path}/{}", entry.key.escape_debug()), out);
            }
        }
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{path}/{index}"), out);
            }
        }
    }
}

#[test]
fn golden() {
    for format in FORMATS {
        for path in fixtures(&format!("formats/{}", format.name)) {
            assert!(path.extension().is_some_and(|e| e == "input"), "{}", path.display());
            let (tree, notes) = (format.parse)(&text_of(&path), &Limits::default());
            let mut out = String::new();
            leaves(&tree, "", &mut out);
            for note in notes {
                let _ = writeln!(out, "{}:{} note: {}", note.at.line, note.at.column, note.message);
            }
            check_golden(&path.with_extension("output"), &out);
        }
    }
}

/// The text at a leaf's place begins with the leaf, wherever nothing had to be unescaped.
#[test]
fn places_are_true() {
    let (mut exact, mut all) = (0, 0);
    for format in FORMATS {
        for path in fixtures(&format!("formats/{}", format.name)) {
            let text = text_of(&path);
            let text = text.trim_start_matches('\u{feff}');
            let lines: Vec<&str> = text.split('\n').collect();
            let mut check = |scalar: &clockwarden::inspect::tree::Scalar| {
                all += 1;
                let line = lines[scalar.at.line as usize - 1];
                let rest: String = line.chars().skip(scalar.at.column as usize - 1).collect();
                exact += usize::from(rest.starts_with(&scalar.text));
            };
            let (tree, _) = (format.parse)(text, &Limits::default());
            each(&tree, &mut check);
        }
    }
    // The rest are the fixtures with escapes, folded lines and blocks.
    assert!(exact * 10 > all * 8, "{exact} of {all}");
}

fn each(tree: &Tree, check: &mut impl FnMut(&clockwarden::inspect::tree::Scalar)) {
    match tree {
        Tree::Scalar(scalar) => check(scalar),
        Tree::Map(entries) => entries.iter().for_each(|entry| each(&entry.value, check)),
        Tree::List(items) => items.iter().for_each(|item| each(item, check)),
    }
}
