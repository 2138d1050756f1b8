use crate::Moment;
use sea_orm::entity::prelude::*;

/// A connect link: the OAuth state that OwnerRez returns once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_states")]
pub struct Model {
    /// SHA-256 of the state in hexadecimal, never the state itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub state: String,
    /// The user who will own the connection. The row is deleted with the user.
    pub user_id: Uuid,
    /// The API key that created the link. The row is deleted with the key, so that a revoked key connects nothing.
    pub key_id: Uuid,
    /// Digest of the cookie of the browser that was redirected to OwnerRez; absent until then.
    #[sea_orm(column_type = "Text", nullable)]
    pub browser_hash: Option<String>,
    /// The creation time.
    pub created_at: Moment,
    /// When the browser first returned from its last approval, if it has to wait for its turn.
    pub returned_at: Option<Moment>,
    /// The link is invalid from this time on.
    pub expires_at: Moment,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
