//! `users`: lists, disables, enables and deletes users, and shows their use of the allowance.

use std::{collections::HashMap, fmt::Write};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{command_error::CommandError, existing_store::existing_store};
use crate::{
    config::Config,
    domain::{SharedClock, UserId},
    store::{ConnectionOverview, IdentityOverview, Store, StoredGrant, StoredKey, UserOverview},
};

/// What to do about users.
#[derive(Clone, PartialEq, Eq, Debug, Subcommand)]
pub enum UsersCommand {
    /// List all users with their keys, connection, sign-ins and clients
    List,
    /// Disable a user: their keys are rejected; their tokens are kept but not refreshed
    Disable {
        /// The user's id, or the prefix of one of their keys, as shown by `list`
        user: String,
    },
    /// Enable a disabled user
    Enable {
        /// The user's id, or the prefix of one of their keys, as shown by `list`
        user: String,
    },
    /// Delete a user with all keys and the connection; a running gateway revokes their token at OwnerRez
    Delete {
        /// The user's id, or the prefix of one of their keys, as shown by `list`
        user: String,
    },
    /// Show how many requests each user sent to OwnerRez in the last hour and the last day
    Usage,
}

/// Runs the command and returns its output, as text or as JSON.
pub async fn run_users_command(
    config: &Config,
    command: UsersCommand,
    as_json: bool,
    clock: SharedClock,
) -> Result<String, CommandError> {
    let store = existing_store(config).await?;
    let (text, data) = match command {
        UsersCommand::List => {
            let users = store.user_overviews(clock.now()).await?;
            (list_text(&users), Value::Array(users.iter().map(user_json).collect()))
        }
        UsersCommand::Disable { user } => {
            let user = find(&store, &user).await?;
            found(store.disable_user(user, clock.now()).await?)?;
            let text = format!(
                "User {user} is disabled. To undo this, run `ownerrez-gateway users enable {user}`. The connection is \
                 kept, but its tokens are not refreshed meanwhile."
            );
            (text, json!({"id": user.to_string(), "disabled": true}))
        }
        UsersCommand::Enable { user } => {
            let user = find(&store, &user).await?;
            found(store.enable_user(user).await?)?;
            (format!("User {user} is enabled."), json!({"id": user.to_string(), "disabled": false}))
        }
        UsersCommand::Delete { user } => {
            let user = find(&store, &user).await?;
            let deleted = store.delete_user(user, Uuid::now_v7(), clock.now()).await?;
            let queued = deleted.ok_or(CommandError::NoSuchUser)?;
            let revoked = if queued {
                format!(
                    " A running gateway revokes their token within {} seconds (sessions.renewal_sweep_seconds).",
                    config.sessions.renewal_sweep_seconds
                )
            } else {
                String::new()
            };
            let text = format!("User {user} is deleted, with all keys, links and the connection.{revoked}");
            (text, json!({"id": user.to_string(), "deleted": true, "revocation_queued": queued}))
        }
        UsersCommand::Usage => usage(&store, clock.now()).await?,
    };
    store.close().await?;
    Ok(if as_json { data.to_string() } else { text })
}

/// Finds a user by id, or by the prefix of a key.
pub(super) async fn find(store: &Store, text: &str) -> Result<UserId, CommandError> {
    if let Ok(id) = text.trim().parse::<Uuid>() {
        return Ok(UserId(id));
    }
    let users = store.users_by_key_prefix(text.trim().trim_end_matches('.')).await?;
    match users[..] {
        [user] => Ok(user),
        [] => Err(CommandError::NoSuchUser),
        _ => Err(CommandError::SeveralUsers(users.len())),
    }
}

fn found(is_there: bool) -> Result<(), CommandError> {
    if is_there { Ok(()) } else { Err(CommandError::NoSuchUser) }
}

fn list_text(users: &[UserOverview]) -> String {
    let mut text = format!("{:36}  {:16}  {:15}  {:>12}  {}", "USER", "CREATED", "CONNECTION", "OWNERREZ", "STATE");
    for user in users {
        let account = user.connection.as_ref().and_then(|connection| connection.account);
        let _ = write!(
            text,
            "\n{:36}  {:16}  {:15}  {:>12}  {}",
            user.id.to_string(),
            minute(Some(user.created_at)),
            state(user.connection.as_ref()),
            account.map_or("-".to_owned(), |account| account.to_string()),
            user.disabled_at.map_or("active".to_owned(), |since| format!("disabled since {}", minute(Some(since)))),
        );
        for key in &user.keys {
            let _ = write!(
                text,
                "\n    {:24}  {:5}  expires {:16}  used {:16}  {}",
                key.display_prefix(),
                key.scope.as_str(),
                minute(key.expires_at),
                minute(key.last_used_at),
                key.name.as_deref().map(printable).unwrap_or_default(),
            );
        }
        for IdentityOverview { issuer, subject, last_sign_in_at } in &user.identities {
            let last = minute(Some(*last_sign_in_at));
            let _ = write!(text, "\n    signs in as {} at {}, last {last}", printable(subject), printable(issuer));
        }
        if !user.grants.is_empty() {
            let last = minute(user.grants.iter().filter_map(|grant| grant.last_used_at).max());
            let _ = write!(text, "\n    clients signed in: {}, last used {last}", user.grants.len());
        }
    }
    let _ = write!(text, "\n{} users. Times are UTC.", users.len());
    text
}

fn state(connection: Option<&ConnectionOverview>) -> &'static str {
    match connection {
        None => "none",
        Some(ConnectionOverview { rejected_at: Some(_), .. }) => "needs_reconnect",
        Some(_) => "connected",
    }
}

fn minute(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// Returns a user-chosen name without control characters, which could control the terminal.
fn printable(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn user_json(user: &UserOverview) -> Value {
    let UserOverview { id, created_at, disabled_at, keys, connection, identities, grants } = user;
    let key = |key: &StoredKey| {
        json!({
            "prefix": key.display_prefix(), "name": key.name, "scope": key.scope,
            "created_at": key.created_at, "expires_at": key.expires_at, "last_used_at": key.last_used_at,
        })
    };
    let connection = connection.as_ref().map(|connection| {
        let ConnectionOverview { account, connected_at, expires_at, rejected_at } = connection;
        json!({
            "state": state(Some(connection)), "ownerrez_user_id": account.map(|account| account.0),
            "connected_at": connected_at, "expires_at": expires_at, "rejected_at": rejected_at,
        })
    });
    let identity = |identity: &IdentityOverview| {
        let IdentityOverview { issuer, subject, last_sign_in_at } = identity;
        json!({"issuer": issuer, "ownerrez_user_id": subject, "last_sign_in_at": last_sign_in_at})
    };
    let client = |grant: &StoredGrant| {
        json!({
            "client_id": grant.client_id, "name": grant.client_name, "scope": grant.scope,
            "created_at": grant.created_at, "last_used_at": grant.last_used_at, "expires_at": grant.expires_at,
        })
    };
    json!({
        "id": id.to_string(), "created_at": created_at, "disabled_at": disabled_at,
        "keys": keys.iter().map(key).collect::<Vec<_>>(), "connection": connection,
        "identities": identities.iter().map(identity).collect::<Vec<_>>(),
        "clients": grants.iter().map(client).collect::<Vec<_>>(),
    })
}

/// The request counts of one user, or of all.
#[derive(Clone, Copy, Default)]
struct UsageCounts {
    hour: u64,
    day: u64,
}

async fn usage(store: &Store, now: DateTime<Utc>) -> Result<(String, Value), CommandError> {
    let mut sent: HashMap<UserId, UsageCounts> = HashMap::new();
    for (user, requests) in store.use_since(now - TimeDelta::hours(1)).await? {
        sent.entry(user).or_default().hour = requests;
    }
    for (user, requests) in store.use_since(now - TimeDelta::days(1)).await? {
        sent.entry(user).or_default().day = requests;
    }
    let mut sent: Vec<(UserId, UsageCounts)> = sent.into_iter().collect();
    sent.sort_by_key(|(user, sent)| (std::cmp::Reverse((sent.hour, sent.day)), *user));
    let all = UsageCounts {
        hour: sent.iter().map(|(_, sent)| sent.hour).sum(),
        day: sent.iter().map(|(_, sent)| sent.day).sum(),
    };

    let mut text = format!("{:36}  {:>9} {:>6}  {:>9} {:>6}", "USER", "LAST HOUR", "%", "LAST DAY", "%");
    for (user, UsageCounts { hour, day }) in &sent {
        let (of_hour, of_day) = (percent(*hour, all.hour), percent(*day, all.day));
        let _ = write!(text, "\n{:36}  {hour:>9} {of_hour:>6.1}  {day:>9} {of_day:>6.1}", user.to_string());
    }
    let _ = write!(text, "\n{:36}  {:>9} {:>6}  {:>9}", "all", all.hour, "", all.day);
    text.push_str(
        "\nRequests sent to OwnerRez, in five-minute intervals; running gateways update the counts about every minute.",
    );
    let user = |(user, UsageCounts { hour, day }): &(UserId, UsageCounts)| {
        json!({
            "id": user.to_string(), "last_hour": hour, "last_hour_percent": percent(*hour, all.hour),
            "last_day": day, "last_day_percent": percent(*day, all.day),
        })
    };
    let users: Vec<Value> = sent.iter().map(user).collect();
    Ok((text, json!({"last_hour": all.hour, "last_day": all.day, "users": users})))
}

/// Returns a percentage with one decimal digit.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 1000.0 / whole as f64).round() / 10.0 }
}
