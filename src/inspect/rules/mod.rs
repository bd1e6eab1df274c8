//! The rules: what is wrong with a setting, how bad it is, and what to write instead.
//!
//! A rule is a file here, a line in [`RULES`] and a fixture folder. Its doc comment is the user's page. Rules see a
//! recognised setting with what its value does in its product; they know bounds and nothing of documents.

pub mod jwt_check_disabled;
pub mod jwt_skew_too_large;
pub mod jwt_skew_zero;

use super::catalogue::Role;
use super::duration::Nanos;
use super::recognise::Setting;
use super::{Bounds, Severity};

/// One rule.
pub struct Rule {
    /// Its name, for the fault.
    pub name: &'static str,
    /// The worst that it says.
    pub severity: Severity,
    /// What it says about a setting, if anything.
    pub check: fn(&Setting<'_>, &Bounds) -> Option<Verdict>,
}

/// What a rule says about one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// At most the rule's own.
    pub severity: Severity,
    /// What the value means there: a clause that follows the setting and its value (`… is "0", which …`).
    pub meaning: String,
}

/// Every rule. At most one of them speaks about a setting.
pub const RULES: &[Rule] = &[jwt_skew_zero::RULE, jwt_skew_too_large::RULE, jwt_check_disabled::RULE];

fn error(meaning: String) -> Option<Verdict> {
    Some(Verdict { severity: Severity::Error, meaning })
}

fn warning(meaning: String) -> Option<Verdict> {
    Some(Verdict { severity: Severity::Warning, meaning })
}

/// A bound of the policy in nanoseconds.
fn nanos(bound: std::time::Duration) -> Nanos {
    Nanos::try_from(bound.as_nanos()).unwrap_or(Nanos::MAX)
}

/// Is it certain that the setting is about tokens? By the generic convention only an authentication word tells.
fn is_certain(setting: &Setting<'_>) -> bool {
    match setting.known.role {
        Role::Generic { strong, .. } => strong && setting.has_auth,
        Role::Product | Role::Exclusion => true,
    }
}

/// How the meaning is known: `which for Envoy means`, or by the name alone.
fn means(setting: &Setting<'_>) -> String {
    match setting.known.role {
        Role::Generic { .. } => "which by its name means".to_owned(),
        Role::Product | Role::Exclusion => format!("which for {} means", setting.known.product),
    }
}
