use super::*;
use crate::inspect::Level;
use std::path::{Path, PathBuf};
use std::time::Duration;

const UNSAFE: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\n  namespace: shop\ndata:\n  JWT_LEEWAY: \"0\"\n";
const SAFE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata:\n  JWT_LEEWAY: \"30\"\n";

fn args(paths: &[PathBuf], format: Format) -> LintArgs {
    LintArgs { paths: paths.to_vec(), format, ..LintArgs::default() }
}

fn lint_with(args: &LintArgs) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = run(args, &mut out, &mut err);
    (status, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn exit_statuses_are_the_contracts() {
    let folder = tempfile::tempdir().expect("a folder");
    let safe = write(folder.path(), "safe.yaml", SAFE);
    let wrong = write(folder.path(), "unsafe.yaml", UNSAFE);
    let broken = write(folder.path(), "broken.yaml", "a: [\n");
    let weak = write(folder.path(), "weak.yaml", "clockSkew: 0\n");
    let empty = write(folder.path(), "empty.yaml", "# nothing\n");
    let missing = folder.path().join("missing.yaml");
    let check = |paths: &[&PathBuf], status: u8, errors: &str| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).clone()).collect();
        let (got, out, err) = lint_with(&args(&paths, Format::Text));
        assert_eq!(got, status, "{paths:?}: {out}{err}");
        assert!(err.contains(errors), "{err}");
        out
    };
    check(&[&safe], 0, "");
    check(&[&empty], 0, "");
    check(&[&weak], 0, "");
    check(&[&wrong], 1, "");
    check(&[&safe, &broken], 0, "broken.yaml:1:4: not YAML");
    check(&[&broken], 2, "nothing could be read");
    let out = check(&[&missing, &wrong], 2, "missing.yaml: No such file");
    assert!(out.contains("error[jwt-skew-zero]"), "the others are still linted: {out}");
}

#[test]
fn json_is_the_contracts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "unsafe.yaml", UNSAFE);
    let (status, out, err) = lint_with(&args(std::slice::from_ref(&path), Format::Json));
    assert_eq!((status, err.as_str()), (1, ""));
    let got: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let finding = got.pointer("/findings/0").expect("a finding");
    let message = finding.get("message").and_then(|m| m.as_str()).expect("a message");
    assert!(message.starts_with("ConfigMap shop/app: data.JWT_LEEWAY is \"0\", "), "{message}");
    assert_eq!(
        got,
        serde_json::json!({
            "findings": [{
                "rule": "jwt-skew-zero", "severity": "error", "file": path.display().to_string(), "line": 7, "column": 16,
                "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "app"},
                "path": "data.JWT_LEEWAY", "product": "any service (by the naming convention)", "value": "0",
                "byteOffset": 92, "byteLength": 1, "replacement": "30",
                "message": message, "fix": "write `JWT_LEEWAY: \"30\"`",
            }],
            "suppressed": [],
            "summary": {
                "files": 1, "objects": 1, "errors": 1, "warnings": 0, "suppressed": 0, "fixed": 0, "skipped": 0,
            },
        })
    );
}

#[test]
fn text_shows_the_line_and_the_fix() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "unsafe.yaml", UNSAFE);
    let (_, out, _) = lint_with(&args(std::slice::from_ref(&path), Format::Text));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("error[jwt-skew-zero]: ConfigMap shop/app: data.JWT_LEEWAY is \"0\", "), "{out}");
    let place = format!(" --> {}:7:16", path.display());
    assert_eq!(
        &lines[1..],
        [
            place.as_str(),
            "  |",
            "7 |   JWT_LEEWAY: \"0\"",
            "  |                ^",
            "  |",
            "  = fix: write `JWT_LEEWAY: \"30\"`",
            "",
            "1 error, 0 warnings in 1 file (1 object)",
        ]
    );
}

#[test]
fn no_file_can_write_to_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "a.json", "{\"jwt \u{202e}\": {\"leeway\": 0 /* \u{1b}[2J */}}");
    let (status, out, _) = lint_with(&args(&[path], Format::Text));
    assert_eq!(status, 1);
    assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out:?}");
}

#[test]
fn directories_are_searched_in_order_without_what_is_not_ones_own() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["b/z.yaml", "a.yml", "b/a.json", ".git/x.yaml", "target/x.yaml", "node_modules/x.yaml", "b/notes.txt"]
    {
        write(folder.path(), name, "{\"jwt\": {\"leeway\": 0}}\n");
    }
    write(folder.path(), ".env", "JWT_LEEWAY=0\n");
    let (_, out, _) = lint_with(&args(&[folder.path().to_owned()], Format::Json));
    let got: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let found = got.pointer("/findings").and_then(|f| f.as_array()).expect("findings");
    let base = folder.path().display().to_string();
    let name = |f: &serde_json::Value| f.get("file").and_then(|f| f.as_str()).map(|f| f.replace(&base, ""));
    let names: Vec<String> = found.iter().filter_map(name).collect();
    assert_eq!(names, ["/.env", "/a.yml", "/b/a.json", "/b/z.yaml"]);
    let empty = tempfile::tempdir().expect("a folder");
    assert_eq!(lint_with(&args(&[empty.path().to_owned()], Format::Text)).0, 2);
}

#[test]
fn bounds_come_from_flags_then_the_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "a.env", "JWT_LEEWAY_SECONDS=10\n");
    let policy = "kind: TimeSyncPolicy\nspec: {admission: {minSkew: 5s}}\n---\nkind: TimeSyncPolicy\nspec: {admission: {minSkew: 20s}}\n";
    let policy = write(folder.path(), "policy.yaml", policy);
    let check = |policy: Option<&PathBuf>, min: Option<u64>, max: Option<u64>, status: u8, said: &str| {
        let mut args = args(std::slice::from_ref(&file), Format::Text);
        args.policy = policy.cloned();
        args.min_skew = min.map(Duration::from_secs);
        args.max_skew = max.map(Duration::from_secs);
        let (got, out, err) = lint_with(&args);
        assert_eq!(got, status, "{out}{err}");
        assert!(out.contains(said) || err.contains(said), "{said}: {out}{err}");
    };
    check(None, None, None, 0, "nothing found");
    check(Some(&policy), None, None, 1, "less than the 20 s");
    check(Some(&policy), Some(10), None, 0, "nothing found");
    check(None, None, Some(9), 0, "jwt-skew-too-large");
    check(None, Some(10), Some(9), 2, "--max-skew");
    check(Some(&file), None, None, 2, "a.env");
    check(Some(&folder.path().join("none")), None, None, 2, "none: No such file");
    let wrong = write(folder.path(), "wrong.yaml", "kind: TimeSyncPolicy\nspec: {admission: {minSkew: soon}}\n");
    check(Some(&wrong), None, None, 2, "spec.admission.minSkew");
}

#[test]
fn levels_of_rules_come_from_flags_then_the_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(folder.path(), "a.yaml", UNSAFE);
    let policy = |rules: &str| format!("kind: TimeSyncPolicy\nspec: {{admission: {{rules: {{{rules}}}}}}}\n");
    let check = |rules: Option<&str>, flag: Option<Level>, status: u8, said: &str| {
        let mut args = args(std::slice::from_ref(&file), Format::Text);
        args.policy = rules.map(|rules| write(folder.path(), "policy.yaml", &policy(rules)));
        args.rule = flag.map(|level| ("jwt-skew-zero".to_owned(), level)).into_iter().collect();
        let (got, out, err) = lint_with(&args);
        assert_eq!(got, status, "{out}{err}");
        assert!(out.contains(said) || err.contains(said), "{said}: {out}{err}");
    };
    check(Some("jwt-skew-zero: Warning"), None, 0, "warning");
    check(Some("jwt-skew-zero: Ignore"), None, 0, "nothing found");
    check(Some("jwt-skew-zero: Ignore"), Some(Level::Default), 1, "error");
    check(None, Some(Level::Ignore), 0, "nothing found");
    check(Some("jwt-skew-zero: Off"), None, 2, "spec.admission.rules: \"Off\" is no level of jwt-skew-zero");
    check(Some("jwt-skew-nil: Error"), None, 2, "there is no rule \"jwt-skew-nil\"");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    struct Gone(io::ErrorKind);
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let safe = write(folder.path(), "safe.yaml", SAFE);
    let run = |kind| run(&args(std::slice::from_ref(&safe), Format::Text), &mut Gone(kind), &mut Vec::new());
    assert_eq!(run(io::ErrorKind::BrokenPipe), 0);
    assert_eq!(run(io::ErrorKind::StorageFull), 2);
}
