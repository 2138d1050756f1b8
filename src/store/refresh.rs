//! Refresh tokens. The first use of a token creates a successor; until the successor is used, the token returns it
//! again. So processes that share one stored token never sign each other out, and a lost response does no harm. The use
//! of an older token ends its grant, because two parties have tokens of one family (RFC 9700 section 4.14.2).

use chrono::{DateTime, Utc};
use entity::{Moment, oauth_grants as grants, refresh_tokens as refreshes};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use secrecy::SecretString;

use super::{database::Store, error::StoreError, live_grants::live_until, stored_grant::StoredGrant};
use crate::domain::{GrantId, Sealed};

/// The refresh token issued with a grant's first access token.
#[derive(Clone, Debug)]
pub struct FirstRefresh {
    /// SHA-256 of the token in hexadecimal.
    pub hash: String,
    /// SHA-256, in hexadecimal, of the part that it shares with all its successors.
    pub family_hash: String,
    /// The token is invalid from this time on.
    pub expires_at: DateTime<Utc>,
}

/// A successor about to be stored, one generation newer than the presented token.
#[derive(Clone, Debug)]
pub struct NewSuccessor {
    /// SHA-256 of the token in hexadecimal.
    pub hash: String,
    /// SHA-256, in hexadecimal, of the part that all tokens of the grant share.
    pub family_hash: String,
    /// The token, encrypted for its grant and generation.
    pub sealed: Sealed,
    /// The token is invalid from this time on. A successor that replaces one which cannot be decrypted keeps the expiry
    /// time of that one.
    pub expires_at: DateTime<Utc>,
}

/// A known refresh token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KnownRefresh {
    /// The token is stored: the last used one, a successor, or one that was replaced a moment ago.
    Stored {
        /// The grant that the token renews.
        grant: StoredGrant,
        /// Counts the rotations of the grant, from 1.
        generation: i64,
        /// The token is invalid from this time on.
        expires_at: DateTime<Utc>,
    },
    /// The token belongs to this grant's family, and its successor was used.
    Replaced(StoredGrant),
}

impl KnownRefresh {
    /// Returns the grant that the token belongs to.
    pub fn grant(&self) -> &StoredGrant {
        match self {
            Self::Stored { grant, .. } | Self::Replaced(grant) => grant,
        }
    }
}

/// The outcome of a refresh.
#[derive(Clone, Debug)]
pub enum Rotated {
    /// The token was used for the first time: the new successor is stored.
    First,
    /// The successor has not been used: this one, which was issued before, is issued again.
    Repeated(SecretString),
    /// The same, but the stored successor cannot be decrypted: the new one is stored as well, with the expiry time of
    /// that one.
    Reissued,
    /// The successor was used: the grant is ended.
    Replaced,
    /// The grant no longer exists.
    Gone,
}

/// The action that a presented refresh token requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    First,
    Repeat,
    Replaced,
}

/// Decides by the generation of the presented token and the newest generation that was used. A successor counts as used
/// only once it was presented at the token endpoint: use of its access token proves only that one of several holders
/// received the response.
fn judge(confirmed: i64, shown: i64) -> Verdict {
    match shown - confirmed {
        1 => Verdict::First,
        0 => Verdict::Repeat,
        _ => Verdict::Replaced,
    }
}

impl Store {
    /// Returns the refresh token with this digest, or else the grant of this family.
    pub async fn refresh_token(
        &self,
        hash: &str,
        family_hash: Option<&str>,
    ) -> Result<Option<KnownRefresh>, StoreError> {
        let query = refreshes::Entity::find_by_id(hash);
        self.run(async {
            if let Some(refresh) = query.one(&self.db).await? {
                let grant = grants::Entity::find_by_id(refresh.grant_id).one(&self.db).await?;
                return Ok(grant.map(|grant| KnownRefresh::Stored {
                    grant: grant.into(),
                    generation: refresh.generation,
                    expires_at: refresh.expires_at.into(),
                }));
            }
            let Some(family_hash) = family_hash else { return Ok(None) };
            let of_family = grants::Entity::find().filter(grants::Column::FamilyHash.eq(family_hash));
            Ok(of_family.one(&self.db).await?.map(|grant| KnownRefresh::Replaced(grant.into())))
        })
        .await
    }

    /// Uses a refresh token of this generation: stores `successor`, returns the stored successor, or ends the grant.
    /// The grant's row is locked meanwhile, which serializes requests with tokens of one family. `open` decrypts a
    /// token encrypted for the successor's generation.
    pub async fn rotate(
        &self,
        grant: GrantId,
        generation: i64,
        successor: NewSuccessor,
        open: impl Fn(&Sealed) -> Option<SecretString>,
        now: DateTime<Utc>,
    ) -> Result<Rotated, StoreError> {
        self.run(async {
            let transaction = self.begin().await?;
            let lock = grants::Entity::find_by_id(grant.0).lock(LockType::NoKeyUpdate);
            let Some(row) = lock.one(&transaction).await? else {
                transaction.rollback().await?;
                return Ok(Rotated::Gone);
            };
            match judge(row.confirmed_generation, generation) {
                Verdict::Replaced => {
                    grants::Entity::delete_by_id(grant.0).exec(&transaction).await?;
                    transaction.commit().await?;
                    self.change_counter.increment();
                    Ok(Rotated::Replaced)
                }
                Verdict::Repeat => {
                    if let Some(token) = row.successor.and_then(|sealed| open(&Sealed(sealed))) {
                        transaction.rollback().await?;
                        return Ok(Rotated::Repeated(token));
                    }
                    let successor = NewSuccessor { expires_at: row.expires_at.into(), ..successor };
                    add_successor(&transaction, grant, generation, successor, now).await?;
                    transaction.commit().await?;
                    Ok(Rotated::Reissued)
                }
                Verdict::First => {
                    live_until(&transaction, grant, successor.expires_at, now).await?;
                    add_successor(&transaction, grant, generation, successor, now).await?;
                    refreshes::Entity::delete_many()
                        .filter(refreshes::Column::GrantId.eq(grant.0))
                        .filter(refreshes::Column::Generation.lt(generation))
                        .exec(&transaction)
                        .await?;
                    transaction.commit().await?;
                    Ok(Rotated::First)
                }
            }
        })
        .await
    }

    /// Stores the successor of a grant under another encryption key, if the stored one is still `replaces`.
    pub async fn store_re_encrypted_successor(
        &self,
        grant: GrantId,
        replaces: &Sealed,
        sealed: Sealed,
    ) -> Result<bool, StoreError> {
        let update = grants::Entity::update_many()
            .col_expr(grants::Column::Successor, Expr::value(sealed.0))
            .filter(grants::Column::Id.eq(grant.0))
            .filter(grants::Column::Successor.eq(&*replaces.0));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }
}

/// Stores the first refresh token of a grant.
pub(super) async fn begin_family(
    transaction: &DatabaseTransaction,
    grant: GrantId,
    first: FirstRefresh,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let FirstRefresh { hash, family_hash, expires_at } = first;
    grants::Entity::update_many()
        .col_expr(grants::Column::FamilyHash, Expr::value(family_hash))
        .filter(grants::Column::Id.eq(grant.0))
        .exec(transaction)
        .await?;
    add_refresh(transaction, grant, 1, (hash, expires_at), now).await
}

/// Stores the successor of a token of `generation`, which is the newest one that was used. The previously stored
/// successor is overwritten: it has just been used, or it cannot be decrypted.
async fn add_successor(
    transaction: &DatabaseTransaction,
    grant: GrantId,
    generation: i64,
    successor: NewSuccessor,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let NewSuccessor { hash, family_hash, sealed, expires_at } = successor;
    grants::Entity::update_many()
        .col_expr(grants::Column::ConfirmedGeneration, Expr::value(generation))
        .col_expr(grants::Column::Successor, Expr::value(sealed.0))
        .col_expr(grants::Column::FamilyHash, Expr::value(family_hash))
        .filter(grants::Column::Id.eq(grant.0))
        .exec(transaction)
        .await?;
    add_refresh(transaction, grant, generation + 1, (hash, expires_at), now).await
}

async fn add_refresh(
    transaction: &DatabaseTransaction,
    grant: GrantId,
    generation: i64,
    (hash, expires_at): (String, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = refreshes::ActiveModel {
        token_hash: Set(hash),
        grant_id: Set(grant.0),
        generation: Set(generation),
        created_at: Set(Moment::from(now)),
        expires_at: Set(expires_at.into()),
    };
    refreshes::Entity::insert(row).exec_without_returning(transaction).await.map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of the issued generations, the newest two are accepted and every older one is rejected.
        #[test]
        fn the_youngest_two_generations_are_taken(confirmed in 1i64..1_000_000, behind in 0i64..1_000) {
            let expected = match behind {
                0 => Verdict::First,
                1 => Verdict::Repeat,
                _ => Verdict::Replaced,
            };
            prop_assert_eq!(judge(confirmed, confirmed + 1 - behind), expected);
        }
    }
}
