//! Writes a reduced response while the whole one is parsed. Members that turn out to be empty are removed again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Deserializer as Reader;

use crate::catalog::{
    normalize::FieldValue,
    record::RecordSchema,
    rendered_response::TYPICAL_SIZE,
    view::{DEFAULT_VIEW, View, within},
};

/// The notices that are added to a response, unless it has a member of that name.
const NOTICE_FIELDS: [&str; 4] = ["omitted", "cut", "guest_written", "absent"];
/// The longest uncut text, in characters.
pub(super) const LONGEST_TEXT: usize = 1_500;
/// The size that most paths of members fit into, in bytes.
const TYPICAL_PATH: usize = 64;

/// The writer of one response.
pub(super) struct ProjectionWriter<'a> {
    kind: &'a RecordSchema,
    view: &'a View,
    /// Whether the current record is one of a list.
    in_list: bool,
    /// Whether only null counts as empty.
    only_null_is_empty: bool,
    /// The path of the current member.
    path: String,
    /// The text so far: an object or a list, with a comma after each member.
    out: Vec<u8>,
    /// Names of notices that are already members of the response.
    present_notices: Vec<&'static str>,
    /// The words for members that were present and are not shown.
    pub(super) omitted: BTreeSet<&'a str>,
    pub(super) cut: BTreeSet<String>,
    /// Lists of which only the first entries are shown.
    pub(super) shortened: BTreeMap<String, Count>,
    pub(super) guest_written: BTreeSet<&'a str>,
    /// Requested members that were found in at least one record.
    pub(super) present: BTreeSet<&'a str>,
}

/// The number of shown entries of a list, and of all.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) shown: usize,
    pub(super) all: usize,
}

/// How a member is handled.
enum FieldAction<'a> {
    /// It is shown, because of this field of the view if the view has fields.
    Include(Option<&'a str>),
    /// It is rarely needed and left out by default; the word for it.
    Omit(&'a str),
    /// It was not requested.
    Skip,
}

impl<'a> ProjectionWriter<'a> {
    pub(super) fn new(kind: &'a RecordSchema, view: &'a View, only_null_is_empty: bool) -> Self {
        let mut writer = Self {
            kind,
            view,
            in_list: false,
            only_null_is_empty,
            path: String::with_capacity(TYPICAL_PATH),
            out: Vec::with_capacity(TYPICAL_SIZE),
            present_notices: Vec::new(),
            omitted: BTreeSet::new(),
            cut: BTreeSet::new(),
            shortened: BTreeMap::new(),
            guest_written: BTreeSet::new(),
            present: BTreeSet::new(),
        };
        writer.out.push(b'{');
        writer
    }

    /// Writes all members of the text of an object.
    pub(super) fn write_record(&mut self, text: &str) -> serde_json::Result<()> {
        Reader::from_str(text).deserialize_any(ObjectVisitor(self))
    }

    /// Writes one member of the response.
    pub(super) fn write_field(&mut self, name: &str, part: FieldValue<'_>) -> serde_json::Result<()> {
        self.path.push_str(name);
        let read = read(part, FieldSeed { writer: self, name_at: 0 });
        self.path.clear();
        read
    }

    /// Writes a member that `fields` does not select.
    pub(super) fn write_envelope_field(&mut self, name: &str, part: FieldValue<'_>) -> serde_json::Result<()> {
        let view = std::mem::replace(&mut self.view, &DEFAULT_VIEW);
        let read = self.write_field(name, part);
        self.view = view;
        read
    }

    /// Writes the member that contains the records: always a list, with one entry for each.
    pub(super) fn write_rows(&mut self, name: &str, part: Option<FieldValue<'_>>) -> serde_json::Result<()> {
        self.write(name)?;
        self.out.push(b':');
        match part.filter(FieldValue::is_list) {
            Some(list) => {
                self.in_list = true;
                read(list, ValueSeed { writer: self, keep_empty: true })?;
                self.in_list = false;
            }
            None => self.out.extend(b"[]"),
        }
        self.out.push(b',');
        Ok(())
    }

    /// Writes a notice about the response, unless the response has a member of that name.
    pub(super) fn write_notice(&mut self, name: &'static str, notice: &str) -> serde_json::Result<()> {
        if self.present_notices.contains(&name) {
            return Ok(());
        }
        self.write(name)?;
        self.out.push(b':');
        self.write(notice)?;
        self.out.push(b',');
        Ok(())
    }

    /// Returns the object with all members so far.
    pub(super) fn finish(mut self) -> String {
        self.close(0, b'}', true);
        // Only whole texts were written, so this is UTF-8.
        String::from_utf8(self.out).unwrap_or_default()
    }

    fn write(&mut self, piece: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.out, piece)
    }

    /// Returns how the current member is handled.
    fn action(&self) -> FieldAction<'a> {
        let (path, fields) = (&self.path, &self.view.fields);
        if fields.is_empty() {
            return self.kind.omitted_label(path, self.in_list).map_or(FieldAction::Include(None), FieldAction::Omit);
        }
        let asked = fields.iter().find(|field| *field == path || within(path, field));
        if asked.is_none() && !fields.iter().any(|field| within(field, path)) {
            return FieldAction::Skip;
        }
        FieldAction::Include(asked.map(String::as_str))
    }

    /// Returns how many entries of the current list are shown, if not all.
    fn entry_limit(&self) -> Option<usize> {
        let asked = self
            .view
            .fields
            .iter()
            .any(|field| *field == self.path || within(&self.path, field) || within(field, &self.path));
        if asked || self.view.uncut { None } else { self.kind.shown_entries(&self.path) }
    }

    /// Records that the current list is shown in part; several lists can have the same path.
    fn count(&mut self, count: Count) {
        let sum = self.shortened.entry(self.path.clone()).or_default();
        sum.shown += count.shown;
        sum.all += count.all;
    }

    /// Writes a text, cut unless exactly this member was requested.
    fn write_text(&mut self, text: &str) -> serde_json::Result<bool> {
        if text.is_empty() && !self.only_null_is_empty {
            return Ok(false);
        }
        self.guest_written.extend(self.kind.guest_written(&self.path));
        let in_full = text.len() <= LONGEST_TEXT || self.view.uncut || self.view.fields.contains(&self.path);
        let cut = if in_full { None } else { text.char_indices().nth(LONGEST_TEXT) };
        match cut {
            Some((end, _)) => {
                self.cut.insert(self.path.clone());
                self.write(&format_args!("{}…", &text[..end]))?;
            }
            None => quote(&mut self.out, text)?,
        }
        Ok(true)
    }

    /// Ends a list or an object that began at `begin`, or removes it if it is empty.
    fn close(&mut self, begin: usize, end: u8, keep_empty: bool) -> bool {
        match self.out.last_mut() {
            Some(last) if *last == b',' => *last = end,
            _ if keep_empty || self.only_null_is_empty => self.out.push(end),
            _ => {
                self.out.truncate(begin);
                return false;
            }
        }
        true
    }
}

/// Writes a text. Most names and texts need no escapes, and checking for that costs less than escaping character by
/// character.
fn quote(out: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return serde_json::to_writer(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

fn read<'de, S: DeserializeSeed<'de>>(part: FieldValue<'de>, seed: S) -> serde_json::Result<S::Value> {
    match part {
        FieldValue::Raw(text) => seed.deserialize(&mut Reader::from_str(text)),
        FieldValue::Owned(value) => seed.deserialize(value),
    }
}

/// Any value. Writes the shown part of it and returns whether that is not empty.
struct ValueSeed<'l, 'a> {
    writer: &'l mut ProjectionWriter<'a>,
    /// Whether an object is shown even if it is empty; the same for those in a list.
    keep_empty: bool,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl ValueSeed<'_, '_> {
    fn scalar<E: Error>(self, scalar: impl Serialize) -> Result<bool, E> {
        self.writer.write(&scalar).map_err(E::custom)?;
        Ok(true)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<bool, E> {
        self.scalar(is)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<bool, E> {
        self.scalar(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        self.scalar(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<bool, E> {
        self.scalar(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        self.writer.write_text(text).map_err(E::custom)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let Self { writer, keep_empty } = self;
        let begin = writer.out.len();
        writer.out.push(b'[');
        let limit = writer.entry_limit();
        let mut count = Count::default();
        while count.shown < limit.unwrap_or(usize::MAX) {
            let Some(something) = items.next_element_seed(ValueSeed { writer, keep_empty })? else { break };
            count.shown += 1;
            if something {
                writer.out.push(b',');
            }
        }
        if limit.is_some() {
            count.all = count.shown;
            while items.next_element::<IgnoredAny>()?.is_some() {
                count.all += 1;
            }
            writer.count(count);
        }
        Ok(writer.close(begin, b']', keep_empty))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<bool, A::Error> {
        let Self { writer, keep_empty } = self;
        let begin = writer.out.len();
        writer.out.push(b'{');
        ObjectVisitor(writer).visit_map(members)?;
        Ok(writer.close(begin, b'}', keep_empty))
    }
}

/// The members of an object.
struct ObjectVisitor<'l, 'a>(&'l mut ProjectionWriter<'a>);

impl<'de> Visitor<'de> for ObjectVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(writer) = self;
        let outer = writer.path.len();
        let name_at = if outer > 0 { outer + 1 } else { 0 };
        while members.next_key_seed(FieldNameSeed(&mut writer.path))?.is_some() {
            members.next_value_seed(FieldSeed { writer, name_at })?;
            writer.path.truncate(outer);
        }
        Ok(())
    }
}

/// A member's name, which is appended to the current path.
struct FieldNameSeed<'l>(&'l mut String);

impl<'de> DeserializeSeed<'de> for FieldNameSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldNameSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        Ok(())
    }
}

/// The value of a member, whose name is the last part of the current path.
struct FieldSeed<'l, 'a> {
    writer: &'l mut ProjectionWriter<'a>,
    name_at: usize,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let Self { writer, name_at } = self;
        match writer.action() {
            FieldAction::Skip => {
                IgnoredAny::deserialize(from)?;
            }
            FieldAction::Omit(label) => {
                if from.deserialize_any(IsNonEmpty)? {
                    writer.omitted.insert(label);
                }
            }
            FieldAction::Include(asked) => {
                let begin = writer.out.len();
                quote(&mut writer.out, &writer.path[name_at..]).map_err(D::Error::custom)?;
                writer.out.push(b':');
                if (ValueSeed { writer, keep_empty: false }).deserialize(from)? {
                    writer.present.extend(asked);
                    if name_at == 0 && !writer.in_list {
                        writer.present_notices.extend(NOTICE_FIELDS.iter().find(|notice| **notice == writer.path));
                    }
                    writer.out.push(b',');
                } else {
                    writer.out.truncate(begin);
                }
            }
        }
        Ok(())
    }
}

/// Skips a value and returns whether it was not empty.
struct IsNonEmpty;

impl<'de> Visitor<'de> for IsNonEmpty {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        Ok(!text.is_empty())
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let mut something = false;
        while items.next_element::<IgnoredAny>()?.is_some() {
            something = true;
        }
        Ok(something)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut something = false;
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            something = true;
        }
        Ok(something)
    }
}
