//! A simulated API server: objects, resource versions and what a request makes of them.
//!
//! Only the semantics that a controller's safety rests on, each with a test here named for it; the same facts are
//! shown by the tests against the real one (docs/drill.md names them):
//!
//! - every change gives the object a new, greater resource version; a request that changes nothing gives none;
//! - a resource version in a patch or a replacement is a precondition (409), its absence is none;
//! - a write to the status changes nothing else, and a write to the rest leaves the status alone;
//! - an object with finalizers is only marked as being deleted, gets no new finalizers, and goes with the last one;
//! - what is owned by an object that is gone is collected some time later.
//!
//! Does not know: time, networks, who asks.
//!
//! Source: Kubernetes' API concepts and API conventions (concurrency control, subresources, finalizers).

use super::patch;
use crate::controller::request::{Kind, Outcome, Refusal, Request, Verb};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
    /// As it was; `None` if it is new.
    pub before: Option<Arc<Value>>,
    /// As it is; `None` if it is gone.
    pub after: Option<Arc<Value>>,
}

/// All objects, and every change that they have gone through.
#[derive(Debug, Default)]
pub struct Server {
    objects: BTreeMap<Kind, BTreeMap<String, Arc<Value>>>,
    version: u64,
    uids: u64,
    fresh: Vec<Change>,
}

impl Server {
    /// Does what is asked.
    ///
    /// # Errors
    /// As the real one refuses: 404, 409, 422.
    pub fn ask(&mut self, request: &Request) -> Outcome {
        let live = self.get(request.kind, &request.name);
        match request.verb {
            Verb::Get => live.map(|it| (*it).clone()).ok_or(Refusal::NotFound),
            Verb::Create => match live {
                Some(_) => Err(Refusal::Conflict),
                None if request.kind == Kind::Event => Ok(request.body.clone()),
                None => Ok(self.create(request.kind, &request.name, request.body.clone())),
            },
            Verb::Merge | Verb::Strategic | Verb::Replace => {
                let live = live.ok_or(Refusal::NotFound)?;
                let wanted = request.body.pointer("/metadata/resourceVersion");
                if wanted.is_some_and(|it| !it.is_null()) && wanted != live.pointer("/metadata/resourceVersion") {
                    return Err(Refusal::Conflict);
                }
                let next = changed(&live, request);
                refuse(request.kind, &live, &next)?;
                Ok(self.store(request.kind, &request.name, next))
            }
        }
    }

    /// The object as it is.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&kind)?.get(name).cloned()
    }

    /// All of one kind, by name.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&String, &Arc<Value>)> {
        self.objects.get(&kind).into_iter().flatten()
    }

    /// Makes an object as somebody who may do everything.
    pub fn create(&mut self, kind: Kind, name: &str, mut object: Value) -> Value {
        self.uids += 1;
        let identity = json!({"metadata": {"name": name, "uid": format!("uid-{}", self.uids), "generation": 1}});
        patch::merge(&mut object, &identity);
        if kind == Kind::Clock || kind == Kind::Policy {
            patch::merge(&mut object, &json!({"status": null}));
        }
        self.store(kind, name, object)
    }

    /// Changes an object as somebody who may do everything; nothing if it is not there.
    pub fn edit(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        let Some(live) = self.get(kind, name) else { return };
        let mut next = (*live).clone();
        change(&mut next);
        self.store(kind, name, next);
    }

    /// Deletes an object: at once without finalizers, else it is marked and `stamp` is when.
    pub fn delete(&mut self, kind: Kind, name: &str, stamp: &str) {
        let mark = json!({"metadata": {"deletionTimestamp": stamp}});
        self.edit(kind, name, |it| {
            if it.pointer("/metadata/deletionTimestamp").is_none() {
                patch::merge(it, &mark);
            }
        });
    }

    /// Collects the NodeClocks whose Node is gone.
    pub fn collect(&mut self) {
        let orphans: Vec<String> =
            self.all(Kind::Clock).filter(|(_, clock)| self.is_orphan(clock)).map(|(name, _)| name.clone()).collect();
        for name in orphans {
            self.remove(Kind::Clock, &name);
        }
    }

    /// Whether the Node that owns a NodeClock is gone; another one of its name is none of its owners.
    pub fn is_orphan(&self, clock: &Value) -> bool {
        let text = |it: &Value, path: &str| it.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let Some(owner) = text(clock, "/metadata/ownerReferences/0/uid") else { return false };
        let node = text(clock, "/metadata/name").and_then(|name| self.get(Kind::Node, &name));
        node.and_then(|node| text(&node, "/metadata/uid")) != Some(owner)
    }

    /// What has changed since this was asked last, in order.
    pub fn fresh(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.fresh)
    }

    fn remove(&mut self, kind: Kind, name: &str) {
        self.version += 1;
        let before = self.objects.entry(kind).or_default().remove(name);
        self.fresh.push(Change { kind, name: name.to_owned(), before, after: None });
    }

    fn store(&mut self, kind: Kind, name: &str, mut next: Value) -> Value {
        let before = self.get(kind, name);
        if before.as_deref() == Some(&next) {
            return next;
        }
        if before.as_deref().is_some_and(|it| it.get("spec") != next.get("spec")) {
            let generation = next.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
            patch::merge(&mut next, &json!({"metadata": {"generation": generation + 1}}));
        }
        let is_held = finalizers(&next).next().is_some();
        if next.pointer("/metadata/deletionTimestamp").is_some() && !is_held {
            // The answer shows the object with the version that it had.
            self.remove(kind, name);
            return next;
        }
        self.version += 1;
        patch::merge(&mut next, &json!({"metadata": {"resourceVersion": self.version.to_string()}}));
        let after = Some(Arc::new(next.clone()));
        self.objects.entry(kind).or_default().extend(after.clone().map(|it| (name.to_owned(), it)));
        self.fresh.push(Change { kind, name: name.to_owned(), before, after });
        next
    }
}

fn finalizers(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten()
}

/// The live object with what was asked done to it, and with nothing that must not be changed that way.
fn changed(live: &Value, request: &Request) -> Value {
    let mut next = live.clone();
    match request.verb {
        Verb::Strategic => patch::strategic(&mut next, &request.body),
        Verb::Replace => next = request.body.clone(),
        Verb::Merge | Verb::Get | Verb::Create => patch::merge(&mut next, &request.body),
    }
    let from = |path: &str, from: &Value| from.get(path).cloned().unwrap_or(Value::Null);
    if request.kind == Kind::Lease {
        return with(next, live, &["uid", "generation", "resourceVersion"]);
    }
    if request.status {
        let mut kept = live.clone();
        set(&mut kept, "status", from("status", &next));
        return kept;
    }
    set(&mut next, "status", from("status", live));
    with(next, live, &["uid", "generation", "resourceVersion", "deletionTimestamp"])
}

/// `next` with those fields of the live object's metadata.
fn with(mut next: Value, live: &Value, fields: &[&str]) -> Value {
    for field in fields {
        let kept = live.pointer(&format!("/metadata/{field}")).cloned().unwrap_or(Value::Null);
        if let Some(metadata) = next.get_mut("metadata") {
            set(metadata, field, kept);
        }
    }
    next
}

/// Sets a field, or removes it with null.
fn set(object: &mut Value, field: &str, value: Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
}

/// What the real one calls invalid, as far as a bug of ours could ask for it.
fn refuse(kind: Kind, live: &Value, next: &Value) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::Refused { code: 422, message: message.to_owned() });
    let deleting = live.pointer("/metadata/deletionTimestamp").is_some();
    if deleting && finalizers(next).any(|it| !finalizers(live).any(|had| had == it)) {
        return invalid(
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted",
        );
    }
    let taints: Vec<(Option<&Value>, Option<&Value>)> = next
        .pointer("/spec/taints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|taint| (taint.get("key"), taint.get("effect")))
        .collect();
    let twice = taints.iter().enumerate().any(|(index, taint)| taints.iter().skip(index + 1).any(|it| it == taint));
    if kind == Kind::Node && twice {
        return invalid("spec.taints: Duplicate value: taints must be unique by key and effect pair");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(verb: Verb, kind: Kind, status: bool, body: Value) -> Request {
        Request { verb, kind, name: "x".into(), status, body }
    }

    fn server(kind: Kind, object: Value) -> (Server, Value) {
        let mut server = Server::default();
        let made = server.create(kind, "x", object);
        (server, made)
    }

    #[test]
    fn a_change_gives_a_greater_version_and_no_change_gives_none() {
        let (mut server, made) = server(Kind::Node, json!({"spec": {"a": 1}}));
        let same = server.ask(&request(Verb::Merge, Kind::Node, false, json!({"spec": {"a": 1}}))).unwrap();
        assert_eq!(same, made);
        let other = server.ask(&request(Verb::Merge, Kind::Node, false, json!({"spec": {"a": 2}}))).unwrap();
        assert_ne!(other["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        assert_eq!((server.fresh().len(), server.fresh().len()), (2, 0));
    }

    #[test]
    fn a_version_is_a_precondition_and_its_absence_is_none() {
        let (mut server, made) = server(Kind::Node, json!({"spec": {"a": 1}}));
        let old = made["metadata"]["resourceVersion"].clone();
        let patch = |to: u32| json!({"metadata": {"resourceVersion": old}, "spec": {"a": to}});
        assert!(server.ask(&request(Verb::Merge, Kind::Node, false, patch(2))).is_ok());
        assert_eq!(server.ask(&request(Verb::Merge, Kind::Node, false, patch(3))), Err(Refusal::Conflict));
        assert!(server.ask(&request(Verb::Merge, Kind::Node, false, json!({"spec": {"a": 4}}))).is_ok());
        let stale = json!({"metadata": {"name": "x", "resourceVersion": old}, "spec": {"a": 5}});
        assert_eq!(server.ask(&request(Verb::Replace, Kind::Node, false, stale)), Err(Refusal::Conflict));
        assert_eq!(server.ask(&request(Verb::Create, Kind::Node, false, json!({}))), Err(Refusal::Conflict));
    }

    #[test]
    fn the_status_and_the_rest_are_written_apart() {
        let (mut server, _) = server(Kind::Node, json!({"spec": {"a": 1}, "status": {"b": 1}}));
        let both = json!({"spec": {"a": 2}, "status": {"b": 2}});
        let found = server.ask(&request(Verb::Merge, Kind::Node, true, both.clone())).unwrap();
        assert_eq!((&found["spec"]["a"], &found["status"]["b"]), (&json!(1), &json!(2)));
        let found = server.ask(&request(Verb::Merge, Kind::Node, false, json!({"spec": {"a": 3}, "status": null})));
        let found = found.unwrap();
        assert_eq!((&found["spec"]["a"], &found["status"]["b"]), (&json!(3), &json!(2)));
        assert_eq!(found["metadata"]["generation"], 2);
    }

    #[test]
    fn an_object_with_a_finalizer_goes_with_its_last_one_and_gets_no_new_ones() {
        let (mut server, _) = server(Kind::Policy, json!({"metadata": {"finalizers": ["f"]}, "spec": {}}));
        server.delete(Kind::Policy, "x", "2026-01-01T00:00:00Z");
        assert!(server.get(Kind::Policy, "x").unwrap().pointer("/metadata/deletionTimestamp").is_some());
        let more = json!({"metadata": {"finalizers": ["f", "g"]}});
        let refused = server.ask(&request(Verb::Merge, Kind::Policy, false, more));
        assert!(matches!(refused, Err(Refusal::Refused { code: 422, .. })), "{refused:?}");
        let last = server.ask(&request(Verb::Merge, Kind::Policy, false, json!({"metadata": {"finalizers": []}})));
        assert!(last.is_ok() && server.get(Kind::Policy, "x").is_none());
        assert_eq!(server.ask(&request(Verb::Get, Kind::Policy, false, Value::Null)), Err(Refusal::NotFound));
    }

    #[test]
    fn what_a_gone_node_owned_is_collected() {
        let (mut server, node) = server(Kind::Node, json!({}));
        let owner = json!([{"kind": "Node", "name": "x", "uid": node["metadata"]["uid"]}]);
        server.create(Kind::Clock, "x", json!({"metadata": {"ownerReferences": owner}, "status": {"a": 1}}));
        assert_eq!(server.get(Kind::Clock, "x").unwrap().get("status"), None, "a create does not write the status");
        server.collect();
        assert!(server.get(Kind::Clock, "x").is_some());
        server.delete(Kind::Node, "x", "2026-01-01T00:00:00Z");
        server.collect();
        assert!(server.get(Kind::Clock, "x").is_none());
    }

    #[test]
    fn two_equal_taints_are_refused() {
        let (mut server, _) = server(Kind::Node, json!({}));
        let taint = json!({"key": "a", "effect": "NoSchedule"});
        let body = json!({"spec": {"taints": [taint, taint]}});
        let refused = server.ask(&request(Verb::Merge, Kind::Node, false, body));
        assert!(matches!(refused, Err(Refusal::Refused { code: 422, .. })), "{refused:?}");
    }
}
