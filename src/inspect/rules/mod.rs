//! The rules: what is wrong with a setting, how bad it is, and what to write instead.
//!
//! A rule is a file here, a line in [`RULES`] and a fixture folder. Its doc comment is the user's page, from which
//! `docs/rules/` is made. Some see a recognised setting with what its value does in its product, the others a piece of
//! the document with the way to it ([`Look`]); none knows how the document was come by, or what a policy makes of it.

pub mod fake_time;
pub mod host_clock_write;
pub mod jwt_check_disabled;
pub mod jwt_skew_too_large;
pub mod jwt_skew_unset;
pub mod jwt_skew_zero;
pub mod lease_ratio;
pub mod ntp_unbounded_step;
pub mod token_lifetime;

use super::catalogue::Role;
use super::duration::Nanos;
use super::recognise::{Effect, Setting};
use super::sight::{Remark, Sight};
use super::{Bounds, Severity};

/// One rule.
pub struct Rule {
    /// Its name, for the fault.
    pub name: &'static str,
    /// The fault in one sentence, as its page says it first.
    pub summary: &'static str,
    /// The worst that it says.
    pub severity: Severity,
    /// Lower-case texts, one of which stands in every document that it could say something about; those of recognised
    /// settings are the catalogue's. They decide what the webhook reads at all: rare words only.
    pub needles: &'static [&'static str],
    /// A map is shown to it only where it has one of these keys.
    pub maps: &'static [&'static str],
    /// What it looks at.
    pub look: Look,
}

/// What a rule looks at.
pub enum Look {
    /// A setting that the catalogue recognised. At most one rule speaks about one.
    Setting(fn(&Setting<'_>, &Bounds) -> Option<Verdict>),
    /// Whatever the walk passes by.
    Sight(fn(&Sight<'_>, &mut dyn FnMut(Remark))),
}

/// What a rule says about one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// At most the rule's own.
    pub severity: Severity,
    /// What the value means there: a clause that follows the setting and its value (`… is "0", which …`).
    pub meaning: String,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    jwt_skew_zero::RULE,
    jwt_skew_too_large::RULE,
    jwt_check_disabled::RULE,
    jwt_skew_unset::RULE,
    fake_time::RULE,
    host_clock_write::RULE,
    ntp_unbounded_step::RULE,
    token_lifetime::RULE,
    lease_ratio::RULE,
];

/// May a rule have something to say of a setting that does this, whoever's it is?
pub(crate) fn is_of_interest(effect: Effect, bounds: &Bounds) -> bool {
    match effect {
        Effect::Tolerance(tolerance) => {
            tolerance <= 0 || tolerance < nanos(bounds.skew_min) || tolerance > nanos(bounds.skew_max)
        }
        Effect::Default => false,
        Effect::Fallback | Effect::Disabled | Effect::Unclear => true,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::catalogue::Catalogue;
    use crate::inspect::duration;
    use std::borrow::Cow;
    use std::time::Duration;

    /// What is not of interest is never recognised, so no rule may have anything to say of it; and what is, is not so
    /// for nothing.
    #[test]
    fn no_rule_speaks_of_what_is_not_of_interest() {
        let bounds = |min, max| Bounds {
            skew_min: Duration::from_secs(min),
            skew_max: Duration::from_secs(max),
            ..Bounds::default()
        };
        let second = duration::SECOND;
        let spans =
            [-second, -1, 0, 1, second - 1, second, 30 * second, 300 * second, 300 * second + 1, 10_000 * second];
        let others = [Effect::Default, Effect::Fallback, Effect::Disabled, Effect::Unclear];
        let effects: Vec<Effect> = spans.into_iter().map(Effect::Tolerance).chain(others).collect();
        for bounds in [Bounds::default(), bounds(0, 300), bounds(1, 300), bounds(400, 300)] {
            for effect in &effects {
                let settings = Catalogue::builtin().known().iter().flat_map(|known| {
                    let text = || Cow::Borrowed("0");
                    let span = duration::read("0");
                    [true, false].map(|has_auth| Setting {
                        known,
                        text: text(),
                        is_default: false,
                        effect: *effect,
                        span,
                        has_auth,
                    })
                });
                let speaks = |setting: &Setting<'_>| {
                    RULES.iter().any(|rule| match rule.look {
                        Look::Setting(check) => check(setting, &bounds).is_some(),
                        Look::Sight(_) => false,
                    })
                };
                let is_said = settings.filter(|setting| setting.known.role != Role::Exclusion).any(|it| speaks(&it));
                assert_eq!(is_of_interest(*effect, &bounds), is_said, "{effect:?} {bounds:?}");
            }
        }
    }
}
