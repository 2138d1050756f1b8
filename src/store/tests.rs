//! Every test runs on SQLite, and also on PostgreSQL if `TEST_DATABASE_URL` names a server and a database to start
//! from. Each test creates its own database and removes it.

mod allowance;
mod connections;
mod deleted_clients;
mod drop_in_runtime;
mod harness;
mod people;
mod pool;
mod predecessor;
mod server;
mod stale_users;
