use crate::Moment;
use sea_orm::entity::prelude::*;

/// An API key of a user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Which key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose it is; goes with the user.
    pub user_id: Uuid,
    /// bcrypt hash of the whole key.
    #[sea_orm(column_type = "Text")]
    pub key_hash: String,
    /// The part of the key by which it is looked up. Not unique: the predecessor's prefixes have 16 random bits.
    #[sea_orm(column_type = "Text")]
    pub key_prefix: String,
    /// What its owner calls it.
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
    /// When it last opened the door.
    pub last_used_at: Option<Moment>,
    /// When it was made.
    pub created_at: Moment,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
