//! Queries and changes of the operator's commands: the only module that deliberately works across users.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{
    Moment, api_keys, identities, oauth_grants, ownerrez_connections as connections, pending_revocations, users,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{
    database::Store, error::StoreError, live_grants::live_grants, stored_grant::StoredGrant, stored_key::StoredKey,
};
use crate::{
    crypto::EncryptionContext,
    domain::{AccountId, GrantId, Sealed, UserId},
};

/// A user, as listed for the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserOverview {
    /// The id of the user.
    pub id: UserId,
    /// The time of the registration.
    pub created_at: DateTime<Utc>,
    /// When an operator disabled the user; absent if enabled.
    pub disabled_at: Option<DateTime<Utc>>,
    /// The user's keys, oldest first.
    pub keys: Vec<StoredKey>,
    /// The user's OwnerRez account.
    pub connection: Option<ConnectionOverview>,
    /// The identities that the user signs in with, oldest first.
    pub identities: Vec<IdentityOverview>,
    /// The grants of the user's clients, oldest first.
    pub grants: Vec<StoredGrant>,
}

/// An OwnerRez account that a user signs in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityOverview {
    /// OwnerRez's origin.
    pub issuer: String,
    /// The number of the account there.
    pub subject: String,
    /// The time of the last sign-in.
    pub last_sign_in_at: DateTime<Utc>,
}

/// A connection without its tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionOverview {
    /// OwnerRez's number for the account, if known.
    pub account: Option<AccountId>,
    /// When the account was connected.
    pub connected_at: DateTime<Utc>,
    /// The expiry time of the access token, if known.
    pub expires_at: Option<DateTime<Utc>>,
    /// When OwnerRez rejected the grant; the user has to connect again.
    pub rejected_at: Option<DateTime<Utc>>,
}

/// A row with encrypted tokens, from one of the tables that contain them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedRow {
    /// The id of the row.
    pub id: Uuid,
    /// The owner of the tokens; the user may be gone.
    pub user: UserId,
    /// The tokens, each with its encryption context; at least one.
    pub tokens: Vec<(EncryptionContext, Sealed)>,
}

/// A table with encrypted tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealedTable {
    /// `ownerrez_connections`.
    Connections,
    /// `pending_revocations`.
    Revocations,
    /// `oauth_grants`, those with a stored successor.
    Grants,
}

impl Store {
    /// Returns all users, in the order of registration.
    pub async fn user_overviews(&self, now: DateTime<Utc>) -> Result<Vec<UserOverview>, StoreError> {
        let everyone = users::Entity::find().order_by_asc(users::Column::CreatedAt).order_by_asc(users::Column::Id);
        let keys =
            api_keys::Entity::find().order_by_asc(api_keys::Column::CreatedAt).order_by_asc(api_keys::Column::Id);
        let connected = connections::Entity::find();

        let mut keys_of: HashMap<Uuid, Vec<StoredKey>> = HashMap::new();
        for key in self.run(keys.all(&self.db)).await? {
            let owner = key.user_id;
            keys_of.entry(owner).or_default().push(StoredKey::from(key));
        }
        let connected = self.run(connected.all(&self.db)).await?;
        let mut connection_of: HashMap<Uuid, ConnectionOverview> =
            connected.into_iter().map(|row| (row.user_id, ConnectionOverview::from(row))).collect();
        let mut identities_of: HashMap<Uuid, Vec<IdentityOverview>> = HashMap::new();
        let identities = identities::Entity::find().order_by_asc(identities::Column::CreatedAt);
        for row in self.run(identities.all(&self.db)).await? {
            let identities::Model { id: _, user_id, issuer, subject, created_at: _, last_sign_in_at } = row;
            let identity = IdentityOverview { issuer, subject, last_sign_in_at: last_sign_in_at.into() };
            identities_of.entry(user_id).or_default().push(identity);
        }
        let mut grants_of: HashMap<Uuid, Vec<StoredGrant>> = HashMap::new();
        for row in self.run(live_grants(now).all(&self.db)).await? {
            grants_of.entry(row.user_id).or_default().push(row.into());
        }
        let everyone = self.run(everyone.all(&self.db)).await?;
        Ok(everyone
            .into_iter()
            .map(|users::Model { id, created_at, first_connected_at: _, disabled_at }| UserOverview {
                id: UserId(id),
                created_at: created_at.into(),
                disabled_at: disabled_at.map(Into::into),
                keys: keys_of.remove(&id).unwrap_or_default(),
                connection: connection_of.remove(&id),
                identities: identities_of.remove(&id).unwrap_or_default(),
                grants: grants_of.remove(&id).unwrap_or_default(),
            })
            .collect())
    }

    /// Returns the users with a key of this prefix, as lists show it.
    pub async fn users_by_key_prefix(&self, prefix: &str) -> Result<Vec<UserId>, StoreError> {
        // The predecessor stored its prefixes with dots at the end, see `StoredKey::prefix`.
        let query = api_keys::Entity::find()
            .select_only()
            .column(api_keys::Column::UserId)
            .filter(api_keys::Column::KeyPrefix.is_in([prefix.to_owned(), format!("{prefix}...")]))
            .distinct()
            .into_tuple::<Uuid>();
        Ok(self.run(query.all(&self.db)).await?.into_iter().map(UserId).collect())
    }

    /// Disables a user. A user who is already disabled keeps the earlier time. Returns `false` if there is no such
    /// user.
    pub async fn disable_user(&self, user: UserId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let since = Expr::col(users::Column::DisabledAt).if_null(Expr::value(Moment::from(now)));
        let update = users::Entity::update_many()
            .col_expr(users::Column::DisabledAt, since)
            .filter(users::Column::Id.eq(user.0));
        let known = self.run(update.exec(&self.db)).await?.rows_affected > 0;
        self.change_counter.increment();
        Ok(known)
    }

    /// Enables a disabled user. Returns `false` if there is no such user.
    pub async fn enable_user(&self, user: UserId) -> Result<bool, StoreError> {
        let update = users::Entity::update_many()
            .col_expr(users::Column::DisabledAt, Expr::value(None::<Moment>))
            .filter(users::Column::Id.eq(user.0));
        let known = self.run(update.exec(&self.db)).await?.rows_affected > 0;
        self.change_counter.increment();
        Ok(known)
    }

    /// Returns rows with encrypted tokens after this one, ordered by id. Also reads a database of the predecessor.
    pub async fn sealed_rows(
        &self,
        table: SealedTable,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<SealedRow>, StoreError> {
        match table {
            SealedTable::Connections => {
                let query = connections::Entity::find()
                    .select_only()
                    .columns([
                        connections::Column::Id,
                        connections::Column::UserId,
                        connections::Column::AccessToken,
                        connections::Column::RefreshToken,
                    ])
                    .apply_if(after, |query, id| query.filter(connections::Column::Id.gt(id)))
                    .order_by_asc(connections::Column::Id)
                    .limit(limit)
                    .into_tuple::<(Uuid, Uuid, String, Option<String>)>();
                let rows = self.run(query.all(&self.db)).await?;
                let row = |(id, user, access, refresh): (Uuid, Uuid, String, Option<String>)| {
                    let user = UserId(user);
                    let refresh = refresh.map(|refresh| (EncryptionContext::RefreshToken(user), Sealed(refresh)));
                    let access = (EncryptionContext::AccessToken(user), Sealed(access));
                    SealedRow { id, user, tokens: std::iter::once(access).chain(refresh).collect() }
                };
                Ok(rows.into_iter().map(row).collect())
            }
            SealedTable::Revocations => {
                let query = pending_revocations::Entity::find()
                    .apply_if(after, |query, id| query.filter(pending_revocations::Column::Id.gt(id)))
                    .order_by_asc(pending_revocations::Column::Id)
                    .limit(limit);
                let rows = self.run(query.all(&self.db)).await?;
                let row = |row: pending_revocations::Model| {
                    let user = UserId(row.user_id);
                    let tokens = vec![(EncryptionContext::AccessToken(user), Sealed(row.access_token))];
                    SealedRow { id: row.id, user, tokens }
                };
                Ok(rows.into_iter().map(row).collect())
            }
            SealedTable::Grants => {
                let query = oauth_grants::Entity::find()
                    .select_only()
                    .columns([
                        oauth_grants::Column::Id,
                        oauth_grants::Column::UserId,
                        oauth_grants::Column::ConfirmedGeneration,
                        oauth_grants::Column::Successor,
                    ])
                    .filter(oauth_grants::Column::Successor.is_not_null())
                    .apply_if(after, |query, id| query.filter(oauth_grants::Column::Id.gt(id)))
                    .order_by_asc(oauth_grants::Column::Id)
                    .limit(limit)
                    .into_tuple::<(Uuid, Uuid, i64, String)>();
                let rows = self.run(query.all(&self.db)).await?;
                let row = |(id, user, confirmed, successor): (Uuid, Uuid, i64, String)| SealedRow {
                    id,
                    user: UserId(user),
                    tokens: vec![(EncryptionContext::Successor(GrantId(id), confirmed + 1), Sealed(successor))],
                };
                Ok(rows.into_iter().map(row).collect())
            }
        }
    }

    /// Stores the token of a revocation under another encryption key, if the stored one is still `replaces`.
    pub async fn store_re_encrypted_revocation(
        &self,
        id: Uuid,
        replaces: &Sealed,
        access: Sealed,
    ) -> Result<bool, StoreError> {
        let update = pending_revocations::Entity::update_many()
            .col_expr(pending_revocations::Column::AccessToken, Expr::value(access.0))
            .filter(
                Condition::all()
                    .add(pending_revocations::Column::Id.eq(id))
                    .add(pending_revocations::Column::AccessToken.eq(&*replaces.0)),
            );
        Ok(self.run(update.exec(&self.db)).await?.rows_affected > 0)
    }
}

impl From<connections::Model> for ConnectionOverview {
    fn from(row: connections::Model) -> Self {
        ConnectionOverview {
            account: row.user_id_ownerrez.map(AccountId),
            connected_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
            rejected_at: row.rejected_at.map(Into::into),
        }
    }
}
