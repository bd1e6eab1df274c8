//! What the webhook knows about policies and namespaces, kept from events.
//!
//! A mirror of each kind, filled by whatever brings the events, and one question to both: what holds in this
//! namespace? A value that cannot be read leaves the last readable one in place, so that a slip of the pen in a
//! policy does not open the door.
//!
//! Does not know: the API server, how objects are read.

use super::ruling::{Ruling, combine};
use crate::inspect::Catalogue;
use crate::policy::{Admission, Mode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels of a namespace.
pub type Labels = BTreeMap<String, String>;

/// Every namespace carries its own name under this label; the API server sees to that.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// One thing that happened to a kind of objects. `None` for a value: there is one, but it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<V> {
    /// A new list begins; what is there stays until it is complete.
    ListBegins,
    /// The list has this.
    Listed(String, Option<V>),
    /// The list is complete; whatever was not in it is gone.
    ListEnds,
    /// New or changed.
    Changed(String, Option<V>),
    /// Gone.
    Deleted(String),
}

/// The objects of one kind, by name.
#[derive(Debug, Clone)]
pub struct Mirror<V> {
    current: BTreeMap<String, V>,
    listed: BTreeMap<String, V>,
    complete: bool,
}

impl<V> Default for Mirror<V> {
    fn default() -> Self {
        Mirror { current: BTreeMap::new(), listed: BTreeMap::new(), complete: false }
    }
}

impl<V: Clone> Mirror<V> {
    /// All there is; nothing will change.
    #[must_use]
    pub fn fixed(objects: BTreeMap<String, V>) -> Mirror<V> {
        Mirror { current: objects, complete: true, ..Mirror::default() }
    }

    /// Takes note.
    pub fn apply(&mut self, event: Event<V>) {
        match event {
            Event::ListBegins => self.listed.clear(),
            Event::Listed(name, value) => {
                if let Some(value) = value.or_else(|| self.current.get(&name).cloned()) {
                    self.listed.insert(name, value);
                }
            }
            Event::ListEnds => {
                self.current = std::mem::take(&mut self.listed);
                self.complete = true;
            }
            Event::Changed(name, Some(value)) => {
                self.current.insert(name, value);
            }
            Event::Changed(_, None) => {}
            Event::Deleted(name) => {
                self.current.remove(&name);
            }
        }
    }
}

/// Both mirrors.
#[derive(Debug, Clone)]
pub struct Known {
    /// The admission part of each `TimeSyncPolicy`.
    policies: Mirror<Admission>,
    /// The labels of each namespace.
    pub namespaces: Mirror<Labels>,
    /// The built-in catalogue, and the settings that the policies add to it.
    catalogue: Arc<Catalogue>,
}

impl Default for Known {
    fn default() -> Self {
        Known::new(Mirror::default(), Mirror::default())
    }
}

/// The labels of a namespace are needed and not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelsMissing;

impl Known {
    /// What is known at the beginning.
    #[must_use]
    pub fn new(policies: Mirror<Admission>, namespaces: Mirror<Labels>) -> Known {
        let mut known = Known { policies, namespaces, catalogue: Catalogue::with([]) };
        known.settle();
        known
    }

    /// Takes note of what happened to a policy.
    pub fn apply_policy(&mut self, event: Event<Admission>) {
        self.policies.apply(event);
        self.settle();
    }

    /// What a key means does not depend on the namespace, so those of all policies that ask for anything hold together;
    /// of two that fit alike that of the policy whose name comes first.
    fn settle(&mut self) {
        let asking = self.policies.current.values().filter(|admission| admission.mode != Mode::Off);
        self.catalogue = Catalogue::with(asking.flat_map(|admission| &admission.settings));
    }

    /// What is known about products.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Whether both have been listed once.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.policies.complete && self.namespaces.complete
    }

    /// Whether any policy asks anything of any object.
    #[must_use]
    pub fn asks_something(&self) -> bool {
        self.policies.current.values().any(|admission| admission.mode != Mode::Off)
    }

    /// What the policies hold together in a namespace; `""` for objects of no namespace, which only those policies
    /// match that select every namespace.
    ///
    /// # Errors
    /// [`LabelsMissing`], if some policy selects by labels and those of this namespace are not known.
    pub fn ruling(&self, namespace: &str) -> Result<Option<Ruling>, LabelsMissing> {
        match self.namespaces.current.get(namespace) {
            Some(labels) => Ok(self.ruling_by(Some(labels))),
            None if namespace.is_empty() => Ok(self.ruling_by(None)),
            None if self.policies.current.values().all(|admission| admission.namespaces.is_empty()) => {
                Ok(self.ruling_by(None))
            }
            None => Err(LabelsMissing),
        }
    }

    /// The same for a namespace of these labels. If nobody could say which, only its name is known.
    #[must_use]
    pub fn ruling_for(&self, namespace: &str, labels: Option<Labels>) -> Option<Ruling> {
        let labels = labels.unwrap_or_else(|| Labels::from([(NAME_LABEL.to_owned(), namespace.to_owned())]));
        self.ruling_by(Some(&labels))
    }

    fn ruling_by(&self, labels: Option<&Labels>) -> Option<Ruling> {
        let matching = self.policies.current.iter().filter(|(_, admission)| {
            admission.namespaces.is_empty() || labels.is_some_and(|labels| admission.namespaces.matches(labels))
        });
        combine(matching.map(|(name, admission)| (name.as_str(), admission.mode, admission.bounds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Bounds;
    use crate::inspect::catalogue::{Meaning, Own};
    use crate::inspect::duration::Unit;
    use crate::inspect::words::Pattern;
    use crate::policy::Selector;
    use crate::policy::selector::Requirement;

    fn admission(mode: Mode, team: Option<&str>) -> Admission {
        let requirement = |team: &str| Requirement::In("team".into(), [team.to_owned()].into());
        let namespaces = Selector(team.map(requirement).into_iter().collect());
        Admission { mode, bounds: Bounds::default(), namespaces, settings: Vec::new() }
    }

    fn labels(team: &str) -> Labels {
        Labels::from([("team".to_owned(), team.to_owned())])
    }

    fn known(policies: &[(&str, Admission)]) -> Known {
        let policies = policies.iter().map(|(name, admission)| ((*name).to_owned(), admission.clone())).collect();
        let namespaces = ["shop", "bank"].map(|name| (name.to_owned(), labels(name))).into();
        Known::new(Mirror::fixed(policies), Mirror::fixed(namespaces))
    }

    fn check(known: &Known, namespace: &str, expected: Result<Option<(Mode, &str)>, LabelsMissing>) {
        let got = known.ruling(namespace).map(|r| r.map(|r| (r.mode, r.policies.join(","))));
        assert_eq!(got, expected.map(|r| r.map(|(mode, names)| (mode, names.to_owned()))), "{namespace:?}");
    }

    #[test]
    fn a_policy_holds_where_its_selector_matches() {
        let all = known(&[("all", admission(Mode::Warn, None))]);
        for namespace in ["shop", "bank", "new", ""] {
            check(&all, namespace, Ok(Some((Mode::Warn, "all"))));
        }
        let some = known(&[("all", admission(Mode::Warn, None)), ("shop", admission(Mode::Enforce, Some("shop")))]);
        check(&some, "shop", Ok(Some((Mode::Enforce, "all,shop"))));
        check(&some, "bank", Ok(Some((Mode::Warn, "all"))));
        check(&some, "", Ok(Some((Mode::Warn, "all"))));
        check(&some, "new", Err(LabelsMissing));
        assert_eq!(some.ruling_for("new", Some(labels("shop"))).map(|r| r.mode), Some(Mode::Enforce));
        assert_eq!(some.ruling_for("new", None).map(|r| r.mode), Some(Mode::Warn));
        check(&known(&[]), "shop", Ok(None));
        check(&known(&[]), "new", Ok(None));
        check(&known(&[("off", admission(Mode::Off, None))]), "shop", Ok(None));
        assert!(all.asks_something() && !known(&[("off", admission(Mode::Off, None))]).asks_something());
    }

    #[test]
    fn the_settings_of_all_policies_that_ask_for_something_are_known() {
        let with = |product: &str, mode: Mode| {
            let key = Pattern::new(&format!("{product}.diff")).unwrap();
            let (keys, zero) = (vec![key], Meaning::Zero);
            let own = Own { product: product.to_owned(), keys, unit: Unit::Seconds, zero, recommended: 1 };
            Admission { settings: vec![own], ..admission(mode, Some("shop")) }
        };
        let products = |known: &Known| {
            let all = known.catalogue().known().iter().filter(|it| it.id.starts_with("own"));
            all.map(|it| it.product.clone()).collect::<Vec<_>>().join(",")
        };
        let policies = [("b", with("b", Mode::Warn)), ("a", with("a", Mode::Enforce)), ("off", with("c", Mode::Off))];
        let mut known = known(&policies);
        assert_eq!(products(&known), "a,b");
        known.apply_policy(Event::Changed("off".to_owned(), Some(with("c", Mode::Warn))));
        known.apply_policy(Event::Deleted("a".to_owned()));
        assert_eq!(products(&known), "b,c");
        assert_eq!(products(&Known::default()), "");
        assert!(Known::default().catalogue().known().len() > 50);
    }

    #[test]
    fn the_name_of_a_namespace_is_a_label_that_is_always_known() {
        let by_name = Requirement::In(NAME_LABEL.into(), ["new".to_owned()].into());
        let admission = Admission { namespaces: Selector(vec![by_name]), ..admission(Mode::Enforce, None) };
        let known = known(&[("p", admission)]);
        assert!(known.ruling_for("new", None).is_some() && known.ruling_for("other", None).is_none());
    }

    #[test]
    fn a_mirror_keeps_what_it_has_until_a_new_list_is_complete() {
        let mut mirror = Mirror::default();
        let seen = |mirror: &Mirror<u8>| mirror.current.iter().map(|(k, v)| format!("{k}{v}")).collect::<String>();
        let steps = [
            (Event::ListBegins, false, ""),
            (Event::Listed("a".into(), Some(1)), false, ""),
            (Event::Listed("b".into(), None), false, ""),
            (Event::ListEnds, true, "a1"),
            (Event::Changed("b".into(), Some(2)), true, "a1b2"),
            (Event::Changed("b".into(), None), true, "a1b2"),
            (Event::Deleted("a".into()), true, "b2"),
            // The connection broke, and a list that broke too is forgotten.
            (Event::ListBegins, true, "b2"),
            (Event::Listed("x".into(), Some(9)), true, "b2"),
            (Event::ListBegins, true, "b2"),
            (Event::Listed("b".into(), None), true, "b2"),
            (Event::Listed("c".into(), Some(3)), true, "b2"),
            (Event::ListEnds, true, "b2c3"),
        ];
        for (event, complete, expected) in steps {
            mirror.apply(event.clone());
            assert_eq!((mirror.complete, seen(&mirror).as_str()), (complete, expected), "after {event:?}");
        }
    }
}
