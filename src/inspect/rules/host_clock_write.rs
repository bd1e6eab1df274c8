//! # host-clock-write
//!
//! A container can set the node's clock, or does so.
//!
//! **Why.** The clock is not namespaced: a process with `SYS_TIME` changes the time of the whole node, of every other
//! pod and of the kubelet, while the node's own time daemon steers against it. One such container makes every other
//! measure worthless.
//!
//! **Example.** `capabilities: {add: [SYS_TIME]}`; a privileged container that runs `date -s`, `hwclock --hctosys`,
//! `timedatectl set-time` or `ntpdate`; a writable `hostPath` to `/dev/rtc`, `/dev/ptp0` or `/etc/chrony.conf` (warned
//! about).
//!
//! **Fix.** Drop the capability; leave the clock to one time daemon on each node; mount what is only read with
//! `readOnly: true`.
//!
//! **What it leaves alone.** Time daemons themselves (chrony, ntpd, ptp4l, phc2sys and their like, told by image, name or
//! command) and node_exporter, whose documentation asks for `SYS_TIME`; `privileged` and `ALL` alone, which are for the
//! Pod Security Standards; the same commands without the right to set anything; commands that only ask (`ntpdate -q`,
//! `hwclock --show`); `/etc/localtime`, which is a time zone.
//!
//! **Sources.** <https://man7.org/linux/man-pages/man7/capabilities.7.html> (`CAP_SYS_TIME`),
//! <https://man7.org/linux/man-pages/man7/time_namespaces.7.html> (the realtime clock is not virtualised),
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>,
//! <https://github.com/prometheus/node_exporter#docker>

use super::{Look, Rule, Severity};
use crate::inspect::sight::{Branch, Command, Remark, Sight, Spot, What, is_true};
use crate::inspect::tree::{Entry, Tree};
use std::collections::HashSet;

/// See the module. The webhook reads privileged containers too, by a needle that knows the value.
pub const RULE: Rule = Rule {
    name: "host-clock-write",
    summary: "A container can set the node's clock, or does so.",
    severity: Severity::Error,
    needles: &["sys_time", "dev/rtc", "dev/ptp", "etc/chrony", "etc/ntp", "run/chrony"],
    maps: &["securityContext", "cap_add", "volumes"],
    look: Look::Sight(look),
};

/// Words of an image or a name that make a container a time daemon.
const DAEMONS: &[&str] = &[
    "chrony",
    "chronyd",
    "ntp",
    "ntpd",
    "ntpsec",
    "openntpd",
    "ptp",
    "ptp4l",
    "ptp4u",
    "sptp",
    "ptpd",
    "ptpd2",
    "sfptpd",
    "oscillatord",
    "htpdate",
    "linuxptp",
    "phc2sys",
    "ts2phc",
    "timemaster",
    "timesyncd",
    "gpsd",
    "statime",
    "clockbound",
    "timebeat",
    "timesync",
];

/// Programs that do, and the one that needs the right only to read.
const PROGRAMS: &[&str] = &[
    "chronyd",
    "ntpd",
    "openntpd",
    "ptp4l",
    "ptpd",
    "phc2sys",
    "ts2phc",
    "timemaster",
    "systemd-timesyncd",
    "gpsd",
    "ntp-daemon",
    "statime",
    "clockbound",
    "node_exporter",
];

/// Beginnings of paths of the node through which its clock is set, or its time daemon told what to do.
const CLOCK_PATHS: &[&str] =
    &["/dev/rtc", "/dev/ptp", "/etc/chrony", "/etc/ntp.conf", "/etc/ntpsec", "/run/chrony", "/var/run/chrony"];

fn look(sight: &Sight<'_>, say: &mut dyn FnMut(Remark)) {
    match sight.what {
        What::Map(entries) => {
            capability(sight, entries, say);
            host_paths(entries, say);
        }
        What::Command(command) => setter(command, say),
        What::Object(_) | What::Value(_) => {}
    }
}

/// May this container (or compose service) set the node's clock?
pub(crate) fn may_set_clocks(container: &[Entry]) -> bool {
    let context = Branch::of(container, "securityContext");
    is_true(context.and_then(|context| context.tree.get("privileged")))
        || is_true(Branch::of(container, "privileged").map(|branch| branch.tree))
        || added(container).is_some()
}

/// Where a container asks for `SYS_TIME`.
fn added(container: &[Entry]) -> Option<Branch<'_>> {
    let of_pod = Branch::of(container, "securityContext").and_then(|context| context.at(&["capabilities", "add"]));
    let of_compose = Branch::of(container, "cap_add");
    let lists = of_pod.into_iter().chain(of_compose);
    let is_it = |name: &str| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").unwrap_or(&name) == "SYS_TIME"
    };
    lists.flat_map(|list| list.items().collect::<Vec<_>>()).find(|item| item.text().is_some_and(is_it))
}

fn capability(sight: &Sight<'_>, entries: &[Entry], say: &mut dyn FnMut(Remark)) {
    // In Helm's values and compose files the key is the name.
    let is_daemon = || is_daemon(entries) || sight.keys().any(is_named);
    let Some(place) = added(entries).filter(|_| !is_daemon()) else { return };
    let meaning = "which lets the container set the clock of the whole node: clocks are not namespaced";
    let fix = "remove SYS_TIME; set the time with one time daemon on each node";
    say(remark(Severity::Error, place.spot(), meaning.to_owned(), fix));
}

/// Is this container a time daemon? A name is no proof, but who lies to a linter only deceives himself.
fn is_daemon(container: &[Entry]) -> bool {
    let runs = |text: &str| {
        let mut words = text.split(|c: char| c.is_whitespace() || ";&|()\"'".contains(c));
        words.any(|word| PROGRAMS.contains(&word.rsplit('/').next().unwrap_or(word)))
    };
    // Helm's values have the image in parts.
    let image = Branch::of(container, "image").map(|image| image.get("repository").unwrap_or(image));
    let image = image.and_then(|image| image.text());
    let image = image.map(|image| image.split_once('@').map_or(image, |(name, _)| name));
    // Not the registry and the folders: everything of a vendor called ntp would be one.
    let image = image.map(|image| image.rsplit('/').next().unwrap_or(image));
    let names = ["name", "container_name"].iter().filter_map(|key| Branch::of(container, key)?.text());
    let commands = ["command", "args", "entrypoint"].iter().filter_map(|key| Branch::of(container, key));
    let mut words = commands.flat_map(|branch| {
        branch.text().into_iter().chain(branch.tree.items().iter().filter_map(Tree::text)).collect::<Vec<_>>()
    });
    image.into_iter().chain(names).any(is_named) || words.any(runs)
}

/// Does one of the words of a name tell?
fn is_named(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| DAEMONS.contains(&word.to_ascii_lowercase().as_str()))
        || ["node-exporter", "node_exporter", "nodeExporter"].iter().any(|name| text.contains(name))
}

/// The volumes of a pod that lead to the node's clock, and that a container mounts to write.
fn host_paths(entries: &[Entry], say: &mut dyn FnMut(Remark)) {
    let Some(volumes) = Branch::of(entries, "volumes") else { return };
    if Branch::of(entries, "containers").is_none() {
        return;
    }
    let suspects: Vec<(String, Branch<'_>)> = volumes
        .items()
        .filter_map(|volume| {
            let path = volume.at(&["hostPath", "path"])?;
            let is_clock = CLOCK_PATHS.iter().any(|start| path.text().is_some_and(|path| path.starts_with(start)));
            is_clock.then_some((volume.get("name")?.text()?.to_owned(), path))
        })
        .collect();
    if suspects.is_empty() {
        return;
    }
    let containers = ["containers", "initContainers"].iter().filter_map(|key| Branch::of(entries, key));
    let mut written: HashSet<&str> = HashSet::new();
    for container in containers.flat_map(|list| list.tree.items()).filter(|it| !is_daemon(it.entries())) {
        let mounts = container.get("volumeMounts").map_or(&[][..], Tree::items).iter();
        let writable = mounts.filter(|mount| !is_true(mount.get("readOnly")));
        written.extend(writable.filter_map(|mount| mount.get("name").and_then(Tree::text)));
    }
    for (_, path) in suspects.iter().filter(|(name, _)| written.contains(name.as_str())) {
        let meaning =
            "which a container mounts to write: the node's clock, or what its time daemon is told, is in its hands";
        say(remark(Severity::Warning, path.spot(), meaning.to_owned(), "mount it with readOnly: true, or not at all"));
    }
}

/// ntpdate's options that take a value.
const NTPDATE: &str = "aekopt";

fn setter(command: &Command<'_>, say: &mut dyn FnMut(Remark)) {
    if !command.may_set_clocks {
        return;
    }
    let Some((number, program)) = command.program() else { return };
    let given = |word: &str| command.arguments().iter().any(|argument| argument.text == word);
    let sets = match program {
        "date" => command.has_option('s', "set", "IdfrD"),
        "hwclock" => command.has_option('s', "hctosys", "f"),
        "timedatectl" => given("set-time"),
        "chronyc" => given("settime"),
        "ntpdate" => !command.has_option('q', "", NTPDATE) && !command.has_option('d', "", NTPDATE) && !given("--help"),
        _ => false,
    };
    let Some(word) = command.words.get(number).filter(|_| sets) else { return };
    let meaning = format!("which with `{}` sets the clock of the whole node", command.shown());
    say(remark(Severity::Error, word.spot(), meaning, "remove the command; leave the clock to the node's time daemon"));
}

fn remark(severity: Severity, spot: Spot, meaning: String, fix: &str) -> Remark {
    Remark { severity, spot, product: "Linux".to_owned(), meaning, fix: fix.to_owned() }
}
