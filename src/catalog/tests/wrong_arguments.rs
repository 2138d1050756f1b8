//! Wrong arguments: each error names the argument and the rule.

use serde_json::{Value, json};

use super::arguments::request;

/// The arguments for updating a booking, and for a discount and a guest.
const UPDATES: &str = "property_id|guest_id|is_block|arrival|departure|check_in|check_in_end|check_out|cleaning_date|title|notes|adults|children";
const DISCOUNT: &str = "property_id|name|amount|is_percent|min_nights";
const GUEST: &str = "first_name|last_name|notes|is_banned|opt_out_marketing_email|opt_out_marketing_sms|opt_out_transactional_sms|addresses|email_addresses|phones";

/// Checks that the error of each call has a problem of this argument whose message contains the words.
fn assert_wrong(cases: &[(&str, Value, &str, &str)]) {
    for (tool, arguments, argument, words) in cases {
        let error = request(tool, arguments).expect_err(&format!("{tool} {arguments} is wrong"));
        let found = error.problems.iter().find(|problem| problem.argument == *argument);
        let message =
            found.unwrap_or_else(|| panic!("{tool} {arguments} names no `{argument}`: {error}")).message.clone();
        assert!(message.contains(words), "{tool} {arguments}\nwants {words}\nhas   {message}");
        assert!(error.to_string().len() < 1_500, "{error}");
    }
}

/// Returns the arguments of a stay with some changes.
fn stay(changes: Value) -> Value {
    let mut stay = json!({"property_id": 1, "arrival": "2027-01-01", "departure": "2027-01-03"});
    stay.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    stay
}

#[test]
fn a_wrong_id_flag_or_page_is_named() {
    let long = "x".repeat(5000);
    assert_wrong(&[
        ("get_booking", json!({}), "id", "missing: give a whole number of at least 1"),
        ("get_booking", json!({"id": null}), "id", "missing"),
        ("get_booking", json!({"id": 0}), "id", "is 0: give a whole number of at least 1"),
        ("get_booking", json!({"id": "ORB1"}), "id", "\"ORB1\": give a whole number"),
        ("get_booking", json!({"id": "../users/me"}), "id", "whole number"),
        ("get_booking", json!({"id": 1.5}), "id", "is 1.5"),
        ("get_booking", json!({"id": 1e300}), "id", "smaller"),
        ("get_booking", json!({"id": long}), "id", "a text of 5000 characters"),
        ("get_booking", json!({"id": 1, "include_guest": "yes"}), "include_guest", "true or false"),
        ("get_booking", json!({"id": 1, "include_guests": true}), "include_guests", "perhaps `include_guest`"),
        ("get_property", json!({"id": 1, "zzz": true}), "zzz", "known are `id`, `fields`"),
        ("get_current_user", json!({"id": 1}), "id", "known are `fields`"),
        ("list_properties", json!({"limit": 101}), "limit", "1 to 100"),
        ("list_properties", json!({"limit": 0}), "limit", "1 to 100"),
        ("list_properties", json!({"offset": -1}), "offset", "at least 0"),
    ]);
}

#[test]
fn a_wrong_filter_is_named() {
    let days = |from: &str, to: &str| json!({"property_id": 1, "from": from, "to": to});
    assert_wrong(&[
        ("list_bookings", json!({}), "property_ids|since_utc", "give `property_ids` or `since_utc`: OwnerRez lists"),
        ("list_bookings", json!({"since_utc": null}), "property_ids|since_utc", "give `property_ids`"),
        ("list_bookings", json!({"property_ids": []}), "property_ids|since_utc", "give `property_ids`"),
        ("list_bookings", json!({"property_ids": vec![1; 101]}), "property_ids", "is a list of 101"),
        ("list_bookings", json!({"property_ids": [1, "x"]}), "property_ids[1]", "\"x\""),
        (
            "list_bookings",
            json!({"property_ids": [1], "status": "cancelled"}),
            "status",
            "one of \"active\", \"canceled\", \"pending\"",
        ),
        ("list_bookings", json!({"since_utc": "2027-01-01"}), "since_utc", "a moment with its zone"),
        ("list_bookings", json!({"since_utc": "2027-01-01T00:00:00"}), "since_utc", "a moment with its zone"),
        ("list_bookings", json!({"property_ids": [1], "from": "2027-02-29"}), "from_date", "a day of the calendar"),
        (
            "list_bookings",
            json!({"property_ids": [1], "from": "2027-02-02", "to": "2027-02-01"}),
            "to_date",
            "`to_date` has to be equal to or later than `from_date`",
        ),
        ("list_guests", json!({"from": "2027-02-02"}), "q|created_since_utc", "give `q` or `created_since_utc`"),
        ("list_guests", json!({"q": ""}), "q|created_since_utc", "give `q`"),
        ("get_property_calendar", days("2027-01-02", "2027-01-01"), "to_date", "later than"),
        (
            "get_property_calendar",
            days("2027-01-01", "2028-01-03"),
            "to_date",
            "367 days later: at most 366 are possible, so ask for `to_date` \"2028-01-02\"",
        ),
        ("search_properties", json!({"guests_min": 4, "guests_max": 2}), "guests_max", "cannot be less"),
        (
            "search_properties",
            json!({"available_from": "2027-01-01", "available_to": "2027-01-01"}),
            "available_to",
            "later than",
        ),
        ("list_messages", json!({}), "threadId", "missing: give a whole number"),
        ("list_tags", json!({"entity_id": 1, "entity_type": "user"}), "entity_type", "one of \"booking\""),
        ("list_fields", json!({"entity_id": 1, "entity_type": "inquiry"}), "entity_type", "one of \"booking\""),
        (
            "list_spot_rates",
            json!({"property_ids": [1], "from": "2027-02-02", "to": "2027-02-01"}),
            "to_date",
            "equal to or later than",
        ),
    ]);
}

#[test]
fn a_wrong_booking_or_quote_is_named() {
    assert_wrong(&[
        ("create_booking", stay(json!({})), "guest_id", "give `guest_id` for a booking, or"),
        (
            "create_booking",
            stay(json!({"guest_id": 1, "is_block": true})),
            "guest_id",
            "without `guest_id` for a block",
        ),
        ("create_booking", stay(json!({"guest_id": 1, "departure": "2027-01-01"})), "departure", "later than"),
        ("create_booking", stay(json!({"guest_id": 1, "check_in": "25:00"})), "check_in", "HH:mm"),
        ("create_booking", stay(json!({"guest_id": 1, "arrival": null})), "arrival", "missing"),
        ("update_booking", json!({"id": 1}), UPDATES, "there is nothing to change"),
        ("update_booking", json!({"id": 1, "notes": null}), UPDATES, "there is nothing to change"),
        ("update_booking", json!({"id": 1, "data": 7}), "data", "not an object"),
        ("update_booking", json!({"id": 1, "title": "a", "data": {"title": "b"}}), "title", "give it once"),
        ("create_quote", stay(json!({})), "guest_id", "or `test`: true to price"),
        ("create_quote", stay(json!({"test": false})), "guest_id", "give `guest_id`"),
        ("create_quote", stay(json!({"test": true, "departure": "2027-01-01"})), "departure", "later than"),
        (
            "update_booking",
            json!({"id": 1, "cleaning_date": "2027-01-01T00:00:00Z", "clear": ["cleaning_date"]}),
            "cleaning_date",
            "give one of the two",
        ),
        ("update_booking", json!({"id": 1, "clear": ["adults"]}), "clear[0]", "one of \"cleaning_date\""),
        ("update_booking", json!({"id": 1, "clear": []}), UPDATES, "or name in `clear`"),
    ]);
}

#[test]
fn a_wrong_guest_is_named() {
    assert_wrong(&[
        ("create_guest", json!({}), "first_name", "without any of them is empty"),
        ("create_guest", json!({"email_adresses": "a@b"}), "email_adresses", "perhaps `email_addresses`"),
        ("create_guest", json!({"email": "nobody"}), "email_addresses[0].address", "an e-mail address"),
        (
            "create_guest",
            json!({"email": "a@b", "email_addresses": [{"address": "c@d"}]}),
            "email_addresses",
            "give `email_addresses` only",
        ),
        (
            "create_guest",
            json!({"first_name": "", "last_name": " ", "notes": ""}),
            "first_name",
            "without any of them is empty",
        ),
        ("create_guest", json!({"is_banned": false, "notes": "x"}), "first_name", "without any of them is empty"),
        (
            "create_guest",
            json!({"first_name": "A", "email_addresses": [{"address": "", "type": "home"}]}),
            "email_addresses",
            "its `address`",
        ),
        ("create_guest", json!({"first_name": "A", "phones": [{"number": " "}]}), "phones", "its `number`"),
        (
            "create_guest",
            json!({"first_name": "A", "addresses": [{"type": "home", "city": ""}]}),
            "addresses",
            "`street1`",
        ),
        ("update_guest", json!({"id": 1, "last_name": ""}), GUEST, "name in `clear`"),
        (
            "update_guest",
            json!({"id": 1, "email_addresses": [{"id": 2, "address": ""}]}),
            "email_addresses",
            "the `id` of one",
        ),
        ("update_guest", json!({"id": 1, "phones": [{"type": "home"}]}), "phones", "its `number`"),
        ("update_guest", json!({"id": 1, "phones": []}), "phones", "delete_…"),
        ("create_guest", json!({"first_name": "A", "phones": []}), "phones", "has no `clear`"),
        (
            "create_guest",
            json!({"first_name": "A", "phones": [null]}),
            "phones",
            "an empty list, which changes nothing",
        ),
        ("create_guest", json!({"first_name": "A", "clear": ["notes"]}), "clear", "unknown argument `clear`"),
        (
            "create_guest",
            json!({"email_addresses": [{"address": "nobody"}]}),
            "email_addresses[0].address",
            "an e-mail address",
        ),
        ("create_guest", json!({"addresses": [{"type": "mobile"}]}), "addresses[0].type", "one of \"home\""),
        ("create_guest", json!({"addresses": ["Elm Street"]}), "addresses[0]", "an object with members like"),
    ]);
}

#[test]
fn other_wrong_writes_are_named() {
    assert_wrong(&[
        ("create_message", json!({"thread_id": 1, "body": ""}), "body", "length of at least 1"),
        ("create_discount", json!({"name": "", "data": {"x": null}}), DISCOUNT, "nothing to create"),
        ("update_spot_rates", json!({"rates": []}), "rates", "length of 1 to 500"),
        ("create_message", json!({"thread_id": 1, "body": "x", "attachment_url": "x"}), "attachment_url", "an address"),
        ("delete_tag_by_name", json!({"entity_id": 1, "entity_type": "guest"}), "name", "missing"),
        (
            "create_webhook_subscription",
            json!({"url": "https://h/", "category": "charge"}),
            "type",
            "\"booking\", \"discount\"",
        ),
        (
            "create_webhook_subscription",
            json!({"type": "booking", "action": "entity_update", "webhook_url": "http://h/"}),
            "webhook_url",
            "an address such as \"https://",
        ),
        ("update_discount", json!({"id": 1, "data": 7}), "data", "not an object"),
    ]);
}

#[test]
fn all_problems_are_named_together() {
    let arguments = json!({"limit": 0, "offset": "x", "statuses": 1});
    let error = request("list_bookings", &arguments).unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
    assert!(error.to_string().starts_with("list_bookings:\n- "), "{error}");
}
