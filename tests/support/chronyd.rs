//! A real chronyd on loopback that never touches this machine's clock.
//!
//! `-x` takes the clock away from it; sockets, ports and files are its own, so that it runs beside the
//! machine's chronyd and without root. As a reference it serves this machine's time at a stratum of its
//! choice; as a follower it measures another and answers `tracking` with what it found.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::faketime::Faketime;
use super::process::Process;
use super::{scratch, tools};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A port that was free may be taken before chronyd binds it; so often we try others.
const PORT_ATTEMPTS: u32 = 4;

/// A running chronyd. Dropping it ends it.
pub(crate) struct Chronyd {
    process: Process,
    ntp: SocketAddrV4,
    command: SocketAddrV4,
    socket: PathBuf,
}

impl Chronyd {
    /// A server of this machine's own time, at stratum 8, on any port of this address.
    pub(crate) async fn reference(address: Ipv4Addr) -> Result<Self> {
        Self::start(address, &["local stratum 8".to_owned()], |_| {}).await
    }

    /// A server whose time is wrong, by whatever this clock says, to within a millisecond.
    pub(crate) async fn wrong_reference(address: Ipv4Addr, clock: &Faketime) -> Result<Self> {
        Self::start(address, &["local stratum 8".to_owned()], |command| clock.apply(command)).await
    }

    /// Follows another server, and waits until it has selected it.
    ///
    /// The address must differ from the server's, or chronyd sees a loop.
    pub(crate) async fn following(address: Ipv4Addr, server: SocketAddrV4) -> Result<Self> {
        // Polls of a quarter of a second: it answers within a second or two rather than ten.
        let source = format!("server {} port {} iburst minpoll -2 maxpoll -2", server.ip(), server.port());
        let mut chronyd = Self::start(address, &[source], |_| {}).await?;
        let (command, part) = (chronyd.command, "Leap status     : Normal");
        let what = format!("chronyd on {address} to follow {server}");
        chronyd
            .process
            .wait_ready(&what, READY_WITHIN, async || {
                let tracking = ask(command, &["tracking"])?;
                ensure!(tracking.contains(part), "it tracks:\n{tracking}");
                Ok(())
            })
            .await?;
        Ok(chronyd)
    }

    /// Starts it with further directives of chrony.conf(5) and waits until it answers commands.
    ///
    /// `prepare` may add to its environment.
    pub(crate) async fn start(
        address: Ipv4Addr,
        directives: &[String],
        prepare: impl Fn(&mut Command),
    ) -> Result<Self> {
        let directory = scratch::directory("chronyd")?;
        let mut attempt = 1;
        loop {
            let outcome = Self::start_once(address, directives, &prepare, &directory).await;
            let taken = |error: &anyhow::Error| format!("{error:#}").contains("Could not open");
            match outcome {
                Err(error) if attempt < PORT_ATTEMPTS && taken(&error) => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    async fn start_once(
        address: Ipv4Addr,
        directives: &[String],
        prepare: impl Fn(&mut Command),
        directory: &Path,
    ) -> Result<Self> {
        let (ntp, command) = free_ports(address)?;
        let socket = directory.join("chronyd.sock");
        let config = directory.join("chrony.conf");
        fs::write(
            &config,
            format!(
                "port {}\nbindaddress {address}\ncmdport {}\nbindcmdaddress {address}\nbindcmdaddress {}\n\
                 allow 127/8\ncmdallow 127/8\npidfile {}\n{}\n",
                ntp.port(),
                command.port(),
                socket.display(),
                directory.join("chronyd.pid").display(),
                directives.join("\n"),
            ),
        )?;
        // -x: never touch the clock. -d: stay in the foreground. -U and -u: stay who we are, without root.
        let mut chronyd = Command::new(tools::chronyd()?);
        let user = own_name()?;
        chronyd.args(["-x", "-d", "-U", "-u", &user, "-f"]).arg(&config);
        prepare(&mut chronyd);
        let mut process = Process::spawn("chronyd", chronyd, &directory.join("chronyd.log"))?;
        let what = format!("chronyd to answer on {command}");
        process.wait_ready(&what, READY_WITHIN, async || ask(command, &["tracking"]).map(drop)).await?;
        Ok(Self { process, ntp, command, socket })
    }

    /// Where it answers NTP.
    pub(crate) fn ntp(&self) -> SocketAddrV4 {
        self.ntp
    }

    /// Where it answers its command protocol over UDP.
    pub(crate) fn command(&self) -> SocketAddrV4 {
        self.command
    }

    /// Where it answers its command protocol over a Unix socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Runs `chronyc -n ARGS…` through its socket, where it obeys every command, and returns what that prints.
    pub(crate) fn chronyc(&self, args: &[&str]) -> Result<String> {
        chronyc(Command::new(tools::chronyc()?).arg("-h").arg(&self.socket), args)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Over UDP chronyd answers, but changes nothing.
fn ask(server: SocketAddrV4, args: &[&str]) -> Result<String> {
    let mut command = Command::new(tools::chronyc()?);
    command.args(["-h", &server.ip().to_string(), "-p", &server.port().to_string()]);
    chronyc(&mut command, args)
}

fn chronyc(command: &mut Command, args: &[&str]) -> Result<String> {
    let output = command.arg("-n").args(args).output().context("cannot run chronyc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "chronyc {args:?} says: {}", text.trim());
    Ok(text)
}

/// chronyd wants a user by name, and would change to its package's own.
fn own_name() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("cannot run id")?;
    ensure!(output.status.success(), "chronyd needs a user with a name: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

fn free_ports(address: Ipv4Addr) -> Result<(SocketAddrV4, SocketAddrV4)> {
    let held = [UdpSocket::bind((address, 0)), UdpSocket::bind((address, 0))];
    let [ntp, command] = held.map(|socket| anyhow::Ok(socket?.local_addr()?.port()));
    Ok((
        SocketAddrV4::new(address, ntp.with_context(|| format!("no free port on {address}"))?),
        SocketAddrV4::new(address, command?),
    ))
}
