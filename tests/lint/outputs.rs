//! Each output, compared with what it was; `UPDATE_GOLDEN=1` writes it anew, and the diff is what to read.

use super::{Said, copy_of, folder, lint, lint_with, tests};

fn check(name: &str, args: &[&str]) {
    check_in("project", name, args);
}

fn check_in(project: &str, name: &str, args: &[&str]) {
    let folder = copy_of(project);
    let Said { status, out, err } = lint(folder.path(), args);
    let again = lint(folder.path(), args);
    assert_eq!((&again.out, &again.err), (&out, &err), "two runs say the same");
    let mut got = format!("$ clockwarden lint {}\n{out}--- stderr\n{err}--- status {status}\n", args.join(" "));
    if args.contains(&"sarif") {
        // The pages of the rules are tested where they are.
        let mut report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        report.pointer_mut("/runs/0/tool/driver/rules").expect("rules").take();
        let results = serde_json::to_string_pretty(&report).expect("JSON");
        got = got.replace(&out, &format!("{results}\n"));
    }
    let path = tests().join("golden").join(format!("{name}.output"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).expect("write");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn golden() {
    check("text", &["."]);
    check("json", &["-f", "json", "shop.yaml", "config"]);
    check("sarif", &["-o", "sarif", "."]);
    check("github", &["-f", "github", "."]);
    check("diff", &["--diff", "."]);
    for (name, args) in [
        ("set-text", &["."][..]),
        ("set-json", &["-f", "json", "."]),
        ("set-sarif", &["-f", "sarif", "."]),
        ("set-github", &["-f", "github", "."]),
        ("set-diff", &["--diff", "."]),
    ] {
        check_in("set", name, args);
    }
}

#[test]
fn colours_are_asked_for() {
    let folder = folder(&[("a.env", "JWT_LEEWAY=0\n")]);
    let has_colours = |args: &[&str], no_color: Option<&str>| {
        let mut command = super::command(folder.path(), args);
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        String::from_utf8(command.output().expect("output").stdout).expect("UTF-8").contains('\u{1b}')
    };
    assert!(!has_colours(&["a.env"], None), "a pipe is no terminal");
    assert!(has_colours(&["a.env", "--color=always"], None));
    assert!(has_colours(&["a.env", "--color=always"], Some("1")), "a flag is asked for more than the environment");
    assert!(!has_colours(&["a.env", "--color=never"], None));
}

#[test]
fn nothing_from_a_file_reaches_a_terminal_or_a_runner_as_a_command() {
    let text = "{\"jwt \\u001b[2J\u{202e}\": {\"leeway\": 0}, \"oidc\\n::error::x\": {\"leeway\": 0}}";
    for format in ["text", "github"] {
        let said = lint_with(folder(&[]).path(), &["-f", format, "-"], text.as_bytes());
        assert_eq!(said.status, 1, "{}", said.err);
        assert!(!said.out.contains(['\u{1b}', '\u{202e}']), "{:?}", said.out);
        let commands = said.out.lines().filter(|line| line.starts_with("::")).count();
        assert_eq!(commands, if format == "github" { 2 } else { 0 }, "{}", said.out);
    }
}

#[test]
fn every_output_counts_what_is_suppressed() {
    let folder = folder(&[("a.env", "# clockwarden:ignore jwt-skew-zero only a test\nJWT_LEEWAY=0\n")]);
    for format in ["text", "json", "sarif", "github"] {
        let said = lint(folder.path(), &["-f", format, "a.env"]);
        assert_eq!((said.status, said.err.as_str()), (0, ""), "{format}");
        assert!(said.out.contains("only a test") && said.out.contains("suppressed"), "{format}: {}", said.out);
    }
}
