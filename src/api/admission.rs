//! `spec.admission` of a `TimeSyncPolicy`: which settings the webhook refuses, and what it knows about products beside the
//! built-in catalogue.

#![expect(unreachable_pub, reason = "KubeSchema copies each struct into the body of a function")]

use super::schema;
use super::time_sync_policy::{DurationText, text};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of own products in a policy.
pub const SETTINGS_MAX: usize = 64;
/// Characters of a product's name.
pub const PRODUCT_MAX: usize = 64;
/// Spellings of a setting.
pub const KEYS_MAX: usize = 16;
/// Characters of a spelling.
pub const KEY_MAX: usize = 128;

/// How strict admission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AdmissionModeSpec {
    /// Errors refuse.
    #[default]
    Enforce,
    /// Errors warn.
    Warn,
    /// Nothing is looked at.
    Off,
}

/// Which settings are refused.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.minSkew) <= duration(self.maxSkew)").message("minSkew must not be longer than maxSkew").field_path(".minSkew"))]
pub struct AdmissionSpec {
    /// Enforce, Warn or Off.
    #[serde(default)]
    pub mode: AdmissionModeSpec,
    /// A tolerance below this is refused, where the product has a real zero.
    #[serde(default = "default_min_skew")]
    pub min_skew: DurationText,
    /// A tolerance above this is warned about.
    #[serde(default = "default_max_skew")]
    pub max_skew: DurationText,
    /// How bad each rule is; one that is not named is as its page says (docs/rules).
    #[serde(default)]
    #[schemars(schema_with = "schema::rules")]
    pub rules: BTreeMap<String, RuleLevelSpec>,
    /// Settings of your own products, which the built-in catalogue does not know. What they mean does not depend on the
    /// namespace: those of all policies hold wherever a policy judges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SETTINGS_MAX))]
    pub settings: Vec<SettingSpec>,
    /// Which namespaces; empty selects all of them.
    #[serde(default)]
    #[schemars(schema_with = "schema::selector")]
    pub namespace_selector: LabelSelector,
}

/// A tolerance for clock skew in a product of your own.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingSpec {
    /// The product's name, for messages.
    #[schemars(length(min = 1, max = PRODUCT_MAX))]
    pub product: String,
    /// How the setting is spelled, with its words apart: shop.auth.max-clock-diff is found as SHOP_AUTH_MAX_CLOCK_DIFF,
    /// --shop.auth.maxClockDiff and as maps in one another too. A star stands for one or more words.
    #[schemars(schema_with = "schema::setting_keys")]
    pub keys: Vec<String>,
    /// What a bare number counts.
    #[serde(default)]
    pub unit: UnitSpec,
    /// What the value 0 does.
    #[serde(default)]
    pub zero: ZeroSpec,
    /// What a fix proposes.
    #[serde(default = "default_recommended")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s')").message("recommended must be longer than 0s"))]
    pub recommended: DurationText,
}

/// What a bare number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum UnitSpec {
    /// 1e-9 s, Go's own integers.
    Nanoseconds,
    /// 1e-3 s.
    Milliseconds,
    /// 1 s.
    #[default]
    Seconds,
    /// 60 s.
    Minutes,
    /// 3600 s.
    Hours,
}

/// What the value 0 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ZeroSpec {
    /// No tolerance at all, which is refused.
    #[default]
    NoTolerance,
    /// The product's default holds, which is fine.
    ProductDefault,
    /// The check is switched off, which is refused.
    CheckDisabled,
}

fn default_recommended() -> DurationText {
    text("30s")
}

/// How bad a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleLevelSpec {
    /// Nothing is said. Not Off, which YAML 1.1 reads as false.
    Ignore,
    /// Everything is a warning.
    Warning,
    /// What is certain is as bad as the rule's page says, the rest a warning.
    Default,
    /// Everything is an error, also what is not certain.
    Error,
}

fn default_min_skew() -> DurationText {
    text("1s")
}
fn default_max_skew() -> DurationText {
    text("5m")
}

impl Default for AdmissionSpec {
    fn default() -> Self {
        AdmissionSpec {
            mode: AdmissionModeSpec::default(),
            min_skew: default_min_skew(),
            max_skew: default_max_skew(),
            rules: BTreeMap::new(),
            settings: Vec::new(),
            namespace_selector: LabelSelector::default(),
        }
    }
}
