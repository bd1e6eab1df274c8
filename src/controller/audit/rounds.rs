//! One audit after the other, while this replica leads.

use super::cluster::{Ask, Cluster, Paging, ReadError};
use super::period::{self, Last};
use super::report::{self, Act, ReportKind, Write};
use super::sheet::{self, Bench, Sheet};
use super::tally::Tally;
use super::targets::{self, Served, Target};
use super::{Figures, PACE, Period};
use crate::api::TimeSyncPolicy;
use crate::controller::client::Deputy;
use crate::controller::elect::Leadership;
use crate::controller::fleet::Specs;
use crate::controller::gate::Gate;
use crate::controller::http::Written;
use crate::controller::request::Refusal;
use crate::inspect::Catalogue;
use crate::runtime::{CancellationToken, mono_now, wall_now};
use crate::webhook::known::{Event, Labels};
use crate::webhook::policies::read_policy;
use kube::Resource as _;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;

/// How soon it is noticed that this replica began or ceased to lead.
const LOOK: Duration = Duration::from_secs(1);
/// A request is tried so many times, each time later.
const TRIES: u32 = 3;
/// Between two writes.
const WRITE_SPACING: Duration = Duration::from_millis(200);
/// One write takes no longer.
const WRITE_MAX: Duration = Duration::from_secs(5);
/// Reports read at once: each may have a megabyte.
const REPORTS: u32 = 5;
/// The namespace that the webhook leaves alone besides its own.
const SYSTEM: &str = "kube-system";

/// Why an audit was not completed.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// This replica leads no longer, or the process ends.
    #[error("this replica does not lead any more")]
    Over,
    /// A request failed, for good.
    #[error("{what}: {source}")]
    Failed { what: String, source: ReadError },
    /// What came was no list.
    #[error("{what}: the answer is no list: {source}")]
    NoList { what: String, source: serde_json::Error },
}

/// When audits are made.
#[derive(Debug)]
pub struct When {
    /// Every so often,
    pub period: Period,
    /// and when a policy has changed.
    pub specs: Receiver<Specs>,
}

/// The audits of one replica.
pub struct Rounds {
    when: When,
    cluster: Cluster,
    deputy: Deputy,
    leadership: Leadership,
    figures: Figures,
    written: Written,
    /// Kept from one audit to the next: a policy that cannot be read says what it said before.
    bench: Arc<Bench>,
    /// What has been said once.
    said: BTreeSet<String>,
}

/// A list, as far as it matters.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(deserialize_with = "sheet::items")]
    items: Option<Vec<T>>,
}

#[derive(Deserialize, Default)]
struct ListMeta {
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Namespace {
    metadata: NamespaceMeta,
}

#[derive(Deserialize)]
struct NamespaceMeta {
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: Option<Labels>,
}

/// A list that is being read.
struct Reading {
    path: String,
    paging: Paging,
    ask: Ask,
    is_over: bool,
}

impl Reading {
    fn new(path: String, paging: Paging, ask: Ask) -> Reading {
        Reading { path, paging, ask, is_over: false }
    }
}

impl Rounds {
    /// Audits at these times; `home` is our own namespace, which is left alone as `kube-system` is.
    #[must_use]
    pub fn new(
        when: When,
        home: String,
        cluster: Cluster,
        deputy: Deputy,
        leadership: Leadership,
        figures: Figures,
        written: Written,
    ) -> Rounds {
        let bench = Arc::new(Bench { spared: vec![SYSTEM.to_owned(), home], ..Bench::default() });
        Rounds { when, cluster, deputy, leadership, figures, written, bench, said: BTreeSet::new() }
    }

    /// Audits until told to stop.
    ///
    /// # Errors
    /// Never: what fails is tried again later.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let Period::Every(period) = self.when.period else {
            stop.cancelled().await;
            return Ok(());
        };
        while !stop.is_cancelled() {
            match self.leadership.term() {
                Some(term) => {
                    self.lead(&term, period, &stop).await;
                    self.figures.forget();
                }
                None => drop(tokio::time::timeout(LOOK, stop.cancelled()).await),
            }
        }
        Ok(())
    }

    /// Audits as long as this term lasts.
    async fn lead(&mut self, term: &Gate, period: Duration, stop: &CancellationToken) {
        let mut last = Last::None;
        let mut took = Duration::ZERO;
        loop {
            let chance = {
                use std::hash::{BuildHasher, RandomState};
                RandomState::new().hash_one(0)
            };
            let pause = period::pause(period, last, chance);
            let rested = match last {
                // A controller that is restarted in a loop hears of all policies each time.
                Last::None => self.rest(pause, term, stop).await,
                Last::Complete | Last::Failed => self.rest_or_change(pause, took, term, stop).await,
            };
            if rested.is_err() {
                return;
            }
            let began = mono_now();
            self.when.specs.mark_unchanged();
            last = match self.audit(term, stop).await {
                Ok(()) => Last::Complete,
                Err(Broken::Over) => return,
                Err(error) => {
                    self.figures.failed();
                    let error = crate::telemetry::chain(&error);
                    tracing::warn!(error, "the audit could not be completed; what the last one told still stands");
                    Last::Failed
                }
            };
            took = mono_now().since(began);
        }
    }

    /// Waits, unless the term ends.
    async fn rest(&self, pause: Duration, term: &Gate, stop: &CancellationToken) -> Result<(), Broken> {
        let end = mono_now().after(pause);
        loop {
            let left = end.since(mono_now());
            if stop.is_cancelled() || !self.leadership.term().is_some_and(|now| now.is(term)) {
                return Err(Broken::Over);
            }
            if left.is_zero() {
                return Ok(());
            }
            drop(tokio::time::timeout(left.min(LOOK), stop.cancelled()).await);
        }
    }

    /// The same, but not as long where a policy is another than when the last audit, which took so long, began.
    async fn rest_or_change(
        &self,
        pause: Duration,
        took: Duration,
        term: &Gate,
        stop: &CancellationToken,
    ) -> Result<(), Broken> {
        let end = mono_now().after(pause);
        loop {
            let left = end.since(mono_now());
            // Who would change them has ended, and we shall be told to.
            if self.when.specs.has_changed().unwrap_or(false) {
                tracing::info!("a policy has changed: the next audit is made early");
                return self.rest(period::after_change(took).min(left), term, stop).await;
            }
            self.rest(left.min(LOOK), term, stop).await?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    async fn audit(&mut self, term: &Gate, stop: &CancellationToken) -> Result<(), Broken> {
        let began = mono_now();
        self.learn(term, stop).await?;
        let served = self.served(term, stop).await?;
        let mut tally = Tally::default();
        if self.bench.known.asks_something() {
            for target in targets::targets(Catalogue::builtin().resources(), &served) {
                self.walk(&target, &mut tally, term, stop).await?;
            }
        }
        let took = mono_now().since(began);
        self.figures.tell(&tally, took, wall_now());
        let objects: u64 = tally.objects().values().sum();
        tracing::info!(objects, findings = tally.count(), notes = tally.notes(), ?took, "audited existing objects");
        for kind in [ReportKind::OfNamespace, ReportKind::OfCluster] {
            let of = (report::GROUP.to_owned(), report::VERSION.to_owned());
            if served.plurals.get(&of).is_some_and(|plurals| plurals.contains(kind.plural())) {
                self.report(kind, &tally, term, stop).await?;
            }
        }
        Ok(())
    }

    /// Takes note of the policies and of the namespaces' labels, as the webhook's watches do.
    async fn learn(&mut self, term: &Gate, stop: &CancellationToken) -> Result<(), Broken> {
        let mut policies = vec![Event::ListBegins];
        let mut list = Reading::new(TimeSyncPolicy::url_path(&(), None), Paging::default(), Ask::default());
        while let Some(page) = self.page::<DynamicObject>(&mut list, term, stop).await? {
            let listed =
                |policy: &DynamicObject| Some(Event::Listed(policy.metadata.name.clone()?, read_policy(policy)));
            policies.extend(page.iter().filter_map(listed));
        }
        policies.push(Event::ListEnds);
        let mut namespaces = vec![Event::ListBegins];
        let ask = Ask { only_metadata: true, ..Ask::default() };
        let mut list = Reading::new("/api/v1/namespaces".to_owned(), Paging::default(), ask);
        while let Some(page) = self.page::<Namespace>(&mut list, term, stop).await? {
            namespaces.extend(page.into_iter().map(|Namespace { metadata: NamespaceMeta { name, labels } }| {
                Event::Listed(name, Some(labels.unwrap_or_default()))
            }));
        }
        namespaces.push(Event::ListEnds);
        // Nobody else holds it between two audits.
        let bench = Arc::make_mut(&mut self.bench);
        policies.into_iter().for_each(|event| bench.known.apply_policy(event));
        namespaces.into_iter().for_each(|event| bench.known.namespaces.apply(event));
        Ok(())
    }

    /// Which of the products' kinds, and whether reports, are installed.
    async fn served(&self, term: &Gate, stop: &CancellationToken) -> Result<Served, Broken> {
        let failed = |source| Broken::Failed { what: "the API groups".to_owned(), source };
        let mut served = self.cluster.groups().await.map_err(failed)?;
        let mut asked: Vec<(String, String)> = Vec::new();
        for group in targets::unsure(Catalogue::builtin().resources(), &served) {
            let versions = served.groups.get(group).into_iter().flatten();
            asked.extend(versions.map(|version| (group.to_owned(), version.clone())));
        }
        let of_reports = served.groups.get(report::GROUP).is_some_and(|all| all.iter().any(|it| it == report::VERSION));
        asked.extend(of_reports.then(|| (report::GROUP.to_owned(), report::VERSION.to_owned())));
        for (group, version) in asked {
            self.rest(Duration::ZERO, term, stop).await?;
            match self.cluster.plurals(&group, &version).await {
                Ok(plurals) => drop(served.plurals.insert((group, version), plurals)),
                // Uninstalled a moment ago.
                Err(ReadError::Absent) => {}
                Err(source) => return Err(Broken::Failed { what: format!("the kinds of {group}/{version}"), source }),
            }
        }
        Ok(served)
    }

    /// Reads one list to its end.
    async fn walk(
        &mut self,
        target: &Target,
        tally: &mut Tally,
        term: &Gate,
        stop: &CancellationToken,
    ) -> Result<(), Broken> {
        let spared = self.bench.spared.iter().map(|namespace| format!("metadata.namespace!={namespace}"));
        let fields = target.is_namespaced.then(|| spared.collect::<Vec<_>>().join(","));
        let mut list = Reading::new(target.path(), Paging::default(), Ask { fields, ..Ask::default() });
        loop {
            let bytes = match self.fetch(&mut list, term, stop).await {
                Ok(bytes) => bytes,
                Err(error) => return self.without(error),
            };
            let sheet = self.judge(bytes, target).await?;
            let next = sheet.next.clone();
            let rest = Duration::from_secs(1).saturating_mul(sheet.items) / PACE;
            tally.add(target, sheet);
            self.rest(rest, term, stop).await?;
            if next.is_none() {
                return Ok(());
            }
            list.ask.next = next;
        }
    }

    /// Away from the threads that keep the lease.
    async fn judge(&self, bytes: Vec<u8>, target: &Target) -> Result<Sheet, Broken> {
        let (bench, target) = (Arc::clone(&self.bench), target.clone());
        let what = target.name();
        let judge = move || sheet::judge(&bytes, &target, &bench);
        match tokio::task::spawn_blocking(judge).await {
            Ok(judged) => judged.map_err(|source| Broken::NoList { what, source }),
            // It panicked, or the process ends.
            Err(error) => Err(Broken::Failed { what, source: ReadError::Failed(crate::telemetry::chain(&error)) }),
        }
    }

    /// One page, as large as it may be.
    async fn fetch(&self, list: &mut Reading, term: &Gate, stop: &CancellationToken) -> Result<Vec<u8>, Broken> {
        let mut tries = 0_u32;
        loop {
            self.rest(Duration::from_secs(tries.into()), term, stop).await?;
            list.ask.limit = list.paging.limit();
            let source = match self.cluster.page(&list.path, &list.ask).await {
                Ok(bytes) => {
                    list.paging = list.paging.came(bytes.len());
                    return Ok(bytes);
                }
                Err(source) => source,
            };
            match (&source, list.paging.halved()) {
                (ReadError::TooLarge, Some(smaller)) => {
                    list.paging = smaller;
                    continue;
                }
                (ReadError::Expired(Some(next)), _) => list.ask.next = Some(next.clone()),
                (ReadError::Failed(_), _) => self.figures.failed(),
                _ => return Err(Broken::Failed { what: list.path.clone(), source }),
            }
            tries = tries.saturating_add(1);
            if tries >= TRIES {
                return Err(Broken::Failed { what: list.path.clone(), source });
            }
        }
    }

    /// The objects of the next page; `None` after the last.
    async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        list: &mut Reading,
        term: &Gate,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<T>>, Broken> {
        if list.is_over {
            return Ok(None);
        }
        let bytes = self.fetch(list, term, stop).await?;
        let no_list = |source| Broken::NoList { what: list.path.clone(), source };
        let page: List<T> = serde_json::from_slice(&bytes).map_err(no_list)?;
        list.ask.next = page.metadata.next.filter(|next| !next.is_empty());
        list.is_over = list.ask.next.is_none();
        Ok(Some(page.items.unwrap_or_default()))
    }

    /// Brings the reports of one kind up to date.
    async fn report(
        &mut self,
        kind: ReportKind,
        tally: &Tally,
        term: &Gate,
        stop: &CancellationToken,
    ) -> Result<(), Broken> {
        let now = wall_now().unix_nanos().div_euclid(1_000_000_000);
        // Of all others of the kind we neither know nor need to.
        let ask = Ask { fields: Some(format!("metadata.name={}", report::NAME)), ..Ask::default() };
        let mut list = Reading::new(kind.path(), Paging::up_to(REPORTS), ask);
        let mut seen = BTreeSet::new();
        loop {
            let page = match self.page::<Value>(&mut list, term, stop).await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => return self.without(error),
            };
            let settled = report::settle(kind, &page, tally, now);
            for namespace in settled.foreign {
                if self.said.insert(format!("foreign {namespace}")) {
                    let name = report::NAME;
                    tracing::warn!(namespace, name, "a PolicyReport of this name is somebody else's, and left alone");
                }
            }
            for write in settled.writes {
                self.write(&write, term).await?;
                self.rest(WRITE_SPACING, term, stop).await?;
            }
            seen.extend(settled.seen);
        }
        for write in report::missing(kind, &seen, tally, now) {
            self.write(&write, term).await?;
            self.rest(WRITE_SPACING, term, stop).await?;
        }
        Ok(())
    }

    async fn write(&mut self, write: &Write, term: &Gate) -> Result<(), Broken> {
        let Some(underway) = self.leadership.underway(term) else { return Err(Broken::Over) };
        let outcome = self.deputy.report(write, WRITE_MAX, term).await;
        drop(underway);
        let namespace = &write.namespace;
        match outcome {
            Ok(_) => self.written.count(write.kind.kind()),
            // Somebody was faster, or the namespace goes; the next audit sees what there is then.
            Err(Refusal::NotFound | Refusal::Conflict) => {
                tracing::debug!(namespace, "the report was not written: it has changed meanwhile");
            }
            Err(error) => {
                self.figures.failed();
                let act = match write.act {
                    Act::Make(_) | Act::Change(_) => "written",
                    Act::Remove { .. } => "removed",
                };
                if self.said.insert(format!("write {namespace} {error}")) {
                    tracing::warn!(namespace, %error, "a PolicyReport could not be {act}");
                }
            }
        }
        Ok(())
    }

    /// The audit goes on without a list that is not there or may not be read. That is worth a line, but not one in every
    /// audit.
    fn without(&mut self, error: Broken) -> Result<(), Broken> {
        match error {
            Broken::Failed { what, source: ReadError::Absent } => {
                if self.said.insert(format!("{what} is absent")) {
                    tracing::info!(what, "not installed: not audited");
                }
                Ok(())
            }
            Broken::Failed { what, source: ReadError::Forbidden(why) } => {
                if self.said.insert(format!("{what} is forbidden")) {
                    tracing::warn!(what, why, "it may not be read: not audited");
                }
                Ok(())
            }
            error => Err(error),
        }
    }
}

#[cfg(test)]
#[path = "rounds/tests.rs"]
mod tests;
