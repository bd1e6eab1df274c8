//! What real files do to linters: each trap by its name, as small as it goes.

use clockwarden::inspect::{Bounds, Catalogue, Limits, Severity, inspect_file};

/// Stands before each value that must be refused; nothing else may be said.
const MARK: char = '§';

fn check(name: &str, marked: &str) {
    let (text, mut expected) = (marked.replace(MARK, ""), Vec::new());
    for (line, text) in marked.lines().enumerate() {
        let ends = text.match_indices(MARK).enumerate().map(|(before, (at, _))| (before, &text[..at]));
        expected.extend(ends.map(|(before, start)| (line + 1, start.chars().count() + 1 - before)));
    }
    let file = inspect_file(Some(name), &text, Catalogue::builtin(), &Bounds::default(), &Limits::default());
    let findings = file.documents.iter().flat_map(|(_, inspection)| &inspection.findings);
    let told: Vec<_> = findings
        .map(|it| {
            assert_eq!(it.severity, Severity::Error, "{text}: {}", it.message);
            (it.at.line as usize, it.at.column as usize)
        })
        .collect();
    assert_eq!(told, expected, "{name}: {text}");
}

fn pod(container: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    {container}\n")
}

#[test]
fn a_flag_that_is_given_again_counts_no_more() {
    check("a.yaml", &pod("args: [--jwt-leeway=0, --jwt-leeway=30]"));
    check("a.yaml", &pod("args: [--jwt-leeway, '0', --x, --jwt-leeway=30]"));
    check("a.yaml", &pod("args: [--jwt-leeway=30, --jwt-leeway=§0]"));
    check("a.yaml", &pod("command: [sh, -c, app --jwt-leeway=0 --jwt-leeway=30]"));
    // Another command's.
    check("a.yaml", &pod("command: [sh, -c, a --jwt-leeway=§0; b --jwt-leeway=30]"));
}

#[test]
fn a_flag_switches_its_feature_off() {
    check("a.yaml", &pod("args: [--jwt-enabled=false, --jwt-leeway=0]"));
    check("a.yaml", &pod("args: [--disable-jwt, --jwt-leeway=0]"));
    check("a.yaml", &pod("args: [--enable-jwt=false, --jwt-leeway, '0']"));
    check("a.yaml", &pod("args: [--jwt-enabled=true, --jwt-leeway=§0]"));
    check("a.yaml", &pod("args: [--metrics-enabled=false, --jwt-leeway=§0]"));
    check("a.yaml", &pod("args: [--enabled=false, --jwt-leeway=§0]"));
}

#[test]
fn assignments_in_a_list_stand_beside_one_another() {
    let service = |list: &str| format!("services:\n  a:\n    environment: [{list}]\n");
    check("compose.yaml", &service("JWT_LEEWAY=§0"));
    check("compose.yaml", &service("JWT_LEEWAY=0, JWT_LEEWAY=5"));
    check("compose.yaml", &service("JWT_ENABLED=false, JWT_LEEWAY=0"));
    check("compose.yaml", "services:\n  a:\n    labels: [traefik.http.middlewares.x.jwt.leeway=§0]\n");
}

#[test]
fn a_feature_that_is_set_to_false_is_off() {
    check("a.yaml", "jwt: false\njwtLeeway: 0\n");
    check("a.yaml", "jwt: 'off'\njwtLeeway: 0\n");
    check("nginx.conf", "server {\n  auth_jwt off;\n  auth_jwt_leeway 0;\n}\n");
    check("nginx.conf", "server {\n  auth_jwt a;\n  auth_jwt_leeway §0;\n}\n");
    // A number may be anything.
    check("a.yaml", "jwt: 0\njwtLeeway: §0\n");
    check("a.yaml", "jwtDebug: false\njwtLeeway: §0\n");
}

#[test]
fn several_values_are_a_choice() {
    check("a.yaml", "matrix:\n  jwt-leeway: [0, 30]\n");
    check("a.json", "{\"jwt\": {\"leeway\": [0]}}");
    check("a.toml", "jwt.leeway = [0, 30]\n");
    // A directive that is written again is no list.
    check("nginx.conf", "map $host $saml_clock_skew { default §0; a 30; }\n");
}

#[test]
fn the_parts_of_a_span_are_one_span() {
    check("a.yaml", "jwt: {clockSkew: {minutes: 0, seconds: 30}}\n");
    check("a.yaml", "jwt: {clockSkew: {seconds: 0, nanos: 500000000}}\n");
    check("a.yaml", "jwt: {clockSkew: {minutes: §0, seconds: §0}}\n");
    check("a.yaml", "jwt: {clockSkewSeconds: §0, minutes: 5}\n");
}

#[test]
fn a_schema_describes_and_sets_nothing() {
    let schema = |head: &str| format!("{{{head}, \"properties\": {{\"jwt\": {{\"default\": {{\"leeway\": 0}}}}}}}}");
    check("a.json", &schema(r#""$schema": "https://json-schema.org/draft/2020-12/schema""#));
    check("a.json", &schema(r#""openapi": "3.1.0""#));
    check("a.json", &schema(r#""swagger": "2.0""#));
    // The schema that a document follows does not make it one.
    check("a.json", r#"{"$schema": "https://example.com/app.json", "jwt": {"leeway": §0}}"#);
    check("a.yaml", "openapi: {enabled: true}\njwt: {leeway: §0}\n");
    let map = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.json: '{\"openapi\": \"3.0.0\", \"a\": {\"jwt\": {\"leeway\": 0}}}'\n";
    check("a.yaml", map);
    let definition =
        "apiVersion: x.example.com/v1\nkind: Definition\nspec:\n  openAPIV3Schema: {a: {jwt: {leeway: 0}}}\n";
    check("a.yaml", definition);
}

#[test]
fn copies_and_examples_in_annotations_are_not_the_object() {
    for name in ["alm-examples", "kapp.k14s.io/original", "kubectl.kubernetes.io/last-applied-configuration"] {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    {name}: '{{\"jwt\":{{\"leeway\":0}}}}'\n"
        );
        check("a.yaml", &text);
        check("a.yaml", &text.replace(name, "auth-proxy").replace(":0", ":§0"));
    }
    check("a.yaml", "apiVersion: apps/v1\nkind: ControllerRevision\ndata: {jwt: {leeway: 0}}\n");
}

#[test]
fn documents_in_one_properties_file_know_nothing_of_one_another() {
    check("application.properties", "jwt.leeway=§0\n#---\njwt.leeway=30\n");
    check("application.properties", "jwt.leeway=30\n!---\njwt.leeway=§0\n");
    check("application.properties", "jwt.leeway=0\n # ---\njwt.leeway=30\n");
    check("application.properties", "jwt.enabled=false\n#---\njwt.leeway=§0\n");
}

#[test]
fn other_clocks_and_other_tokens_are_no_tolerance() {
    for name in
        ["auth.totp", "token.bucket", "auth.x509", "llm.token", "token.rotation", "auth.leader", "aws.sigv4.auth"]
    {
        check("a.properties", &format!("{name}.leeway=0\n"));
    }
    check("package.json", r#"{"dependencies": {"jwt-clock-skew": "0"}}"#);
}

#[test]
fn a_value_in_quotes_stands_behind_its_quote() {
    check("a.yaml", &pod("command: [sh, -c, app --jwt-leeway='§0s']"));
    check("a.yaml", &pod("command: [sh, -c, app --jwt-leeway '§0s']"));
}

#[test]
fn a_jaas_file_has_a_section_around_its_modules() {
    let text = "Server {\n  a.OAuthBearerLoginModule required\n  unsecuredValidatorAllowableClockSkewMs=\"§0\";\n};\n";
    check("kafka.jaas", text);
    check("login.conf", text);
}
