use crate::Moment;
use sea_orm::entity::prelude::*;

/// The number of requests that one user took from the allowance within one time span.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "allowance_use")]
pub struct Model {
    /// The user. The row is deleted with the user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// The start of the time span.
    #[sea_orm(primary_key, auto_increment = false)]
    pub since: Moment,
    /// The number of requests sent to OwnerRez.
    pub requests: i32,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
