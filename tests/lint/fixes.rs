//! `--fix` and `--diff` on real files: the value and nothing else.

use super::{folder, lint, lint_with, project, write};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_other_byte_is_kept() {
    let folder = folder(&[]);
    let check = |name: &str, before: &[u8], after: &[u8]| {
        write(folder.path(), name, before);
        let said = lint(folder.path(), &["--fix", name]);
        assert_eq!(said.status, 0, "{}{}", said.out, said.err);
        assert!(said.out.ends_with("; 1 fixed\n"), "{}", said.out);
        assert_eq!(String::from_utf8_lossy(&bytes(folder.path(), name)), String::from_utf8_lossy(after));
        assert_eq!(lint(folder.path(), &[name]).status, 0);
    };
    check("crlf.yaml", b"jwt: # a\r\n  leeway:   0  # b\r\n\r\n", b"jwt: # a\r\n  leeway:   30  # b\r\n\r\n");
    check("mark.json", b"\xef\xbb\xbf{\"jwt\":{\"leeway\":0}}", b"\xef\xbb\xbf{\"jwt\":{\"leeway\":30}}");
    check("no-newline.env", b"JWT_LEEWAY=0", b"JWT_LEEWAY=30");
    check("blanks.properties", b"\n\n jwt.leeway :  0\n\n\n", b"\n\n jwt.leeway :  30\n\n\n");
}

#[test]
fn mode_and_links_stay_and_nothing_is_left_beside() {
    let folder = folder(&[("real/a.env", "JWT_LEEWAY=0\n")]);
    let real = folder.path().join("real/a.env");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o754)).expect("a mode");
    symlink("real/a.env", folder.path().join("link.env")).expect("a link");
    let said = lint(folder.path(), &["--fix", "link.env"]);
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(folder.path().join("link.env").symlink_metadata().expect("a link").is_symlink());
    assert_eq!(bytes(folder.path(), "real/a.env"), b"JWT_LEEWAY=30\n");
    assert_eq!(std::fs::metadata(&real).expect("metadata").mode() & 0o7777, 0o754);
    assert_eq!(std::fs::read_dir(folder.path().join("real")).expect("a folder").count(), 1);
}

#[test]
fn a_file_that_must_not_be_replaced_is_told_and_left() {
    let folder = folder(&[("a.env", "JWT_LEEWAY=0\n"), ("locked.env", "JWT_LEEWAY=0\n")]);
    std::fs::hard_link(folder.path().join("a.env"), folder.path().join("b.txt")).expect("a link");
    let mode = std::fs::Permissions::from_mode(0o444);
    std::fs::set_permissions(folder.path().join("locked.env"), mode).expect("a mode");
    let said = lint(folder.path(), &["--fix", "a.env", "locked.env"]);
    assert_eq!(said.status, 2);
    assert!(said.err.contains("a.env: not fixed: it has several names"), "{}", said.err);
    assert!(said.err.contains("locked.env: not fixed: it is read-only"), "{}", said.err);
    assert!(said.out.contains("2 errors"), "what is not fixed is still found: {}", said.out);
    assert_eq!(bytes(folder.path(), "a.env"), b"JWT_LEEWAY=0\n");
}

/// What was mended is no longer there, whatever else is.
#[test]
fn what_a_person_has_to_decide_is_reported_after_a_fix() {
    let folder = folder(&[("a.yaml", "jwt: {leeway: 0}\nx: {clockSkew: 0}\noidc: {leeway: &z 0}\nn: *z\n")]);
    let said = lint(folder.path(), &["--fix", "a.yaml"]);
    assert_eq!(said.status, 1);
    assert!(said.out.ends_with("1 error, 1 warning in 1 file (0 objects); 1 fixed\n"), "{}", said.out);
    assert_eq!(bytes(folder.path(), "a.yaml"), b"jwt: {leeway: 30}\nx: {clockSkew: 0}\noidc: {leeway: &z 0}\nn: *z\n");
}

#[test]
fn standard_input_can_be_shown_and_not_written() {
    let folder = folder(&[]);
    let said = lint_with(folder.path(), &["--fix", "-"], b"JWT_LEEWAY=0\n");
    assert_eq!((said.status, said.out.as_str()), (2, ""));
    let said = lint_with(folder.path(), &["--diff", "-"], b"JWT_LEEWAY=0\n");
    assert_eq!(said.status, 1);
    assert!(
        said.out.starts_with("--- a/stdin\n+++ b/stdin\n@@ -1,1 +1,1 @@\n-JWT_LEEWAY=0\n+JWT_LEEWAY=30\n"),
        "{}",
        said.out
    );
}

/// What `--diff` shows, applied by the real programs, is what `--fix` writes.
#[test]
fn a_patch_is_what_a_fix_writes() {
    let (shown, fixed) = (project(), project());
    for folder in [&shown, &fixed] {
        write(folder.path(), "a b/crlf é.yaml", b"jwt:\r\n  leeway: 0\r\noidc: {leeway: 0}");
    }
    let patch = lint(shown.path(), &["--diff", "."]);
    assert_eq!(patch.status, 1, "{}", patch.err);
    let untouched = project();
    assert_eq!(bytes(shown.path(), "shop.yaml"), bytes(untouched.path(), "shop.yaml"), "--diff writes nothing");
    let apply = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(shown.path()).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"));
        child.stdin.take().expect("a pipe").write_all(patch.out.as_bytes()).expect("a patch");
        assert!(child.wait().expect("an end").success(), "{program}: {}", patch.out);
    };
    apply("git", &["apply", "--check", "-"]);
    apply("git", &["apply", "-"]);
    let said = lint(fixed.path(), &["--fix", "."]);
    assert!(said.out.contains(" fixed"), "{}", said.out);
    for name in
        ["shop.yaml", "config/appsettings.json", "config/anchors.yaml", "chart/templates/api.yaml", "a b/crlf é.yaml"]
    {
        let (shown, fixed) = (bytes(shown.path(), name), bytes(fixed.path(), name));
        assert_eq!(String::from_utf8_lossy(&shown), String::from_utf8_lossy(&fixed), "{name}");
    }
    let again = lint(fixed.path(), &["--diff", "."]);
    assert_eq!(again.out, "", "nothing is left that could be fixed");
}
