//! The state of a connection when it returns to the pool: without a transaction, or replaced.

use std::time::{Duration, Instant};

use futures_util::future::join;
use sea_orm::{ConnectionTrait, Statement, TransactionTrait, sqlx};

use super::{
    super::{Claim, DatabaseTarget, NewWrite, Store, StoreError},
    harness::{Base, at, on_each, on_postgres},
};
use crate::domain::UserId;
use uuid::Uuid;

fn write(number: u128) -> NewWrite {
    NewWrite {
        id: Uuid::from_u128(number),
        tool: "create_guest".to_owned(),
        digests: vec![format!("digest {number}")],
        idempotency: Vec::new(),
        permit: None,
        touched: Vec::new(),
        again: false,
    }
}

/// Lets nothing be added to the file. The limit belongs to the pool's connection.
async fn fill_the_disk(store: &Store) {
    store.db.execute_unprepared("PRAGMA max_page_count = 1").await.unwrap();
}

/// Removes the limit; a no-op if the connection was replaced.
async fn free_the_disk(store: &Store) {
    store.db.execute_unprepared("PRAGMA max_page_count = 1073741823").await.unwrap();
}

/// Fails to write more than any free page can store.
async fn write_in_vain(store: &Store) {
    let transaction = store.begin().await.unwrap();
    let large = "INSERT INTO forgotten_clients (client_hash, expires_at) VALUES (hex(zeroblob(200000)), 'x')";
    let error = StoreError::from(transaction.execute_unprepared(large).await.unwrap_err());
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// Checks that later acknowledged writes are visible to another connection, and that it can write.
async fn stores_what_it_acknowledges(base: &Base, name: &str) {
    let other = base.other_process().await;
    for round in 0..5 {
        let (user, _) = base.user(&format!("{name}{round}")).await;
        let number = Uuid::new_v4().as_u128();
        assert_eq!(base.store.claim_write(user, &write(number), at(0)).await.unwrap(), Claim::Recorded);
        // An ordinary rollback.
        assert_eq!(base.store.claim_write(UserId(Uuid::nil()), &write(1), at(0)).await.unwrap(), Claim::NoUser);
        assert!(other.key_by_prefix(&format!("ownerrez_sk_{name}{round}")).await.unwrap().is_some());
        assert!(other.earlier_write(user, &write(number), at(1)).await.unwrap().is_some());
        base.store.prove_commit(at(0)).await.unwrap();
        other.claim_slot(0).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_costs_only_what_was_refused() {
    on_each(async |base| {
        if base.file().is_none() {
            return;
        }
        stores_what_it_acknowledges(&base, "before").await;
        for round in 0..3 {
            fill_the_disk(&base.store).await;
            write_in_vain(&base.store).await;
            free_the_disk(&base.store).await;
            stores_what_it_acknowledges(&base, &format!("after{round}")).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_that_fails_outside_a_transaction_costs_only_itself() {
    on_each(async |base| {
        if base.file().is_none() {
            return;
        }
        fill_the_disk(&base.store).await;
        let large = "INSERT INTO forgotten_clients (client_hash, expires_at) VALUES (hex(zeroblob(200000)), 'x')";
        base.store.db.execute_unprepared(large).await.unwrap_err();
        // The caller of a statement may be dropped before the statement fails.
        drop(tokio::time::timeout(Duration::ZERO, base.store.db.execute_unprepared(large)).await);
        free_the_disk(&base.store).await;
        stores_what_it_acknowledges(&base, "after").await;
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_fails_while_its_caller_leaves_is_not_kept() {
    on_each(async |base| {
        if base.file().is_none() {
            return;
        }
        fill_the_disk(&base.store).await;
        let store = base.store.clone();
        let vain = async move { write_in_vain(&store).await };
        drop(tokio::time::timeout(Duration::ZERO, vain).await);
        free_the_disk(&base.store).await;
        stores_what_it_acknowledges(&base, "after").await;
    })
    .await;
}

/// Simulates a pooler that assigns a connection left in a transaction, or sqlx forgetting a BEGIN.
#[tokio::test]
async fn a_connection_in_a_transaction_never_serves_the_next_caller() {
    on_postgres(async |base| {
        base.store.migrate_up().await.unwrap();
        for left in [&["BEGIN"][..], &["BEGIN", "SELECT no_such_column"], &["BEGIN", "SAVEPOINT a"]] {
            let pool = base.store.db.get_postgres_connection_pool();
            let mut connection = pool.acquire().await.unwrap();
            for statement in left {
                let _ = sqlx::raw_sql(*statement).execute(&mut *connection).await;
            }
            drop(connection);
            let (user, _) = base.user("alice").await;
            let other = base.other_process().await;
            assert!(other.key_by_prefix("ownerrez_sk_alice").await.unwrap().is_some(), "{left:?}");
            assert!(base.store.delete_user(user, Uuid::new_v4(), at(0)).await.is_ok());
        }
    })
    .await;
}

#[tokio::test]
async fn an_ordinary_connection_is_kept() {
    on_each(async |base| {
        let (target, question) = match &base.target {
            DatabaseTarget::Postgres { url, .. } => (
                DatabaseTarget::Postgres { url: url.clone(), direct_url: None, max_connections: 1 },
                "SELECT pg_backend_pid()::bigint",
            ),
            // A setting of the connection that a new connection does not have.
            sqlite => (sqlite.clone(), "PRAGMA cache_spill"),
        };
        let store = Store::connect(&target).await.unwrap();
        let backend = store.db.get_database_backend();
        let which = async || {
            let row = store.db.query_one_raw(Statement::from_string(backend, question)).await.unwrap();
            row.unwrap().try_get_by_index::<i64>(0).unwrap()
        };
        if base.file().is_some() {
            store.db.execute_unprepared("PRAGMA cache_spill = 4321").await.unwrap();
        }
        let before = which().await;
        for _ in 0..20 {
            // Committed, rolled back, dropped.
            store.prove_commit(at(0)).await.unwrap();
            store.claim_write(UserId(Uuid::nil()), &write(1), at(0)).await.unwrap();
            drop(store.db.begin().await.unwrap());
        }
        assert_eq!(which().await, before);
    })
    .await;
}

/// While the server accepts connections, a call waits until a busy connection is free.
#[tokio::test]
async fn a_busy_pool_is_waited_for() {
    on_postgres(async |base| {
        base.store.migrate_up().await.unwrap();
        let DatabaseTarget::Postgres { url, .. } = &base.target else { return };
        let target = DatabaseTarget::Postgres { url: url.clone(), direct_url: None, max_connections: 1 };
        let store = Store::connect(&target).await.unwrap();
        let holding = store.begin().await.unwrap();
        let free = async {
            // Longer than the time until the first check whether the server refuses connections.
            tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await.unwrap_err();
            holding.rollback().await.unwrap();
        };
        let (epoch, ()) = join(store.claim_slot(0), free).await;
        epoch.unwrap();
    })
    .await;
}

/// A call that has a connection is not ended because the server refuses new ones.
#[tokio::test]
async fn a_call_that_has_a_connection_goes_on() {
    on_postgres(async |base| {
        let slow = base.store.run(base.store.db.execute_unprepared("SELECT pg_sleep(0.3)"));
        slow.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_refuses_is_noticed_at_once() {
    let target = DatabaseTarget::Postgres {
        url: "postgres://gateway@127.0.0.1:1/gateway".into(),
        direct_url: None,
        max_connections: 2,
    };
    let store = Store::connect(&target).await.unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        let (read, written) = join(store.key_by_prefix("x"), store.prove_commit(at(0))).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))) && matches!(written, Err(StoreError::Unavailable(_))));
    }
    // Without the check each call would wait five seconds for a connection.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}
