//! A self-hosted, multi-user MCP gateway for OwnerRez.
//!
//! The modules by layer, lowest first. A module may use only modules of lower layers, or modules of its own layer that
//! precede it; `tests/gateway/layers` has the exact table and enforces it. `docs/ARCHITECTURE.md` describes each module.
//!
//! - Layer 0: [`domain`], the value types that all modules share: identifiers, token sets, requests, the clock.
//! - Layer 1: [`config`], the settings, and the only reader of the environment and of configuration files; [`legacy`],
//!   the formats of the TypeScript server, which this gateway replaces; [`crypto`], token encryption and API keys;
//!   [`catalog`], the tools as data, and pure functions from arguments to a request; [`allowance`], the rate limit of
//!   OwnerRez as pure state machines; [`metrics`], counters; [`outgoing`], requests to other servers.
//! - Layer 2: [`store`], the database; [`upstream`], the HTTP client of OwnerRez.
//! - Layer 3: [`session`], one actor per user, their supervisor, and the window that they share; [`auth`], the
//!   identification of callers.
//! - Layer 4: [`oauth`], the authorization server; [`tools`], the operations that a model can call.
//! - Layer 5: [`mcp`], the MCP server, independent of the transport.
//! - Layer 6: [`http`], routes, pages and the MCP endpoint.
//! - Layer 7: [`app`], wiring, start and stop.
//!
//! [`simulator`] is a simulated OwnerRez. Only [`app`] and the command line may start it.

pub mod allowance;
pub mod app;
pub mod auth;
pub mod catalog;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod legacy;
pub mod mcp;
pub mod metrics;
pub mod oauth;
pub mod outgoing;
pub mod session;
pub mod simulator;
pub mod store;
pub mod tools;
pub mod upstream;
