//! Which write is due for a node or a policy, derived when it is asked for.
//!
//! For a node: marks first, then what is told (condition, NodeClock, and the Events that follow it). For a policy: its
//! finalizer, its status, the Events that follow it.

use super::Engine;
use super::queue::{About, Class};
use super::ward::Ward;
use crate::agent::report::JumpReport;
use crate::api::{NODE_CONDITION, TimeSyncPolicy, exemption, node_marks};
use crate::clock::{Mono, Sample, State};
use crate::controller::evaluate::NodeView;
use crate::controller::fleet::PolicyEntry;
use crate::controller::policy_status;
use crate::controller::record::{self, Draft, Due, Ledger, Summary};
use crate::controller::totals::Totals;
use crate::controller::write::{Notice, Write};
use crate::controller::{hands_off, suspect};
use crate::policy::decide::HandsOff;
use crate::policy::{Marks, Now, Outcome, Policy};
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use kube::Resource;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A policy's status is written at most this often: five hundred nodes that drift at once are a handful of writes.
const STATUS_SPACING: Duration = Duration::from_secs(1);

/// Nothing is put on a node sooner after it was found drifting: what happens to many at once is told within
/// milliseconds, and must be weighed together before the first of them is acted on.
const MOMENT: Duration = Duration::from_millis(5);

/// Nothing new is done by a policy that was read longer ago: it may have been suspended, changed or deleted since, and
/// the watch that should have told so may hang (a connection that is half open is noticed after minutes).
const CONFIRMED_FOR: Duration = Duration::from_secs(20);

/// From this age on it is read anew, before something new is done by it.
const CONFIRM_AFTER: Duration = Duration::from_secs(10);

impl Engine {
    /// Puts the node into the queue if something is due for it.
    pub(super) fn plan_node(&mut self, name: &str, clocks: &Sample) {
        if let Some(class) = self.class_of_node(name, clocks) {
            self.push(&About::Node(name.to_owned()), class);
        }
    }

    fn class_of_node(&mut self, name: &str, clocks: &Sample) -> Option<Class> {
        let node = self.fleet.nodes.get(name)?;
        let (is_unsure, marks) = (self.subjects.get(name)?.unsure, self.marks_due(name, node, clocks));
        let is_confirmed = self.confirm(name, clocks);
        let node = self.fleet.nodes.get(name)?;
        if is_unsure {
            return is_confirmed.then_some(Class::Undo);
        }
        match marks {
            Some(true) => return self.after_the_moment(name, clocks).then_some(Class::Act),
            Some(false) => return Some(Class::Undo),
            None if !is_confirmed => return None,
            None => {}
        }
        // A drift is summed up with every look at it; of a healthy clock most looks say nothing new.
        let print = self.is_healthy(name).then(|| self.print(name, node));
        let subject = self.subjects.get(name)?;
        if !subject.notices.is_empty() {
            return Some(Class::Tell);
        }
        if print.is_some() && subject.told == print {
            return None;
        }
        let mut ledger = std::mem::take(&mut self.subjects.get_mut(name)?.ledger);
        let summary = self.summary(name, clocks);
        let is_due = condition(node, summary.as_ref(), self.is_forgotten(name), clocks).is_some();
        let record = summary.and_then(|it| self.draft(name, &it, &mut ledger, clocks)?.when(&ledger));
        let subject = self.subjects.get_mut(name)?;
        subject.ledger = ledger;
        let is_due = is_due || record.is_some_and(|at| at <= clocks.after);
        subject.told = print.filter(|_| !is_due);
        if let Some(at) = record.filter(|at| *at > clocks.after) {
            self.queue.push_later(&About::Node(name.to_owned()), at);
        }
        is_due.then_some(Class::Tell)
    }

    /// A node's NodeClock, as far as it is known; each call is a look at its drift.
    fn draft<'a>(
        &self,
        name: &str,
        summary: &'a Summary<'a>,
        ledger: &mut Ledger,
        clocks: &Sample,
    ) -> Option<Draft<'a>> {
        let node = self.fleet.nodes.get(name)?;
        let stored = self.fleet.clocks.get(name).and_then(|clock| clock.status.as_ref());
        Some(Draft::of(stored, summary, &self.jumps(name, clocks), node, ledger, clocks))
    }

    /// What is to be written into the node's NodeClock.
    fn record(&mut self, name: &str, clocks: &Sample) -> Due {
        let Some(subject) = self.subjects.get_mut(name) else { return Due::Nothing };
        let mut ledger = std::mem::take(&mut subject.ledger);
        let due =
            self.summary(name, clocks).and_then(|it| Some(self.draft(name, &it, &mut ledger, clocks)?.due(&ledger)));
        if let Some(subject) = self.subjects.get_mut(name) {
            subject.ledger = ledger;
        }
        due.unwrap_or(Due::Nothing)
    }

    /// Every policy that matches the node calls its clock synchronized.
    fn is_healthy(&self, name: &str) -> bool {
        self.views(name).all(|(_, view)| view.standing.state() == State::Synchronized)
    }

    /// Sees to it that the policies which want to act on a node are known as they are, not as a watch told them some time
    /// ago. Whether they are; otherwise the node is looked at again when they have been read.
    fn confirm(&mut self, name: &str, clocks: &Sample) -> bool {
        let actors: Vec<String> = self.actors(name).map(|policy| policy.name.clone()).collect();
        for policy in &actors {
            if let Some(ward) = self.wards.get_mut(policy)
                && !ward.is_confirmed(CONFIRM_AFTER, clocks.after)
            {
                ward.doubted = true;
                self.push(&About::Policy(policy.clone()), Class::Act);
            }
        }
        self.is_confirmed(name, clocks)
    }

    /// The policies that would put something new on a node.
    fn actors<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Policy> {
        let acts = |view: &NodeView| view.decision.outcome == Outcome::Act && !view.acted;
        self.views(name).filter(move |(_, view)| acts(view)).map(|(policy, _)| policy)
    }

    /// Whether all of them were read just now.
    fn is_confirmed(&self, name: &str, clocks: &Sample) -> bool {
        let known = |policy: &Policy| {
            self.wards.get(&policy.name).is_some_and(|ward| ward.is_confirmed(CONFIRMED_FOR, clocks.after))
        };
        self.actors(name).all(known)
    }

    /// Whether it is so long since the node began to drift that what was told at the same moment is known, too. If not,
    /// it is looked at again then.
    fn after_the_moment(&mut self, name: &str, clocks: &Sample) -> bool {
        let acts = self.views(name).filter(|(_, view)| view.decision.outcome == Outcome::Act && !view.acted);
        let from = acts.map(|(_, view)| view.standing.since().after(MOMENT)).max();
        let Some(from) = from.filter(|from| clocks.after < *from) else { return true };
        self.queue.push_later(&About::Node(name.to_owned()), from);
        false
    }

    /// Whether what is about to be put on a node is still wanted: between the reading of a node and the change of it,
    /// the rest of its fleet may have been heard of.
    #[must_use]
    pub fn confirms(&self, write: &Write, clocks: &Sample) -> bool {
        match write {
            Write::Marks { node, desired, .. } => {
                let live = self.fleet.nodes.get(node);
                live.is_none_or(|live| self.desired(node, live, clocks) == *desired)
            }
            _ => true,
        }
    }

    /// Whether marks are due, and if so, whether any is put on.
    fn marks_due(&self, name: &str, node: &Node, clocks: &Sample) -> Option<bool> {
        // A record that cannot be read stops us here; it is told through the node's decision.
        let change = node_marks::change(node, &self.desired(name, node, clocks)).ok()??;
        let adds = !change.added.is_empty();
        (!adds || node.metadata.deletion_timestamp.is_none()).then_some(adds)
    }

    /// The marks that a node shall carry.
    pub(super) fn desired(&self, name: &str, node: &Node, clocks: &Sample) -> Marks {
        let mut desired = Marks::default();
        for (policy_name, entry) in self.fleet.policies.iter() {
            let Ok(policy) = &entry.policy else {
                // A policy that cannot be evaluated neither acts nor undoes, unless it is being deleted, or a person
                // wants the node to be left alone. An exemption that nobody can read undoes nothing.
                let exempt = exemption::holds(node, Now::by_own_clock(clocks.wall));
                let exempt = matches!(exempt, Some(HandsOff::Exempt { .. }));
                if let (false, false, Ok(owned)) = (entry.deleting(), exempt, node_marks::owned(node)) {
                    desired.join(owned.of(policy_name));
                }
                continue;
            };
            let Some(mark) = &policy.action.mark else { continue };
            let Some(ward) = self.wards.get(policy_name) else { continue };
            let Some(view) = ward.view(name) else { continue };
            let wanted = match view.decision.outcome {
                // Without our finalizer the policy could vanish and leave the mark behind; and one that was not read
                // lately puts nothing on, but keeps nobody else's mark from coming off.
                Outcome::Act => view.acted || (entry.has_finalizer() && ward.is_confirmed(CONFIRMED_FOR, clocks.after)),
                Outcome::Keep => true,
                Outcome::Release | Outcome::WouldAct | Outcome::Leave => false,
            };
            if wanted {
                desired.hold(mark.clone(), policy_name);
            }
        }
        desired
    }

    /// The most pressing write that is due for a node, and may be tried.
    pub(super) fn due_for_node(&mut self, name: &str, clocks: &Sample) -> Option<Write> {
        let about = About::Node(name.to_owned());
        let may_try = |kind| self.queue.may_try(&about, kind, clocks.after);
        let node = self.fleet.nodes.get(name)?;
        let subject = self.subjects.get(name)?;
        let marks = self.marks_due(name, node, clocks);
        let is_due = if subject.unsure { self.is_confirmed(name, clocks) } else { marks.is_some() };
        if is_due && may_try("marks") {
            let desired = self.desired(name, node, clocks);
            // Whose a cordon is only the node itself tells, and so it does what became of a write without an answer.
            let is_cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
            let is_about_cordons = is_cordoned
                || [Some(&desired), node_marks::owned(node).ok().as_ref()]
                    .into_iter()
                    .flatten()
                    .any(Marks::is_about_cordons);
            let known = (!subject.unsure && !is_about_cordons).then(|| Box::new(node.clone()));
            return Some(Write::Marks { node: name.to_owned(), desired, known });
        }
        let condition = condition(node, self.summary(name, clocks).as_ref(), self.is_forgotten(name), clocks);
        if let Some(write) = condition.filter(|_| may_try("condition")) {
            return Some(write);
        }
        let (may_record, may_tell) = (may_try("nodeclock"), may_try("event"));
        let (about, uid) = (reference_to(node), node.metadata.uid.clone().unwrap_or_default());
        if may_record && let Due::Now(status, incidents) = self.record(name, clocks) {
            let following = incidents.into_iter().map(|incident| {
                let (reason, warning) = record::event(&incident.kind);
                Notice { about: about.clone(), reason: reason.to_owned(), warning, note: incident.message }
            });
            let following = following.collect();
            self.subjects.get_mut(name)?.following = following;
            return Some(Write::Clock { node: name.to_owned(), uid, status });
        }
        let notice = self.subjects.get(name)?.notices.front().filter(|_| may_tell)?;
        Some(Write::Event(Box::new(notice.clone())))
    }

    /// No policy matches the node, so that what is told of it would only grow stale.
    fn is_forgotten(&self, name: &str) -> bool {
        let unusable = self.fleet.policies.iter().any(|(_, entry)| entry.policy.is_err());
        !unusable && self.views(name).next().is_none()
    }

    /// What holds for a node over all policies; `None` where none matches it, or it is too early to say anything.
    fn summary<'a>(&'a self, name: &'a str, clocks: &Sample) -> Option<Summary<'a>> {
        let zone = self.fleet.nodes.get(name).and_then(hands_off::zone);
        let seen = self.views(name).filter_map(|(policy, view)| {
            let ward = self.wards.get(&policy.name)?;
            let zone = zone.and_then(|zone| ward.frame().zone(zone)).map(suspect::zone);
            let totals = Totals::of(ward, None);
            let scene = totals.scene(policy.action.limit, zone.as_deref(), clocks.wall);
            Some((policy, view, view.decision.explain(&scene)))
        });
        record::summary(seen.collect())
    }

    /// What all sources tell of a clock's jumps, as old as they are now.
    fn jumps(&self, name: &str, clocks: &Sample) -> Vec<JumpReport> {
        let readings = self.observed.of(name).filter_map(|seen| seen.reading.as_ref());
        readings
            .flat_map(|reading| {
                let since = clocks.after.since(reading.clocks.after);
                reading.jumps().iter().map(move |jump| aged(jump, since))
            })
            .collect()
    }

    /// What is told of a node follows from this; the same print, and nothing new is to be told.
    fn print(&self, name: &str, node: &Node) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (policy, view) in self.views(name) {
            policy.name.hash(&mut hasher);
            policy.generation.hash(&mut hasher);
            view.standing.state().hash(&mut hasher);
            view.premature.hash(&mut hasher);
            view.failure.is_some().hash(&mut hasher);
            view.decision.outcome.as_str().hash(&mut hasher);
            view.decision.because.as_str().hash(&mut hasher);
        }
        for seen in self.observed.of(name) {
            for jump in seen.reading.iter().flat_map(|reading| reading.jumps()) {
                (&jump.cause, &jump.wall_before, &jump.wall_after, jump.ongoing).hash(&mut hasher);
                jump.amount_seconds.to_bits().hash(&mut hasher);
            }
        }
        let clock = self.fleet.clocks.get(name);
        clock.and_then(|clock| clock.metadata.resource_version.as_ref()).hash(&mut hasher);
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        for condition in conditions.iter().filter(|condition| condition.type_ == NODE_CONDITION) {
            (&condition.status, &condition.reason).hash(&mut hasher);
        }
        node.metadata.annotations.as_ref().and_then(|all| all.get(crate::api::MARKS_ANNOTATION)).hash(&mut hasher);
        self.is_forgotten(name).hash(&mut hasher);
        self.subjects.get(name).map(|subject| subject.notices.len()).hash(&mut hasher);
        hasher.finish()
    }

    /// Puts the policy into the queue if something is due for it.
    pub(super) fn plan_policy(&mut self, name: &str, clocks: &Sample) {
        let about = About::Policy(name.to_owned());
        let Some(entry) = self.fleet.policies.get(name) else { return };
        let Some(ward) = self.wards.get(name) else { return };
        if ward.doubted {
            self.push(&about, Class::Act);
        } else if finalizer(entry, ward).is_some() {
            self.push(&about, Class::Finalizer);
        } else if !ward.notices.is_empty() {
            self.push(&about, Class::Tell);
        } else if !entry.deleting()
            && policy_status::due(name, entry, &totals(entry, ward), &mut self.shown, clocks.wall).is_some()
        {
            let from = ward.told.map_or(Mono::default(), |at| at.after(STATUS_SPACING));
            if from <= clocks.after {
                self.push(&about, Class::Tell);
            } else {
                self.queue.push_later(&about, from);
            }
        }
    }

    /// The most pressing write that is due for a policy, and may be tried.
    pub(super) fn due_for_policy(&mut self, name: &str, clocks: &Sample) -> Option<Write> {
        let about = About::Policy(name.to_owned());
        let entry = self.fleet.policies.get(name)?;
        let ward = self.wards.get_mut(name)?;
        let may_try = |kind| self.queue.may_try(&about, kind, clocks.after);
        if ward.doubted && may_try("confirm") {
            return Some(Write::Confirm { policy: name.to_owned() });
        }
        if let Some(present) = finalizer(entry, ward).filter(|_| may_try("finalizer")) {
            return Some(Write::Finalizer { policy: name.to_owned(), present });
        }
        if let Some(notice) = ward.notices.front().filter(|_| may_try("event")) {
            return Some(Write::Event(Box::new(notice.clone())));
        }
        if entry.deleting() || !may_try("policy_status") {
            return None;
        }
        let (status, events) = policy_status::due(name, entry, &totals(entry, ward), &mut self.shown, clocks.wall)?;
        ward.told = Some(clocks.after);
        let about = ObjectReference {
            api_version: Some(TimeSyncPolicy::api_version(&()).into_owned()),
            kind: Some(TimeSyncPolicy::kind(&()).into_owned()),
            name: Some(name.to_owned()),
            uid: entry.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let notice = |event: policy_status::Notice| Notice {
            about: about.clone(),
            reason: event.reason.to_owned(),
            warning: event.warning,
            note: event.note,
        };
        ward.following = events.into_iter().map(notice).collect();
        Some(Write::PolicyStatus { policy: name.to_owned(), status: Box::new(status) })
    }
}

fn totals(entry: &PolicyEntry, ward: &Ward) -> Totals {
    Totals::of(ward, entry.policy.as_ref().err().cloned())
}

/// The condition that is due: told where a policy matches, removed where none does any more.
fn condition(node: &Node, summary: Option<&Summary<'_>>, is_forgotten: bool, clocks: &Sample) -> Option<Write> {
    let (name, version) = (node.metadata.name.clone().unwrap_or_default(), node.metadata.resource_version.clone());
    let write = |condition| Write::Condition { node: name.clone(), version: version.clone(), condition };
    if let Some(summary) = summary {
        return record::condition(node, summary, clocks.wall).map(|it| write(Some(Box::new(it))));
    }
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    (is_forgotten && conditions.iter().any(|c| c.type_ == NODE_CONDITION)).then(|| write(None))
}

/// The finalizer comes before the first mark and goes when no node carries a mark of the policy.
fn finalizer(entry: &PolicyEntry, ward: &Ward) -> Option<bool> {
    match (entry.deleting(), entry.has_finalizer()) {
        (false, false) => Some(true),
        (true, true) if ward.room().held().is_empty() => Some(false),
        _ => None,
    }
}

/// A jump as old as it is now, and not as old as it was when it was reported.
fn aged(jump: &JumpReport, since: Duration) -> JumpReport {
    JumpReport { age_seconds: jump.age_seconds.map(|age| age + since.as_secs_f64()), ..jump.clone() }
}

fn reference_to(node: &Node) -> ObjectReference {
    ObjectReference {
        api_version: Some(Node::api_version(&()).into_owned()),
        kind: Some(Node::kind(&()).into_owned()),
        name: node.metadata.name.clone(),
        uid: node.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
