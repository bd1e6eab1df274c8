//! Whom witnesses go back to: several that repeat what one server says are one witness.
//!
//! Each witness names the servers that it is known to go back to: the one that it asks, and what that one says it follows
//! (NTP's reference identifier). Two witnesses with a name in common are not independent, nor are two that a third one
//! connects. What is left are groups; each is told by one name.
//!
//! Only what is said can be seen: two servers that follow one third server by different ways look independent here.
//!
//! Does not know: what a name means, how it was had.

use std::collections::BTreeMap;

/// One name for each independent group, sorted: that which most of the group's witnesses share (the first of them, if
/// several). A witness without a name is left out: nothing is known of where it goes back to.
#[must_use]
pub fn roots(witnesses: &[&[String]]) -> Vec<String> {
    let mut groups: Vec<Vec<&[String]>> = Vec::new();
    for names in witnesses.iter().filter(|names| !names.is_empty()) {
        let shares = |group: &Vec<&[String]>| group.iter().any(|other| other.iter().any(|name| names.contains(name)));
        let (joined, apart): (Vec<_>, Vec<_>) = groups.into_iter().partition(shares);
        groups = apart;
        groups.push(joined.into_iter().flatten().chain([*names]).collect());
    }
    let mut roots: Vec<String> = groups.iter().filter_map(|group| commonest(group)).collect();
    roots.sort();
    roots
}

fn commonest(group: &[&[String]]) -> Option<String> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for name in group.iter().flat_map(|names| names.iter()) {
        *counts.entry(name).or_default() += 1;
    }
    // Of equal counts the first name: `max_by_key` takes the last, so look from the end.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of each witness, blank-separated, in; roots out; the order of witnesses and of names must not matter.
    fn check(witnesses: &[&str], expected: &[&str]) {
        let mut all: Vec<Vec<String>> =
            witnesses.iter().map(|names| names.split_whitespace().map(str::to_owned).collect()).collect();
        for _ in 0..all.len().max(1) {
            for reversed in [false, true] {
                let mut turned = all.clone();
                if reversed {
                    turned.reverse();
                    turned.iter_mut().for_each(|names| names.reverse());
                }
                let slices: Vec<&[String]> = turned.iter().map(Vec::as_slice).collect();
                assert_eq!(roots(&slices), expected, "{turned:?}");
            }
            let first = 1.min(all.len());
            all.rotate_left(first);
        }
    }

    #[test]
    fn witnesses_that_go_back_to_one_server_are_one_root() {
        check(&[], &[]);
        check(&[""], &[]);
        check(&["a"], &["a"]);
        check(&["a", "a"], &["a"]);
        check(&["a", "b"], &["a", "b"]);
        check(&["a", "b", ""], &["a", "b"]);
        // Two servers that follow a third.
        check(&["a c", "b c"], &["c"]);
        // A daemon that follows a server, and the agent that asks the same.
        check(&["a", "a c", "b c"], &["a"]);
        // Connected only by the one in the middle.
        check(&["a", "b", "a b"], &["a"]);
        check(&["a x", "y b", "x y", "z"], &["x", "z"]);
    }
}
