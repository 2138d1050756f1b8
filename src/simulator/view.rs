//! The representation of a record in the API: optional members only on request, and no members without a description.

use serde_json::{Map, Value};

use super::{
    arguments::Arguments,
    description::Description,
    operations::{Collection, Join, Optional, Shown},
    records::{Record, Records, id, number},
    variations::Hidden,
};

/// Renders the records of one account for one request.
pub(super) struct View<'a> {
    pub(super) records: &'a Records,
    pub(super) description: &'a Description,
    pub(super) arguments: &'a Arguments,
    /// Whether the response is a list.
    pub(super) listed: bool,
    /// The members that the account's variations leave out.
    pub(super) hidden: &'a [&'a Hidden],
}

impl View<'_> {
    /// Renders the record of a collection as a record of this kind.
    pub(super) fn of(&self, record: &Record, collection: &Collection, kind: &str) -> Value {
        let mut shown = record.clone();
        for optional in &collection.optional {
            if !self.is_wanted(optional) {
                shown.remove(&optional.member);
            } else if let Some(gather) = &optional.gather {
                let of_this = self.records.naming(&gather.collection, "entity_id", id(record).unwrap_or_default());
                let all: Vec<Value> = of_this.map(|one| gather.shows.of(one)).collect();
                shown.insert(optional.member.clone(), all.into());
            } else if let Some(join) = &optional.join
                && let Some(joined) = self.joined(record, join)
            {
                shown.insert(optional.member.clone(), joined);
            }
        }
        public(self.description.shown(kind, Value::Object(shown), self.hidden))
    }

    fn is_wanted(&self, optional: &Optional) -> bool {
        let asked = |name: &String| self.arguments.flag(name);
        let always = optional.param.is_none() || (optional.lists_only && !self.listed);
        always || optional.param.as_ref().is_some_and(asked) || optional.or.as_ref().is_some_and(asked)
    }

    fn joined(&self, record: &Record, join: &Join) -> Option<Value> {
        let other = self.records.get(&join.collection, number(record, &join.key)?)?;
        let members = join.members.iter().filter_map(|name| Some((name.clone(), other.get(name)?.clone())));
        Some(Value::Object(members.collect()))
    }
}

impl Shown {
    fn of(&self, record: &Record) -> Value {
        match self {
            Shown::Member(member) => record.get(member).cloned().unwrap_or_default(),
            Shown::Members(names) => {
                let members =
                    names.iter().filter_map(|(name, member)| Some((name.clone(), record.get(member)?.clone())));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

/// Removes nulls and the simulator's internal members at every depth.
pub(super) fn public(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let shown = members.into_iter().filter(|(name, member)| !name.starts_with('_') && !member.is_null());
            Value::Object(shown.map(|(name, member)| (name, public(member))).collect())
        }
        Value::Array(elements) => elements.into_iter().map(public).collect(),
        other => other,
    }
}
