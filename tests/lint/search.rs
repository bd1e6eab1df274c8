//! Which files are looked at, what is said about those that cannot be, and the exit statuses.

use super::{folder, found, lint, lint_with, write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const ZERO: &str = "JWT_LEEWAY=0\n";

fn check(folder: &Path, args: &[&str], expected: &[&str]) {
    let args: Vec<&str> = ["-f", "json"].iter().chain(args).copied().collect();
    let said = lint(folder, &args);
    let names: Vec<String> = found(&said).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected, "{args:?}: {}", said.err);
}

#[test]
fn directories_are_searched_as_ripgrep_does() {
    let files =
        ["a.env", ".gitignore", "b/skipped.env", "b/kept.env", ".hidden/c.env", "target/d.env", ".git/e.env", ".env"];
    let folder = folder(&files.map(|name| (name, ZERO)));
    write(folder.path(), ".gitignore", b"skipped.env\n");
    write(folder.path(), "b/.ignore", b"nothing\n");
    check(folder.path(), &["."], &["./.env", "./a.env", "./b/kept.env"]);
    check(folder.path(), &["--hidden", "."], &["./.env", "./.hidden/c.env", "./a.env", "./b/kept.env"]);
    let all = ["./.env", "./a.env", "./b/kept.env", "./b/skipped.env", "./target/d.env"];
    check(folder.path(), &["--no-ignore", "."], &all);
    check(folder.path(), &["b"], &["b/kept.env"]);
    // What is named itself is looked at.
    check(folder.path(), &["b/skipped.env", ".git/e.env"], &["b/skipped.env", ".git/e.env"]);
}

#[test]
fn patterns_are_for_shells_that_have_none() {
    let files = ["a.env", "x/a.env", "x/y/a.env", "x/b.conf", "[z].env"];
    let folder = folder(&files.map(|name| (name, ZERO)));
    check(folder.path(), &["*.env"], &["[z].env", "a.env"]);
    check(folder.path(), &["**/a.env"], &["a.env", "x/a.env", "x/y/a.env"]);
    check(folder.path(), &["x/*.{env,conf}"], &["x/a.env", "x/b.conf"]);
    // A file that is called so is no pattern.
    check(folder.path(), &["[z].env"], &["[z].env"]);
    let said = lint(folder.path(), &["*.none"]);
    assert_eq!(said.status, 2);
    assert!(said.err.contains("*.none: no file fits this pattern"), "{}", said.err);
}

#[test]
fn a_file_is_looked_at_once() {
    let folder = folder(&[("x/a.env", ZERO)]);
    symlink("a.env", folder.path().join("x/link.env")).expect("a link");
    symlink(".", folder.path().join("x/circle")).expect("a link");
    check(folder.path(), &["x", "x/a.env", "./x/./a.env"], &["x/a.env"]);
    // A link by itself is a file.
    check(folder.path(), &["x/link.env"], &["x/link.env"]);
}

#[test]
fn what_cannot_be_looked_at_is_said_and_counted() {
    let folder = folder(&[("good.env", "A=1\n"), ("huge.env", ""), ("nothing.env", "")]);
    write(folder.path(), "binary.yaml", b"a: \0\0");
    write(folder.path(), "latin.env", b"A=\xe9\n");
    write(folder.path(), "wide.json", b"\xff\xfe{\0}\0");
    write(folder.path(), "broken.yaml", b"a: [\n");
    std::fs::File::options()
        .write(true)
        .open(folder.path().join("huge.env"))
        .and_then(|f| f.set_len(17 << 20))
        .expect("huge");
    symlink("nowhere", folder.path().join("dead.yaml")).expect("a link");
    let said = lint(folder.path(), &["-f", "json", "."]);
    assert_eq!(said.status, 0, "{}", said.err);
    for wanted in [
        "binary.yaml: not looked at: binary",
        "latin.env: not looked at: not UTF-8",
        "wide.json: not looked at: UTF-16",
        "broken.yaml:1:4: not YAML",
        "huge.env: not looked at: larger than 16777216 bytes",
        "dead.yaml: not looked at: a link",
    ] {
        assert!(said.err.contains(wanted), "{wanted}: {}", said.err);
    }
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(report.pointer("/summary/skipped"), Some(&5.into()), "{}", said.out);
    assert_eq!(report.pointer("/summary/files"), Some(&2.into()), "{}", said.out);
    let sarif = lint(folder.path(), &["-f", "sarif", "."]);
    assert!(sarif.out.contains("not looked at: binary"), "{}", sarif.out);
}

#[test]
fn what_cannot_be_read_makes_the_job_undone() {
    let folder = folder(&[("a.env", ZERO), ("secret.env", ZERO)]);
    let said = lint(folder.path(), &["a.env", "missing.env"]);
    assert_eq!(said.status, 2);
    assert!(said.err.contains("missing.env: No such file") && said.out.contains("jwt-skew-zero"), "{}", said.err);
    let path = folder.path().join("secret.env");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).expect("a mode");
    // Who may read everything has nothing to see here.
    if std::fs::read(&path).is_err() {
        let said = lint(folder.path(), &["."]);
        assert_eq!(said.status, 2);
        assert!(said.err.contains("secret.env: Permission denied"), "{}", said.err);
    }
    let sarif = lint(folder.path(), &["-f", "sarif", "missing.env"]);
    assert!(sarif.out.contains("\"executionSuccessful\": false"), "{}", sarif.out);
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let folder = folder(&[]);
    let said = lint_with(folder.path(), &["-f", "json", "-"], b"jwt:\r\n  leeway: 0");
    assert_eq!((said.status, found(&said)), (1, vec![("-".to_owned(), 2)]), "{}", said.err);
    assert_eq!(lint_with(folder.path(), &["-"], b"a: 1\n").status, 0);
}

/// Threads take files in any order; what comes out has one.
#[test]
fn order_does_not_depend_on_the_number_of_threads() {
    let text = "jwt:\n  leeway: 0\n".to_owned() + &"x: 1\n".repeat(2_000);
    let folder = folder(&[]);
    for number in 0..60 {
        // The first ones take longest.
        let text = if number < 5 { text.as_str() } else { "jwt: {leeway: 0}\n" };
        write(folder.path(), &format!("{number:02}.yaml"), text.as_bytes());
    }
    let one = lint(folder.path(), &["-j", "1", "."]);
    for jobs in ["2", "8"] {
        let many = lint(folder.path(), &["-j", jobs, "."]);
        assert_eq!((&many.out, &many.err, many.status), (&one.out, &one.err, 1));
    }
}

/// Bounds come from a policy, and so do settings that only its users know.
#[test]
fn a_policy_describes_settings_of_own_products() {
    let policy = |setting: &str| {
        format!(
            "apiVersion: clockwarden.io/v1alpha1\nkind: TimeSyncPolicy\nmetadata: {{name: production}}\nspec:\n  \
             admission:\n    settings:\n      - {setting}\n"
        )
    };
    let folder = folder(&[
        ("a.properties", "port=80\nshop.auth.max-clock-diff=0\n"),
        ("good", &policy("{product: Shop gateway, keys: [shop.auth.max-clock-diff], unit: Milliseconds}")),
        ("no-product", &policy("{keys: [shop.auth.max-clock-diff]}")),
        ("bad-key", &policy("{product: Shop, keys: [a*b*c]}")),
        ("no-list", "kind: TimeSyncPolicy\nspec: {admission: {settings: {product: Shop}}}\n"),
        ("bad-unit", &policy("{product: Shop, keys: [shop.diff], unit: days}")),
    ]);
    let at = |policy: &str| lint(folder.path(), &["a.properties", "--policy", policy]);
    assert_eq!(lint(folder.path(), &["a.properties"]).status, 0);
    let said = at("good");
    assert_eq!(said.status, 1, "{}", said.err);
    assert!(said.out.contains("a.properties:2:26") && said.out.contains("Shop gateway"), "{}", said.out);
    assert!(said.out.contains("30000"), "{}", said.out);
    for (policy, words) in [
        ("no-product", ["spec.admission.settings[0]", "`product`"]),
        ("bad-key", ["spec.admission.settings[0].keys[0]", "a*b*c"]),
        ("bad-unit", ["spec.admission.settings[0]", "`days`"]),
        ("no-list", ["spec.admission.settings:", "no list"]),
    ] {
        let said = at(policy);
        assert_eq!(said.status, 2, "{policy}: {}", said.out);
        assert!(words.iter().chain(&[policy]).all(|word| said.err.contains(word)), "{}", said.err);
    }
}
