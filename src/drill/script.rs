//! Scenarios as text: a line for each thing, read with errors that name the line and what to write instead.
//!
//! ```text
//! nodes 40 zones 4
//! controllers 2
//! policy p limit=10% sustained=30s recovered=2m
//! at 1m n7 step +5s
//! at 2m c0 pause for 30s
//! at 3m apiserver down for 20s
//! end 30m
//! ```
//!
//! `#` begins a comment. What is written is read back as the same scenario. docs/drill.md has all the words.

use super::scenario::{Blow, Deed, Event, Meddling, PolicyText, Scenario, Trouble, What, Who, settings};
use super::truth::Agent;
use crate::clock::Delta;
use crate::duration;
use std::fmt;
use std::time::Duration;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// Counted from 1.
    pub line: usize,
    /// What stands there, and what to write.
    pub message: String,
}

type Read<T> = Result<T, String>;

/// Reads a scenario.
///
/// # Errors
/// Names the first line that cannot be read.
pub fn read(text: &str) -> Result<Scenario, ScriptError> {
    let mut out = Scenario {
        seed: 1,
        nodes: 0,
        zones: 1,
        controllers: 1,
        policies: Vec::new(),
        events: Vec::new(),
        end: Duration::ZERO,
    };
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        statement(&words, &mut out).map_err(|message| ScriptError { line: index + 1, message })?;
    }
    let last = text.lines().count();
    let lacks = |what: &str| Err(ScriptError { line: last, message: format!("there is no line {what:?}") });
    if out.nodes == 0 {
        return lacks("nodes 40");
    }
    if out.end.is_zero() {
        return lacks("end 30m");
    }
    out.events.sort_by_key(|event| event.at);
    Ok(out)
}

fn statement(words: &[&str], out: &mut Scenario) -> Read<()> {
    match words {
        [] => {}
        ["seed", seed] => out.seed = number(seed)?,
        ["nodes", nodes] => out.nodes = number(nodes)?,
        ["nodes", nodes, "zones", zones] => (out.nodes, out.zones) = (number(nodes)?, number(zones)?),
        ["controllers", count] => out.controllers = number(count)?,
        ["policy", name, rest @ ..] => out.policies.push(policy(name, rest)?),
        ["end", at] => out.end = time(at)?,
        ["at", at, rest @ .., "for", lasts] => {
            let what = happening(rest)?;
            if what.undone().is_none() {
                return Err(format!("{:?} does not last: leave out \"for\"", rest.join(" ")));
            }
            out.events.push(Event { at: time(at)?, what, lasts: Some(time(lasts)?) });
        }
        ["at", at, rest @ ..] => out.events.push(Event { at: time(at)?, what: happening(rest)?, lasts: None }),
        [other, ..] => {
            return Err(format!("begins with {other:?}: write seed, nodes, controllers, policy, at or end"));
        }
    }
    Ok(())
}

fn number<T: std::str::FromStr>(text: &str) -> Read<T> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn time(text: &str) -> Read<Duration> {
    duration::parse(text).map_err(|error| error.to_string())
}

fn delta(text: &str) -> Read<Delta> {
    let signed = text.strip_prefix('+').map(|rest| (false, rest)).or(text.strip_prefix('-').map(|rest| (true, rest)));
    let (negative, rest) = signed.ok_or_else(|| format!("{text:?} has no sign: write +5s or -5s"))?;
    let length = Delta::from(time(rest)?);
    Ok(if negative { Delta::ZERO.minus(length) } else { length })
}

fn policy(name: &str, words: &[&str]) -> Read<PolicyText> {
    let settings = words.iter().map(|word| {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is no setting: write limit=10%"))?;
        if settings().any(|known| known == key) {
            return Ok((key.to_owned(), value.to_owned()));
        }
        let known: Vec<&str> = settings().collect();
        Err(format!("there is no setting {key:?}: there are {}", known.join(", ")))
    });
    Ok(PolicyText { name: name.to_owned(), settings: settings.collect::<Read<_>>()? })
}

fn happening(words: &[&str]) -> Read<What> {
    match words {
        ["apiserver", rest @ ..] => trouble(rest).map(What::Api),
        ["policy", name, "delete"] => Ok(What::PolicyGone((*name).to_owned())),
        ["policy", name, rest @ ..] => policy(name, rest).map(What::Policy),
        [subject, rest @ ..] => {
            if let Some(which) = subject.strip_prefix('c').and_then(|digits| digits.parse().ok()) {
                return blow(rest).map(|blow| What::Replica(which, blow));
            }
            let who = who(subject)?;
            match deed(rest)? {
                Some(deed) => Ok(What::Machine(who, deed)),
                None => meddling(rest).map(|meddling| What::Meddle(who, meddling)),
            }
        }
        [] => Err("nothing happens: write a node, a controller, apiserver or policy, and a verb".to_owned()),
    }
}

fn who(text: &str) -> Read<Who> {
    let node = |text: &str| text.strip_prefix('n').and_then(|digits| digits.parse::<usize>().ok());
    if text == "all" {
        return Ok(Who::All);
    }
    if let Some(zone) = text.strip_prefix("zone-").and_then(|digits| digits.parse().ok()) {
        return Ok(Who::Zone(zone));
    }
    let range = match text.split_once("..") {
        Some((from, to)) => node(from).zip(node(to)),
        None => node(text).map(|one| (one, one)),
    };
    range
        .map(|(from, to)| Who::Nodes(from..=to))
        .ok_or_else(|| format!("{text:?} is nobody: write n7, n1..n5, zone-0, all, c0, apiserver or policy"))
}

fn deed(words: &[&str]) -> Read<Option<Deed>> {
    Ok(Some(match words {
        ["step", by] => Deed::Step(delta(by)?),
        ["drift", rate] => {
            let digits = rate.strip_suffix("ppm").ok_or_else(|| format!("{rate:?} is no rate: write +200ppm"))?;
            Deed::Drift(number(digits)?)
        }
        ["follow", by] => Deed::Follow(delta(by)?),
        ["right"] => Deed::Right,
        ["agent", "well"] => Deed::Agent(Agent::Well),
        ["agent", "dead"] => Deed::Agent(Agent::Dead),
        ["agent", "garbled"] => Deed::Agent(Agent::Garbled),
        ["agent", "slow", by] => Deed::Agent(Agent::Slow(time(by)?)),
        ["agent", "lies", by] => Deed::Agent(Agent::Lies(delta(by)?)),
        ["agent", ..] => return Err("an agent is well, dead, garbled, slow 3s, or lies +5s".to_owned()),
        _ => return Ok(None),
    }))
}

fn blow(words: &[&str]) -> Read<Blow> {
    Ok(match words {
        ["kill"] => Blow::Kill,
        ["stop"] => Blow::Stop,
        ["start"] => Blow::Start,
        ["pause"] => Blow::Pause,
        ["resume"] => Blow::Resume,
        ["clock", by] => Blow::Clock(delta(by)?),
        ["partition"] => Blow::Partition,
        ["rejoin"] => Blow::Rejoin,
        ["cut"] => Blow::Cut,
        ["relist"] => Blow::Relist,
        ["lag", by] => Blow::Lag(time(by)?),
        _ => {
            return Err(format!(
                "{:?} does not happen to a controller: write kill, stop, start, pause, resume, clock +1h, partition, rejoin, cut, relist or lag 5s",
                words.join(" ")
            ));
        }
    })
}

fn trouble(words: &[&str]) -> Read<Trouble> {
    let share = |text: &str| {
        let percent = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).filter(|percent| *percent <= 100);
        percent.ok_or_else(|| format!("{text:?} is no share: write 50%"))
    };
    Ok(match words {
        ["down"] => Trouble::Down,
        ["slow", by] => Trouble::Slow(time(by)?),
        ["errors", percent] => Trouble::Errors(share(percent)?),
        ["lost", percent] => Trouble::Lost(share(percent)?),
        ["mute", percent] => Trouble::Mute(share(percent)?),
        ["conflicts", percent] => Trouble::Conflicts(share(percent)?),
        _ => {
            return Err(format!(
                "{:?} does not happen to an API server: write down, slow 2s, errors 50%, lost 50%, mute 50% or conflicts 50%",
                words.join(" ")
            ));
        }
    })
}

fn meddling(words: &[&str]) -> Read<Meddling> {
    let pair = |text: &str| {
        let pair = text.split_once('=').ok_or_else(|| format!("{text:?} is no pair: write key=value"));
        pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    Ok(match words {
        ["taint", key] => Meddling::Taint((*key).to_owned()),
        ["untaint", key] => Meddling::Untaint((*key).to_owned()),
        ["cordon"] => Meddling::Cordon,
        ["uncordon"] => Meddling::Uncordon,
        ["label", text] => pair(text).map(|(key, value)| Meddling::Label(key, value))?,
        ["unlabel", key] => Meddling::Unlabel((*key).to_owned()),
        ["annotate", text] => pair(text).map(|(key, value)| Meddling::Annotate(key, value))?,
        ["unannotate", key] => Meddling::Unannotate((*key).to_owned()),
        ["scribble"] => Meddling::Scribble,
        ["mend"] => Meddling::Mend,
        ["delete"] => Meddling::Delete,
        ["create"] => Meddling::Create,
        ["race"] => Meddling::Race,
        _ => {
            return Err(format!(
                "{:?} does not happen to a node: write step, drift, follow, right, agent, taint, untaint, cordon, uncordon, label, unlabel, annotate, unannotate, scribble, mend, delete, create or race",
                words.join(" ")
            ));
        }
    })
}

/// `1h2m3s`, `250ms`: as [`duration::parse`] reads it.
#[must_use]
pub fn time_text(time: Duration) -> String {
    let (whole, nanos) = (time.as_secs(), time.subsec_nanos());
    let parts = [(whole / 3600, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")];
    let mut text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if nanos % 1_000_000 != 0 {
        text.push_str(&format!("{nanos}ns"));
    } else if nanos > 0 {
        text.push_str(&format!("{}ms", nanos / 1_000_000));
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn delta_text(delta: Delta) -> String {
    format!("{}{}", if delta < Delta::ZERO { '-' } else { '+' }, time_text(delta.magnitude()))
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "nodes {} zones {}", self.nodes, self.zones)?;
        writeln!(f, "controllers {}", self.controllers)?;
        for policy in &self.policies {
            writeln!(f, "{policy}")?;
        }
        for event in &self.events {
            write!(f, "at {} {}", time_text(event.at), event.what)?;
            match event.lasts {
                Some(lasts) => writeln!(f, " for {}", time_text(lasts))?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "end {}", time_text(self.end))
    }
}

impl fmt::Display for PolicyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {}", self.name)?;
        self.settings.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Nodes(range) if range.start() == range.end() => write!(f, "n{}", range.start()),
            Who::Nodes(range) => write!(f, "n{}..n{}", range.start(), range.end()),
            Who::Zone(zone) => write!(f, "zone-{zone}"),
            Who::All => f.write_str("all"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Machine(who, deed) => write!(f, "{who} {deed}"),
            What::Replica(which, blow) => write!(f, "c{which} {blow}"),
            What::Api(trouble) => write!(f, "apiserver {trouble}"),
            What::Meddle(who, meddling) => write!(f, "{who} {meddling}"),
            What::Policy(policy) => write!(f, "{policy}"),
            What::PolicyGone(name) => write!(f, "policy {name} delete"),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Deed::Step(by) => write!(f, "step {}", delta_text(*by)),
            Deed::Drift(rate) => write!(f, "drift {rate:+}ppm"),
            Deed::Follow(by) => write!(f, "follow {}", delta_text(*by)),
            Deed::Right => f.write_str("right"),
            Deed::Agent(Agent::Well) => f.write_str("agent well"),
            Deed::Agent(Agent::Dead) => f.write_str("agent dead"),
            Deed::Agent(Agent::Garbled) => f.write_str("agent garbled"),
            Deed::Agent(Agent::Slow(by)) => write!(f, "agent slow {}", time_text(*by)),
            Deed::Agent(Agent::Lies(by)) => write!(f, "agent lies {}", delta_text(*by)),
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blow::Kill => f.write_str("kill"),
            Blow::Stop => f.write_str("stop"),
            Blow::Start => f.write_str("start"),
            Blow::Pause => f.write_str("pause"),
            Blow::Resume => f.write_str("resume"),
            Blow::Clock(by) => write!(f, "clock {}", delta_text(*by)),
            Blow::Partition => f.write_str("partition"),
            Blow::Rejoin => f.write_str("rejoin"),
            Blow::Cut => f.write_str("cut"),
            Blow::Relist => f.write_str("relist"),
            Blow::Lag(by) => write!(f, "lag {}", time_text(*by)),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Down => f.write_str("down"),
            Trouble::Slow(by) => write!(f, "slow {}", time_text(*by)),
            Trouble::Errors(percent) => write!(f, "errors {percent}%"),
            Trouble::Lost(percent) => write!(f, "lost {percent}%"),
            Trouble::Mute(percent) => write!(f, "mute {percent}%"),
            Trouble::Conflicts(percent) => write!(f, "conflicts {percent}%"),
            Trouble::Over(over) => write!(f, "no longer {over:?}"),
        }
    }
}

impl fmt::Display for Meddling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Meddling::Taint(key) => write!(f, "taint {key}"),
            Meddling::Untaint(key) => write!(f, "untaint {key}"),
            Meddling::Cordon => f.write_str("cordon"),
            Meddling::Uncordon => f.write_str("uncordon"),
            Meddling::Label(key, value) => write!(f, "label {key}={value}"),
            Meddling::Unlabel(key) => write!(f, "unlabel {key}"),
            Meddling::Annotate(key, value) => write!(f, "annotate {key}={value}"),
            Meddling::Unannotate(key) => write!(f, "unannotate {key}"),
            Meddling::Scribble => f.write_str("scribble"),
            Meddling::Mend => f.write_str("mend"),
            Meddling::Delete => f.write_str("delete"),
            Meddling::Create => f.write_str("create"),
            Meddling::Race => f.write_str("race"),
            Meddling::RaceOver => f.write_str("race over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seed 7
nodes 40 zones 4
controllers 2
policy p limit=10% sustained=30s
at 1m n7 step +5s
at 1m30s n1..n3 drift -200ppm for 1h
at 2m zone-1 follow +1h
at 2m all agent lies +87600h
at 2m n3 agent slow 3s
at 3m c0 pause for 30s
at 3m c1 lag 250ms
at 4m apiserver mute 50% for 20s
at 4m n0 annotate a/b=c for 1m
at 5m policy q type=Cordon
at 6m policy p delete
end 30m
";

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read(TEXT).unwrap().to_string(), TEXT);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_write() {
        let check = |line: &str, expected: &str| {
            let error = read(&format!("nodes 3\nend 1m\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 3: ") && error.contains(expected), "{line}: {error}");
        };
        check("node 3", "write seed, nodes");
        check("at 5 n1 step +5s", "lacks a unit");
        check("at 5s n1 step 5s", "write +5s or -5s");
        check("at 5s m1 step +5s", "write n7, n1..n5");
        check("at 5s n1 jump", "write step, drift");
        check("at 5s n1 agent ill", "an agent is well");
        check("at 5s c1 jump", "write kill, stop");
        check("at 5s apiserver jump", "write down");
        check("at 5s apiserver lost 101%", "write 50%");
        check("at 5s n1 right for 5s", "does not last");
        check("policy p limits=3", "there are limit, ");
        check("at 5s", "nothing happens");
        assert!(read("end 1m").unwrap_err().to_string().contains("nodes 40"));
        assert!(read("nodes 1").unwrap_err().to_string().contains("end 30m"));
    }

    #[test]
    fn settings_become_a_spec() {
        let text = policy("p", &["limit=3", "zone=zone-1", "suspend=true", "sustained=1s"]).unwrap();
        let expected = serde_json::json!({
            "action": {"limit": {"maxNodes": 3}, "sustainedFor": "1s"}, "suspend": true,
            "nodeSelector": {"matchLabels": {"topology.kubernetes.io/zone": "zone-1"}},
        });
        assert_eq!(text.spec(), expected);
    }
}
