//! A fresh database for each test, removed afterwards.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use uuid::Uuid;

/// An empty database.
pub(crate) struct TestDatabase {
    url: String,
    /// The URL of the PostgreSQL server, for administration.
    server: Option<String>,
}

impl TestDatabase {
    /// Returns the value of `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns an SQLite database at a given URL.
    pub(crate) fn file(url: &str) -> Self {
        Self { url: url.to_owned(), server: None }
    }

    /// Returns whether this is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// Opens a separate connection, to read rows directly.
    pub(crate) async fn open(&self) -> DatabaseConnection {
        Database::connect(&self.url).await.unwrap()
    }

    /// Does the same with a single connection, for statements that belong together.
    pub(crate) async fn open_alone(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1);
        Database::connect(options).await.unwrap()
    }

    /// Returns a single number, from a query such as `SELECT count(*) FROM users`.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let db = self.open().await;
        let row = db.query_one_raw(sea_orm::Statement::from_string(db.get_database_backend(), query)).await.unwrap();
        row.unwrap().try_get_by_index::<i64>(0).unwrap()
    }

    /// Returns a single string, from a query such as `SELECT name FROM api_keys`.
    pub(crate) async fn text(&self, query: &str) -> String {
        let db = self.open().await;
        let row = db.query_one_raw(sea_orm::Statement::from_string(db.get_database_backend(), query)).await.unwrap();
        row.unwrap().try_get_by_index::<String>(0).unwrap()
    }

    /// Rejects new connections and terminates the open ones. PostgreSQL only.
    pub(crate) async fn make_unavailable(&self) {
        self.administer("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").await;
        self.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'").await;
    }

    /// Reverses [`Self::make_unavailable`].
    pub(crate) async fn make_available(&self) {
        self.administer("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").await;
    }

    async fn administer(&self, statement: &str) {
        let server = Database::connect(self.server.as_ref().expect("this story is about PostgreSQL")).await.unwrap();
        let name = self.url.rsplit('/').next().unwrap();
        server.execute_unprepared(&statement.replace("{}", name)).await.unwrap();
    }

    /// Runs a statement.
    pub(crate) async fn execute(&self, statement: &str) {
        self.open().await.execute_unprepared(statement).await.unwrap();
    }
}

/// Runs the test on SQLite, and on PostgreSQL if it is available.
pub(crate) async fn on_each_database(story: impl AsyncFn(&TestDatabase)) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("data").join("gateway.db");
    story(&TestDatabase { url: format!("sqlite://{}", file.display()), server: None }).await;
    on_postgres(story).await;
}

/// Runs the test on PostgreSQL only, if it is available.
pub(crate) async fn on_postgres(story: impl AsyncFn(&TestDatabase)) {
    let Some(server) = postgres_server() else { return };
    let name = format!("gateway_story_{}", Uuid::new_v4().simple());
    let admin = Database::connect(&server).await.unwrap();
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    let database = TestDatabase { url: url.to_string(), server: Some(server.clone()) };
    let told = AssertUnwindSafe(story(&database)).catch_unwind().await;
    admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    if let Err(panic) = told {
        resume_unwind(panic);
    }
}

#[expect(clippy::disallowed_methods, reason = "stories find their server here; no part of the gateway reads it")]
fn postgres_server() -> Option<String> {
    std::env::var("TEST_DATABASE_URL").ok()
}
