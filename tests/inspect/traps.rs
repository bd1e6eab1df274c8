//! What real files do to linters: each trap by its name, as small as it goes.

use clockwarden::inspect::{Bounds, Catalogue, Limits, Severity, inspect_file};

/// Stands before each value that must be refused; nothing else may be said.
const MARK: char = '§';

pub(super) fn check(name: &str, marked: &str) {
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

pub(super) fn pod(container: &str) -> String {
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
    check("a.yaml", &pod("args: [--no-jwt, --jwt-leeway=0]"));
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
    for name in [
        "auth.totp",
        "token.bucket",
        "auth.x509",
        "llm.token",
        "token.rotation",
        "auth.leader",
        "aws.sigv4.auth",
        "auth.database",
        "redis.auth",
    ] {
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

#[test]
fn asking_for_a_program_does_not_run_it() {
    let script = |line: &str| pod(&format!("command: [sh, -c, \"{line}\"]"));
    check("a.yaml", &script("command -v faketime >/dev/null 2>&1 || exit 1"));
    check("a.yaml", &script("§faketime -1d app >/dev/null 2>&1"));
}

#[test]
fn what_a_script_reads_and_writes_is_no_flag() {
    let script = |line: &str| pod(&format!("command: [sh, -c, \"{line}\"]"));
    check("a.yaml", &script("sort <<<jwt_leeway=0"));
    check("a.yaml", &script("app > jwt_leeway=0"));
    check("a.yaml", &script("app 2>&1 --jwt-leeway=§0"));
}

#[test]
fn a_time_daemon_may_be_named_by_its_key() {
    let values = |name: &str| format!("{name}:\n  securityContext: {{capabilities: {{add: [SYS_TIME]}}}}\n");
    check("values.yaml", &values("chrony"));
    check("values.yaml", &values("nodeExporter"));
    check("values.yaml", &values("backup").replace("SYS", "§SYS"));
}

#[test]
fn what_was_put_aside_is_not_loaded() {
    let map = |name: &str, mark: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  {name}: |\n    jwt:\n      leeway: {mark}0\n")
    };
    for name in ["app.yml.bak", "app.yml.orig", "app.yml.old", "app.yml.disabled", "app.yml~"] {
        check("a.yaml", &map(name, ""));
    }
    check("a.yaml", &map("app.yml", "§"));
}

#[test]
fn what_is_written_for_people_is_no_document() {
    let object = |key: &str, mark: &str| {
        format!("apiVersion: example.com/v1\nkind: Rule\nspec:\n  {key}: |\n    jwt:\n      leeway: {mark}0\n")
    };
    for key in ["description", "runbook", "release-notes", "artifacthub.io/changes", "docs"] {
        check("a.yaml", &object(key, ""));
    }
    check("a.yaml", &object("config", "§"));
}

#[test]
fn a_schema_inside_of_an_object_sets_nothing() {
    let object = |kind: &str, mark: &str| {
        format!(
            "apiVersion: example.com/v1\nkind: Template\nspec:\n  type: {kind}\n  properties: {{a: {{type: integer}}}}\n  \
             default: {{jwt: {{leeway: {mark}0}}}}\n"
        )
    };
    check("a.yaml", &object("object", ""));
    check("a.yaml", &object("web", "§"));
}

#[test]
fn an_example_is_nobodys_setting() {
    let realm = |key: &str, mark: &str| {
        format!("{{\"{key}\": [{{\"identityProviders\": [{{\"config\": {{\"allowedClockSkew\": \"{mark}0\"}}}}]}}]}}")
    };
    check("a.json", &realm("examples", ""));
    check("a.json", &realm("realms", "§"));
}

#[test]
fn labels_are_for_selecting() {
    let pod = |key: &str, mark: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata:\n  {key}: {{example.com/jwt-leeway: '{mark}0'}}\n")
    };
    check("a.yaml", &pod("labels", ""));
    check("a.yaml", &pod("annotations", "§"));
    check("a.yaml", "apiVersion: v1\nkind: Service\nspec: {selector: {matchLabels: {jwt-leeway: '0'}}}\n");
}

#[test]
fn a_switch_says_in_many_ways_that_a_feature_is_off() {
    for switch in [
        "JWT_AUTH_ENABLED=false",
        "USE_JWT=no",
        "JWT_MODE=none",
        "AUTH_TYPE=none",
        "JWT_STATUS=disabled",
        "SKIP_JWT_VALIDATION=true",
        "AUTH_JWT_ENABLED=0",
    ] {
        check("a.env", &format!("{switch}\nJWT_LEEWAY=0\n"));
    }
    check("a.yaml", "saml: {enabled: false}\nsamlLeeway: 0\n");
    check("a.yaml", "saml: {enabled: true}\nsamlLeeway: §0\n");
    check("a.yaml", "saml: {slo: false}\nsamlLeeway: §0\n");
    for other in ["JWT_MODE=strict", "JWT_AUTH_METHOD=none", "JWT_TYPE=0", "JWT_DEBUG=false", "OIDC_ENABLED=false"] {
        check("a.env", &format!("{other}\nJWT_LEEWAY=§0\n"));
    }
}

#[test]
fn a_pair_may_stand_alone() {
    check("a.tf", "set {\n  name = \"auth.jwt.leeway\"\n  value = \"§0\"\n}\n");
    check("a.tf", "set {\n  name = \"topology.skew\"\n  value = \"0\"\n}\n");
    // And what is inside of it is told once.
    check("a.tf", "env {\n  name = \"CONFIG\"\n  value = \"{\\\"jwt\\\":{\\\"leeway\\\":§0}}\"\n}\n");
}

#[test]
fn a_flag_may_hold_an_assignment() {
    check("a.yaml", &pod("args: [--set=auth.jwt.leeway=§0, --set=topology.maxSkew=0]"));
    check("a.yaml", &pod("command: [sh, -c, docker run --env=JWT_LEEWAY=§0 app --url=https://a/?jwt_leeway=0]"));
    check("a.yaml", &pod("args: [--set=jwt.enabled=false, --set=jwt.leeway=0]"));
}

#[test]
fn a_pair_may_be_written_with_capitals() {
    check("stack.json", r#"{"Environment": [{"Name": "JWT_LEEWAY", "Value": "§0"}, {"Name": "A", "Value": "0"}]}"#);
}

#[test]
fn a_json_patch_names_what_it_sets() {
    let patch = |op: &str, mark: &str| format!("- op: {op}\n  path: /data/JWT_LEEWAY\n  value: \"{mark}0\"\n");
    check("a.yaml", &patch("add", "§"));
    check("a.yaml", &patch("replace", "§"));
    check("a.yaml", &patch("test", ""));
    check("a.yaml", "- op: replace\n  path: /spec/topologySpreadConstraints/0/maxSkew\n  value: 0\n");
}

#[test]
fn a_unit_of_systemd_sets_variables_and_runs_commands() {
    let unit = "[Service]\nEnvironment=JWT_LEEWAY=§0\nEnvironment=\"OIDC_LEEWAY=§0\" A=1\nExecStart=/app --sso-leeway=§0s -x\n";
    check("auth.service.ini", unit);
    check(
        "auth.service.ini",
        "[Service]\nEnvironment=JWT_LEEWAY=30\nEnvironment=\"NOTE=jwt leeway 0\"\nExecStart=/app -x\n",
    );
}

#[test]
fn a_value_in_a_block_stands_in_its_line() {
    check("a.yaml", "jwt:\n  leeway: |\n    §0\n  x: 1\n");
    check("a.yaml", "jwt:\n  leeway: >-\n    §0\n");
}

#[test]
fn labels_choose_wherever_they_stand() {
    check("a.yaml", "apiVersion: v1\nkind: Service\nspec: {selector: {jwt-leeway: '0'}}\n");
    check("a.yaml", "apiVersion: v1\nkind: Pod\nspec: {nodeSelector: {jwt-leeway: '0'}}\n");
    check("values.yaml", "podLabels: {jwt-leeway: '0'}\nservice: {labels: {jwt-leeway: '0'}}\n");
    check(
        "rules.yaml",
        "groups:\n- rules:\n  - {expr: up, annotations: {jwt_leeway: '0'}, labels: {jwt_leeway: '0'}}\n",
    );
    check("values.yaml", "podAnnotations: {jwt-leeway: '§0'}\n");
    // Those of a container are read by what stands in front of it.
    check("compose.yaml", "services: {a: {labels: {traefik.http.middlewares.x.jwt.leeway: §0}}}\n");
}

#[test]
fn a_name_that_begins_like_an_order_is_a_switch() {
    for name in ["JWT_ENABLE_CLOCK_SKEW", "USE_JWT_LEEWAY", "JWT_IGNORE_CLOCK_SKEW", "JWT_LOG_CLOCK_SKEW"] {
        check("a.env", &format!("{name}=0\n"));
        check("a.env", &format!("{name}=§0s\n"));
    }
    check("a.yaml", "auth: {checkClockSkew: 0, correctClockSkew: 0}\n");
    // The name of a service, and of what is done with a token.
    check("a.env", "LOG_API_JWT_LEEWAY=§0\nJWT_VERIFY_LEEWAY=§0\n");
}

#[test]
fn the_least_that_may_be_chosen_is_no_choice() {
    check("a.yaml", "jwt: {minLeeway: 0, leeway: 30}\n");
    check("a.yaml", "jwt: {clockSkew: {min: 0, max: 60}}\n");
    check("a.yaml", "jwt: {leewayMin: 0, leewayMax: 60}\njwtLimits: {leewayMin: 0, maxLeeway: 60}\n");
    check("a.yaml", "jwt: {clockSkew: {min: §0}}\n");
}

#[test]
fn a_case_of_a_test_configures_nothing() {
    check("a.json", r#"[{"input": {"jwt": {"leeway": 0}}, "want": "refused"}]"#);
    check("a.yaml", "testCases: [{jwt: {leeway: 0}}]\nfixtures: {jwt: {leeway: 0}}\n");
    check("a.json", r#"[{"input": {"jwt": {"leeway": §0}}, "name": "want"}]"#);
}

#[test]
fn a_value_may_stand_beside_its_unit() {
    check("a.yaml", "jwt:\n  leeway: {value: §0, unit: s}\n");
    check("a.yaml", "jwt:\n  leeway: {value: 30, unit: seconds}\n");
    check("a.yaml", "variables:\n  JWT_LEEWAY: {value: \"§0\", description: none}\n");
    check("app.json", r#"{"env": {"JWT_LEEWAY": {"value": "§0"}, "PORT": {"value": "0"}}}"#);
    // What a panel shows, what a module tells, what is not measured in time.
    check("a.json", r#"{"panels": [{"jwtLeeway": {"value": 0}}]}"#);
    check("a.tf", "output \"jwt_leeway\" { value = 0 }\n");
    check("a.yaml", "jwt:\n  leeway: {value: 0, unit: percent}\n");
}

#[test]
fn several_assignments_stand_in_one_flag() {
    check("a.yaml", &pod("args: ['--set=jwt.leeway=§0,replicas=0', --set, 'a=0,auth.oidc.clockSkew=§0s']"));
    check("a.yaml", &pod("command: [sh, -c, 'helm upgrade a b --set x=0,jwt.leeway=§0']"));
    check(
        "a.yaml",
        &pod("args: ['--set=jwt.leeway=30,replicas=0', '--set=jwt.list=0\\,1,x=2', --set, 'jwt.leeway=0\\,5']"),
    );
    // Another flag's commas are its own.
    check("a.yaml", &pod("args: ['-e', 'JWT_LEEWAY=0,X=1']"));
}

#[test]
fn what_is_merged_is_told_as_the_worst_that_it_is() {
    check("a.yaml", "x: &x\n  clockSkew: §0s\njwt:\n  <<: *x\noidc:\n  <<: *x\n");
}

/// Every setting in base64 has the place of the whole value, and is one of its own all the same.
#[test]
fn settings_that_share_a_place_are_each_told() {
    use base64::Engine as _;
    let packed = base64::engine::general_purpose::STANDARD.encode("jwt.leeway=0\noidc.leeway=0\n");
    let text = format!("apiVersion: v1\nkind: ConfigMap\nbinaryData:\n  a.properties: {packed}\n");
    let file = inspect_file(Some("a.yaml"), &text, Catalogue::builtin(), &Bounds::default(), &Limits::default());
    let paths: Vec<_> = file.documents[0].1.findings.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(paths, ["jwt", "oidc"].map(|word| format!("binaryData[\"a.properties\"].{word}.leeway")));
}

#[test]
fn a_file_that_is_named_a_schema_is_one() {
    let text = |name: &str, mark: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  {name}: '{{\"properties\": {{\"jwt\": {{\"leeway\": {mark}0}}}}}}'\n"
        )
    };
    check("a.yaml", &text("values.schema.json", ""));
    check("a.yaml", &text("values.json", "§"));
    check("a.json", r#"{"properties": {"jwt": {"type": "object"}}, "default": {"jwt": {"leeway": 0}}}"#);
}

#[test]
fn a_gateway_is_configured_in_a_description() {
    let tyk = r#"{"openapi": "3.0.3", "x-tyk-api-gateway": {"server": {"authentication": {"securitySchemes":
 {"a": {"enabled": true, "issuedAtValidationSkew": §0}}}}}, "x-docs": {"jwt": {"leeway": 0}}, "jwt": {"leeway": 0}}"#;
    check("a.json", tyk);
    let map = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a.json: '{\"openapi\": \"3.0.0\", \"x-kong-a\": {\"jwt\": {\"leeway\": §0}}}'\n";
    check("a.yaml", map);
}

#[test]
fn what_is_answered_and_proposed_is_not_set() {
    check("a.json", r#"{"info": {"schema": "https://schema.getpostman.com/json/a"}, "item": {"jwt": {"leeway": 0}}}"#);
    check("a.json", r#"{"responses": {"200": {"jwt": {"leeway": 0}}}}"#);
    check("a.yaml", "jwt: {type: object, title: Tokens, default: {leeway: 0}}\n");
    check("a.yaml", "jwt: {type: web, title: Tokens, default: {leeway: §0}}\n");
}

#[test]
fn variables_and_flags_of_a_container_switch_one_another_off() {
    check("a.yaml", &pod("env: [{name: OIDC_ENABLED, value: 'false'}]\n    args: [--oidc-clock-skew=0]"));
    check("a.yaml", &pod("args: [--oidc-enabled=false]\n    env: [{name: OIDC_CLOCK_SKEW, value: '0'}]"));
    check("a.yaml", &pod("args: [--skip-auth]\n    env: [{name: OIDC_CLOCK_SKEW, value: '0'}]"));
    check("a.yaml", &pod("env: [{name: ENABLED, value: 'false'}]\n    args: [--oidc-clock-skew=§0]"));
    check("a.yaml", &pod("env: [{name: SAML_ENABLED, value: 'false'}]\n    args: [--oidc-clock-skew=§0]"));
    let map = |mark: &str, name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  {name}_ENABLED: 'false'\n  a.yml: |\n    oidc: {{leeway: {mark}0}}\n"
        )
    };
    check("a.yaml", &map("", "OIDC"));
    check("a.yaml", &map("§", "SAML"));
}

#[test]
fn a_resource_that_is_not_made_sets_nothing() {
    check("a.tf", "resource \"a\" \"b\" {\n  count = 0\n  jwt_leeway = 0\n}\n");
    check("a.tf", "resource \"a\" \"b\" {\n  count = 1\n  jwt_leeway = §0\n}\n");
    check("a.tf", "module \"a\" {\n  create = false\n  jwt_leeway = 0\n}\n");
    check("a.tf", "module \"a\" {\n  create = true\n  jwt_leeway = §0\n}\n");
    check("job.hcl", "group \"a\" {\n  count = 0\n  jwt_leeway = §0\n}\n");
}

#[test]
fn assignments_stand_in_lists_of_other_names_too() {
    let kafka = "apiVersion: platform.confluent.io/v1beta1\nkind: Kafka\nspec:\n  configOverrides:\n    server:\n";
    check("a.yaml", &format!("{kafka}    - sasl.oauthbearer.clock.skew.seconds=§0\n"));
    check(
        "a.yaml",
        &format!("{kafka}    - sasl.enabled.mechanisms=PLAIN\n    - sasl.oauthbearer.clock.skew.seconds=0\n"),
    );
    check("values.yaml", "additionalConfigProperties:\n- jwt.leeway=§0\n");
    check("values.yaml", "forbidden:\n- jwt.leeway=0\n");
}

#[test]
fn options_of_a_virtual_machine_stand_in_files_of_their_own() {
    let map = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  {name}: |\n    -server\n    # -Djwt.leeway=0\n    -Xmx1G\n    -Djwt.leeway=§0\n"
        )
    };
    check("a.yaml", &map("jvm.config"));
    check("a.yaml", &map("jvm.options"));
    check("etc/jvm.config", "-server\n-Djwt.leeway=§0\n-Djwt.enabled=true\n");
    check("jvm.options", "-Djwt.leeway=0\n-Djwt.enabled=false\n");
}

#[test]
fn a_line_of_a_unit_may_go_on() {
    check("a.service", "[Service]\nExecStart=/app \\\n  --port=1 \\\n  --jwt-leeway=§0\n");
    check("a.service", "[Service]\nEnvironment=A=1 \\\nJWT_LEEWAY=§0 \\\nB=2\nRestart=always\n");
    check("a.ini", "[Service]\njwt_leeway = §0 ; none\noidc_leeway: §0\n");
    check("a.ini", "[jwt]\npath = C:\\\nleeway = §0\n");
}

#[test]
fn a_value_may_stand_beside_any_unit() {
    for unit in ["m", "minutes", "h", "ms", "s"] {
        check("a.yaml", &format!("jwt: {{leeway: {{value: §0, unit: {unit}}}}}\n"));
    }
    check("a.yaml", "jwt: {leeway: {value: 5, unit: m}}\n");
    check("a.yaml", "jwt: {leeway: {value: 0, unit: bytes}}\n");
}

#[test]
fn json_documents_may_follow_one_another() {
    check(
        "a.json",
        "{\"jwt\": {\"leeway\": §0}}\n{\"jwt\": {\"leeway\": §0, \"enabled\": true}}\n{\"jwt\": {\"enabled\": false}}\n",
    );
    check("a.json", "{\"jwt\": {\"leeway\": 0}}\n}");
    let object = |name: &str, mark: &str| {
        format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"{name}\"}},\n \"data\": {{\"JWT_LEEWAY\": \"{mark}0\"}}}}\n"
        )
    };
    check("a.json", &format!("{}{}", object("a", "§"), object("b", "§")));
}

#[test]
fn a_template_may_begin_with_a_mark() {
    check("templates/a.yaml", "\u{feff}{{- if .Values.a }}\njwt:\n  leeway: §0\n{{- end }}\n");
}

#[test]
fn two_slashes_begin_a_comment_where_there_are_objects() {
    check("a.conf", "jwt {\n  leeway = §0 // none\n}\n");
}

#[test]
fn apisix_keeps_credentials_in_consumers() {
    let consumer = |list: &str, name: &str, mark: &str| {
        format!(
            "apiVersion: apisix.apache.org/v1alpha1\nkind: Consumer\nspec:\n  {list}:\n  - name: {name}\n    type: {name}\n    config: {{key: a, lifetime_grace_period: {mark}0}}\n"
        )
    };
    check("a.yaml", &consumer("credentials", "jwt-auth", "§"));
    check("a.yaml", &consumer("plugins", "jwt-auth", "§"));
}

#[test]
fn text_of_xml_may_be_packed() {
    check("a.xml", "<jwt><leeway><![CDATA[§0]]></leeway></jwt>");
    check("a.xml", "<jwt><leeway>\n <![CDATA[ §0 ]]>\n</leeway></jwt>");
}
