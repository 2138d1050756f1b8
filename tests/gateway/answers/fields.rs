//! The argument `fields` of composite tools: it selects members of the response and saves requests.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ANY, all_bookings, asked, is_guest};
use crate::world::{Gateway, Person, on_each_database};

/// Returns a booking of a guest with a conversation.
async fn booking_with_messages(person: &Person) -> Value {
    let threaded = |one: &Value| is_guest(one) && one["thread_ids"].is_array();
    all_bookings(person).await.into_iter().find(threaded).unwrap()
}

/// Creates a booking of the same guest for which nothing was paid.
async fn book_unpaid(alice: &Person, booking: &Value) -> Value {
    let stay = json!({"property_id": booking["property_id"], "guest_id": booking["guest_id"],
        "arrival": "2027-11-10", "departure": "2027-11-17"});
    let unpaid = alice.call("create_booking", stay).await.ok();
    assert_eq!(unpaid["total_paid"].as_f64(), Some(0.0), "{unpaid}");
    unpaid
}

#[actix_web::test]
async fn fields_select_what_a_dossier_holds_and_save_what_the_rest_would_ask() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let booking = booking_with_messages(&alice).await;
        let id = &booking["id"];
        let always = ["complete", "covered", "note", "requests_used"];
        for (fields, requests) in [
            (json!(["title", "nights", "booking.arrival", "property.name"]), 2),
            (json!(["money.total", "money.owed"]), 2),
            (json!(["money"]), 3),
            (json!(["guest"]), 3),
            (json!(["guest.phones.number", "guest_written.guest_notes"]), 3),
            (json!(["guest_written.messages.body", "guest_written.booking_notes"]), 3),
            (json!(["money", "guest", "guest_written"]), 5),
        ] {
            let whole = alice.call("booking_dossier", json!({"booking_id": id})).await.ok();
            let asked_for = json!({"booking_id": id, "fields": fields});
            let part = asked(&gateway, &alice, "booking_dossier", asked_for, requests).await;
            let wanted = fields.as_array().unwrap().iter().map(|path| path.as_str().unwrap());
            let tops: BTreeSet<&str> = wanted.clone().map(|path| path.split('.').next().unwrap()).collect();
            let names = part.as_object().unwrap().keys().map(String::as_str);
            let names = names.filter(|name| !always.contains(name) && !["absent", "guest_written"].contains(name));
            assert!(names.collect::<BTreeSet<_>>().is_subset(&tops), "{fields}: {part}");
            // If `guest_written` is not requested, it is the notice that lists the members with text of guests.
            assert!(tops.contains("guest_written") || !part["guest_written"].is_object(), "{part}");
            for path in wanted {
                let pointer = format!("/{}", path.replace('.', "/"));
                // Members of lists have no pointer, and members that this booking lacks are listed in `absent`.
                if let Some(value) = whole.pointer(&pointer) {
                    assert_eq!(part.pointer(&pointer), Some(value), "{fields}");
                }
            }
            for name in always {
                assert_eq!(part[name].is_null(), whole[name].is_null(), "{name} in {part}");
            }
        }
        // Nothing was paid, so payments are not requested.
        let unpaid = book_unpaid(&alice, &booking).await;
        let unpaid = json!({"booking_id": unpaid["id"], "fields": ["money"]});
        let unpaid = asked(&gateway, &alice, "booking_dossier", unpaid, 2).await;
        assert_eq!((&unpaid["money"]["payments"], &unpaid["money"]["payments_sum"]), (&json!([]), &json!(0)));
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn fields_select_what_the_other_answers_hold_and_save_requests() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let booking = booking_with_messages(&alice).await;
        book_unpaid(&alice, &booking).await;
        for (fields, requests) in [
            (json!(["last_24_hours"]), 4),
            (json!(["last_24_hours.inquiries"]), 3),
            (json!(["owed_by_arrivals_of_7_days"]), 3),
            (json!(["arrivals.guest", "in_house", "last_24_hours.new_bookings"]), 4),
        ] {
            let whole = alice.call("todays_briefing", json!({})).await.ok();
            let part = asked(&gateway, &alice, "todays_briefing", json!({"fields": fields}), requests).await;
            for (name, value) in part["last_24_hours"].as_object().into_iter().flatten() {
                assert_eq!(*value, whole["last_24_hours"][name], "{fields}");
            }
            for name in ["owed_by_arrivals_of_7_days", "in_house"] {
                assert!(part[name].is_null() || part[name] == whole[name], "{part}");
            }
        }
        let guest = &booking["guest_id"];
        let whole = alice.call("guest_history", json!({"guest_id": guest})).await.ok();
        let stays = json!({"guest_id": guest, "fields": ["stays", "counts"]});
        let part = asked(&gateway, &alice, "guest_history", stays, 3).await;
        assert_eq!((&part["stays"], &part["counts"]), (&whole["stays"], &whole["counts"]));
        assert!(part["guest"].is_null() && part["spent"].is_null() && part["counted"].is_string(), "{part}");
        // An unknown guest is an error, not a guest without stays.
        let unknown = json!({"guest_id": 7, "fields": ["stays"]});
        assert!(alice.call("guest_history", unknown).await.refused().contains("404"));
        let several = json!({"query": "a", "fields": ["stays"]});
        assert!(alice.call("guest_history", several).await.ok()["candidates"].is_array());

        let covered = json!({"from": "2026-06-01", "to": "2026-06-30", "fields": ["all", "covered.from"]});
        let covered = alice.call("calendar_overview", covered).await.ok();
        assert_eq!(covered["covered"], json!({"from": "2026-06-01"}));
        assert!(covered["all"]["nights"].is_number() && covered["properties"].is_null());
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn unknown_fields_cost_nothing_and_the_nearest_ones_are_named() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let booking = booking_with_messages(&alice).await;
        gateway.ownerrez().clear_requests();
        for (tool, fields, near) in [
            ("booking_dossier", json!(["mony"]), "`money`"),
            ("booking_dossier", json!(["money.payments.sum"]), "money.payments.amount"),
            ("todays_briefing", json!(["departures.guest.first_name"]), "departures.guest"),
            ("who_is_staying", json!("arrivals, departure"), "arrivals"),
        ] {
            let mut arguments = json!({"fields": fields});
            if tool == "booking_dossier" {
                arguments["booking_id"] = booking["id"].clone();
            }
            let refused = alice.call(tool, arguments).await.refused();
            assert!(refused.contains("`fields`") || refused.contains("no member"), "{refused}");
            assert!(refused.contains(near) && refused.contains("Nothing was sent"), "{refused}");
        }
        assert_eq!(gateway.ownerrez().count(ANY), 0);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn long_texts_of_a_dossier_are_cut_and_given_whole_to_those_who_name_them() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let alice = gateway.connected_user("Alice").await;
        let booking = all_bookings(&alice).await.into_iter().find(is_guest).unwrap();
        let notes = "A long story. ".repeat(200);
        alice.call("update_booking", json!({"id": booking["id"], "notes": notes})).await.ok();
        let dossier = alice.call("booking_dossier", json!({"booking_id": booking["id"]})).await.ok();
        assert_eq!(dossier["guest_written"]["booking_notes"].as_str().unwrap().chars().count(), 1_501);
        assert!(dossier["cut"].as_str().unwrap().starts_with("guest_written.booking_notes: longer"), "{dossier}");
        assert!(dossier["booking"]["form_key"].is_null() && dossier["omitted"].is_string(), "{dossier}");
        let fields = json!(["guest_written.booking_notes", "booking.form_key"]);
        let asked = json!({"booking_id": booking["id"], "fields": fields});
        let whole = alice.call("booking_dossier", asked).await.ok();
        assert_eq!(whole["guest_written"], json!({"booking_notes": notes}));
        assert!(whole["cut"].is_null() && whole["booking"]["form_key"].is_string(), "{whole}");
        gateway.stop().await;
    })
    .await;
}
