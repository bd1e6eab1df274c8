//! The words that names tell by, where no product's entry does.
//!
//! Of every word of a suspect's path it is asked which lists it is in. All lists are therefore one table, and one look
//! at it answers for all of them. Most words are in none: their first letter and their length tell.

/// A list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// One of these on the path: it is about authentication.
    Auth,
    /// One of these on the path: it is about something else.
    Silence,
    /// Those of `Silence` that also name a service, in front of one of `OfTokens`.
    Services,
    /// Behind the name of a service: it is about tokens all the same.
    OfTokens,
    /// One of these on the path, and none of `Auth` behind it: it is about something else.
    Others,
    /// The same, and none of `OfTokens` behind it.
    OthersAll,
    /// One of these words on the path: it is how long before its end a token is fetched anew.
    Leads,
    /// One of these on the path: tokens are checked there.
    Checks,
    /// A map of this name holds things by their names.
    Things,
    /// One of these is a key on the path: it is documentation.
    SilentKeys,
    /// The last word of a map's name that holds labels.
    Labels,
    /// One of these keys stands beside it: it is a case of a test.
    Outcomes,
    /// One of these words in its own name: it is a switch.
    Switches,
    /// The same, right before its last part.
    SwitchesBefore,
    /// The least value that may be set.
    Bounds,
    /// The greatest one.
    Greatest,
}

/// Those that a word is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lists(u32);

impl Lists {
    pub(crate) fn has(self, list: List) -> bool {
        self.0 & bit(list) != 0
    }
}

fn bit(list: List) -> u32 {
    1 << (list as u32)
}

/// Words are told apart by their length up to this.
const LENGTHS: usize = 32;

/// Words of the generic convention.
#[derive(Debug, Clone, Default)]
pub struct Convention {
    /// Each word once, with the lists that it is in, by its shelf.
    words: Vec<(Vec<u8>, Lists)>,
    /// Where the words of each shelf end in `words`: those with one first letter and one length.
    ends: Vec<usize>,
}

/// The shelf of a word, which is of lower-case letters and digits.
fn shelf(word: &[u8]) -> usize {
    let first = match word.first() {
        Some(first @ b'a'..=b'z') => usize::from(first - b'a').saturating_add(1),
        _ => 0,
    };
    first.saturating_mul(LENGTHS).saturating_add(word.len().min(LENGTHS - 1))
}

impl Convention {
    pub(super) fn new(lists: impl IntoIterator<Item = (List, Vec<Vec<u8>>)>) -> Convention {
        let mut words: Vec<(Vec<u8>, Lists)> = Vec::new();
        let all = lists.into_iter().flat_map(|(list, words)| words.into_iter().map(move |word| (word, list)));
        for (word, list) in all {
            match words.iter_mut().find(|(known, _)| *known == word) {
                Some((_, lists)) => lists.0 |= bit(list),
                None => words.push((word, Lists(bit(list)))),
            }
        }
        words.sort_by(|(a, _), (b, _)| (shelf(a), a).cmp(&(shelf(b), b)));
        let ends = (0..LENGTHS * 27).map(|number| words.partition_point(|(word, _)| shelf(word) <= number)).collect();
        Convention { words, ends }
    }

    fn of(&self, word: &[u8]) -> Lists {
        let shelf = shelf(word);
        let begins = shelf.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(shelf).copied().unwrap_or(0);
        let words = self.words.get(begins..end).unwrap_or(&[]);
        words.iter().find(|(known, _)| known == word).map_or(Lists(0), |(_, lists)| *lists)
    }

    /// The lists that a word (lower-case letters and digits) is in.
    pub(crate) fn lists(&self, word: &[u8]) -> Lists {
        let lists = self.of(word);
        if !word.last().is_some_and(u8::is_ascii_digit) {
            return lists;
        }
        let auth = if self.is_auth(word) { bit(List::Auth) } else { 0 };
        Lists((lists.0 & !bit(List::Auth)) | auth)
    }

    /// Is it in this one?
    pub(crate) fn has(&self, list: List, word: &[u8]) -> bool {
        self.of(word).has(list)
    }

    /// Is this word (lower-case letters; a number at its end does not count) about authentication?
    #[must_use]
    pub fn is_auth(&self, word: &[u8]) -> bool {
        let end = word.iter().rposition(|b| !b.is_ascii_digit()).map_or(0, |last| last.saturating_add(1));
        word.get(..end).is_some_and(|word| self.has(List::Auth, word))
    }

    /// The words of a list.
    pub(crate) fn words(&self, list: List) -> impl Iterator<Item = &[u8]> {
        self.words.iter().filter(move |(_, lists)| lists.has(list)).map(|(word, _)| word.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_in_the_lists_that_name_it_and_in_no_other() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let long = "l".repeat(40);
        let convention = Convention::new([
            (List::Auth, words(&["jwt", "token"])),
            (List::OfTokens, words(&["jwt", "jws"])),
            (List::Silence, words(&["2fa", &long, "price"])),
        ]);
        let all = [List::Auth, List::OfTokens, List::Silence];
        let lists = |word: &str| all.map(|list| convention.lists(word.as_bytes()).has(list));
        for (word, expected) in [
            ("jwt", [true, true, false]),
            ("jws", [false, true, false]),
            // A number at its end does not count, and only for these.
            ("jwt2", [true, false, false]),
            ("token12", [true, false, false]),
            ("price2", [false, false, false]),
            ("2fa", [false, false, true]),
            (&long, [false, false, true]),
            (&"l".repeat(41), [false, false, false]),
            ("jw", [false, false, false]),
            ("zwt", [false, false, false]),
            ("", [false, false, false]),
            ("7", [false, false, false]),
        ] {
            assert_eq!(lists(word), expected, "{word}");
        }
        let mut of_tokens: Vec<&[u8]> = convention.words(List::OfTokens).collect();
        of_tokens.sort_unstable();
        assert_eq!(of_tokens, [b"jws", b"jwt"]);
        assert_eq!(Convention::default().lists(b"jwt"), Lists::default());
    }
}
