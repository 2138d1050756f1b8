//! Rules for every table, read from the schema of a migrated database: the rows of a user go with the user, and rows
//! that expire are swept. A new table fails here until it follows the rules or is listed with a reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::{Gateway, TestDatabase, on_each_database};

/// The tables without a foreign key that leads to `users`, and why.
const WITHOUT_USER: [(&str, &str); 8] = [
    ("users", "the users themselves"),
    ("allowance_blocks", "permits of processes"),
    ("allowance_slots", "processes"),
    ("forgotten_clients", "ids of deleted OAuth clients"),
    ("gateway_state", "a single row of the deployment"),
    ("pending_revocations", "outlives its user on purpose, until OwnerRez confirms the revocation"),
    ("sign_in_requests", "the user is unknown until the sign-in has ended"),
    ("seaql_migrations", "the applied migrations"),
];

/// The sweeps that delete the expired rows of a table, by their function in `store`.
const SWEEPS: [(&str, &str); 6] = [
    ("account_sessions", "sweep_sessions"),
    ("authorization_codes", "sweep_grants"),
    ("forgotten_clients", "sweep_deleted_clients"),
    ("oauth_states", "sweep_links"),
    ("refresh_tokens", "sweep_grants"),
    ("sign_in_requests", "sweep_grants"),
];

/// The tables whose expired rows stay, and why.
const KEPT: [(&str, &str); 3] = [
    ("api_keys", "lists show the owner that a key has expired"),
    ("oauth_grants", "swept with its last token"),
    ("ownerrez_connections", "the expiry is that of the access token, which is refreshed"),
];

#[actix_web::test]
async fn the_rows_of_a_user_go_with_the_user() {
    on_each_database(async |database| {
        Gateway::start(database).await.stop().await;
        let tables = list(database, TABLES).await;
        let mut cascading: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for key in list(database, CASCADING_KEYS).await {
            let (child, parent) = key.split_once('>').unwrap();
            cascading.entry(child.to_owned()).or_default().insert(parent.to_owned());
        }
        let hangs_on_user = |table: &str| {
            let parents = |table: &str| cascading.get(table).into_iter().flatten().cloned();
            let (mut open, mut seen) = (parents(table).collect::<Vec<_>>(), BTreeSet::new());
            while let Some(next) = open.pop() {
                if seen.insert(next.clone()) {
                    open.extend(parents(&next));
                }
            }
            seen.contains("users")
        };
        for table in &tables {
            let reason = WITHOUT_USER.iter().find(|(listed, _)| listed == table);
            match (hangs_on_user(table), reason) {
                (true, None) | (false, Some(_)) => {}
                (false, None) => panic!(
                    "{table}: give it a user_id that references users with ON DELETE CASCADE, or add it to WITHOUT_USER"
                ),
                (true, Some((_, reason))) => {
                    panic!("{table} goes with its user: remove it from WITHOUT_USER ({reason})")
                }
            }
        }
        for (listed, _) in WITHOUT_USER {
            assert!(tables.contains(listed), "{listed} is listed and does not exist");
        }
    })
    .await;
}

#[actix_web::test]
async fn rows_that_expire_are_swept() {
    on_each_database(async |database| {
        Gateway::start(database).await.stop().await;
        let jobs = include_str!("../../src/session/background_jobs.rs");
        let expiring = list(database, EXPIRING).await;
        for table in &expiring {
            let sweep = SWEEPS.iter().find(|(listed, _)| listed == table);
            let is_kept = KEPT.iter().any(|(listed, _)| listed == table);
            match sweep {
                Some((_, sweep)) => {
                    assert!(!is_kept, "{table} is in SWEEPS and in KEPT");
                    assert!(jobs.contains(&format!("store.{sweep}(")), "the background jobs do not call {sweep}");
                }
                None => assert!(is_kept, "{table} has expires_at: add its sweep to SWEEPS, or a reason to KEPT"),
            }
        }
        for (listed, _) in SWEEPS.iter().chain(&KEPT) {
            assert!(expiring.contains(*listed), "{listed} is listed and has no column expires_at");
        }
    })
    .await;
}

/// The queries for SQLite and PostgreSQL. Each returns its names as one text, separated by commas.
type Queries = [&'static str; 2];

const TABLES: Queries = [
    "SELECT group_concat(name) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    "SELECT string_agg(table_name::text, ',') FROM information_schema.tables WHERE table_schema = 'public'",
];

/// `child>parent` for each foreign key with ON DELETE CASCADE.
const CASCADING_KEYS: Queries = [
    "SELECT group_concat(m.name || '>' || f.\"table\") FROM sqlite_master m, pragma_foreign_key_list(m.name) f \
     WHERE m.type = 'table' AND f.on_delete = 'CASCADE'",
    "SELECT string_agg(conrelid::regclass::text || '>' || confrelid::regclass::text, ',') FROM pg_constraint \
     WHERE contype = 'f' AND confdeltype = 'c'",
];

const EXPIRING: Queries = [
    "SELECT group_concat(m.name) FROM sqlite_master m, pragma_table_info(m.name) c \
     WHERE m.type = 'table' AND c.name = 'expires_at'",
    "SELECT string_agg(table_name::text, ',') FROM information_schema.columns \
     WHERE table_schema = 'public' AND column_name = 'expires_at'",
];

async fn list(database: &TestDatabase, [sqlite, postgres]: Queries) -> BTreeSet<String> {
    let names = database.text(if database.is_postgres() { postgres } else { sqlite }).await;
    names.split(',').map(str::to_owned).collect()
}
