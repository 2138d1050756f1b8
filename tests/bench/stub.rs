//! A lightweight stub of OwnerRez: canned responses and a count of the requests, so that a cached response cannot go
//! unnoticed. The gateway's full simulator would cost more than the measured work.

use std::{
    io,
    net::TcpListener,
    sync::atomic::{AtomicU64, Ordering},
};

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::processes;

/// A booking, a shortened response of `GET /v2/bookings/{id}`.
const BOOKING: &str = r#"{"id":5001,"type":"booking","status":"active","property_id":310001,"guest_id":81001,"arrival":"2027-06-12","departure":"2027-06-19","check_in":"16:00","check_out":"10:00","adults":2,"children":2,"infants":0,"pets":0,"is_block":false,"currency_code":"USD","total_amount":2210.5,"total_paid":1105.25,"total_owed":1105.25,"booked_utc":"2027-01-04T15:20:11Z","created_utc":"2027-01-04T15:20:11Z","updated_utc":"2027-02-01T08:00:02Z","listing_site":"Vrbo","platform_reservation_number":"HA-4PL6QK","title":"Family week","notes":"Late arrival, about nine in the evening.","charges":[{"type":"rent","description":"Rent","amount":1750.0,"position":1},{"type":"surcharge","description":"Cleaning","amount":180.0,"position":2},{"type":"tax","description":"Occupancy tax","amount":280.5,"position":3}],"property":{"id":310001,"name":"Harbour House"},"guest":{"id":81001,"first_name":"Ada","last_name":"Sample"}}"#;
/// The response of `GET /v2/users/me`.
const ME: &str = r#"{"id":7001,"name":"Sample Owner","email_address":"owner@example.com"}"#;
/// The response of the token endpoint to a code or a refresh token.
const TOKENS: &str = r#"{"access_token":"at_stub","refresh_token":"rt_stub","token_type":"bearer","expires_in":2592000,"scope":"all","user_id":7001}"#;

/// The path that a tool call requests.
pub(crate) const CALLED: &str = "/v2/bookings/5001";
/// The path that returns the number of requests since the start.
pub(crate) const ASKED: &str = "/asked";

/// Serves until the process that started this one exits.
pub(crate) async fn serve() -> io::Result<()> {
    let asked = web::Data::new(AtomicU64::new(0));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(asked.clone())
            .route(CALLED, web::get().to(|asked: Asked| canned(asked, BOOKING)))
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
