use crate::inspect::{Bounds, Catalogue, Limits, inspect_file};

/// Findings that are left, those that are suppressed with their reasons, and the notes, each on a line.
fn check(name: &str, text: &str, left: usize, reasons: &[&str], notes: &[&str]) {
    let file = inspect_file(Some(name), text, Catalogue::builtin(), &Bounds::default(), &Limits::default());
    let found: usize = file.documents.iter().map(|(_, inspection)| inspection.findings.len()).sum();
    let got: Vec<&str> = file.suppressed.iter().map(|suppressed| suppressed.reason.as_str()).collect();
    let inside = file.documents.iter().flat_map(|(_, inspection)| &inspection.notes);
    let said: Vec<&str> = inside.chain(&file.notes).map(|note| note.message.as_str()).collect();
    assert_eq!((found, got.as_slice()), (left, reasons), "{text}\n{said:?}");
    assert_eq!(said.len(), notes.len(), "{text}\n{said:?}");
    for (said, wanted) in said.iter().zip(notes) {
        assert!(said.contains(wanted), "{text}\n{said}");
    }
}

#[test]
fn a_comment_suppresses_on_its_line_or_above_it() {
    check(
        "a.yaml",
        "jwt:\n  leeway: 0 # clockwarden:ignore jwt-skew-zero one clock only\n",
        0,
        &["one clock only"],
        &[],
    );
    check("a.yaml", "jwt:\n  # clockwarden:ignore jwt-skew-zero test\n  # more\n  leeway: 0\n", 0, &["test"], &[]);
    check("a.env", "# clockwarden:ignore jwt-skew-zero test\r\nJWT_LEEWAY=0\r\n", 0, &["test"], &[]);
    check("a.json", "{\"jwt\": {\"leeway\": 0 /* clockwarden:ignore jwt-skew-zero a b */}}", 0, &["a b"], &[]);
    check("a.json", "\u{feff}{\"jwt\": {\n// clockwarden:ignore jwt-skew-zero a\n\"leeway\": 0}}", 0, &["a"], &[]);
    check("web.xml", "<jwt>\n <!-- clockwarden:ignore jwt-skew-zero x -->\n <leeway>0</leeway></jwt>", 0, &["x"], &[]);
    check("a.ini", "[jwt]\n; clockwarden:ignore jwt-skew-zero x\nleeway = 0\n", 0, &["x"], &[]);
}

#[test]
fn a_comment_above_a_name_is_about_its_value() {
    let env = |value: &str| {
        format!(
            "env:\n# clockwarden:ignore jwt-skew-zero x\n- name: JWT_LEEWAY\n  value: '0'\n- name: {value}\n  value: '0'\n"
        )
    };
    check("a.yaml", &env("OTHER"), 0, &["x"], &[]);
    check("a.yaml", &env("OIDC_LEEWAY"), 1, &["x"], &[]);
}

#[test]
fn a_comment_is_about_one_line_and_one_rule() {
    let text = "jwt:\n  # clockwarden:ignore jwt-skew-zero x\n  leeway: 0\noidc:\n  leeway: 0\n";
    check("a.yaml", text, 1, &["x"], &[]);
    let text = "jwt:\n  leeway: 0 # clockwarden:ignore jwt-skew-too-large x\n";
    check("a.yaml", text, 1, &[], &["suppresses nothing: jwt-skew-too-large says nothing on line 2"]);
}

#[test]
fn what_is_wrong_with_a_suppression_is_told() {
    check("a.yaml", "jwt:\n  leeway: 0 # clockwarden:ignore jwt-skew-zero\n", 1, &[], &["gives no reason"]);
    check("a.yaml", "jwt:\n  leeway: 0 # clockwarden:ignore jwt-skew x\n", 1, &[], &["there is no rule \"jwt-skew\""]);
    check("a.yaml", "jwt:\n  leeway: 0 # clockwarden:ignore\n", 1, &[], &["names no rule"]);
    check("a.yaml", "jwt:\n  leeway: 5 # clockwarden:ignore jwt-skew-zero x\n", 0, &[], &["suppresses nothing"]);
    check("a.yaml", "a: 0 # clockwarden:ignore jwt-skew-zero x\n", 0, &[], &["suppresses nothing"]);
    // Only talk of it, and no comment.
    check("a.yaml", "a: see clockwarden:ignore jwt-skew-zero x\n", 0, &[], &[]);
}

#[test]
fn an_annotation_suppresses_in_its_object() {
    let object = |name: &str, said: &str| {
        let head = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations:\n");
        format!("{head}    clockwarden.io/ignore: {said}\ndata: {{JWT_LEEWAY: \"0\", OIDC_LEEWAY: \"0\"}}\n---\n")
    };
    check("a.yaml", &object("a", "jwt-skew-zero it is a test"), 0, &["it is a test"; 2], &[]);
    check("a.yaml", &object("a", "jwt-skew-zero"), 2, &[], &["gives no reason"]);
    let two = object("a", "jwt-skew-zero x") + &object("b", "jwt-skew-too-large y");
    check("a.yaml", &two, 2, &["x", "x"], &["suppresses nothing: jwt-skew-too-large says nothing in this object"]);
    let lines = "|\n      jwt-skew-zero x\n      jwt-check-disabled y";
    check("a.yaml", &object("a", lines), 0, &["x", "x"], &["jwt-check-disabled says nothing"]);
}
