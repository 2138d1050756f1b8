//! Sign-in with OwnerRez: pending requests, identities, and the users with access to an account.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{
    Moment, api_keys, identities, oauth_grants, ownerrez_connections as connections, pending_revocations,
    sign_in_requests, users,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait, OnConflict, Query},
};
use uuid::Uuid;

use super::{
    connections as rows, database::Store, error::StoreError, revocations, sealed_grant::SealedGrant,
    stored_grant::StoredGrant, stored_key::StoredKey,
};
use crate::domain::{AccountId, Identity, Sealed, UserId};

/// A sign-in that the user has agreed to in a browser, about to be stored.
#[derive(Clone, Debug)]
pub struct NewSignIn {
    /// SHA-256 of the state in hexadecimal.
    pub state_hash: String,
    /// SHA-256 of the browser's cookie in hexadecimal.
    pub browser_hash: String,
    /// The client's request, encrypted.
    pub request: Sealed,
    /// When the user agreed.
    pub created_at: DateTime<Utc>,
    /// The expiry time.
    pub expires_at: DateTime<Utc>,
}

/// A user with access to an OwnerRez account, and the credentials of that access.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountAccess {
    /// The id of the user.
    pub user: UserId,
    /// The user's valid API keys, oldest first.
    pub keys: Vec<StoredKey>,
    /// The grants of the user's clients, oldest first.
    pub grants: Vec<StoredGrant>,
}

/// Returns whether the tokens of an earlier connection certainly belong to another account. A connection whose account
/// is unknown may belong to the same account, and then its tokens may be the working ones.
fn is_of_another_account(before: Option<i64>, account: Option<AccountId>) -> bool {
    before.is_some_and(|before| Some(AccountId(before)) != account)
}

impl Store {
    /// Stores a pending sign-in.
    pub async fn add_sign_in(&self, sign_in: NewSignIn) -> Result<(), StoreError> {
        let NewSignIn { state_hash, browser_hash, request, created_at, expires_at } = sign_in;
        let row = sign_in_requests::ActiveModel {
            state_hash: Set(state_hash),
            browser_hash: Set(browser_hash),
            request: Set(request.0),
            created_at: Set(created_at.into()),
            returned_at: Set(None),
            expires_at: Set(expires_at.into()),
        };
        let insert = sign_in_requests::Entity::insert(row);
        self.run(insert.exec_without_returning(&self.db)).await.map(drop)
    }

    /// Returns the sign-in with this state in this browser, unless it has expired.
    pub async fn sign_in(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Sealed>, StoreError> {
        let query = sign_in_requests::Entity::find_by_id(state_hash)
            .filter(sign_in_requests::Column::BrowserHash.eq(browser_hash))
            .filter(sign_in_requests::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(query.one(&self.db)).await?.map(|row| Sealed(row.request)))
    }

    /// The same, and consumes it: of all callers with its state and its browser, one gets it. Another browser gets
    /// `None` and leaves it unchanged.
    pub async fn take_sign_in(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Sealed>, StoreError> {
        let delete = Query::delete()
            .from_table(sign_in_requests::Entity)
            .and_where(Expr::col(sign_in_requests::Column::StateHash).eq(state_hash))
            .and_where(Expr::col(sign_in_requests::Column::BrowserHash).eq(browser_hash))
            .and_where(Expr::col(sign_in_requests::Column::ExpiresAt).gt(Moment::from(now)))
            .returning_all()
            .take();
        self.run(async {
            let row = self.db.query_one(&delete).await?;
            let row = row.map(|row| sign_in_requests::Model::from_query_result(&row, "")).transpose()?;
            Ok(row.map(|row| Sealed(row.request)))
        })
        .await
    }

    /// Returns the user that this identity signs in.
    pub async fn identified(&self, identity: &Identity) -> Result<Option<UserId>, StoreError> {
        let query = identities::Entity::find()
            .filter(identities::Column::Issuer.eq(&*identity.issuer))
            .filter(identities::Column::Subject.eq(&*identity.subject));
        Ok(self.run(query.one(&self.db)).await?.map(|row| UserId(row.user_id)))
    }

    /// Stores a new user with identity and connection, all or nothing. Returns `false`, and changes nothing, if the
    /// identity already signs in a user.
    pub async fn register_identity(
        &self,
        user: UserId,
        identity: &Identity,
        grant: SealedGrant,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let moment = Moment::from(now);
        let user_row = users::ActiveModel {
            id: Set(user.0),
            created_at: Set(moment),
            first_connected_at: Set(Some(moment)),
            disabled_at: Set(None),
        };
        let identity_row = identities::ActiveModel {
            id: Set(Uuid::now_v7()),
            user_id: Set(user.0),
            issuer: Set(identity.issuer.to_string()),
            subject: Set(identity.subject.to_string()),
            created_at: Set(moment),
            last_sign_in_at: Set(moment),
        };
        let once =
            OnConflict::columns([identities::Column::Issuer, identities::Column::Subject]).do_nothing().to_owned();
        let identity_row = identities::Entity::insert(identity_row).on_conflict(once).into_query();
        self.run(async {
            let transaction = self.begin().await?;
            users::Entity::insert(user_row).exec_without_returning(&transaction).await?;
            if transaction.execute(&identity_row).await?.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
            let connection = rows::new_row(user, grant, now);
            connections::Entity::insert(connection).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Stores the newest authorization of a signed-in user, replacing any existing connection. The tokens of an older
    /// connection to the same account are not revoked at OwnerRez; those of another account are. Returns `false` if the
    /// user is gone, or if the identity no longer belongs to the user.
    pub async fn renew_connection(
        &self,
        user: UserId,
        identity: &Identity,
        grant: SealedGrant,
        revocation: Uuid,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let account = grant.account;
        let sign_in = identities::Entity::update_many()
            .col_expr(identities::Column::LastSignInAt, Expr::value(Moment::from(now)))
            .filter(identities::Column::UserId.eq(user.0))
            .filter(identities::Column::Issuer.eq(&*identity.issuer))
            .filter(identities::Column::Subject.eq(&*identity.subject));
        let first = rows::first_connected(user, now);
        self.run(async {
            let transaction = self.begin().await?;
            if sign_in.exec(&transaction).await?.rows_affected == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
            let before = connections::Entity::find()
                .filter(connections::Column::UserId.eq(user.0))
                .lock_exclusive()
                .one(&transaction)
                .await?;
            if let Some(before) = before.filter(|before| is_of_another_account(before.user_id_ownerrez, account))
                && let Some(task) = revocations::of_connection(user, revocation, before.into(), now)
            {
                pending_revocations::Entity::insert(task).exec_without_returning(&transaction).await?;
            }
            let insert = connections::Entity::insert(rows::new_row(user, grant, now))
                .on_conflict(rows::replacing())
                .into_query();
            transaction.execute(&insert).await?;
            first.exec(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Returns all users with a working connection to this account, in the order of registration.
    pub async fn users_with_access(
        &self,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Vec<AccountAccess>, StoreError> {
        let connected = Query::select()
            .column(connections::Column::UserId)
            .from(connections::Entity)
            .and_where(Expr::col(connections::Column::UserIdOwnerrez).eq(account.0))
            .and_where(Expr::col(connections::Column::RejectedAt).is_null())
            .take();
        let everyone = users::Entity::find()
            .filter(users::Column::Id.in_subquery(connected))
            .order_by_asc(users::Column::CreatedAt)
            .order_by_asc(users::Column::Id);
        let everyone = self.run(everyone.all(&self.db)).await?;
        let ids: Vec<Uuid> = everyone.iter().map(|user| user.id).collect();
        let keys = api_keys::Entity::find()
            .filter(api_keys::Column::UserId.is_in(ids.clone()))
            .filter(api_keys::Column::ExpiresAt.is_null().or(api_keys::Column::ExpiresAt.gt(Moment::from(now))))
            .order_by_asc(api_keys::Column::CreatedAt)
            .order_by_asc(api_keys::Column::Id);
        let grants = oauth_grants::Entity::find()
            .filter(oauth_grants::Column::UserId.is_in(ids))
            .filter(oauth_grants::Column::ExpiresAt.gt(Moment::from(now)))
            .filter(oauth_grants::Column::LastUsedAt.is_not_null())
            .order_by_asc(oauth_grants::Column::CreatedAt)
            .order_by_asc(oauth_grants::Column::Id);
        let mut keys_of: HashMap<Uuid, Vec<StoredKey>> = HashMap::new();
        for key in self.run(keys.all(&self.db)).await? {
            keys_of.entry(key.user_id).or_default().push(key.into());
        }
        let mut grants_of: HashMap<Uuid, Vec<StoredGrant>> = HashMap::new();
        for grant in self.run(grants.all(&self.db)).await? {
            grants_of.entry(grant.user_id).or_default().push(grant.into());
        }
        Ok(everyone
            .into_iter()
            .map(|user| AccountAccess {
                user: UserId(user.id),
                keys: keys_of.remove(&user.id).unwrap_or_default(),
                grants: grants_of.remove(&user.id).unwrap_or_default(),
            })
            .collect())
    }
}
