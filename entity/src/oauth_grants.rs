use crate::Moment;
use sea_orm::entity::prelude::*;

/// An authorization that a user gave a client.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_grants")]
pub struct Model {
    /// The id of the grant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The user whose account the grant gives access to. The row is deleted with the user.
    pub user_id: Uuid,
    /// The client that received the grant.
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    /// The name that the client gives itself.
    #[sea_orm(column_type = "Text")]
    pub client_name: String,
    /// The granted scopes, separated by spaces.
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    /// The audience of its tokens.
    #[sea_orm(column_type = "Text")]
    pub resource: String,
    /// The creation time.
    pub created_at: Moment,
    /// The time of the last successful use; absent until the code was redeemed.
    pub last_used_at: Option<Moment>,
    /// All codes and tokens of the grant are invalid from this time on.
    pub expires_at: Moment,
    /// The newest generation of refresh tokens that was used; 0 before the first use.
    pub confirmed_generation: i64,
    /// The encrypted refresh token of the next generation, from its first issue to its first use.
    #[sea_orm(column_type = "Text", nullable)]
    pub successor: Option<String>,
    /// SHA-256, in hexadecimal, of the part that all refresh tokens of the grant have in common.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_hash: Option<String>,
    /// Whether the client signed the redemption of the code (`private_key_jwt`), and so must sign all later requests.
    pub signed: bool,
}

/// Empty: no query uses relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
