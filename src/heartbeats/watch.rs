//! The requests: a list for the version to begin at, the watch from there, and a list every second.

use super::holder::{self, NODES};
use super::pulse::{EVERY, Proof, Pulse};
use super::{FORGET, Heartbeats};
use crate::agent::clocks;
use crate::clock::Mono;
use crate::runtime::mono_now;
use crate::telemetry::chain;
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// What a new watch tells at first may have accumulated since its list, and what follows upon something late may have
/// been held up with it.
pub(super) const SETTLE: Duration = Duration::from_millis(500);
/// Every lease is renewed every 10 s; a watch that tells nothing for so long is dead.
const SILENCE: Duration = Duration::from_secs(25);
/// For the answer to a list, and for a watch to begin.
const PATIENCE: Duration = Duration::from_secs(5);
/// The API server ends a watch by itself after so long (kube asks for 290 s); that is no fault.
const LIFETIME: Duration = Duration::from_secs(280);
/// Between attempts: from the first of these, doubled up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// What the list every second is called among the troubles.
const LIST: &str = "list";

/// Why a watch or a list broke off.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    /// The API server refused or could not be reached.
    #[error("{0}")]
    Api(String, bool),
    /// Nothing within the time allowed.
    #[error("the API server did not answer within {PATIENCE:?}")]
    Timeout,
    /// No event for too long.
    #[error("it told nothing for {SILENCE:?}")]
    Silent,
    /// The stream ended.
    #[error("the connection was closed")]
    Ended,
}

impl From<kube::Error> for WatchError {
    fn from(error: kube::Error) -> WatchError {
        match &error {
            // What the API server says is for people already.
            kube::Error::Api(status) => WatchError::Api(status.message.clone(), status.code == 403),
            other => WatchError::Api(chain(other), false),
        }
    }
}

/// Watches the leases of one namespace for ever.
pub(super) async fn run(client: Client, namespace: &'static str, book: Heartbeats) {
    let api: Api<Lease> = Api::namespaced(client, namespace);
    let mut pause = PAUSES.0;
    loop {
        let ended = match begin(&api, &book).await {
            Ok(events) => {
                let connected = mono_now();
                book.works(namespace);
                book.write(|book| {
                    book.heard.retain(|_, track| connected.since(track.seen) < FORGET);
                    if namespace == NODES {
                        book.listening.get_or_insert(connected.after(SETTLE));
                    }
                });
                let ended = follow(pin!(events), connected, &book).await;
                let lasted = mono_now().since(connected);
                if matches!(ended, WatchError::Ended) && lasted > LIFETIME {
                    continue;
                }
                if lasted > PAUSES.1 {
                    pause = PAUSES.0;
                }
                book.write(|book| book.counts.cuts = book.counts.cuts.saturating_add(1));
                ended
            }
            Err(error) => error,
        };
        tracing::debug!(namespace, error = %ended, "the watch of leases broke; beginning anew");
        book.fails(namespace, matches!(ended, WatchError::Api(_, true)), ended.to_string());
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(PAUSES.1);
    }
}

type Event = Result<WatchEvent<Lease>, kube::Error>;

/// A list for its version only, and the watch from there.
async fn begin(api: &Api<Lease>, book: &Heartbeats) -> Result<impl Stream<Item = Event> + use<>, WatchError> {
    let version = list(api, book).await?;
    let params = WatchParams::default();
    Ok(timeout(PATIENCE, api.watch(&params, &version)).await.map_err(|_| WatchError::Timeout)??)
}

/// Notes what a watch tells until it ends, and returns why it did.
async fn follow(mut events: Pin<&mut impl Stream<Item = Event>>, connected: Mono, book: &Heartbeats) -> WatchError {
    let mut settled = connected.after(SETTLE);
    loop {
        let event = match timeout(SILENCE, events.next()).await {
            Err(_) => return WatchError::Silent,
            Ok(None) => return WatchError::Ended,
            Ok(Some(Err(error))) => return error.into(),
            Ok(Some(Ok(event))) => event,
        };
        let clocks = clocks::sample();
        match event {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                let Some(renewal) = holder::read(&lease) else { continue };
                let is_settled = clocks.after >= settled;
                book.write(|book| {
                    if book.renewed(renewal, clocks, is_settled) != Proof::Live {
                        settled = settled.max(clocks.after.after(SETTLE));
                    }
                });
            }
            WatchEvent::Deleted(lease) => {
                if let Some(gone) = holder::read(&lease) {
                    book.write(|book| drop(book.heard.remove(&gone.holder)));
                }
            }
            // It only moves the version on.
            WatchEvent::Bookmark(_) => {}
            // 410 above all: the version is too old.
            WatchEvent::Error(status) => return kube::Error::Api(status).into(),
        }
    }
}

/// Asks for the version of the leases again and again, for ever.
pub(super) async fn pulse(client: Client, book: Heartbeats) {
    let api: Api<Lease> = Api::namespaced(client, NODES);
    loop {
        match list(&api, &book).await {
            Ok(_) => book.works(LIST),
            Err(error) => book.fails(LIST, matches!(error, WatchError::Api(_, true)), error.to_string()),
        }
        sleep(EVERY).await;
    }
}

/// The version of the leases now, and a pulse of it. One item at most comes with it, and is not looked at.
async fn list(api: &Api<Lease>, book: &Heartbeats) -> Result<String, WatchError> {
    let params = ListParams::default().limit(1);
    let sent = mono_now();
    let answer = timeout(PATIENCE, api.list_metadata(&params)).await.map_err(|_| WatchError::Timeout)??;
    let answered = mono_now();
    let version = answer.metadata.resource_version.unwrap_or_default();
    if let Ok(version) = version.parse() {
        book.write(|book| book.pulses.note(Pulse { version, sent, answered }));
    }
    Ok(version)
}
