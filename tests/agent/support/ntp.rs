//! An NTP server that says whatever a test wants.

use clockwarden::runtime::wall_now;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Serves this machine's clock, this many nanoseconds ahead.
    Ahead(i64),
    /// Sends these bytes, whatever was asked.
    Noise(&'static [u8]),
    /// Kiss of death.
    Kiss(&'static [u8; 4]),
    /// A good answer to another question.
    WrongCookie,
    /// A good answer behind a dozen forged ones.
    Flooded,
    /// Nothing.
    Silent,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(manner: Manner) -> Server {
        Server::start_at(Ipv4Addr::LOCALHOST.into(), manner)
    }

    pub(crate) fn start_at(ip: IpAddr, manner: Manner) -> Server {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (asked.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                counter.fetch_add(1, Ordering::Relaxed);
                for answer in answers(manner, &question[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Server { address, asked, stop }
    }

    pub(crate) fn url(&self) -> String {
        format!("ntp://{}", self.address)
    }

    /// How many questions have come.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn answers(manner: Manner, question: &[u8]) -> Vec<Vec<u8>> {
    match manner {
        Manner::Ahead(ahead) => vec![packet(question, ahead)],
        Manner::Noise(bytes) => vec![bytes.to_vec()],
        Manner::Kiss(code) => {
            let mut bytes = packet(question, 0);
            (bytes[0], bytes[1]) = (0xE4, 0);
            bytes[12..16].copy_from_slice(code);
            vec![bytes]
        }
        Manner::WrongCookie => vec![forged(question)],
        Manner::Flooded => {
            let mut all = vec![forged(question); 12];
            all.push(packet(question, 0));
            all
        }
        Manner::Silent => vec![],
    }
}

fn forged(question: &[u8]) -> Vec<u8> {
    let mut bytes = packet(question, 3_600_000_000_000);
    bytes[24] ^= 0xFF;
    bytes
}

fn packet(question: &[u8], ahead: i64) -> Vec<u8> {
    let now = |ahead: i64| {
        let since_1900 = i128::from(wall_now().unix_nanos() + ahead) + 2_208_988_800_000_000_000;
        (((since_1900 << 32) / 1_000_000_000) as u64).to_be_bytes()
    };
    let arrived = now(ahead);
    let mut bytes = vec![0x24, 1, 4, 0xEC];
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend(*b"GPS\0");
    bytes.extend(arrived);
    bytes.extend(question.get(40..48).unwrap_or(&[0; 8]));
    bytes.extend(arrived);
    bytes.extend(now(ahead));
    bytes
}
