//! The name of an NTP server, as it is written in flags: `ntp://HOST[:PORT]`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// NTP's port (RFC 5905, section 7.2).
const PORT: u16 = 123;

/// An NTP server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// A name or an address, without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

/// Why a text names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Another scheme, or none.
    #[error("{0:?} does not begin with ntp://; write ntp://time.example.com or ntp://10.0.0.1:123")]
    Scheme(String),
    /// No name or address.
    #[error("{0:?} names no host; write ntp://time.example.com or ntp://[fd00::1]:123")]
    Host(String),
    /// Not a port.
    #[error("{text:?}: {port:?} is no UDP port (1 to 65535)")]
    Port {
        /// The whole text.
        text: String,
        /// The part after the colon.
        port: String,
    },
    /// An IPv6 address whose colons cannot be told from the port's.
    #[error("{text:?}: write an IPv6 address in brackets, as in ntp://[{host}]")]
    Brackets {
        /// The whole text.
        text: String,
        /// The address.
        host: String,
    },
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Server, ServerError> {
        let rest = text.strip_prefix("ntp://").ok_or_else(|| ServerError::Scheme(text.to_owned()))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let no_host = || ServerError::Host(text.to_owned());
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, after) = bracketed.split_once(']').ok_or_else(no_host)?;
            host.parse::<Ipv6Addr>().map_err(|_| no_host())?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return Err(no_host()),
            };
            (host, port)
        } else if rest.parse::<Ipv6Addr>().is_ok() {
            return Err(ServerError::Brackets { text: text.to_owned(), host: rest.to_owned() });
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        // 253 characters: the longest name that DNS holds (RFC 1035, section 2.3.4).
        if host.is_empty() || host.len() > 253 || !host.chars().all(named) {
            return Err(no_host());
        }
        let port = match port {
            None => PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| ServerError::Port { text: text.to_owned(), port: port.to_owned() })?,
        };
        Ok(Server { host: host.to_ascii_lowercase(), port })
    }
}

/// `ntp://10.0.0.1:123`, always with the port.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "ntp://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "ntp://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_written_alike() {
        for (text, shown) in [
            ("ntp://10.0.0.1", "ntp://10.0.0.1:123"),
            ("ntp://10.0.0.1:1123", "ntp://10.0.0.1:1123"),
            ("ntp://Time.Example.com/", "ntp://time.example.com:123"),
            ("ntp://[fd00::1]", "ntp://[fd00::1]:123"),
            ("ntp://[::1]:1123", "ntp://[::1]:1123"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(shown.parse(), Ok(server));
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_what_to_write() {
        for (text, says) in [
            ("", "ntp://time.example.com"),
            ("10.0.0.1", "does not begin with ntp://"),
            ("http://10.0.0.1", "does not begin with ntp://"),
            ("ntp://", "names no host"),
            ("ntp://:123", "names no host"),
            ("ntp://a b", "names no host"),
            ("ntp://user@host", "names no host"),
            ("ntp://host/path", "names no host"),
            ("ntp://[fd00::1", "names no host"),
            ("ntp://[fd00::1]123", "names no host"),
            ("ntp://[host]:123", "names no host"),
            ("ntp://fd00::1", "ntp://[fd00::1]"),
            ("ntp://host:0", "no UDP port"),
            ("ntp://host:65536", "no UDP port"),
            ("ntp://host:", "no UDP port"),
        ] {
            let error = text.parse::<Server>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
