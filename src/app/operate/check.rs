//! `check`: reports every problem with settings, database, keys and OwnerRez, each with its remedy. Changes nothing.

use std::{fmt::Write, sync::Arc, time::Duration};

use chrono::TimeDelta;
use secrecy::SecretString;

use super::{
    super::{cause, ring_of, target_of},
    missing_migrations,
    records::{Group, Records, TABLES},
};
use crate::{
    config::{CALLBACK_PATH, Config, Database, OwnerRez, Sources, Survey},
    crypto::{KeyRing, SealedWith},
    domain::SharedClock,
    metrics::Metrics,
    outgoing::TlsTrust,
    store::{Keeps, SealedTable, Store, StoreError, is_one_database, what_is_kept},
    upstream::{ClientCredentials, Upstream, UpstreamSettings},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: TimeDelta = TimeDelta::seconds(10);
const ANSWER_LIMIT: usize = 1024 * 1024;

/// The result of the check.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Checked {
    good: Vec<String>,
    /// The problems, each with its remedy.
    problems: Vec<(String, String)>,
}

impl Checked {
    /// Returns whether no problem was found.
    pub fn is_fine(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the report for the operator.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.good {
            let _ = writeln!(text, "ok       {line}");
        }
        for (what, remedy) in &self.problems {
            let _ = writeln!(text, "PROBLEM  {what}\n  To fix it: {remedy}");
        }
        text.push_str(&match self.problems.len() {
            0 => "No problems.".to_owned(),
            1 => "1 problem.".to_owned(),
            more => format!("{more} problems."),
        });
        text
    }

    fn good(&mut self, line: impl Into<String>) {
        self.good.push(line.into());
    }

    fn problem(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push((what.into(), remedy.into()));
    }
}

/// Checks settings, database, keys and, if asked, whether OwnerRez can be reached.
pub async fn check(sources: Sources, with_upstream: bool, clock: SharedClock) -> Checked {
    let mut checked = Checked::default();
    let survey = Config::survey(sources);
    if survey.errors.is_empty() {
        checked.good("settings: valid");
    }
    for error in &survey.errors {
        let whole = error.to_string();
        let (what, _) = whole.split_once("\n").unwrap_or((&whole, ""));
        checked.problem(what, &error.remedy);
    }
    let ring = keys(&survey, &mut checked);
    if let Some(database) = &survey.database
        && let Err(error) = look_into(database, &ring, &mut checked).await
    {
        checked.problem(format!("database: {error} ({})", cause(&error)), remedy_of(&error));
    }
    if let Some(ownerrez) = &survey.ownerrez {
        app_at(ownerrez, &survey, &mut checked);
        redirect(ownerrez, &mut checked);
        if with_upstream {
            reach(ownerrez, clock, &mut checked).await;
        }
    }
    checked
}

/// The remedy if pages of the database are damaged.
const DAMAGE_REMEDY: &str = "stop the gateway and restore the database from a backup (`sqlite3 FILE .recover` extracts \
                             what is still readable in an SQLite file)";

fn remedy_of(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "start the database, make it reachable from here, or correct DATABASE_URL",
        StoreError::Damaged(_) => DAMAGE_REMEDY,
        StoreError::Newer(_) => "start that version; to return to this one, restore a backup from before the upgrade",
        StoreError::Target(_) => "correct DATABASE_URL, or give this account access to the file",
        _ => "set DATABASE_URL to an empty database or the gateway's own, or restore the database from a backup",
    }
}

/// The result of checking the encryption keys.
enum Keys {
    /// The keys are available and can be tried.
    Ring(Box<KeyRing>),
    /// No key exists yet; the gateway creates one at its first start.
    NotMadeYet(String),
    /// The keys are wrong or unreadable, which was reported.
    Unusable,
}

fn keys(survey: &Survey, checked: &mut Checked) -> Keys {
    let Some(encryption) = &survey.encryption else { return Keys::Unusable };
    match encryption.existing() {
        Ok(Some(key)) => match ring_of(encryption, &key, &survey.previous_keys) {
            Ok(ring) => {
                let previous = ring.previous_keys();
                let before = if previous.is_empty() {
                    String::new()
                } else {
                    format!("; previous keys: {}", previous.join(", "))
                };
                checked.good(format!("encryption: the current key is {}{before}", ring.current_key()));
                Keys::Ring(Box::new(ring))
            }
            Err(error) => {
                checked.problem(format!("encryption: {error}"), "set ENCRYPTION_KEY to 32 random bytes in base64");
                Keys::Unusable
            }
        },
        Ok(None) => {
            let place = survey.database.as_ref().map_or("", |database| match database {
                Database::Sqlite { .. } => " and there is no key file next to the database",
                Database::Postgres { .. } => "",
            });
            Keys::NotMadeYet(format!("ENCRYPTION_KEY is not set{place}"))
        }
        Err(error) => {
            let whole = error.to_string();
            let (what, remedy) = whole.rsplit_once(": ").unwrap_or((&whole, "check the file"));
            checked.problem(format!("encryption: {what}"), remedy);
            Keys::Unusable
        }
    }
}

async fn look_into(database: &Database, keys: &Keys, checked: &mut Checked) -> Result<(), StoreError> {
    if let Database::Sqlite { path } = database
        && !path.exists()
    {
        checked.good(format!("database: {} does not exist yet; the first start creates it", path.display()));
        if let Keys::NotMadeYet(_) = keys {
            checked.good("encryption: the first start generates a key and stores it next to the database");
        }
        return Ok(());
    }
    if let Database::Postgres { url, direct_url } = database
        && !led_well(url, direct_url.as_ref(), checked).await?
    {
        return Ok(());
    }
    // Uses one connection: the running gateways need theirs.
    let store = Store::connect(&target_of(database, 1)).await?;
    store.ping().await?;
    let damage = store.find_damage().await?;
    if !damage.is_empty() {
        checked.problem(format!("database: damaged ({})", damage.join("; ")), DAMAGE_REMEDY);
        return Ok(());
    }
    store.may_migrate().await?;
    let missing = missing_migrations(&store).await?;
    if missing.is_empty() {
        checked.good("database: reachable, and its schema is up to date");
    } else {
        checked.good(format!("database: reachable; the next start applies {}", missing.join(", ")));
    }
    let ring = match keys {
        Keys::Ring(ring) => Some(&**ring),
        Keys::NotMadeYet(_) | Keys::Unusable => None,
    };
    // Before the first migration the database is empty, or the TypeScript server's, which has connections but no
    // revocations.
    let tables: &[SealedTable] = if missing.is_empty() { &TABLES } else { &TABLES[..1] };
    match Records::read(&store, ring, tables).await {
        Ok(records) => judge(&records, keys, checked),
        Err(StoreError::Query(_)) if !missing.is_empty() => {}
        Err(error) => return Err(error),
    }
    store.close().await
}

/// Checks that the URLs name the server itself, or that one names a pooler and the other the server behind it. Returns
/// `false` if no query can run over `url`.
async fn led_well(
    url: &SecretString,
    direct_url: Option<&SecretString>,
    checked: &mut Checked,
) -> Result<bool, StoreError> {
    let pooled = what_is_kept(url).await?;
    if let Keeps::Nothing(said) = pooled {
        checked.problem(
            format!("database: DATABASE_URL goes through a pooler that does not support prepared statements ({said})"),
            "use PgBouncer 1.21 or newer with max_prepared_statements above 0 and set DATABASE_DIRECT_URL; or set \
             DATABASE_URL to the address of the server itself",
        );
        return Ok(false);
    }
    let Some(direct_url) = direct_url else {
        if pooled == Keeps::Statements {
            checked.problem(
                "database: DATABASE_URL goes through a transaction-mode pooler, which breaks advisory locks and \
                 LISTEN/NOTIFY",
                "set DATABASE_DIRECT_URL to the address of the server itself, or set DATABASE_URL to it",
            );
        }
        return Ok(true);
    };
    let kept = match what_is_kept(direct_url).await {
        Ok(kept) => kept,
        Err(error) => {
            checked.problem(
                format!("database: DATABASE_DIRECT_URL: {error} ({})", cause(&error)),
                "make that server reachable from this machine, or correct DATABASE_DIRECT_URL",
            );
            return Ok(true);
        }
    };
    if kept != Keeps::Session {
        checked.problem(
            "database: DATABASE_DIRECT_URL goes through a transaction-mode pooler",
            "set it to the address of the server itself or of a session-mode pooler",
        );
    } else if !is_one_database(direct_url, url).await? {
        checked.problem(
            "database: DATABASE_DIRECT_URL names another database than DATABASE_URL",
            "set both to the same database on the same server",
        );
    } else {
        checked.good(match pooled {
            Keeps::Session => "database: DATABASE_URL needs no DATABASE_DIRECT_URL; both reach the same database",
            _ => "database: DATABASE_URL goes through a pooler; DATABASE_DIRECT_URL bypasses it to the same database",
        });
    }
    Ok(true)
}

/// Reports which rows need which key, and whether that key is configured.
fn judge(records: &Records, keys: &Keys, checked: &mut Checked) {
    if records.rows == 0 {
        checked.good("tokens: none stored");
        if let Keys::NotMadeYet(_) = keys {
            checked.good("encryption: the next start generates a key and stores it next to the database");
        }
        return;
    }
    let (current, previous) = match keys {
        Keys::Ring(ring) => (Some(ring.current_key()), ring.previous_keys()),
        Keys::NotMadeYet(what) => {
            checked.problem(
                format!("encryption: {what}, but {} rows contain encrypted tokens", records.rows),
                "restore the key file from a backup, or set ENCRYPTION_KEY to the key they were encrypted with",
            );
            (None, Vec::new())
        }
        Keys::Unusable => (None, Vec::new()),
    };
    for (key, group) in &records.groups {
        let words = group.words();
        match key {
            SealedWith::Key(id) if Some(id) == current.as_ref() => {
                opened(format!("key {id} (current)"), group, checked)
            }
            SealedWith::Key(id) if previous.contains(id) => opened(
                format!("key {id} (previous; `ownerrez-gateway reseal` re-encrypts them with the current one)"),
                group,
                checked,
            ),
            SealedWith::Predecessor if current.is_some() && group.broken == 0 => {
                checked.good(format!("tokens encrypted by the TypeScript server (key configured): {words}"));
            }
            SealedWith::Predecessor if current.is_some() => checked.problem(
                format!("tokens encrypted by the TypeScript server: {words}; {} cannot be decrypted", group.broken),
                "set ENCRYPTION_KEY or an entry of ENCRYPTION_KEYS_PREVIOUS to exactly the value that server used",
            ),
            SealedWith::Key(id) if current.is_some() => checked.problem(
                format!("tokens encrypted with key {id}, which is not configured: {words}"),
                "add that key to ENCRYPTION_KEYS_PREVIOUS; if it is lost, those users must connect again",
            ),
            // The configured keys are not known, and the reason was reported.
            SealedWith::Key(id) => checked.good(format!("tokens encrypted with key {id} (not checked): {words}")),
            SealedWith::Predecessor => {
                checked.good(format!("tokens encrypted by the TypeScript server (not checked): {words}"));
            }
            SealedWith::Nothing => checked.problem(
                format!("tokens not encrypted by the gateway: {words}"),
                "restore those rows from a backup, or ask those users to disconnect and connect again",
            ),
        }
    }
}

fn opened(key: String, group: &Group, checked: &mut Checked) {
    let words = group.words();
    if group.broken == 0 {
        checked.good(format!("tokens encrypted with {key}: {words}"));
    } else {
        checked.problem(
            format!(
                "tokens encrypted with {key}: {words}; {} cannot be decrypted: they were altered or moved",
                group.broken
            ),
            "restore those rows from a backup, or ask those users to disconnect and connect again",
        );
    }
}

fn app_at(ownerrez: &OwnerRez, survey: &Survey, checked: &mut Checked) {
    match &ownerrez.client {
        Some(client) => checked.good(format!("OwnerRez: the OAuth app is {}", client.id)),
        // One of the two settings is missing or wrong, which was reported.
        None if survey.errors.iter().any(|error| error.setting.starts_with("OWNERREZ_CLIENT_")) => {}
        None => checked.good(
            "OwnerRez: no OAuth app is configured (OWNERREZ_CLIENT_ID), so users cannot sign in or connect with one",
        ),
    }
}

fn redirect(ownerrez: &OwnerRez, checked: &mut Checked) {
    if let Some(unused) = &ownerrez.unused_redirect_uri {
        checked.problem(
            format!(
                "OWNERREZ_REDIRECT_URI is {unused}, which has the TypeScript server's path; the gateway's callback \
                 path is {CALLBACK_PATH}"
            ),
            format!(
                "register SERVER_URL followed by {CALLBACK_PATH} with your OAuth app, and set OWNERREZ_REDIRECT_URI to \
                 that or remove it"
            ),
        );
    }
}

async fn reach(ownerrez: &OwnerRez, clock: SharedClock, checked: &mut Checked) {
    let client = ownerrez.client.as_ref();
    let settings = UpstreamSettings {
        api_url: ownerrez.api_url.clone(),
        client: client.map(|client| ClientCredentials { id: client.id.clone(), secret: client.secret.clone() }),
        redirect_uri: None,
        connect_timeout: CONNECT_TIMEOUT,
        answer_timeout: ANSWER_TIMEOUT,
        answer_limit: ANSWER_LIMIT,
        tls: TlsTrust::public(),
    };
    match Upstream::new(Arc::new(settings), clock, Arc::new(Metrics::new())).reach().await {
        Ok(status) => checked.good(format!("OwnerRez: {} responds (status {status})", ownerrez.api_url)),
        Err(error) => checked.problem(
            format!("OwnerRez: no response from {}: {error}", ownerrez.api_url),
            "make it reachable from this machine over https (DNS, firewall, proxy), or correct OWNERREZ_API_URL",
        ),
    }
}
