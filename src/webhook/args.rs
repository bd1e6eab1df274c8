//! The flags of `clockwarden webhook`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Refuses workload configuration whose clock settings the TimeSyncPolicies forbid.
#[derive(Debug, Clone, clap::Args)]
pub struct WebhookArgs {
    /// Address and port for the API server, served over TLS; reviews go to /validate
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,

    /// Address and port for /metrics, /healthz and /readyz, served in the clear
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:9556")]
    pub metrics_listen: SocketAddr,

    /// Certificate chain in PEM form, the leaf first; read again when it changes
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        required_unless_present_any = ["tls_secret", "print_configuration"]
    )]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate in PEM form; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Make the certificate and keep it in this Secret, instead of reading files
    #[arg(long, value_name = "NS/NAME", requires = "webhook_configuration", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub tls_secret: Option<SecretName>,

    /// ValidatingWebhookConfiguration that names us and has to trust the certificate of --tls-secret
    #[arg(long, value_name = "NAME", requires = "tls_secret")]
    pub webhook_configuration: Option<String>,

    /// Judge by the TimeSyncPolicies in these YAML files and ask no cluster; for development
    #[arg(long, value_name = "FILE")]
    pub policy_file: Vec<PathBuf>,

    /// Print the ValidatingWebhookConfiguration for `kubectl apply -f -`, and do nothing else
    ///
    /// Its rules are the kinds that the catalogue knows. --webhook-configuration is its name, and the namespace of
    /// --tls-secret the one of the Service clockwarden-webhook, where nothing is ever judged.
    #[arg(long)]
    pub print_configuration: bool,
}

/// `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::str::FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretName, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(SecretName { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("expected NAMESPACE/NAME, like clockwarden/webhook-tls".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};

    fn check(flags: &str, expected: Result<(), &str>) {
        let command = WebhookArgs::augment_args(clap::Command::new("webhook").no_binary_name(true));
        let got =
            command.try_get_matches_from(flags.split_whitespace()).and_then(|m| WebhookArgs::from_arg_matches(&m));
        match (got, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{flags}: {error}"),
            (got, _) => panic!("{flags}: {got:?}"),
        }
    }

    #[test]
    fn a_certificate_comes_from_two_files_or_from_one_secret() {
        check("--tls-cert c --tls-key k", Ok(()));
        check("--tls-secret ns/s --webhook-configuration w --listen 127.0.0.1:0", Ok(()));
        check("--print-configuration", Ok(()));
        check("--print-configuration --tls-secret ns/s --webhook-configuration w", Ok(()));
        check("", Err("--tls-cert"));
        check("--tls-cert c", Err("--tls-key"));
        check("--tls-key k", Err("--tls-cert"));
        check("--tls-secret ns/s", Err("--webhook-configuration"));
        check("--webhook-configuration w", Err("--tls-secret"));
        check("--tls-cert c --tls-key k --tls-secret ns/s --webhook-configuration w", Err("cannot be used with"));
        for wrong in ["s", "/s", "ns/", "a/b/c"] {
            check(&format!("--tls-secret {wrong} --webhook-configuration w"), Err("expected NAMESPACE/NAME"));
        }
    }
}
