use crate::Moment;
use sea_orm::entity::prelude::*;

/// A browser session of the account page.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_sessions")]
pub struct Model {
    /// SHA-256 of the cookie in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub token_hash: String,
    /// The signed-in user. The row is deleted with the user.
    pub user_id: Uuid,
    /// The OwnerRez account used to sign in.
    pub user_id_ownerrez: i64,
    /// The time of the sign-in.
    pub created_at: Moment,
    /// The session is invalid from this time on.
    pub expires_at: Moment,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
