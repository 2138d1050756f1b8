use crate::Moment;
use sea_orm::entity::prelude::*;

/// An authorization code, which a client redeems once.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "authorization_codes")]
pub struct Model {
    /// SHA-256 of the code in hexadecimal, never the code itself.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub code_hash: String,
    /// The grant that the code belongs to. The row is deleted with the grant.
    pub grant_id: Uuid,
    /// The user who authorized the client.
    pub user_id: Uuid,
    /// The client that may redeem the code.
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    /// The redirect URI that the code was sent to.
    #[sea_orm(column_type = "Text")]
    pub redirect_uri: String,
    /// The PKCE code challenge (RFC 7636, S256).
    #[sea_orm(column_type = "Text")]
    pub code_challenge: String,
    /// The creation time.
    pub created_at: Moment,
    /// The code is invalid from this time on.
    pub expires_at: Moment,
    /// The time at which the code was redeemed.
    pub used_at: Option<Moment>,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
