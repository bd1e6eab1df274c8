//! Where those who measure write and those who ask read.
//!
//! One lock around the [`Core`], held for microseconds and never across a wait; beside it two signals: the sequence,
//! for readers that wait for news, and the number of the newest jump, for sources that should ask again at once.

use crate::agent::clocks;
use crate::agent::jumps::Noticed;
use crate::agent::state::Core;
use crate::clock::Sample;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// What the tasks of one agent share.
pub struct Board {
    core: Mutex<Core>,
    sequence: watch::Sender<u64>,
    settings: watch::Sender<u64>,
}

impl Board {
    /// Shares what `core` knows.
    #[must_use]
    pub fn new(core: Core) -> Board {
        let sequence = watch::Sender::new(core.sequence());
        Board { core: Mutex::new(core), sequence, settings: watch::Sender::new(0) }
    }

    /// Lets `act` work on what is known, given the clocks, and wakes those who wait for what it changed.
    ///
    /// The clocks are read under the lock, so that nobody judges by older ones than somebody before him.
    pub fn with<T>(&self, act: impl FnOnce(&mut Core, &Sample) -> T) -> T {
        // A panic elsewhere ends the process anyway; what is known is still worth telling until then.
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut core, &clocks::sample());
        let (reached, newest) = (core.sequence(), core.last_jump());
        drop(core);
        self.sequence.send_if_modified(|announced| replace_if_greater(announced, reached));
        if let Some(Noticed { number, evidence, jump }) = newest
            && self.settings.send_if_modified(|count| replace_if_greater(count, number))
        {
            let (amount, cause, evidence) = (jump.amount, jump.cause.as_str(), evidence.as_str());
            tracing::warn!(%amount, cause, evidence, "the wall clock jumped");
        }
        result
    }

    /// The sequence, to wait on.
    #[must_use]
    pub fn sequence(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// The number of the newest jump, to wait on.
    #[must_use]
    pub fn settings(&self) -> watch::Receiver<u64> {
        self.settings.subscribe()
    }
}

fn replace_if_greater(known: &mut u64, now: u64) -> bool {
    let greater = now > *known;
    *known = now.max(*known);
    greater
}
