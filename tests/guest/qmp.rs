//! The connection to QEMU by which a machine is stopped, continued and woken (QEMU Machine Protocol).
//!
//! One JSON object a line. Events may come before an answer, and are kept for who waits for them.
//!
//! Source: https://www.qemu.org/docs/master/interop/qmp-spec.html

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// QEMU answers at once; on a busy machine, soon.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

pub(crate) struct Qmp {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    events: Vec<String>,
}

impl Qmp {
    /// Connects to the socket that QEMU was told of.
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).await.with_context(|| format!("connect to {}", socket.display()))?;
        let (read, write) = stream.into_split();
        let mut qmp = Self { lines: BufReader::new(read).lines(), write, events: Vec::new() };
        let greeting = qmp.line().await?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU greets with {greeting}");
        }
        qmp.execute("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Runs one command and returns its answer.
    pub(crate) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        self.write.write_all(format!("{request}\n").as_bytes()).await.context("QEMU has gone")?;
        loop {
            let mut line = self.line().await.with_context(|| format!("QEMU did not answer {command}"))?;
            if let Some(answer) = line.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(error) = line.get("error") {
                bail!("QEMU answers {command} with {error}");
            }
            self.note(&line);
        }
    }

    /// Runs a command of the monitor that is for people, and returns what it prints.
    pub(crate) async fn monitor(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({"command-line": line})).await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until QEMU has told of this event; each is waited for once.
    pub(crate) async fn event(&mut self, name: &str) -> Result<()> {
        loop {
            if let Some(index) = self.events.iter().position(|event| event == name) {
                self.events.drain(..=index);
                return Ok(());
            }
            let line = self.line().await.with_context(|| format!("QEMU did not tell of {name}"))?;
            self.note(&line);
        }
    }

    fn note(&mut self, line: &Value) {
        if let Some(event) = line.get("event").and_then(Value::as_str) {
            self.events.push(event.to_owned());
        }
    }

    async fn line(&mut self) -> Result<Value> {
        let line = tokio::time::timeout(ANSWER_WITHIN, self.lines.next_line()).await;
        let line = line.with_context(|| format!("not within {ANSWER_WITHIN:?}"))??;
        let line = line.context("QEMU has closed the connection")?;
        serde_json::from_str(&line).with_context(|| format!("QEMU says {line:?}"))
    }
}
