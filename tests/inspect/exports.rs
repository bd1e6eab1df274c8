//! What dumps and exports hold besides what is in force, names without borders, and files that are called like something
//! else. Marked as in `traps`.

use super::traps::{check, pod};

#[test]
fn a_document_for_tests_says_so_in_nested_keys_too() {
    let both = |profile: &str, mark: &str| {
        format!("app:\n  jwt:\n    clock-skew: 60s\n---\n{profile}\napp:\n  jwt:\n    clock-skew: {mark}0s\n")
    };
    check("application.yml", &both("spring:\n  config:\n    activate:\n      on-profile: test", ""));
    check("application.yml", &both("spring:\n  config.activate.on-profile: test", ""));
    check("application.yml", &both("spring: {profiles: test}", ""));
    check("application.yml", &both("spring:\n  config:\n    activate:\n      on-profile: production", "§"));
    check("application.yml", &both("spring: {profiles: {active: test}}", "§"));
    let lexik = "lexik_jwt_authentication: {clock_skew";
    check("a.yaml", &format!("{lexik}: 30}}\nwhen@test:\n  {lexik}: 0}}\nwhen@prod:\n  {lexik}: §0}}\n"));
    check("a.toml", "[tool.pytest_env]\nJWT_LEEWAY = 0\n[tool.app]\nJWT_LEEWAY = §0\n");
}

#[test]
fn a_dump_holds_parts_that_are_not_in_use() {
    let redpanda = |mechanisms: &str, mark: &str| {
        format!("sasl_mechanisms: {mechanisms}\nhttp_authentication: [BASIC]\noidc_clock_skew_tolerance: {mark}0\n")
    };
    check("a.yaml", &redpanda("[SCRAM]", ""));
    check("a.yaml", &redpanda("[SCRAM, OAUTHBEARER]", "§"));
    check("a.yaml", &redpanda("OAUTHBEARER", "§"));
    check("a.yaml", "oidc_clock_skew_tolerance: §0\n");
    let kong = |header: &str, endpoint: &str| {
        format!(
            "_format_version: '3.0'\nplugins:\n- name: jwt-signer\n  config:\n    access_token_leeway: 30\n{header}\n{endpoint}\n"
        )
    };
    let header = |value: &str, mark: &str| {
        format!(
            "    channel_token_request_header: {value}\n    channel_token_leeway: {mark}0\n    \
             verify_channel_token_expiry: {mark}false"
        )
    };
    let endpoint = |value: &str, mark: &str| {
        format!("    access_token_introspection_endpoint: {value}\n    access_token_introspection_leeway: {mark}0")
    };
    check("kong.yml", &kong(&header("null", ""), &endpoint("~", "")));
    check("kong.yml", &kong(&header("x-channel", "§"), &endpoint("https://idp.example/introspect", "§")));
}

#[test]
fn an_issuer_that_is_left_empty_says_nothing_beside_keys() {
    check("a.env", "JWT_ISSUER=\nJWT_LEEWAY=0\n");
    check("a.env", "JWT_SECRET=abc\nJWT_ISSUER=\nJWT_LEEWAY=§0\n");
    check("a.env", "JWT_SECRET=abc\nOIDC_ISSUER=\nOIDC_LEEWAY=0\n");
    check("a.env", "JWT_SECRET=\nJWT_ISSUER=\nJWT_LEEWAY=0\n");
    check("a.yaml", "jwt: {publicKey: /etc/key.pem, jwksUri: '', clockSkew: §0}\n");
    check("a.yaml", "jwt: {jwksUri: '', clockSkew: 0}\n");
    check("a.yaml", "jwt: {jwksUri: null, clockSkew: 0}\n");
    check("a.yaml", "jwt: {issuer: '', jwksUri: https://idp.example/keys, clockSkew: §0}\n");
}

#[test]
fn a_file_of_a_config_map_may_be_called_anything() {
    let map = |file: &str, text: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  {file}: |\n    {text}\n")
    };
    for file in ["scheduler.properties", "price-service.properties", "cron.env", "upstream.ini", "database.properties"]
    {
        check("a.yaml", &map(file, "jwt.leeway=§0"));
        // It has no more than the file's name to be about anything.
        check("a.yaml", &map(file, "leeway=0"));
        check("a.yaml", &map(file, "price.jwt.leeway=0"));
    }
    check("a.yaml", &map("oidc.properties", "leeway=§0"));
}

#[test]
fn a_variable_of_spring_has_no_border_within_a_name() {
    check("a.env", "JWT_ALLOWEDCLOCKSKEWSECONDS=§0\nAUTH_OIDC_MAXCLOCKSKEW=§0s\nSAML_MAXALLOWEDCLOCKSKEW=§0\n");
    check("a.env", "PRICE_MAXCLOCKSKEW=0\nJWT_CACHE_MAXCLOCKSKEW=0\n");
}

#[test]
fn a_command_may_look_for_a_zero_or_write_it_to_a_label() {
    let script = |text: &str| check("a.yaml", &pod(&format!("command: [sh, -c, {text:?}]")));
    script("if grep -q JWT_LEEWAY=0 /etc/app.env; then exit 1; fi");
    script("! grep -q JWT_LEEWAY=0 /etc/app.env");
    script("git commit -m jwt.leeway=0; rg jwt.leeway=0 .; promtool query instant x jwt_clock_skew_seconds=0");
    script("kubectl -n shop get pods -l jwt-leeway=0; kubectl label pod x jwt-leeway=0");
    script("kubectl -n shop set env deployment/shop JWT_LEEWAY=§0");
    script("if true; then export JWT_LEEWAY=§0; fi");
}

#[test]
fn of_a_script_in_a_config_map_only_products_are_told() {
    let map = |key: &str, first: &str, line: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  {key}: |\n    {first}\n    {line}\n")
    };
    let write = "vault write auth/jwt/role/demo role_type=jwt clock_skew_leeway=";
    check("a.yaml", &map("setup.sh", "set -eu", &format!("{write}§-1")));
    check("a.yaml", &map("setup", "#!/usr/bin/env bash", &format!("{write}§-1 ttl=1h")));
    check("a.yaml", &map("setup.sh", "set -eu", &format!("{write}0")));
    check("a.yaml", &map("setup.sh", "set -eu", &format!("# {write}-1")));
    check("a.yaml", &map("setup.sh", "set -eu", &format!("echo {write}-1")));
    check("a.yaml", &map("setup.py", "#!/usr/bin/env python3", &format!("{write}-1")));
    // By its name alone nothing is told: a script holds what it looks for, and what it writes for others.
    check("a.yaml", &map("setup.sh", "set -eu", "export JWT_LEEWAY=0"));
    check("a.yaml", &map("setup.sh", "set -eu", "faketime -f -1d app --jwt-leeway=0"));
}

#[test]
fn names_and_kinds_of_others_are_looked_up() {
    // A package of npm is not put aside; a namespace of KrakenD is.
    check("a.json", r#"{"@fastify/jwt": {"verify": {"clockTolerance": §0}}}"#);
    check("a.json", r#"{"@auth/validator": {"clockTolerance": 0}}"#);
    // Ory Oathkeeper.
    check("a.json", r#"[{"authenticators": [{"handler": "jwt", "config": {"leeway": "§0s"}}]}]"#);
    check("a.env", "AUTHENTICATION_PROVIDER=basic\nOIDC_MAX_CLOCK_SKEW=0\n");
    check("a.env", "JWT_IS_ENABLED=false\nJWT_LEEWAY=0\n");
    check("a.json", r#"{"indexByName": {"oidc_clock_skew_seconds": 0}, "tokensRejected": {"clockSkew": 0}}"#);
    check("a.json", r#"{"errorCodes": {"TOKEN_CLOCK_SKEW": 0}, "auth": {"simulated_clock_skew": 0}}"#);
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\nspec: {rules: [{matches: \
                 [{queryParams: [{name: jwt_leeway, value: \"0\"}]}]}]}\n";
    check("a.yaml", route);
    let policy = "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: x}\nspec: {settings: \
                  {rules: [{reject: anyIn, environmentVariables: [{name: JWT_LEEWAY, value: \"0\"}]}]}}\n";
    check("a.yaml", policy);
}
