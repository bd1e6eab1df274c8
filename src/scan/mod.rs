//! `clockwarden scan`: every node's clock of a cluster in half a minute, nothing installed.
//!
//! ```text
//! nodes (names) ─┐
//! heartbeats ────┴─▶ survey (pure) ─▶ table or JSON, exit code
//! ```
//!
//! Reads only, with `get`, `list` and `watch` on nodes and leases. Every request is counted and reported. An interrupt
//! (ctrl-C) ends the listening early and prints what is known.
//!
//! Does not know: how heartbeats are had and which of them count ([`crate::heartbeats`]), policies.

pub mod args;
pub mod connect;
pub mod progress;
pub mod report;
pub mod survey;
pub mod text;

pub use args::ScanArgs;

use crate::agent::clocks;
use crate::clock::heartbeat::Estimate;
use crate::clock::{Sample, State};
use crate::heartbeats::{self, Assumed, Book, CONTROL_PLANE, Heartbeats, Holder, NODES};
use crate::runtime::{mono_now, print, rfc3339};
use args::Output;
use connect::{Cluster, ScanError};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use progress::{Line, Progress};
use report::Effort;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use survey::{Standings, Survey};

/// Between two looks at what is known.
const TICK: Duration = Duration::from_millis(500);
/// Names are listed in pages of so many.
const PAGE: u32 = 500;
/// The API server has so long to let a heartbeat of a node be heard. One comes every 10 s from each.
const FIRST_BEAT: Duration = Duration::from_secs(15);
/// Of so many nodes that were not heard the lease is looked at, for a reason.
const ASKED_MAX: usize = 20;
/// Nothing could be told.
const FAILED: u8 = 2;

/// Scans, prints, and returns the exit code: 0 all within, 1 some beyond, 2 could not tell.
///
/// # Errors
/// If the result cannot be written.
pub async fn run(args: ScanArgs) -> anyhow::Result<ExitCode> {
    match scan(&args).await {
        Ok((survey, effort)) => {
            let out = match args.output {
                Output::Json => report::json(&survey, &effort)?,
                Output::Text => text::text(&survey, &effort, text::Look { all: args.all, colour: has_colours() }),
            };
            print(&out)?;
            Ok(ExitCode::from(survey.exit()))
        }
        Err(error) => {
            eprintln!("clockwarden: {error}");
            Ok(ExitCode::from(FAILED))
        }
    }
}

async fn scan(args: &ScanArgs) -> Result<(Survey, Effort), ScanError> {
    let cluster = connect::connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let mut notes = Vec::new();
    let names = names(&cluster, &mut notes).await?;
    let assumed = Assumed { delay_max: args.max_delay.0, steady: args.steady_delay.0 };
    let (book, listening) = heartbeats::listen(cluster.client.clone(), assumed);
    let mut standings = Standings::default();
    tokio::select! {
        // It never ends.
        () = listening => {}
        ended = listen(args, &cluster, &book, &names, &mut standings) => ended?,
    }
    let now = clocks::sample();
    let listened = book.with(|book| book.listening_since().map_or(Duration::ZERO, |since| now.after.since(since)));
    let estimates = book.with(|book| estimates(book, &now));
    standings.observe(&estimates, args.max_offset, now.after);
    let mut survey = survey::survey(&names, &estimates, &standings, args.max_offset);
    explain_silence(&cluster, &mut survey, listened).await;
    let counts = book.with(|book| {
        notes.extend(book.trouble().iter().map(|(part, trouble)| match *part {
            CONTROL_PLANE => format!("the control plane was not listened to at the end: {}", trouble.message),
            _ => format!("the watch of the heartbeats did not work at the end: {}", trouble.message),
        }));
        book.counts()
    });
    let requests = cluster.requests.counted();
    Ok((survey, Effort { listened, limit: args.max_offset, requests, counts, notes }))
}

/// The nodes' names; where they may not be listed, those of the leases.
async fn names(cluster: &Cluster, notes: &mut Vec<String>) -> Result<BTreeSet<String>, ScanError> {
    match list_names(&Api::<Node>::all(cluster.client.clone())).await {
        Ok(names) => Ok(names),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            notes.push(format!(
                "nodes may not be listed ({}), so that one without any lease is not missed; deploy/scan-role.yaml \
                 grants it",
                status.message
            ));
            let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), NODES);
            list_names(&leases).await.map_err(|error| ScanError::of(&error, &cluster.url))
        }
        Err(error) => Err(ScanError::of(&error, &cluster.url)),
    }
}

/// By metadata alone and in pages: 5,000 whole nodes are 75 MB.
async fn list_names<K>(api: &Api<K>) -> kube::Result<BTreeSet<String>>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut names = BTreeSet::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list_metadata(&params).await?;
        names.extend(page.items.into_iter().filter_map(|item| item.metadata.name));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(names),
        }
    }
}

/// Looks at what is known, and says how it is going, until the time is over or somebody interrupts.
async fn listen(
    args: &ScanArgs,
    cluster: &Cluster,
    book: &Heartbeats,
    names: &BTreeSet<String>,
    standings: &mut Standings,
) -> Result<(), ScanError> {
    let began = mono_now();
    let mut interrupted = pin!(interrupted());
    let mut line = Line::new();
    let mut is_over = false;
    let mut elapsed = Duration::ZERO;
    while !is_over {
        tokio::select! {
            () = tokio::time::sleep(TICK.min(args.listen_for.saturating_sub(elapsed))) => {}
            () = &mut interrupted => is_over = true,
        }
        let now = clocks::sample();
        let (hopeless, listening, estimates) = book.with(|book| {
            (hopeless(book, cluster, now.after.since(began)), book.listening_since(), estimates(book, &now))
        });
        if let Some(error) = hopeless {
            line.end();
            return Err(error);
        }
        elapsed = listening.map_or(Duration::ZERO, |since| now.after.since(since));
        is_over |= elapsed >= args.listen_for;
        standings.observe(&estimates, args.max_offset, now.after);
        let heard = estimates.keys().filter(|holder| matches!(holder, Holder::Node(_))).count();
        let nodes = names.len().max(heard);
        let drifting = estimates.keys().filter(|holder| standings.state(holder) == State::Drifting).count();
        line.show(&Progress { elapsed, of: args.listen_for, heard, nodes, drifting }, now.after);
    }
    line.end();
    Ok(())
}

fn estimates(book: &Book, now: &Sample) -> BTreeMap<Holder, Estimate> {
    book.estimates(now).map(|(holder, estimate)| (holder.clone(), estimate)).collect()
}

/// What no waiting will mend: the watch or the list of the nodes' leases is refused, or never began.
fn hopeless(book: &Book, cluster: &Cluster, elapsed: Duration) -> Option<ScanError> {
    let troubles = || book.trouble().iter().filter(|(part, _)| **part != CONTROL_PLANE).map(|(_, trouble)| trouble);
    if let Some(refused) = troubles().find(|trouble| trouble.is_forbidden) {
        return Some(ScanError::Forbidden(refused.message.clone()));
    }
    let nothing = book.counts() == heartbeats::Counts::default();
    let trouble = troubles().find(|_| nothing && elapsed >= FIRST_BEAT)?;
    Some(ScanError::unreachable(trouble.message.clone(), &cluster.url))
}

/// Ends when somebody asks this process to: ctrl-C, or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // Then it ends the process at once, as it would have without us.
            Err(error) => {
                tracing::debug!(%error, "a signal cannot be listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}

/// Gives the nodes that were not heard a reason: what their lease says of itself. That is no sample.
async fn explain_silence(cluster: &Cluster, survey: &mut Survey, listened: Duration) {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), NODES);
    let mut asked = 0..ASKED_MAX;
    for clock in survey.nodes.iter_mut().filter(|clock| clock.interval.is_none()) {
        let Holder::Node(name) = &clock.holder else { continue };
        let mut reason = format!("no heartbeat that counts in {} s", listened.as_secs());
        if asked.next().is_some() {
            match tokio::time::timeout(TICK, leases.get_opt(name)).await {
                Ok(Ok(None)) => reason.push_str("; it has no lease: its kubelet never came up, or renews none"),
                Ok(Ok(Some(lease))) => reason.push_str(&last_words(&lease)),
                // A courtesy; where it is not to be had, the next ones are not either.
                Ok(Err(_)) | Err(_) => asked = 0..0,
            }
        }
        clock.reason = Some(reason);
    }
}

fn last_words(lease: &Lease) -> String {
    let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
    let nanos = renewed.and_then(|time| i64::try_from(time.0.as_nanosecond()).ok());
    match nanos {
        Some(nanos) => {
            let wall = crate::clock::Wall::from_unix_nanos(nanos);
            format!("; its lease was last renewed when its clock said {}", rfc3339(wall))
        }
        None => "; its lease was never renewed".to_owned(),
    }
}

/// Colours for a person's terminal, unless they are not wanted (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb") && std::io::stdout().is_terminal()
}
