//! Performs the election of [`super::lease`] against the API server, and tells everybody who asks whether we lead.
//!
//! Leading ends at once; the lease is given up only when what we began while we led has ended. What we send leaves through
//! the [`Gate`] of our term, which is as long open as the last renewal lets us lead.

use super::ballot::Ballot;
use super::client::Performer;
use super::gate::Gate;
use super::lease::Election;
use super::request::{Refusal, Request};
use crate::agent::clocks;
use crate::clock::{Boot, Mono, Sample};
use crate::runtime::{CancellationToken, boot_now, mono_now};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The lease as everybody else sees it: may we act, right now?
#[derive(Clone)]
pub struct Leadership(Role);

#[derive(Clone)]
enum Role {
    /// Without election.
    Sole(Gate),
    Candidate(Arc<Shared>),
}

struct Shared {
    election: Mutex<Election>,
    /// Of the latest term.
    gate: Mutex<Gate>,
    changed: Notify,
    /// Requests of ours that are on their way.
    busy: AtomicUsize,
    /// Our clock is the one that is wrong.
    outlier: AtomicBool,
}

impl Shared {
    /// By the monotonic clock, and by the one that also counts the time that the machine sleeps.
    fn leads(&self) -> bool {
        lock(&self.election).leads(mono_now()) && lock(&self.gate).is_open()
    }

    /// Lets out what we send for as long as we lead, after a step of a ballot whose request left at `left`.
    fn open(&self, left: &Sample) {
        let (renewed, deadline) = {
            let election = lock(&self.election);
            (election.renewed_at(), election.periods().renew_deadline)
        };
        match renewed {
            None => lock(&self.gate).shut(),
            Some(at) if at == left.after => lengthen(&mut lock(&self.gate), left.boot.after(deadline), boot_now()),
            // An earlier renewal, whose end is known.
            Some(_) => {}
        }
    }
}

/// The same term goes on if it has not ended yet, else another one begins.
fn lengthen(gate: &mut Gate, end: Boot, now: Boot) {
    if !gate.extend(end, now) {
        *gate = Gate::until(end);
    }
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
        Leadership(Role::Sole(Gate::always()))
    }

    /// With election.
    #[must_use]
    pub fn elected(election: Election) -> Leadership {
        let (election, gate) = (Mutex::new(election), Mutex::new(Gate::until(Boot::from_nanos(0))));
        let (changed, busy, outlier) = (Notify::new(), AtomicUsize::new(0), AtomicBool::new(false));
        Leadership(Role::Candidate(Arc::new(Shared { election, gate, changed, busy, outlier })))
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        match &self.0 {
            Role::Sole(_) => None,
            Role::Candidate(shared) => Some(shared),
        }
    }

    /// Whether we may act at this moment.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.shared().is_none_or(|shared| shared.leads())
    }

    /// The term in which we may act at this moment, known by its gate; another one each time that we begin to lead.
    #[must_use]
    pub fn term(&self) -> Option<Gate> {
        match &self.0 {
            Role::Sole(gate) => Some(gate.clone()),
            Role::Candidate(shared) => {
                let gate = lock(&shared.gate).clone();
                (lock(&shared.election).leads(mono_now()) && gate.is_open()).then_some(gate)
            }
        }
    }

    /// Leave to make one request of something that was begun in this term, if it still lasts; it lasts until the request
    /// has ended, as far as others can tell.
    #[must_use]
    pub fn underway(&self, term: &Gate) -> Option<Underway> {
        let Some(shared) = self.shared() else { return Some(Underway(None)) };
        shared.busy.fetch_add(1, Ordering::SeqCst);
        // Counted first: whoever gives the lease up, stops leading first and looks at the count then.
        let underway = Underway(Some(Arc::clone(shared)));
        self.term().is_some_and(|now| now.is(term)).then_some(underway)
    }

    /// Whether our clock is the one that is wrong: then somebody else should lead, if there is somebody.
    pub fn set_outlier(&self, outlier: bool) {
        if let Some(shared) = self.shared() {
            shared.outlier.store(outlier, Ordering::Relaxed);
        }
    }

    /// Waits until leadership may have changed.
    pub async fn changed(&self) {
        match self.shared() {
            Some(shared) => shared.changed.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// A poisoned lock holds a value that is still whole: every method leaves it consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes part in the election until told to stop, then releases the lease.
///
/// # Errors
/// Never ends with an error of its own: an API server that does not answer costs us the lease, not the process.
pub async fn run(leadership: Leadership, performer: Performer, stop: CancellationToken) -> anyhow::Result<()> {
    let Leadership(Role::Candidate(shared)) = leadership else {
        stop.cancelled().await;
        return Ok(());
    };
    let periods = lock(&shared.election).periods();
    let mut led = false;
    let mut abstained: Option<Mono> = None;
    let mut told = |shared: &Shared| {
        let leads = shared.leads();
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
    if shared.leads() {
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
    let (mut next, mut clocks) = (Some(first), clocks::sample());
    while let Some(request) = next {
        let left = clocks;
        let asked = performer.perform(&request, patience).await;
        clocks = clocks::sample();
        let stepped = ballot.step(&mut lock(&shared.election), asked, &clocks);
        shared.open(&left);
        next = stepped?;
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
        // What nobody waits for any more and is still on its way stays here.
        lock(&shared.gate).shut();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::lease::{Periods, Record};

    fn at(seconds: u64) -> Boot {
        Boot::from_nanos(seconds * 1_000_000_000)
    }

    fn candidate() -> Leadership {
        Leadership::elected(Election::new("me".into(), Periods::default()))
    }

    /// As if the request of a renewal had left at this moment.
    fn renewed(leadership: &Leadership, left: &Sample) {
        let shared = leadership.shared().unwrap();
        let record = Record { holder: "me".into(), duration: Duration::from_secs(15), version: "1".into() };
        lock(&shared.election).renewed(record, left.after);
        shared.open(left);
    }

    #[test]
    fn a_machine_that_slept_longer_than_its_lease_does_not_lead_although_its_monotonic_clock_stood_still() {
        let awake = clocks::sample();
        let leadership = candidate();
        assert!(!leadership.leads() && leadership.term().is_none());
        renewed(&leadership, &awake);
        assert!(leadership.leads() && leadership.underway(&leadership.term().unwrap()).is_some());
        let leadership = candidate();
        // The boot clock has gone on by 10 s since then, the other one has not.
        renewed(&leadership, &Sample { boot: awake.boot.before(Duration::from_secs(10)), ..awake });
        assert!(!leadership.leads() && leadership.term().is_none());
    }

    #[test]
    fn what_was_begun_in_one_term_does_not_go_on_in_the_next() {
        let leadership = candidate();
        renewed(&leadership, &clocks::sample());
        let begun = leadership.term().unwrap();
        renewed(&leadership, &clocks::sample());
        assert!(begun.is_open() && leadership.underway(&begun).is_some());
        // Somebody else is seen to hold the lease, then it is ours again.
        let shared = leadership.shared().unwrap();
        lock(&shared.election).resign();
        shared.open(&clocks::sample());
        assert!(!begun.is_open() && leadership.underway(&begun).is_none());
        renewed(&leadership, &clocks::sample());
        let anew = leadership.term().unwrap();
        assert!(anew.is_open() && leadership.underway(&anew).is_some());
        assert!(!begun.is_open() && leadership.underway(&begun).is_none());
        // A term that ended unseen, because the process was stopped, has ended all the same.
        let mut gate = Gate::until(at(10));
        let old = gate.clone();
        lengthen(&mut gate, at(18), at(9));
        assert!(gate.is(&old));
        lengthen(&mut gate, at(30), at(20));
        assert!(!gate.is(&old));
    }
}
