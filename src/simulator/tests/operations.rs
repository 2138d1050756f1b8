//! The operations on the generated portfolio.

use serde_json::{Value, json};

use super::{Fixture, basic, ids};

#[actix_web::test]
async fn errors_have_the_documented_body() {
    let fixture = Fixture::start().await;
    let missing = fixture.get("/v2/guests/1").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.body["messages"], json!(["Expected entity Guest:Id:1 not found."]));
    assert_eq!((&missing.body["status"], &missing.body["status_code"]), (&json!("not_found"), &json!(404)));
    for (target, status, code) in [
        ("/v2/threads", 404, "not_found"),
        ("/v2/guests/abc", 400, "validation_failed"),
        ("/v2/bookings", 400, "validation_failed"),
        ("/v2/bookings?property_ids=1&limit=0", 400, "validation_failed"),
        ("/v2/properties?offset=-1", 400, "validation_failed"),
        ("/v2/propertysearch?available_from=2026-12-02&available_to=2026-12-01", 400, "validation_failed"),
    ] {
        let answer = fixture.get(target).await;
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{target}");
    }
    let calendar = ids(&fixture.get("/v2/properties").await.body)[0];
    for range in ["from=2026-01-01&to=2027-01-03", "from=2026-02-01&to=2026-01-01", "from=2026-02-01"] {
        assert_eq!(fixture.get(&format!("/v2/calendar/{calendar}?{range}")).await.status, 400, "{range}");
    }
    let wrong_method = fixture.send("PUT", "/v2/guests/1", &fixture.bearer(fixture.first().id), None).await;
    assert_eq!(wrong_method.status, 405);
}

#[actix_web::test]
async fn pages_follow_each_other_and_end() {
    let fixture = Fixture::start().await;
    let all = fixture.get("/v2/properties?limit=500").await.body;
    assert_eq!((&all["limit"], &all["count"]), (&json!(100), &json!(12)));
    let mut next = Some("/v2/properties?active=true&limit=4".to_owned());
    let mut seen = Vec::new();
    while let Some(target) = next {
        let page = fixture.get(&target).await.body;
        seen.extend(ids(&page));
        next = page["next_page_url"].as_str().map(str::to_owned);
        assert!(next.iter().all(|url| url.starts_with(&fixture.simulator.url()) && url.contains("active=true")));
    }
    assert_eq!(seen.len(), 11);
    assert!(seen.iter().all(|id| ids(&all).contains(id)));

    let bookings = fixture.get("/v2/bookings?since_utc=2026-01-01T00:00:00Z").await.body;
    assert_eq!(ids(&bookings).len(), 20);
    assert!(bookings.get("count").is_none());
}

#[actix_web::test]
async fn filters_do_what_they_say() {
    let fixture = Fixture::start().await;
    let items = async |target: &str| {
        let body = fixture.get(target).await.body;
        let items = body["items"].as_array().cloned().unwrap_or_default();
        assert!(!items.is_empty(), "{target}: {body}");
        items
    };
    let text = |item: &Value, member: &str| item[member].as_str().unwrap_or_default().to_owned();
    let since = "since_utc=2025-01-01&limit=100";
    for booking in items(&format!("/v2/bookings?{since}&status=canceled")).await {
        assert_eq!(booking["status"], "canceled");
        assert!(booking["canceled_utc"].is_string());
    }
    for booking in items(&format!("/v2/bookings?{since}&from=2026-11-20&to=2026-12-01")).await {
        assert!(
            text(&booking, "departure").as_str() >= "2026-11-20" && text(&booking, "arrival").as_str() <= "2026-12-01"
        );
    }
    for booking in items("/v2/bookings?since_utc=2026-11-20T00:00:00Z").await {
        assert!(text(&booking, "updated_utc").as_str() > "2026-11-20");
    }
    for property in items("/v2/propertysearch?bedrooms_min=3&rate_max=300").await {
        assert!(property["bedrooms"].as_i64().unwrap_or_default() >= 3);
    }
    let guest = items("/v2/guests?created_since_utc=2020-01-01").await.remove(0);
    let mail = text(&guest["email_addresses"][0], "address");
    assert_eq!(
        ids(&json!({"items": items(&format!("/v2/guests?q={}", mail.to_uppercase())).await})),
        vec![guest["id"].as_i64().unwrap_or_default()]
    );
    let definitions = items("/v2/tagdefinitions").await;
    let waterfront = definitions.iter().find(|one| one["name"] == "waterfront").expect("a definition")["id"].clone();
    let tagged = items(&format!("/v2/propertysearch?include_tag_ids[0]={waterfront}")).await.len();
    let untagged = items(&format!("/v2/propertysearch?exclude_tag_ids[0]={waterfront}")).await.len();
    assert_eq!((tagged, tagged + untagged), (4, 12));
    let free = items("/v2/propertysearch?available_from=2026-12-01&available_to=2026-12-02&evaluate_rules=true").await;
    assert!(
        free.iter().all(|property| property["rule_violations"][0].is_string()),
        "one night is too short everywhere"
    );
    for property in free {
        let id = &property["id"];
        let days = fixture.get(&format!("/v2/calendar/{id}?from=2026-12-01&to=2026-12-01")).await.body;
        assert!(["available", "gap"].contains(&days["days"][0]["status"].as_str().unwrap_or_default()));
        assert_eq!(days["days"][0]["date"], "2026-12-01T00:00:00");
    }
}

#[actix_web::test]
async fn optional_members_come_only_when_asked_for() {
    let fixture = Fixture::start().await;
    let plain = fixture.get("/v2/bookings?since_utc=2020-01-01&limit=100").await.body;
    let booking =
        plain["items"].as_array().into_iter().flatten().find(|item| item["type"] == "booking").expect("a booking");
    let names = ["door_codes", "charges", "tags", "fields", "guest", "cancellation_policy_description", "agreements"];
    assert!(names.iter().all(|name| booking.get(name).is_none()));
    let asked = "include_door_codes=true&include_charges=true&include_tags=true&include_fields=true&include_guest=true\
                 &include_cancellation_policy=true&include_agreements=true";
    let full = fixture.get(&format!("/v2/bookings/{}?{asked}", booking["id"])).await.body;
    assert!(names.iter().all(|name| full.get(name).is_some()), "{full}");
    assert_eq!(full["guest"]["id"], booking["guest_id"]);
    let everything = plain.to_string() + &full.to_string();
    assert!(!everything.contains("null") && !everything.contains("\"_"));
}

#[actix_web::test]
async fn writes_stick_and_conflicts_are_refused() {
    let fixture = Fixture::start().await;
    let authorization = fixture.bearer(fixture.first().id);
    let send =
        async |method: &str, path: &str, body: Value| fixture.send(method, path, &authorization, Some(body)).await;
    let property = ids(&fixture.get("/v2/properties").await.body)[0];

    let block = json!({"property_id": property, "is_block": true, "arrival": "2028-02-01", "departure": "2028-02-04"});
    let created = send("POST", "/v2/bookings", block.clone()).await;
    assert_eq!((created.status, &created.body["type"]), (200, &json!("block")));
    let conflict = send("POST", "/v2/bookings", block).await;
    assert_eq!((conflict.status, &conflict.body["code"]), (400, &json!("validation_failed")));
    let path = format!("/v2/bookings/{}", created.body["id"]);
    let moved = send("PATCH", &path, json!({"departure": "2028-02-06", "title": "Painting", "id": 1})).await;
    assert_eq!((moved.status, &moved.body["title"], &moved.body["id"]), (200, &json!("Painting"), &created.body["id"]));
    assert_eq!(fixture.get(&path).await.body["departure"], "2028-02-06");
    assert_eq!(send("PATCH", &path, json!({"title": null})).await.body.get("title"), None);

    for bad in [
        json!({"property_id": property, "arrival": "2028-05-01", "departure": "2028-05-04"}),
        json!({"property_id": property, "is_block": true, "arrival": "2028-05-04", "departure": "2028-05-01"}),
        json!({"property_id": 1, "is_block": true, "arrival": "2028-05-01", "departure": "2028-05-04"}),
        json!({"property_id": property, "is_block": true, "arrival": "1 May", "departure": "2028-05-04"}),
        json!({"property_id": property, "is_block": true, "arrival": "0001-01-01", "departure": "9999-05-04"}),
        json!([]),
    ] {
        assert_eq!(send("POST", "/v2/bookings", bad.clone()).await.status, 400, "{bad}");
    }

    let guest = send("POST", "/v2/guests", json!({"first_name": "Ann", "phones": [{"number": "1"}, {"number": "2"}]}))
        .await
        .body;
    let phone = &guest["phones"][0]["id"];
    let path = format!("/v2/guests/{}", guest["id"]);
    let changed = send("PATCH", &path, json!({"phones": [{"id": phone, "number": "3"}, {"number": "4"}]})).await.body;
    let numbers: Vec<_> =
        changed["phones"].as_array().into_iter().flatten().map(|phone| phone["number"].clone()).collect();
    assert_eq!(numbers, [json!("3"), json!("2"), json!("4")]);
    assert_eq!(fixture.send("DELETE", &format!("{path}/phones/{phone}"), &authorization, None).await.status, 204);
    assert_eq!(fixture.send("DELETE", &format!("{path}/phones/{phone}"), &authorization, None).await.status, 404);

    let stay =
        json!({"property_id": property, "guest_id": guest["id"], "arrival": "2028-03-04", "departure": "2028-03-08"});
    let booked = send("POST", "/v2/bookings", stay).await.body;
    assert!(booked["total_amount"].as_f64().unwrap_or_default() > 0.0, "{booked}");
    assert_eq!(booked["total_owed"], booked["total_amount"]);
    fixture.controls().change(|switches| switches.delete_answers_204 = false);
    let deleted = fixture.send("DELETE", &path, &authorization, None).await;
    assert_eq!((deleted.status, &deleted.body["success"]), (200, &json!(true)));
    assert_eq!(fixture.get(&path).await.status, 404);
}

#[actix_web::test]
async fn accounts_do_not_see_each_other() {
    let fixture = Fixture::start().await;
    let added = fixture.controls().add_account("Tenant Four");
    let mine = fixture.send("GET", "/v2/properties", &fixture.bearer(added.id), None).await.body;
    assert!(
        mine["items"]
            .as_array()
            .into_iter()
            .flatten()
            .all(|item| item["name"].as_str().unwrap_or_default().starts_with("Tenant Four"))
    );
    for id in ids(&mine) {
        assert_eq!(fixture.get(&format!("/v2/properties/{id}")).await.status, 404);
    }
}

#[actix_web::test]
async fn words_in_a_path_come_before_ids() {
    let fixture = Fixture::start().await;
    let categories = fixture.get("/v2/webhooksubscriptions/categories").await;
    assert_eq!((categories.status, &categories.body["Booking"][0]), (200, &json!("availability")));
    let authorization = fixture.bearer(fixture.first().id);
    let guest = ids(&fixture.get("/v2/guests?q=a").await.body)[0];
    let target = format!("/v2/tags/byname?name=demo%20guest&entity_type=guest&entity_id={guest}");
    assert_eq!(fixture.send("DELETE", &target, &authorization, None).await.status, 204);
    assert_eq!(fixture.send("DELETE", &target, &authorization, None).await.status, 404, "it is gone already");
}

#[actix_web::test]
async fn messages_need_an_app_an_agreement_and_the_right_names() {
    let fixture = Fixture::start().await;
    let inquiry = fixture.get("/v2/inquiries?limit=1").await.body["items"][0].clone();
    let target = format!("/v2/messages?threadId={}", inquiry["thread_ids"][0]);
    let page = fixture.get(&target).await;
    assert_eq!((page.status, &page.body["thread"]["inquiry_id"]), (200, &inquiry["id"]));
    assert_eq!(page.body["guest"]["id"], inquiry["guest_id"]);

    let misspelt = fixture.get("/v2/messages?thread_id=1").await;
    assert_eq!((misspelt.status, &misspelt.body["error"]["code"]), (405, &json!("UnsupportedApiVersion")));
    assert_eq!(fixture.get("/v2/messages").await.status, 400);
    assert_eq!(fixture.get("/v2/messages?threadId=1").await.status, 404);

    let first = fixture.first();
    let personal = basic(&first.email, &first.personal_access_token);
    let refused = fixture.send("GET", &target, &personal, None).await;
    assert_eq!((refused.status, &refused.body["code"]), (402, &json!("messaging_not_enabled")));
    assert_eq!(fixture.send("GET", "/v2/webhooksubscriptions", &personal, None).await.status, 403);
    fixture.controls().change(|switches| switches.messaging = false);
    assert_eq!(fixture.get(&target).await.status, 402);
}

#[actix_web::test]
async fn wrong_writes_change_nothing() {
    let fixture = Fixture::start().await;
    let authorization = fixture.bearer(fixture.first().id);
    let property = fixture.get("/v2/properties?limit=1").await.body["items"][0].clone();
    let booking = ids(&fixture.get("/v2/bookings?since_utc=2026-01-01").await.body)[0];
    let guest_field = fixture.get("/v2/fielddefinitions?type=contact").await.body["items"][0]["id"].clone();
    let night = json!({"property_id": property["id"], "date": "2028-01-01", "amount": 80});
    let with = |base: &Value, more: Value| {
        let mut all = base.clone();
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        all
    };
    let stay = json!({"property_id": property["id"], "arrival": "2028-02-01", "departure": "2028-02-05"});
    for (method, path, body) in [
        ("PATCH", "/v2/spotrates", json!([night, with(&night, json!({"currency": "XXX"}))])),
        ("PATCH", "/v2/spotrates", json!([night, with(&night, json!({"property_id": 1}))])),
        ("PATCH", "/v2/spotrates", json!([night, {"amount": 1}])),
        ("PATCH", "/v2/spotrates", night.clone()),
        ("POST", "/v2/quotes", stay.clone()),
        ("POST", "/v2/quotes", with(&stay, json!({"guest_id": 1}))),
        ("POST", "/v2/quotes", with(&stay, json!({"test": true, "validate_rules": true, "departure": "2028-02-02"}))),
        ("POST", "/v2/messages", json!({"thread_id": 1, "body": "Hello"})),
        ("POST", "/v2/tags", json!({"name": "x", "entity_type": "guest", "entity_id": booking})),
        ("POST", "/v2/tagdefinitions", json!({"name": "Waterfront"})),
        (
            "POST",
            "/v2/fields",
            json!({"entity_type": "booking", "entity_id": booking, "field_definition_id": guest_field, "value": "x"}),
        ),
    ] {
        let refused = fixture.send(method, path, &authorization, Some(body.clone())).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("validation_failed")), "{path} {body}");
    }
    let target = format!("/v2/spotrates?property_ids={}&from=2028-01-01&to=2028-01-01", property["id"]);
    assert_eq!(fixture.get(&target).await.body["items"], json!([]));
    let idle = fixture.send("PATCH", "/v2/spotrates", &authorization, Some(json!([]))).await;
    assert_eq!((idle.status, idle.body), (200, json!([])));
}

#[actix_web::test]
async fn money_agrees_with_the_bookings() {
    let fixture = Fixture::start().await;
    let bookings = fixture.get("/v2/bookings?since_utc=2020-01-01&status=canceled&limit=100").await.body;
    let canceled = bookings["items"].as_array().into_iter().flatten();
    let mut refunds = 0;
    for booking in canceled.filter(|one| one["total_refunded"].as_f64().unwrap_or_default() > 0.0).take(20) {
        let of_booking = format!("booking_id={}", booking["id"]);
        let refund = fixture.get(&format!("/v2/refunds?{of_booking}")).await.body["items"][0].clone();
        let payment = fixture.get(&format!("/v2/payments?{of_booking}")).await.body["items"][0].clone();
        assert_eq!(refund["amount"], booking["total_refunded"]);
        assert_eq!((&payment["amount"], &payment["id"]), (&booking["total_paid"], &refund["linked_payment_id"]));
        refunds += 1;
    }
    assert!(refunds > 3, "{refunds}");
    let deposit = fixture.get("/v2/deposits?since_utc=2020-01-01").await.body["items"][0].clone();
    let payments = fixture.get("/v2/payments?since_utc=2020-01-01&limit=100").await.body;
    let paid_out = payments["items"].as_array().into_iter().flatten().filter(|one| one["is_deposited"] == true);
    assert!(paid_out.clone().count() > 3 && deposit["total_deposited"].as_f64() > Some(0.0));
    for payment in paid_out.take(20) {
        let target = format!("/v2/deposits?booking_id={}", payment["booking_id"]);
        assert_eq!(fixture.get(&target).await.body["items"][0]["id"], payment["deposits"][0]["id"]);
    }
}
