use crate::Moment;
use sea_orm::entity::prelude::*;

/// An API key of a user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// The id of the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The owner of the key. The row is deleted with the user.
    pub user_id: Uuid,
    /// bcrypt hash of the whole key.
    #[sea_orm(column_type = "Text")]
    pub key_hash: String,
    /// The prefix used to look up the key. Not unique: the predecessor's prefixes have only 16 random bits.
    #[sea_orm(column_type = "Text")]
    pub key_prefix: String,
    /// The name that the owner gave the key.
    #[sea_orm(column_type = "Text", nullable)]
    pub name: Option<String>,
    /// The time of the last successful authentication.
    pub last_used_at: Option<Moment>,
    /// The creation time.
    pub created_at: Moment,
    /// The scope of the key: `full` or `read`.
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    /// The key is invalid from this time on.
    pub expires_at: Option<Moment>,
    /// Keyed digest of a key that the predecessor created. It is set when this gateway first accepts the key; after
    /// that the key is found by this digest, without bcrypt.
    #[sea_orm(column_type = "Text", nullable)]
    pub key_digest: Option<String>,
    /// HMAC-SHA-256 over the key and `key_hash`, prefixed with the id of the HMAC key, which is derived from
    /// `ENCRYPTION_KEY`. If it matches, no bcrypt is needed. Absent until bcrypt has accepted the key once.
    #[sea_orm(column_type = "Text", nullable)]
    pub key_hmac: Option<String>,
    /// The listed toolsets, separated by commas; absent for the default.
    #[sea_orm(column_type = "Text", nullable)]
    pub toolsets: Option<String>,
    /// Whether only reading tools are listed and callable, regardless of the scope.
    pub read_only: bool,
    /// Whether operations that need consent use the two-step confirmation instead of asking the user.
    pub two_steps: bool,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
