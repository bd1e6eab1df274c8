use super::super::sheet::tests::{found, sheet, target};
use super::*;
use proptest::prelude::*;
use std::cmp::Reverse;

fn tally(each: usize, all: usize, findings: &[(&str, usize)]) -> Tally {
    let mut tally = Tally::keeping(each, all);
    for (namespace, number) in findings {
        tally.add(&target(), sheet(vec![((*namespace).to_owned(), found(*number))]));
    }
    tally
}

/// For each namespace: how many there are, and which are kept.
fn check(each: usize, all: usize, findings: &[(&str, usize)], expected: &[(&str, u64, &[usize])]) {
    let tally = tally(each, all, findings);
    let name = |number: &usize| found(*number).name;
    let expected: Vec<(String, u64, Vec<String>)> =
        expected.iter().map(|(ns, count, kept)| ((*ns).to_owned(), *count, kept.iter().map(name).collect())).collect();
    let names = |noted: &Noted| noted.kept.iter().map(|found| found.name.clone()).collect();
    let got: Vec<(String, u64, Vec<String>)> =
        tally.namespaces().iter().map(|(ns, noted)| (ns.clone(), noted.count(), names(noted))).collect();
    assert_eq!(got, expected, "{findings:?}");
    assert_eq!(tally.count(), u64::try_from(findings.len()).unwrap());
}

#[test]
fn everything_is_counted_and_the_worst_are_kept() {
    check(3, 9, &[], &[]);
    check(3, 9, &[("a", 2), ("a", 1), ("b", 5)], &[("a", 2, &[1, 2]), ("b", 1, &[5])]);
    check(2, 9, &[("a", 4), ("a", 1), ("a", 3), ("a", 2)], &[("a", 4, &[1, 2])]);
    // Seven in all are too many: each keeps half as many, and the small one all it has.
    let crowd = [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 9), ("c", 5), ("c", 6)];
    check(4, 6, &crowd, &[("a", 4, &[1, 2]), ("b", 1, &[9]), ("c", 2, &[5, 6])]);
    // One of each is kept whatever the bound.
    check(4, 2, &crowd, &[("a", 4, &[1]), ("b", 1, &[9]), ("c", 2, &[5])]);
}

#[test]
fn errors_are_worse_than_warnings() {
    let warning = Found { severity: Reverse(Severity::Warning), is_refused: false, ..found(1) };
    let mut tally = Tally::keeping(1, 10);
    tally.add(&target(), sheet(vec![("a".into(), warning), ("a".into(), found(2))]));
    let noted = &tally.namespaces()["a"];
    assert_eq!(noted.kept.iter().map(|found| found.severity.0).collect::<Vec<_>>(), [Severity::Error]);
    assert_eq!((noted.count(), noted.left_out(), noted.counts.len()), (2, 1, 2));
}

#[test]
fn a_kind_that_was_read_and_has_nothing_is_told_with_nothing() {
    let mut tally = Tally::default();
    tally.add(&target(), Sheet { notes: 2, ..Sheet::default() });
    assert_eq!(tally.objects().get("configmaps"), Some(&0));
    assert_eq!((tally.notes(), tally.count()), (2, 0));
}

proptest! {
    /// The same cluster, listed in another order, gives the same reports: or they would be written for nothing.
    #[test]
    fn the_order_of_findings_does_not_matter(
        findings in proptest::collection::vec(("[a-d]", 0_usize..60), 0..60),
        each in 1_usize..12,
        all in 1_usize..30,
        seed in any::<u64>(),
    ) {
        let distinct: BTreeSet<(String, usize)> = findings.into_iter().collect();
        let sorted: Vec<(&str, usize)> = distinct.iter().map(|(ns, number)| (ns.as_str(), *number)).collect();
        let mut mixed = sorted.clone();
        for index in (1..mixed.len()).rev() {
            let other = usize::try_from(seed.rotate_left(index as u32) % (index as u64 + 1)).unwrap();
            mixed.swap(index, other);
        }
        let (one, other) = (tally(each, all, &sorted), tally(each, all, &mixed));
        prop_assert_eq!(one.namespaces(), other.namespaces());
        let kept: usize = one.namespaces().values().map(|noted| noted.kept.len()).sum();
        prop_assert!(kept <= all.max(one.namespaces().len()));
        for noted in one.namespaces().values() {
            prop_assert!(!noted.kept.is_empty() && noted.kept.len() <= each);
            prop_assert_eq!(noted.left_out() + noted.kept.len() as u64, noted.count());
        }
    }
}
