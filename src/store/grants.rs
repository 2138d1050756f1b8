//! Grants that users gave to clients, and their authorization codes.

use chrono::{DateTime, Utc};
use entity::{Moment, authorization_codes as codes, oauth_grants as grants};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{
    database::Store,
    error::StoreError,
    live_grants::{live_grants, live_until},
    refresh::{self, FirstRefresh},
    stored_grant::StoredGrant,
};
use crate::domain::{GrantId, UserId};

/// A grant about to be stored, with its authorization code.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// The id of the grant.
    pub id: GrantId,
    /// The user whose account the grant gives access to.
    pub user: UserId,
    /// The client that receives the grant.
    pub client_id: String,
    /// The name that the client gives itself.
    pub client_name: String,
    /// The granted scopes, separated by spaces.
    pub scope: String,
    /// The audience of its tokens.
    pub resource: String,
    /// SHA-256 of the code in hexadecimal.
    pub code_hash: String,
    /// The redirect URI that the code is sent to.
    pub redirect_uri: String,
    /// The PKCE code challenge.
    pub code_challenge: String,
    /// When the code expires; until the code is redeemed the grant expires with it.
    pub expires_at: DateTime<Utc>,
}

/// How a code is redeemed.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// The first refresh token, if there is to be one.
    pub refresh: Option<FirstRefresh>,
    /// Whether the client signed the redemption.
    pub signed: bool,
    /// When the grant expires.
    pub ends_at: DateTime<Utc>,
}

/// A stored code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCode {
    /// The grant that the code belongs to.
    pub grant: GrantId,
    /// The user who authorized the client.
    pub user: UserId,
    /// The client that may redeem the code.
    pub client_id: String,
    /// The redirect URI that the code was sent to.
    pub redirect_uri: String,
    /// The PKCE code challenge.
    pub code_challenge: String,
    /// The code is invalid from this time on.
    pub expires_at: DateTime<Utc>,
    /// Whether the code was redeemed.
    pub used: bool,
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
    /// Stores a grant and its code. Returns `false` if the user no longer exists.
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
            successor: Set(None),
            family_hash: Set(None),
            signed: Set(false),
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

    /// Returns the code with this digest, redeemed or not.
    pub async fn code(&self, code_hash: &str) -> Result<Option<StoredCode>, StoreError> {
        let query = codes::Entity::find_by_id(code_hash);
        Ok(self.run(query.one(&self.db)).await?.map(StoredCode::from))
    }

    /// Redeems a code. Only one of all callers gets `true`.
    pub async fn redeem_code(
        &self,
        code_hash: &str,
        grant: GrantId,
        redemption: Redemption,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Redemption { refresh, signed, ends_at } = redemption;
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
            if signed {
                let sign = grants::Entity::update_many().col_expr(grants::Column::Signed, Expr::value(true));
                sign.filter(grants::Column::Id.eq(grant.0)).exec(&transaction).await?;
            }
            if let Some(refresh) = refresh {
                refresh::begin_family(&transaction, grant, refresh, now).await?;
            }
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Returns a grant by its id, which tokens signed by this gateway contain.
    pub async fn grant(&self, grant: GrantId) -> Result<Option<StoredGrant>, StoreError> {
        let query = grants::Entity::find_by_id(grant.0);
        Ok(self.run(query.one(&self.db)).await?.map(StoredGrant::from))
    }

    /// Returns the user's grants whose code was redeemed and that have not expired, oldest first.
    pub async fn grants(&self, user: UserId, now: DateTime<Utc>) -> Result<Vec<StoredGrant>, StoreError> {
        let query = live_grants(now).filter(grants::Column::UserId.eq(user.0));
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(StoredGrant::from).collect())
    }

    /// Deletes a grant of the user with its codes and tokens. Returns `false` if there is no such grant.
    pub async fn end_grant(&self, user: UserId, grant: GrantId) -> Result<bool, StoreError> {
        let delete = grants::Entity::delete_many()
            .filter(grants::Column::Id.eq(grant.0))
            .filter(grants::Column::UserId.eq(user.0));
        let ended = self.run(delete.exec(&self.db)).await?.rows_affected > 0;
        self.change_counter.increment();
        Ok(ended)
    }

    /// Records a use of the grant. The time never moves back. Returns `false` if the grant no longer exists.
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
            self.change_counter.increment();
        }
        Ok(known)
    }

    /// Deletes expired sign-ins, grants and tokens of all users and returns the number of grants.
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
            // Looked up first: every DELETE, even of no row, invalidates the caches of all processes.
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
