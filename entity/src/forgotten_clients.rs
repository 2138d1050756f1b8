use crate::Moment;
use sea_orm::entity::prelude::*;

/// A deleted OAuth client that had registered itself.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "forgotten_clients")]
pub struct Model {
    /// SHA-256 of the client id in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_hash: String,
    /// When the registration would have expired. The row is removed then.
    pub expires_at: Moment,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
