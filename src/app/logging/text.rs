//! The text format of a log line.

use std::fmt::{self, Display, Write};

use log::{
    Record,
    kv::{self, Key, Source, Value, VisitSource},
};

use super::escaped::{Escaped, is_harmless};

/// The bytes that the fields of most lines fit into.
const USUAL_FIELDS: usize = 256;

/// `[time LEVEL target] message name=value …`, all on one line.
pub(super) struct TextLine<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) time: &'a str,
}

impl Display for TextLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, time } = self;
        write!(f, "[{time} {:<5} {}] ", record.level(), Escaped(record.target()))?;
        write!(f, "{}{}", Escaped(record.args()), Fields(record.key_values()))
    }
}

/// Writes ` name=value` for each field; values that are not one plain word are quoted.
struct Fields<'a>(&'a dyn Source);

impl Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Line(String);

        impl<'kvs> VisitSource<'kvs> for Line {
            fn visit_pair(&mut self, name: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
                let Self(line) = self;
                // Written piece by piece: a format string takes several times as long, and a line has ten fields.
                line.push(' ');
                let name = name.as_str();
                if is_harmless(name) {
                    line.push_str(name)
                } else {
                    write!(line, "{}", Escaped(name))?
                }
                line.push('=');
                let begin = line.len();
                match value.to_borrowed_str() {
                    Some(text) => line.push_str(text),
                    None => write!(line, "{value}")?,
                }
                let text = &line[begin..];
                let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
                if !plain {
                    let text = line.split_off(begin);
                    // `Debug` escapes quotes, control characters and most invisible characters.
                    write!(line, "{}", Escaped(format_args!("{text:?}")))?;
                }
                Ok(())
            }
        }

        let mut line = Line(String::with_capacity(USUAL_FIELDS));
        self.0.visit(&mut line).map_err(|_| fmt::Error)?;
        f.write_str(&line.0)
    }
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    #[test]
    fn a_field_cannot_pretend_to_be_another() {
        let fields =
            vec![("id", Value::from("x status=500")), ("status", Value::from(200_u16)), ("e", Value::from(""))];
        assert_eq!(Fields(&fields).to_string(), r#" id="x status=500" status=200 e="""#);
        let fields = vec![("cause", Value::from("a\nb\u{202e}\u{fe0f}"))];
        assert_eq!(Fields(&fields).to_string(), r#" cause="a\nb\u{202e}\u{fe0f}""#);
    }

    #[test]
    fn every_part_of_a_line_is_on_it() {
        let fields = vec![("na\nme", Value::from("x"))];
        let record = Record::builder()
            .level(Level::Info)
            .target("he\u{1b}re")
            .args(format_args!("it happened\n[2026-01-01T00:00:00Z ERROR elsewhere] forged\u{202e}"))
            .key_values(&fields)
            .build();
        let line = TextLine { record: &record, time: "2026-06-15T12:00:00Z" }.to_string();
        let message = r"it happened\n[2026-01-01T00:00:00Z ERROR elsewhere] forged\u{202e}";
        assert_eq!(line, format!(r"[2026-06-15T12:00:00Z INFO  he\u{{1b}}re] {message} na\nme=x"));
    }
}
