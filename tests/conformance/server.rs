//! A server with the tools, prompts and resources that the conformance suite requires, behind the gateway's own guard
//! and endpoint: the protocol behavior that passes here is also the gateway's, whose own tools exercise less of it.
//!
//! Listens on a free loopback port, prints its URL and serves until it is stopped. tests/conformance.sh runs it.

mod fixture;
mod rounds;

use std::{
    io::{self, Write},
    net::TcpListener,
    sync::Arc,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, middleware::from_fn, web};
use bytes::Bytes;
use ownerrez_gateway::http::{AllowedHosts, AllowedOrigins, Guard, McpEndpoint};
use url::Url;

use crate::fixture::Fixture;

/// The gateway's default.
const MAX_BODY: usize = 1 << 20;

async fn answer(
    endpoint: web::Data<McpEndpoint<Fixture>>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, actix_web::Error> {
    endpoint.answer(&request, None, body).await
}

#[actix_web::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let origin = format!("http://{}", listener.local_addr()?);
    let guard = Guard {
        hosts: Arc::new(AllowedHosts::new(["127.0.0.1".to_owned(), "localhost".to_owned()])),
        origins: Arc::new(AllowedOrigins(Url::parse(&origin).into_iter().collect())),
    };
    let fixture = Fixture::new().map_err(io::Error::other)?;
    let server = HttpServer::new(move || {
        let guard = guard.clone();
        App::new()
            .wrap(from_fn(move |request, next| guard.clone().check(request, next)))
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .app_data(web::Data::new(McpEndpoint::with_server(fixture.clone(), MAX_BODY)))
            .route("/mcp", web::route().to(answer))
    })
    .workers(2)
    .h1_allow_half_closed(false)
    .listen(listener)?;
    writeln!(io::stdout(), "fixture at {origin}/mcp")?;
    server.run().await
}
