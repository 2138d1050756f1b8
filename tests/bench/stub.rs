//! A light stand-in for OwnerRez: canned answers, and a count of what was asked, so that nobody can answer from memory
//! unnoticed. The gateway's full simulator would cost more than what is measured.

use std::{
    io,
    net::TcpListener,
    sync::atomic::{AtomicU64, Ordering},
};

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::processes;

/// One small page of properties, cut down from what `GET /v2/properties` answers.
const PROPERTIES: &str = r#"{"count":2,"limit":20,"offset":0,"items":[{"id":310001,"key":"0b6f0fb2-6a52-4d8e-8f41-7a0b2a1c9d10","name":"Harbour House","external_name":"Harbour House at Port Town","internal_code":"HAR01","active":true,"property_type":"house","bedrooms":3,"bathrooms":2,"max_guests":6,"currency_code":"USD","check_in":"16:00","check_out":"10:00","time_zone":"America/New_York","latitude":35.2193,"longitude":-75.6903,"address":{"street1":"12 Quay Street","city":"Port Town","state":"NC","postal_code":"27943","country":"US"}},{"id":310002,"key":"5d1c9b34-11b7-4c07-9e0a-2a4bb5f1c3e2","name":"Dune Cottage","external_name":"Dune Cottage at Port Town","internal_code":"DUN02","active":true,"property_type":"house","bedrooms":2,"bathrooms":1,"max_guests":4,"currency_code":"USD","check_in":"16:00","check_out":"10:00","time_zone":"America/New_York","latitude":35.2411,"longitude":-75.6107,"address":{"street1":"3 Sand Lane","city":"Port Town","state":"NC","postal_code":"27943","country":"US"}}]}"#;
/// What `GET /v2/users/me` answers.
const ME: &str = r#"{"id":7001,"name":"Sample Owner","email_address":"owner@example.com"}"#;
/// What the token endpoint answers to a code or a refresh token.
const TOKENS: &str = r#"{"access_token":"at_stub","refresh_token":"rt_stub","token_type":"bearer","expires_in":2592000,"scope":"all","user_id":7001}"#;

/// How many requests were answered since the start.
pub(crate) const ASKED: &str = "/asked";

/// Serves until the process that started this one goes away.
pub(crate) async fn serve() -> io::Result<()> {
    let asked = web::Data::new(AtomicU64::new(0));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(asked.clone())
            .route("/v2/properties", web::get().to(|asked: Asked| canned(asked, PROPERTIES)))
            .route("/v2/users/me", web::get().to(|asked: Asked| canned(asked, ME)))
            .route("/oauth/access_token", web::post().to(|asked: Asked| canned(asked, TOKENS)))
            .route(ASKED, web::get().to(|asked: Asked| async move { asked.load(Ordering::Relaxed).to_string() }))
    })
    .listen(listener)?
    .run();
    processes::tell_port(port)?;
    server.await
}

type Asked = web::Data<AtomicU64>;

async fn canned(asked: Asked, body: &'static str) -> HttpResponse {
    asked.fetch_add(1, Ordering::Relaxed);
    HttpResponse::Ok().content_type("application/json").body(body)
}
