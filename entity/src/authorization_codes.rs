use crate::Moment;
use sea_orm::entity::prelude::*;

/// A code that a client redeems once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorization_codes")]
pub struct Model {
    /// SHA-256 of the code in hexadecimal, never the code itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub code_hash: String,
    /// What it opens; goes with the grant.
    pub grant_id: Uuid,
    /// Whose account.
    pub user_id: Uuid,
    /// Who may redeem it.
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    /// Where it was sent.
    #[sea_orm(column_type = "Text")]
    pub redirect_uri: String,
    /// What the verifier must hash to (RFC 7636, S256).
    #[sea_orm(column_type = "Text")]
    pub code_challenge: String,
    /// When it was made.
    pub created_at: Moment,
    /// From then on it is not redeemed.
    pub expires_at: Moment,
    /// When it was redeemed.
    pub used_at: Option<Moment>,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
