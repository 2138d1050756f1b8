use crate::Moment;
use sea_orm::entity::prelude::*;

/// A token that still has to be revoked at OwnerRez.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_revocations")]
pub struct Model {
    /// The id of the task.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The owner of the token. No foreign key: the task outlives the user, and decrypting the token needs the user id.
    pub user_id: Uuid,
    /// The OwnerRez account of the token, if known.
    pub account: Option<i64>,
    /// Encrypted, by this gateway or by the predecessor.
    #[sea_orm(column_type = "Text")]
    pub access_token: String,
    /// When the connection was removed.
    pub created_at: Moment,
    /// The number of attempts.
    pub attempts: i32,
    /// The earliest time of the next attempt.
    pub next_attempt_at: Moment,
}

/// Empty: the table has no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
