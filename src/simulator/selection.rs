//! The records of a list: those that pass the filters whose parameters were sent.

use std::{cmp::Ordering, collections::BTreeSet};

use chrono::NaiveDate;
use serde_json::Value;

use super::{
    argument::Argument,
    arguments::Arguments,
    calendar,
    operations::{Filter, Test},
    records::{Record, Records, date, id, number},
    value_kind::instant,
};

impl Records {
    /// Returns the records that pass every filter whose parameter was sent, ordered by id.
    pub(super) fn select(&self, collection: &str, filters: &[Filter], arguments: &Arguments) -> Vec<&Record> {
        let tests: Vec<_> = filters
            .iter()
            .filter(|filter| {
                let closing = filter.until.as_deref().and_then(|name| arguments.get(name));
                arguments.get(&filter.param).or(closing).is_some()
            })
            .map(|filter| (filter, self.staying_guests(filter, arguments)))
            .collect();
        self.all(collection)
            .filter(|record| {
                tests.iter().all(|(filter, staying)| match (filter.test, arguments.get(&filter.param)) {
                    (Test::Free, _) => self.is_free(record, filter, arguments),
                    (Test::Stays, _) => id(record).is_some_and(|id| staying.contains(&id)),
                    (Test::Tagged, Some(argument)) => {
                        wanted(argument).iter().all(|definition| self.is_tagged(record, *definition))
                    }
                    (Test::Untagged, Some(argument)) => {
                        !wanted(argument).iter().any(|definition| self.is_tagged(record, *definition))
                    }
                    (test, Some(argument)) => filter
                        .fields
                        .iter()
                        .any(|field| values(record, field).any(|value| passes(test, value, argument))),
                    (_, None) => true,
                })
            })
            .collect()
    }

    fn is_tagged(&self, record: &Record, definition: i64) -> bool {
        let mut of_this = self.naming("tags", "entity_id", id(record).unwrap_or_default());
        of_this.any(|tag| number(tag, "tag_definition_id") == Some(definition))
    }

    fn is_free(&self, property: &Record, filter: &Filter, arguments: &Arguments) -> bool {
        let (from, to) = range(filter, arguments);
        // An open end means one night; an open start means the night before the end.
        let from = from.or_else(|| to?.pred_opt());
        let to = to.or_else(|| from?.succ_opt());
        match (from, to, id(property)) {
            (Some(from), Some(to), Some(id)) => {
                calendar::is_open(property) && calendar::is_free(self, id, from, to, None)
            }
            _ => true,
        }
    }

    fn staying_guests(&self, filter: &Filter, arguments: &Arguments) -> BTreeSet<i64> {
        if !matches!(filter.test, Test::Stays) {
            return BTreeSet::new();
        }
        let (from, to) = range(filter, arguments);
        self.all("bookings")
            .filter(|booking| from.is_none_or(|from| date(booking, "departure").is_some_and(|day| day >= from)))
            .filter(|booking| to.is_none_or(|to| date(booking, "arrival").is_some_and(|day| day <= to)))
            .filter_map(|booking| booking.get("guest_id")?.as_i64())
            .collect()
    }
}

fn range(filter: &Filter, arguments: &Arguments) -> (Option<NaiveDate>, Option<NaiveDate>) {
    (arguments.date(&filter.param), filter.until.as_deref().and_then(|name| arguments.date(name)))
}

/// Returns the values at a dotted path. Lists of objects are traversed (`phones.number`); a list of plain values is one
/// value.
fn values<'a>(record: &'a Record, path: &str) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match path.split_once('.') {
        None => Box::new(record.get(path).into_iter()),
        Some((first, rest)) => {
            let rest = rest.to_owned();
            let elements = record.get(first).and_then(Value::as_array).into_iter().flatten();
            Box::new(elements.filter_map(move |element| element.get(&rest)))
        }
    }
}

fn passes(test: Test, value: &Value, argument: &Argument) -> bool {
    match (test, argument) {
        (Test::Text, Argument::Text(wanted)) => {
            value.as_str().is_some_and(|text| text.to_lowercase().contains(&wanted.to_lowercase()))
        }
        (Test::In, Argument::Integers(wanted)) => value.as_i64().is_some_and(|id| wanted.contains(&id)),
        (Test::HasAll, _) => wanted(argument).iter().all(|wanted| has(value, *wanted)),
        (Test::Equals, _) => compare(value, argument) == Some(Ordering::Equal),
        (Test::AtLeast, _) => compare(value, argument).is_some_and(Ordering::is_ge),
        (Test::AtMost, _) => compare(value, argument).is_some_and(Ordering::is_le),
        (Test::After, _) => compare(value, argument).is_some_and(Ordering::is_gt),
        _ => false,
    }
}

fn wanted(argument: &Argument) -> Vec<i64> {
    match argument {
        Argument::Integer(value) => vec![*value],
        Argument::Integers(values) => values.clone(),
        _ => Vec::new(),
    }
}

fn has(list: &Value, wanted: i64) -> bool {
    list.as_array().is_some_and(|elements| elements.iter().any(|element| element.as_i64() == Some(wanted)))
}

fn compare(value: &Value, argument: &Argument) -> Option<Ordering> {
    match argument {
        Argument::Integer(wanted) => value.as_f64()?.partial_cmp(&(*wanted as f64)),
        Argument::Number(wanted) => value.as_f64()?.partial_cmp(wanted),
        Argument::Boolean(wanted) => Some(value.as_bool().unwrap_or(false).cmp(wanted)),
        Argument::Date(wanted) => Some(value.as_str()?.parse::<NaiveDate>().ok()?.cmp(wanted)),
        Argument::Instant(wanted) => Some(instant(value.as_str()?)?.cmp(wanted)),
        Argument::Text(wanted) => Some(value.as_str()?.cmp(wanted.as_str())),
        Argument::Integers(_) => None,
    }
}
