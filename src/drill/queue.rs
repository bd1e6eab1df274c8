//! What is going to happen, in order: by time, and at one time in the order in which it was put in.
//!
//! That order makes a run the same every time. Does not know: what the events are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    count: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Duration,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue { heap: BinaryHeap::new(), count: 0 }
    }
}

impl<E> Queue<E> {
    /// Lets something happen at that time.
    pub fn put(&mut self, at: Duration, event: E) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at, number: self.count, event }));
    }

    /// The next event and when it comes.
    #[must_use]
    pub fn first(&self) -> Option<(Duration, &E)> {
        self.heap.peek().map(|Reverse(entry)| (entry.at, &entry.event))
    }

    /// The next event, if it is not later than `end`.
    pub fn take(&mut self, end: Duration) -> Option<(Duration, E)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_put_in() {
        let mut queue = Queue::default();
        for (at, event) in [(2, 'b'), (1, 'a'), (2, 'c'), (9, 'z')] {
            queue.put(Duration::from_secs(at), event);
        }
        let order: String = std::iter::from_fn(|| queue.take(Duration::from_secs(5))).map(|(_, event)| event).collect();
        assert_eq!(order, "abc");
    }
}
