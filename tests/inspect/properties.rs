//! What holds for every input: no panic, bounded work, no finding that the prefilter would have hidden.

use clockwarden::inspect::formats::{FORMATS, detect};
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::tree::Tree;
use clockwarden::inspect::{Bounds, Catalogue, FileInspection, Limits, inspect, inspect_file};
use proptest::prelude::*;

fn size(tree: &Tree) -> usize {
    match tree {
        Tree::Scalar(_) => 1,
        Tree::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
        Tree::List(items) => 1 + items.iter().map(size).sum::<usize>(),
    }
}

fn look(name: &str, text: &str) -> FileInspection {
    inspect_file(Some(name), text, Catalogue::builtin(), &Bounds::default(), &Limits::default())
}

fn findings(file: &FileInspection) -> usize {
    file.documents.iter().map(|(_, inspection)| inspection.findings.len()).sum()
}

/// Text made of what the formats and the catalogue care about.
fn fragments() -> impl Strategy<Value = String> {
    let words = [
        "jwt",
        "leeway",
        "clock",
        "skew",
        "clockSkew",
        "auth",
        "oidc",
        "0",
        "0s",
        "-1",
        "${X:-0}",
        "enabled",
        "false",
        ":",
        ": ",
        "=",
        "\n",
        "\r\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "|",
        ">",
        "&a ",
        "*a",
        "<<: ",
        "#",
        "\\",
        "\\u006c",
        "---\n",
        ",",
        ".",
        "_",
        "__",
        "%",
        "!",
        "\u{feff}",
        "é",
        "\0",
        "\t",
        "data",
        "kind",
        "ConfigMap",
        "apiVersion",
        "v1",
        "env",
        "name",
        "value",
        "args",
        "command",
        "sh",
        "-c",
        "--jwt-leeway=0",
        "EOF",
        "<<EOF",
        "LoginModule",
        "required",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..80).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_parser_panics_or_outgrows_its_input(text in prop_oneof![any::<String>(), fragments()]) {
        for format in FORMATS {
            let (tree, _) = (format.parse)(&text, &Limits::default());
            // What is written, what aliases may add, and a root.
            prop_assert!(size(&tree) <= text.len() * 2 + Limits::default().expanded + 2);
            let _ = (format.sniff)(&text);
        }
        let _ = detect(None, &text);
    }

    /// At admission the prefilter sees the raw bytes, and the engine what they mean.
    #[test]
    fn findings_are_never_hidden_by_the_prefilter(text in fragments(), escape in any::<bool>()) {
        for key in ["a.yaml", "a.json", "a.properties", "a.env", "unknown", "JWT_LEEWAY"] {
            let object = serde_json::json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {key: text},
                "spec": {"args": [text], "env": [{"name": text, "value": "0"}], "jwt": {text.as_str(): 0}},
            });
            let mut raw = object.to_string();
            if escape {
                raw = raw.replace('e', "\\u0065");
            }
            hidden(&raw)?;
        }
    }

    #[test]
    fn places_point_into_the_file(text in fragments()) {
        for name in ["a.yaml", "a.json", "a.properties", "a.env"] {
            let lines = text.trim_start_matches('\u{feff}').split(['\n', '\r']).count();
            for (_, inspection) in look(name, &text).documents {
                for finding in inspection.findings {
                    prop_assert!(finding.at.line as usize <= lines && finding.at.line > 0, "{text:?}: {finding:?}");
                }
            }
        }
    }

    #[test]
    fn the_object_reader_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tree) = tree_from_json(&bytes, &Limits::default()) {
            let _ = inspect(&tree, Catalogue::builtin(), &Bounds::default(), &Limits::default());
        }
    }

    /// Every entry, in every spelling that a key may have, is seen by the prefilter if it is recognised at all.
    #[test]
    fn every_spelling_that_is_recognised_is_mentioned(number in any::<prop::sample::Index>(), style in 0_usize..6) {
        let known = number.get(Catalogue::builtin().known());
        for key in &known.keys {
            let letters = String::from_utf8_lossy(key.tail()).into_owned();
            let spelled = match style {
                0 => letters.clone(),
                1 => letters.to_uppercase(),
                2 => format!("jwt.{letters}"),
                3 => format!("JWT_{}", letters.to_uppercase()),
                4 => letters.split("").collect::<Vec<_>>().join("_"),
                _ => letters.replace("skew", "Skew").replace("leeway", "Leeway"),
            };
            for value in ["0", "-1", "true", "false"] {
                hidden(&serde_json::json!({"jwt": {"config": {spelled.as_str(): value}}}).to_string())?;
            }
        }
    }
}

/// Fails where the engine finds what the prefilter would not have let it see.
fn hidden(raw: &str) -> Result<(), TestCaseError> {
    let object = tree_from_json(raw.as_bytes(), &Limits::default()).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let found = inspect(&object, Catalogue::builtin(), &Bounds::default(), &Limits::default()).findings;
    prop_assert!(found.is_empty() || Catalogue::builtin().mentions(raw.as_bytes()), "{raw}: {found:?}");
    Ok(())
}

#[test]
fn a_few_lines_never_become_millions_of_nodes() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    let yaml = FORMATS.iter().find(|format| format.name == "yaml").expect("yaml");
    let (tree, notes) = (yaml.parse)(&bomb, &Limits::default());
    assert!(size(&tree) <= Limits::default().expanded, "{}", size(&tree));
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn nesting_is_a_note_in_every_format_and_embedded() {
    let deep = "[".repeat(100_000);
    for format in FORMATS {
        let (tree, _) = (format.parse)(&deep, &Limits::default());
        assert!(size(&tree) < 1000, "{}", format.name);
    }
    // Documents inside of documents: each level is escaped once more.
    let mut text = r#"{"jwt":{"leeway":0}}"#.to_owned();
    for _ in 0..8 {
        text = serde_json::json!({ "jwt-skew": text }).to_string();
    }
    let file = look("a.json", &text);
    assert_eq!(findings(&file), 0);
    assert_eq!(file.documents.iter().map(|(_, i)| i.notes.len()).sum::<usize>(), 1);
}

#[test]
fn one_line_of_a_megabyte_is_read_to_its_end() {
    let pad = "x".repeat(1 << 20);
    let minified = format!(r#"{{"pad":"{pad}","list":[{}0],"jwt":{{"leeway":0}}}}"#, "0,".repeat(100_000));
    let file = look("a.json", &minified);
    let at = file.documents.iter().flat_map(|(_, i)| &i.findings).map(|f| f.at).next().expect("a finding");
    assert_eq!((at.line, at.column as usize), (1, minified.find("0}}").expect("the value") + 1));
    assert_eq!(findings(&look("a.yaml", &format!("pad: {pad}\njwt: {{leeway: 0}}\n"))), 1);
    assert_eq!(findings(&look("a.properties", &format!("pad={pad}\njwt.leeway=0\n"))), 1);
    assert_eq!(findings(&look("a.env", &format!("PAD=\"{pad}\nJWT_LEEWAY=0\n"))), 1);
}

/// A map full of suspects that are no findings must not be looked through once for each of them.
#[test]
fn a_map_full_of_near_misses_costs_no_more_than_reading_it() {
    let lines: String = (0..20_000).map(|n| format!("a{n}.jwt.enabled=false\na{n}.jwt.leeway=0\n")).collect();
    assert_eq!(findings(&look("a.properties", &lines)), 0);
    let many: String = (0..20_000).map(|n| format!("a{n}.jwt.leeway=0\n")).collect();
    let file = look("a.properties", &many);
    assert_eq!(findings(&file), Limits::default().settings);
    assert_eq!(file.documents.iter().map(|(_, i)| i.notes.len()).sum::<usize>(), 1);
}
