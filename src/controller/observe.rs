//! Asks every node's agent, over connections that are kept alive, and keeps the last answer of each.
//!
//! One task per target. The question is held by the agent until something changes or the interval is over (long
//! poll), so a step arrives in milliseconds, while a quiet node costs one small answer per interval. Each answer is
//! also a measurement of that node's clock against ours, good to half a round trip ([`crate::clock::exchange`]).
//!
//! Whatever an agent sends is a claim by a machine that may be broken: it is bounded in size and time, it speaks only
//! for the node whose address was asked, and what cannot be used becomes an error text with the last good reading
//! left to grow stale.

use super::connection::{Answer, Connection, PollError};
use crate::agent::report::Report;
use crate::clock::{Delta, Mono, OffsetInterval, Sample, StepDetector};
use crate::runtime::mono_now;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// One agent to ask.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The node that it speaks for.
    pub node: String,
    /// `10.0.0.7:9555`, `[fd00::7]:9555`.
    pub address: String,
}

/// What is known from one agent.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The last good measurement.
    pub reading: Option<AgentReading>,
    /// Since when asking has failed, how, and how often; gone with the next good answer.
    pub failure: Option<Failure>,
}

/// A failure to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of the first failure in a row.
    pub since: Mono,
    /// The last one, for people.
    pub message: String,
}

/// One good answer.
#[derive(Debug, Clone)]
pub struct AgentReading {
    /// Our clocks when it had arrived.
    pub clocks: Sample,
    /// The node's clock against ours, then.
    pub against_us: OffsetInterval,
    /// The node's clock against its own sources, where they agree.
    pub own: Option<OffsetInterval>,
    /// For how long nothing has disciplined it, then.
    pub undisciplined: Duration,
    /// The report itself: jumps, sources.
    pub report: Arc<Report>,
}

impl AgentReading {
    /// How long ago it arrived.
    #[must_use]
    pub fn age(&self, now: &Sample) -> Duration {
        now.after.since(self.clocks.after)
    }

    /// The node's clock against ours as it is now: older, and with our clock set by whatever it was set since. A step
    /// of our own must not look like a fleet that moved.
    #[must_use]
    pub fn against_us_now(&self, now: &Sample) -> OffsetInterval {
        let aged = self.against_us.aged(self.age(now));
        match StepDetector::new(self.clocks).set_since(*now) {
            Some(moved) => aged.against(moved),
            None => aged,
        }
    }
}

/// The last observation of each target, shared by the pollers and the control loop.
#[derive(Clone, Default)]
pub struct Observations {
    inner: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    map: Mutex<HashMap<Target, Observation>>,
    changed: Notify,
}

impl Observations {
    /// Looks at all of them; keep it short, the pollers wait.
    pub fn with<T>(&self, look: impl FnOnce(&HashMap<Target, Observation>) -> T) -> T {
        look(&self.lock())
    }

    /// Waits for the next change.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Observation>> {
        self.inner.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn good(&self, target: &Target, reading: AgentReading) {
        self.lock().insert(target.clone(), Observation { reading: Some(reading), failure: None });
        self.inner.changed.notify_one();
    }

    fn bad(&self, target: &Target, message: String) {
        {
            let mut map = self.lock();
            let entry = map.entry(target.clone()).or_default();
            let since = entry.failure.as_ref().map_or_else(mono_now, |failure| failure.since);
            entry.failure = Some(Failure { since, message });
        }
        self.inner.changed.notify_one();
    }

    fn forget(&self, target: &Target) {
        self.lock().remove(target);
    }
}

/// The tasks that ask.
pub struct Pollers {
    observations: Observations,
    running: HashMap<Target, (Duration, tokio::task::AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Pollers {
    /// None yet.
    #[must_use]
    pub fn new(observations: Observations) -> Pollers {
        Pollers { observations, running: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Makes exactly these targets be asked, each at least every so often. What is asked already goes on undisturbed.
    pub fn set(&mut self, wanted: &HashMap<Target, Duration>) {
        self.running.retain(|target, (interval, task)| {
            let keep = wanted.get(target) == Some(interval);
            if !keep {
                task.abort();
                if !wanted.contains_key(target) {
                    self.observations.forget(target);
                }
            }
            keep
        });
        for (target, interval) in wanted {
            if !self.running.contains_key(target) {
                let (observations, target, interval) = (self.observations.clone(), target.clone(), *interval);
                let task = self.tasks.spawn(poll(observations, target.clone(), interval));
                self.running.insert(target, (interval, task));
            }
        }
        // Aborted tasks are reaped here. One that panicked would be a bug: it is asked anew.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a poller panicked");
                let id = error.id();
                self.running.retain(|_, (_, task)| task.id() != id);
            }
        }
    }
}

async fn poll(observations: Observations, target: Target, interval: Duration) {
    let mut connection = Connection::new(target.address.clone());
    let mut asked: Option<(String, u64)> = None;
    let mut failures: u32 = 0;
    loop {
        // The first question wants an answer at once; later ones may be held.
        let hold = if asked.is_some() { interval } else { Duration::ZERO };
        match connection.ask(asked.as_ref(), hold).await.and_then(read) {
            Ok(reading) => {
                failures = 0;
                let now = (reading.report.instance.clone(), reading.report.sequence);
                let early = reading.report.held_nanos < 1_000_000;
                let known = asked.as_ref() == Some(&now);
                asked = Some(now);
                observations.good(&target, reading);
                if early && known {
                    // It did not hold the question: an agent that is full, or no agent of ours. Do not spin.
                    tokio::time::sleep(interval).await;
                } else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Err(error) => {
                let message =
                    format!("agent of node {} at {}: {}", target.node, target.address, crate::telemetry::chain(&error));
                tracing::debug!(node = target.node, %message, "no reading");
                observations.bad(&target, message);
                asked = None;
                failures = failures.saturating_add(1);
                tokio::time::sleep(backoff(failures, interval, &target)).await;
            }
        }
    }
}

/// Doubles from 250 ms up to the interval (at most 30 s), spread by up to a quarter so that a fleet does not knock in step.
fn backoff(failures: u32, interval: Duration, target: &Target) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let cap = interval.clamp(Duration::from_millis(250), Duration::from_secs(30));
    let base = Duration::from_millis(250).saturating_mul(1 << failures.saturating_sub(1).min(10)).min(cap);
    let spread = u32::try_from(RandomState::new().hash_one(target) % 256).unwrap_or(0);
    base.saturating_add(base / 4 * spread / 256)
}

fn read(answer: Answer) -> Result<AgentReading, PollError> {
    let Answer { exchange, clocks, report } = answer;
    if report.sent_unix_nanos == 0 {
        return Err(PollError::Unusable("it does not say when it left (sentUnixNanos)".to_owned()));
    }
    let against_us = exchange.offset().map_err(PollError::Exchange)?;
    let own = match (report.offset_seconds, report.error_bound_seconds) {
        (Some(offset), Some(bound)) => Some(interval(offset, bound)?),
        (None, None) => None,
        _ => return Err(PollError::Unusable("it has an offset without an error bound, or the reverse".to_owned())),
    };
    let undisciplined = Duration::try_from_secs_f64(report.undisciplined_seconds)
        .map_err(|_| PollError::Unusable(format!("undisciplinedSeconds is {}", report.undisciplined_seconds)))?;
    Ok(AgentReading { clocks, against_us, own, undisciplined, report: Arc::new(report) })
}

/// Two numbers of a stranger as an interval; a nanosecond wider for what a double loses.
fn interval(offset: f64, bound: f64) -> Result<OffsetInterval, PollError> {
    let unusable = || PollError::Unusable(format!("offset {offset} with error bound {bound} is no interval"));
    let offset = Delta::from_seconds(offset).ok_or_else(unusable)?;
    let bound = Duration::try_from_secs_f64(bound).map_err(|_| unusable())?;
    Ok(OffsetInterval::new(offset, bound).widened(Duration::from_nanos(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Exchange, Wall};

    fn exchange() -> Exchange {
        Exchange {
            sent: Mono::from_nanos(0),
            received: Mono::from_nanos(1_000),
            received_wall: Wall::from_unix_nanos(1),
            left: Wall::from_unix_nanos(1),
            held: Duration::ZERO,
        }
    }

    fn check(change: serde_json::Value, complaint: &str) {
        let mut report = serde_json::json!({
            "node": "n", "state": "Unknown", "offsetSeconds": null, "errorBoundSeconds": null, "sources": [],
            "sentUnixNanos": 1,
        });
        for (key, value) in change.as_object().unwrap() {
            report[key] = value.clone();
        }
        let (exchange, clocks) = (exchange(), crate::agent::clocks::sample());
        let outcome = read(Answer { exchange, clocks, report: serde_json::from_value(report).unwrap() });
        match outcome {
            Ok(_) => assert_eq!(complaint, "", "{change}"),
            Err(error) => assert!(!complaint.is_empty() && error.to_string().contains(complaint), "{change}: {error}"),
        }
    }

    #[test]
    fn what_an_agent_claims_is_checked_before_it_counts() {
        check(serde_json::json!({}), "");
        check(serde_json::json!({"sentUnixNanos": 0}), "sentUnixNanos");
        check(serde_json::json!({"offsetSeconds": 1.0}), "without an error bound");
        check(serde_json::json!({"offsetSeconds": 1.0, "errorBoundSeconds": -1.0}), "is no interval");
        check(serde_json::json!({"offsetSeconds": 1e300, "errorBoundSeconds": 1.0}), "");
        check(serde_json::json!({"undisciplinedSeconds": -4.0}), "undisciplinedSeconds");
    }

    #[test]
    fn a_step_of_our_own_clock_does_not_move_the_nodes() {
        let at = |seconds: u64, wall_ahead: i64| Sample {
            before: Mono::from_nanos(seconds * 1_000_000_000),
            wall: Wall::from_unix_nanos((seconds as i64 + wall_ahead) * 1_000_000_000),
            boot: crate::clock::Boot::from_nanos(seconds * 1_000_000_000),
            raw: crate::clock::Raw::from_nanos(seconds * 1_000_000_000),
            after: Mono::from_nanos(seconds * 1_000_000_000 + 1_000),
        };
        let report = serde_json::json!({"node": "n", "state": "Unknown", "offsetSeconds": null,
            "errorBoundSeconds": null, "sources": []});
        let reading = AgentReading {
            clocks: at(10, 0),
            against_us: OffsetInterval::new(Delta::ZERO, Duration::from_millis(1)),
            own: None,
            undisciplined: Duration::ZERO,
            report: Arc::new(serde_json::from_value(report).unwrap()),
        };
        let right = Duration::from_millis(100);
        assert!(reading.against_us_now(&at(11, 0)).surely_within(right));
        // Ours is put 15 s ahead: the node is now 15 s behind us, and that is what is said.
        let behind = reading.against_us_now(&at(11, 15));
        assert!(behind.contains(Delta::from_nanos(-15_000_000_000)) && behind.bound() < right, "{behind}");
    }

    #[test]
    fn failing_agents_are_asked_less_and_less_often_but_never_less_than_the_interval() {
        let target = Target { node: "n".into(), address: "127.0.0.1:1".into() };
        let ten = Duration::from_secs(10);
        assert!(backoff(1, ten, &target) < Duration::from_millis(320));
        assert!(backoff(40, ten, &target) >= ten && backoff(40, ten, &target) <= ten * 5 / 4);
    }
}
