//! The words of a transaction's text, each with the column it begins in.

use std::fmt;

/// A mistake in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) column: usize,
    pub(super) what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

/// A word or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) column: usize,
    pub(super) text: String,
    /// One that was quoted is no keyword and no sign.
    pub(super) is_quoted: bool,
}

/// The signs, longer ones first.
const SIGNS: [&str; 8] = ["&&", "!=", "=", "<", ">", ";", "(", ")"];

/// Splits a text: at white space, and at signs. In double quotes `\"`, `\\`, `\n` and `\t` stand
/// for what they do elsewhere; in single quotes all is as it is.
pub(super) fn split(text: &str) -> Result<Vec<Word>, Mistake> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let column = text[..text.len() - rest.len()].chars().count() + 1;
        let Some(first) = rest.chars().next() else { return Ok(words) };
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            words.push(Word { column, text: (*sign).to_owned(), is_quoted: false });
            rest = &rest[sign.len()..];
        } else if first == '"' || first == '\'' {
            let (text, behind) = quoted(rest, first)
                .ok_or_else(|| Mistake { column, what: format!("the {first} has no end") })?;
            words.push(Word { column, text, is_quoted: true });
            rest = behind;
        } else {
            let is_end = |c: char| c.is_whitespace() || "&!=<>;()\"'".contains(c);
            let end = rest.find(is_end).unwrap_or(rest.len());
            if end == 0 {
                let what = format!("{first} means nothing here; in quotes it is a word");
                return Err(Mistake { column, what });
            }
            words.push(Word { column, text: rest[..end].to_owned(), is_quoted: false });
            rest = &rest[end..];
        }
    }
}

/// What is between the quotation marks, and what is behind them.
fn quoted(text: &str, mark: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == mark => return Some((word, &text[at + 1..])),
            '\\' if mark == '"' => match chars.next()?.1 {
                'n' => word.push('\n'),
                't' => word.push('\t'),
                other => word.push(other),
            },
            _ => word.push(c),
        }
    }
    None
}
