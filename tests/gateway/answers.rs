//! Composite tools: their responses agree with the plain tools, and their requests are counted.

mod fields;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use ownerrez_gateway::simulator::Rule;
use serde_json::{Value, json};

use crate::world::{Gateway, Person, on_each_database};

const ANY: &str = "* /v2/*";
const TODAY: &str = "2026-06-15";

/// Calls a tool and checks its number of requests, which the response also has to state.
async fn asked(gateway: &Gateway, person: &Person, tool: &str, arguments: Value, requests: usize) -> Value {
    gateway.ownerrez().clear_requests();
    let answer = person.call(tool, arguments).await.ok();
    assert_eq!(gateway.ownerrez().count(ANY), requests, "{tool}: {:?}", gateway.ownerrez().requests());
    assert_eq!(answer["requests_used"], json!(requests), "{tool}");
    answer
}

/// Returns the user of an account with twelve properties, a third of them without a time zone.
async fn host_of_many(gateway: &Gateway) -> Person {
    let account = gateway.ownerrez().accounts()[0].id;
    gateway.user("Host").await.connect(gateway, account).await
}

/// Returns all records of a list, with the plain tool.
async fn all(person: &Person, tool: &str, mut arguments: Value) -> Vec<Value> {
    let mut found = Vec::new();
    arguments["limit"] = json!(100);
    loop {
        let page = person.call(tool, arguments.clone()).await.ok();
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        match page.get("next_offset") {
            Some(next) => arguments["offset"] = next.clone(),
            None => return found,
        }
    }
}

async fn all_bookings(person: &Person) -> Vec<Value> {
    all(person, "list_bookings", json!({"since_utc": "2000-01-01T00:00:00Z"})).await
}

fn ids(records: &Value, member: &str) -> BTreeSet<i64> {
    records.as_array().unwrap().iter().map(|record| record[member].as_i64().unwrap()).collect()
}

fn is_guest(booking: &Value) -> bool {
    booking["type"] == json!("booking") && booking["status"] == json!("active")
}

fn on(booking: &Value, member: &str) -> String {
    booking[member].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn who_is_staying_agrees_with_the_bookings() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host_of_many(&gateway).await;
        let bookings = all_bookings(&host).await;
        let wanted = |test: &dyn Fn(&Value) -> bool| -> BTreeSet<i64> {
            bookings.iter().filter(|one| is_guest(one) && test(one)).map(|one| one["id"].as_i64().unwrap()).collect()
        };
        // Today. Some properties have no time zone, so the account's is requested, once.
        let today = asked(&gateway, &host, "who_is_staying", json!({}), 4).await;
        // A span with given days.
        let (first, last) = ("2026-06-10", "2026-06-24");
        let span = asked(&gateway, &host, "who_is_staying", json!({"from": first, "to": last}), 3).await;
        let mut seen = 0;
        for (answer, first, last) in [(&today, TODAY, TODAY), (&span, first, last)] {
            assert_eq!(answer["covered"]["from"], json!(first));
            assert_eq!(answer["covered"]["to"], json!(last));
            assert_eq!(answer["covered"]["time_zones"], json!(["America/New_York"]));
            assert_eq!(answer["covered"]["properties"].as_array().unwrap().len(), 12);
            assert_eq!(answer["complete"], json!(true));
            let within = |day: String| day.as_str() >= first && day.as_str() <= last;
            assert_eq!(ids(&answer["arrivals"], "booking_id"), wanted(&|one| within(on(one, "arrival"))));
            assert_eq!(ids(&answer["departures"], "booking_id"), wanted(&|one| within(on(one, "departure"))));
            let sleeps = |one: &Value| on(one, "arrival").as_str() <= last && on(one, "departure").as_str() > first;
            assert_eq!(ids(&answer["in_house"], "booking_id"), wanted(&sleeps));
            seen += answer["in_house"].as_array().unwrap().len();
            let is_block = |one: &Value| one["is_block"] == json!(true) && one["type"] != json!("owner");
            let blocks = bookings.iter().filter(|one| is_block(one) && sleeps(one)).count();
            assert_eq!(answer["blocks"].as_array().unwrap().len(), blocks);
        }
        assert!(seen > 10, "the story needs guests: {seen}");
        assert!(today["covered"]["time_zone_note"].as_str().unwrap().contains("4 properties"), "{}", today["covered"]);
        let guest = &span["in_house"][0];
        assert!(guest["guest"].is_string() && guest["property"].is_string() && guest["url"].is_string(), "{guest}");

        // One property only, and one that does not exist.
        let one = span["arrivals"][0]["property_id"].clone();
        let few = json!({"from": first, "to": last, "property_ids": [one]});
        let few = asked(&gateway, &host, "who_is_staying", few, 3).await;
        assert_eq!(few["covered"]["properties"].as_array().unwrap().len(), 1);
        assert_eq!(ids(&few["in_house"], "property_id"), BTreeSet::from([one.as_i64().unwrap()]));
        let refused = host.call("who_is_staying", json!({"property_ids": [7]})).await.refused();
        assert!(refused.contains("no property 7"), "{refused}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn today_is_the_day_where_the_houses_stand() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        // A message settles permits, so the clock must not advance before the allowance has read it.
        gateway.app().sessions().observe_allowance().await;
        // It is ten in the evening in Chicago, and the next day in UTC.
        gateway.advance(TimeDelta::hours(15));
        assert_eq!(gateway.now().date_naive().to_string(), "2026-06-16");
        let answer = asked(&gateway, &alice, "who_is_staying", json!({}), 3).await;
        assert_eq!((&answer["covered"]["from"], &answer["covered"]["to"]), (&json!(TODAY), &json!(TODAY)));
        let briefing = asked(&gateway, &alice, "todays_briefing", json!({}), 5).await;
        assert_eq!(briefing["covered"]["from"], json!(TODAY));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn free_stays_are_free_and_a_block_takes_them_away() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host_of_many(&gateway).await;
        let bookings = all_bookings(&host).await;
        let takes = |property: &Value, arrival: &str, departure: &str| {
            bookings.iter().any(|one| {
                one["property_id"] == *property
                    && one["status"] != json!("canceled")
                    && on(one, "arrival").as_str() < departure
                    && on(one, "departure").as_str() > arrival
            })
        };
        let dates = json!({"arrival": "2026-09-18", "departure": "2026-09-21"});
        let exact = asked(&gateway, &host, "find_availability", dates.clone(), 1).await;
        let free = exact["free"].as_array().unwrap();
        assert!(!free.is_empty(), "{exact}");
        for offer in free {
            assert!(!takes(&offer["property_id"], "2026-09-18", "2026-09-21"), "{offer}");
        }
        // The search, and one request for each property with free nights.
        let mut few = dates.clone();
        few["property_ids"] = json!([free[0]["property_id"]]);
        few["prices"] = json!(true);
        let priced = asked(&gateway, &host, "find_availability", few.clone(), 2).await;
        let rent = priced["free"][0]["rent"].as_f64().unwrap();
        assert!(rent > 0.0 && priced["free"][0]["currency"] == json!("USD"), "{priced}");
        few["max_rent"] = json!(rent - 1.0);
        let dear = asked(&gateway, &host, "find_availability", few.clone(), 2).await;
        assert_eq!((&dear["free"], dear["not_possible"].as_array().unwrap().len()), (&json!([]), 1));

        // Two days earlier or later: the search, the bookings, and one calendar.
        few["max_rent"] = json!(rent * 3.0);
        few["flexible_days"] = json!(2);
        let flexible = asked(&gateway, &host, "find_availability", few.clone(), 3).await;
        let offers = flexible["free"].as_array().unwrap();
        assert!(offers.iter().any(|offer| offer["arrival"] == json!("2026-09-18")), "{flexible}");
        for offer in offers {
            let (arrival, departure) = (on(offer, "arrival"), on(offer, "departure"));
            assert!(!takes(&offer["property_id"], &arrival, &departure), "{offer}");
        }
        assert_eq!((&flexible["covered"]["from"], &flexible["covered"]["to"]), (&json!("2026-09-16"), &json!("2026-09-23")));

        // A blocked property is not offered by any kind of call.
        let block = json!({"property_id": free[0]["property_id"], "is_block": true, "arrival": "2026-09-18", "departure": "2026-09-21"});
        host.call("create_booking", block).await.ok();
        assert_eq!(asked(&gateway, &host, "find_availability", few, 2).await["free"], json!([]));
        let exact = asked(&gateway, &host, "find_availability", dates, 1).await;
        assert!(!ids(&exact["free"], "property_id").contains(&free[0]["property_id"].as_i64().unwrap()));

        // With more candidates than requests, the response lists the unchecked properties: here all ten open ones.
        let wide = json!({"arrival": "2027-04-10", "departure": "2027-04-13", "prices": true, "flexible_days": 7});
        let wide = asked(&gateway, &host, "find_availability", wide, 10).await;
        assert_eq!((&wide["complete"], wide["unchecked"].as_array().unwrap().len()), (&json!(false), 2));
        assert!(wide["missing"][0].as_str().unwrap().contains("property_ids"), "{wide}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn research_finds_and_fetches_in_the_form_that_chatgpt_asks_for() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bookings =
            all(&alice, "list_bookings", json!({"since_utc": "2000-01-01T00:00:00Z", "include_guest": true})).await;
        let booking = bookings.iter().find(|one| is_guest(one)).unwrap();
        let name = booking["guest"]["last_name"].as_str().unwrap();
        let members = |record: &Value| record.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let exactly = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();

        let mut kinds = BTreeSet::new();
        for (query, requests) in [
            (name.to_owned(), 6),
            ("Alice".to_owned(), 6),
            ("vrbo".to_owned(), 6),
            ("nothing fits this".to_owned(), 7),
            (format!("ORB{}", booking["id"]), 1),
            ("ORB7".to_owned(), 1),
        ] {
            gateway.ownerrez().clear_requests();
            let reply = alice.call("search", json!({"query": query})).await;
            assert_eq!(gateway.ownerrez().count(ANY), requests, "{query}");
            let texts = reply.0.body["result"]["content"].as_array().unwrap().clone();
            let answer = reply.ok();
            assert_eq!(texts.len(), 1);
            assert_eq!(serde_json::from_str::<Value>(texts[0]["text"].as_str().unwrap()).unwrap(), answer);
            assert_eq!(members(&answer), exactly(&["results"]));
            let results = answer["results"].as_array().unwrap();
            assert_eq!(results.is_empty(), query == "nothing fits this" || query == "ORB7", "{query}: {answer}");
            let mut seen = BTreeSet::new();
            for result in results {
                assert_eq!(members(result), exactly(&["id", "title", "url"]));
                let (kind, _) = result["id"].as_str().unwrap().split_once(':').unwrap();
                kinds.insert(kind.to_owned());
                assert!(result["url"].as_str().unwrap().starts_with(&gateway.simulator.url()));
                if !seen.insert(kind.to_owned()) {
                    continue;
                }
                gateway.ownerrez().clear_requests();
                let fetched = alice.call("fetch", json!({"id": result["id"]})).await.ok();
                assert_eq!(members(&fetched), exactly(&["id", "title", "text", "url", "metadata"]));
                assert_eq!((&fetched["id"], &fetched["url"]), (&result["id"], &result["url"]));
                assert!(fetched["text"].as_str().unwrap().contains("id: "), "{fetched}");
                assert_eq!(fetched["metadata"]["requests_used"], json!(gateway.ownerrez().count(ANY)));
            }
        }
        assert_eq!(kinds, exactly(&["booking", "guest", "inquiry", "property", "quote"]));

        gateway.ownerrez().clear_requests();
        for id in ["", "7", "booking", "booking:", "booking:x", "booking:-1", "door:7", "booking:7/../8"] {
            alice.call("fetch", json!({"id": id})).await.refused();
        }
        assert_eq!(gateway.ownerrez().count(ANY), 0, "wrong ids cost nothing");
        let gone = alice.call("fetch", json!({"id": "booking:7"})).await.refused();
        assert!(gone.contains("404"), "{gone}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_dossier_holds_all_about_a_booking() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let bookings = all_bookings(&alice).await;
        let threaded = |one: &&Value| is_guest(one) && one["thread_ids"].is_array();
        let booking = bookings.iter().find(threaded).unwrap();
        let id = booking["id"].clone();
        let dossier = asked(&gateway, &alice, "booking_dossier", json!({"booking_id": id}), 5).await;
        let money = &dossier["money"];
        assert_eq!((&money["charges_sum"], &money["payments_sum"]), (&money["total"], &money["paid"]), "{money}");
        assert_eq!(dossier["guest"]["id"], booking["guest_id"]);
        assert!(dossier["guest"]["email_addresses"].is_array());
        assert_eq!(dossier["property"]["id"], booking["property_id"]);
        let messages = dossier["guest_written"]["messages"].as_array().unwrap();
        let of_guests = ["guest", "cotraveler", "third_party_booker"].map(Value::from);
        assert!(messages.iter().any(|message| of_guests.contains(&message["from_role"])), "{dossier}");
        assert!(!dossier.to_string().contains("door_code\""));
        assert!(dossier["booking"]["notes"].is_null() && dossier["guest"]["notes"].is_null(), "only as guest_written");

        asked(&gateway, &alice, "booking_dossier", json!({"booking_id": id, "messages": false}), 4).await;
        let canceled = bookings.iter().find(|one| one["total_refunded"].as_f64().is_some_and(|sum| sum > 0.0)).unwrap();
        let refunded = json!({"booking_id": canceled["id"], "messages": false});
        let refunded = asked(&gateway, &alice, "booking_dossier", refunded, 5).await;
        assert_eq!(refunded["money"]["refunds_sum"], canceled["total_refunded"]);
        let block = bookings.iter().find(|one| one["is_block"] == json!(true)).unwrap();
        let block = asked(&gateway, &alice, "booking_dossier", json!({"booking_id": block["id"]}), 2).await;
        assert!(block["guest"].is_null());

        // Without access to messages the rest is returned, and the response lists what is missing.
        let refusal = json!({"messages": ["no"], "code": "messaging_not_enabled", "status_code": 402});
        gateway.ownerrez().script(Rule::on("GET /v2/messages").reply(402, refusal));
        let silent = asked(&gateway, &alice, "booking_dossier", json!({"booking_id": id}), 5).await;
        assert_eq!(silent["complete"], json!(false));
        assert!(silent["missing"][0].as_str().unwrap().contains("messaging agreement"), "{silent}");
        // Any other failure fails the whole call.
        gateway.ownerrez().script(Rule::on("GET /v2/payments").reply(500, json!({})));
        let failed = alice.call("booking_dossier", json!({"booking_id": id})).await.refused();
        assert!(failed.contains("list_payments") && failed.contains("500"), "{failed}");
        let unknown = alice.call("booking_dossier", json!({"booking_id": 7})).await.refused();
        assert!(unknown.contains("get_booking") && unknown.contains("404"), "{unknown}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn calendars_and_revenue_add_up() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let host = host_of_many(&gateway).await;
        let days = json!({"from": "2026-06-01", "to": "2026-06-30"});
        let overview = asked(&gateway, &host, "calendar_overview", days.clone(), 3).await;
        let properties = overview["properties"].as_array().unwrap();
        let sum = |member: &str| properties.iter().map(|one| one[member].as_i64().unwrap()).sum::<i64>();
        assert_eq!(sum("guest_nights") + sum("other_nights") + sum("free_nights"), 12 * 30);
        assert_eq!(overview["all"]["guest_nights"], json!(sum("guest_nights")));
        let gaps = properties.iter().flat_map(|one| one["gaps"].as_array().unwrap());
        assert_eq!(gaps.clone().map(|gap| gap["nights"].as_i64().unwrap()).sum::<i64>(), sum("free_nights"));
        assert!(gaps.clone().any(|gap| gap["may_continue"].is_null()));
        assert!(gaps.clone().any(|gap| gap["departure"] == "2026-07-01" && gap["may_continue"] == "after"));
        // The calendar of OwnerRez agrees.
        let first = &properties[0];
        let calendar = json!({"property_id": first["property_id"], "from": "2026-06-01", "to": "2026-06-30"});
        let calendar = host.call("get_property_calendar", calendar).await.ok();
        let nights = calendar["days"].as_array().unwrap();
        let free = nights.iter().filter(|day| day["booking_id"].is_null()).count();
        assert_eq!(first["free_nights"], json!(free));

        let bookings = all_bookings(&host).await;
        let june = |one: &&Value| is_guest(one) && on(one, "arrival").starts_with("2026-06");
        let total: f64 = bookings.iter().filter(june).map(|one| one["total_amount"].as_f64().unwrap()).sum();
        let revenue = asked(&gateway, &host, "revenue_summary", days.clone(), 3).await;
        let usd = &revenue["currencies"][0];
        assert_eq!(usd["currency"], json!("USD"));
        assert_eq!(usd["all"]["bookings"], json!(bookings.iter().filter(june).count()));
        assert!((usd["all"]["total"].as_f64().unwrap() - total).abs() < 0.005, "{} {total}", usd["all"]);
        let mut by_night = days;
        by_night["count_by"] = json!("night");
        let by_night = asked(&gateway, &host, "revenue_summary", by_night, 3).await;
        assert_eq!(by_night["currencies"][0]["all"]["nights"], overview["all"]["guest_nights"]);
        assert_ne!(by_night["counted"], revenue["counted"]);
        for part in ["by_property", "by_month", "by_channel"] {
            for answer in [&revenue, &by_night] {
                let usd = &answer["currencies"][0];
                let parts = usd[part].as_array().unwrap().iter();
                let sum: f64 = parts.map(|one| one["total"].as_f64().unwrap()).sum();
                assert!((sum - usd["all"]["total"].as_f64().unwrap()).abs() < 0.005, "{part}: {usd}");
            }
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_briefing_tells_what_is_new() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let briefing = asked(&gateway, &alice, "todays_briefing", json!({}), 5).await;
        let today = asked(&gateway, &alice, "who_is_staying", json!({}), 3).await;
        for part in ["arrivals", "departures", "owner_stays"] {
            assert_eq!(briefing[part], today[part]);
        }
        assert_eq!(briefing["in_house"], today["counts"]["in_house"]);

        let property = today["covered"]["properties"][0]["id"].clone();
        let guest = alice.call("create_guest", json!({"first_name": "Nova", "last_name": "Just-Booked"})).await.ok();
        let free = json!({"arrival": "2026-12-01", "departure": "2026-12-05", "property_ids": [property]});
        let free = alice.call("find_availability", free).await.ok();
        assert_eq!(free["free"].as_array().unwrap().len(), 1, "{free}");
        let stay = json!({"property_id": property, "guest_id": guest["id"], "arrival": "2026-12-01", "departure": "2026-12-05"});
        let booked = alice.call("create_booking", stay).await.ok();
        let briefing = asked(&gateway, &alice, "todays_briefing", json!({}), 5).await;
        let new = &briefing["last_24_hours"]["new_bookings"];
        assert!(ids(new, "booking_id").contains(&booked["id"].as_i64().unwrap()), "{briefing}");

        // The guest's history contains it, too.
        let of = json!({"guest_id": guest["id"]});
        let history = asked(&gateway, &alice, "guest_history", of, 4).await;
        assert_eq!(ids(&history["stays"], "booking_id"), ids(&json!([booked]), "id"));
        assert_eq!(history["spent"][0]["total"], booked["total_amount"]);
        assert_eq!((&history["counts"]["nights"], &history["stays"][0]["status"]), (&json!(4), &json!("coming")));
        let by_name = asked(&gateway, &alice, "guest_history", json!({"query": "Just-Booked"}), 4).await;
        assert_eq!(by_name["stays"], history["stays"]);
        let several = asked(&gateway, &alice, "guest_history", json!({"query": "a"}), 1).await;
        assert!(several["candidates"].as_array().unwrap().len() > 1 && several["complete"] == json!(false));
        assert!(alice.call("guest_history", json!({"query": "nobody is called so"})).await.refused().contains("No guest"));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_read_key_may_ask_everything() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let key = alice.post("/api/keys", &json!({"name": "reader", "scope": "read"})).await;
        let reader = alice.with_key(key.body["api_key"].as_str().unwrap(), &alice.id);
        let booking = all_bookings(&alice).await[0]["id"].clone();
        for (tool, arguments) in [
            ("who_is_staying", json!({})),
            ("find_availability", json!({"arrival": "2026-09-18", "departure": "2026-09-21", "flexible_days": 1})),
            ("booking_dossier", json!({"booking_id": booking})),
            ("calendar_overview", json!({"from": "2026-06-01", "to": "2026-06-30"})),
            ("todays_briefing", json!({})),
            ("revenue_summary", json!({"from": "2026-06-01", "to": "2026-06-30"})),
            ("guest_history", json!({"query": "a"})),
            ("search", json!({"query": "alice"})),
            ("fetch", json!({"id": format!("booking:{booking}")})),
        ] {
            reader.call(tool, arguments).await.ok();
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn wrong_questions_cost_nothing_and_name_what_is_wrong() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        gateway.ownerrez().clear_requests();
        for (tool, arguments, named) in [
            ("who_is_staying", json!({"from": "2026-06-20", "to": "2026-06-19"}), "`to_date`"),
            ("who_is_staying", json!({"from": "2026-06-20", "to": "2027-06-19"}), "at most 92"),
            ("who_is_staying", json!({"form_date": "2026-06-20"}), "`from_date`"),
            ("find_availability", json!({"arrival": "2026-06-20"}), "`departure` is missing"),
            ("find_availability", json!({"arrival": "2026-06-20", "departure": "2026-06-20"}), "later than"),
            ("booking_dossier", json!({}), "`booking_id`"),
            ("calendar_overview", json!({"from_date": "9999-12-31", "to_date": "9999-12-30"}), "`to_date`"),
            ("revenue_summary", json!({"from": "2026-06-01", "to": "2026-06-30", "count_by": "moon"}), "`count_by`"),
            ("guest_history", json!({}), "`guest_id` or `query`"),
            ("guest_history", json!({"guest_id": 1, "query": "x"}), "not both"),
            ("search", json!({"query": ""}), "`query`"),
        ] {
            let refused = alice.call(tool, arguments.clone()).await.refused();
            assert!(refused.contains(named) && refused.contains("Nothing was sent"), "{tool} {arguments}: {refused}");
        }
        assert_eq!(gateway.ownerrez().count(ANY), 0);
        let guest = all_bookings(&alice).await.iter().find(|one| is_guest(one)).unwrap()["guest_id"].clone();
        // The first and last days of the calendar are valid, too.
        for day in [("0000-01-01", "0000-01-02"), ("9999-12-30", "9999-12-31")] {
            alice.call("who_is_staying", json!({"from": day.1})).await.ok();
            alice.call("guest_history", json!({"guest_id": guest, "from": day.0})).await.ok();
            let shifted = json!({"arrival": day.0, "departure": day.1, "flexible_days": 7});
            alice.call("find_availability", shifted).await.ok();
        }
        let unknown = alice.call("who_is_stayin", json!({})).await.0;
        assert!(unknown.body["error"]["message"].as_str().unwrap().contains("who_is_staying"), "{}", unknown.body);
        let stranger = gateway.user("Stranger").await;
        let told = stranger.call("todays_briefing", json!({})).await.refused();
        assert!(told.contains("/api/connect/ownerrez/authorize?state="), "{told}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_endless_list_ends_after_ten_requests_and_says_so() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let booking = all_bookings(&alice).await[0].clone();
        let page = json!({"items": [booking, {"id": 1}], "limit": 100, "next_page_url": "https://x.example/more"});
        gateway.ownerrez().script(Rule::on("GET /v2/bookings").always().reply(200, page));
        let days = json!({"from": "2026-06-01", "to": "2026-06-30"});
        let answer = asked(&gateway, &alice, "revenue_summary", days, 10).await;
        assert_eq!(answer["complete"], json!(false));
        let missing = answer["missing"].to_string();
        assert!(missing.contains("fewer days") && missing.contains("have no dates"), "{missing}");
        gateway.stop().await;
    })
    .await;
}
