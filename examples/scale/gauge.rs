//! What a process costs, and what the controller asks of the API server.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::support::requests::AuditedWrite;
use crate::support::wait::mono_now;

/// USER_HZ: what `/proc/PID/stat` counts in on every Linux of today (proc_pid_stat(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    at: Instant,
    cpu_s: f64,
}

/// What it used between two looks.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Used {
    /// Seconds between the looks.
    pub(crate) seconds: f64,
    /// Seconds of CPU time, user and system.
    pub(crate) cpu_seconds: f64,
}

impl Used {
    /// Cores that were busy.
    pub(crate) fn cores(&self) -> f64 {
        self.cpu_seconds / self.seconds.max(1e-9)
    }
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Usage> {
        let path = format!("/proc/{pid}/stat");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
        let (_, fields) = text.rsplit_once(") ").with_context(|| format!("{path}: {text}"))?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        Ok(Usage { at: mono_now(), cpu_s: ticks.with_context(|| format!("{path}: {text}"))? / TICKS_PER_SECOND })
    }

    pub(crate) fn since(&self, earlier: &Usage) -> Used {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        Used { seconds, cpu_seconds: self.cpu_s - earlier.cpu_s }
    }
}

/// Resident memory, MiB: now, and the most there ever was.
pub(crate) fn resident_mib(pid: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        Ok(kib.with_context(|| format!("{path}: no {name}"))? / 1024.0)
    };
    Ok((field("VmRSS")?, field("VmHWM")?))
}

/// The value of a series on a page of metrics: the first line that begins with `series`.
pub(crate) fn metric(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

/// The requests of the controller, as the API server audits them, from where it was looked at last.
pub(crate) struct Requests {
    path: PathBuf,
    read: u64,
    untaken: Counts,
}

/// How many, by verb and resource: `patch nodes`, `update leases`.
pub(crate) type Counts = BTreeMap<String, u64>;

impl Requests {
    pub(crate) fn of(path: PathBuf) -> Requests {
        Requests { path, read: 0, untaken: Counts::new() }
    }

    /// Those since this was called last.
    pub(crate) fn take(&mut self) -> Result<Counts> {
        self.look()?;
        Ok(std::mem::take(&mut self.untaken))
    }

    /// Those since somebody looked last. A watch counts when it begins.
    pub(crate) fn look(&mut self) -> Result<Counts> {
        let context = || format!("cannot read {}", self.path.display());
        let mut file = std::fs::File::open(&self.path).with_context(context)?;
        file.seek(SeekFrom::Start(self.read)).with_context(context)?;
        let mut new = Vec::new();
        file.read_to_end(&mut new).with_context(context)?;
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += u64::try_from(whole)?;
        let mut counts = Counts::new();
        for line in new.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let stage: Staged = serde_json::from_slice(line).context("the audit log is not as expected")?;
            let request: AuditedWrite = serde_json::from_slice(line).context("the audit log is not as expected")?;
            if request.verb == "watch" && stage.stage != "ResponseStarted" {
                continue;
            }
            let object = request.object_ref;
            let resource = object.as_ref().and_then(|it| it.resource.clone()).unwrap_or_default();
            let sub = object.and_then(|it| it.subresource).map(|sub| format!("/{sub}")).unwrap_or_default();
            let code = request.response_status.and_then(|status| status.code).unwrap_or(0);
            let failed = if code >= 400 { format!(" ({code})") } else { String::new() };
            *counts.entry(format!("{} {resource}{sub}{failed}", request.verb)).or_default() += 1;
        }
        for (kind, count) in &counts {
            *self.untaken.entry(kind.clone()).or_default() += count;
        }
        Ok(counts)
    }
}

#[derive(serde::Deserialize)]
struct Staged {
    stage: String,
}

/// Of sorted values: the one that so many per cent do not exceed.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
