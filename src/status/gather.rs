//! Reads what `status` shows, with `get` and `list` on nodes, NodeClocks and policies.
//!
//! In pages, and of the fleet's Nodes the metadata alone: 5,000 whole nodes are 75 MB. Whether a controller is running is
//! seen by its leader lease, where that may be read. A lease that looks old is looked at again for as long as a leader
//! may take to renew it: what counts is that it changes, not what any clock says.

use super::StatusError;
use super::view::{self, Controller, Detail, Fleet, PolicyRow, Row};
use crate::api::{NodeClock, NodeClockStatus, TimeSyncPolicy, convert};
use crate::clock::Wall;
use crate::controller::ballot::LEASE_NAME;
use crate::runtime::{mono_now, wall_now};
use crate::scan::connect::{Cluster, ScanError};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{ApiResource, DynamicObject, ListParams, PartialObjectMeta};
use kube::{Api, ResourceExt as _};
use std::collections::HashMap;
use std::time::Duration;

/// Objects come in pages of so many.
const PAGE: u32 = 500;
/// A renewal that looks older than this, or as much younger than now, is doubted.
const DOUBTED: Duration = Duration::from_secs(15);
/// A leader renews its lease every 2 s; so long one that is doubted is looked at.
const LOOK: Duration = Duration::from_secs(8);
/// And so often.
const TICK: Duration = Duration::from_millis(500);

/// The whole fleet.
pub(super) async fn fleet(cluster: &Cluster, lease_namespace: &str) -> Result<Fleet, StatusError> {
    let controller = controller(cluster, lease_namespace).await;
    let policies = policies(cluster).await?;
    let mut clocks: HashMap<String, NodeClockStatus> = HashMap::new();
    let api: Api<NodeClock> = Api::all(cluster.client.clone());
    pages(
        async |params| api.list(&params).await,
        |clock: NodeClock| {
            let name = clock.name_any();
            clocks.extend(clock.status.map(|status| (name, status)));
        },
    )
    .await
    .map_err(|error| refused(&error, cluster))?;
    let api: Api<Node> = Api::all(cluster.client.clone());
    let mut rows: Vec<Row> = Vec::new();
    pages(
        async |params| api.list_metadata(&params).await,
        |node: PartialObjectMeta<Node>| {
            let name = node.name_any();
            let record = clocks.remove(&name);
            rows.push(view::row(name, node.metadata.labels.as_ref(), record, &policies));
        },
    )
    .await
    .map_err(|error| refused(&error, cluster))?;
    Ok(view::fleet(rows, policies, controller))
}

/// One node, and who keeps its record.
pub(super) async fn node(
    cluster: &Cluster,
    name: &str,
    lease_namespace: &str,
) -> Result<(Row, Detail, Controller), StatusError> {
    let controller = controller(cluster, lease_namespace).await;
    let policies = policies(cluster).await?;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let node = nodes.get_opt(name).await.map_err(|error| refused(&error, cluster))?;
    let node = node.ok_or_else(|| StatusError::NoNode(name.to_owned()))?;
    let clocks: Api<NodeClock> = Api::all(cluster.client.clone());
    let clock = clocks.get_opt(name).await.map_err(|error| refused(&error, cluster))?;
    let record = clock.and_then(|clock| clock.status);
    let row = view::row(name.to_owned(), node.metadata.labels.as_ref(), record, &policies);
    Ok((row, view::detail(&node), controller))
}

async fn policies(cluster: &Cluster) -> Result<Vec<PolicyRow>, StatusError> {
    // However broken: one bad policy must not hide the others.
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &ApiResource::erase::<TimeSyncPolicy>(&()));
    let mut all = Vec::new();
    pages(async |params| api.list(&params).await, |object: DynamicObject| all.push(policy(&object)))
        .await
        .map_err(|error| refused(&error, cluster))?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn policy(object: &DynamicObject) -> PolicyRow {
    let (name, generation) = (object.name_any(), object.metadata.generation);
    let parsed = serde_json::to_value(object).and_then(serde_json::from_value::<TimeSyncPolicy>);
    let (policy, status) = match parsed {
        Ok(parsed) => (convert::policy(&parsed).map_err(|error| error.to_string()), parsed.status.unwrap_or_default()),
        Err(error) => (Err(error.to_string()), crate::api::TimeSyncPolicyStatus::default()),
    };
    PolicyRow { name, policy, status, generation }
}

/// Every item of every page.
async fn pages<K: Clone>(
    list: impl AsyncFn(ListParams) -> kube::Result<kube::core::ObjectList<K>>,
    mut each: impl FnMut(K),
) -> kube::Result<()> {
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = list(params.clone()).await?;
        page.items.into_iter().for_each(&mut each);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

fn refused(error: &kube::Error, cluster: &Cluster) -> StatusError {
    match error {
        kube::Error::Api(status) if status.code == 403 => StatusError::Forbidden(status.message.clone()),
        kube::Error::Api(status) if status.code == 404 => StatusError::NotInstalled,
        other => StatusError::Access(ScanError::of(other, &cluster.url)),
    }
}

/// Who leads, if that may be seen.
async fn controller(cluster: &Cluster, namespace: &str) -> Controller {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let began = mono_now();
    let mut first: Option<Option<Wall>> = None;
    loop {
        let spec = match leases.get_opt(LEASE_NAME).await {
            Ok(Some(lease)) => lease.spec.unwrap_or_default(),
            Ok(None) => return Controller::Absent,
            Err(error) => return Controller::Unseen(unseen(&error, namespace)),
        };
        let holder = spec.holder_identity.unwrap_or_default();
        let renewed = spec.renew_time.and_then(|time| i64::try_from(time.0.as_nanosecond()).ok());
        let renewed = renewed.map(Wall::from_unix_nanos);
        let ahead = renewed.map(|renewed| renewed.minus(wall_now()));
        let has_changed = first.as_ref().is_some_and(|first| *first != renewed);
        if !holder.is_empty()
            && let Some(ahead) = ahead
        {
            let is_near = ahead.magnitude() <= DOUBTED;
            if has_changed || is_near {
                return Controller::Leads { holder, ahead: (!is_near).then_some(ahead) };
            }
        }
        if holder.is_empty() || mono_now().since(began) >= LOOK {
            return Controller::Silent { holder, renewed };
        }
        first = first.or(Some(renewed));
        tokio::time::sleep(TICK).await;
    }
}

fn unseen(error: &kube::Error, namespace: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("this user may not get the Lease {LEASE_NAME} in the namespace {namespace}")
        }
        other => crate::telemetry::chain(other),
    }
}
