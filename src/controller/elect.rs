//! Performs the election of [`super::lease`] against the API server.

use super::lease::{Election, Record, Step};
use crate::runtime::{CancellationToken, mono_now, timestamp, wall_now};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Name of the Lease object.
pub const LEASE_NAME: &str = "clockwarden-controller";

/// The lease as the writer sees it: may we act, right now?
#[derive(Clone)]
pub struct Leadership(Option<Arc<Shared>>);

struct Shared {
    election: Mutex<Election>,
    changed: Notify,
}

impl Leadership {
    /// Without election: always in charge.
    #[must_use]
    pub fn sole() -> Leadership {
        Leadership(None)
    }

    /// With election.
    #[must_use]
    pub fn elected(election: Election) -> Leadership {
        Leadership(Some(Arc::new(Shared { election: Mutex::new(election), changed: Notify::new() })))
    }

    /// Whether we may act at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| lock(&shared.election).leads(mono_now()))
    }

    /// Waits until leadership may have changed.
    pub async fn changed(&self) {
        match &self.0 {
            Some(shared) => shared.changed.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// A poisoned lock holds a value that is still whole: every method leaves it consistent.
fn lock(election: &Mutex<Election>) -> std::sync::MutexGuard<'_, Election> {
    election.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes part in the election until told to stop, then releases the lease.
///
/// # Errors
/// Never ends with an error of its own: an API server that does not answer costs us the lease, not the process.
pub async fn run(leadership: Leadership, api: Api<Lease>, stop: CancellationToken) -> anyhow::Result<()> {
    let Leadership(Some(shared)) = leadership else {
        stop.cancelled().await;
        return Ok(());
    };
    let periods = lock(&shared.election).periods();
    let mut led = false;
    loop {
        let attempt = tokio::time::timeout(periods.renew_deadline / 2, attempt(&shared.election, &api)).await;
        match attempt {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = %error, "the leader lease could not be looked at or renewed"),
            Err(_) => tracing::warn!("the API server did not answer about the leader lease in time"),
        }
        let leads = lock(&shared.election).leads(mono_now());
        if leads != led {
            tracing::info!(leads, "leadership changed");
            shared.changed.notify_waiters();
            shared.changed.notify_one();
            led = leads;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(periods.retry) => {}
        }
    }
    if led {
        release(&shared.election, &api).await;
    }
    Ok(())
}

async fn attempt(election: &Mutex<Election>, api: &Api<Lease>) -> Result<(), kube::Error> {
    let live = api.get_opt(LEASE_NAME).await?;
    let step = lock(election).observe(live.as_ref().map(record), mono_now());
    let identity = lock(election).identity().to_owned();
    let sent = mono_now();
    let written = match (step, live) {
        (Step::StandBy, _) => return Ok(()),
        (Step::Create, _) | (_, None) => {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..ObjectMeta::default() },
                spec: Some(spec(&identity, None, lock(election).periods().lease)),
            };
            api.create(&PostParams::default(), &lease).await
        }
        (Step::Take | Step::Renew, Some(mut live)) => {
            live.spec = Some(spec(&identity, live.spec.as_ref(), lock(election).periods().lease));
            // The live resourceVersion goes along: of two that take it at once, one fails.
            api.replace(LEASE_NAME, &PostParams::default(), &live).await
        }
    };
    match written {
        Ok(lease) => {
            lock(election).renewed(record(&lease), sent);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn release(election: &Mutex<Election>, api: &Api<Lease>) {
    let identity = lock(election).identity().to_owned();
    lock(election).resign();
    let release = async {
        let Some(mut live) = api.get_opt(LEASE_NAME).await? else { return Ok(()) };
        if record(&live).holder != identity {
            return Ok(());
        }
        if let Some(spec) = live.spec.as_mut() {
            spec.holder_identity = Some(String::new());
        }
        api.replace(LEASE_NAME, &PostParams::default(), &live).await.map(|_| ())
    };
    match tokio::time::timeout(Duration::from_secs(3), release).await {
        Ok(Ok(())) => tracing::info!("released the leader lease"),
        Ok(Err(error)) => tracing::warn!(error = %error, "the leader lease could not be released; it will run out"),
        Err(_) => tracing::warn!("the leader lease could not be released in time; it will run out"),
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok()).unwrap_or(15);
    Record {
        holder: spec.and_then(|s| s.holder_identity.clone()).unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The lease with us as its holder. The times in it are for people to read; nobody may compare them with a clock.
fn spec(identity: &str, before: Option<&LeaseSpec>, duration: Duration) -> LeaseSpec {
    let now = Some(MicroTime(timestamp(wall_now())));
    let same = before.is_some_and(|b| b.holder_identity.as_deref() == Some(identity));
    let transitions = before.and_then(|b| b.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
        renew_time: now.clone(),
        acquire_time: if same { before.and_then(|b| b.acquire_time.clone()) } else { now },
        lease_transitions: Some(if same { transitions } else { transitions.saturating_add(1) }),
        ..LeaseSpec::default()
    }
}
