use crate::Moment;
use sea_orm::entity::prelude::*;

/// A person who registered with this gateway.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The tenant that every other row hangs on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When they registered.
    pub created_at: Moment,
    /// When they first connected an OwnerRez account; who never did may be swept away after a while.
    pub first_connected_at: Option<Moment>,
    /// Since when an operator keeps them out.
    pub disabled_at: Option<Moment>,
}

/// None that queries use: rows of other tables are always looked up by user id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
