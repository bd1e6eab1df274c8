//! `clockwarden status [NODE]`: what the controller knows about the fleet's clocks, or all about one node.
//!
//! ```text
//! nodes, NodeClocks, policies, leader lease ─▶ view (pure) ─▶ table or JSON, exit code
//! ```
//!
//! Nothing is measured: what is shown is what the controller has written, with the time of writing, and whether a
//! controller is running to keep it true. Reads only, with `get` and `list` on nodes, nodeclocks and timesyncpolicies; the
//! leader lease is a courtesy.
//!
//! Does not know: how a record comes about ([`crate::controller::record`]), the present offset of any clock
//! ([`crate::scan`] measures).

pub mod args;
mod gather;
pub mod report;
pub mod text;
pub mod view;

pub use args::StatusArgs;

use crate::runtime::print;
use crate::scan::args::Output;
use crate::scan::connect::{self, ScanError};
use crate::scan::has_colours;
use std::process::ExitCode;
use text::Look;

/// Nothing could be told.
const FAILED: u8 = 2;

/// Why there is nothing to show. Each with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The cluster cannot be asked.
    #[error(transparent)]
    Access(#[from] ScanError),
    /// The API server refused what cannot be done without.
    #[error(
        "the API server refuses it: {0}\nstatus needs get and list on nodes, and on nodeclocks and timesyncpolicies \
         (clockwarden.io); an administrator can grant it: kubectl apply -f deploy/status-role.yaml"
    )]
    Forbidden(String),
    /// The CRDs are not there.
    #[error(
        "Clockwarden is not installed in this cluster: it serves no NodeClocks or TimeSyncPolicies\ninstall it with \
         kubectl apply -f deploy/install.yaml; `clockwarden scan` shows every node's clock without it"
    )]
    NotInstalled,
    /// No such node.
    #[error("there is no node {0:?} in this cluster; `clockwarden status --all` lists them")]
    NoNode(String),
}

/// Asks, prints, and returns the exit code: 0 all synchronized, 1 some drifting, 2 could not tell.
///
/// # Errors
/// If the result cannot be written.
pub async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    match show(&args).await? {
        Ok((out, exit)) => {
            print(&out)?;
            Ok(ExitCode::from(exit))
        }
        Err(error) => {
            eprintln!("clockwarden: {error}");
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// What is printed, and the exit code. The outer error is one of ours.
async fn show(args: &StatusArgs) -> anyhow::Result<Result<(String, u8), StatusError>> {
    let cluster = match connect::connect(args.kubeconfig.as_deref(), args.context.as_deref()).await {
        Ok(cluster) => cluster,
        Err(error) => return Ok(Err(error.into())),
    };
    let look = Look { all: args.all, colour: has_colours() };
    let Some(name) = &args.node else {
        return match gather::fleet(&cluster, &args.lease_namespace).await {
            Ok(fleet) => {
                let out = match args.output {
                    Output::Json => report::fleet(&fleet)?,
                    Output::Text => text::fleet(&fleet, look),
                };
                Ok(Ok((out, fleet.exit())))
            }
            Err(error) => Ok(Err(error)),
        };
    };
    match gather::node(&cluster, name, &args.lease_namespace).await {
        Ok((row, detail, controller)) => {
            let out = match args.output {
                Output::Json => report::node(&row, &detail, &controller)?,
                Output::Text => text::node(&row, &detail, &controller, look),
            };
            Ok(Ok((out, view::exit([row.standing].into_iter(), &controller))))
        }
        Err(error) => Ok(Err(error)),
    }
}
