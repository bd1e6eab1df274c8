//! The specs. One line each; `refused` names the field as the API server must.

use serde_json::{Value, json};

/// One spec, and what is to become of it.
pub(super) struct Case {
    pub(super) spec: Value,
    pub(super) expected: Expected,
}

pub(super) enum Expected {
    /// By the API server, and readable.
    Taken,
    /// By the API server, naming `field` and saying `says`; by `convert` too unless `only_here` says why not.
    Refused { field: &'static str, says: &'static str, only_here: Option<&'static str> },
}

fn taken(spec: Value) -> Case {
    Case { spec, expected: Expected::Taken }
}

fn refused(field: &'static str, says: &'static str, spec: Value) -> Case {
    Case { spec, expected: Expected::Refused { field, says, only_here: None } }
}

fn refused_here(field: &'static str, says: &'static str, only_here: &'static str, spec: Value) -> Case {
    Case { spec, expected: Expected::Refused { field, says, only_here: Some(only_here) } }
}

pub(super) fn cases() -> Vec<Case> {
    [shape(), durations(), orders(), sources(), actions(), references(), selectors(), admission()]
        .into_iter()
        .flatten()
        .collect()
}

/// The spec as a whole.
fn shape() -> Vec<Case> {
    let listed = "an empty list reads as a struct whose fields all have defaults";
    let unread = "types ignore what they do not know, so that an old program reads a newer policy";
    vec![
        taken(json!({})),
        taken(json!({
            "nodeSelector": {"matchLabels": {"pool": "general"}}, "source": {"agent": {"port": 9555}},
            "references": ["ntp://169.254.169.123"], "interval": "10s",
            "tolerance": {"maxOffset": "500ms", "maxError": "2s", "maxUnsynchronized": "5m", "staleAfter": "60s"},
            "action": {
                "type": "Cordon", "sustainedFor": "0s", "recoveredFor": "0", "onUnknown": "Act",
                "limit": {"maxNodes": 3, "atLeast": 0},
            },
            "admission": {"mode": "Warn", "minSkew": "0s", "maxSkew": "0s"},
        })),
        taken(json!({"suspend": true})),
        refused("spec.suspend", "", json!({"suspend": "true"})),
        refused("spec.suspend", "", json!({"suspend": 1})),
        refused("spec", "", json!(null)),
        refused_here("spec", "", listed, json!([])),
        refused_here("spec.nodes", "", unread, json!({"nodes": {}})),
        refused_here("spec.tolerance.maxoffset", "", unread, json!({"tolerance": {"maxoffset": "1s"}})),
        refused_here("spec.action.taint.value", "", unread, json!({"action": {"taint": {"value": "x"}}})),
        refused_here("spec.source.chrony", "", unread, json!({"source": {"agent": {}, "chrony": {}}})),
        refused("spec.tolerance", "", json!({"tolerance": "1s"})),
        refused_here("spec.action", "", listed, json!({"action": []})),
    ]
}

/// A duration is a duration wherever it stands.
fn durations() -> Vec<Case> {
    let fields = [
        "spec.interval",
        "spec.tolerance.maxOffset",
        "spec.tolerance.maxError",
        "spec.tolerance.maxUnsynchronized",
        "spec.tolerance.staleAfter",
        "spec.action.sustainedFor",
        "spec.action.recoveredFor",
        "spec.admission.minSkew",
        "spec.admission.maxSkew",
        "spec.source.lease.maxDelay",
    ];
    let mut cases = Vec::new();
    for field in fields {
        for text in ["", "5", "-1s", "+1s", "5 s", "5d", "1s,", "s", "1.2.3s", "1e3s", "soon", "99999999999h"] {
            cases.push(refused(field, "", at(field, json!(text))));
        }
        cases.push(refused(field, "", at(field, json!(5))));
        cases.push(refused(field, "", at(field, json!({}))));
    }
    for field in &fields[..5] {
        cases.push(refused(field, "", at(field, json!("0s"))));
        cases.push(refused(field, "", at(field, json!("0"))));
    }
    let long = json!({"action": {"sustainedFor": "0s0s0s0s0s0s0s0s0s0s0s0s0s0s0s0s0s"}});
    let bounded = "the API server must bound the cost of its rules; reading has no such bound";
    cases.push(refused_here("spec.action.sustainedFor", "32", bounded, long));
    for text in ["1ns", "1us", "1\u{b5}s", "1\u{3bc}s", "1ms", ".5s", "1.s", "1.5s", "1h30m", "0", "2562047h"] {
        cases.push(taken(json!({"action": {"sustainedFor": text}})));
    }
    cases
}

/// A spec with this value at this path.
fn at(field: &str, value: Value) -> Value {
    field.split('.').skip(1).collect::<Vec<_>>().into_iter().rev().fold(value, |inner, name| json!({name: inner}))
}

/// Durations among one another.
fn orders() -> Vec<Case> {
    vec![
        refused("spec.interval", "between", json!({"interval": "99ms"})),
        refused("spec.interval", "between", json!({"interval": "61m", "tolerance": {"staleAfter": "2h"}})),
        taken(json!({"interval": "100ms"})),
        taken(json!({"interval": "1h", "tolerance": {"staleAfter": "1h"}})),
        refused("spec.tolerance.staleAfter", "interval", json!({"tolerance": {"staleAfter": "9s"}})),
        refused("spec.tolerance.staleAfter", "interval", json!({"interval": "2m"})),
        refused("spec.admission.minSkew", "maxSkew", json!({"admission": {"minSkew": "6m"}})),
        refused("spec.admission.minSkew", "maxSkew", json!({"admission": {"minSkew": "2s", "maxSkew": "1s"}})),
        taken(json!({"admission": {"minSkew": "2s", "maxSkew": "2s"}})),
        refused("spec.source.lease.maxDelay", "maxOffset", json!({"source": {"lease": {"maxDelay": "500ms"}}})),
        refused(
            "spec.source.lease.maxDelay",
            "maxOffset",
            json!({"source": {"lease": {}}, "tolerance": {"maxOffset": "250ms"}}),
        ),
        refused("spec.source.lease.maxDelay", "0s", json!({"source": {"lease": {"maxDelay": "0s"}}})),
        taken(json!({"source": {"lease": {"maxDelay": "499ms"}}})),
    ]
}

fn sources() -> Vec<Case> {
    let mut cases = vec![
        refused("spec.source", "exactly one", json!({"source": {}})),
        refused("spec.source", "exactly one", json!({"source": {"agent": {}, "lease": {}}})),
        refused(
            "spec.source",
            "exactly one",
            json!({"source": {"agent": {}, "nodeExporter": {}, "prometheus": {"url": "http://p"}, "lease": {}}}),
        ),
        taken(json!({"source": {"agent": {}}})),
        taken(json!({"source": {"nodeExporter": {"port": 1}}})),
        refused("spec.source.prometheus.url", "", json!({"source": {"prometheus": {}}})),
    ];
    for (field, kind) in [("spec.source.agent.port", "agent"), ("spec.source.nodeExporter.port", "nodeExporter")] {
        for port in [json!(0), json!(-1), json!(65536), json!(4_294_967_296_i64), json!("9555"), json!(1.5)] {
            cases.push(refused(field, "", json!({"source": {kind: {"port": port}}})));
        }
        cases.push(taken(json!({"source": {kind: {"port": 65535}}})));
    }
    cases.extend(prometheus());
    cases
}

fn prometheus() -> Vec<Case> {
    let mut cases = Vec::new();
    for (url, says) in [
        ("prometheus:9090", "http://HOST"),
        ("file:///etc/passwd", "http://HOST"),
        ("http://", "http://HOST"),
        ("http://:9090", "http://HOST"),
        ("http://p:0", "http://HOST"),
        ("http://p:65536", "http://HOST"),
        ("http://p/a b", "http://HOST"),
        ("http://p?query=up", "http://HOST"),
        ("http://p/#x", "http://HOST"),
        ("http://fd00::7", "http://HOST"),
        ("https://prometheus.monitoring:9090/base", "no TLS"),
        ("http://user:secret@p", "no password"),
    ] {
        cases.push(refused("spec.source.prometheus.url", says, json!({"source": {"prometheus": {"url": url}}})));
    }
    for url in ["http://prometheus.monitoring:9090/base", "http://[fd00::7]:9090/", "http://10.0.0.1"] {
        cases.push(taken(json!({"source": {"prometheus": {"url": url}}})));
    }
    for label in ["", "a-b", "1a", "a b", &"a".repeat(129)] {
        let spec = json!({"source": {"prometheus": {"url": "http://p", "nodeLabel": label}}});
        cases.push(refused("spec.source.prometheus.nodeLabel", "", spec));
    }
    cases.push(taken(json!({"source": {"prometheus": {"url": "http://p", "nodeLabel": "node_name"}}})));
    cases
}

fn actions() -> Vec<Case> {
    let mut cases = vec![
        refused("spec.action.type", "Unsupported", json!({"action": {"type": "Drain"}})),
        refused("spec.action.type", "", json!({"action": {"type": "taint"}})),
        refused("spec.action.onUnknown", "", json!({"action": {"onUnknown": "Taint"}})),
        refused("spec.action.taint.effect", "", json!({"action": {"taint": {"effect": "NoSleep"}}})),
        refused("spec.action.taint.effect", "", json!({"action": {"taint": {"effect": ""}}})),
        refused("spec.action.limit.atLeast", "", json!({"action": {"limit": {"atLeast": -1}}})),
        refused("spec.action.limit.atLeast", "", json!({"action": {"limit": {"atLeast": 100_001}}})),
        refused("spec.action.limit.atLeast", "", json!({"action": {"limit": {"atLeast": "1"}}})),
        taken(json!({"action": {"type": "Observe", "onUnknown": "Act"}})),
        taken(json!({"action": {"type": "Taint", "taint": {"effect": "NoExecute", "key": "drift"}}})),
        taken(json!({"action": {"taint": {"effect": "PreferNoSchedule", "key": "a.example.com/Clock_1.x"}}})),
    ];
    let key = "spec.action.taint.key";
    for text in
        ["", "-a", "a b", "a/b/c", "/a", "a/", "Example.com/a", "a..b/c", "ü", "a_b/c", "clock=drift:NoSchedule"]
    {
        cases.push(refused(key, "", at(key, json!(text))));
    }
    cases.push(refused(key, "", at(key, json!("k".repeat(64)))));
    for text in
        ["node.kubernetes.io/unreachable", "kubernetes.io/x", "node-role.kubernetes.io/control-plane", "a.k8s.io/x"]
    {
        cases.push(refused(key, "belong to Kubernetes", at(key, json!(text))));
    }
    let count = "spec.action.limit.maxNodes";
    for value in [
        json!(-1),
        json!(100_001),
        json!(3_000_000_000_i64),
        json!("101%"),
        json!("-1%"),
        json!("+5%"),
        json!("10"),
        json!("%"),
        json!("1.5%"),
        json!("ten"),
        json!(""),
        json!(1.5),
        json!(true),
        json!([1]),
    ] {
        cases.push(refused(count, "", at(count, value)));
    }
    // 0 is the brake: nothing more is acted on, and undoing goes on.
    for value in [json!(0), json!(1), json!(100_000), json!("0%"), json!("100%"), json!("07%")] {
        cases.push(taken(at(count, value)));
    }
    cases
}

fn references() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "",
        "time.example.com",
        "http://time.example.com",
        "ntp://",
        "ntp://:123",
        "ntp://a b",
        "ntp://a:",
        "ntp://a:0",
        "ntp://a:65536",
        "ntp://a:99999",
        "ntp://a:b",
        "ntp://::1",
        "ntp://[::1",
        "ntp://a/path",
        "ntp://user@a",
        "NTP://a",
    ]
    .into_iter()
    .map(|text| refused("spec.references[1]", "ntp://HOST", json!({"references": ["ntp://a", text]})))
    .collect();
    let all = ["ntp://a", "ntp://a.example.com:65535", "ntp://10.0.0.1:1123", "ntp://[fe80::1]", "ntp://[::1]:1"];
    cases.push(taken(json!({"references": all})));
    let padded = "a number reads the same with a zero before it";
    cases.push(refused_here("spec.references[0]", "", padded, json!({"references": ["ntp://a:0123"]})));
    cases.push(taken(json!({"references": []})));
    cases.push(refused("spec.references", "", json!({"references": vec!["ntp://a"; 9]})));
    cases.push(refused("spec.references", "", json!({"references": "ntp://a"})));
    cases.push(refused("spec.references", "", json!({"references": [1]})));
    cases
}

fn selectors() -> Vec<Case> {
    let mut cases = Vec::new();
    for (field, name) in
        [("spec.nodeSelector", "nodeSelector"), ("spec.admission.namespaceSelector", "admission.namespaceSelector")]
    {
        let spec = |selector: Value| at(&format!("spec.{name}"), selector);
        let expression = |expression: Value| spec(json!({"matchExpressions": [expression]}));
        let leak = |part: &str| -> &'static str { String::leak(format!("{field}.{part}")) };
        cases.extend([
            taken(spec(json!({}))),
            taken(spec(json!({"matchLabels": {"a": "", "example.com/b": "c"}}))),
            taken(expression(json!({"key": "a", "operator": "In", "values": ["b", ""]}))),
            taken(expression(json!({"key": "a", "operator": "DoesNotExist", "values": []}))),
            refused(
                leak("matchExpressions[0].operator"),
                "Unsupported",
                expression(json!({"key": "a", "operator": "Maybe", "values": ["b"]})),
            ),
            refused(
                leak("matchExpressions[0].values"),
                "need values",
                expression(json!({"key": "a", "operator": "In", "values": []})),
            ),
            refused(leak("matchExpressions[0].values"), "", expression(json!({"key": "a", "operator": "NotIn"}))),
            refused(
                leak("matchExpressions[0].values"),
                "",
                expression(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
            ),
            refused(leak("matchExpressions[0].key"), "", expression(json!({"key": "a b", "operator": "Exists"}))),
            refused(leak("matchExpressions[0].operator"), "", expression(json!({"key": "a"}))),
            refused(
                leak("matchExpressions[0].values[0]"),
                "",
                expression(json!({"key": "a", "operator": "In", "values": ["b c"]})),
            ),
            refused(leak("matchLabels"), "", spec(json!({"matchLabels": {"a": "b c"}}))),
            refused(leak("matchLabels"), "", spec(json!({"matchLabels": {"a": 1}}))),
            refused(leak("matchLabels"), "", spec(json!({"matchLabels": {"a b": "c"}}))),
            refused(leak("matchLabels"), "", spec(json!({"matchLabels": ["a"]}))),
        ]);
    }
    cases
}

fn admission() -> Vec<Case> {
    vec![
        refused("spec.admission.mode", "Unsupported", json!({"admission": {"mode": "Strict"}})),
        // What YAML 1.1 makes of an unquoted Off.
        refused("spec.admission.mode", "", json!({"admission": {"mode": false}})),
        taken(json!({"admission": {"mode": "Off"}})),
        taken(json!({"admission": {"rules": {}}})),
        taken(
            json!({"admission": {"rules": {"fake-time": "Ignore", "jwt-skew-zero": "Error", "lease-ratio": "Default"}}}),
        ),
        refused("spec.admission.rules.fake-time", "Unsupported", json!({"admission": {"rules": {"fake-time": "Off"}}})),
        refused("spec.admission.rules", "", json!({"admission": {"rules": ["fake-time"]}})),
    ]
    .into_iter()
    .chain(settings())
    .collect()
}

fn settings() -> Vec<Case> {
    let spec = |setting: Value| json!({"admission": {"settings": [setting]}});
    let key = |key: &str| spec(json!({"product": "Shop", "keys": ["shop.diff", key]}));
    let mut cases = vec![
        taken(json!({"admission": {"settings": []}})),
        taken(spec(json!({"product": "Shop", "keys": ["shop.auth.max-clock-diff"]}))),
        taken(spec(json!({
            "product": "S", "keys": ["a_b/c:d.*.max-diff"], "unit": "Milliseconds", "zero": "ProductDefault",
            "recommended": "1m30s",
        }))),
        refused("spec.admission.settings[0].product", "", spec(json!({"product": "", "keys": ["shop.diff"]}))),
        refused(
            "spec.admission.settings[0].product",
            "",
            spec(json!({"product": "x".repeat(65), "keys": ["shop.diff"]})),
        ),
        refused("spec.admission.settings[0].keys", "", spec(json!({"product": "Shop", "keys": []}))),
        refused("spec.admission.settings[0].keys", "", spec(json!({"product": "Shop", "keys": vec!["shop.diff"; 17]}))),
        refused("spec.admission.settings[0].keys", "", spec(json!({"product": "Shop", "keys": "shop.diff"}))),
        refused("spec.admission.settings[0].keys", "Required", spec(json!({"product": "Shop"}))),
        refused("spec.admission.settings[0].product", "Required", spec(json!({"keys": ["shop.diff"]}))),
        refused(
            "spec.admission.settings[0].unit",
            "Unsupported",
            spec(json!({"product": "Shop", "keys": ["shop.diff"], "unit": "Days"})),
        ),
        refused(
            "spec.admission.settings[0].zero",
            "Unsupported",
            spec(json!({"product": "Shop", "keys": ["shop.diff"], "zero": "Fine"})),
        ),
        refused(
            "spec.admission.settings[0].recommended",
            "longer than 0s",
            spec(json!({"product": "Shop", "keys": ["shop.diff"], "recommended": "0s"})),
        ),
        refused(
            "spec.admission.settings",
            "",
            json!({"admission": {"settings": vec![json!({"product": "Shop", "keys": ["shop.diff"]}); 65]}}),
        ),
    ];
    for good in ["abc", "a.b.c", "ABC_diff", "--shop.diff", "*.diff", "a*bcd"] {
        cases.push(taken(key(good)));
    }
    for bad in ["", "ab", "a*b*diff", "shop.diff*", "shop diff", "shop=diff", "sch\u{f6}n.diff", "a*.b", "---"] {
        cases.push(refused("spec.admission.settings[0].keys[1]", "max-clock-diff", key(bad)));
    }
    cases
}
