//! The requests, the findings, and that no value of a response gets into a report.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{super::spec::ResponseKind, *};

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 6, 15).unwrap()
}

fn catalog() -> Catalog {
    Catalog::embedded().unwrap()
}

/// Answers every request with the result of `reply` for its operation and path.
fn run(catalog: &Catalog, mut reply: impl FnMut(&str, &str) -> ProbeOutcome) -> (ProbeReport, Vec<String>) {
    let mut probe = catalog.probe(today());
    let mut asked_for = Vec::new();
    while let Some(asked) = probe.next_request() {
        let path = asked.request.path_and_query.clone();
        let outcome = reply(&asked.request.operation, &path);
        asked_for.push(format!("{} {path}", asked.request.operation));
        probe.take_in(&asked, &outcome);
    }
    (probe.report(ProbeCredential::AccessToken), asked_for)
}

fn ok(body: Value) -> ProbeOutcome {
    ProbeOutcome::Response { status: 200, body }
}

/// Returns one record with ids of other records.
fn record() -> Value {
    json!({"id": 7, "property_id": 5, "thread_ids": [9], "tags": ["x"]})
}

/// Returns a page as the catalogue describes it.
fn page_of(catalog: &Catalog, operation: &str, items: Option<Vec<Value>>) -> Value {
    let mut page = json!({"limit": 100, "offset": 0});
    if catalog.get(operation).unwrap().spec().answer == ResponseKind::CountedPage {
        page["count"] = json!(items.as_ref().map_or(0, Vec::len));
    }
    if let Some(items) = items {
        page["items"] = json!(items);
    }
    page
}

/// Returns the response of an account with one record of each kind.
fn plain(catalog: &Catalog, operation: &str) -> Value {
    if catalog.get(operation).unwrap().returns_list() {
        page_of(catalog, operation, Some(vec![record()]))
    } else {
        record()
    }
}

fn entries(report: &ProbeReport, what: ObservationKind) -> Vec<(String, String)> {
    let all = report.findings.iter().chain(&report.remarks).filter(|entry| entry.what == what);
    let member = |entry: &Entry| entry.member.as_ref().map(ToString::to_string).unwrap_or_default();
    all.map(|entry| (entry.operation.clone(), member(entry))).collect()
}

#[test]
fn every_read_is_asked_within_the_bound() {
    let catalog = catalog();
    let (report, asked) = run(&catalog, |operation, _| ok(plain(&catalog, operation)));
    let operations: BTreeSet<&str> = asked.iter().filter_map(|asked| asked.split(' ').next()).collect();
    let reads: BTreeSet<&str> =
        catalog.operations().filter(|operation| operation.is_read_only()).map(Operation::name).collect();
    assert_eq!(operations, reads);
    assert!(report.not_seen.is_empty(), "{:?}", report.not_seen);
    assert!(report.requests <= MOST_REQUESTS && report.requests as usize == asked.len(), "{}", report.requests);
    assert_eq!(report.end, End::Complete);
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len(), "nothing is asked twice");
    // Lists lead to their records and to others, and are requested with everything that parameters add.
    for part in [
        "get_booking /v2/bookings/7",
        "get_property_calendar /v2/calendar/7?from=2026-06-15&to=2026-09-13",
        "list_messages /v2/messages?threadId=9",
        "list_tags /v2/tags?entity_id=7&entity_type=booking",
        "list_bookings /v2/bookings?property_ids=7%2C5&include_door_codes=true",
        "list_guests /v2/guests?created_since_utc=2000",
        "list_listings /v2/listings?includeAmenities=true",
        "list_properties /v2/properties?active=false",
    ] {
        assert!(asked.iter().any(|asked| asked.starts_with(part)), "{part}: {asked:#?}");
    }
    assert!(asked[0].starts_with("get_current_user"), "the token is tried first: {}", asked[0]);
}

#[test]
fn an_account_without_records_costs_few_requests() {
    let catalog = catalog();
    let (report, _) = run(&catalog, |operation, _| {
        let lists = catalog.get(operation).unwrap().returns_list();
        ok(if lists { page_of(&catalog, operation, None) } else { json!({"id": 1}) })
    });
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert_eq!(report.end, End::Complete);
    let missing = entries(&report, ObservationKind::EmptyPageWithoutItems);
    assert!(missing.contains(&("list_properties".to_owned(), String::new())), "{missing:?}");
    let why =
        |name: &str| report.not_seen.iter().find(|not_seen| not_seen.operation == name).map(|not_seen| not_seen.why);
    assert_eq!(
        (why("list_properties"), why("get_property")),
        (Some(NotSeenReason::NoRecords), Some(NotSeenReason::NoId))
    );
    assert!(report.requests < 40, "{}", report.requests);
}

#[test]
fn what_was_refused_is_not_seen_and_what_was_allowed_is_a_finding() {
    let catalog = catalog();
    let refuse =
        |status, code: &str| ProbeOutcome::Response { status, body: json!({"code": code, "messages": ["Ann"]}) };
    let (report, asked) = run(&catalog, |operation, _| match operation {
        "list_messages" => refuse(402, "messaging_not_enabled"),
        "list_listings" => refuse(402, "Ann Smith"),
        "list_spot_rates" => refuse(404, "not_found"),
        "list_owners" => refuse(400, "validation_failed"),
        "get_quote" => refuse(404, "not_found"),
        "get_review" => ProbeOutcome::Response { status: 203, body: record() },
        "get_fee" => ProbeOutcome::Failed,
        _ => ok(plain(&catalog, operation)),
    });
    let not_seen = |name: &str| {
        let found = report.not_seen.iter().find(|not_seen| not_seen.operation == name).unwrap();
        (found.why, found.status, found.code.as_ref().map(ToString::to_string))
    };
    let code = |code: &str| Some(code.to_owned());
    assert_eq!(not_seen("list_messages"), (NotSeenReason::Refused, Some(402), code("messaging_not_enabled")));
    assert_eq!(not_seen("list_listings"), (NotSeenReason::Refused, Some(402), None));
    assert_eq!(not_seen("list_spot_rates"), (NotSeenReason::Refused, Some(404), code("not_found")));
    assert_eq!(not_seen("get_message"), (NotSeenReason::NoId, None, None));
    assert_eq!(not_seen("get_fee"), (NotSeenReason::Failed, None, None));
    let of = |name: &str| (name.to_owned(), String::new());
    assert_eq!(entries(&report, ObservationKind::OtherStatus), [of("get_quote"), of("get_review"), of("list_owners")]);
    assert_eq!(entries(&report, ObservationKind::NoResponse), [of("get_fee")]);
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("list_messages")).count(), 1, "a refusal is final");
    assert!(!report.is_fine());
}

#[test]
fn server_errors_and_rejected_second_requests_are_findings() {
    let catalog = catalog();
    let status = |status| ProbeOutcome::Response { status, body: Value::Null };
    for (outcome, expected) in [
        (status(400), ObservationKind::OtherStatus),
        (status(404), ObservationKind::OtherStatus),
        (status(503), ObservationKind::OtherStatus),
        (ProbeOutcome::Failed, ObservationKind::NoResponse),
    ] {
        let (report, _) = run(&catalog, |operation, path| {
            if path.contains("active=false") && operation == "list_properties" {
                outcome.clone()
            } else {
                ok(plain(&catalog, operation))
            }
        });
        let of_list = ("list_properties".to_owned(), String::new());
        assert!(entries(&report, expected).contains(&of_list), "{outcome:?}");
        assert!(!report.is_fine());
    }
}

#[test]
fn a_probe_ends_early_where_going_on_is_no_use() {
    let catalog = catalog();
    let ends = |reply: &dyn Fn(usize) -> ProbeOutcome| {
        let mut requests = 0;
        let (report, _) = run(&catalog, |_, _| {
            requests += 1;
            reply(requests)
        });
        (report.end, report.requests)
    };
    let status = |status| ProbeOutcome::Response { status, body: Value::Null };
    assert_eq!(ends(&|_| status(401)), (End::TokenRefused, 1));
    assert_eq!(ends(&|_| ProbeOutcome::Failed), (End::Failing, 3));
    assert_eq!(ends(&|_| status(503)), (End::Failing, 3));
    let (end, requests) = ends(&|request| if request == 5 { status(429) } else { ok(json!([record()])) });
    assert_eq!((end, requests), (End::Throttled, 5));
    let (end, requests) = ends(&|request| if request == 1 { ok(record()) } else { status(401) });
    assert_eq!((end, requests), (End::TokenRefused, 4));
}

/// Returns the report after `list_bookings` returned these records and everything else returned nothing.
fn bookings(items: Value) -> ProbeReport {
    let catalog = catalog();
    let (report, _) = run(&catalog, |operation, _| match operation {
        "get_current_user" => ok(json!({"id": 1})),
        "list_bookings" => ok(json!({"items": items, "limit": 100, "offset": 0})),
        _ => ProbeOutcome::Response { status: 403, body: Value::Null },
    });
    report
}

/// Returns a booking with all members that the catalogue lists as always present.
fn booking() -> Value {
    json!({
        "id": 7, "property_id": 5, "arrival": "2026-06-15", "departure": "2026-06-18", "status": "active",
        "type": "booking", "guest": {"id": 3}, "charges": [{"type": "rent", "amount": 10}], "tags": [],
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut booking = booking();
    change(&mut booking);
    booking
}

#[test]
fn each_difference_from_the_catalogue_is_found() {
    assert!(bookings(json!([booking()])).findings.is_empty(), "{:#?}", bookings(json!([booking()])).findings);
    let found = |booking: Value| {
        let report = bookings(json!([self::booking(), booking]));
        let found = report.findings.iter().filter(|entry| entry.operation == "list_bookings");
        let member = |entry: &Entry| entry.member.as_ref().map(ToString::to_string).unwrap_or_default();
        found.map(|entry| (entry.what, member(entry), entry.count, entry.of)).collect::<Vec<_>>()
    };
    let one = |what, member: &str, count, of| vec![(what, member.to_owned(), count, of)];
    let unknown = changed(|booking| booking["charges"][0]["colour"] = json!("red"));
    assert_eq!(found(unknown), one(ObservationKind::UnknownMember, "charges.colour", 1, 2));
    let missing = changed(|booking| drop(booking.as_object_mut().unwrap().remove("status")));
    assert_eq!(found(missing), one(ObservationKind::MissingMember, "status", 1, 2));
    let inner = changed(|booking| booking["charges"] = json!([{"type": "rent"}]));
    assert_eq!(found(inner), one(ObservationKind::MissingMember, "charges.amount", 1, 2));
    for other in [json!("7"), json!(7.5), json!([7]), json!({"id": 7})] {
        let other = changed(|booking| booking["property_id"] = other);
        assert_eq!(found(other), one(ObservationKind::OtherType, "property_id", 2, 2));
    }
    let format = changed(|booking| booking["updated_utc"] = json!("2026-06-15T10:00:00"));
    assert_eq!(found(format), one(ObservationKind::OtherFormat, "updated_utc", 1, 2));
    for word in ["archived", "Active"] {
        let word = changed(|booking| booking["status"] = json!(word));
        assert_eq!(found(word), one(ObservationKind::UnknownWord, "status", 2, 2));
    }
    // Integers are numbers, null counts as absent, and members without a description may be anything.
    for fine in [
        changed(|booking| booking["total_amount"] = json!(5)),
        changed(|booking| booking["title"] = Value::Null),
        changed(|booking| drop(booking.as_object_mut().unwrap().remove("charges"))),
    ] {
        assert_eq!(found(fine), []);
    }
}

#[test]
fn other_envelopes_are_found() {
    let catalog = catalog();
    let found = |body: Value| {
        let (report, _) = run(&catalog, |operation, _| match operation {
            "get_current_user" => ok(json!({"id": 1})),
            "list_properties" => ok(body.clone()),
            _ => ProbeOutcome::Response { status: 403, body: Value::Null },
        });
        entries(&report, ObservationKind::OtherEnvelope).into_iter().map(|(_, member)| member).collect::<Vec<_>>()
    };
    let home = json!({"id": 5, "name": "Ann's"});
    assert_eq!(found(json!({"items": [home], "limit": 100, "offset": 0, "count": 1})), [""; 0]);
    assert_eq!(found(json!([home])), [""]);
    assert_eq!(found(json!({"items": [home], "limit": 100, "offset": 0})), ["count"]);
    assert_eq!(found(json!({"items": home, "limit": 100, "offset": 0, "count": 1})), ["items"]);
    assert_eq!(found(json!({"items": [home], "limit": "100", "offset": 0, "count": 1})), ["limit"]);
    assert_eq!(found(json!({"items": [home], "limit": 100, "offset": 0, "count": 1, "total": 1})), ["total"]);
    assert_eq!(found(json!({"items": [7], "limit": 100, "offset": 0, "count": 1})), [""]);
    assert_eq!(found(json!("Ann")), [""]);
}

#[test]
fn members_that_nothing_asked_for_and_hidden_records_are_found() {
    let catalog = catalog();
    let all = json!([{"id": 5, "name": "A"}, {"id": 6, "name": "B"}]);
    let (report, _) = run(&catalog, |operation, path| match operation {
        "get_current_user" => ok(json!({"id": 1})),
        "list_properties" if path.contains("active=false") => {
            ok(page_of(&catalog, operation, Some(vec![json!({"id": 9, "name": "C"})])))
        }
        "list_properties" => ok(json!({"items": all, "limit": 100, "offset": 0, "count": 2})),
        "get_property" => ok(json!({"id": 5, "name": "A", "tags": [{"id": 1, "name": "new"}]})),
        _ => ProbeOutcome::Response { status: 403, body: Value::Null },
    });
    let one = |operation: &str, member: &str| vec![(operation.to_owned(), member.to_owned())];
    assert_eq!(entries(&report, ObservationKind::UnaskedMember), one("get_property", "tags"));
    assert_eq!(entries(&report, ObservationKind::InactiveHidden), one("list_properties", ""));
    let never = entries(&report, ObservationKind::NeverSeen);
    assert!(!never.contains(&("get_property".to_owned(), "tags".to_owned())), "nothing asked for it: {never:?}");
    assert!(never.contains(&("list_properties".to_owned(), "tags".to_owned())), "{never:?}");
}

#[test]
fn a_calendar_tells_how_many_days_it_lacks() {
    let catalog = catalog();
    let days: Vec<Value> = (0..90).map(|_| json!({"date": "2026-06-15T00:00:00", "status": "available"})).collect();
    let (report, _) = run(&catalog, |operation, _| match operation {
        "get_property_calendar" => ok(json!({"property_id": 7, "days": days})),
        _ => ok(plain(&catalog, operation)),
    });
    let missing = report.remarks.iter().find(|entry| entry.what == ObservationKind::DaysMissing).unwrap();
    assert_eq!((&*missing.operation, missing.count, missing.of), ("get_property_calendar", 1, 91));
    let rules = report.remarks.iter().find(|entry| {
        entry.what == ObservationKind::NeverSeen
            && entry.member.as_ref().is_some_and(|member| member.to_string() == "days.rules")
    });
    assert_eq!(rules.map(|entry| (entry.count, entry.of)), Some((90, 90)));
}

/// Members that contain words of a closed vocabulary in some kind of record. A value of another member must never be
/// shown.
const WORD_NAMES: [&str; 11] = [
    "status",
    "type",
    "category",
    "from_role",
    "entity_type",
    "action",
    "channel",
    "living_area_type",
    "processing_status",
    "external_status",
    "code",
];

/// Generates a value that must never be shown.
fn private() -> impl Strategy<Value = Value> {
    prop_oneof![
        "secret[a-z_]{1,20}".prop_map(Value::from),
        "Secret [A-Z]{3}".prop_map(Value::from),
        "secret[a-z]{3}@example\\.com".prop_map(Value::from),
        (771_177_000_000_i64..771_177_999_999).prop_map(Value::from),
        Just(Value::Bool(true)),
        Just(Value::Null),
    ]
}

/// Generates the name of a member: from the catalogue, unknown, or data.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "id",
            "items",
            "guest",
            "charges",
            "days",
            "fields",
            "value",
            "thread",
            "property",
            "tags",
            "name",
            "body",
            "addresses",
            "updated_utc",
            "arrival",
            "next_page_url",
            "limit",
            "count",
            "thread_ids",
            "property_id",
        ])
        .prop_map(str::to_owned),
        "odd_[a-z]{3}",
        "secretkey[0-9]{2}",
        "secretkey@example\\.com",
        "Secret Key",
    ]
}

/// Generates a JSON value in which members that may contain words have a shown or a private value, and all others a
/// private one.
fn body() -> impl Strategy<Value = Value> {
    private().prop_recursive(5, 60, 6, |inner| {
        let word = prop_oneof![Just(json!("shown_word")), "Secret [A-Z]{3}".prop_map(Value::from)];
        let words = prop::collection::btree_map(prop::sample::select(WORD_NAMES.to_vec()), word, 0..3);
        let members = prop::collection::btree_map(name(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            (members, words).prop_map(|(members, words)| {
                let words = words.into_iter().map(|(name, word)| (name.to_owned(), word));
                Value::Object(members.into_iter().chain(words).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_of_a_response_is_in_a_report(bodies in prop::collection::vec(body(), 1..12), status in 199_u16..500) {
        let catalog = catalog();
        let mut next = bodies.iter().cycle();
        let mut requests = 0;
        let (report, _) = run(&catalog, |operation, _| {
            requests += 1;
            let lists = catalog.get(operation).is_some_and(Operation::returns_list);
            let body = next.next().unwrap().clone();
            // Some are pages of such records, some rejections, and some are anything.
            let body = if lists && requests % 3 > 0 { page_of(&catalog, operation, Some(vec![body, record()])) } else { body };
            let status = if requests > 1 && requests % 7 == 0 && status != 429 { status } else { 200 };
            ProbeOutcome::Response { status, body }
        });
        for text in [report.text(), report.json()] {
            let lower = text.to_lowercase();
            prop_assert!(!lower.contains("secret") && !lower.contains("771177"), "{}", text);
            prop_assert!(!text.contains('@'), "{}", text);
        }
        prop_assert!(report.requests <= MOST_REQUESTS);
    }

    /// No body makes a probe send a write, or a request to a path outside the catalogue.
    #[test]
    fn whatever_comes_the_requests_are_the_catalogue_s(bodies in prop::collection::vec(body(), 1..12)) {
        let catalog = catalog();
        let mut probe = catalog.probe(today());
        let mut next = bodies.iter().cycle();
        while let Some(asked) = probe.next_request() {
            prop_assert!(!asked.request.is_write() && asked.request.body.is_none());
            prop_assert!(asked.request.path_and_query.starts_with("/v2/"));
            probe.take_in(&asked, &ProbeOutcome::Response { status: 200, body: next.next().unwrap().clone() });
        }
        prop_assert!(probe.requests() <= MOST_REQUESTS);
    }
}
