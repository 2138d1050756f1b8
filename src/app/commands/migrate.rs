//! `migrate`: changes or shows the database's schema.

use clap::Subcommand;

use super::command_error::CommandError;
use crate::{app::database::open_store, config::Config};

/// What `migrate` does.
#[derive(Subcommand)]
pub enum MigrateCommand {
    /// Apply all missing migrations
    Up,
    /// Revert migrations
    Down {
        /// Number of migrations to revert
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Revert even if users are registered, whose data may be deleted
        #[arg(long)]
        yes: bool,
    },
    /// List all migrations and whether each is applied
    Status,
}

/// Runs the command. Returns a line for each migration, oldest first: `applied NAME` or `missing NAME`.
///
/// # Errors
/// `WouldDropData` for `down` without `--yes` if users are registered; and errors of the database.
pub async fn run_migrate_command(config: &Config, command: MigrateCommand) -> Result<String, CommandError> {
    let store = open_store(config).await?;
    match command {
        MigrateCommand::Up => store.migrate_up().await?,
        MigrateCommand::Down { steps, yes } => {
            let known = store.migration_status().await?;
            let applied: Vec<&str> =
                known.iter().filter(|(_, applied)| *applied).map(|(name, _)| name.as_str()).collect();
            let kept = applied.len().saturating_sub(usize::try_from(steps).unwrap_or(usize::MAX));
            let taken_back = &applied[kept..];
            if !yes && !taken_back.is_empty() && store.has_users().await? {
                return Err(CommandError::WouldDropData(taken_back.join(", ")));
            }
            store.migrate_down(steps).await?;
        }
        MigrateCommand::Status => {}
    }
    let known = store.migration_status().await?;
    let lines: Vec<String> = known
        .iter()
        .map(|(name, applied)| format!("{} {name}", if *applied { "applied" } else { "missing" }))
        .collect();
    store.close().await?;
    Ok(lines.join("\n"))
}
