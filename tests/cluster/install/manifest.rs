//! `deploy/install.yaml`, read: its objects, the arguments of its programs, the rights of its accounts.
#![allow(dead_code, reason = "each test that reads the manifest uses its own part of this")]

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub(crate) const PATH: &str = "deploy/install.yaml";
pub(crate) const NAMESPACE: &str = "clockwarden-system";

/// Namespace (empty: the whole cluster), resource with its subresource, verb.
pub(crate) type Right = (String, String, String);

pub(crate) struct Manifest(Vec<Value>);

impl Manifest {
    pub(crate) fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PATH);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PATH}"))?;
        Ok(Self(serde_saphyr::from_multiple(&text).with_context(|| format!("{PATH} is no YAML"))?))
    }

    pub(crate) fn objects(&self) -> &[Value] {
        &self.0
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Result<&Value> {
        let is = |object: &&Value| at(object, "/kind") == kind && at(object, "/metadata/name") == name;
        self.0.iter().find(is).with_context(|| format!("{PATH} has no {kind} {name}"))
    }

    /// What the one container of a workload is started with.
    pub(crate) fn args(&self, kind: &str, name: &str) -> Result<Vec<String>> {
        let object = self.get(kind, name)?;
        let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let containers = containers.with_context(|| format!("{name} has no containers"))?;
        ensure!(containers.len() == 1, "{name} has {} containers", containers.len());
        let args = containers.first().and_then(|container| container.get("args")).cloned();
        Ok(serde_json::from_value(args.with_context(|| format!("{name} has no args"))?)?)
    }

    /// Everything that is bound to a service account.
    pub(crate) fn rights_of(&self, account: &str) -> Result<BTreeSet<Right>> {
        let mut rights = BTreeSet::new();
        for binding in self.0.iter().filter(|object| at(object, "/kind").ends_with("RoleBinding")) {
            let subjects = binding.get("subjects").and_then(Value::as_array);
            let is_bound = subjects.into_iter().flatten().any(|subject| at(subject, "/name") == account);
            if !is_bound {
                continue;
            }
            let (kind, name) = (at(binding, "/roleRef/kind"), at(binding, "/roleRef/name"));
            let place = at(binding, "/metadata/namespace");
            let is_role = |object: &&Value| {
                let here = kind == "ClusterRole" || at(object, "/metadata/namespace") == place;
                at(object, "/kind") == kind && at(object, "/metadata/name") == name && here
            };
            let role = self.0.iter().find(is_role).with_context(|| format!("{PATH} has no {kind} {name}"))?;
            for rule in role.get("rules").and_then(Value::as_array).context("a role without rules")? {
                for resource in texts(rule, "resources")? {
                    for verb in texts(rule, "verbs")? {
                        rights.insert((place.to_owned(), resource.clone(), verb));
                    }
                }
            }
        }
        Ok(rights)
    }
}

fn at<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn texts(rule: &Value, field: &str) -> Result<Vec<String>> {
    let list = rule.get(field).cloned().with_context(|| format!("a rule without {field}"))?;
    Ok(serde_json::from_value(list)?)
}
