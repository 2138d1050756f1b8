use crate::Moment;
use sea_orm::entity::prelude::*;

/// A block of permits reserved from the allowance before they are used.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allowance_blocks")]
pub struct Model {
    /// The id of the block.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The share that the block was reserved from.
    pub slot: i32,
    /// The number of requests that the block allows.
    pub permits: i32,
    /// The time of the reservation.
    pub reserved_at: Moment,
    /// When its last permit was used or returned; absent while the block is in use, or after a crash.
    pub closed_at: Option<Moment>,
    /// The number of requests actually sent; known once the block is closed.
    pub used: Option<i32>,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
