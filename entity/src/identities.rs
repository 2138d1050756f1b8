use crate::Moment;
use sea_orm::entity::prelude::*;

/// Who a user is at OwnerRez: an account that signs in.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identities")]
pub struct Model {
    /// Which identity.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who it signs in; goes with the user.
    pub user_id: Uuid,
    /// Who vouches for it: the origin of OwnerRez.
    #[sea_orm(column_type = "Text")]
    pub issuer: String,
    /// The number of the account there.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// When it first signed in.
    pub created_at: Moment,
    /// When it last did.
    pub last_sign_in_at: Moment,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
