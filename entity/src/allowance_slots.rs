use sea_orm::entity::prelude::*;

/// A share of OwnerRez's allowance and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allowance_slots")]
pub struct Model {
    /// Which share.
    #[sea_orm(primary_key, auto_increment = false)]
    pub slot: i32,
    /// Counts its holders: one that was replaced finds another number here and reserves no more.
    pub epoch: i64,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
