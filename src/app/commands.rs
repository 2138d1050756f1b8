//! The operator's commands. They work on the database while gateways run, and take no lock that a gateway needs.

mod check;
mod command_error;
mod existing_store;
mod migrate;
mod probe;
mod records;
mod reseal;
mod users;

pub use check::{CheckReport, check};
pub use command_error::CommandError;
pub use migrate::{MigrateCommand, run_migrate_command};
pub use probe::{ProbeAs, ProbeError, probe};
pub use reseal::{ResealProgress, Resealed, reseal, reseal_all};
pub use users::{UsersCommand, run_users_command};
