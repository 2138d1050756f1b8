//! Startup and shutdown: builds a running gateway from the configuration, and stops it in an orderly way.

mod build;
mod clock;
mod commands;
mod database;
mod error_cause;
mod gateway;
mod healthcheck;
mod key_ring;
mod logging;
mod metrics_server;
mod private_directory;
mod sandbox_gateway;
mod server_settings;
mod services;
mod session_settings;
mod single_account;
mod start_error;
mod starting;
mod stdio;
mod stop_signals;

pub use clock::SystemClock;
pub use commands::{
    CheckReport, CommandError, MigrateCommand, ProbeAs, ProbeError, ResealProgress, Resealed, UsersCommand, check,
    probe, reseal, reseal_all, run_migrate_command, run_users_command,
};
pub use gateway::{App, TokensNotStored};
pub use healthcheck::check_health;
pub use logging::start_logging;
pub use sandbox_gateway::{SandboxGateway, SandboxOptions};
pub use start_error::StartError;
pub use stdio::serve_stdio;
pub use stop_signals::StopSignals;
