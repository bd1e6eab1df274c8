//! Every file of `examples/` does what it is an example of: `lint` and the installed webhook let the safe ones pass
//! and refuse the unsafe ones, and the API server takes the policies.
//!
//! The webhook has the arguments, the identity and the configuration of `deploy/install.yaml`; only its address is
//! another, because nothing here routes a Service, and failurePolicy is Fail, so that nothing passes unasked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clockwarden::api::{TimeSyncPolicy, convert};
use serde_json::json;

use crate::install::manifest::{Manifest, NAMESPACE};
use crate::install::{apply, free_port, installed};
use crate::support::{Clockwarden, ControlPlane, Outcome, binary, requests, run, wait_for};

const SOON: Duration = Duration::from_secs(30);
const WEBHOOK: &str = "clockwarden-webhook";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Policy,
    Safe,
    Unsafe,
}

/// All of them; what fits no kind is an error.
fn examples() -> Result<Vec<(PathBuf, Is)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for (directory, is) in [("examples", Is::Policy), ("examples/safe", Is::Safe), ("examples/unsafe", Is::Unsafe)] {
        for entry in std::fs::read_dir(root.join(directory)).with_context(|| format!("cannot read {directory}"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("yaml") => all.push((Path::new(directory).join(&name), is)),
                // Programs, and the folders of this list.
                _ if is == Is::Policy && path.is_dir() => {}
                _ => bail!("{directory}/{name} is no .yaml: no test would look at it"),
            }
        }
    }
    Ok(all)
}

#[test]
fn lint_passes_the_safe_ones_and_refuses_the_unsafe_ones() -> Outcome {
    run(async {
        let examples = examples()?;
        for is in [Is::Policy, Is::Safe, Is::Unsafe] {
            ensure!(examples.iter().any(|(_, other)| *other == is), "there is no example that is {is:?}");
        }
        for (path, is) in &examples {
            let path = path.display().to_string();
            let said = binary::output(["lint", "--policy", "examples/policy.yaml", &path])?;
            let expected = if *is == Is::Unsafe { 1 } else { 0 };
            ensure!(said.status.code() == Some(expected), "lint {path}: {said:?}");
            let text = String::from_utf8_lossy(&said.stdout);
            ensure!((*is == Is::Unsafe) == text.contains("fix: "), "lint {path} says: {text}");
        }
        for (path, _) in examples.iter().filter(|(_, is)| *is == Is::Unsafe) {
            let mended = path.to_string_lossy().replace("unsafe", "safe");
            ensure!(Path::new(&mended).exists(), "{} has no mended form {mended}", path.display());
        }
        Ok(())
    })
}

#[test]
fn the_installed_webhook_admits_the_safe_ones_and_refuses_the_unsafe_ones() -> Outcome {
    run(async {
        let plane = installed().await?;
        certificate_survives_another_apply(&plane).await?;

        let port = free_port()?;
        let here = json!([
            {"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": format!("https://127.0.0.1:{port}/validate")}},
            {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
        ]);
        kubectl(
            &plane,
            &["patch", "validatingwebhookconfiguration", "clockwarden", "--type=json", "-p", &here.to_string()],
        )
        .await?;
        let webhook = start(&plane, port).await?;
        for (path, is) in examples()? {
            if is == Is::Policy {
                let path = path.display().to_string();
                kubectl(&plane, &["apply", "-f", &path]).await?;
                let text = std::fs::read_to_string(&path)?;
                let policy: TimeSyncPolicy =
                    serde_saphyr::from_str(&text).with_context(|| format!("{path} has no type"))?;
                convert::policy(&policy).with_context(|| path)?;
            }
        }
        let unsafe_ones: Vec<String> = examples()?
            .iter()
            .filter(|(_, is)| *is == Is::Unsafe)
            .map(|(path, _)| path.display().to_string())
            .collect();
        for path in &unsafe_ones {
            // The policies reach the webhook a moment after they are stored; a dry run stores nothing until then.
            let refusal = wait_for(&format!("{path} to be refused"), SOON, async || {
                let said = plane.kubectl(&["apply", "--dry-run=server", "-f", path]).await?;
                ensure!(!said.success, "it was admitted");
                Ok(said.stderr)
            })
            .await?;
            for part in ["denied the request", "is refused by TimeSyncPolic", "Fix: "] {
                ensure!(refusal.contains(part), "{path}: no {part:?} in {refusal}");
            }
        }
        for (path, is) in examples()? {
            let path = path.display().to_string();
            let said = plane.kubectl(&["apply", "-f", &path]).await?;
            ensure!(said.success == (is != Is::Unsafe), "{path} ({is:?}): {said:?}");
            ensure!(is == Is::Unsafe || said.stderr.is_empty(), "{path} is admitted with a warning: {}", said.stderr);
        }

        // Where the cluster itself and the webhook live, nobody is asked.
        for namespace in ["kube-system", NAMESPACE] {
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "unasked", "namespace": namespace},
                "data": {"application.properties": "app.jwt.clock-skew-seconds=0"},
            });
            let said = plane.kubectl_fed(&["apply", "-f", "-"], &map.to_string()).await?;
            ensure!(said.success && said.stderr.is_empty(), "{namespace}: {said:?}");
        }
        let log = webhook.end().await?;
        ensure!(!log.contains("forbidden"), "the webhook was refused something:\n{log}");
        assert_eq!(writes(&plane)?, granted()?);
        Ok(())
    })
}

/// Started as installed, it fills the Secret that was shipped empty and makes the API server trust it; applying the
/// manifest again takes neither back.
async fn certificate_survives_another_apply(plane: &ControlPlane) -> Result<()> {
    let webhook = start(plane, free_port()?).await?;
    webhook.end().await?;
    let trusted = async || -> Result<(String, String)> {
        let bundle = "jsonpath={.webhooks[0].clientConfig.caBundle}";
        let configured =
            kubectl(plane, &["get", "validatingwebhookconfiguration", "clockwarden", "-o", bundle]).await?;
        let secret = "jsonpath={.data.ca\\.crt}";
        let made = kubectl(plane, &["get", "secret", "-n", NAMESPACE, "clockwarden-webhook-tls", "-o", secret]).await?;
        Ok((configured, made))
    };
    let (configured, made) = trusted().await?;
    ensure!(!made.is_empty() && configured == made, "the API server trusts {configured:?}, the Secret has {made:?}");
    apply(plane, &[]).await?;
    assert_eq!(trusted().await?, (configured, made), "applied again");
    Ok(())
}

/// The webhook as its pod would run it.
struct Webhook(Clockwarden);

async fn start(plane: &ControlPlane, port: u16) -> Result<Webhook> {
    let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, WEBHOOK).await?;
    let (listen, metrics) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free_port()?));
    let mut args = Manifest::read()?.args("Deployment", WEBHOOK)?;
    args.extend(["--listen".to_owned(), listen, "--metrics-listen".to_owned(), metrics.clone()]);
    let mut process = Clockwarden::start("webhook", args, |command| {
        command.env("KUBECONFIG", kubeconfig).env("RUST_LOG", "info");
    })?;
    process.wait_http(&format!("http://{metrics}/readyz"), SOON).await?;
    Ok(Webhook(process))
}

impl Webhook {
    /// What it has logged.
    async fn end(mut self) -> Result<String> {
        let ended = self.0.terminate(SOON).await?;
        let log = self.0.log()?;
        ensure!(ended.success(), "{ended}\n{log}");
        Ok(log)
    }
}

async fn kubectl(plane: &ControlPlane, args: &[&str]) -> Result<String> {
    let said = plane.kubectl(args).await?;
    ensure!(said.success, "kubectl {args:?}: {}", said.stderr);
    Ok(said.stdout)
}

/// Resource and verb of everything that the webhook wrote.
fn writes(plane: &ControlPlane) -> Result<BTreeSet<(String, String)>> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{WEBHOOK}");
    let writes = requests::writes_of(plane, &user)?;
    let resource = |write: &requests::AuditedWrite| write.object_ref.clone().and_then(|object| object.resource);
    Ok(writes.into_iter().map(|write| (resource(&write).unwrap_or_default(), write.verb)).collect())
}

/// Resource and verb of everything that it may write.
fn granted() -> Result<BTreeSet<(String, String)>> {
    let rights = Manifest::read()?.rights_of(WEBHOOK)?.into_iter();
    let written = rights.filter(|(_, _, verb)| !matches!(verb.as_str(), "get" | "list" | "watch"));
    Ok(written.map(|(_, resource, verb)| (resource, verb)).collect())
}
