//! A real Prometheus on loopback, with a configuration that a test can change.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::Process;
use super::{http, scratch, tools};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running Prometheus. Dropping it ends it.
pub(crate) struct Prometheus {
    process: Process,
    config: PathBuf,
    url: String,
}

impl Prometheus {
    /// Starts it with these entries of `scrape_configs`, every second, and waits until it answers.
    ///
    /// `prefix` is the path under which it serves: empty, or `/prometheus`.
    pub(crate) async fn start(address: Ipv4Addr, prefix: &str, scrapes: &Value) -> Result<Self> {
        let directory = scratch::directory("prometheus")?;
        let config = directory.join("prometheus.yml");
        write(&config, scrapes)?;
        let listen = free_port(address)?;
        let mut command = Command::new(tools::prometheus()?);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={listen}"))
            .arg(format!("--web.route-prefix={}", if prefix.is_empty() { "/" } else { prefix }));
        let mut process = Process::spawn("prometheus", command, &directory.join("prometheus.log"))?;
        let url = format!("http://{listen}{prefix}");
        let ready = format!("{url}/-/ready");
        process
            .wait_ready(&format!("Prometheus to answer at {url}"), READY_WITHIN, async || {
                let answer = http::get(&ready).await?;
                ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
                Ok(())
            })
            .await?;
        Ok(Self { process, config, url })
    }

    /// Its base URL, with the prefix.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Replaces `scrape_configs`; Prometheus reads it at once, and ends the series of targets that are gone.
    pub(crate) fn change(&mut self, scrapes: &Value) -> Result<()> {
        write(&self.config, scrapes)?;
        self.process.signal(Signal::HUP)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// JSON is YAML.
fn write(config: &PathBuf, scrapes: &Value) -> Result<()> {
    let whole = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
        "scrape_configs": scrapes,
    });
    fs::write(config, whole.to_string()).with_context(|| format!("cannot write {}", config.display()))
}

fn free_port(address: Ipv4Addr) -> Result<SocketAddrV4> {
    let port = TcpListener::bind((address, 0)).with_context(|| format!("no free port on {address}"))?.local_addr()?;
    Ok(SocketAddrV4::new(address, port.port()))
}
