use crate::Moment;
use sea_orm::entity::prelude::*;

/// A connect link: the state that OwnerRez will hand back once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_states")]
pub struct Model {
    /// SHA-256 of the state in hexadecimal, never the state itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub state: String,
    /// Who will own the connection; goes with the user.
    pub user_id: Uuid,
    /// The key that asked for the link; goes with the key, so that a revoked key connects nothing.
    pub key_id: Uuid,
    /// Digest of the cookie of the browser that went upstream; absent until one did.
    #[sea_orm(column_type = "Text", nullable)]
    pub browser_hash: Option<String>,
    /// When the link was made.
    pub created_at: Moment,
    /// When the browser first came back from its last approval, if it has to wait for its turn.
    pub returned_at: Option<Moment>,
    /// From then on it is as good as gone.
    pub expires_at: Moment,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
