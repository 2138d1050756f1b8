use crate::Moment;
use sea_orm::entity::prelude::*;

/// A refresh token of a grant.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    /// SHA-256 of the token in hexadecimal, never the token itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token_hash: String,
    /// The grant that the token renews. The row is deleted with the grant.
    pub grant_id: Uuid,
    /// Counts the rotations of the grant, from 1.
    pub generation: i64,
    /// The creation time.
    pub created_at: Moment,
    /// The token is invalid from this time on.
    pub expires_at: Moment,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
