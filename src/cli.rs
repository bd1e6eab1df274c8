//! The command line: what there is to run.

use crate::agent::args::AgentArgs;
use crate::controller::ControllerArgs;
use crate::lint::LintArgs;
use crate::scan::ScanArgs;
use crate::status::StatusArgs;
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
    ///
    /// Asks every witness that there is: the kernel, the NTP daemon, and the servers named with --reference. Where they
    /// agree, the offset is known with a bound; where they cannot all be true, that is said. Notices when the clock is
    /// set. Sign: positive means that this clock is ahead. Sets nothing, and uses no Kubernetes credentials.
    Agent(AgentArgs),
    /// Measures every node's clock, and taints or cordons the nodes beyond tolerance.
    ///
    /// Does as the TimeSyncPolicies of the cluster say, and undoes it when a node has recovered. Works inside a cluster
    /// and outside of one (KUBECONFIG); two of them share the work by a lease: one acts, the other stands by.
    Controller(ControllerArgs),
    /// Refuses workload configuration whose clock settings the TimeSyncPolicies forbid.
    ///
    /// Serves admission reviews at /validate. In a namespace that no policy matches, everything is admitted.
    Webhook(WebhookArgs),
    /// Finds unsafe clock-skew settings in files, directories or stdin.
    ///
    /// The engine of the webhook, without a cluster: Kubernetes manifests and plain configuration files.
    Lint(LintArgs),
    /// Shows every node's clock of a cluster in half a minute, installing nothing.
    ///
    /// Every kubelet renews a lease every 10 seconds and writes its own time into it; so do the API server, the
    /// controller-manager and the scheduler. This listens to them. A heartbeat proves at once by how much a clock is ahead
    /// at least; how long it was under way shows by comparing several, which is why it takes a while. Sign: positive means
    /// that the clock is ahead of this machine's, or of the cluster's own if this machine is the one that is wrong. Reads
    /// only: get, list and watch on nodes and leases (deploy/scan-role.yaml).
    Scan(ScanArgs),
    /// Shows what the controller knows about every node's clock, or all about one.
    ///
    /// Of the fleet: every node's state, its offset, since when, what is done about it and why, and what keeps a policy
    /// from its work. Of one node: every policy's decision in words, our marks on it, and what happened to its clock,
    /// long after it was repaired. Sign: positive means that the clock is ahead. What is shown is what the controller has
    /// written, and when that was is said. Reads only: get and list on nodes, nodeclocks and timesyncpolicies
    /// (deploy/status-role.yaml).
    Status(StatusArgs),
    /// Prints the CustomResourceDefinitions as YAML, for `kubectl apply -f -`.
    Crds,
}
