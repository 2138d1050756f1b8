//! Composite tools against an account with every variation that does not reject a whole group of operations: each
//! response equals the result computed from the simulator's full data.

mod availability;
mod full_data;
mod large;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use ownerrez_gateway::{domain::AccountId, simulator::Variations};
use serde_json::{Value, json};

use self::{
    availability::{Calendars, check_availability},
    full_data::{CountBy, FullData, Group, History, Ids, Nights, Sums, cents, day, id, is_of_guest},
};
use crate::world::{Gateway, Person, Settings, on_each_database};

/// A host whose account has two currencies, two time zones, an inactive property and these variations.
struct Varied {
    gateway: Gateway,
    host: Person,
    account: AccountId,
    full: FullData,
}

impl Varied {
    async fn start(database: &crate::world::TestDatabase, settings: Settings) -> Self {
        let gateway = Gateway::start_with(database, settings).await;
        let account = gateway.ownerrez().accounts()[1].id;
        gateway.ownerrez().vary(account, |variations| *variations = Variations::all_but_refusals());
        let full = FullData::of(gateway.ownerrez(), account);
        assert_eq!(full.inactive().len(), 1);
        let host = gateway.user("Host").await.connect(&gateway, account).await;
        Self { gateway, host, account, full }
    }

    /// Calls a tool and checks that the response is complete.
    async fn whole(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.host.call(tool, arguments).await.ok();
        assert_eq!(answer["complete"], json!(true), "{tool}: {}", answer["missing"]);
        answer
    }

    fn records(&self, collection: &str) -> Vec<Value> {
        self.gateway.ownerrez().records(self.account, collection)
    }
}

fn ids(records: &Value, member: &str) -> Ids {
    records.as_array().unwrap().iter().map(|record| record[member].as_i64().unwrap()).collect()
}

fn covered(answer: &Value) -> Ids {
    ids(&answer["covered"]["properties"], "id")
}

/// Returns the bookings in each part of a response.
fn listed<'a>(answer: &Value, parts: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, Ids> {
    parts.into_iter().map(|part| (part, ids(&answer[part], "booking_id"))).collect()
}

/// Returns the nights of each property of an overview, and checks that its gaps add up to the free nights.
fn nights(answer: &Value) -> BTreeMap<i64, Nights> {
    let of = |one: &Value| {
        let count = |member: &str| one[member].as_u64().unwrap() as usize;
        let gaps = one["gaps"].as_array().unwrap().iter().map(|gap| gap["nights"].as_u64().unwrap() as usize);
        assert_eq!(gaps.sum::<usize>(), count("free_nights"), "{one}");
        let nights =
            Nights { guests: count("guest_nights"), others: count("other_nights"), free: count("free_nights") };
        (one["property_id"].as_i64().unwrap(), nights)
    };
    answer["properties"].as_array().unwrap().iter().map(of).collect()
}

/// Checks all sums of a revenue summary. An amount that is counted by night is rounded for each stay, so a sum may
/// differ by less than one cent for each stay.
fn check_revenue(answer: &Value, expected: &BTreeMap<Group, Sums>, count_by: CountBy) {
    let mut answered: BTreeMap<Group, &Value> = BTreeMap::new();
    for currency in answer["currencies"].as_array().unwrap() {
        let code = currency["currency"].as_str().unwrap().to_owned();
        answered.insert((code.clone(), "all", String::new()), &currency["all"]);
        for (part, member) in [("by_property", "property_id"), ("by_month", "month"), ("by_channel", "channel")] {
            for one in currency[part].as_array().unwrap() {
                let name = one[member].as_str().map_or_else(|| one[member].to_string(), str::to_owned);
                assert!(answered.insert((code.clone(), part, name), one).is_none(), "twice: {one}");
            }
            // The groups of each part add up to the whole.
            for sum in ["total", "rent", "taxes", "other", "nights", "bookings"] {
                let all = currency[part].as_array().unwrap().iter().map(|one| cents(&one[sum]));
                assert_eq!(all.sum::<i64>(), cents(&currency["all"][sum]), "{code} {part} {sum}");
            }
        }
    }
    assert!(answered.keys().eq(expected.keys()), "{:?} {:?}", answered.keys(), expected.keys());
    for (group, sums) in expected {
        let one = answered[group];
        assert_eq!((&one["bookings"], &one["nights"]), (&json!(sums.bookings), &json!(sums.nights)), "{group:?}");
        let rounding = if count_by == CountBy::Night { sums.stays.len() as f64 } else { 0.01 };
        let total = sums.rent + sums.taxes + sums.other;
        for (member, expected) in [("total", total), ("rent", sums.rent), ("taxes", sums.taxes)] {
            let difference = (cents(&one[member]) as f64 - expected).abs();
            assert!(difference < rounding, "{group:?} {member}: {one} differs by {difference} from {expected}");
        }
        let parts = ["rent", "taxes", "other"].map(|part| cents(&one[part]));
        assert_eq!(parts.into_iter().sum::<i64>(), cents(&one["total"]), "{group:?}");
    }
}

/// Returns the counts and sums of a guest's history.
fn history(answer: &Value) -> History {
    let count = |member: &str| answer["counts"][member].as_i64().unwrap();
    let spent = answer["spent"].as_array().unwrap().iter();
    let status = |one: &Value| {
        let known = ["past", "in house", "coming", "pending", "canceled"];
        let status = known.into_iter().find(|status| one["status"] == *status);
        (one["booking_id"].as_i64().unwrap(), status.unwrap_or("another status"))
    };
    History {
        stays: count("stays"),
        nights: count("nights"),
        canceled: count("canceled"),
        spent: spent.map(|one| (one["currency"].as_str().unwrap().to_owned(), cents(&one["total"]))).collect(),
        status: answer["stays"].as_array().unwrap().iter().map(status).collect(),
    }
}

/// Checks the parts of a briefing that concern the covered properties from today on.
fn check_briefing(full: &FullData, answer: &Value) {
    let covered = covered(answer);
    let expected = full.staying(&covered, today(), today());
    for part in ["arrivals", "departures", "owner_stays"] {
        assert_eq!(ids(&answer[part], "booking_id"), expected[part], "{part}");
    }
    assert_eq!(answer["in_house"], json!(expected["in_house"].len()));
    let changeovers = answer["changeovers"].as_array().unwrap().iter().filter_map(Value::as_i64);
    assert_eq!(changeovers.collect::<Ids>(), full.changeovers(&covered, today()));
    let week = today() + chrono::TimeDelta::days(7);
    assert_eq!(ids(&answer["pending"], "booking_id"), full.pending(&covered, today(), week));
    assert_eq!(ids(&answer["owed_by_arrivals_of_7_days"], "booking_id"), full.owed(&covered, today(), week));
}

/// Checks the other part of a briefing for the properties that it covers. Returns whether it lacks nothing.
fn check_last_24_hours(full: &FullData, answer: &Value) -> bool {
    let since = "2026-06-14T12:00:00Z";
    let (covered, lately) = (covered(answer), &answer["last_24_hours"]);
    let unread = lately["missing_properties"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
    let read = &covered - &unread;
    let of_read = |part: &str| {
        let listed = lately[part].as_array().unwrap().iter();
        let listed = listed.filter(|one| read.contains(&one["property_id"].as_i64().unwrap()));
        listed.map(|one| one["booking_id"].as_i64().unwrap()).collect::<Ids>()
    };
    assert_eq!(of_read("new_bookings"), full.since(&read, "created_utc", "active", since));
    assert_eq!(of_read("canceled"), full.since(&read, "canceled_utc", "canceled", since));
    let (listed, expected) = (ids(&lately["inquiries"], "inquiry_id"), full.inquiries_since(&covered, since));
    let all_inquiries = !answer["missing"].to_string().contains("list_inquiries");
    assert!(if all_inquiries { listed == expected } else { listed.is_subset(&expected) }, "{listed:?} {expected:?}");
    all_inquiries && unread.is_empty()
}

fn today() -> NaiveDate {
    day("2026-06-15")
}

#[actix_web::test]
async fn stays_nights_and_revenue_equal_the_full_data() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let (all, inactive) = (varied.full.ids(), varied.full.inactive());
        let mut of_inactive = 0;
        for (arguments, first, last) in [
            (json!({}), today(), today()),
            (json!({"from": "2026-05-01", "to": "2026-07-20"}), day("2026-05-01"), day("2026-07-20")),
            (json!({"from": "2025-01-01", "to": "2025-03-31"}), day("2025-01-01"), day("2025-03-31")),
        ] {
            let answer = varied.whole("who_is_staying", arguments).await;
            let expected = varied.full.staying(&all, first, last);
            assert_eq!(listed(&answer, expected.keys().copied()), expected, "{first}");
            assert_eq!(covered(&answer), all);
            of_inactive += varied.full.staying(&inactive, first, last)["arrivals"].len();
        }
        let overview = varied.whole("calendar_overview", json!({"from": "2026-03-01", "to": "2026-08-31"})).await;
        assert_eq!(nights(&overview), varied.full.nights(day("2026-03-01"), day("2026-08-31")));

        for (from, to) in [("2025-01-01", "2025-12-31"), ("2026-06-01", "2026-06-30")] {
            for (name, count_by) in [("arrival", CountBy::Arrival), ("night", CountBy::Night)] {
                let mut asked = json!({"from": from, "to": to, "count_by": name});
                let answer = varied.whole("revenue_summary", asked.clone()).await;
                check_revenue(&answer, &varied.full.revenue(&all, day(from), day(to), count_by), count_by);
                assert_eq!(covered(&answer), all);
                // An inactive property can be requested alone.
                asked["property_ids"] = json!(inactive);
                let answer = varied.whole("revenue_summary", asked).await;
                let expected = varied.full.revenue(&inactive, day(from), day(to), count_by);
                check_revenue(&answer, &expected, count_by);
                let stays = expected.iter().filter(|((_, part, _), _)| *part == "all");
                of_inactive += stays.map(|(_, sums)| sums.stays.len()).sum::<usize>();
            }
        }
        assert!(of_inactive > 3, "the story needs stays at an inactive property: {of_inactive}");
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_briefing_equals_the_full_data() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let answer = varied.whole("todays_briefing", json!({})).await;
        check_briefing(&varied.full, &answer);
        assert!(check_last_24_hours(&varied.full, &answer));
        assert_eq!(covered(&answer), varied.full.ids());
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn free_stays_equal_the_full_data() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let mut calendars = Calendars::of(&varied.gateway, varied.account);
        let (mut offered, mut refused, mut unchecked) = (0, 0, 0);
        for (arrival, departure) in [
            ("2026-07-04", "2026-07-11"),
            ("2026-07-20", "2026-07-22"),
            ("2026-09-18", "2026-09-21"),
            ("2026-10-03", "2026-10-05"),
        ] {
            for extra in [
                json!({}),
                json!({"prices": true}),
                json!({"max_rent": 1_000}),
                json!({"flexible_days": 1}),
                json!({"flexible_days": 2, "max_rent": 800}),
            ] {
                let mut arguments = json!({"arrival": arrival, "departure": departure});
                arguments.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
                let answer = varied.host.call("find_availability", arguments.clone()).await.ok();
                check_availability(&varied.full, &mut calendars, &arguments, &answer).await;
                let count = |part: &str| answer[part].as_array().unwrap().len();
                offered += count("free");
                refused += count("not_possible");
                unchecked += count("unchecked");
            }
        }
        assert!(offered > 0 && refused > 0 && unchecked > 0, "{offered} {refused} {unchecked}");
        // An inactive property is never offered; if it is requested by its id, the response states the reason.
        let inactive = varied.full.inactive();
        let arguments = json!({"arrival": "2027-03-01", "departure": "2027-03-03", "property_ids": inactive});
        let answer = varied.whole("find_availability", arguments).await;
        assert_eq!((&answer["free"], ids(&answer["not_possible"], "property_id")), (&json!([]), inactive));
        assert!(answer["not_possible"][0]["why"][0].as_str().unwrap().contains("inactive"), "{answer}");
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_dossier_equals_the_full_data_and_names_the_thread_to_answer() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let inactive = varied.full.inactive();
        let threaded = |one: &&Value| is_of_guest(one) && one["status"] == "active" && one["thread_ids"].is_array();
        let at_inactive = |one: &&Value| inactive.contains(&one["property_id"].as_i64().unwrap());
        let bookings = || varied.full.bookings.iter().filter(threaded);
        let messages = varied.records("messages");
        for booking in [bookings().next().unwrap(), bookings().find(at_inactive).unwrap()] {
            let dossier = varied.whole("booking_dossier", json!({"booking_id": id(booking)})).await;
            assert_eq!(dossier["property"]["id"], booking["property_id"]);
            let thread = &booking["thread_ids"][0];
            let of_thread = |one: &&Value| one["thread_id"] == *thread && one["is_draft"] != true;
            let shown = &dossier["guest_written"]["messages"];
            assert_eq!(ids(shown, "id"), messages.iter().filter(of_thread).map(id).collect());
            for message in shown.as_array().unwrap() {
                assert_eq!(message["thread_id"], *thread, "{message}");
                // The plain tools return it, too.
                let one = varied.host.call("get_message", json!({"id": message["id"]})).await.ok();
                assert_eq!(one["thread_id"], *thread, "{one}");
            }
            let listed = json!({"threadId": thread, "fields": ["id", "thread_id"], "limit": 100});
            let listed = varied.host.call("list_messages", listed).await.ok();
            let items = listed["items"].as_array().unwrap();
            assert!(!items.is_empty() && items.iter().all(|one| one["thread_id"] == *thread), "{listed}");

            let money = &dossier["money"];
            let sum = |records: &[Value]| -> i64 {
                records.iter().filter(|one| one["booking_id"] == booking["id"]).map(|one| cents(&one["amount"])).sum()
            };
            assert_eq!(cents(&money["payments_sum"]), sum(&varied.records("payments")));
            assert_eq!(cents(&money["refunds_sum"]), sum(&varied.records("refunds")));
            let charges = booking["charges"].as_array().unwrap().iter();
            assert_eq!(cents(&money["charges_sum"]), charges.map(|line| cents(&line["amount"])).sum::<i64>());
        }
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn guests_are_found_by_first_and_last_name() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let guests = varied.records("guests");
        let name = |guest: &Value| {
            let part = |member: &str| guest[member].as_str().unwrap().to_owned();
            format!("{} {}", part("first_name"), part("last_name"))
        };
        // Guests whose full name is in no other record.
        let alone = |guest: &&Value| {
            let name = name(guest).to_lowercase();
            let has_all = |other: &&Value| {
                let text = other.to_string().to_lowercase();
                name.split(' ').all(|word| text.contains(word))
            };
            name.split(' ').count() == 2 && guests.iter().filter(has_all).count() == 1
        };
        let stayed = |guest: &&Value| !varied.full.of_guest(id(guest), day("2024-06-15")).is_empty();
        let guest = guests.iter().filter(stayed).find(alone).unwrap();
        let history = varied.whole("guest_history", json!({"query": name(guest)})).await;
        assert_eq!(history["guest"]["id"], guest["id"]);
        assert!(history["counted"].as_str().unwrap().contains("all of its words"), "{history}");
        let stays = varied.full.of_guest(id(guest), day("2024-06-15"));
        assert_eq!(self::history(&history), varied.full.history(&stays, today()));
        assert_eq!(covered(&history), varied.full.ids());

        let backwards: Vec<String> = name(guest).split(' ').rev().map(str::to_uppercase).collect();
        for text in [name(guest), backwards.join(" ")] {
            varied.gateway.ownerrez().clear_requests();
            let found = varied.host.call("list_guests", json!({"q": text})).await.ok();
            assert_eq!(ids(&found["items"], "id"), Ids::from([id(guest)]), "{found}");
            assert!(found["note"].as_str().unwrap().contains("all of its words"), "{found}");
            assert!(varied.gateway.ownerrez().count("GET /v2/guests") >= 2);
            let searched = varied.host.call("search", json!({"query": text})).await.ok();
            let results = searched["results"].as_array().unwrap();
            assert!(results.iter().any(|one| one["id"] == format!("guest:{}", id(guest))), "{searched}");
        }
        let nothing = varied.host.call("list_guests", json!({"q": "Zzyzx Nowhere"})).await.ok();
        assert_eq!((&nothing["items"], nothing["note"].is_string()), (&json!([]), true), "{nothing}");
        // A search that finds the whole text takes one request.
        varied.gateway.ownerrez().clear_requests();
        let word = guest["last_name"].as_str().unwrap();
        let found = varied.host.call("list_guests", json!({"q": word})).await.ok();
        assert!(found["note"].is_null() && varied.gateway.ownerrez().count("GET /v2/guests") == 1, "{found}");
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn search_and_fetch_find_an_inactive_property() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let inactive = varied.full.properties.iter().find(|one| one["active"] == false).unwrap();
        let found = varied.host.call("search", json!({"query": inactive["name"]})).await.ok();
        let property = format!("property:{}", id(inactive));
        assert!(found["results"].as_array().unwrap().iter().any(|one| one["id"] == property), "{found}");
        let fetched = varied.host.call("fetch", json!({"id": property})).await.ok();
        assert!(fetched["text"].as_str().unwrap().contains(inactive["name"].as_str().unwrap()));
        let booking = varied.full.bookings.iter().find(|one| one["property_id"] == inactive["id"]).unwrap();
        let fetched = varied.host.call("fetch", json!({"id": format!("booking:{}", id(booking))})).await.ok();
        assert!(fetched["title"].as_str().unwrap().contains(inactive["name"].as_str().unwrap()), "{fetched}");
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn a_listing_with_many_photos_is_short_unless_they_are_asked_for() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let photos = |one: &Value| one["photos"].as_array().unwrap().len();
        let listings = varied.records("listings");
        let longest = listings.iter().max_by_key(|one| photos(one)).unwrap();
        assert!(photos(longest) > 50, "{}", photos(longest));
        let of = longest["property_id"].as_i64().or(longest["id"].as_i64()).unwrap();
        let lean = varied.host.call("get_listing", json!({"id": of})).await.ok();
        assert_eq!(photos(&lean), 3);
        assert_eq!(lean["photos"][0]["caption"], longest["photos"][0]["caption"]);
        let count = format!("photos: 3 of {}", photos(longest));
        assert!(lean["cut"].as_str().unwrap().contains(&count), "{}", lean["cut"]);
        assert!(lean.to_string().len() < 4_000, "{} bytes", lean.to_string().len());
        for fields in [json!(["photos"]), json!(["photos.caption"])] {
            let whole = varied.host.call("get_listing", json!({"id": of, "fields": fields})).await.ok();
            assert_eq!(photos(&whole), photos(longest), "{fields}");
            assert!(whole["cut"].is_null());
        }
        varied.gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_account_without_inactive_properties_is_asked_for_them_once_in_five_minutes() {
    on_each_database(async |database| {
        let settings = Settings::default().tune(|config| config.sessions.recent_answers_bytes = 1 << 20);
        let gateway = Gateway::start_with(database, settings).await;
        let alice = gateway.connected_user("Alice").await;
        let account = gateway.ownerrez().accounts().last().unwrap().id;
        gateway.ownerrez().vary(account, |variations| *variations = Variations::all_but_refusals());
        assert!(FullData::of(gateway.ownerrez(), account).inactive().is_empty());
        let days = json!({"from": "2026-06-01", "to": "2026-06-30"});
        for tool in ["revenue_summary", "calendar_overview", "who_is_staying", "revenue_summary"] {
            alice.call(tool, days.clone()).await.ok();
        }
        assert_eq!(gateway.ownerrez().count("GET /v2/properties"), 2, "one for each state");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_address_lists_the_inactive_properties_and_their_names_become_ids() {
    on_each_database(async |database| {
        let varied = Varied::start(database, Settings::default()).await;
        let request = |method: &str, params: Value| crate::world::rpc(1, method, params);
        let read = |uri: &'static str| request("resources/read", json!({"uri": uri}));
        for (uri, expected) in [
            ("ownerrez://properties", &varied.full.ids() - &varied.full.inactive()),
            ("ownerrez://inactive-properties", varied.full.inactive()),
        ] {
            let reply = varied.host.mcp(&read(uri)).await;
            let text = reply.body["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(ids(&answer["items"], "id"), expected, "{uri}");
        }
        let inactive = varied.full.properties.iter().find(|one| one["active"] == false).unwrap();
        let params = json!({"ref": {"type": "ref/resource", "uri": "ownerrez://properties/{id}"},
            "argument": {"name": "id", "value": inactive["name"]}});
        let reply = varied.host.mcp(&request("completion/complete", params)).await;
        let values = reply.body["result"]["completion"]["values"].as_array().unwrap();
        assert!(values.contains(&json!(id(inactive).to_string())), "{}", reply.body);
        varied.gateway.stop().await;
    })
    .await;
}
