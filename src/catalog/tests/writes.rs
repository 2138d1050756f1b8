//! Properties of writes: the required consent, the changed records, and the read that shows the outcome.

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::UpstreamRequest;

fn request(operation: &Operation, arguments: Value) -> UpstreamRequest {
    operation.request(arguments.as_object().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns arguments for every write of the table.
fn examples() -> Map<String, Value> {
    let stay = json!({"property_id": 5, "arrival": "2027-01-01", "departure": "2027-01-02"});
    let with = |more: Value| {
        let mut arguments = stay.clone();
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let tag = json!({"name": "vip", "entity_id": 7, "entity_type": "guest"});
    let field = json!({"field_definition_id": 3, "entity_id": 7, "entity_type": "booking"});
    let rule = json!({"property_id": 5, "name": "Midweek", "amount": 5});
    let rates = json!([
        {"property_id": 5, "date": "2027-01-02", "amount": 90}, {"property_id": 5, "date": "2027-01-01", "amount": 80},
        {"property_id": 6, "date": "2027-01-03", "amount": 70},
    ]);
    let mut examples = json!({
        "create_booking": with(json!({"is_block": true})),
        "update_booking": {"id": 9, "notes": "x"},
        "create_quote": with(json!({"guest_id": 7})),
        "update_quote": {"id": 9, "notes": "x"},
        "delete_quote": {"id": 9},
        "create_guest": {"first_name": "Ada", "last_name": "Story", "phones": [{"number": "1"}]},
        "update_guest": {"id": 7, "notes": "x"},
        "delete_guest": {"id": 7},
        "delete_guest_address": {"id": 7, "address_id": 1},
        "delete_guest_email_address": {"id": 7, "email_address_id": 1},
        "delete_guest_phone": {"id": 7, "phone_id": 1},
        "create_message": {"thread_id": 8, "body": "Hello"},
        "update_spot_rates": {"rates": rates},
        "create_discount": rule, "update_discount": {"id": 4, "amount": 6}, "delete_discount": {"id": 4},
        "create_surcharge": rule, "update_surcharge": {"id": 4, "amount": 6}, "delete_surcharge": {"id": 4},
        "create_tag": tag, "delete_tag_by_name": tag, "delete_tag": {"id": 4},
        "create_tag_definition": {"name": "vip"}, "update_tag_definition": {"id": 4, "name": "x"},
        "delete_tag_definition": {"id": 4},
        "delete_field_by_definition": field, "update_field": {"id": 4, "value": "x"}, "delete_field": {"id": 4},
        "create_field_definition": {"name": "Code", "code": "CODE", "type": "booking"},
        "update_field_definition": {"id": 4, "name": "x"}, "delete_field_definition": {"id": 4},
        "create_webhook_subscription":
            {"type": "booking", "action": "entity_create", "webhook_url": "https://hooks.example/"},
        "delete_webhook_subscription": {"id": 4},
    });
    examples["create_field"] = field;
    examples["create_field"]["value"] = json!("x");
    examples.as_object().unwrap().clone()
}

#[test]
fn every_write_has_a_read_that_settles_it_with_arguments_that_are_right() {
    let catalog = catalog();
    let examples = examples();
    let writes: Vec<&Operation> = catalog.operations().filter(|operation| !operation.is_read_only()).collect();
    assert_eq!(writes.len(), examples.len());
    for write in writes {
        let sent = request(write, examples[write.name()].clone());
        let read =
            catalog.verification_read(write, &sent, DateTime::UNIX_EPOCH).unwrap_or_else(|| panic!("{}", write.name()));
        let reading = catalog.get(&read.tool).unwrap();
        assert!(reading.is_read_only());
        reading.request(&read.arguments).unwrap_or_else(|error| panic!("{}: {error}", write.name()));
    }
}

#[test]
fn a_settling_read_is_of_the_record_or_of_the_list_it_would_stand_in() {
    let catalog = catalog();
    for (write, tool, arguments) in [
        ("update_booking", "get_booking", json!({"id": 9})),
        ("delete_guest_phone", "get_guest", json!({"id": 7})),
        ("create_guest", "list_guests", json!({"created_since_utc": "1969-12-31T23:59:00Z"})),
        ("create_message", "list_messages", json!({"threadId": 8, "since_utc": "1969-12-31T23:59:00Z"})),
        ("create_booking", "list_bookings", json!({"property_ids": [5], "since_utc": "1969-12-31T23:59:00Z"})),
        ("delete_tag_by_name", "list_tags", json!({"entity_id": 7, "entity_type": "guest"})),
        (
            "update_spot_rates",
            "list_spot_rates",
            json!({"property_ids": [5, 6], "from_date": "2027-01-01", "to_date": "2027-01-03"}),
        ),
    ] {
        let operation = catalog.get(write).unwrap();
        let read =
            catalog.verification_read(operation, &request(operation, examples()[write].clone()), DateTime::UNIX_EPOCH);
        let read = read.unwrap();
        assert_eq!((read.tool.as_str(), Value::Object(read.arguments)), (tool, arguments), "{write}");
    }
}

#[test]
fn the_records_that_a_write_changes_are_named_alike_by_all() {
    let catalog = catalog();
    for (write, touched) in [
        ("update_guest", vec!["guests/7"]),
        ("delete_guest_phone", vec!["guests/7"]),
        ("create_tag", vec!["guests/7"]),
        ("delete_tag_by_name", vec!["guests/7"]),
        ("create_field", vec!["bookings/7"]),
        ("delete_field", vec!["fields/4"]),
        ("update_spot_rates", vec!["spotrates/5", "spotrates/6"]),
        ("create_guest", vec![]),
        ("create_message", vec![]),
    ] {
        let operation = catalog.get(write).unwrap();
        assert_eq!(operation.affected_records(&request(operation, examples()[write].clone())), touched, "{write}");
    }
    assert_eq!(catalog.get("create_field").unwrap().created(4).as_deref(), Some("fields/4"));
    assert_eq!(catalog.get("update_guest").unwrap().created(4), None);
}

#[test]
fn what_is_gone_for_good_or_reaches_a_guest_needs_consent() {
    let catalog = catalog();
    for (write, arguments) in examples() {
        let operation = catalog.get(&write).unwrap();
        let asks = write.starts_with("delete_") || write == "create_message";
        assert_eq!(operation.needs_consent(&request(operation, arguments)), asks, "{write}");
        let listed = operation.tool().schema_as_json_value();
        let two_steps = !listed["properties"]["confirm"].is_null() || !listed["properties"]["draft_id"].is_null();
        assert_eq!(two_steps, asks || write.ends_with("_quote"), "{write}");
    }
    let quote = |more: Value| {
        let operation = catalog.get("create_quote").unwrap();
        let mut arguments = examples()["create_quote"].clone();
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let request = request(operation, arguments);
        (operation.needs_consent(&request), operation.changes(&request))
    };
    assert_eq!(quote(json!({})), (false, true));
    assert_eq!(quote(json!({"generate_email": true})), (true, true));
    assert_eq!(quote(json!({"test": true})), (false, false));
    assert_eq!(quote(json!({"test": true, "generate_email": true})), (true, true));
}

#[test]
fn a_draft_takes_what_is_sent_and_the_sending_tool_lists_its_id() {
    let catalog = catalog();
    let sending = catalog.drafted_by("draft_message").unwrap();
    assert_eq!(sending.name(), "create_message");
    let draft = serde_json::to_value(sending.draft().unwrap()).unwrap();
    assert!(
        draft["inputSchema"]["properties"]["body"].is_object() && draft["annotations"]["readOnlyHint"] == json!(true)
    );
    assert!(draft.to_string().len() / 4 <= 300, "{} characters", draft.to_string().len());
    let listed = sending.tool().schema_as_json_value();
    assert_eq!(listed["required"], json!(["draft_id"]));
    assert_eq!(listed["additionalProperties"], json!(false));
}

/// The first of two steps shows the exact arguments of the second one.
#[test]
fn what_a_write_says_makes_the_same_write() {
    let catalog = catalog();
    let mut cases: Vec<(String, Value)> = examples().into_iter().collect();
    cases.extend([
        ("update_booking".to_owned(), json!({"id": 9, "notes": "x", "clear": ["cleaning_date"]})),
        (
            "update_spot_rates".to_owned(),
            json!({"rates": [{"property_id": 5, "date": "2027-01-02", "amount": 9, "clear": ["min_nights"]}]}),
        ),
        ("update_discount".to_owned(), json!({"id": 4, "name": "x", "data": {"days_ahead": 60}})),
        ("delete_tag_by_name".to_owned(), json!({"name": "007", "entity_id": 7, "entity_type": "guest"})),
    ]);
    for (write, arguments) in cases {
        let operation = catalog.get(&write).unwrap();
        let sent = request(operation, arguments);
        let arguments = operation.arguments_of(&sent);
        assert_eq!(operation.request(&arguments).unwrap(), sent, "{write}: {arguments:?}");
    }
}

#[test]
fn empty_options_say_nothing() {
    let given = json!({"id": 7, "again": "", "idempotency_key": null, "confirm": ""});
    let mut arguments = given.as_object().unwrap().clone();
    let options = catalog().get("delete_guest").unwrap().options(&mut arguments).unwrap();
    assert_eq!((options, Value::Object(arguments)), (WriteOptions::default(), json!({"id": 7})));
}

#[test]
fn options_are_taken_out_of_the_arguments_of_writes_only() {
    let catalog = catalog();
    let given = json!({"id": 7, "again": "true", "idempotency_key": "k", "confirm": "c", "draft_id": null});
    let mut arguments = given.as_object().unwrap().clone();
    let options = catalog.get("delete_guest").unwrap().options(&mut arguments).unwrap();
    assert!(
        options.again && options.idempotency_key.as_deref() == Some("k") && options.confirm.as_deref() == Some("c")
    );
    // Only operations with a draft have the option `draft_id`; null has no effect for others either.
    assert_eq!(Value::Object(arguments), json!({"id": 7, "draft_id": null}));

    let mut arguments = given.as_object().unwrap().clone();
    assert_eq!(catalog.get("get_guest").unwrap().options(&mut arguments).unwrap(), WriteOptions::default());
    assert_eq!(Value::Object(arguments), given);

    for (wrong, name) in [
        (json!({"again": 7}), "again"),
        (json!({"idempotency_key": ""}), "idempotency_key"),
        (json!({"idempotency_key": "x".repeat(201)}), "idempotency_key"),
        (json!({"confirm": true}), "confirm"),
    ] {
        let error = catalog.get("delete_guest").unwrap().options(&mut wrong.as_object().unwrap().clone()).unwrap_err();
        assert_eq!(error.problems[0].argument, name);
        assert!(error.to_string().ends_with("Nothing was sent to OwnerRez."), "{error}");
    }
}
