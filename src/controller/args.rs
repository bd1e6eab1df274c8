//! Command line of `clockwarden controller`.

use super::audit::Period;
use std::net::SocketAddr;

/// Watches nodes and TimeSyncPolicies, measures every node's clock, taints or cordons the nodes beyond tolerance, and
/// takes that back when they recover.
///
/// Works inside a cluster (with its service account) and outside (with KUBECONFIG or ~/.kube/config).
#[derive(Debug, Clone, clap::Args)]
pub struct ControllerArgs {
    /// Address for /metrics, /healthz and /readyz.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9556")]
    pub listen: SocketAddr,

    /// Namespace of the leader lease.
    #[arg(long, value_name = "NS", env = "POD_NAMESPACE", default_value = "clockwarden-system")]
    pub lease_namespace: String,

    /// Time from the end of one audit of existing objects to the next, or off.
    ///
    /// What was admitted before the webhook came, or while it was away, is found too, and told by metrics and, where
    /// their CRD is installed, by PolicyReports (docs/audit.md).
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub audit_interval: Period,

    /// Act without holding a lease. Only where no second controller can run.
    #[arg(long)]
    pub no_leader_election: bool,
}
