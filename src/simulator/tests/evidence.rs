//! Behaviour of the real service according to public evidence: one test for each entry, with the entry's name.
//! docs/SIMULATOR.md has the table.

use serde_json::{Value, json};

use super::{Fixture, basic, ids};
use crate::{
    domain::AccountId,
    simulator::{Variation, Variations, description::Description},
};

/// Returns the first account with only these variations.
async fn varied(variations: &[Variation]) -> (Fixture, AccountId) {
    let fixture = Fixture::start().await;
    let account = fixture.first().id;
    set(&fixture, account, variations);
    (fixture, account)
}

fn set(fixture: &Fixture, account: AccountId, variations: &[Variation]) {
    fixture.controls().vary(account, |now| {
        *now = Variations::none();
        variations.iter().for_each(|variation| now.set(*variation, true));
    });
}

fn items(body: &Value) -> Vec<Value> {
    body["items"].as_array().cloned().unwrap_or_default()
}

async fn send(fixture: &Fixture, method: &str, target: &str, body: Value) -> (u16, Value) {
    let authorization = fixture.bearer(fixture.first().id);
    let answer = fixture.send(method, target, &authorization, (!body.is_null()).then_some(body)).await;
    (answer.status, answer.body)
}

async fn a_booking(fixture: &Fixture) -> Value {
    let page = fixture.get("/v2/bookings?since_utc=2020-01-01&limit=100").await.body;
    items(&page).into_iter().find(|one| one["type"] == "booking").expect("a booking")
}

#[actix_web::test]
async fn properties_active_default() {
    let (fixture, account) = varied(&[]).await;
    let names = async |query: &str| ids(&fixture.get(&format!("/v2/properties?limit=100{query}")).await.body).len();
    assert_eq!((names("").await, names("&active=true").await, names("&active=false").await), (12, 11, 1));
    set(&fixture, account, &[Variation::InactiveHidden]);
    assert_eq!((names("").await, names("&active=true").await, names("&active=false").await), (11, 11, 1));
}

#[actix_web::test]
async fn message_thread() {
    let (fixture, account) = varied(&[]).await;
    let thread = fixture.get("/v2/inquiries?limit=1").await.body["items"][0]["thread_ids"][0].clone();
    let message = async || fixture.get(&format!("/v2/messages?threadId={thread}")).await.body["items"][0].clone();
    assert_eq!(message().await["thread_id"], thread);
    set(&fixture, account, &[Variation::ThreadOnly]);
    let message = message().await;
    assert_eq!((message.get("thread_id"), &message["thread"]["id"]), (None, &thread));
    let one = fixture.get(&format!("/v2/messages/{}", message["id"])).await.body;
    assert_eq!((one.get("thread_id"), &one["thread"]["id"]), (None, &thread));
}

#[actix_web::test]
async fn booking_get_charges() {
    let fixture = Fixture::start().await;
    let listed = a_booking(&fixture).await;
    assert!(listed.get("charges").is_none());
    let one = fixture.get(&format!("/v2/bookings/{}", listed["id"])).await.body;
    assert!(one["charges"].as_array().is_some_and(|charges| charges.len() >= 3), "{one}");
    let asked = fixture.get("/v2/bookings?since_utc=2020-01-01&limit=100&include_charges=true").await.body;
    assert!(items(&asked).iter().any(|one| one["charges"].is_array()));
}

#[actix_web::test]
async fn booking_property() {
    let (fixture, account) = varied(&[]).await;
    assert!(a_booking(&fixture).await.get("property").is_none());
    set(&fixture, account, &[Variation::BookingProperty]);
    let booking = a_booking(&fixture).await;
    let property = &booking["property"];
    assert_eq!(property["id"], booking["property_id"]);
    for name in ["name", "external_name", "internal_code", "public_url"] {
        assert!(property[name].is_string(), "{name}");
    }
}

#[actix_web::test]
async fn charge_category() {
    let (fixture, account) = varied(&[]).await;
    let target = format!("/v2/bookings/{}", a_booking(&fixture).await["id"]);
    let charges = async || fixture.get(&target).await.body["charges"].as_array().cloned().expect("charges");
    assert!(charges().await.iter().all(|charge| charge.get("category").is_none()));
    set(&fixture, account, &[Variation::ChargeCategory]);
    assert!(charges().await.iter().all(|charge| charge["category"].is_string()));
    let all = serde_json::to_string(&fixture.controls().records(account, "bookings")).expect("JSON");
    for category in ["rent", "cleaning", "pet", "administrative", "booking", "tax", "resort"] {
        assert!(all.contains(&format!("\"category\":\"{category}\"")), "{category}");
    }
    for kind in ["rent", "surcharge", "surcharge_other", "tax", "tax_other"] {
        assert!(all.contains(&format!("\"type\":\"{kind}\"")), "{kind}");
    }
}

#[actix_web::test]
async fn listing_get_photos() {
    let fixture = Fixture::start().await;
    let listed = items(&fixture.get("/v2/listings").await.body);
    assert!(listed.iter().all(|one| one.get("photos").is_none() && one.get("amenity_categories").is_none()));
    let mut counts = Vec::new();
    for listing in listed.iter().take(4) {
        let one = fixture.get(&format!("/v2/listings/{}", listing["id"])).await.body;
        assert!(one["amenity_categories"].is_array());
        let photos = one["photos"].as_array().cloned().expect("photos");
        for member in ["caption", "cropped_url", "large_url", "original_url"] {
            assert!(photos.iter().all(|photo| photo[member].is_string()), "{member}");
        }
        counts.push(photos.len());
    }
    assert!(counts.contains(&83) && counts.contains(&104), "{counts:?}");
}

#[actix_web::test]
async fn bookings_status_case() {
    let fixture = Fixture::start().await;
    for (sent, meant) in [("Active", "active"), ("CANCELED", "canceled"), ("Pending", "pending")] {
        let page = fixture.get(&format!("/v2/bookings?since_utc=2020-01-01&status={sent}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = items(&page.body);
        assert!(!items.is_empty() && items.iter().all(|one| one["status"] == meant), "{sent}");
    }
    assert_eq!(fixture.get("/v2/bookings?since_utc=2020-01-01&status=gone").await.status, 400);
}

#[actix_web::test]
async fn bookings_from_datetime() {
    let fixture = Fixture::start().await;
    let found = async |from: &str, to: &str| {
        let page = fixture.get(&format!("/v2/bookings?since_utc=2020-01-01&limit=100&from={from}&to={to}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        ids(&page.body)
    };
    let days = found("2026-11-20", "2026-12-01").await;
    assert!(!days.is_empty());
    assert_eq!(found("2026-11-20T00:00:00Z", "2026-12-01T12:30:00Z").await, days);
}

#[actix_web::test]
async fn webhook_types() {
    let fixture = Fixture::start().await;
    let page = fixture.get("/v2/webhooksubscriptions").await.body;
    assert_eq!(ids(&page).len(), 20);
    assert_eq!(ids(&fixture.get("/v2/webhooksubscriptions?offset=20").await.body).len(), 4);
    let described = Description::load().expect("the description");
    let body = json!({"type": "booking", "action": "entity_update", "webhook_url": "https://a.example/hook"});
    assert!(described.operations.contains_key("POST /v2/webhooksubscriptions"));
    for kind in ["booking", "discount", "guest", "inquiry", "message", "property", "quote", "surcharge"] {
        for action in ["entity_create", "entity_update", "entity_delete"] {
            let (mut body, loose) = (body.clone(), action.replace('_', "").to_uppercase());
            body["type"] = kind.to_uppercase().into();
            body["action"] = loose.into();
            let (status, made) = send(&fixture, "POST", "/v2/webhooksubscriptions", body).await;
            assert_eq!((status, &made["type"], &made["action"]), (200, &json!(kind), &json!(action)));
        }
    }
    for (member, value) in [("type", "review"), ("action", "webhook_test")] {
        let mut body = body.clone();
        body[member] = value.into();
        assert_eq!(send(&fixture, "POST", "/v2/webhooksubscriptions", body).await.0, 400, "{value}");
    }
}

#[actix_web::test]
async fn user_agent() {
    let (fixture, account) = varied(&[Variation::UserAgentRefusedInFront]).await;
    let first = fixture.first();
    let personal = basic(&first.email, &first.personal_access_token);
    let ask = async |authorization: &str| {
        fixture.raw(&format!("GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}")).await
    };
    let silent = ask(&personal).await;
    assert!(silent.starts_with("HTTP/1.1 403") && silent.contains("text/html"), "{silent}");
    // Checked before the credentials.
    assert!(ask(&basic(&first.email, "pt_wrong")).await.starts_with("HTTP/1.1 403"));
    let silent = ask("Bearer at_unknown").await;
    assert!(silent.starts_with("HTTP/1.1 401") && silent.contains("user_agent_required"), "{silent}");
    set(&fixture, account, &[]);
    let silent = ask(&personal).await;
    assert!(silent.starts_with("HTTP/1.1 401") && silent.contains("user_agent_required"), "{silent}");
}

#[actix_web::test]
async fn listing_entitlement() {
    let (fixture, account) = varied(&[]).await;
    let listing = ids(&fixture.get("/v2/listings").await.body)[0];
    set(&fixture, account, &[Variation::ListingsNotEnabled]);
    for target in ["/v2/listings".to_owned(), format!("/v2/listings/{listing}")] {
        let refused = fixture.get(&target).await;
        assert_eq!((refused.status, refused.body.get("code")), (402, None), "{target}");
        assert_eq!(refused.body["status"], "payment_required");
    }
    assert_eq!(fixture.get("/v2/reviews").await.status, 200);
}

#[actix_web::test]
async fn messaging_agreement_of_one_account() {
    let (fixture, _) = varied(&[Variation::MessagingNotEnabled]).await;
    let refused = fixture.get("/v2/messages?threadId=1").await;
    assert_eq!((refused.status, &refused.body["code"]), (402, &json!("messaging_not_enabled")));
}

#[actix_web::test]
async fn next_page_relative() {
    let (fixture, account) = varied(&[]).await;
    let full = async || fixture.get("/v2/properties?limit=4").await.body;
    let last = async || fixture.get("/v2/properties?limit=100").await.body;
    let empty = async || fixture.get("/v2/properties?limit=100&offset=500").await.body;
    assert!(full().await["next_page_url"].as_str().is_some_and(|url| url.starts_with("http://")));
    assert_eq!(last().await.get("next_page_url"), None);

    set(&fixture, account, &[Variation::NextPageRelative]);
    let page = full().await;
    let next = page["next_page_url"].as_str().expect("a next page");
    assert!(next.starts_with("/v2/properties?"), "{next}");
    assert_eq!(ids(&fixture.get(next).await.body).len(), 4);

    set(&fixture, account, &[Variation::LastPageNull]);
    assert_eq!(last().await.get("next_page_url"), Some(&Value::Null));
    set(&fixture, account, &[Variation::LastPageEmpty]);
    assert_eq!(last().await.get("next_page_url"), Some(&json!("")));
    set(&fixture, account, &[Variation::LastPageNull, Variation::LastPageEmpty]);
    assert_eq!(last().await.get("next_page_url"), Some(&Value::Null));
    assert_eq!(empty().await.get("next_page_url"), Some(&json!("")));
}

#[actix_web::test]
async fn empty_items() {
    let (fixture, account) = varied(&[]).await;
    let empty = async || fixture.get("/v2/bookings?property_ids=1").await.body;
    assert_eq!(empty().await, json!({"items": [], "limit": 20, "offset": 0}));
    set(&fixture, account, &[Variation::EmptyPageWithoutItems]);
    assert_eq!(empty().await, json!({"limit": 20, "offset": 0}));
}

#[actix_web::test]
async fn new_booking_updated() {
    let (fixture, account) = varied(&[]).await;
    let property = ids(&fixture.get("/v2/properties").await.body)[0];
    let block = json!({"property_id": property, "is_block": true, "arrival": "2028-02-01", "departure": "2028-02-04"});
    let (_, created) = send(&fixture, "POST", "/v2/bookings", block).await;
    assert_eq!(created["updated_utc"], created["created_utc"]);

    set(&fixture, account, &[Variation::NoUpdateTime]);
    let target = format!("/v2/bookings/{}", created["id"]);
    assert_eq!(fixture.get(&target).await.body.get("updated_utc"), None);
    // The filter uses the later of both times.
    let changed = fixture.get("/v2/bookings?since_utc=2026-11-23T11:59:00Z").await.body;
    assert!(ids(&changed).contains(&created["id"].as_i64().expect("an id")));
    let (_, moved) = send(&fixture, "PATCH", &target, json!({"title": "Painting"})).await;
    assert!(moved["updated_utc"].is_string(), "{moved}");
    let all = items(&fixture.get("/v2/bookings?since_utc=2020-01-01&limit=100").await.body);
    let without = all.iter().filter(|one| one.get("updated_utc").is_none()).count();
    assert!(without > 10 && without < 90, "{without}");
    assert!(all.iter().all(|one| one["created_utc"].is_string()));
}

#[actix_web::test]
async fn review_links() {
    let (fixture, account) = varied(&[]).await;
    let reviews = async || items(&fixture.get("/v2/reviews?limit=100&include_guest=true").await.body);
    assert!(reviews().await.iter().all(|one| one["booking_id"].is_i64()));
    set(&fixture, account, &[Variation::UnlinkedReviews]);
    let reviews = reviews().await;
    let is_unlinked =
        |one: &&Value| ["booking_id", "property_id", "guest_id"].iter().all(|name| one.get(name).is_none());
    let unlinked = reviews.iter().filter(is_unlinked).count();
    assert!(unlinked * 100 / reviews.len() > 75, "{unlinked} of {}", reviews.len());
    assert!(unlinked < reviews.len());
    assert!(reviews.iter().all(|one| one["guest"].as_object().is_some_and(|guest| guest.keys().eq(["id"]))));
    assert!(reviews.iter().any(|one| one.get("display_name").is_none()));
}

#[actix_web::test]
async fn calendar_gaps() {
    let (fixture, account) = varied(&[]).await;
    let property = ids(&fixture.get("/v2/properties").await.body)[0];
    // There is no data after the last season.
    let target = format!("/v2/calendar/{property}?from=2028-06-01&to=2029-05-31");
    let days = async || fixture.get(&target).await.body["days"].as_array().cloned().expect("days");
    let full = days().await;
    assert_eq!(full.len(), 365);
    assert!(full.iter().filter(|day| day["status"] != "unavailable").all(|day| day["rules"].is_object()));

    set(&fixture, account, &[Variation::CalendarMissingNights]);
    let fewer = days().await;
    assert!(fewer.iter().all(|day| day["date"].as_str() < Some("2029-01-01")));
    assert!(fewer.len() > 150 && fewer.len() < 214, "nights before that are missing as well: {}", fewer.len());
    set(&fixture, account, &[Variation::CalendarWithoutRules]);
    let bare = days().await;
    assert_eq!(bare.len(), 365);
    let without = bare.iter().filter(|day| day["rate"].is_object() && day.get("rules").is_none()).count();
    assert!(without > 10 && without < 100, "{without}");
}

#[actix_web::test]
async fn from_role() {
    let (fixture, account) = varied(&[]).await;
    let roles: std::collections::BTreeSet<String> = fixture
        .controls()
        .records(account, "messages")
        .iter()
        .filter_map(|message| message["from_role"].as_str().map(str::to_owned))
        .collect();
    let seen: Vec<&str> = roles.iter().map(String::as_str).collect();
    assert_eq!(seen, ["co_host", "cotraveler", "guest", "other", "owner", "support", "third_party_booker"]);

    let thread = fixture.get("/v2/inquiries?limit=1").await.body["items"][0]["thread_ids"][0].clone();
    let message = json!({"thread_id": thread, "body": "Welcome"});
    assert_eq!(send(&fixture, "POST", "/v2/messages", message.clone()).await.1["from_role"], "owner");
    set(&fixture, account, &[Variation::CoHostReplies]);
    assert_eq!(send(&fixture, "POST", "/v2/messages", message).await.1["from_role"], "co_host");
}

#[actix_web::test]
async fn guest_country() {
    let fixture = Fixture::start().await;
    let guests = items(&fixture.get("/v2/guests?created_since_utc=2020-01-01&limit=100").await.body);
    let address = |guest: &Value| guest["addresses"][0].clone();
    assert!(guests.iter().all(|guest| address(guest)["country"] == "UNITED STATES"));
    assert!(guests.iter().all(|guest| address(guest)["state"] == "Maine"));
    let untyped = |part: &str| guests.iter().filter(|guest| guest[part][0].get("type").is_none()).count();
    for part in ["addresses", "email_addresses", "phones"] {
        assert!(untyped(part) * 100 / guests.len() > 75, "{part}");
        assert!(untyped(part) < guests.len(), "{part}");
    }
    assert!(guests.iter().any(|guest| guest["email_addresses"][1]["is_default"] == false));
}

#[actix_web::test]
async fn field_user_entity() {
    let fixture = Fixture::start().await;
    let definition = json!({"name": "House rules", "code": "RULES", "type": "account"});
    let (_, definition) = send(&fixture, "POST", "/v2/fielddefinitions", definition).await;
    let field = json!({
        "entity_type": "user", "entity_id": 1, "field_definition_id": definition["id"], "value": "No parties",
    });
    let (status, made) = send(&fixture, "POST", "/v2/fields", field).await;
    assert_eq!((status, &made["entity_id"]), (200, &json!(1)), "{made}");
    let listed = fixture.get("/v2/fields?entity_type=user&entity_id=1").await.body;
    assert_eq!(ids(&listed), [made["id"].as_i64().expect("an id")]);
}

#[actix_web::test]
async fn patch_array() {
    let fixture = Fixture::start().await;
    let target = format!("/v2/bookings/{}", a_booking(&fixture).await["id"]);
    let changes = json!([
        {"op": "replace", "path": "/notes", "value": "Arrives late"},
        {"op": "remove", "path": "/cleaning_date"},
    ]);
    let (status, changed) = send(&fixture, "PATCH", &target, changes).await;
    assert_eq!((status, &changed["notes"], changed.get("cleaning_date")), (200, &json!("Arrives late"), None));
    let wrong = json!([{"op": "replace", "path": "/arrival", "value": "soon"}]);
    assert_eq!(send(&fixture, "PATCH", &target, wrong).await.0, 400);
}

#[actix_web::test]
async fn listing_numbers() {
    let fixture = Fixture::start().await;
    let listed = fixture.get("/v2/properties").await.body["items"][0].clone();
    assert!(listed.get("listing_numbers").is_none());
    let one = fixture.get(&format!("/v2/properties/{}", listed["id"])).await.body;
    assert!(one["listing_numbers"].is_object(), "{one}");
}

#[actix_web::test]
async fn generate_charges() {
    let (fixture, account) = varied(&[]).await;
    let property = ids(&fixture.get("/v2/properties").await.body)[0];
    let priced = |wish: bool| json!({"property_id": property, "arrival": "2028-02-01", "departure": "2028-02-05", "test": true, "generate_charges": wish});
    assert!(send(&fixture, "POST", "/v2/quotes", priced(false)).await.1["charges"].is_array());
    set(&fixture, account, &[Variation::ChargesOnRequest]);
    assert_eq!(send(&fixture, "POST", "/v2/quotes", priced(false)).await.1.get("charges"), None);
    assert!(send(&fixture, "POST", "/v2/quotes", priced(true)).await.1["charges"].is_array());
}

#[actix_web::test]
async fn guest_delete() {
    let (fixture, account) = varied(&[Variation::NamedRecordsStay]).await;
    let guest = a_booking(&fixture).await["guest_id"].clone();
    let target = format!("/v2/guests/{guest}");
    assert_eq!(send(&fixture, "DELETE", &target, Value::Null).await.0, 400);
    set(&fixture, account, &[]);
    assert_eq!(send(&fixture, "DELETE", &target, Value::Null).await.0, 204);
}

#[actix_web::test]
async fn spotrate_date() {
    let (fixture, account) = varied(&[]).await;
    let property = ids(&fixture.get("/v2/properties").await.body)[0];
    let rate = |date: &str| json!([{"property_id": property, "date": date, "amount": 150}]);
    for date in ["2028-02-01", "2028-02-01T00:00:00Z"] {
        let (status, stored) = send(&fixture, "PATCH", "/v2/spotrates", rate(date)).await;
        assert_eq!((status, &stored[0]["date"]), (200, &json!("2028-02-01")), "{date}");
    }
    let target = format!("/v2/spotrates?property_ids={property}&from=2028-02-01&to=2028-02-01");
    assert_eq!(items(&fixture.get(&target).await.body).len(), 1, "the same night");
    set(&fixture, account, &[Variation::SpotRateMidnights]);
    assert_eq!(fixture.get(&target).await.body["items"][0]["date"], "2028-02-01T00:00:00Z");
}

#[actix_web::test]
async fn properties_without_time_zone() {
    let (fixture, account) = varied(&[]).await;
    let without = async |path: &str| {
        let items = items(&fixture.get(&format!("/v2/{path}?limit=100")).await.body);
        items.iter().filter(|one| one.get("time_zone").is_none()).count()
    };
    assert_eq!((without("properties").await, without("propertysearch").await), (0, 0));
    set(&fixture, account, &[Variation::NoTimeZone]);
    assert_eq!((without("properties").await, without("propertysearch").await), (4, 4));
}

/// The table of docs/SIMULATOR.md names every variation, and an existing test of this file for each entry of the
/// evidence.
#[test]
fn the_table_names_tests_that_there_are() {
    let page = include_str!("../../../docs/SIMULATOR.md");
    let tests = include_str!("evidence.rs");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect::<Vec<_>>();
    let evidence: Vec<_> = rows.iter().filter(|(_, rest)| rest.contains("tests/evidence.rs")).collect();
    assert!(evidence.len() >= 24, "{}", evidence.len());
    for (id, _) in evidence {
        let test = id.replace('-', "_");
        assert!(tests.contains(&format!("async fn {test}()")), "{id}");
    }
    for name in Variations::all().names() {
        assert!(rows.iter().any(|(first, _)| *first == name), "{name}");
    }
}
