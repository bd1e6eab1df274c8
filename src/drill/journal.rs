//! The timeline of a drill in words: what happened, what was decided, what was written.
//!
//! What several nodes have in common in one second is one line. Only what is ours is told of Nodes; offsets and
//! messages are left out, so that a timeline changes when decisions change and not when a delay does.

use super::marks;
use super::server::Change;
use crate::controller::request::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Nodes are named up to this many in a line.
const NAMED: usize = 6;

/// What happened, in order.
#[derive(Debug, Default)]
pub struct Journal {
    seconds: BTreeMap<u64, Vec<Line>>,
}

#[derive(Debug)]
struct Line {
    text: String,
    nodes: Vec<String>,
}

impl Journal {
    /// Something that concerns no node in particular.
    pub fn say(&mut self, now: Duration, text: String) {
        self.seconds.entry(now.as_secs()).or_default().push(Line { text, nodes: Vec::new() });
    }

    fn of_node(&mut self, now: Duration, text: String, node: &str) {
        let lines = self.seconds.entry(now.as_secs()).or_default();
        match lines.iter_mut().find(|line| line.text == text && !line.nodes.is_empty()) {
            Some(line) => line.nodes.push(node.to_owned()),
            None => lines.push(Line { text, nodes: vec![node.to_owned()] }),
        }
    }

    /// An object changed; `who` is the replica that did it, if one did.
    pub fn changed(&mut self, now: Duration, who: Option<&str>, change: &Change) {
        match change.kind {
            Kind::Lease => {
                let holder = |it: &Option<_>| text(it, "/spec/holderIdentity");
                let (before, after) = (holder(&change.before), holder(&change.after));
                if before != after {
                    let holder = after.split('_').next().filter(|it| !it.is_empty()).unwrap_or("nobody").to_owned();
                    self.say(now, format!("{holder} holds the lease"));
                }
            }
            Kind::Node => {
                for text in who.into_iter().flat_map(|who| node(who, change)) {
                    self.of_node(now, text, &change.name);
                }
            }
            Kind::Clock => {
                let (before, after) = (decisions(&change.before), decisions(&change.after));
                if let Some(who) = who.filter(|_| before != after) {
                    self.of_node(now, format!("{who} writes {after}"), &change.name);
                }
            }
            Kind::Policy => {
                if let Some(who) = who {
                    self.policy(now, who, change);
                }
            }
            Kind::Event => {}
        }
    }

    fn policy(&mut self, now: Duration, who: &str, change: &Change) {
        let held = |it: &Option<std::sync::Arc<Value>>| {
            let list = it.as_ref().and_then(|it| it.pointer("/metadata/finalizers")?.as_array().map(Vec::len));
            list.unwrap_or(0) > 0
        };
        let name = &change.name;
        match (held(&change.before), held(&change.after)) {
            (false, true) => self.say(now, format!("{who} holds policy {name}")),
            (true, false) => self.say(now, format!("{who} lets go of policy {name}")),
            _ => {}
        }
        let (before, after) = (status(&change.before), status(&change.after));
        if before != after && change.after.is_some() {
            self.say(now, format!("{who} says of policy {name}: {after}"));
        }
    }
}

fn text(object: &Option<std::sync::Arc<Value>>, path: &str) -> String {
    object.as_ref().and_then(|it| it.pointer(path)?.as_str()).unwrap_or_default().to_owned()
}

fn node(who: &str, change: &Change) -> Vec<String> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return Vec::new() };
    let mut lines = Vec::new();
    let (on, off) = (marks::present(after), marks::present(before));
    lines.extend(on.difference(&off).map(|mark| format!("{who} puts on {mark}")));
    lines.extend(off.difference(&on).map(|mark| format!("{who} takes off {mark}")));
    let (was, is) = (marks::recorded(before), marks::recorded(after));
    if lines.is_empty() && was != is {
        let held = is.map(|record| record.into_values().flatten().collect::<Vec<_>>().join(", "));
        let held = held.filter(|it| !it.is_empty()).unwrap_or_else(|| "nobody".to_owned());
        lines.push(format!("{who} records its marks as held by {held}"));
    }
    let (was, is) = (marks::condition(before), marks::condition(after));
    if was != is {
        lines.push(match is {
            Some((status, reason)) => format!("{who} says {status}/{reason}"),
            None => format!("{who} removes the condition"),
        });
    }
    lines
}

/// State and decisions of a NodeClock.
fn decisions(clock: &Option<std::sync::Arc<Value>>) -> String {
    let list = clock.as_ref().and_then(|it| it.pointer("/status/decisions")?.as_array()).into_iter().flatten();
    let field = |it: &Value, name: &str| it.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let words: Vec<String> = list.map(|it| format!("{} {}", field(it, "policy"), field(it, "decision"))).collect();
    format!("{} ({})", text(clock, "/status/state"), words.join(", "))
}

/// Reasons and counts of a policy.
fn status(policy: &Option<std::sync::Arc<Value>>) -> String {
    let Some(policy) = policy else { return String::new() };
    let conditions = policy.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let field = |it: &Value, name: &str| it.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let reasons: Vec<String> = conditions.map(|it| field(it, "reason")).collect();
    let counts = policy.pointer("/status/nodes").and_then(Value::as_object);
    let counts = counts.into_iter().flatten().filter(|(_, count)| count.as_i64().is_some_and(|count| count != 0));
    let counts: Vec<String> = counts.map(|(name, count)| format!("{count} {name}")).collect();
    format!("{}; {}", reasons.join(", "), counts.join(", "))
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (second, lines) in &self.seconds {
            let at = super::script::time_text(Duration::from_secs(*second));
            for line in lines {
                write!(f, "{at:>8}  {}", line.text)?;
                match line.nodes.len() {
                    0 => writeln!(f)?,
                    count if count <= NAMED => writeln!(f, ": {}", line.nodes.join(", "))?,
                    count => writeln!(f, ": {} nodes", count)?,
                }
            }
        }
        Ok(())
    }
}
