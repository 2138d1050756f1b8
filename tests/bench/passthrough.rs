//! The baseline of the comparison: the minimum that actix-web and awc can do between a client and OwnerRez. It reads
//! the request's body and discards it, sends one request with the same bearer header, and returns the response
//! unchanged. It validates nothing, parses nothing, counts nothing and writes no log.

use std::{io, net::TcpListener};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, error::ErrorBadGateway, http::header, web};
use bytes::Bytes;

use crate::{processes, stub};

/// Serves until the process that started this one exits. `upstream` is the stub's origin.
pub(crate) async fn serve(upstream: &str) -> io::Result<()> {
    let called = format!("{upstream}{}", stub::CALLED);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let server = HttpServer::new(move || {
        // One client per worker, as in the gateway.
        let client = awc::Client::builder().disable_redirects().finish();
        App::new()
            .app_data(web::Data::new(client))
            .app_data(web::Data::new(called.clone()))
            .route("/mcp", web::post().to(pass_through))
    })
    .listen(listener)?
    .run();
    processes::tell_port(port)?;
    server.await
}

async fn pass_through(
    request: HttpRequest,
    _body: Bytes,
    client: web::Data<awc::Client>,
    called: web::Data<String>,
) -> actix_web::Result<HttpResponse> {
    // One connection per request, as in the gateway: on a reused connection, a user could get the late response to
    // another request.
    let mut call = client.get(called.as_str()).insert_header((header::ACCEPT, "application/json")).force_close();
    if let Some(bearer) = request.headers().get(header::AUTHORIZATION) {
        call = call.insert_header((header::AUTHORIZATION, bearer.clone()));
    }
    let mut answer = call.send().await.map_err(ErrorBadGateway)?;
    let body = answer.body().await.map_err(ErrorBadGateway)?;
    Ok(HttpResponse::build(answer.status()).content_type("application/json").body(body))
}
