//! What the guest's first process does on order, and how it is told: one JSON line there, one back.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clockwarden::agent::report::Report;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything that is ordered takes in an emulated machine on a busy one.
const DONE_WITHIN: Duration = Duration::from_secs(90);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Answer.
    Hello,
    /// Start `clockwarden` with these arguments.
    Start { arguments: Vec<String> },
    /// Set the clock forward (or back, if negative) while a reader waits for news from the agent.
    Step { nanos: i64 },
    /// Let the clock run at another rate: this many microseconds for every 10,000 (adjtimex(2), `tick`).
    Tick { micros: i64 },
    /// Sleep (suspend to RAM) until somebody outside wakes the machine.
    Sleep,
}

/// How a step went, all in the guest's own time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stepped {
    /// From before the clock was read to after it was set: the step is by at most this much shorter than ordered.
    pub(crate) set_within: Duration,
    /// The monotonic clock before the other one was read and set, nanoseconds.
    pub(crate) began: u64,
    /// From before the clock was set until the waiting reader had the agent's answer.
    pub(crate) told_after: Duration,
    /// That answer.
    pub(crate) report: Report,
}

/// Where the first process listens.
#[derive(Clone, Copy)]
pub(crate) struct Orders(SocketAddrV4);

impl Orders {
    pub(crate) fn at(address: SocketAddrV4) -> Self {
        Self(address)
    }

    /// Gives an order and waits until it has been carried out.
    pub(crate) async fn give<T: DeserializeOwned>(self, order: &Order) -> Result<T> {
        let answer = tokio::time::timeout(DONE_WITHIN, self.exchange(order)).await;
        let answer = answer.with_context(|| format!("{order:?}: not within {DONE_WITHIN:?}"))??;
        let done: Result<T, String> =
            serde_json::from_str(&answer).with_context(|| format!("{order:?}: the guest answers {answer:?}"))?;
        done.map_err(|error| anyhow!("{order:?}: the guest says: {error}"))
    }

    async fn exchange(self, order: &Order) -> Result<String> {
        let mut stream = TcpStream::connect(self.0).await.context("the guest has no port")?;
        stream.write_all(format!("{}\n", serde_json::to_string(order)?).as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context("no answer from the guest")?;
        Ok(answer)
    }
}
