//! Which node an exporter runs on, told from the labels of its series.
//!
//! Nobody has agreed on a label for that. A policy may name one (`nodeLabel`); otherwise the usual ones are looked at:
//! a label that names the node, and `instance`, whose host is the address that Prometheus scrapes. Labels that point at
//! two nodes point at none.
//!
//! Does not know: what the series say.

use super::answer::Labels;
use crate::controller::sources::pollers::Roster;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Labels that name a node, as the common ways to install Prometheus write them.
const NAMING: [&str; 3] = ["node", "nodename", "kubernetes_node"];
/// So much of a label is shown.
const SHOWN_MAX: usize = 60;

/// Where a series belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// To this node.
    Node(&'a str),
    /// To none of the roster.
    Nowhere,
    /// To two at once.
    Torn(&'a str, &'a str),
}

/// The nodes, found by name and by address.
pub struct Mapping<'a> {
    names: HashSet<&'a str>,
    /// `None`: more than one node has it.
    addresses: HashMap<String, Option<&'a str>>,
    node_label: Option<&'a str>,
}

impl<'a> Mapping<'a> {
    /// For these nodes; `node_label` is the label that a policy names.
    #[must_use]
    pub fn new(roster: &'a Roster, node_label: Option<&'a str>) -> Mapping<'a> {
        let mut addresses: HashMap<String, Option<&'a str>> = HashMap::new();
        for (node, all) in roster {
            for address in all {
                let owner = addresses.entry(canonical(address)).or_insert(Some(node));
                if *owner != Some(node) {
                    *owner = None;
                }
            }
        }
        Mapping { names: roster.keys().map(String::as_str).collect(), addresses, node_label }
    }

    /// Where a series with these labels belongs.
    #[must_use]
    pub fn place(&self, labels: &Labels) -> Place<'a> {
        let named = |label: &str| self.names.get(labels.get(label)?.as_str()).copied();
        let addressed = |label: &str| {
            let host = host_of(labels.get(label)?);
            let by_address = self.addresses.get(&canonical(host)).copied().flatten();
            by_address.or_else(|| self.names.get(host).copied())
        };
        let found: Vec<&str> = match self.node_label {
            Some(label) => [named(label).or_else(|| addressed(label))].into_iter().flatten().collect(),
            None => NAMING.iter().filter_map(|label| named(label)).chain(addressed("instance")).collect(),
        };
        match found.split_first() {
            None => Place::Nowhere,
            Some((first, rest)) => match rest.iter().find(|other| *other != first) {
                Some(other) => Place::Torn(first, other),
                None => Place::Node(first),
            },
        }
    }
}

/// The host of `HOST:PORT`, `[HOST]:PORT` or `HOST`.
fn host_of(instance: &str) -> &str {
    if let Some((host, _)) = instance.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        return host;
    }
    match instance.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => instance,
    }
}

/// One form of an address, however it is written; names in small letters.
fn canonical(address: &str) -> String {
    address.parse::<IpAddr>().map_or_else(|_| address.to_ascii_lowercase(), |ip| ip.to_canonical().to_string())
}

/// Labels for people: `{instance="a:9100",job="node"}`, the usual ones only, bounded.
#[must_use]
pub fn shown(labels: &Labels, node_label: Option<&str>) -> String {
    let usual = ["job", "instance"].into_iter().chain(NAMING).chain(node_label);
    let mut parts: Vec<String> = Vec::new();
    for name in usual {
        let Some(value) = labels.get(name) else { continue };
        let cut: String = value.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect();
        let part = format!("{name}=\"{cut}\"");
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    format!("{{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        text.split(' ').filter(|part| !part.is_empty()).map(pair).collect()
    }

    fn roster() -> Roster {
        let node = |name: &str, all: &[&str]| (name.to_owned(), all.iter().map(|a| (*a).to_owned()).collect());
        Roster::from([
            node("n1", &["10.0.0.1", "fd00::1", "n1.example", "shared"]),
            node("n2", &["10.0.0.2", "shared"]),
            node("10.0.0.3", &["10.0.0.3"]),
        ])
    }

    fn check(node_label: Option<&str>, text: &str, expected: Place<'_>) {
        let roster = roster();
        assert_eq!(Mapping::new(&roster, node_label).place(&labels(text)), expected, "{text}");
    }

    #[test]
    fn by_default_the_usual_labels_and_the_address_are_looked_at() {
        for text in [
            "instance=10.0.0.1:9100",
            "instance=10.0.0.1",
            "instance=[fd00::1]:9100",
            "instance=fd00:0::1",
            "instance=[::ffff:10.0.0.1]:9100",
            "instance=N1.Example:9100",
            "instance=n1:9100",
            "instance=10.9.9.9:9100 node=n1",
            "instance=10.0.0.1:9100 nodename=n1 kubernetes_node=n1",
            "instance=x node=elsewhere nodename=n1",
        ] {
            check(None, text, Place::Node("n1"));
        }
        check(None, "instance=10.0.0.3:9100", Place::Node("10.0.0.3"));
        for text in ["", "instance=10.0.0.4:9100", "instance=10.0.0.1:http", "node=n3", "instance=shared:9100"] {
            check(None, text, Place::Nowhere);
        }
    }

    #[test]
    fn labels_that_point_at_two_nodes_point_at_none() {
        check(None, "instance=10.0.0.2:9100 node=n1", Place::Torn("n1", "n2"));
        check(None, "nodename=n2 node=n1", Place::Torn("n1", "n2"));
    }

    #[test]
    fn a_label_that_the_policy_names_decides_alone() {
        check(Some("host"), "instance=10.0.0.2:9100 node=n2 host=n1", Place::Node("n1"));
        check(Some("host"), "host=10.0.0.1:9100", Place::Node("n1"));
        check(Some("host"), "instance=10.0.0.1:9100 node=n1", Place::Nowhere);
    }

    #[test]
    fn labels_are_shown_in_short() {
        let long = format!("job=node instance={} pod=x host=h", "i".repeat(500));
        let shown = shown(&labels(&long), Some("host"));
        assert!(shown.starts_with("{job=\"node\",instance=\"iii") && shown.ends_with(",host=\"h\"}"), "{shown}");
        assert!(shown.len() < 120 && !shown.contains("pod"), "{shown}");
    }
}
