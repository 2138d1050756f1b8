//! The TypeScript server's database is migrated; any other database is left unchanged.

use futures_util::future::join_all;
use sea_orm::{
    ConnectionTrait, FromQueryResult, Statement,
    sqlx::{self, Connection as _, PgConnection},
};

use super::{
    super::{LEGACY_KEY_CANDIDATES, Store, StoreError},
    harness::{Base, on_postgres},
};
use crate::domain::{KeyId, UserId};

const DUMP: &str = include_str!("../../../tests/gateway/fixtures/predecessor.sql");

/// Uses a separate connection: a dump leaves the session without a search path.
async fn load(base: &Base) {
    let mut connection = PgConnection::connect(&base.url()).await.unwrap();
    sqlx::raw_sql(DUMP).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn texts(base: &Base, query: &str) -> Vec<String> {
    #[derive(FromQueryResult)]
    struct Text {
        text: String,
    }
    let statement = Statement::from_string(base.store.db.get_database_backend(), query);
    let rows = base.store.db.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| Text::from_query_result(row, "").unwrap().text).collect()
}

/// Returns columns, constraints and indexes as text. The order of the columns does not matter.
async fn shape(base: &Base) -> Vec<String> {
    let columns = "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS text
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1";
    let constraints = "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS text
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1";
    let indexes = "SELECT indexdef AS text FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
    let mut shape = texts(base, columns).await;
    shape.extend(texts(base, constraints).await);
    shape.extend(texts(base, indexes).await);
    shape
}

#[tokio::test]
async fn a_database_that_was_taken_over_has_the_shape_of_a_new_one() {
    on_postgres(async |base| {
        base.store.migrate_up().await.unwrap();
        let created = shape(&base).await;
        on_postgres(async |base| {
            load(&base).await;
            base.store.migrate_up().await.unwrap();
            assert_eq!(shape(&base).await, created);
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn nothing_is_lost_and_what_was_missing_is_filled_in() {
    on_postgres(async |base| {
        load(&base).await;
        let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM users), (SELECT count(*) FROM api_keys),
            (SELECT count(*) FROM ownerrez_connections)) AS text";
        let contents = "SELECT concat_ws(' ', k.id, k.user_id, key_hash, key_prefix, name, last_used_at,
            c.id, access_token, refresh_token, user_id_ownerrez) AS text
            FROM api_keys k LEFT JOIN ownerrez_connections c ON c.user_id = k.user_id ORDER BY 1";
        let (before, rows) = (texts(&base, counts).await, texts(&base, contents).await);
        base.store.migrate_up().await.unwrap();
        assert_eq!(texts(&base, counts).await, before);
        assert_eq!(before, ["16 16 4"]);
        let plain = |text: &String| text.replace("+00", "");
        assert_eq!(texts(&base, contents).await.iter().map(plain).collect::<Vec<_>>(), rows);

        let times = "SELECT concat_ws(' ', created_at = '2026-06-15T08:00:00.800293Z', first_connected_at = created_at,
            disabled_at IS NULL) AS text FROM users ORDER BY id LIMIT 1";
        assert_eq!(texts(&base, times).await, ["t t t"]);
        let connections = "SELECT concat_ws(' ', token_type, obtained_at = updated_at, updated_at >= created_at,
            expires_at IS NULL, renew_at IS NULL, version) AS text FROM ownerrez_connections";
        assert_eq!(texts(&base, connections).await, ["bearer t t t t 0"; 4]);

        // Open links stay, hashed, and belong to a key; the link that no key can have requested is deleted.
        let states = "SELECT concat_ws(' ', length(state), k.name) AS text
            FROM oauth_states JOIN api_keys k ON k.id = key_id ORDER BY 1";
        assert_eq!(texts(&base, states).await, ["64 too late", "64 waits for OwnerRez"]);
        assert!(!DUMP.contains(&texts(&base, "SELECT state AS text FROM oauth_states").await[0]));
    })
    .await;
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_the_way_back_is_barred() {
    on_postgres(async |base| {
        load(&base).await;
        base.store.migrate_up().await.unwrap();
        let everything = "SELECT concat_ws(' ', u::text, k::text, c::text, s::text) AS text FROM users u
            LEFT JOIN api_keys k ON k.user_id = u.id LEFT JOIN ownerrez_connections c ON c.user_id = u.id
            LEFT JOIN oauth_states s ON s.user_id = u.id ORDER BY 1";
        let (before, shaped) = (texts(&base, everything).await, shape(&base).await);
        base.store.migrate_up().await.unwrap();
        // Reverting to before the migration of the predecessor's data: all or nothing.
        let all = base.store.migration_status().await.unwrap().len() as u32;
        let refusal = base.store.migrate_down(all).await.unwrap_err();
        assert!(cause(&refusal).contains("restore the backup"), "{refusal:?}");
        assert_eq!(texts(&base, everything).await, before);
        assert_eq!(shape(&base).await, shaped);
    })
    .await;
}

#[tokio::test]
async fn processes_that_take_over_at_once_all_succeed() {
    on_postgres(async |base| {
        load(&base).await;
        let processes = base.processes(4).await;
        for outcome in join_all(processes.iter().map(Store::migrate_up)).await {
            outcome.unwrap();
        }
        assert!(base.store.has_legacy_keys().await.unwrap());
    })
    .await;
}

fn cause(error: &StoreError) -> String {
    assert!(matches!(error, StoreError::MigrationRefused(_)), "{error:?}");
    std::error::Error::source(error).unwrap().to_string()
}

#[tokio::test]
async fn tables_of_an_unknown_shape_are_named_and_left_alone() {
    for (alteration, named) in [
        ("ALTER TABLE users ADD email text", "users.email is not known"),
        ("ALTER TABLE api_keys DROP name", "api_keys.name is missing"),
        ("ALTER TABLE api_keys ALTER created_at TYPE timestamptz", "api_keys.created_at is timestamp with time zone"),
        ("DROP TABLE oauth_states", "the table oauth_states is missing"),
        ("ALTER TABLE ownerrez_connections DROP CONSTRAINT ownerrez_connections_user_id_key", "no UNIQUE (user_id)"),
        ("CREATE TABLE allowance_slots (slot int)", "the table allowance_slots does not belong"),
        ("CREATE SCHEMA elsewhere; ALTER TABLE oauth_states SET SCHEMA elsewhere", "the table oauth_states is missing"),
        ("ALTER TABLE oauth_states RENAME TO s; CREATE VIEW oauth_states AS SELECT * FROM s", "is not a plain table"),
    ] {
        on_postgres(async |base| {
            load(&base).await;
            base.store.db.execute_unprepared(alteration).await.unwrap();
            let before = shape(&base).await;
            let refusal = cause(&base.store.migrate_up().await.unwrap_err());
            assert!(refusal.contains(named), "{alteration}: {refusal}");
            assert_eq!(shape(&base).await, before, "{alteration}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_predecessor_s_key_is_found_among_few() {
    on_postgres(async |base| {
        load(&base).await;
        base.store.migrate_up().await.unwrap();
        let store = &base.store;
        assert!(store.has_legacy_keys().await.unwrap());
        let shared = "ownerrez_sk_beef...";
        let names = async || {
            let keys = store.legacy_keys_by_prefix(shared).await.unwrap();
            keys.into_iter().map(|key| key.name.unwrap()).collect::<Vec<_>>()
        };
        let first = names().await;
        assert_eq!(first.len() as u64, LEGACY_KEY_CANDIDATES);
        assert_eq!([&*first[0], &*first[7]], ["shares 1", "shares 8"]);

        // Once a key is found by its digest, the ninth key takes its place.
        let known = store.legacy_keys_by_prefix(shared).await.unwrap().remove(0);
        assert!(!store.note_key_digest(UserId(uuid::Uuid::nil()), known.id, "digest").await.unwrap());
        assert!(store.note_key_digest(known.user, known.id, "digest").await.unwrap());
        assert_eq!(store.predecessor_key_by_digest("digest").await.unwrap().unwrap().id, known.id);
        assert_eq!([&*names().await[0], &*names().await[7]], ["shares 2", "shares 9"]);

        // Keys of this gateway are neither found nor marked that way.
        let (user, key): (UserId, KeyId) = base.user("alice").await;
        assert_eq!(store.legacy_keys_by_prefix("ownerrez_sk_alice").await.unwrap(), []);
        assert!(!store.note_key_digest(user, key, "other").await.unwrap());
        assert!(store.key_by_prefix(shared).await.unwrap().is_some_and(|key| key.prefix == shared));
    })
    .await;
}
