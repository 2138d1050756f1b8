use crate::Moment;
use sea_orm::entity::prelude::*;

/// A browser that is signed in to the account page.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_sessions")]
pub struct Model {
    /// SHA-256 of the cookie in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token_hash: String,
    /// Who it is; goes with the user.
    pub user_id: Uuid,
    /// The account that they signed in with at OwnerRez.
    pub user_id_ownerrez: i64,
    /// When they signed in.
    pub created_at: Moment,
    /// From then on it opens nothing.
    pub expires_at: Moment,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
