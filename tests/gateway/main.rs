//! Integration tests of the gateway over HTTP and MCP, against the simulated OwnerRez.
//!
//! Every test runs on SQLite, and also on PostgreSQL if `TEST_DATABASE_URL` names a server and a database to start
//! from. Tests advance the clock manually; no test sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story ends where the unexpected happens"
)]

mod account;
mod agents_day;
mod allowance;
mod allowance_rules;
mod answers;
mod arguments;
mod batches;
mod bounds;
mod call_messages;
mod catalogue;
mod connecting;
mod connecting_in_turn;
mod cors;
mod deployment;
mod descriptions;
mod disconnecting;
mod documents;
mod endpoint;
mod failing_refreshes;
mod faults;
mod foreign_answers;
mod key_hmac;
mod keys;
mod layers;
mod lean;
mod limits;
mod links;
mod managing;
mod manifest;
mod mcp;
mod names;
mod oauth;
mod oauth_clients;
mod oauth_known_clients;
mod observing;
mod odd_requests;
mod on_demand;
mod operating;
mod outputs;
mod pages;
mod personal_tokens;

mod probing;
mod processes;
mod recent;
mod registering;
mod resources;
mod rest;
mod revisions;
mod rotation;
mod route_table;
mod schema;
mod secrets;
mod sessions;
mod single_user;
mod starting;
mod stdio;
mod takeover;
mod tenant_tables;
mod tenants;
mod token_evidence;
mod token_life;
mod tools_page;
mod toolsets;
mod upstream_faults;
mod varied_accounts;
mod webhooks;
mod world;
mod writes;
mod wrong_arguments;
mod wrong_bodies;
