use crate::Moment;
use sea_orm::entity::prelude::*;

/// A sign-in in progress: the client's request and the browser in which the user agreed to it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_requests")]
pub struct Model {
    /// SHA-256 of the state in hexadecimal, never the state itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub state_hash: String,
    /// Digest of the cookie of that browser.
    #[sea_orm(column_type = "Text")]
    pub browser_hash: String,
    /// The client's request, encrypted.
    #[sea_orm(column_type = "Text")]
    pub request: String,
    /// When the user agreed.
    pub created_at: Moment,
    /// When the browser first returned from its last approval, if it has to wait for its turn.
    pub returned_at: Option<Moment>,
    /// The sign-in is invalid from this time on.
    pub expires_at: Moment,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
