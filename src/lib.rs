//! A self-hosted, multi-user MCP gateway for OwnerRez.
//!
//! The modules, from the bottom up; a module names only those above it in this list (`tests/gateway/layers.rs`
//! checks that):

// Values shared by all: identifiers, token sets, requests, the clock. Layer 0.
pub mod domain;

// Settings: the only reader of files and environment. Layer 1.
pub mod config;

// The key ring that seals tokens, and the making and checking of API keys. Layer 1.
pub mod crypto;

// The tools as data, and the pure way from arguments to an upstream request. Layer 1.
pub mod catalog;

// What is counted, and the text that Prometheus reads. Layer 1.
pub mod metrics;

// Requests to other servers: connections, TLS, and the guard over answers. Layer 1.
pub mod outgoing;

// The database. Layer 2.
pub mod store;

// OwnerRez over HTTP. Layer 2.
pub mod upstream;

// One actor per user, their supervisor, and the allowance they share. Layer 3.
pub mod session;

// The authorization server: clients, consent, codes and tokens. Layer 4.
pub mod oauth;

// What a model can do, over the sessions. Layer 4.
pub mod tools;

// The protocol's side of the tools, whatever the transport. Layer 5.
pub mod mcp;

// Routes, pages and the MCP endpoint. Layer 6.
pub mod http;

// Wiring, start and graceful stop. Layer 7.
pub mod app;

// A simulated OwnerRez; only `app` may start it.
pub mod sandbox;
