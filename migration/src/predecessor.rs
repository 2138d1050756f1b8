//! The database of the TypeScript server that this gateway replaces: recognised, and altered in place without losing
//! a row. It exists on PostgreSQL only.
//!
//! What it kept as `timestamp without time zone` is read as UTC. It wrote those values with `now()` and from
//! JavaScript dates, so they are UTC wherever its server and its database ran in UTC, as containers do by default;
//! elsewhere its old times are off by that zone's distance from UTC, which nothing but what lists show depends on.
//! The zone of the session that migrates plays no part.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, FromQueryResult, QueryResult, Statement},
};

/// Its tables, their columns in alphabetical order, and the columns' types.
const COLUMNS: [(&str, &[(&str, &str)]); 4] = [
    (
        "api_keys",
        &[
            ("created_at", NAIVE),
            ("id", "uuid"),
            ("key_hash", "text"),
            ("key_prefix", "text"),
            ("last_used_at", NAIVE),
            ("name", "text"),
            ("user_id", "uuid"),
        ],
    ),
    ("oauth_states", &[("created_at", NAIVE), ("expires_at", NAIVE), ("state", "text"), ("user_id", "uuid")]),
    (
        "ownerrez_connections",
        &[
            ("access_token", "text"),
            ("created_at", NAIVE),
            ("expires_at", NAIVE),
            ("id", "uuid"),
            ("refresh_token", "text"),
            ("token_type", "text"),
            ("updated_at", NAIVE),
            ("user_id", "uuid"),
            ("user_id_ownerrez", "integer"),
        ],
    ),
    ("users", &[("created_at", NAIVE), ("id", "uuid")]),
];

const NAIVE: &str = "timestamp without time zone";

/// What holds its rows together, and ours: a copy that was restored without them is not taken over.
const CONSTRAINTS: [(&str, &str); 8] = [
    ("api_keys", "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE"),
    ("api_keys", "PRIMARY KEY (id)"),
    ("oauth_states", "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE"),
    ("oauth_states", "PRIMARY KEY (state)"),
    ("ownerrez_connections", "FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE"),
    ("ownerrez_connections", "PRIMARY KEY (id)"),
    ("ownerrez_connections", "UNIQUE (user_id)"),
    ("users", "PRIMARY KEY (id)"),
];

/// Tables that only the gateway has. Where one of them stands, somebody has been here before us.
const OURS: [&str; 3] = ["allowance_blocks", "allowance_slots", "pending_revocations"];

/// Left on a table that was taken over: what these tables hold is not ours to drop.
const MARK: &str = "Taken over from the TypeScript server ownerrez-mcp-server";

/// Whether the predecessor's tables are here, to be taken over. An error when tables of these names are here and are
/// not the predecessor's: they are somebody's, so nothing is altered.
pub(crate) async fn is_here(manager: &SchemaManager<'_>) -> Result<bool, DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(false);
    }
    let found = columns(manager).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let constraints = constraints(manager).await?;
    match differences(&found, &constraints) {
        differences if differences.is_empty() => Ok(true),
        differences => Err(DbErr::Migration(format!(
            "the database holds tables with the names of ours, and they are neither this gateway's (there is no record \
             of its migrations) nor the TypeScript server's as it made them: {}. Give the gateway \
             an empty database, or bring these tables into the shape that docs/UPGRADE.md describes.",
            differences.join("; ")
        ))),
    }
}

/// Turns its tables into ours. Every user, key and connection stays; so does every open link, in a form that leads
/// nowhere.
pub(crate) async fn take_over(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = manager.get_connection();
    for statement in STATEMENTS {
        db.execute_unprepared(statement).await?;
    }
    db.execute_unprepared(&format!("COMMENT ON TABLE users IS '{MARK}'")).await?;
    let counts = "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM api_keys) AS keys,
        (SELECT count(*) FROM ownerrez_connections) AS connections";
    if let Some(row) = query(manager, counts).await?.into_iter().next() {
        let count = |name: &str| row.try_get::<i64>("", name);
        let (users, keys, connections) = (count("users")?, count("keys")?, count("connections")?);
        log::info!(
            "taking over the TypeScript server's database: {users} users, {keys} keys, {connections} connections"
        );
    }
    Ok(())
}

/// An error when this database was taken over.
pub(crate) async fn refuse_to_drop(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let statement = "SELECT obj_description(to_regclass('users'), 'pg_class') AS comment";
    let row = query(manager, statement).await?.into_iter().next();
    let comment = row.map(|row| row.try_get::<Option<String>>("", "comment")).transpose()?.flatten();
    if comment.as_deref() == Some(MARK) {
        return Err(DbErr::Migration(
            "this database was taken over from the TypeScript server: taking the first migration back would drop its \
             users, keys and connections. To go back to that server, restore the backup that was \
             made before the take-over (docs/UPGRADE.md)."
                .to_owned(),
        ));
    }
    Ok(())
}

const STATEMENTS: &[&str] = &[
    // Nullable columns first, while all times are still of one type. `now()` is the time of this transaction.
    "UPDATE users SET created_at = coalesce(
         (SELECT min(k.created_at) FROM api_keys k WHERE k.user_id = users.id), now() AT TIME ZONE 'UTC')
     WHERE created_at IS NULL",
    "UPDATE api_keys SET created_at = u.created_at FROM users u
     WHERE u.id = api_keys.user_id AND api_keys.created_at IS NULL",
    "UPDATE ownerrez_connections c SET
         created_at = coalesce(c.created_at, c.updated_at, u.created_at),
         updated_at = coalesce(c.updated_at, c.created_at, u.created_at),
         token_type = coalesce(c.token_type, 'bearer')
     FROM users u
     WHERE u.id = c.user_id AND (c.created_at IS NULL OR c.updated_at IS NULL OR c.token_type IS NULL)",
    "UPDATE oauth_states SET created_at = expires_at WHERE created_at IS NULL",
    // Ids and times are given by the program.
    "ALTER TABLE users
         ALTER id DROP DEFAULT,
         ALTER created_at DROP DEFAULT,
         ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC',
         ALTER created_at SET NOT NULL,
         ADD first_connected_at timestamptz,
         ADD disabled_at timestamptz",
    // Who was here before is nobody to be swept away for never having connected.
    "UPDATE users SET first_connected_at = created_at",
    "ALTER TABLE api_keys
         ALTER id DROP DEFAULT,
         ALTER last_used_at TYPE timestamptz USING last_used_at AT TIME ZONE 'UTC',
         ALTER created_at DROP DEFAULT,
         ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC',
         ALTER created_at SET NOT NULL,
         ADD scope text NOT NULL DEFAULT 'full',
         ADD expires_at timestamptz,
         ADD key_digest text,
         DROP CONSTRAINT IF EXISTS api_keys_key_hash_key",
    "ALTER TABLE ownerrez_connections
         ALTER id DROP DEFAULT,
         ALTER token_type SET NOT NULL,
         ALTER user_id_ownerrez TYPE bigint,
         ALTER expires_at TYPE timestamptz USING expires_at AT TIME ZONE 'UTC',
         ALTER created_at DROP DEFAULT,
         ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC',
         ALTER created_at SET NOT NULL,
         ALTER updated_at DROP DEFAULT,
         ALTER updated_at TYPE timestamptz USING updated_at AT TIME ZONE 'UTC',
         ALTER updated_at SET NOT NULL,
         ADD obtained_at timestamptz,
         ADD renew_at timestamptz,
         ADD rejected_at timestamptz,
         ADD version bigint NOT NULL DEFAULT 0,
         ADD lease_holder uuid,
         ADD lease_until timestamptz",
    // It touched a connection only to put new tokens in. It never stored when they end, so that stays unknown.
    "UPDATE ownerrez_connections SET obtained_at = updated_at",
    "ALTER TABLE ownerrez_connections ALTER obtained_at SET NOT NULL",
    // Its states were plain, ours are hashed and belong to a key. An open one keeps its row, until that expires, and
    // leads nowhere: the answer that it waits for has no cookie, and its hash is made so that no state has it.
    "ALTER TABLE oauth_states
         ALTER created_at DROP DEFAULT,
         ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC',
         ALTER created_at SET NOT NULL,
         ALTER expires_at TYPE timestamptz USING expires_at AT TIME ZONE 'UTC',
         ADD key_id uuid CONSTRAINT oauth_states_key_id_fkey REFERENCES api_keys (id) ON DELETE CASCADE,
         ADD browser_hash text",
    "UPDATE oauth_states SET
         state = encode(sha256(convert_to('taken over ' || state, 'UTF8')), 'hex'),
         key_id = (SELECT k.id FROM api_keys k WHERE k.user_id = oauth_states.user_id
                   ORDER BY k.created_at, k.id LIMIT 1)",
    // Only a key could open a link; one whose user has none left is of no user.
    "DELETE FROM oauth_states WHERE key_id IS NULL",
    "ALTER TABLE oauth_states ALTER key_id SET NOT NULL",
    // Those of its indexes that ours include, or that ours replace under the same name.
    "DROP INDEX IF EXISTS idx_api_keys_key_hash, idx_api_keys_user_id, idx_ownerrez_connections_user_id,
         idx_oauth_states_expires_at",
];

/// A column of a table that bears one of the names.
#[derive(FromQueryResult)]
struct Column {
    /// Table, with its schema where that is not the one in which tables are made.
    place: String,
    /// `r` for a table.
    kind: String,
    name: String,
    r#type: String,
}

async fn columns(manager: &SchemaManager<'_>) -> Result<Vec<Column>, DbErr> {
    let names = COLUMNS.iter().map(|(table, _)| *table).chain(OURS).map(|name| format!("'{name}'"));
    let statement = format!(
        "SELECT CASE WHEN n.nspname = current_schema() THEN c.relname::text ELSE n.nspname || '.' || c.relname END
                    AS place,
                c.relkind::text AS kind, a.attname::text AS name, format_type(a.atttypid, NULL) AS type
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relname IN ({}) AND pg_table_is_visible(c.oid)
         ORDER BY 1, 3",
        names.collect::<Vec<_>>().join(", ")
    );
    query(manager, &statement).await?.iter().map(|row| Column::from_query_result(row, "")).collect()
}

/// The constraints of the visible tables of its names, as PostgreSQL writes them.
async fn constraints(manager: &SchemaManager<'_>) -> Result<BTreeSet<(String, String)>, DbErr> {
    let statement = "SELECT c.relname::text AS place, pg_get_constraintdef(k.oid) AS definition
         FROM pg_constraint k
         JOIN pg_class c ON c.oid = k.conrelid
         WHERE pg_table_is_visible(c.oid) AND k.convalidated";
    let read = |row: &QueryResult| Ok((row.try_get::<String>("", "place")?, row.try_get::<String>("", "definition")?));
    query(manager, statement).await?.iter().map(read).collect()
}

async fn query(manager: &SchemaManager<'_>, statement: &str) -> Result<Vec<QueryResult>, DbErr> {
    manager.get_connection().query_all_raw(Statement::from_string(DbBackend::Postgres, statement)).await
}

/// What keeps these tables from being the predecessor's, in words.
fn differences(found: &[Column], constraints: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut tables: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut differences = Vec::new();
    for column in found {
        tables.entry(&column.place).or_default().push((&column.name, &column.r#type));
    }
    for (table, expected) in COLUMNS {
        let Some(columns) = tables.remove(table) else {
            differences.push(format!("the table {table} is missing"));
            continue;
        };
        for (name, wanted) in expected {
            match columns.iter().find(|(column, _)| column == name) {
                None => differences.push(format!("{table}.{name} is missing")),
                Some((_, is)) if is != wanted => differences.push(format!("{table}.{name} is {is}, not {wanted}")),
                Some(_) => {}
            }
        }
        let known = |name: &str| expected.iter().any(|(column, _)| *column == name);
        differences.extend(
            columns.iter().filter(|(name, _)| !known(name)).map(|(name, _)| format!("{table}.{name} is not known")),
        );
    }
    // Tables of ours, and tables in another schema than the one in which ours would be made.
    differences.extend(tables.keys().map(|table| format!("the table {table} does not belong there")));
    let kinds: BTreeSet<_> = found.iter().filter(|column| column.kind != "r").map(|column| &column.place).collect();
    differences.extend(kinds.iter().map(|place| format!("{place} is not a plain table")));
    if differences.is_empty() {
        let held = |table: &str, wanted: &str| constraints.contains(&(table.to_owned(), wanted.to_owned()));
        differences.extend(
            CONSTRAINTS
                .iter()
                .filter(|(table, wanted)| !held(table, wanted))
                .map(|(table, wanted)| format!("{table} has no {wanted}")),
        );
    }
    differences
}
