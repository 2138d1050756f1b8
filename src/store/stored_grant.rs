//! A stored grant of the authorization server.

use chrono::{DateTime, Utc};
use entity::oauth_grants as grants;

use crate::domain::{GrantId, UserId, plain_name};

/// A stored grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredGrant {
    /// The id of the grant.
    pub id: GrantId,
    /// The user whose account the grant gives access to.
    pub user: UserId,
    /// The client that received the grant.
    pub client_id: String,
    /// The name that the client gives itself.
    pub client_name: String,
    /// The granted scopes, separated by spaces.
    pub scope: String,
    /// The audience of its tokens.
    pub resource: String,
    /// The creation time.
    pub created_at: DateTime<Utc>,
    /// The time of the last successful use; absent until the code was redeemed.
    pub last_used_at: Option<DateTime<Utc>>,
    /// All codes and tokens of the grant are invalid from this time on.
    pub expires_at: DateTime<Utc>,
    /// Whether the client signed the redemption of the code.
    pub signed: bool,
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
            successor: _,
            family_hash: _,
            signed,
        } = row;
        StoredGrant {
            id: GrantId(id),
            user: UserId(user_id),
            client_id,
            client_name: plain_name(&client_name, usize::MAX).unwrap_or_default(),
            scope,
            resource,
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.into(),
            signed,
        }
    }
}
