//! Round trip: what is reported is what stands there, and a fix changes that and nothing else.
//!
//! Over every hit among the fixtures, with other line ends and a byte order mark, and over generated documents.

use clockwarden::inspect::Eyes;
use clockwarden::inspect::mend::mend;
use clockwarden::inspect::{Bounds, Catalogue, FileInspection, Finding, Limits, Severity};
use proptest::prelude::*;
use std::path::Path;

#[derive(Default, Debug)]
struct Count {
    findings: usize,
    placed: usize,
    fixed: usize,
}

fn findings(file: &FileInspection) -> Vec<&Finding> {
    file.documents.iter().flat_map(|(_, inspection)| &inspection.findings).collect()
}

/// Checks one file, and says how much there was to check.
fn check(name: &str, text: &str) -> Result<Count, String> {
    let (bounds, limits) = (Bounds::default(), Limits::default());
    let eyes = Eyes { catalogue: Catalogue::builtin(), bounds: &bounds, limits: &limits };
    let before = eyes.look(Some(name), text);
    let mut count = Count::default();
    let mut spots = Vec::new();
    for finding in findings(&before) {
        count.findings += usize::from(finding.severity == Severity::Error);
        let Some(spot) = &finding.spot else { continue };
        count.placed += usize::from(finding.severity == Severity::Error);
        let cut = spot.extent.of(text);
        if cut != Some(finding.value.as_str()) {
            return Err(format!("{name}: {:?} is reported and {cut:?} stands there in {text:?}", finding.value));
        }
        spots.push((spot.extent.start as usize, spot.extent.end as usize, spot.replacement.as_deref()));
    }
    let Some(mended) = mend(Some(name), text, &before, &eyes) else { return Ok(count) };
    count.fixed = mended.fixed;
    // The old text between the values, and in their places the old or the new one.
    spots.sort_unstable();
    spots.dedup();
    let (mut rest, mut done) = (mended.text.as_str(), 0);
    let mut changed = 0;
    for (start, end, replacement) in spots {
        rest = rest
            .strip_prefix(&text[done..start])
            .ok_or_else(|| format!("{name}: more than values: {text:?} {rest:?}"))?;
        let new = replacement.and_then(|new| rest.strip_prefix(new));
        changed += usize::from(new.is_some());
        rest = new.or_else(|| rest.strip_prefix(&text[start..end])).ok_or_else(|| format!("{name}: {rest:?}"))?;
        done = end;
    }
    if rest != &text[done..] || changed == 0 {
        return Err(format!("{name}: more or less than values: {text:?} {:?}", mended.text));
    }
    let (had, has) = (findings(&before).len(), findings(&eyes.look(Some(name), &mended.text)).len());
    if had != has + mended.fixed {
        return Err(format!(
            "{name}: of {had} findings {} were fixed and {has} are left: {:?}",
            mended.fixed, mended.text
        ));
    }
    Ok(count)
}

#[test]
fn every_hit_among_the_fixtures() {
    let mut count = Count::default();
    let mut folders: Vec<_> = ["rules", "products"]
        .iter()
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if !name.starts_with("hit") || name.ends_with(".output") {
                continue;
            }
            // `hit-env.application.yml` is an `application.yml`.
            let name = name.split_once('.').filter(|(_, rest)| rest.contains('.')).map_or(name, |(_, rest)| rest);
            let text = std::fs::read_to_string(&path).expect("a text");
            for text in [text.replace('\n', "\r\n"), format!("\u{feff}{text}"), text] {
                let one = check(name, &text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
                count.findings += one.findings;
                count.placed += one.placed;
                count.fixed += one.fixed;
            }
        }
    }
    println!("{count:?}");
    // Most of them, or this proves nothing.
    assert!(count.findings > 300 && count.placed * 10 > count.findings * 8, "{count:?}");
    assert!(count.fixed * 10 > count.findings * 7, "{count:?}");
}

/// A setting in a form that people write, the file's name, and whether everything can be mended in it.
fn setting(form: usize, key: &str, zero: &str, pad: &str) -> (&'static str, String) {
    let (name, text) = match form {
        0 => ("a.yaml", format!("pad: '{pad}'\njwt:\n  {key}: {zero} # {pad}\n")),
        1 => ("a.yaml", format!("pad: '{pad}'\njwt: {{a: 1, {key}: \"{zero}\", b: '{pad}'}}\n")),
        2 => ("a.json", format!("{{\"pad\": \"{pad}\", /* {pad} */ \"jwt\": {{\"{key}\": \"{zero}\"}}}}\n")),
        3 => ("a.properties", format!("# {pad}\njwt.{key} = {zero}\npad={pad}\n")),
        4 => ("a.env", format!("PAD='{pad}'\nJWT_LEEWAY={zero}\n")),
        5 => ("a.toml", format!("pad = '{pad}'\n[jwt]\n{key} = \"{zero}\"\n")),
        6 => ("a.ini", format!("; {pad}\n[jwt]\n{key} = {zero}\n")),
        7 => ("web.xml", format!("<jwt><!-- {pad} --><{key}>{zero}</{key}></jwt>\n")),
        8 => ("a.tf", format!("# {pad}\njwt {{\n  {key} = \"{zero}\"\n}}\n")),
        9 => ("a.yaml", config_map(&format!("a.yaml: |\n    # {pad}\n    jwt:\n      {key}: {zero}\n"))),
        10 => ("a.yaml", config_map(&format!("a.json: '{{\"jwt\": {{\"{key}\": \"{zero}\"}}}}'\n  pad: '{pad}'\n"))),
        11 => ("a.yaml", config_map(&format!("a.json: \"{{\\\"jwt\\\": {{\\\"{key}\\\": \\\"{zero}\\\"}}}}\"\n"))),
        12 => ("a.yaml", config_map(&format!("a.properties: |-\n\n    # {pad}\n    jwt.{key}={zero}\n"))),
        13 => ("a.yaml", pod(&format!("args: ['{pad}', \"--jwt-leeway={zero}\"]"))),
        14 => ("a.yaml", pod(&format!("args:\n    - --jwt-leeway\n    - \"{zero}\"\n    - '{pad}'"))),
        15 => ("a.yaml", pod(&format!("env: [{{name: A, value: '{pad}'}}, {{name: JWT_LEEWAY, value: \"{zero}\"}}]"))),
        16 => ("a.yaml", pod(&format!("command: [sh, -c, \"echo '{pad}'; exec app --jwt-leeway={zero}\"]"))),
        _ => (
            "a.yaml",
            pod(&format!(
                "command: [sh, -c]\n    args:\n    - |\n      exec app \\\n        --jwt-leeway={zero} --x\n"
            )),
        ),
    };
    (name, text)
}

fn config_map(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  {data}")
}

fn pod(container: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  - name: a\n    {container}\n")
}

const FORMS: usize = 18;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_setting_in_generated_documents(
        forms in proptest::collection::vec(0..FORMS, 1..5),
        key in proptest::sample::select(vec!["leeway", "clockSkew", "clock-tolerance"]),
        zero in proptest::sample::select(vec!["0", "0s", "PT0S", "0ms", "${X:-0}", "00:00:00"]),
        pad in "[a-z0 é日𝄞]{0,12}",
        is_crlf in any::<bool>(),
        has_mark in any::<bool>(),
        has_end in any::<bool>(),
    ) {
        for form in forms {
            let (name, text) = setting(form, key, zero, &pad);
            let mut text = if is_crlf { text.replace('\n', "\r\n") } else { text };
            if !has_end {
                text.truncate(text.trim_end().len());
            }
            if has_mark {
                text.insert(0, '\u{feff}');
            }
            let count = check(name, &text).map_err(TestCaseError::fail)?;
            prop_assert!(count.findings <= 1, "{text}");
            prop_assert_eq!(count.fixed, count.findings, "{}: {}", form, text);
        }
    }
}

/// Each form does hold a finding, or the property is about nothing.
#[test]
fn every_form_of_generated_documents_is_found_and_mended() {
    for form in 0..FORMS {
        let (name, text) = setting(form, "leeway", "0s", "é");
        let count = check(name, &text).expect("a round trip");
        assert_eq!((count.findings, count.fixed), (1, 1), "{form}: {text}");
    }
}
