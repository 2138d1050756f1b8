use crate::Moment;
use sea_orm::entity::prelude::*;

/// A user of this gateway.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The tenant id that all other rows refer to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The time of the registration.
    pub created_at: Moment,
    /// When the user first connected an OwnerRez account; users without a connection may be deleted after a while.
    pub first_connected_at: Option<Moment>,
    /// When an operator disabled the user; absent if enabled.
    pub disabled_at: Option<Moment>,
}

/// Empty: no query uses relations, because rows of other tables are always looked up by user id.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
