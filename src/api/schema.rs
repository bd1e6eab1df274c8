//! The pieces of schema that no derive writes: durations, references, counts, and label selectors with bounds.
//!
//! What passes here must be readable by [`super::convert`], for all values that a JSON document can hold. Everything
//! has a greatest length: without it the API server cannot bound the cost of a rule and refuses the whole CRD. Rules
//! say in words what to write; a failed pattern only shows itself.
//!
//! Source: structural schemas and validation rules in the Kubernetes documentation of CustomResourceDefinitions;
//! `k8s.io/apimachinery/pkg/util/validation` for what keys and values of labels look like.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

use crate::inspect::rules::{RULES, Rule};

use super::admission::{KEY_MAX, KEYS_MAX};
use super::time_sync_policy::{DurationText, HttpUrl, MAX_COUNT, MaxNodes, ReferenceUrl};

/// A qualified name: a name of 63 characters at most, and perhaps a domain before it.
pub const QUALIFIED_NAME: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

/// A domain of 253 characters, a slash, a name of 63.
const QUALIFIED_NAME_LEN: u32 = 317;

/// A label's value; empty is one.
const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";

/// Requirements in one selector, and values in one requirement. Far more than anybody writes by hand.
const SELECTOR_MAX: u32 = 64;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The pattern keeps signs and bare numbers out; `duration()` fails for what overflows.
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": "^(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|\u{b5}s|\u{3bc}s|ms|s|m|h))+)$",
            "x-kubernetes-validations": [{
                "rule": "duration(self) >= duration('0s')",
                "message": "must be a duration of at most 292 years: numbers with units, like 500ms, 30s, 5m or 1h30m",
            }],
        })
    }
}

/// A host name, an IPv4 address, or an IPv6 address in brackets, as a string of CEL.
const HOST: &str = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])";
/// 1 to 65535.
const PORT: &str = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]";

impl JsonSchema for HttpUrl {
    fn schema_name() -> Cow<'static, str> {
        "HttpUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 1024,
            "x-kubernetes-validations": [{
                "rule": "!self.startsWith('https://')",
                "message": "must begin with http://: this version speaks no TLS to it",
            }, {
                "rule": "!self.contains('@')",
                "message": "must have no user and no password: whoever may read a policy could read them",
            }, {
                "rule": format!("self.contains('@') || self.startsWith('https://') || self.matches('^http://{HOST}(:({PORT}))?(/[A-Za-z0-9._~/-]*)?$')"),
                "message": "must be http://HOST[:PORT][/PATH] with a port from 1 to 65535, without query and fragment; an IPv6 address stands in brackets",
            }],
        })
    }
}

impl JsonSchema for ReferenceUrl {
    fn schema_name() -> Cow<'static, str> {
        "ReferenceUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 261,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('^ntp://{HOST}(:({PORT}))?$')"),
                "message": "must be ntp://HOST or ntp://HOST:PORT with a port from 1 to 65535; an IPv6 address stands in brackets",
            }],
        })
    }
}

impl JsonSchema for MaxNodes {
    fn schema_name() -> Cow<'static, str> {
        "MaxNodes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Integers of a JSON document have no greatest value; ours do.
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": [{
                "rule": format!("type(self) == string ? self.matches('^(100|[0-9]{{1,2}})%$') : self >= 0 && self <= {MAX_COUNT}"),
                "message": format!("must be a count from 0 to {MAX_COUNT}, or a percentage from 0% to 100%"),
            }],
        })
    }
}

/// Spellings of a setting. What a message names is no secret, and what is looked for in every object is short.
pub fn setting_keys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": KEYS_MAX,
        "items": {
            "type": "string",
            "maxLength": KEY_MAX,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[A-Za-z0-9._/:-]*([*][A-Za-z0-9._/:-]*)?$') && self.matches('[A-Za-z0-9][^*A-Za-z0-9]*[A-Za-z0-9][^*A-Za-z0-9]*[A-Za-z0-9][^*]*$')",
                "message": "must be a key like shop.auth.max-clock-diff: letters, digits, dots, dashes and underscores, one star at most, and three letters behind it",
            }],
        },
    })
}

/// A level for each rule, by name. Named fields, and not any key: `kubectl explain` lists them, and `kubectl apply` refuses
/// a misspelled one.
pub fn rules(_: &mut SchemaGenerator) -> Schema {
    let level = |rule: &Rule| {
        let schema = serde_json::json!({
            "type": "string",
            "description": rule.summary,
            "enum": ["Ignore", "Warning", "Default", "Error"],
        });
        (rule.name.to_owned(), schema)
    };
    let properties: serde_json::Map<String, serde_json::Value> = RULES.iter().map(level).collect();
    json_schema!({"type": "object", "properties": properties})
}

/// A metav1.LabelSelector whose operators exist, whose keys and values can be those of labels, and whose size is
/// bounded. Atomic, as in the core API: half of one selector and half of another is neither.
pub fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object",
                "description": "Labels that must be there with these values.",
                "maxProperties": SELECTOR_MAX,
                "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
                "x-kubernetes-validations": [{
                    "rule": format!("self.all(key, size(key) <= {QUALIFIED_NAME_LEN} && key.matches('{QUALIFIED_NAME}'))").replace('\\', r"\\"),
                    "message": "has a key that no label can have",
                }],
            },
            "matchExpressions": {
                "type": "array",
                "description": "Requirements that must all hold.",
                "maxItems": SELECTOR_MAX,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "type": "string",
                            "description": "The label's key.",
                            "maxLength": QUALIFIED_NAME_LEN,
                            "pattern": QUALIFIED_NAME,
                        },
                        "operator": {
                            "type": "string",
                            "description": "In, NotIn, Exists or DoesNotExist.",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "type": "array",
                            "description": "Values for In and NotIn; none for the others.",
                            "maxItems": SELECTOR_MAX,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
                        },
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "In and NotIn need values; Exists and DoesNotExist must have none",
                        "fieldPath": ".values",
                    }],
                },
            },
        },
    })
}

/// Takes back what the derive allows for every `Option`: a null. `source: {agent: null}` would count as a source, and
/// nobody could read it. The API server drops a null that is not allowed, which leaves the default or an absence.
pub fn refuse_nulls(schema: &mut JSONSchemaProps) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray;
    schema.nullable = None;
    for property in schema.properties.iter_mut().flat_map(|all| all.values_mut()) {
        refuse_nulls(property);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(item)) => refuse_nulls(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(refuse_nulls),
        None => {}
    }
}
