//! Users, keys and connect links.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, EntityTrait};
use uuid::Uuid;

use super::{
    super::{LastUses, NewKey, UsedCredential},
    harness::{at, link, on_each},
};
use crate::domain::{KeyId, Scope, ToolDefaults, UserId};

#[tokio::test]
async fn a_key_is_found_by_its_prefix_and_by_its_owner_only() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        let (bob, _) = base.user("bob").await;

        let found = base.store.key_by_prefix("ownerrez_sk_alice").await.unwrap().unwrap();
        assert_eq!((found.user, found.id, found.hash.as_str()), (alice, key, "hash of alice"));
        assert_eq!(found.name.as_deref(), Some("alice"));
        assert_eq!(base.store.key(alice, key).await.unwrap(), Some(found));

        assert_eq!(base.store.key_by_prefix("ownerrez_sk_carol").await.unwrap(), None);
        assert_eq!(base.store.key(bob, key).await.unwrap(), None);
        assert!(base.store.touch_key(alice, key, at(1)).await.unwrap());
        assert!(!base.store.touch_key(bob, key, at(2)).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn last_use_never_moves_back() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        for seconds in [5, 9, 7] {
            assert!(base.store.touch_key(alice, key, at(seconds)).await.unwrap());
        }
        let row = entity::api_keys::Entity::find_by_id(key.0).one(&base.store.db).await.unwrap().unwrap();
        assert_eq!(row.last_used_at, Some(at(9).into()));
    })
    .await;
}

#[tokio::test]
async fn uses_that_are_not_written_yet_are_kept_once_per_key() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        let uses = LastUses::new(base.store.clone());
        for seconds in 1..=1_000 {
            uses.note(UsedCredential::Key(key), alice, at(seconds));
            assert!(uses.unwritten() <= 1);
        }
        while uses.is_writing() {
            tokio::task::yield_now().await;
        }
        let row = entity::api_keys::Entity::find_by_id(key.0).one(&base.store.db).await.unwrap().unwrap();
        assert_eq!(row.last_used_at, Some(at(1_000).into()));
    })
    .await;
}

#[tokio::test]
async fn registration_stores_both_or_neither() {
    on_each(async |base| {
        let (_, key) = base.user("alice").await;
        let bob = UserId(Uuid::new_v4());
        let taken = NewKey {
            id: key,
            hash: "h".into(),
            hmac: None,
            prefix: "p".into(),
            name: None,
            scope: Scope::Full,
            expires_at: None,
            view: ToolDefaults::default(),
        };
        base.store.register_user(bob, taken.clone(), at(0)).await.unwrap_err();
        // The id would be rejected if the user had been kept.
        let free = NewKey { id: KeyId(Uuid::new_v4()), ..taken };
        base.store.register_user(bob, free, at(0)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_link_serves_its_own_user_until_it_expires() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        let (bob, _) = base.user("bob").await;
        assert!(!base.store.open_link(bob, link("s0", key, 0), 5).await.unwrap(), "a key of another user");
        assert!(base.store.open_link(alice, link("s1", key, 0), 5).await.unwrap());

        let found = base.store.link("s1", at(599)).await.unwrap().unwrap();
        assert_eq!((found.user, found.key, found.expires_at), (alice, key, at(600)));
        assert_eq!(base.store.link("s1", at(600)).await.unwrap(), None);
        assert_eq!(base.store.link("s0", at(1)).await.unwrap(), None);

        assert!(!base.store.bind_link(bob, "s1", "browser", at(1)).await.unwrap());
        assert_eq!(base.store.take_link("s1", "browser", at(1)).await.unwrap(), None, "not bound");
        assert!(base.store.bind_link(alice, "s1", "browser", at(1)).await.unwrap());
        assert!(!base.store.bind_link(alice, "s1", "browser", at(600)).await.unwrap());
        assert_eq!(base.store.take_link("s1", "other", at(1)).await.unwrap(), None);
        assert_eq!(base.store.take_link("s1", "browser", at(600)).await.unwrap(), None);
        assert_eq!(base.store.take_link("s1", "browser", at(599)).await.unwrap(), Some(found));
        assert_eq!(base.store.take_link("s1", "browser", at(599)).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn of_many_that_take_a_link_one_gets_it() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        let processes = base.processes(4).await;
        for round in 0..5 {
            let state = format!("s{round}");
            base.store.open_link(alice, link(&state, key, 0), 9).await.unwrap();
            base.store.bind_link(alice, &state, "browser", at(1)).await.unwrap();
            let takers = processes.iter().cycle().take(16).map(|store| store.take_link(&state, "browser", at(2)));
            let taken = join_all(takers).await.into_iter().filter(|taken| taken.as_ref().unwrap().is_some()).count();
            assert_eq!(taken, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn the_oldest_and_the_expired_links_make_room() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        let (bob, bobs_key) = base.user("bob").await;
        base.store.open_link(bob, link("bob", bobs_key, -1000), 3).await.unwrap();
        base.store.open_link(alice, link("expired", key, -600), 3).await.unwrap();
        for second in 0..4 {
            base.store.open_link(alice, link(&format!("s{second}"), key, second), 3).await.unwrap();
        }
        for (state, present) in [("s0", false), ("s1", true), ("s2", true), ("s3", true)] {
            assert_eq!(base.store.link(state, at(5)).await.unwrap().is_some(), present, "{state}");
        }
        assert_eq!(base.store.link("expired", at(-10)).await.unwrap(), None, "removed when s0 came");
        assert!(base.store.link("bob", at(-900)).await.unwrap().is_some(), "others' links are not touched");
        assert_eq!(base.store.sweep_links(at(0)).await.unwrap(), 1);
        assert_eq!(base.store.sweep_links(at(602)).await.unwrap(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_cap_holds_when_links_are_opened_at_once() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        let processes = base.processes(4).await;
        let openers = processes.iter().cycle().take(12).enumerate().map(async |(number, store)| {
            store.open_link(alice, link(&format!("s{number:02}"), key, 0), 3).await.unwrap()
        });
        assert!(join_all(openers).await.into_iter().all(|opened| opened));
        assert_eq!(base.store.sweep_links(at(600)).await.unwrap(), 3);
    })
    .await;
}

#[tokio::test]
async fn times_compare_as_times_whatever_their_fractions() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        // Fractions of 0, 3, 6 and 9 digits: SQLite compares their text.
        let nanoseconds = [0, 1_000, 500_000_000, 500_001_000, 999_999_999, 1_000_000_000, 1_000_000_001];
        for (number, end) in nanoseconds.into_iter().enumerate() {
            let expires_at = at(0) + TimeDelta::nanoseconds(end);
            let mut new = link(&format!("s{number}"), key, -600);
            new.expires_at = expires_at;
            base.store.open_link(alice, new, 99).await.unwrap();
            for now in nanoseconds {
                // Both databases store whole microseconds.
                let expected = end / 1000 > now / 1000;
                let found = base.store.link(&format!("s{number}"), at(0) + TimeDelta::nanoseconds(now)).await.unwrap();
                assert_eq!(found.is_some(), expected, "expires {end} ns, now {now} ns");
                if let Some(found) = found {
                    assert_eq!(found.expires_at, at(0) + TimeDelta::microseconds(end / 1000));
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_hangs_on_a_user_goes_with_the_user() {
    on_each(async |base| {
        let (alice, connection) = base.connected_user("alice").await;
        let key = base.store.key_by_prefix("ownerrez_sk_alice").await.unwrap().unwrap().id;
        base.store.open_link(alice, link("s1", key, 0), 5).await.unwrap();
        base.store.add_revocation(alice, Uuid::new_v4(), connection.account, connection.access, at(0)).await.unwrap();

        base.store.db.execute_unprepared("DELETE FROM users").await.unwrap();

        assert_eq!(base.store.key(alice, key).await.unwrap(), None);
        assert_eq!(base.store.link("s1", at(1)).await.unwrap(), None);
        assert_eq!(base.store.connection(alice).await.unwrap(), None);
        assert_eq!(base.store.due_revocations(at(0), 9).await.unwrap().len(), 1, "outlives the user");
    })
    .await;
}

#[tokio::test]
async fn a_link_goes_with_the_key_that_asked_for_it() {
    on_each(async |base| {
        let (alice, key) = base.user("alice").await;
        base.store.open_link(alice, link("s1", key, 0), 5).await.unwrap();
        base.store.db.execute_unprepared("DELETE FROM api_keys").await.unwrap();
        assert_eq!(base.store.link("s1", at(1)).await.unwrap(), None);
    })
    .await;
}
