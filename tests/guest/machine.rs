//! A virtual machine: QEMU as a child process, its control socket, and the two ports that lead into it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clockwarden::runtime::mono_now;
use rustix::process::Signal;
use serde_json::json;

use super::image;
use super::init;
use super::orders::{Order, Orders};
use super::parts::Parts;
use super::qmp::Qmp;
use crate::support::{Process, scratch};

/// Ports in the guest.
pub(crate) const ORDERS_PORT: u16 = 7000;
pub(crate) const AGENT_PORT: u16 = 9555;
/// The guest's own address, and this machine's as the guest sees it: those of QEMU's user network.
pub(crate) const GUEST_ADDRESS: &str = "10.0.2.15";
pub(crate) const HOST_ADDRESS: &str = "10.0.2.2";

/// With other work on both cores 38 s have been seen.
const BOOT_WITHIN: Duration = Duration::from_secs(180);
/// The filesystem is in there twice while the kernel unpacks it: unstripped binaries have 75 MB each.
const MEMORY_MIB: u32 = 512;

/// A running guest. Dropping it ends it.
pub(crate) struct Machine {
    process: Process,
    qmp: Qmp,
    /// Where process 1 takes orders.
    pub(crate) orders: Orders,
    /// Where the agent answers.
    pub(crate) agent: SocketAddrV4,
}

impl Machine {
    /// Starts the guest and waits until its first process takes orders.
    pub(crate) async fn start(parts: &Parts) -> Result<Self> {
        let directory = scratch::directory("guest")?;
        let log = directory.join("guest.log");
        let socket = directory.join("qmp.sock");
        let image = image::write(parts, &directory)?;
        let command = command(parts, &image, &log, &socket);
        let mut process = Process::spawn("the guest", command, &log)?;
        let what = "QEMU's control socket";
        let mut qmp = process.wait_ready(what, BOOT_WITHIN, async || Qmp::connect(&socket).await).await?;
        let network = qmp.monitor("info usernet").await?;
        let orders = Orders::at(forwarded(&network, ORDERS_PORT)?);
        let agent = forwarded(&network, AGENT_PORT)?;
        process
            .wait_ready("the guest to take orders", BOOT_WITHIN, async || orders.give::<()>(&Order::Hello).await)
            .await?;
        Ok(Self { process, qmp, orders, agent })
    }

    /// Freezes the whole machine, with all its clocks, for about `pause`, as a hypervisor does when it migrates or
    /// snapshots. Returns for how long at least and at most, by this machine's clock.
    pub(crate) async fn pause(&mut self, pause: Duration) -> Result<(Duration, Duration)> {
        let before = mono_now();
        self.qmp.execute("stop", json!({})).await?;
        self.qmp.event("STOP").await?;
        let stopped = mono_now();
        tokio::time::sleep(pause).await;
        let ended = mono_now();
        self.qmp.execute("cont", json!({})).await?;
        self.qmp.event("RESUME").await?;
        Ok((ended.since(stopped), mono_now().since(before)))
    }

    /// Stops the process that the machine is, for `stall`, as an overloaded host does.
    pub(crate) async fn stall(&mut self, stall: Duration) -> Result<()> {
        self.process.signal(Signal::STOP)?;
        tokio::time::sleep(stall).await;
        self.process.signal(Signal::CONT)
    }

    /// Waits until the guest sleeps (it was ordered to), wakes it after `sleep`, and returns how long it slept at least.
    pub(crate) async fn wake_after(&mut self, sleep: Duration) -> Result<Duration> {
        self.qmp.event("SUSPEND").await?;
        let asleep = mono_now();
        tokio::time::sleep(sleep).await;
        let slept = mono_now().since(asleep);
        self.qmp.execute("system_wakeup", json!({})).await?;
        self.qmp.event("WAKEUP").await?;
        Ok(slept)
    }

    /// What the guest's console has shown.
    pub(crate) fn log(&self) -> Result<String> {
        self.process.log()
    }
}

fn command(parts: &Parts, image: &Path, log: &Path, socket: &Path) -> Command {
    let mut command = Command::new(&parts.qemu);
    // Emulation is the same everywhere; /dev/kvm may be there and not work.
    command.args(["-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", &MEMORY_MIB.to_string()]);
    command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    // The clock of the board follows this machine's, also while the guest is stopped, as a real one does.
    command.args(["-rtc", "base=utc,clock=host"]);
    command.arg("-chardev").arg(format!("file,id=console,append=on,path={}", log.display()));
    command.args(["-serial", "chardev:console"]);
    command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display()));
    // Loopback only; port 0 lets QEMU choose a free one.
    let forward = |port: u16| format!("hostfwd=tcp:127.0.0.1:0-{GUEST_ADDRESS}:{port}");
    command.arg("-netdev").arg(format!("user,id=net,{},{}", forward(ORDERS_PORT), forward(AGENT_PORT)));
    command.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    command.arg("-kernel").arg(&parts.kernel).arg("-initrd").arg(image);
    // A panic (process 1 has ended) ends QEMU. What stands behind -- is for process 1, and so are NAME=VALUE words.
    command.arg("-append").arg(format!(
        "console=ttyS0 quiet panic=-1 mitigations=off {} LD_LIBRARY_PATH={} -- {}",
        init::ROLE,
        image::LIBRARIES,
        init::ARGUMENTS
    ));
    command
}

/// Where this machine reaches a port of the guest, from the table that QEMU prints for people: protocol and state,
/// file descriptor, source address and port, destination address and port, and two lengths.
fn forwarded(table: &str, guest_port: u16) -> Result<SocketAddrV4> {
    let port = table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == GUEST_ADDRESS)?;
        (words.get(at + 1)?.parse() == Ok(guest_port)).then(|| words.get(at - 1)?.parse().ok())?
    });
    let port: u16 = port.with_context(|| format!("no port leads to {guest_port} of the guest:\n{table}"))?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
