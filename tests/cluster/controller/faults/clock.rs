//! The controller's own clock is stepped while it runs.

use std::time::Duration;

use anyhow::ensure;
use jiff::SignedDuration;

use super::{Bout, leads, rounds, throughout};
use crate::support::wait::mono_now;
use crate::support::{Faketime, Outcome, run};

/// Two leaders that both answered within this are two leaders at once.
const AT_ONCE: Duration = Duration::from_millis(500);

#[test]
fn a_step_of_the_controllers_own_clock_moves_no_node_and_no_lease() -> Outcome {
    run(async {
        let count = rounds(2, 20)?;
        let fault = "the leader's own clock stepped by +1 h and by -1 h";
        let mut bout = Bout::begin("ownstep", fault, count).await?;
        let clock = Faketime::new(SignedDuration::ZERO)?;
        let (stepped, first) = bout.lab.controller_with("controller-ownstep", &clock).await?;
        // It leads before the other one comes.
        super::one_leader(std::slice::from_ref(&first)).await?;
        let (other, second) = bout.lab.controller("controller-ownstep-2", &[]).await?;
        bout.ready().await?;
        for round in 0..count {
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
            let step = if round % 2 == 0 { 3_600 } else { -3_600 };
            clock.set(SignedDuration::from_secs(step))?;
            // As long as a lease lasts, and then some: nobody may take it for expired, and nobody may hold it twice.
            throughout(Duration::from_secs(18), async || {
                let tainted = bout.lab.tainted(super::KEY).await?;
                let wanted: Vec<String> = wrong.iter().map(|number| bout.lab.node(*number)).collect();
                ensure!(tainted == wanted, "after a step of its own clock {tainted:?} are tainted, not {wanted:?}");
                let asked = mono_now();
                let both = [leads(&first).await, leads(&second).await];
                let at_once = asked.elapsed() < AT_ONCE;
                ensure!(!at_once || both != [Some(true), Some(true)], "two controllers lead at once");
                Ok(())
            })
            .await?;
            // A clock that goes wrong now is still found, by whoever leads, at the latest when the step is undone.
            clock.set(SignedDuration::ZERO)?;
            let wrong = bout.choice();
            bout.only_wrong(&wrong);
            bout.settled(&wrong).await?;
        }
        bout.end(vec![stepped, other]).await
    })
}
