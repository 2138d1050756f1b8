//! The arguments of a request: its path, query and body, parsed by the types of the operation's parameters.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::{
    argument::Argument,
    description::{Described, Description, RecordShape},
    value_kind::{Plain, ValueKind},
};

/// The validated values of a request.
#[derive(Default, Debug)]
pub(super) struct Arguments(BTreeMap<String, Argument>);

impl Arguments {
    pub(super) fn get(&self, name: &str) -> Option<&Argument> {
        self.0.get(name)
    }

    /// Sets a value that was not sent.
    pub(super) fn assume(&mut self, name: &str, value: Argument) {
        self.0.entry(name.to_owned()).or_insert(value);
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

    /// Returns whether something is requested: by `true`, or by a text that names the requested form.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Argument::Boolean(true) | Argument::Text(_)))
    }
}

impl Described {
    /// Parses path and query by the parameters' types. Unknown names are ignored, as OwnerRez does; every complaint
    /// names its parameter.
    pub(super) fn arguments(
        &self,
        path: &BTreeMap<String, String>,
        query: &[(String, String)],
    ) -> Result<Arguments, Vec<String>> {
        let mut arguments = BTreeMap::new();
        let mut complaints = Vec::new();
        let in_path = self.in_path.iter().map(|(name, member)| (name, member, path.get(name), true));
        let in_query = self.in_query.iter().map(|(name, member)| {
            let value = query.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            (name, member, value, member.always)
        });
        for (name, member, text, required) in in_path.chain(in_query) {
            let read = match member.kind {
                ValueKind::Plain(Plain::IndexedIds) => read_indexed(name, query),
                _ => text.filter(|text| !text.is_empty()).map(|text| read(name, &member.kind, text)).transpose(),
            };
            match read {
                Ok(Some(value)) => {
                    arguments.insert(name.clone(), value);
                }
                Ok(None) if required => complaints.push(format!("{name} is required.")),
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

    /// Returns the query names that the operation does not know.
    pub(super) fn unknown_names<'q>(&self, query: &'q [(String, String)]) -> impl Iterator<Item = &'q str> {
        let known = |name: &str| self.in_query.contains_key(name.split('[').next().unwrap_or_default());
        query.iter().map(|(name, _)| name.as_str()).filter(move |name| !known(name))
    }
}

impl Description {
    /// Parses a body that is a list of objects.
    pub(super) fn read_list(&self, shape: &RecordShape, sent: &[u8]) -> Result<Vec<Map<String, Value>>, Vec<String>> {
        let sent: Value = serde_json::from_slice(sent).unwrap_or_default();
        let Value::Array(entries) = sent else { return Err(vec!["The body must be a JSON array.".to_owned()]) };
        let mut complaints = Vec::new();
        let mut read = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let mut found = Vec::new();
            match entry {
                Value::Object(members) => read.push(self.read_members(shape, members, "", &mut found)),
                _ => found.push("an object is expected.".to_owned()),
            }
            complaints.extend(found.into_iter().map(|complaint| format!("[{index}].{complaint}")));
        }
        if complaints.is_empty() { Ok(read) } else { Err(complaints) }
    }

    /// Parses a body. A null member clears a value on PATCH, so nulls are kept.
    pub(super) fn read_object(&self, shape: &RecordShape, sent: Value) -> Result<Map<String, Value>, Vec<String>> {
        let Value::Object(members) = sent else {
            return Err(vec!["The body must be a JSON object.".to_owned()]);
        };
        let mut complaints = Vec::new();
        let read = self.read_members(shape, members, "", &mut complaints);
        if complaints.is_empty() { Ok(read) } else { Err(complaints) }
    }
}

fn read(name: &str, kind: &ValueKind, text: &str) -> Result<Argument, String> {
    let complaint = || format!("The value '{text}' is not valid for {name}: {} expected.", kind.expected());
    kind.read_text(text).ok_or_else(complaint)
}

/// Parses `name[0]=1&name[1]=2`.
fn read_indexed(name: &str, query: &[(String, String)]) -> Result<Option<Argument>, String> {
    let mut values = Vec::new();
    for (key, text) in query {
        let index = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
        if index.is_some_and(|index| index.parse::<usize>().is_ok()) {
            let complaint = || format!("The value '{text}' is not valid for {key}: integer expected.");
            values.push(text.parse().map_err(|_| complaint())?);
        }
    }
    Ok((!values.is_empty()).then_some(Argument::Integers(values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, query: &str) -> Result<Arguments, Vec<String>> {
        let description = Description::load().expect("embedded data");
        let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        description.operations[&format!("GET /v2/{path}")].arguments(&BTreeMap::new(), &query)
    }

    #[test]
    fn complaints_name_the_parameter() {
        for (path, query, name) in [
            ("bookings", "", "property_ids, since_utc"),
            ("bookings", "property_ids=1,x", "property_ids"),
            ("bookings", "since_utc=yesterday", "since_utc"),
            ("bookings", "since_utc=2026-11-23T00:00:00 01:00", "since_utc"),
            ("bookings", "property_ids=1&status=gone", "status"),
            ("bookings", "property_ids=1&from=2026-02-30", "from"),
            ("bookings", "property_ids=1&from=%2B262142-12-31", "from"),
            ("properties", "active=perhaps", "active"),
            ("properties", "limit=many", "limit"),
            ("propertysearch", "include_tag_ids[0]=x", "include_tag_ids[0]"),
            ("propertysearch", "rate_min=NaN", "rate_min"),
        ] {
            let complaints = read(path, query).expect_err(query);
            assert!(complaints.iter().any(|text| text.contains(name)), "{query}: {complaints:?}");
        }
    }

    #[test]
    fn states_and_days_are_read_in_the_accepted_spellings() {
        let arguments = read("bookings", "property_ids=1&status=Canceled&from=2026-11-23T15:00:00Z&to=2026-11-24");
        let arguments = arguments.expect("good values");
        assert_eq!(arguments.get("status"), Some(&Argument::Text("canceled".to_owned())));
        assert_eq!(arguments.date("from"), NaiveDate::from_ymd_opt(2026, 11, 23));
        assert_eq!(arguments.date("to"), NaiveDate::from_ymd_opt(2026, 11, 24));
    }

    #[test]
    fn good_values_are_read_by_type() {
        let arguments = read(
            "propertysearch",
            "include_tag_ids[0]=4&include_tag_ids[1]=5&pets_allowed=true&rate_min=1.5&unknown=1",
        )
        .expect("good values");
        assert_eq!(arguments.get("include_tag_ids"), Some(&Argument::Integers(vec![4, 5])));
        assert!(arguments.flag("pets_allowed"));
        assert_eq!(arguments.get("rate_min"), Some(&Argument::Number(1.5)));
        assert!(arguments.get("unknown").is_none());
    }
}
