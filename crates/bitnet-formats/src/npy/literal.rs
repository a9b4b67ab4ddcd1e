//! The Python literals of an `.npy` header: a dictionary of strings, booleans and tuples of
//! integers. Anything else is an error that says where it stands.

use crate::error::printable;

/// One value of the header's dictionary.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    Sizes(Vec<u64>),
    /// A list: the description of a record, which is not looked into.
    List,
}

/// The entries of the dictionary that `text` is, in their order.
pub(super) fn parse_dictionary(text: &str) -> Result<Vec<(String, Value)>, String> {
    let mut parser = Parser { text, at: 0 };
    parser.expect('{')?;
    let mut entries = Vec::new();
    while !parser.accept('}') {
        let key = parser.string()?;
        parser.expect(':')?;
        let value = parser.value()?;
        let list = value == Value::List;
        entries.push((key, value));
        if list {
            return Ok(entries); // the caller refuses it: nothing behind it matters
        }
        if !parser.accept(',') {
            parser.expect('}')?;
            break;
        }
    }
    parser.skip_spaces();
    if parser.at < text.len() {
        return Err(parser.unexpected("nothing more"));
    }
    Ok(entries)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        let spaces = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
        self.at = self.text.len() - self.rest().trim_start_matches(spaces).len();
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) { Ok(()) } else { Err(self.unexpected(&format!("'{wanted}'"))) }
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest().chars().take(12).collect();
        let found = if found.is_empty() { "its end".to_owned() } else { printable(&found) };
        format!("expected {wanted} at byte {} of the header, found {found}", self.at)
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_spaces();
        match self.rest().chars().next() {
            Some('\'' | '"') => self.string().map(Value::Text),
            Some('(') => self.sizes().map(Value::Sizes),
            Some('[') => Ok(Value::List),
            _ => {
                for (word, flag) in [("True", true), ("False", false)] {
                    if self.rest().starts_with(word) {
                        self.at += word.len();
                        return Ok(Value::Flag(flag));
                    }
                }
                Err(self.unexpected("a string, True, False or a tuple"))
            }
        }
    }

    /// A string in single or double quotes; NumPy writes none that needs an escape.
    fn string(&mut self) -> Result<String, String> {
        self.skip_spaces();
        let quote = match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => quote,
            _ => return Err(self.unexpected("a string")),
        };
        let body = &self.rest()[1..];
        match body.find([quote, '\\']) {
            Some(length) if body[length..].starts_with(quote) => {
                let text = body[..length].to_owned();
                self.at += length + 2;
                Ok(text)
            }
            _ => Err(self.unexpected("a string without escapes")),
        }
    }

    /// `()`, `(3,)`, `(2, 3)`; Python 2 wrote `3L`.
    fn sizes(&mut self) -> Result<Vec<u64>, String> {
        self.expect('(')?;
        let mut sizes = Vec::new();
        while !self.accept(')') {
            if sizes.len() == super::MAX_RANK {
                return Err(format!("the shape has more than {} axes", super::MAX_RANK));
            }
            self.skip_spaces();
            let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
            let size = self.rest()[..digits].parse();
            sizes.push(size.map_err(|_| self.unexpected("a size below 2^64"))?);
            self.at += digits;
            if self.rest().starts_with('L') {
                self.at += 1;
            }
            let comma = self.accept(',');
            if !comma && sizes.len() == 1 {
                return Err(self.unexpected("',': one size in brackets is not a tuple"));
            }
            if !comma {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }
}
