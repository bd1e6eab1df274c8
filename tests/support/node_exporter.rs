//! A real node_exporter on loopback.
//!
//! It reads the clock without libc (Go), so libfaketime cannot falsify it: a test that wants a node with a wrong clock
//! gives the *reference* a wrong one, or puts a proxy before it that moves `node_time_seconds`.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::process::Process;
use super::{http, scratch, tools};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running node_exporter. Dropping it ends it.
pub(crate) struct NodeExporter {
    process: Process,
    listen: SocketAddrV4,
}

impl NodeExporter {
    /// Starts it at this address, and waits until it answers.
    pub(crate) async fn start(address: Ipv4Addr, port: u16, args: &[&str]) -> Result<Self> {
        let listen = SocketAddrV4::new(address, port);
        let log = scratch::directory("node-exporter")?.join("node-exporter.log");
        let mut command = Command::new(tools::node_exporter()?);
        command.arg(format!("--web.listen-address={listen}")).args(args);
        let mut process = Process::spawn("node-exporter", command, &log)?;
        let url = format!("http://{listen}/");
        process
            .wait_ready(&format!("node_exporter to answer at {listen}"), READY_WITHIN, async || {
                let answer = http::get(&url).await?;
                ensure!(answer.status == 200, "{}", answer.status);
                Ok(())
            })
            .await?;
        Ok(Self { process, listen })
    }

    /// Where it answers.
    pub(crate) fn listen(&self) -> SocketAddrV4 {
        self.listen
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
