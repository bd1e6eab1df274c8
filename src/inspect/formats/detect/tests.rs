use super::super::reads;
use super::*;

#[test]
fn names_tell_the_format_and_contents_do_where_names_do_not() {
    let check = |name: Option<&str>, text: &str, expected: Option<&str>| {
        assert_eq!(detect(name, text).map(|f| f.name), expected, "{name:?} {text:?}");
    };
    check(Some("application.yml"), "", Some("yaml"));
    check(Some("App.JSON"), "", Some("json"));
    check(Some("a/b/.env.production"), "", Some("dotenv"));
    check(Some(".env.example"), "", Some("dotenv"));
    check(Some("api.env.sample"), "", Some("dotenv"));
    check(Some("env.example"), "", Some("dotenv"));
    check(Some("vite-env.d.ts"), "JWT_LEEWAY=0\n", None);
    check(Some("api.env.bak"), "JWT_LEEWAY=0\n", None);
    check(Some("broker.conf"), "a=1\nb.c=2\n", Some("properties"));
    check(Some("application.yml.bak"), "jwt:\n  leeway: 0\n", None);
    check(Some("application.yml~"), "jwt:\n  leeway: 0\n", None);
    check(Some("README"), "jwt:\n  leeway: 0\n", None);
    check(Some("run.sh"), "export JWT_LEEWAY=0\n", None);
    check(Some("entry"), "#!/bin/sh\nexport JWT_LEEWAY=0\n", None);
    check(None, "JWT_LEEWAY=0\nexport B='1'\n", Some("dotenv"));
    check(None, "# c\njwt:\n  leeway: 0\n", Some("yaml"));
    check(None, "  {\"a\": 1}", Some("json"));
    check(None, "Host is up.\n|_clock-skew: 0s\n", None);
    check(None, "just a word", None);
    // Play's way to one file for each environment, and Kafka's name of a login configuration.
    check(Some("prod.conf"), "include \"application.conf\"\nplay.http.session.jwt.clockSkew = 0\n", Some("hocon"));
    check(Some("a.conf"), "include conf.d/*.conf;\n", None);
    let jaas = "KafkaServer {\n  // ours\n  a.b.OAuthBearerLoginModule required\n  k=\"0\";\n};\n";
    check(Some("kafka_server_jaas.conf"), &format!("// broker\n/* of {{ shop */\n{jaas}"), Some("jaas"));
    check(Some("kafka_server_jaas.conf"), &format!("// {}", jaas.replace('\n', " ")), None);
}

#[test]
fn names_that_one_format_has_for_itself_are_believed() {
    for (name, expected) in [
        ("app.toml", Some("toml")),
        ("conf.d/nginx.conf", Some("nginx")),
        ("site.nginx", Some("nginx")),
        ("httpd.conf", Some("apache")),
        ("apache2.conf", Some("apache")),
        (".htaccess", Some("apache")),
        ("airflow.cfg", Some("ini")),
        ("grafana.ini", Some("ini")),
        ("server.xml", Some("xml")),
        ("Web.config", Some("xml")),
        ("main.tf", Some("hcl")),
        ("job.nomad", Some("hcl")),
        ("application.conf", Some("hocon")),
        (".env", Some("dotenv")),
        ("jaas.conf", Some("jaas")),
        ("default.conf", None),
        ("haproxy.cfg", None),
        ("kube.config", None),
        ("config", None),
        ("main.tf.json", Some("json")),
        ("app.toml.tmpl", None),
        ("nginx.conf.template", None),
    ] {
        assert_eq!(by_name(name).map(|format| format.name), expected, "{name}");
    }
    assert!(may_be_format("default.conf") && may_be_format("a.yaml") && !may_be_format("a.txt"));
}

/// Contents without a telling name: one that is found, and what resembles it.
#[test]
fn contents_are_read_strictly() {
    // What is found so must also read without a note, or it is passed over.
    let found = |name, text: &str| detect(Some(name), text).filter(|format| reads(format, text)).map(|f| f.name);
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(found("app.conf", text), expected, "{text:?}");
        assert_eq!(found("entry", text), expected, "{text:?}");
    };
    // TOML, INI.
    check("[auth]\nleeway = 0\n", Some("toml"));
    check("[auth]\nleeway = 0\nlist = [\n  1,\n]", Some("toml"));
    check("[auth]\nleeway = 0s ; none\n[other]\n", Some("ini"));
    check("[auth]\nleeway = 0s\nthen some prose\nover two lines.\n", None);
    check("[2026-11-21] leeway = 0\n", None);
    check("[x for x in skews if x = 0]\nleeway = 0\n", None);
    check("[auth]\n", None);
    check("[section]\n  EXAMPLE.COM = {\n  kdc = a\n  }\n", None);
    // nginx.
    check("auth_jwt on;\nauth_jwt_leeway 0;\n", Some("nginx"));
    check("server {\n  auth_jwt_leeway 0;\n}\n", Some("nginx"));
    check("server {\n  auth_jwt_leeway 0\n}\n", None);
    check("options {\n  clock-skew 0;\n};\n", None);
    check("subnet 10.0.0.0 netmask 255.0.0.0 { option leeway 0; }\n", None);
    check("int leeway = 0;\nint main() { return leeway; }\n", None);
    check("a { leeway: 0; }\n", None);
    check("BEGIN;\nset leeway 0;\nupdate jwt;\n", None);
    check("set $jwt_leeway 0;\n", Some("nginx"));
    // Apache httpd.
    check("<Location /a>\n  AuthJWTLeeway 0\n</Location>\n", Some("apache"));
    check("OIDCIDTokenIatSlack 0\n", Some("apache"));
    check("OIDC logins fail when the leeway is 0.\nfix it\n", None);
    check("Host is up.\n|_clock-skew: 0s\n", None);
    check("Listen 80\nLeeway 0\n", None);
    // XML.
    check("<?xml version=\"1.0\"?>\n<jwt leeway=\"0\"/>\n", Some("xml"));
    check("<jwt leeway=\"0\">\n", None);
    check("<jwt>0</jwt> and prose\n", None);
    check("<!DOCTYPE html>\n<html><jwt leeway=\"0\"/></html>\n", None);
    check("<HTML><jwt leeway=\"0\"/></HTML>\n", None);
    // HCL, HOCON.
    check("auth \"jwt\" {\n  leeway = 0\n}\n", Some("hcl"));
    check("jwt {\n  leeway = 0\n}\n", Some("hcl"));
    check("jwt {\n  leeway : 0 s\n}\n", Some("hocon"));
    check("jwt { leeway = 0, other = 1 }\n", Some("hocon"));
    check("class Jwt {\n  int leeway = 0\n}\n", None);
    check("class Jwt {\n  leeway: Int = 0\n}\n", None);
    check("type Jwt {\n  leeway: Int\n}\n", None);
    check("func main() {\n  leeway := 0\n}\n", None);
    check("jwt() {\n  leeway=0\n}\n", None);
    check("if jwt {\n  leeway = 0\n}\n", None);
    check("jwt {\n  leeway = ${x}\n}\n", None);
    check("{{ if .x }}\njwt { leeway = 0 }\n{{ end }}\n", None);
    check("const jwt = {\n  leeway: 0\n}\n", None);
}
