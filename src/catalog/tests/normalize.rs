//! Conversion of OwnerRez's responses to one shape.

use serde_json::{Value, json};

use super::*;
use crate::domain::{Method, RawJson, UpstreamRequest};

fn answer(tool: &str, arguments: Value, status: u16, body: Value) -> Value {
    let catalog = catalog();
    let operation = catalog.get(tool).unwrap();
    let request = operation.request(arguments.as_object().unwrap()).unwrap();
    operation.normalize(&request, status, &body.into()).unwrap()
}

fn page(arguments: Value, body: Value) -> Value {
    answer("list_properties", arguments, 200, body)
}

#[test]
fn a_page_names_the_next_offset_while_there_is_more() {
    let next = "https://api.ownerrez.com/v2/properties?offset=42";
    let body = json!({"items": [{"id": 1}, {"id": 2}], "limit": 2, "offset": 40, "count": 50, "next_page_url": next});
    assert_eq!(
        page(json!({}), body),
        json!({"items": [{"id": 1}, {"id": 2}], "limit": 2, "offset": 40, "count": 50, "next_offset": 42})
    );
}

#[test]
fn the_last_page_names_none() {
    for end in [json!(null), json!("")] {
        let last = page(json!({}), json!({"items": [1], "limit": 20, "offset": 0, "next_page_url": end}));
        assert_eq!(last, json!({"items": [1], "limit": 20, "offset": 0}));
    }
    let counted =
        page(json!({}), json!({"items": [1], "limit": 1, "offset": 1, "count": 2, "next_page_url": "https://x/"}));
    assert_eq!(counted["next_offset"], Value::Null);
}

#[test]
fn an_empty_page_has_items_and_no_next() {
    assert_eq!(page(json!({}), json!({"limit": 20, "offset": 0})), json!({"items": [], "limit": 20, "offset": 0}));
    assert_eq!(page(json!({}), json!(null)), json!({"items": [], "limit": 20, "offset": 0}));
    let odd = page(json!({}), json!({"items": null, "next_page_url": "https://x/"}));
    assert_eq!(odd, json!({"items": [], "limit": 20, "offset": 0}));
}

#[test]
fn what_the_page_does_not_say_the_request_does() {
    let body = json!({"items": [1, 2], "next_page_url": "https://x/"});
    let answer = page(json!({"limit": 2, "offset": 6}), body);
    assert_eq!(answer, json!({"items": [1, 2], "limit": 2, "offset": 6, "next_offset": 8}));
}

#[test]
fn other_members_of_a_page_stay() {
    let body = json!({"items": [], "limit": 20, "offset": 0, "thread": {"id": 7}});
    assert_eq!(page(json!({}), body.clone()), body);
    assert_eq!(page(json!({}), json!([1])), json!({"items": [1]}), "whether there is more, nobody said");
}

#[test]
fn a_list_without_an_envelope_becomes_items() {
    let rates = json!({"rates": [{"property_id": 1, "date": "2027-01-01", "amount": 90}]});
    for (body, items) in [(json!([{"amount": 90}]), json!([{"amount": 90}])), (json!(null), json!([]))] {
        assert_eq!(answer("update_spot_rates", rates.clone(), 200, body), json!({"items": items}));
    }
    assert_eq!(answer("update_spot_rates", rates, 204, json!("")), json!({"done": true}));
}

#[test]
fn a_record_stays_as_it_is() {
    let record = json!({"id": 7, "name": "Cabin"});
    assert_eq!(answer("get_property", json!({"id": 7}), 200, record.clone()), record);
    assert_eq!(answer("get_property", json!({"id": 7}), 200, json!([1])), json!({"value": [1]}));
    assert_eq!(
        answer("update_booking", json!({"id": 7, "notes": "x"}), 204, json!(null)),
        json!({"done": true, "id": 7})
    );
}

#[test]
fn a_deletion_says_what_is_gone() {
    let arguments = json!({"id": 7, "phone_id": 8});
    let gone = json!({"done": true, "id": 7, "phone_id": 8});
    for (status, body) in
        [(204, json!(null)), (200, json!({"id": 8, "success": true})), (200, json!({})), (200, json!(""))]
    {
        assert_eq!(answer("delete_guest_phone", arguments.clone(), status, body), gone);
    }
    assert_eq!(
        answer("delete_guest", json!({"id": 7}), 200, json!({"success": false})),
        json!({"done": false, "id": 7})
    );
}

#[test]
fn whatever_comes_the_answer_is_an_object() {
    let catalog = catalog();
    let odd =
        [json!(null), json!(true), json!(1), json!("x"), json!([]), json!([[]]), json!({"items": 3, "offset": -1})];
    for operation in catalog.operations() {
        for body in &odd {
            let request = UpstreamRequest {
                operation: operation.name().into(),
                method: Method::Get,
                path_and_query: "/v2/x/1?limit=99999999999999999999&offset=x".into(),
                body: None,
                max_age: None,
            };
            let answer = operation.normalize(&request, 200, &body.clone().into()).unwrap();
            assert!(answer.is_object(), "{}: {body}", operation.name());
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_and_never_taken_for_nothing() {
    let catalog = catalog();
    let deep = format!(r#"{{"items": [{}{}]}}"#, "[".repeat(200), "]".repeat(200));
    for text in [deep.as_str(), r#"{"items": [{"amount": 1e999}]}"#] {
        let body = RawJson::new(text.to_owned().into()).expect("it is JSON");
        for tool in ["list_properties", "get_property", "update_spot_rates"] {
            let operation = catalog.get(tool).unwrap();
            let request = UpstreamRequest {
                operation: tool.into(),
                method: Method::Get,
                path_and_query: "/v2/x/1".into(),
                body: None,
                max_age: None,
            };
            let unreadable = UnreadableResponse { status: 200 };
            assert_eq!(operation.normalize(&request, 200, &body), Err(unreadable), "{tool}");
            assert_eq!(operation.render(&View::default(), &request, 200, &body), Err(unreadable), "{tool}");
        }
    }
}
