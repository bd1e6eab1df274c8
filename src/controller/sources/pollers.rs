//! The tasks that ask: exactly those that the policies want, each at least as often as the keenest of them wants.
//!
//! Sources that ask nodes one by one have a task per node, so that a slow node delays no other.

use super::{Observations, Pen, agent};
use crate::controller::fleet;
use crate::policy::Source;
use k8s_openapi::api::core::v1::Node;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// What is to be asked: of each source, the nodes by name.
pub type Wanted<'a> = HashMap<Source, BTreeMap<&'a str, Asked<'a>>>;

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

/// The tasks that ask.
pub struct Pollers {
    observations: Observations,
    running: HashMap<Source, HashMap<String, Running>>,
    tasks: JoinSet<()>,
}

/// One task. Dropped, it ends and what it said is forgotten.
struct Running {
    node: String,
    address: String,
    interval: Duration,
    task: AbortHandle,
    pen: Pen,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.pen.withdraw(Some(&self.node));
    }
}

impl Pollers {
    /// None yet.
    #[must_use]
    pub fn new(observations: Observations) -> Pollers {
        Pollers { observations, running: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Makes exactly these be asked. What is asked already goes on undisturbed.
    pub fn set(&mut self, wanted: &Wanted<'_>) {
        self.running.retain(|source, _| wanted.contains_key(source));
        for (source, nodes) in wanted {
            match source {
                Source::Agent { port } => self.set_nodes(source, *port, nodes),
                Source::NodeExporter { .. } | Source::Prometheus { .. } | Source::Lease { .. } => {}
            }
        }
        // Aborted tasks are reaped here. One that panicked would be a bug: it is asked anew.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a poller panicked");
                let id = error.id();
                for nodes in self.running.values_mut() {
                    nodes.retain(|_, running| running.task.id() != id);
                }
            }
        }
    }

    /// A task for each node, at its own address.
    fn set_nodes(&mut self, source: &Source, port: u16, wanted: &BTreeMap<&str, Asked<'_>>) {
        let running = self.running.entry(source.clone()).or_default();
        running.retain(|name, running| {
            let asked = wanted.get(name.as_str());
            let address = asked.and_then(|asked| fleet::address(asked.node));
            address.is_some_and(|address| running.address == address)
        });
        for (name, asked) in wanted {
            let Some(address) = fleet::address(asked.node) else { continue };
            if running.get(*name).is_some_and(|before| before.interval == asked.interval) {
                continue;
            }
            let (node, address) = ((*name).to_owned(), address.to_owned());
            let target =
                Target { node: node.clone(), address: fleet::authority(&address, port), interval: asked.interval };
            match running.get_mut(*name) {
                Some(before) => {
                    // At another pace, with the same pen: what is known is kept.
                    before.task.abort();
                    before.task = self.tasks.spawn(agent::poll(before.pen.clone(), target));
                    before.interval = asked.interval;
                }
                None => {
                    let pen = self.observations.pen(source);
                    let task = self.tasks.spawn(agent::poll(pen.clone(), target));
                    running.insert(node.clone(), Running { node, address, interval: asked.interval, task, pen });
                }
            }
        }
    }
}

/// Doubles from 250 ms up to the interval (at most 30 s), spread by up to a quarter so that a fleet does not knock in
/// step.
pub(super) fn backoff(failures: u32, interval: Duration, name: &str) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let cap = interval.clamp(Duration::from_millis(250), Duration::from_secs(30));
    let base = Duration::from_millis(250).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(cap);
    let spread = u32::try_from(RandomState::new().hash_one(name) % 256).unwrap_or(0);
    base.saturating_add(base / 4 * spread / 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_agents_are_asked_less_and_less_often_but_never_less_than_the_interval() {
        let ten = Duration::from_secs(10);
        assert!(backoff(1, ten, "n") < Duration::from_millis(320));
        assert!(backoff(40, ten, "n") >= ten && backoff(40, ten, "n") <= ten * 5 / 4);
    }
}
