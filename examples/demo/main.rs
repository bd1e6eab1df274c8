//! The main job, told as a story, on a real control plane with real clocks: `make demo`.
//!
//! Every step checks what it tells and the program ends with 1 at the first that is not as told. Everything that was
//! started ends with it, also on Ctrl-C; KEEP=1 leaves it running until then, for looking around.

#[path = "../../tests/support/mod.rs"]
mod support;

mod stage;
mod story;

use anyhow::Result;
use std::process::ExitCode;

/// Ended by SIGINT, as shells count it (128 + 2).
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let mut interrupted = false;
    let outcome = support::run(async {
        let stage = tokio::select! {
            told = story::tell() => told?,
            stopped = tokio::signal::ctrl_c() => {
                interrupted = true;
                return stopped.map_err(Into::into);
            }
        };
        keep(&stage).await
    });
    match outcome {
        Ok(()) if interrupted => {
            eprintln!("\ndemo: interrupted; everything that was started is stopped");
            ExitCode::from(INTERRUPTED)
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: not as told: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// With KEEP=1: until Ctrl-C.
async fn keep(stage: &stage::Stage) -> Result<()> {
    if std::env::var_os("KEEP").is_none_or(|keep| keep.is_empty() || keep == "0") {
        return Ok(());
    }
    println!("\nKEEP=1: everything goes on until Ctrl-C. In another terminal:\n");
    println!("  export KUBECONFIG={}", stage.plane.kubeconfig().display());
    println!("  kubectl get nodes,tsp,nclk\n");
    println!("The clock of node-3 is {}: write +15 or 0 there.", stage.wrong.file().display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
