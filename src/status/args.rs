//! Command line of `clockwarden status`.

use crate::scan::args::Output;
use std::path::PathBuf;

/// Shows what the controller knows about every node's clock, or all about one.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = "Examples:\n  \
        The fleet, the worst first:\n      clockwarden status\n  \
        All about one node, its history included:\n      clockwarden status node-7\n  \
        In a script:\n      clockwarden status -o json | jq '.nodes[] | select(.state == \"Drifting\") | .node'\n\n\
        Exit codes: 0 every clock that a policy watches is synchronized, 1 some are drifting, 2 could not tell: some are \
        unknown, no controller is running, or the cluster cannot be asked.")]
pub struct StatusArgs {
    /// All about this node; without it, the fleet.
    #[arg(value_name = "NODE")]
    pub node: Option<String>,

    /// How to print.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Output,

    /// List every node, also the many that are right.
    #[arg(long)]
    pub all: bool,

    /// Namespace of the controller's leader lease, which tells whether one is running.
    #[arg(long, value_name = "NAMESPACE", default_value = "clockwarden-system")]
    pub lease_namespace: String,

    /// The kubeconfig file; otherwise KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context in the kubeconfig; otherwise its current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        status: StatusArgs,
    }

    #[test]
    fn arguments_are_the_contracts() {
        use clap::{CommandFactory, Parser};
        Cli::command().debug_assert();
        let parse = |args: &[&str]| Cli::try_parse_from([&["status"], args].concat()).map(|cli| cli.status);
        let status = parse(&[]).unwrap();
        assert_eq!((status.node, status.output, status.all), (None, Output::Text, false));
        let status = parse(&["node-7", "-o", "json", "--context", "c"]).unwrap();
        assert_eq!((status.node.as_deref(), status.output), (Some("node-7"), Output::Json));
        for wrong in [&["a", "b"][..], &["-o", "yaml"], &["--watch"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
