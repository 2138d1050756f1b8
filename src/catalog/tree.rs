//! An answer while it is being made lean: names and texts are cut out of the text that it came in, members stand in lists.
//! serde_json's own values allocate each name and each text, which most calls would pay for and few need.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Room for the members of most objects, so that few lists grow.
const USUAL_MEMBERS: usize = 16;

/// A piece of JSON.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Node<'a> {
    /// null
    #[default]
    Null,
    /// true or false
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object, ordered by name, each name once.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Node<'a> {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Object(members) => members.0.is_empty(),
            Self::Bool(_) | Self::Number(_) => false,
        }
    }

    /// A whole number that is not negative.
    pub(super) fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self { number.as_u64() } else { None }
    }

    /// As a value of serde_json's.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(is) => Value::Bool(is),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(items) => Value::Array(items.into_iter().map(Node::into_value).collect()),
            Self::Object(members) => {
                let members = members.0.into_iter().map(|(name, node)| (name.into_owned(), node.into_value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

impl From<Value> for Node<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(is) => Self::Bool(is),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(items) => Self::List(items.into_iter().map(Node::from).collect()),
            Value::Object(members) => Self::Object(
                members.into_iter().map(|(name, value)| (Cow::Owned(name), Node::from(value))).collect::<Members<'_>>(),
            ),
        }
    }
}

impl From<bool> for Node<'_> {
    fn from(is: bool) -> Self {
        Self::Bool(is)
    }
}

impl From<u64> for Node<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Node<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> Members<'a> {
    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.place(name).ok().map(|at| &self.0[at].1)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Node<'a>> {
        self.place(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Puts one in, in the place of the one that had its name.
    pub(super) fn insert(&mut self, name: impl Into<Cow<'a, str>>, node: Node<'a>) {
        let name = name.into();
        match self.place(&name) {
            Ok(at) => self.0[at].1 = node,
            Err(at) => self.0.insert(at, (name, node)),
        }
    }

    /// Leaves those of which this says so.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&str, &mut Node<'a>) -> bool) {
        self.0.retain_mut(|(name, node)| stays(name, node));
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of which this says so, and the others.
    pub(super) fn partition(self, mut is_one: impl FnMut(&str) -> bool) -> (Self, Self) {
        let (these, others) = self.0.into_iter().partition(|(name, _)| is_one(name));
        (Self(these), Self(others))
    }

    /// Takes over the members of another, none of which is one of these.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
        self.0.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Node<'a>)> for Members<'a> {
    /// Of several with one name the last one counts, as with serde_json's values.
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Node<'a>)>>(members: I) -> Self {
        let mut all: Vec<_> = members.into_iter().collect();
        if !all.is_sorted_by(|(one, _), (next, _)| one < next) {
            all.sort_by(|(one, _), (other, _)| one.cmp(other));
            all.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
        }
        Self(all)
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(is) => to.serialize_bool(*is),
            Self::Number(number) => number.serialize(to),
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Object(members) => to.collect_map(members.0.iter().map(|(name, node)| (name, node))),
        }
    }
}

/// A name or a text, cut out where it stands there as it is.
#[derive(Deserialize)]
struct Cut<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(is))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node<'de>, E> {
        Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Node::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node<'de>, A::Error> {
        let mut all = Vec::with_capacity(USUAL_MEMBERS);
        while let Some((Cut(name), node)) = members.next_entry()? {
            all.push((name, node));
        }
        Ok(Node::Object(all.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            r#"[a-c"\\é\n]{0,4}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(r#"[a-c"é]{0,3}"#, inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_says_what_the_text_said(value in any_json()) {
            let text = value.to_string();
            let read: Node<'_> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), &*text);
            prop_assert_eq!(&read, &Node::from(value.clone()));
            // Numbers are compared as they are written: -0.0 and 0.0 are equal.
            prop_assert_eq!(read.into_value().to_string(), text);
        }

        #[test]
        fn of_several_members_with_one_name_the_last_counts(names in proptest::collection::vec("[a-c]", 0..8)) {
            let members: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("\"{name}\":{at}")).collect();
            let text = format!("{{{}}}", members.join(","));
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<Node<'_>>(&text).unwrap().into_value(), value);
        }
    }
}
