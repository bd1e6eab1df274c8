//! Leader election that does not believe anybody's wall clock, also not our own.
//!
//! A lease carries `renewTime`, written by the holder's wall clock. Comparing it with ours would hand the lease over
//! whenever clocks disagree, which is when this program matters. So, like client-go: a holder is dead when *we* have
//! not seen its lease change for its `leaseDurationSeconds`, by our monotonic clock; and we lead only while our last
//! successful renewal, counted from before its request left, is younger than the renew deadline, which is shorter.
//! Offsets do not matter; only a clock that runs 1.5 times too fast could break it.
//!
//! This is the pure half: what was seen goes in, what to do comes out. [`super::ballot`] makes requests of it, and
//! [`super::elect`] performs these.
//!
//! Source: the comments of client-go's tools/leaderelection on clock skew; Lease of coordination.k8s.io/v1.

use crate::clock::Mono;
use std::time::Duration;

/// Periods of the election; client-go's defaults for core components.
#[derive(Debug, Clone, Copy)]
pub struct Periods {
    /// How long others wait after the last change that they saw.
    pub lease: Duration,
    /// How long we act on a renewal.
    pub renew_deadline: Duration,
    /// How often we look.
    pub retry: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Periods {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What matters of a Lease object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Empty if it was released.
    pub holder: String,
    /// The holder's own promise.
    pub duration: Duration,
    /// Anything that changes with every renewal; only compared for equality.
    pub version: String,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// No lease exists: create it.
    Create,
    /// It is free or its holder is dead: take it, with the version that was seen as precondition.
    Take,
    /// It is ours: renew it.
    Renew,
    /// Somebody else holds it.
    StandBy,
}

/// One candidate's memory.
#[derive(Debug, Clone)]
pub struct Election {
    identity: String,
    periods: Periods,
    seen: Option<(Record, Mono)>,
    renewed: Option<Mono>,
    /// Until then somebody else may have it.
    abstains: Option<Mono>,
}

/// For so long whoever gave the lease up because of its own clock leaves it to others. If nobody takes it, it is better
/// held by one that only undoes than by nobody.
pub const ABSTAIN: Duration = Duration::from_secs(60);

impl Election {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(identity: String, periods: Periods) -> Election {
        Election { identity, periods, seen: None, renewed: None, abstains: None }
    }

    /// Our name in the lease.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The periods.
    #[must_use]
    pub fn periods(&self) -> Periods {
        self.periods
    }

    /// Tells what the API server has: `None` if there is no lease. Only a change restarts the holder's time.
    pub fn observe(&mut self, record: Option<Record>, now: Mono) -> Step {
        let abstains = self.abstains.is_some_and(|until| now < until);
        let Some(record) = record else {
            self.renewed = None;
            // Somebody deleted the lease of a holder who may not have noticed yet, and acts on its last renewal.
            let others = |(seen, _): &&(Record, Mono)| !seen.holder.is_empty() && seen.holder != self.identity;
            let held = self.seen.as_ref().filter(others).is_some_and(|(seen, at)| now.since(*at) < seen.duration);
            return if abstains || held { Step::StandBy } else { Step::Create };
        };
        let ours = record.holder == self.identity;
        let unchanged = self.seen.as_ref().is_some_and(|(seen, _)| *seen == record);
        if !unchanged {
            self.seen = Some((record.clone(), now));
        }
        if ours && !abstains {
            // After a restart under the same name the lease says that it is ours, but only a renewal proves it.
            return Step::Renew;
        }
        self.renewed = None;
        if abstains {
            return Step::StandBy;
        }
        let since = self.seen.as_ref().map_or(now, |(_, at)| *at);
        if record.holder.is_empty() || now.since(since) >= record.duration { Step::Take } else { Step::StandBy }
    }

    /// A create, take or renewal succeeded whose request left at `sent`.
    pub fn renewed(&mut self, record: Record, sent: Mono) {
        self.seen = Some((record, sent));
        self.renewed = Some(sent);
    }

    /// When the request of our last renewal left; `None` if we gave the lease up, or saw that it is not ours.
    #[must_use]
    pub fn renewed_at(&self) -> Option<Mono> {
        self.renewed
    }

    /// Whether we may act at this moment.
    #[must_use]
    pub fn leads(&self, now: Mono) -> bool {
        self.renewed.is_some_and(|at| now.since(at) < self.periods.renew_deadline)
    }

    /// We stop leading, and leave the lease to others for [`ABSTAIN`].
    pub fn abstain(&mut self, now: Mono) {
        self.renewed = None;
        self.abstains = Some(now.after(ABSTAIN));
    }

    /// We gave the lease up.
    pub fn resign(&mut self) {
        self.renewed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_nanos(seconds * 1_000_000_000)
    }

    fn record(holder: &str, version: &str) -> Record {
        Record { holder: holder.into(), duration: Duration::from_secs(15), version: version.into() }
    }

    fn election() -> Election {
        Election::new("me".into(), Periods::default())
    }

    #[test]
    fn a_silent_holder_is_outwaited_by_our_own_clock_from_the_first_look() {
        let mut me = election();
        // However old its renewTime claims to be, a holder that we have just met gets its full time.
        assert_eq!(me.observe(Some(record("other", "1")), at(100)), Step::StandBy);
        assert_eq!(me.observe(Some(record("other", "1")), at(114)), Step::StandBy);
        assert_eq!(me.observe(Some(record("other", "2")), at(115)), Step::StandBy);
        assert_eq!(me.observe(Some(record("other", "2")), at(129)), Step::StandBy);
        assert_eq!(me.observe(Some(record("other", "2")), at(130)), Step::Take);
    }

    #[test]
    fn a_free_lease_is_taken_at_once_and_a_missing_one_created() {
        assert_eq!(election().observe(None, at(0)), Step::Create);
        assert_eq!(election().observe(Some(record("", "1")), at(0)), Step::Take);
    }

    #[test]
    fn a_lease_that_somebody_deleted_is_outwaited_like_one_whose_holder_is_silent() {
        let mut me = election();
        assert_eq!(me.observe(Some(record("other", "1")), at(100)), Step::StandBy);
        assert_eq!(me.observe(None, at(101)), Step::StandBy);
        // The other one makes it anew, which starts its time again; then it is deleted once more.
        assert_eq!(me.observe(Some(record("other", "2")), at(102)), Step::StandBy);
        assert_eq!(me.observe(None, at(116)), Step::StandBy);
        assert_eq!(me.observe(None, at(117)), Step::Create);
        // Our own, or one that was given up, needs no waiting; we do not lead until it is made anew.
        let mut me = election();
        me.renewed(record("me", "1"), at(100));
        assert_eq!(me.observe(None, at(101)), Step::Create);
        assert!(!me.leads(at(101)));
        let mut me = election();
        assert_eq!(me.observe(Some(record("", "1")), at(100)), Step::Take);
        assert_eq!(me.observe(None, at(101)), Step::Create);
    }

    #[test]
    fn we_stop_acting_well_before_others_may_start() {
        let mut me = election();
        me.renewed(record("me", "1"), at(100));
        assert!(me.leads(at(109)));
        assert!(!me.leads(at(110)));
        let mut other = Election::new("other".into(), Periods::default());
        assert_eq!(other.observe(Some(record("me", "1")), at(100)), Step::StandBy);
        assert_eq!(other.observe(Some(record("me", "1")), at(114)), Step::StandBy);
    }

    #[test]
    fn whoever_abstains_leaves_it_to_others_and_takes_it_again_if_nobody_does() {
        let mut me = election();
        me.renewed(record("me", "1"), at(100));
        me.abstain(at(101));
        assert!(!me.leads(at(101)));
        assert_eq!(me.observe(Some(record("me", "1")), at(102)), Step::StandBy);
        assert_eq!(me.observe(Some(record("", "2")), at(103)), Step::StandBy);
        assert_eq!(me.observe(Some(record("", "2")), at(161)), Step::Take);
    }

    #[test]
    fn our_own_name_in_the_lease_is_no_proof_until_renewed() {
        let mut me = election();
        assert_eq!(me.observe(Some(record("me", "1")), at(5)), Step::Renew);
        assert!(!me.leads(at(5)));
        me.renewed(record("me", "2"), at(5));
        assert!(me.leads(at(6)));
        assert_eq!(me.observe(Some(record("other", "3")), at(7)), Step::StandBy);
        assert!(!me.leads(at(7)));
    }
}
