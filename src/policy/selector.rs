//! A label selector, as plain data: metav1.LabelSelector with its four operators.
//!
//! An empty selector selects everything; that is what Kubernetes means by it and what this API's defaults rely on.

use std::collections::{BTreeMap, BTreeSet};

/// One requirement; a selector is all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label has one of these values.
    In(String, BTreeSet<String>),
    /// The label is absent, or has none of these values.
    NotIn(String, BTreeSet<String>),
    /// The label is there.
    Exists(String),
    /// The label is not there.
    DoesNotExist(String),
}

/// All requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<Requirement>);

impl Selector {
    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels are selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_operators_and_the_empty_selector() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let set = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<BTreeSet<_>>();
        let check = |requirement, expected| assert_eq!(Selector(vec![requirement]).matches(&labels), expected);
        assert!(Selector::default().matches(&labels) && Selector::default().matches(&BTreeMap::new()));
        check(Requirement::In("zone".into(), set(&["a", "b"])), true);
        check(Requirement::In("zone".into(), set(&["b"])), false);
        check(Requirement::In("rack".into(), set(&["a"])), false);
        check(Requirement::NotIn("zone".into(), set(&["a"])), false);
        check(Requirement::NotIn("rack".into(), set(&["a"])), true);
        check(Requirement::Exists("zone".into()), true);
        check(Requirement::Exists("rack".into()), false);
        check(Requirement::DoesNotExist("zone".into()), false);
        check(Requirement::DoesNotExist("rack".into()), true);
        assert!(Selector::default().is_empty() && !Selector(vec![Requirement::Exists("zone".into())]).is_empty());
    }
}
