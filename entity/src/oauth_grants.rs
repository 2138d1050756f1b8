use crate::Moment;
use sea_orm::entity::prelude::*;

/// What a user let a client do.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_grants")]
pub struct Model {
    /// Which grant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose account it opens; goes with the user.
    pub user_id: Uuid,
    /// To which client.
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    /// What that client calls itself.
    #[sea_orm(column_type = "Text")]
    pub client_name: String,
    /// What it may do, words separated by spaces.
    #[sea_orm(column_type = "Text")]
    pub scope: String,
    /// Where it may do that: the audience of its tokens.
    #[sea_orm(column_type = "Text")]
    pub resource: String,
    /// When it was made.
    pub created_at: Moment,
    /// When it last opened the door; absent until its code was redeemed.
    pub last_used_at: Option<Moment>,
    /// From then on none of its codes and tokens is good any more.
    pub expires_at: Moment,
    /// The youngest generation of refresh tokens that was used; 0 before the first use.
    pub confirmed_generation: i64,
    /// The refresh token of the next generation, sealed, from its first issue to its first use.
    #[sea_orm(column_type = "Text", nullable)]
    pub successor: Option<String>,
    /// SHA-256, in hexadecimal, of the part that all refresh tokens of the grant have in common.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_hash: Option<String>,
    /// Whether its client signed when it redeemed the code, and has to sign ever after.
    pub signed: bool,
}

/// None that queries use.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
