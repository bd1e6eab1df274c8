//! The whole controller, drilled.
use clockwarden::drill::{old::OldBrain, run, script};

#[test]
fn smoke() {
    let text = std::fs::read_to_string(std::env::var("SCENARIO").unwrap()).unwrap();
    let scenario = script::read(&text).unwrap();
    let ran = run::<OldBrain>(&scenario, None, |_| OldBrain::default());
    println!("{}", ran.journal);
    for broken in &ran.broken {
        println!("BROKEN {broken}");
    }
    println!("{} node-hours, {} writes, {} events", ran.node_hours, ran.writes, ran.played);
}
