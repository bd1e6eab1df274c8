//! Whether two messages say the same but for what grows by itself: lengths of time and dates.

/// Whether they do.
pub(super) fn alike(one: &str, other: &str) -> bool {
    lasting(one).eq(lasting(other))
}

/// The words of a message that do not change by themselves.
fn lasting(message: &str) -> impl Iterator<Item = &str> {
    const UNITS: [&str; 6] = ["us", "ms", "s", "min", "h", "d"];
    fn trimmed(word: &str) -> &str {
        word.trim_matches(|c| "(),.;:".contains(c))
    }
    let mut words = message.split_whitespace().peekable();
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            let (this, next) = (trimmed(word), words.peek().map(|next| trimmed(next)));
            let is_length = this.parse::<f64>().is_ok() && next.is_some_and(|next| UNITS.contains(&next));
            if !is_length && this.parse::<jiff::Timestamp>().is_err() {
                return Some(word);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_itself_is_no_news() {
        let old = |age: &str, at: &str| format!("3 of 5 nodes; n1 was {age} old already (taken at {at}), and so on");
        assert!(alike(&old("61.200 s", "2026-01-01T00:00:00.000001Z"), &old("75.000 s", "2026-01-01T00:01:00Z")));
        assert!(!alike("3 of 5 nodes cannot be measured", "2 of 5 nodes cannot be measured"));
        assert!(!alike("node n1 has 3 series", "node n1 has 2 series"));
        assert!(!alike("it cannot be reached", "it answered 404"));
    }
}
