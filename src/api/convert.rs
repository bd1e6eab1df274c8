//! From the API's types, as written, to [`crate::policy::Policy`], valid: once, at the border.
//!
//! The schema refuses most of what is refused here; but a CRD may be older than the program, and lint reads files
//! that no API server has seen.

use super::time_sync_policy::{
    ActionType, AdmissionModeSpec, AdmissionSpec, DurationText, LimitSpec, OnUnknown, ReferenceUrl,
    Source as SourceSpec, TaintEffectSpec, TimeSyncPolicy, ToleranceSpec,
};
use crate::agent::sources::sntp::{Server, ServerError};
use crate::clock::Tolerance;
use crate::duration;
use crate::inspect::Bounds;
use crate::policy::marks::Effect;
use crate::policy::selector::Requirement;
use crate::policy::{Action, Admission, Limit, Mark, Mode, Policy, Selector, Source};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
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
    Ok(Policy {
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        deleting: object.metadata.deletion_timestamp.is_some(),
        nodes: selector("spec.nodeSelector", &spec.node_selector)?,
        source: source(&spec.source)?,
        references: spec.references.iter().map(reference).collect::<Result<_, _>>()?,
        interval: positive("spec.interval", &spec.interval)?,
        tolerance: tolerance(&spec.tolerance)?,
        action: action(&spec.action)?,
        admission: admission(&spec.admission)?,
    })
}

/// `ntp://HOST:PORT`, in one form however it was written.
fn reference(url: &ReferenceUrl) -> Result<String, InvalidPolicy> {
    let server: Server = url.0.parse().map_err(|error: ServerError| invalid("spec.references", error.to_string()))?;
    Ok(server.to_string())
}

fn source(spec: &SourceSpec) -> Result<Source, InvalidPolicy> {
    match (&spec.agent, &spec.node_exporter, &spec.prometheus, &spec.lease) {
        (Some(agent), None, None, None) => u16::try_from(agent.port)
            .ok()
            .filter(|port| *port != 0)
            .map(|port| Source::Agent { port })
            .ok_or_else(|| invalid("spec.source.agent.port", format!("{} is no TCP port", agent.port))),
        (None, Some(_), None, None) => Ok(Source::Unsupported("nodeExporter")),
        (None, None, Some(_), None) => Ok(Source::Unsupported("prometheus")),
        (None, None, None, Some(_)) => Ok(Source::Unsupported("lease")),
        _ => Err(invalid("spec.source", "must have exactly one of agent, nodeExporter, prometheus, lease")),
    }
}

fn tolerance(spec: &ToleranceSpec) -> Result<Tolerance, InvalidPolicy> {
    Ok(Tolerance {
        offset_max: positive("spec.tolerance.maxOffset", &spec.max_offset)?,
        error_max: positive("spec.tolerance.maxError", &spec.max_error)?,
        unsynchronized_max: positive("spec.tolerance.maxUnsynchronized", &spec.max_unsynchronized)?,
        stale_after: positive("spec.tolerance.staleAfter", &spec.stale_after)?,
    })
}

fn action(spec: &super::time_sync_policy::ActionSpec) -> Result<Action, InvalidPolicy> {
    let effect = match spec.taint.effect {
        TaintEffectSpec::NoSchedule => Effect::NoSchedule,
        TaintEffectSpec::PreferNoSchedule => Effect::PreferNoSchedule,
        TaintEffectSpec::NoExecute => Effect::NoExecute,
    };
    Ok(Action {
        mark: match spec.type_ {
            ActionType::Taint => Some(Mark::Taint { key: spec.taint.key.clone(), effect }),
            ActionType::Cordon => Some(Mark::Cordon),
            ActionType::Observe => None,
        },
        sustained_for: length("spec.action.sustainedFor", &spec.sustained_for)?,
        recovered_for: length("spec.action.recoveredFor", &spec.recovered_for)?,
        act_on_unknown: spec.on_unknown == OnUnknown::Act,
        limit: limit(&spec.limit)?,
    })
}

fn limit(spec: &LimitSpec) -> Result<Limit, InvalidPolicy> {
    let field = "spec.action.limit.maxNodes";
    let at_least = usize::try_from(spec.at_least).unwrap_or(0);
    match &spec.max_nodes.0 {
        IntOrString::Int(count) => {
            usize::try_from(*count).map(Limit::Count).map_err(|_| invalid(field, format!("{count} is negative")))
        }
        IntOrString::String(text) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok()).filter(|p| *p <= 100);
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
    })
}

fn selector(field: &str, spec: &LabelSelector) -> Result<Selector, InvalidPolicy> {
    let mut all: Vec<Requirement> = spec
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| Requirement::In(key.clone(), [value.clone()].into()))
        .collect();
    for expression in spec.match_expressions.iter().flatten() {
        let (key, values) = (expression.key.clone(), expression.values.iter().flatten().cloned().collect());
        all.push(match expression.operator.as_str() {
            "In" => Requirement::In(key, values),
            "NotIn" => Requirement::NotIn(key, values),
            "Exists" => Requirement::Exists(key),
            "DoesNotExist" => Requirement::DoesNotExist(key),
            other => {
                let hint = "the operators are In, NotIn, Exists, DoesNotExist";
                return Err(invalid(
                    &format!("{field}.matchExpressions"),
                    format!("unknown operator {other:?}: {hint}"),
                ));
            }
        });
    }
    Ok(Selector(all))
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
    fn references_get_their_port() {
        let all = ["ntp://a.example", "ntp://10.0.0.1:1123", "ntp://[::1]", "ntp://[::1]:5"];
        let policy = read(json!({ "references": all })).unwrap();
        assert_eq!(
            policy.references,
            ["ntp://a.example:123", "ntp://10.0.0.1:1123", "ntp://[::1]:123", "ntp://[::1]:5"]
        );
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
            (json!({"admission": {"minSkew": "10m"}}), "spec.admission.minSkew"),
            (
                json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Maybe"}]}}),
                "spec.nodeSelector.matchExpressions",
            ),
        ] {
            assert_eq!(read(spec.clone()).unwrap_err().field, field, "{spec}");
        }
    }
}
