//! What systemd-timesyncd leaves behind: the file that it touches at every update.
//!
//! timesyncd tells its server, the last offset and the server's distance over D-Bus only (`timedatectl timesync-status`).
//! Without a bus, and from within a container, there is `/run/systemd/timesync/synchronized`: its modification time is
//! when timesyncd last updated the clock, by that clock (systemd-timesyncd(8)). That is no offset and no bound, so this
//! source never gives evidence. What timesyncd knows reaches us through the kernel, whose `maxerror` it sets to zero each
//! time ([`super::kernel`] widens that claim). This source says who stands behind the kernel's word, and when it stopped.
//!
//! Does not know: whether timesyncd still runs, what it follows.

use super::{BoxFuture, Duration, Outcome, Settings, Source, under};
use crate::agent::report::SourceDetail;
use crate::clock::{Delta, Wall};
use crate::runtime::wall_now;
use std::io;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

/// Touched at every update.
const TOUCHED: &str = "/run/systemd/timesync/synchronized";
/// timesyncd asks at least this often (timesyncd.conf(5), `PollIntervalMaxSec`: 34 min 8 s), and some more for an answer
/// that was lost.
const INTERVAL_MAX: Duration = Duration::from_secs(2 * 2_048);
/// A look at a file's time, about something that happens every half a minute at most.
const SPACING: Duration = Duration::from_secs(60);

/// What the time of the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// So long ago, as the clock counts: as it should be.
    Recent(Duration),
    /// Longer ago than timesyncd ever waits: it is gone, or hears nothing.
    Overdue(Duration),
    /// In the future, by so much: the clock was set back since, and timesyncd has not updated it again.
    Ahead(Duration),
}

/// When the clock was updated, `touched`, as seen at `now`, both by this clock.
#[must_use]
pub fn decode(touched: Wall, now: Wall) -> Update {
    let ago = now.minus(touched);
    match ago.magnitude() {
        by if ago < Delta::ZERO => Update::Ahead(by),
        by if by > INTERVAL_MAX => Update::Overdue(by),
        by => Update::Recent(by),
    }
}

impl Update {
    /// What that means, without a number that changes all the time; the age is told beside it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Update::Recent(_) => {
                "systemd-timesyncd updates this clock; it tells no offset here (`timedatectl timesync-status` does), and \
                 its word counts through the kernel's"
            }
            Update::Overdue(_) => {
                "systemd-timesyncd has not updated this clock for longer than it ever waits (34 min): it is stopped, or \
                 hears no server; `timedatectl timesync-status` tells"
            }
            Update::Ahead(_) => {
                "systemd-timesyncd updated this clock at a time that is now in the future: the clock was set back since"
            }
        }
    }

    /// How long ago, where that is known.
    #[must_use]
    pub fn age(self) -> Option<Duration> {
        match self {
            Update::Recent(age) | Update::Overdue(age) => Some(age),
            Update::Ahead(_) => None,
        }
    }
}

/// timesyncd, if it has ever updated the clock since the machine was started.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Box<dyn Source>> {
    vec![Box::new(Timesyncd { touched: under(&settings.host_root, TOUCHED), detail: None })]
}

struct Timesyncd {
    touched: PathBuf,
    detail: Option<SourceDetail>,
}

impl Timesyncd {
    fn ask(&mut self) -> Outcome {
        self.detail = None;
        let modified = match std::fs::metadata(&self.touched).and_then(|file| file.modified()) {
            Ok(modified) => modified,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Outcome::Absent,
            // No more than a hint is lost.
            Err(error) => return Outcome::Unanswered(format!("{TOUCHED} cannot be read ({error})")),
        };
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let update = decode(Wall::from_unix_nanos(0).plus(Delta::from(since_epoch)), wall_now());
        let last_update_seconds = update.age().map(|age| age.as_secs_f64());
        self.detail = Some(SourceDetail { last_update_seconds, ..SourceDetail::default() });
        Outcome::Unanswered(update.words().to_owned())
    }
}

impl Source for Timesyncd {
    fn name(&self) -> &'static str {
        "timesyncd"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::ready(self.ask()))
    }

    fn spacing(&mut self) -> Duration {
        SPACING
    }

    fn detail(&self) -> Option<SourceDetail> {
        self.detail.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_with_timesyncd_has_this_source_and_it_never_is_evidence() {
        let root = tempfile::TempDir::new().unwrap();
        let mut source = Timesyncd { touched: under(root.path(), TOUCHED), detail: None };
        assert_eq!((source.ask(), source.detail()), (Outcome::Absent, None));
        std::fs::create_dir_all(source.touched.parent().unwrap()).unwrap();
        let file = std::fs::File::create(&source.touched).unwrap();
        let now = UNIX_EPOCH + Duration::from_nanos(u64::try_from(wall_now().unix_nanos()).unwrap());
        for (ago_s, says, told) in [
            (40i64, "updates this clock", Some(40.0)),
            (7_200, "longer than it ever waits", Some(7_200.0)),
            (-3_600, "set back since", None),
        ] {
            let ago = Duration::from_secs(ago_s.unsigned_abs());
            file.set_modified(if ago_s < 0 { now + ago } else { now - ago }).unwrap();
            let Outcome::Unanswered(because) = source.ask() else { panic!("evidence from a file's time") };
            assert!(because.contains(says), "{because}");
            let age = source.detail().unwrap().last_update_seconds;
            assert_eq!(age.is_some(), told.is_some());
            assert!((age.unwrap_or(0.0) - told.unwrap_or(0.0)).abs() < 5.0, "{age:?}");
            // Nothing in it changes from poll to poll, or the log would fill up.
            assert_eq!(source.ask(), Outcome::Unanswered(because));
        }
    }
}
