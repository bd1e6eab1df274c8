//! Performs the election of [`super::lease`] against the API server, and tells everybody who asks whether we lead.
//!
//! Leading ends at once; the lease is given up only when what we began while we led has ended.

use super::ballot::Ballot;
use super::client::Performer;
use super::lease::Election;
use super::request::{Refusal, Request};
use crate::agent::clocks;
use crate::clock::Mono;
use crate::runtime::{CancellationToken, mono_now};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The lease as everybody else sees it: may we act, right now?
#[derive(Clone)]
pub struct Leadership(Option<Arc<Shared>>);

struct Shared {
    election: Mutex<Election>,
    changed: Notify,
    /// Requests of ours that are on their way.
    busy: AtomicUsize,
    /// Our clock is the one that is wrong.
    outlier: AtomicBool,
}

/// A request on its way. The lease is not given up before it has ended.
pub struct Underway(Option<Arc<Shared>>);

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.busy.fetch_sub(1, Ordering::SeqCst);
        }
    }
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
        let (election, changed) = (Mutex::new(election), Notify::new());
        let (busy, outlier) = (AtomicUsize::new(0), AtomicBool::new(false));
        Leadership(Some(Arc::new(Shared { election, changed, busy, outlier })))
    }

    /// Whether we may act at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.0.as_ref().is_none_or(|shared| lock(&shared.election).leads(mono_now()))
    }

    /// Leave to make one request, if we lead; we lead until it has ended, as far as others can tell.
    #[must_use]
    pub fn underway(&self) -> Option<Underway> {
        let Some(shared) = &self.0 else { return Some(Underway(None)) };
        shared.busy.fetch_add(1, Ordering::SeqCst);
        // Counted first: whoever gives the lease up, stops leading first and looks at the count then.
        let underway = Underway(Some(Arc::clone(shared)));
        self.leads().then_some(underway)
    }

    /// Whether our clock is the one that is wrong: then somebody else should lead, if there is somebody.
    pub fn set_outlier(&self, outlier: bool) {
        if let Some(shared) = &self.0 {
            shared.outlier.store(outlier, Ordering::Relaxed);
        }
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
pub async fn run(leadership: Leadership, performer: Performer, stop: CancellationToken) -> anyhow::Result<()> {
    let Leadership(Some(shared)) = leadership else {
        stop.cancelled().await;
        return Ok(());
    };
    let periods = lock(&shared.election).periods();
    let mut led = false;
    let mut abstained: Option<Mono> = None;
    let mut told = |shared: &Shared| {
        let leads = lock(&shared.election).leads(mono_now());
        if leads != led {
            tracing::info!(leads, "leadership changed");
            shared.changed.notify_waiters();
            shared.changed.notify_one();
            led = leads;
        }
        leads
    };
    loop {
        let attempt = async { cast(&shared, &performer, Ballot::begin(), periods.renew_deadline / 2).await };
        match tokio::time::timeout(periods.renew_deadline / 2, attempt).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the leader lease could not be looked at or renewed"),
            Err(_) => tracing::warn!("the API server did not answer about the leader lease in time"),
        }
        let may_abstain = abstained.is_none_or(|at| mono_now().since(at) >= ABSTAIN_AGAIN);
        if told(&shared) && may_abstain && shared.outlier.load(Ordering::Relaxed) {
            abstained = Some(mono_now());
            tracing::warn!("this controller's clock is apart from the cluster's: the lease is given up to another one");
            lock(&shared.election).abstain(mono_now());
            told(&shared);
            release(&shared, &performer).await;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(periods.retry) => {}
        }
    }
    if lock(&shared.election).leads(mono_now()) {
        release(&shared, &performer).await;
    }
    Ok(())
}

async fn cast(
    shared: &Shared,
    performer: &Performer,
    (mut ballot, first): (Ballot, Request),
    patience: Duration,
) -> Result<(), Refusal> {
    let mut next = Some(first);
    while let Some(request) = next {
        let asked = performer.perform(&request, patience).await;
        next = ballot.step(&mut lock(&shared.election), asked, &clocks::sample())?;
    }
    Ok(())
}

/// Gives the lease up, once what we began has ended; if it does not end, the lease runs out by itself.
async fn release(shared: &Shared, performer: &Performer) {
    let begun = Ballot::resign(&mut lock(&shared.election));
    let release = async {
        while shared.busy.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cast(shared, performer, begun, RELEASE_MAX).await
    };
    match tokio::time::timeout(RELEASE_MAX, release).await {
        Ok(Ok(())) => tracing::info!("released the leader lease"),
        Ok(Err(error)) => tracing::warn!(%error, "the leader lease could not be released; it will run out"),
        Err(_) => tracing::warn!("the leader lease could not be released in time; it will run out"),
    }
}

/// If the lease comes back to us although our clock is apart, nobody better was there, and we keep it: then we only
/// undo, which is better than nobody doing so. After this long it is offered again.
const ABSTAIN_AGAIN: Duration = Duration::from_secs(600);

/// Longer than a request of ours may take, shorter than a supervisor's patience.
const RELEASE_MAX: Duration = Duration::from_secs(7);
