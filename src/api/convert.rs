//! From the API's types, as written, to [`crate::policy::Policy`], valid: once, at the border.
//!
//! The schema refuses most of what is refused here; but a CRD may be older than the program, and lint reads files
//! that no API server has seen.

use super::admission::{
    AdmissionModeSpec, AdmissionSpec, KEY_MAX, KEYS_MAX, PRODUCT_MAX, RuleLevelSpec, SETTINGS_MAX, SettingSpec,
    UnitSpec, ZeroSpec,
};
use super::http_url;
use super::names;
use super::time_sync_policy::{
    ActionSpec, ActionType, DurationText, LimitSpec, MAX_COUNT, OnUnknown, PrometheusSource, REFERENCES_MAX,
    ReferenceUrl, Source as SourceSpec, TaintEffectSpec, TaintSpec, TimeSyncPolicy, ToleranceSpec,
};
use crate::agent::sources::sntp::{Server, ServerError};
use crate::clock::Tolerance;
use crate::duration;
use crate::inspect::catalogue::{Meaning, Own};
use crate::inspect::duration::{Nanos, Unit};
use crate::inspect::words::Pattern;
use crate::inspect::{Bounds, Level, Levels};
use crate::policy::marks::Effect;
use crate::policy::selector::Requirement;
use crate::policy::{Action, Admission, Limit, Mark, Mode, Policy, Selector, Source};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::time::Duration;

/// What is wrong with a policy: the field, its value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidPolicy {
    /// `spec.tolerance.maxOffset`.
    pub field: String,
    /// The value and the fix.
    pub message: String,
}

fn invalid(field: &str, message: impl Into<String>) -> InvalidPolicy {
    InvalidPolicy { field: field.to_owned(), message: message.into() }
}

fn length(field: &str, text: &DurationText) -> Result<Duration, InvalidPolicy> {
    duration::parse(&text.0).map_err(|error| invalid(field, error.to_string()))
}

fn positive(field: &str, text: &DurationText) -> Result<Duration, InvalidPolicy> {
    let parsed = length(field, text)?;
    if parsed.is_zero() { Err(invalid(field, "must be longer than 0s")) } else { Ok(parsed) }
}

/// Reads a policy.
///
/// # Errors
/// Names the field that is wrong.
pub fn policy(object: &TimeSyncPolicy) -> Result<Policy, InvalidPolicy> {
    let spec = &object.spec;
    if spec.references.len() > REFERENCES_MAX {
        let message = format!("has {} entries, but {REFERENCES_MAX} are the most", spec.references.len());
        return Err(invalid("spec.references", message));
    }
    let (interval, tolerance) = (interval(&spec.interval)?, tolerance(&spec.tolerance)?);
    if tolerance.stale_after < interval {
        return Err(invalid(
            "spec.tolerance.staleAfter",
            "must not be shorter than interval, or every reading would be stale before the next one",
        ));
    }
    Ok(Policy {
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        nodes: selector("spec.nodeSelector", &spec.node_selector)?,
        source: source(&spec.source, &tolerance)?,
        references: spec.references.iter().map(reference).collect::<Result<_, _>>()?,
        interval,
        tolerance,
        action: action(&spec.action, spec.suspend)?,
        admission: admission(&spec.admission)?,
    })
}

fn interval(text: &DurationText) -> Result<Duration, InvalidPolicy> {
    let interval = length("spec.interval", text)?;
    if interval < Duration::from_millis(100) || interval > Duration::from_secs(3600) {
        return Err(invalid("spec.interval", "must be between 100ms and 1h"));
    }
    Ok(interval)
}

/// `ntp://HOST:PORT`, in one form however it was written.
fn reference(url: &ReferenceUrl) -> Result<String, InvalidPolicy> {
    let server: Server = url.0.parse().map_err(|error: ServerError| invalid("spec.references", error.to_string()))?;
    if !names::is_host(&server.host) {
        let hint = "write ntp://HOST or ntp://HOST:PORT";
        return Err(invalid("spec.references", format!("{:?}: {:?} is no host; {hint}", url.0, server.host)));
    }
    Ok(server.to_string())
}

fn source(spec: &SourceSpec, tolerance: &Tolerance) -> Result<Source, InvalidPolicy> {
    match (&spec.agent, &spec.node_exporter, &spec.prometheus, &spec.lease) {
        (Some(agent), None, None, None) => {
            port("spec.source.agent.port", agent.port).map(|port| Source::Agent { port })
        }
        (None, Some(exporter), None, None) => {
            port("spec.source.nodeExporter.port", exporter.port).map(|port| Source::NodeExporter { port })
        }
        (None, None, Some(from), None) => prometheus(from),
        (None, None, None, Some(lease)) => {
            let field = "spec.source.lease.maxDelay";
            let delay_max = positive(field, &lease.max_delay)?;
            if delay_max >= tolerance.offset_max {
                let message = "must be shorter than tolerance.maxOffset: it is part of the error of every reading";
                return Err(invalid(field, message));
            }
            Ok(Source::Lease { delay_max })
        }
        _ => Err(invalid("spec.source", "must have exactly one of agent, nodeExporter, prometheus, lease")),
    }
}

fn prometheus(spec: &PrometheusSource) -> Result<Source, InvalidPolicy> {
    let text = &spec.url.0;
    let url = http_url::base(text).map_err(|wrong| {
        // A password must not be repeated in a status or a log.
        let shown = if text.contains('@') { "the URL".to_owned() } else { format!("{text:?}") };
        invalid("spec.source.prometheus.url", format!("{shown} {wrong}"))
    })?;
    let is_name = |label: &str| {
        label.len() <= 128
            && label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(label) = spec.node_label.as_deref().filter(|label| !is_name(label)) {
        let message = format!("{label:?} is no name of a label: write letters, digits and _, no digit first");
        return Err(invalid("spec.source.prometheus.nodeLabel", message));
    }
    Ok(Source::Prometheus { url, node_label: spec.node_label.clone() })
}

fn port(field: &str, number: i32) -> Result<u16, InvalidPolicy> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    port.ok_or_else(|| invalid(field, format!("{number} is no TCP port: write 1 to 65535")))
}

fn tolerance(spec: &ToleranceSpec) -> Result<Tolerance, InvalidPolicy> {
    Ok(Tolerance {
        offset_max: positive("spec.tolerance.maxOffset", &spec.max_offset)?,
        error_max: positive("spec.tolerance.maxError", &spec.max_error)?,
        unsynchronized_max: positive("spec.tolerance.maxUnsynchronized", &spec.max_unsynchronized)?,
        stale_after: positive("spec.tolerance.staleAfter", &spec.stale_after)?,
    })
}

fn action(spec: &ActionSpec, suspended: bool) -> Result<Action, InvalidPolicy> {
    let named = match (taint(&spec.taint)?, spec.type_) {
        (_, ActionType::Cordon) => Mark::Cordon,
        (taint, ActionType::Taint | ActionType::Observe) => taint,
    };
    Ok(Action {
        mark: (spec.type_ != ActionType::Observe).then(|| named.clone()),
        named,
        sustained_for: length("spec.action.sustainedFor", &spec.sustained_for)?,
        recovered_for: length("spec.action.recoveredFor", &spec.recovered_for)?,
        act_on_unknown: spec.on_unknown == OnUnknown::Act,
        limit: limit(&spec.limit)?,
        suspended,
    })
}

fn taint(spec: &TaintSpec) -> Result<Mark, InvalidPolicy> {
    let field = "spec.action.taint.key";
    names::qualified(&spec.key).map_err(|wrong| invalid(field, format!("{:?} {wrong}", spec.key)))?;
    if names::is_of_kubernetes(&spec.key) {
        let message = format!("{:?} lies under kubernetes.io or k8s.io: those taints belong to Kubernetes", spec.key);
        return Err(invalid(field, message));
    }
    let effect = match spec.effect {
        TaintEffectSpec::NoSchedule => Effect::NoSchedule,
        TaintEffectSpec::PreferNoSchedule => Effect::PreferNoSchedule,
        TaintEffectSpec::NoExecute => Effect::NoExecute,
    };
    Ok(Mark::Taint { key: spec.key.clone(), effect })
}

fn limit(spec: &LimitSpec) -> Result<Limit, InvalidPolicy> {
    let count = |field: &str, number: i32| {
        let wrong = || invalid(field, format!("{number} is no count: write 0 to {MAX_COUNT}"));
        usize::try_from(number).ok().filter(|_| number <= MAX_COUNT).ok_or_else(wrong)
    };
    let field = "spec.action.limit.maxNodes";
    let at_least = count("spec.action.limit.atLeast", spec.at_least)?;
    match &spec.max_nodes.0 {
        IntOrString::Int(number) => count(field, *number).map(Limit::Count),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let percent = digits.and_then(|digits| digits.parse::<u8>().ok()).filter(|percent| *percent <= 100);
            percent
                .map(|percent| Limit::Percent { percent, at_least })
                .ok_or_else(|| invalid(field, format!("{text:?} is no percentage from 0% to 100%")))
        }
    }
}

/// Reads the admission part of a policy.
///
/// # Errors
/// Names the field that is wrong.
pub fn admission(spec: &AdmissionSpec) -> Result<Admission, InvalidPolicy> {
    let bounds = Bounds {
        skew_min: length("spec.admission.minSkew", &spec.min_skew)?,
        skew_max: length("spec.admission.maxSkew", &spec.max_skew)?,
        // A rule that we do not know is one of a newer version; the schema refuses what is none at all.
        levels: spec
            .rules
            .iter()
            .fold(Levels::default(), |levels, (rule, level)| levels.with(rule, rule_level(*level)).unwrap_or(levels)),
    };
    if bounds.skew_min > bounds.skew_max {
        return Err(invalid("spec.admission.minSkew", "must not be longer than maxSkew"));
    }
    Ok(Admission {
        mode: match spec.mode {
            AdmissionModeSpec::Enforce => Mode::Enforce,
            AdmissionModeSpec::Warn => Mode::Warn,
            AdmissionModeSpec::Off => Mode::Off,
        },
        bounds,
        namespaces: selector("spec.admission.namespaceSelector", &spec.namespace_selector)?,
        settings: settings(&spec.settings)?,
    })
}

/// Reads the settings that a policy adds to the catalogue.
///
/// # Errors
/// Names the field that is wrong.
pub fn settings(specs: &[SettingSpec]) -> Result<Vec<Own>, InvalidPolicy> {
    if specs.len() > SETTINGS_MAX {
        return Err(invalid("spec.admission.settings", format!("{} are more than {SETTINGS_MAX}", specs.len())));
    }
    specs
        .iter()
        .enumerate()
        .map(|(number, spec)| setting(&format!("spec.admission.settings[{number}]"), spec))
        .collect()
}

fn setting(at: &str, spec: &SettingSpec) -> Result<Own, InvalidPolicy> {
    let field = |name: &str| format!("{at}.{name}");
    if !(1..=PRODUCT_MAX).contains(&spec.product.chars().count()) {
        return Err(invalid(
            &field("product"),
            format!("{:?}: write a name of 1 to {PRODUCT_MAX} characters", spec.product),
        ));
    }
    if !(1..=KEYS_MAX).contains(&spec.keys.len()) {
        return Err(invalid(&field("keys"), format!("{} keys: write 1 to {KEYS_MAX}", spec.keys.len())));
    }
    let key = |(number, text): (usize, &String)| {
        let is_spelled = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ':' | '-' | '*');
        let pattern = Pattern::new(text).filter(|pattern| pattern.tail().len() >= 3);
        pattern.filter(|_| text.len() <= KEY_MAX && text.chars().all(is_spelled)).ok_or_else(|| {
            let message = format!("{text:?} is no key like shop.auth.max-clock-diff");
            invalid(&format!("{at}.keys[{number}]"), message)
        })
    };
    let recommended = positive(&field("recommended"), &spec.recommended)?;
    Ok(Own {
        product: spec.product.clone(),
        keys: spec.keys.iter().enumerate().map(key).collect::<Result<_, _>>()?,
        unit: match spec.unit {
            UnitSpec::Nanoseconds => Unit::Nanoseconds,
            UnitSpec::Milliseconds => Unit::Milliseconds,
            UnitSpec::Seconds => Unit::Seconds,
            UnitSpec::Minutes => Unit::Minutes,
            UnitSpec::Hours => Unit::Hours,
        },
        zero: match spec.zero {
            ZeroSpec::NoTolerance => Meaning::Zero,
            ZeroSpec::ProductDefault => Meaning::Default,
            ZeroSpec::CheckDisabled => Meaning::Disabled,
        },
        recommended: Nanos::try_from(recommended.as_nanos()).unwrap_or(Nanos::MAX),
    })
}

fn rule_level(spec: RuleLevelSpec) -> Level {
    match spec {
        RuleLevelSpec::Ignore => Level::Ignore,
        RuleLevelSpec::Warning => Level::Warning,
        RuleLevelSpec::Default => Level::Default,
        RuleLevelSpec::Error => Level::Error,
    }
}

fn selector(field: &str, spec: &LabelSelector) -> Result<Selector, InvalidPolicy> {
    let check = |part: &str, text: &str, checked: Result<(), names::Wrong>| {
        checked.map_err(|wrong| invalid(&format!("{field}.{part}"), format!("{text:?} {wrong}")))
    };
    let mut all = Vec::new();
    for (key, value) in spec.match_labels.iter().flatten() {
        check("matchLabels", key, names::qualified(key))?;
        check("matchLabels", value, names::label_value(value))?;
        all.push(Requirement::In(key.clone(), [value.clone()].into()));
    }
    for expression in spec.match_expressions.iter().flatten() {
        let (key, values) = (&expression.key, expression.values.as_deref().unwrap_or_default());
        check("matchExpressions.key", key, names::qualified(key))?;
        for value in values {
            check("matchExpressions.values", value, names::label_value(value))?;
        }
        all.push(requirement(field, expression, values)?);
    }
    Ok(Selector(all))
}

fn requirement(
    field: &str,
    expression: &LabelSelectorRequirement,
    values: &[String],
) -> Result<Requirement, InvalidPolicy> {
    let key = expression.key.clone();
    let (has_values, set) = (!values.is_empty(), values.iter().cloned().collect());
    match (expression.operator.as_str(), has_values) {
        ("In", true) => Ok(Requirement::In(key, set)),
        ("NotIn", true) => Ok(Requirement::NotIn(key, set)),
        ("Exists", false) => Ok(Requirement::Exists(key)),
        ("DoesNotExist", false) => Ok(Requirement::DoesNotExist(key)),
        ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => Err(invalid(
            &format!("{field}.matchExpressions.values"),
            "In and NotIn need values; Exists and DoesNotExist must have none",
        )),
        (other, _) => Err(invalid(
            &format!("{field}.matchExpressions.operator"),
            format!("unknown operator {other:?}: the operators are In, NotIn, Exists, DoesNotExist"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: serde_json::Value) -> Result<Policy, InvalidPolicy> {
        let object: TimeSyncPolicy = serde_json::from_value(json!({
            "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy", "metadata": {"name": "p"}, "spec": spec,
        }))
        .unwrap();
        policy(&object)
    }

    #[test]
    fn an_empty_spec_is_the_documented_default() {
        let policy = read(json!({})).unwrap();
        assert_eq!(policy.source, Source::Agent { port: 9555 });
        assert_eq!(policy.tolerance.offset_max, Duration::from_millis(500));
        assert_eq!(policy.action.limit, Limit::Percent { percent: 10, at_least: 1 });
        assert_eq!(
            (policy.action.sustained_for, policy.action.recovered_for),
            (Duration::from_secs(30), Duration::from_secs(120))
        );
        assert_eq!(policy.action.mark.unwrap().to_string(), "taint clockwarden.io/clock-drift:NoSchedule");
        assert!(policy.nodes.is_empty() && !policy.action.act_on_unknown && policy.admission.mode == Mode::Enforce);
    }

    #[test]
    fn a_rule_has_the_level_that_it_is_given_and_one_of_a_newer_version_is_none() {
        let policy =
            read(json!({"admission": {"rules": {"fake-time": "Ignore", "from-the-future": "Error"}}})).unwrap();
        assert_eq!(policy.admission.bounds.levels, Levels::default().with("fake-time", Level::Ignore).unwrap());
    }

    #[test]
    fn settings_of_own_products_have_defaults() {
        let setting = json!({"product": "Shop", "keys": ["shop.max-clock-diff"]});
        let policy = read(json!({"admission": {"settings": [setting]}})).unwrap();
        let [own] = policy.admission.settings.as_slice() else { panic!("{policy:?}") };
        assert_eq!((own.unit, own.zero, own.recommended), (Unit::Seconds, Meaning::Zero, 30_000_000_000));
    }

    #[test]
    fn references_get_their_port() {
        let all = ["ntp://a.example", "ntp://10.0.0.1:1123", "ntp://[::1]", "ntp://[::1]:5"];
        let policy = read(json!({ "references": all })).unwrap();
        assert_eq!(
            policy.references,
            ["ntp://a.example:123", "ntp://10.0.0.1:1123", "ntp://[::1]:123", "ntp://[::1]:5"]
        );
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let refusal = read(json!({"source": {"prometheus": {"url": "http://me:hunter2@p"}}})).unwrap_err().to_string();
        assert!(refusal.contains("user or password") && !refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn what_the_schema_would_refuse_is_refused_here_too_with_its_field() {
        for (spec, field) in [
            (json!({"tolerance": {"maxOffset": "5"}}), "spec.tolerance.maxOffset"),
            (json!({"tolerance": {"maxOffset": "0s"}}), "spec.tolerance.maxOffset"),
            (json!({"interval": "-1s"}), "spec.interval"),
            (json!({"source": {"agent": {}, "lease": {}}}), "spec.source"),
            (json!({"action": {"limit": {"maxNodes": "101%"}}}), "spec.action.limit.maxNodes"),
            (json!({"action": {"limit": {"maxNodes": -1}}}), "spec.action.limit.maxNodes"),
            (json!({"references": ["http://x"]}), "spec.references"),
            (
                json!({"admission": {"settings": [{"product": "a", "keys": ["a.diff", "a*b*c"]}]}}),
                "spec.admission.settings[0].keys[1]",
            ),
            (
                json!({"admission": {"settings": [{"product": "a", "keys": ["a.diff"], "recommended": "0s"}]}}),
                "spec.admission.settings[0].recommended",
            ),
            (json!({"admission": {"minSkew": "10m"}}), "spec.admission.minSkew"),
            (json!({"source": {"prometheus": {"url": "https://p"}}}), "spec.source.prometheus.url"),
            (
                json!({"source": {"prometheus": {"url": "http://p", "nodeLabel": "a-b"}}}),
                "spec.source.prometheus.nodeLabel",
            ),
            (
                json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Maybe"}]}}),
                "spec.nodeSelector.matchExpressions.operator",
            ),
        ] {
            assert_eq!(read(spec.clone()).unwrap_err().field, field, "{spec}");
        }
    }
}
