//! What an API server was asked: counts by verb and resource, and its audit log by user.
//!
//! The counts (`apiserver_request_total`) are the server's own and miss nobody, but do not say who asked.
//! The audit log does, for writes; together they prove that somebody wrote nothing.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::control_plane::ControlPlane;

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestKind {
    pub(crate) verb: String,
    /// With its group, as in `leases.coordination.k8s.io`, and its subresource, as in `nodes/status`.
    pub(crate) resource: String,
}

/// Requests since the API server's start, or between two such counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestCounts(BTreeMap<RequestKind, u64>);

const METRIC: &str = "apiserver_request_total{";
const WRITES: [&str; 5] = ["POST", "PUT", "PATCH", "APPLY", "DELETE"];

impl RequestCounts {
    /// Reads the counts from the API server's own metrics.
    pub(crate) async fn read(plane: &ControlPlane) -> Result<Self> {
        let client = plane.client().await?;
        let text = client
            .request_text(hyper::Request::get("/metrics").body(Vec::new())?)
            .await
            .context("cannot read the metrics of the API server")?;
        Self::parse(&text)
    }

    fn parse(metrics: &str) -> Result<Self> {
        let mut counts = BTreeMap::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix(METRIC)) {
            let (labels, value) = line.rsplit_once("} ").with_context(|| format!("no value in {line}"))?;
            let label = |name: &str| -> &str {
                let found = labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""));
                found.map_or("", |value| value.trim_end_matches('"'))
            };
            let mut resource = label("resource").to_owned();
            for (separator, part) in [(".", label("group")), ("/", label("subresource"))] {
                if !part.is_empty() {
                    resource = format!("{resource}{separator}{part}");
                }
            }
            let kind = RequestKind { verb: label("verb").to_owned(), resource };
            let count: f64 = value.parse().with_context(|| format!("no number in {line}"))?;
            // A count of requests in a test is far below 2^53.
            *counts.entry(kind).or_default() += count as u64;
        }
        Ok(Self(counts))
    }

    /// What was asked between an earlier count and this one, without what was not.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let grown = self.0.iter().filter_map(|(kind, count)| {
            let more = count - earlier.0.get(kind).copied().unwrap_or(0).min(*count);
            (more > 0).then(|| (kind.clone(), more))
        });
        Self(grown.collect())
    }

    /// Only the writes, and of these only those for which `wanted` holds.
    pub(crate) fn writes(&self, wanted: impl Fn(&RequestKind) -> bool) -> Self {
        let writes = self.0.iter().filter(|(kind, _)| WRITES.contains(&kind.verb.as_str()) && wanted(kind));
        Self(writes.map(|(kind, count)| (kind.clone(), *count)).collect())
    }

    /// How many of one kind, as in `count("PATCH", "nodes")`.
    pub(crate) fn count(&self, verb: &str, resource: &str) -> u64 {
        let kind = RequestKind { verb: verb.to_owned(), resource: resource.to_owned() };
        self.0.get(&kind).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for RequestCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no requests");
        }
        for (kind, count) in &self.0 {
            writeln!(f, "{count:6} {} {}", kind.verb, kind.resource)?;
        }
        Ok(())
    }
}

/// A finished write, as the API server's audit log has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditedWrite {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub(crate) verb: String,
    pub(crate) user: AuditedUser,
    pub(crate) user_agent: Option<String>,
    pub(crate) object_ref: Option<AuditedObject>,
    pub(crate) response_status: Option<AuditedStatus>,
    /// When the request came, by the API server's clock.
    pub(crate) request_received_timestamp: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AuditedUser {
    pub(crate) username: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AuditedObject {
    pub(crate) resource: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AuditedStatus {
    pub(crate) code: Option<u16>,
}

/// All writes of one user since the control plane's start, the refused ones too.
pub(crate) fn writes_of(plane: &ControlPlane, user: &str) -> Result<Vec<AuditedWrite>> {
    let path = plane.audit_log();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut writes = Vec::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let write: AuditedWrite =
            serde_json::from_str(line).with_context(|| format!("{}: not as expected: {line}", path.display()))?;
        if write.user.username == user {
            writes.push(write);
        }
    }
    Ok(writes)
}
