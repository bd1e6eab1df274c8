//! # lease-ratio
//!
//! The times of a leader election leave its holder too little between giving up and being replaced.
//!
//! **Why.** client-go compares no wall clocks of two machines, so an offset does no harm; but a holder counts its renew
//! deadline, and its rivals the lease's duration, each by a clock of its own. Where the two are close together, a clock
//! that runs fast, a pause of a virtual machine or a slow API server makes two leaders for a while. The ratio of lease
//! duration to renew deadline is about the difference in speed that is tolerated; Kubernetes' own is 1.5.
//!
//! **Example.** `--leader-elect-lease-duration=15s --leader-elect-renew-deadline=14s`;
//! `leaderElection: {leaseDuration: 10s, renewDeadline: 10s}`, with which client-go does not even start.
//!
//! **Fix.** `leaseDuration: 15s`, `renewDeadline: 10s`, `retryPeriod: 2s`, or any three of the same proportions.
//!
//! **What it leaves alone.** A ratio of 1.5 and above; 30 s and more between the two (OpenShift's 137 s and 107 s);
//! numbers without a unit beside spans with one; a value that is filled in elsewhere; one time of the three, unless the
//! component's defaults for the others are known; election that is switched off. Only where client-go refuses to start,
//! and only in flags and configuration that are surely its own, is it an error.
//!
//! **Sources.** <https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go>,
//! <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/>

use super::{Look, Rule, Severity};
use crate::inspect::duration::{self, Form, Nanos, SECOND, Unit, shown};
use crate::inspect::sight::{Branch, Command, Remark, Sight, Spot, What};
use crate::inspect::tree::Entry;
use crate::inspect::value;

/// See the module.
pub const RULE: Rule = Rule {
    name: "lease-ratio",
    summary: "The times of a leader election leave its holder too little between giving up and being replaced.",
    severity: Severity::Error,
    needles: &["renewdeadline", "renew-deadline", "leaseduration", "lease-duration"],
    maps: &["leaseDuration", "renewDeadline"],
    look: Look::Sight(look),
};

/// Kubernetes' defaults: lease duration and renew deadline (`k8s.io/component-base/config/v1alpha1`).
const CORE: (Nanos, Nanos) = (15 * SECOND, 10 * SECOND);

/// The programs for which they hold. Others have the same flags and other defaults (Cluster API: 60 s and 40 s).
const CORE_PROGRAMS: &[&str] = &["kube-scheduler", "kube-controller-manager"];

/// A lease of less than this is lost in one slow moment of an API server.
const LEASE_MIN: Nanos = 5 * SECOND;

/// Between giving up and being replaced this is enough at any ratio: OpenShift's operators have 137 s and 107 s.
///
/// Source: <https://github.com/openshift/enhancements/blob/master/CONVENTIONS.md#handling-kube-apiserver-disruption>.
const GAP_ENOUGH: Nanos = 30 * SECOND;

/// One of the times, as it is written.
struct Time {
    nanos: Nanos,
    is_bare: bool,
    spot: Spot,
}

/// The two times that are compared.
struct Election {
    lease: Option<Time>,
    renew: Option<Time>,
    /// What holds for the one that is missing, where that is known.
    defaults: Option<(Nanos, Nanos)>,
    /// It is client-go's for certain.
    certain: bool,
}

fn look(sight: &Sight<'_>, say: &mut dyn FnMut(Remark)) {
    let election = match sight.what {
        What::Map(entries) => in_map(sight, entries),
        What::Command(command) => in_flags(command),
        What::Object(_) | What::Value(_) => None,
    };
    if let Some(remark) = election.and_then(judge) {
        say(remark);
    }
}

fn time(text: &str, spot: Spot) -> Option<Time> {
    let span = duration::read(text)?;
    let nanos = span.nanos(Unit::Seconds);
    (nanos > 0).then_some(Time { nanos, is_bare: span.form == Form::Bare, spot })
}

fn in_map(sight: &Sight<'_>, entries: &[Entry]) -> Option<Election> {
    let has = |name: &str| entries.iter().any(|entry| entry.key == name);
    if !has("leaseDuration") && !has("renewDeadline") {
        return None;
    }
    let off = |key: &str| Branch::of(entries, key).and_then(|it| it.text()).and_then(value::flag) == Some(false);
    // A cache's lease, a lock's, an address's: only the second name or the place tells that this is an election.
    let is_election = matches!(sight.key(), "leaderElection" | "leaderElect");
    if off("leaderElect") || off("enabled") || (!is_election && !has("renewDeadline")) {
        return None;
    }
    let read = |key: &str| Branch::of(entries, key).and_then(|it| time(it.text()?, it.spot()));
    // A component's own configuration, often inside of a ConfigMap.
    let is_core = sight.is_within("apiVersion", "*.config.k8s.io/*");
    let (lease, renew) = (read("leaseDuration"), read("renewDeadline"));
    // What is there and cannot be read is not its default.
    let is_unread = (has("leaseDuration") && lease.is_none()) || (has("renewDeadline") && renew.is_none());
    let defaults = (is_core && is_election && !is_unread).then_some(CORE);
    Some(Election { lease, renew, defaults, certain: is_core && is_election })
}

fn in_flags(command: &Command<'_>) -> Option<Election> {
    let is_core = command.program().is_some_and(|(_, program)| CORE_PROGRAMS.contains(&program));
    // Kubernetes' own, and the ones of CSI sidecars and cert-manager.
    ["leader-elect", "leader-election"].into_iter().find_map(|name| {
        let flag = |what: &str| command.flag(&format!("{name}-{what}"));
        let read = |what: &str| flag(what).and_then(|(text, word)| time(text, word.spot()));
        let (lease, renew) = (read("lease-duration"), read("renew-deadline"));
        if lease.is_none() && renew.is_none() {
            return None;
        }
        let is_unread = (flag("lease-duration").is_some() && lease.is_none())
            || (flag("renew-deadline").is_some() && renew.is_none());
        // As Go reads them.
        let is_false = |flag: &str| {
            command.flag(flag).is_some_and(|(value, _)| matches!(value, "false" | "False" | "FALSE" | "f" | "F" | "0"))
        };
        // Sidecars of CSI elect nobody unless they are told to.
        let is_told = || {
            name == "leader-elect"
                || command.words.iter().any(|word| {
                    let flag = word.text.trim_start_matches('-');
                    matches!(
                        flag.split_once('=').map_or(flag, |(flag, _)| flag),
                        "leader-election" | "enable-leader-election"
                    )
                })
        };
        let is_off = is_false(name) || is_false("enable-leader-election");
        let defaults = (is_core && !is_unread).then_some(CORE);
        (!is_off).then(|| Election { lease, renew, defaults, certain: is_told() })
    })
}

fn judge(election: Election) -> Option<Remark> {
    let Election { lease, renew, defaults, certain } = election;
    if let (Some(lease), Some(renew)) = (&lease, &renew) {
        // 15 and 10s: nobody knows whose unit holds.
        if lease.is_bare != renew.is_bare {
            return None;
        }
    }
    let is_bare = lease.iter().chain(&renew).any(|time| time.is_bare);
    let lease_nanos = lease.as_ref().map(|time| time.nanos).or(defaults.map(|(lease, _)| lease))?;
    let renew_nanos = renew.as_ref().map(|time| time.nanos).or(defaults.map(|(_, renew)| renew))?;
    if is_bare && (lease.is_none() || renew.is_none()) {
        return None;
    }
    let (lease_text, renew_text) = (shown(lease_nanos), shown(renew_nanos));
    let whose = if renew.is_none() { " by default" } else { "" };
    let spot = |which: Option<Time>, other: Option<Time>| which.or(other).map(|time| time.spot);
    let fix =
        "write a lease duration of at least one and a half times the renew deadline, such as 15s and 10s".to_owned();
    let (severity, spot, meaning) = if lease_nanos <= renew_nanos {
        let severity = if certain { Severity::Error } else { Severity::Warning };
        let meaning = format!(
            "but the lease lasts {lease_text} and its holder gives up only after {renew_text}{whose}: client-go does not \
             start with these"
        );
        (severity, spot(renew, lease)?, meaning)
    } else if lease_nanos.saturating_mul(2) < renew_nanos.saturating_mul(3)
        && lease_nanos.saturating_sub(renew_nanos) < GAP_ENOUGH
    {
        let meaning = format!(
            "but the lease lasts {lease_text} and its holder gives up only after {renew_text}{whose}: a clock that runs \
             a little fast, or a pause, makes two leaders"
        );
        (Severity::Warning, spot(renew, lease)?, meaning)
    } else if !is_bare && lease_nanos < LEASE_MIN {
        let meaning = format!("a lease of {lease_text}: one slow answer of the API server loses it");
        (Severity::Warning, spot(lease, renew)?, meaning)
    } else {
        return None;
    };
    Some(Remark { severity, spot, product: "client-go".to_owned(), meaning, fix })
}
