//! Deserialization that accepts JSON objects only. serde also accepts an array where a struct is expected.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

/// Replaces serde's message, which uses Rust terms ("invalid type: sequence").
const NO_OBJECT: &str = "it must be a JSON object";

/// Deserializes a type from a JSON object and rejects everything else. Derived implementations of `Deserialize` also
/// read a struct from an array, field by field, so that `["x"]` would be accepted as `{"name": "x"}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonObject<T>(pub T);

/// Deserializes a member of an object. If its JSON type is wrong, the error is `must`, which describes the required
/// type in plain words.
pub fn member<'de, T: DeserializeOwned, D: Deserializer<'de>>(written: D, must: &str) -> Result<T, D::Error> {
    let value = Value::deserialize(written)?;
    T::deserialize(value).map_err(|_| D::Error::custom(must))
}

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

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(A::Error::custom(NO_OBJECT))
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
                Err(E::custom(NO_OBJECT))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Err(E::custom(NO_OBJECT))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Err(E::custom(NO_OBJECT))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Err(E::custom(NO_OBJECT))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Err(E::custom(NO_OBJECT))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Err(E::custom(NO_OBJECT))
            }
        }

        deserializer.deserialize_any(Members(PhantomData))
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
        for wrong in ["[1]", r#""x""#, "null", "true", "1", "-1", "1.5"] {
            assert!(read(wrong).unwrap_err().to_string().starts_with(NO_OBJECT), "{wrong}");
        }
    }
}
