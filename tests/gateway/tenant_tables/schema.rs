//! Reads the schema of a migrated database.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, Statement};

use crate::world::TestDatabase;

/// The tables, each with its columns, and the foreign keys.
pub(crate) struct Schema {
    pub(crate) tables: BTreeMap<String, Vec<Column>>,
    references: Vec<Reference>,
}

pub(crate) struct Column {
    pub(crate) name: String,
    required: bool,
}

/// A foreign key of one column.
struct Reference {
    table: String,
    column: String,
    parent: String,
    cascades: bool,
}

impl Schema {
    pub(crate) async fn of(database: &TestDatabase) -> Self {
        let (columns, references) = if database.is_postgres() {
            (
                "SELECT table_name::text, column_name::text, is_nullable::text FROM information_schema.columns
                WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
                "SELECT k.conrelid::regclass::text, a.attname::text, k.confrelid::regclass::text,
                CASE k.confdeltype WHEN 'c' THEN 'CASCADE' ELSE 'no' END FROM pg_constraint k
                JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.contype = 'f'",
            )
        } else {
            (
                r#"SELECT t.name, c.name, CASE c."notnull" WHEN 1 THEN 'NO' ELSE 'YES' END FROM sqlite_schema t
                JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'
                ORDER BY t.name, c.cid"#,
                r#"SELECT t.name, f."from", f."table", f.on_delete FROM sqlite_schema t
                JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"#,
            )
        };
        let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        for [table, name, nullable] in texts(database, columns).await {
            tables.entry(table).or_default().push(Column { name, required: nullable == "NO" });
        }
        let references = texts(database, references).await.into_iter();
        let references = references
            .map(|[table, column, parent, on_delete]| Reference {
                table,
                column,
                parent,
                cascades: on_delete == "CASCADE",
            })
            .collect();
        Self { tables, references }
    }

    /// Returns the tables whose rows are deleted with their user: a required column refers to `users`, or to another
    /// such table, with `ON DELETE CASCADE`.
    pub(crate) fn of_users(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::from(["users"]);
        loop {
            let more: Vec<&str> = self
                .references
                .iter()
                .filter(|one| one.cascades && found.contains(&*one.parent) && self.is_required(&one.table, &one.column))
                .map(|one| &*one.table)
                .filter(|table| !found.contains(table))
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    fn is_required(&self, table: &str, column: &str) -> bool {
        self.tables[table].iter().any(|own| own.name == column && own.required)
    }

    /// Returns the tables that have no row.
    pub(crate) async fn empty_tables(&self, database: &TestDatabase) -> BTreeSet<&str> {
        let mut empty = BTreeSet::new();
        for table in self.tables.keys() {
            if database.number(&format!(r#"SELECT count(*) FROM "{table}""#)).await == 0 {
                empty.insert(&**table);
            }
        }
        empty
    }

    /// Returns every value that the key ring encrypted, under its table and column.
    pub(crate) async fn encrypted(&self, database: &TestDatabase) -> Vec<(&str, &str, String)> {
        let mut found = Vec::new();
        for (table, columns) in &self.tables {
            for Column { name, .. } in columns {
                let value = format!(r#"CAST("{name}" AS TEXT)"#);
                let query = format!(r#"SELECT {value} FROM "{table}" WHERE {value} LIKE 'v1.%'"#);
                let values = texts(database, &query).await.into_iter();
                found.extend(values.map(|[value]| (&**table, &**name, value)));
            }
        }
        found
    }
}

/// Runs a query whose columns are texts.
pub(crate) async fn texts<const N: usize>(database: &TestDatabase, query: &str) -> Vec<[String; N]> {
    let db = database.open().await;
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.unwrap();
    rows.iter().map(|row| std::array::from_fn(|index| row.try_get_by_index(index).unwrap())).collect()
}
