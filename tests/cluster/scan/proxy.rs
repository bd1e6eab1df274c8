//! A TCP proxy in front of an API server that can cut or stall what runs through it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Passes them on.
    Flows,
    /// Keeps them, and the connections, for later.
    Stalls,
    /// Closes every connection, and takes none.
    Cut,
}

/// Runs until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    traffic: watch::Sender<Traffic>,
    held: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of the API server of this URL.
    pub(crate) async fn start(url: &str) -> Result<Proxy> {
        let target = url.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (traffic, seen) = watch::channel(Traffic::Flows);
        let held = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&held);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, target.clone(), seen.clone(), Arc::clone(&count)));
            }
        });
        Ok(Proxy { address, traffic, held, task })
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// How many connections have something that is kept back, in either direction.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The same identity as in `kubeconfig`, through this proxy.
    pub(crate) fn kubeconfig(&self, kubeconfig: &Path) -> Result<PathBuf> {
        let mut config: Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
        config["clusters"][0]["cluster"]["server"] = format!("https://{}", self.address).into();
        let path = kubeconfig.with_extension(format!("{}.kubeconfig", self.address.port()));
        std::fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(client: TcpStream, target: String, mut traffic: watch::Receiver<Traffic>, held: Arc<AtomicUsize>) {
    if *traffic.borrow() == Traffic::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    // A proxy that saves up small packets would be a delay of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    let (up, down) = (traffic.clone(), traffic.clone());
    tokio::select! {
        () = pass(client_in, server_out, up, &held) => {}
        () = pass(server_in, client_out, down, &held) => {}
        _ = traffic.wait_for(|it| *it == Traffic::Cut) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
    held: &AtomicUsize,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        held.fetch_add(1, Ordering::Relaxed);
        let may = traffic.wait_for(|it| *it != Traffic::Stalls).await.is_ok();
        held.fetch_sub(1, Ordering::Relaxed);
        if !may || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
