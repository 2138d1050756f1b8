//! Overrides of single nights: one for each property and night.

use serde_json::{Map, Value};

use super::records::{Record, Records, number, text};

/// Writes the overrides, all or none, and returns them as stored. Null removes a value.
pub(super) fn write(records: &mut Records, entries: Vec<Map<String, Value>>) -> Result<Vec<Record>, Vec<String>> {
    let complaints: Vec<String> = entries
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| Some(format!("[{index}].{}", complaint(records, entry)?)))
        .collect();
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let mut stored = Vec::new();
    for entry in entries {
        let property = number(&entry, "property_id").unwrap_or_default();
        let known = at(records, property, text(&entry, "date")).cloned();
        let mut rate = known.unwrap_or_default();
        let key = number(&rate, "_key").unwrap_or_else(|| records.new_id());
        rate.insert("_key".into(), key.into());
        rate.extend(entry);
        if is_empty(&rate) {
            records.remove("spot_rates", key);
        } else {
            records.put("spot_rates", key, rate.clone());
        }
        stored.push(rate);
    }
    Ok(stored)
}

/// Returns the override of a night.
pub(super) fn at<'r>(records: &'r Records, property: i64, night: &str) -> Option<&'r Record> {
    records.naming("spot_rates", "property_id", property).find(|rate| text(rate, "date") == night)
}

fn complaint(records: &Records, entry: &Map<String, Value>) -> Option<String> {
    let property_id = number(entry, "property_id").unwrap_or_default();
    let Some(property) = records.get("properties", property_id) else {
        return Some(format!("property_id: Expected entity Property:Id:{property_id} not found."));
    };
    let currency = entry.get("currency").filter(|currency| !currency.is_null())?;
    (Some(currency) != property.get("currency_code")).then(|| "currency must be the property's.".to_owned())
}

fn is_empty(rate: &Record) -> bool {
    const NIGHT: [&str; 4] = ["_key", "property_id", "date", "currency"];
    rate.iter().all(|(name, value)| value.is_null() || NIGHT.contains(&name.as_str()))
}

/// Converts the date of a returned override to a date-time.
pub(super) fn with_midnight(shown: &mut Value) {
    if let Some(Value::String(date)) = shown.get_mut("date") {
        date.push_str("T00:00:00Z");
    }
}
