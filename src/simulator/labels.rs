//! Rules of tags and custom fields beyond their members: they belong to a record and follow a definition.

use serde_json::{Map, Value, json};

use super::records::{Record, Records, id, number, text};

/// The collection of each kind of record. The kind `user` is the account itself and has no collection.
const KINDS: [(&str, &str); 7] = [
    ("booking", "bookings"),
    ("blocked_off_time", "bookings"),
    ("inquiry", "inquiries"),
    ("property", "properties"),
    ("quote", "quotes"),
    ("guest", "guests"),
    ("owner", "owners"),
];

/// The entity id of the account's own fields.
const THE_ACCOUNT: i64 = 1;

/// Adds a tag to a record; a new name creates a definition.
pub(super) fn tag(records: &mut Records, mut members: Map<String, Value>) -> Result<Record, Vec<String>> {
    let (entity_type, entity) = entity_of(records, None, &members)?;
    let name = text(&members, "name").trim().to_owned();
    let known = records.all("tag_definitions").find(|one| text(one, "name").eq_ignore_ascii_case(&name)).cloned();
    let definition = known.unwrap_or_else(|| define_tag(records, &name));
    let definition_id = id(&definition).unwrap_or_default();
    let same = |tag: &&Record| number(tag, "tag_definition_id") == Some(definition_id);
    if let Some(tag) = records.naming("tags", "entity_id", entity).find(same) {
        return Ok(tag.clone());
    }
    members.insert("id".into(), records.new_id().into());
    members.insert("name".into(), definition.get("name").cloned().unwrap_or_default());
    members.insert("entity_type".into(), entity_type.into());
    members.insert("tag_definition_id".into(), definition_id.into());
    Ok(members)
}

/// Creates and stores the definition of a new tag name.
pub(super) fn define_tag(records: &mut Records, name: &str) -> Record {
    let id = records.new_id();
    let definition = json!({"id": id, "name": name, "title": name, "active": true});
    let definition = definition.as_object().cloned().unwrap_or_default();
    records.put("tag_definitions", id, definition.clone());
    definition
}

/// Writes a definition; its name changes on every record with the tag.
pub(super) fn tag_definition(
    records: &mut Records,
    current: Option<&Record>,
    members: Map<String, Value>,
) -> Result<Record, Vec<String>> {
    let new_name = text(&members, "name").to_owned();
    let own = current.and_then(id);
    let taken = |one: &Record| id(one) != own && text(one, "name").eq_ignore_ascii_case(&new_name);
    if !new_name.is_empty() && records.all("tag_definitions").any(taken) {
        return Err(vec![format!("name: there is a tag '{new_name}' already.")]);
    }
    let mut definition = match current {
        Some(current) => current.clone(),
        None => blank(records),
    };
    definition.extend(members);
    if !new_name.is_empty() {
        for tag in records.all_mut("tags").filter(|tag| number(tag, "tag_definition_id") == own) {
            tag.insert("name".into(), new_name.clone().into());
        }
    }
    Ok(definition)
}

/// Sets a custom field of a record, or changes its value.
pub(super) fn field(
    records: &mut Records,
    account: i64,
    current: Option<&Record>,
    members: Map<String, Value>,
) -> Result<Record, Vec<String>> {
    if let Some(current) = current {
        let mut field = current.clone();
        field.extend(members.into_iter().filter(|(name, _)| name == "value"));
        return Ok(field);
    }
    let (entity_type, entity) = entity_of(records, Some(account), &members)?;
    let definition_id = number(&members, "field_definition_id").unwrap_or_default();
    let Some(definition) = records.get("field_definitions", definition_id) else {
        return Err(vec![format!("Expected entity FieldDefinition:Id:{definition_id} not found.")]);
    };
    let wanted = text(definition, "type");
    if definition_type(&entity_type) != wanted {
        return Err(vec![format!("field_definition_id: this field is for {wanted} records, not for {entity_type}.")]);
    }
    let code = definition.get("code").cloned().unwrap_or_default();
    let same = |field: &Record| number(field, "field_definition_id") == Some(definition_id);
    let known = records.naming("fields", "entity_id", entity).find(|field| same(field)).and_then(id);
    let mut field = members;
    field.insert("entity_id".into(), entity.into());
    let id = known.unwrap_or_else(|| records.new_id());
    field.insert("id".into(), id.into());
    field.insert("_code".into(), code);
    Ok(field)
}

/// Writes a definition; its code is copied to the field values.
pub(super) fn field_definition(
    records: &mut Records,
    current: Option<&Record>,
    members: Map<String, Value>,
) -> Result<Record, Vec<String>> {
    let mut definition = match current {
        Some(current) => current.clone(),
        None => blank(records),
    };
    definition.extend(members);
    let code = text(&definition, "code").to_owned();
    let full = full_code(text(&definition, "type"), &code);
    definition.insert("full_code".into(), full.into());
    let own = id(&definition);
    for field in records.all_mut("fields").filter(|field| number(field, "field_definition_id") == own) {
        field.insert("_code".into(), code.clone().into());
    }
    Ok(definition)
}

/// Returns the name of a field in templates: its kind and its code.
pub(super) fn full_code(definition_type: &str, code: &str) -> String {
    let prefix = definition_type.chars().next().unwrap_or_default().to_ascii_uppercase();
    format!("{prefix}{code}")
}

/// Returns the definition type for a kind of record; a quote uses the fields of the booking that it may become.
pub(super) fn definition_type(entity_type: &str) -> &str {
    match entity_type {
        "user" => "account",
        "guest" => "contact",
        "quote" => "booking",
        same => same,
    }
}

fn blank(records: &mut Records) -> Record {
    Map::from_iter([("id".to_owned(), records.new_id().into()), ("active".to_owned(), true.into())])
}

/// Returns the record that the label belongs to. Fields of the account itself, which is not a record, have the entity
/// id 1; the account's own id means the same.
fn entity_of(
    records: &Records,
    account: Option<i64>,
    members: &Map<String, Value>,
) -> Result<(String, i64), Vec<String>> {
    let entity_type = text(members, "entity_type").to_owned();
    let entity = number(members, "entity_id").unwrap_or_default();
    let collection = KINDS.iter().find(|(kind, _)| *kind == entity_type).map(|(_, collection)| *collection);
    let found = match collection {
        Some(collection) => records.get(collection, entity).map(|_| entity),
        None => account.filter(|account| [THE_ACCOUNT, *account].contains(&entity)).map(|_| THE_ACCOUNT),
    };
    match found {
        Some(entity) => Ok((entity_type, entity)),
        None => Err(vec![format!("Expected entity {entity_type}:Id:{entity} not found.")]),
    }
}
