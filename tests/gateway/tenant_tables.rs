//! What every table with data of users needs: it is deleted with its user, swept when it is old, read by user, its
//! ciphertexts are re-encrypted, and changes of cached rows are reported. A new table that misses one of these fails
//! here, or it is added to a list of this file with the reason.

pub(crate) mod schema;
mod store_queries;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use ownerrez_gateway::{
    crypto::{SealedWith, sealed_with},
    domain::Sealed,
    simulator::Rule,
};
use serde_json::{Value, json};

use self::schema::{Schema, texts};
use crate::{
    account::Visit,
    processes::program::Program,
    rotation::{NEW, OLD, keys, new_ring},
    world::{Browser, ClientApp, Gateway, TestDatabase, eventually, on_each_database, on_postgres},
};

/// The tables whose rows are not deleted with a user, and why.
const NOT_DELETED_WITH_USERS: [(&str, &str); 7] = [
    ("allowance_blocks", "permits, without the users that took them"),
    ("allowance_slots", "the shares of the processes"),
    ("forgotten_clients", "digests of OAuth clients, which belong to no user"),
    ("gateway_state", "one row about the database"),
    ("pending_revocations", "the tokens of deleted users, which must still be revoked at OwnerRez"),
    ("seaql_migrations", "the applied migrations"),
    ("sign_in_requests", "a browser that signs in has no user yet"),
];

/// The tables in which old rows stay, and why. All others are empty after a year.
const NOT_SWEPT: [(&str, &str); 8] = [
    ("allowance_blocks", "the session that holds the slot deletes them (`forget_blocks`)"),
    ("allowance_slots", "one row for each share"),
    ("api_keys", "an expired key is listed until the user deletes it"),
    ("gateway_state", "one row"),
    ("identities", "the user signs in with it"),
    ("ownerrez_connections", "its tokens are refreshed"),
    ("seaql_migrations", "the applied migrations"),
    ("users", "only users that never connected are swept"),
];

/// The columns whose ciphertexts `reseal` leaves, and why.
const NOT_RESEALED: [(&str, &str, &str); 1] =
    [("sign_in_requests", "request", "expires within minutes, and the previous key is kept for longer")];

/// The columns whose ciphertexts were encrypted for another column, and why.
const MOVED: [(&str, &str, &str); 1] =
    [("pending_revocations", "access_token", "moved from `ownerrez_connections` unchanged, without a key")];

/// The functions of `store` that query rows of users without naming the user, and why.
const WITHOUT_USER: [(&str, &[&str]); 4] = [
    (
        "A secret, or the digest of one, finds the row, and with it the user.",
        &[
            "account::close_session",
            "callback_states::extend_link",
            "callback_states::link_callback_state",
            "callback_states::mark_link_waiting",
            "grants::code",
            "keys::key_by_prefix",
            "legacy_keys::legacy_keys_by_prefix",
            "legacy_keys::predecessor_key_by_digest",
            "links::link",
            "links::take_link",
            "refresh::refresh_token",
        ],
    ),
    (
        "The id of the grant comes from a code or a token that was verified.",
        &[
            "grants::grant",
            "grants::redeem_code",
            "live_grants::live_until",
            "refresh::add_refresh",
            "refresh::add_successor",
            "refresh::begin_family",
            "refresh::rotate",
        ],
    ),
    (
        "Background jobs and commands work on the rows of all users.",
        &[
            "account::sweep_sessions",
            "grants::sweep_grants",
            "legacy_keys::has_legacy_keys",
            "links::sweep_links",
            "refresh::store_re_encrypted_successor",
            "revocations::due_revocations",
            "revocations::finish_revocation",
            "revocations::postpone_revocation",
            "usage::forget_use",
            "writes::sweep_writes",
        ],
    ),
    (
        "Part of queries whose other parts name the user.",
        &["connections::changed", "connections::without_lease", "live_grants::live_grants"],
    ),
];

/// The tables whose rows processes cache, with the columns whose changes no cached value depends on.
const CACHED: [(&str, &[&str]); 3] = [
    ("api_keys", &["id", "name", "last_used_at", "created_at", "key_digest", "key_hmac"]),
    (
        "oauth_grants",
        &[
            "id",
            "client_name",
            "created_at",
            "last_used_at",
            "expires_at",
            "confirmed_generation",
            "confirmed_hash",
            "successor",
            "family_hash",
            "signed",
        ],
    ),
    ("users", &["id", "created_at", "first_connected_at"]),
];

/// The tables that processes read each time.
const NOT_CACHED: [&str; 15] = [
    "account_sessions",
    "allowance_blocks",
    "allowance_slots",
    "allowance_use",
    "authorization_codes",
    "forgotten_clients",
    "gateway_state",
    "identities",
    "oauth_states",
    "ownerrez_connections",
    "pending_revocations",
    "refresh_tokens",
    "seaql_migrations",
    "sign_in_requests",
    "writes",
];

const REVOKE: &str = "DELETE /oauth/access_token/{token}";

/// Uses a gateway so that every table has a row. A new table is written here too.
async fn write_every_table(gateway: &Gateway, database: &TestDatabase) {
    // Users with keys and connections, and one with a link.
    let alice = gateway.connected_user("Alice").await;
    let carol = gateway.connected_user("Carol").await;
    assert_eq!(gateway.user("Bob").await.get("/api/connect/ownerrez/start").await.status, 200);
    alice.call("create_guest", json!({"first_name": "Ada", "last_name": "Byron"})).await.ok();

    // A token that OwnerRez does not revoke yet.
    gateway.ownerrez().script(Rule::on(REVOKE).reply(503, json!({})));
    assert_eq!(carol.delete("/api/connect/ownerrez").await.status, 200);
    eventually("the first attempt to revoke", async || {
        (database.number("SELECT count(*) FROM pending_revocations WHERE attempts > 0").await > 0).then_some(())
    })
    .await;

    // A client with tokens, a sign-in in progress, and a browser session.
    let account = gateway.ownerrez().add_account("Dora").id;
    let app = ClientApp::register(gateway, "App").await;
    let tokens = app.tokens(gateway, account, &[]).await;
    assert_eq!(app.refresh(&tokens["refresh_token"], &[]).await.status, 200);
    assert_eq!(app.decide(&mut Browser::new(), &[], "allow").await.status, 303);
    Visit::signed_in(gateway, account).await;

    // The usage of the allowance, and a deleted client that would have expired.
    gateway.app().sessions().run_background_jobs().await;
    let deleted = "INSERT INTO forgotten_clients (client_hash, expires_at) SELECT 'x', max(created_at) FROM users";
    database.execute(deleted).await;
}

/// Runs a command of the operator next to the gateway; returns what it prints.
fn succeeds(gateway: &Gateway, arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let ending = Program::start(home.path(), arguments, &gateway.environment()).end();
    assert_eq!(ending.code, Some(0), "{ending:?}");
    ending.output
}

/// Returns the tables in a list. Each exists and has a reason.
fn listed<'a>(schema: &Schema, list: &[(&'a str, &str)]) -> BTreeSet<&'a str> {
    for (table, reason) in list {
        assert!(
            schema.tables.contains_key(*table) && !reason.is_empty(),
            "{table} is listed without a table or reason"
        );
    }
    list.iter().map(|(table, _)| *table).collect()
}

#[actix_web::test]
async fn every_table_is_deleted_with_its_users() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let schema = Schema::of(database).await;
        let (of_users, others) = (schema.of_users(), listed(&schema, &NOT_DELETED_WITH_USERS));
        for table in schema.tables.keys() {
            assert_ne!(
                of_users.contains(&**table),
                others.contains(&**table),
                "{table}: let a required column refer to `users`, or to a table that does, with ON DELETE CASCADE, or \
                 else list it in NOT_DELETED_WITH_USERS"
            );
        }
        write_every_table(&gateway, database).await;
        assert_eq!(schema.empty_tables(database).await, BTreeSet::new(), "write a row in `write_every_table`");

        let users: Value = serde_json::from_str(&succeeds(&gateway, &["users", "list", "--json"])).unwrap();
        for user in users.as_array().unwrap() {
            succeeds(&gateway, &["users", "delete", user["id"].as_str().unwrap()]);
        }
        let empty = schema.empty_tables(database).await;
        assert!(empty.is_superset(&of_users), "rows are left in {:?}", &of_users - &empty);
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_table_is_empty_after_a_year_or_has_a_reason_to_keep_its_rows() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let schema = Schema::of(database).await;
        write_every_table(&gateway, database).await;
        gateway.ownerrez().clear_rules();
        gateway.advance(TimeDelta::minutes(10));
        gateway.app().sessions().run_background_jobs().await;
        // From now on no request is sent, which would be a new row of `allowance_use`.
        database.execute("UPDATE users SET disabled_at = created_at").await;
        gateway.advance(TimeDelta::days(400));
        gateway.app().sessions().run_background_jobs().await;
        let (empty, kept) = (schema.empty_tables(database).await, listed(&schema, &NOT_SWEPT));
        for table in schema.tables.keys().filter(|table| !kept.contains(&***table)) {
            assert!(
                empty.contains(&**table),
                "{table}: delete old rows in `Round::try_run` (src/session/background_jobs.rs), or list it in NOT_SWEPT"
            );
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_ciphertext_names_its_column_and_is_re_encrypted() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let schema = Schema::of(database).await;
        write_every_table(&gateway, database).await;
        let contexts = include_str!("../../src/crypto/key_ring.rs");
        let encrypted = schema.encrypted(database).await;
        assert!(encrypted.len() > 4, "{encrypted:?}");
        for (table, column, _) in &encrypted {
            let is_moved = MOVED.iter().any(|(known, name, _)| (known, name) == (table, column));
            assert!(
                is_moved || contexts.contains(&format!("\"{table}.{column}")),
                "{table}.{column}: add a variant to EncryptionContext (src/crypto/key_ring.rs), so that the ciphertext \
                 is bound to its column and row"
            );
        }

        let gateway = gateway.restart_with(keys(NEW, OLD)).await;
        succeeds(&gateway, &["reseal"]);
        let new = SealedWith::Key(new_ring().current_key());
        for (table, column, value) in schema.encrypted(database).await {
            let is_left = NOT_RESEALED.iter().any(|(known, name, _)| (*known, *name) == (table, column));
            assert!(
                is_left || sealed_with(&Sealed(value)) == new,
                "{table}.{column}: add the table to SealedTable (src/store/admin.rs) and to TABLES \
                 (src/app/commands/records.rs), so that `reseal` re-encrypts it, or list it in NOT_RESEALED"
            );
        }
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_query_of_rows_of_users_names_the_user_or_has_a_reason() {
    on_each_database(async |database| {
        let gateway = Gateway::start(database).await;
        let schema = Schema::of(database).await;
        let mut tables = schema.of_users();
        tables.insert("pending_revocations");
        let found = store_queries::without_user(&tables);
        let known: BTreeSet<String> =
            WITHOUT_USER.iter().flat_map(|(_, functions)| *functions).map(|name| (*name).to_owned()).collect();
        let new = &found - &known;
        assert!(new.is_empty(), "filter by the UserId, or list it in WITHOUT_USER with the reason: {new:?}");
        let gone = &known - &found;
        assert!(gone.is_empty(), "remove it from WITHOUT_USER: {gone:?}");
        gateway.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn every_change_of_a_cached_row_is_reported() {
    on_postgres(async |database| {
        let gateway = Gateway::start(database).await;
        let schema = Schema::of(database).await;
        let triggers = "SELECT c.relname::text, a.attname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (t.tgattr::int2[])
            WHERE t.tgname = 'ownerrez_gateway_keys_changed'";
        let mut reported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for [table, column] in texts(database, triggers).await {
            reported.entry(table).or_default().insert(column);
        }
        let unknown: Vec<&str> = NOT_CACHED.into_iter().filter(|table| !schema.tables.contains_key(*table)).collect();
        assert!(unknown.is_empty(), "NOT_CACHED lists tables that do not exist: {unknown:?}");
        for (table, columns) in &schema.tables {
            let cached = CACHED.iter().find(|(name, _)| name == table);
            assert_ne!(cached.is_some(), NOT_CACHED.contains(&&**table), "list {table} in CACHED or in NOT_CACHED");
            let Some((_, unreported)) = cached else {
                assert!(!reported.contains_key(table), "{table} has a trigger: list it in CACHED");
                continue;
            };
            for column in columns {
                let is_reported = reported.get(table).is_some_and(|columns| columns.contains(&column.name));
                assert_ne!(
                    is_reported,
                    unreported.contains(&&*column.name),
                    "{table}.{}: name it in the trigger (as m20261130_000006_key_two_steps does), or in CACHED if no \
                     cached value depends on it",
                    column.name
                );
            }
        }
        gateway.stop().await;
    })
    .await;
}
