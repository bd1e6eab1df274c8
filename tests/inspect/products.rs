//! Every product of the catalogue has a hit and a near miss of its own, and every setting a hit.

use super::{check_golden, fixtures, golden_of, look, shown};
use clockwarden::inspect::catalogue::{Role, files};
use clockwarden::inspect::{Catalogue, Severity};
use std::collections::HashSet;

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
