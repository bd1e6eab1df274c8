//! The command line: what there is to run.

use crate::agent::args::AgentArgs;
use crate::controller::ControllerArgs;
use crate::lint::LintArgs;
use crate::scan::ScanArgs;
use crate::telemetry::LogFormat;
use crate::webhook::WebhookArgs;

/// Keeps Kubernetes clusters safe from wrong clocks.
#[derive(Debug, clap::Parser)]
#[command(name = "clockwarden", version, max_term_width = 100)]
pub struct Cli {
    /// How log lines look; they go to stderr.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Measures this machine's clock and tells whoever asks.
    Agent(AgentArgs),
    /// Measures every node's clock, and taints or cordons the nodes beyond tolerance.
    Controller(ControllerArgs),
    /// Refuses workload configuration whose clock settings the TimeSyncPolicies forbid.
    Webhook(WebhookArgs),
    /// Finds unsafe clock-skew settings in files, directories or stdin.
    Lint(LintArgs),
    /// Shows every node's clock of a cluster in half a minute, installing nothing.
    Scan(ScanArgs),
    /// Prints the CustomResourceDefinitions as YAML, for `kubectl apply -f -`.
    Crds,
}
