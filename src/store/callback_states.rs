//! Browsers that return from OwnerRez and have to wait: their pending request stays unchanged until their turn, and its
//! expiry time is extended for it.

use chrono::{DateTime, Utc};
use entity::{Moment, oauth_states, sign_in_requests};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::{database::Store, error::StoreError, links::ConnectLink};
use crate::domain::Sealed;

/// A pending request that one browser returns to, with its times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackState<T> {
    /// The request.
    pub to: T,
    /// The creation time.
    pub created_at: DateTime<Utc>,
    /// When the browser first returned from the last approval; `None` until it has waited.
    pub returned_at: Option<DateTime<Utc>>,
    /// The expiry time.
    pub expires_at: DateTime<Utc>,
}

/// The first return of a browser that has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstReturn {
    /// The time of the return.
    pub at: DateTime<Utc>,
    /// Until when the browser may return again.
    pub keep_until: DateTime<Utc>,
}

impl Store {
    /// Returns the connect link bound to this browser, unless it has expired. The link stays unchanged.
    pub async fn link_callback_state(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<CallbackState<ConnectLink>>, StoreError> {
        let query = oauth_states::Entity::find_by_id(state_hash)
            .filter(oauth_states::Column::BrowserHash.eq(browser_hash))
            .filter(oauth_states::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(query.one(&self.db)).await?.map(|row| {
            let (created_at, expires_at) = (row.created_at.into(), row.expires_at.into());
            CallbackState { created_at, returned_at: row.returned_at.map(Into::into), expires_at, to: row.into() }
        }))
    }

    /// Returns the sign-in of this browser, unless it has expired. The sign-in stays unchanged.
    pub async fn sign_in_callback_state(
        &self,
        state_hash: &str,
        browser_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<CallbackState<Sealed>>, StoreError> {
        let query = sign_in_requests::Entity::find_by_id(state_hash)
            .filter(sign_in_requests::Column::BrowserHash.eq(browser_hash))
            .filter(sign_in_requests::Column::ExpiresAt.gt(Moment::from(now)));
        Ok(self.run(query.one(&self.db)).await?.map(|row| CallbackState {
            to: Sealed(row.request),
            created_at: row.created_at.into(),
            returned_at: row.returned_at.map(Into::into),
            expires_at: row.expires_at.into(),
        }))
    }

    /// Extends the connect link of this browser until then. A deleted link stays deleted.
    pub async fn extend_link(
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

    /// Records that the browser of this connect link has to wait, unless that is recorded already. A deleted link stays
    /// deleted.
    pub async fn mark_link_waiting(
        &self,
        state_hash: &str,
        browser_hash: &str,
        first: FirstReturn,
    ) -> Result<(), StoreError> {
        let update = oauth_states::Entity::update_many()
            .col_expr(oauth_states::Column::ReturnedAt, Expr::value(Moment::from(first.at)))
            .col_expr(oauth_states::Column::ExpiresAt, Expr::value(Moment::from(first.keep_until)))
            .filter(oauth_states::Column::State.eq(state_hash))
            .filter(oauth_states::Column::BrowserHash.eq(browser_hash))
            .filter(oauth_states::Column::ReturnedAt.is_null());
        self.run(update.exec(&self.db)).await.map(drop)
    }

    /// Records that the browser of this sign-in has to wait, unless that is recorded already. A deleted sign-in stays
    /// deleted.
    pub async fn mark_sign_in_waiting(
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
