//! The current connection of a user.

use chrono::{DateTime, Utc};
use entity::ownerrez_connections as rows;
use uuid::Uuid;

use crate::domain::{AccountId, Sealed, TokenKind};

/// The current connection of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Changes with every new authorization.
    pub id: Uuid,
    /// The OwnerRez account, if known.
    pub account: Option<AccountId>,
    /// The access token.
    pub access: Sealed,
    /// The refresh token, if there is one.
    pub refresh: Option<Sealed>,
    /// How the access token is sent.
    pub token_kind: TokenKind,
    /// When the access token was issued.
    pub obtained_at: DateTime<Utc>,
    /// The expiry time of the access token, if known.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the account was connected.
    pub connected_at: DateTime<Utc>,
    /// When OwnerRez rejected the grant.
    pub rejected_at: Option<DateTime<Utc>>,
    /// When OwnerRez reported that the grant is read-only; that never changes (article "OAuth apps").
    pub read_only_at: Option<DateTime<Utc>>,
    /// Counts changes of the tokens.
    pub version: i64,
    /// The session that is refreshing the tokens.
    pub lease_holder: Option<Uuid>,
    /// Until then, other sessions do not refresh the tokens.
    pub lease_until: Option<DateTime<Utc>>,
}

impl From<rows::Model> for Connection {
    fn from(row: rows::Model) -> Self {
        let rows::Model {
            id,
            user_id: _,
            access_token,
            refresh_token,
            token_type,
            user_id_ownerrez,
            expires_at,
            created_at,
            updated_at: _,
            obtained_at,
            renew_at: _,
            rejected_at,
            read_only_at,
            version,
            lease_holder,
            lease_until,
        } = row;
        Connection {
            id,
            account: user_id_ownerrez.map(AccountId),
            access: Sealed(access_token),
            refresh: refresh_token.map(Sealed),
            token_kind: TokenKind::named(&token_type),
            obtained_at: obtained_at.into(),
            expires_at: expires_at.map(Into::into),
            connected_at: created_at.into(),
            rejected_at: rejected_at.map(Into::into),
            read_only_at: read_only_at.map(Into::into),
            version,
            lease_holder,
            lease_until: lease_until.map(Into::into),
        }
    }
}
