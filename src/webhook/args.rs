//! The flags of `clockwarden webhook`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Refuses workload configuration whose clock settings the TimeSyncPolicies forbid.
#[derive(Debug, Clone, clap::Args)]
pub struct WebhookArgs {
    /// Address and port for the API server, served over TLS; reviews go to /validate
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,

    /// Address and port for /metrics, /healthz and /readyz, served in the clear
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9556")]
    pub metrics_listen: SocketAddr,

    /// Certificate chain in PEM form, the leaf first; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: PathBuf,

    /// Private key of the certificate in PEM form; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_key: PathBuf,

    /// Judge by the TimeSyncPolicies in these YAML files and ask no cluster; for development
    #[arg(long, value_name = "FILE")]
    pub policy_file: Vec<PathBuf>,
}
