//! SARIF, against its published schema (the copy that the crate `serde-sarif` carries) and read by that crate.

use super::{lint, lint_with, project};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What this machine is called. Of the crates that only others need none is there where nothing but tests was built.
fn host() -> String {
    let output = Command::new(env!("CARGO")).arg("-vV").output().expect("cargo");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

/// The schema, from where cargo keeps the crate.
fn schema() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = packages.get("packages").and_then(Value::as_array).expect("packages");
    let package =
        packages.iter().find(|package| package.get("name") == Some(&"serde-sarif".into())).expect("the crate");
    let manifest = package.get("manifest_path").and_then(Value::as_str).expect("a path");
    let path = PathBuf::from(manifest).with_file_name("src").join("schema.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut schema: Value = serde_json::from_str(&text).expect("JSON");
    // Of fields that we do not write; a bracket that nothing opens is no expression for this validator.
    for holder in ["run", "toolComponent"] {
        let language = schema.pointer_mut(&format!("/definitions/{holder}/properties/language"));
        language.and_then(Value::as_object_mut).expect("the field").remove("pattern").expect("its pattern");
    }
    schema
}

fn check(validator: &jsonschema::Validator, text: &str) -> Value {
    let report: Value = serde_json::from_str(text).expect("JSON");
    let faults: Vec<String> =
        validator.iter_errors(&report).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{}\n{text}", faults.join("\n"));
    let read: serde_sarif::sarif::Sarif = serde_json::from_str(text).expect("a SARIF log");
    assert_eq!(read.runs.len(), 1);
    report
}

#[test]
fn it_is_valid_by_the_published_schema() {
    let validator = jsonschema::options().should_validate_formats(true).build(&schema()).expect("a schema");
    let folder = project();
    let report = check(&validator, &lint(folder.path(), &["-f", "sarif", "."]).out);
    let results = report.pointer("/runs/0/results").and_then(Value::as_array).expect("results");
    let with = |pointer: &str| results.iter().filter(|result| result.pointer(pointer).is_some()).count();
    assert!(results.len() > 5 && with("/fixes/0") > 3 && with("/suppressions/0") == 2, "{report}");
    // Nothing found, nothing read, standard input, a file elsewhere.
    check(&validator, &lint(folder.path(), &["-f", "sarif", "chart/templates/broken.yaml"]).out);
    check(&validator, &lint(folder.path(), &["-f", "sarif", "missing of them.yaml"]).out);
    check(&validator, &lint_with(folder.path(), &["-f", "sarif", "-"], b"jwt: {leeway: 0}").out);
    let elsewhere = project();
    let path = elsewhere.path().join("shop.yaml");
    check(&validator, &lint(folder.path(), &["-f", "sarif", path.to_str().expect("UTF-8")]).out);
    // A test that cannot fail would say the same.
    let mut wrong = report;
    wrong["runs"][0]["results"][0]["level"] = "dreadful".into();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn its_places_are_the_values() {
    let folder = project();
    let report: Value = serde_json::from_str(&lint(folder.path(), &["-f", "sarif", "."]).out).expect("JSON");
    let results = report.pointer("/runs/0/results").and_then(Value::as_array).expect("results");
    let mut seen = 0;
    for result in results {
        let place = result.pointer("/locations/0/physicalLocation").expect("a place");
        let uri = place.pointer("/artifactLocation/uri").and_then(Value::as_str).expect("a name");
        let text = std::fs::read_to_string(folder.path().join(uri)).unwrap_or_else(|e| panic!("{uri}: {e}"));
        let value = result.pointer("/properties/value").and_then(Value::as_str).expect("a value");
        let number = |name: &str| place.pointer(&format!("/region/{name}")).and_then(Value::as_u64).map(|n| n as usize);
        let Some((offset, length)) = number("byteOffset").zip(number("byteLength")) else { continue };
        assert_eq!(&text[offset..offset + length], value, "{uri}");
        let line: Vec<char> =
            text.split('\n').nth(number("startLine").expect("line") - 1).expect("it").chars().collect();
        let columns = number("startColumn").expect("a column") - 1..number("endColumn").expect("a column") - 1;
        assert_eq!(line[columns].iter().collect::<String>(), value, "{uri}");
        seen += 1;
    }
    assert!(seen > 5, "{seen}");
}
