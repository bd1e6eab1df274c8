use super::*;

fn taint(key: &str) -> Mark {
    Mark::Taint { key: key.into(), effect: Effect::NoSchedule }
}

fn marks(all: &[(Mark, &[&str])]) -> Marks {
    let mut marks = Marks::default();
    for (mark, policies) in all {
        for policy in *policies {
            marks.hold(mark.clone(), policy);
        }
    }
    marks
}

/// A node with these taints and cordon, whose annotation names `ours`.
fn node(taints: &[&str], unschedulable: bool, ours: &Marks) -> Node {
    let taints: Vec<Value> = taints.iter().map(|k| json!({"key": k, "effect": "NoSchedule"})).collect();
    let annotations = match written(ours) {
        Value::Null => json!({}),
        text => json!({ MARKS_ANNOTATION: text }),
    };
    serde_json::from_value(json!({
        "metadata": {"name": "n", "resourceVersion": "7", "annotations": annotations},
        "spec": {"taints": taints, "unschedulable": unschedulable},
    }))
    .unwrap()
}

fn keys(patch: &Value) -> Option<Vec<&str>> {
    Some(patch["spec"]["taints"].as_array()?.iter().map(|t| t["key"].as_str().unwrap()).collect())
}

#[test]
fn only_our_own_taint_comes_and_goes() {
    let ours = marks(&[(taint("ours"), &["p"])]);
    let change_on = change(&node(&["theirs"], false, &Marks::default()), &ours).unwrap().unwrap();
    assert_eq!(keys(&change_on.patch), Some(vec!["theirs", "ours"]));
    assert_eq!(change_on.patch["metadata"]["resourceVersion"], "7");
    let change_off = change(&node(&["ours", "theirs"], false, &ours), &Marks::default()).unwrap().unwrap();
    assert_eq!(keys(&change_off.patch), Some(vec!["theirs"]));
    assert_eq!(change_off.patch["metadata"]["annotations"][MARKS_ANNOTATION], Value::Null);
    assert!(change_off.patch["spec"].get("unschedulable").is_none());
    assert_eq!(change(&node(&["ours", "theirs"], false, &ours), &ours).unwrap(), None);
}

#[test]
fn a_taint_that_looks_like_ours_but_is_not_is_neither_adopted_nor_removed() {
    let wanted = marks(&[(taint("ours"), &["p"])]);
    let foreign = node(&["ours"], false, &Marks::default());
    assert_eq!(change(&foreign, &wanted).unwrap(), None);
    assert_eq!(change(&foreign, &Marks::default()).unwrap(), None);
}

#[test]
fn a_taint_of_ours_that_went_missing_comes_back_while_it_is_wanted() {
    let ours = marks(&[(taint("ours"), &["p"])]);
    let change = change(&node(&["theirs"], false, &ours), &ours).unwrap().unwrap();
    assert_eq!(keys(&change.patch), Some(vec!["theirs", "ours"]));
}

#[test]
fn a_changed_key_takes_the_old_one_along() {
    let old = marks(&[(taint("old"), &["p"])]);
    let change = change(&node(&["theirs", "old"], false, &old), &marks(&[(taint("new"), &["p"])])).unwrap().unwrap();
    assert_eq!(keys(&change.patch), Some(vec!["theirs", "new"]));
}

#[test]
fn a_mark_goes_when_the_last_policy_lets_go() {
    let both = marks(&[(taint("ours"), &["p", "q"])]);
    let one = marks(&[(taint("ours"), &["q"])]);
    let change = change(&node(&["ours"], false, &both), &one).unwrap().unwrap();
    assert_eq!((keys(&change.patch), change.removed), (None, vec![]));
}

#[test]
fn a_persons_cordon_is_never_lifted_and_their_uncordon_never_undone() {
    let cordon = marks(&[(Mark::Cordon, &["p"])]);
    let by_us = change(&node(&[], false, &Marks::default()), &cordon).unwrap().unwrap();
    assert_eq!(by_us.patch["spec"]["unschedulable"], true);
    assert_eq!(change(&node(&[], true, &Marks::default()), &cordon).unwrap(), None);
    assert_eq!(change(&node(&[], true, &Marks::default()), &Marks::default()).unwrap(), None);
}

/// What a look leads to when a node is so: `Some(true)` cordons, `Some(false)` uncordons; and the record afterwards.
fn look(cordoned: bool, ours: &Marks, desired: &Marks) -> (Option<bool>, Marks) {
    look_at(&node(&[], cordoned, ours), ours, desired)
}

fn look_at(node: &Node, ours: &Marks, desired: &Marks) -> (Option<bool>, Marks) {
    let Some(change) = change(node, desired).unwrap() else { return (None, ours.clone()) };
    let record = change.patch["metadata"]["annotations"][MARKS_ANNOTATION].clone();
    let after = match record {
        Value::Null => Marks::default(),
        text => {
            let mut after = node.clone();
            let text = text.as_str().unwrap().to_owned();
            after.metadata.annotations = Some([(MARKS_ANNOTATION.to_owned(), text)].into());
            owned(&after).unwrap()
        }
    };
    let cordoned = change.patch.pointer("/spec/unschedulable").map(|value| !value.is_null());
    assert_eq!(cordoned == Some(true), change.added.contains(&Mark::Cordon));
    assert_eq!(cordoned == Some(false), change.removed.contains(&Mark::Cordon));
    (cordoned, after)
}

fn lifted(policies: &[&str]) -> Marks {
    Marks { lifted: policies.iter().map(ToString::to_string).collect(), ..Marks::default() }
}

#[test]
fn a_cordon_that_a_person_lifted_is_recorded_as_lifted_and_the_next_one_is_theirs() {
    let (p, q) = (marks(&[(Mark::Cordon, &["p"])]), marks(&[(Mark::Cordon, &["q"])]));
    let (both, none) = (marks(&[(Mark::Cordon, &["p", "q"])]), Marks::default());
    for (cordoned, ours, desired, expected) in [
        // The lift is seen: recorded at once, by every policy that still wants the cordon.
        (false, &p, &p, (None, lifted(&["p"]))),
        (false, &both, &both, (None, lifted(&["p", "q"]))),
        (false, &both, &q, (None, lifted(&["q"]))),
        (false, &p, &none, (None, none.clone())),
        // Nobody puts it back while that is recorded, neither who lost it nor who wants one now.
        (false, &lifted(&["p"]), &p, (None, lifted(&["p"]))),
        (false, &lifted(&["p"]), &both, (None, lifted(&["p"]))),
        (false, &p, &q, (None, none.clone())),
        (false, &lifted(&["p"]), &q, (None, none.clone())),
        // A cordon that is there now is theirs: it stays, wanted or not, and the record goes when the policy lets go.
        (true, &lifted(&["p"]), &p, (None, lifted(&["p"]))),
        (true, &lifted(&["p"]), &none, (None, none.clone())),
        (true, &lifted(&["p", "q"]), &q, (None, lifted(&["q"]))),
        // After that, a new decision cordons, and its cordon is ours again.
        (false, &none, &p, (Some(true), p.clone())),
        (true, &p, &both, (None, both.clone())),
        (true, &both, &q, (None, q.clone())),
        (true, &p, &none, (Some(false), none.clone())),
        // A policy that cannot be evaluated keeps what it has.
        (true, &lifted(&["p"]), &lifted(&["p"]), (None, lifted(&["p"]))),
        (false, &lifted(&["p"]), &lifted(&["p"]), (None, lifted(&["p"]))),
    ] {
        assert_eq!(look(cordoned, ours, desired), expected, "cordoned: {cordoned}, {ours:?}, desired: {desired:?}");
    }
}

#[test]
fn a_cordon_lifted_and_put_on_again_while_nobody_looked_is_theirs_by_the_servers_own_notes() {
    let ours = marks(&[(Mark::Cordon, &["p"])]);
    let noted = |managers: &[&str]| {
        let mut node = node(&[], true, &ours);
        let entries: Vec<Value> = managers
            .iter()
            .map(|manager| json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:unschedulable": {}}}}))
            .chain([json!({"manager": "kubelet", "fieldsV1": {"f:status": {}}})])
            .collect();
        node.metadata.managed_fields = serde_json::from_value(json!(entries)).unwrap();
        node
    };
    for (managers, theirs) in [
        (&[CONTROLLER] as &[&str], false),
        (&[], false),
        (&["kubectl-cordon"], true),
        // Somebody declares it too, by server-side apply.
        (&[CONTROLLER, "gitops"], true),
        (&["ancient-changes"], false),
    ] {
        let expected = if theirs { None } else { Some(false) };
        assert_eq!(look_at(&noted(managers), &ours, &Marks::default()), (expected, Marks::default()), "{managers:?}");
        let kept = if theirs { lifted(&["p"]) } else { ours.clone() };
        assert_eq!(look_at(&noted(managers), &ours, &ours), (None, kept), "{managers:?}");
    }
}

#[test]
fn what_is_one_policys_can_be_desired_again_and_changes_nothing() {
    let mut all = marks(&[(taint("ours"), &["p", "q"]), (taint("other"), &["q"])]);
    all.lifted.insert("p".into());
    let mut again = all.of("p");
    assert!(again.held_by("p") && !again.held_by("q"));
    again.join(all.of("q"));
    assert_eq!(again, all);
    assert!(all.of("nobody").is_empty());
    assert_eq!(change(&node(&["ours", "other"], true, &all), &again).unwrap(), None);
}

#[test]
fn a_scribbled_annotation_stops_us() {
    let mut scribbled = node(&["ours"], false, &Marks::default());
    scribbled.metadata.annotations = Some([(MARKS_ANNOTATION.to_owned(), "{".to_owned())].into());
    assert!(change(&scribbled, &Marks::default()).unwrap_err().to_string().contains("node n"));
}

#[test]
fn a_policy_stays_while_a_mark_of_it_may_be_on_a_node_with_a_scribbled_record() {
    let scribbled = |taints: &[&str]| {
        let mut node = node(taints, false, &Marks::default());
        node.metadata.annotations = Some([(MARKS_ANNOTATION.to_owned(), "{".to_owned())].into());
        node
    };
    let ours = marks(&[(taint("ours"), &["p"])]);
    for (node, policy, mark, expected) in [
        (node(&["ours"], false, &ours), "p", None, true),
        (node(&["ours"], false, &ours), "q", Some(taint("ours")), false),
        (node(&[], true, &lifted(&["p"])), "p", Some(Mark::Cordon), true),
        (scribbled(&["ours"]), "p", Some(taint("ours")), true),
        (scribbled(&["ours"]), "p", Some(taint("another")), false),
        (scribbled(&["ours"]), "p", None, false),
        (scribbled(&[]), "p", Some(taint("ours")), false),
    ] {
        assert_eq!(may_hold(&node, policy, mark.as_ref()), expected, "{node:?} {policy} {mark:?}");
    }
}

mod property {
    use super::*;
    use proptest::prelude::*;

    /// What happens to a node.
    #[derive(Debug, Clone)]
    enum Happens {
        /// A person cordons, or uncordons.
        Person(bool),
        /// These policies want a cordon from now on (bit 0: p, bit 1: q).
        Wanted(u8),
        /// The controller looks at what its index has, and writes.
        Look,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            any::<bool>().prop_map(Happens::Person),
            (0..4u8).prop_map(Happens::Wanted),
            Just(Happens::Look),
            Just(Happens::Look),
        ]
    }

    fn wanted(bits: u8) -> Marks {
        let mut marks = Marks::default();
        for (bit, policy) in ["p", "q"].iter().enumerate() {
            if bits & (1 << bit) != 0 {
                marks.hold(Mark::Cordon, policy);
            }
        }
        marks
    }

    proptest! {
        /// With the server's notes nothing is missed, however rarely somebody looks.
        #[test]
        fn a_persons_cordon_outlives_everything_and_ours_nothing(events in prop::collection::vec(happens(), 0..40)) {
            // Who cordoned the node, and what the annotation says.
            let (mut by, mut record, mut desired) = (None::<&str>, Marks::default(), Marks::default());
            let look = |by: &mut Option<&str>, record: &mut Marks, desired: &Marks| {
                let mut live = node(&[], by.is_some(), record);
                live.metadata.managed_fields = by.map(|manager| {
                    let fields = json!({"f:spec": {"f:unschedulable": {}}});
                    serde_json::from_value(json!([{"manager": manager, "fieldsV1": fields}])).unwrap()
                });
                let (cordoned, after) = look_at(&live, record, desired);
                *record = after;
                match cordoned {
                    Some(true) => {
                        assert!(by.is_none());
                        *by = Some(CONTROLLER);
                    }
                    Some(false) => {
                        assert_eq!(*by, Some(CONTROLLER), "not ours to lift");
                        *by = None;
                    }
                    None => {}
                }
            };
            for event in events {
                match event {
                    // kubectl writes nothing if it is so already.
                    Happens::Person(true) => by = by.or(Some("kubectl-cordon")),
                    Happens::Person(false) => by = None,
                    Happens::Wanted(bits) => desired = wanted(bits),
                    Happens::Look => look(&mut by, &mut record, &desired),
                }
                prop_assert!(by != Some(CONTROLLER) || record.held.contains_key(&Mark::Cordon), "ours, and not recorded");
            }
            let before = by;
            look(&mut by, &mut record, &Marks::default());
            prop_assert!(record.is_empty(), "{record:?} is left");
            prop_assert_eq!(by, before.filter(|who| *who != CONTROLLER));
            // And nothing is to be done any more.
            prop_assert_eq!(change(&node(&[], by.is_some(), &record), &Marks::default()).unwrap(), None);
        }
    }
}
