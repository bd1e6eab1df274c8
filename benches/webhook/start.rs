//! How long does the program take until it answers reviews?

use crate::server::Identity;
use anyhow::{Context, ensure};
use clockwarden::runtime::mono_now;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// From the start of `clockwarden webhook` to its first 200 for `/readyz`, looked at every millisecond.
pub(crate) async fn until_ready(identity: &Identity) -> anyhow::Result<Duration> {
    let address = free_address()?;
    let (certificate, key) = identity.files();
    let started = mono_now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_clockwarden"))
        .args(["webhook", "--listen", "127.0.0.1:0", "--metrics-listen", &address.to_string()])
        .args(["--policy-file", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policy.yaml"), "--tls-cert"])
        .arg(certificate)
        .arg("--tls-key")
        .arg(key)
        .stderr(Stdio::null())
        .spawn()?;
    let ready = wait(&mut process, address, started).await;
    // It is ours; it may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
    ready
}

async fn wait(process: &mut Child, address: SocketAddr, started: clockwarden::clock::Mono) -> anyhow::Result<Duration> {
    loop {
        if is_ready(address) {
            return Ok(mono_now().since(started));
        }
        ensure!(process.try_wait()?.is_none(), "clockwarden webhook ended instead of getting ready");
        ensure!(mono_now().since(started) < Duration::from_secs(10), "clockwarden webhook is not ready after 10 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Free a moment ago; nobody else here picks from the kernel's range in between.
fn free_address() -> anyhow::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().context("no address")
}
