//! The refresh tokens that keep grants alive: each use gives another one, and a stolen one is noticed.

use chrono::{DateTime, Utc};
use entity::{oauth_grants as grants, refresh_tokens as refreshes};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockType},
};

use super::{Store, StoreError, StoredGrant, grants::live_until};
use crate::domain::GrantId;

/// Tokens of the youngest generation that stay good beside each other: so many replies to a refresh may be lost.
const SIBLINGS: u64 = 8;
/// Generations that are remembered after their time, so that a theft is noticed when one of them is shown again.
const REMEMBERED_GENERATIONS: i64 = 16;

/// A refresh token about to be stored. Its generation follows from the one that it replaces.
#[derive(Clone, Debug)]
pub struct NewRefresh {
    /// SHA-256 of the token in hexadecimal.
    pub hash: String,
    /// From then on it is not taken.
    pub expires_at: DateTime<Utc>,
}

/// A refresh token that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRefresh {
    /// What it renews.
    pub grant: StoredGrant,
    /// Counts the rotations of the grant, from 1.
    pub generation: i64,
    /// From then on it is not taken.
    pub expires_at: DateTime<Utc>,
}

/// What became of a refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotated {
    /// The successor is stored.
    Yes,
    /// The token had been replaced and its successor used: somebody else has it. The grant is ended.
    Replayed,
    /// The grant is gone.
    Gone,
}

/// What is to be done with a refresh token that was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// The client has its token: whatever came before is used up.
    Confirm,
    /// The client asks again with the token that it used last: the reply was lost.
    Again,
    /// This one was replaced, and its successor used.
    Replay,
}

/// A token stays good until its successor is first used; one that is shown after that has been stolen, or its thief was
/// faster. `confirmed` is the generation last used and which of its tokens that was.
fn judge(confirmed: (i64, Option<&str>), shown: (i64, &str)) -> Verdict {
    match shown.0 - confirmed.0 {
        1 => Verdict::Confirm,
        0 if confirmed.1 == Some(shown.1) => Verdict::Again,
        _ => Verdict::Replay,
    }
}

impl Store {
    /// The refresh token with this digest, and its grant.
    pub async fn refresh_token(&self, hash: &str) -> Result<Option<StoredRefresh>, StoreError> {
        let query = refreshes::Entity::find_by_id(hash);
        self.run(async {
            let Some(refresh) = query.one(&self.db).await? else { return Ok(None) };
            let grant = grants::Entity::find_by_id(refresh.grant_id).one(&self.db).await?;
            Ok(grant.map(|grant| StoredRefresh {
                grant: grant.into(),
                generation: refresh.generation,
                expires_at: refresh.expires_at.into(),
            }))
        })
        .await
    }

    /// Puts a successor beside the refresh token that was shown, or ends the grant when that one was used up. Which of
    /// the two is decided under the grant's lock, so of two processes that are shown rival tokens one decides first.
    pub async fn rotate(
        &self,
        grant: GrantId,
        shown: (i64, &str),
        successor: NewRefresh,
        now: DateTime<Utc>,
    ) -> Result<Rotated, StoreError> {
        let (generation, hash) = shown;
        self.run(async {
            let transaction = self.begin().await?;
            let lock = grants::Entity::find_by_id(grant.0).lock(LockType::NoKeyUpdate);
            let Some(row) = lock.one(&transaction).await? else {
                transaction.rollback().await?;
                return Ok(Rotated::Gone);
            };
            match judge((row.confirmed_generation, row.confirmed_hash.as_deref()), shown) {
                Verdict::Replay => {
                    grants::Entity::delete_by_id(grant.0).exec(&transaction).await?;
                    transaction.commit().await?;
                    self.heard.change();
                    return Ok(Rotated::Replayed);
                }
                Verdict::Again => {}
                Verdict::Confirm => {
                    grants::Entity::update_many()
                        .col_expr(grants::Column::ConfirmedGeneration, Expr::value(generation))
                        .col_expr(grants::Column::ConfirmedHash, Expr::value(hash))
                        .filter(grants::Column::Id.eq(grant.0))
                        .exec(&transaction)
                        .await?;
                }
            }
            live_until(&transaction, grant, successor.expires_at, now).await?;
            let newest = successor.hash.clone();
            add_refresh(&transaction, grant, generation + 1, successor, now).await?;
            prune(&transaction, grant, generation, &newest).await?;
            transaction.commit().await?;
            Ok(Rotated::Yes)
        })
        .await
    }
}

pub(super) async fn add_refresh(
    transaction: &DatabaseTransaction,
    grant: GrantId,
    generation: i64,
    refresh: NewRefresh,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = refreshes::ActiveModel {
        token_hash: Set(refresh.hash),
        grant_id: Set(grant.0),
        generation: Set(generation),
        created_at: Set(now.into()),
        expires_at: Set(refresh.expires_at.into()),
    };
    refreshes::Entity::insert(row).exec_without_returning(transaction).await.map(drop)
}

/// Bounds what is kept of a grant's refresh tokens beside the newest one.
async fn prune(transaction: &DatabaseTransaction, grant: GrantId, confirmed: i64, newest: &str) -> Result<(), DbErr> {
    let of_grant = || refreshes::Column::GrantId.eq(grant.0);
    let beyond: Vec<String> = refreshes::Entity::find()
        .select_only()
        .column(refreshes::Column::TokenHash)
        .filter(of_grant())
        .filter(refreshes::Column::Generation.gt(confirmed))
        .filter(refreshes::Column::TokenHash.ne(newest))
        .order_by_desc(refreshes::Column::CreatedAt)
        .offset(SIBLINGS - 1)
        .limit(SIBLINGS)
        .into_tuple()
        .all(transaction)
        .await?;
    refreshes::Entity::delete_many()
        .filter(of_grant())
        .filter(
            refreshes::Column::Generation
                .lt(confirmed - REMEMBERED_GENERATIONS)
                .or(refreshes::Column::TokenHash.is_in(beyond)),
        )
        .exec(transaction)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_good_until_its_successor_was_used() {
        let first = (0, None);
        assert_eq!(judge(first, (1, "a")), Verdict::Confirm, "the one that came with the code");
        assert_eq!(judge((1, Some("a")), (1, "a")), Verdict::Again, "the reply was lost");
        assert_eq!(judge((1, Some("a")), (2, "b")), Verdict::Confirm);
        assert_eq!(judge((2, Some("b")), (2, "c")), Verdict::Replay, "two had a successor of the same token");
        assert_eq!(judge((2, Some("b")), (1, "a")), Verdict::Replay, "used up");
    }

    /// What holders of tokens do with them: each shows one that was issued at some time.
    fn family() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 1..40)
    }

    proptest! {
        /// However tokens are shown, no two different tokens of one generation are both accepted, and nobody goes on
        /// with a token that is older than the last accepted one.
        #[test]
        fn one_line_of_tokens_is_followed(shows in family()) {
            let mut issued: Vec<(i64, String)> = vec![(1, "0".to_owned())];
            let mut confirmed: (i64, Option<String>) = (0, None);
            let mut accepted: std::collections::BTreeMap<i64, String> = std::collections::BTreeMap::new();
            for show in shows {
                let (generation, hash) = show.get(&issued).clone();
                match judge((confirmed.0, confirmed.1.as_deref()), (generation, &hash)) {
                    Verdict::Replay => break,
                    Verdict::Confirm => {
                        prop_assert!(generation > confirmed.0);
                        confirmed = (generation, Some(hash.clone()));
                    }
                    Verdict::Again => prop_assert_eq!(confirmed.1.as_deref(), Some(hash.as_str())),
                }
                let known = accepted.entry(generation).or_insert_with(|| hash.clone());
                prop_assert_eq!(&*known, &hash);
                issued.push((generation + 1, issued.len().to_string()));
            }
        }
    }
}
