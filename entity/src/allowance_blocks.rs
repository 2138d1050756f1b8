use crate::Moment;
use sea_orm::entity::prelude::*;

/// Permits taken from the allowance together, before they are used.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allowance_blocks")]
pub struct Model {
    /// Which block.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// From which share.
    pub slot: i32,
    /// How many requests it allows.
    pub permits: i32,
    /// When it was taken.
    pub reserved_at: Moment,
    /// When its last permit was used or given up; absent while in use, or after a crash.
    pub closed_at: Option<Moment>,
    /// How many requests were really sent; known once it is closed.
    pub used: Option<i32>,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
