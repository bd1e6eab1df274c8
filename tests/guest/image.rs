//! The guest's root filesystem: this test binary as `/init`, the agent, their libraries, modules, busybox.
//!
//! Both binaries are linked against the C library of this machine, so that comes along, with its loader where the
//! binaries look for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;
use super::parts::Parts;

/// Where everything is in the guest.
pub(crate) const AGENT: &str = "/bin/clockwarden";
pub(crate) const BUSYBOX: &str = "/bin/busybox";
pub(crate) const MODULES: &str = "/modules";
pub(crate) const LIBRARIES: &str = "/lib";

/// Writes the filesystem to a file of this directory.
pub(crate) fn write(parts: &Parts, directory: &Path) -> Result<PathBuf> {
    let init = std::env::current_exe().context("cannot tell where this program is")?;
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_clockwarden"));
    let mut archive = Archive::new();
    for path in ["bin", "dev", "proc", "sys", "tmp", "modules"] {
        archive.directory(path);
    }
    // The first process writes to the one, and gives the other to its children, before anything is mounted.
    archive.character_device("dev/console", 5, 1);
    archive.character_device("dev/null", 1, 3);
    archive.program(within(BUSYBOX), &read(&parts.busybox)?);
    archive.program("init", &stripped(&init, directory)?);
    archive.program(within(AGENT), &stripped(&agent, directory)?);
    add_libraries(&mut archive, &[&init, &agent])?;
    if let Some(modules) = &parts.modules {
        let order = fs::read_to_string(modules.join("order")).context("the modules of the guest have no order")?;
        for name in order.lines() {
            archive.program(&format!("{}/{name}", within(MODULES)), &read(&modules.join(name))?);
        }
        archive.program(&format!("{}/order", within(MODULES)), order.as_bytes());
    }
    let path = directory.join("initramfs");
    fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn within(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The binary without its symbols: half of it, which the emulated machine would have to unpack. As it is where there
/// is no strip(1).
fn stripped(binary: &Path, directory: &Path) -> Result<Vec<u8>> {
    let path = directory.join("stripped");
    let strip = Command::new("strip").arg("-o").arg(&path).arg(binary).stderr(Stdio::null()).status();
    let bytes = if strip.is_ok_and(|status| status.success()) { read(&path) } else { read(binary) };
    // It need not be there.
    let _ = fs::remove_file(&path);
    bytes
}

/// All libraries go into one directory, and the loader also to the path that is written in the binaries.
fn add_libraries(archive: &mut Archive, binaries: &[&Path]) -> Result<()> {
    let mut libraries = BTreeMap::new();
    for binary in binaries {
        let output = Command::new("ldd").arg(binary).output().context("cannot run ldd")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "ldd {}: {text}", binary.display());
        for path in text.lines().filter_map(library) {
            let name = path.file_name().context("a library without a name")?.to_string_lossy().into_owned();
            libraries.insert(name, path);
        }
    }
    archive.directory(within(LIBRARIES));
    archive.directory("lib64");
    for (name, path) in libraries {
        let content = read(&path)?;
        archive.program(&format!("{}/{name}", within(LIBRARIES)), &content);
        if path.starts_with("/lib64") {
            archive.program(&format!("lib64/{name}"), &content);
        }
    }
    Ok(())
}

/// `libm.so.6 => /lib/libm.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`, but not `linux-vdso.so.1 (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
    Some(PathBuf::from(path))
}
