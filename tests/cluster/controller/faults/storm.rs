//! Somebody else who never stops writing to the same nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::ensure;
use k8s_openapi::api::core::v1::Node;

use super::{Bout, rounds};
use crate::controller::races::foreign;
use crate::support::{Outcome, run};

/// Nodes that the storm is over.
const STRUCK: u8 = 3;
/// Different taints of somebody else's on each.
const KEYS: usize = 4;

/// What the racing writer was answered, in its order.
type Written = Vec<(Node, String, bool)>;

#[test]
fn a_storm_of_foreign_taints_loses_none_and_brings_none_back() -> Outcome {
    run(async {
        let count = rounds(40, 1_000)?;
        let mut bout =
            Bout::begin("storm", "racing writer of foreign taints on the same nodes (409 storm)", count).await?;
        let (controller, _) = bout.lab.controller("controller-storm", &[]).await?;
        bout.ready().await?;
        bout.lab.change_policy("storm", serde_json::json!({"action": {"recoveredFor": "0s"}})).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let total = Arc::new(AtomicUsize::new(0));
        let mut writers = Vec::new();
        for number in 1..=STRUCK {
            let (nodes, node) = (bout.lab.live(), bout.lab.node(number));
            let (stop, total) = (Arc::clone(&stop), Arc::clone(&total));
            writers.push(tokio::spawn(async move {
                let mut written = Written::new();
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("storm/{}", turn % KEYS);
                    let present = (turn / KEYS).is_multiple_of(2);
                    written.push((foreign(&nodes, &node, &key, present).await?, key, present));
                    total.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(written)
            }));
        }
        // Every round, the marks of two of the nodes in the storm change.
        for round in 0..count {
            let wrong: &[u8] = if round % 2 == 0 { &[1, 2] } else { &[2, 3] };
            bout.only_wrong(wrong);
            bout.settled(wrong).await?;
            bout.moment(20).await;
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            for (node, key, present) in writer.await?? {
                bout.referee.foreign(&node, &key, present)?;
            }
        }
        let total = total.load(Ordering::Relaxed);
        println!("{total} writes by the racing writer in {count} rounds");
        ensure!(total >= count, "that was no storm: {total} writes in {count} rounds");
        bout.end(vec![controller]).await
    })
}
