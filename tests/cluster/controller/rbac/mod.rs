//! No right of the controller is there for nothing: each is taken away in turn, and something stops working.
//!
//! The rights are read from `deploy/install.yaml`, so a new rule is covered without a word here. One exercise makes the
//! controller do everything that it does. With all its rights it passes and nothing is refused; with any one verb, or any
//! one binding, taken away, the API server refuses a request *and* the exercise fails, and says at what.

mod exercise;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use self::exercise::Exercise;
use crate::install::manifest::{Manifest, NAMESPACE};
use crate::support::requests::{AuditedWrite, writes_of};
use crate::support::wait::mono_now;
use crate::support::{Component, ControlPlane, Options, Outcome, run, scratch, wait_for};

const SOON: Duration = Duration::from_secs(30);
const ACCOUNT: &str = "clockwarden-controller";
const USER: &str = "system:serviceaccount:clockwarden-system:clockwarden-controller";

/// Something that can be taken away.
struct Right {
    /// For people.
    name: String,
    /// The object without it; `None` if the whole object goes.
    without: Option<Value>,
    /// The object with it.
    with: Value,
    /// What is asked to see whether it is gone.
    probe: Probe,
}

/// One thing that the account may do.
#[derive(Clone)]
struct Probe {
    verb: String,
    group: String,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Probe {
    /// Whether this is the request that was refused.
    fn is(&self, request: &AuditedWrite) -> bool {
        let Some(object) = &request.object_ref else { return false };
        let (whole, part) = self.resource.split_once('/').map_or((self.resource.as_str(), None), |(w, p)| (w, Some(p)));
        // What is applied and does not exist yet is asked for as a patch, and has to be allowed as a create, too.
        let is_verb = request.verb == self.verb || (self.verb == "create" && request.verb == "patch");
        is_verb && object.resource.as_deref() == Some(whole) && object.subresource.as_deref() == part
    }
}

#[test]
fn whatever_right_is_taken_from_the_controller_something_stops_working() -> Outcome {
    run(async {
        let plane = plane().await?;
        let rights = rights()?;
        ensure!(rights.len() > 20, "only {} rights were found in the manifest", rights.len());
        let exercise = Exercise::prepare(&plane).await?;
        let began = mono_now();
        exercise.perform().await?.map_err(|missing| anyhow::anyhow!("with all rights, in vain for {missing:?}"))?;
        let refused = refused(&plane, 0)?;
        ensure!(refused.is_empty(), "with all rights, refused: {refused:#?}");
        println!("all rights: passes in {:.1} s", began.elapsed().as_secs_f64());
        let mut needless = Vec::new();
        for right in rights {
            let began = mono_now();
            exercise.reset().await?;
            take(&plane, &right).await?;
            let before = writes_of(&plane, USER)?.len();
            let outcome = exercise.perform().await?;
            let denied = refused_after(&plane, before, &right)?;
            give_back(&plane, &right).await?;
            let took = began.elapsed().as_secs_f64();
            match outcome {
                Err(missing) => {
                    println!("without {}: {denied} refused, in vain for {missing:?} ({took:.1} s)", right.name)
                }
                Ok(()) => needless.push(format!("{} ({denied} refused)", right.name)),
            }
            if denied == 0 {
                needless.push(format!("{} (never asked for)", right.name));
            }
        }
        ensure!(needless.is_empty(), "rights that the controller works without: {needless:#?}");
        Ok(())
    })
}

/// With an audit log that has every request of the controller's, reads too.
async fn plane() -> Result<ControlPlane> {
    let policy = scratch::directory("audit-policy")?.join("policy.json");
    let rules = json!([{"level": "Metadata", "users": [USER]}, {"level": "None"}]);
    let text =
        json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules});
    std::fs::write(&policy, text.to_string())?;
    let flag = format!("--audit-policy-file={}", policy.display());
    let extra_args = BTreeMap::from([(Component::ApiServer, vec![flag])]);
    let options = Options { scheduler: false, controller_manager: false, extra_args };
    let plane = ControlPlane::start(options).await?;
    for namespace in ["default", "kube-system", "kube-node-lease"] {
        wait_for(&format!("the namespace {namespace}"), SOON, async || {
            let got = plane.kubectl(&["get", "namespace", namespace]).await?;
            ensure!(got.success, "{got:?}");
            Ok(())
        })
        .await?;
    }
    crate::install::apply(&plane, &[]).await?;
    Ok(plane)
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    let list = value.get(field).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Every verb of every resource of every rule that is bound to the controller, and every binding.
fn rights() -> Result<Vec<Right>> {
    let manifest = Manifest::read()?;
    let mut rights = Vec::new();
    let mut roles: BTreeMap<(String, String, String), Option<String>> = BTreeMap::new();
    for binding in manifest.objects().iter().filter(|object| text(object, "/kind").ends_with("RoleBinding")) {
        let subjects = binding.get("subjects").and_then(Value::as_array);
        if !subjects.into_iter().flatten().any(|subject| text(subject, "/name") == ACCOUNT) {
            continue;
        }
        let place = binding.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        let (kind, name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
        let role_place = if kind == "Role" { place.clone().unwrap_or_default() } else { String::new() };
        let is_role = |object: &&Value| {
            text(object, "/kind") == kind
                && text(object, "/metadata/name") == name
                && text(object, "/metadata/namespace") == role_place
        };
        let role = manifest.objects().iter().find(is_role).with_context(|| format!("no {kind} {name}"))?;
        let first = role.pointer("/rules/0").context("a role without rules")?;
        rights.push(Right {
            name: format!("the {} of {kind} {name} in {place:?}", text(binding, "/kind")),
            without: None,
            with: binding.clone(),
            probe: probes(first, place.as_ref()).into_iter().next().context("an empty rule")?,
        });
        roles.entry((kind.to_owned(), name.to_owned(), role_place)).or_insert(place);
    }
    for ((kind, name, role_place), place) in roles {
        let is_role = |object: &&Value| {
            text(object, "/kind") == kind
                && text(object, "/metadata/name") == name
                && text(object, "/metadata/namespace") == role_place
        };
        let role = manifest.objects().iter().find(is_role).context("no such role")?;
        let rules = role.get("rules").and_then(Value::as_array).context("a role without rules")?;
        for (index, rule) in rules.iter().enumerate() {
            for probe in probes(rule, place.as_ref()) {
                rights.push(Right {
                    name: format!("{} {} ({kind} {name} {role_place})", probe.verb, probe.resource),
                    without: Some(without(role, index, &probe)),
                    with: role.clone(),
                    probe,
                });
            }
        }
    }
    Ok(rights)
}

fn probes(rule: &Value, place: Option<&String>) -> Vec<Probe> {
    let mut all = Vec::new();
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            for verb in texts(rule, "verbs") {
                all.push(Probe {
                    verb,
                    group: group.clone(),
                    resource: resource.clone(),
                    namespace: place.cloned(),
                    name: texts(rule, "resourceNames").into_iter().next(),
                });
            }
        }
    }
    all
}

/// The role without one verb for one resource of one rule.
fn without(role: &Value, index: usize, probe: &Probe) -> Value {
    let mut role = role.clone();
    let Some(rules) = role.get_mut("rules").and_then(Value::as_array_mut) else { return role };
    let rule = rules.remove(index);
    let resources: Vec<String> = texts(&rule, "resources").into_iter().filter(|it| *it != probe.resource).collect();
    let verbs: Vec<String> = texts(&rule, "verbs").into_iter().filter(|verb| *verb != probe.verb).collect();
    let part = |resources: &[String], verbs: &[String]| {
        let mut part = rule.as_object().cloned().unwrap_or_default();
        part.insert("resources".to_owned(), json!(resources));
        part.insert("verbs".to_owned(), json!(verbs));
        Value::Object(part)
    };
    if !resources.is_empty() {
        rules.push(part(&resources, &texts(&rule, "verbs")));
    }
    if !verbs.is_empty() {
        rules.push(part(std::slice::from_ref(&probe.resource), &verbs));
    }
    role
}

async fn take(plane: &ControlPlane, right: &Right) -> Result<()> {
    let done = match &right.without {
        Some(role) => plane.kubectl_fed(&["replace", "-f", "-"], &role.to_string()).await?,
        None => plane.kubectl_fed(&["delete", "-f", "-"], &right.with.to_string()).await?,
    };
    ensure!(done.success, "{}: {done:?}", right.name);
    wait_may(plane, &right.probe, false).await
}

async fn give_back(plane: &ControlPlane, right: &Right) -> Result<()> {
    let verb = if right.without.is_some() { "replace" } else { "create" };
    let done = plane.kubectl_fed(&[verb, "-f", "-"], &right.with.to_string()).await?;
    ensure!(done.success, "{}: {done:?}", right.name);
    wait_may(plane, &right.probe, true).await
}

/// The authorizer follows the roles through a watch of its own.
async fn wait_may(plane: &ControlPlane, probe: &Probe, wanted: bool) -> Result<()> {
    let reviews: Api<SubjectAccessReview> = Api::all(plane.client().await?);
    let (resource, part) =
        probe.resource.split_once('/').map_or((probe.resource.as_str(), None), |(whole, part)| (whole, Some(part)));
    let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {
        "user": USER,
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{NAMESPACE}"), "system:authenticated"],
        "resourceAttributes": {
            "verb": probe.verb, "group": probe.group, "resource": resource, "subresource": part,
            "namespace": probe.namespace, "name": probe.name,
        },
    }}))?;
    wait_for(&format!("{} {} to be allowed: {wanted}", probe.verb, probe.resource), SOON, async || {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        ensure!(answer.status.is_some_and(|status| status.allowed) == wanted, "not yet");
        Ok(())
    })
    .await
}

/// The requests of the controller's that were refused, of those after the first `before`.
fn refused(plane: &ControlPlane, before: usize) -> Result<Vec<AuditedWrite>> {
    let mut all = writes_of(plane, USER)?.split_off(before);
    all.retain(|request| request.response_status.as_ref().and_then(|status| status.code) == Some(403));
    Ok(all)
}

/// How many requests were refused for want of this right.
fn refused_after(plane: &ControlPlane, before: usize, right: &Right) -> Result<usize> {
    let refused = refused(plane, before)?;
    Ok(refused.iter().filter(|request| right.without.is_none() || right.probe.is(request)).count())
}
