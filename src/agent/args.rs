//! The agent's flags.

use super::history;
use super::sources::{chrony, ntpd_rs, sntp};
use crate::duration;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Measures this machine's clock and tells whoever asks.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = "Examples:\n  \
        Look once, as a person:\n      clockwarden agent --once\n  \
        Against a server of your own, as JSON:\n      clockwarden agent --once --reference ntp://10.0.0.1 -o json\n  \
        On every node, two references:\n      \
        clockwarden agent --reference ntp://169.254.169.123 --reference ntp://time.example.com\n  \
        Ask it by hand:\n      curl -s http://127.0.0.1:9555/v1/clock\n      \
        curl -s 'http://127.0.0.1:9555/v1/clock?after=7&wait=10s'   # answers as soon as there is news\n\n\
        Exit codes of --once: 0 synchronized, 1 drifting, 2 could not tell.")]
pub struct AgentArgs {
    /// Where to listen: /v1/clock, /metrics, /healthz, /readyz.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9555")]
    pub listen: SocketAddr,

    /// An NTP server to measure against; may be repeated. Without one, the agent relies on the kernel and chronyd.
    ///
    /// The agent asks no server that is not named here: nobody who can reach its port may send it anywhere.
    #[arg(long = "reference", value_name = "ntp://HOST[:PORT]")]
    pub references: Vec<sntp::Server>,

    /// Where chronyd answers commands: an address (127.0.0.1:323), its Unix socket (/run/chrony/chronyd.sock), or off.
    ///
    /// By default both usual places are tried, and a machine without chronyd is fine. One that is named here and does
    /// not answer is an error of the source.
    #[arg(long, value_name = "ADDR|PATH|off", value_parser = str::parse::<chrony::At>)]
    pub chrony: Option<chrony::At>,

    /// The observation socket of ntpd-rs (observation-path in its configuration), or off.
    ///
    /// By default the usual place is tried, and a machine without ntpd-rs is fine. One that is named here and does not
    /// answer is an error of the source.
    #[arg(long, value_name = "PATH|off", value_parser = str::parse::<ntpd_rs::At>)]
    pub ntpd_rs: Option<ntpd_rs::At>,

    /// Below which folder this machine's own files are found: chrony.conf, sockets of daemons, devices.
    ///
    /// In a pod: where the node's root is mounted, for example /host.
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub host_root: PathBuf,

    /// A file in which the agent keeps what happened to the clock: steps, suspends, slews, pauses, the newest 256.
    ///
    /// With it a restart of the agent or of the machine forgets nothing, and what was done to the clock while the agent
    /// was not running is noticed when it starts. Its folder must exist and be writable. The file is written when
    /// something happened, at the start and at the end; one that is not a history of the agent is left alone.
    #[arg(long, value_name = "FILE", conflicts_with = "once")]
    pub history: Option<PathBuf>,

    /// Give the folder of --history to this user and group, making it if need be, and exit.
    ///
    /// For an init container that may do so, since the agent itself runs without any rights. Where it is refused, that
    /// is said, and the agent will do without a history.
    #[arg(long, value_name = "UID:GID", requires = "history", value_parser = str::parse::<history::Owner>)]
    pub history_owner: Option<history::Owner>,

    /// Measure once, print a diagnosis, exit.
    #[arg(long)]
    pub once: bool,

    /// How --once prints.
    #[arg(short, long, value_name = "FORMAT", default_value = "text", requires = "once")]
    pub output: Output,

    /// Further off than this is drifting.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = positive)]
    pub max_offset: Duration,

    /// The node's name, as reports carry it; the host name if not given.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub node_name: Option<String>,
}

/// How `--once` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A diagnosis for people.
    Text,
    /// The report of `/v1/clock`.
    Json,
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(duration) if duration.is_zero() => Err("must be greater than 0".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(error.to_string()),
    }
}
