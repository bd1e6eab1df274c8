//! Command line of `clockwarden scan`.

use crate::clock::heartbeat;
use crate::duration;
use std::path::PathBuf;
use std::time::Duration;

/// Shows every node's clock of a cluster in half a minute, installing nothing.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = "Examples:\n  \
        The current context's cluster:\n      clockwarden scan\n  \
        Another one, more exactly, every node:\n      clockwarden scan --context prod --for 1m --all\n  \
        In a script:\n      clockwarden scan -o json | jq '.nodes[] | select(.state != \"Synchronized\")'\n  \
        From far away (a VPN with long delays):\n      clockwarden scan --for 2m --max-delay 400ms\n\n\
        Exit codes: 0 every clock is within --max-offset, 1 some are beyond, 2 could not tell (for some, or at all).")]
pub struct ScanArgs {
    /// How long to listen. A node is heard every 10 s and needs two heartbeats, better three.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = positive)]
    pub listen_for: Duration,

    /// Further off than this is drifting.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = positive)]
    pub max_offset: Duration,

    /// How to print.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,

    /// List every node, also the many that are right.
    #[arg(long)]
    pub all: bool,

    /// No heartbeat takes longer than this from the kubelet to the API server.
    #[arg(long, value_name = "DURATION", default_value_t = Span(heartbeat::DELAY_MAX), value_parser = span)]
    pub max_delay: Span,

    /// What every heartbeat takes from a kubelet to the API server, however quick, is at most this.
    ///
    /// It cannot be measured from outside, and is the greatest part of the error bound.
    #[arg(long, value_name = "DURATION", default_value_t = Span(heartbeat::STEADY), value_parser = span)]
    pub steady_delay: Span,

    /// The kubeconfig file; otherwise KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context in the kubeconfig; otherwise its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table for people, the worst first.
    Text,
    /// One JSON document.
    Json,
}

/// A duration that is shown as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&duration::format(self.0))
    }
}

fn span(text: &str) -> Result<Span, String> {
    positive(text).map(Span)
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(duration) if duration.is_zero() => Err("must be greater than 0".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        scan: ScanArgs,
    }

    #[test]
    fn arguments_are_the_contracts() {
        use clap::{CommandFactory, Parser};
        Cli::command().debug_assert();
        let parse = |args: &[&str]| Cli::try_parse_from([&["scan"], args].concat()).map(|cli| cli.scan);
        let scan = parse(&[]).unwrap();
        assert_eq!((scan.listen_for, scan.max_offset), (Duration::from_secs(30), Duration::from_millis(500)));
        assert_eq!((scan.max_delay.0, scan.steady_delay.0), (heartbeat::DELAY_MAX, heartbeat::STEADY));
        assert_eq!((scan.output, scan.all), (Output::Text, false));
        let scan = parse(&["--for", "1m30s", "--max-offset", "1s", "-o", "json", "--context", "c"]).unwrap();
        assert_eq!((scan.listen_for, scan.output), (Duration::from_secs(90), Output::Json));
        for wrong in [&["--for", "0s"][..], &["--for", "30"], &["--max-offset", "-1s"], &["-o", "yaml"], &["x"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
