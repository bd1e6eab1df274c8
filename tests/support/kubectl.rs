//! kubectl, as a user runs it, against one control plane.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::control_plane::ControlPlane;
use super::tools;

/// What a run of kubectl printed.
#[derive(Debug)]
pub(crate) struct KubectlOutput {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl ControlPlane {
    /// Runs kubectl as the administrator, with nothing on its standard input.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<KubectlOutput> {
        self.kubectl_fed(args, "").await
    }

    /// Runs kubectl as the administrator with this standard input, as `kubectl apply -f -` wants.
    pub(crate) async fn kubectl_fed(&self, args: &[&str], input: &str) -> Result<KubectlOutput> {
        let mut command = Command::new(tools::control_plane("kubectl")?);
        command
            .args(args)
            .env("KUBECONFIG", self.kubeconfig())
            // For its cache, which belongs to this API server alone.
            .env("HOME", self.directory())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().context("cannot start kubectl")?;
            if let Some(mut stdin) = child.stdin.take() {
                // kubectl may end before it has read everything; its exit code tells.
                let _ = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output().context("cannot wait for kubectl")
        })
        .await??;
        Ok(KubectlOutput {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
