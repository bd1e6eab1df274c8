//! The scenarios: each a fault that was seen in the field, or a day without one.
//!
//! Ordinary nodes, unless said otherwise: chronyd as distributions ship it (`rtcsync`, `makestep 1.0 3`), long running,
//! following server 0; an agent that asks server 1 besides. To add one: an entry here, and `make scenarios`.

use super::controller::seconds;
use super::daemon::{Chronyd, Daemon, Timesyncd};
use super::node::Agent;
use super::scenario::{Kind, Scenario, What, Who};
use super::server::{Conduct, Path};
use std::time::Duration;

const HONEST: Conduct = Conduct::Honest;

/// All of them, in the order of the table.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    [set_by_somebody(), stopped(), undisciplined(), liars(), metrics(), out_of_sight(), yardsticks()].concat()
}

/// A chronyd that follows these servers, changed.
fn chronyd(follows: &[usize], change: impl FnOnce(&mut Chronyd)) -> Kind {
    let mut daemon = Chronyd::new(follows, 0).established();
    change(&mut daemon);
    Kind::with(Daemon::Chronyd(daemon)).asking(&[1])
}

fn timesyncd(follows: usize) -> Kind {
    Kind::with(Daemon::Timesyncd(Timesyncd::new(follows, 0)))
}

fn set_by_somebody() -> Vec<Scenario> {
    let steps_at_will = |daemon: &mut Chronyd| daemon.makestep = (seconds(1), u32::MAX);
    let just_booted =
        Kind { off_ns: seconds(172_800), ..Kind::with(Daemon::Chronyd(Chronyd::new(&[0], 300))).asking(&[1]) };
    vec![
        Scenario::new(
            "an ordinary hour",
            "Nothing happens; oscillators wander with the temperature.",
            "All synchronized.",
        )
        .lasting(3_600),
        Scenario::new(
            "set by hand",
            "Somebody sets one clock 3 s ahead; chronyd finds out at its next poll and slews it back.",
            "Drifting at once, until it is back.",
        )
        .node_at(300, 3, What::Set(seconds(3))),
        Scenario::new(
            "set by hand, two nodes",
            "The same in a cluster of two nodes, where there is no majority and each goes by its own sources.",
            "Unknown while its chronyd, which has not noticed, and its agent's reference contradict one another; then drifting.",
        )
        .with(|it| it.nodes = 2)
        .node_at(300, 1, What::Set(seconds(3))),
        Scenario::new(
            "slewed for minutes",
            "One clock is set 15 s back; chronyd needs three minutes to slew it.",
            "Drifting at once, until it is back.",
        )
        .node_at(300, 3, What::Set(seconds(-15))),
        Scenario::new(
            "repaired within a minute",
            "One clock is set 2.5 s ahead; chronyd may step (`makestep 1 -1`) and has put it right within 64 s.",
            "Drifting while it lasts, and the agent remembers both steps.",
        )
        .all(chronyd(&[0], steps_at_will))
        .node_at(300, 3, What::Set(seconds(5) / 2)),
        Scenario::new(
            "two days off at boot",
            "A node boots two days ahead, and its chronyd starts five minutes later and steps.",
            "Drifting from the first answer until chronyd has stepped.",
        )
        .but(7..8, just_booted),
    ]
}

fn stopped() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "paused for a minute",
            "A hypervisor stops a node for 60 s; nothing inside notices, and chronyd slews for twelve minutes.",
            "Drifting when it can be asked again, until it is back.",
        )
        .node_at(300, 3, What::Pause)
        .node_at(360, 3, What::Resume),
        Scenario::new(
            "restored elsewhere",
            "A node is saved and restored ten minutes later on another host, whose oscillator differs by 40 ppm.",
            "Unknown while it is away, then drifting.",
        )
        .lasting(2_100)
        .node_at(300, 3, What::Pause)
        .node_at(900, 3, What::Oscillator(40_000))
        .node_at(900, 3, What::Resume),
        Scenario::new(
            "asleep",
            "Two nodes sleep for five minutes; the battery clock of one is 0.2 s wrong, that of the other 2 s.",
            "Unknown while they sleep; then only the second drifting.",
        )
        .at(300, Who::Nodes(3..5), What::Sleep)
        .node_at(600, 3, What::Wake(seconds(1) / 5))
        .node_at(600, 4, What::Wake(seconds(2))),
    ]
}

fn undisciplined() -> Vec<Scenario> {
    let alone = |daemon: &mut Chronyd| daemon.local = true;
    let quiet = |daemon: &mut Chronyd| daemon.rtcsync = false;
    vec![
        Scenario::new(
            "no daemon, 500 ppm",
            "chronyd dies on a node whose oscillator is 500 ppm fast: half a second in 17 minutes.",
            "Drifting as soon as it is beyond the tolerance.",
        )
        .lasting(1_800)
        .node_at(100, 2, What::Daemon(Daemon::Nobody))
        .node_at(100, 2, What::Oscillator(500_000)),
        Scenario::new(
            "local mode",
            "No server answers; every chronyd serves its own clock as good (`local`). One clock is set 3 s ahead.",
            "The one is drifting against the others; the rest are right, by luck.",
        )
        .with(|it| it.servers = vec![Conduct::Silent, Conduct::Silent])
        .all(chronyd(&[0], alone))
        .node_at(600, 5, What::Set(seconds(3))),
        Scenario::new(
            "no rtcsync",
            "chronyd keeps every clock right but does not tell the kernel, which says STA_UNSYNC for ever.",
            "All synchronized.",
        )
        .all(chronyd(&[0], quiet)),
    ]
}

fn liars() -> Vec<Scenario> {
    let own_only = || Kind::chronyd(&[0]);
    let lies = || What::Conduct(Conduct::Lies(seconds(5)));
    let shared = |name, story, right| {
        Scenario::new(name, story, right)
            .all(own_only())
            .at(300, Who::Server(0), lies())
            .with(|it| it.controller = own_only())
    };
    let halves = |name, story, right| {
        Scenario::new(name, story, right)
            .with(|it| it.servers.push(HONEST))
            .all(own_only())
            .but(5..10, Kind::chronyd(&[2]))
            .at(300, Who::Server(2), lies())
    };
    vec![
        Scenario::new(
            "one node is lied to",
            "The only server of one node is suddenly 4 s ahead; its chronyd believes it.",
            "Drifting against the others, whatever it says of itself.",
        )
        .with(|it| it.servers.push(HONEST))
        .but(4..5, Kind::chronyd(&[2]))
        .at(300, Who::Server(2), What::Conduct(Conduct::Lies(seconds(4)))),
        shared(
            "all are lied to",
            "The only server of all nodes and of the controller is suddenly 5 s ahead.",
            "Unknown: the nodes agree with one another and with what they follow, and nobody knows better.",
        ),
        shared(
            "all are lied to, other controller",
            "As before, but the controller follows another server.",
            "Unknown: either the nodes or the controller is wrong.",
        )
        .with(|it| it.controller = Kind::chronyd(&[1])),
        shared(
            "all are lied to, references",
            "As before, and the policy names a reference.",
            "All drifting, and the reference of the nodes is suspected.",
        )
        .with(|it| it.policy_references = vec![1]),
        halves(
            "half and half",
            "Half of the nodes follow one server, half another, which is suddenly 5 s ahead; each believes its own.",
            "Unknown: no majority, and nothing says which half is right.",
        ),
        halves(
            "half and half, references",
            "As before, and the policy names a reference.",
            "The wrong half is drifting.",
        )
        .with(|it| it.policy_references = vec![1]),
        Scenario::new(
            "smeared leap second",
            "Two nodes follow a server that smears a leap second, the others step at it; the tolerance is 300 ms.",
            "The two are drifting, nobody else; not for a moment at the leap.",
        )
        .with(|it| {
            it.servers.push(Conduct::Smears { leap: 900 });
            it.tolerance.offset_max = Duration::from_millis(300);
        })
        .but(3..5, Kind { off_ns: -489_600_000, ..Kind::chronyd(&[2]) })
        .at(900, Who::World, What::Leap),
    ]
}

fn metrics() -> Vec<Scenario> {
    let mut flickering = Scenario::new(
        "2^32 ns",
        "timesyncd keeps the clocks right; the kernel of one node reports an offset of 2^32 ns for 12 minutes, that of \
         another for 15 s now and then.",
        "All synchronized.",
    )
    .all(timesyncd(0).asking(&[1]))
    .node_at(300, 3, What::Artefact(true))
    .node_at(1_020, 3, What::Artefact(false));
    for at in (400..1_400).step_by(200) {
        flickering = flickering.node_at(at, 4, What::Artefact(true)).node_at(at + 15, 4, What::Artefact(false));
    }
    vec![
        flickering.clone(),
        flickering.with(|it| {
            it.name = "2^32 ns, two nodes";
            it.story =
                "The same in a cluster of two nodes, where there is no majority and each goes by its own sources.";
            it.nodes = 2;
            for event in &mut it.events {
                event.who = Who::Nodes(0..1);
            }
        }),
        Scenario::new(
            "set back, timesyncd",
            "timesyncd keeps the clocks; somebody sets one 2 s back, and timesyncd steps it at its next poll.",
            "Drifting while it lasts.",
        )
        .all(timesyncd(0))
        .node_at(330, 3, What::Set(seconds(-2))),
    ]
}

fn out_of_sight() -> Vec<Scenario> {
    let far =
        Kind { path: Some(Path { there_ns: 400_000_000, back_ns: 10_000_000 }), ..Kind::chronyd(&[0]).asking(&[1]) };
    let near = Kind { path: Some(Path { there_ns: 10_000_000, back_ns: 400_000_000 }), ..far.clone() };
    vec![
        Scenario::new(
            "lopsided way",
            "The way to two nodes takes 400 ms in one direction and 10 ms in the other; one is set 3 s back.",
            "Only that one is drifting.",
        )
        .with(|it| it.margin_ns = seconds(42) / 100)
        .but(5..6, far)
        .but(6..7, near)
        .node_at(300, 6, What::Set(seconds(-3))),
        Scenario::new(
            "agent dies",
            "An agent dies and is started again ten minutes later; meanwhile its clock is set 3 s ahead and slewed back.",
            "Unknown while nobody can be asked.",
        )
        .node_at(300, 3, What::Agent(Agent::Dead))
        .node_at(400, 3, What::Set(seconds(3)))
        .node_at(900, 3, What::Restart),
        Scenario::new(
            "agent hangs",
            "An agent goes on answering but asks its sources no more; then its clock is set 3 s ahead.",
            "Drifting: the answer itself is a measurement.",
        )
        .node_at(300, 3, What::Agent(Agent::Hung))
        .node_at(600, 3, What::Set(seconds(3))),
        Scenario::new(
            "partition",
            "Four nodes cannot be reached for ten minutes; the clock of one is set 3 s ahead meanwhile, without a daemon.",
            "Unknown while they are away; then that one drifting.",
        )
        .but(1..2, Kind::with(Daemon::Nobody).asking(&[1]))
        .at(300, Who::Nodes(0..4), What::Reachable(false))
        .node_at(500, 1, What::Set(seconds(3)))
        .at(900, Who::Nodes(0..4), What::Reachable(true)),
    ]
}

fn yardsticks() -> Vec<Scenario> {
    let wrong = Kind { off_ns: seconds(10), ..Kind::with(Daemon::Nobody) };
    vec![
        Scenario::new(
            "controller is wrong",
            "The controller's clock is 10 s ahead and nobody disciplines it; one node is set 3 s back.",
            "That node is drifting; the controller says that it is the outlier, and acts on nobody.",
        )
        .with(|it| it.controller = wrong)
        .node_at(300, 3, What::Set(seconds(-3))),
        Scenario::new(
            "controller is set",
            "The controller's clock is set 8 s ahead and slewed back.",
            "All synchronized.",
        )
        .at(300, Who::Controller, What::Set(seconds(8))),
        Scenario::new(
            "controller is set, references",
            "As before, and the policy names a reference, which the controller asks every 16 s.",
            "All synchronized.",
        )
        .with(|it| it.policy_references = vec![1])
        .at(300, Who::Controller, What::Set(seconds(8))),
        Scenario::new(
            "reference falls silent",
            "The policy's only reference stops answering; later a node is set 3 s ahead.",
            "The consensus takes over, and that node is drifting.",
        )
        .with(|it| it.policy_references = vec![1])
        .at(300, Who::Server(1), What::Conduct(Conduct::Silent))
        .node_at(600, 3, What::Set(seconds(3))),
        Scenario::new(
            "one of two references lies",
            "One of the policy's two references is suddenly 5 s ahead; later a node is set 3 s ahead.",
            "They contradict one another, the consensus takes over, and that node is drifting.",
        )
        .with(|it| {
            it.servers.push(HONEST);
            it.policy_references = vec![1, 2];
        })
        .at(300, Who::Server(2), What::Conduct(Conduct::Lies(seconds(5))))
        .node_at(600, 3, What::Set(seconds(3))),
        Scenario::new(
            "the only reference lies",
            "The policy's only reference is suddenly 5 s ahead.",
            "A policy's reference is right by definition: all drifting. But as all have moved alike, nobody is acted on.",
        )
        .with(|it| {
            it.servers.push(HONEST);
            it.policy_references = vec![2];
        })
        .at(300, Who::Server(2), What::Conduct(Conduct::Lies(seconds(5)))),
    ]
}
