//! How bad each rule is held to be: what a policy or a command line makes of it.
//!
//! A rule says an error where it is certain and a warning where it is not. Whoever runs it may want less of it (a
//! warning at most, or nothing), or all of it as errors, the doubtful cases included. Levels have an order, so that of
//! several policies the strictest holds for each rule, and what is not set is as the rule says.
//!
//! Does not know: policies, command lines.

use super::finding::Severity;
use super::rules::RULES;

/// What becomes of what a rule says. The order is the order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is said.
    Ignore,
    /// Everything is a warning.
    Warning,
    /// As the rule says.
    #[default]
    Default,
    /// Everything is an error, also what the rule is not certain of.
    Error,
}

impl Level {
    /// `ignore`, `warning`, `default` or `error`, in any case; `None` for any other word.
    #[must_use]
    pub fn named(word: &str) -> Option<Level> {
        match word.to_ascii_lowercase().as_str() {
            "ignore" => Some(Level::Ignore),
            "warning" => Some(Level::Warning),
            "default" => Some(Level::Default),
            "error" => Some(Level::Error),
            _ => None,
        }
    }

    /// What a severity becomes; `None`: it is not said.
    #[must_use]
    pub fn of(self, severity: Severity) -> Option<Severity> {
        match self {
            Level::Ignore => None,
            Level::Warning => Some(Severity::Warning),
            Level::Default => Some(severity),
            Level::Error => Some(Severity::Error),
        }
    }
}

/// The level of each rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels([Level; RULES.len()]);

/// There is no rule of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule {name:?}; the rules are {}", RULES.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", "))]
pub struct UnknownRule {
    /// As given.
    pub name: String,
}

impl Levels {
    /// The same with another level for one rule.
    ///
    /// # Errors
    /// [`UnknownRule`], which names those that there are.
    pub fn with(mut self, rule: &str, level: Level) -> Result<Levels, UnknownRule> {
        let unknown = || UnknownRule { name: rule.to_owned() };
        let number = RULES.iter().position(|known| known.name == rule).ok_or_else(unknown)?;
        *self.0.get_mut(number).ok_or_else(unknown)? = level;
        Ok(self)
    }

    /// For each rule the stricter of both levels.
    #[must_use]
    pub fn strictest(self, other: Levels) -> Levels {
        let mut both = self;
        for (mine, theirs) in both.0.iter_mut().zip(other.0) {
            *mine = theirs.max(*mine);
        }
        both
    }

    /// What a severity of this rule becomes; `None`: it is not said.
    #[must_use]
    pub fn of(&self, rule: &str, severity: Severity) -> Option<Severity> {
        let number = RULES.iter().position(|known| known.name == rule);
        number.and_then(|number| self.0.get(number)).copied().unwrap_or_default().of(severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_decides_and_what_is_not_set_is_as_the_rule_says() {
        use Severity::{Error, Warning};
        let check = |level, error, warning| {
            let levels = Levels::default().with("fake-time", level).expect("a rule");
            assert_eq!((levels.of("fake-time", Error), levels.of("fake-time", Warning)), (error, warning), "{level:?}");
            assert_eq!(levels.of("lease-ratio", Error), Some(Error), "another rule");
        };
        check(Level::Ignore, None, None);
        check(Level::Warning, Some(Warning), Some(Warning));
        check(Level::Default, Some(Error), Some(Warning));
        check(Level::Error, Some(Error), Some(Error));
    }

    #[test]
    fn the_strictest_holds_in_any_order() {
        let all = [Level::Ignore, Level::Warning, Level::Default, Level::Error];
        let with = |level| Levels::default().with("token-lifetime", level).expect("a rule");
        for (number, one) in all.into_iter().enumerate() {
            for other in all.into_iter().skip(number) {
                assert_eq!(with(one).strictest(with(other)), with(other));
                assert_eq!(with(other).strictest(with(one)), with(other));
            }
        }
    }

    #[test]
    fn who_misspells_a_rule_is_told_their_names() {
        let error = Levels::default().with("jwt-skew-nought", Level::Ignore).expect_err("no such rule").to_string();
        assert!(error.contains("jwt-skew-nought") && error.contains("jwt-skew-zero, "), "{error}");
    }
}
