//! A fresh database for each test, and helper functions for it.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use sea_orm::sqlx::{self, Connection as _, PgConnection};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::super::{Connection, DatabaseTarget, NewConnectLink, NewKey, SealedGrant, SealedTokens, Store};
use crate::domain::{AccountId, KeyId, Scope, Sealed, TokenKind, ToolDefaults, UserId};

/// Runs the test on every available database, each time on a fresh one with all migrations.
pub(super) async fn on_each(story: impl AsyncFn(Base)) {
    on_each_empty(async |base| {
        base.store.migrate_up().await.unwrap();
        story(base).await;
    })
    .await;
}

/// The same, without migrations.
pub(super) async fn on_each_empty(story: impl AsyncFn(Base)) {
    let directory = tempfile::tempdir().unwrap();
    story(Base::at(DatabaseTarget::Sqlite { path: directory.path().join("gateway.db") }).await).await;
    on_postgres(story).await;
}

/// Runs the test on PostgreSQL only, if there is one.
pub(super) async fn on_postgres(story: impl AsyncFn(Base)) {
    let Some(server) = postgres_server() else { return };
    let name = format!("store_test_{}", Uuid::new_v4().simple());
    administer(&server, &format!("CREATE DATABASE {name}")).await;
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let target = DatabaseTarget::Postgres { url: url.to_string().into(), direct_url: None, max_connections: 8 };
    let outcome = AssertUnwindSafe(async { story(Base::at(target).await).await }).catch_unwind().await;
    administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

#[expect(clippy::disallowed_methods, reason = "tests find their server here; no part of the gateway reads it")]
fn postgres_server() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}

pub(super) async fn administer(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}

/// A database and a first pool on it.
pub(super) struct Base {
    pub(super) target: DatabaseTarget,
    pub(super) store: Store,
}

impl Base {
    async fn at(target: DatabaseTarget) -> Base {
        let store = Store::connect(&target).await.unwrap();
        Base { target, store }
    }

    /// Opens another pool on the same database, as another process would.
    pub(super) async fn other_process(&self) -> Store {
        Store::connect(&self.target).await.unwrap()
    }

    /// Opens several pools, for races.
    pub(super) async fn processes(&self, count: usize) -> Vec<Store> {
        let mut stores = Vec::new();
        for _ in 0..count {
            stores.push(self.other_process().await);
        }
        stores
    }

    /// Returns the PostgreSQL URL.
    pub(super) fn url(&self) -> String {
        match &self.target {
            DatabaseTarget::Postgres { url, .. } => url.expose_secret().to_owned(),
            DatabaseTarget::Sqlite { .. } => panic!("this story is about PostgreSQL"),
        }
    }

    /// Returns the SQLite file.
    pub(super) fn file(&self) -> Option<PathBuf> {
        match &self.target {
            DatabaseTarget::Sqlite { path } => Some(path.clone()),
            DatabaseTarget::Postgres { .. } => None,
        }
    }

    /// Waits until this many connections of the first pool are in use.
    pub(super) async fn until_in_use(&self, count: usize) {
        let in_use = || match &self.target {
            DatabaseTarget::Sqlite { .. } => {
                let pool = self.store.db.get_sqlite_connection_pool();
                (pool.size() as usize).checked_sub(pool.num_idle())
            }
            DatabaseTarget::Postgres { .. } => {
                let pool = self.store.db.get_postgres_connection_pool();
                (pool.size() as usize).checked_sub(pool.num_idle())
            }
        };
        while in_use() != Some(count) {
            tokio::task::yield_now().await;
        }
    }

    /// Registers a user with one key.
    pub(super) async fn user(&self, name: &str) -> (UserId, KeyId) {
        let (user, key) = (UserId(Uuid::new_v4()), KeyId(Uuid::new_v4()));
        let new_key = NewKey {
            id: key,
            hash: format!("hash of {name}"),
            hmac: None,
            prefix: format!("ownerrez_sk_{name}"),
            name: Some(name.to_owned()),
            scope: Scope::Full,
            expires_at: None,
            view: ToolDefaults::default(),
        };
        self.store.register_user(user, new_key, at(0)).await.unwrap();
        (user, key)
    }

    /// Registers a user with a working connection.
    pub(super) async fn connected_user(&self, name: &str) -> (UserId, Connection) {
        let (user, _) = self.user(name).await;
        assert!(self.store.save_connection(user, grant(name), at(0)).await.unwrap());
        (user, self.connection(user).await)
    }

    pub(super) async fn connection(&self, user: UserId) -> Connection {
        self.store.connection(user).await.unwrap().expect("a connection")
    }
}

/// Returns the time this many seconds after the start of the tests.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_secs(1_790_000_000).unwrap() + TimeDelta::seconds(seconds)
}

pub(super) fn link(state: &str, key: KeyId, created: i64) -> NewConnectLink {
    NewConnectLink { state_hash: state.to_owned(), key, created_at: at(created), expires_at: at(created + 600) }
}

/// Returns a grant whose tokens expire after 1000 s and are to be renewed after 900.
pub(super) fn grant(name: &str) -> SealedGrant {
    SealedGrant { account: Some(AccountId(5_000_000_000)), tokens: tokens(name, 0) }
}

pub(super) fn tokens(name: &str, obtained: i64) -> SealedTokens {
    SealedTokens {
        kind: TokenKind::Bearer,
        access: Sealed(format!("access of {name}")),
        refresh: Some(Sealed(format!("refresh of {name}"))),
        obtained_at: at(obtained),
        expires_at: Some(at(obtained + 1000)),
        renew_at: Some(at(obtained + 900)),
    }
}

/// Counts the results that are `true`.
pub(super) fn yes(answers: Vec<Result<bool, super::super::StoreError>>) -> usize {
    answers.into_iter().filter(|answer| *answer.as_ref().unwrap()).count()
}
