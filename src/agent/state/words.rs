//! Why the state is what it is, in a sentence.

use super::{Core, View};
use crate::clock::time::Human;
use crate::clock::{Dispute, Fused, OffsetInterval, Smear, State, Why};

impl Core {
    /// The reason: the word of [`Why`] where nothing is known, then the facts. `None` for a clock that is right.
    pub(super) fn reason(&self, view: &View) -> Option<String> {
        let state = self.standing.state();
        let facts = match state {
            State::Synchronized => return None,
            State::Drifting => {
                let limit = Human(self.tolerance.offset_max);
                return Some(match &view.fused {
                    Fused::Agreed(it) if it.surely_beyond(self.tolerance.offset_max) => {
                        format!("the clock is {}, beyond {limit}", spoken(*it))
                    }
                    Fused::Agreed(it) => {
                        format!("the clock was beyond {limit} and is not surely back within: {}", spoken(*it))
                    }
                    Fused::Conflict { .. } | Fused::Silent => format!("the clock was beyond {limit}"),
                });
            }
            State::Unknown(why) => match (why, &view.fused) {
                (_, Fused::Agreed(it)) if why != Why::TooUncertain && why != Why::Unsynchronized => {
                    format!("{it} is neither surely within {} nor surely beyond", Human(self.tolerance.offset_max))
                }
                (Why::TooUncertain, Fused::Agreed(it)) => {
                    let most = Human(self.tolerance.error_max);
                    format!("{it} is too uncertain to judge by; at most {most} of uncertainty is evidence")
                }
                (Why::Conflict, _) => self.conflict(view),
                (Why::LeapSmear, _) => self.smear(view),
                (Why::Unsynchronized, _) => format!(
                    "the offset is within {}, but nothing has disciplined the clock for {}",
                    Human(self.tolerance.offset_max),
                    Human(view.undisciplined)
                ),
                (Why::Stale, _) => {
                    format!("no source has answered for {}", Human(view.undisciplined))
                }
                (Why::NeverMeasured | Why::TooUncertain | Why::NoYardstick | Why::MovedTogether, _) => self.silence(),
            },
        };
        let State::Unknown(why) = state else { return Some(facts) };
        Some(format!("{}: {facts}", why.as_str()))
    }

    /// What each says, and who cannot agree with whom.
    fn conflict(&self, view: &View) -> String {
        let says: Vec<String> = self
            .witnesses
            .iter()
            .zip(&view.each)
            .filter_map(|(w, it)| it.map(|(interval, _)| format!("{} says {interval}", w.name)))
            .collect();
        format!("the sources cannot all be true: {}; {}", says.join(", "), disputes(&view.fused))
    }

    fn smear(&self, view: &View) -> String {
        let why = match view.smear {
            Some(Smear { announced: true }) => "a leap second is announced",
            Some(Smear { announced: false }) | None => "a leap second may be near by the date",
        };
        format!(
            "{why}, and the sources are less than 1 s apart, as servers that smear it over a day and servers that step \
             are: {}",
            disputes(&view.fused)
        )
    }

    fn silence(&self) -> String {
        let there: Vec<&str> = self.witnesses.iter().filter(|w| w.exists()).map(|w| w.name.as_str()).collect();
        if there.is_empty() {
            return "no source has been asked yet".to_owned();
        }
        format!("no source has given evidence ({})", there.join(", "))
    }
}

/// Pairs that are named; the others are only counted.
const DISPUTES_SHOWN: usize = 4;

/// `a and b differ by at least 15.000 s`.
fn disputes(fused: &Fused) -> String {
    let Fused::Conflict { disputes, .. } = fused else { return String::new() };
    let pair = |d: &Dispute| format!("{} and {} differ by at least {}", d.low, d.high, Human(d.apart));
    let mut pairs: Vec<String> = disputes.iter().take(DISPUTES_SHOWN).map(pair).collect();
    let more = disputes.len().saturating_sub(DISPUTES_SHOWN);
    if more > 0 {
        pairs.push(format!("and {more} more pairs"));
    }
    pairs.join(", ")
}

/// `15.000 s ahead (± 1.2 ms)`.
pub(crate) fn spoken(interval: OffsetInterval) -> String {
    let middle = interval.midpoint();
    let way = if middle.nanos() < 0 { "behind" } else { "ahead" };
    format!("{} {way} (\u{b1} {})", Human(middle.magnitude()), Human(interval.bound()))
}
