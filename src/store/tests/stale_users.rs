//! The sweep of users who never connected an account, and the users that it keeps.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};
use uuid::Uuid;

use super::{
    super::IN_USE_FOR,
    harness::{Base, at, grant, link, on_each, on_postgres},
};

const MONTH: i64 = 30 * 86_400;

/// Sweeps users who registered at 0, a month and a second later.
async fn swept(base: &Base) -> u64 {
    base.store.sweep_stale_users(at(1), at(MONTH + 1), 100).await.unwrap()
}

#[tokio::test]
async fn who_never_connected_goes_with_all_keys() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        base.store.open_link(alice, link("expired", key, MONTH - 599), 5).await.unwrap();
        base.store.touch_key(alice, key, at(MONTH + 1) - IN_USE_FOR).await.unwrap();
        assert_eq!(base.store.sweep_stale_users(at(0), at(MONTH), 100).await.unwrap(), 0, "not yet");
        assert_eq!(swept(&base).await, 1);
        assert_eq!(base.store.key_by_prefix("ownerrez_sk_alice").await.unwrap(), None);
        assert_eq!(swept(&base).await, 0);
    })
    .await;
}

#[tokio::test]
async fn who_connected_or_is_about_to_stays() {
    on_each(async |base| {
        let (connected, _) = base.connected_user("connected").await;
        let (disconnected, _) = base.connected_user("disconnected").await;
        assert!(base.store.disconnect(disconnected, Uuid::new_v4(), at(5)).await.unwrap());
        let (connecting, key) = base.user("connecting").await;
        assert!(base.store.open_link(connecting, link("open", key, MONTH - 598), 5).await.unwrap());
        let (active, key) = base.user("active").await;
        base.store.touch_key(active, key, at(MONTH + 1) - IN_USE_FOR + TimeDelta::seconds(1)).await.unwrap();
        // As if the time of the first connection had never been recorded.
        let (odd, _) = base.connected_user("odd").await;
        let statement = "UPDATE users SET first_connected_at = NULL WHERE id IN
            (SELECT user_id FROM api_keys WHERE key_prefix = 'ownerrez_sk_odd')";
        base.store.db.execute_unprepared(statement).await.unwrap();

        assert_eq!(swept(&base).await, 0);
        for user in [connected, odd] {
            assert!(base.store.connection(user).await.unwrap().is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn a_round_is_bounded() {
    on_each(async |base| {
        for name in ["a", "b", "c", "d", "e"] {
            base.user(name).await;
        }
        let mut rounds = Vec::new();
        for _ in 0..4 {
            rounds.push(base.store.sweep_stale_users(at(1), at(MONTH), 2).await.unwrap());
        }
        assert_eq!(rounds, [2, 2, 1, 0]);
    })
    .await;
}

#[tokio::test]
async fn who_connects_during_the_sweep_either_stays_whole_or_learns_it() {
    on_each(async |base| {
        let processes = base.processes(4).await;
        for round in 0..10 {
            let name = format!("alice{round}");
            let (alice, key) = base.user(&name).await;
            let sweeps = join_all(processes.iter().map(|store| store.sweep_stale_users(at(1), at(MONTH + 1), 9)));
            let state = format!("s{round}");
            let opens = base.store.open_link(alice, link(&state, key, MONTH), 5);
            let connects = processes[0].save_connection(alice, grant(&name), at(MONTH + 1));
            let (swept, opened, connected) = tokio::join!(sweeps, opens, connects);
            let swept: u64 = swept.into_iter().map(Result::unwrap).sum();
            assert!(swept <= 1);
            assert_eq!(base.store.key(alice, key).await.unwrap().is_some(), swept == 0);
            if swept == 0 {
                assert!(opened.unwrap() && connected.unwrap());
                assert!(base.store.connection(alice).await.unwrap().is_some());
            } else {
                assert!(!opened.unwrap() && connected.is_err(), "nobody was told that it worked");
            }
        }
    })
    .await;
}

/// The sweep starts while a link, or a connection, is being stored: it must neither wait nor miss it.
#[tokio::test]
async fn who_is_busy_with_a_link_is_passed_over() {
    on_postgres(async |base| {
        base.store.migrate_up().await.unwrap();
        let (alice, key) = base.user("alice").await;
        let elsewhere = base.other_process().await;
        let transaction = elsewhere.db.begin().await.unwrap();
        let insert = format!(
            "INSERT INTO oauth_states (state, user_id, key_id, created_at, expires_at)
             VALUES ('s', '{alice}', '{key}', '{}', '{}')",
            at(MONTH),
            at(MONTH + 600)
        );
        transaction.execute_unprepared(&insert).await.unwrap();
        assert_eq!(swept(&base).await, 0);
        transaction.commit().await.unwrap();
        assert_eq!(swept(&base).await, 0);
        assert!(base.store.link("s", at(MONTH)).await.unwrap().is_some());
    })
    .await;
}
