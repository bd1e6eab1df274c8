//! Splits a shell script into its simple commands and their words, as far as finding flags needs it.
//!
//! Quotes and backslashes are resolved, comments and the bodies of here-documents are left out: text that a script
//! writes somewhere is not a setting of the command that runs. Nothing is expanded.
//!
//! Source: POSIX 1003.1, Shell Command Language, 2.2 and 2.3.

/// A word, and the byte of the script where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) start: usize,
    /// Where quotes and escapes were left out: a byte of `text`, and the one of the script that it stands at; from there
    /// on both go together.
    pieces: Vec<(usize, usize)>,
}

impl Word {
    /// The byte of the script where this byte of the text stands.
    pub(crate) fn source_of(&self, byte: usize) -> usize {
        let piece = self.pieces.iter().rev().find(|(text, _)| *text <= byte);
        piece.map_or(self.start, |(text, source)| source.saturating_add(byte.saturating_sub(*text)))
    }

    /// Adds a character that stands at this byte of the script.
    fn push(&mut self, c: char, at: usize) {
        if self.source_of(self.text.len()) != at {
            self.pieces.push((self.text.len(), at));
        }
        self.text.push(c);
    }
}

/// The simple commands of a script, at most `limit` words of them.
pub(crate) fn commands(script: &str, limit: usize) -> Vec<Vec<Word>> {
    let mut reader = Reader { script, at: 0, commands: vec![Vec::new()], heredocs: Vec::new(), words: 0 };
    while reader.words < limit && reader.step() {}
    reader.commands.retain(|command| !command.is_empty());
    reader.commands
}

/// The simple commands of a script that is a word of another one; their places are those in the outer script.
pub(crate) fn within(outer: &Word, limit: usize) -> Vec<Vec<Word>> {
    let moved = |word: Word| {
        let start = outer.source_of(word.start);
        let mut moved = Word { text: String::with_capacity(word.text.len()), start, pieces: vec![(0, start)] };
        for (byte, c) in word.text.char_indices() {
            moved.push(c, outer.source_of(word.source_of(byte)));
        }
        moved
    };
    let commands = commands(&outer.text, limit).into_iter();
    commands.map(|command| command.into_iter().map(moved).collect()).collect()
}

struct Reader<'s> {
    script: &'s str,
    at: usize,
    commands: Vec<Vec<Word>>,
    /// Ends of here-documents whose bodies begin at the next line.
    heredocs: Vec<String>,
    words: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.script.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.saturating_add(c.len_utf8());
        Some(c)
    }

    fn step(&mut self) -> bool {
        let Some(c) = self.peek() else { return false };
        match c {
            '\n' => {
                self.bump();
                self.commands.push(Vec::new());
                self.skip_heredocs();
            }
            c if c.is_whitespace() => {
                self.bump();
            }
            ';' | '&' | '|' | '(' | ')' => {
                self.bump();
                self.commands.push(Vec::new());
            }
            '#' => self.skip_line(),
            '<' if self.rest().starts_with("<<") && !self.rest().starts_with("<<<") => self.heredoc(),
            '<' | '>' => self.redirection(),
            '\\' if self.rest().starts_with("\\\n") => self.at = self.at.saturating_add(2),
            _ => {
                let word = self.word();
                self.words = self.words.saturating_add(1);
                if let Some(command) = self.commands.last_mut() {
                    command.push(word);
                }
            }
        }
        true
    }

    /// `2>&1`, `> file`, `<<< text`: neither the number before the sign nor what follows it is a word of the command.
    fn redirection(&mut self) {
        let touches = self.script.get(..self.at).is_some_and(|before| before.ends_with(|c: char| c.is_ascii_digit()));
        if let Some(words) = self.commands.last_mut().filter(|_| touches) {
            words.pop_if(|word| word.text.chars().all(|c| c.is_ascii_digit()));
        }
        while self.peek().is_some_and(|c| matches!(c, '<' | '>' | '&' | '|')) {
            self.bump();
        }
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.bump();
        }
        self.word();
    }

    fn skip_line(&mut self) {
        let end = self.rest().find('\n').unwrap_or(self.rest().len());
        self.at = self.at.saturating_add(end);
    }

    fn heredoc(&mut self) {
        self.at = self.at.saturating_add(2);
        if self.peek() == Some('-') {
            self.bump();
        }
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.bump();
        }
        let end = self.word().text;
        if !end.is_empty() {
            self.heredocs.push(end);
        }
    }

    fn skip_heredocs(&mut self) {
        for end in std::mem::take(&mut self.heredocs) {
            loop {
                let line_end = self.rest().find('\n').unwrap_or(self.rest().len());
                let is_end = self.rest().get(..line_end).is_some_and(|line| line.trim() == end);
                self.at = self.at.saturating_add(line_end);
                if self.bump().is_none() || is_end {
                    break;
                }
            }
        }
    }

    fn word(&mut self) -> Word {
        let mut word = Word { text: String::new(), start: self.at, pieces: vec![(0, self.at)] };
        while let Some(c) = self.peek() {
            match c {
                c if c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>') => break,
                '\'' => {
                    self.bump();
                    while self.peek().is_some_and(|c| c != '\'') {
                        self.take(&mut word);
                    }
                    self.bump();
                }
                '"' => {
                    self.bump();
                    while let Some(c) = self.peek().filter(|c| *c != '"') {
                        let next = self.rest().chars().nth(1);
                        if c == '\\' && next.is_some_and(|c| matches!(c, '"' | '\\' | '$' | '`')) {
                            self.bump();
                        }
                        self.take(&mut word);
                    }
                    self.bump();
                }
                '\\' => {
                    self.bump();
                    if self.peek() == Some('\n') {
                        self.bump();
                    } else {
                        self.take(&mut word);
                    }
                }
                // An expansion is one piece, whatever signs it holds.
                '$' if self.rest().starts_with("${") || self.rest().starts_with("$(") => {
                    let close = if self.rest().starts_with("${") { '}' } else { ')' };
                    while self.take(&mut word).is_some_and(|c| c != close) {}
                }
                _ => {
                    self.take(&mut word);
                }
            }
        }
        word
    }

    /// The next character goes into the word.
    fn take(&mut self, word: &mut Word) -> Option<char> {
        let at = self.at;
        let c = self.bump()?;
        word.push(c, at);
        Some(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: &[&[&str]]) {
        let commands = commands(script, 1000);
        let texts: Vec<Vec<&str>> = commands.iter().map(|c| c.iter().map(|w| w.text.as_str()).collect()).collect();
        assert_eq!(texts, expected, "{script}");
    }

    #[test]
    fn a_word_knows_where_its_letters_stand() {
        for (script, text, expected) in [
            ("--a='0s'", "0s", 5),
            ("--a=\"0\"", "0", 5),
            ("--é=\\0", "0", 6),
            ("'--a'=0", "0", 6),
            ("\"x\\\"y=0\"", "y", 4),
            ("--a=0", "0", 4),
            ("''", "", 0),
        ] {
            let word = commands(script, 9).remove(0).remove(0);
            let at = word.text.find(text).expect("the text");
            assert_eq!(word.source_of(at), expected, "{script}");
        }
    }

    #[test]
    fn words_and_commands() {
        check("exec app --a=0 --b 1", &[&["exec", "app", "--a=0", "--b", "1"]]);
        check("A=1 b && c; d | e", &[&["A=1", "b"], &["c"], &["d"], &["e"]]);
        check("app --a='x y' \"--b=\\\"q\\\"\" --c=\\ z", &[&["app", "--a=x y", "--b=\"q\"", "--c= z"]]);
        check("a \\\n --b # --c=0\nd", &[&["a", "--b"], &["d"]]);
        check("cat > f <<EOF\n--leeway=0\nEOF\nrun", &[&["cat"], &["run"]]);
        check("a >f 2>&1 b 2> /dev/null; c <<<\"x=0\" d | e", &[&["a", "b"], &["c", "d"], &["e"]]);
        check("a 2 >f; b>&2 c>|d", &[&["a", "2"], &["b", "c"]]);
        check("cat <<-'E' | x\n\tz\n\tE\nrun", &[&["cat"], &["x"], &["run"]]);
        check("run ${A:-b c} $(d e)", &[&["run", "${A:-b c}", "$(d e)"]]);
        check("'open", &[&["open"]]);
        check("", &[]);
    }
}
