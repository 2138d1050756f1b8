use crate::Moment;
use sea_orm::entity::prelude::*;

/// One change that was, or was about to be, sent to OwnerRez. Holds nothing of what it said.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "writes")]
pub struct Model {
    /// Which change.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose; goes with the user.
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
    /// Digest of the draft or the confirmation that allowed it; unique.
    #[sea_orm(column_type = "Text", nullable, unique)]
    pub permit_digest: Option<String>,
    /// The records it changes, such as `guests/5`, with spaces between.
    #[sea_orm(column_type = "Text")]
    pub touched: String,
    /// `sent` until the outcome is recorded, then `done` or `unknown`.
    #[sea_orm(column_type = "Text")]
    pub outcome: String,
    /// The id in OwnerRez's answer.
    pub answer_id: Option<i64>,
    /// Before it was sent.
    pub recorded_at: Moment,
    /// When the outcome was recorded.
    pub settled_at: Option<Moment>,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
