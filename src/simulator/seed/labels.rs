//! Tags and custom fields, extracted from the records that noted them.

use serde_json::{Value, json};

use super::seeder::Seeder;
use crate::simulator::{
    labels::{define_tag, definition_type, full_code},
    records::{Record, id, text},
};

const COLORS: [&str; 4] = ["green", "blue", "red", "orange"];
/// The field names of the codes.
const FIELD_NAMES: [(&str, &str); 4] =
    [("WIFI", "Network name"), ("SINCE", "Owner since"), ("ARRIVE", "How they arrive"), ("ALLERGY", "Allergies")];

impl Seeder<'_> {
    pub(super) fn labels(&mut self) {
        for (collection, entity_type) in [
            ("properties", "property"),
            ("owners", "owner"),
            ("bookings", "booking"),
            ("guests", "guest"),
            ("inquiries", "inquiry"),
            ("quotes", "quote"),
        ] {
            let noted: Vec<_> = self.records.all_mut(collection).filter_map(taken).collect();
            for (entity, tags, fields) in noted {
                for name in tags.iter().filter_map(Value::as_str) {
                    self.tag(entity_type, entity, name);
                }
                for field in fields.iter().filter_map(Value::as_object) {
                    self.field(entity_type, entity, text(field, "code"), text(field, "value"));
                }
            }
        }
    }

    fn tag(&mut self, entity_type: &str, entity: i64, name: &str) {
        let known = self.records.all("tag_definitions").find(|one| text(one, "name") == name).and_then(id);
        let definition = known.unwrap_or_else(|| {
            let mut made = define_tag(self.records, name);
            let index = self.records.all("tag_definitions").count();
            made.insert("color".into(), COLORS.get(index % COLORS.len()).copied().into());
            made.insert("description".into(), format!("{name}, as {} uses it", self.plan.tenant_label).into());
            let id = id(&made).unwrap_or_default();
            self.records.put("tag_definitions", id, made);
            id
        });
        let record = json!({
            "id": self.id(),
            "name": name,
            "entity_id": entity,
            "entity_type": entity_type,
            "tag_definition_id": definition,
        });
        self.put("tags", record);
    }

    fn field(&mut self, entity_type: &str, entity: i64, code: &str, value: &str) {
        let known = self.records.all("field_definitions").find(|one| text(one, "code") == code).and_then(id);
        let definition = known.unwrap_or_else(|| self.field_definition(entity_type, code));
        let record = json!({
            "id": self.id(),
            "entity_id": entity,
            "entity_type": entity_type,
            "field_definition_id": definition,
            "value": value,
            "_code": code,
        });
        self.put("fields", record);
    }

    fn field_definition(&mut self, entity_type: &str, code: &str) -> i64 {
        let name = FIELD_NAMES.iter().find(|(known, _)| *known == code).map_or(code, |(_, name)| *name);
        let record = json!({
            "id": self.id(),
            "name": name,
            "code": code,
            "full_code": full_code(definition_type(entity_type), code),
            "description": format!("{name}, kept by {}", self.plan.tenant_label),
            "type": definition_type(entity_type),
            "active": true,
        });
        self.put("field_definitions", record)
    }
}

fn taken(record: &mut Record) -> Option<(i64, Vec<Value>, Vec<Value>)> {
    let entity = id(record)?;
    let mut list = |member: &str| match record.remove(member) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    Some((entity, list("tags"), list("fields")))
}
