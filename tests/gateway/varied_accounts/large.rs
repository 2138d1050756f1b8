//! Composite tools against a large account: each response is correct for the covered properties, and lists the others.

use std::time::{Duration, Instant};

use chrono::NaiveDate;
use ownerrez_gateway::simulator::{Portfolio, Variations};
use serde_json::{Value, json};

use super::{
    Varied,
    availability::{Calendars, check_availability},
    check_briefing, check_last_24_hours, check_revenue, covered, day,
    full_data::{CountBy, FullData, Ids, id, is_of_guest},
    listed, nights, today,
};
use crate::world::{Gateway, on_each_database};

const MOST_REQUESTS: u64 = 10;
/// The time limit of the whole test, with a debug build on a busy machine.
const MOST_TIME: Duration = Duration::from_secs(240);

/// Calls a tool and checks that it took no more requests than allowed.
async fn asked(large: &Varied, tool: &str, arguments: Value) -> Value {
    let ownerrez = large.gateway.ownerrez();
    ownerrez.clear_requests();
    let answer = large.host.call(tool, arguments).await.ok();
    let requests = ownerrez.count("* /v2/*") as u64;
    assert!(requests <= MOST_REQUESTS, "{tool}: {requests}");
    if let Some(said) = answer["requests_used"].as_u64() {
        assert_eq!(said, requests, "{tool}");
    }
    answer
}

/// Returns the properties that a response lists as missing.
fn missing(answer: &Value) -> Ids {
    answer["missing_properties"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// Checks that a response lists all properties that it does not cover, and returns the covered ones.
fn covered_or_named(full: &FullData, tool: &str, answer: &Value) -> Ids {
    let (covered, missing) = (covered(answer), missing(answer));
    assert_eq!(&covered | &missing, full.ids(), "{tool}: {}", answer["missing"]);
    assert_eq!(answer["complete"], json!(missing.is_empty()), "{tool}: {}", answer["missing"]);
    covered
}

#[actix_web::test]
async fn a_large_account_is_answered_rightly_or_in_part_by_name() {
    on_each_database(async |database| {
        let started = Instant::now();
        let gateway = Gateway::start(database).await;
        let size = Portfolio { properties: 200, bookings: 20_000 };
        let account = gateway.ownerrez().add_account_of_size("Large", size).id;
        gateway.ownerrez().vary(account, |variations| *variations = Variations::all_but_refusals());
        let full = FullData::of(gateway.ownerrez(), account);
        assert_eq!((full.properties.len(), full.bookings.len()), (size.properties, size.bookings));
        let host = gateway.user("Host").await.connect(&gateway, account).await;
        let large = Varied { gateway, host, account, full };

        check_staying(&large).await;
        check_months(&large).await;
        check_today(&large).await;
        check_dossier_and_history(&large).await;
        check_free_stays(&large).await;
        check_search(&large).await;
        assert!(started.elapsed() < MOST_TIME, "{:?}", started.elapsed());
        large.gateway.stop().await;
    })
    .await;
}

/// Checks `who_is_staying` for today and for two weeks.
async fn check_staying(large: &Varied) {
    let full = &large.full;
    let two_weeks = ("2026-06-10", "2026-06-24");
    for (arguments, first, last) in [
        (json!({}), today(), today()),
        (json!({"from": two_weeks.0, "to": two_weeks.1}), day(two_weeks.0), day(two_weeks.1)),
    ] {
        let answer = asked(large, "who_is_staying", arguments).await;
        let covered = covered_or_named(full, "who_is_staying", &answer);
        let expected = full.staying(&covered, first, last);
        assert_eq!(listed(&answer, expected.keys().copied()), expected);
        assert!(covered.len() > 100, "{}", covered.len());
    }
}

/// Checks `calendar_overview` and `revenue_summary` for a month and for half a year.
async fn check_months(large: &Varied) {
    let full = &large.full;
    for (from, to, least) in [("2026-06-01", "2026-06-30", 50), ("2026-01-01", "2026-06-30", 5)] {
        let days = || json!({"from": from, "to": to});
        let (first, last): (NaiveDate, NaiveDate) = (day(from), day(to));
        let answer = asked(large, "calendar_overview", days()).await;
        let covered = covered_or_named(full, "calendar_overview", &answer);
        let expected = full.nights(first, last).into_iter().filter(|(id, _)| covered.contains(id));
        assert_eq!(nights(&answer), expected.collect());
        assert!(covered.len() >= least, "{}", covered.len());
        let answer = asked(large, "revenue_summary", days()).await;
        let covered = covered_or_named(full, "revenue_summary", &answer);
        check_revenue(&answer, &full.revenue(&covered, first, last, CountBy::Arrival), CountBy::Arrival);
        assert!(covered.len() >= least, "{}", covered.len());
        // The missing properties can be requested next.
        if let Some(rest) = Some(missing(&answer)).filter(|rest| !rest.is_empty()) {
            let mut next = days();
            next["property_ids"] = rest.iter().take(5).copied().collect();
            next["count_by"] = json!("night");
            let answer = asked(large, "revenue_summary", next).await;
            let five: Ids = rest.into_iter().take(5).collect();
            check_revenue(&answer, &full.revenue(&five, first, last, CountBy::Night), CountBy::Night);
            assert_eq!(answer["complete"], json!(true));
        }
    }
}

/// Checks `todays_briefing`.
async fn check_today(large: &Varied) {
    let full = &large.full;
    let answer = asked(large, "todays_briefing", json!({})).await;
    check_briefing(full, &answer);
    let is_whole = check_last_24_hours(full, &answer);
    assert_eq!(answer["complete"], json!(is_whole && missing(&answer).is_empty()), "{}", answer["missing"]);
    assert_eq!(&covered(&answer) | &missing(&answer), full.ids(), "{}", answer["missing"]);
    let lately = asked(large, "todays_briefing", json!({"fields": ["last_24_hours"]})).await;
    assert_eq!(covered(&lately), full.ids());
    assert_eq!(lately["complete"], json!(check_last_24_hours(full, &lately)), "{}", lately["missing"]);
}

/// Checks `booking_dossier` and `guest_history`.
async fn check_dossier_and_history(large: &Varied) {
    let full = &large.full;
    let booking = full.bookings.iter().find(|one| is_of_guest(one) && one["status"] == "active").unwrap();
    let dossier = asked(large, "booking_dossier", json!({"booking_id": id(booking)})).await;
    assert_eq!(dossier["property"]["id"], booking["property_id"]);
    let guest = booking["guest_id"].as_i64().unwrap();
    let history = asked(large, "guest_history", json!({"guest_id": guest})).await;
    let looked_at = covered_or_named(full, "guest_history", &history);
    let of_covered = |one: &&Value| looked_at.contains(&one["property_id"].as_i64().unwrap());
    let stays = full.of_guest(guest, day("2024-06-15"));
    let stays = full.bookings.iter().filter(|one| stays.contains(&id(one))).filter(of_covered).map(id).collect();
    assert_eq!(super::history(&history), full.history(&stays, today()));
}

/// Checks `find_availability` with exact and with flexible days.
async fn check_free_stays(large: &Varied) {
    let full = &large.full;
    let dates = json!({"arrival": "2026-07-04", "departure": "2026-07-11"});
    let mut calendars = Calendars::of(&large.gateway, large.account);
    let exact = asked(large, "find_availability", dates.clone()).await;
    check_availability(full, &mut calendars, &dates, &exact).await;
    assert_eq!(exact["complete"], json!(true));
    let mut flexible = dates;
    flexible["flexible_days"] = json!(2);
    let answer = asked(large, "find_availability", flexible.clone()).await;
    check_availability(full, &mut calendars, &flexible, &answer).await;
    assert!(!answer["unchecked"].as_array().unwrap().is_empty());
}

/// Checks `search` and `fetch`.
async fn check_search(large: &Varied) {
    let full = &large.full;
    asked(large, "search", json!({"query": "Liam Okafor"})).await;
    let last = full.properties.iter().max_by_key(|one| id(one)).unwrap();
    let found = asked(large, "search", json!({"query": last["name"]})).await;
    let result = format!("property:{}", id(last));
    assert!(found["results"].as_array().unwrap().iter().any(|one| one["id"] == result), "{found}");
    asked(large, "fetch", json!({"id": result})).await;
}
