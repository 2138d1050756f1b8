//! Connections, leases and revocations.

use chrono::{DateTime, Utc};
use entity::users;
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::harness::{at, grant, on_each, tokens, yes};
use crate::domain::{AccountId, Sealed, TokenKind, UserId};

#[tokio::test]
async fn a_connection_reads_back_as_it_was_saved() {
    on_each(async |base| {
        let (alice, _) = base.user("alice").await;
        assert_eq!(base.store.connection(alice).await.unwrap(), None);
        assert!(base.store.save_connection(alice, grant("alice"), at(7)).await.unwrap());
        let connection = base.connection(alice).await;
        assert_eq!(connection.account, Some(AccountId(5_000_000_000)));
        assert_eq!(connection.access, Sealed("access of alice".into()));
        assert_eq!(connection.refresh, Some(Sealed("refresh of alice".into())));
        assert_eq!(connection.token_kind, TokenKind::Bearer);
        assert_eq!((connection.obtained_at, connection.expires_at), (at(0), Some(at(1000))));
        assert_eq!((connection.connected_at, connection.rejected_at), (at(7), None));
        assert_eq!((connection.version, connection.lease_holder, connection.lease_until), (0, None, None));
    })
    .await;
}

#[tokio::test]
async fn a_new_authorization_replaces_a_rejected_one_only() {
    on_each(async |base| {
        let (alice, first) = base.connected_user("alice").await;
        assert!(!base.store.save_connection(alice, grant("again"), at(1)).await.unwrap());
        assert_eq!(base.connection(alice).await, first);

        assert!(base.store.mark_rejected(alice, first.id, first.version, at(2)).await.unwrap());
        let rejected = base.connection(alice).await;
        assert_eq!((rejected.rejected_at, rejected.version), (Some(at(2)), 1));

        assert!(base.store.save_connection(alice, grant("again"), at(3)).await.unwrap());
        let second = base.connection(alice).await;
        assert_ne!(second.id, first.id);
        assert_eq!((second.rejected_at, second.version, second.connected_at), (None, 2, at(3)));
        assert_eq!(second.access, Sealed("access of again".into()));
    })
    .await;
}

#[tokio::test]
async fn of_many_authorizations_at_once_one_is_saved() {
    on_each(async |base| {
        let processes = base.processes(4).await;
        let (alice, _) = base.user("alice").await;
        for expected_version in [0, 2] {
            let savers =
                processes.iter().cycle().take(16).map(|store| store.save_connection(alice, grant("alice"), at(0)));
            assert_eq!(yes(join_all(savers).await), 1);
            let connection = base.connection(alice).await;
            assert_eq!(connection.version, expected_version);
            assert!(base.store.mark_rejected(alice, connection.id, connection.version, at(1)).await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_that_want_the_lease_one_gets_it() {
    on_each(async |base| {
        let (alice, connection) = base.connected_user("alice").await;
        let processes = base.processes(4).await;
        for round in 0..5 {
            // Each round begins when the previous round's lease ends.
            let (now, until) = (at(round * 30), at(round * 30 + 30));
            let takers =
                processes.iter().cycle().take(16).map(|store| {
                    store.take_lease(alice, connection.id, connection.version, Uuid::new_v4(), until, now)
                });
            assert_eq!(yes(join_all(takers).await), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_given_back_by_its_holder_or_runs_out() {
    on_each(async |base| {
        let (alice, c) = base.connected_user("alice").await;
        let (mine, theirs) = (Uuid::new_v4(), Uuid::new_v4());
        assert!(base.store.take_lease(alice, c.id, 0, mine, at(30), at(0)).await.unwrap());
        let leased = base.connection(alice).await;
        assert_eq!((leased.lease_holder, leased.lease_until, leased.version), (Some(mine), Some(at(30)), 0));
        assert!(!base.store.take_lease(alice, c.id, 0, theirs, at(59), at(29)).await.unwrap());
        assert!(!base.store.release_lease(alice, c.id, theirs).await.unwrap());
        assert!(base.store.release_lease(alice, c.id, mine).await.unwrap());
        assert!(base.store.take_lease(alice, c.id, 0, theirs, at(59), at(29)).await.unwrap());
        assert!(base.store.take_lease(alice, c.id, 0, mine, at(89), at(59)).await.unwrap(), "ran out");
        assert!(!base.store.take_lease(alice, c.id, 1, theirs, at(119), at(90)).await.unwrap(), "another version");
    })
    .await;
}

#[tokio::test]
async fn tokens_are_replaced_only_in_the_version_that_was_read() {
    on_each(async |base| {
        let (alice, c) = base.connected_user("alice").await;
        base.store.take_lease(alice, c.id, 0, Uuid::new_v4(), at(30), at(0)).await.unwrap();
        let processes = base.processes(4).await;
        let writers = processes
            .iter()
            .cycle()
            .take(16)
            .enumerate()
            .map(|(n, store)| store.store_refreshed(alice, c.id, 0, tokens(&format!("refresh {n}"), 100), at(100)));
        assert_eq!(yes(join_all(writers).await), 1);

        let now = base.connection(alice).await;
        assert_eq!((now.id, now.version, now.lease_holder, now.lease_until), (c.id, 1, None, None));
        assert_eq!((now.obtained_at, now.expires_at, now.connected_at), (at(100), Some(at(1100)), at(0)));

        assert!(!base.store.mark_rejected(alice, c.id, 0, at(101)).await.unwrap(), "late news about old tokens");
        assert!(!base.store.drop_refresh_token(alice, c.id, 0, at(101)).await.unwrap());
        assert!(!base.store.store_refreshed(alice, Uuid::new_v4(), 1, tokens("x", 1), at(101)).await.unwrap());

        assert!(base.store.mark_rejected(alice, c.id, 1, at(102)).await.unwrap());
        assert!(base.store.store_refreshed(alice, c.id, 2, tokens("later", 103), at(103)).await.unwrap());
        let working = base.connection(alice).await;
        assert_eq!((working.rejected_at, working.version), (None, 3));
        assert_eq!(working.refresh, Some(Sealed("refresh of later".into())));

        assert!(base.store.drop_refresh_token(alice, c.id, 3, at(104)).await.unwrap());
        let without = base.connection(alice).await;
        assert_eq!((without.refresh, without.version, without.access), (None, 4, working.access));
        assert!(base.store.due_renewals(at(999_999), 9).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_touches_the_connection_of_another() {
    on_each(async |base| {
        let (alice, c) = base.connected_user("alice").await;
        let (bob, _) = base.user("bob").await;
        let store = &base.store;
        assert_eq!(store.connection(bob).await.unwrap(), None);
        assert!(!store.disconnect(bob, Uuid::new_v4(), at(1)).await.unwrap());
        assert!(!store.take_lease(bob, c.id, 0, Uuid::new_v4(), at(30), at(1)).await.unwrap());
        assert!(!store.store_refreshed(bob, c.id, 0, tokens("bob", 1), at(1)).await.unwrap());
        assert!(!store.drop_refresh_token(bob, c.id, 0, at(1)).await.unwrap());
        assert!(!store.mark_rejected(bob, c.id, 0, at(1)).await.unwrap());
        assert!(!store.postpone_renewal(bob, c.id, at(9000)).await.unwrap());
        let holder = Uuid::new_v4();
        assert!(store.take_lease(alice, c.id, 0, holder, at(30), at(1)).await.unwrap());
        assert!(!store.release_lease(bob, c.id, holder).await.unwrap());
        assert!(store.release_lease(alice, c.id, holder).await.unwrap());
        assert_eq!(base.connection(alice).await, c);
        assert_eq!(store.due_renewals(at(900), 9).await.unwrap(), [alice]);
    })
    .await;
}

#[tokio::test]
async fn renewals_come_due_oldest_first_and_can_be_put_off() {
    on_each(async |base| {
        let mut users = Vec::<UserId>::new();
        for (name, renew_at) in
            [("alice", Some(at(300))), ("bob", Some(at(100))), ("carol", Some(at(200))), ("dave", None)]
        {
            let (user, _) = base.user(name).await;
            let mut grant = grant(name);
            grant.tokens.renew_at = renew_at;
            base.store.save_connection(user, grant, at(0)).await.unwrap();
            users.push(user);
        }
        let [alice, bob, carol, dave] = users.try_into().unwrap();
        assert!(base.store.due_renewals(at(99), 9).await.unwrap().is_empty());
        assert_eq!(base.store.due_renewals(at(300), 9).await.unwrap(), [bob, carol, alice]);
        assert_eq!(base.store.due_renewals(at(300), 2).await.unwrap(), [bob, carol]);

        let bobs = base.connection(bob).await;
        assert!(base.store.postpone_renewal(bob, bobs.id, at(400)).await.unwrap());
        assert_eq!(base.connection(bob).await.version, 0, "tokens in use stay valid");
        let daves = base.connection(dave).await;
        assert!(!base.store.postpone_renewal(dave, daves.id, at(0)).await.unwrap());
        let carols = base.connection(carol).await;
        base.store.mark_rejected(carol, carols.id, 0, at(1)).await.unwrap();
        assert_eq!(base.store.due_renewals(at(300), 9).await.unwrap(), [alice]);
        assert_eq!(base.store.due_renewals(at(400), 9).await.unwrap(), [alice, bob]);
    })
    .await;
}

#[tokio::test]
async fn accounts_are_counted_once_and_unknown_ones_one_each() {
    on_each(async |base| {
        assert_eq!(base.store.connected_accounts().await.unwrap(), 0);
        for (name, account) in
            [("a", Some(1)), ("b", Some(1)), ("c", Some(2)), ("d", None), ("e", None), ("f", Some(3))]
        {
            let (user, _) = base.user(name).await;
            let mut grant = grant(name);
            grant.account = account.map(AccountId);
            base.store.save_connection(user, grant, at(0)).await.unwrap();
            if name == "f" {
                let rejected = base.connection(user).await;
                base.store.mark_rejected(user, rejected.id, 0, at(1)).await.unwrap();
            }
        }
        assert_eq!(base.store.connected_accounts().await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn disconnecting_leaves_a_token_to_revoke() {
    on_each(async |base| {
        let (alice, _) = base.connected_user("alice").await;
        let ids: Vec<Uuid> = (0..16).map(|_| Uuid::new_v4()).collect();
        let processes = base.processes(4).await;
        let attempts = processes.iter().cycle().zip(&ids).map(|(store, id)| store.disconnect(alice, *id, at(5)));
        assert_eq!(yes(join_all(attempts).await), 1);
        assert_eq!(base.store.connection(alice).await.unwrap(), None);

        assert!(base.store.due_revocations(at(4), 9).await.unwrap().is_empty());
        let [task] = base.store.due_revocations(at(5), 9).await.unwrap().try_into().unwrap();
        assert_eq!((task.user, task.access, task.attempts), (alice, Sealed("access of alice".into()), 0));

        assert!(base.store.postpone_revocation(task.id, 1, at(60)).await.unwrap());
        assert!(base.store.due_revocations(at(59), 9).await.unwrap().is_empty());
        base.store.add_revocation(alice, Uuid::new_v4(), None, Sealed("stray".into()), at(50)).await.unwrap();
        let due = base.store.due_revocations(at(60), 9).await.unwrap();
        assert_eq!(due.iter().map(|task| task.attempts).collect::<Vec<_>>(), [0, 1]);
        assert!(base.store.finish_revocation(task.id).await.unwrap());
        assert!(!base.store.finish_revocation(task.id).await.unwrap());
        assert!(!base.store.postpone_revocation(task.id, 2, at(0)).await.unwrap());
        assert_eq!(base.store.due_revocations(at(60), 9).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn another_seal_disturbs_nobody_who_works_on_the_same_tokens() {
    on_each(async |base| {
        let (alice, c) = base.connected_user("alice").await;
        let store = &base.store;
        let reseal = async |user, version, name: &str| {
            let refresh = Some(Sealed(format!("{name} refresh")));
            store.store_re_encrypted(user, c.id, version, Sealed(format!("{name} access")), refresh).await.unwrap()
        };
        let holder = Uuid::new_v4();
        assert!(store.take_lease(alice, c.id, 0, holder, at(60), at(0)).await.unwrap());
        assert!(reseal(alice, 0, "new").await);
        let now = base.connection(alice).await;
        assert_eq!((now.access.0.as_str(), now.version, now.lease_holder), ("new access", 0, Some(holder)));
        assert_eq!((now.expires_at, now.obtained_at), (c.expires_at, c.obtained_at));

        assert!(store.store_refreshed(alice, c.id, 0, tokens("refreshed", 1), at(1)).await.unwrap());
        assert!(!reseal(alice, 0, "too late").await);
        let (bob, _) = base.user("bob").await;
        assert!(!reseal(bob, 1, "of bob").await);
        assert_eq!(base.connection(alice).await.access.0, "access of refreshed");
    })
    .await;
}

#[tokio::test]
async fn the_first_connection_of_a_user_is_remembered() {
    on_each(async |base| {
        let (alice, _) = base.user("alice").await;
        let first = async || {
            let row = users::Entity::find_by_id(alice.0).one(&base.store.db).await.unwrap().unwrap();
            row.first_connected_at.map(DateTime::<Utc>::from)
        };
        assert_eq!(first().await, None);
        for second in [7, 8, 9] {
            // The call at 8 finds a working connection and changes nothing; the call at 9 replaces a rejected one.
            base.store.save_connection(alice, grant("alice"), at(second)).await.unwrap();
            assert_eq!(first().await, Some(at(7)));
            if second == 8 {
                let c = base.connection(alice).await;
                assert!(base.store.mark_rejected(alice, c.id, c.version, at(8)).await.unwrap());
            }
        }
    })
    .await;
}
