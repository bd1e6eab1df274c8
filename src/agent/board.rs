//! Where those who measure write and those who ask read.
//!
//! One lock around the [`Core`], held for microseconds and never across a wait; beside it three signals: the sequence,
//! for readers that wait for news; the alarms, for sources that should ask again at once; and the revision of what
//! happened, for whoever keeps it on disk.

use crate::agent::clocks;
use crate::agent::jumps::{News, headline};
use crate::agent::state::Core;
use crate::clock::Sample;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// What the tasks of one agent share.
pub struct Board {
    core: Mutex<Core>,
    sequence: watch::Sender<u64>,
    alarms: watch::Sender<u64>,
    revision: watch::Sender<u64>,
}

impl Board {
    /// Shares what `core` knows.
    #[must_use]
    pub fn new(core: Core) -> Board {
        let sequence = watch::Sender::new(core.sequence());
        let alarms = watch::Sender::new(core.jumps().alarms());
        let revision = watch::Sender::new(core.jumps().revision());
        Board { core: Mutex::new(core), sequence, alarms, revision }
    }

    /// Lets `act` work on what is known, given the clocks, and wakes those who wait for what it changed.
    ///
    /// The clocks are read under the lock, so that nobody judges by older ones than somebody before him.
    pub fn with<T>(&self, act: impl FnOnce(&mut Core, &Sample) -> T) -> T {
        // A panic elsewhere ends the process anyway; what is known is still worth telling until then.
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut core, &clocks::sample());
        let (sequence, alarms, revision) = (core.sequence(), core.jumps().alarms(), core.jumps().revision());
        let news = core.jumps_mut().take_news();
        drop(core);
        for (signal, reached) in [(&self.sequence, sequence), (&self.alarms, alarms), (&self.revision, revision)] {
            signal.send_if_modified(|told| replace_if_greater(told, reached));
        }
        for item in news {
            log(&item);
        }
        result
    }

    /// The sequence, to wait on.
    #[must_use]
    pub fn sequence(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// Counts what every source should be asked again for, to wait on.
    #[must_use]
    pub fn alarms(&self) -> watch::Receiver<u64> {
        self.alarms.subscribe()
    }

    /// Counts what is worth keeping on disk, to wait on.
    #[must_use]
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}

fn log(news: &News) {
    match news {
        News::Jump(noticed) => {
            let (cause, evidence, amount) = (noticed.jump.cause, noticed.evidence.as_str(), noticed.jump.amount);
            let (cause, detail) = (cause.as_str(), noticed.detail.as_deref());
            tracing::warn!(cause, %amount, evidence, detail, "{}", headline(noticed));
        }
        News::Elsewhere(what) => tracing::warn!("{what}"),
    }
}

fn replace_if_greater(known: &mut u64, now: u64) -> bool {
    let greater = now > *known;
    *known = now.max(*known);
    greater
}
