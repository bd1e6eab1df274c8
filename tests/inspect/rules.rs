//! Every rule has hits and near misses; every hit says the same as last time.

use super::{check_golden, fixtures, golden_of, look, shown};
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::rules::RULES;
use clockwarden::inspect::{Bounds, Catalogue, Limits, Severity, inspect};

#[test]
fn hits_hit_and_near_misses_do_not() {
    let mut faults = Vec::new();
    for rule in RULES {
        let mut counts = (0, 0);
        for path in fixtures(&format!("rules/{}", rule.name)) {
            let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
            let file = look(&path);
            let findings = || file.documents.iter().flat_map(|(_, inspection)| &inspection.findings);
            if name.starts_with("hit-") {
                counts.0 += 1;
                // Each hit of a fixture is marked in a comment, so that one that is lost is missed.
                let marked = super::text_of(&path).matches(&format!("HIT {}", rule.name)).count();
                let hits = findings().filter(|f| f.rule == rule.name).count();
                if hits == 0 || (marked != 0 && marked != hits) {
                    faults.push(format!("{}: {marked} marked, {hits} found", path.display()));
                }
            } else {
                assert!(name.starts_with("near-miss-"), "{}", path.display());
                counts.1 += 1;
                // A rule that only ever warns has no other way to cry wolf.
                let warns = rule.severity == Severity::Warning;
                let wrong = findings().filter(|f| f.severity == Severity::Error || (warns && f.rule == rule.name));
                faults.extend(wrong.map(|f| format!("{}: {}: {}", path.display(), f.product, f.message)));
            }
            check_golden(&golden_of(&path), &shown(&file));
        }
        assert!(counts.0 > 0 && counts.1 > 0, "{}: {counts:?} hits and near misses", rule.name);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rules_are_documented_and_their_names_differ() {
    let mut names = std::collections::HashSet::new();
    for rule in RULES {
        assert!(names.insert(rule.name), "{} twice", rule.name);
        let file = format!("{}/src/inspect/rules/{}.rs", env!("CARGO_MANIFEST_DIR"), rule.name.replace('-', "_"));
        let page = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(page.starts_with(&format!("//! # {}\n", rule.name)), "{file}: the page begins with the rule's name");
        let start =
            page.lines().skip(1).map(|line| line.trim_start_matches("//!").trim()).skip_while(|line| line.is_empty());
        let first: Vec<&str> = start.take_while(|line| !line.is_empty()).collect();
        assert_eq!(first.join(" "), rule.summary, "{file}: the summary is the page's first paragraph");
        for part in ["**Why.**", "**Example.**", "**Fix.**", "**What it leaves alone.**", "**Sources.**"] {
            assert!(page.contains(part), "{file}: no {part}");
        }
    }
}

/// What a file's lines say is asked of an object from the API server too, in whatever way it is spaced.
#[test]
fn no_hit_is_hidden_from_the_webhook() {
    let mut looked_at = 0;
    for path in fixtures("rules").into_iter().chain(fixtures("products")) {
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
        if !name.starts_with("hit-") || !name.ends_with(".yaml") {
            continue;
        }
        let documents = serde_saphyr::from_multiple::<serde_json::Value>(&super::text_of(&path)).expect("YAML");
        for document in documents {
            let spaced = serde_json::to_string_pretty(&document).expect("JSON");
            for json in [document.to_string(), spaced] {
                let tree = tree_from_json(json.as_bytes(), &Limits::default()).expect("JSON");
                let found = inspect(&tree, Catalogue::builtin(), &Bounds::default(), &Limits::default()).findings;
                assert!(
                    found.is_empty() || Catalogue::builtin().mentions(json.as_bytes()),
                    "{}: {found:#?}",
                    path.display()
                );
                looked_at += found.len();
            }
        }
    }
    assert!(looked_at > 100, "{looked_at} findings: the fixtures are not read");
}
