//! Clocks and leeways of others that stand near a word about tokens, and settings that nothing runs with. Marked as in
//! `traps`.

use super::traps::{check, pod};
use clockwarden::inspect::json::tree_from_json;
use clockwarden::inspect::{Bounds, Catalogue, Limits, Severity, inspect, inspect_file};

#[test]
fn a_word_about_tokens_does_not_make_every_clock_theirs() {
    let others = "db hlc jaeger event sensor schedule lock quartz sonyflake ulid sntp kinesis cert pki tls ocsp crl nonce csrf \
                  session cookie idle lockout aksk signedRequests signedUrl";
    for other in others.split_whitespace() {
        check("a.yaml", &format!("auth: {{{other}: {{leeway: 0, jwt: {{leeway: §0}}}}, leeway: §0}}\n"));
    }
    for other in "memory quota attempts timeout deadline poll cleanup gc mock sas logout signing".split_whitespace() {
        check("a.yaml", &format!("auth: {{{other}: {{leeway: 0}}, jwt: {{{other}: {{leeway: 0}}, leeway: §0}}}}\n"));
    }
    let env = "{DB_CLOCK_DRIFT: '0', HLC_MAX_CLOCK_SKEW: '0', EVENT_TIME_SKEW: '0', AUTH_CLOCK_SKEW: '§0'}";
    check("compose.yaml", &format!("services: {{auth: {{image: a, environment: {env}}}}}\n"));
    // A part of what checks the tokens.
    check("a.yaml", "jwt: {cookie: {leeway: §0}, session: {leeway: §0}, timeout: {leeway: 0}}\n");
}

#[test]
fn one_time_passwords_and_webhooks_have_an_authentication_of_their_own() {
    check("a.yaml", "auth: {google_authenticator: {issuer: Shop, leeway: 0}, twoFa: {leeway: 0}}\n");
    check("a.env", "TWO_FACTOR_AUTH_LEEWAY=0\nGOOGLE_AUTHENTICATOR_CLOCK_DRIFT=0\nAUTHENTICATOR_LEEWAY=§0\n");
    check("a.env", "WEBHOOK_AUTH_LEEWAY=0\nSLACK_AUTH_TIME_SKEW=0\nS3_AUTH_CLOCK_SKEW=0\nHLS_TOKEN_LEEWAY=0\n");
    check("a.env", "WEBHOOK_JWT_LEEWAY=§0\nGITHUB_APP_JWT_CLOCK_DRIFT=§0\nJWT_SIGNING_LEEWAY=0\n");
    check("a.toml", "[token_bridge]\nclock_drift = \"0s\"\n[token_service]\nclock_drift = \"§0s\"\n");
}

#[test]
fn what_an_issuer_or_a_browser_writes_is_no_tolerance() {
    check("cas.properties", "cas.authn.saml-idp.response.skew-allowance=PT0S\ncas.samlCore.skewAllowance=0\n");
    check("keycloak.json", r#"{"auth": {"keycloak": {"initOptions": {"onLoad": "check-sso", "timeSkew": 0}}}}"#);
    check("a.json", r#"{"auth": {"timeSkew": §0}}"#);
}

#[test]
fn a_client_of_kafka_validates_nothing() {
    let set = "sasl.oauthbearer.clock.skew.seconds=";
    let login = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
    check("a.properties", &format!("sasl.login.callback.handler.class={login}\n{set}0\n"));
    check("a.properties", &format!("security.protocol=SSL\n{set}0\n"));
    check("a.properties", &format!("security.protocol=SASL_SSL\n{set}§0\n"));
    let jaas = |section: &str, mark: &str| {
        format!(
            "{section} {{\n  org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required\n  \
             unsecuredValidatorAllowableClockSkewMs=\"{mark}0\";\n}};\n"
        )
    };
    check("jaas.conf", &jaas("KafkaServer", "§"));
    check("jaas.conf", &jaas("KafkaClient", ""));
    check("login.conf", &jaas("KafkaServer", "§").replace("required", "Required"));
}

#[test]
fn a_client_fetches_its_token_anew() {
    // At most a warning: see `how_long_before_its_end_a_token_is_fetched_is_no_tolerance`.
    let severities = |text: &str| {
        let file = inspect_file(Some("a.yaml"), text, Catalogue::builtin(), &Bounds::default(), &Limits::default());
        file.documents.iter().flat_map(|(_, it)| &it.findings).map(|it| it.severity).collect::<Vec<_>>()
    };
    for client in [
        "crm: {clientCredentials: {tokenUrl: https://a, clockSkew: 0}}",
        "auth: {clientCredentials: {leeway: 0}}",
        "auth: {prefetchLeeway: 0}",
    ] {
        assert_eq!(severities(client), [Severity::Warning], "{client}");
    }
    for verifier in ["oidc: {client: {clockSkew: 0}}", "clientCredentials: {jwt: {clockSkew: 0}}"] {
        assert_eq!(severities(verifier), [Severity::Error], "{verifier}");
    }
}

#[test]
fn one_tolerance_may_have_two_names() {
    check("a.env", "JWT_LEEWAY_MINUTES=0\nJWT_LEEWAY_SECONDS=30\n");
    check("a.env", "JWT_LEEWAY_MINUTES=§0\nJWT_LEEWAY_SECONDS=§0\nOTHER_LEEWAY_SECONDS=30\n");
    check("a.env", "JWT_LEEWAY_SECONDS=§0\njwtLeewaySeconds=30\n");
    check("a.properties", "jwt.clock-skew.minutes=0\njwt.clock-skew.seconds=30\n");
    check("a.json", r#"{"Jwt": {"ClockSkewMinutes": 0, "ClockSkewSeconds": 30}}"#);
}

#[test]
fn what_was_is_not_what_is() {
    let review = |old: &str, new: &str| {
        format!(
            r#"{{"kind": "AdmissionReview", "request": {{"oldObject": {{"data": {{"JWT_LEEWAY": "{old}"}}}}, "object": {{"data": {{"JWT_LEEWAY": "{new}"}}}}}}}}"#
        )
    };
    check("a.json", &review("0", "30"));
    check("a.json", &review("30", "§0"));
    check(
        "plan.json",
        r#"{"resource_changes": [{"change": {"before": {"jwt_leeway": 0}, "after": {"jwt_leeway": 30}}}]}"#,
    );
    check("a.yaml", "- kubernetes.core.k8s: {state: absent, definition: {data: {JWT_LEEWAY: '0'}}}\n");
    check("a.yaml", "- kubernetes.core.k8s: {state: present, definition: {data: {JWT_LEEWAY: '§0'}}}\n");
    let set = |replicas: u8, mark: &str| {
        format!(
            "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata:\n  name: a\n  ownerReferences: [{{kind: Deployment, name: a}}]\nspec:\n  replicas: {replicas}\n  template: {{spec: {{containers: [{{name: a, env: [{{name: JWT_LEEWAY, value: '{mark}0'}}]}}]}}}}\n"
        )
    };
    check("a.yaml", &set(0, ""));
    check("a.yaml", &set(1, "§"));
}

#[test]
fn what_tests_and_developers_run_with_is_not_deployed() {
    check("main.tftest.hcl", "variables {\n  jwt_leeway = 0\n}\n");
    let surefire = |plugin: &str, mark: &str| {
        format!(
            "<project><plugin><artifactId>{plugin}</artifactId><configuration><environmentVariables><JWT_LEEWAY>{mark}0</JWT_LEEWAY></environmentVariables></configuration></plugin></project>"
        )
    };
    check("pom.xml", &surefire("maven-surefire-plugin", ""));
    check("pom.xml", &surefire("maven-failsafe-plugin", ""));
    check("pom.xml", &surefire("jib-maven-plugin", "§"));
    for file in [".env.test", ".env.testing", "api/.env.test.local"] {
        check(file, "JWT_LEEWAY=0\nA=1\n");
    }
    check(".env.production", "JWT_LEEWAY=§0\nA=1\n");
    for file in [
        "appsettings.Test.json",
        "appsettings.Testing.json",
        "jest.config.json",
        ".vscode/settings.json",
        ".idea/a.json",
        ".devcontainer/devcontainer.json",
        "local.settings.json",
        ".eslintrc.json",
        "application-test.json",
    ] {
        check(file, r#"{"a": {"jwt": {"leeway": 0}}}"#);
    }
    check("application-test.yml", "jwt: {leeway: 0}\n");
    check("application-prod.yml", "jwt: {leeway: §0}\n");
    let map = "apiVersion: v1\nkind: ConfigMap\ndata:\n  application-test.yml: 'jwt: {leeway: §0}'\n";
    check("a.yaml", map);
    check("application.properties", "spring.config.activate.on-profile=test\njwt.leeway=0\n");
    check("a.yaml", &pod("command: [pytest, --jwt-leeway=0]"));
    check("a.yaml", &pod("command: [sh, -c, 'pytest --jwt-leeway=0']"));
    let hook = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {helm.sh/hook: test}}\nspec: {containers: [{name: a, args: [--jwt-leeway=0]}]}\n";
    check("a.yaml", hook);
}

/// Whoever writes an object cannot excuse it from the cluster's policy.
#[test]
fn no_annotation_excuses_at_admission() {
    let pod =
        br#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {"helm.sh/hook": "test"}},
 "spec": {"containers": [{"name": "a", "args": ["--jwt-leeway=0"]}]}}"#;
    let tree = tree_from_json(pod, &Limits::default()).expect("an object");
    let found = inspect(&tree, Catalogue::builtin(), &Bounds::default(), &Limits::default()).findings;
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn what_is_counted_and_logged_is_not_set() {
    check("a.json", r#"{"level": "info", "msg": "token verified", "jwt_clock_skew": 0}"#);
    check("a.json", r#"{"counters": {"auth": {"clock_skew": 0}}, "errors": {"AUTH_CLOCK_SKEW": 0}}"#);
    check("a.yaml", "alerts: {jwt: {clockSkew: 0}}\nthresholds: {jwt: {clockSkew: 0}}\n");
    check("a.yaml", "faults: {token: {clock_skew: 0}}\nchaos: {auth: {clockSkew: 0}}\n");
    check("compose.yaml", "services: {mock-oidc: {image: a, environment: {CLOCK_SKEW: '0'}}}\n");
}

#[test]
fn what_has_no_issuer_is_not_configured() {
    check("values.yaml", "oidc: {issuer: '', clientId: '', clockSkew: 0}\n");
    check("values.yaml", "oidc: {issuer: https://a, clientId: '', clockSkew: §0}\n");
    check("a.env", "OIDC_ISSUER_URL=\nOIDC_CLOCK_SKEW=0\nJWT_LEEWAY=§0\n");
    check("a.yaml", "authentication: {type: ldap, ldap: {url: a}, oidc: {clockSkew: 0}, jwt: {leeway: §0}}\n");
    check("a.env", "AUTH_TYPE=ldap\nOIDC_CLOCK_SKEW=0\nJWT_LEEWAY=§0\n");
    check("a.toml", "[auth]\nkind = \"none\"\n[auth.jwt]\nleeway = 0\n");
    check("a.yaml", &pod("args: [--insecure-disable-auth, --jwt-clock-skew=0s]"));
    check("a.yaml", "oidc: {inactive: true, leeway: 0}\n");
}

#[test]
fn a_token_that_is_known_to_be_over_is_read_without_its_times() {
    check("appsettings.json", r#"{"ExpiredTokenParameters": {"ValidateLifetime": false}}"#);
    check("a.json", r#"{"jwt": {"logout": {"ignoreExpiration": true}, "ignoreExpiration": §true}}"#);
}

#[test]
fn the_last_of_two_switches_counts() {
    check("a.properties", "jwt.enabled=false\njwt.enabled=true\njwt.leeway=§0\n");
    check("a.properties", "jwt.enabled=true\njwt.enabled=false\njwt.leeway=0\n");
    check("a.env", "OIDC_ENABLED=false\nOIDC_ENABLED=true\nOIDC_LEEWAY=§0\n");
    check("a.yaml", &pod("args: [--jwt-enabled=false, --jwt-enabled=true, --jwt-leeway=§0]"));
    let env =
        "[{name: JWT_ENABLED, value: 'false'}, {name: JWT_ENABLED, value: 'true'}, {name: JWT_LEEWAY, value: '§0'}]";
    check("a.yaml", &pod(&format!("env: {env}")));
    let many = |last: &str| format!("{}jwt.enabled={last}\n", "jwt.enabled=false\n".repeat(40));
    check("a.properties", &format!("{}jwt.leeway=0\n", many("false")));
    check("a.properties", &format!("{}jwt.leeway=§0\n", many("true")));
    // Of Quarkus' own switch too.
    let tenant = "quarkus.oidc.tenant-enabled=";
    check("a.properties", &format!("{tenant}false\n{tenant}true\nquarkus.oidc.token.lifespan-grace=§0\n"));
}

#[test]
fn a_variable_says_itself_what_it_is_about() {
    check("compose.yaml", "services: {scheduler: {image: a, environment: {JWT_LEEWAY: '§0', LEEWAY: '0'}}}\n");
    check("compose.yaml", "services: {redis-api: {image: a, environment: ['OIDC_CLOCK_SKEW=§0', 'CACHE_JWT=1']}}\n");
    check("a.yaml", "scheduler: {jwt: {leeway: 0}}\n");
}

#[test]
fn a_mechanism_may_be_written_in_one_word() {
    check("appsettings.json", r#"{"OpenIdConnect": {"ClockSkew": "§00:00:00"}}"#);
    check("a.env", "OpenIdConnect__ClockSkew=§00:00:00\nOPENIDCONNECT_CLOCK_SKEW_SECONDS=§0\n");
    check("a.yaml", "spec: {openIDConnect: {clockSkew: §0s}}\njwtAuth: {clockSkew: §0}\njwtauth: {leeway: §0}\n");
    check(
        "a.yaml",
        "connectors: [{type: saml, id: a, config: {clockSkew: §0}}]\nplugins: [{kind: jwt, config: {leeway: §0}}]\n",
    );
    check("a.yaml", "- {key: jwt.leeway, value: §0}\n");
}

#[test]
fn a_snippet_may_be_one_line() {
    let ingress = |name: &str, text: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: a\n  annotations: {{{name}: \"{text}\"}}\n"
        )
    };
    check("a.yaml", &ingress("nginx.org/server-snippets", "auth_jwt_leeway §0s;"));
    check("a.yaml", &ingress("nginx.org/description", "auth_jwt_leeway 0s;"));
    let server = "apiVersion: k8s.nginx.org/v1\nkind: VirtualServer\nspec: {routes: [{location-snippets: auth_jwt_leeway §0;}]}\n";
    check("a.yaml", server);
    let map = "apiVersion: v1\nkind: ConfigMap\ndata: {server-snippet: \"auth_jwt_leeway §0;\", oidc.conf: \"OIDCIDTokenIatSlack §0\"}\n";
    check("a.yaml", map);
}

#[test]
fn a_template_that_is_named_is_looked_at() {
    for name in ["a.yaml.j2", "a.yaml.tpl", "values.yaml.gotmpl", "a.yml.tmpl"] {
        check(name, "jwt:\n  leeway: §0\n");
    }
    check("a.env.j2", "JWT_LEEWAY=§0\n");
    check("_helpers.tpl", "jwt:\n  leeway: 0\n");
    check("a.yaml", &pod("command: [su, -c, 'app --jwt-leeway=§0', user]"));
}
