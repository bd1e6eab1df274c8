//! Asks an NTP server for the time, as simply as that can safely be done (SNTP, RFC 4330; packet as in RFC 5905).
//!
//! Safely: the transmit timestamp that we send is a random cookie which the server echoes, so that nobody off the path
//! can answer in its place, and our own clock is told to nobody; the socket is connected, so that only the server's
//! address is heard; a server that says it is not synchronised is no witness; and a server that sends us away (a
//! "kiss of death") is obeyed.
//!
//! How sure: the round trip is measured by the monotonic clock, and our wall clock is read once, after the answer, so
//! a step in between does no harm ([`Exchange`]). The truth lies within half the round trip, the server's own root
//! dispersion and half its root delay, and its clock's precision (RFC 5905, section 11.1).
//!
//! NTP's seconds wrap around every 136 years (the first time in 2036). Of the possible dates the one nearest to our
//! own clock is taken: right as long as that is off by less than 68 years.

mod exchange;
mod packet;
mod server;

pub use packet::{DecodeError, LENGTH, Reply, decode, request};
pub use server::{Server, ServerError};

use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source, random};
use crate::clock::{Delta, Exchange, OffsetInterval, Sample};
use exchange::AskError;
use std::net::IpAddr;

/// A quick start, so that a node is known soon, and quick again after a step: this many polls.
const QUICK_POLLS: u32 = 4;
const QUICK: Duration = Duration::from_secs(2);
/// The usual spacing; servers of the public pool ask for no more than one in 2^4 s.
const CALM: Duration = Duration::from_secs(16);
/// A server that keeps saying RATE is left alone for up to this long.
const BACKED_OFF_MAX: Duration = Duration::from_secs(1024);
/// A server that answered DENY or RSTR is not asked again; this is how often its name is looked up again.
const DENIED: Duration = Duration::from_secs(1024);
/// Addresses that sent us away are remembered up to this many.
const DENIED_MAX: usize = 64;

/// One source for each server that the settings name.
#[must_use]
pub fn sources(settings: &Settings) -> Vec<Box<dyn Source>> {
    let mut servers: Vec<&Server> = Vec::new();
    for server in &settings.references {
        // Asked twice, a server is still one witness.
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers.into_iter().map(|server| Box::new(Sntp::new(server.clone())) as Box<dyn Source>).collect()
}

/// What one server's answer says about our clock; `clocks` were read after it had arrived.
///
/// # Errors
/// If the server claims to have thought longer than the whole exchange took.
pub fn interval(
    reply: &Reply,
    sent: crate::clock::Mono,
    clocks: &Sample,
) -> Result<OffsetInterval, crate::clock::exchange::ExchangeError> {
    let exchange = Exchange {
        sent,
        received: clocks.after,
        received_wall: clocks.wall,
        left: reply.left,
        // A server whose own clock stepped back meanwhile claims less than nothing: none, which only widens.
        held: if reply.left > reply.arrived { reply.left.minus(reply.arrived).magnitude() } else { Duration::ZERO },
    };
    // The exchange measures the server's clock against ours; we want ours against the server's.
    let ours = OffsetInterval::new(Delta::ZERO, Duration::ZERO).against(exchange.offset()?);
    Ok(ours.widened(reply.error()))
}

struct Sntp {
    name: String,
    server: Server,
    denied: Vec<IpAddr>,
    quick_left: u32,
    /// Doubled by every RATE, taken back by every good answer.
    backed_off: Option<Duration>,
    all_denied: bool,
}

impl Sntp {
    fn new(server: Server) -> Sntp {
        let name = server.to_string();
        Sntp { name, server, denied: Vec::new(), quick_left: QUICK_POLLS, backed_off: None, all_denied: false }
    }

    async fn ask(&mut self) -> Outcome {
        self.quick_left = self.quick_left.saturating_sub(1);
        self.all_denied = false;
        let answer = exchange::ask(&self.server, &self.denied).await;
        let error = match answer {
            Ok(answer) => match interval(&answer.reply, answer.sent, &answer.clocks) {
                Ok(interval) => {
                    self.backed_off = None;
                    let reference = Some(answer.reply.reference());
                    return Outcome::Measured(Measured { interval, clocks: answer.clocks, reference });
                }
                Err(error) => return Outcome::Unanswered(format!("{}: {error}", answer.from)),
            },
            Err(error) => error,
        };
        self.heed(&error);
        Outcome::Unanswered(crate::telemetry::chain(&error))
    }

    /// Does as a server says that sends us away (RFC 5905, section 7.4).
    fn heed(&mut self, error: &AskError) {
        match error {
            AskError::Decode { from, source: DecodeError::Denied { .. } } => {
                if self.denied.len() < DENIED_MAX {
                    self.denied.push(from.ip());
                }
            }
            AskError::Decode { source: DecodeError::Rate, .. } => {
                let doubled = self.backed_off.unwrap_or(CALM).saturating_mul(2);
                self.backed_off = Some(doubled.min(BACKED_OFF_MAX));
            }
            AskError::AllDenied => self.all_denied = true,
            AskError::Decode { .. }
            | AskError::Resolve { .. }
            | AskError::NoAddress
            | AskError::Silent { .. }
            | AskError::Refused { .. }
            | AskError::Random(_)
            | AskError::Io { .. } => {}
        }
    }
}

impl Source for Sntp {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll(&mut self) -> BoxFuture<'_, Outcome> {
        Box::pin(self.ask())
    }

    fn spacing(&mut self) -> Duration {
        let plain = match self.backed_off {
            Some(backed_off) => backed_off,
            None if self.all_denied => DENIED,
            None if self.quick_left > 0 => QUICK,
            None => CALM,
        };
        jittered(plain, random().unwrap_or(0))
    }

    fn hurry(&mut self) -> Duration {
        self.quick_left = QUICK_POLLS;
        // A clock that is set again and again must not make us a nuisance to the server.
        match self.backed_off {
            Some(_) => self.spacing(),
            None if self.all_denied => DENIED,
            None => Duration::from_secs(1),
        }
    }

    fn burst(&self) -> usize {
        4
    }
}

/// `plain`, up to an eighth shorter or longer: agents that started together must not ask together.
fn jittered(plain: Duration, bits: u64) -> Duration {
    let part = u32::from((bits & 0xFF) as u8);
    plain.saturating_mul(7 * 128 + part) / (8 * 128)
}

#[cfg(test)]
mod tests;
