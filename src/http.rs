//! The HTTP layer: routes, pages, and the MCP endpoint. One `match` in `error` maps every error to its response.

mod api;
mod browser;
mod callback;
mod callback_query;
mod connecting;
mod error;
mod extract;
mod mcp;
mod middleware;
mod oauth;
mod pages;
mod quoted_string;
mod resource;
mod routes;
mod server;
mod state;

pub use api::{
    metrics::{Scrape, metrics_routes},
    notices::Notices,
    ready::Readiness,
    starting::{StartPhase, StartProgress, starting_routes},
};
pub use mcp::McpEndpoint;
pub use middleware::{
    guard::{AllowedHosts, AllowedOrigins, Guard},
    request_logger::RequestLogger,
};
pub use routes::{Probes, routes};
pub use server::{ConnectionSettings, Connections, HeldBody, RequestBounds, RequestSettings, ServerSettings, serve};
pub use state::{HttpSettings, HttpState, SMALL_BODY};
