use crate::Moment;
use sea_orm::entity::prelude::*;

/// A write that was, or was about to be, sent to OwnerRez. The row contains nothing of the written data.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "writes")]
pub struct Model {
    /// The id of the write.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The user. The row is deleted with the user.
    pub user_id: Uuid,
    /// Name of the tool.
    #[sea_orm(column_type = "Text")]
    pub tool: String,
    /// Keyed digest of the user, the tool and the request.
    #[sea_orm(column_type = "Text")]
    pub digest: String,
    /// Keyed digest of the caller's idempotency key, if there was one.
    #[sea_orm(column_type = "Text", nullable)]
    pub idempotency_digest: Option<String>,
    /// Digest of the draft or the confirmation that allowed the write; unique.
    #[sea_orm(column_type = "Text", nullable, unique)]
    pub permit_digest: Option<String>,
    /// The records that the write changes, such as `guests/5`, separated by spaces.
    #[sea_orm(column_type = "Text")]
    pub touched: String,
    /// `sent` until the outcome is recorded, then `done` or `unknown`.
    #[sea_orm(column_type = "Text")]
    pub outcome: String,
    /// The id in OwnerRez's response.
    pub answer_id: Option<i64>,
    /// When the row was recorded, before the request was sent.
    pub recorded_at: Moment,
    /// When the outcome was recorded.
    pub settled_at: Option<Moment>,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
