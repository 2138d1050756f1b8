//! The simulator's responses match `api.json`.

use serde_json::{Map, Value};

use super::{Fixture, ids};
use crate::simulator::{
    Variations,
    description::{Description, RecordShape, ResponseShape},
    value_kind::{Plain, ValueKind},
};

/// Returns the parts of a response that do not match the description.
fn mismatches(description: &Description, kind: &ValueKind, value: &Value, at: &str) -> Vec<String> {
    match (kind, value) {
        (ValueKind::Record(name), Value::Object(members)) => {
            of_record(description, &description.records[name], members, at)
        }
        (ValueKind::List(kind), Value::Array(elements)) => {
            elements.iter().flat_map(|element| mismatches(description, kind, element, at)).collect()
        }
        (ValueKind::Word(words), Value::String(text)) if words.names.contains(text) => Vec::new(),
        (ValueKind::Plain(plain), value) if plain.holds(value) => Vec::new(),
        (kind, value) => vec![format!("{at}: {value} where {} is described", kind.expected())],
    }
}

fn of_record(description: &Description, shape: &RecordShape, members: &Map<String, Value>, at: &str) -> Vec<String> {
    let missing = shape.members.iter().filter(|(name, member)| member.always && !members.contains_key(*name));
    let mut found: Vec<String> = missing.map(|(name, _)| format!("{at}.{name} is missing")).collect();
    for (name, value) in members {
        let at = format!("{at}.{name}");
        match shape.members.get(name) {
            Some(member) => found.extend(mismatches(description, &member.kind, value, &at)),
            None if shape.open => {}
            None => found.push(format!("{at} is not described")),
        }
    }
    found
}

fn of_page(description: &Description, kind: &str, page: &Value, counted: bool) -> Vec<String> {
    let record = ValueKind::Record(kind.to_owned());
    let items = page["items"].as_array().into_iter().flatten();
    let mut found: Vec<String> = items.flat_map(|item| mismatches(description, &record, item, kind)).collect();
    for name in ["limit", "offset"] {
        if !page[name].is_u64() {
            found.push(format!("{name} is missing"));
        }
    }
    if page.get("count").is_some() != counted {
        found.push("count".to_owned());
    }
    found
}

/// Returns a query with every flag, so that every member is returned.
fn query_of(ids_by_name: &[(&str, String)], description: &Description, key: &str) -> String {
    let parameters = description.operations[key].in_query.iter();
    let flags = parameters.filter(|(name, member)| {
        name.starts_with("include") && matches!(member.kind, ValueKind::Plain(Plain::Boolean))
    });
    let flags: Vec<String> = flags.map(|(name, _)| format!("{name}=true")).collect();
    let given: Vec<String> = ids_by_name.iter().map(|(name, value)| format!("{name}={value}")).collect();
    [flags, given].concat().join("&")
}

#[actix_web::test]
async fn every_read_answers_what_is_described() {
    for variations in [None, Some(Variations::none()), Some(Variations::all_but_refusals())] {
        answers_are_as_described(&Fixture::start_with(variations).await).await;
    }
}

async fn answers_are_as_described(fixture: &Fixture) {
    let description = Description::load().expect("the description");
    for account in fixture.controls().accounts() {
        let authorization = fixture.bearer(account.id);
        let get = async |target: String| {
            fixture.controls().forget_allowance();
            let answer = fixture.send("GET", &target, &authorization, None).await;
            (answer.status, answer.body)
        };
        let property = ids(&get("/v2/properties".to_owned()).await.1)[0];
        let inquiry = get("/v2/inquiries?limit=1".to_owned()).await.1["items"][0].clone();
        for (key, described) in &description.operations {
            if described.method != "GET" || described.path.contains('{') {
                continue;
            }
            let query = match key.as_str() {
                "GET /v2/bookings" => vec![("since_utc", "2020-01-01".to_owned())],
                "GET /v2/guests" => vec![("created_since_utc", "2020-01-01".to_owned())],
                "GET /v2/messages" => vec![("threadId", inquiry["thread_ids"][0].to_string())],
                "GET /v2/fields" | "GET /v2/tags" => {
                    vec![("entity_type", "property".to_owned()), ("entity_id", property.to_string())]
                }
                "GET /v2/spotrates" => vec![
                    ("property_ids", property.to_string()),
                    ("from", "2026-01-01".to_owned()),
                    ("to", "2028-01-01".to_owned()),
                ],
                _ => Vec::new(),
            };
            let target = format!("{}?limit=100&{}", described.path, query_of(&query, &description, key));
            // The only list that rejects unknown names describes `limit` too.
            let (status, body) = get(target).await;
            if status == 402 {
                continue;
            }
            assert_eq!(status, 200, "{key}: {body}");
            let found = match &described.answer {
                ResponseShape::Page(kind) | ResponseShape::ThreadPage(kind) => {
                    of_page(&description, kind, &body, false)
                }
                ResponseShape::CountedPage(kind) => of_page(&description, kind, &body, true),
                ResponseShape::Record(kind) => mismatches(&description, &ValueKind::Record(kind.clone()), &body, kind),
                ResponseShape::Nothing | ResponseShape::Object | ResponseShape::List(_) => Vec::new(),
            };
            assert!(found.is_empty(), "{} {key}: {found:#?}", account.name);

            // One record of each list, by its id.
            let one = format!("GET {}/{{id}}", described.path);
            if let (Some(first), Some(single)) = (ids(&body).first(), description.operations.get(&one)) {
                let target = format!("{}/{first}?{}", described.path, query_of(&[], &description, &one));
                let (status, body) = get(target).await;
                assert_eq!(status, 200, "{one}: {body}");
                let kind = ValueKind::Record(single.answer.record().expect("a record").to_owned());
                let found = mismatches(&description, &kind, &body, &one);
                assert!(found.is_empty(), "{} {found:#?}", account.name);
            }
        }
        let target = format!("/v2/calendar/{property}?from=2026-06-01&to=2027-06-01");
        let found = mismatches(&description, &ValueKind::Record("calendar".to_owned()), &get(target).await.1, "");
        assert!(found.is_empty(), "{} {found:#?}", account.name);
    }
}

#[test]
fn a_member_too_many_too_few_or_of_another_type_is_seen() {
    let description = Description::load().expect("the description");
    let kind = ValueKind::Record("booking".to_owned());
    let good = serde_json::json!({
        "id": 1, "property_id": 2, "type": "block", "status": "active", "arrival": "2026-11-23", "departure": "2026-11-24",
    });
    assert_eq!(mismatches(&description, &kind, &good, ""), [""; 0]);
    for (name, value) in [
        ("arrival", Value::Null),
        ("arrival", "2026-11-23T00:00:00Z".into()),
        ("status", "Active".into()),
        ("unheard_of", 1.into()),
        ("charges", serde_json::json!([{"type": "rent"}])),
    ] {
        let mut bad = good.clone();
        bad[name] = value.clone();
        assert_eq!(mismatches(&description, &kind, &bad, "").len(), 1, "{name}: {value}");
    }
}
