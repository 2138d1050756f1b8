use crate::Moment;
use sea_orm::entity::prelude::*;

/// An OwnerRez account that a user signs in with.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identities")]
pub struct Model {
    /// The id of the identity.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The user that it signs in. The row is deleted with the user.
    pub user_id: Uuid,
    /// The issuer: the origin of OwnerRez.
    #[sea_orm(column_type = "Text")]
    pub issuer: String,
    /// The number of the account at the issuer.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// The time of the first sign-in.
    pub created_at: Moment,
    /// The time of the last sign-in.
    pub last_sign_in_at: Moment,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
