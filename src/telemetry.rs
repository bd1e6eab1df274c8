//! Logs and metrics, the same way for every command.
//!
//! Logs go to stderr, as text for people or JSON for machines; `RUST_LOG` narrows them. Metrics are a
//! `prometheus_client` registry that each command fills and [`encode`] prints in the OpenMetrics text format.

use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `Content-Type` of what [`encode`] gives.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Starts logging. A second call does nothing.
pub fn init_logs(format: LogFormat) {
    // kube's client logs every failed request and also returns it, to code that knows what it means.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,kube=warn,kube_client=off,kube_runtime=warn,hyper=warn,tower=warn,rustls=warn")
    });
    let colours = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match format {
        LogFormat::Text => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was already started");
    }
}

/// The registry as OpenMetrics text.
#[must_use]
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => text,
        // Writing to a String cannot fail; a metric whose encoder does is worth no crash.
        Err(error) => format!("# metrics could not be encoded: {error}\n# EOF\n"),
    }
}

/// An error with everything that caused it, on one line. Our errors never repeat their source.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let inner = source.to_string();
        if !text.ends_with(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        next = source.source();
    }
    text
}
