use crate::Moment;
use sea_orm::entity::prelude::*;

/// An OAuth client that registered itself and was deleted.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "forgotten_clients")]
pub struct Model {
    /// SHA-256 of the client id in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_hash: String,
    /// When the registration would have ended, and this row with it.
    pub expires_at: Moment,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
