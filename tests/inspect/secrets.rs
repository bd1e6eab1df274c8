//! Secrets are looked into only if that is asked for, and no value of theirs is ever told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clockwarden::inspect::finding::NOT_SHOWN;
use clockwarden::inspect::{Bounds, Catalogue, FileInspection, Limits, inspect_file};

/// As unlikely to stand in a message by chance as a value can be that is a duration.
const LARGE: &str = "PT98765S";

fn look(text: &str, secrets: bool) -> FileInspection {
    let limits = Limits { secrets, ..Limits::default() };
    inspect_file(Some("secret.yaml"), text, Catalogue::builtin(), &Bounds::default(), &limits)
}

fn secret() -> String {
    let packed = |text: &str| STANDARD.encode(text);
    let (zero, large, file) = (packed("0"), packed(LARGE), packed("jwt:\n  clock-skew: 0s\npassword: hunter2: {\n"));
    let properties =
        packed("password=hunter2\njwt.leeway.seconds=0\noidc.leeway.seconds=0\nsaml.leeway=${HUNTER2:-0}\n");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: auth, namespace: shop}}\ndata:\n  JWT_LEEWAY: {zero}\n  \
         JWT_CLOCK_SKEW: {large}\n  app.properties: {properties}\n  broken.yaml: {file}\n  key.der: /w==\n  \
         not-base64: '!'\nstringData:\n  OIDC_CLOCK_SKEW: \"0\"\n  PASSWORD: hunter2\n"
    )
}

#[test]
fn nothing_is_looked_at_unless_it_is_asked_for() {
    let file = look(&secret(), false);
    assert!(file.documents.iter().all(|(_, found)| found.findings.is_empty() && found.notes.is_empty()), "{file:?}");
}

#[test]
fn settings_are_found_and_no_value_is_told() {
    let file = look(&secret(), true);
    let (_, found) = &file.documents[0];
    let told: Vec<_> = found.findings.iter().map(|it| (it.rule, it.at.line, it.path.to_string())).collect();
    let expected = [
        ("jwt-skew-zero", 5, "data.JWT_LEEWAY"),
        ("jwt-skew-too-large", 6, "data.JWT_CLOCK_SKEW"),
        ("jwt-skew-zero", 7, "data[\"app.properties\"].jwt.leeway.seconds"),
        ("jwt-skew-zero", 7, "data[\"app.properties\"].oidc.leeway.seconds"),
        ("jwt-skew-zero", 7, "data[\"app.properties\"].saml.leeway"),
        ("jwt-skew-zero", 12, "stringData.OIDC_CLOCK_SKEW"),
    ];
    let expected = expected.map(|(rule, line, path)| (rule, line, path.to_owned()));
    assert_eq!(told, expected);
    assert!(found.findings.iter().all(|it| it.value == NOT_SHOWN && it.spot.is_none()));
    let everything = format!("{file:?}");
    for value in [LARGE, "98765", "27 h", "hunter2", "HUNTER2", "\"0\"", "0s", "MA==", "!"] {
        assert!(!everything.contains(value), "{value}: {everything}");
    }
}

/// Who can read the object's name can read its annotations.
#[test]
fn what_is_no_entry_is_shown() {
    let text =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: auth\n  annotations:\n    app.example/jwt-leeway: \"0\"\n";
    for secrets in [false, true] {
        let file = look(text, secrets);
        let values: Vec<_> = file.documents[0].1.findings.iter().map(|it| it.value.as_str()).collect();
        assert_eq!(values, ["0"]);
    }
}
