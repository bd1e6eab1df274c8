//! A real chronyd with ports, socket and files of its own, which controls no clock (`-x`).

use super::{free_udp_port, installed, wait_for};
use clockwarden::agent::sources::chrony;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) struct Chronyd {
    child: Child,
    dir: TempDir,
    /// Where it answers NTP.
    pub(crate) ntp: SocketAddr,
    /// Where it answers commands.
    pub(crate) command: SocketAddr,
}

impl Chronyd {
    /// A server that serves this machine's own clock.
    pub(crate) fn server() -> Chronyd {
        let chronyd = Chronyd::start("local stratum 5\n");
        wait_for("chronyd serves time", Duration::from_secs(20), || {
            let reply = chronyd.tracking()?;
            if reply.stratum == 5 { Ok(()) } else { Err(format!("{reply:?}")) }
        });
        chronyd
    }

    /// A client of that server; returns once it says that it is synchronised.
    pub(crate) fn client_of(server: SocketAddr) -> Chronyd {
        let chronyd = Chronyd::start(&follow(server));
        wait_for("chronyd synchronises", Duration::from_secs(30), || {
            let reply = chronyd.tracking()?;
            // Of its first answer alone, which may have come late, it says itself that it may be a second off.
            let bound = reply.root_dispersion_s + reply.root_delay_s / 2.0;
            let usable = reply.leap == 0 && reply.stratum > 0 && bound < 0.1;
            if usable { Ok(()) } else { Err(format!("{reply:?}\n{}", chronyd.log())) }
        });
        chronyd
    }

    /// A client of a server that does not answer.
    pub(crate) fn lost() -> Chronyd {
        let chronyd = Chronyd::start(&follow(([127, 0, 0, 1], free_udp_port()).into()));
        wait_for("chronyd answers", Duration::from_secs(20), || chronyd.tracking().map(|_| ()));
        chronyd
    }

    fn start(directives: &str) -> Chronyd {
        let program = installed("CLOCKWARDEN_TEST_CHRONYD", &["/usr/sbin/chronyd"], "chrony");
        let dir = TempDir::new().unwrap();
        // chronyd insists that nobody else may enter the folder of its socket.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o750)).unwrap();
        let (ntp, command) = (free_udp_port(), free_udp_port());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = String::from(directives);
        writeln!(config, "port {ntp}\nbindaddress 127.0.0.1\nallow 127.0.0.0/8").unwrap();
        writeln!(config, "cmdport {command}\nbindcmdaddress 127.0.0.1").unwrap();
        writeln!(config, "bindcmdaddress {}\npidfile {}", path("chronyd.sock"), path("pid")).unwrap();
        if dir.path().metadata().unwrap().uid() == 0 {
            // Else it drops to a user who cannot enter our folder.
            config.push_str("user root\n");
        }
        std::fs::write(path("conf"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new(program)
            .args(["-4", "-x", "-d", "-U", "-f", &path("conf")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Chronyd { child, dir, ntp: at(ntp), command: at(command) }
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("chronyd.sock")
    }

    /// What it writes about itself.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Its answer to a tracking request, asked without the agent.
    pub(crate) fn tracking(&self) -> Result<chrony::Reply, String> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.command).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut buffer = [0; 512];
        socket.send(&chrony::request(7)).map_err(|error| error.to_string())?;
        let length = socket.recv(&mut buffer).map_err(|error| format!("{error}\n{}", self.log()))?;
        chrony::decode(&buffer[..length], 7).map_err(|error| error.to_string())
    }

    /// The line of `chronyc tracking` that begins so, as a number of seconds.
    pub(crate) fn chronyc(&self, line: &str) -> String {
        let program = installed("CLOCKWARDEN_TEST_CHRONYC", &["/usr/bin/chronyc"], "chrony");
        let port = self.command.port().to_string();
        let output = Command::new(program).args(["-n", "-h", "127.0.0.1", "-p", &port, "tracking"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let found = text.lines().find(|l| l.starts_with(line)).unwrap_or_else(|| panic!("no {line:?} in {text}"));
        found.split_once(": ").unwrap().1.to_owned()
    }
}

fn follow(server: SocketAddr) -> String {
    // 2^-4 s between polls: synchronised within seconds.
    format!("server {} port {} iburst minpoll -4 maxpoll -4\n", server.ip(), server.port())
}

impl Drop for Chronyd {
    fn drop(&mut self) {
        // Ours alone, by its process id.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
