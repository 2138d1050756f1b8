//! What users let clients do: grants, the codes that begin them and the refresh tokens that keep them alive.

use chrono::{DateTime, Utc};
use entity::{Moment, authorization_codes as codes, oauth_grants as grants, refresh_tokens as refreshes};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockType},
};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{GrantId, UserId};

/// Tokens of the youngest generation that stay good beside each other: so many replies to a refresh may be lost.
const SIBLINGS: u64 = 8;
/// Generations that are remembered after their time, so that a theft is noticed when one of them is shown again.
const REMEMBERED_GENERATIONS: i64 = 16;

/// A grant about to be stored, with the code that redeems it.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Which grant.
    pub id: GrantId,
    /// Whose account it opens.
    pub user: UserId,
    /// To which client.
    pub client_id: String,
    /// What that client calls itself.
    pub client_name: String,
    /// What it may do, words separated by spaces.
    pub scope: String,
    /// Where it may do that.
    pub resource: String,
    /// SHA-256 of the code in hexadecimal.
    pub code_hash: String,
    /// Where the code goes.
    pub redirect_uri: String,
    /// What the verifier must hash to.
    pub code_challenge: String,
    /// When the code ends; until it is redeemed the grant ends with it.
    pub expires_at: DateTime<Utc>,
}

/// A grant as it was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredGrant {
    /// Which grant.
    pub id: GrantId,
    /// Whose account it opens.
    pub user: UserId,
    /// To which client.
    pub client_id: String,
    /// What that client calls itself.
    pub client_name: String,
    /// What it may do, words separated by spaces.
    pub scope: String,
    /// Where it may do that.
    pub resource: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last opened the door; absent until its code was redeemed.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From then on none of its codes and tokens is good any more.
    pub expires_at: DateTime<Utc>,
}

/// A code as it was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCode {
    /// What it opens.
    pub grant: GrantId,
    /// Whose account.
    pub user: UserId,
    /// Who may redeem it.
    pub client_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What the verifier must hash to.
    pub code_challenge: String,
    /// From then on it is not redeemed.
    pub expires_at: DateTime<Utc>,
    /// Whether it was redeemed.
    pub used: bool,
}

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

impl From<grants::Model> for StoredGrant {
    fn from(row: grants::Model) -> Self {
        let grants::Model {
            id,
            user_id,
            client_id,
            client_name,
            scope,
            resource,
            created_at,
            last_used_at,
            expires_at,
            confirmed_generation: _,
            confirmed_hash: _,
        } = row;
        StoredGrant {
            id: GrantId(id),
            user: UserId(user_id),
            client_id,
            client_name,
            scope,
            resource,
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.into(),
        }
    }
}

impl From<codes::Model> for StoredCode {
    fn from(row: codes::Model) -> Self {
        let codes::Model {
            code_hash: _,
            grant_id,
            user_id,
            client_id,
            redirect_uri,
            code_challenge,
            created_at: _,
            expires_at,
            used_at,
        } = row;
        StoredCode {
            grant: GrantId(grant_id),
            user: UserId(user_id),
            client_id,
            redirect_uri,
            code_challenge,
            expires_at: expires_at.into(),
            used: used_at.is_some(),
        }
    }
}

impl Store {
    /// Stores a grant and its code. `false` when the user is gone.
    pub async fn open_grant(&self, grant: NewGrant, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let NewGrant {
            id,
            user,
            client_id,
            client_name,
            scope,
            resource,
            code_hash,
            redirect_uri,
            code_challenge,
            expires_at,
        } = grant;
        let (now, expires_at) = (Moment::from(now), Moment::from(expires_at));
        let code = codes::ActiveModel {
            code_hash: Set(code_hash),
            grant_id: Set(id.0),
            user_id: Set(user.0),
            client_id: Set(client_id.clone()),
            redirect_uri: Set(redirect_uri),
            code_challenge: Set(code_challenge),
            created_at: Set(now),
            expires_at: Set(expires_at),
            used_at: Set(None),
        };
        let row = grants::ActiveModel {
            id: Set(id.0),
            user_id: Set(user.0),
            client_id: Set(client_id),
            client_name: Set(client_name),
            scope: Set(scope),
            resource: Set(resource),
            created_at: Set(now),
            last_used_at: Set(None),
            expires_at: Set(expires_at),
            confirmed_generation: Set(0),
            confirmed_hash: Set(None),
        };
        self.run(async {
            let transaction = self.begin().await?;
            let owner = entity::users::Entity::find_by_id(user.0).lock(LockType::KeyShare).one(&transaction).await?;
            if owner.is_none() {
                transaction.rollback().await?;
                return Ok(false);
            }
            grants::Entity::insert(row).exec_without_returning(&transaction).await?;
            codes::Entity::insert(code).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// The code with this digest, redeemed or not.
    pub async fn code(&self, code_hash: &str) -> Result<Option<StoredCode>, StoreError> {
        let query = codes::Entity::find_by_id(code_hash);
        Ok(self.run(query.one(&self.db)).await?.map(StoredCode::from))
    }

    /// Redeems a code: of all callers one gets `true`. The grant lives until `ends_at` from then on.
    pub async fn redeem_code(
        &self,
        code_hash: &str,
        grant: GrantId,
        refresh: Option<NewRefresh>,
        ends_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let moment = Moment::from(now);
        let used = codes::Entity::update_many()
            .col_expr(codes::Column::UsedAt, Expr::value(moment))
            .filter(codes::Column::CodeHash.eq(code_hash))
            .filter(codes::Column::UsedAt.is_null())
            .filter(codes::Column::ExpiresAt.gt(moment));
        self.run(async {
            let transaction = self.begin().await?;
            if used.exec(&transaction).await?.rows_affected == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
            live_until(&transaction, grant, ends_at, now).await?;
            if let Some(refresh) = refresh {
                add_refresh(&transaction, grant, 1, refresh, now).await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

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

    /// A grant by its id, which stands in tokens that this gateway signed.
    pub async fn grant(&self, grant: GrantId) -> Result<Option<StoredGrant>, StoreError> {
        let query = grants::Entity::find_by_id(grant.0);
        Ok(self.run(query.one(&self.db)).await?.map(StoredGrant::from))
    }

    /// Ends a grant of the user with its codes and tokens. `false` when there is no such grant.
    pub async fn end_grant(&self, user: UserId, grant: GrantId) -> Result<bool, StoreError> {
        let delete = grants::Entity::delete_many()
            .filter(grants::Column::Id.eq(grant.0))
            .filter(grants::Column::UserId.eq(user.0));
        let ended = self.run(delete.exec(&self.db)).await?.rows_affected > 0;
        self.heard.change();
        Ok(ended)
    }

    /// Notes that the grant was used. Never moves the note back. `false` when there is no such grant any more.
    pub async fn touch_grant(&self, user: UserId, grant: GrantId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let at = Moment::from(at);
        let latest = Expr::case(grants::Column::LastUsedAt.gt(at), Expr::col(grants::Column::LastUsedAt))
            .finally(Expr::value(at));
        let update = grants::Entity::update_many()
            .col_expr(grants::Column::LastUsedAt, latest.into())
            .filter(grants::Column::Id.eq(grant.0))
            .filter(grants::Column::UserId.eq(user.0));
        let known = self.run(update.exec(&self.db)).await?.rows_affected > 0;
        if !known {
            self.heard.change();
        }
        Ok(known)
    }

    /// Removes everyone's sign-ins, grants and tokens whose time is over; says how many grants.
    pub async fn sweep_grants(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let now = Moment::from(now);
        let over = grants::Entity::find()
            .select_only()
            .column(grants::Column::Id)
            .filter(grants::Column::ExpiresAt.lte(now))
            .into_tuple::<Uuid>();
        self.run(async {
            entity::sign_in_requests::Entity::delete_many()
                .filter(entity::sign_in_requests::Column::ExpiresAt.lte(now))
                .exec(&self.db)
                .await?;
            refreshes::Entity::delete_many().filter(refreshes::Column::ExpiresAt.lte(now)).exec(&self.db).await?;
            // Looked for first: every deletion makes all processes read what they remember anew, even one of nothing.
            let over = over.all(&self.db).await?;
            if over.is_empty() {
                return Ok(0);
            }
            let delete = grants::Entity::delete_many()
                .filter(grants::Column::Id.is_in(over))
                .filter(grants::Column::ExpiresAt.lte(now));
            Ok(delete.exec(&self.db).await?.rows_affected)
        })
        .await
    }
}

async fn live_until(
    transaction: &DatabaseTransaction,
    grant: GrantId,
    ends_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    grants::Entity::update_many()
        .col_expr(grants::Column::ExpiresAt, Expr::value(Moment::from(ends_at)))
        .col_expr(grants::Column::LastUsedAt, Expr::value(Moment::from(now)))
        .filter(grants::Column::Id.eq(grant.0))
        .exec(transaction)
        .await
        .map(drop)
}

async fn add_refresh(
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
