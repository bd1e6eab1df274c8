//! The story: what is done, what comes of it, and when.

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use std::time::Instant;

use super::stage::{SOON, Stage, indented, until};
use crate::support::wait::mono_now;
use crate::support::wait_for;

const TAINTS: &str = "jsonpath={.spec.taints[*].key}";
const KEY: &str = "clockwarden.io/clock-drift";

struct Teller {
    start: Instant,
}

impl Teller {
    fn say(&self, text: &str) {
        println!("{:7.1} s  {text}", self.start.elapsed().as_secs_f64());
    }
}

pub(crate) async fn tell() -> Result<Stage> {
    let teller = Teller { start: mono_now() };
    println!("Clockwarden: a wrong clock, a taint, and settings that are refused\n");
    let stage = Stage::set(&|text| teller.say(text)).await?;
    println!("\n1. A node's clock goes wrong\n");
    drift(&stage, &teller).await?;
    println!("\n2. The clock is put right\n");
    recovery(&stage, &teller).await?;
    println!("\n3. Settings that break with any clock\n");
    for (kind, names) in [("ConfigMap", "configmap"), ("Deployment", "deployment")] {
        admission(&stage, &teller, kind, names).await?;
    }
    println!();
    teller.say("all as told");
    Ok(stage)
}

async fn drift(stage: &Stage, teller: &Teller) -> Result<()> {
    teller.say("kubectl apply -f examples/policy.yaml");
    let policy = super::stage::file("examples/policy.yaml").display().to_string();
    let applied = stage.plane.kubectl(&["apply", "-f", &policy]).await?;
    ensure!(applied.success, "the policy was refused: {}", applied.stderr);
    let states = ["get", "nclk", "-o", "jsonpath={.items[*].status.state}"];
    until(stage, "all three clocks to be synchronized", &states, |s| s == ["Synchronized"; 3].join(" ")).await?;
    teller.say("all three clocks are synchronized");

    teller.say("the clock of node-3 is put 15 s ahead (libfaketime: its agent sees it, this machine does not)");
    let stepped = mono_now();
    stage.wrong.set(SignedDuration::from_secs(15))?;
    until(stage, "node-3 to be tainted", &["get", "node", "node-3", "-o", TAINTS], |s| s.contains(KEY)).await?;
    teller.say(&format!("node-3 is tainted, {:.0} ms after the step", stepped.elapsed().as_secs_f64() * 1e3));
    until(stage, "the policy to say so", &["get", "tsp", "-o", "jsonpath={.items[0].status.nodes.acted}"], |s| {
        s == "1"
    })
    .await?;
    stage.show(&["get", "tsp,nclk"]).await?;
    for node in ["node-1", "node-2"] {
        let others = stage.plane.kubectl(&["get", "node", node, "-o", TAINTS]).await?;
        ensure!(!others.stdout.contains(KEY), "{node} is tainted too: {}", others.stdout);
    }

    let pods = ["web-1", "web-2", "web-3", "web-4"];
    for pod in pods {
        let args = ["run", pod, "--image=example.com/web", "--restart=Never"];
        // The namespace's service account comes a moment after the namespace.
        wait_for("the pod to be accepted", SOON, async || {
            let run = stage.plane.kubectl(&args).await?;
            ensure!(run.success || run.stderr.contains("AlreadyExists"), "{}", run.stderr);
            Ok(())
        })
        .await?;
        let bound = ["get", "pod", pod, "-o", "jsonpath={.spec.nodeName}"];
        let node = until(stage, "the pod to be scheduled", &bound, |s| !s.is_empty()).await?;
        ensure!(node != "node-3", "{pod} was scheduled on the node with the wrong clock");
        teller.say(&format!("new pod {pod} is scheduled on {node}"));
    }
    Ok(())
}

async fn recovery(stage: &Stage, teller: &Teller) -> Result<()> {
    teller.say("the clock of node-3 is right again");
    let stepped = mono_now();
    stage.wrong.set(SignedDuration::ZERO)?;
    until(stage, "node-3 to be let go", &["get", "node", "node-3", "-o", TAINTS], |s| !s.contains(KEY)).await?;
    let seconds = stepped.elapsed().as_secs_f64();
    teller.say(&format!("the taint is gone, {seconds:.1} s later (the policy waits to be sure: recoveredFor)"));
    let history = [
        "get",
        "nclk",
        "node-3",
        "-o",
        "jsonpath={range .status.history[*]}{.time} {.kind} (until {.until}, peak {.peakSeconds} s): {.message}{\"\\n\"}{end}",
    ];
    let story = until(stage, "the history to be told", &history, |s| s.contains("Untainted")).await?;
    teller.say("what happened is kept, in the NodeClock of node-3:");
    // Only a drift lasts, and has a peak.
    print!("{}", indented(&story.replace(" (until , peak  s)", "")));
    for kind in ["Stepped", "Drifting (until 2", "Tainted", "Untainted"] {
        ensure!(story.contains(kind), "the history lacks {kind}");
    }
    Ok(())
}

async fn admission(stage: &Stage, teller: &Teller, kind: &str, name: &str) -> Result<()> {
    let path = |safety: &str| format!("examples/{safety}/{name}.yaml");
    let (unsafe_path, safe_path) = (path("unsafe"), path("safe"));
    teller.say(&format!("kubectl apply -f {unsafe_path}"));
    let full = super::stage::file(&unsafe_path).display().to_string();
    // The API server learns of a webhook a moment after its configuration; dry runs tell when.
    let refused = wait_for("the webhook to be asked", SOON, async || {
        let dry = stage.plane.kubectl(&["apply", "--dry-run=server", "-f", &full]).await?;
        ensure!(!dry.success, "it was admitted");
        stage.plane.kubectl(&["apply", "-f", &full]).await
    })
    .await?;
    ensure!(!refused.success, "an unsafe {kind} was admitted");
    ensure!(refused.stderr.contains("denied the request"), "it was refused for another reason: {}", refused.stderr);
    print!("{}", indented(&refused.stderr));
    let fix = refused.stderr.lines().find(|line| line.contains("Fix: write"));
    fix.with_context(|| format!("the refusal does not say what to write instead: {}", refused.stderr))?;
    teller.say(&format!("kubectl apply -f {safe_path}"));
    let full = super::stage::file(&safe_path).display().to_string();
    let admitted = stage.plane.kubectl(&["apply", "-f", &full]).await?;
    ensure!(admitted.success, "the mended {kind} was refused: {}", admitted.stderr);
    print!("{}", indented(&admitted.stdout));
    Ok(())
}
