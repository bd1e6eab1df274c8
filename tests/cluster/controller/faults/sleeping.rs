//! A controller that is stopped for longer than its lease (a frozen virtual machine, a stuck disk) and wakes up again.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::{Bout, leads, one_leader, rounds};
use crate::scan::proxy::{Proxy, Traffic};
use crate::support::requests::{AuditedWrite, writes_of};
use crate::support::{Clockwarden, ControlPlane, Outcome, run, wait_for};

/// Two controllers, known to the API server by different names.
struct Pair {
    names: [&'static str; 2],
    processes: Vec<Clockwarden>,
    urls: Vec<String>,
}

impl Pair {
    async fn start(bout: &Bout, names: [&'static str; 2]) -> Result<Pair> {
        let mut pair = Pair { names, processes: Vec::new(), urls: Vec::new() };
        for name in names {
            let kubeconfig = bout.lab.plane.kubeconfig_for(name, &["system:masters"])?;
            pair.push(bout.lab.controller_as(name, kubeconfig, &[]).await?);
        }
        Ok(pair)
    }

    fn push(&mut self, (process, url): (Clockwarden, String)) {
        self.processes.push(process);
        self.urls.push(url);
    }

    fn signal(&mut self, index: usize, signal: Signal) -> Result<()> {
        self.processes.get_mut(index).context("no such controller")?.signal(signal)
    }

    async fn wait_leading(&self, index: usize, wanted: bool) -> Result<()> {
        let url = self.urls.get(index).context("no such controller")?;
        let name = self.names.get(index).context("no such controller")?;
        wait_for(&format!("{name} to lead: {wanted}"), super::SOON, async || {
            let says = leads(url).await;
            ensure!(says == Some(wanted), "it says {says:?}");
            Ok(())
        })
        .await
    }
}

/// What one of them wrote, the lease apart.
fn actions(plane: &ControlPlane, user: &str) -> Result<Vec<AuditedWrite>> {
    let mut all = writes_of(plane, user)?;
    all.retain(|write| write.object_ref.as_ref().and_then(|it| it.resource.as_deref()) != Some("leases"));
    Ok(all)
}

#[test]
fn a_leader_that_was_stopped_for_longer_than_its_lease_notices_and_does_nothing_twice() -> Outcome {
    run(async {
        let count = rounds(2, 20)?;
        let mut bout =
            Bout::begin("asleep", "leader stopped (SIGSTOP) for longer than its lease, another takes over", count)
                .await?;
        let mut pair = Pair::start(&bout, ["sleeper-a", "sleeper-b"]).await?;
        bout.ready().await?;
        for _ in 0..count {
            let leader = one_leader(&pair.urls).await?;
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.moment(40).await;
            pair.signal(leader, Signal::STOP)?;
            // The other one takes over and finishes it.
            pair.wait_leading(1 - leader, true).await?;
            bout.settled(&wrong).await?;
            // While it sleeps, everything changes that it knows.
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
            let before = actions(&bout.lab.plane, pair.names[leader])?.len();
            pair.signal(leader, Signal::CONT)?;
            pair.wait_leading(leader, false).await?;
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
            let since = actions(&bout.lab.plane, pair.names[leader])?.split_off(before);
            // Neither what it had begun when it was stopped nor anything new: no mark, no condition, no record, no Event.
            ensure!(since.is_empty(), "it wrote after it had lost the lease: {since:#?}");
            bout.told(&wrong).await?;
        }
        bout.end(pair.processes).await
    })
}

/// The gap that a lease cannot close by itself: the lease is asked for, then a node is read, and the write that follows
/// from it is sent by a process that has slept in between.
#[test]
fn a_controller_that_slept_between_its_reading_and_its_writing_does_not_write() -> Outcome {
    run(async {
        let count = rounds(1, 10)?;
        let fault = "leader stopped between the read and the write of one action, woken up after its lease";
        let bout = Bout::begin("gap", fault, count).await?;
        let proxy = Proxy::start(&bout.lab.plane.url()).await?;
        let names = ["gap-a", "gap-b"];
        let mut pair = Pair { names, processes: Vec::new(), urls: Vec::new() };
        let behind = proxy.kubeconfig(&bout.lab.plane.kubeconfig_for(names[0], &["system:masters"])?)?;
        pair.push(bout.lab.controller_as(names[0], behind, &[]).await?);
        pair.wait_leading(0, true).await?;
        let direct = bout.lab.plane.kubeconfig_for(names[1], &["system:masters"])?;
        pair.push(bout.lab.controller_as(names[1], direct.clone(), &[]).await?);
        bout.ready().await?;
        for round in 0..count {
            // It decides, asks for the live node, and the answer does not come.
            proxy.set(Traffic::Stalls);
            bout.only_wrong(&[3]);
            wait_for("the question to be on its way", super::SOON, async || {
                ensure!(proxy.held() > 0, "nothing is held back");
                Ok(())
            })
            .await?;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            pair.signal(0, Signal::STOP)?;
            // The answer waits in the socket of a process that sleeps, and what it says is true for ever: nobody else
            // touches the node, because its clock is right again.
            bout.only_wrong(&[]);
            proxy.set(Traffic::Flows);
            pair.wait_leading(1, true).await?;
            bout.only_wrong(&[5]);
            bout.settled(&[5]).await?;
            let before = actions(&bout.lab.plane, names[0])?.len();
            pair.signal(0, Signal::CONT)?;
            pair.wait_leading(0, false).await?;
            bout.only_wrong(&[6]);
            bout.settled(&[6]).await?;
            bout.only_wrong(&[]);
            bout.settled(&[]).await?;
            let since = actions(&bout.lab.plane, names[0])?.split_off(before);
            ensure!(since.is_empty(), "it wrote after it had lost the lease: {since:#?}");
            if round + 1 < count {
                // The other way round again: the one behind the proxy leads.
                pair.processes.pop().context("no second controller")?.terminate(super::SOON).await?;
                pair.urls.pop();
                pair.wait_leading(0, true).await?;
                pair.push(bout.lab.controller_as(names[1], direct.clone(), &[]).await?);
            }
        }
        bout.end(pair.processes).await
    })
}
