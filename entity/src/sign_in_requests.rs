use crate::Moment;
use sea_orm::entity::prelude::*;

/// A sign-in under way: what a client asked for, and which browser agreed to it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_requests")]
pub struct Model {
    /// SHA-256 of the state in hexadecimal, never the state itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub state_hash: String,
    /// Digest of the cookie of the browser that agreed.
    #[sea_orm(column_type = "Text")]
    pub browser_hash: String,
    /// What was asked for, sealed.
    #[sea_orm(column_type = "Text")]
    pub request: String,
    /// When the browser agreed.
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
