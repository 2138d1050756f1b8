//! Browsers that come back from OwnerRez and have to wait: what they come back to stays as it is until their turn, and
//! lives long enough for it.

use chrono::{DateTime, Utc};
use entity::{Moment, oauth_states, sign_in_requests};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::{Link, Store, StoreError};
use crate::domain::Sealed;

/// Something that one browser comes back to, and its life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Returning<T> {
    /// What it is.
    pub to: T,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the browser first came back from the last approval; `None` until it has waited.
    pub returned_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// The first return of a browser that has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstReturn {
    /// When that was.
    pub at: DateTime<Utc>,
    /// Until when it may come again.
    pub keep_until: DateTime<Utc>,
}

impl Store {
    /// The connect link that is bound to this browser, unless it has expired. It stays as it is.
    pub async fn returning_to_link(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Returning<Link>>, StoreError> {
        let query = oauth_states::Entity::find_by_id(state_hash)
            .filter(oauth_states::Column::BrowserHash.eq(browser_hash))
            .filter(oauth_states::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(query.one(&self.db)).await?.map(|row| {
            let (created_at, expires_at) = (row.created_at.into(), row.expires_at.into());
            Returning { created_at, returned_at: row.returned_at.map(Into::into), expires_at, to: row.into() }
        }))
    }

    /// The sign-in in this browser, unless it has expired. It stays as it is.
    pub async fn returning_to_sign_in(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Returning<Sealed>>, StoreError> {
        let query = sign_in_requests::Entity::find_by_id(state_hash)
            .filter(sign_in_requests::Column::BrowserHash.eq(browser_hash))
            .filter(sign_in_requests::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(query.one(&self.db)).await?.map(|row| Returning {
            to: Sealed(row.request),
            created_at: row.created_at.into(),
            returned_at: row.returned_at.map(Into::into),
            expires_at: row.expires_at.into(),
        }))
    }

    /// Lets the connect link of this browser live until then. A link that is gone stays gone.
    pub async fn prolong_link(
        &self,
        state_hash: &str,
        browser_hash: &str,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let update = oauth_states::Entity::update_many()
            .col_expr(oauth_states::Column::ExpiresAt, Expr::value(Moment::from(until)))
            .filter(oauth_states::Column::State.eq(state_hash))
            .filter(oauth_states::Column::BrowserHash.eq(browser_hash))
            .filter(oauth_states::Column::ExpiresAt.lt(Moment::from(until)));
        self.run(update.exec(&self.db)).await.map(drop)
    }

    /// Notes that the browser of this connect link has to wait, unless that is noted already. A link that is gone stays
    /// gone.
    pub async fn link_waits(&self, state_hash: &str, browser_hash: &str, first: FirstReturn) -> Result<(), StoreError> {
        let update = oauth_states::Entity::update_many()
            .col_expr(oauth_states::Column::ReturnedAt, Expr::value(Moment::from(first.at)))
            .col_expr(oauth_states::Column::ExpiresAt, Expr::value(Moment::from(first.keep_until)))
            .filter(oauth_states::Column::State.eq(state_hash))
            .filter(oauth_states::Column::BrowserHash.eq(browser_hash))
            .filter(oauth_states::Column::ReturnedAt.is_null());
        self.run(update.exec(&self.db)).await.map(drop)
    }

    /// Notes that the browser of this sign-in has to wait, unless that is noted already. A sign-in that is gone stays
    /// gone.
    pub async fn sign_in_waits(
        &self,
        state_hash: &str,
        browser_hash: &str,
        first: FirstReturn,
    ) -> Result<(), StoreError> {
        let update = sign_in_requests::Entity::update_many()
            .col_expr(sign_in_requests::Column::ReturnedAt, Expr::value(Moment::from(first.at)))
            .col_expr(sign_in_requests::Column::ExpiresAt, Expr::value(Moment::from(first.keep_until)))
            .filter(sign_in_requests::Column::StateHash.eq(state_hash))
            .filter(sign_in_requests::Column::BrowserHash.eq(browser_hash))
            .filter(sign_in_requests::Column::ReturnedAt.is_null());
        self.run(update.exec(&self.db)).await.map(drop)
    }
}
