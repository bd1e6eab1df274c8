//! Where the parts of a guest are; `scripts/guest` knows, and fetches what is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The script's word for "there can be no guest here".
const NONE: i32 = 2;

/// What a guest is made of, apart from what was built here.
pub(crate) struct Parts {
    /// The emulator.
    pub(crate) qemu: PathBuf,
    /// What it boots.
    pub(crate) kernel: PathBuf,
    /// The kernel's modules, with a file `order`; `None` if it has built in what reaches the network.
    pub(crate) modules: Option<PathBuf>,
    /// The one tool that the first process needs.
    pub(crate) busybox: PathBuf,
}

/// The parts, or why there are none.
pub(crate) enum Found {
    Parts(Parts),
    Nothing { because: String },
}

/// Asks the script, which reports progress on stderr and takes no time when there is nothing to fetch.
pub(crate) fn find() -> Result<Found> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/guest");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    let answer = String::from_utf8(output.stdout)?;
    if output.status.code() == Some(NONE) {
        return Ok(Found::Nothing { because: answer.trim_end().to_owned() });
    }
    if !output.status.success() {
        bail!("scripts/guest ended with {}; what it says is above", output.status);
    }
    let part = |variable: &str| {
        let path = answer.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='));
        path.map(PathBuf::from).with_context(|| format!("scripts/guest did not print {variable}"))
    };
    let modules = part("CLOCKWARDEN_TEST_GUEST_MODULES")?;
    Ok(Found::Parts(Parts {
        qemu: part("CLOCKWARDEN_TEST_QEMU")?,
        kernel: part("CLOCKWARDEN_TEST_GUEST_KERNEL")?,
        modules: Some(modules).filter(|path| !path.as_os_str().is_empty()),
        busybox: part("CLOCKWARDEN_TEST_BUSYBOX")?,
    }))
}
