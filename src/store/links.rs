//! Connect links: OAuth states that OwnerRez returns once, each for one user and one browser.

use chrono::{DateTime, Utc};
use entity::{Moment, api_keys, oauth_states, users};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockType, Query},
};

use super::{database::Store, error::StoreError};
use crate::domain::{KeyId, UserId};

/// A connect link about to be stored.
#[derive(Clone, Debug)]
pub struct NewConnectLink {
    /// SHA-256 of the state in hexadecimal.
    pub state_hash: String,
    /// The key that requests the link.
    pub key: KeyId,
    /// The creation time.
    pub created_at: DateTime<Utc>,
    /// The expiry time.
    pub expires_at: DateTime<Utc>,
}

/// A valid connect link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectLink {
    /// The user who will own the connection.
    pub user: UserId,
    /// The key that requested the link.
    pub key: KeyId,
    /// The expiry time.
    pub expires_at: DateTime<Utc>,
}

impl From<oauth_states::Model> for ConnectLink {
    fn from(row: oauth_states::Model) -> Self {
        let oauth_states::Model { user_id, key_id, expires_at, .. } = row;
        ConnectLink { user: UserId(user_id), key: KeyId(key_id), expires_at: expires_at.into() }
    }
}

impl Store {
    /// Stores a link of the user and deletes the user's expired and oldest links, so that at most `cap` remain. Returns
    /// `false`, and stores nothing, if the key does not belong to the user.
    pub async fn open_link(&self, user: UserId, link: NewConnectLink, cap: u64) -> Result<bool, StoreError> {
        let NewConnectLink { state_hash, key, created_at, expires_at } = link;
        let created_at = Moment::from(created_at);
        let row = oauth_states::ActiveModel {
            state: Set(state_hash),
            user_id: Set(user.0),
            key_id: Set(key.0),
            browser_hash: Set(None),
            created_at: Set(created_at),
            returned_at: Set(None),
            expires_at: Set(expires_at.into()),
        };
        self.run(async {
            let transaction = self.begin().await?;
            // The lock serializes requests of one user; otherwise both would count the same links.
            let owner = users::Entity::find_by_id(user.0).lock(LockType::NoKeyUpdate).one(&transaction).await?;
            let key = api_keys::Entity::find_by_id(key.0)
                .filter(api_keys::Column::UserId.eq(user.0))
                .one(&transaction)
                .await?;
            if owner.is_none() || key.is_none() {
                transaction.rollback().await?;
                return Ok(false);
            }
            oauth_states::Entity::delete_many()
                .filter(oauth_states::Column::UserId.eq(user.0))
                .filter(oauth_states::Column::ExpiresAt.lte(created_at))
                .exec(&transaction)
                .await?;
            let newest_first: Vec<String> = oauth_states::Entity::find()
                .select_only()
                .column(oauth_states::Column::State)
                .filter(oauth_states::Column::UserId.eq(user.0))
                .order_by_desc(oauth_states::Column::CreatedAt)
                .order_by_desc(oauth_states::Column::State)
                .into_tuple()
                .all(&transaction)
                .await?;
            let kept = usize::try_from(cap.saturating_sub(1)).unwrap_or(usize::MAX);
            let beyond: Vec<String> = newest_first.into_iter().skip(kept).collect();
            if !beyond.is_empty() {
                oauth_states::Entity::delete_many()
                    .filter(oauth_states::Column::State.is_in(beyond))
                    .exec(&transaction)
                    .await?;
            }
            oauth_states::Entity::insert(row).exec_without_returning(&transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Returns the link with this state, unless it has expired.
    pub async fn link(&self, state_hash: &str, now: DateTime<Utc>) -> Result<Option<ConnectLink>, StoreError> {
        let query =
            oauth_states::Entity::find_by_id(state_hash).filter(oauth_states::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(query.one(&self.db)).await?.map(ConnectLink::from))
    }

    /// Binds the user's link to the browser that is about to be redirected to OwnerRez. The caller has authenticated
    /// with the key, so a second binding (the same user in another browser) replaces the first.
    pub async fn bind_link(
        &self,
        user: UserId,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let update = oauth_states::Entity::update_many()
            .col_expr(oauth_states::Column::BrowserHash, Expr::value(browser_hash))
            // The browser returns with a new approval.
            .col_expr(oauth_states::Column::ReturnedAt, Expr::value(None::<Moment>))
            .filter(oauth_states::Column::State.eq(state_hash))
            .filter(oauth_states::Column::UserId.eq(user.0))
            .filter(oauth_states::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }

    /// Consumes the link: of all callers with its state and the browser that it is bound to, one gets it. A caller with
    /// another browser gets `None` and leaves the link unchanged.
    pub async fn take_link(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<ConnectLink>, StoreError> {
        let delete = Query::delete()
            .from_table(oauth_states::Entity)
            .and_where(Expr::col(oauth_states::Column::State).eq(state_hash))
            .and_where(Expr::col(oauth_states::Column::BrowserHash).eq(browser_hash))
            .and_where(Expr::col(oauth_states::Column::ExpiresAt).gt(Moment::from(now)))
            .returning_all()
            .take();
        self.run(async {
            let row = self.db.query_one(&delete).await?;
            row.map(|row| oauth_states::Model::from_query_result(&row, "").map(ConnectLink::from)).transpose()
        })
        .await
    }

    /// Deletes expired links of all users and returns their number.
    pub async fn sweep_links(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let delete = oauth_states::Entity::delete_many().filter(oauth_states::Column::ExpiresAt.lte(Moment::from(now)));
        Ok(self.run(delete.exec(&self.db)).await?.rows_affected)
    }
}
