use crate::Moment;
use sea_orm::entity::prelude::*;

/// What one user took from the allowance within one span of time.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allowance_use")]
pub struct Model {
    /// Whose requests; goes with the user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// When the span began.
    #[sea_orm(primary_key, auto_increment = false)]
    pub since: Moment,
    /// How many were sent to OwnerRez.
    pub requests: i32,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
