//! The tasks that ask: exactly those that the policies want, each at least as often as the keenest of them wants.
//!
//! Sources that ask nodes one by one have a task per node, so that a slow node delays no other. Sources that know of
//! many nodes at once have one task, which is told of every change of its [`Roster`].

use super::lease::{self, Leases};
use super::{Observations, Pen, agent, node_exporter, prometheus};
use crate::controller::fleet;
use crate::policy::Source;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Between the first questions to two nodes: five thousand connections that are opened in the same millisecond would
/// delay one another's answers, and the delay is the error of the first measurement.
const SPACING: Duration = Duration::from_micros(200);

/// What is to be asked: of each source, the nodes by name.
pub type Wanted<'a> = HashMap<Source, Nodes<'a>>;
/// Nodes by name.
pub type Nodes<'a> = BTreeMap<&'a str, Asked<'a>>;

/// One node that a source is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The node.
    pub node: &'a Node,
    /// At least this often.
    pub interval: Duration,
}

/// One node, for a task that asks it at its own address.
#[derive(Debug, Clone)]
pub struct Target {
    /// The node that the answer is about.
    pub node: String,
    /// `10.0.0.7:9555`, `[fd00::7]:9555`.
    pub address: String,
    /// At least this often.
    pub interval: Duration,
}

/// The nodes that one source is asked about, by name, each with all its addresses and names from `status.addresses`.
pub type Roster = BTreeMap<String, Vec<String>>;

/// What a task needs that speaks of many nodes.
#[derive(Debug, Clone)]
pub struct Feed {
    /// The nodes; changes are told.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// At least this often.
    pub interval: Duration,
}

/// The tasks that ask.
pub struct Pollers {
    observations: Observations,
    polling: HashMap<Source, HashMap<String, Polling>>,
    feeding: HashMap<Source, Feeding>,
    leases: Option<Leases>,
    tasks: JoinSet<()>,
}

/// The task of one node. Dropped, it ends and what it said is forgotten.
struct Polling {
    node: String,
    address: String,
    interval: Duration,
    task: AbortHandle,
    pen: Pen,
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.task.abort();
        self.pen.withdraw(Some(&self.node));
    }
}

/// The task of one source. Dropped, it ends and what it said is forgotten.
struct Feeding {
    roster: watch::Sender<Arc<Roster>>,
    interval: Duration,
    task: AbortHandle,
    pen: Pen,
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.task.abort();
        self.pen.withdraw(None);
    }
}

impl Pollers {
    /// None yet.
    #[must_use]
    pub fn new(observations: Observations) -> Pollers {
        let (polling, feeding) = (HashMap::new(), HashMap::new());
        Pollers { observations, polling, feeding, leases: None, tasks: JoinSet::new() }
    }

    /// With what it takes to listen to heartbeats; without, policies with that source are left without readings.
    #[must_use]
    pub fn with_leases(mut self, leases: Leases) -> Pollers {
        self.leases = Some(leases);
        self
    }

    /// Makes exactly these be asked. What is asked already goes on undisturbed.
    pub fn set(&mut self, wanted: &Wanted<'_>) {
        self.polling.retain(|source, _| wanted.contains_key(source));
        self.feeding.retain(|source, _| wanted.contains_key(source));
        for (source, nodes) in wanted {
            match source {
                Source::Agent { port } => {
                    self.set_nodes(source, *port, nodes, |pen, target| Box::pin(agent::poll(pen, target)));
                }
                Source::NodeExporter { port } => {
                    self.set_nodes(source, *port, nodes, |pen, target| Box::pin(node_exporter::poll(pen, target)));
                }
                Source::Prometheus { url, node_label } => self.set_feed(source, nodes, |pen, feed| {
                    Box::pin(prometheus::feed(pen, url.clone(), node_label.clone(), feed))
                }),
                Source::Lease { delay_max } => {
                    let Some(leases) = self.leases.clone() else { continue };
                    self.set_feed(source, nodes, |pen, feed| {
                        Box::pin(lease::feed(pen, leases.clone(), *delay_max, feed))
                    });
                }
            }
        }
        self.reap();
    }

    /// A task for each node, at its own address.
    fn set_nodes(
        &mut self,
        source: &Source,
        port: u16,
        wanted: &Nodes<'_>,
        poll: impl Fn(Pen, Target) -> BoxFuture<'static, ()>,
    ) {
        let polling = self.polling.entry(source.clone()).or_default();
        polling.retain(|name, polling| {
            let address = wanted.get(name.as_str()).and_then(|asked| fleet::address(asked.node));
            address.is_some_and(|address| polling.address == address)
        });
        let mut new: u32 = 0;
        for (name, asked) in wanted {
            let Some(address) = fleet::address(asked.node) else { continue };
            let interval = asked.interval;
            if polling.get(*name).is_some_and(|before| before.interval == interval) {
                continue;
            }
            let (node, address) = ((*name).to_owned(), address.to_owned());
            let target = Target { node: node.clone(), address: fleet::authority(&address, port), interval };
            match polling.get_mut(*name) {
                // At another pace, with the same pen: what is known is kept.
                Some(before) => {
                    before.task.abort();
                    before.task = self.tasks.spawn(poll(before.pen.clone(), target));
                    before.interval = interval;
                }
                None => {
                    let pen = self.observations.pen(source);
                    let (first, poll) = (SPACING.saturating_mul(new), poll(pen.clone(), target));
                    let task = self.tasks.spawn(async move {
                        tokio::time::sleep(first).await;
                        poll.await;
                    });
                    new = new.saturating_add(1);
                    polling.insert(node.clone(), Polling { node, address, interval, task, pen });
                }
            }
        }
    }

    /// One task for all nodes of a source, at the keenest of their intervals.
    fn set_feed(&mut self, source: &Source, wanted: &Nodes<'_>, feed: impl Fn(Pen, Feed) -> BoxFuture<'static, ()>) {
        let interval = wanted.values().map(|asked| asked.interval).min().unwrap_or(Duration::MAX);
        let start = |pen: &Pen, roster: &watch::Sender<Arc<Roster>>| {
            feed(pen.clone(), Feed { roster: roster.subscribe(), interval })
        };
        match self.feeding.get_mut(source) {
            None => {
                let (roster, pen) = (watch::Sender::new(Arc::new(roster(wanted))), self.observations.pen(source));
                let task = self.tasks.spawn(start(&pen, &roster));
                self.feeding.insert(source.clone(), Feeding { roster, interval, task, pen });
            }
            Some(feeding) => {
                feeding.pen.keep(|node| wanted.contains_key(node));
                if !is_roster_of(&feeding.roster.borrow(), wanted) {
                    feeding.roster.send_replace(Arc::new(roster(wanted)));
                }
                if feeding.interval != interval {
                    feeding.task.abort();
                    feeding.task = self.tasks.spawn(start(&feeding.pen, &feeding.roster));
                    feeding.interval = interval;
                }
            }
        }
    }

    /// Aborted tasks are reaped here. One that panicked would be a bug: it is asked anew.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a poller panicked");
                let id = error.id();
                self.polling.values_mut().for_each(|nodes| nodes.retain(|_, polling| polling.task.id() != id));
                self.feeding.retain(|_, feeding| feeding.task.id() != id);
            }
        }
    }
}

fn addresses(node: &Node) -> impl Iterator<Item = &str> {
    let all = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    all.iter().map(|address| address.address.as_str())
}

fn roster(wanted: &Nodes<'_>) -> Roster {
    let addresses = |asked: &Asked<'_>| addresses(asked.node).map(str::to_owned).collect();
    wanted.iter().map(|(name, asked)| ((*name).to_owned(), addresses(asked))).collect()
}

/// Asked in every round, so without making the roster.
fn is_roster_of(roster: &Roster, wanted: &Nodes<'_>) -> bool {
    roster.len() == wanted.len()
        && roster.iter().zip(wanted).all(|((name, known), (wanted, asked))| {
            name == wanted && known.iter().map(String::as_str).eq(addresses(asked.node))
        })
}

/// Doubles from 250 ms up to the interval (at most 30 s), spread by up to a quarter so that a fleet does not knock in
/// step.
pub(super) fn backoff(failures: u32, interval: Duration, name: &str) -> Duration {
    let cap = interval.clamp(Duration::from_millis(250), Duration::from_secs(30));
    let base = Duration::from_millis(250).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(cap);
    base.saturating_add(base / 4 * chance(name) / 256)
}

/// The interval, shortened by up to a quarter: thousands of nodes that are asked in step would delay one another's
/// answers, and the delay is the error of the measurement.
pub(super) fn spread(interval: Duration, name: &str) -> Duration {
    interval.saturating_sub(interval / 4 * chance(name) / 256)
}

/// A part of the interval, at least a 256th of it, another one each time.
pub(super) fn share(interval: Duration, name: &str) -> Duration {
    (interval / 256).saturating_mul(chance(name).saturating_add(1))
}

/// 0 to 255, another one each time.
fn chance(name: &str) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    u32::try_from(RandomState::new().hash_one(name) % 256).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::sources::NodeReading;
    use serde_json::json;

    #[test]
    fn failing_agents_are_asked_less_and_less_often_but_never_less_than_the_interval() {
        let ten = Duration::from_secs(10);
        assert!(backoff(1, ten, "n") < Duration::from_millis(320));
        assert!(backoff(40, ten, "n") >= ten && backoff(40, ten, "n") <= ten * 5 / 4);
        assert!(spread(ten, "n") <= ten && spread(ten, "n") > ten * 3 / 4);
        assert!(share(ten, "n") <= ten && share(ten, "n") >= ten / 256);
    }

    fn node(name: &str, address: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]},
        }))
        .unwrap()
    }

    /// Says of every node of its roster that it was asked at its last address.
    fn echo(pen: Pen, mut feed: Feed) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let roster = Arc::clone(&feed.roster.borrow_and_update());
                for (node, addresses) in roster.iter() {
                    pen.bad(node, addresses.last().cloned().unwrap_or_default());
                }
                if feed.roster.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    #[tokio::test]
    async fn a_feed_follows_the_nodes_and_what_it_said_of_others_is_forgotten() {
        let source = Source::Prometheus { url: "http://p".into(), node_label: None };
        let (observations, second) = (Observations::default(), Duration::from_secs(1));
        let mut pollers = Pollers::new(observations.clone());
        let said = |node: &str| observations.with(|it| it.get(&source, node).and_then(|o| o.failure.clone()));
        let (a, b, moved) = (node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("b", "10.0.0.3"));
        let asked = |node| Asked { node, interval: second };
        for (nodes, a_said, b_said) in [
            (vec![("a", &a), ("b", &b)], Some("10.0.0.1"), Some("10.0.0.2")),
            (vec![("a", &a), ("b", &moved)], Some("10.0.0.1"), Some("10.0.0.3")),
            (vec![("a", &a)], Some("10.0.0.1"), None),
        ] {
            let wanted: Nodes<'_> = nodes.into_iter().map(|(name, node)| (name, asked(node))).collect();
            pollers.set_feed(&source, &wanted, echo);
            while said("a").as_deref() != a_said || said("b").as_deref() != b_said {
                observations.changed().await;
            }
        }
        let pen = pollers.feeding[&source].pen.clone();
        pollers.set(&Wanted::new());
        pen.good("a", NodeReading::at(crate::agent::clocks::sample()));
        assert_eq!(said("a"), None, "a source that is no longer asked has said something");
    }
}
