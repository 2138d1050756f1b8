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

use super::{REMARKS, USUAL, USUAL_SIZE, View, within};
use crate::catalog::{answer::Part, record::RecordData};

/// The longest uncut text, in characters.
pub(super) const LONGEST_TEXT: usize = 1_500;
/// The size that most paths of members fit into, in bytes.
const USUAL_PATH: usize = 64;

/// The writer of one response.
pub(super) struct Lean<'a> {
    kind: &'a RecordData,
    view: &'a View,
    /// Whether the current record is one of a list.
    in_list: bool,
    /// Whether only null counts as empty.
    keeps_empty: bool,
    /// The path of the current member.
    place: String,
    /// The text so far: an object or a list, with a comma after each member.
    shown: Vec<u8>,
    /// Names of notices that are already members of the response.
    remarked: Vec<&'static str>,
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
enum Wish<'a> {
    /// It is shown, because of this field of the view if the view has fields.
    Shown(Option<&'a str>),
    /// It is rarely needed and left out by default; the word for it.
    LeftOut(&'a str),
    /// It was not requested.
    Unasked,
}

impl<'a> Lean<'a> {
    pub(super) fn new(kind: &'a RecordData, view: &'a View, keeps_empty: bool) -> Self {
        let mut lean = Self {
            kind,
            view,
            in_list: false,
            keeps_empty,
            place: String::with_capacity(USUAL_PATH),
            shown: Vec::with_capacity(USUAL_SIZE),
            remarked: Vec::new(),
            omitted: BTreeSet::new(),
            cut: BTreeSet::new(),
            shortened: BTreeMap::new(),
            guest_written: BTreeSet::new(),
            present: BTreeSet::new(),
        };
        lean.shown.push(b'{');
        lean
    }

    /// Writes all members of the text of an object.
    pub(super) fn record(&mut self, text: &str) -> serde_json::Result<()> {
        Reader::from_str(text).deserialize_any(Members(self))
    }

    /// Writes one member of the response.
    pub(super) fn member(&mut self, name: &str, part: Part<'_>) -> serde_json::Result<()> {
        self.place.push_str(name);
        let read = read(part, Member { lean: self, name_at: 0 });
        self.place.clear();
        read
    }

    /// Writes a member that `fields` does not select.
    pub(super) fn beside(&mut self, name: &str, part: Part<'_>) -> serde_json::Result<()> {
        let view = std::mem::replace(&mut self.view, &USUAL);
        let read = self.member(name, part);
        self.view = view;
        read
    }

    /// Writes the member that contains the records: always a list, with one entry for each.
    pub(super) fn rows(&mut self, name: &str, part: Option<Part<'_>>) -> serde_json::Result<()> {
        self.write(name)?;
        self.shown.push(b':');
        match part.filter(Part::is_list) {
            Some(list) => {
                self.in_list = true;
                read(list, Piece { lean: self, stays: true })?;
                self.in_list = false;
            }
            None => self.shown.extend(b"[]"),
        }
        self.shown.push(b',');
        Ok(())
    }

    /// Writes a notice about the response, unless the response has a member of that name.
    pub(super) fn remark(&mut self, name: &'static str, told: &str) -> serde_json::Result<()> {
        if self.remarked.contains(&name) {
            return Ok(());
        }
        self.write(name)?;
        self.shown.push(b':');
        self.write(told)?;
        self.shown.push(b',');
        Ok(())
    }

    /// Returns the object with all members so far.
    pub(super) fn end(mut self) -> String {
        self.close(0, b'}', true);
        // Only whole texts were written, so this is UTF-8.
        String::from_utf8(self.shown).unwrap_or_default()
    }

    fn write(&mut self, piece: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
        serde_json::to_writer(&mut self.shown, piece)
    }

    /// Returns how the current member is handled.
    fn wish(&self) -> Wish<'a> {
        let (path, fields) = (&self.place, &self.view.fields);
        if fields.is_empty() {
            return self.kind.left_out(path, self.in_list).map_or(Wish::Shown(None), Wish::LeftOut);
        }
        let asked = fields.iter().find(|field| *field == path || within(path, field));
        if asked.is_none() && !fields.iter().any(|field| within(field, path)) {
            return Wish::Unasked;
        }
        Wish::Shown(asked.map(String::as_str))
    }

    /// Returns how many entries of the current list are shown, if not all.
    fn most_entries(&self) -> Option<usize> {
        let asked = self
            .view
            .fields
            .iter()
            .any(|field| *field == self.place || within(&self.place, field) || within(field, &self.place));
        if asked || self.view.uncut { None } else { self.kind.first(&self.place) }
    }

    /// Records that the current list is shown in part; several lists can have the same path.
    fn count(&mut self, count: Count) {
        let sum = self.shortened.entry(self.place.clone()).or_default();
        sum.shown += count.shown;
        sum.all += count.all;
    }

    /// Writes a text, cut unless exactly this member was requested.
    fn text(&mut self, text: &str) -> serde_json::Result<bool> {
        if text.is_empty() && !self.keeps_empty {
            return Ok(false);
        }
        self.guest_written.extend(self.kind.guest_written(&self.place));
        let in_full = text.len() <= LONGEST_TEXT || self.view.uncut || self.view.fields.contains(&self.place);
        let cut = if in_full { None } else { text.char_indices().nth(LONGEST_TEXT) };
        match cut {
            Some((end, _)) => {
                self.cut.insert(self.place.clone());
                self.write(&format_args!("{}…", &text[..end]))?;
            }
            None => quote(&mut self.shown, text)?,
        }
        Ok(true)
    }

    /// Ends a list or an object that began at `begin`, or removes it if it is empty.
    fn close(&mut self, begin: usize, end: u8, stays: bool) -> bool {
        match self.shown.last_mut() {
            Some(last) if *last == b',' => *last = end,
            _ if stays || self.keeps_empty => self.shown.push(end),
            _ => {
                self.shown.truncate(begin);
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

fn read<'de, S: DeserializeSeed<'de>>(part: Part<'de>, seed: S) -> serde_json::Result<S::Value> {
    match part {
        Part::Text(text) => seed.deserialize(&mut Reader::from_str(text)),
        Part::Value(value) => seed.deserialize(value),
    }
}

/// Any value. Writes the shown part of it and returns whether that is not empty.
struct Piece<'l, 'a> {
    lean: &'l mut Lean<'a>,
    /// Whether an object is shown even if it is empty; the same for those in a list.
    stays: bool,
}

impl<'de> DeserializeSeed<'de> for Piece<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl Piece<'_, '_> {
    fn scalar<E: Error>(self, scalar: impl Serialize) -> Result<bool, E> {
        self.lean.write(&scalar).map_err(E::custom)?;
        Ok(true)
    }
}

impl<'de> Visitor<'de> for Piece<'_, '_> {
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
        self.lean.text(text).map_err(E::custom)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let Self { lean, stays } = self;
        let begin = lean.shown.len();
        lean.shown.push(b'[');
        let most = lean.most_entries();
        let mut count = Count::default();
        while count.shown < most.unwrap_or(usize::MAX) {
            let Some(something) = items.next_element_seed(Piece { lean, stays })? else { break };
            count.shown += 1;
            if something {
                lean.shown.push(b',');
            }
        }
        if most.is_some() {
            count.all = count.shown;
            while items.next_element::<IgnoredAny>()?.is_some() {
                count.all += 1;
            }
            lean.count(count);
        }
        Ok(lean.close(begin, b']', stays))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<bool, A::Error> {
        let Self { lean, stays } = self;
        let begin = lean.shown.len();
        lean.shown.push(b'{');
        Members(lean).visit_map(members)?;
        Ok(lean.close(begin, b'}', stays))
    }
}

/// The members of an object.
struct Members<'l, 'a>(&'l mut Lean<'a>);

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self(lean) = self;
        let outer = lean.place.len();
        let name_at = if outer > 0 { outer + 1 } else { 0 };
        while members.next_key_seed(Name(&mut lean.place))?.is_some() {
            members.next_value_seed(Member { lean, name_at })?;
            lean.place.truncate(outer);
        }
        Ok(())
    }
}

/// A member's name, which is appended to the current path.
struct Name<'l>(&'l mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
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
struct Member<'l, 'a> {
    lean: &'l mut Lean<'a>,
    name_at: usize,
}

impl<'de> DeserializeSeed<'de> for Member<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let Self { lean, name_at } = self;
        match lean.wish() {
            Wish::Unasked => {
                IgnoredAny::deserialize(from)?;
            }
            Wish::LeftOut(word) => {
                if from.deserialize_any(Something)? {
                    lean.omitted.insert(word);
                }
            }
            Wish::Shown(asked) => {
                let begin = lean.shown.len();
                quote(&mut lean.shown, &lean.place[name_at..]).map_err(D::Error::custom)?;
                lean.shown.push(b':');
                if (Piece { lean, stays: false }).deserialize(from)? {
                    lean.present.extend(asked);
                    if name_at == 0 && !lean.in_list {
                        lean.remarked.extend(REMARKS.iter().find(|remark| **remark == lean.place));
                    }
                    lean.shown.push(b',');
                } else {
                    lean.shown.truncate(begin);
                }
            }
        }
        Ok(())
    }
}

/// Skips a value and returns whether it was not empty.
struct Something;

impl<'de> Visitor<'de> for Something {
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
