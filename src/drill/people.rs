//! People and other controllers: whoever else changes Nodes and policies.

use super::patch::merge;
use super::scenario::{Meddling, PolicyText};
use super::world::{Happening, World};
use crate::api::MARKS_ANNOTATION;
use crate::controller::request::Kind;
use serde_json::{Value, json};
use std::time::Duration;

/// The taint that the racing controller puts on and takes off.
const RACER: &str = "racer.example.com/busy";
/// What somebody scribbles into our annotation.
const SCRIBBLE: &str = "{\"taints\": oops";
/// A NodeClock outlives its Node by so much: Kubernetes' garbage collector looks at what is made later, too.
pub(super) const COLLECT_AFTER: Duration = Duration::from_secs(2);

impl World<'_> {
    /// A Node joins.
    pub(super) fn create_node(&mut self, node: usize) {
        let Some(name) = self.names.get(node).cloned() else { return };
        if self.server.get(Kind::Node, &name).is_some() {
            return;
        }
        let zone = format!("zone-{}", node % self.scenario.zones.max(1));
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "creationTimestamp": self.stamp(),
                "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone},
                "annotations": {"volumes.example.com/attached": "2"},
            },
            "spec": {"podCIDR": "10.0.0.0/24"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            },
        });
        self.server.create(Kind::Node, &name, object);
        self.spread(None);
    }

    /// A policy is made, or made to be like that.
    pub(super) fn put_policy(&mut self, text: &PolicyText) {
        let spec = text.spec();
        if self.server.get(Kind::Policy, &text.name).is_some() {
            self.server.edit(Kind::Policy, &text.name, |it| {
                if let Some(fields) = it.as_object_mut() {
                    fields.insert("spec".to_owned(), spec);
                }
            });
        } else {
            let object = json!({
                "apiVersion": "clockwarden.io/v1alpha1", "kind": "TimeSyncPolicy",
                "metadata": {"creationTimestamp": self.stamp()}, "spec": spec,
            });
            self.server.create(Kind::Policy, &text.name, object);
        }
        self.spread(None);
    }

    /// A policy that cannot be read is made one that can.
    pub(super) fn mend_policies(&mut self) {
        for name in self.judge.unreadable() {
            self.put_policy(&PolicyText { name, settings: Vec::new() });
        }
    }

    /// Something is done to a Node by somebody else.
    pub(super) fn meddle(&mut self, node: usize, meddling: &Meddling) {
        let Some(name) = self.names.get(node).cloned() else { return };
        match meddling {
            Meddling::Taint(key) => self.taint(&name, key),
            Meddling::Untaint(key) => self.untaint(&name, key),
            Meddling::Cordon => self.change_node(&name, &json!({"spec": {"unschedulable": true}})),
            Meddling::Uncordon => self.change_node(&name, &json!({"spec": {"unschedulable": null}})),
            Meddling::Label(key, value) => self.change_node(&name, &json!({"metadata": {"labels": {key: value}}})),
            Meddling::Unlabel(key) => self.change_node(&name, &json!({"metadata": {"labels": {key: null}}})),
            Meddling::Annotate(key, value) => {
                self.change_node(&name, &json!({"metadata": {"annotations": {key: value}}}));
            }
            Meddling::Unannotate(key) => self.change_node(&name, &json!({"metadata": {"annotations": {key: null}}})),
            Meddling::Scribble => {
                self.change_node(&name, &json!({"metadata": {"annotations": {MARKS_ANNOTATION: SCRIBBLE}}}));
            }
            Meddling::Mend => self.mend(node),
            Meddling::Delete => {
                let stamp = self.stamp();
                self.server.delete(Kind::Node, &name, &stamp);
                self.queue.put(self.now.saturating_add(COLLECT_AFTER), Happening::Collect);
            }
            Meddling::Create => self.create_node(node),
            Meddling::Race => {
                let raced = self.racing.get_mut(node).map(|racing| std::mem::replace(racing, true));
                if raced == Some(false) {
                    self.queue.put(self.now, Happening::Race(node));
                }
            }
            Meddling::RaceOver => {
                if let Some(racing) = self.racing.get_mut(node) {
                    *racing = false;
                }
                self.untaint(&name, RACER);
            }
        }
        self.spread(None);
    }

    fn change_node(&mut self, name: &str, patch: &Value) {
        self.server.edit(Kind::Node, name, |it| merge(it, patch));
    }

    fn taint(&mut self, name: &str, key: &str) {
        self.server.edit(Kind::Node, name, |it| {
            let mut taints = taints(it);
            if !taints.iter().any(|taint| is(taint, key)) {
                taints.push(json!({"key": key, "effect": "NoSchedule"}));
                merge(it, &json!({"spec": {"taints": taints}}));
            }
        });
    }

    fn untaint(&mut self, name: &str, key: &str) {
        self.server.edit(Kind::Node, name, |it| {
            let mut taints = taints(it);
            taints.retain(|taint| !is(taint, key));
            merge(it, &json!({"spec": {"taints": taints}}));
        });
    }

    /// Another controller does something to its own taint, again and again.
    pub(super) fn race(&mut self, node: usize) {
        let Some(name) = self.names.get(node).cloned() else { return };
        if self.racing.get(node) != Some(&true) {
            return;
        }
        let there = self.server.get(Kind::Node, &name).is_some_and(|it| taints(&it).iter().any(|it| is(it, RACER)));
        if there {
            self.untaint(&name, RACER)
        } else {
            self.taint(&name, RACER)
        }
        self.spread(None);
        let after = self.delay(1_000_000, 20_000_000);
        self.queue.put(self.now.saturating_add(after), Happening::Race(node));
    }

    /// A person takes away a record that cannot be read, with the marks that it should name.
    pub(super) fn mend(&mut self, node: usize) {
        let Some(name) = self.names.get(node).cloned() else { return };
        let Some(live) = self.server.get(Kind::Node, &name) else { return };
        let record = live.pointer("/metadata/annotations").and_then(|all| all.get(MARKS_ANNOTATION));
        if record.and_then(Value::as_str) != Some(SCRIBBLE) {
            return;
        }
        let ours = self.judge.ours_on(&name);
        self.server.edit(Kind::Node, &name, |it| {
            merge(it, &json!({"metadata": {"annotations": {MARKS_ANNOTATION: null}}}));
            let mut taints = taints(it);
            taints.retain(|taint| !ours.contains(&super::marks::of_taint(taint)));
            merge(it, &json!({"spec": {"taints": taints}}));
            if ours.contains(super::marks::CORDON) {
                merge(it, &json!({"spec": {"unschedulable": null}}));
            }
        });
        self.spread(None);
    }
}

fn taints(node: &Value) -> Vec<Value> {
    node.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn is(taint: &Value, key: &str) -> bool {
    taint.get("key").and_then(Value::as_str) == Some(key)
        && taint.get("effect").and_then(Value::as_str) == Some("NoSchedule")
}
