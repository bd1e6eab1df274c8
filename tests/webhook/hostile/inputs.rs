//! Reviews as somebody would write them who wants the webhook to fall over, to hang, or to refuse what it should not.

use super::near::{self, BAIT, filled};
use crate::support::review;
use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// What has to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A verdict that lets it in, with or without warnings.
    Allowed,
    /// A verdict that does not.
    Refused,
    /// No review at all: an HTTP error of the client's making.
    BadRequest,
}

use Expected::{Allowed, BadRequest, Refused};

pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) body: Bytes,
    pub(crate) expected: Expected,
}

/// How bad it may get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    /// Of the data of a ConfigMap, about.
    pub(crate) bytes: usize,
    /// Of whatever can be nested.
    pub(crate) depth: usize,
    /// Of one line.
    pub(crate) line: usize,
}

impl Measure {
    /// What an API server lets through: 1 MiB of data in a ConfigMap, 3 MiB in one request.
    ///
    /// Source: `MaxSecretSize` (also of ConfigMaps) in pkg/apis/core/types.go and `MaxRequestBodyBytes` in
    /// staging/src/k8s.io/apiserver/pkg/server/config.go of Kubernetes.
    pub(crate) const MOST: Measure = Measure { bytes: (1 << 20) - 64, depth: 100_000, line: 3 << 20 };
    /// More than what counts as a small review, for a build that is not optimised.
    pub(crate) const LARGE: Measure = Measure { bytes: 130 << 10, ..Measure::MOST };
    /// The same on a small scale, for thousands in such a build.
    pub(crate) const SMALL: Measure = Measure { bytes: 8 << 10, depth: 2_000, line: 24 << 10 };
}

fn config_map(data: impl IntoIterator<Item = (String, String)>) -> Value {
    let data: Map<String, Value> = data.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pay", "namespace": "shop"}, "data": data})
}

fn file(name: &str, text: impl Into<String>) -> Value {
    config_map([(name.to_owned(), text.into())])
}

fn bombs(bytes: usize) -> Vec<(&'static str, Value)> {
    let mut aliases = "a0: &a0 {jwt: {leeway: 30}}\n".to_owned();
    let mut merges = aliases.clone();
    let mut entities = "<!DOCTYPE a [<!ENTITY e0 \"leeway\">".to_owned();
    for level in 1..30 {
        let below = level - 1;
        let nine = vec![format!("*a{below}"); 9].join(", ");
        let _ = writeln!(aliases, "a{level}: &a{level} [{nine}]");
        let _ = writeln!(merges, "a{level}: &a{level} {{x: *a{below}, <<: [*a{below}, *a{below}], y: *a{below}}}");
        let _ = write!(entities, "<!ENTITY e{level} \"{}\">", format!("&e{below};").repeat(9));
    }
    entities.push_str("]><a><jwt leeway=\"30\">&e29;</jwt></a>");
    let many = filled(bytes, |n| if n == 0 { "jwt: &a {leeway: 30}\n".to_owned() } else { format!("b{n}: *a\n") });
    let mut embedded = "{\"jwt\": {\"leeway\": 30}}".to_owned();
    for _ in 0..12 {
        let next = json!({"a.json": embedded}).to_string();
        if next.len() > bytes {
            break;
        }
        embedded = next;
    }
    vec![
        ("alias bomb", file("a.yaml", aliases)),
        ("merge bomb", file("a.yaml", merges)),
        ("entity bomb", file("a.xml", entities)),
        ("aliases without end", file("a.yaml", many)),
        ("JSON in JSON in JSON", file("a.json", embedded)),
    ]
}

fn deep(measure: Measure) -> Vec<(&'static str, Value)> {
    let depth = measure.depth;
    let around = |open: &str, close: &str| format!("{}jwt: {{leeway: 30}}{}", open.repeat(depth), close.repeat(depth));
    // Every level is indented by one more: half a line's length times its number has to fit.
    let steps = (measure.bytes as f64).sqrt() as usize;
    let stairs: String = (0..steps).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let json = format!("{}{{\"leeway\": 30}}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        ("deep JSON", file("a.json", json)),
        ("deep YAML in flow", file("a.yaml", around("[", "]"))),
        ("deep YAML maps in flow", file("a.yaml", around("{a: ", "}"))),
        ("deep YAML in dashes", file("a.yaml", format!("{}leeway: 30\n", "- ".repeat(depth)))),
        ("deep YAML in steps", file("a.yaml", stairs + "leeway: 30\n")),
        ("deep YAML, never closed", file("a.yaml", format!("leeway: {}", "[{".repeat(depth)))),
        ("deep XML", file("a.xml", format!("{}leeway{}", "<a>".repeat(depth), "</a>".repeat(depth)))),
        ("deep TOML", file("a.toml", format!("leeway = {}{}", "[".repeat(depth), "]".repeat(depth)))),
        ("deep TOML keys", file("a.toml", format!("{}leeway = 30\n", "a.".repeat(depth)))),
        ("deep HCL", file("a.hcl", format!("{}leeway = 30\n{}", "a {\n".repeat(depth), "}\n".repeat(depth)))),
        ("deep HOCON", file("a.conf", format!("{}leeway = 30\n{}", "a {\n".repeat(depth), "}\n".repeat(depth)))),
        ("deep nginx", file("nginx.conf", format!("{}leeway 30;{}", "a { ".repeat(depth), "}".repeat(depth)))),
        ("deep properties", file("a.properties", format!("{}leeway=30\n", "a.".repeat(depth)))),
    ]
}

fn odd(measure: Measure) -> Vec<(&'static str, Value)> {
    let bytes = measure.bytes;
    let twice = |n: usize| format!("\"jwt\": {{\"leeway\": {}}}, ", 30 + n % 2);
    let binary = |raw: &[u8]| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pay", "namespace": "shop"},
            "binaryData": {"a.properties": BASE64_STANDARD.encode(raw)}})
    };
    let mut invalid = b"jwt.leeway.seconds=\xff\xfe\x80\n".repeat(bytes * 3 / 4 / 24);
    invalid.extend_from_slice(b"\xc3");
    let command = |text: String| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pay", "namespace": "shop"},
            "spec": {"containers": [{"name": "a", "command": ["sh", "-c", text]}]}})
    };
    vec![
        ("one line, properties", file("a.properties", format!("{BAIT}=30{}", "x".repeat(measure.line)))),
        ("one line, YAML", file("a.yaml", format!("{BAIT}: \"30{}\"", "x ".repeat(measure.line / 2)))),
        ("one line, of no format", file("a", format!("{BAIT}: {}", "leeway ".repeat(measure.line / 7)))),
        ("one line, shell", command(format!("exec app --{BAIT}=30 {}", "\"'\\\"".repeat(measure.line / 8)))),
        ("invalid UTF-8 in binaryData", binary(&invalid)),
        ("NULs", file("a.properties", filled(bytes, |_| format!("{BAIT}=\0\n\0")))),
        ("NULs in binaryData", binary(&b"jwt.leeway.seconds=30\0\n".repeat(bytes * 3 / 4 / 24))),
        ("duplicate keys, JSON", file("a.json", format!("{{{}\"end\": 0}}", filled(bytes - 10, twice)))),
        ("duplicate keys, YAML", file("a.yaml", filled(bytes, |n| format!("{BAIT}: {}\n", 30 + n % 2)))),
        ("duplicate keys, properties", file("a.properties", filled(bytes, |n| format!("{BAIT}={}\n", 30 + n % 2)))),
        ("a number of many digits", file("a.properties", format!("{BAIT}=9{}", "0".repeat(bytes - 32)))),
    ]
}

/// What is no object that `json!` could make.
fn raw(measure: Measure) -> Vec<Hostile> {
    let of = |object: &[u8]| {
        let whole = review("CREATE", json!("HERE"), Value::Null).to_string();
        let (head, tail) = whole.split_once("\"HERE\"").unwrap();
        Bytes::from([head.as_bytes(), object, tail.as_bytes()].concat())
    };
    let depth = measure.depth;
    let nested = format!("{}\"leeway\"{}", "[".repeat(depth), "]".repeat(depth));
    let object = |data: &str| format!("{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{}},{data}}}");
    let twice =
        object(&format!("{}\"end\":0", "\"data\":{\"a.yaml\":\"jwt: {leeway: 30}\"},".repeat(measure.bytes / 40)));
    let invalid = [object("\"data\":{\"a\":\"jwt leeway ").into_bytes(), vec![0xff; 64]].concat();
    let mut cut = review("CREATE", file("a.yaml", "jwt: {leeway: 30}\n".repeat(measure.bytes / 18)), Value::Null)
        .to_string()
        .into_bytes();
    cut.truncate(measure.bytes / 2);
    vec![
        Hostile { name: "deep object", body: of(nested.as_bytes()), expected: Allowed },
        Hostile { name: "deep data", body: of(object(&format!("\"data\":{nested}")).as_bytes()), expected: Allowed },
        Hostile { name: "duplicate keys, object", body: of(twice.as_bytes()), expected: Allowed },
        Hostile { name: "invalid UTF-8 in the review", body: of(&invalid), expected: BadRequest },
        Hostile { name: "a review cut short", body: Bytes::from(cut), expected: BadRequest },
        Hostile { name: "NULs for a review", body: Bytes::from(vec![0; measure.bytes]), expected: BadRequest },
        Hostile { name: "a deep review", body: Bytes::from("[".repeat(measure.depth)), expected: BadRequest },
    ]
}

/// One of each.
pub(crate) fn all(measure: Measure) -> Vec<Hostile> {
    let create = |object: &Value| Bytes::from(review("CREATE", object.clone(), Value::Null).to_string());
    let zeros = |value: &str| {
        file("a.properties", filled(measure.bytes, |n| format!("service{n}.jwt.leeway.seconds={value}\n")))
    };
    // Each is looked at, to know which of them counts.
    let again = file("a.properties", filled(measure.bytes, |_| "jwt.leeway=0\n".to_owned()));
    let conditions = file(
        "a.properties",
        filled(measure.bytes, |n| {
            let line = if n % 4 == 0 { "sasl.oauthbearer.clock.skew.seconds=0" } else { "sasl.mechanism=PLAIN" };
            format!("{line}\n")
        }),
    );
    let near = near::misses(measure.bytes).into_iter().map(|(name, data)| (name, config_map(data))).collect::<Vec<_>>();
    let updated = Bytes::from(review("UPDATE", near[0].1.clone(), near[1].1.clone()).to_string());
    let old_sins = Bytes::from(review("UPDATE", zeros("0"), zeros("0")).to_string());
    let mut all: Vec<Hostile> = [near, bombs(measure.bytes), deep(measure), odd(measure)]
        .into_iter()
        .flatten()
        .map(|(name, object)| Hostile { name, body: create(&object), expected: Allowed })
        .collect();
    all.extend([
        Hostile { name: "zeros everywhere", body: create(&zeros("0")), expected: Refused },
        Hostile { name: "one zero again and again", body: create(&again), expected: Refused },
        Hostile { name: "conditions again and again", body: create(&conditions), expected: Allowed },
        Hostile { name: "near misses for other ones", body: updated, expected: Allowed },
        Hostile { name: "zeros that were there before", body: old_sins, expected: Allowed },
    ]);
    all.extend(raw(measure));
    all
}
