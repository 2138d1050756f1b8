//! Documents in every form of an HTTP response, and incomplete responses.

use chrono::TimeDelta;
use ownerrez_gateway::oauth::clients::{ClientErrorCode, FetchProblem};

use super::documents::{URL, desk_with, document, fetch_problem};
use crate::world::{Published, ResponseFraming, on_each_database};

#[actix_web::test]
async fn the_form_of_an_answer_changes_no_document() {
    on_each_database(async |database| {
        for form in [
            ResponseFraming::Interim(100),
            ResponseFraming::Interim(102),
            ResponseFraming::Interim(103),
            ResponseFraming::Chunked,
            ResponseFraming::Unframed,
        ] {
            let (fixture, _publisher) = desk_with(database, Published::json(&document(URL)).in_form(form)).await;
            let found = fixture.clients.find(URL).await;
            assert_eq!(
                found.map(|client| client.name).map_err(|error| error.to_string()),
                Ok("Client".to_owned()),
                "{form:?}"
            );
        }
    })
    .await;
}

#[actix_web::test]
async fn a_cut_answer_is_no_document_and_is_asked_for_again() {
    on_each_database(async |database| {
        for form in [
            ResponseFraming::CutLength,
            ResponseFraming::CutChunks,
            ResponseFraming::Interim(101),
            ResponseFraming::EndlessHead,
        ] {
            let (fixture, publisher) = desk_with(database, Published::json(&document(URL)).in_form(form)).await;
            assert_eq!(fetch_problem(&fixture, URL).await, FetchProblem::Broken, "{form:?}");
            assert_eq!(fixture.refused_as(URL).await, ClientErrorCode::TemporarilyUnavailable, "{form:?}");
            publisher.publish(URL, Published::json(&document(URL)));
            fixture.clock.advance(TimeDelta::seconds(30));
            assert!(fixture.clients.find(URL).await.is_ok(), "{form:?}");
        }
    })
    .await;
}
