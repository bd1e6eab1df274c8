//! The `clockwarden` binary: parse, dispatch, exit code; nothing else.

use clap::Parser as _;
use clockwarden::cli::{Cli, Command};
use clockwarden::runtime::Threads;
use clockwarden::{agent, api, controller, lint, runtime, scan, status, sys, telemetry, webhook};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::init_logs(cli.log_format);
    let threads = match cli.command {
        // It waits nearly all of its life, on every node: one thread costs less memory and fewer wake-ups.
        Command::Agent(_) => Threads::One,
        _ => Threads::PerCore,
    };
    if matches!(cli.command, Command::Webhook(_)) {
        // What a review of a megabyte needed for a moment is no reason to be large for ever.
        sys::keep_little_memory();
    }
    let ended =
        runtime::build(threads).map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(cli.command)));
    ended.unwrap_or_else(|error| {
        tracing::error!(error = telemetry::chain(error.as_ref()), "failed");
        ExitCode::from(2)
    })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Agent(args) => agent::run(args).await,
        Command::Controller(args) => controller::run(args).await,
        Command::Webhook(args) => webhook::run(args).await,
        Command::Lint(args) => {
            Ok(lint::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr().lock()).into())
        }
        Command::Scan(args) => scan::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Crds => api::crds_yaml().and_then(|yaml| runtime::print(&yaml)),
    }
}
