//! One attempt of the leader election, as requests: what [`super::lease`] decides is asked of the API server here.
//!
//! The lease is read; depending on what it says it is made, taken or renewed, with the resourceVersion that was read as
//! precondition, so that of two that take it at once one fails. The times in it are for people to read; nobody may
//! compare them with a clock.

use super::lease::{Election, Record, Step};
use super::request::{Kind, Outcome, Refusal, Request, Verb};
use crate::clock::{Mono, Sample, Wall};
use crate::runtime::timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde_json::{Value, json};
use std::time::Duration;

/// Name of the leader lease.
pub const LEASE_NAME: &str = "clockwarden-controller";

/// One attempt, and how far it has come.
#[derive(Debug)]
pub enum Ballot {
    /// The lease was asked for.
    Reading,
    /// We are making, taking or renewing it since then.
    Renewing(Mono),
    /// We are giving it up.
    Releasing,
    /// We gave up a lease that we are to read first.
    ReadingToRelease,
}

impl Ballot {
    /// Begins with reading the lease.
    #[must_use]
    pub fn begin() -> (Ballot, Request) {
        (Ballot::Reading, request(Verb::Get, Value::Null))
    }

    /// Gives the lease up: others need not wait until it runs out. From now on we do not lead.
    #[must_use]
    pub fn resign(election: &mut Election) -> (Ballot, Request) {
        election.resign();
        (Ballot::ReadingToRelease, request(Verb::Get, Value::Null))
    }

    /// What to ask next; `None`: the attempt is over, and `election` knows what came of it.
    ///
    /// # Errors
    /// What the API server said, for the log; it costs us the lease in time, and nothing else.
    pub fn step(
        &mut self,
        election: &mut Election,
        last: Outcome,
        clocks: &Sample,
    ) -> Result<Option<Request>, Refusal> {
        match self {
            Ballot::Reading => {
                let live: Option<Lease> = read(last)?;
                let step = election.observe(live.as_ref().map(record), clocks.after);
                let asked = match (step, live) {
                    (Step::StandBy, _) => return Ok(None),
                    (Step::Create, _) | (_, None) => {
                        let spec = spec(election, None, clocks.wall);
                        let metadata = ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..ObjectMeta::default() };
                        request(Verb::Create, json!(Lease { metadata, spec: Some(spec) }))
                    }
                    (Step::Take | Step::Renew, Some(mut live)) => {
                        live.spec = Some(spec(election, live.spec.as_ref(), clocks.wall));
                        request(Verb::Replace, json!(live))
                    }
                };
                *self = Ballot::Renewing(clocks.after);
                Ok(Some(asked))
            }
            Ballot::Renewing(sent) => match last {
                Err(Refusal::Conflict) => Ok(None),
                last => {
                    if let Some(lease) = read(last)? {
                        election.renewed(record(&lease), *sent);
                    }
                    Ok(None)
                }
            },
            Ballot::ReadingToRelease => {
                let Some(mut live) = read(last)? else { return Ok(None) };
                if record(&live).holder != election.identity() {
                    return Ok(None);
                }
                if let Some(spec) = live.spec.as_mut() {
                    spec.holder_identity = Some(String::new());
                }
                *self = Ballot::Releasing;
                Ok(Some(request(Verb::Replace, json!(live))))
            }
            Ballot::Releasing => last.map(|_| None),
        }
    }
}

fn request(verb: Verb, body: Value) -> Request {
    Request { verb, kind: Kind::Lease, name: LEASE_NAME.to_owned(), status: false, body }
}

/// The lease; `None` if there is none.
fn read(outcome: Outcome) -> Result<Option<Lease>, Refusal> {
    match outcome {
        Err(Refusal::NotFound) => Ok(None),
        Err(refusal) => Err(refusal),
        Ok(value) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| Refusal::Refused { code: 0, message: format!("its answer is no Lease: {error}") }),
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

/// The lease with us as its holder.
fn spec(election: &Election, before: Option<&LeaseSpec>, now: Wall) -> LeaseSpec {
    let now = Some(MicroTime(timestamp(now)));
    let same = before.is_some_and(|b| b.holder_identity.as_deref() == Some(election.identity()));
    let transitions = before.and_then(|b| b.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(election.identity().to_owned()),
        lease_duration_seconds: i32::try_from(election.periods().lease.as_secs()).ok(),
        renew_time: now.clone(),
        acquire_time: if same { before.and_then(|b| b.acquire_time.clone()) } else { now },
        lease_transitions: Some(if same { transitions } else { transitions.saturating_add(1) }),
        ..LeaseSpec::default()
    }
}
