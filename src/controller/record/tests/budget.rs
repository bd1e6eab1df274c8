//! What a node may cost the API server in writes of its NodeClock.

use super::*;

const DAY: u32 = 86_400;

/// Looks every ten seconds for so long; that costs at most so many writes.
fn check(seconds: u32, summary: impl Fn(u32) -> Summary<'static>, most: usize) {
    let mut desk = Desk::default();
    let mut last = f64::from(0);
    let mut longest_wait = 0.0_f64;
    for second in (0..seconds).step_by(10) {
        let now = f64::from(second);
        let summary = summary(second);
        match desk.due(&summary, now) {
            Due::Later(_) => longest_wait = longest_wait.max(now - last),
            Due::Nothing => last = now,
            Due::Now(status, _) => {
                desk.stored = Some(*status);
                desk.writes += 1;
                last = now;
            }
        }
    }
    assert!(desk.writes <= most, "{} writes, {most} allowed", desk.writes);
    assert!(longest_wait <= 60.0, "held back for {longest_wait} s");
    println!("{} writes, {most} allowed", desk.writes);
}

#[test]
fn a_day_of_drift_at_a_constant_offset_is_some_thirty_writes() {
    check(DAY, |_| bad(15_000), 36);
}

#[test]
fn a_day_of_drift_that_wobbles_by_a_tenth_is_hardly_more() {
    check(DAY, |second| bad(15_000 + i64::from(second * 7_919 % 3_000) - 1_500), 38);
}

#[test]
fn a_clock_that_runs_away_costs_little_more() {
    check(DAY, |second| bad(600 + i64::from(second) * 10), 80);
}

#[test]
fn a_clock_that_flaps_every_ten_seconds_costs_a_write_a_minute() {
    check(DAY, |second| if second / 10 % 2 == 0 { bad(15_000) } else { good() }, 1_440 + BURST as usize);
    check(DAY / 6, |second| if second / 10 % 2 == 0 { bad(15_000) } else { lost() }, 240 + BURST as usize);
}

#[test]
fn what_was_written_too_often_waits_a_minute_and_no_longer_and_tells_what_holds_then() {
    let mut desk = Desk::default();
    let flap = |n: u32| if n.is_multiple_of(2) { bad(15_000) } else { good() };
    let mut n = 0;
    while n < 100 && desk.look(&flap(n), f64::from(n)) {
        n += 1;
    }
    assert_eq!(n, BURST);
    let Due::Later(until) = desk.due(&flap(n), f64::from(n)) else { panic!("not held back") };
    let wait = until.since(clocks(f64::from(n)).after);
    assert!(wait <= REST && wait > REST / 2, "{wait:?}");
    assert!(!desk.look(&flap(n), f64::from(n) + wait.as_secs_f64() - 0.01));
    assert!(
        desk.look(&good(), f64::from(n) + wait.as_secs_f64()) || desk.stored.as_ref().unwrap().state == "Synchronized"
    );
}

#[test]
fn a_write_that_fails_is_due_until_it_is_seen() {
    let mut desk = Desk::default();
    desk.look(&good(), 0.0);
    for second in 1..1000 {
        assert!(matches!(desk.due(&bad(15_000), f64::from(second)), Due::Now(..)));
    }
}
