//! What the audit found in a namespace, as the standard PolicyReport, and whether that has to be written.
//!
//! One report for each namespace that has findings, and a ClusterPolicyReport for objects of no namespace, all of them
//! called [`NAME`]: so rights can be given for that name alone. Ours are those with our label; one of that name without
//! it is somebody else's, and is left alone. A report is written when what it says has changed, and deleted when there is
//! nothing to say; what it said before keeps its timestamp. It holds at most [`RESULTS`] results, the worst, and one of
//! them counts the others.
//!
//! Does not know: HTTP, whether the CRD is installed. Source: `wgpolicyk8s.io/v1alpha2`,
//! <https://github.com/kubernetes-sigs/wg-policy-prototypes/blob/master/policy-report/pkg/api/wgpolicyk8s.io/v1alpha2>.

use super::sheet::Found;
use super::tally::{EACH, Noted, Tally};
use crate::inspect::Severity;
use crate::inspect::rules::RULES;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// API group of both kinds.
pub const GROUP: &str = "wgpolicyk8s.io";
/// The version that is written; it is the only one in use.
pub const VERSION: &str = "v1alpha2";
/// `metadata.name` of every report of ours.
pub const NAME: &str = "clockwarden";
/// Results of one report, at most: what is kept of a namespace, and the one that counts the rest.
pub const RESULTS: usize = EACH + 1;

/// The label that says whose a report is.
const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "clockwarden");

/// The two kinds of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportKind {
    /// PolicyReport, in a namespace.
    OfNamespace,
    /// ClusterPolicyReport.
    OfCluster,
}

impl ReportKind {
    /// As paths have it.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            ReportKind::OfNamespace => "policyreports",
            ReportKind::OfCluster => "clusterpolicyreports",
        }
    }

    /// As objects have it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            ReportKind::OfNamespace => "PolicyReport",
            ReportKind::OfCluster => "ClusterPolicyReport",
        }
    }

    /// Where all of them are listed.
    #[must_use]
    pub fn path(self) -> String {
        format!("/apis/{GROUP}/{VERSION}/{}", self.plural())
    }

    fn is_of(self, namespace: &str) -> bool {
        namespace.is_empty() == (self == ReportKind::OfCluster)
    }
}

/// What is to be done to one report. Nothing is left to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Which kind.
    pub kind: ReportKind,
    /// Where; empty for a ClusterPolicyReport.
    pub namespace: String,
    /// What.
    pub act: Act,
}

impl Write {
    /// Where the report is.
    #[must_use]
    pub fn path(&self) -> String {
        let (root, plural) = (format!("/apis/{GROUP}/{VERSION}"), self.kind.plural());
        match self.kind {
            ReportKind::OfNamespace => format!("{root}/namespaces/{}/{plural}/{NAME}", self.namespace),
            ReportKind::OfCluster => format!("{root}/{plural}/{NAME}"),
        }
    }
}

/// What is done to a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// There is none: this is applied, and gives way to whoever made one meanwhile.
    Make(Value),
    /// There is one of ours, and it becomes this. Its `metadata.resourceVersion` is a precondition.
    Change(Value),
    /// There is one of ours, and nothing to say any more.
    Remove {
        /// Only this one.
        uid: String,
        /// Only as it was when we looked.
        version: String,
    },
}

/// What a page of existing reports calls for.
#[derive(Debug, Default, PartialEq)]
pub struct Settled {
    /// In the order of the page.
    pub writes: Vec<Write>,
    /// Namespaces whose reports have been seen, ours or not.
    pub seen: BTreeSet<String>,
    /// Those of them where somebody else's has our name.
    pub foreign: Vec<String>,
}

/// Holds reports that exist (items of a list) against the tally.
#[must_use]
pub fn settle(kind: ReportKind, existing: &[Value], tally: &Tally, unix_s: i64) -> Settled {
    let mut settled = Settled::default();
    for report in existing {
        let text = |path: &str| report.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        if text("/metadata/name") != NAME {
            continue;
        }
        let namespace = text("/metadata/namespace");
        settled.seen.insert(namespace.clone());
        let labels = report.pointer("/metadata/labels");
        let owner = labels.and_then(|labels| labels.get(OWNER.0)).and_then(Value::as_str);
        if owner != Some(OWNER.1) {
            settled.foreign.push(namespace);
            continue;
        }
        let version = text("/metadata/resourceVersion");
        let act = match tally.namespaces().get(&namespace) {
            None => Some(Act::Remove { uid: text("/metadata/uid"), version }),
            Some(noted) => {
                let mut body = render(kind, &namespace, noted);
                let is_same = ["results", "summary"].iter().all(|part| bare(report, part) == bare(&body, part));
                date(&mut body, Some(report), unix_s);
                if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.insert("resourceVersion".to_owned(), json!(version));
                }
                (!is_same).then_some(Act::Change(body))
            }
        };
        settled.writes.extend(act.map(|act| Write { kind, namespace, act }));
    }
    settled
}

/// The reports that do not exist yet, one after the other: all of them together may be large.
pub fn missing<'t>(
    kind: ReportKind,
    seen: &'t BTreeSet<String>,
    tally: &'t Tally,
    unix_s: i64,
) -> impl Iterator<Item = Write> + use<'t> {
    let is_missing = move |namespace: &str| kind.is_of(namespace) && !seen.contains(namespace);
    tally.namespaces().iter().filter(move |(namespace, _)| is_missing(namespace)).map(move |(namespace, noted)| {
        let mut body = render(kind, namespace, noted);
        date(&mut body, None, unix_s);
        Write { kind, namespace: namespace.clone(), act: Act::Make(body) }
    })
}

/// A part of a report without its timestamps.
fn bare(report: &Value, part: &str) -> Value {
    let mut part = report.get(part).cloned().unwrap_or_default();
    for result in part.as_array_mut().into_iter().flatten() {
        if let Some(result) = result.as_object_mut() {
            result.remove("timestamp");
        }
    }
    part
}

/// Gives every result the time since when it has been said.
fn date(body: &mut Value, before: Option<&Value>, unix_s: i64) {
    let old: Vec<&Value> =
        before.and_then(|report| report.get("results")).and_then(Value::as_array).into_iter().flatten().collect();
    // Two results are about the same if all but their timestamps is the same.
    let known: std::collections::HashMap<String, &Value> = old
        .into_iter()
        .filter_map(|result| {
            let timestamp = result.get("timestamp")?;
            let mut result = result.as_object()?.clone();
            result.remove("timestamp");
            Some((Value::Object(result).to_string(), timestamp))
        })
        .collect();
    for result in body.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten() {
        let now = json!({"seconds": unix_s, "nanos": 0});
        let timestamp = known.get(&result.to_string()).map_or(now, |timestamp| (*timestamp).clone());
        if let Some(result) = result.as_object_mut() {
            result.insert("timestamp".to_owned(), timestamp);
        }
    }
}

/// The report, without timestamps.
fn render(kind: ReportKind, namespace: &str, noted: &Noted) -> Value {
    let mut results: Vec<Value> = noted.kept.iter().map(|found| result(found, namespace)).collect();
    let left_out = noted.left_out();
    if left_out > 0 {
        results.push(json!({
            "source": NAME, "category": CATEGORY, "policy": NAME, "result": "skip",
            "message": format!(
                "{left_out} more findings are counted in the summary and not listed here; \
                 `clockwarden lint` shows all of what is in your files"
            ),
        }));
    }
    let (mut fail, mut warn) = (0_u64, 0_u64);
    for (sort, count) in &noted.counts {
        let sum = if sort.is_refused { &mut fail } else { &mut warn };
        *sum = sum.saturating_add(*count);
    }
    let mut metadata = json!({"name": NAME, "labels": {OWNER.0: OWNER.1, "app.kubernetes.io/name": "clockwarden"}});
    if let (false, Some(metadata)) = (namespace.is_empty(), metadata.as_object_mut()) {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind.kind(), "metadata": metadata, "results": results,
        "summary": {"pass": 0, "fail": fail, "warn": warn, "error": 0, "skip": u64::from(left_out > 0)},
    })
}

const CATEGORY: &str = "Clock safety";

fn result(found: &Found, namespace: &str) -> Value {
    let mut resource =
        json!({"apiVersion": found.api_version, "kind": found.kind, "name": found.name, "uid": found.uid});
    if let (false, Some(resource)) = (namespace.is_empty(), resource.as_object_mut()) {
        resource.insert("namespace".to_owned(), json!(namespace));
    }
    let about = RULES.iter().find(|rule| rule.name == found.rule).map_or("", |rule| rule.summary);
    json!({
        "source": NAME, "category": CATEGORY,
        "policy": found.rule, "rule": found.rule,
        // Where the policies enforce, the webhook would refuse the object today.
        "result": if found.is_refused { "fail" } else { "warn" },
        "severity": if found.severity.0 == Severity::Error { "high" } else { "medium" },
        "message": format!("{}. Fix: {}", found.message.trim_end_matches('.'), found.fix),
        "resources": [resource],
        "properties": {
            "path": found.path, "value": found.value, "product": found.product, "policies": found.policies,
            "about": about,
        },
    })
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
