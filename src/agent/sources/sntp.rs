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
mod pace;
mod packet;
mod server;

pub use packet::{DecodeError, LENGTH, Reply, decode, request};
pub use server::{Server, ServerError};

use super::{BoxFuture, Duration, Measured, Outcome, Settings, Source, random};
use crate::agent::report::SourceDetail;
use crate::clock::{Delta, Exchange, Mono, OffsetInterval, Sample};
use crate::runtime::mono_now;
use exchange::{AskError, Names};
use pace::{Heard, Pace};
use std::net::IpAddr;

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
    names: Names,
    denied: Vec<IpAddr>,
    pace: Pace,
    /// When it was asked last.
    asked: Mono,
    detail: Option<SourceDetail>,
}

impl Sntp {
    fn new(server: Server) -> Sntp {
        Sntp {
            name: server.to_string(),
            server,
            names: Names::default(),
            denied: Vec::new(),
            pace: Pace::new(),
            asked: mono_now(),
            detail: None,
        }
    }

    async fn ask(&mut self) -> Outcome {
        self.asked = mono_now();
        let answer = exchange::ask(&self.server, &mut self.names, &self.denied).await;
        let error = match answer {
            Ok(answer) => match interval(&answer.reply, answer.sent, &answer.clocks) {
                Ok(interval) => {
                    self.pace.heard(Heard::Answer);
                    let reference = Some(answer.reply.reference());
                    self.detail = Some(answer.reply.detail(answer.from.ip()));
                    return Outcome::Measured(Measured { interval, clocks: answer.clocks, reference });
                }
                Err(error) => {
                    self.pace.heard(Heard::Nothing);
                    return Outcome::Unanswered(format!("{}: {error}", answer.from));
                }
            },
            Err(error) => error,
        };
        self.heed(&error);
        Outcome::Unanswered(crate::telemetry::chain(&error))
    }

    /// Does as a server says that sends us away (RFC 5905, section 7.4).
    fn heed(&mut self, error: &AskError) {
        self.pace.heard(match error {
            AskError::Decode { from, source: DecodeError::Denied { .. } } => {
                if self.denied.len() < DENIED_MAX {
                    self.denied.push(from.ip());
                }
                Heard::Nothing
            }
            AskError::Decode { source: DecodeError::Rate, .. } => Heard::Rate,
            AskError::AllDenied => Heard::AllDenied,
            AskError::Decode { .. }
            | AskError::Resolve { .. }
            | AskError::NoAddress
            | AskError::Silent { .. }
            | AskError::Refused { .. }
            | AskError::Random(_)
            | AskError::Io { .. } => Heard::Nothing,
        });
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
        let spacing = self.pace.spacing(random().unwrap_or(0));
        if let Some(detail) = &mut self.detail {
            detail.poll_seconds = Some(spacing.as_secs_f64());
        }
        spacing
    }

    fn hurry(&mut self) -> Duration {
        self.pace.hurry(mono_now().since(self.asked), random().unwrap_or(0))
    }

    fn burst(&self) -> usize {
        4
    }

    fn detail(&self) -> Option<SourceDetail> {
        self.detail.clone()
    }

    fn at_ease(&mut self, yes: bool) {
        self.pace.at_ease(yes);
    }
}

#[cfg(test)]
mod tests;
