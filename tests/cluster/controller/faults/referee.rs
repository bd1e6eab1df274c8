//! Watches every node of a test from beside, and judges afterwards whether anything was done that should not have been.
//!
//! It has three stories, each with its order: what every node carried (by the versions of the API server), what others
//! did to the nodes' taints (by the versions that their writes were answered with), and which clocks were really wrong
//! (by the tests' monotonic clock). Nothing is judged while it happens, so nothing hangs on who was told first.
//!
//! Wrong actions:
//! - our mark appears on a node whose clock has not been wrong lately, or vanishes though it has not been right lately;
//! - a clock that went wrong once is acted on twice;
//! - our mark is there without our record of it, or the record without the mark;
//! - at one moment more nodes are marked than the limit allows;
//! - a taint of somebody else's is missing, or back.
//!
//! Lost clean-ups: what of ours is left when all clocks are right and the policies are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clockwarden::policy::Mark;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::runtime::{WatchStreamExt, watcher};

use super::super::lab::{KEY, Lab, owned};
use crate::support::wait::mono_now;

/// How a clock really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Right,
    Wrong,
    /// Whatever is made of it is as good as anything else: it lies, or nobody can ask it.
    Open,
}

/// A node as it was at one version.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// When it was seen.
    pub(super) at: Instant,
    /// It came to be after this: as long as the API server is away, nothing is seen when it happens.
    pub(super) since: Instant,
    pub(super) node: String,
    pub(super) version: u64,
    pub(super) taints: BTreeSet<String>,
    /// The keys of our taints by the node's record.
    pub(super) recorded: BTreeSet<String>,
}

/// What somebody else did to one taint.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    pub(super) node: String,
    pub(super) version: u64,
    pub(super) key: String,
    pub(super) present: bool,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) sights: Vec<Sight>,
    pub(super) foreign: Vec<Foreign>,
    pub(super) truth: BTreeMap<String, Vec<(Instant, Truth)>>,
    /// Since when the policy has been deleted: whatever is marked is to be let go.
    pub(super) released: Option<Instant>,
}

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Nodes marked at one moment, at most.
    pub(super) limit: usize,
    /// How long after a clock has changed the node may still be treated as before: evidence travels, and a write that
    /// was sent may be taken late.
    pub(super) grace: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Marks put on and taken off.
    pub(super) actions: usize,
    /// Nodes marked at one moment, at most.
    pub(super) most: usize,
    pub(super) wrong: Vec<String>,
}

/// Watches until it is asked for the verdict.
pub(super) struct Referee {
    book: Arc<Mutex<Book>>,
    rules: Rules,
    watching: tokio::task::JoinHandle<()>,
}

impl Referee {
    /// Of all nodes of this lab, on connections of its own. All their clocks are right at first.
    pub(super) fn begin(lab: &Lab, rules: Rules) -> Referee {
        let book = Arc::new(Mutex::new(Book::default()));
        for node in lab.nodes.keys() {
            lock(&book).truth.insert(node.clone(), vec![(mono_now(), Truth::Right)]);
        }
        let watch = watcher(lab.live(), watcher::Config::default().labels(&format!("lab={}", lab.name)));
        let writer = Arc::clone(&book);
        let watching = tokio::spawn(async move {
            let mut watch = std::pin::pin!(watch.default_backoff().applied_objects());
            let mut eyes = Eyes::default();
            loop {
                match watch.try_next().await {
                    Ok(Some(node)) => match eyes.sight(&node, mono_now()) {
                        Ok(sight) => lock(&writer).sights.push(sight),
                        Err(error) => eprintln!("the referee cannot read {}: {error:#}", node.name_any()),
                    },
                    Ok(None) => return,
                    // The API server is away, which is what is being tested; the watch goes on where it broke off.
                    Err(_) => eyes.close(mono_now()),
                }
            }
        });
        Referee { book, rules, watching }
    }

    /// Before a clock is changed.
    pub(super) fn truth(&self, node: &str, truth: Truth) {
        lock(&self.book).truth.entry(node.to_owned()).or_default().push((mono_now(), truth));
    }

    /// After somebody else's write was answered with this node.
    pub(super) fn foreign(&self, written: &Node, key: &str, present: bool) -> Result<()> {
        let (node, version) = (written.name_any(), version(written)?);
        lock(&self.book).foreign.push(Foreign { node, version, key: key.to_owned(), present });
        Ok(())
    }

    /// Before the policy is deleted.
    pub(super) fn release(&self) {
        lock(&self.book).released = Some(mono_now());
    }

    /// Waits until it has seen this version, then judges.
    pub(super) async fn verdict(self, last: &Node) -> Result<Verdict> {
        let (name, wanted) = (last.name_any(), version(last)?);
        let seen = crate::support::wait_for("the referee to have seen everything", super::SOON, async || {
            let book = lock(&self.book);
            let newest = book.sights.iter().filter(|it| it.node == name).map(|it| it.version).max();
            anyhow::ensure!(newest >= Some(wanted), "it has seen {newest:?} of {name}, and {wanted} is the last");
            Ok(())
        });
        seen.await?;
        self.watching.abort();
        let book = lock(&self.book).clone();
        Ok(judge(book, self.rules))
    }
}

impl Drop for Referee {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Versions are numbers that grow with every write of the whole cluster (KEP-5504).
fn version(node: &Node) -> Result<u64> {
    node.metadata.resource_version.as_deref().context("no version")?.parse().context("a version that is no number")
}

/// What was missed is told within this, once the watch is back.
const CATCHING_UP: Duration = Duration::from_secs(2);

/// Since when nothing has been seen, and until when.
#[derive(Debug, Default)]
struct Eyes {
    closed: Option<Instant>,
    opened: Option<Instant>,
}

impl Eyes {
    fn close(&mut self, now: Instant) {
        let is_catching_up = self.opened.is_none_or(|opened| now < opened + CATCHING_UP);
        if self.closed.is_none() || !is_catching_up {
            self.closed = Some(now);
        }
        self.opened = None;
    }

    fn since(&mut self, now: Instant) -> Instant {
        let opened = *self.opened.get_or_insert(now);
        self.closed.filter(|_| now < opened + CATCHING_UP).unwrap_or(now)
    }

    fn sight(&mut self, node: &Node, at: Instant) -> Result<Sight> {
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).map(|taint| taint.key.clone());
        let recorded = owned(node)?.held.into_keys().filter_map(|mark| match mark {
            Mark::Taint { key, .. } => Some(key),
            Mark::Cordon => None,
        });
        Ok(Sight {
            at,
            since: self.since(at),
            node: node.name_any(),
            version: version(node)?,
            taints: taints.collect(),
            recorded: recorded.collect(),
        })
    }
}

/// The verdict on everything that happened.
pub(super) fn judge(mut book: Book, rules: Rules) -> Verdict {
    book.sights.sort_by_key(|sight| sight.version);
    book.sights.dedup_by(|later, earlier| later.node == earlier.node && later.version == earlier.version);
    let mut verdict = Verdict::default();
    let mut marked: BTreeMap<&str, usize> = BTreeMap::new();
    let mut acted: BTreeMap<&str, usize> = BTreeMap::new();
    for sight in &book.sights {
        let Sight { node, version, .. } = sight;
        let mut wrong = |what: String| verdict.wrong.push(format!("{node} at version {version}: {what}"));
        let (has, recorded) = (sight.taints.contains(KEY), sight.recorded.contains(KEY));
        if has != recorded {
            wrong(format!("the taint is there: {has}, and recorded: {recorded}"));
        }
        let had = marked.contains_key(node.as_str());
        if has != had {
            verdict.actions += 1;
            let lately = book.truths(sight, rules.grace);
            let released = book.released.is_some_and(|at| at <= sight.at);
            let fits = |truth| lately.contains(&truth) || lately.contains(&Truth::Open);
            if has && (!fits(Truth::Wrong) || released && !book.released_within(sight.since, rules.grace)) {
                wrong("tainted, and its clock is right or its policy gone".to_owned());
            }
            if !has && !fits(Truth::Right) && !released {
                wrong("let go, and its clock is still wrong".to_owned());
            }
            if has {
                let times = acted.entry(node).or_default();
                *times += 1;
                let faults = book.faults(node, sight.at);
                if faults.is_some_and(|faults| *times > faults) {
                    wrong(format!("tainted for the {times}th time, and its clock went wrong {faults:?} times"));
                }
                marked.insert(node, 1);
            } else {
                marked.remove(node.as_str());
            }
        }
        verdict.most = verdict.most.max(marked.len());
        if marked.len() > rules.limit {
            wrong(format!("{} nodes are marked, and the limit is {}", marked.len(), rules.limit));
        }
        for (key, present) in book.foreign(sight) {
            if sight.taints.contains(key) != present {
                wrong(format!("somebody else's taint {key} is {}", if present { "lost" } else { "back" }));
            }
        }
    }
    verdict
}

impl Book {
    /// How a clock was at any moment since the `grace` before this came to be.
    fn truths(&self, sight: &Sight, grace: Duration) -> Vec<Truth> {
        let Some(story) = self.truth.get(&sight.node) else { return Vec::new() };
        let ends = story.iter().skip(1).map(|(since, _)| Some(*since)).chain([None]);
        let spans = story.iter().zip(ends);
        let overlaps =
            spans.filter(|((begun, _), end)| *begun <= sight.at && end.is_none_or(|end| end + grace >= sight.since));
        overlaps.map(|((_, truth), _)| *truth).collect()
    }

    /// How often it went wrong until then; `None` if that cannot be said.
    fn faults(&self, node: &str, at: Instant) -> Option<usize> {
        let story = self.truth.get(node)?.iter().take_while(|(since, _)| *since <= at);
        let truths: Vec<Truth> = story.map(|(_, truth)| *truth).collect();
        let pairs = truths.iter().zip(truths.iter().skip(1));
        let went = pairs.filter(|(before, after)| **before != Truth::Wrong && **after == Truth::Wrong).count();
        (!truths.contains(&Truth::Open)).then_some(went)
    }

    fn released_within(&self, at: Instant, grace: Duration) -> bool {
        self.released.is_some_and(|released| released + grace >= at)
    }

    /// What others had made of their taints on this node by this version.
    fn foreign(&self, sight: &Sight) -> BTreeMap<&str, bool> {
        let mut latest: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        for write in self.foreign.iter().filter(|it| it.node == sight.node && it.version <= sight.version) {
            let entry = latest.entry(&write.key).or_insert((write.version, write.present));
            if write.version >= entry.0 {
                *entry = (write.version, write.present);
            }
        }
        latest.into_iter().map(|(key, (_, present))| (key, present)).collect()
    }
}

#[test]
fn a_referee_that_is_blind_to_any_of_these_is_no_referee() {
    let start = mono_now();
    let second = |n: u64| start + Duration::from_secs(n);
    let sight = |n: u64, node: &str, taints: &[&str], recorded: bool| Sight {
        at: second(n),
        since: second(n),
        node: node.to_owned(),
        version: n,
        taints: taints.iter().map(ToString::to_string).collect(),
        recorded: if recorded { BTreeSet::from([KEY.to_owned()]) } else { BTreeSet::new() },
    };
    let on = |n, node| sight(n, node, &[KEY, "theirs"], true);
    let off = |n, node| sight(n, node, &["theirs"], false);
    let theirs = |version, present| Foreign { node: "a".into(), version, key: "theirs".into(), present };
    let check = |sights: Vec<Sight>, foreign: Vec<Foreign>, released: Option<u64>, expected: &[&str]| {
        let truth = [
            // Wrong from the 10th to the 20th second, and from the 40th on.
            (
                "a",
                vec![
                    (second(0), Truth::Right),
                    (second(10), Truth::Wrong),
                    (second(20), Truth::Right),
                    (second(40), Truth::Wrong),
                ],
            ),
            ("b", vec![(second(0), Truth::Wrong)]),
            ("c", vec![(second(0), Truth::Open)]),
        ];
        let truth = truth.into_iter().map(|(node, story)| (node.to_owned(), story)).collect();
        let book = Book { sights, foreign, truth, released: released.map(second) };
        let verdict = judge(book, Rules { limit: 2, grace: Duration::from_secs(3) });
        let found = expected.len() == verdict.wrong.len()
            && expected.iter().zip(&verdict.wrong).all(|(part, wrong)| wrong.contains(part));
        assert!(found, "expected {expected:?}, found {:?}", verdict.wrong);
    };
    check(vec![off(1, "a"), on(11, "a"), off(21, "a"), on(41, "a")], vec![theirs(1, true)], None, &[]);
    // Late, but within the grace; then too late.
    check(vec![on(22, "a")], vec![], None, &[]);
    check(vec![on(24, "a")], vec![], None, &["tainted, and its clock is right"]);
    // Nobody looked from the 15th second on.
    check(vec![Sight { since: second(15), ..on(27, "a") }], vec![], None, &[]);
    check(vec![Sight { since: second(24), ..on(27, "a") }], vec![], None, &["tainted, and its clock is right"]);
    check(vec![on(5, "a")], vec![], None, &["tainted, and its clock is right", "for the 1th time"]);
    check(vec![on(11, "a"), off(14, "a")], vec![], None, &["let go, and its clock is still wrong"]);
    check(vec![on(11, "a"), off(12, "a"), on(13, "a")], vec![], None, &["for the 2th time"]);
    check(vec![sight(11, "a", &[KEY], false)], vec![], None, &["is there: true, and recorded: false"]);
    check(vec![sight(11, "a", &[], true)], vec![], None, &["is there: false, and recorded: true"]);
    check(
        vec![on(11, "a"), on(12, "c"), sight(13, "b", &[KEY], true)],
        vec![],
        None,
        &["for the 1th", "3 nodes are marked"],
    );
    check(vec![off(5, "a"), sight(6, "a", &[], false)], vec![theirs(5, true)], None, &["taint theirs is lost"]);
    check(vec![off(5, "a"), off(7, "a")], vec![theirs(6, false), theirs(5, true)], None, &["taint theirs is back"]);
    // A policy that is gone lets everything go, and nothing new comes.
    check(vec![on(11, "a"), off(16, "a")], vec![], Some(15), &[]);
    check(vec![on(45, "a")], vec![], Some(30), &["its policy gone"]);
}

#[test]
fn what_is_told_at_once_when_the_watch_is_back_may_have_come_to_be_since_it_broke() {
    let start = mono_now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let mut eyes = Eyes::default();
    assert_eq!(eyes.since(at(1_000)), at(1_000));
    eyes.close(at(2_000));
    eyes.close(at(5_000));
    assert_eq!(
        (eyes.since(at(8_000)), eyes.since(at(9_900)), eyes.since(at(10_000))),
        (at(2_000), at(2_000), at(10_000))
    );
    // Back for a moment only: what was missed may still be to come.
    eyes.close(at(20_000));
    assert_eq!(eyes.since(at(21_000)), at(20_000));
    eyes.close(at(21_500));
    assert_eq!(eyes.since(at(30_000)), at(20_000));
}
