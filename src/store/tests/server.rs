//! The database as a whole: its schema, the process lock, and its unavailability.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use entity::Moment;
use futures_util::future::{join, join_all};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{
    super::{DatabaseTarget, ProcessLock, Store, StoreError},
    harness::{administer, at, grant, on_each, on_each_empty, on_postgres},
};
use crate::domain::UserId;

#[tokio::test]
async fn migrations_go_up_twice_and_down_and_up_again() {
    on_each_empty(async |base| {
        let applied =
            async || base.store.migration_status().await.unwrap().iter().map(|(_, yes)| *yes).collect::<Vec<_>>();
        assert!(applied().await.iter().all(|yes| !yes));
        base.store.migrate_up().await.unwrap();
        base.store.migrate_up().await.unwrap();
        assert!(applied().await.iter().all(|yes| *yes));
        base.user("alice").await;
        base.store.migrate_down(applied().await.len() as u32).await.unwrap();
        assert!(applied().await.iter().all(|yes| !yes));
        base.store.key_by_prefix("ownerrez_sk_alice").await.unwrap_err();
        base.store.migrate_up().await.unwrap();
        assert_eq!(base.store.key_by_prefix("ownerrez_sk_alice").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn processes_that_migrate_at_once_all_succeed() {
    on_each_empty(async |base| {
        let processes = base.processes(4).await;
        for outcome in join_all(processes.iter().map(Store::migrate_up)).await {
            outcome.unwrap();
        }
        base.user("alice").await;
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    on_each_empty(async |base| {
        base.store.db.execute_unprepared("CREATE TABLE oauth_states (id int)").await.unwrap();
        assert!(matches!(base.store.migrate_up().await, Err(StoreError::Query(_) | StoreError::MigrationRefused(_))));
        base.store.db.execute_unprepared("SELECT id FROM users").await.unwrap_err();
        base.store.db.execute_unprepared("DROP TABLE oauth_states").await.unwrap();
        base.store.migrate_up().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn one_process_holds_the_lock() {
    on_each_empty(async |base| {
        let first = ProcessLock::try_acquire(&base.target, 7).await.unwrap().expect("free");
        assert!(first.is_held().await);
        assert!(ProcessLock::try_acquire(&base.target, 7).await.unwrap().is_none());
        first.release().await.unwrap();
        let second = ProcessLock::try_acquire(&base.target, 7).await.unwrap().expect("given back");
        drop(second);
        let mut third = None;
        // The server notices a closed connection a moment later.
        let patience = Instant::now();
        while third.is_none() && patience.elapsed() < Duration::from_secs(5) {
            third = ProcessLock::try_acquire(&base.target, 7).await.unwrap();
        }
        assert!(third.expect("dropped").is_held().await);
    })
    .await;
}

#[tokio::test]
async fn slots_of_a_server_are_locked_one_by_one() {
    on_postgres(async |base| {
        let one = ProcessLock::try_acquire(&base.target, 1).await.unwrap().expect("free");
        let minus = ProcessLock::try_acquire(&base.target, -1).await.unwrap().expect("free");
        base.store.migrate_up().await.unwrap();
        assert!(one.is_held().await && minus.is_held().await);
    })
    .await;
}

#[tokio::test]
async fn a_lock_whose_connection_broke_is_not_held() {
    on_postgres(async |base| {
        let lock = ProcessLock::try_acquire(&base.target, 1).await.unwrap().expect("free");
        kick_everyone(&base.url()).await;
        assert!(!lock.is_held().await);
        assert!(!lock.is_held().await);
        assert!(ProcessLock::try_acquire(&base.target, 1).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn calls_recover_from_broken_connections() {
    on_postgres(async |base| {
        base.store.ping().await.unwrap();
        kick_everyone(&base.url()).await;
        base.store.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_statement_cut_off_by_the_server_may_succeed_later() {
    on_postgres(async |base| {
        let (outcome, ()) = join(base.store.run(base.store.db.execute_unprepared("SELECT pg_sleep(5)")), async {
            // Repeated until the statement runs.
            for _ in 0..50 {
                kick_sleepers(&base.url()).await;
            }
        })
        .await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn an_absent_server_is_noticed_by_calls_and_not_at_start() {
    let url = "postgres://gateway:hunter2@127.0.0.1:1/gateway";
    let target = DatabaseTarget::Postgres { url: url.into(), direct_url: None, max_connections: 2 };
    let store = Store::connect(&target).await.unwrap();
    let started = Instant::now();
    let (outcomes, migrated) = join(join_all((0..8).map(|_| store.key_by_prefix("x"))), store.migrate_up()).await;
    assert!(started.elapsed() < Duration::from_secs(8));
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(!format!("{error:?} {error} {target:?} {store:?}").contains("hunter2"));
    }
    assert!(matches!(ProcessLock::try_acquire(&target, 0).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(migrated, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_url_that_cannot_be_parsed_is_not_repeated() {
    let target =
        DatabaseTarget::Postgres { url: "postgres//u:hunter2@[/".into(), direct_url: None, max_connections: 2 };
    let error = Store::connect(&target).await.unwrap_err();
    assert!(matches!(error, StoreError::Target(_)));
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_refused_row_is_not_quoted() {
    on_each(async |base| {
        let (_, connection) = base.connected_user("alice").await;
        let stranger = UserId(Uuid::new_v4());
        let error = base.store.save_connection(stranger, grant("mallory"), at(0)).await.unwrap_err();
        assert!(matches!(error, StoreError::Query(_)), "{error:?}");
        base.store.add_revocation(stranger, connection.id, None, connection.access.clone(), at(0)).await.unwrap();
        let twice =
            base.store.add_revocation(stranger, connection.id, None, connection.access, at(0)).await.unwrap_err();
        assert!(!format!("{error:?} {twice:?}").contains("access of"));
    })
    .await;
}

#[tokio::test]
async fn a_file_kept_busy_by_another_process_may_be_free_later() {
    on_each(async |base| {
        if base.file().is_none() {
            return;
        }
        let other = base.other_process().await;
        let writing = other.begin().await.unwrap();
        let error = base.store.claim_slot(0).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        writing.rollback().await.unwrap();
        base.store.claim_slot(0).await.unwrap();
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_we_make_are_ours_alone() {
    use std::os::unix::fs::PermissionsExt;
    on_each(async |base| {
        let Some(file) = base.file() else { return };
        for name in ["gateway.db", "gateway.db-wal"] {
            let mode = file.with_file_name(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_store_answers_unavailable() {
    on_each(async |base| {
        base.store.ping().await.unwrap();
        base.store.clone().close().await.unwrap();
        assert!(matches!(base.store.ping().await, Err(StoreError::Unavailable(_))));
    })
    .await;
}

#[test]
fn moments_stay_within_what_both_databases_keep() {
    let back = |at: DateTime<Utc>| DateTime::<Utc>::from(Moment::from(at));
    assert_eq!(back(at(0) + TimeDelta::nanoseconds(1_999)), at(0) + TimeDelta::microseconds(1));
    assert_eq!(back(DateTime::<Utc>::MAX_UTC).to_rfc3339(), "9999-12-31T23:59:59+00:00");
    assert_eq!(back(DateTime::<Utc>::MIN_UTC).to_rfc3339(), "0000-01-01T00:00:00+00:00");
}

#[test]
fn a_store_crosses_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Store>();
    check::<ProcessLock>();
    fn check_future<F: Future + Send>(_: impl FnOnce(Store) -> F) {}
    check_future(|store| async move { store.migrate_up().await });
    check_future(|store| async move { store.claim_slot(0).await });
    check_future(|store| async move { store.disconnect(UserId(Uuid::nil()), Uuid::nil(), at(0)).await });
}

async fn kick_everyone(url: &str) {
    let others = "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    administer(url, others).await;
}

async fn kick_sleepers(url: &str) {
    let sleepers = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_sleep%'";
    administer(url, sleepers).await;
}

#[tokio::test]
async fn calls_survive_the_thread_that_opened_their_connection() {
    on_each(async |base| {
        let store = base.store.clone();
        let worker = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(join_all((0..8).map(|_| store.claim_slot(0)))).into_iter().all(|epoch| epoch.is_ok())
        });
        assert!(worker.await.unwrap());
        let started = Instant::now();
        assert_eq!(base.store.claim_slot(0).await.unwrap(), 9);
        assert!(started.elapsed() < Duration::from_secs(2));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_cut_off_is_done_or_not_done() {
    on_each(async |base| {
        let (alice, _) = base.connected_user("alice").await;
        // Cancelled at every stage: the whole call takes one or two milliseconds.
        for round in 0..150 {
            let patience = Duration::from_micros(round * 37 % 3000);
            cut_off_after(patience, base.store.disconnect(alice, Uuid::new_v4(), at(1))).await;
            // A commit in progress takes effect a moment later.
            let started = Instant::now();
            let tasks = loop {
                let tasks = base.store.due_revocations(at(1), 9).await.unwrap();
                let connected = base.store.connection(alice).await.unwrap().is_some();
                if connected == tasks.is_empty() {
                    break tasks;
                }
                assert!(started.elapsed() < Duration::from_secs(5), "round {round}: half done: {connected}, {tasks:?}");
            };
            for task in tasks {
                base.store.finish_revocation(task.id).await.unwrap();
                assert!(base.store.save_connection(alice, grant("alice"), at(0)).await.unwrap());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_connection_keeps_the_transaction_of_a_caller_that_left() {
    on_each(async |base| {
        let other = base.other_process().await;
        for round in 0..150 {
            cut_off_after(Duration::from_micros(round * 7 % 500), base.store.begin()).await;
            // In a transaction left open, this would be invisible to the other process and would block it.
            let epoch = base.store.claim_slot(0).await.unwrap();
            assert_eq!(other.claim_slot(0).await.unwrap(), epoch + 1, "round {round}");
        }
    })
    .await;
}

/// Drops the future if it takes longer; tokio's timer is too coarse for this.
async fn cut_off_after<T>(patience: Duration, future: impl Future<Output = T>) {
    let started = Instant::now();
    let mut future = std::pin::pin!(future);
    while futures_util::poll!(&mut future).is_pending() && started.elapsed() < patience {
        tokio::task::yield_now().await;
    }
}
