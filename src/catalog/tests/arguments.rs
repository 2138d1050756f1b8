//! Arguments: the request that they become, and corrections.

use serde_json::{Value, json};

use super::*;
use crate::domain::{RawJson, UpstreamRequest};

pub(super) fn request(tool: &str, arguments: &Value) -> Result<UpstreamRequest, ArgumentError> {
    catalog().get(tool).unwrap().request(arguments.as_object().unwrap())
}

fn target(tool: &str, arguments: Value) -> String {
    request(tool, &arguments).unwrap_or_else(|error| panic!("{error}")).path_and_query
}

fn body(tool: &str, arguments: Value) -> Value {
    request(tool, &arguments).unwrap_or_else(|error| panic!("{error}")).body.unwrap()
}

#[test]
fn arguments_become_path_and_query() {
    for (tool, arguments, expected) in [
        ("get_current_user", json!({}), "/v2/users/me"),
        ("get_booking", json!({"id": 7, "include_guest": true}), "/v2/bookings/7?include_guest=true"),
        (
            "list_bookings",
            json!({"property_ids": [1, 2], "status": "active"}),
            "/v2/bookings?property_ids=1%2C2&status=active",
        ),
        (
            "list_bookings",
            json!({"limit": 5, "offset": 10, "property_ids": [1]}),
            "/v2/bookings?property_ids=1&limit=5&offset=10",
        ),
        (
            "search_properties",
            json!({"include_tag_ids": [3, 4]}),
            "/v2/propertysearch?include_tag_ids%5B0%5D=3&include_tag_ids%5B1%5D=4",
        ),
        ("search_properties", json!({"rate_max": 99.5}), "/v2/propertysearch?rate_max=99.5"),
        ("list_guests", json!({"q": "Zoë & Co #1"}), "/v2/guests?q=Zo%C3%AB+%26+Co+%231"),
        ("delete_guest_phone", json!({"id": 1, "phone_id": 2}), "/v2/guests/1/phones/2"),
        (
            "get_property_calendar",
            json!({"property_id": 9, "from": "2027-01-01", "to": "2028-01-02"}),
            "/v2/calendar/9?from=2027-01-01&to=2028-01-02",
        ),
    ] {
        assert_eq!(target(tool, arguments), expected);
    }
}

/// Checks that each tool sends the same request for the lenient arguments as for the exact ones.
fn assert_corrected(cases: &[(&str, Value, Value)]) {
    for (tool, lenient, exact) in cases {
        assert_eq!(request(tool, lenient).unwrap(), request(tool, exact).unwrap(), "{tool} {lenient}");
    }
}

#[test]
fn values_with_one_meaning_are_converted() {
    assert_corrected(&[
        ("get_booking", json!({"id": "12"}), json!({"id": 12})),
        ("get_booking", json!({"id": " 12 "}), json!({"id": 12})),
        ("get_booking", json!({"id": 12.0}), json!({"id": 12})),
        ("get_booking", json!({"id": 1, "include_guest": "True"}), json!({"id": 1, "include_guest": true})),
        ("list_bookings", json!({"property_ids": 5}), json!({"property_ids": [5]})),
        ("list_bookings", json!({"property_ids": "5"}), json!({"property_ids": [5]})),
        ("list_bookings", json!({"property_ids": "5, 6"}), json!({"property_ids": [5, 6]})),
        ("list_bookings", json!({"property_ids": "[5,6]"}), json!({"property_ids": [5, 6]})),
        ("list_bookings", json!({"property_ids": ["5", 6.0]}), json!({"property_ids": [5, 6]})),
        (
            "list_bookings",
            json!({"property_ids": [5], "status": "Active"}),
            json!({"property_ids": [5], "status": "active"}),
        ),
        (
            "list_bookings",
            json!({"property_ids": [5], "from": "2027-1-2"}),
            json!({"property_ids": [5], "from": "2027-01-02"}),
        ),
        (
            "list_bookings",
            json!({"property_ids": [5], "from": "2027-01-02T00:00:00"}),
            json!({"property_ids": [5], "from": "2027-01-02"}),
        ),
        (
            "list_bookings",
            json!({"since_utc": "2027-01-01T02:00:00+02:00"}),
            json!({"since_utc": "2027-01-01T00:00:00Z"}),
        ),
        ("list_bookings", json!({"since_utc": "2027-01-01t00:00:00z"}), json!({"since_utc": "2027-01-01T00:00:00Z"})),
        ("search_properties", json!({"rate_min": "80"}), json!({"rate_min": 80})),
        ("search_properties", json!({"rate_min": "80.5"}), json!({"rate_min": 80.5})),
        ("list_guests", json!({"q": 5551234}), json!({"q": "5551234"})),
    ]);
}

#[test]
fn arguments_are_accepted_under_other_names_and_in_other_places() {
    assert_corrected(&[
        ("update_booking", json!({"id": 1, "data": {"title": "x"}}), json!({"id": 1, "title": "x"})),
        ("update_booking", json!({"data": {"id": 1, "title": "x"}}), json!({"id": 1, "title": "x"})),
        (
            "update_booking",
            json!({"id": 1, "title": "x", "data": "{\"title\": \"x\"}"}),
            json!({"id": 1, "title": "x"}),
        ),
        ("list_messages", json!({"thread_id": "5"}), json!({"threadId": 5})),
        (
            "create_message",
            json!({"threadId": 5, "thread_id": null, "body": "x"}),
            json!({"thread_id": 5, "body": "x"}),
        ),
        (
            "create_guest",
            json!({"email": " a@b ", "phone": 5551234}),
            json!({
                "email_addresses": [{"address": "a@b"}], "phones": [{"number": "5551234"}],
            }),
        ),
        ("create_guest", json!({"phones": {"number": 5551234}}), json!({"phones": [{"number": "5551234"}]})),
        (
            "create_guest",
            json!({"phones": "[{\"number\": \"1\", \"type\": \"Home\", \"extension\": null}]"}),
            json!({"phones": [{"number": "1", "type": "home"}]}),
        ),
        // Listed under names that are not Python keywords, and accepted under OwnerRez's own.
        (
            "get_property_calendar",
            json!({"property_id": 9, "from": "2027-01-01", "to": "2027-01-02"}),
            json!({"property_id": 9, "from_date": "2027-01-01", "to_date": "2027-01-02"}),
        ),
        (
            "list_bookings",
            json!({"property_ids": [5], "from": "2027-01-02", "from_date": "2027-01-02", "to": null, "to_date": ""}),
            json!({"property_ids": [5], "from_date": "2027-01-02"}),
        ),
    ]);
}

/// Clients in OpenAI's strict mode and CrewAI send them for arguments that the model did not give.
#[test]
fn empty_values_count_as_not_given() {
    assert_corrected(&[
        ("get_booking", json!({"id": 1, "include_guest": null}), json!({"id": 1})),
        ("list_bookings", json!({"property_ids": [5], "since_utc": null}), json!({"property_ids": [5]})),
        ("create_guest", json!({"first_name": "A", "last_name": null}), json!({"first_name": "A"})),
        (
            "list_bookings",
            json!({"property_ids": [1], "status": "", "from": "", "since_utc": " ", "limit": "", "fields": [],
                "include_guest": "", "unheard_of": null}),
            json!({"property_ids": [1]}),
        ),
        (
            "update_booking",
            json!({"id": 1, "notes": "", "title": " ", "check_in": "", "adults": "2", "clear": [], "data": ""}),
            json!({"id": 1, "adults": 2}),
        ),
        (
            "update_guest",
            json!({"id": 1, "first_name": "Ada", "last_name": "", "notes": "", "phones": [{"number": "1", "extension": ""}]}),
            json!({"id": 1, "first_name": "Ada", "phones": [{"number": "1"}]}),
        ),
        (
            "update_spot_rates",
            json!({"rates": [
                {"property_id": 7, "date": "2027-01-01", "amount": 90, "currency": null, "min_nights": null,
                    "max_nights": null, "is_arrival_disallowed": null, "is_departure_disallowed": "",
                    "overrides_gap_arrival": null, "clear": null},
                null,
            ]}),
            json!({"rates": [{"property_id": 7, "date": "2027-01-01", "amount": 90}]}),
        ),
        (
            "update_discount",
            json!({"id": 3, "name": null, "data": {"days_ahead": 60, "note": null, "rule": {"a": null, "b": [1, null]}}}),
            json!({"id": 3, "data": {"days_ahead": 60, "rule": {"b": [1, null]}}}),
        ),
    ]);
}

#[test]
fn bodies_hold_what_is_given_and_nothing_else() {
    let block = json!({"property_id": 1, "is_block": true, "arrival": "2027-01-01", "departure": "2027-01-02"});
    assert_eq!(body("create_booking", block.clone()), block);
    assert_eq!(
        body("update_booking", json!({"id": 1, "notes": "", "clear": ["cleaning_date", "notes"]})),
        json!({"cleaning_date": null, "notes": ""})
    );
    assert_eq!(body("update_guest", json!({"id": 1, "clear": ["last_name"]})), json!({"last_name": ""}));
    assert_eq!(body("update_field", json!({"id": 1, "value": ""})), json!({"value": ""}), "what is required is meant");
    let entry = json!({"phones": [{"number": "1", "unheard_of": [1]}]});
    assert_eq!(body("create_guest", entry.clone()), entry, "members of entries that we do not know pass");
}

#[test]
fn text_in_a_path_stays_one_segment() {
    let table = json!([{
        "tool": "get_note", "group": "notes", "method": "GET", "path": "/v2/notes/{name}/text",
        "toolset": "content", "default": false,
        "title": "Read a note", "description": "Reads the text of one note.",
        "read_only": true, "destructive": false, "idempotent": true, "answer": "record",
        "parameters": [{"name": "name", "in": "path", "type": "string", "required": true}],
    }]);
    let catalog = Catalog::parse(&table.to_string(), "[]").unwrap();
    let note = |name: &str| catalog.get("get_note").unwrap().request(json!({"name": name}).as_object().unwrap());
    assert_eq!(note("a/../b? c#%2e").unwrap().path_and_query, "/v2/notes/a%2F..%2Fb%3F%20c%23%252e/text");
    for wrong in ["", ".", ".."] {
        assert!(note(wrong).is_err(), "{wrong:?}");
    }
    let operation = catalog.get("get_note").unwrap();
    assert_eq!(
        operation.normalize(&note("a/b c&=+").unwrap(), 204, &RawJson::default()),
        Ok(json!({"done": true, "name": "a/b c&=+"}))
    );
}

#[test]
fn a_body_may_be_one_argument() {
    let rates = |rates: Value| request("update_spot_rates", &json!({"rates": rates}));
    let sent = rates(json!([{"property_id": "7", "date": "2027-1-1", "amount": 80, "clear": ["min_nights"]}])).unwrap();
    assert_eq!(sent.path_and_query, "/v2/spotrates");
    let entry = json!({"property_id": 7, "date": "2027-01-01", "amount": 80, "min_nights": null});
    assert_eq!(sent.body, Some(json!([entry])));
    let wrong = |entries: Value| rates(entries).unwrap_err().problems.remove(0);
    assert_eq!(wrong(json!([{"property_id": 7, "amount": 1}])).argument, "rates[0].date");
    assert_eq!(wrong(json!([{"property_id": 7, "date": "2027-01-01", "min_night": 2}])).argument, "rates[0].min_night");
    assert!(wrong(json!([])).message.contains("length of 1 to 500"));
    let twice = json!([{"property_id": 7, "date": "2027-01-01", "amount": 1, "clear": ["amount"]}]);
    assert_eq!(wrong(twice).argument, "rates[0].amount");
    let idle = wrong(json!([{"property_id": 7, "date": "2027-01-01", "currency": "USD", "clear": []}]));
    assert!(idle.message.contains("something to set"), "{idle:?}");
}

#[test]
fn an_open_body_takes_members_that_nobody_described() {
    let arguments = json!({"id": 3, "name": "Early bird", "data": {"amount": "10", "days_ahead": 60, "note": null}});
    assert_eq!(body("update_discount", arguments), json!({"name": "Early bird", "amount": 10, "days_ahead": 60}));
    assert_eq!(target("update_discount", json!({"data": {"id": 3, "days_ahead": 60}})), "/v2/discounts/3");
    let wrong = request("create_discount", &json!({"data": {"amount": "ten"}})).unwrap_err();
    assert_eq!(wrong.problems[0].argument, "amount");
    let twice = request("create_surcharge", &json!({"amount": 1, "data": {"amount": 2}})).unwrap_err();
    assert!(twice.to_string().contains("give it once"), "{twice}");
    assert!(request("create_surcharge", &json!({"data": {}})).unwrap_err().to_string().contains("nothing to create"));
}

/// One call of each tool of the TypeScript server, in that server's format, and the request that it becomes.
#[test]
fn the_predecessors_calls_are_understood() {
    let block = json!({"property_id": 1, "arrival": "2027-01-01", "departure": "2027-01-04"});
    let with = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    for (tool, arguments, expected, body) in [
        ("list_bookings", json!({"property_ids": "1,2"}), "/v2/bookings?property_ids=1%2C2", json!(null)),
        ("get_booking", json!({"id": 1, "include_guest": true}), "/v2/bookings/1?include_guest=true", json!(null)),
        (
            "create_booking",
            with(&block, json!({"guest_id": 2, "data": {"adults": 2}})),
            "/v2/bookings",
            with(&block, json!({"guest_id": 2, "adults": 2})),
        ),
        ("update_booking", json!({"id": 1, "data": {"notes": "x"}}), "/v2/bookings/1", json!({"notes": "x"})),
        ("list_properties", json!({"active": true}), "/v2/properties?active=true", json!(null)),
        ("get_property", json!({"id": 1}), "/v2/properties/1", json!(null)),
        ("search_properties", json!({"property_ids": "1,2"}), "/v2/propertysearch?property_ids=1%2C2", json!(null)),
        ("list_guests", json!({"q": "ann"}), "/v2/guests?q=ann", json!(null)),
        ("get_guest", json!({"id": 1}), "/v2/guests/1", json!(null)),
        (
            "create_guest",
            json!({"first_name": "A", "last_name": "B", "email": "a@b", "phone": "1", "data": {"notes": "x"}}),
            "/v2/guests",
            json!({"first_name": "A", "last_name": "B", "notes": "x",
                "email_addresses": [{"address": "a@b"}], "phones": [{"number": "1"}]}),
        ),
        ("update_guest", json!({"id": 1, "data": {"notes": "x"}}), "/v2/guests/1", json!({"notes": "x"})),
        ("delete_guest", json!({"id": 1}), "/v2/guests/1", json!(null)),
        ("list_quotes", json!({"property_ids": "1"}), "/v2/quotes?property_ids=1", json!(null)),
        ("get_quote", json!({"id": 1}), "/v2/quotes/1", json!(null)),
        ("list_inquiries", json!({"include_guest": true}), "/v2/inquiries?include_guest=true", json!(null)),
        ("get_inquiry", json!({"id": 1}), "/v2/inquiries/1", json!(null)),
        ("list_owners", json!({}), "/v2/owners", json!(null)),
        ("get_owner", json!({"id": 1}), "/v2/owners/1", json!(null)),
        ("get_current_user", json!({}), "/v2/users/me", json!(null)),
        ("list_webhook_subscriptions", json!({}), "/v2/webhooksubscriptions", json!(null)),
        ("get_webhook_subscription", json!({"id": 1}), "/v2/webhooksubscriptions/1", json!(null)),
        (
            "create_webhook_subscription",
            json!({"category": "charge", "url": "https://h/", "data": {"type": "booking", "action": "entity_update"}}),
            "/v2/webhooksubscriptions",
            json!({"category": "charge", "webhook_url": "https://h/", "type": "booking", "action": "entity_update"}),
        ),
        ("delete_webhook_subscription", json!({"id": 1}), "/v2/webhooksubscriptions/1", json!(null)),
        ("get_webhook_categories", json!({}), "/v2/webhooksubscriptions/categories", json!(null)),
        ("list_reviews", json!({"property_id": 1}), "/v2/reviews?property_id=1", json!(null)),
        ("get_review", json!({"id": 1}), "/v2/reviews/1", json!(null)),
        ("list_listings", json!({"includeDescriptions": true}), "/v2/listings?includeDescriptions=text", json!(null)),
        ("list_listings", json!({"includeDescriptions": false}), "/v2/listings", json!(null)),
        ("list_listings", json!({"includeDescriptions": "html"}), "/v2/listings?includeDescriptions=html", json!(null)),
        (
            "get_listing",
            json!({"id": 1, "descriptionFormat": "text"}),
            "/v2/listings/1?descriptionFormat=text",
            json!(null),
        ),
        ("list_tag_definitions", json!({"active": true}), "/v2/tagdefinitions?active=true", json!(null)),
        ("get_tag_definition", json!({"id": 1}), "/v2/tagdefinitions/1", json!(null)),
        (
            "create_tag_definition",
            json!({"name": "vip", "data": {"color": "red"}}),
            "/v2/tagdefinitions",
            json!({"name": "vip", "color": "red"}),
        ),
        ("list_field_definitions", json!({"type": "booking"}), "/v2/fielddefinitions?type=booking", json!(null)),
    ] {
        let sent = request(tool, &arguments).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(sent.path_and_query, expected, "{tool} {arguments}");
        assert_eq!(sent.body.unwrap_or_default(), body, "{tool} {arguments}");
    }
}
