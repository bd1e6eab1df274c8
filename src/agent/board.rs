//! Where those who measure write and those who ask read.
//!
//! One lock around the [`Core`], held for microseconds and never across a wait; beside it two signals: the sequence,
//! for readers that wait for news, and the count of clock settings, for sources that should ask again at once.

use crate::agent::clocks;
use crate::agent::state::{Core, Evidence};
use crate::clock::Jump;
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

    /// Lets `act` work on what is known, and wakes those who wait for what it changed.
    pub fn with<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        // A panic elsewhere ends the process anyway; what is known is still worth telling until then.
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut core);
        let reached = core.sequence();
        drop(core);
        self.sequence.send_if_modified(|announced| {
            let news = reached > *announced;
            *announced = reached.max(*announced);
            news
        });
        result
    }

    /// Takes a jump: readers and sources are woken.
    pub fn jumped(&self, jump: Jump, evidence: Evidence) {
        let sample = clocks::sample();
        self.with(|core| core.jumped(jump, evidence, &sample));
        self.settings.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The sequence, to wait on.
    #[must_use]
    pub fn sequence(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// Changes whenever the clock was set.
    #[must_use]
    pub fn settings(&self) -> watch::Receiver<u64> {
        self.settings.subscribe()
    }
}
