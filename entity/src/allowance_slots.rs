use sea_orm::entity::prelude::*;

/// A share of OwnerRez's allowance and its current holder.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allowance_slots")]
pub struct Model {
    /// The number of the share.
    #[sea_orm(primary_key, auto_increment = false)]
    pub slot: i32,
    /// Increases with each new holder. A replaced holder sees another number here and stops reserving permits.
    pub epoch: i64,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
