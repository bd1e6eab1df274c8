//! Who has to go when there are too many?
//!
//! Whoever can reach the webhook can open connections and begin requests, and never go on. A limit alone would let the
//! first thousand of these keep everybody else out. So there are so many seats, and when they are taken the newcomer
//! gets the seat of whoever has shown least use for it: first those who have never finished anything, the oldest of
//! them first, then those who finished something longest ago. Who is at work keeps its seat. A client that means it
//! finishes within milliseconds, and is never the oldest unless hundreds came after it in that time.
//!
//! Does not know: what the seats are for; whoever is asked to leave has to go by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// So many seats.
#[derive(Debug)]
pub struct Seats {
    most: usize,
    taken: Mutex<Taken>,
}

/// Has it finished something, and since when does it sit so: the order in which they have to go.
type Rank = (bool, u64);

#[derive(Debug, Default)]
struct Taken {
    /// Counts everything that happens.
    now: u64,
    sitting: HashMap<u64, Sitting>,
    /// Those who are not at work.
    idle: BTreeMap<Rank, u64>,
}

#[derive(Debug)]
struct Sitting {
    leave: CancellationToken,
    rank: Rank,
    /// Pieces of work that it is at.
    working: usize,
}

/// A seat that is taken, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    number: u64,
    leave: CancellationToken,
}

/// Whoever sits there is at work, until this is dropped.
#[derive(Debug)]
pub struct Working(Arc<Seat>);

impl Seats {
    /// At least one.
    #[must_use]
    pub fn new(most: usize) -> Arc<Seats> {
        Arc::new(Seats { most: most.max(1), taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // What a panic has left is a list that is a little wrong, which costs somebody a seat.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat; if all are taken, whoever is first in order is asked to leave. `None`: all are at work.
    pub fn take(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut taken = self.lock();
        if taken.sitting.len() >= self.most {
            let (_, number) = taken.idle.pop_first()?;
            if let Some(asked) = taken.sitting.remove(&number) {
                asked.leave.cancel();
            }
        }
        let number = taken.tick();
        let (leave, rank) = (CancellationToken::new(), (false, number));
        taken.sitting.insert(number, Sitting { leave: leave.clone(), rank, working: 0 });
        taken.idle.insert(rank, number);
        Some(Arc::new(Seat { seats: Arc::clone(self), number, leave }))
    }
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(1);
        self.now
    }
}

impl Seat {
    /// Done when somebody else needs the seat.
    pub async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// Begins a piece of work.
    #[must_use]
    pub fn work(self: &Arc<Self>) -> Working {
        let taken = &mut *self.seats.lock();
        if let Some(sitting) = taken.sitting.get_mut(&self.number) {
            sitting.working = sitting.working.saturating_add(1);
            taken.idle.remove(&sitting.rank);
        }
        Working(Arc::clone(self))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let taken = &mut *self.0.seats.lock();
        let now = taken.tick();
        if let Some(sitting) = taken.sitting.get_mut(&self.0.number) {
            sitting.working = sitting.working.saturating_sub(1);
            sitting.rank = (true, now);
            if sitting.working == 0 {
                taken.idle.insert(sitting.rank, self.0.number);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(sitting) = taken.sitting.remove(&self.number) {
            taken.idle.remove(&sitting.rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seats for three, and what happens to them in turn; who of those who came, in order, was asked to leave.
    fn check(steps: &str, expected: &str) {
        let seats = Seats::new(3);
        let mut came: Vec<Option<Arc<Seat>>> = Vec::new();
        let mut work: BTreeMap<usize, Vec<Working>> = BTreeMap::new();
        let mut turned_away = String::new();
        for step in steps.split_whitespace() {
            let (what, who) = step.split_at(1);
            let who: usize = who.parse().unwrap_or_default();
            match what {
                "+" => match seats.take() {
                    Some(seat) => came.push(Some(seat)),
                    None => turned_away.push('x'),
                },
                "w" => work.entry(who).or_default().push(came[who].as_ref().unwrap().work()),
                "d" => drop(work.get_mut(&who).and_then(Vec::pop)),
                _ => came[who] = None,
            }
        }
        let asked = |(number, seat): (usize, &Option<Arc<Seat>>)| {
            seat.as_ref().filter(|seat| seat.leave.is_cancelled()).map(|_| number.to_string())
        };
        let asked: String = came.iter().enumerate().filter_map(asked).collect();
        assert_eq!(format!("{asked}{turned_away}"), expected, "{steps}");
        drop((came, work));
        let taken = seats.lock();
        assert!(taken.sitting.is_empty() && taken.idle.is_empty(), "{steps}: {taken:?}");
    }

    #[test]
    fn the_one_with_least_use_for_a_seat_makes_room() {
        check("+ + +", "");
        check("+ + + + +", "01");
        check("+ + + -1 +", "");
        // Who has finished something stays longest, and who did so last even longer.
        check("+ w0 d0 + + + +", "12");
        check("+ + + w1 d1 w0 d0 w2 d2 +", "1");
        // Who is at work stays, and if all are nobody comes in.
        check("+ w0 + + + + +", "123");
        check("+ w0 + w1 + w2 +", "x");
        check("+ w0 + w1 + w2 w2 d2 +", "x");
        check("+ w0 + w1 + w2 w2 d2 d2 +", "2");
        // Its work ends after it was asked to leave, or after it left.
        check("+ + + + w0 d0 +", "01");
        check("+ w0 -0 + + + d0 +", "1");
    }
}
