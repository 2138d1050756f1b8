//! Documents in every form of an HTTP response, and incomplete responses.

use chrono::TimeDelta;
use ownerrez_gateway::oauth::clients::{ClientErrorCode, FetchProblem};

use super::documents::{URL, desk_with, document, fetch_problem};
use crate::world::{Form, Published, on_each_database};

#[actix_web::test]
async fn the_form_of_an_answer_changes_no_document() {
    on_each_database(async |database| {
        for form in [Form::Interim(100), Form::Interim(102), Form::Interim(103), Form::Chunked, Form::Unframed] {
            let (desk, _publisher) = desk_with(database, Published::json(&document(URL)).in_form(form)).await;
            let found = desk.clients.find(URL).await;
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
        for form in [Form::CutLength, Form::CutChunks, Form::Interim(101), Form::EndlessHead] {
            let (desk, publisher) = desk_with(database, Published::json(&document(URL)).in_form(form)).await;
            assert_eq!(fetch_problem(&desk, URL).await, FetchProblem::Broken, "{form:?}");
            assert_eq!(desk.refused_as(URL).await, ClientErrorCode::TemporarilyUnavailable, "{form:?}");
            publisher.publish(URL, Published::json(&document(URL)));
            desk.clock.advance(TimeDelta::seconds(30));
            assert!(desk.clients.find(URL).await.is_ok(), "{form:?}");
        }
    })
    .await;
}
