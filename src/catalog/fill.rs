//! Fills in members that OwnerRez documents but does not send, from another member with the same value: a message names
//! its thread in `thread` only, and in some responses only next to the list.

use serde_json::{Result, Value};

use super::{
    answer::{Members, Part, Whole},
    record::{Filled, RecordData},
};

/// Fills in the missing members of the records of a response. Returns it unparsed if its kind has no such members.
pub(super) fn fill<'a>(kind: &RecordData, answer: Whole<'a>) -> Result<Whole<'a>> {
    if kind.filled.is_empty() {
        return Ok(answer);
    }
    let Value::Object(mut whole) = answer.into_value()? else { return Ok(Whole::Members(Members::new())) };
    let beside = Value::Object(whole.clone());
    match whole.get_mut("items").and_then(Value::as_array_mut) {
        Some(records) => records.iter_mut().for_each(|record| complete(&kind.filled, record, &beside)),
        None => {
            let mut record = Value::Object(std::mem::take(&mut whole));
            complete(&kind.filled, &mut record, &beside);
            if let Value::Object(members) = record {
                whole = members;
            }
        }
    }
    Ok(Whole::Members(whole.into_iter().map(|(name, value)| (name, Part::Value(value))).collect()))
}

fn complete(filled: &[Filled], record: &mut Value, beside: &Value) {
    for Filled { member, from } in filled {
        let pointer = format!("/{}", from.replace('.', "/"));
        let there = |value: &Value| value.pointer(&pointer).filter(|value| !value.is_null()).cloned();
        let value = there(record).or_else(|| there(beside));
        if let (Some(members), Some(value)) = (record.as_object_mut(), value) {
            let known = members.entry(member.clone()).or_insert(Value::Null);
            if known.is_null() {
                *known = value;
            }
        }
    }
}
