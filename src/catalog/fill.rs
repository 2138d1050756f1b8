//! Fills in members that OwnerRez documents but does not send, from another member with the same value: a message names
//! its thread in `thread` only, and in some responses only next to the list.

use serde_json::{Map, Result, Value};

use super::{
    normalize::{FieldValue, Members, NormalizedResponse},
    record::{CopiedField, RecordSchema},
};

/// Fills in the missing members of the records of a response. Returns it unparsed if its kind has no such members.
pub(super) fn fill_missing<'a>(kind: &RecordSchema, answer: NormalizedResponse<'a>) -> Result<NormalizedResponse<'a>> {
    if kind.filled.is_empty() {
        return Ok(answer);
    }
    let Value::Object(mut whole) = answer.into_value()? else { return Ok(NormalizedResponse::Members(Members::new())) };
    let envelope: Map<String, Value> =
        whole.iter().filter(|(name, _)| *name != "items").map(|(name, value)| (name.clone(), value.clone())).collect();
    let envelope = Value::Object(envelope);
    match whole.get_mut("items").and_then(Value::as_array_mut) {
        Some(records) => records.iter_mut().for_each(|record| fill_record(&kind.filled, record, &envelope)),
        None => {
            let mut record = Value::Object(std::mem::take(&mut whole));
            fill_record(&kind.filled, &mut record, &envelope);
            if let Value::Object(members) = record {
                whole = members;
            }
        }
    }
    Ok(NormalizedResponse::Members(whole.into_iter().map(|(name, value)| (name, FieldValue::Owned(value))).collect()))
}

fn fill_record(filled: &[CopiedField], record: &mut Value, envelope: &Value) {
    for CopiedField { member, from } in filled {
        let pointer = format!("/{}", from.replace('.', "/"));
        let present = |value: &Value| value.pointer(&pointer).filter(|value| !value.is_null()).cloned();
        let value = present(record).or_else(|| present(envelope));
        if let (Some(members), Some(value)) = (record.as_object_mut(), value) {
            let known = members.entry(member.clone()).or_insert(Value::Null);
            if known.is_null() {
                *known = value;
            }
        }
    }
}
