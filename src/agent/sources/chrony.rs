//! What chronyd knows: "tracking" and "sources" of its command protocol, over UDP or its Unix socket.
//!
//! Both need no rights over UDP on loopback. Over the Unix socket chronyd answers only a client that has bound a path of
//! its own. (`ntpdata` would tell what each server itself follows, but chronyd answers it over the socket only.)
//!
//! How sure: chronyd calls the correction that it has yet to make "system time"; in the protocol it is positive when
//! the clock is slow (chronyc prints "slow of NTP time"), so that our offset is its negative. Around that, the truth
//! lies within root dispersion plus half the root delay (RFC 5905, section 11.1). chronyd makes the correction by
//! slewing, by at most a tenth of a second per second, while our reading is in use; so the bound also takes in the
//! correction, as far as it can be made in that time. A chronyd that has lost its servers goes on vouching, and its
//! dispersion grows; how long ago it last heard from one is told beside the offset.
//!
//! What chronyd says is about the kernel's clock. Where this process reads another one (libfaketime), the difference is
//! added: the report is about the clock that we serve.
//!
//! Does not know: NTP, other sources. `wire` holds the bytes, `exchange` does the talking, `config` reads chrony.conf.

mod config;
mod exchange;
mod wire;

pub use config::{Place, unbounded_step};
pub use wire::{
    DecodeError, Reply, Standing, Upstream, decode, decode_count, decode_source, request, request_count, request_source,
};

use super::kernel::seen_by_us;
use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source, random, under};
use crate::agent::report::SourceDetail;
use crate::clock::{Delta, Leap, Mono, OffsetInterval};
use crate::runtime::mono_now;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// chronyd's command port (chrony.conf(5), `cmdport`).
pub const PORT: u16 = 323;
/// Where Debian, Fedora and others put its socket (chrony.conf(5), `bindcmdaddress`).
const SOCKET: &str = "/run/chrony/chronyd.sock";
/// `127.127.1.1`: chronyd in `local` mode follows its own clock.
const LOCAL_REFERENCE: u32 = 0x7F7F_0101;
const LEAP_UNSYNCHRONISED: u16 = 3;

/// Where chronyd is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// UDP; only loopback is answered unless `cmdallow` says otherwise.
    Udp(SocketAddr),
    /// Its Unix socket: needs root or chronyd's own user.
    Unix(PathBuf),
    /// Not at all.
    Off,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        if text == "off" {
            return Ok(At::Off);
        }
        if text.starts_with('/') {
            return Ok(At::Unix(PathBuf::from(text)));
        }
        text.parse()
            .or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT)))
            .map(At::Udp)
            .map_err(|_| format!("{text:?} is no address of chronyd; write 127.0.0.1:323, [::1]:323, {SOCKET} or off"))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Udp(address) => write!(f, "{address}"),
            At::Unix(path) => write!(f, "{}", path.display()),
            At::Off => f.write_str("off"),
        }
    }
}

/// Why a good reply is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// It has not (or no longer) a source.
    #[error("chronyd runs but is not synchronised to anything; `chronyc sources` shows what it hears of its servers")]
    Unsynchronised,
    /// It follows its own clock.
    #[error(
        "chronyd follows its own clock (local reference, stratum {stratum}), which says nothing about whether that \
         is right; `chronyc sources` shows its servers"
    )]
    LocalReference {
        /// The stratum that it claims.
        stratum: u16,
    },
}

impl Reply {
    /// Offset of the system clock, for as long as the reading is `in_use`.
    ///
    /// # Errors
    /// If chronyd itself follows nothing.
    pub fn interval(&self, in_use: Duration) -> Result<OffsetInterval, NoEvidence> {
        if self.reference_id == LOCAL_REFERENCE {
            return Err(NoEvidence::LocalReference { stratum: self.stratum });
        }
        if self.leap >= LEAP_UNSYNCHRONISED || self.reference_id == 0 || self.stratum == 0 {
            return Err(NoEvidence::Unsynchronised);
        }
        // Slewing is bounded by the kernel's tick, which may be a tenth off (adjtimex(2)).
        let slewed_s = self.correction_s.abs().min(in_use.as_secs_f64() / 10.0);
        // Of two days, its numbers of 25 bits hold ten milliseconds.
        let rounded_s = self.correction_s.abs() * wire::FLOAT_ERROR;
        let bound_s = slewed_s + rounded_s + self.root_dispersion_s + self.root_delay_s / 2.0;
        let seconds = |s: f64| Delta::from_seconds(s).unwrap_or(Delta::from_nanos(i64::MAX));
        Ok(OffsetInterval::new(seconds(-self.correction_s), seconds(bound_s).magnitude()))
    }

    /// The server's address, or the letters of the reference clock.
    #[must_use]
    pub fn reference(&self) -> String {
        let letters = self.reference_id.to_be_bytes();
        let word: String = letters.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
        match self.server {
            Some(address) => address.to_string(),
            None if !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic()) => word,
            None => format!("{:08X}", self.reference_id),
        }
    }
}

/// What chronyd's sources are like, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// How many it has.
    pub configured: u32,
    /// How many answered one of its last eight polls at least.
    pub reachable: u32,
    /// How many it follows, or could.
    pub selectable: u32,
    /// How many contradict the others.
    pub falsetickers: u32,
    /// How long ago the one that it follows last gave a good sample; if it follows none, any of them.
    pub last_update: Option<Duration>,
}

/// Sums up `upstreams`; `configured` may be more than there are of them.
#[must_use]
pub fn summary(configured: u32, upstreams: &[Upstream]) -> Summary {
    let count = |of: &dyn Fn(&Upstream) -> bool| {
        u32::try_from(upstreams.iter().filter(|upstream| of(upstream)).count()).unwrap_or(u32::MAX)
    };
    let newest = |of: &dyn Fn(&Upstream) -> bool| {
        upstreams.iter().filter(|upstream| of(upstream)).filter_map(|upstream| upstream.since_sample).min()
    };
    Summary {
        configured,
        reachable: count(&|upstream| upstream.reach != 0),
        selectable: count(&|upstream| matches!(upstream.standing, Standing::Selected | Standing::Selectable)),
        falsetickers: count(&|upstream| upstream.standing == Standing::Falseticker),
        last_update: newest(&|upstream| upstream.standing == Standing::Selected).or_else(|| newest(&|_| true)),
    }
}

/// chronyd, unless it is `off`.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Box<dyn Source>> {
    let socket = under(&settings.host_root, SOCKET);
    let candidates = match &settings.chrony {
        Some(At::Off) => return Vec::new(),
        Some(named) => vec![named.clone()],
        None => vec![At::Udp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)), At::Unix(socket)],
    };
    vec![Box::new(Chrony::new(settings, candidates))]
}

/// Between two polls; a request costs chronyd some 20 us.
const CALM: Duration = Duration::from_secs(8);
/// While chronyd has a correction to make that matters.
const SLEWING: Duration = Duration::from_secs(1);
/// Nobody runs chronyd here: this is how soon one that is started later is noticed.
const ABSENT: Duration = Duration::from_secs(60);
const CORRECTION_CALM_S: f64 = 0.01;
/// Its sources change slowly (it polls them every 16 s and more), and each is a question of its own: every so many polls.
const SOURCES_EVERY: u32 = 4;

struct Chrony {
    candidates: Vec<At>,
    /// Somebody said that it is there: then its absence is an error.
    named: bool,
    spacing: Duration,
    host_root: PathBuf,
    /// Polls until its sources are asked for again.
    until_sources: u32,
    /// When they were asked for last.
    sources_asked: Mono,
    detail: Option<SourceDetail>,
}

impl Chrony {
    fn new(settings: &Settings, candidates: Vec<At>) -> Chrony {
        Chrony {
            candidates,
            named: settings.chrony.is_some(),
            spacing: CALM,
            host_root: settings.host_root.clone(),
            until_sources: 0,
            sources_asked: mono_now(),
            detail: None,
        }
    }

    async fn ask(&mut self) -> Outcome {
        let mut refused = None;
        for at in &self.candidates {
            // Nobody named the socket: look before leaving a name of ours beside it.
            if let (At::Unix(path), false) = (at, self.named)
                && !path.exists()
            {
                continue;
            }
            let answer = match random() {
                #[expect(clippy::cast_possible_truncation, reason = "any 32 of the random bits will do")]
                Ok(bits) => exchange::ask(at, bits as u32, self.until_sources == 0).await,
                Err(error) => return Outcome::Withdrawn(format!("no random sequence number: {error}")),
            };
            match answer {
                Ok(answer) => return self.judge(&answer),
                Err(exchange::AskError::Nobody { .. }) if !self.named => {}
                // The first failure is that of the usual place; it says most.
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
        self.detail = None;
        self.until_sources = 0;
        self.spacing = CALM;
        if let Some(error) = refused {
            return Outcome::Withdrawn(crate::telemetry::chain(&error));
        }
        self.spacing = ABSENT;
        Outcome::Absent
    }

    fn judge(&mut self, answer: &exchange::Answer) -> Outcome {
        let reply = &answer.tracking;
        self.spacing = if reply.correction_s.abs() > CORRECTION_CALM_S { SLEWING } else { CALM };
        self.describe(answer);
        match reply.interval(self.spacing.saturating_add(exchange::TIMEOUT)) {
            Ok(interval) => {
                let (interval, clocks) = seen_by_us(interval);
                Outcome::Measured(Measured { interval, clocks, reference: Some(reply.reference()) })
            }
            Err(because) => Outcome::Withdrawn(because.to_string()),
        }
    }

    fn describe(&mut self, answer: &exchange::Answer) {
        let reply = &answer.tracking;
        let first = self.detail.is_none();
        let known = self.detail.get_or_insert_default();
        if first {
            let place = unbounded_step(&self.host_root);
            known.step_unbounded = place.map(|place| place.to_string());
        }
        known.stratum = Some(reply.stratum.into());
        known.leap = Some(Leap::from_indicator(reply.leap).as_str().to_owned());
        known.root_delay_seconds = Some(reply.root_delay_s);
        known.root_dispersion_seconds = Some(reply.root_dispersion_s);
        known.roots = reply.interval(Duration::ZERO).map(|_| reply.reference()).into_iter().collect();
        self.until_sources = self.until_sources.checked_sub(1).unwrap_or(SOURCES_EVERY - 1);
        if let Some(sources) = &answer.sources {
            known.configured = Some(sources.configured);
            known.reachable = Some(sources.reachable);
            known.selectable = Some(sources.selectable);
            known.falsetickers = Some(sources.falsetickers);
            known.last_update_seconds = sources.last_update.map(|age| age.as_secs_f64());
            self.sources_asked = mono_now();
        }
    }
}

impl Source for Chrony {
    fn name(&self) -> &'static str {
        "chrony"
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.ask())
    }

    fn spacing(&mut self) -> Duration {
        self.spacing
    }

    fn detail(&self) -> Option<SourceDetail> {
        let mut detail = self.detail.clone()?;
        let since = mono_now().since(self.sources_asked).as_secs_f64();
        detail.last_update_seconds = detail.last_update_seconds.map(|age_s| age_s + since);
        Some(detail)
    }
}

#[cfg(test)]
mod tests;
