//! JSON objects, where serde would take an array as well.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Reads a type from a JSON object and nothing else. Derived implementations of `Deserialize` read a struct from an array
/// too, member by member, so that `["x"]` would pass for `{"name": "x"}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonObject<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = JsonObject<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(JsonObject)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    struct Named {
        name: String,
        #[serde(default)]
        number: u8,
    }

    #[test]
    fn an_object_is_read_and_an_array_is_refused() {
        let read = |text: &str| serde_json::from_str::<JsonObject<Named>>(text).map(|JsonObject(named)| named);
        assert_eq!(read(r#" {"name": "x"} "#).unwrap(), Named { name: "x".to_owned(), number: 0 });
        assert!(serde_json::from_str::<Named>(r#"["x", 1]"#).is_ok(), "serde alone reads it");
        for wrong in [r#"["x", 1]"#, "[]", r#""x""#, "null", "1", r#"{"name": "x", "name": "y"}"#, r#"{"name": "x"} x"#]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("[1]").unwrap_err().to_string().contains("expected a JSON object"));
    }
}
