//! Every product of the catalogue has a hit and a near miss of its own, and every setting a hit.

use super::{check_golden, fixtures, golden_of, look, name_of, shown, text_of};
use clockwarden::inspect::catalogue::{Meaning, Reads, Role, files};
use clockwarden::inspect::{Bounds, Catalogue, Limits, Severity, inspect_file};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

#[test]
fn each_has_a_hit_and_a_near_miss() {
    let catalogue = Catalogue::builtin();
    let mut seen = HashSet::new();
    let mut faults = Vec::new();
    for (name, _) in files::PRODUCTS {
        let own = || catalogue.known().iter().filter(|known| known.id.starts_with(&format!("{name}#")));
        let has_settings = own().any(|known| known.role == Role::Product);
        let (mut hits, mut misses) = (0, 0);
        for path in fixtures(&format!("products/{name}")) {
            let file_name = path.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
            let file = look(&path);
            let findings = || file.documents.iter().flat_map(|(_, inspection)| &inspection.findings);
            if file_name.starts_with("hit-") {
                hits += 1;
                let named: Vec<_> = findings().map(|f| f.entry.clone()).collect();
                if !own().any(|known| named.contains(&known.id)) {
                    faults.push(format!("{}: found {named:?}, none of this file's settings", path.display()));
                }
                seen.extend(named);
            } else {
                assert!(file_name.starts_with("near-miss-"), "{}", path.display());
                misses += 1;
                let wrong = findings().filter(|f| f.severity == Severity::Error);
                faults.extend(wrong.map(|f| format!("{}: {}: {}", path.display(), f.product, f.message)));
            }
            check_golden(&golden_of(&path), &shown(&file));
        }
        assert!(misses > 0, "{name}: no near miss");
        assert!(hits > 0 || !has_settings, "{name}: no hit");
    }
    for known in catalogue.known().iter().filter(|known| known.role == Role::Product) {
        if !seen.contains(&known.id) {
            let keys: Vec<_> = known.keys.iter().map(|key| key.text()).collect();
            faults.push(format!("{} ({}, {keys:?}) has no hit", known.product, known.id));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_list_of_files_is_the_folder() {
    let folder = format!("{}/src/inspect/catalogue", env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .expect("the catalogue's folder")
        .filter_map(|entry| entry.ok()?.path().file_name()?.to_str()?.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| name != "generic")
        .collect();
    found.sort();
    let mut listed: Vec<&str> = files::PRODUCTS.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

/// Where 0 is no plain zero, a file shows it: if the entry said that it is one, that file would be refused.
#[test]
fn each_special_zero_has_a_file_that_would_be_refused_without_it() {
    let mut faults = Vec::new();
    let mut count = 0;
    for known in Catalogue::builtin().known().iter().filter(|known| known.role == Role::Product) {
        if !matches!(known.reads, Reads::Span { .. }) || matches!(known.zero, Meaning::Zero | Meaning::Tightens) {
            continue;
        }
        count += 1;
        let (name, number) = known.id.split_once('#').expect("an id");
        let number: usize = number.parse().expect("a number");
        let changed: Vec<(&str, String)> = files::PRODUCTS
            .iter()
            .map(|(file, text)| (*file, if *file == name { with_plain_zero(text, number) } else { (*text).to_owned() }))
            .collect();
        let changed: Vec<(&str, &str)> = changed.iter().map(|(file, text)| (*file, text.as_str())).collect();
        let changed = Catalogue::parse(&changed, files::GENERIC).expect("the changed catalogue");
        let is_refused = |catalogue: &Catalogue, path: &Path| {
            let seen =
                inspect_file(Some(&name_of(path)), &text_of(path), catalogue, &Bounds::default(), &Limits::default());
            let found: Vec<_> = seen.documents.into_iter().flat_map(|(_, seen)| seen.findings).collect();
            found.iter().filter(|found| found.entry == known.id && found.severity == Severity::Error).count()
        };
        let shows = |path: &PathBuf| is_refused(&changed, path) > is_refused(Catalogue::builtin(), path);
        if !fixtures(&format!("products/{name}")).iter().any(shows) {
            faults.push(format!(
                "{} ({}) is {:?} at 0, and no file of its folder shows it",
                known.id, known.product, known.zero
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 10, "{count} special zeros");
}

/// The file's text with a plain zero in the setting of that number.
fn with_plain_zero(text: &str, number: usize) -> String {
    let mut parts: Vec<String> = text.split("[[setting]]").map(str::to_owned).collect();
    let part = parts.get_mut(number + 1).expect("the setting");
    let line = part.lines().find(|line| line.starts_with("zero = ")).expect("its zero").to_owned();
    *part = part.replacen(&line, "zero = \"zero\"", 1);
    parts.join("[[setting]]")
}
