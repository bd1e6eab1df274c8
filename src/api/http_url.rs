//! The base URL of an HTTP API, as a policy may name it: `http://HOST[:PORT][/PATH]` and nothing else.
//!
//! No user and password, because everybody who may read a policy would read them; no query and fragment, because our
//! own path is appended; no `https`, because this version speaks no TLS to what it measures with.

use super::names;

/// Why a text is no such URL; reads on after the text itself.
pub type Wrong = &'static str;

/// The URL in its one form: the host in small letters, no slash at the end.
///
/// # Errors
/// Says what to write instead.
pub fn base(text: &str) -> Result<String, Wrong> {
    if text.starts_with("https://") {
        return Err("begins with https://: this version speaks no TLS to it; write http://HOST[:PORT][/PATH]");
    }
    let rest = text.strip_prefix("http://").ok_or("is not http://HOST[:PORT][/PATH]")?;
    if rest.contains('@') {
        return Err("has a user or password (or '@'): whoever may read a policy could read it; put a proxy that adds \
                    it between, or let the controller in without one");
    }
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '/' | '-');
    if !path.chars().all(plain) {
        return Err("has a path with more than letters, digits and . _ ~ - /; a query or fragment is no part of it");
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((host, after)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, after),
        Some(_) => return Err("has brackets around what is no IPv6 address"),
        None => authority.split_at_checked(authority.find(':').unwrap_or(authority.len())).unwrap_or((authority, "")),
    };
    if !names::is_host(host) {
        return Err("has no host: write http://HOST[:PORT][/PATH], with brackets around an IPv6 address");
    }
    let is_port = |digits: &str| !digits.starts_with(['0', '+']) && digits.parse::<u16>().is_ok();
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("has a port that is not 1 to 65535");
    }
    Ok(format!("http://{}{}", authority.to_ascii_lowercase(), path.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        match (base(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(wrong), Err(says)) => assert!(wrong.contains(says), "{text}: {wrong}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn one_form_of_what_can_be_asked() {
        check("http://prometheus.monitoring:9090", Ok("http://prometheus.monitoring:9090"));
        check("http://P.example/", Ok("http://p.example"));
        check("http://10.0.0.1/Base/path/", Ok("http://10.0.0.1/Base/path"));
        check("http://[fd00::7]:9090/a", Ok("http://[fd00::7]:9090/a"));
    }

    #[test]
    fn what_cannot_is_told_with_what_to_write_instead() {
        for (text, says) in [
            ("https://p:9090", "no TLS"),
            ("prometheus:9090", "is not http://HOST"),
            ("HTTP://p", "is not http://HOST"),
            ("http://user:secret@p", "user or password"),
            ("http://p/?query=up", "query or fragment"),
            ("http://p/#x", "query or fragment"),
            ("http://p/a b", "query or fragment"),
            ("http://", "no host"),
            ("http:///path", "no host"),
            ("http://:9090", "no host"),
            ("http://fd00::7/", "port"),
            ("http://::1/", "no host"),
            ("http://[fd00::7", "no host"),
            ("http://[p]", "no IPv6"),
            ("http://p:0", "1 to 65535"),
            ("http://p:65536", "1 to 65535"),
            ("http://p:+80", "1 to 65535"),
            ("http://p:", "1 to 65535"),
            ("http://[::1]9090", "1 to 65535"),
        ] {
            check(text, Err(says));
        }
    }
}
