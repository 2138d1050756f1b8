//! Every story runs on SQLite, and on PostgreSQL too when `TEST_DATABASE_URL` names a server and a database to start
//! from; each makes its own database and removes it.

mod allowance;
mod connections;
mod dropped;
mod forgotten_clients;
mod harness;
mod people;
mod pool;
mod predecessor;
mod server;
mod unconnected;
