//! A self-hosted, multi-user MCP gateway for OwnerRez.
//!
//! The modules in dependency order, lowest layer first. A module may use only modules listed above it
//! (`tests/gateway/layers.rs` checks this).

// Value types that all modules share: identifiers, token sets, requests, the clock. Layer 0.
pub mod domain;

// Settings. No other module reads the environment or configuration files. Layer 1.
pub mod config;

// The formats of the TypeScript server, which this gateway replaces. Layer 1.
pub mod legacy;

// Token encryption, and generation and verification of API keys. Layer 1.
pub mod crypto;

// The tools as data, and pure functions from arguments to an upstream request. Layer 1.
pub mod catalog;

// The rate limit of OwnerRez as pure state machines: permits, blocks and turns. Layer 1.
pub mod allowance;

// Counters, and their Prometheus text format. Layer 1.
pub mod metrics;

// Requests to other servers: connections, TLS, and checks of their responses. Layer 1.
pub mod outgoing;

// The database. Layer 2.
pub mod store;

// The OwnerRez HTTP client. Layer 2.
pub mod upstream;

// One actor per user, their supervisor, and the window of the allowance that they share. Layer 3.
pub mod session;

// Identification of callers: API keys, limits on callers, and the rules for keys. Layer 3.
pub mod auth;

// The authorization server: clients, consent, codes and tokens. Layer 4.
pub mod oauth;

// The operations that a model can call, executed through the sessions. Layer 4.
pub mod tools;

// The MCP server, independent of the transport. Layer 5.
pub mod mcp;

// Routes, pages and the MCP endpoint. Layer 6.
pub mod http;

// Wiring, startup and graceful shutdown. Layer 7.
pub mod app;

// A simulated OwnerRez. Only `app` and `main` may start it.
pub mod simulator;
