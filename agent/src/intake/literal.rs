//! Finds maps in text as programs print them: JSON objects, and dictionaries in Python's notation.
//!
//! One grammar reads both: quotes may be double or single; `NaN`, `nan`, `inf`, `None` and `True`
//! are words; `tensor(0.5, device='cuda:0')` and `np.float64(0.5)` are their number; other calls,
//! `<objects>`, lists and tuples are skipped.

/// Deeper nesting is no metric.
const DEPTH_MAX: u32 = 64;
/// Functions whose only or first argument is the number that they are.
const NUMBERS: [&str; 20] = [
    "Array",
    "DeviceArray",
    "Decimal",
    "array",
    "bfloat16",
    "float",
    "float16",
    "float32",
    "float64",
    "int",
    "int16",
    "int32",
    "int64",
    "int8",
    "longdouble",
    "tensor",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
];

/// A value of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// A number, NaN and the infinities included.
    Number(f64),
    /// A text.
    Text(String),
    /// A map, in the order of its text; a name may occur twice.
    Map(Vec<(String, Self)>),
    /// Anything else.
    Other,
}

/// A map at a place of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parsed {
    /// The map, and where the text after it begins.
    Map(Vec<(String, Literal)>, usize),
    /// The text ends inside of a map.
    Unfinished,
    /// There is no map.
    Nothing,
}

/// Reads the map that begins at a byte of a text, which is a `{`.
pub(super) fn map_at(text: &str, at: usize) -> Parsed {
    let mut parser = Parser { text, at, depth: 0 };
    match parser.map() {
        Ok(Literal::Map(entries)) => Parsed::Map(entries, parser.at),
        Err(LiteralStop::End) => Parsed::Unfinished,
        _ => Parsed::Nothing,
    }
}

/// Why there is no value.
#[derive(Debug)]
enum LiteralStop {
    /// The text has ended.
    End,
    /// It is none.
    Wrong,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Result<u8, LiteralStop> {
        self.text
            .as_bytes()
            .get(self.at)
            .copied()
            .ok_or(LiteralStop::End)
    }

    fn skip_space(&mut self) -> Result<u8, LiteralStop> {
        while self.peek()?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.peek()
    }

    fn expect(&mut self, byte: u8) -> Result<(), LiteralStop> {
        if self.skip_space()? == byte {
            self.at += 1;
            return Ok(());
        }
        Err(LiteralStop::Wrong)
    }

    fn map(&mut self) -> Result<Literal, LiteralStop> {
        self.expect(b'{')?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(LiteralStop::Wrong);
        }
        let mut entries = Vec::new();
        loop {
            let is_inner = self.depth > 1;
            match self.skip_space()? {
                b'}' => break,
                b'"' | b'\'' => {}
                byte if byte.is_ascii_digit() || byte == b'-' => {}
                b'(' | b'<' if is_inner => {}
                byte if is_inner && byte.is_ascii_alphabetic() => {}
                _ => return Err(LiteralStop::Wrong),
            }
            let start = self.at;
            let name = match self.value()? {
                Literal::Text(text) => text,
                Literal::Number(_) => self.text[start..self.at].trim().to_owned(),
                _ if is_inner => String::new(),
                _ => return Err(LiteralStop::Wrong),
            };
            if is_inner && entries.is_empty() && matches!(self.skip_space()?, b',' | b'}') {
                return self.rest_of_set();
            }
            self.expect(b':')?;
            let value = self.value()?;
            if !name.is_empty() {
                entries.push((name, value));
            }
            match self.skip_space()? {
                b',' => self.at += 1,
                b'}' => {}
                _ => return Err(LiteralStop::Wrong),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(Literal::Map(entries))
    }

    /// Reads the rest of a Python set behind its first item.
    fn rest_of_set(&mut self) -> Result<Literal, LiteralStop> {
        while self.skip_space()? == b',' {
            self.at += 1;
            if self.skip_space()? != b'}' {
                self.value()?;
            }
        }
        self.expect(b'}')?;
        self.depth -= 1;
        Ok(Literal::Other)
    }

    fn value(&mut self) -> Result<Literal, LiteralStop> {
        match self.skip_space()? {
            b'{' => self.map(),
            b'[' => self.list(b']'),
            b'(' => self.list(b')'),
            b'"' | b'\'' => self.string().map(Literal::Text),
            b'<' => self.object(),
            byte if byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.') => self.number(),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => self.word(),
            _ => Err(LiteralStop::Wrong),
        }
    }

    fn list(&mut self, end: u8) -> Result<Literal, LiteralStop> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(LiteralStop::Wrong);
        }
        loop {
            if self.skip_space()? == end {
                break;
            }
            // A long array is printed with an ellipsis.
            if self.text[self.at..].starts_with("...") {
                self.at += 3;
            } else {
                self.value()?;
            }
            // numpy separates by spaces.
            if self.skip_space()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(Literal::Other)
    }

    fn string(&mut self) -> Result<String, LiteralStop> {
        let quote = self.peek()?;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let next = rest.chars().next().ok_or(LiteralStop::End)?;
            self.at += next.len_utf8();
            match next {
                '\\' => self.escape(&mut text)?,
                next if next == char::from(quote) => return Ok(text),
                next => text.push(next),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), LiteralStop> {
        let next = self.text[self.at..]
            .chars()
            .next()
            .ok_or(LiteralStop::End)?;
        self.at += next.len_utf8();
        match next {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'u' => {
                let digits = self
                    .text
                    .get(self.at..self.at + 4)
                    .ok_or(LiteralStop::End)?;
                let code = u32::from_str_radix(digits, 16).map_err(|_| LiteralStop::Wrong)?;
                self.at += 4;
                // Halves of a pair are in no name of a metric.
                text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            other => text.push(other),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Literal, LiteralStop> {
        let sign = match self.peek()? {
            b'-' => -1.0,
            _ => 1.0,
        };
        let start = self.at;
        if matches!(self.peek()?, b'-' | b'+') {
            self.at += 1;
        }
        if self.peek()?.is_ascii_alphabetic() {
            return match self.word()? {
                Literal::Number(value) if !value.is_finite() => Ok(Literal::Number(sign * value)),
                _ => Err(LiteralStop::Wrong),
            };
        }
        while self.peek().is_ok_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+')
        }) {
            self.at += 1;
        }
        match self.text[start..self.at].parse() {
            Ok(number) => Ok(Literal::Number(number)),
            // A complex number.
            Err(_) if self.text[start..self.at].ends_with('j') && self.peek().is_ok() => {
                Ok(Literal::Other)
            }
            Err(_) if self.at == self.text.len() => Err(LiteralStop::End),
            Err(_) => Err(LiteralStop::Wrong),
        }
    }

    /// A constant or a call.
    fn word(&mut self) -> Result<Literal, LiteralStop> {
        let start = self.at;
        while self
            .peek()
            .is_ok_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        match self.peek() {
            Ok(b'(') => return self.call(word),
            // A prefix of a string: b'', r''.
            Ok(b'"' | b'\'') if word.len() <= 2 => return self.string().map(|_| Literal::Other),
            Err(_) => return Err(LiteralStop::End),
            Ok(_) => {}
        }
        match word {
            "NaN" | "nan" => Ok(Literal::Number(f64::NAN)),
            "Infinity" | "inf" | "infinity" => Ok(Literal::Number(f64::INFINITY)),
            "true" | "false" | "null" | "True" | "False" | "None" | "undefined" | "Ellipsis"
            | "NotImplemented" => Ok(Literal::Other),
            // An enumeration's member, a type.
            _ if word.contains('.') => Ok(Literal::Other),
            _ => Err(LiteralStop::Wrong),
        }
    }

    fn call(&mut self, name: &str) -> Result<Literal, LiteralStop> {
        let is_number = name
            .rsplit('.')
            .next()
            .is_some_and(|name| NUMBERS.contains(&name));
        self.at += 1;
        let value = if is_number && self.skip_space()? != b')' {
            self.value()?
        } else {
            Literal::Other
        };
        let mut open = 1;
        while open > 0 {
            match self.peek()? {
                b'(' | b'[' | b'{' => open += 1,
                b')' | b']' | b'}' => open -= 1,
                b'"' | b'\'' => {
                    self.string()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        Ok(match value {
            Literal::Number(_) | Literal::Text(_) if is_number => value,
            _ => Literal::Other,
        })
    }

    /// `<function f at 0x7f…>`, `<function <lambda> at 0x7f…>`.
    fn object(&mut self) -> Result<Literal, LiteralStop> {
        let mut open = 0;
        loop {
            match self.peek()? {
                b'<' => open += 1,
                // As in `<Layer a -> b>`.
                b'>' if !self.text[..self.at].ends_with('-') => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Ok(Literal::Other);
            }
        }
    }
}
