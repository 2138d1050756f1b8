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
    /// What it may do: `full` or `read`.
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    /// From then on it opens nothing.
    pub expires_at: Option<Moment>,
    /// Keyed digest of a key that the predecessor made, since it first opened the door here: from then on it is found
    /// by this, without bcrypt.
    #[sea_orm(column_type = "Text", nullable)]
    pub key_digest: Option<String>,
    /// HMAC-SHA-256 over the key and `key_hash`, under a key that is derived from `ENCRYPTION_KEY`, with that key's id in
    /// front: where it matches, no bcrypt is needed. Absent until bcrypt has accepted the key once.
    #[sea_orm(column_type = "Text", nullable)]
    pub key_hmac: Option<String>,
    /// The toolsets that it shows, separated by commas; none for the default.
    #[sea_orm(column_type = "Text", nullable)]
    pub toolsets: Option<String>,
    /// Whether it shows and calls only what reads, whatever its scope.
    pub read_only: bool,
    /// Whether what needs consent takes two steps instead of a question to the person.
    pub two_steps: bool,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
