//! Names that fit and mean something else, and names that seem to mean something else and fit. Marked as in `traps`.

use super::traps::{check, pod};

#[test]
fn a_check_that_is_off_needs_no_tolerance() {
    for off in ["validate: false", "verify: false", "verification: 'off'", "verify_exp: false", "checkExpiration: no"] {
        check("a.yaml", &format!("jwt: {{{off}, leeway: 0}}\n"));
    }
    // What a product is known for is told itself, and its neighbour with it.
    check("a.yaml", "JWT_AUTH: {JWT_VERIFY_EXPIRATION: §false, JWT_LEEWAY: §0}\n");
    for off in ["JWT_VERIFY=false", "VERIFY_JWT=off", "JWT_VALIDATE_TIMESTAMPS=false", "JWT_EXP_CHECK=no"] {
        check("a.env", &format!("{off}\nJWT_LEEWAY=0\nOIDC_LEEWAY=§0\n"));
    }
    for on in [
        "JWT_IGNORE_EXPIRATION=true",
        "JWT_SKIP_EXPIRY_CHECK=yes",
        "JWT_DISABLE_TIME_CHECK=on",
        "JWT_BYPASS=true",
        "JWT_SKIP_VERIFY=true",
    ] {
        check("a.env", &format!("{on}\nJWT_LEEWAY=0\nOIDC_LEEWAY=§0\n"));
    }
    check("a.yaml", "jwt: {enforce: false, leeway: 0}\njwtEnforced: true\noidc: {enforce: true, leeway: §0}\n");
    check("a.env", "JWT_IGNORE_EXPIRATION=false\nJWT_LEEWAY=§0\n");
    check("a.env", "JWT_SKIP_TLS_VERIFY=true\nSSL_VERIFY=false\nJWT_LEEWAY=§0\n");
    check("a.env", "JWT_IGNORE_ISSUER=true\nJWT_LEEWAY=§0\n");
    // The signature may be checked elsewhere, and the times here.
    for other in ["verify_signature: false", "verify_aud: false", "validate_issuer: false", "verify: true"] {
        check("a.yaml", &format!("jwt: {{{other}, leeway: §0}}\n"));
    }
    // Of a certificate, of nothing that is named, and a span.
    check("a.yaml", "keycloak: {verify: false, jwtLeeway: §0}\n");
    check("a.env", "VERIFY=false\nJWT_LEEWAY=§0\n");
    check("a.yaml", "jwt: {verificationExpiry: 0, leeway: §0}\n");
}

#[test]
fn nobody_checks_where_the_provider_is_none() {
    check("a.yaml", "auth: {provider: none, jwt: {leeway: 0}}\n");
    check("a.env", "AUTH_DRIVER=none\nJWT_LEEWAY=0\n");
    check("a.env", "AUTH_PROVIDER=none\nJWT_LEEWAY=0\n");
    check("a.yaml", "provider: none\njwt: {leeway: §0}\n");
    check("a.env", "PROVIDER=none\nJWT_LEEWAY=§0\n");
    check("a.yaml", "auth: {provider: local, jwt: {leeway: §0}}\n");
}

#[test]
fn an_issuer_that_moves_what_it_issues_tolerates_nothing() {
    for name in ["notBeforeSkew", "notBeforeTimeSkew", "notOnOrAfterTimeSkewSeconds"] {
        check("a.json", &format!(r#"{{"saml": {{"idp": {{"{name}": 0}}, "clockSkew": §0}}}}"#));
    }
    check("a.json", r#"{"jwt": {"nbfLeeway": §0}}"#);
}

#[test]
fn a_service_that_is_called_auth_has_other_settings_too() {
    check("docker-compose.yml", "services: {auth-backup: {environment: {BACKUP_PRUNING_LEEWAY: 0s}}}\n");
    check("values.yaml", "auth: {lease: {clockSkew: 0}, clockSkew: §0}\n");
    check("a.env", "BACKUP_API_JWT_LEEWAY=§0\n");
}

#[test]
fn a_blank_behind_a_switch_is_no_part_of_it() {
    let line = "quarkus.oidc.token.lifespan-grace=";
    check("application.properties", &format!("quarkus.oidc.tenant-enabled=false \n{line}0\n"));
    check("application.properties", &format!("quarkus.oidc.tenant-enabled=true \n{line}§0\n"));
}

#[test]
fn a_feature_may_be_off_in_a_list_of_features() {
    check("a.yaml", "features: {jwt: false}\njwt: {leeway: 0}\n");
    check("a.yaml", "featureGates: {Oidc: 'off'}\noidc: {leeway: 0}\n");
    check("a.yaml", "features: {jwt: true, oidc: false}\njwt: {leeway: §0}\n");
    check("a.yaml", "labels: {jwt: false}\njwt: {leeway: §0}\n");
    check("a.yaml", "features: {jwt-leeway: 0, enabled: false}\njwt: {leeway: §0}\n");
}

#[test]
fn what_is_added_to_a_clock_is_no_tolerance() {
    check("a.json", r#"{"auth": {"dpopOptions": {"clockSkew": 0, "clockTolerance": 30}}}"#);
    check("a.env", "AUTH_DPOP_CLOCK_SKEW_SECONDS=0\nAUTH_DPOP_CLOCK_TOLERANCE_SECONDS=60\n");
    check("a.env", "AUTH_DPOP_CLOCK_SKEW=§0\nAUTH_CLOCK_TOLERANCE=60\n");
    check("a.json", r#"{"oidc": {"clockSkew": §0, "clockTolerance": 30}}"#);
}

#[test]
fn a_service_may_be_named_for_what_it_keeps() {
    check("a.env", "DATABASE_API_JWT_LEEWAY=§0\nREDIS_AUTH_JWT_LEEWAY=§0\nCACHE_OIDC_CLOCK_SKEW_SECONDS=§0\n");
    check(
        "a.env",
        "LLM_GATEWAY_JWT_LEEWAY=§0\nBUCKET_API_OIDC_CLOCK_SKEW=§0\nSCHEDULER_JWT_LEEWAY=0\nPRICE_JWT_LEEWAY=0\n",
    );
    check("a.env", "DATABASE_AUTH_LEEWAY=0\nJWT_CACHE_LEEWAY=0\nJWT_DATABASE_CLOCK_SKEW=0\nREFRESH_JWT_LEEWAY=0\n");
    check("a.properties", "redis.jwt.leeway=0\n");
    check("a.yaml", "cache: {jwtLeeway: 0}\n");
}

#[test]
fn what_is_named_by_a_version_or_a_checksum_is_no_setting() {
    check("a.yaml", "versions: {jwt-clock-skew: 0}\n");
    check("a.yaml", "versions: {v1: {jwt: {leeway: §0}}}\n");
    check("a.yaml", "metadata: {annotations: {checksum/jwt-leeway: '0'}}\n");
    check("a.yaml", "metadata: {annotations: {example.com/jwt-leeway: '§0'}}\n");
    check("package.json", r#"{"overrides": {"jwt-leeway": "0"}, "config": {"jwt-leeway": "0"}}"#);
    check("app.json", r#"{"overrides": {"jwt-leeway": "§0"}}"#);
}

#[test]
fn what_a_request_carries_is_no_setting() {
    check("a.yaml", &pod("livenessProbe: {httpGet: {httpHeaders: [{name: X-Jwt-Leeway, value: '0'}]}}"));
    check(
        "a.json",
        r#"{"request": {"headers": {"jwt-leeway": "0"}, "queryString": [{"name": "jwt_leeway", "value": "0"}]}}"#,
    );
}

#[test]
fn a_comment_of_a_login_configuration_sets_nothing() {
    let option = "unsecuredValidatorAllowableClockSkewMs";
    let module = "a.b.OAuthBearerLoginModule required";
    check(
        "kafka_server_jaas.conf",
        &format!(
            "// ours\nKafkaServer {{\n{module}\n// {option}=\"0\"\n/* {option}=\"0\"\n*/ x=\"http://a\" {option}=\"§0\";\n}};\n"
        ),
    );
    check("a.jaas", &format!("{module} /* {option}=\"0\" */;"));
}

#[test]
fn what_a_mock_answers_is_no_setting() {
    let config = r#"{"providerId": "oidc", "config": {"allowedClockSkew": "0"}}"#;
    check("a.json", &format!(r#"{{"request": {{}}, "response": {{"status": 200, "jsonBody": [{config}]}}}}"#));
    check("a.json", &format!(r#"{{"httpRequest": {{}}, "httpResponse": {{"body": {config}}}}}"#));
    check("a.json", &format!(r#"{{"interactions": [{{"response": {{"body": {config}}}}}]}}"#));
    check("a.json", &config.replace("\"0\"", "\"§0\""));
}

#[test]
fn options_of_a_machine_may_stand_anywhere_in_its_variable() {
    for name in ["JAVA_OPTS", "JAVA_OPTS_APPEND", "JAVA_OPTS_KC_HEAP"] {
        check("a.env", &format!("{name}=-Xmx1g -Dquarkus.oidc.token.lifespan-grace=§0\n"));
    }
    check("a.env", "HEAP_NOTES=-Xmx1g -Dquarkus.oidc.token.lifespan-grace=0\n");
}

#[test]
fn what_a_test_asserts_is_not_set() {
    check("a.yaml", "tests:\n- set: {auth.jwt.leeway: 0}\n  asserts: [{equal: {path: jwt.leeway, value: 0}}]\n");
    check("pyproject.toml", "[tool.pytest.ini_options]\nenv = [\"JWT_LEEWAY=0\"]\n");
}

#[test]
fn a_variable_may_be_a_key_and_a_value() {
    check("render.yaml", "services: [{envVars: [{key: JWT_LEEWAY, value: §0}, {key: A_B, value: 0}]}]\n");
    check("a.yaml", "tolerations: [{key: jwt-leeway, value: '0', operator: Equal}]\n");
    check("a.yaml", "tags: [{key: jwtLeeway, value: '0'}]\n");
}

#[test]
fn a_unit_of_systemd_is_known_by_its_name() {
    check("auth.service", "[Unit]\n\n[Service]\nEnvironment=JWT_LEEWAY=§0\n");
    check("auth.container", "[Container]\nImage=a\nEnvironment=JWT_LEEWAY=§0\n");
}

#[test]
fn a_script_may_stand_in_a_command() {
    let compose = |command: &str| format!("services:\n  a:\n    command: {command}\n");
    check("compose.yaml", &compose("sh -c \"exec app --jwt-leeway=§0 -x\""));
    check("compose.yaml", &compose("/bin/bash -ec 'A=1 app --jwt-leeway \"§0s\"' --sso-leeway=0"));
    check("compose.yaml", &compose("[tini, --, sh, -c, 'app --jwt-leeway=§0']"));
    check("compose.yaml", &compose("[env, A=b, bash, -l, -c, 'app --jwt-leeway=§0']"));
    check("compose.yaml", &compose("[bash, -euo, pipefail, -c, 'app --jwt-leeway=§0']"));
    check("compose.yaml", &compose("sh -c 'app --jwt-leeway=0 --jwt-leeway=30'"));
    check("compose.yaml", &compose("sh -c 'echo --jwt-leeway=0'"));
    check("compose.yaml", &compose("echo sh -c 'app --jwt-leeway=0'"));
    check("a.service", "[Service]\nExecStart=/bin/sh -c 'exec app --jwt-leeway=§0'\n");
    check("a.yaml", &pod("command: [sh, -c, \"su-exec app sh -c 'é; app --jwt-leeway=§0'\"]"));
}

#[test]
fn assignments_may_have_commas_between_them() {
    check("supervisord.conf", "[program:a]\nenvironment=A=\"0,1\",JWT_LEEWAY=\"§0\",OIDC_LEEWAY=§0\ncommand=/a\n");
    check("supervisord.conf", "[program:a]\nenvironment=JWT_LEEWAY=\"30\",NOTE=\"JWT_LEEWAY=0,\"\ncommand=/a\n");
}

#[test]
fn what_starts_on_a_developers_machine_is_not_deployed() {
    let text = |mark: &str| {
        format!(r#"{{"profiles": {{"http": {{"environmentVariables": {{"Jwt__ClockSkewSeconds": "{mark}0"}}}}}}}}"#)
    };
    check("Properties/launchSettings.json", &text(""));
    check("settings.json", &text("§"));
}

#[test]
fn an_item_is_named_for_what_it_does() {
    let filter =
        |name: &str, mark: &str| format!("filters:\n- name: {name}\n  config: {{issuer: a, leeway: {mark}0s}}\n");
    check("a.yaml", &filter("jwt", "§"));
    check("a.yaml", &filter("auth.oidc-v2", "§"));
    check("a.yaml", "filters: [{name: jwt, enabled: false, config: {leeway: 0}}]\n");
    for other in ["token-bucket", "hmac", "jwt-refresh"] {
        check("a.yaml", &filter(other, ""));
    }
    check("a.yaml", &filter("jwt", "").replace("0s", "30s"));
}

#[test]
fn what_terraform_merges_is_set() {
    check("a.tf", "a {\n  env = merge(local.env, {\n    JWT_LEEWAY = \"§0\"\n  }, var.more)\n}\n");
    check("a.tf", "a {\n  env = merge({ JWT_LEEWAY = \"0\" }, { JWT_LEEWAY = \"30\" },)\n}\n");
    check("a.tf", "a {\n  b = length(merge({ JWT_LEEWAY = 0 })) + 1\n  c = merge()\n  jwt_leeway = §0\n}\n");
}

/// A text that says where its values come from is of its format all the same.
#[test]
fn substitutions_do_not_hide_a_format() {
    let text = "play {\n  secret = ${?SECRET}\n  http.session.jwt { a = 1, clockSkew = §0s }\n}\n";
    check("play.conf", text);
    let indented = text.replace('\n', "\n    ");
    check("a.yaml", &format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  play.conf: |\n    {indented}\n"));
    check("play.conf", &text.replace("§0s }", "0s };"));
}

/// Where a product's entry asks for a word about tokens, it is the convention's question, with all that belongs to it.
#[test]
fn an_application_of_spring_has_bounds_and_switches_too() {
    check("application.yml", "jwt: {min-leeway: 0, ignore-clock-skew: 0, leeway: 30}\n");
    check("application.yml", "jwt: {max-leeway: §0, leeway: §0}\n");
    check("appsettings.json", r#"{"Jwt": {"IgnoreClockSkew": 0, "ClockSkew": "§00:00:00"}}"#);
}

#[test]
fn each_tenant_has_a_switch_of_its_own() {
    let file = "application.properties";
    let set = |tenant: &str, mark: &str| format!("quarkus.oidc.{tenant}token.lifespan-grace={mark}0\n");
    check(file, &format!("quarkus.oidc.a.tenant-enabled=false\n{}", set("a.", "")));
    check(file, &format!("quarkus.oidc.tenant-enabled=false\n{}{}", set("a.", "§"), set("", "")));
    check(file, &format!("quarkus.oidc.a.tenant-enabled=false\n{}{}", set("b.", "§"), set("", "§")));
    let nested = |default: bool, tenant: bool, mark: &str| {
        format!(
            "quarkus: {{oidc: {{tenant-enabled: {default}, a: {{tenant-enabled: {tenant}, token: {{lifespan-grace: {mark}0}}}}}}}}\n"
        )
    };
    check("application.yaml", &nested(true, false, ""));
    check("application.yaml", &nested(false, true, "§"));
    check("a.env", "QUARKUS_OIDC_A_TENANT_ENABLED=false\nQUARKUS_OIDC_A_TOKEN_LIFESPAN_GRACE=0\n");
}

#[test]
fn a_condition_stands_where_the_setting_stands() {
    check("a.env", "KAFKA_CFG_SASL_ENABLED_MECHANISMS=PLAIN\nKAFKA_CFG_SASL_OAUTHBEARER_CLOCK_SKEW_SECONDS=0\n");
    check("a.env", "OTHER_SASL_ENABLED_MECHANISMS=PLAIN\nKAFKA_CFG_SASL_OAUTHBEARER_CLOCK_SKEW_SECONDS=§0\n");
    check("a.properties", "sasl.mechanism=PLAIN\nsasl.oauthbearer.clock.skew.seconds=0\n");
    check("a.properties", "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.clock.skew.seconds=§0\n");
    check("gravitino.conf", "gravitino.authenticators = simple\ngravitino.authenticator.oauth.allowSkewSecs = 0\n");
    check(
        "gravitino.conf",
        "gravitino.authenticators = simple,oauth\ngravitino.authenticator.oauth.allowSkewSecs = §0\n",
    );
    check("a.json", r#"{"use_keyless": true, "enable_jwt": true, "jwt_issued_at_validation_skew": 0}"#);
    check("a.json", r#"{"use_keyless": false, "enable_jwt": true, "jwt_issued_at_validation_skew": §0}"#);
}

#[test]
fn a_feature_is_off_where_each_of_its_switches_is() {
    let onlyoffice = |browser: bool, inbox: bool, mark: &str| {
        format!(
            r#"{{"services": {{"CoAuthoring": {{"token": {{"enable": {{"browser": {browser}, "request": {{"inbox": {inbox}, "outbox": false}}}},
 "verifyOptions": {{"clockTolerance": {mark}0}}}}}}}}}}"#
        )
    };
    check("local.json", &onlyoffice(false, false, ""));
    check("local.json", &onlyoffice(true, false, "§"));
    check("local.json", &onlyoffice(false, true, "§"));
    check("a.yaml", "jwt: {enabled: {}, leeway: §0}\n");
}

#[test]
fn what_was_put_aside_by_its_key_is_not_set() {
    for key in ["@auth/validator", "_auth/validator", "$auth/validator", "auth/validator_", "auth/validator.bak"] {
        check("krakend.json", &format!(r#"{{"extra_config": {{"{key}": {{"alg": "RS256", "leeway": "0s"}}}}}}"#));
    }
    check(
        "krakend.json",
        r#"{"extra_config": {"auth/validator": {"alg": "RS256", "leeway": "§0s", "_leeway": "0s"}}}"#,
    );
    check("a.yaml", "_jwt: {leeway: 0}\njwt.disabled: {leeway: 0}\ndisabled_oidc: {leeway: 0}\njwt: {leeway: §0}\n");
    check("cloudbuild.yaml", "substitutions: {_JWT_LEEWAY: '§0'}\n");
}

#[test]
fn where_zero_is_the_default_a_patch_may_write_it() {
    let head =
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyPatchPolicy\nspec:\n  jsonPatches:\n  - operation:\n";
    let path =
        "/default_filter_chain/filters/0/typed_config/http_filters/0/typed_config/providers/auth/clock_skew_seconds";
    check("a.yaml", &format!("{head}      op: add\n      path: {path}\n      value: 0\n"));
    check("a.yaml", "resources: {idp: {type: okta:idp:Oidc, properties: {issuerMode: ORG_URL, auth: 1}}}\n");
}

#[test]
fn an_issuer_dates_the_tokens_of_its_applications() {
    check(
        "a.json",
        r#"{"oidcConfig": {"redirectUris": ["https://a"], "idTokenRoleAssertion": false, "clockSkew": "0s"}}"#,
    );
    check("a.yaml", "kind: x\noidc: {accessTokenRoleAssertion: true, clockSkew: 0s}\n");
    check("a.yaml", "oidc: {redirectUris: [https://a], clockSkew: §0s}\n");
}

#[test]
fn another_way_to_log_in_has_another_clock() {
    for method in ["hmac", "signature", "aws-sigv4", "apikey", "api_key", "basic", "mtls", "HTTP_SIGNATURE"] {
        check("a.yaml", &format!("auth: {{method: {method}, clock_skew_seconds: 0}}\n"));
        check("a.env", &format!("AUTH_PROVIDER={method}\nAUTH_CLOCK_SKEW=0\n"));
    }
    check("a.yaml", "auth: {method: jwt, clock_skew_seconds: §0}\n");
    // How a token is signed.
    check("a.yaml", "jwt: {method: hmac, leeway: §0}\n");
    check("a.env", "JWT_TYPE=hmac\nJWT_LEEWAY=§0\n");
    check("a.env", "SMTP_AUTH_METHOD=basic\nJWT_LEEWAY=§0\n");
    for other in ["httpSignature", "aws", "apiKey", "stripe", "rate_limit", "id-generator", "kafka", "retry", "queue"] {
        check("a.yaml", &format!("auth: {{{other}: {{clockSkew: 0}}, jwt: {{clockSkew: §0}}}}\n"));
    }
    let service = "services: {sso-service: {environment: {S3_SIGNATURE_CLOCK_SKEW: 0, SSO_CLOCK_SKEW: §0}}}\n";
    check("docker-compose.yml", service);
    check(
        "a.env",
        "KAFKA_OAUTH_CLOCK_SKEW=§0\nAWS_COGNITO_JWT_LEEWAY=§0\nJWT_SIGNATURE_LEEWAY=§0\nAUTH_QUEUE_CLOCK_SKEW=0\n",
    );
    check("a.yaml", "scheb_two_factor: {google: {leeway: 0}}\nmfa: {leeway: 0}\n");
}

#[test]
fn drift_without_a_word_about_tokens_is_another_ones() {
    check("config.toml", "max_clock_drift = \"0s\"\nallowed-clock-drift = \"0s\"\n");
    check("a.json", r#"{"initialized": true, "sealed": false, "standby": false, "clock_skew_ms": 0}"#);
    check("a.env", "JWT_CLOCK_DRIFT=§0\n");
}

#[test]
fn a_number_in_appsettings_has_the_unit_of_its_program() {
    check("appsettings.json", r#"{"Jwt": {"ClockSkew": 5, "Name": "a"}}"#);
    check("appsettings.json", r#"{"Jwt": {"ClockSkew": §0}}"#);
}

#[test]
fn what_a_test_wants_or_a_scanner_looks_for_is_not_set() {
    check("a.yaml", "rules:\n- id: a\n  patterns:\n  - pattern: |\n      jwt:\n        leeway: 0\n");
    let test = "apiVersion: chainsaw.kyverno.io/v1alpha1\nkind: Test\nspec: {steps: [{try: [{error: {resource: {data: {JWT_LEEWAY: '0'}}}}]}]}\n";
    check("chainsaw-test.yaml", test);
    let map = "apiVersion: v1\nkind: ConfigMap\ndata: {JWT_LEEWAY: '§0'}\n";
    for name in ["tests/00-assert.yaml", "01-errors.yaml", "00-assert-map.yaml"] {
        check(name, &map.replace('§', ""));
    }
    check("00-install.yaml", map);
    check("phpunit.xml", "<phpunit><php><env name=\"JWT_LEEWAY\" value=\"0\"/></php></phpunit>");
    check(".vscode/launch.json", r#"{"configurations": [{"env": {"JWT_LEEWAY": "0"}}]}"#);
    check("src/test/resources/application-test.properties", "jwt.leeway=0\n");
    check("application-tests.properties", "jwt.leeway=§0\n");
}
