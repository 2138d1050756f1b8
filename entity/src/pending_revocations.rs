use crate::Moment;
use sea_orm::entity::prelude::*;

/// A token that OwnerRez still has to be told to forget.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_revocations")]
pub struct Model {
    /// Which task.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose token it was. No foreign key: the task outlives the user, whose id is needed to open the token.
    pub user_id: Uuid,
    /// Whose account it is at OwnerRez, where known.
    pub account: Option<i64>,
    /// Sealed, by us or by the predecessor.
    #[sea_orm(column_type = "Text")]
    pub access_token: String,
    /// When the connection was dropped.
    pub created_at: Moment,
    /// How often it was tried.
    pub attempts: i32,
    /// Not before then again.
    pub next_attempt_at: Moment,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
