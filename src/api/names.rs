//! What keys of taints and labels, values of labels and hosts may look like, as the API server will judge them.
//!
//! Files that lint reads have met no schema, and a CRD may be older than the program, so this is asked again here.
//! Does not know: fields, policies.
//!
//! Source: `k8s.io/apimachinery/pkg/util/validation` (qualified names, label values), RFC 1123.

/// Why a text is no name of that sort; reads on after the text itself.
pub type Wrong = &'static str;

fn is_word(text: &str, inner: &[char]) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || inner.contains(&c))
}

/// The key of a taint or label: `name` or `domain/name`.
///
/// # Errors
/// Says what such a key looks like.
pub fn qualified(key: &str) -> Result<(), Wrong> {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    if name.len() > 63 || !is_word(name, &['-', '_', '.']) {
        return Err("must end in a name of at most 63 letters, digits, '-', '_' or '.', with a letter or digit at \
                    either end");
    }
    let is_domain = |domain: &str| {
        domain.len() <= 253
            && domain.split('.').all(|part| is_word(part, &['-']) && !part.contains(|c: char| c.is_ascii_uppercase()))
    };
    if domain.is_some_and(|domain| !is_domain(domain)) {
        return Err("must have a domain in small letters before its slash, like example.com/clock");
    }
    Ok(())
}

/// Whether a key lies under a domain of Kubernetes itself.
#[must_use]
pub fn is_of_kubernetes(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|own| domain.strip_suffix(own).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// The value of a label; empty is one.
///
/// # Errors
/// Says what a value looks like.
pub fn label_value(value: &str) -> Result<(), Wrong> {
    if value.is_empty() || (value.len() <= 63 && is_word(value, &['-', '_', '.'])) {
        return Ok(());
    }
    Err("must be at most 63 letters, digits, '-', '_' or '.', with a letter or digit at either end")
}

/// A host name or an address, without brackets.
#[must_use]
pub fn is_host(host: &str) -> bool {
    host.parse::<std::net::Ipv6Addr>().is_ok() || (host.len() <= 253 && is_word(host, &['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_qualified_names() {
        for key in ["a", "clockwarden.io/clock-drift", "A_b.c-9", "x.y/Z", &"n".repeat(63)] {
            assert_eq!(qualified(key), Ok(()), "{key}");
        }
        let long = ["n".repeat(64), format!("{}/n", "d".repeat(254))];
        for key in ["", "-a", "a-", "a b", "/a", "a/", "a/b/c", "A.b/c", "a..b/c", "a_b/c", "ü", &long[0], &long[1]] {
            assert!(qualified(key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_domain_belongs_to_kubernetes_with_all_below_it() {
        for (key, expected) in [
            ("node.kubernetes.io/unreachable", true),
            ("kubernetes.io/x", true),
            ("x.k8s.io/y", true),
            ("notkubernetes.io/x", false),
            ("kubernetes.io.example.com/x", false),
            ("kubernetes.io", false),
        ] {
            assert_eq!(is_of_kubernetes(key), expected, "{key}");
        }
    }

    #[test]
    fn values_and_hosts() {
        for (value, expected) in [("", true), ("a", true), ("a.b_c-1", true), ("-a", false), ("a b", false)] {
            assert_eq!(label_value(value).is_ok(), expected, "{value:?}");
        }
        assert!(label_value(&"v".repeat(64)).is_err());
        for (host, expected) in [
            ("time.example.com", true),
            ("10.0.0.1", true),
            ("::1", true),
            ("[::1]", false),
            ("a:b", false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("-a", false),
        ] {
            assert_eq!(is_host(host), expected, "{host:?}");
        }
    }
}
