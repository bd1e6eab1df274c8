//! One name in all its spellings.
//!
//! `jwt.clock-skew`, `JWT_CLOCK_SKEW`, `jwtClockSkew`, `Jwt__ClockSkew` and a YAML map `jwt: {clockSkew: …}` are the
//! same letters in the same order; they differ in where words begin. A path is therefore compared as its lower-case
//! letters and digits, and a match must begin where a word begins: `tokenLeeway` ends in the word `leeway`, `bleeway`
//! does not. Letters outside of ASCII separate words; no known key has any.

/// A path's letters, and where its words and keys begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letters {
    /// Lower-case letters and digits of all keys, one after another.
    text: Vec<u8>,
    /// The number of the first letter of each word, in order.
    starts: Vec<usize>,
    /// Length of `text` before each key, and at the end; empty where there is no key.
    keys: Vec<usize>,
}

/// The lower-case letter or digit that a byte is.
fn letter(byte: u8) -> Option<u8> {
    byte.is_ascii_alphanumeric().then(|| byte.to_ascii_lowercase())
}

/// What tells where words begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Upper,
    Lower,
    Digit,
    Other,
}

/// A byte's class, and the lower-case letter or digit that it is.
const fn class(byte: u8) -> (Class, u8) {
    match byte {
        b'a'..=b'z' => (Class::Lower, byte),
        b'A'..=b'Z' => (Class::Upper, byte.to_ascii_lowercase()),
        b'0'..=b'9' => (Class::Digit, byte),
        _ => (Class::Other, byte),
    }
}

/// The letters of a key, first to last. Allocates nothing.
pub fn of(key: &str) -> impl DoubleEndedIterator<Item = u8> + '_ {
    key.bytes().filter_map(letter)
}

impl Letters {
    /// The letters of a path, outermost key first.
    pub fn of<'k>(path: impl IntoIterator<Item = &'k str>) -> Self {
        let mut letters = Letters::default();
        path.into_iter().for_each(|key| letters.push(key));
        letters
    }

    /// None any more; the room for them is kept.
    pub fn clear(&mut self) {
        self.text.clear();
        self.starts.clear();
        self.keys.clear();
    }

    /// The letters of one key more, which is the innermost now.
    pub fn push(&mut self, key: &str) {
        if self.keys.is_empty() {
            self.keys.push(0);
        }
        self.text.reserve(key.len());
        let mut before = Class::Other;
        let mut rest = key.as_bytes();
        while let [byte, after @ ..] = rest {
            rest = after;
            let (class, letter) = self::class(*byte);
            if class != Class::Other {
                // `clockSkew`, `oauth2Leeway`, and the S of `JWTSkew`.
                let begins = match (before, class) {
                    (Class::Other, _) => true,
                    (Class::Upper, Class::Upper) => rest.first().is_some_and(u8::is_ascii_lowercase),
                    (_, class) => class == Class::Upper,
                };
                if begins {
                    self.starts.push(self.text.len());
                }
                self.text.push(letter);
            }
            before = class;
        }
        self.keys.push(self.text.len());
    }

    /// All letters.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Number of letters before the key with that number.
    #[must_use]
    pub fn before_key(&self, key: usize) -> usize {
        self.keys.get(key).copied().unwrap_or(self.text.len())
    }

    /// The letters of each key.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.windows(2).filter_map(|ends| self.text.get(*ends.first()?..*ends.last()?))
    }

    /// Does a word, or what follows the last one, begin at this letter?
    #[must_use]
    pub fn begins(&self, at: usize) -> bool {
        at == self.text.len() || self.starts.iter().rev().find(|start| **start <= at) == Some(&at)
    }

    /// Where words begin before this letter, the nearest first.
    fn starts_before(&self, end: usize) -> impl Iterator<Item = usize> {
        self.starts.iter().rev().copied().skip_while(move |start| *start >= end)
    }

    /// The beginning of the word that has this letter.
    #[must_use]
    pub fn word_start(&self, at: usize) -> usize {
        self.starts_before(at.saturating_add(1)).next().unwrap_or(0)
    }

    /// The words between two letters.
    pub fn words(&self, from: usize, to: usize) -> impl Iterator<Item = &[u8]> {
        let to = to.min(self.text.len());
        let first = self.starts.iter().position(|start| *start > from).unwrap_or(self.starts.len());
        let mut ends = self.starts.get(first..).unwrap_or(&[]).iter();
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let start = std::mem::replace(&mut at, ends.next().map_or(to, |end| to.min(*end)));
            self.text.get(start..at)
        })
    }
}

/// A key as the catalogue writes it: `realms.jwt.*.allowed-clock-skew`. It matches the end of a path; `*` (one at
/// most, which keeps matching linear) stands for one or more whole words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As written.
    text: String,
    /// Letters between the stars, in order; the last one ends the path.
    parts: Vec<Vec<u8>>,
}

impl Pattern {
    /// `None` where the text has no letters after its star, or two stars.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let parts: Vec<Vec<u8>> = text.split('*').map(|part| Letters::of([part]).text).collect();
        (parts.len() <= 2 && parts.last().is_some_and(|last| !last.is_empty()))
            .then(|| Pattern { text: text.to_owned(), parts })
    }

    /// The key as the catalogue writes it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The letters that end every match: what the index looks for.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        self.parts.last().map_or(&[], Vec::as_slice)
    }

    /// Letters of the pattern: the more, the more it tells.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Where in the letters the match begins, if they end in this pattern.
    #[must_use]
    pub fn find(&self, letters: &Letters) -> Option<usize> {
        self.find_before(letters, letters.text.len(), self.parts.len())
    }

    /// The letters that the star stands for, if the letters end in this pattern and it has one.
    #[must_use]
    pub fn star<'l>(&self, letters: &'l Letters) -> Option<&'l [u8]> {
        let end = letters.text.len().checked_sub(self.tail().len())?;
        let start = self.find(letters)?.checked_add(self.parts.first().filter(|_| self.parts.len() > 1)?.len())?;
        letters.text.get(start..end)
    }

    /// Does a match end anywhere before that letter, at the end of a word?
    #[must_use]
    pub fn stands_before(&self, letters: &Letters, end: usize) -> bool {
        let at_end = (end == letters.text.len()).then_some(end);
        let mut ends = at_end.into_iter().chain(letters.starts_before(end.saturating_add(1)));
        ends.any(|at| at > 0 && self.find_before(letters, at, self.parts.len()).is_some())
    }

    fn find_before(&self, letters: &Letters, end: usize, parts: usize) -> Option<usize> {
        let Some(left) = parts.checked_sub(1) else { return Some(end) };
        let part = self.parts.get(left)?;
        let start = end.checked_sub(part.len())?;
        if letters.text.get(start..end)? != part.as_slice() || !letters.begins(start) {
            return None;
        }
        if left == 0 {
            return Some(start);
        }
        // A star is at least one word; the nearest beginning is tried first.
        let mut ends = letters.starts_before(start).filter(|at| *at > 0);
        ends.find_map(|at| self.find_before(letters, at, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_are_one() {
        let pattern = Pattern::new("jwt.clock-skew").unwrap();
        let hits: &[&[&str]] = &[
            &["jwt.clock-skew"],
            &["JWT_CLOCK_SKEW"],
            &["jwtClockSkew"],
            &["Jwt__ClockSkew"],
            &["spec", "jwt", "clockSkew"],
            &["jwt", "clock", "skew"],
            &["JWTClockSkew"],
            &["app.jwt.clockskew"],
        ];
        for hit in hits {
            assert!(pattern.find(&Letters::of(hit.iter().copied())).is_some(), "{hit:?}");
        }
        let misses: &[&[&str]] = &[&["jwt.clock-skew-ms"], &["xjwt.clock.skew"], &["jwt", "x", "clockSkew"]];
        for miss in misses {
            assert!(pattern.find(&Letters::of(miss.iter().copied())).is_none(), "{miss:?}");
        }
    }

    #[test]
    fn a_star_is_one_or_more_words() {
        let pattern = Pattern::new("realms.jwt.*.allowed-clock-skew").unwrap();
        let find = |key: &str| pattern.find(&Letters::of([key])).is_some();
        assert!(find("xpack.realms.jwt.jwt1.allowed_clock_skew"));
        assert!(find("xpack.realms.jwt.my-own.allowed_clock_skew"));
        assert!(!find("xpack.realms.jwt.allowed_clock_skew"));
        assert!(!find("xpack.realms.oidc.a.allowed_clock_skew"));
        let letters = Letters::of(["xpack.realms.jwt.my-own.allowed_clock_skew"]);
        assert_eq!(pattern.star(&letters), Some(b"myown".as_slice()));
        assert_eq!(Pattern::new("clock_skew").and_then(|pattern| pattern.star(&letters).map(<[u8]>::len)), None);
        assert_eq!(Pattern::new("a.*"), None);
        assert_eq!(Pattern::new(""), None);
    }

    #[test]
    fn words_are_those_that_a_person_sees() {
        let letters = Letters::of(["oauth2LeewayMs", "JWT_Skew"]);
        let words: Vec<_> =
            letters.words(0, letters.text().len()).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        assert_eq!(words, ["oauth2", "leeway", "ms", "jwt", "skew"]);
    }
}
