//! `check`: reports every problem with settings, database, keys and OwnerRez, each with its remedy. Changes nothing.

use std::{fmt::Write, sync::Arc, time::Duration};

use chrono::TimeDelta;
use secrecy::SecretString;

use super::{
    existing_store::missing_migrations,
    records::{Records, TABLES, TokenCounts},
};
use crate::{
    app::{database::database_target_from, error_cause::cause, key_ring::key_ring_from},
    config::{CALLBACK_PATH, Config, Database, OwnerRezSection, PartialConfig, Sources},
    crypto::{KeyRing, SealedWith},
    domain::SharedClock,
    metrics::Metrics,
    outgoing::TlsTrust,
    store::{PoolMode, SealedTable, Store, StoreError, detect_pool_mode, is_one_database},
    upstream::{ClientCredentials, Upstream, UpstreamSettings},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: TimeDelta = TimeDelta::seconds(10);
const ANSWER_LIMIT: usize = 1024 * 1024;

/// The result of the check.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CheckReport {
    good: Vec<String>,
    /// The problems, each with its remedy.
    problems: Vec<(String, String)>,
}

impl CheckReport {
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
pub async fn check(sources: Sources, with_upstream: bool, clock: SharedClock) -> CheckReport {
    let mut report = CheckReport::default();
    let survey = Config::load_lenient(sources);
    if survey.errors.is_empty() {
        report.good("settings: valid");
    }
    for error in &survey.errors {
        let whole = error.to_string();
        let (what, _) = whole.split_once("\n").unwrap_or((&whole, ""));
        report.problem(what, &error.remedy);
    }
    let ring = load_keys(&survey, &mut report);
    if let Some(database) = &survey.database
        && let Err(error) = check_database(database, &ring, &mut report).await
    {
        report.problem(format!("database: {error} ({})", cause(&error)), remedy_of(&error));
    }
    if let Some(ownerrez) = &survey.ownerrez {
        check_oauth_app(ownerrez, &survey, &mut report);
        check_redirect_uri(ownerrez, &mut report);
        if with_upstream {
            check_upstream(ownerrez, clock, &mut report).await;
        }
    }
    report
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
    NotGenerated(String),
    /// The keys are wrong or unreadable, which was reported.
    Unusable,
}

fn load_keys(survey: &PartialConfig, report: &mut CheckReport) -> Keys {
    let Some(encryption) = &survey.encryption else { return Keys::Unusable };
    match encryption.existing() {
        Ok(Some(key)) => match key_ring_from(encryption, &key, &survey.previous_keys) {
            Ok(ring) => {
                let previous = ring.previous_keys();
                let before = if previous.is_empty() {
                    String::new()
                } else {
                    format!("; previous keys: {}", previous.join(", "))
                };
                report.good(format!("encryption: the current key is {}{before}", ring.current_key()));
                Keys::Ring(Box::new(ring))
            }
            Err(error) => {
                report.problem(format!("encryption: {error}"), "set ENCRYPTION_KEY to 32 random bytes in base64");
                Keys::Unusable
            }
        },
        Ok(None) => {
            let place = survey.database.as_ref().map_or("", |database| match database {
                Database::Sqlite { .. } => " and there is no key file next to the database",
                Database::Postgres { .. } => "",
            });
            Keys::NotGenerated(format!("ENCRYPTION_KEY is not set{place}"))
        }
        Err(error) => {
            let whole = error.to_string();
            let (what, remedy) = whole.rsplit_once(": ").unwrap_or((&whole, "check the file"));
            report.problem(format!("encryption: {what}"), remedy);
            Keys::Unusable
        }
    }
}

async fn check_database(database: &Database, keys: &Keys, report: &mut CheckReport) -> Result<(), StoreError> {
    if let Database::Sqlite { path } = database
        && !path.exists()
    {
        report.good(format!("database: {} does not exist yet; the first start creates it", path.display()));
        if let Keys::NotGenerated(_) = keys {
            report.good("encryption: the first start generates a key and stores it next to the database");
        }
        return Ok(());
    }
    if let Database::Postgres { url, direct_url } = database
        && !check_pooler(url, direct_url.as_ref(), report).await?
    {
        return Ok(());
    }
    // Uses one connection: the running gateways need theirs.
    let store = Store::connect(&database_target_from(database, 1)).await?;
    store.ping().await?;
    let damage = store.find_damage().await?;
    if !damage.is_empty() {
        report.problem(format!("database: damaged ({})", damage.join("; ")), DAMAGE_REMEDY);
        return Ok(());
    }
    store.may_migrate().await?;
    let missing = missing_migrations(&store).await?;
    if missing.is_empty() {
        report.good("database: reachable, and its schema is up to date");
    } else {
        report.good(format!("database: reachable; the next start applies {}", missing.join(", ")));
    }
    let ring = match keys {
        Keys::Ring(ring) => Some(&**ring),
        Keys::NotGenerated(_) | Keys::Unusable => None,
    };
    // Before the first migration the database is empty, or the TypeScript server's, which has connections but no
    // revocations.
    let tables: &[SealedTable] = if missing.is_empty() { &TABLES } else { &TABLES[..1] };
    match Records::read(&store, ring, tables).await {
        Ok(records) => check_encryption_keys(&records, keys, report),
        Err(StoreError::Query(_)) if !missing.is_empty() => {}
        Err(error) => return Err(error),
    }
    store.close().await
}

/// Checks that the URLs name the server itself, or that one names a pooler and the other the server behind it. Returns
/// `false` if no query can run over `url`.
async fn check_pooler(
    url: &SecretString,
    direct_url: Option<&SecretString>,
    report: &mut CheckReport,
) -> Result<bool, StoreError> {
    let pooled = detect_pool_mode(url).await?;
    if let PoolMode::NoPreparedStatements(said) = pooled {
        report.problem(
            format!("database: DATABASE_URL goes through a pooler that does not support prepared statements ({said})"),
            "use PgBouncer 1.21 or newer with max_prepared_statements above 0 and set DATABASE_DIRECT_URL; or set \
             DATABASE_URL to the address of the server itself",
        );
        return Ok(false);
    }
    let Some(direct_url) = direct_url else {
        if pooled == PoolMode::Transaction {
            report.problem(
                "database: DATABASE_URL goes through a transaction-mode pooler, which breaks advisory locks and \
                 LISTEN/NOTIFY",
                "set DATABASE_DIRECT_URL to the address of the server itself, or set DATABASE_URL to it",
            );
        }
        return Ok(true);
    };
    let kept = match detect_pool_mode(direct_url).await {
        Ok(kept) => kept,
        Err(error) => {
            report.problem(
                format!("database: DATABASE_DIRECT_URL: {error} ({})", cause(&error)),
                "make that server reachable from this machine, or correct DATABASE_DIRECT_URL",
            );
            return Ok(true);
        }
    };
    if kept != PoolMode::Session {
        report.problem(
            "database: DATABASE_DIRECT_URL goes through a transaction-mode pooler",
            "set it to the address of the server itself or of a session-mode pooler",
        );
    } else if !is_one_database(direct_url, url).await? {
        report.problem(
            "database: DATABASE_DIRECT_URL names another database than DATABASE_URL",
            "set both to the same database on the same server",
        );
    } else {
        report.good(match pooled {
            PoolMode::Session => "database: DATABASE_URL needs no DATABASE_DIRECT_URL; both reach the same database",
            _ => "database: DATABASE_URL goes through a pooler; DATABASE_DIRECT_URL bypasses it to the same database",
        });
    }
    Ok(true)
}

/// Reports which rows need which key, and whether that key is configured.
fn check_encryption_keys(records: &Records, keys: &Keys, report: &mut CheckReport) {
    if records.rows == 0 {
        report.good("tokens: none stored");
        if let Keys::NotGenerated(_) = keys {
            report.good("encryption: the next start generates a key and stores it next to the database");
        }
        return;
    }
    let (current, previous) = match keys {
        Keys::Ring(ring) => (Some(ring.current_key()), ring.previous_keys()),
        Keys::NotGenerated(what) => {
            report.problem(
                format!("encryption: {what}, but {} rows contain encrypted tokens", records.rows),
                "restore the key file from a backup, or set ENCRYPTION_KEY to the key they were encrypted with",
            );
            (None, Vec::new())
        }
        Keys::Unusable => (None, Vec::new()),
    };
    for (key, counts) in &records.by_key {
        let words = counts.words();
        match key {
            SealedWith::Key(id) if Some(id) == current.as_ref() => {
                report_tokens(format!("key {id} (current)"), counts, report)
            }
            SealedWith::Key(id) if previous.contains(id) => report_tokens(
                format!("key {id} (previous; `ownerrez-gateway reseal` re-encrypts them with the current one)"),
                counts,
                report,
            ),
            SealedWith::Legacy if current.is_some() && counts.broken == 0 => {
                report.good(format!("tokens encrypted by the TypeScript server (key configured): {words}"));
            }
            SealedWith::Legacy if current.is_some() => report.problem(
                format!("tokens encrypted by the TypeScript server: {words}; {} cannot be decrypted", counts.broken),
                "set ENCRYPTION_KEY or an entry of ENCRYPTION_KEYS_PREVIOUS to exactly the value that server used",
            ),
            SealedWith::Key(id) if current.is_some() => report.problem(
                format!("tokens encrypted with key {id}, which is not configured: {words}"),
                "add that key to ENCRYPTION_KEYS_PREVIOUS; if it is lost, those users must connect again",
            ),
            // The configured keys are not known, and the reason was reported.
            SealedWith::Key(id) => report.good(format!("tokens encrypted with key {id} (not checked): {words}")),
            SealedWith::Legacy => {
                report.good(format!("tokens encrypted by the TypeScript server (not checked): {words}"));
            }
            SealedWith::Nothing => report.problem(
                format!("tokens not encrypted by the gateway: {words}"),
                "restore those rows from a backup, or ask those users to disconnect and connect again",
            ),
        }
    }
}

fn report_tokens(key: String, counts: &TokenCounts, report: &mut CheckReport) {
    let words = counts.words();
    if counts.broken == 0 {
        report.good(format!("tokens encrypted with {key}: {words}"));
    } else {
        report.problem(
            format!(
                "tokens encrypted with {key}: {words}; {} cannot be decrypted: they were altered or moved",
                counts.broken
            ),
            "restore those rows from a backup, or ask those users to disconnect and connect again",
        );
    }
}

fn check_oauth_app(ownerrez: &OwnerRezSection, survey: &PartialConfig, report: &mut CheckReport) {
    match &ownerrez.client {
        Some(client) => report.good(format!("OwnerRez: the OAuth app is {}", client.id)),
        // One of the two settings is missing or wrong, which was reported.
        None if survey.errors.iter().any(|error| error.setting.starts_with("OWNERREZ_CLIENT_")) => {}
        None => report.good(
            "OwnerRez: no OAuth app is configured (OWNERREZ_CLIENT_ID), so users cannot sign in or connect with one",
        ),
    }
}

fn check_redirect_uri(ownerrez: &OwnerRezSection, report: &mut CheckReport) {
    if let Some(unused) = &ownerrez.unused_redirect_uri {
        report.problem(
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

async fn check_upstream(ownerrez: &OwnerRezSection, clock: SharedClock, report: &mut CheckReport) {
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
    match Upstream::new(Arc::new(settings), clock, Arc::new(Metrics::new())).ping().await {
        Ok(status) => report.good(format!("OwnerRez: {} responds (status {status})", ownerrez.api_url)),
        Err(error) => report.problem(
            format!("OwnerRez: no response from {}: {error}", ownerrez.api_url),
            "make it reachable from this machine over https (DNS, firewall, proxy), or correct OWNERREZ_API_URL",
        ),
    }
}
