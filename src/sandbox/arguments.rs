//! What a request says: its path, query and body, read by the types of the operation's parameters.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::{Map, Value};

use super::operations::{Operation, Parameter, Place};

/// A checked value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    Text(String),
    Integers(Vec<i64>),
}

/// The checked values of a request.
#[derive(Default, Debug)]
pub(super) struct Arguments(BTreeMap<String, Argument>);

impl Arguments {
    pub(super) fn get(&self, name: &str) -> Option<&Argument> {
        self.0.get(name)
    }

    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Argument::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn date(&self, name: &str) -> Option<NaiveDate> {
        match self.get(name) {
            Some(Argument::Date(value)) => Some(*value),
            _ => None,
        }
    }

    /// Whether something is asked for: by `true`, or by the form in which it is wanted.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Argument::Boolean(true) | Argument::Text(_)))
    }
}

impl Operation {
    /// Reads path and query by the parameters' types. Names that the operation does not know are ignored, as OwnerRez
    /// does; every complaint names its parameter.
    pub(super) fn arguments(
        &self,
        path: &BTreeMap<String, String>,
        query: &[(String, String)],
    ) -> Result<Arguments, Vec<String>> {
        let mut arguments = BTreeMap::new();
        let mut complaints = Vec::new();
        for parameter in &self.parameters {
            let name = &parameter.name;
            let read = if parameter.style == "indexed" {
                parameter.read_indexed(query)
            } else {
                let text = match parameter.place {
                    Place::Path => path.get(name),
                    Place::Query => query.iter().find(|(key, _)| key == name).map(|(_, value)| value),
                };
                text.filter(|text| !text.is_empty()).map(|text| parameter.read(text)).transpose()
            };
            match read {
                Ok(Some(value)) => {
                    arguments.insert(name.clone(), value);
                }
                Ok(None) if parameter.required => complaints.push(format!("{name} is required.")),
                Ok(None) => {}
                Err(complaint) => complaints.push(complaint),
            }
        }
        for group in &self.one_of_required {
            if complaints.is_empty() && !group.iter().any(|name| arguments.contains_key(name)) {
                complaints.push(format!("One of {} is required.", group.join(", ")));
            }
        }
        if complaints.is_empty() { Ok(Arguments(arguments)) } else { Err(complaints) }
    }

    /// The query names that it does not know.
    pub(super) fn unknown_names<'q>(&self, query: &'q [(String, String)]) -> impl Iterator<Item = &'q str> {
        let known = |name: &str| {
            let bare = name.split('[').next().unwrap_or_default();
            self.parameters.iter().any(|parameter| parameter.place == Place::Query && parameter.name == bare)
        };
        query.iter().map(|(name, _)| name.as_str()).filter(move |name| !known(name))
    }

    /// Reads a body that is a list of objects.
    pub(super) fn read_list(&self, body: &[u8]) -> Result<Vec<Map<String, Value>>, Vec<String>> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut checked = body.clone();
        for entry in checked.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.retain(|name, value| !value.is_null() || !self.clears.contains(name));
        }
        let complaints = self.complaints(&checked);
        let Value::Array(entries) = body else { return Err(vec!["The body must be a JSON array.".to_owned()]) };
        // A call that changes nothing is no mistake (measured).
        if entries.is_empty() || complaints.is_empty() {
            let objects = entries.into_iter().filter_map(|entry| entry.as_object().cloned());
            return Ok(objects.collect());
        }
        Err(complaints)
    }

    fn complaints(&self, body: &Value) -> Vec<String> {
        let found = self.body.iter().flat_map(|validator| validator.iter_errors(body));
        found
            .map(|error| {
                let at = error.instance_path().to_string();
                match at.trim_start_matches('/') {
                    "" => format!("{error}."),
                    member => format!("{member}: {error}."),
                }
            })
            .collect()
    }

    /// Reads a body. A null member clears a value on PATCH, so nulls are left out of the check but kept in the result.
    pub(super) fn read_body(&self, body: &[u8]) -> Result<Map<String, Value>, Vec<String>> {
        if self.body.is_none() {
            return Ok(Map::new());
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return Err(vec!["The body must be a JSON object.".to_owned()]);
        };
        let present = members.iter().filter(|(_, value)| !value.is_null());
        let checked = Value::Object(present.map(|(name, value)| (name.clone(), value.clone())).collect());
        let complaints = self.complaints(&checked);
        if complaints.is_empty() { Ok(members) } else { Err(complaints) }
    }
}

impl Parameter {
    fn read(&self, text: &str) -> Result<Argument, String> {
        let name = &self.name;
        let value = match (self.kind.as_str(), self.format.as_str()) {
            ("integer", _) => text.parse().ok().map(Argument::Integer),
            ("number", _) => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Argument::Number),
            ("boolean", _) => text.to_ascii_lowercase().parse().ok().map(Argument::Boolean),
            (_, "date") => day(text).map(Argument::Date),
            (_, "date-time") => instant(text).map(Argument::Instant),
            (_, "csv-int") => {
                text.split(',').map(|id| id.trim().parse().ok()).collect::<Option<_>>().map(Argument::Integers)
            }
            _ => Some(Argument::Text(text.to_owned())),
        };
        let value = value.ok_or_else(|| {
            let wanted = if self.format.is_empty() { &self.kind } else { &self.format };
            format!("The value '{text}' is not valid for {name}: {wanted} expected.")
        })?;
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            return Err(format!(
                "The value '{text}' is not valid for {name}: one of {} expected.",
                self.choices.join(", ")
            ));
        }
        Ok(value)
    }

    /// `name[0]=1&name[1]=2`.
    fn read_indexed(&self, query: &[(String, String)]) -> Result<Option<Argument>, String> {
        let mut values = Vec::new();
        for (key, text) in query {
            let index = key.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
            if index.is_some_and(|index| index.parse::<usize>().is_ok()) {
                let complaint = || format!("The value '{text}' is not valid for {key}: integer expected.");
                values.push(text.parse().map_err(|_| complaint())?);
            }
        }
        Ok((!values.is_empty()).then_some(Argument::Integers(values)))
    }
}

/// Four-digit years only: chrono reads more, up to days that have no successor.
fn day(text: &str) -> Option<NaiveDate> {
    let plain = text.len() == 10 && !text.starts_with(['+', '-']);
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| plain)
}

/// An ISO 8601 moment; without a zone it is taken as UTC.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|moment| moment.and_utc());
    let midnight = || day(text)?.and_hms_opt(0, 0, 0).map(|at| at.and_utc());
    zoned.or_else(plain).or_else(midnight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::operations::Operations;

    fn read(tool: &str, query: &str) -> Result<Arguments, Vec<String>> {
        let operations = Operations::load().expect("embedded data");
        let operation = operations.all.iter().find(|operation| operation.tool == tool).expect("a tool");
        let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        operation.arguments(&BTreeMap::new(), &query)
    }

    #[test]
    fn complaints_name_the_parameter() {
        for (tool, query, name) in [
            ("list_bookings", "", "property_ids, since_utc"),
            ("list_bookings", "property_ids=1,x", "property_ids"),
            ("list_bookings", "since_utc=yesterday", "since_utc"),
            ("list_bookings", "since_utc=2026-11-23T00:00:00 01:00", "since_utc"),
            ("list_bookings", "property_ids=1&status=gone", "status"),
            ("list_bookings", "property_ids=1&from=2026-02-30", "from"),
            ("list_bookings", "property_ids=1&from=%2B262142-12-31", "from"),
            ("list_properties", "active=perhaps", "active"),
            ("list_properties", "limit=many", "limit"),
            ("search_properties", "include_tag_ids[0]=x", "include_tag_ids[0]"),
            ("search_properties", "rate_min=NaN", "rate_min"),
        ] {
            let complaints = read(tool, query).expect_err(query);
            assert!(complaints.iter().any(|text| text.contains(name)), "{query}: {complaints:?}");
        }
    }

    #[test]
    fn good_values_are_read_by_type() {
        let arguments = read(
            "search_properties",
            "include_tag_ids[0]=4&include_tag_ids[1]=5&pets_allowed=true&rate_min=1.5&unknown=1",
        )
        .expect("good values");
        assert_eq!(arguments.get("include_tag_ids"), Some(&Argument::Integers(vec![4, 5])));
        assert!(arguments.flag("pets_allowed"));
        assert_eq!(arguments.get("rate_min"), Some(&Argument::Number(1.5)));
        assert!(arguments.get("unknown").is_none());
    }
}
